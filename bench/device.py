"""One client of the benchmark, in a process of its own (see ``whole.py``)."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

from syncline import (
    Field,
    Model,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncUser,
)
from syncline.testing.orders import obey, say

PATIENCE_S = 300.0


class Item(Model):
    """Four properties, as in the figures of the original that we compare with."""

    id: int = Field(primary_key=True)
    name: str
    count: int
    score: float


class Client:
    """What the benchmark lets a client do."""

    def __init__(self, folder: str, server: str, path: str) -> None:
        SyncManager.shared(folder)
        user = SyncUser.log_in(SyncCredentials.anonymous(), server)
        sync = SyncConfiguration(user, path, path=str(Path(folder, "bench.realm")))
        self.realm = Realm.open(RealmConfiguration(schema=[Item], sync=sync))
        self.session = self.realm.sync_session

    def write_offline(self, objects: int, per_transaction: int) -> dict[str, Any]:
        """Create objects while suspended: seconds of local writing alone."""
        self.session.suspend()
        create = self.realm.create
        began = time.perf_counter()
        for first in range(0, objects, per_transaction):
            with self.realm.write():
                for number in range(first, first + per_transaction):
                    create(Item, id=number, name=f"item number {number}", count=number * 7, score=number / 3)
        return {"seconds": time.perf_counter() - began}

    def upload(self) -> dict[str, Any]:
        """Go online: seconds until all of it is acknowledged."""
        began = time.perf_counter()
        self.session.resume()
        self.session.wait_for_upload(PATIENCE_S)
        return {"seconds": time.perf_counter() - began}

    def download(self) -> dict[str, Any]:
        """Seconds until everything is here and visible."""
        began = time.perf_counter()
        self.session.wait_for_download(PATIENCE_S)
        self.realm.refresh()
        return {"seconds": time.perf_counter() - began, "objects": len(self.realm.objects(Item))}

    def edit_singly(self, first: int, edits: int, pause_s: float) -> dict[str, Any]:
        """Single-object transactions with a pause after each; the moment each began."""
        moments = []
        for number in range(first, first + edits):
            moments.append(time.monotonic())
            with self.realm.write():
                self.realm.create(Item, id=number, name="edit", count=number, score=0.0)
            time.sleep(pause_s)
        return {"moments": moments}

    def watch(self, edits: int) -> dict[str, Any]:
        """The moment at which each of the edits was delivered to an observer of the collection."""
        moments: list[float] = []
        self.realm.refresh()
        items = self.realm.objects(Item)

        def seen(_: Any, change: Any) -> None:
            moments.extend([time.monotonic()] * len(change.insertions))

        token = items.observe(seen)
        self.realm.refresh()
        moments.clear()
        say(progress="watching")
        deadline = time.monotonic() + PATIENCE_S
        while len(moments) < edits and time.monotonic() < deadline:
            self.realm.wait_for_change(1.0)
            self.realm.refresh()
        token.invalidate()
        return {"moments": moments}

    def commit_and_acknowledge(self, first: int, transactions: int, each: bool) -> dict[str, Any]:
        """Single-object transactions until all are acknowledged; ``each``: wait for each before the next."""
        began = time.perf_counter()
        for number in range(first, first + transactions):
            with self.realm.write():
                self.realm.create(Item, id=number, name="tx", count=number, score=0.5)
            if each:
                self.session.wait_for_upload(PATIENCE_S)
        self.session.wait_for_upload(PATIENCE_S)
        return {"seconds": time.perf_counter() - began}

    def memory(self) -> dict[str, Any]:
        """Peak memory of this process in bytes."""
        return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


if __name__ == "__main__":
    obey(Client(*sys.argv[1:4]))
