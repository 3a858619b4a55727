"""A WebSocket server whose every byte a test decides, and a folder with a manager in it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from syncline.sync import SyncManager

Script = Callable[["Peer"], Awaitable[None]]

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE = 2, 8


class Peer:
    """The server's end of one TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.request = b""
        self.received: list[bytes] = []

    @property
    def target(self) -> str:
        return self.request.split(b" ")[1].decode()

    def header(self, name: str) -> str | None:
        for line in self.request.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    async def read_request(self) -> None:
        self.request = await self._reader.readuntil(b"\r\n\r\n")

    async def accept(self, subprotocol: str | None = "com.mongodb.realm-sync#14") -> None:
        """Answer 101."""
        key = self.header("Sec-WebSocket-Key")
        assert key is not None
        digest = base64.b64encode(hashlib.sha1(key.encode() + _MAGIC).digest()).decode()
        chosen = "" if subprotocol is None else f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
        await self.write(
            f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Accept: {digest}\r\n{chosen}\r\n".encode()
        )

    async def answer(self, status: int, body: str = "", headers: str = "") -> None:
        """Answer plain HTTP."""
        await self.write(
            f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        )

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send(self, message: bytes | str, opcode: int = _BINARY) -> None:
        """One unfragmented frame."""
        payload = message.encode() if isinstance(message, str) else message
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 127, size)
        await self.write(head + payload)

    async def close(self, code: int, reason: str = "") -> None:
        """A close frame, and the end of TCP."""
        await self.send(struct.pack("!H", code) + reason.encode(), _CLOSE)
        self.writer.close()

    async def receive(self) -> bytes:
        """The next message of the client. Raises asyncio.IncompleteReadError at its end."""
        while True:
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", await self._reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
            mask = await self._reader.readexactly(4)
            data = await self._reader.readexactly(size)
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
            if first & 0x0F == _BINARY:
                self.received.append(payload)
                return payload
            if first & 0x0F == _CLOSE:
                raise asyncio.IncompleteReadError(payload, None)

    async def expect(self, kind: str) -> list[str]:
        """The fields of the client's next message of this kind; others are passed over."""
        while True:
            message = await self.receive()
            head = message.split(b"\n", 1)[0].decode().split(" ")
            if head[0] == kind:
                return head[1:]


class ScriptedServer:
    """Runs one script per connection: the first for the first, …, the last for all that follow."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.peers: list[Peer] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(0), self._loop).result(5)
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def script(self, *scripts: Script) -> ScriptedServer:
        self.scripts = list(scripts)
        return self

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _listen(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", port, limit=1 << 26)

    async def _stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer)
        self.peers.append(peer)
        script = self.scripts[min(len(self.peers), len(self.scripts)) - 1]
        try:
            await peer.read_request()
            await script(peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[SyncManager]:
    made = SyncManager(tmp_path / "sync")
    yield made
    made.close()
