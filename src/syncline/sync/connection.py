"""Connection: drives one protocol machine over one WebSocket after the other (spec/sessions.md §7).

Runs on the event loop. It connects when a session wants it and the reconnect delay is over, moves messages between the
socket and the machine, calls the machine's timers, and tells the sessions what happens. The machine decides everything
about messages; the back-off decides about delays; nothing here does.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from random import Random
from typing import TYPE_CHECKING, Final

from syncline.errors import ProtocolViolationError
from syncline.protocol.backoff import Backoff
from syncline.protocol.client import ClientConnection
from syncline.protocol.client_session import ClientSession, SessionConfig
from syncline.protocol.errors import SOCKET_LOST, TerminationReason
from syncline.protocol.events import (
    ClientEvent,
    DisconnectWanted,
    DownloadCompleted,
    DownloadReceived,
    IdentReceived,
    LogReceived,
    QueryRejected,
    RttMeasured,
    SessionError,
    SessionResumed,
    SessionUnbound,
    UploadWanted,
)
from syncline.sync.session_errors import Failure
from syncline.sync.states import ConnectionState
from syncline.sync.telemetry import Span
from syncline.sync.transport import ConnectionEnded, Endpoint, Socket, Traffic, open_socket

if TYPE_CHECKING:
    from syncline.sync.client import SyncClient
    from syncline.sync.protocol_session import ProtocolSession

__all__ = ["Connection"]

logger = logging.getLogger("syncline.sync.network")

_MAX_PENDING_INTEGRATIONS: Final = 64
_MAX_PENDING_BYTES: Final = 16 << 20
"""Downloads received but not yet integrated; beyond, the socket is not read (at least one is always let in)."""

_YIELD_BYTES: Final = 1 << 16
"""After writing a message of this size, readers and timers get a turn."""

_LARGE_BYTES: Final = 1 << 18
"""Messages of this size and above are decoded by a worker."""

_LEVELS: Final = {
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "detail": 15,
    "debug": logging.DEBUG,
    "trace": 5,
}


class ConnectionRecord:
    """What an endpoint's connections went through, for :mod:`syncline.sync.diagnostics`; any thread may read it."""

    def __init__(self) -> None:
        self.attempts = 0
        self.connections = 0
        #: Unix time in seconds
        self.last_attempt: float | None = None
        #: negotiated at the last connection
        self.protocol_version: int | None = None
        self.round_trip_ms: int | None = None
        self.smoothed_round_trip_ms: float | None = None

    def attempted(self) -> None:
        """An attempt begins."""
        self.attempts += 1
        self.last_attempt = time.time()

    def connected(self, version: int) -> None:
        """It succeeded."""
        self.connections += 1
        self.protocol_version = version

    def measured(self, rtt_ms: int) -> None:
        """A ping was answered; smoothed as TCP does (RFC 6298)."""
        old = self.smoothed_round_trip_ms
        self.round_trip_ms = rtt_ms
        self.smoothed_round_trip_ms = float(rtt_ms) if old is None else old + (rtt_ms - old) / 8


