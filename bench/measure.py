"""The tools a row gets: how many samples, the interleaving, and the conditions before each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from syla_jupyter.app import Application

from .calm import Calm

FULL, QUICK = 20, 5


@dataclass
class Bench:
    quick: bool
    lab: Path
    tag: str
    application: Application
    """Of the row's process; a server started by the row has its own."""
    calm: Calm

    @property
    def n(self) -> int:
        return QUICK if self.quick else FULL


Sample = Callable[[], Awaitable[float]]


async def interleave(variants: Mapping[str, Sample], n: int, *, warm_up: bool = True) -> dict[str, list[float]]:
    """`n` samples of each, in turns; who begins changes with every turn. Before them one of each, not counted."""
    samples: dict[str, list[float]] = {name: [] for name in variants}
    names = list(variants)
    if warm_up:
        for name in names:
            await variants[name]()
    for turn in range(n):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(await variants[name]())
    return samples
