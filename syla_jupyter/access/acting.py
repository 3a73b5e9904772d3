"""Who is acting: set where somebody is let in, read where it is written down what was done.

It goes with a request through its tasks and threads (`contextvars`), so that not every verb has to carry it; nothing is
decided by it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

AND = "\n"
"""Between names, where several did it."""
_ACTOR: ContextVar[str] = ContextVar("syla_actor", default="")


def actor() -> str:
    """Empty: nobody in particular."""
    return _ACTOR.get()


def acts(name: str) -> None:
    """From here on in this context: of a request, say."""
    _ACTOR.set(name)


@contextlib.contextmanager
def acting(name: str) -> Iterator[None]:
    before = _ACTOR.set(name)
    try:
        yield
    finally:
        _ACTOR.reset(before)
