"""Hardened, durable container workspaces for Jupyter kernels."""

from __future__ import annotations

__version__ = "0.1.0"


def _jupyter_server_extension_points() -> list[dict[str, object]]:
    """Called by Jupyter Server: where the extension is."""
    from .server.extension import SylaExtension

    return [{"module": "syla_jupyter", "app": SylaExtension}]
