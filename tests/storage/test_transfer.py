"""Making one file equal to another (spec/sessions.md §12.12)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.changesets.codec import decode
from syncline.errors import SchemaError
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.refs import ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.storage.transfer import transfer
from syncline.testing.choices import RandomChoices
from syncline.testing.domains import Domain
from syncline.testing.operations import execute_all
from syncline.testing.random_operations import STANDARD, random_transaction
from syncline.values.kinds import INT, STRING

TASK = {
    "op": "schema",
    "classes": [
        {
            "name": "Task",
            "pk": {"name": "id", "type": "int"},
            "props": [
                {"name": "title", "type": "string"},
                {"name": "numbers", "type": "int", "collection": "list"},
                {"name": "others", "type": "link", "target": "Task", "collection": "list"},
            ],
        }
    ],
}

#: Only the source gets new classes and properties on the way.
OWN = dataclasses.replace(STANDARD, additions=())


class Pair:
    """The fresh copy and the application's file."""

    def __init__(self, folder: Path) -> None:
        self.source = RealmFile.open(folder / "source.realm", history=True)
        self.own = RealmFile.open(folder / "own.realm", history=True)

    def transfer(self) -> None:
        with self.source.reading_alone() as source, self.own.write() as tx:
            tx.recording = False
            transfer(source, tx)

    def close(self) -> None:
        self.source.close()
        self.own.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.close()


def state(file: RealmFile) -> Any:
    with file.snapshot() as snapshot, snapshot.lock:
        return dump(snapshot.reader)


def edit(file: RealmFile, choices: RandomChoices, operations: int, domain: Domain = STANDARD) -> None:
    made = random_transaction(choices, domain, state(file), operations)
    with file.write() as tx:
        execute_all(tx, made)


@pytest.mark.parametrize("seed", range(20))
def test_any_file_becomes_equal_to_any_other(pair: Pair, seed: int) -> None:
    choices = RandomChoices(seed)
    for file, domain in ((pair.source, STANDARD), (pair.own, OWN)):
        for _ in range(4):
            edit(file, choices, 12, domain)
    pair.transfer()
    assert state(pair.own) == state(pair.source)
    version = pair.own.version
    pair.transfer()
    assert pair.own.version == version, "what is equal is not written"
    edit(pair.source, choices, 12)
    pair.transfer()
    assert state(pair.own) == state(pair.source), "small differences"


def test_nothing_is_recorded(pair: Pair) -> None:
    edit(pair.source, RandomChoices(1), 5)
    edit(pair.source, RandomChoices(1), 5)
    pair.transfer()
    assert pair.own.query("SELECT count(*) FROM rlm_history WHERE size > 0") == [(0,)]


def schema(tx: WriteTransaction) -> None:
    execute_all(tx, [TASK])


def create(file: RealmFile, number: int, title: str, numbers: list[int]) -> None:
    with file.write() as tx:
        schema(tx)
        execute_all(
            tx,
            [{"op": "create", "class": "Task", "pk": number, "values": {"title": title, "numbers": {"list": numbers}}}],
        )


def test_only_differences_are_noted_for_observers(pair: Pair) -> None:
    create(pair.source, 1, "same", [1, 2, 3, 5])
    create(pair.source, 2, "new", [])
    create(pair.own, 1, "same", [1, 2, 4, 5])
    create(pair.own, 3, "gone", [])
    before = pair.own.version
    pair.transfer()
    (log,) = pair.own.change_logs(before, pair.own.version) or []
    with pair.own.snapshot() as snapshot, snapshot.lock:
        task = snapshot.catalogue.classes["Task"]
        assert log.modified == {task.properties["numbers"].id: {0}}
        assert log.deleted == {task.id: {1}}


@pytest.mark.parametrize("lost", ["class", "column"])
def test_an_open_realm_cannot_lose_classes_or_columns(pair: Pair, lost: str) -> None:
    create(pair.source, 1, "a", [])
    create(pair.own, 1, "a", [])
    with pair.own.write() as tx:
        if lost == "class":
            tx.add_class("Mine", primary_key="id", key_type=INT)
        else:
            tx.add_property(tx.catalogue.classes["Task"], "mine", STRING)
    with pytest.raises(SchemaError, match=r"Mine|mine"):
        pair.transfer()


@pytest.mark.parametrize("difference", ["type", "nullability", "key"])
def test_what_both_have_must_agree(pair: Pair, difference: str) -> None:
    create(pair.source, 1, "a", [])
    with pair.source.write() as tx:
        tx.add_property(tx.catalogue.classes["Task"], "x", INT)
        tx.add_class("Other", primary_key="id", key_type=INT)
    create(pair.own, 1, "a", [])
    with pair.own.write() as tx:
        task = tx.catalogue.classes["Task"]
        if difference == "type":
            tx.add_property(task, "x", STRING)
        elif difference == "nullability":
            tx.add_property(task, "x", INT, nullable=True)
        else:
            tx.add_class("Other", primary_key="id", key_type=STRING)
    with pytest.raises(SchemaError):
        pair.transfer()


def test_links_to_missing_objects_come_along(pair: Pair) -> None:
    """Hidden elements count in the instructions of other peers."""
    create(pair.source, 1, "a", [])
    create(pair.source, 2, "b", [])
    create(pair.source, 3, "c", [])
    pair.transfer()
    with pair.own.write() as tx:  # another peer erases an object that this one links to
        task = tx.catalogue.classes["Task"]
        k = tx.find(task, 2)
        assert k is not None
        tx.erase(task, k)
    ((erasure,),) = pair.own.query("SELECT changeset FROM rlm_history WHERE size > 0 ORDER BY version DESC LIMIT 1")
    with pair.source.write() as tx:
        task = tx.catalogue.classes["Task"]
        k = tx.find(task, 1)
        assert k is not None
        others = tx.collection(task, k, task.properties["others"])
        for number in (3, 2, 3):
            target = tx.find(task, number)
            assert target is not None
            tx.list_insert(others, tx.size(others), ObjectRef(task.id, target))
    with pair.source.write() as tx:
        tx.apply(decode(erasure))
    pair.transfer()
    with pair.own.snapshot() as snapshot, snapshot.lock:
        reader = snapshot.reader
        task = snapshot.catalogue.classes["Task"]
        k = reader.find(task, 1)
        assert k is not None
        others = reader.collection(task, k, task.properties["others"])
        assert (reader.size(others), reader.list_real_size(others)) == (2, 3)
    create(pair.source, 2, "b again", [])
    pair.transfer()
    assert state(pair.own) == state(pair.source), "the link came back"
