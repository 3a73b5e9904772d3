"""A forked child that pickles: alone with the variables as they were, and expendable.

It says on a pipe what it does, a JSON object a line, so that whoever started it knows what it was at when it crashed or
hung: {"at": [names]} before each variable and each group, again while it gets on with a large one, and at the end one
{"groups": …, "variables": …, "modules": …}.

Pass A pickles each variable by itself, which says whether it can be, what is missing, and which objects it refers to.
Pass B pickles the variables that share objects once more, together. Smaller groups are stored first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import time
import types
from typing import Any, Callable, Dict, List, Optional, Set

NAME_MAX = 200
SPOOL_BYTES = 256 * 1024
TICK_SECONDS = 0.5
LOOK_SECONDS = 0.02  # between two looks at the memory that is left
_HISTORY = re.compile(r"_+(i{1,3}|\d+|i\d+|ih|oh|dh)?|In|Out")


class Given:
    """What a worker is told."""

    def __init__(self, namespace: Dict[str, Any], hidden: Dict[str, Any], deadline: float, stored_bytes: int) -> None:
        self.namespace, self.hidden = namespace, hidden
        self.main_thread = True
        """Whether it was forked from the kernel's main thread, whose stack can grow."""
        self.deadline, self.stored_bytes = deadline, stored_bytes
        """Monotonic seconds; bytes of all groups together."""
        self.excluded: Dict[str, str] = {}
        """Names that are lost already, with the reason."""
        self.alone: Set[str] = set()
        """Names that are to be saved without those they share objects with."""
        self.refused: Dict[str, str] = {}
        """Keys of what did not load, with the reason."""
        self.before: Dict[str, Any] = {}
        """The groups of the last manifest, by their names joined."""


def user_names(namespace: Dict[str, Any], hidden: Dict[str, Any]) -> List[str]:
    return sorted(
        name
        for name, value in namespace.items()
        if isinstance(name, str)
        and len(name) <= NAME_MAX
        and not (name.startswith("__") and name.endswith("__"))
        and not _HISTORY.fullmatch(name)
        and not (name in hidden and hidden[name] is value)
    )


class Spool:
    """A pickle that is being written: in memory while it is small."""

    def __init__(self, directory: str, tick: Callable[[], None]) -> None:
        self._file: Any = tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=directory)
        self._tick = tick
        self.tell, self.seek, self.read, self.close = (
            self._file.tell,
            self._file.seek,
            self._file.read,
            self._file.close,
        )

    def write(self, data: Any) -> int:
        self._tick()
        return int(self._file.write(data))


class Single:
    """One variable after pass A."""

    def __init__(self, name: str, pickler: Any, file: Any) -> None:
        self.name, self.file = name, file
        self.buffers, self.missing, self.notes = pickler.buffers, pickler.missing, pickler.notes
        self.has_code = pickler.has_code
        self.bytes = file.tell() + sum(buffer.nbytes for buffer in self.buffers)


