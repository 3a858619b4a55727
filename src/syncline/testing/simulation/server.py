"""The simulated object server: the real connections, hubs, log and state, on a virtual event loop and a fake disk.

Left out are HTTP, accounts and permissions: everybody may everything. What runs is ``server/connection.py`` and all
below it, so that queues, commit groups, shared bodies and back-pressure take part.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, NamedTuple

from syncline.errors import FileError
from syncline.merge.observer import MergeObserver
from syncline.protocol.negotiation import Subprotocol
from syncline.protocol.settings import SyncMode
from syncline.server.access import DEVELOPER, Access, Principal
from syncline.server.bounded_cache import BoundedCache
from syncline.server.connection import SyncConnection
from syncline.server.hub import HubResources
from syncline.server.hubs import Hubs
from syncline.server.log_store import LogStore
from syncline.server.permissions import Level
from syncline.server.realm_directory import RealmRecord
from syncline.server.settings import Settings
from syncline.server.sqlite_log import SqliteLogStore
from syncline.server.store_pool import StorePool
from syncline.storage.file import RealmFile
from syncline.storage.reader import Reader
from syncline.testing.disk import Disk, Everything, Survival
from syncline.testing.simulation.failures import SimulationError
from syncline.testing.simulation.images import SERVER_FILE
from syncline.testing.simulation.reading import Looker, close_dead
from syncline.testing.simulation.virtual_loop import VirtualLoop

__all__ = ["ServerSide", "Socket", "Traits"]

#: Never given anything to do: the loop keeps the jobs.
_NO_THREADS: Final = ThreadPoolExecutor(1)


class Traits(NamedTuple):
    """What differs between the servers of different seeds; sizes in bytes."""

    download_bytes: int
    tail_cache_bytes: int
    body_cache_bytes: int
    footprint_cache_bytes: int
    group_uploads: int


class _Everybody(Access):
    """Access control that asks for nothing."""

    def __init__(self, realm: RealmRecord) -> None:
        self._realm = realm

    def open_realm(self, principal: Principal, path: str) -> RealmRecord:
        return self._realm

    def level(self, principal: Principal, realm: RealmRecord) -> Level:
        return Level.ADMIN


class Socket:
    """The server's end of one WebSocket: what has arrived and was not read, what was written and is under way."""

    def __init__(self, loop: VirtualLoop, window: int) -> None:
        self.is_closed = False
        #: messages on their way to the client
        self.down: deque[bytes] = deque()
        self._loop = loop
        self._window = window
        self._inbox: deque[MutableMapping[str, Any]] = deque()
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    # --- the simulator's side ---------------------------------------------------------------------------------------

    def deliver(self, data: bytes) -> None:
        """A message has arrived."""
        self._put({"type": "websocket.receive", "bytes": data})

    def lose(self) -> None:
        """The connection has ended, and the server notices."""
        self._put({"type": "websocket.disconnect"})
        self._wake(self._room)

    def take(self) -> bytes:
        """The client reads a message: there is room for another."""
        data = self.down.popleft()
        self._wake(self._room)
        return data

    @property
    def unread(self) -> int:
        """Messages that the server has not read yet."""
        return len(self._inbox)

    def _put(self, message: MutableMapping[str, Any]) -> None:
        self._inbox.append(message)
        self._wake(self._arrival)

    @staticmethod
    def _wake(future: asyncio.Future[None] | None) -> None:
        if future is not None and not future.done():
            future.set_result(None)

    # --- the server's side ------------------------------------------------------------------------------------------

    async def receive(self) -> MutableMapping[str, Any]:
        """The next message, as ASGI has it."""
        while not self._inbox:
            self._arrival = self._loop.create_future()
            await self._arrival
        return self._inbox.popleft()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Write a message; waits while as many as the window holds are under way."""
        if message["type"] == "websocket.close":
            self.is_closed = True
            return
        while len(self.down) >= self._window:
            self._room = self._loop.create_future()
            await self._room
        self.down.append(message["bytes"])


class ServerSide:
    """One server process after the other on one disk."""

    def __init__(self, disk: Disk, traits: Traits, observer: MergeObserver) -> None:
        self.disk = disk
        self.starts = 0
        self._observer = observer
        self._settings = Settings(
            schema_changes="admin",
            download_bytes=traits.download_bytes,
            tail_cache_bytes=traits.tail_cache_bytes,
            body_cache_bytes=traits.body_cache_bytes,
            group_uploads=traits.group_uploads,
        )
        self._footprint_cache_bytes = traits.footprint_cache_bytes
        self._realm = RealmRecord("default", "p:/simulated", None, "simulated", Path(disk.path(SERVER_FILE)))
        self.start(0)

    def start(self, now_ms: int) -> None:
        """Start the process. Raises FileError when the power is cut meanwhile."""
        self.starts += 1
        self.loop = VirtualLoop(now_ms)
        self._tasks: dict[Socket, asyncio.Task[None]] = {}
        footprints: BoundedCache[Any, Any] = BoundedCache(self._footprint_cache_bytes)

        def open_store(realm: RealmRecord) -> SqliteLogStore:
            self.file = RealmFile.open(realm.path, history=False, keep_asymmetric=True, vfs=self.disk.vfs)
            return SqliteLogStore(self.file, footprints)

        self.pool = StorePool(open_store, 1)
        self._hubs = Hubs(HubResources(self._settings, self.pool, _NO_THREADS, self._observer))
        with self.pool.use(self._realm):
            pass  # opened at once, so that recovery is part of the start

    def accept(self, version: int, window: int) -> Socket:
        """A client connects, with that protocol version."""
        socket = Socket(self.loop, window)
        asyncio._set_running_loop(self.loop)
        try:
            connection = SyncConnection(
                subprotocol=Subprotocol("", SyncMode.PBS, version),
                principal=DEVELOPER,
                access=_Everybody(self._realm),
                hubs=self._hubs,
                settings=self._settings,
                receive=socket.receive,
                send=socket.send,
            )
            self._tasks[socket] = self.loop.create_task(connection.run())
        finally:
            asyncio._set_running_loop(None)
        self.run()
        return socket

    def run(self) -> None:
        """Let the process do what it can do without its worker threads."""
        self.loop.run_ready()
        for socket, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[socket]
                socket.is_closed = True
                error = None if task.cancelled() else task.exception()
                if error is not None:
                    raise SimulationError("server", f"a connection ended with {error!r}")
        if self.loop.failures:
            raise SimulationError("server", self.loop.failures[0])

    def work(self, number: int) -> None:
        """Let a worker thread do one of the jobs that wait."""
        self.loop.do_job(number)
        if not self.disk.is_off:
            self.run()

    def advance(self, now_ms: int) -> None:
        """Time passes."""
        self.loop.advance(now_ms)
        self.run()

    # --- ends -------------------------------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """The process ends in an orderly way, after what was uploaded is integrated or not."""
        self.loop.stop_everything()
        self._tasks.clear()
        self.pool.close()

    def lose_power(self, survival: Survival) -> None:
        """The process ends where it is."""
        self.abandon()
        self.disk.restore(survival)

    def abandon(self) -> None:
        """End the process for good."""
        self.disk.silence()
        self.loop.stop_everything()
        self._tasks.clear()
        close_dead(self.file)
        self.pool.close()

    def restart_after_crash(self, survival: Survival, recovery_steps: int | None, now_ms: int) -> None:
        """Crash, come back, and perhaps crash again while coming back."""
        self.lose_power(survival)
        self.disk.cut_power_after(recovery_steps)
        try:
            self.start(now_ms)
        except FileError:
            if not self.disk.is_off:
                raise
            self.lose_power(Everything())
            self.start(now_ms)
        self.disk.cut_power_after(None)

    def store(self) -> AbstractContextManager[LogStore]:
        """The log store, for checks."""
        return self.pool.use(self._realm)

    def reading(self) -> AbstractContextManager[Reader]:
        """A reader of the newest state, for checks."""
        return Looker().reading(self.file)
