"""A WebSocket client on a plain socket, as strict and as simple as that of realm-core.

What goes over the wire is what the test says, byte by byte; what comes back is held to what realm-core's client
(``network/websocket.cpp``) insists on. It never answers a close or ping frame, as realm-core does not.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["BINARY", "CLOSE", "OFFERS", "PING", "PONG", "TEXT", "BareSocket", "Frame", "Response", "accept_key"]

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

#: What realm-core 14.14.0 offers.
OFFERS: Final = ", ".join(f"com.mongodb.realm-sync#{version}" for version in range(14, 1, -1))

#: How long the server may take to say something, in seconds.
PATIENCE_S: Final = 30.0


class Response(NamedTuple):
    """The head of an HTTP answer; names of headers in lower case."""

    status: int
    headers: dict[str, str]


class Frame(NamedTuple):
    """One WebSocket message or control frame."""

    opcode: int
    data: bytes


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key."""
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


class BareSocket:
    """One TCP connection to a server on this machine."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection((address, port), PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    # --- HTTP -------------------------------------------------------------------------------------------------------

    def request(self, line: str, headers: Iterable[tuple[str, str]]) -> Response:
        """Send the head of a request exactly so, and read the head of the answer."""
        head = [line, *(f"{name}: {value}" for name, value in headers)]
        self._socket.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n")
        while b"\r\n\r\n" not in self._buffer:
            self._read(PATIENCE_S)
        text, _, rest = self._buffer.partition(b"\r\n\r\n")
        self._buffer = rest
        first, *lines = text.decode("latin-1").split("\r\n")
        version, status = first.split(" ")[:2]
        assert version == "HTTP/1.1", first
        pairs = (line.partition(":") for line in lines)
        return Response(int(status), {name.strip().lower(): value.strip() for name, _, value in pairs})

    def upgrade(
        self, target: str, offers: str = OFFERS, *, host: str = "localhost", more: Iterable[tuple[str, str]] = ()
    ) -> Response:
        """The upgrade request of realm-core (spec/wire-protocol.md §2.3), and the checks it makes of the answer."""
        key = "iZgNqy80W99xoCa8IPi6nw=="
        headers = [
            ("Host", host),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", key),
            ("Sec-WebSocket-Protocol", offers),
            ("Sec-WebSocket-Version", "13"),
            ("Upgrade", "websocket"),
            ("User-Agent", "RealmSync/14.14.0 (Linux 6.1 x86_64)"),
            *more,
        ]
        response = self.request(f"GET {target} HTTP/1.1", headers)
        if response.status == 101:
            check_upgrade(response, key)
        return response

    # --- frames -----------------------------------------------------------------------------------------------------

    def send(self, data: bytes, opcode: int = BINARY, *, mask: bytes | None = b"\x12\x34\x56\x78") -> None:
        """One unfragmented frame, masked unless ``mask`` is None."""
        self.send_frame(data, 0x80 | opcode, mask)

    def send_in_parts(self, data: bytes, part: int) -> None:
        """A binary message in fragments of ``part`` bytes."""
        starts = range(0, len(data), part)
        for start in starts:
            last = start + part >= len(data)
            opcode = BINARY if start == 0 else CONTINUATION
            self.send_frame(data[start : start + part], (0x80 if last else 0) | opcode, b"abcd")

    def send_frame(self, data: bytes, first_byte: int, mask: bytes | None) -> None:
        """One frame of which every bit is given."""
        size = len(data)
        masked = 0x80 if mask is not None else 0
        if size < 126:
            head = bytes([first_byte, masked | size])
        elif size < 65536:
            head = struct.pack(">BBH", first_byte, masked | 126, size)
        else:
            head = struct.pack(">BBQ", first_byte, masked | 127, size)
        self._socket.sendall(head + (b"" if mask is None else mask + _masked(data, mask)))
        if mask is None:
            self._socket.sendall(data)

    def receive(self, timeout: float = PATIENCE_S) -> Frame | None:
        """The next message or control frame; None once the server has closed the connection.

        Raises:
            TimeoutError: nothing came in time.
            AssertionError: a frame that makes realm-core give up.
        """
        opcode, data = 0, b""
        while True:
            try:
                first, second = self._take(2, timeout)
                assert first & 0x70 == 0, "reserved bits are set"
                assert second & 0x80 == 0, "a server's frame is masked"
                size = second & 0x7F
                if size == 126:
                    size = int.from_bytes(self._take(2, timeout))
                elif size == 127:
                    size = int.from_bytes(self._take(8, timeout))
                data += self._take(size, timeout)
            except ConnectionError:
                return None
            opcode = opcode or first & 0x0F
            if first & 0x80:
                return Frame(opcode, data)

    def ended_with(self, timeout: float = PATIENCE_S) -> int | None:
        """Read until the server has closed TCP; the code of its close frame, if it sent one."""
        code = None
        while (frame := self.receive(timeout)) is not None:
            if frame.opcode == CLOSE and len(frame.data) >= 2:
                code = int.from_bytes(frame.data[:2])
        return code

    def close(self) -> None:
        """End TCP without ceremony, as realm-core does."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _take(self, size: int, timeout: float) -> bytes:
        while len(self._buffer) < size:
            self._read(timeout)
        taken = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return taken

    def _read(self, timeout: float) -> None:
        self._socket.settimeout(timeout)
        received = self._socket.recv(1 << 20)
        if not received:
            raise ConnectionResetError("the server closed the connection")
        self._buffer += received
        self._socket.settimeout(PATIENCE_S)


def check_upgrade(response: Response, key: str) -> None:
    """Every check that realm-core makes before it calls a connection a WebSocket."""
    headers = response.headers
    assert headers["upgrade"].lower() == "websocket"
    assert headers["connection"].lower() == "upgrade"
    assert headers["sec-websocket-accept"] == accept_key(key)
    assert "sec-websocket-extensions" not in headers


def _masked(data: bytes, mask: bytes) -> bytes:
    size = len(data)
    whole = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data) ^ int.from_bytes(whole)).to_bytes(size)
