"""An object store that fails as real ones do, at the calls a test chooses.

A `Plan` sees each call before it is made (its index from 0, operation and key) and answers with a fault or None. With
`no_faults` the store passes the contract suite like any other. Calls are counted across threads; `calls` tells them.
"""

from __future__ import annotations

import enum
import os
import random
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..model.errors import ObjectExists, ObjectsFailed
from ..objects.base import Data, ObjectInfo, ObjectStore
from ..objects.metered import Operation


class Fault(enum.Enum):
    ERROR = "the service said 500"
    SLOW_DOWN = "the service said 503 SlowDown"
    TIMEOUT = "no answer in time"
    RESET_BEFORE = "the connection was reset, and nothing was done"
    RESET_AFTER = "the connection was reset, and it was done"
    EXISTS = "412, for a `put`; as ERROR for anything else"
    SHORT = "half the bytes of a `get`, half the entries of a `list`, without a word; as RESET_BEFORE for others"
    FLIP = "a `get` with one bit changed, without a word; as RESET_BEFORE for others"
    STOP = "this call and all later ones fail, nothing is done: a process that died, without its process"
    STOP_AFTER = "as STOP, but this call was done"
    KILL = "the process ends before the call"
    KILL_AFTER = "the process ends after it"


SAID = (Fault.ERROR, Fault.SLOW_DOWN, Fault.TIMEOUT, Fault.RESET_BEFORE, Fault.RESET_AFTER)
"""Those that a client is told of and may try again."""
SILENT = (Fault.SHORT, Fault.FLIP)
_DONE = {Fault.RESET_AFTER, Fault.STOP_AFTER, Fault.KILL_AFTER}


@dataclass(frozen=True)
class Call:
    index: int
    operation: Operation
    key: str
    """Of a list its prefix, of a deletion its first key."""


Plan = Callable[[Call], Fault | None]


def no_faults(call: Call) -> Fault | None:
    return None


def at(index: int, fault: Fault) -> Plan:
    return lambda call: fault if call.index == index else None


def on(operation: Operation, part_of_key: str, fault: Fault, *, times: int = 1) -> Plan:
    """The first `times` calls of that kind."""
    left = [times]

    def plan(call: Call) -> Fault | None:
        if left[0] > 0 and call.operation == operation and part_of_key in call.key:
            left[0] -= 1
            return fault
        return None

    return plan


def now_and_then(seed: int, rate: float, faults: Iterable[Fault] = SAID) -> Plan:
    """Each call fails with probability `rate`; the same for the same seed and order of calls."""
    chance, choices = random.Random(seed), tuple(faults)
    return lambda call: chance.choice(choices) if chance.random() < rate else None


def kill_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class FaultyObjects:
    def __init__(
        self, objects: ObjectStore, plan: Plan = no_faults, *, kill: Callable[[], None] = kill_process
    ) -> None:
        self._objects, self._kill = objects, kill
        self.plan = plan
        self.calls: list[Call] = []
        self.stopped = False
        self._lock = threading.Lock()

    @property
    def description(self) -> str:
        return self._objects.description

    @property
    def conditional(self) -> bool:
        return self._objects.conditional

    def put(self, key: str, data: Data, *, if_absent: bool = False) -> None:
        fault = self._next("put", key)
        if fault is Fault.EXISTS:
            raise ObjectExists(f"injected: could not write {key}: {fault.value}")
        self._perform(fault, lambda: self._objects.put(key, data, if_absent=if_absent))

    def get(self, key: str, *, start: int = 0, length: int | None = None, max_bytes: int = 1 << 30) -> bytes:
        fault = self._next("get", key)
        if fault not in SILENT:
            data: list[bytes] = []
            self._perform(
                fault, lambda: data.append(self._objects.get(key, start=start, length=length, max_bytes=max_bytes))
            )
            return data[0]
        whole = self._objects.get(key, start=start, length=length, max_bytes=max_bytes)
        if fault is Fault.SHORT or not whole:
            return whole[: len(whole) // 2]
        damaged = bytearray(whole)
        damaged[len(whole) * 2 // 3] ^= 1 << (len(whole) % 8)
        return bytes(damaged)

    def head(self, key: str) -> ObjectInfo:
        found: list[ObjectInfo] = []
        self._perform(self._next("head", key), lambda: found.append(self._objects.head(key)))
        return found[0]

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        return self._list(prefix, self._objects.list(prefix, after=after))

    def _list(self, prefix: str, entries: Iterator[ObjectInfo]) -> Iterator[ObjectInfo]:
        fault = self._next("list", prefix)
        if fault is None:
            yield from entries
        elif fault in (Fault.SHORT, Fault.RESET_AFTER):
            found = tuple(entries)
            yield from found[: len(found) // 2]
            if fault is Fault.RESET_AFTER:
                raise _error(fault, f"list {prefix}")
        else:
            self._perform(fault, lambda: None)

    def delete(self, keys: Iterable[str]) -> None:
        all_keys = tuple(keys)
        self._perform(self._next("delete", all_keys[0] if all_keys else ""), lambda: self._objects.delete(all_keys))

    def close(self) -> None:
        self._objects.close()

    def _next(self, operation: Operation, key: str) -> Fault | None:
        with self._lock:
            if self.stopped:
                raise _error(Fault.STOP, f"{operation} {key}")
            call = Call(len(self.calls), operation, key)
            self.calls.append(call)
            fault = self.plan(call)
            if fault in (Fault.STOP, Fault.STOP_AFTER):
                self.stopped = True
            return fault

    def _perform(self, fault: Fault | None, call: Callable[[], None]) -> None:
        if fault is None or fault in _DONE:
            call()
        if fault in (Fault.KILL, Fault.KILL_AFTER):
            self._kill()
        if fault is not None:
            raise _error(fault, self.calls[-1].operation)


def _error(fault: Fault, doing: str) -> ObjectsFailed:
    return ObjectsFailed(f"injected: could not {doing}: {fault.value}")