class Worker:
    def __init__(self, given: Given, load: Callable[[str], Any], store: Any, tell: Callable[[Dict[str, Any]], object]):
        self._given, self._load, self._store, self._tell = given, load, store, tell
        self._pickler, self._rebuild = load("variables_pickler"), load("variables_rebuild")
        self._text = load("variables_text")
        self._memory, self._cgroup = load("variables_memory"), load("cgroup")
        self._pickler.learn_recipes(self._rebuild)
        self._variables: Dict[str, Dict[str, Any]] = {}
        self._owners: frozenset = frozenset()  # type: ignore[type-arg]
        self._at: List[str] = []
        self._told = 0.0
        self._looked, self._free = 0.0, 0
        store.tick = self._tick
        self._texts: Dict[int, Any] = {}
        self._modules: Dict[str, str] = {}

    def run(self) -> Dict[str, Any]:
        given = self._given
        names = [name for name in user_names(given.namespace, given.hidden) if not self._set_aside(name)]
        self._owners = self._memory_owners(names)
        groups_of = self._load("variables_groups")
        sharing = groups_of.Sharing(self._pickler.by_reference, [given.namespace, self._pickler.shell()])
        singles: Dict[str, Single] = {}
        bound: Dict[int, int] = {}
        for name in names:
            single = self._single(name, sharing, bound)
            if single is not None:
                singles[name] = single
        order = [name for name in names if name in singles]
        groups = sharing.groups(order)
        parted = [[name] for group in groups for name in group if name in given.alone]
        whole = [[name for name in group if name not in given.alone] for group in groups]
        stored = self._store_groups([group for group in parted + whole if group], singles)
        return {"groups": stored, "variables": self._variables, "modules": self._modules}

    # -- pass A --------------------------------------------------------------------------------------------------------

    def _set_aside(self, name: str) -> bool:
        """What is not pickled: lost already, a module, the namespace itself."""
        value = self._given.namespace[name]
        described = {"type": self._text.type_name(value), "bytes": 0, "reason": "", "notes": []}
        if name in self._given.excluded:
            self._variables[name] = dict(described, status="lost", reason=self._given.excluded[name])
        elif type(value) is types.ModuleType and isinstance(value.__dict__.get("__name__"), str):
            if value.__dict__.get("__spec__") is None and value.__name__ != "__main__":
                return False  # made by hand: pickled as it is
            self._modules[name] = value.__name__
            self._variables[name] = dict(described, status="saved")
        elif value is self._given.namespace:
            self._modules[name] = "."
            self._variables[name] = dict(described, status="saved")
        else:
            return False
        return True

    def _memory_owners(self, names: List[str]) -> frozenset:  # type: ignore[type-arg]
        numpy = sys.modules.get("numpy")
        if numpy is None or not hasattr(numpy, "ndarray"):
            return frozenset()
        values = [self._given.namespace[name] for name in names]
        owners: frozenset = self._load("variables_groups").memory_owners(  # type: ignore[type-arg]
            values, numpy.ndarray, self._pickler.owner_of
        )
        return owners

    def _single(self, name: str, sharing: Any, bound: Dict[int, int]) -> Optional[Single]:
        value = self._given.namespace[name]
        self._at_work([name])
        described = {"status": "lost", "type": self._text.type_name(value), "bytes": 0, "reason": "", "notes": []}
        self._variables[name] = described
        reason = self._no_room()
        if reason:
            described["reason"] = reason
            return None
        file = self._spool()
        pickler = self._new_pickler(file)
        try:
            pickler.dump(value)
        except BaseException as exc:
            described["reason"] = self._text.short(exc)
            return None
        single = Single(name, pickler, file)
        if id(value) in pickler.missing_ids:
            described["reason"] = single.missing[0].partition(": ")[2]
            return None
        if self._given.refused:
            reason = self._given.refused.get(key_of(file, single.buffers), "")
            if reason:
                described["reason"] = reason
                return None
        described.update(bytes=single.bytes, notes=single.notes[:5])
        described["status"] = "partial" if single.missing else "recreated" if single.notes else "saved"
        described["reason"] = "; ".join(single.missing[:5])[:300]
        number = sharing.add(pickler.memo.copy().values())
        if not self._is_small(value):
            sharing.same(bound.setdefault(id(value), number), number)
        return single

    def _is_small(self, value: Any) -> bool:
        return type(value) in (type(None), bool, int, float, complex, str, bytes) or (
            type(value) is tuple and not value
        )

    def _no_room(self) -> str:
        now = time.monotonic()
        if now > self._given.deadline:
            return "there was no time left"
        if now - self._looked > LOOK_SECONDS:
            self._looked, self._free = now, self._memory.available(self._cgroup)
        floor = self._memory.FLOOR_BYTES
        return "" if self._free > floor else self._memory.why_not(floor, self._free)

    def _spool(self) -> Spool:
        return Spool(self._store.directory, self._tick)

    def _at_work(self, names: List[str]) -> None:
        self._at, self._told = names, time.monotonic()
        self._tell({"at": names})

    def _tick(self) -> None:
        if time.monotonic() - self._told > TICK_SECONDS:
            self._at_work(self._at)

    def _new_pickler(self, file: Any) -> Any:
        main = self._given.namespace
        return self._pickler.Pickler(file, self._rebuild, self._text, main, self._owners, self._texts)

    # -- pass B, and to disk -------------------------------------------------------------------------------------------

    def _store_groups(self, groups: List[List[str]], singles: Dict[str, Single]) -> List[Dict[str, Any]]:
        room, stored = self._given.stored_bytes, []
        todo = sorted(groups, key=lambda names: sum(singles[name].bytes for name in names), reverse=True)
        while todo:
            names = todo.pop()
            self._at_work(names)
            group, reason = None, self._no_room()
            if not reason:
                try:
                    pickled = self._pickled(names, singles)
                except Exception:  # each of them could be; together they cannot
                    todo += [[name] for name in names]
                    continue
                size = pickled.file.tell() + sum(buffer.nbytes for buffer in pickled.buffers)
                if size <= room:
                    group = self._stored(names, pickled)
                    room -= size
                else:
                    reason = "%d MB are more than the %d MB left for variables" % (size >> 20, room >> 20)
                pickled.file.close()
            if group is not None:
                stored.append(group)
                continue
            for name in names:
                self._variables[name].update(status="lost", reason=reason)
        return stored

    def _pickled(self, names: List[str], singles: Dict[str, Single]) -> Single:
        if len(names) == 1:
            return singles[names[0]]
        file = self._spool()
        pickler = self._new_pickler(file)
        pickler.dump({name: self._given.namespace[name] for name in names})
        return Single("", pickler, file)

    def _stored(self, names: List[str], pickled: Single) -> Dict[str, Any]:
        before = self._given.before.get("\0".join(names)) or {"stream": None, "buffers": []}
        stream = self._store.put_file(pickled.file, before["stream"])
        buffers = []
        for number, buffer in enumerate(pickled.buffers):
            hint = before["buffers"][number] if number < len(before["buffers"]) else None
            buffers.append(self._store.put(buffer, hint))
        key = key_from(stream["chunks"], [buffer.nbytes for buffer in pickled.buffers])
        described = {"names": names, "key": key, "stream": stream, "buffers": buffers, "code": pickled.has_code}
        return dict(described, single=len(names) == 1)


