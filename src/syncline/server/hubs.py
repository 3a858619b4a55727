"""Which Realms are active: one hub each, made with its first session and dropped after its last."""

from __future__ import annotations

import asyncio

from syncline.server.hub import Hub, HubResources
from syncline.server.realm_directory import RealmRecord

__all__ = ["Hubs"]


class Hubs:
    """The hubs of a server. Belongs to the event loop's thread."""

    def __init__(self, resources: HubResources) -> None:
        self.resources = resources
        self._opening: dict[str, asyncio.Task[Hub]] = {}
        self._users: dict[str, int] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def acquire(self, realm: RealmRecord) -> Hub:
        """The Realm's hub; give it back with :meth:`release`.

        Raises:
            FileError: the Realm's file cannot be opened.
        """
        name = realm.storage_id
        self._users[name] = self._users.get(name, 0) + 1
        if name not in self._opening:
            self._opening[name] = asyncio.get_running_loop().create_task(Hub.open(realm, self.resources))
        try:
            return await asyncio.shield(self._opening[name])
        except BaseException:
            self._give_back(name)
            raise

    def release(self, hub: Hub) -> None:
        """One user less; the last one's uploads are integrated before the hub goes."""
        task = asyncio.get_running_loop().create_task(self._release(hub))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _release(self, hub: Hub) -> None:
        await hub.drain()
        self._give_back(hub.realm.storage_id)

    def _give_back(self, name: str) -> None:
        self._users[name] -= 1
        if self._users[name] == 0:
            del self._users[name]
            del self._opening[name]

    async def drain(self) -> None:
        """Wait until everything that was uploaded to any Realm is integrated."""
        for task in list(self._opening.values()):
            hubs = await asyncio.gather(task, return_exceptions=True)
            for hub in hubs:
                if isinstance(hub, Hub):
                    await hub.drain()

    def __len__(self) -> int:
        return len(self._users)
