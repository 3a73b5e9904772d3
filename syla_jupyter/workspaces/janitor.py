"""What happens to workspaces by itself: once a minute, by one server of an installation.

A sweep: notice who is at work -> what runs against what is recorded -> policies -> disk -> what moves data. The rules
say what is due and why (`policies`), the registry does it, and here is what lies between them. Each action names the
version of the record it was decided on, and just before anything is stopped those who know are asked again whether
somebody works: a workspace that was used, touched or restarted meanwhile is left alone.

One sweep at a time per data directory. A file lock is enough for that, whatever the database: containers, homes and
files of an installation are on one machine.

What fails for one workspace is tried again later and later, told once, and stops nothing else. What takes long (a stop
saves a version, an archive all there is) comes last and has a part of the minute: nobody's warning waits for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ..metadata.base import DUE_MAX, Look, WorkspaceStore
from ..model.clock import Clock
from ..model.errors import Conflict, SylaError, UnknownWorkspace
from ..model.policy import HOUR, MINUTE
from ..model.record import State, WorkspaceRecord
from .activity import Signals, is_active
from .policies import Action, Due, due_action, next_look, readable_duration
from .registry import Registry

log = logging.getLogger("syla.janitor")
SWEEP_SECONDS = MINUTE
TIDY_SECONDS = HOUR
BACKOFF_MAX_SECONDS = HOUR
MOVES_DATA = {Action.STOP, Action.ARCHIVE, Action.DELETE}
MOVING_SECONDS = 40.0  # of each sweep; what was begun then is finished

ActivitySource = Callable[[], Mapping[str, Signals]]
"""Signals by workspace id, of those it knows something about; what happened counts since it was asked last."""


class Janitor:
    """Parameters
    ----------
    lock_file : one sweep at a time among all that name it.
    activity : who is at work, asked at each sweep and before something is stopped.
    inside : whether something runs in a container that the sources know nothing of; asked when the policy of an active
        workspace is due, because it costs a call into the container.
    tidy : removes what nobody owns; may call the engine, so once an hour, and after a sweep that found something ended.
    extra : done at the end of each sweep (disk); gives a line for each thing done.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        store: WorkspaceStore,
        clock: Clock,
        lock_file: Path,
        activity: Sequence[ActivitySource] = (),
        inside: Callable[[WorkspaceRecord], Signals] = lambda record: Signals(),
        tidy: Callable[[], list[str]] = list,
        extra: Callable[[], list[str]] = list,
        batch: int = DUE_MAX,
    ) -> None:
        self._registry, self._store, self._clock, self._lock_file = registry, store, clock, lock_file
        self._activity, self._inside = activity, inside
        self._tidy, self._extra = tidy, extra
        self._batch = batch
        self._tidied: float | None = None
        self._failures: dict[str, int] = {}

    def sweep(self) -> list[str]:
        """Do what is due now; one line for each thing done. Nothing when another process is at it."""
        with self._alone() as alone:
            if not alone:
                return []
            self._notice()
            ended = self._part("records", lambda: self._registry.finish(quick=True))
            later: list[WorkspaceRecord] = []
            done = ended + self._part("policies", lambda: self._policies(later)) + self._part("disk", self._extra)
            done += self._part("what moves data", lambda: self._moves(later))
            now = self._clock.monotonic()
            if ended or self._tidied is None or now - self._tidied >= TIDY_SECONDS:
                self._tidied = now
                done += self._part("what nobody owns", self._tidy)
            return done

    # -- activity ----------------------------------------------------------------------------------------------

    def _notice(self) -> dict[str, str]:
        """Write down who is at work; id -> why it counts."""
        at_work: dict[str, str] = {}
        for source in self._activity:
            for id, signals in self._asked(source).items():
                active, why = is_active(signals)
                if active:
                    at_work[id] = why
        for id in at_work:
            self._store.touch_activity(id, self._clock.now())
        return at_work

    def _asked(self, source: ActivitySource) -> Mapping[str, Signals]:
        try:
            found = source()
        except Exception:
            self._fails(f"activity {source!r}", "who is at work is not known", exc_info=True)
            return {}
        self._failures.pop(f"activity {source!r}", None)
        return found

    def _used(self, record: WorkspaceRecord) -> bool:
        """Whether somebody works in it right now, by all who know."""
        if record.state is not State.ACTIVE:
            return False
        if record.id in self._notice():
            return True
        active, why = is_active(self._inside(record))
        if active:
            log.debug("workspace %s is in use: %s", record.name, why)
            self._store.touch_activity(record.id, self._clock.now())
        return active

    # -- policies ----------------------------------------------------------------------------------------------

    def _policies(self, later: list[WorkspaceRecord]) -> list[str]:
        """Do what is done at once; add to `later` those of which data is to be moved."""
        done: list[str] = []
        seen: set[str] = set()
        while True:
            records = self._store.due(self._clock.now(), self._batch)
            fresh = [record for record in records if record.id not in seen]
            if not fresh:
                return done
            seen.update(record.id for record in fresh)
            looks: list[Look] = []
            for record in fresh:
                now = self._clock.now()
                if due_action(record, record.policy, now).action in MOVES_DATA:
                    later.append(record)
                    looks.append(Look(record.id, record.version, now + SWEEP_SECONDS))  # if its turn does not come
                else:
                    self._one(record, done, looks)
            self._store.plan_look(looks)
            if len(records) < self._batch:
                return done

    def _moves(self, later: Sequence[WorkspaceRecord]) -> list[str]:
        done: list[str] = []
        until = self._clock.monotonic() + MOVING_SECONDS
        for record in later:
            if self._clock.monotonic() >= until:
                break
            looks: list[Look] = []
            self._one(record, done, looks)
            self._store.plan_look(looks)
        return done

    def _one(self, record: WorkspaceRecord, done: list[str], looks: list[Look]) -> None:
        with self._failing_alone(record, looks):
            after: WorkspaceRecord | None = record
            now = self._clock.now()
            at = next_look(record, now)
            if at is not None and at <= now:  # else it would say that nothing is to be done, and take its time
                after = self._look_at(record, done)
                at = next_look(after, self._clock.now()) if after is not None else None
            if after is not None:
                looks.append(Look(after.id, after.version, at))
            self._failures.pop(record.id, None)

    def _look_at(self, record: WorkspaceRecord, done: list[str]) -> WorkspaceRecord | None:
        """The record afterwards; None when it is gone."""
        due = due_action(record, record.policy, self._clock.now())
        if due.action is Action.NONE:
            return record
        if self._used(record):
            record = dataclasses.replace(record, last_activity_at=self._clock.now())
            due = due_action(record, record.policy, self._clock.now())
            if due.action is Action.NONE:
                return record
        if due.action is Action.WARN:
            message = self._message(record, due)
            record = self._registry.warn(record.id, version=record.version, message=message)
            done.append(message)
            log.info("%s", message)
            return record
        after = self._act(record, due)
        line = f"workspace {record.name!r}: {due.action}, {due.reason}"
        done.append(line)
        log.info("%s", line)
        return after

    def _act(self, record: WorkspaceRecord, due: Due) -> WorkspaceRecord | None:
        id, execution, version, reason = record.id, record.execution, record.version, due.reason
        if due.action in (Action.SUSPEND, Action.STOP):
            stop = due.action is Action.STOP
            return self._registry.suspend(id, stop=stop, execution=execution, version=version, reason=reason)
        if due.action is Action.ARCHIVE:
            return self._registry.archive(id, execution=execution, version=version, reason=reason)
        self._registry.delete(id, execution=execution, version=version, confirmed=True, reason=reason)
        return None

    def _message(self, record: WorkspaceRecord, due: Due) -> str:
        left = readable_duration(max(0.0, (due.deadline or 0.0) - self._clock.now()))
        return (
            f"workspace {record.name!r}: {due.next_action} in {left}, {due.reason}; `syla workspace touch` puts it off"
        )

    # -- failures ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _failing_alone(self, record: WorkspaceRecord, looks: list[Look]) -> Iterator[None]:
        try:
            yield
        except (Conflict, UnknownWorkspace):
            pass  # somebody was faster; a changed record is due by itself
        except Exception as exc:
            known = isinstance(exc, SylaError | OSError)
            count = self._fails(record.id, f"workspace {record.name!r} is left for later: {exc}", exc_info=not known)
            wait = min(SWEEP_SECONDS * 2**count, BACKOFF_MAX_SECONDS)
            looks.append(Look(record.id, record.version, self._clock.now() + wait))

    def _part(self, what: str, work: Callable[[], list[str]]) -> list[str]:
        try:
            done = work()
        except Exception as exc:
            self._fails(what, f"{what}: left for later: {exc}", exc_info=not isinstance(exc, SylaError | OSError))
            return []
        self._failures.pop(what, None)
        return done

    def _fails(self, what: str, message: str, *, exc_info: bool) -> int:
        """How often in a row it has failed by now, told the first time only."""
        count = self._failures.get(what, 0) + 1
        self._failures[what] = min(count, 32)
        if count == 1:
            log.warning("%s", message, exc_info=exc_info)
        return count

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        self._lock_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock_file.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True


class JanitorThread:
    """A sweep every `seconds`; `stop` ends it promptly, between two sweeps."""

    def __init__(
        self,
        sweep: Callable[[], object],
        *,
        seconds: float = SWEEP_SECONDS,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """`wait(seconds)`: True when it is time to stop; for tests, instead of waiting for real."""
        self._sweep, self._seconds = sweep, seconds
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._thread = threading.Thread(target=self._run, name="syla-janitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        failed = False
        while not (self._wait(self._seconds) or self._stopped.is_set()):
            try:
                self._sweep()
                failed = False
            except Exception:
                if not failed:
                    log.exception("a sweep failed; the next ones go on")
                failed = True
