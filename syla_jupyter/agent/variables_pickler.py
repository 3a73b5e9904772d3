"""The pickler of variables: cloudpickle's, with what a notebook's variables need on top.

Runs in a forked child of the kernel, never in the kernel itself. On top of cloudpickle:

    functions of `__main__`   are rebuilt on the live variables, not on a copy of those they name; closure cells stay
                              shared between the functions that share them
    arrays                    that are views stay views where their memory is another variable's, or mostly used
    classes of `__main__`     have the same id in every save of one kernel, so that what did not change is not new
    recipes                   for what only can be made anew (locks, caches, a read file, a database in memory): a note
    everything else           that refuses to be pickled leaves a placeholder that names it, and the rest is kept

`missing` and `notes` say what happened, a line each.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import threading
import types
import weakref
from typing import Any, Callable, Dict, FrozenSet, List, Optional, Set, Tuple

cloudpickle: Any = importlib.import_module("cloudpickle")
inner: Any = importlib.import_module("cloudpickle.cloudpickle")
IN_BAND_BYTES = 64 * 1024
"""Smaller buffers stay within the pickle."""
ATOMS_MIN = 1000
_PLAIN = {str, bytes, int, float, bool, type(None)}
_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())
_ATTRIBUTES = ("__defaults__", "__kwdefaults__", "__annotations__", "__doc__", "__module__", "__qualname__")


def keep_class_ids(token: str) -> None:
    """Classes are told apart by an id that cloudpickle draws at random; here by their place in this kernel."""

    def stable(kind: Any) -> str:
        with inner._DYNAMIC_CLASS_TRACKER_LOCK:
            known = inner._DYNAMIC_CLASS_TRACKER_BY_CLASS.get(kind)
            if known is None:
                known = "%s-%x" % (token, id(kind))
                inner._DYNAMIC_CLASS_TRACKER_BY_CLASS[kind] = known
                inner._DYNAMIC_CLASS_TRACKER_BY_ID[known] = kind
        return str(known)

    if hasattr(inner, "_get_or_create_tracker_id") and hasattr(inner, "_DYNAMIC_CLASS_TRACKER_LOCK"):
        inner._get_or_create_tracker_id = stable


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(
        self, file: Any, rebuild: Any, text: Any, main: Dict[str, Any], owners: FrozenSet[int], known: Dict[int, Any]
    ) -> None:
        """
        Parameters
        ----------
        rebuild, text : the modules `variables_rebuild` and `variables_text`.
        main : the namespace of the variables; functions with these globals are rebuilt on the one of the reader.
        owners : ids of the arrays whose memory is to be shared, however small a view of it is.
        known : arrays of texts that were pickled before, by id.
        """
        super().__init__(file, protocol=5, buffer_callback=self._buffer)
        self._rebuild, self._text, self._main, self._owners = rebuild, text, main, owners
        self._known = known
        self._cells: Set[int] = set()
        self.buffers: List[Any] = []
        self.missing: List[str] = []
        self.missing_ids: Set[int] = set()
        self.notes: List[str] = []
        self.has_code = False
        """It holds bytecode, which another version of Python cannot run."""

    def _buffer(self, buffer: Any) -> bool:
        """False: it is kept beside the pickle."""
        raw = buffer.raw()
        if raw.nbytes < IN_BAND_BYTES:
            return True
        self.buffers.append(raw)
        return False

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        recipe = _RECIPES.get(kind)
        if recipe is not None:
            try:
                made = recipe(self, obj)
            except Exception as exc:
                return self.leave_out(obj, self._text.type_name(obj), self._text.short(exc))
            if made is not None:
                return made
        if kind is types.FunctionType:
            return self._function(obj)
        if kind.__name__ == "ndarray" and kind is getattr(sys.modules.get("numpy"), "ndarray", None):
            made = self._view(obj) or self._atoms(obj)
            if made is not None:
                return made
        if issubclass(kind, type):
            made = super().reducer_override(obj)
            self.has_code = self.has_code or made is not NotImplemented
            return made
        if issubclass(kind, BaseException) and kind.__reduce__ is BaseException.__reduce__:
            return self._rebuild.exception, (kind, obj.args, dict(obj.__dict__))
        try:  # what pickle itself would do now, where an error can still be turned into a placeholder
            reduce = self.dispatch_table.get(kind)
            return reduce(obj) if reduce is not None else obj.__reduce_ex__(5)
        except Exception as exc:
            return self.leave_out(obj, self._text.type_name(obj), self._text.short(exc))

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def leave_out(self, obj: Any, kind: str, reason: str) -> Tuple[Any, ...]:
        self.missing.append("%s: %s" % (kind, reason))
        self.missing_ids.add(id(obj))
        return self._rebuild.missing, (kind, reason)

    def _function(self, function: types.FunctionType) -> Any:
        if function.__globals__ is not self._main:
            made = super().reducer_override(function)
            self.has_code = self.has_code or made is not NotImplemented
            return made
        self.has_code = True
        cells = function.__closure__ or ()
        self._cells.update(map(id, cells))
        contents = []
        for cell in cells:
            try:
                contents.append((cell, cell.cell_contents))
            except ValueError:
                pass  # still empty
        attributes = {}
        for name in _ATTRIBUTES:
            try:
                attributes[name] = getattr(function, name)
            except Exception:
                pass  # annotations that are evaluated when asked for, and cannot be
        state = {"attributes": attributes, "dict": dict(function.__dict__), "cells": contents}
        arguments = (function.__code__, function.__name__, function.__closure__)
        return self._rebuild.make_function, arguments, state, None, None, self._rebuild.set_function

    def _atoms(self, array: Any) -> Any:
        """An array of texts, or texts and numbers: as one buffer, whose parts nobody has to look through."""
        if array.dtype != object or array.size < ATOMS_MIN:
            return None
        if id(array) not in self._known:
            flat = array.reshape(-1).tolist()
            kinds = set(map(type, flat))
            joined = "\0".join(flat) if kinds == {str} else ""
            if joined.count("\0") == len(flat) - 1:
                made = self._rebuild.texts, joined.encode("utf-8", "surrogatepass")
            elif kinds <= _PLAIN:
                made = self._rebuild.atoms, pickle.dumps(flat, 5)
            else:
                return None
            self._known[id(array)] = array, made
        rebuild, payload = self._known[id(array)][1]
        return rebuild, (pickle.PickleBuffer(payload), array.shape)

    def _view(self, array: Any) -> Any:
        owner = owner_of(array)
        if owner is None or not (id(owner) in self._owners or 2 * array.nbytes >= owner.nbytes):
            return None
        if owner.dtype.hasobject or array.dtype.hasobject or not (owner.flags.c_contiguous or owner.flags.f_contiguous):
            return None
        offset = array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
        low, high = extent(array)
        if offset + low < 0 or offset + high > owner.nbytes:
            return None  # made by hand, beyond its owner
        arguments = (owner, array.dtype, array.shape, array.strides, offset, array.flags.writeable)
        return self._rebuild.view, arguments


def owner_of(array: Any) -> Any:
    """The array at the bottom of those it is a view of; None when its memory is its own."""
    owner, base = None, array.base
    while type(base) is type(array):
        owner, base = base, base.base
    return owner


def extent(array: Any) -> Tuple[int, int]:
    """Bytes before and after the first element that an array reaches."""
    if not array.size:
        return 0, 0
    steps = [(array.shape[axis] - 1) * array.strides[axis] for axis in range(array.ndim)]
    return sum(s for s in steps if s < 0), sum(s for s in steps if s > 0) + array.itemsize


# -- recipes: for a type exactly; None: as pickle does ----------------------------------------------------------------


def _cell(pickler: Pickler, cell: Any) -> Any:
    if id(cell) in pickler._cells:  # of a function, which brings its content
        return pickler._rebuild.make_cell, ()
    try:
        content = cell.cell_contents
    except ValueError:
        return pickler._rebuild.make_cell, ()
    return pickler._rebuild.make_cell, (), content, None, None, pickler._rebuild.set_cell


def _cached(pickler: Pickler, function: Any) -> Any:
    if getattr(function.__wrapped__, "__globals__", None) is not pickler._main:
        return None
    how = function.cache_parameters()
    pickler.note("its cache is empty")
    state = {
        name: value for name, value in function.__dict__.items() if name not in ("__wrapped__", "cache_parameters")
    }
    return pickler._rebuild.cached, (function.__wrapped__, how["maxsize"], how["typed"]), state


def _lock(pickler: Pickler, lock: Any) -> Any:
    pickler.note("a lock is made anew, free")
    return (pickler._rebuild.rlock if type(lock) is _RLOCK else pickler._rebuild.lock), ()


def _weak(pickler: Pickler, reference: Any) -> Any:
    target = reference()
    return (pickler._rebuild.weak_dead, ()) if target is None else (pickler._rebuild.weak, (target,))


def _weak_values(pickler: Pickler, items: Any) -> Any:
    return pickler._rebuild.weak_values, (dict(items),)


def _weak_keys(pickler: Pickler, items: Any) -> Any:
    return pickler._rebuild.weak_keys, (list(items.items()),)


def _file(pickler: Pickler, file: Any) -> Any:
    """One that is read, by its name and position."""
    mode = file.mode
    name = file.name
    if file.closed or not isinstance(name, str) or any(letter in mode for letter in "wax+"):
        raise TypeError("only a file open for reading can be opened again")
    position = file.tell()
    pickler.note("the file %s is opened again at its position" % name[:200])
    text = (file.encoding, file.errors) if hasattr(file, "encoding") else (None, None)
    return pickler._rebuild.open_file, (name, mode, text[0], text[1], position)


def _memory(pickler: Pickler, memory: memoryview) -> Any:
    owner = memory.obj
    whole = memoryview(owner)
    if memory.format == whole.format and memory.shape == whole.shape and memory.strides == whole.strides:
        return pickler._rebuild.memory, (owner, memory.readonly)
    pickler.note("a memoryview of a part became one of a copy")
    return pickler._rebuild.memory, (memory.tobytes(), True)


def _sqlite(pickler: Pickler, connection: Any) -> Any:
    files = {row[1]: row[2] for row in connection.execute("PRAGMA database_list")}
    if os.path.isabs(files.get("main") or ""):  # SQLite calls one that was read from memory "x"
        pickler.note("the database %s is opened again" % files["main"][:200])
        return pickler._rebuild.sqlite_file, (files["main"],)
    pickler.note("the database in memory is a new one with the same content, functions of its own are not in it")
    if hasattr(connection, "serialize"):
        return pickler._rebuild.sqlite_memory, (connection.serialize(), "")
    return pickler._rebuild.sqlite_memory, (None, "\n".join(connection.iterdump()))


def _missing(pickler: Pickler, placeholder: Any) -> Any:
    known = placeholder.__dict__
    return pickler.leave_out(placeholder, known["_syla_kind"], known["_syla_reason"])


Recipe = Callable[[Pickler, Any], Optional[Tuple[Any, ...]]]
_RECIPES: Dict[type, Recipe] = {}


def learn_recipes(rebuild: Any) -> None:
    """By the exact types there are; call once before pickling."""
    import functools
    import io

    _RECIPES.update(
        {
            types.CellType: _cell,
            functools._lru_cache_wrapper: _cached,
            _LOCK: _lock,
            _RLOCK: _lock,
            weakref.ref: _weak,
            weakref.WeakValueDictionary: _weak_values,
            weakref.WeakKeyDictionary: _weak_keys,
            io.TextIOWrapper: _file,
            io.BufferedReader: _file,
            memoryview: _memory,
            rebuild.Missing: _missing,
        }
    )
    if "sqlite3" in sys.modules:
        _RECIPES[sys.modules["sqlite3"].Connection] = _sqlite
    if shell() is not None:
        _RECIPES[type(shell())] = lambda p, obj: (p._rebuild.shell, ())


def shell() -> Any:
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()


def by_reference(obj: Any) -> bool:
    """Of a class or function: whether its name alone is saved."""
    try:
        return bool(inner._should_pickle_by_reference(obj))
    except Exception:
        return False
