"""Replaying unsynced changes on the server's state (spec/sessions.md §12.11)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from syncline.changesets.codec import decode
from syncline.errors import AutomaticResetError
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.storage.recovery import Recovery, recover
from syncline.storage.transfer import transfer
from syncline.testing.choices import RandomChoices
from syncline.testing.operations import execute_all
from syncline.testing.random_operations import STANDARD, random_transaction

SCHEMA = {
    "op": "schema",
    "classes": [
        {"name": "Dest", "pk": {"name": "id", "type": "int"}, "props": []},
        {
            "name": "Source",
            "pk": {"name": "id", "type": "int"},
            "props": [
                {"name": "links", "type": "link", "target": "Dest", "collection": "list"},
                {"name": "count", "type": "int", "nullable": True},
                {"name": "name", "type": "string"},
                {"name": "any", "type": "mixed"},
                {"name": "tags", "type": "string", "collection": "set"},
                {"name": "map", "type": "int", "collection": "dict"},
            ],
        },
    ],
}


class Sides:
    """The application's file and the server's state, equal to begin with."""

    def __init__(self, folder: Path) -> None:
        self.own = RealmFile.open(folder / "own.realm", history=True)
        self.fresh = RealmFile.open(folder / "fresh.realm", history=True)
        self.synced = 0

    def both(self, *operations: Any) -> None:
        for file in (self.own, self.fresh):
            edit(file, operations)
        self.synced = self.own.version

    def recover(self) -> Recovery:
        """Recover into the own file; afterwards what would be uploaded makes the server's state the same."""
        changes = ClientHistory(self.own).local_changes(self.synced)
        tx = self.fresh.begin()
        try:
            with self.own.write() as own:
                own.recording = False
                recovery = recover(changes, own, tx)
                transfer(tx, own)
        finally:
            self.fresh.rollback(tx)
        with self.fresh.write() as tx:
            for data in recovery.changesets.values():
                if data:
                    tx.apply(decode(data))
        assert state(self.fresh) == state(self.own), "what is uploaded says the same"
        return recovery

    def links(self) -> list[int] | None:
        with self.own.snapshot() as snapshot, snapshot.lock:
            reader, source = snapshot.reader, snapshot.catalogue.classes["Source"]
            dest = snapshot.catalogue.classes["Dest"]
            k = reader.find(source, 1)
            if k is None:
                return None
            found = reader.list_slice(reader.collection(source, k, source.properties["links"]))
            return [reader.key_of(dest, link.object_key) for link in found]  # type: ignore[union-attr,misc]

    def close(self) -> None:
        self.own.close()
        self.fresh.close()


def edit(file: RealmFile, operations: Sequence[Any]) -> None:
    with file.write() as tx:
        execute_all(tx, operations)


def state(file: RealmFile) -> Any:
    with file.snapshot() as snapshot, snapshot.lock:
        return dump(snapshot.reader)


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[Sides]:
    sides = Sides(tmp_path)
    yield sides
    sides.close()


def link(number: int) -> Any:
    return {"link": ["Dest", number]}


def at(op: str, **operands: Any) -> Any:
    """An operation on the list of source 1."""
    return {"op": op, "class": "Source", "obj": 1, "path": ["links"], **operands}


def add(number: int, index: int) -> Any:
    return at("list_insert", index=index, value=link(number))


def remove(index: int) -> Any:
    return at("list_erase", index=index)


def move(source: int, target: int) -> Any:
    return at("list_move", **{"from": source, "to": target})


CLEAR = at("list_clear")


def erase(table: str, number: int) -> Any:
    return {"op": "erase", "class": table, "obj": number}


CREATE = {"op": "create", "class": "Source", "pk": 1}

