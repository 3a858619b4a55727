"""How often something may be done: token buckets, and waits after failed logins (spec/http-api.md §10.8).

All in memory and bounded: the least recently used entry goes when there are too many. Time is passed in by the clock.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

__all__ = ["FailureDelays", "RateLimit", "client_address"]

_MAX_ENTRIES: Final = 100_000
#: Longest wait after failed logins, and after which time without failures they are forgotten.
_MAX_DELAY: Final = 15 * 60.0


class RateLimit:
    """Token buckets by key: ``count`` per ``seconds``, ``burst`` at once."""

    def __init__(
        self, count: int, seconds: float, burst: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = count / seconds
        self._burst = float(count if burst is None else burst)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one; 0.0 if there was one, otherwise the seconds until there is."""
        now = self._clock()
        with self._lock:
            left, since = self._buckets.get(key, (self._burst, now))
            left = min(self._burst, left + (now - since) * self._rate)
            wait = 0.0 if left >= 1 else (1 - left) / self._rate
            self._buckets[key] = (left - 1 if left >= 1 else left, now)
            self._buckets.move_to_end(key)
            if len(self._buckets) > _MAX_ENTRIES:
                self._buckets.popitem(last=False)
        return wait


class FailureDelays:
    """Waits that grow with failed logins of one name from one address; a success forgets them.

    Keyed by both, so that nobody can lock out somebody else; known and unknown names are treated alike.
    """

    def __init__(self, free_failures: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = free_failures
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def wait(self, name: str, address: str) -> float:
        """Seconds until the next try is looked at; 0.0 = now."""
        with self._lock:
            count, last = self._failures.get((name, address), (0, 0.0))
        over = count - self._free
        if over < 0:
            return 0.0
        delay = min(_MAX_DELAY, 2.0 ** min(over, 20))
        return max(0.0, last + delay - self._clock())

    def failed(self, name: str, address: str) -> None:
        now = self._clock()
        with self._lock:
            count, last = self._failures.pop((name, address), (0, now))
            if now - last > 2 * _MAX_DELAY:
                count = 0
            self._failures[name, address] = (count + 1, now)
            if len(self._failures) > _MAX_ENTRIES:
                self._failures.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        with self._lock:
            self._failures.pop((name, address), None)


def client_address(host: str | None, forwarded: str = "", proxies: int = 0) -> str:
    """The key under which an address is counted: IPv6 by its /64 network.

    ``host`` is the other end of the socket. Behind ``proxies`` trusted proxies it is the last of them; the client is
    then so many places from the end of ``forwarded`` (X-Forwarded-For), where the first of them wrote it. What stands
    before that the client may have invented.
    """
    chain = [part.strip() for part in forwarded.split(",") if part.strip()] if proxies else []
    if chain:
        host = chain[max(0, len(chain) - proxies)]
    if not host:
        return "unknown"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
