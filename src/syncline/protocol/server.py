"""The server's side of one WebSocket, with all its sessions (spec/wire-protocol.md §6.4, §6.5, §10)."""

from __future__ import annotations

from syncline.protocol.events import ServerEvent
from syncline.protocol.messages import ClientMessage
from syncline.protocol.settings import ServerSettings, SyncMode

__all__ = ["ServerConnection"]


class ServerConnection:
    """State machine of one accepted WebSocket; does no I/O and reads no clock.

    The driver's loop: ``receive`` each binary WebSocket message unless ``read_paused``, handle ``events``, write
    ``next_message`` while the socket can take more, call ``tick`` at ``next_timer``. Times are milliseconds of one
    monotonic clock.

    Args:
        version: the negotiated protocol version.
        mode: the negotiated mode.
        connection_id: 24 hex digits that name the connection in logs of both sides; sent from version 10 on.
        now: the present time.
        settings: limits and timeouts.
    """

    def __init__(
        self, version: int, mode: SyncMode, connection_id: str, now: int, settings: ServerSettings = ServerSettings()
    ) -> None:
        self.version = version
        self.mode = mode
        self.connection_id = connection_id
        self.settings = settings

    @property
    def read_paused(self) -> bool:
        """Whether the driver must stop reading the socket: too much waits for its answers."""
        return False

    def decode(self, data: bytes) -> ClientMessage:
        """The message in one WebSocket message. Pure: large ones may be decoded in another thread.

        Raises:
            ProtocolViolationError: hand it to :meth:`reject`.
        """
        raise AssertionError(data)

    def receive(self, data: bytes, now: int) -> None:
        """Take one binary WebSocket message. Never raises: whatever is wrong is answered with an error message."""

    def next_message(self) -> bytes | None:
        """The next WebSocket message to write, or None: PONG first, then sessions in turn, then log messages."""
        return None

    def events(self) -> list[ServerEvent]:
        """What happened since the last call, in order."""
        return []

    def next_timer(self) -> int | None:
        """When to call :meth:`tick` (same clock)."""
        return None

    def tick(self, now: int) -> None:
        """Time has passed: a silent connection is closed."""

    def fail(self, code: int, message: str = "", *, try_again: bool | None = None) -> None:
        """End the connection with a connection-level error; :class:`CloseWanted` follows once it was taken.

        Raises:
            ValueError: not a connection-level code, or one that kills clients (spec/wire-protocol.md §11.1).
        """

    def shut_down(self, message: str = "The server is shutting down") -> None:
        """The server stops: error 100 with *try again*, then :class:`CloseWanted` 1011."""

    def disconnected(self) -> None:
        """The socket is gone: every session ends (:class:`SessionEnded`)."""
