"""SyncClient: the event-loop thread of a manager, its workers and its connections (spec/sessions.md §18.3).

Everything below the sync session runs here: sockets, timers, protocol machines. Other threads only :meth:`post`. What
takes long or waits for a disk (integrating downloads) runs in a small pool of workers.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from syncline.errors import InvalidSessionError
from syncline.protocol.settings import ClientSettings
from syncline.sync.connection import Attempts, Connection
from syncline.sync.delivery import Workers
from syncline.sync.telemetry import process_telemetry
from syncline.sync.transport import Endpoint, Traffic

if TYPE_CHECKING:
    from syncline.sync.client_reset import ClientReset
    from syncline.sync.protocol_session import ProtocolSession

__all__ = ["SyncClient"]

logger = logging.getLogger("syncline.sync.network")

T = TypeVar("T")

_WORKER: Final = "syncline-work"
_WORKERS: Final = 2


class SyncClient:
    """One event loop on one daemon thread, made when the first session needs it.

    Args:
        settings: delays and limits of the protocol machines.
        connect_timeout_ms: for DNS, TCP, TLS and the WebSocket handshake together.
        multiplexing: whether the sessions of one user share a connection (spec/sessions.md §7.6).
        user_agent: sent with every request and handshake.
        random: source of jitter.
    """

    def __init__(
        self,
        settings: ClientSettings,
        *,
        connect_timeout_ms: int = 120_000,
        multiplexing: bool = True,
        user_agent: str = "",
        random: Random | None = None,
    ) -> None:
        self.settings = settings if multiplexing else settings._replace(linger_ms=0)
        self.connect_timeout_ms = connect_timeout_ms
        self.multiplexing = multiplexing
        self.user_agent = user_agent
        self.random = random or Random()
        self.loop = asyncio.new_event_loop()
        self.session_idents = itertools.count(1)
        self.telemetry = process_telemetry()
        self.traffic = Traffic(total=self.telemetry.traffic)
        #: what was stopped and still writes a file, by local path: the next protocol session of that file waits for it
        self.ending: dict[str, ProtocolSession | ClientReset] = {}
        self._connections: dict[Endpoint, Connection] = {}
        self._attempts: dict[Endpoint, Attempts] = {}
        self._workers = Workers(_WORKER, _WORKERS)
        self._closed = False
        self._is_over = False
        self._submitted: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self._run, name="syncline-sync", daemon=True)
        self._thread.start()

    # --- from any thread ----------------------------------------------------------------------------------------------

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Run ``call(*args)`` on the loop, after everything posted before. Dropped once the client is closed."""
        try:
            self.loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            if not self._closed:
                raise

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop; the future belongs to the calling side, and is cancelled by :meth:`close`.

        Raises InvalidSessionError once closed.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        except RuntimeError as error:
            coroutine.close()
            raise InvalidSessionError("the SyncManager is closed") from error
        self._submitted.add(future)
        future.add_done_callback(self._submitted.discard)
        if self._is_over:
            future.cancel()
        return future

    def cancel_submitted(self) -> None:
        """Cancel what was submitted and has not ended."""
        for future in list(self._submitted):
            future.cancel()

    def work(self, job: Callable[[], T], done: Callable[[T | None, Exception | None], object]) -> None:
        """Run ``job`` on a worker, then ``done(result, error)`` on the loop."""
        self._workers.submit(partial(self._work, job, done))

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    async def worked(self, job: Callable[[], T]) -> T:
        """The result of ``job``, run on a worker; for coroutines of the loop."""
        future: asyncio.Future[T] = self.loop.create_future()

        def done(result: T | None, error: Exception | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(cast(T, result))
            else:
                future.set_exception(error)

        self.work(job, done)
        return await future

    def is_loop_thread(self) -> bool:
        """Whether the caller runs on the loop."""
        return threading.current_thread() is self._thread

    def is_own_thread(self) -> bool:
        """Whether the caller runs on the loop or on a worker: neither may wait for what they have to do themselves."""
        return self.is_loop_thread() or threading.current_thread().name.startswith(f"{_WORKER}-")

    def close(self, timeout: float) -> None:
        """End all connections without ceremony and stop the loop. Waits ``timeout`` seconds at most."""
        if self._closed:
            return
        self._closed = True
        self.loop.call_soon_threadsafe(self._stop)
        if not self.is_loop_thread():
            self._thread.join(timeout)
        self._workers.close()

    # --- on the loop --------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """The clock of the machines: monotonic milliseconds."""
        return int(self.loop.time() * 1000)

    def connection(self, endpoint: Endpoint) -> Connection:
        """The connection to ``endpoint``, made if there is none."""
        connection = self._connections.get(endpoint)
        if connection is None:
            attempts = self._attempts.get(endpoint)
            if attempts is None:
                attempts = self._attempts[endpoint] = Attempts(self.random, self.traffic)
            connection = self._connections[endpoint] = Connection(self, endpoint, attempts)
        return connection

    def dropped(self, connection: Connection) -> None:
        """A connection has no session left and is closed."""
        endpoint = connection.endpoint
        if self._connections.get(endpoint) is connection:
            del self._connections[endpoint]
            if endpoint.session and self._attempts[endpoint].is_clean:  # of one session, which perhaps never comes back
                del self._attempts[endpoint]

    def retire_connections(self) -> None:
        """Sessions that start from now on get new connections; the present ones close once nobody uses them."""
        self._connections.clear()

    def _work(self, job: Callable[[], T], done: Callable[[T | None, Exception | None], object]) -> None:
        try:
            result = job()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the session's to handle
            self.post(done, None, error)
        else:
            self.post(done, result, None)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self._end_tasks())
        finally:
            self.loop.close()
            self._is_over = True
            self.cancel_submitted()  # what came too late to become a task

    async def _end_tasks(self) -> None:
        """Cancel what still runs, and let sockets close."""
        tasks = asyncio.all_tasks(self.loop) - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def _stop(self) -> None:
        for connection in list(self._connections.values()):
            connection.abandon()
        self.loop.stop()
