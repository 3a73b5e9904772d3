"""What a spare does when it is claimed, beside what its other threads do meanwhile."""

from __future__ import annotations

import sys
import threading
import types
from pathlib import Path

from syla_jupyter.agent.spare import shadowed


def test_who_imports_meanwhile_is_no_hindrance(tmp_path: Path) -> None:
    """All modules are looked at while other threads import: of thirty kernels that were started at once, one hung."""
    (tmp_path / "json").mkdir()
    stop = threading.Event()

    def import_on_and_on() -> None:
        while not stop.is_set():
            for number in range(50):
                sys.modules[f"made_up_{number}"] = types.ModuleType("made_up")
            for number in range(50):
                del sys.modules[f"made_up_{number}"]

    importer = threading.Thread(target=import_on_and_on)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    importer.start()
    try:
        assert all("json" in shadowed(str(tmp_path)) for _ in range(50))
    finally:
        stop.set()
        importer.join()
        sys.setswitchinterval(interval)
