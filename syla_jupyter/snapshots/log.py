"""The log: records `log/<8 digits>`, each created only where there is none, each holding the hash of the one before.

It is the only thing that two writers compete for. Who commits has read the log to its end; his record takes the next
number or is refused, and then he reads on, decides anew and tries the one after. A reply that was lost is no riddle:
the object under that number either is, byte for byte, ours or it is not.

Every CHECKPOINT_EVERY records the whole state goes into `log/base-<8 digits>`. The two newest are kept, and the records
since the older one: opening costs one list and a few reads however long the history, and a damaged checkpoint loses
nothing. A writer that slept through all that may win a number that was already cleared away; he looks, after each
win, whether a checkpoint has passed him without his record.

A store that shows less than it once did is noticed by the last head that this machine has seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..model.errors import Conflict, ObjectExists, ObjectMissing, ObjectsFailed, SnapshotDamaged
from ..model.snapshot import Damage
from ..objects.base import ObjectStore
from .crypto import SEALED_MAX_BYTES, Keys, object_hash, seal, unseal
from .format import base_key, decode, encode, log_key
from .head import Head
from .state import State

RECORD, BASE = b"L", b"B"
CHECKPOINT_EVERY = 32
ATTEMPTS = 100
READERS = 8
_NAME = re.compile(r"log/(base-)?([0-9]{8})")
Record = dict[str, Any]


class Log:
    """Not safe in several threads at once: the repository holds its lock."""

    def __init__(self, objects: ObjectStore, keys: Keys, head: Head) -> None:
        self._objects, self._keys, self._head = objects, keys, head
        self.state = State()
        self.damage: dict[str, Damage] = {}
        self.jumps = 0
        """How often records were passed over for a checkpoint."""
        self._base = 0

    def refresh(self) -> None:
        """Read what was committed since. `SnapshotDamaged` when the store has gone back in time."""
        seen = self._head.read()  # before the store is: another process may be faster than we are
        for _ in range(ATTEMPTS):
            try:
                self._read_on()
                break
            except ObjectMissing:
                continue  # cleared away for a checkpoint between list and get
        else:
            raise Conflict("The log changes faster than it can be read", "Try again")
        self._head.check(seen, self.state)
        self._head.write(self.state)

    def append(self, make: Callable[[State], Record]) -> Record:
        """Commit what `make` says to the state as it is then; called again when somebody was faster.

        `ObjectsFailed` leaves open whether it happened, like any lost reply; what the record named has to stay then.
        """
        for _ in range(ATTEMPTS):
            self.refresh()
            self.check_whole()
            record = make(self.state)
            sequence = self.state.sequence + 1
            content = encode({"sequence": sequence, "previous": self.state.head, **record})
            data = seal(self._keys, RECORD, log_key(sequence), content)
            if self._create(log_key(sequence), data) and not self._passed(sequence, object_hash(data)):
                self.state.apply(record)
                self.state.advance(object_hash(data))
                self._head.write(self.state)
                return record
        raise Conflict("Others change this repository all the time", "Try again")

    def check_whole(self) -> None:
        for key, damage in self.damage.items():
            if not key.startswith("log/base-"):  # those are made anew
                raise SnapshotDamaged(f"The log is damaged: {key}: {damage.problem}", "syla snapshot repair")

    @property
    def checkpoint_due(self) -> bool:
        return self.state.sequence - self._base >= CHECKPOINT_EVERY

    def checkpoint(self) -> None:
        """Write the state down and clear away what nobody needs to read any more."""
        sequence = self.state.sequence
        self._objects.put(base_key(sequence), seal(self._keys, BASE, base_key(sequence), encode(self.state.encode())))
        self._base = sequence
        records, bases = self._list("")
        broken = {number for number in bases if base_key(number) in self.damage and number != sequence}
        kept = sorted(number for number in bases - broken if number <= sequence)[-2:]
        oldest = kept[0] if len(kept) == 2 else 0
        passed = {number for number in bases if number < oldest} | broken
        keys = [log_key(number) for number in records if number <= oldest]
        self._objects.delete([base_key(number) for number in passed] + keys)
        self.damage = {key: damage for key, damage in self.damage.items() if not key.startswith("log/base-")}

    def rebuild(self) -> None:
        """Go on from what could be read: a checkpoint takes the place of records that could not."""
        unreadable = [key for key in self.damage if not key.startswith("log/base-")]
        self.state.next_number += len(unreadable)  # they may have been versions: no number is given twice
        self.checkpoint()
        self.damage.clear()

    def _read_on(self) -> None:
        records, bases = self._list(log_key(self.state.sequence))
        ahead = sorted((number for number in bases if number > self.state.sequence), reverse=True)
        for number in ahead:
            if self._load_base(number):
                break
        self._base = max([self._base, *(number for number in ahead if base_key(number) not in self.damage)])
        wanted = range(self.state.sequence + 1, max(records, default=0) + 1)
        if len(wanted) < 3:
            for sequence in wanted:
                self._replay(sequence, self._get(sequence))
            return
        with ThreadPoolExecutor(READERS, "syla-log") as pool:
            for sequence, data in zip(wanted, pool.map(self._get, wanted), strict=True):
                self._replay(sequence, data)

    def _get(self, sequence: int) -> bytes | None:
        """None: there is none, and will be none."""
        try:
            return self._objects.get(log_key(sequence), max_bytes=SEALED_MAX_BYTES)
        except ObjectMissing:
            # Either it was cleared away, and a checkpoint came first, or it is lost: later ones are there.
            if any(number >= sequence for number in self._list("")[1] if base_key(number) not in self.damage):
                raise
            return None

    def _replay(self, sequence: int, data: bytes | None) -> None:
        key = log_key(sequence)
        try:
            if data is None:
                raise SnapshotDamaged("missing")
            record = decode(unseal(self._keys, RECORD, key, data), key)
            if record.get("sequence") != sequence:
                raise SnapshotDamaged("has another number inside")
            if self.state.head and record.get("previous") != self.state.head:
                raise SnapshotDamaged("does not follow the one before")
            self.state.apply(record)
        except SnapshotDamaged as exc:
            self.damage[key] = Damage(key, exc.message)
            self.state.advance(b"")
        else:
            self.state.advance(object_hash(data or b""))

    def _load_base(self, number: int) -> bool:
        key = base_key(number)
        try:
            content = unseal(self._keys, BASE, key, self._objects.get(key, max_bytes=SEALED_MAX_BYTES))
            state = State.decode(decode(content, key))
            if state.sequence != number:
                raise SnapshotDamaged("has another number inside")
        except SnapshotDamaged as exc:
            self.damage[key] = Damage(key, exc.message)
            return False
        self.jumps += self.state.sequence > 0
        self.state = state
        self.damage = {k: v for k, v in self.damage.items() if k > key}
        return True

    def _list(self, after: str) -> tuple[set[int], set[int]]:
        records: set[int] = set()
        bases: set[int] = set()
        for info in self._objects.list("log/", after=after):
            if match := _NAME.fullmatch(info.key):
                (bases if match[1] else records).add(int(match[2]))
        return records, bases

    def _create(self, key: str, data: bytes) -> bool:
        """Whether it is ours now. Without conditional writes the lease keeps others away; look twice all the same."""
        if not self._objects.conditional:
            there = self._at(key)
            if there is None:
                self._objects.put(key, data)
                there = self._at(key)
            return there == data
        try:
            self._objects.put(key, data, if_absent=True)
            return True
        except ObjectExists:
            return self._at(key) == data  # an attempt whose reply was lost may have been the winner
        except ObjectsFailed:
            there = self._at(key)
            if there is None:
                raise
            return there == data

    def _at(self, key: str) -> bytes | None:
        try:
            return self._objects.get(key, max_bytes=SEALED_MAX_BYTES)
        except ObjectMissing:
            return None

    def _passed(self, sequence: int, hash: bytes) -> bool:
        """Whether a checkpoint at or behind `sequence` does not know our record: it went into a cleared number."""
        for info in self._objects.list("log/base-"):
            match = _NAME.fullmatch(info.key)
            if match and int(match[2]) >= sequence:
                other = Log(self._objects, self._keys, self._head)
                if other._load_base(int(match[2])) and other.state.hash_of(sequence) != hash:
                    return True
        return False
