"""One WebSocket to a sync server: opening it, whole binary messages both ways, and why it ended.

Rests on the ``websockets`` library's asyncio client. What differs from its defaults, and why:

* subprotocol names may hold ``/`` (spec/wire-protocol.md §2.3), which RFC 6455 does not allow: own check of the answer;
* no redirects (301 means "ask for the location again"), no compression, no WebSocket pings (§3.4);
* a close frame ends the TCP connection at once: peers do not take part in the closing handshake (§3.2);
* every end is turned into a :class:`~syncline.protocol.errors.Reaction` (§2.6, §3.3), whose reason is the key of the
  reconnect back-off.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, NegotiationError
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import Event
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from syncline.errors import ProtocolViolationError
from syncline.protocol.errors import (
    SOCKET_LOST,
    CloseCode,
    ErrorAction,
    Reaction,
    Status,
    TerminationReason,
    close_reaction,
    connect_reaction,
    http_reaction,
)
from syncline.protocol.messages import Error
from syncline.protocol.negotiation import check_answer, offers, parse_server_url, request_target
from syncline.protocol.settings import SyncMode
from syncline.sync.proxy import ProxyFailed, ProxySetting, create_connection, proxy_for
from syncline.sync.trust import tls_context

__all__ = ["ConnectionEnded", "Endpoint", "Socket", "Traffic", "open_socket"]

_MAX_QUEUED_FRAMES: Final = 4
_WRITE_BUFFER_BYTES: Final = 1 << 18
_MAX_REASON_CHARACTERS: Final = 500
_CODE_BYTES: Final = 2
_NO_CODE: Final = 1005
_MIN_SECRET_CHARACTERS: Final = 8
"""Shorter values of headers are words that may stand in any text."""
_TOKEN_CHARACTERS: Final = "!$&'()*+,;=:@/?-._~"

_library_logger: Final = logging.getLogger("syncline.sync.network.websocket")
# Its debug messages quote the handshake, tokens and all.
_library_logger.setLevel(logging.INFO)

TLS_REJECTED: Final = Reaction(Status.TLS_HANDSHAKE_FAILED, False, None, TerminationReason.TLS_REJECTED)
BAD_HEADERS: Final = Reaction(Status.PROTOCOL_NEGOTIATION_FAILED, True, None, TerminationReason.BAD_HEADERS)
BROKEN_FRAMES: Final = Reaction(Status.PROTOCOL_INVARIANT_FAILED, False, None, TerminationReason.WEBSOCKET_VIOLATION)
"""As close code 1002 (spec/wire-protocol.md §3.1)."""
OVERSIZE: Final = Reaction(
    Status.PROTOCOL_INVARIANT_FAILED, True, ErrorAction.PROTOCOL_VIOLATION, TerminationReason.PROTOCOL_VIOLATION
)


class ConnectionEnded(Exception):
    """A WebSocket could not be opened, or has ended; ``reaction`` says what to do about it.

    Internal: the session layer turns it into a SyncError.
    """

    def __init__(self, reaction: Reaction, message: str, error: Error | None = None) -> None:
        super().__init__(message)
        self.reaction = reaction
        self.message = message
        #: what the server said about the whole connection, if that is why it ended
        self.error = error


class Endpoint(NamedTuple):
    """Where one connection goes (spec/sessions.md §7.6); also the key under which its back-off is remembered."""

    mode: SyncMode
    url: str
    user_key: tuple[str, str, str]
    session: int = 0
    """Number of the one session that uses it where connections are not shared; else 0."""
    trust: tuple[bool, str | None] = (True, None)
    """Whether certificates are checked, and against which file: who trusts otherwise has another connection."""


@dataclass(frozen=True)
class SocketOptions:
    """How to open a socket; token, headers and proxy, which may hold a password, are not shown."""

    token: str = field(repr=False)
    user_agent: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify_certificate: bool = True
    pinned_certificate_path: str | None = None
    proxy: ProxySetting = field(default=None, repr=False)
    connect_timeout_ms: int = 120_000
    max_message_bytes: int = 64 << 20

    def without_secrets(self, text: str) -> str:
        """``text`` without the token and what headers say: pages of errors like to quote what was asked for."""
        for secret in (self.token, *self.headers.values()):
            if len(secret) >= _MIN_SECRET_CHARACTERS:
                text = text.replace(secret, "…")
        return text


@dataclass
class Traffic:
    """Bytes of sync messages that went over the wire, compressed as they were sent; counted in ``total`` too."""

    bytes_sent: int = 0
    bytes_received: int = 0
    total: Traffic | None = field(default=None, repr=False)

    def sent(self, size: int) -> None:
        """A message went out."""
        self.bytes_sent += size
        if self.total is not None:
            self.total.sent(size)

    def received(self, size: int) -> None:
        """A message came in."""
        self.bytes_received += size
        if self.total is not None:
            self.total.received(size)


class Socket:
    """An open WebSocket: ``version`` is the negotiated protocol version, ``traffic`` counts its bytes."""

    def __init__(self, connection: ClientConnection, version: int) -> None:
        self._connection = connection
        self.version = version
        self.traffic = Traffic()

    async def receive(self) -> bytes:
        """The next binary message; text messages are ignored (spec/wire-protocol.md §3.1). Raises ConnectionEnded."""
        while True:
            try:
                message = await self._connection.recv()
            except ConnectionClosed as error:
                raise _ended(error, self._closed_by_server()) from error
            if isinstance(message, bytes):
                self.traffic.received(len(message))
                return message

    async def send(self, message: bytes) -> None:
        """Write one binary message; returns when the socket can take more. Raises ConnectionEnded."""
        try:
            await self._connection.send(message)
            self.traffic.sent(len(message))
        except ConnectionClosed as error:
            raise _ended(error, self._closed_by_server()) from error

    def _closed_by_server(self) -> Close | None:
        protocol = self._connection.protocol
        return protocol.closed_by_server if isinstance(protocol, _Protocol) else None

    def close(self) -> None:
        """End the TCP connection, without ceremony (spec/wire-protocol.md §3.2)."""
        self._connection.transport.abort()


class _Protocol(ClientProtocol):
    """The library's protocol with our own check of the subprotocol that the server chose, and of close frames: servers
    send codes that RFC 6455 reserves, and texts that are none (spec/wire-protocol.md §3.3)."""

    closed_by_server: Close | None = None

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE and self.closed_by_server is None:
            data = bytes(frame.data)
            code = int.from_bytes(data[:2], "big") if len(data) >= _CODE_BYTES else _NO_CODE
            self.closed_by_server = Close(code, data[_CODE_BYTES:].decode(errors="replace"))
            frame = Frame(Opcode.CLOSE, b"")
        super().recv_frame(frame)

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        values = headers.get_all("Sec-WebSocket-Protocol")
        if len(values) > 1:
            raise NegotiationError("several subprotocols")
        return cast(Subprotocol, values[0].strip()) if values else None


class _Connection(ClientConnection):
    """Ends the TCP connection as soon as there is nothing to expect of it, where the library would wait for the server
    to do so: after an answer that is no handshake, bytes that are no frames, a close frame (which was answered)."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.protocol.parser_exc is not None or (self.response is None and self.protocol.handshake_exc is not None):
            self.transport.close()

    def process_event(self, event: Event) -> None:
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
            self.transport.close()


