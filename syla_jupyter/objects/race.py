"""Whether a store keeps `if_absent`, found out by trying: some ignore it, some keep it except in a race."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

RACERS = 4


def one_wins(try_put: Callable[[str, bytes], bool], delete: Callable[[str], None]) -> bool:
    """`try_put` says whether its object is the one that was made. Raises what it raises: then nothing is known."""
    key = f"probe/{secrets.token_hex(16)}"
    try:
        with ThreadPoolExecutor(RACERS, "syla-probe") as pool:
            won = list(pool.map(lambda racer: try_put(key, b"%d" % racer), range(RACERS)))
        return won.count(True) == 1 and not try_put(key, b"late")
    finally:
        delete(key)
