"""Delays of the sync client that an application may change (spec/sessions.md §7.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from syncline.protocol.settings import ClientSettings

__all__ = ["SyncTimeoutOptions"]

_ABOVE: Final = {
    "connect_timeout": 999,
    "connection_linger_time": 0,
    "ping_keepalive_period": 5_000,
    "pong_keepalive_timeout": 5_000,
    "fast_reconnect_limit": 1_000,
}
"""A value counts only if it is greater than this."""


@dataclass
class SyncTimeoutOptions:
    """Milliseconds. A value out of range is ignored and the default kept (:meth:`effective`).

    ``connect_timeout``: DNS, TCP, TLS and WebSocket handshake. ``connection_linger_time``: how long a connection
    without sessions stays open. ``ping_keepalive_period``: between two pings.
    ``pong_keepalive_timeout``: without an answer the connection is dead. ``fast_reconnect_limit``: within it, uploads
    go on at once after a reconnect.
    """

    connect_timeout: int = 120_000
    connection_linger_time: int = 30_000
    ping_keepalive_period: int = 60_000
    pong_keepalive_timeout: int = 120_000
    fast_reconnect_limit: int = 60_000

    def effective(self) -> SyncTimeoutOptions:
        """The options with every value that is out of range replaced by its default."""
        defaults = SyncTimeoutOptions()
        return SyncTimeoutOptions(
            **{
                name: value if (value := getattr(self, name)) > bound else getattr(defaults, name)
                for name, bound in _ABOVE.items()
            }
        )

    def settings(self) -> ClientSettings:
        """What the protocol machines need of it."""
        options = self.effective()
        return ClientSettings(
            fast_reconnect_limit_ms=options.fast_reconnect_limit,
            ping_period_ms=options.ping_keepalive_period,
            pong_timeout_ms=options.pong_keepalive_timeout,
            linger_ms=options.connection_linger_time,
        )
