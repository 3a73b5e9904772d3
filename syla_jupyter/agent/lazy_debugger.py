"""A stand-in for `ipykernel.debugger` until somebody debugs.

The real module imports debugpy: a quarter of a cold start, for something most kernels never use. The stand-in is
put in place for the first kernel of a cold container only; the zygote imports the real one right after. It says that
debugging is available when debugpy is installed, and becomes the real debugger at the first debug request. Everything
here happens on the kernel's control thread, as it does with the real one.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

NAME = "ipykernel.debugger"


class Debugger:
    """Same construction as `ipykernel.debugger.Debugger`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._arguments = (args, kwargs)
        self._real: Any = None
        self._made: Any = None

    async def handle_stopped_event(self) -> None:
        if self._real is None:
            import asyncio

            self._made = asyncio.Event()
            await self._made.wait()
        await self._real.handle_stopped_event()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._real is None:
            args, kwargs = self._arguments
            self._real = real_module().Debugger(*args, **kwargs)
            if self._made is not None:
                self._made.set()
        return getattr(self._real, name)


def real_module() -> Any:
    """`ipykernel.debugger` itself, in the place of the stand-in."""
    if isinstance(sys.modules.get(NAME), StandIn):
        del sys.modules[NAME]
    return importlib.import_module(NAME)


class StandIn(types.ModuleType):
    pass


def put_in_place() -> None:
    """Nothing to do when the real one has been imported."""
    if NAME in sys.modules:
        return
    module = StandIn(NAME)
    module._is_debugpy_available = importlib.util.find_spec("debugpy") is not None  # type: ignore[attr-defined]
    module.Debugger = Debugger  # type: ignore[attr-defined]
    sys.modules[NAME] = module
