"""Saves the variables of a kernel: from a forked child of it, which keeps them as they were at that moment.

    kernel ──fork──► saver ──fork──► worker      pickles and stores (variables_worker); when it crashes or hangs at a
                       │                         variable, that one is lost and another worker begins
                       └──exec──► verifier       loads what is new (variables_verifier)

What does not load is saved in another way: a group is taken apart, the members that load are put together again
without the one that does not, and if that does not load either, they stay apart. What loaded, and what did not, is
remembered by the hash of its pickle, so the next save of the same needs neither attempt. The manifest comes last.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import types
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

ONE_SECONDS = 15.0  # without a step in one variable, or one group; a sixth of all the time where that is less
ROUNDS_MAX = 8
WORKERS_MAX = 12  # that many crashes, then the save is given up
WATCH_SECONDS = 0.1
OLD_SECONDS = 14 * 86400.0


class Failed(Exception):
    """The save as a whole; the one before stays."""


class Lines:
    """Lines of JSON from a process, with time limits, while the memory that is left is watched."""

    def __init__(self, fd: int, free: Callable[[], int], floor: int) -> None:
        self._fd, self._free, self._floor = fd, free, floor
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._data = b""
        self.low = False
        """Why `next` gave up: memory."""

    def next(self, until: float) -> Optional[Dict[str, Any]]:
        """None at the end, and when the time or the memory has gone."""
        while b"\n" not in self._data:
            left = until - time.monotonic()
            if left <= 0:
                return None
            if self._poll.poll(min(left, WATCH_SECONDS) * 1000):
                data = os.read(self._fd, 1 << 20)
                if not data:
                    return None
                self._data += data
            elif self._free() < self._floor // 2:
                self.low = True
                return None
        line, _, self._data = self._data.partition(b"\n")
        found = json.loads(line.decode())
        return found if isinstance(found, dict) else None


class Saver:
    def __init__(self, given: Any, load: Callable[[str], Any], store: Any, versions: Dict[str, str]) -> None:
        self._given, self._load, self._store, self._versions = given, load, store, versions
        self._memory, self._cgroup = load("variables_memory"), load("cgroup")
        self._workers = 0
        self._one_seconds = min(ONE_SECONDS, (given.deadline - time.monotonic()) / 6)

    def run(self, execution_count: int) -> Dict[str, Any]:
        """The manifest that was written."""
        os.makedirs(self._store.directory, mode=0o700, exist_ok=True)
        previous = self._store.manifest()
        same = previous.get("versions") == self._versions
        groups = previous.get("groups") or []
        self._given.before = {"\0".join(group["names"]): group for group in groups}
        verified = {group["key"] for group in groups if group.get("verified") and same}
        self._given.refused = dict(previous.get("refused") or {}) if same else {}
        trials = self._trials()
        try:
            if not verified:
                trials.start()  # there will be something to try
            done = self._rounds(verified, trials)
        except BaseException:  # the disk is full, perhaps with what was just written
            self._store.sweep(previous)
            raise
        finally:
            trials.close()
        for group in done["groups"]:
            group["verified"] = group["key"] in verified
            if not group["verified"]:
                self._note(done, group, "it was not tried whether it loads")
            if group.get("apart"):
                self._note(done, group, "it is saved without those it shared objects with")
        manifest = {
            "format": 1,
            "saved_at": time.time(),
            "execution_count": execution_count,
            "versions": self._versions,
            "path": [place for place in sys.path if isinstance(place, str)],
            "groups": done["groups"],
            "variables": done["variables"],
            "modules": done["modules"],
            "refused": self._given.refused,
        }
        manifest["stored_bytes"] = self._store.commit(manifest)
        self._load("variables_store").remove_old(self._store.directory, "slot-", time.time() - OLD_SECONDS)
        return manifest

    def _rounds(self, verified: Set[str], trials: Any) -> Dict[str, Any]:
        apart: Set[str] = set()  # for good
        taken: Set[str] = set()  # once
        for _ in range(ROUNDS_MAX):
            done = self._pickle()
            tried = self._given.alone - apart
            fresh = [group for group in done["groups"] if group["key"] not in verified]
            verdicts = trials.verify(fresh, [group for group in done["groups"] if group["key"] in verified])
            self._given.alone = set(apart)
            failed = False
            for group, reason in verdicts:
                if not reason:
                    verified.add(group["key"])
                    continue
                failed = True
                if len(group["names"]) == 1:
                    self._given.refused[group["key"]] = reason
                elif taken.intersection(group["names"]):
                    apart.update(group["names"])
                else:
                    taken.update(group["names"])
                    self._given.alone.update(group["names"])
            self._given.alone |= apart
            if not failed and not tried:
                break
        for group in done["groups"]:
            group["apart"] = len(group["names"]) == 1 and group["names"][0] in apart
        return done

    def _trials(self) -> Any:
        namespace = self._given.namespace
        names = self._load("variables_worker").user_names(namespace, self._given.hidden)
        modules, needed = {}, set()
        for name in names:
            value = namespace[name]
            if type(value) is types.ModuleType and value.__name__ in sys.modules:
                modules[name] = value.__name__
            needed.add(modules.get(name) or str(type(value).__module__))
        told = {
            "directory": self._store.directory,
            "path": list(sys.path),
            "modules": modules,
            "imports": sorted(name for name in needed if name in sys.modules and name != "__main__"),
        }
        return self._load("variables_trials").Trials(told, self._lines, self._given.deadline, self._one_seconds)

    def _lines(self, fd: int) -> Lines:
        return Lines(fd, lambda: self._memory.available(self._cgroup), self._memory.FLOOR_BYTES)

    @staticmethod
    def _note(done: Dict[str, Any], group: Dict[str, Any], note: str) -> None:
        for name in group["names"]:
            described = done["variables"][name]
            described["notes"] = [*described["notes"], note]

    # -- workers -------------------------------------------------------------------------------------------------------

    def _pickle(self) -> Dict[str, Any]:
        """What a worker says at its end, in as many attempts as it takes."""
        while self._workers < WORKERS_MAX:
            self._workers += 1
            done, at, reason = self._attempt()
            if done is not None:
                return done
            if not at:
                raise Failed("there was no time left" if time.monotonic() > self._given.deadline else reason)
            if len(at) == 1:
                self._given.excluded[at[0]] = reason
            elif self._given.alone.issuperset(at):
                self._given.excluded.update(dict.fromkeys(at, reason))
            else:
                self._given.alone.update(at)
        raise Failed("too many variables crash when they are saved")

    def _attempt(self) -> Tuple[Optional[Dict[str, Any]], List[str], str]:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            procself = self._load("procself")
            procself.die_with_parent(signal.SIGKILL)
            os.close(reading)
            self._load("variables_worker").become(self._given, self._load, self._store_again(), writing)
        os.close(writing)
        lines = self._lines(reading)
        at: List[str] = []
        found: Optional[Dict[str, Any]] = None
        try:
            until = time.monotonic() + self._one_seconds
            while True:
                said = lines.next(min(until, self._given.deadline + 1.0))
                if said is None or "error" in said:
                    break
                if "at" in said:
                    at, until = said["at"], time.monotonic() + self._one_seconds
                else:
                    found = said
                    break
        finally:
            os.close(reading)
            late = time.monotonic() > min(until, self._given.deadline + 1.0)
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
        if found is not None:
            self._store.new_bytes += found.pop("new_bytes", 0)
            return found, [], ""
        if said is not None:
            return None, [], str(said["error"])
        if lines.low:
            return None, at, "not enough memory is left to save it"
        if late:
            return None, at, "saving it takes too long"
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        why = "signal %d" % number if number and number != signal.SIGKILL else "it was killed"
        return None, at, "saving it crashed (%s)" % why

    def _store_again(self) -> Any:
        return self._load("variables_store").Store(self._store.directory)