async def open_socket(endpoint: Endpoint, options: SocketOptions, *, is_verified: bool) -> Socket:
    """Open a WebSocket and negotiate the protocol version.

    ``is_verified`` tells whether a handshake ever succeeded at this endpoint: if not, failures make the client ask for
    the server's location again (spec/wire-protocol.md §2.6). Raises ConnectionEnded.
    """
    try:
        async with asyncio.timeout(options.connect_timeout_ms / 1000):
            return await _open(endpoint, options)
    except TimeoutError as error:
        reaction = connect_reaction(timed_out=True, is_verified=is_verified)
        seconds = options.connect_timeout_ms / 1000
        raise ConnectionEnded(reaction, f"no connection to {endpoint.url} within {seconds:g} s") from error
    except InvalidStatus as error:
        raise _refused(error.response, endpoint, options, is_verified) from error
    except ProxyFailed as error:
        reaction = connect_reaction(timed_out=False, is_verified=is_verified)
        raise ConnectionEnded(reaction, f"cannot connect to {endpoint.url}: {error}") from error
    except (ProtocolViolationError, NegotiationError) as error:
        raise ConnectionEnded(BAD_HEADERS, f"{endpoint.url}: {error}") from error
    except (InvalidHandshake, InvalidMessage) as error:
        if isinstance(error.__cause__, EOFError | OSError):  # nothing was answered at all
            reaction = connect_reaction(timed_out=False, is_verified=is_verified)
            raise ConnectionEnded(reaction, f"{endpoint.url} closed the connection without an answer") from error
        reaction = http_reaction(0, is_verified=is_verified)
        raise ConnectionEnded(reaction, f"{endpoint.url} is no WebSocket server: {error}") from error
    except ssl.SSLError as error:
        raise ConnectionEnded(TLS_REJECTED, f"no secure connection to {endpoint.url}: {error}") from error
    except (OSError, ConnectionClosed, EOFError, ValueError) as error:
        reaction = connect_reaction(timed_out=False, is_verified=is_verified)
        raise ConnectionEnded(reaction, f"cannot connect to {endpoint.url}: {error}") from error


