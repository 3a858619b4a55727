"""A client process that makes seeded random edits offline, for the convergence tests (``test_convergence.py``)."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

from syncline import (
    Counter,
    Dictionary,
    EmbeddedModel,
    Field,
    List,
    Model,
    Realm,
    RealmConfiguration,
    Set,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncUser,
)
from syncline.testing.orders import obey

PATIENCE_S = 120.0


class Part(EmbeddedModel):
    """Belongs to a node."""

    name: str = ""
    size: int = 0


class Note(Model):
    """Without primary key."""

    text: str = ""
    about: Node | None


class Node(Model):
    """Scalars, an optional, a counter, links, lists, embedded objects, a set and a dictionary."""

    id: int = Field(primary_key=True)
    name: str = ""
    number: int | None
    ratio: float = 0.0
    visits: Counter = 0
    anything: Any
    best: Node | None
    numbers: List[int]
    friends: List[Node]
    notes: List[Note]
    part: Part | None
    parts: List[Part]
    tags: Set[str]
    marks: Dictionary[str, int]


class Undone(Exception):
    """Cancels a transaction."""


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
        self.realm = Realm.open(
            RealmConfiguration(schema=[Node, Note, Part], sync=SyncConfiguration(self.user, path, path=file))
        )
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
        """Make ``operations`` random edits in transactions of one to ten, some of which are cancelled."""
        chance = random.Random(seed)
        edits = Edits(self.realm, chance, objects)
        left = operations
        while left:
            size = min(left, chance.randint(1, 10))
            try:
                with self.realm.write():
                    for _ in range(size):
                        edits.make_one()
                    if chance.randrange(15) == 0:
                        raise Undone
            except Undone:
                pass
            left -= size
        return {}

    def resume(self) -> dict[str, Any]:
        """Go online."""
        self.realm.sync_session.resume()
        return {}

    def reconnect(self) -> dict[str, Any]:
        """Do not wait for the next attempt to connect."""
        SyncManager.shared().reconnect()
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


class Edits:
    """Random edits of a Realm inside a write transaction."""

    def __init__(self, realm: Any, chance: random.Random, objects: int) -> None:
        self.realm = realm
        self.chance = chance
        self.objects = objects
        self.kinds = [
            (self.delete, 2), (self.delete_a_linked_one, 1), (self.recreate, 1), (self.set_scalar, 4),
            (self.count, 2), (self.link, 2), (self.edit_numbers, 5), (self.edit_friends, 3), (self.edit_notes, 3),
            (self.edit_parts, 3), (self.edit_tags, 2), (self.edit_marks, 2),
        ]  # fmt: skip
        self.weights = [weight for _, weight in self.kinds]

    def make_one(self) -> None:
        ident = self.chance.randrange(self.objects + 5)
        node = self.realm.get(Node, ident)
        if node is None:
            self.realm.create(Node, id=ident, name=f"made {self.chance.random():.3f}")
            return
        ((edit, _),) = self.chance.choices(self.kinds, self.weights)
        edit(node)

    def other(self) -> Any:
        return self.realm.get(Node, self.chance.randrange(self.objects))

    # --- objects ----------------------------------------------------------------------------------------------------

    def delete(self, node: Any) -> None:
        self.realm.delete(node)

    def delete_a_linked_one(self, node: Any) -> None:
        linked = [other for other in [node.best, *node.friends, *node.notes] if other is not None]
        if linked:
            self.realm.delete(self.chance.choice(linked))

    def recreate(self, node: Any) -> None:
        ident = node.id
        self.realm.delete(node)
        self.realm.create(Node, id=ident, name="again", numbers=[1, 2, 3], tags={"new"})

    # --- values -----------------------------------------------------------------------------------------------------

    def set_scalar(self, node: Any) -> None:
        chance = self.chance
        kind = chance.randrange(5)
        if kind <= 1:
            node.name = f"name {chance.randrange(1000)}"
        elif kind == 2:
            node.number = chance.choice([None, chance.randrange(1000)])
        elif kind == 3:
            node.ratio = chance.random()
        else:
            node.anything = chance.choice(
                [None, True, chance.randrange(9), chance.random(), "text", b"x", self.other()]
            )

    def count(self, node: Any) -> None:
        node.visits += self.chance.randint(-5, 5)

    def link(self, node: Any) -> None:
        node.best = self.chance.choice([None, self.other(), node])

    # --- collections ------------------------------------------------------------------------------------------------

    def edit_numbers(self, node: Any) -> None:
        self.edit_list(node.numbers, self.chance.randrange(100))

    def edit_friends(self, node: Any) -> None:
        other = self.other()
        if other is not None:
            self.edit_list(node.friends, other)

    def edit_notes(self, node: Any) -> None:
        notes = self.realm.objects(Note)
        if len(notes) and self.chance.randrange(2):
            note = notes[self.chance.randrange(len(notes))]
            note.text = f"text {self.chance.randrange(100)}"
            note.about = self.chance.choice([None, node])
        else:
            note = self.realm.create(Note, text="new", about=node)
        self.edit_list(node.notes, note)

    def edit_parts(self, node: Any) -> None:
        chance = self.chance
        kind = chance.randrange(6)
        if kind == 0:
            node.part = chance.choice([None, Part(name="whole", size=chance.randrange(100))])
        elif kind == 1 and node.part is not None:
            node.part.size = chance.randrange(100)
        elif kind == 2 and len(node.parts):
            chance.choice(node.parts).name = f"part {chance.randrange(100)}"
        else:
            self.edit_list(node.parts, Part(name="new", size=chance.randrange(100)))

    def edit_tags(self, node: Any) -> None:
        tag = self.chance.choice("abcdef")
        if self.chance.randrange(20) == 0:
            node.tags.clear()
        elif self.chance.randrange(2):
            node.tags.add(tag)
        else:
            node.tags.discard(tag)

    def edit_marks(self, node: Any) -> None:
        key = self.chance.choice("pqrs")
        if self.chance.randrange(20) == 0:
            node.marks.clear()
        elif key in node.marks and self.chance.randrange(2):
            del node.marks[key]
        else:
            node.marks[key] = self.chance.randrange(100)

    def edit_list(self, elements: Any, value: Any) -> None:
        chance = self.chance
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


if __name__ == "__main__":
    obey(Editor(*sys.argv[1:3]))
