"""A small HTTP proxy: tunnels (CONNECT) and plain requests, with or without credentials; what it was asked is kept."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import threading
from typing import Any
from urllib.parse import urlsplit

__all__ = ["HttpProxy"]


class HttpProxy:
    """Runs on a thread of its own. ``answer``: sent instead of doing anything, if it is not empty."""

    def __init__(self, credentials: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        """First lines of what was asked."""
        self.heads: list[str] = []
        self.answer = b""
        self._wanted = None if credentials is None else "Basic " + base64.b64encode(credentials.encode()).decode()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(5)

    async def _stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._relay(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        self.requests.append(head.split("\r\n")[0])
        if self.answer:
            writer.write(self.answer)
            await writer.drain()
            return
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        given = {name.lower(): value for name, value in headers.items()}.get("proxy-authorization")
        if self._wanted is not None and given != self._wanted:
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            await writer.drain()
            return
        method, target, _ = self.requests[-1].split(" ")
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            forwarded = b""
        else:
            parts = urlsplit(target)
            assert parts.hostname is not None
            host, port = parts.hostname, str(parts.port or 80)
            forwarded = head.replace(target, parts.path, 1).encode("latin-1")
        to_reader, to_writer = await asyncio.open_connection(host, int(port))
        if forwarded:
            to_writer.write(forwarded)
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.wait(
            {asyncio.ensure_future(_pump(reader, to_writer)), asyncio.ensure_future(_pump(to_reader, writer))},
            return_when=asyncio.FIRST_COMPLETED,
        )
        to_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