WORKED = [
    # row of the spec, local, server, recovered list of [1, 2, 3]
    ("– | remove 1", [], [remove(0)], [2, 3]),
    ("remove 1 | remove 3", [remove(0)], [remove(2)], [2, 3]),
    ("add 4 | add 5, remove 5, add 5", [add(4, 3)], [add(5, 3), remove(3), add(5, 3)], [1, 2, 3, 4, 5]),
    ("add 4 | add 4", [add(4, 3)], [add(4, 3)], [1, 2, 3, 4, 4]),
    ("remove 2 | add 4, add 5", [remove(1)], [add(4, 3), add(5, 4)], [1, 3]),
    ("clear, add 1 | clear, add 2", [CLEAR, add(1, 0)], [CLEAR, add(2, 0)], [1]),
    ("add 4 | delete object 4", [add(4, 3)], [erase("Dest", 4)], [1, 2, 3]),
    ("add 5, move 0→1 | add 4", [add(5, 3), move(0, 1)], [add(4, 3)], [2, 1, 3, 5]),
    ("add 4, add 5, move 3→4 | move 0→1", [add(4, 3), add(5, 4), move(3, 4)], [move(0, 1)], [2, 1, 3, 5, 4]),
    (
        "add 4, add 5, move 3→4 | add 1, add 2",
        [add(4, 3), add(5, 4), move(3, 4)],
        [add(1, 3), add(2, 4)],
        [1, 2, 3, 5, 4, 1, 2],
    ),
    (
        "add 4, add 5, move 3→4 | remove 1, remove 2",
        [add(4, 3), add(5, 4), move(3, 4)],
        [remove(0), remove(0)],
        [3, 5, 4],
    ),
    (
        "add 5; insert 0←1; delete object 4 | add 4; insert 3←3; delete object 5",
        [add(5, 3), add(1, 0), erase("Dest", 4)],
        [add(4, 3), add(3, 3), erase("Dest", 5)],
        [1, 1, 2, 3, 3],
    ),
    ("add 4, delete source object | add 5", [add(4, 3), erase("Source", 1)], [add(5, 3)], None),
    ("remove 1 | delete source object", [remove(0)], [erase("Source", 1)], None),
    (
        "delete source, create it again, add 1 | delete source",
        [erase("Source", 1), CREATE, add(1, 0)],
        [erase("Source", 1)],
        [1],
    ),
]


@pytest.mark.parametrize(("local", "server", "recovered"), [row[1:] for row in WORKED], ids=[row[0] for row in WORKED])
def test_the_worked_results(sides: Sides, local: list[Any], server: list[Any], recovered: list[int] | None) -> None:
    dests = [{"op": "create", "class": "Dest", "pk": number} for number in range(1, 6)]
    sides.both(SCHEMA, *dests, CREATE, add(1, 0), add(2, 1), add(3, 2))
    for operation in local:
        edit(sides.own, [operation])
    edit(sides.fresh, server)
    sides.recover()
    assert sides.links() == recovered


def test_the_worked_result_of_a_set(sides: Sides) -> None:
    """add 4 | add 4: one 4."""
    sides.both(SCHEMA, CREATE)
    inserted = {"op": "set_insert", "class": "Source", "obj": 1, "path": ["tags"], "value": "4"}
    edit(sides.own, [inserted])
    edit(sides.fresh, [inserted])
    sides.recover()
    (source,) = state(sides.own)["objects"]["Source"]
    assert source["props"]["tags"] == {"set": [{"str": "4"}]}


def test_removed_classes_cannot_be_recovered(sides: Sides) -> None:
    sides.both(SCHEMA)
    edit(sides.own, [{"op": "erase_class", "class": "Source"}])
    with pytest.raises(AutomaticResetError, match="destructive schema changes"):
        sides.recover()


def test_what_is_lost_is_told_without_values(sides: Sides) -> None:
    sides.both(SCHEMA, CREATE)
    edit(sides.own, [{"op": "set", "class": "Source", "obj": 1, "path": ["name"], "value": "secret"}])
    edit(sides.fresh, [erase("Source", 1)])
    recovery = sides.recover()
    assert recovery.replayed == 0
    ((version, what, reason),) = recovery.lost
    assert version == sides.synced + 1
    assert "Source" in what
    assert "secret" not in what
    assert reason == "the server has deleted the object"
    assert recovery.changesets == {version: b""}, "an empty one keeps its version"


@pytest.mark.parametrize("seed", range(15))
def test_nothing_is_lost_where_the_server_has_not_changed(sides: Sides, seed: int) -> None:
    choices = RandomChoices(seed)
    domain = replace(STANDARD, nested_moves=True)
    for _ in range(3):
        sides.both(*random_transaction(choices, replace(domain, additions=()), state(sides.own), 10))
    for _ in range(4):
        edit(sides.own, random_transaction(choices, domain, state(sides.own), 6))
    wanted = state(sides.own)
    recovery = sides.recover()
    assert recovery.lost == []
    assert state(sides.own) == wanted


@pytest.mark.parametrize("seed", range(15))
def test_what_is_uploaded_says_the_same_whatever_the_server_did(sides: Sides, seed: int) -> None:
    choices = RandomChoices(100 + seed)
    domain = replace(STANDARD, additions=())
    for _ in range(3):
        sides.both(*random_transaction(choices, domain, state(sides.own), 10))
    for file in (sides.own, sides.fresh):
        for _ in range(3):
            edit(file, random_transaction(choices, domain, state(file), 6))
    sides.recover()
