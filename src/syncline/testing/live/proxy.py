"""TCP relays between peers and the server, which can delay what they relay and cut connections anywhere."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final

__all__ = ["Proxies", "Proxy"]

_CHUNK: Final = 1 << 16
_PATIENCE_S: Final = 30.0


class Proxies:
    """An event loop on a thread of its own, with all relays to one server."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self._proxies: list[Proxy] = []

    def open(self) -> Proxy:
        """A relay on a port of its own."""
        proxy = Proxy(self)
        self.call(proxy.listen())
        self._proxies.append(proxy)
        return proxy

    def call(self, coroutine: Any) -> Any:
        """Run a coroutine on the loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE_S)

    def soon(self, call: Any, *args: Any) -> None:
        """Have the loop call."""
        self._loop.call_soon_threadsafe(call, *args)

    def close(self) -> None:
        """Cut everything and end the thread."""
        for proxy in self._proxies:
            self.call(proxy.end())
        self.call(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()

    async def _finish(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Proxy:
    """One relay; ``port`` is where it listens. Every method may be called on any thread."""

    def __init__(self, proxies: Proxies) -> None:
        self.port = 0
        self._proxies = proxies
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._delay_s = 0.0
        self._bytes_left: int | None = None  # None: no cut is due

    def delay(self, seconds: float) -> None:
        """Keep every piece of data for so long from now on."""
        self._delay_s = seconds

    def cut(self) -> None:
        """End all connections at once, without a goodbye."""
        self._proxies.soon(self._abort)

    def cut_after(self, size: int) -> None:
        """End all connections once ``size`` more bytes went by, in whatever message that is."""
        self._bytes_left = size

    def reset(self) -> None:
        """Relay at once, and cut nothing."""
        self._delay_s = 0.0
        self._bytes_left = None

    async def listen(self) -> None:
        """Begin. On the loop."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def end(self) -> None:
        """No connections any more. On the loop."""
        if self._server is not None:
            self._server.close()
        self._abort()

    def _abort(self) -> None:
        self._bytes_left = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._proxies.host, self._proxies.port)
        except OSError:
            self._drop(writer)
            return
        self._writers.add(far_writer)
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except OSError:
            return  # one side is gone; so is the other
        finally:
            self._drop(writer)
            self._drop(far_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            left = self._bytes_left
            writer.write(data if left is None else data[:left])
            await writer.drain()
            if left is not None:
                self._bytes_left = left - len(data)
                if self._bytes_left <= 0:
                    self._abort()
        raise ConnectionResetError("the other side has closed")

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()
