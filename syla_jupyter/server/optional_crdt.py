"""pycrdt, which comes with jupyter-collaboration, and is asked for only where documents are shared."""

from __future__ import annotations

import functools
import importlib
from typing import Any


@functools.cache
def crdt() -> Any:
    return importlib.import_module("pycrdt")
