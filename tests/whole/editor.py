"""A client process that makes seeded random edits offline, for the convergence tests (``test_convergence.py``)."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

from syncline import (
    Counter,
    Field,
    List,
    Model,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncUser,
)
from syncline.cli.orders import obey

PATIENCE_S = 120.0


class Node(Model):
    """Scalars, an optional, a counter, a link and two lists."""

    id: int = Field(primary_key=True)
    name: str = ""
    number: int | None
    ratio: float = 0.0
    visits: Counter = 0
    best: Node | None
    numbers: List[int]
    friends: List[Node]


class Editor:
    """One client; every seed gets a Realm and a local file of its own."""

    def __init__(self, folder: str, server: str) -> None:
        SyncManager.shared(folder)
        self.folder = folder
        self.user = SyncUser.log_in(SyncCredentials.anonymous(), server)
        self.realm: Any = None

    def open(self, path: str) -> dict[str, Any]:
        """Open the Realm at ``path`` in a new local file, and wait until everything is here."""
        file = str(Path(self.folder, path.replace("/", "_") + ".realm"))
        self.realm = Realm.open(RealmConfiguration(schema=[Node], sync=SyncConfiguration(self.user, path, path=file)))
        self.realm.sync_session.wait_for_download(PATIENCE_S)
        self.realm.refresh()
        return {"objects": len(self.realm.objects(Node))}

    def populate(self, objects: int) -> dict[str, Any]:
        """The common state from which both clients start."""
        with self.realm.write():
            nodes = [self.realm.create(Node, id=ident, name=f"node {ident}") for ident in range(objects)]
            for node in nodes:
                node.numbers.extend(range(4))
                node.friends.extend(nodes[:3])
        return self.settle()

    def suspend(self) -> dict[str, Any]:
        """Go offline."""
        self.realm.sync_session.suspend()
        return {}

    def edit(self, seed: int, operations: int, objects: int) -> dict[str, Any]:
        """Make ``operations`` random edits in transactions of one to ten."""
        chance = random.Random(seed)
        left = operations
        while left:
            size = min(left, chance.randint(1, 10))
            with self.realm.write():
                for _ in range(size):
                    self._edit_once(chance, objects)
            left -= size
        return {}

    def _edit_once(self, chance: random.Random, objects: int) -> None:
        ident = chance.randrange(objects + 5)
        node = self.realm.get(Node, ident)
        if node is None:
            self.realm.create(Node, id=ident, name=f"made {chance.random():.3f}")
            return
        kind = chance.randrange(14)
        if kind == 0:
            self.realm.delete(node)
        elif kind <= 2:
            node.name = f"name {chance.randrange(1000)}"
        elif kind == 3:
            node.number = chance.choice([None, chance.randrange(1000)])
        elif kind == 4:
            node.ratio = chance.random()
        elif kind == 5:
            node.visits += chance.randint(-5, 5)
        elif kind == 6:
            node.best = chance.choice([None, self.realm.get(Node, chance.randrange(objects))])
        elif kind <= 11:
            self._edit_list(chance, node.numbers, chance.randrange(100))
        else:
            other = self.realm.get(Node, chance.randrange(objects))
            if other is not None:
                self._edit_list(chance, node.friends, other)

    def _edit_list(self, chance: random.Random, elements: Any, value: Any) -> None:
        size = len(elements)
        action = chance.randrange(8)
        if action <= 3 or not size:
            elements.insert(chance.randint(0, size), value)
        elif action == 4:
            elements[chance.randrange(size)] = value
        elif action == 5:
            elements.move(chance.randrange(size), chance.randrange(size))
        elif action == 6:
            del elements[chance.randrange(size)]
        elif chance.randrange(6) == 0:
            elements.clear()
        else:
            elements.append(value)

    def resume(self) -> dict[str, Any]:
        """Go online."""
        self.realm.sync_session.resume()
        return {}

    def settle(self) -> dict[str, Any]:
        """Wait until everything is sent and received."""
        self.realm.sync_session.wait_for_upload(PATIENCE_S)
        self.realm.sync_session.wait_for_download(PATIENCE_S)
        return {}

    def hash(self) -> dict[str, Any]:
        """The content hash of the newest version."""
        self.realm.refresh()
        return {"hash": self.realm.content_hash(), "objects": len(self.realm.objects(Node))}

    def close(self) -> dict[str, Any]:
        """Close the Realm of this seed."""
        self.realm.close()
        return {}


if __name__ == "__main__":
    obey(Editor(*sys.argv[1:3]))
