"""One object server: everything that lives as long as the process, put together (settings → parts)."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from syncline.server.access import Access
from syncline.server.accounts import Accounts
from syncline.server.bounded_cache import BoundedCache
from syncline.server.connection import SyncConnection
from syncline.server.database import Database
from syncline.server.hub import HubResources
from syncline.server.hubs import Hubs
from syncline.server.login import Login
from syncline.server.passwords import Passwords
from syncline.server.realm_directory import RealmDirectory
from syncline.server.settings import Settings, SettingsError
from syncline.server.sqlite_log import FootprintCache, SqliteLogStore
from syncline.server.store_pool import StorePool
from syncline.server.tokens import SigningKeys, Tokens

__all__ = ["ObjectServer"]

_log = logging.getLogger("syncline.server")
T = TypeVar("T")

#: How long connections may take to hear that the server stops, in seconds.
_FAREWELL_SECONDS: Final = 3.0


class ObjectServer:
    """The parts of a running server. Opens the data folder; :meth:`stop` closes it.

    Raises:
        SettingsError: the data folder is in use by another server, or its key file is unsafe.
        OSError: the data folder cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        #: URL that the location endpoint names; "" tells clients to stay with the URL they came by.
        self.location = settings.public_url or ""
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _lock_folder(settings)
        self._database = Database(settings.data / "directory.sqlite")
        self.accounts = Accounts(self._database)
        self.directory = RealmDirectory(self._database, settings.data / "realms")
        self.keys = SigningKeys(settings.data / "keys.json")
        issuer = settings.public_url or f"urn:uuid:{self.directory.server_id()}"
        self.tokens = Tokens(self.keys, issuer, settings)
        self.access = Access(self.accounts, self.directory, self.tokens, settings)
        self.login = Login(self.accounts, self.directory, self.tokens, Passwords(settings), settings)
        self._executor = ThreadPoolExecutor(settings.threads, thread_name_prefix="syncline")
        #: passwords are checked, and wait for a processor, beside the threads that serve Realms
        self._doorkeepers = ThreadPoolExecutor(settings.hash_queue + 1, thread_name_prefix="syncline-login")
        footprints: FootprintCache = BoundedCache(settings.footprint_cache_bytes)
        self.pool = StorePool(
            lambda realm: SqliteLogStore.open(realm.path, footprints, settings.keep_originals), settings.max_open_realms
        )
        self.hubs = Hubs(HubResources(settings, self.pool, self._executor))
        self.connections: set[SyncConnection] = set()
        self.is_stopping = False

    async def at_the_door(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call what checks passwords, on a thread of its own kind: a storm of logins must not hold up the Realms."""
        return await asyncio.get_running_loop().run_in_executor(self._doorkeepers, function, *arguments)

    def close_connections(self, chosen: Callable[[SyncConnection], bool], code: int, reason: str) -> None:
        """Close the connections that ``chosen`` says."""
        for connection in list(self.connections):
            if chosen(connection):
                connection.close(code, reason)

    async def stop(self) -> None:
        """Tell every connection, integrate what was received, close every file. Calling it again does nothing."""
        if self.is_stopping:
            return
        self.is_stopping = True
        for connection in list(self.connections):
            connection.shut_down()
        deadline = asyncio.get_running_loop().time() + _FAREWELL_SECONDS
        while self.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        await self.hubs.drain()
        await asyncio.get_running_loop().run_in_executor(self._executor, self.pool.close)
        await asyncio.to_thread(self._executor.shutdown)
        await asyncio.to_thread(self._doorkeepers.shutdown, cancel_futures=True)
        self._database.close()
        os.close(self._lock)
        _log.info("server stopped")


def _lock_folder(settings: Settings) -> int:
    descriptor = os.open(settings.data / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SettingsError(f"another server uses the data folder {settings.data}; stop it or choose another") from None
    return descriptor
