"""The client's side of one connection, with all its sessions (spec/wire-protocol.md §6.1 to §6.3).

The object lives as long as there is an endpoint to talk to, across any number of WebSockets: ``connected`` and
``disconnected`` say when there is one.
"""

from __future__ import annotations

from random import Random

from syncline.protocol.client_session import ClientSession, SessionConfig
from syncline.protocol.events import ClientEvent
from syncline.protocol.messages import ServerMessage
from syncline.protocol.settings import ClientSettings, SyncMode

__all__ = ["ClientConnection"]


class ClientConnection:
    """State machine of one connection; does no I/O and reads no clock.

    The driver's loop: ``receive`` each WebSocket message, handle ``events``, write ``next_message`` while the socket
    can take more, call ``tick`` at ``next_timer``. All times are milliseconds of one monotonic clock.

    Args:
        mode: what the connection carries; all sessions share it.
        random: source of jitter and of the time of the first ping.
        settings: delays and limits.
    """

    def __init__(self, mode: SyncMode, random: Random, settings: ClientSettings = ClientSettings()) -> None:
        self.mode = mode
        self.settings = settings
        #: Negotiated protocol version; 0 while disconnected.
        self.version = 0
        #: After :meth:`reconnect_now`: the next disconnection resets the reconnect back-off (spec/wire-protocol.md §9.1).
        self.backoff_reset_due = False

    @property
    def is_connected(self) -> bool:
        """Whether there is a WebSocket."""
        return self.version != 0

    @property
    def wants_connection(self) -> bool:
        """Whether a session exists that is active and not suspended: connect when the reconnect delay is over."""
        return False

    def bind(self, session_ident: int, config: SessionConfig) -> ClientSession:
        """Start a session. ``session_ident`` comes from one counter per process, from 1; never use one twice.

        Raises:
            ValueError: the ident is in use or not positive.
        """
        return ClientSession(session_ident, config)

    def connected(self, version: int, now: int) -> None:
        """A WebSocket is open and ``version`` was negotiated: every session binds, in order of ident."""

    def disconnected(self, now: int) -> None:
        """The WebSocket is gone, whoever ended it."""

    def decode(self, data: bytes) -> ServerMessage:
        """The message in one WebSocket message. Pure: large ones may be decoded in another thread.

        Raises:
            ProtocolViolationError: hand it to :meth:`reject`.
        """
        raise AssertionError(data)

    def receive(self, data: bytes, now: int) -> None:
        """Take one binary WebSocket message. Never raises: a violation becomes :class:`DisconnectWanted`."""

    def next_message(self, now: int) -> bytes | None:
        """The next WebSocket message to write, or None; sessions take turns (spec/wire-protocol.md §6.5)."""
        return None

    def events(self) -> list[ClientEvent]:
        """What happened since the last call, in order."""
        return []

    def next_timer(self) -> int | None:
        """When to call :meth:`tick` (same clock); None while no timer runs."""
        return None

    def tick(self, now: int) -> None:
        """Time has passed: pings, missing pongs, resumption and linger are due."""

    def reconnect_now(self, now: int) -> None:
        """The application wants contact at once: resume suspended sessions, check the connection by an urgent ping.

        If no PONG arrives before the connection ends, ``backoff_reset_due`` is set then.
        """
