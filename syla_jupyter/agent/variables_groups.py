"""Which variables share objects: those are saved together, so that they share them again.

A pickler's memo lists every object it has met. Two variables whose memos have an object in common that can change, or
whose identity counts, belong to one group. Text, numbers, dates, types of numbers, modules, and classes and functions
that are saved by name alone do not bind.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import pathlib
import re
import types
import uuid
from typing import Any, Callable, Dict, Iterable, List, Sequence, Tuple

_ATOMS = {
    type(None), type(Ellipsis), type(NotImplemented), bool, int, float, complex, str, bytes,
    tuple, frozenset, range, slice, types.ModuleType, types.BuiltinFunctionType, types.CodeType,
    types.MethodDescriptorType, types.WrapperDescriptorType,
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone,
    decimal.Decimal, fractions.Fraction, uuid.UUID, re.Pattern, pathlib.PosixPath, pathlib.PurePosixPath,
}  # fmt: skip
_ATOM_BASES = ("numpy.dtype", "numpy.generic", "pandas.ExtensionDtype", "datetime.tzinfo")


class Sharing:
    """Variables by number; `names` afterwards in groups."""

    def __init__(self, by_reference: Callable[[Any], bool], ignored: Iterable[Any]) -> None:
        self._by_reference = by_reference
        self._atoms: Dict[type, bool] = dict.fromkeys(_ATOMS, True)
        self._ignored = {id(obj) for obj in ignored}
        self._first: Dict[int, int] = {}
        self._kept: List[Any] = []  # an id is only an object's while it lives
        self._parent: List[int] = []

    def add(self, memo: Iterable[Tuple[int, Any]]) -> int:
        """One more variable, whose pickler met the objects of `memo`; its number."""
        number = len(self._parent)
        self._parent.append(number)
        atoms, first, ignored = self._atoms, self._first, self._ignored
        for _, obj in memo:
            kind = type(obj)
            atom = atoms.get(kind)
            if atom is None:
                atom = atoms[kind] = _is_atom(kind)
            if atom or id(obj) in ignored:
                continue
            if isinstance(obj, (type, types.FunctionType)) and self._by_reference(obj):
                continue
            known = first.get(id(obj))
            if known is None:
                first[id(obj)] = number
                self._kept.append(obj)
            else:
                self._join(known, number)
        return number

    def same(self, one: int, other: int) -> None:
        """They are bound to one object."""
        self._join(one, other)

    def groups(self, names: Sequence[str]) -> List[List[str]]:
        """`names` by number; each group in their order, groups in the order of their first."""
        found: Dict[int, List[str]] = {}
        for number, name in enumerate(names):
            found.setdefault(self._root(number), []).append(name)
        return list(found.values())

    def _root(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def _join(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        self._parent[high] = low


def _is_atom(kind: type) -> bool:
    names = {"%s.%s" % (str(base.__module__).partition(".")[0], base.__name__) for base in kind.__mro__}
    return any(name in names for name in _ATOM_BASES)


def memory_owners(values: Iterable[Any], ndarray: type, owner_of: Callable[[Any], Any]) -> frozenset:  # type: ignore[type-arg]
    """Ids of the arrays to which variables are bound, or on whose memory two of them overlap."""
    owners = set()
    views: Dict[int, List[Tuple[int, int]]] = {}
    for value in values:
        if type(value) is not ndarray:
            continue
        array: Any = value
        owner = owner_of(array)
        if owner is None:
            owners.add(id(array))
            continue
        start = array.__array_interface__["data"][0]
        spans = views.setdefault(id(owner), [])
        reach = sum(abs((array.shape[n] - 1) * array.strides[n]) for n in range(array.ndim)) + array.itemsize
        if any(start < other_end and other < start + reach for other, other_end in spans):
            owners.add(id(owner))
        spans.append((start, start + reach))
    return frozenset(owners)