class Attempts:
    """What is remembered of an endpoint across its connections: the back-off, when to try again (§7.4), and for
    whoever asks, what there was."""

    def __init__(self, random: Random, traffic: Traffic) -> None:
        self.record = ConnectionRecord()
        self.traffic = Traffic(total=traffic)
        self.backoff: Backoff[TerminationReason] = Backoff(random)
        #: loop time before which no attempt is made; inf: only when told to
        self.not_before = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether there is no failure to remember."""
        return self.not_before < math.inf and self.backoff.is_clean


class Connection:
    """All sessions that share one connection to a server."""

    def __init__(self, client: SyncClient, endpoint: Endpoint, attempts: Attempts) -> None:
        self.endpoint = endpoint
        self.state = ConnectionState.DISCONNECTED
        self._client = client
        self._attempts = attempts
        # nobody comes back to the connection of one session
        settings = client.settings._replace(linger_ms=0) if endpoint.session else client.settings
        self._machine = ClientConnection(endpoint.mode, client.random, settings)
        self._sessions: dict[int, ProtocolSession] = {}
        self._latest: ProtocolSession | None = None  # its token and certificates open the next socket
        self._wake = asyncio.Event()
        self._writable = asyncio.Event()
        self._readable = asyncio.Event()
        self._ending: asyncio.Future[ConnectionEnded] | None = None
        self._pending_bytes = 0
        self._pending_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._abandoned = False
        self._is_urgent = False  # reconnect_now() came while connecting: it counts for what comes of the attempt

    # --- for protocol sessions ----------------------------------------------------------------------------------------

    def bind(self, protocol: ProtocolSession, config: SessionConfig) -> ClientSession:
        """Start a session on this connection, which is opened if need be."""
        session = self._machine.bind(next(self._client.session_idents), config)
        self._sessions[session.ident] = protocol
        self._latest = protocol
        if self.state is not ConnectionState.DISCONNECTED:
            protocol.connection_changed(ConnectionState.CONNECTING)
        if self.state is ConnectionState.CONNECTED:
            protocol.connection_changed(ConnectionState.CONNECTED)
        if self._task is None:
            self._task = self._client.loop.create_task(self._run())
        self.pump()
        return session

    def pump(self) -> None:
        """Something was told to the machine: handle what it says, let it write, see to its timers."""
        self._handle_events()
        self._writable.set()
        self._wake.set()
        self._arm()

    def renewed(self, protocol: ProtocolSession) -> None:
        """A new token: use it at the next attempt, and make that attempt now if one is being delayed (§6.2)."""
        self._latest = protocol
        self._cancel_delay()

    def reconnect_now(self) -> None:
        """Skip the delay; if connected, check the connection by an urgent ping (§5.4, §7.5).

        The back-off of a connection that answers stays as it is.
        """
        self._cancel_delay()
        self._is_urgent = self.state is ConnectionState.CONNECTING
        self._machine.reconnect_now(self._client.now())
        self.pump()

    def integrating(self, size: int) -> None:
        """A download of ``size`` bytes waits for its integration."""
        self._pending_bytes += size
        self._pending_count += 1

    def integrated(self, size: int) -> None:
        """It waits no more: read on."""
        self._pending_bytes -= size
        self._pending_count -= 1
        self._readable.set()

    def abandon(self) -> None:
        """The client is closed: nothing more is done or reported."""
        self._abandoned = True
        if self._timer is not None:
            self._timer.cancel()

    # --- for diagnostics, on any thread -------------------------------------------------------------------------------

    @property
    def record(self) -> ConnectionRecord:
        """What the connections of this endpoint went through."""
        return self._attempts.record

    @property
    def traffic(self) -> Traffic:
        """Bytes over the wire, of all connections of this endpoint."""
        return self._attempts.traffic

    def delay(self) -> float:
        """Seconds until an attempt may be made; inf: not before somebody says so."""
        return max(0.0, self._attempts.not_before - self._client.loop.time())

    # --- connecting ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while await self._due():
                ended = await self._attempt()
                self._disconnected(ended)
        finally:
            self._task = None
            self._client.dropped(self)

    async def _due(self) -> bool:
        """Wait until a session wants a connection and the delay is over; False when there are no sessions any more."""
        while True:
            self._wake.clear()
            if not self._sessions:
                return False
            delay = self._attempts.not_before - self._client.loop.time()
            if not self._machine.wants_connection or delay == math.inf:
                await self._wake.wait()
            elif delay > 0:
                try:
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                except TimeoutError:
                    pass
            else:
                return True

    async def _attempt(self) -> ConnectionEnded:
        """Connect and serve until the connection ends; how it ended."""
        protocol = self._latest
        assert protocol is not None
        span = self._client.telemetry.connect(self.endpoint.url, is_first=self.record.attempts == 0)
        self.record.attempted()
        self._report(ConnectionState.CONNECTING)
        try:
            socket = await self._opened(protocol, span)
        except ConnectionEnded as ended:
            return ended
        socket.traffic = self.traffic
        self.record.connected(socket.version)
        protocol.route_verified()
        logger.info("connected to %s with protocol version %d", self.endpoint.url, socket.version)
        self._ending = self._client.loop.create_future()
        self._machine.connected(socket.version, self._client.now())
        if self._is_urgent:
            self._machine.reconnect_now(self._client.now())
        self._is_urgent = False
        self._report(ConnectionState.CONNECTED)
        self.pump()
        try:
            return await self._serve(socket, self._ending)
        except Exception as error:  # a bug of ours must not end syncing for good
            logger.exception("the connection to %s failed", self.endpoint.url)
            return ConnectionEnded(SOCKET_LOST, f"an internal error: {error!r}")
        finally:
            socket.close()

    async def _opened(self, protocol: ProtocolSession, span: Span) -> Socket:
        """A new socket. Raises ConnectionEnded."""
        problem: str | None = "given up"
        try:
            options = protocol.socket_options()
            socket = await open_socket(self.endpoint, options, is_verified=protocol.is_route_verified())
            problem = None
            return socket
        except ConnectionEnded as ended:
            problem = ended.message
            raise
        finally:
            span.end(problem)

    def _disconnected(self, ended: ConnectionEnded) -> None:
        """The attempt or the connection is over: compute the delay, tell the sessions."""
        reaction = ended.reaction
        self._attempts.not_before = self._client.loop.time() + self._delay_seconds(ended)
        logger.log(
            logging.INFO if reaction.reason is TerminationReason.VOLUNTARY else logging.WARNING,
            "disconnected from %s: %s",
            self.endpoint.url,
            ended.message,
        )
        self._machine.disconnected(self._client.now())
        if self._machine.take_backoff_reset() or self._is_urgent:
            self._try_at_once()
        self._is_urgent = False
        failure = None
        if ended.error is not None:
            failure = Failure.of_message(ended.error)
        elif reaction.reason is not TerminationReason.VOLUNTARY:
            failure = Failure.of_connection(reaction, ended.message)
        self._report(ConnectionState.DISCONNECTED, failure)
        self.pump()

    def _delay_seconds(self, ended: ConnectionEnded) -> float:
        """How long to wait before the next attempt (§7.4)."""
        reason = ended.reaction.reason
        if reason in (TerminationReason.VOLUNTARY, TerminationReason.DO_NOT_RECONNECT):
            self._attempts.backoff.reset()  # another reason: the failures before do not count any more
            return 0.0 if reason is TerminationReason.VOLUNTARY else math.inf
        parameters = None if ended.error is None else ended.error.backoff
        return self._attempts.backoff.failed(reason, parameters) / 1000

    def _cancel_delay(self) -> None:
        if self.state is ConnectionState.DISCONNECTED and self._attempts.not_before > self._client.loop.time():
            self._try_at_once()

    def _try_at_once(self) -> None:
        self._attempts.backoff.reset()
        self._attempts.not_before = 0.0
        self._wake.set()

    def _report(self, state: ConnectionState, failure: Failure | None = None) -> None:
        self.state = state
        for protocol in list(self._sessions.values()):
            protocol.connection_changed(state, failure)

    # --- while connected ----------------------------------------------------------------------------------------------

    async def _serve(self, socket: Socket, ending: asyncio.Future[ConnectionEnded]) -> ConnectionEnded:
        """Move messages until the machine wants to end, or the socket does."""
        loop = self._client.loop
        reader = loop.create_task(self._read(socket))
        writer = loop.create_task(self._write(socket))
        try:
            await asyncio.wait({reader, writer, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done() and not reader.done():
                # the writer noticed first; the reader may still learn from a close frame why
                await asyncio.wait({reader}, timeout=1.0)
            for task in (ending, reader, writer):
                if task.done():
                    return task.result()
            raise AssertionError("nothing ended the connection")
        finally:
            reader.cancel()
            writer.cancel()
            self._ending = None

    async def _read(self, socket: Socket) -> ConnectionEnded:
        while True:
            try:
                message = await socket.receive()
            except ConnectionEnded as ended:
                return ended
            await self._receive(message)
            self.pump()
            if not self._has_room():
                await self._room()

    async def _receive(self, data: bytes) -> None:
        """Give a message to the machine; a worker inflates and decodes large ones, so that the loop stays free."""
        if len(data) < _LARGE_BYTES:
            self._machine.receive(data, self._client.now())
            return
        try:
            message = await self._client.worked(lambda: self._machine.decode(data))
        except ProtocolViolationError as error:
            self._machine.reject(error)
        else:
            self._machine.receive_message(message, len(data), self._client.now())

    async def _room(self) -> None:
        """Wait until what was received is integrated, all but a little; meanwhile nothing is read."""
        self._machine.stop_reading()
        while not self._has_room():
            self._readable.clear()
            await self._readable.wait()
        self._machine.read_on(self._client.now())
        self._arm()

    def _has_room(self) -> bool:
        if self._pending_bytes >= _MAX_PENDING_BYTES and self._pending_count:
            return False
        return self._pending_count < _MAX_PENDING_INTEGRATIONS

    async def _write(self, socket: Socket) -> ConnectionEnded:
        while True:
            self._writable.clear()
            message = self._machine.next_message(self._client.now())
            self._handle_events()  # answers what the machine asked for just now, which makes it writable again
            if message is not None:
                try:
                    await socket.send(message)
                except ConnectionEnded as ended:
                    return ended
                if len(message) >= _YIELD_BYTES:
                    await asyncio.sleep(0)
            elif not self._writable.is_set():
                self._arm()
                await self._writable.wait()

    def _arm(self) -> None:
        """Have the machine's next timer called."""
        due = self._machine.next_timer()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None and not self._abandoned:
            self._timer = self._client.loop.call_at(due / 1000, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._machine.tick(self._client.now())
        self.pump()

    # --- what the machine says ----------------------------------------------------------------------------------------

    def _handle_events(self) -> None:
        while events := self._machine.events():
            for event in events:
                self._handle(event)

    def _handle(self, event: ClientEvent) -> None:
        match event:
            case DisconnectWanted():
                self._end(event)
            case LogReceived():
                logger.log(_LEVELS.get(event.level, logging.DEBUG), "server: %s", event.message or event.connection_id)
            case RttMeasured():
                logger.debug("round trip to %s: %d ms", self.endpoint.url, event.rtt_ms)
                self.record.measured(event.rtt_ms)
                self._client.telemetry.round_trip(self.endpoint.url, event.rtt_ms)
            case SessionUnbound():
                protocol = self._sessions.pop(event.session.ident, None)
                if protocol is not None and protocol is self._latest:
                    self._latest = next(reversed(self._sessions.values()), None)
                self._wake.set()
            case _:
                protocol = self._sessions.get(event.session.ident)
                if protocol is not None:
                    self._hand_over(protocol, event)

    def _hand_over(self, protocol: ProtocolSession, event: ClientEvent) -> None:
        match event:
            case IdentReceived():
                protocol.ident_received(event)
            case UploadWanted():
                protocol.upload_wanted(event)
                self._writable.set()
            case DownloadReceived():
                protocol.download_received(event)
            case DownloadCompleted():
                protocol.download_completed(event.mark)
            case SessionError():
                protocol.error_received(event)
            case SessionResumed():
                protocol.resumed(self.state)
            case QueryRejected():
                logger.warning("the server refused query version %d: %s", event.query_version, event.message)
            case _:
                raise AssertionError(f"no session is concerned by {event!r}")

    def _end(self, event: DisconnectWanted) -> None:
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(ConnectionEnded(event.reaction, event.message, event.error))
