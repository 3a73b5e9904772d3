"""The pool: containers kept ready with a spare, each claimed once and never returned.

    <data>/pool/paused                    no refills while it exists
    <data>/pool/<key>/spec.json           what a container of this key is made of; its mtime: last wanted
    <data>/pool/<key>/ready/<run id>      one ready container
    <data>/pool/<key>/taken/<run id>      being claimed; the rename from ready/ decides between processes
    <data>/pool/misses.log                time, key and reason of each claim that found nothing
    <data>/pool/hits.log                  time, key and duration in seconds of each claim that got one

The key is a digest of everything that a container cannot be given after it was made. Where directories can be
attached to a running container (`MountVia.ATTACH`) the caller's directory is not part of it; where they must be
named at creation (`BIND`) it is, so that the second start in a directory is the fast one.

The rename decides between processes; the agent's own `claim`, which says yes once, decides again inside. Nobody
watches over a ready container: its lease is the pool's time to live, and it ends by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..model.clock import Clock
from ..model.runtime import ContainerInfo
from ..model.settings import PoolSettings

log = logging.getLogger("syla.pool")
HANDOVER_SECONDS = 5.0  # a refill or a claim that takes longer between its two renames has died
LOG_MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class Ready:
    key: str
    run_id: str
    container_id: str
    container_name: str
    made_at: float


@dataclass(frozen=True)
class KeyStatus:
    key: str
    description: str
    ready: int
    last_wanted_seconds_ago: float


def pool_key(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Pool:
    def __init__(self, *, data_dir: Path, settings: PoolSettings, clock: Clock) -> None:
        self._dir = data_dir / "pool"
        self._settings = settings
        self.clock = clock

    # -- claims ------------------------------------------------------------------------------------------------

    def want(self, key: str, spec: dict[str, Any]) -> None:
        """Remember that containers of this key are wanted, for the next refill."""
        directory = self._dir / key
        (directory / "ready").mkdir(parents=True, exist_ok=True)
        (directory / "taken").mkdir(exist_ok=True)
        file = directory / "spec.json"
        if not file.exists():
            fresh = directory / f".spec.{os.getpid()}"
            fresh.write_text(json.dumps(spec, default=str))
            fresh.rename(file)
        now = self.clock.now()
        os.utime(file, (now, now))

    def take(self, key: str) -> Iterator[Ready]:
        """Ready containers, each already ours alone when it is given; the caller drops the dead."""
        directory = self._dir / key / "ready"
        try:
            names = sorted(directory.iterdir(), key=lambda p: p.name)
        except OSError:
            names = []
        for place in names:
            if place.name.startswith("."):
                continue
            taken = self._dir / key / "taken" / place.name
            try:
                place.rename(taken)  # exactly one process succeeds
            except OSError:
                continue
            try:
                try:
                    ready = Ready(**json.loads(taken.read_text()))
                except (OSError, ValueError, TypeError):
                    continue
                yield ready
            finally:
                taken.unlink(missing_ok=True)  # not before the caller has made the container its own

    @contextlib.contextmanager
    def putting(self, key: str, run_id: str, container: ContainerInfo) -> Iterator[None]:
        """Make a container claimable; in the body its maker gives it up, when it is recorded but not claimable yet."""
        record = {
            "key": key,
            "run_id": run_id,
            "container_id": container.id,
            "container_name": container.name,
            "made_at": self.clock.now(),
        }
        directory = self._dir / key / "ready"
        directory.mkdir(parents=True, exist_ok=True)
        fresh = directory / f".{run_id}"
        fresh.write_text(json.dumps(record))
        yield
        fresh.rename(directory / run_id)

    def missed(self, key: str, reason: str) -> None:
        log.info("pool miss for %s: %s", key, reason)
        self._append("misses.log", f"{key} {reason}")

    def claimed(self, key: str, seconds: float) -> None:
        """A claim that got one took that long."""
        self._append("hits.log", f"{key} {seconds:.6f}")

    def _append(self, name: str, line: str) -> None:
        file = self._dir / name
        with contextlib.suppress(OSError):
            self._dir.mkdir(parents=True, exist_ok=True)
            if file.exists() and file.stat().st_size > LOG_MAX_BYTES:
                file.rename(self._dir / f"{name}.1")
            with file.open("a") as opened:
                opened.write(f"{self.clock.now():.3f} {line}\n")

    # -- refills -----------------------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        return (self._dir / "paused").exists()

    def pause(self, yes: bool) -> None:
        self._dir.mkdir(parents=True, exist_ok=True)
        if yes:
            (self._dir / "paused").touch()
        else:
            (self._dir / "paused").unlink(missing_ok=True)

    def missing(self) -> list[tuple[str, dict[str, Any], int]]:
        """(key, spec, how many) to be made now: wanted within the time to live, under size and memory caps."""
        if self.paused or not self._settings.size:
            return []
        rows = self._keys()
        room = self._settings.memory_cap_bytes // self._settings.container_estimate_bytes
        room -= sum(status.ready for status, _ in rows)
        wanted = []
        for status, spec in sorted(rows, key=lambda row: row[0].last_wanted_seconds_ago):
            if status.last_wanted_seconds_ago > self._settings.ttl_seconds:
                continue
            count = min(self._settings.size - status.ready, room)
            if count > 0:
                wanted.append((status.key, spec, count))
                room -= count
        return wanted

    def seconds_since_wanted(self) -> float:
        return min((status.last_wanted_seconds_ago for status, _ in self._keys()), default=float("inf"))

    def status(self) -> list[KeyStatus]:
        return [status for status, _ in self._keys()]

    def misses(self, most: int = 10) -> list[str]:
        try:
            return (self._dir / "misses.log").read_text().splitlines()[-most:]
        except OSError:
            return []

    def run_ids(self) -> set[str]:
        """Run directories that belong to ready containers, or to ones that change hands right now."""
        changing = [*self._dir.glob("*/ready/.*")]  # in the order in which records move: none is missed between two
        ids = {p.name for p in self._dir.glob("*/ready/*") if not p.name.startswith(".")}
        changing += self._dir.glob("*/taken/*")
        for place in changing:
            with contextlib.suppress(OSError):
                if self.clock.now() - place.stat().st_ctime < HANDOVER_SECONDS:
                    ids.add(place.name.lstrip("."))
        return ids

    def recorded(self) -> set[str]:
        """Run ids of all records, drafts and unfinished claims included."""
        return {p.name.lstrip(".") for kind in ("ready", "taken") for p in self._dir.glob(f"*/{kind}/*")}

    def forget(self, run_id: str) -> None:
        for name in (f"ready/{run_id}", f"ready/.{run_id}", f"taken/{run_id}"):
            for place in self._dir.glob(f"*/{name}"):
                place.unlink(missing_ok=True)

    def drop_stale_keys(self) -> None:
        """Forget keys nobody has wanted for ten times the time to live."""
        for status, _ in self._keys():
            if status.last_wanted_seconds_ago > 10 * self._settings.ttl_seconds:
                self.drop(status.key)

    def drop(self, key: str) -> None:
        """Forget a key; what it has ready ends by its lease."""
        directory = self._dir / key
        with contextlib.suppress(OSError):
            (directory / "spec.json").unlink(missing_ok=True)
            for child in ("ready", "taken"):
                for record in (directory / child).iterdir():
                    record.unlink(missing_ok=True)
                (directory / child).rmdir()
            directory.rmdir()

    @contextlib.contextmanager
    def refill_lock(self) -> Iterator[bool]:
        """One refill at a time for this data directory; False when another is at it."""
        self._dir.mkdir(parents=True, exist_ok=True)
        with (self._dir / "refill.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    def _keys(self) -> list[tuple[KeyStatus, dict[str, Any]]]:
        rows = []
        for file in self._dir.glob("*/spec.json"):
            try:
                spec, wanted = json.loads(file.read_text()), file.stat().st_mtime
                ready = sum(1 for p in (file.parent / "ready").iterdir() if not p.name.startswith("."))
            except (OSError, ValueError):
                continue
            whose = spec.get("files") or ("any home" if spec.get("home") else "any directory")
            description = f"{spec.get('template')} · {spec.get('network')} · {whose}"
            rows.append((KeyStatus(file.parent.name, description, ready, self.clock.now() - wanted), spec))
        return rows
