"""Hardened, durable container workspaces for Jupyter kernels."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Syla
    from .api_async import AsyncSyla

__version__ = "0.1.0"
__all__ = ["AsyncSyla", "Syla", "__version__"]


def __getattr__(name: str) -> Any:
    """The Python API is imported when it is asked for: Jupyter imports this package at every start."""
    if name == "Syla":
        return importlib.import_module(".api", __name__).Syla
    if name == "AsyncSyla":
        return importlib.import_module(".api_async", __name__).AsyncSyla
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Called by JupyterLab's tools: where the built page part is, and its name."""
    return [{"src": "_labextension", "dest": "syla-jupyter"}]


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Called by Jupyter Server: where the extension is."""
    from .server.extension import SylaExtension

    return [{"module": "syla_jupyter", "app": SylaExtension}]