def key_of(file: Any, buffers: List[Any]) -> str:
    """What decides whether it loads: the pickle, and the sizes of its buffers."""
    position = file.tell()
    file.seek(0)
    chunks = []
    while True:
        part = file.read(4 << 20)
        if not part:
            break
        chunks.append(hashlib.sha256(part).hexdigest()[:40])
    file.seek(position)
    return key_from(chunks, [buffer.nbytes for buffer in buffers])


def key_from(chunks: List[str], sizes: List[int]) -> str:
    return hashlib.sha256(json.dumps([chunks, sizes]).encode()).hexdigest()[:40]


def become(given: Given, load: Callable[[str], Any], store: Any, writing: int) -> None:
    """In the child; does not return."""
    import gc
    import resource

    code = 1
    try:
        gc.disable()
        if given.main_thread:  # the stack of another thread has its size already
            hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
            wanted = 512 << 20
            resource.setrlimit(resource.RLIMIT_STACK, (wanted if hard < 0 else min(wanted, hard), hard))
        sys.setrecursionlimit(60_000 if given.main_thread else 6_000)
        with os.fdopen(writing, "w", buffering=1) as out:
            try:
                done = Worker(given, load, store, lambda said: out.write(json.dumps(said) + "\n")).run()
                done["new_bytes"] = store.new_bytes
            except Exception as exc:  # the disk is full, the image has no cloudpickle
                done = {"error": "%s: %s" % (type(exc).__name__, exc)}
            out.write(json.dumps(done) + "\n")
        code = 0
    except BaseException:
        pass
    finally:
        os._exit(code)
