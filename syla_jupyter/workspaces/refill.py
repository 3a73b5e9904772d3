"""Asking for a refill of the pool: by a process of low priority that outlives who asked, and ends by itself."""

from __future__ import annotations

import atexit
import contextlib
import subprocess
import sys
import threading
from collections.abc import Mapping

from ..model.settings import Settings


def refill_arguments(settings: Settings) -> list[str]:
    """Of `syla pool fill`, which reads no configuration file: all that decides what a ready container is and where."""
    pool = settings.pool
    return [
        f"--size={pool.size}",
        f"--ttl-seconds={pool.ttl_seconds}",
        f"--memory-cap-bytes={pool.memory_cap_bytes}",
        f"--spares={settings.spares}",
        f"--run-dir={settings.run_dir}",
        *(f"--egress-allowed={network}" for network in settings.egress_allowed),
    ]


class Refiller:
    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._environ = {**environ, "SYLA_HOME": str(settings.data_dir)}
        self._arguments = refill_arguments(settings)
        self._enabled = settings.pool.size > 0
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        atexit.register(self._now)

    def soon(self) -> None:
        """Shortly after the kernel that somebody waits for, and at the latest when this process ends."""
        with self._lock:
            if self._enabled and self._timer is None:
                self._timer = threading.Timer(0.5, self._now)
                self._timer.daemon, self._timer.name = True, "syla-refill"
                self._timer.start()

    def _now(self) -> None:
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is None:
            return
        timer.cancel()
        with contextlib.suppress(OSError):  # too many processes, say: the next start asks again
            subprocess.Popen(
                [sys.executable, "-m", "syla_jupyter.cli.main", "pool", "fill", *self._arguments],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            ).returncode = 0  # not ours to wait for; keeps the destructor quiet
