"""How often an address may be wrong: so many failures, then none is looked at until the oldest is a minute old.

Only what can be guessed is limited: a password, a token that a person made up. Tokens of ours are 256 random bits and
are looked up first, so nobody who has one is locked out by a neighbour. An IPv6 host has 2^64 addresses: they count as
one.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict, deque

from ..model.clock import Clock

FAILURES = 10
WINDOW_SECONDS = 60.0
ADDRESSES_MAX = 10_000


class Attempts:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_seconds(self, address: str) -> float:
        """How long until this address may try again; 0: now."""
        with self._lock:
            failures = self._failures.get(_host(address))
            if failures is None or len(failures) < FAILURES:
                return 0.0
            return max(0.0, failures[0] + WINDOW_SECONDS - self._clock.monotonic())

    def failed(self, address: str) -> None:
        host = _host(address)
        with self._lock:
            failures = self._failures.setdefault(host, deque(maxlen=FAILURES))
            failures.append(self._clock.monotonic())
            self._failures.move_to_end(host)
            if len(self._failures) > ADDRESSES_MAX:
                self._failures.popitem(last=False)


def _host(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
