"""The client's side of one connection, with all its sessions (spec/wire-protocol.md §6.1 to §6.3).

The object lives as long as there is an endpoint to talk to, across any number of WebSockets: ``connected`` and
``disconnected`` say when there is one. It rests on an ordered, reliable transport that reports its own end.
"""

from __future__ import annotations

from random import Random
from typing import Final

from syncline.errors import ProtocolViolationError
from syncline.protocol.client_session import ClientOutbox, ClientSession, SessionConfig
from syncline.protocol.errors import ERRORS, ErrorAction, Reaction, Status, TerminationReason, error_status
from syncline.protocol.events import ClientEvent, DisconnectWanted, LogReceived, RttMeasured
from syncline.protocol.from_client import build_ping
from syncline.protocol.from_server import parse_server_message
from syncline.protocol.messages import (
    Download,
    Error,
    LogMessage,
    Mark,
    Pong,
    QueryError,
    ServerIdent,
    ServerMessage,
    TestCommand,
    Unbound,
)
from syncline.protocol.settings import ClientSettings, SyncMode

__all__ = ["ClientConnection"]

_DEFAULT_SETTINGS: Final = ClientSettings()

_VIOLATION: Final = Reaction(
    Status.PROTOCOL_INVARIANT_FAILED, True, ErrorAction.PROTOCOL_VIOLATION, TerminationReason.PROTOCOL_VIOLATION
)
_NO_PONG: Final = Reaction(Status.CONNECTION_CLOSED, False, ErrorAction.TRANSIENT, TerminationReason.PONG_TIMEOUT)
_NO_SESSIONS: Final = Reaction(Status.CONNECTION_CLOSED, False, None, TerminationReason.VOLUNTARY)


