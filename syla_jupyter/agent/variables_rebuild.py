"""What saved variables are put together from again: pickles name these functions, as `_syla_variables_rebuild.<name>`.

A name that was ever written stays, with its arguments: a pickle of an old release is read by every later one.
Standard library and, where an array is rebuilt, the numpy that made it.
"""

from __future__ import annotations

import functools
import importlib
import pickle
import sys
import threading
import types
import weakref
from typing import Any, Dict, List, Optional, Tuple


class NotSaved(RuntimeError):
    """Something that could not be saved with its variable is used."""


class Missing:
    """Stands where a part of a variable was that could not be saved; whatever it is used for fails and says why."""

    def __init__(self, kind: str, reason: str) -> None:
        self.__dict__.update(_syla_kind=kind, _syla_reason=reason)

    def __repr__(self) -> str:
        return "<not saved: %s (%s)>" % (self.__dict__["_syla_kind"], self.__dict__["_syla_reason"])

    def _syla_fail(self, *_args: object, **_named: object) -> Any:
        raise NotSaved("%r was not saved: %s" % (self.__dict__["_syla_kind"], self.__dict__["_syla_reason"]))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # copy, pickle and IPython ask for some
        return self._syla_fail()

    __call__ = __iter__ = __next__ = __len__ = __getitem__ = __setitem__ = __enter__ = __bool__ = _syla_fail


def missing(kind: str, reason: str) -> Missing:
    return Missing(kind, reason)


def main_dict() -> Dict[str, Any]:
    return sys.modules["__main__"].__dict__


def shell() -> Any:
    return importlib.import_module("IPython").get_ipython()


# -- functions and closures -----------------------------------------------------------------------------------------


def make_function(code: types.CodeType, name: str, closure: Optional[Tuple[Any, ...]]) -> types.FunctionType:
    """A function of `__main__`, on the variables there are now and will be."""
    return types.FunctionType(code, main_dict(), name, None, closure)


def set_function(function: types.FunctionType, state: Dict[str, Any]) -> None:
    for name, value in state["attributes"].items():
        try:
            setattr(function, name, value)
        except (AttributeError, TypeError):
            pass  # of another Python
    function.__dict__.update(state["dict"])
    for cell, content in state["cells"]:
        cell.cell_contents = content


def make_cell() -> types.CellType:
    return types.CellType()


def set_cell(cell: types.CellType, content: Any) -> None:
    cell.cell_contents = content


def cached(function: Any, maxsize: Optional[int], typed: bool) -> Any:
    return functools.lru_cache(maxsize, typed)(function)


# -- arrays that share memory ---------------------------------------------------------------------------------------


def view(owner: Any, dtype: Any, shape: Any, strides: Any, offset: int, writeable: bool) -> Any:
    """An array on the memory of another."""
    numpy = importlib.import_module("numpy")
    memory = owner if owner.flags.c_contiguous else owner.T
    made = numpy.ndarray(shape, dtype, memory, offset, strides)
    if not writeable:
        made.flags.writeable = False
    return made


def texts(payload: Any, shape: Any) -> Any:
    """An array of texts, equal ones the same object."""
    table: Dict[str, str] = {}
    return _filled([table.setdefault(text, text) for text in str(payload, "utf-8", "surrogatepass").split("\0")], shape)


def atoms(payload: Any, shape: Any) -> Any:
    """An array of texts, numbers and None."""
    return _filled(pickle.loads(payload), shape)


def _filled(values: List[Any], shape: Any) -> Any:
    made = importlib.import_module("numpy").empty(len(values), dtype=object)
    made[:] = values
    return made.reshape(shape)


def memory(owner: Any, readonly: bool) -> memoryview:
    made = memoryview(owner)
    return made.toreadonly() if readonly else made


# -- things that are made anew --------------------------------------------------------------------------------------


def lock() -> Any:
    return threading.Lock()


def rlock() -> Any:
    return threading.RLock()


def weak(target: Any) -> Any:
    return weakref.ref(target)


class _Gone:
    pass


def weak_dead() -> Any:
    return weakref.ref(_Gone())


def weak_values(items: Dict[Any, Any]) -> Any:
    return weakref.WeakValueDictionary(items)


def weak_keys(items: List[Tuple[Any, Any]]) -> Any:
    return weakref.WeakKeyDictionary(dict(items))


def exception(kind: Any, args: Tuple[Any, ...], state: Dict[str, Any]) -> BaseException:
    """Without its `__init__`, which may want other arguments."""
    made: BaseException = kind.__new__(kind, *args)
    made.args = args
    made.__dict__.update(state)
    return made


def open_file(name: str, mode: str, encoding: Optional[str], errors: Optional[str], position: int) -> Any:
    file = open(name, mode, encoding=encoding, errors=errors)
    file.seek(position)
    return file


def sqlite_memory(content: Any, script: str) -> Any:
    sqlite3 = importlib.import_module("sqlite3")
    connection = sqlite3.connect(":memory:")
    if content is not None:
        connection.deserialize(bytes(content))
    else:
        connection.executescript(script)
    return connection


def sqlite_file(name: str) -> Any:
    return importlib.import_module("sqlite3").connect(name)