async def _open(endpoint: Endpoint, options: SocketOptions) -> Socket:
    address = parse_server_url(endpoint.url)
    token = quote(options.token, safe=_TOKEN_CHARACTERS)
    path, _, query = request_target(address.path, token).partition("?")
    protocol = _Protocol(
        WebSocketURI(address.is_tls, address.host, address.port, path, query),
        subprotocols=[cast(Subprotocol, offer) for offer in offers(endpoint.mode)],
        max_size=options.max_message_bytes,
        logger=_library_logger,
    )
    tls = None
    if address.is_tls:
        tls = tls_context(options.pinned_certificate_path, verify=options.verify_certificate)
    connection = await create_connection(
        lambda: _Connection(
            protocol,
            ping_interval=None,
            close_timeout=1,
            max_queue=_MAX_QUEUED_FRAMES,
            write_limit=_WRITE_BUFFER_BYTES,
        ),
        address.host,
        address.port,
        proxy=proxy_for(endpoint.url, options.proxy),
        tls=tls,
        user_agent=options.user_agent,
    )
    try:
        await connection.handshake(options.headers, options.user_agent or None)
        return Socket(connection, check_answer(endpoint.mode, connection.subprotocol))
    except BaseException:
        connection.transport.abort()
        raise


def _refused(response: Response, endpoint: Endpoint, options: SocketOptions, is_verified: bool) -> ConnectionEnded:
    """The end that a plain HTTP answer means."""
    text = options.without_secrets(response.body.decode(errors="replace")).strip()[:_MAX_REASON_CHARACTERS]
    reaction = http_reaction(response.status_code, is_verified=is_verified)
    said = f": {text}" if text else ""
    return ConnectionEnded(reaction, f"{endpoint.url} answered HTTP {response.status_code}{said}")


def _ended(error: ConnectionClosed, closed_by_server: Close | None) -> ConnectionEnded:
    """The end of an open connection: a close frame, our own refusal of what was received, or the loss of the socket."""
    if closed_by_server is not None and not (error.sent is not None and error.rcvd_then_sent is False):
        return _closed_by_server(closed_by_server)
    if error.sent is None:
        return ConnectionEnded(SOCKET_LOST, "the connection was lost")
    if error.sent.code == CloseCode.MESSAGE_TOO_BIG:  # it would come again and again
        return ConnectionEnded(OVERSIZE, f"the server sent a message that is too big: {error.sent}")
    return ConnectionEnded(BROKEN_FRAMES, f"the server broke the WebSocket protocol: {error.sent}")


def _closed_by_server(close: Close) -> ConnectionEnded:
    reason = close.reason[:_MAX_REASON_CHARACTERS]
    reaction = close_reaction(close.code)
    if reaction is None:
        return ConnectionEnded(SOCKET_LOST, f"the server closed the connection: {reason}")
    return ConnectionEnded(reaction, f"the server closed the connection with code {close.code}: {reason}")
