"""The table of words says at every moment what the stored texts say (spec/sdk.md §13.6)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline import Realm
from syncline.changesets.codec import decode, encode_recorded
from syncline.errors import FormatUpgradeRequiredError, SchemaError
from syncline.storage.bulk import BulkColumn, create_batch
from syncline.storage.catalogue import FULL_TEXT_INDEX, GENERAL_INDEX, NOT_INDEXED
from syncline.storage.connection import connect
from syncline.storage.conversion import convert
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.storage.reader import Reader
from syncline.storage.transaction import WriteTransaction
from syncline.storage.transfer import transfer
from syncline.testing.choices import BytesChoices, Choices, RandomChoices
from syncline.testing.domains import VALUES, Domain, properties
from syncline.testing.exhaustive.invariants import Invariants
from syncline.testing.operations import execute_all
from syncline.testing.random_operations import random_transaction
from syncline.values.kinds import INT, LIST_COLLECTION, MIXED, SINGLE_COLLECTION, STRING

#: ``SYNCLINE_FULL_TEXT=20000`` for a long look.
HISTORIES = int(os.environ.get("SYNCLINE_FULL_TEXT", "25"))

TEXTS = [
    "",
    "dog",
    "the dog",
    "The DOG and a Cat",
    "cat",
    "2×3 Åå ÿ",
    "привет",
    "x" * 70 + " y",
    {"strhex": "61ff646f67"},
]
NOTE = properties(text="string?", words="string", inner="link:Note")
PERSON = properties(bio="string?", title="string", age="int", note="link:Note", notes="link:Note[]", best="link:Person")
DOMAIN = Domain(
    (
        {"name": "Note", "embedded": True, "props": NOTE},
        {"name": "Person", "pk": {"name": "_id", "type": "int"}, "props": PERSON},
        {"name": "Dog", "props": properties(name="string", owner="link:Person")},
        {"name": "Log", "asymmetric": True, "pk": {"name": "_id", "type": "int"}, "props": properties(text="string")},
    ),
    (
        {"name": "Person", "props": properties(nick="string?")},
        {"name": "Cat", "pk": {"name": "_id", "type": "string"}, "props": properties(name="string?")},
    ),
    weights={"change": 60, "create": 20, "erase": 10, "clear_class": 2, "schema": 8},
    schema_removal=True,
    values={**VALUES, "string": TEXTS},
)


def faults(reader: Reader) -> list[str]:
    return Invariants().broken(reader)


def index(tx: WriteTransaction, choices: Choices) -> None:
    """Give texts an index, or take it from some."""
    for info in list(tx.catalogue.classes.values()):
        for prop in list(info.singles):
            if prop.type == STRING and not prop.is_primary_key and choices.chance(70 if prop.indexed == 0 else 5):
                tx.set_index(info, prop, NOT_INDEXED if prop.indexed else FULL_TEXT_INDEX)


class Undone(Exception):
    """A transaction, or a part of one, is given up."""


def edit(tx: WriteTransaction, choices: Choices) -> None:
    """Some operations; a part of them may be undone."""
    if tx.catalogue.classes and choices.chance(30):
        with suppress(Undone), tx.savepoint():
            execute_all(tx, random_transaction(choices, DOMAIN, dump(tx), 4))
            raise Undone
        assert faults(tx) == []
    execute_all(tx, random_transaction(choices, DOMAIN, dump(tx), choices.integer(1, 8)))
    index(tx, choices)
    if choices.chance(50):
        assert faults(tx) == []


def check(choices: Choices) -> None:
    """One device writes; another applies it, and takes over its state now and then."""
    own, other = RealmFile.in_memory(), RealmFile.in_memory()
    try:
        ClientHistory(own).set_file_ident(1, 1)
        ClientHistory(other).set_file_ident(2, 1)
        for _ in range(choices.integer(2, 8)):
            if choices.chance(20):
                with suppress(Undone), own.write() as tx:
                    edit(tx, choices)
                    raise Undone
            with own.write() as tx:
                edit(tx, choices)
                recorded = encode_recorded(tx.instructions, tx.embedded_classes)
            with other.write() as tx:
                tx.apply(decode(recorded))
                index(tx, choices)
            if choices.chance(20):  # the other's own changes go
                with other.write() as tx:
                    edit(tx, choices)
                if schema_of(own) != schema_of(other):
                    return
                with own.reading_alone() as source, other.write() as tx:
                    tx.recording = False
                    transfer(source, tx)
            for file in (own, other):
                with file.reading_alone() as reader:
                    assert faults(reader) == []
    finally:
        own.close()
        other.close()


def schema_of(file: RealmFile) -> Any:
    with file.reading_alone() as reader:
        return dump(reader)["schema"]


@settings(max_examples=HISTORIES, deadline=None)
@given(st.binary(max_size=600))
def test_any_history(data: bytes) -> None:
    check(BytesChoices(data))


@pytest.mark.parametrize("seed", range(10))
def test_long_histories(seed: int) -> None:
    check(RandomChoices(seed))


# --- one by one -------------------------------------------------------------------------------------------------------


@pytest.fixture
def file() -> Iterator[RealmFile]:
    opened = RealmFile.in_memory()
    with opened.write() as tx:
        tx.add_class("Dog", primary_key="id", key_type=INT)
        tx.add_property(tx.catalogue.classes["Dog"], "about", STRING, nullable=True, indexed=FULL_TEXT_INDEX)
        tx.add_property(tx.catalogue.classes["Dog"], "name", STRING)
        dog = tx.catalogue.classes["Dog"]
        for number, text in enumerate(["a dog", "a cat", None, ""]):
            tx.create(dog, number, [(dog.properties["about"], text, False), (dog.properties["name"], "Rex", False)])
    yield opened
    opened.close()


def words(file: RealmFile) -> list[tuple[str, int]]:
    with file.reading_alone() as reader:
        assert faults(reader) == []
        tables = [prop.words.name for prop in reader.catalogue.properties.values() if prop.words is not None]
        return [row for table in tables for row in reader.connection.execute(f"SELECT tok, o FROM {table}")]


def tables(file: RealmFile) -> list[str]:
    return [name for (name,) in file.query("SELECT name FROM sqlite_schema WHERE name GLOB 'ft*'")]


BEFORE = [("a", 0), ("a", 1), ("cat", 1), ("dog", 0)]


def test_one_by_one(file: RealmFile) -> None:
    assert words(file) == BEFORE
    with file.write() as tx:
        dog = tx.catalogue.classes["Dog"]
        tx.set(dog, 0, dog.properties["about"], "The dog")
        tx.set(dog, 1, dog.properties["name"], "Max")
        tx.set(dog, 2, dog.properties["about"], "new")
        tx.erase(dog, 1)
    assert words(file) == [("dog", 0), ("new", 2), ("the", 0)]
    with file.write() as tx:
        tx.clear_class(tx.catalogue.classes["Dog"])
    assert words(file) == []


def test_all_at_once(file: RealmFile) -> None:
    with file.write() as tx:
        dog = tx.catalogue.classes["Dog"]
        column = BulkColumn(tx, dog, dog.properties["about"], ["a", None, "b c"], False)
        create_batch(tx, dog, [10, 11, 12], 3, [column])
        create_batch(tx, dog, [13], 1, [])
    assert words(file) == sorted([*BEFORE, ("a", 4), ("b", 6), ("c", 6)])


def test_what_is_undone_leaves_no_words(file: RealmFile) -> None:
    with suppress(Undone), file.write() as tx:
        dog = tx.catalogue.classes["Dog"]
        tx.set(dog, 0, dog.properties["about"], "other")
        tx.flush()
        raise Undone
    assert words(file) == BEFORE


def test_indexes_come_and_go(file: RealmFile) -> None:
    def change(name: str, indexed: int) -> None:
        with file.write() as tx:
            dog = tx.catalogue.classes["Dog"]
            tx.set_index(dog, dog.properties[name], indexed)

    change("about", GENERAL_INDEX)
    assert tables(file) == []
    change("about", FULL_TEXT_INDEX)
    assert words(file) == BEFORE
    change("name", FULL_TEXT_INDEX)
    assert len(words(file)) == len(BEFORE) + 4
    with file.write() as tx:
        tx.erase_property(tx.catalogue.classes["Dog"], tx.catalogue.classes["Dog"].properties["about"])
    assert words(file) == [("rex", number) for number in range(4)]
    with file.write() as tx:
        tx.erase_class(tx.catalogue.classes["Dog"])
    assert tables(file) == []


def test_many_words_go_to_the_file_in_pieces(monkeypatch: pytest.MonkeyPatch, file: RealmFile) -> None:
    monkeypatch.setattr("syncline.storage.full_text._WAITING_MAX", 3)
    monkeypatch.setattr("syncline.storage.full_text._TEXTS_MAX", 2)
    with file.write() as tx:
        dog = tx.catalogue.classes["Dog"]
        for number in range(5):
            k, _ = tx.create(dog, 100 + number)
            tx.set(dog, k, dog.properties["about"], "one two three")
        for k in range(4):
            tx.set(dog, k, dog.properties["about"], "a bird")
    assert len(words(file)) == 5 * 3 + 4 * 2


@pytest.mark.parametrize(
    ("type", "collection"), [(INT, SINGLE_COLLECTION), (MIXED, SINGLE_COLLECTION), (STRING, LIST_COLLECTION)]
)
def test_only_strings_have_words(file: RealmFile, type: int, collection: int) -> None:
    with file.write() as tx:
        dog = tx.catalogue.classes["Dog"]
        with pytest.raises(SchemaError, match=r"Dog\.p cannot have that index"):
            tx.add_property(dog, "p", type, collection=collection, indexed=FULL_TEXT_INDEX)
        prop = tx.add_property(dog, "p", type, collection=collection)
        with pytest.raises(SchemaError, match=r"Dog\.p cannot have that index"):
            tx.set_index(tx.catalogue.classes["Dog"], prop, FULL_TEXT_INDEX)


def test_faults_are_found(file: RealmFile) -> None:
    with file.write() as tx:
        (table,) = tables(file)
        tx.connection.execute(f"DELETE FROM {table} WHERE tok = 'dog'")
        tx.connection.execute(f"INSERT INTO {table} VALUES('mouse', 1)")
        assert faults(tx) == [
            f"{table} lacks the word 'dog' of object 0",
            f"{table} has the word 'mouse' for object 1, whose text has not",
        ]


# --- files that were made before there were such tables ---------------------------------------------------------------


@pytest.fixture
def older(tmp_path: Path) -> str:
    """A file as it was made before: the index is noted, but there is no table."""
    path = str(tmp_path / "older.realm")
    file = RealmFile.open(path)
    with file.write() as tx:
        tx.add_class("Note")
        prop = tx.add_property(tx.catalogue.classes["Note"], "text", STRING, indexed=FULL_TEXT_INDEX)
        note = tx.catalogue.classes["Note"]
        for text in ("a dog", "a cat"):
            tx.create(note, None, [(prop, text, False)])
    file.close()
    connection = connect(path, None, writable=True)
    connection.execute(f"DROP TABLE ft{prop.id}")
    connection.close()
    return path


def test_an_older_file_gets_its_table_when_it_is_opened(older: str) -> None:
    file = RealmFile.open(older)
    try:
        assert words(file) == [("a", 0), ("a", 1), ("cat", 1), ("dog", 0)]
        with file.write() as tx:
            note = tx.catalogue.classes["Note"]
            tx.set(note, 1, note.properties["text"], "bird")
        assert words(file) == [("a", 0), ("bird", 1), ("dog", 0)]
    finally:
        file.close()


def test_an_older_file_that_has_to_stay_as_it_is(older: str) -> None:
    before = Path(older).read_bytes()
    with pytest.raises(FormatUpgradeRequiredError, match="was made by an older Syncline"):
        Realm.open(older, disable_format_upgrade=True)
    assert Path(older).read_bytes() == before
    with Realm.open(older, disable_format_upgrade=True, read_only=True) as realm:
        assert [note["text"] for note in realm.objects("Note")] == ["a dog", "a cat"]
    assert Path(older).read_bytes() == before
    Realm.open(older).close()
    with Realm.open(older, disable_format_upgrade=True) as realm:
        assert len(realm.objects("Note").filter("text TEXT 'dog'")) == 1


def test_an_older_file_is_read_as_it_is(older: str) -> None:
    file = RealmFile.open(older, read_only=True)
    try:
        with file.reading_alone() as reader:
            assert reader.catalogue.classes["Note"].texts == ()
            assert faults(reader) == []
        assert tables(file) == []
    finally:
        file.close()


def test_copies_have_the_table(file: RealmFile, tmp_path: Path) -> None:
    key = bytes(range(64))
    file.write_copy(tmp_path / "copy.realm", encryption_key=key)
    copy = RealmFile.open(tmp_path / "copy.realm", encryption_key=key)
    try:
        assert words(copy) == BEFORE
        assert copy.compact()
        assert words(copy) == BEFORE
    finally:
        copy.close()
    with file.reading_alone() as reader:
        convert(reader, str(tmp_path / "converted.realm"), None, history=True)
    converted = RealmFile.open(tmp_path / "converted.realm")
    try:
        assert words(converted) == BEFORE
    finally:
        converted.close()
