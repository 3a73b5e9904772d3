"""How many versions of a workspace are kept, by age: counts of the newest, and of the newest of each period."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

COUNT_MAX = 100_000


@dataclass(frozen=True)
class Retention:
    """Each number says of how many periods that have a version the newest one is kept; 0: none for that reason."""

    last: int = 10
    hourly: int = 24
    daily: int = 7
    weekly: int = 5
    monthly: int = 12

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not 0 <= getattr(self, field.name) <= COUNT_MAX:
                raise ValueError(f"{field.name} must be 0 or more, not {getattr(self, field.name)}")
