"""The server's side of one WebSocket, with all its sessions (spec/wire-protocol.md §6.4, §6.5, §10).

It rests on an ordered, reliable transport, and on a driver that answers each question it raises (see
:mod:`syncline.protocol.events`), at any later time.
"""

from __future__ import annotations

from typing import Final

from syncline.errors import ProtocolViolationError
from syncline.protocol.errors import ERRORS, CloseCode, ErrorAction, ErrorCode
from syncline.protocol.events import CloseWanted, PingReceived, ServerEvent
from syncline.protocol.from_client import parse_client_message
from syncline.protocol.from_server import LOG_LEVELS, build_any_error, build_log_message, build_pong
from syncline.protocol.messages import Bind, ClientMessage, Error, Ping, TestCommand
from syncline.protocol.server_outbox import ServerOutbox
from syncline.protocol.server_session import ServerSession
from syncline.protocol.settings import ServerSettings, SyncMode

__all__ = ["ServerConnection"]

_DEFAULT_SETTINGS: Final = ServerSettings()


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
        self, version: int, mode: SyncMode, connection_id: str, now: int, settings: ServerSettings = _DEFAULT_SETTINGS
    ) -> None:
        self.version = version
        self.mode = mode
        self.connection_id = connection_id
        self.settings = settings
        self._outbox = ServerOutbox(version, mode, settings)
        self._sessions: dict[int, ServerSession] = {}
        self._pong: int | None = None
        self._last_received = now
        self._is_closing = False
        self._farewell: bytes | None = None
        self._close = CloseWanted(CloseCode.INTERNAL_ERROR, "")
        self._outbox.log("info", "Client connection established with server", 0, connection_id)

    # --- what the driver asks -----------------------------------------------------------------------------------------

    @property
    def read_paused(self) -> bool:
        """Whether the driver must stop reading the socket: too much waits for its answers."""
        return self._outbox.queues_full > 0 or self._outbox.queued_bytes > self.settings.queued_bytes

    @property
    def is_closing(self) -> bool:
        """Whether the connection has failed or shuts down: nothing more is read."""
        return self._is_closing

    def events(self) -> list[ServerEvent]:
        """What happened since the last call, in order."""
        self._check_violation()
        events = self._outbox.events
        self._outbox.events = []
        return events

    def next_timer(self) -> int | None:
        """When to call :meth:`tick` (same clock); None once the connection is closing."""
        return None if self._is_closing else self._last_received + self.settings.idle_timeout_ms

    # --- what the driver tells ----------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Time has passed: a silent connection is closed."""
        deadline = self.next_timer()
        if deadline is not None and now >= deadline:
            self._shut(None, CloseCode.INTERNAL_ERROR, "nothing was received for too long")

    def fail(self, code: int, message: str = "", *, try_again: bool | None = None) -> None:
        """End the connection with a connection-level error; :class:`CloseWanted` follows once it was taken.

        Raises:
            ValueError: not a connection-level code, or one that kills clients (spec/wire-protocol.md §11.1).
        """
        info = ERRORS.get(code)
        if info is None or info.is_session_level or not info.may_be_sent:
            raise ValueError(f"error code {code} must not be sent for a connection")
        again = info.try_again if try_again is None else try_again
        action = info.action
        if try_again is not None and try_again != info.try_again:
            action = ErrorAction.TRANSIENT if try_again else ErrorAction.APPLICATION_BUG
        error = Error(0, code, message or info.name, try_again=again, action=action)
        self._shut(build_any_error(error, self.version), CloseCode.INTERNAL_ERROR, error.message)

    def shut_down(self, message: str = "The server is shutting down") -> None:
        """The server stops: error 100 with *try again*, then :class:`CloseWanted` 1011."""
        self.fail(ErrorCode.CONNECTION_CLOSED, message)

    def close(self, code: int, message: str) -> None:
        """End the connection by a close code alone (spec/http-api.md §6.3): 4001 when its token has expired, ..."""
        self._shut(None, code, message)

    def log(self, level: str, message: str, session_ident: int = 0) -> None:
        """Say something in the client's log (version 10 and later).

        Raises:
            ValueError: a level that clients do not know.
        """
        if level not in LOG_LEVELS:
            raise ValueError(f"log level {level!r}; clients know {', '.join(sorted(LOG_LEVELS))}")
        self._outbox.log(level, message, session_ident)

    def disconnected(self) -> None:
        """The socket is gone: every session ends (:class:`SessionEnded`)."""
        self._is_closing = True
        self._farewell = None
        self._drop_sessions()

    # --- messages -----------------------------------------------------------------------------------------------------

    def decode(self, data: bytes) -> ClientMessage:
        """The message in one WebSocket message. Pure: large ones may be decoded in another thread.

        Raises:
            ProtocolViolationError: hand it to :meth:`reject`.
        """
        return parse_client_message(data, self.mode, self.settings.limits)

    def receive(self, data: bytes, now: int) -> None:
        """Take one binary WebSocket message. Never raises: whatever is wrong is answered with an error message."""
        if self._is_closing:
            return
        self._last_received = now
        try:
            self._dispatch(self.decode(data), len(data))
        except ProtocolViolationError as error:
            self.reject(error)

    def receive_message(self, message: ClientMessage, size: int, now: int) -> None:
        """Take one message of :meth:`decode`, in the order of arrival; ``size`` is that of the WebSocket message."""
        if self._is_closing:
            return
        self._last_received = now
        try:
            self._dispatch(message, size)
        except ProtocolViolationError as error:
            self.reject(error)

    def reject(self, error: ProtocolViolationError) -> None:
        """The client broke the protocol: end the connection with the error's code (spec/wire-protocol.md §12.2).

        Beyond a size limit no message is sent: its code kills clients, and close code 1009 says it all.
        """
        if error.code == ErrorCode.LIMITS_EXCEEDED:
            self._shut(None, CloseCode.MESSAGE_TOO_BIG, str(error))
        else:
            self.fail(error.code, str(error), try_again=False)

    def next_message(self) -> bytes | None:
        """The next WebSocket message to write, or None: PONG first, then sessions in turn, then log messages.

        A call may raise questions instead (:class:`DownloadWanted`): look at :meth:`events` afterwards.
        """
        self._check_violation()
        if self._is_closing:
            return self._take_farewell()
        if self._pong is not None:
            pong = build_pong(self._pong)
            self._pong = None
            return pong
        while True:
            session = self._outbox.turns.take()
            if session is None:
                break
            message = session._next_message()
            self._forget_ended()
            if message is not None:
                session._enlist()
                return message
        if self._outbox.logs:
            return build_log_message(self._outbox.logs.popleft())
        return None

    def _dispatch(self, message: ClientMessage, size: int) -> None:
        if isinstance(message, Ping):
            self._pong = message.timestamp
            self._outbox.events.append(PingReceived(message.rtt))
            return
        if isinstance(message, TestCommand):
            raise ProtocolViolationError("test_command is not served")
        self._forget_ended()
        if isinstance(message, Bind):
            self._receive_bind(message)
            return
        session = self._sessions.get(message.session)
        if session is None:
            raise ProtocolViolationError(
                f"{type(message).__name__.lower()}: there is no session {message.session}",
                code=ErrorCode.BAD_SESSION_IDENT,
            )
        session._receive(message, size)

    def _receive_bind(self, bind: Bind) -> None:
        ident = bind.session
        if ident == 0:
            raise ProtocolViolationError("bind: session ident 0", code=ErrorCode.BAD_SESSION_IDENT)
        if ident in self._sessions:
            raise ProtocolViolationError(
                f"bind: session ident {ident} is in use", code=ErrorCode.REUSE_OF_SESSION_IDENT
            )
        if len(self._sessions) >= 2 * self.settings.sessions:
            # Refused sessions count until the client lets go of them; a client that never does is cut off.
            raise ProtocolViolationError("bind: far too many sessions", code=ErrorCode.OTHER_ERROR)
        session = ServerSession(ident, self._outbox)
        self._sessions[ident] = session
        if len(self._sessions) > self.settings.sessions:
            text = f"more than {self.settings.sessions} sessions on one connection"
            session._refuse(text)
        else:
            session._start(bind)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _check_violation(self) -> None:
        violation = self._outbox.violation
        if violation is not None:
            self._outbox.violation = None
            self.reject(violation)

    def _shut(self, farewell: bytes | None, code: int, message: str) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._drop_sessions()
        self._pong = None
        self._farewell = farewell
        self._close = CloseWanted(code, message)
        if farewell is None:
            self._outbox.events.append(self._close)

    def _take_farewell(self) -> bytes | None:
        farewell = self._farewell
        if farewell is not None:
            self._farewell = None
            self._outbox.events.append(self._close)
        return farewell

    def _drop_sessions(self) -> None:
        for session in list(self._sessions.values()):
            session._end()
        self._sessions.clear()
        self._outbox.ended.clear()
        self._outbox.turns.clear()

    def _forget_ended(self) -> None:
        for session in self._outbox.ended:
            if self._sessions.get(session.ident) is session:
                del self._sessions[session.ident]
        self._outbox.ended.clear()