class ClientConnection:
    """State machine of one connection; does no I/O and reads no clock.

    The driver's loop: ``receive`` each WebSocket message, handle ``events``, write ``next_message`` while the socket
    can take more, call ``tick`` at ``next_timer``. All times are milliseconds of one monotonic clock.

    Args:
        mode: what the connection carries; all sessions share it.
        random: source of jitter and of the time of the first ping.
        settings: delays and limits.
    """

    def __init__(self, mode: SyncMode, random: Random, settings: ClientSettings = _DEFAULT_SETTINGS) -> None:
        self.mode = mode
        self.settings = settings
        #: Negotiated protocol version; 0 while disconnected.
        self.version = 0
        #: Set by :meth:`reconnect_now`, cleared by the answer to its ping: if it is set when the connection ends, the
        #: driver resets the reconnect back-off, once (:meth:`take_backoff_reset`; spec/wire-protocol.md §9.1).
        self.backoff_reset_due = False
        self._random = random
        self._outbox = ClientOutbox(mode, settings.upload_activation_delay)
        self._sessions: dict[int, ClientSession] = {}
        self._lost_sessions: set[int] = set()  # were being unbound when their connection was lost
        self._lost_at: int | None = None
        self._is_ending = False

        self._ping_at: int | None = None  # while no PONG is awaited
        self._pong_deadline: int | None = None
        self._is_deaf = False  # the driver reads nothing at present
        self._ping_due = False  # to be written
        self._ping_sent_at = 0
        self._ping_covers_reset = False
        self._rtt = 0
        self._linger_until: int | None = None

    # --- what the driver asks -----------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether there is a WebSocket."""
        return self.version != 0

    @property
    def wants_connection(self) -> bool:
        """Whether a session exists that is active and not suspended: connect when the reconnect delay is over."""
        return any(session.is_active for session in self._sessions.values())

    def events(self) -> list[ClientEvent]:
        """What happened since the last call, in order."""
        events = self._outbox.events
        self._outbox.events = []
        return events

    def next_timer(self) -> int | None:
        """When to call :meth:`tick` (same clock); None while no timer runs."""
        times = [session.resume_at_ms for session in self._sessions.values()]
        times += [self._ping_at, None if self._is_deaf else self._pong_deadline, self._linger_until]
        return min((time for time in times if time is not None), default=None)

    # --- what the driver tells ----------------------------------------------------------------------------------------

    def bind(self, session_ident: int, config: SessionConfig) -> ClientSession:
        """Start a session. ``session_ident`` comes from one counter per process, from 1; never use one twice.

        Raises:
            ValueError: the ident is in use or not positive.
        """
        self._forget_closed()
        if session_ident < 1 or session_ident in self._sessions:
            raise ValueError(f"session ident {session_ident} is in use or not positive")
        session = ClientSession(session_ident, config, self._outbox, self._random)
        self._sessions[session_ident] = session
        if self.is_connected:
            session._connection_established(fast=False)
        return session

    def connected(self, version: int, now: int) -> None:
        """A WebSocket is open and ``version`` was negotiated: every session binds, in order of ident."""
        self.version = version
        self.backoff_reset_due = False
        self._is_ending = self._is_deaf = False
        self._outbox.turns.clear()
        self._ping_at = now + self._random.randint(0, self.settings.ping_period_ms)
        self._rtt = 0
        fast = self._lost_at is not None and now - self._lost_at <= self.settings.fast_reconnect_limit_ms
        for _, session in sorted(self._sessions.items()):
            session._connection_established(fast)

    def disconnected(self, now: int) -> None:
        """The WebSocket is gone, whoever ended it; connect again after a delay of :class:`.Backoff`."""
        if not self.is_connected:
            return
        self.version = 0
        self._is_ending = False
        self._lost_at = now
        self._ping_at = self._pong_deadline = self._linger_until = None
        self._ping_due = False
        self._outbox.turns.clear()
        self._forget_closed()
        for session in self._sessions.values():
            session._connection_lost()
        self._lost_sessions = {session.ident for session in self._outbox.closed}
        self._forget_closed()

    def tick(self, now: int) -> None:
        """Time has passed: pings, missing pongs, resumption and linger are due."""
        for session in self._sessions.values():
            if session.resume_at_ms is not None and now >= session.resume_at_ms:
                session.resume()
        if self._pong_deadline is not None and now >= self._pong_deadline and not self._is_deaf:
            self._end(_NO_PONG, f"no PONG within {self.settings.pong_timeout_ms} ms", None)
        elif self._linger_until is not None and now >= self._linger_until:
            self._end(_NO_SESSIONS, "no session uses the connection", None)
        elif self._ping_at is not None and now >= self._ping_at:
            self._start_ping(now)

    def reconnect_now(self, now: int) -> None:
        """The application wants contact at once: check the connection by an urgent ping.

        While there is no connection, the driver connects at once and resets its back-off itself. Suspended sessions
        are resumed one by one (:meth:`.ClientSession.resume`): some may have failed for good.
        """
        if self.is_connected:
            self.backoff_reset_due = True
            if self._pong_deadline is None:
                self._start_ping(now)

    def stop_reading(self) -> None:
        """The driver reads nothing until :meth:`read_on`: a PONG that does not come says nothing about the server."""
        self._is_deaf = True

    def read_on(self, now: int) -> None:
        """The driver reads again: an outstanding PONG has all its time from now."""
        self._is_deaf = False
        if self._pong_deadline is not None:
            self._pong_deadline = now + self.settings.pong_timeout_ms

    def take_backoff_reset(self) -> bool:
        """Whether the connection that has ended was to be checked and did not answer; True once."""
        is_due = self.backoff_reset_due
        self.backoff_reset_due = False
        return is_due

    # --- messages -----------------------------------------------------------------------------------------------------

    def decode(self, data: bytes) -> ServerMessage:
        """The message in one WebSocket message. Pure: large ones may be decoded in another thread.

        Raises:
            ProtocolViolationError: hand it to :meth:`reject`.
        """
        return parse_server_message(data, self.mode, self.version, self.settings.limits)

    def receive(self, data: bytes, now: int) -> None:
        """Take one binary WebSocket message. Never raises: a violation becomes :class:`DisconnectWanted`."""
        if self._is_ending or not self.is_connected:
            return
        try:
            self._dispatch(self.decode(data), len(data), now)
        except ProtocolViolationError as error:
            self.reject(error)

    def receive_message(self, message: ServerMessage, size: int, now: int) -> None:
        """Take one message of :meth:`decode`, in the order of arrival; ``size`` is that of the WebSocket message."""
        if self._is_ending or not self.is_connected:
            return
        try:
            self._dispatch(message, size, now)
        except ProtocolViolationError as error:
            self.reject(error)

    def reject(self, error: ProtocolViolationError) -> None:
        """The server broke the protocol: the connection must end."""
        self._end(_VIOLATION, str(error), None)

    def next_message(self, now: int) -> bytes | None:
        """The next WebSocket message to write, or None; a ping goes first, then sessions take turns (§6.5).

        A call may raise questions instead (:class:`UploadWanted`): look at :meth:`events` afterwards.
        """
        self._forget_closed()
        if self._is_ending or not self.is_connected:
            return None
        self._watch_idleness(now)
        if self._ping_due:
            self._ping_due = False
            self._ping_sent_at = now
            self._ping_covers_reset = self.backoff_reset_due
            return build_ping(now, self._rtt)
        while True:
            session = self._outbox.turns.take()
            if session is None:
                return None
            message = session._next_message(self.version)
            if message is not None:
                session._enlist()
                return message

    def _dispatch(self, message: ServerMessage, size: int, now: int) -> None:
        if isinstance(message, Pong):
            self._receive_pong(message.timestamp, now)
            return
        if isinstance(message, LogMessage):
            self._outbox.events.append(
                LogReceived(message.session, message.level, message.message, message.connection_id)
            )
            return
        if isinstance(message, Error) and message.session == 0:
            self._receive_connection_error(message)
            return
        if isinstance(message, TestCommand):
            raise ProtocolViolationError("a test_command answer that nobody asked for")
        self._forget_closed()
        session = self._find(message)
        if session is None:
            return
        if isinstance(message, Download):
            session._receive_download(message, self.version, size)
        elif isinstance(message, Mark):
            session._receive_mark(message.request_ident)
        elif isinstance(message, ServerIdent):
            session._receive_ident(message.file_ident)
        elif isinstance(message, Unbound):
            session._receive_unbound()
        elif isinstance(message, QueryError):
            session._receive_query_error(message)
        else:
            self._require_session_error(message)
            session._receive_error(message, now)

    def _find(self, message: ServerIdent | Download | Mark | QueryError | Unbound | Error) -> ClientSession | None:
        """The session a message is for; None if it must be ignored (spec/wire-protocol.md §6.3)."""
        ident = message.session
        session = self._sessions.get(ident)
        if session is None and ident != 0 and ident not in self._lost_sessions:
            raise ProtocolViolationError(f"{type(message).__name__.lower()}: there is no session {ident}")
        return session

    def _require_session_error(self, error: Error) -> None:
        info = ERRORS.get(error.code)
        if info is not None and not info.is_session_level:
            raise ProtocolViolationError(f"error {error.code} is about a connection, not about session {error.session}")

    def _receive_connection_error(self, error: Error) -> None:
        info = ERRORS.get(error.code)
        if info is None or info.is_session_level:
            raise ProtocolViolationError(f"error {error.code} is not about a connection")
        reason = TerminationReason.TRY_AGAIN_LATER if error.try_again else TerminationReason.DO_NOT_RECONNECT
        self._end(Reaction(error_status(error.code), not error.try_again, error.action, reason), error.message, error)

    # --- keeping alive ------------------------------------------------------------------------------------------------

    def _start_ping(self, now: int) -> None:
        self._ping_at = None
        self._ping_due = True
        self._ping_sent_at = -1
        self._pong_deadline = now + self.settings.pong_timeout_ms

    def _receive_pong(self, timestamp: int, now: int) -> None:
        if self._pong_deadline is None or self._ping_due or timestamp != self._ping_sent_at:
            raise ProtocolViolationError(f"pong {timestamp} does not answer the outstanding ping")
        self._pong_deadline = None
        self._rtt = max(0, now - timestamp)
        self._outbox.events.append(RttMeasured(self._rtt))
        if self._ping_covers_reset:
            self.backoff_reset_due = False
        if self.backoff_reset_due:
            self._start_ping(now)
            return
        period = self.settings.ping_period_ms
        delay = period - self._random.randint(0, period // 10) - self._rtt
        self._ping_at = now + max(0, delay)

    def _watch_idleness(self, now: int) -> None:
        """A connection that no session needs lingers a while (spec/wire-protocol.md §6.1)."""
        if self.wants_connection:
            self._linger_until = None
        elif self._linger_until is None:
            self._linger_until = now + self.settings.linger_ms

    def _end(self, reaction: Reaction, message: str, error: Error | None) -> None:
        if self._is_ending or not self.is_connected:
            return
        self._is_ending = True
        self._ping_at = self._pong_deadline = self._linger_until = None
        self._outbox.events.append(DisconnectWanted(reaction, message, error))

    def _forget_closed(self) -> None:
        for session in self._outbox.closed:
            self._sessions.pop(session.ident, None)
        self._outbox.closed.clear()
