"""The change log of a commit (storage/changes.py), and what feeds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.storage.store import Store, people_store

from syncline.errors import FileError
from syncline.storage.changes import (
    DICT_CLEAR,
    DICT_ERASE,
    DICT_SET,
    LIST_CLEAR,
    LIST_ERASE,
    LIST_INSERT,
    LIST_MOVE,
    LIST_SET,
    UNKNOWN,
    ChangeLog,
)
from syncline.storage.refs import ObjectRef
from syncline.values.kinds import INT, LIST_COLLECTION

IDS = st.integers(1, 5)
KEYS = st.integers(0, 1 << 40)


@st.composite
def logs(draw: st.DrawFn) -> ChangeLog:
    log = ChangeLog()
    log.schema = draw(st.booleans())
    log.inserted = draw(st.dictionaries(IDS, st.lists(st.tuples(KEYS, KEYS), min_size=1, max_size=3)))
    for class_id, k in draw(st.lists(st.tuples(IDS, KEYS))):
        log.note_deleted(class_id, k)
    for property_id, k in draw(st.lists(st.tuples(IDS, KEYS))):
        log.note_modified(property_id, k)
    for property_id, owner, operation, index in draw(st.lists(st.tuples(IDS, KEYS, st.integers(0, 4), KEYS))):
        log.note_list(property_id, owner, operation, index)
    for property_id, owner, operation, key in draw(st.lists(st.tuples(IDS, KEYS, st.integers(0, 2), st.text()))):
        log.note_dict(property_id, owner, operation, key)
    return log


def state(log: ChangeLog) -> list[object]:
    return [log.schema, log.inserted, log.deleted, log.modified, log.lists, log.dicts]


@given(logs())
def test_round_trip(log: ChangeLog) -> None:
    assert state(ChangeLog.decode(log.encode())) == state(log)
    assert log.is_empty == (log.encode() == b"")


@given(logs(), logs())
def test_merging_keeps_everything(older: ChangeLog, newer: ChangeLog) -> None:
    merged = ChangeLog.decode(older.encode())
    merged.merge(newer)
    assert merged.schema == (older.schema or newer.schema)
    for name in ("deleted", "modified"):
        for id in {*getattr(older, name), *getattr(newer, name)}:
            union = getattr(older, name).get(id, set()) | getattr(newer, name).get(id, set())
            assert getattr(merged, name)[id] == union
    for place, operations in newer.lists.items():
        assert merged.lists[place] == older.lists.get(place, []) + operations


@pytest.mark.parametrize(
    "data", [b"[]", b"{}", b"\xff", b'{"schema":1}', b'{"schema":0,"inserted":[1]}', b"[" * 10_000]
)
def test_damaged_logs_are_refused(data: bytes) -> None:
    with pytest.raises(FileError):
        ChangeLog.decode(data)


def test_operations_are_bounded() -> None:
    log = ChangeLog()
    for index in range(10_001):
        log.note_list(1, 1, LIST_INSERT, index)
        log.note_dict(1, 2, DICT_SET, str(index))
    decoded = ChangeLog.decode(log.encode())
    assert decoded.lists == {(1, 1): [(UNKNOWN, 0, 0)]}
    assert decoded.dicts == {(1, 2): [(UNKNOWN, "")]}


@pytest.fixture
def store() -> Store:
    store = people_store()
    with store.write() as tx:
        tx.create(store.cls("Person"), "Ann")
        tx.create(store.cls("Dog"))
    return store


def test_new_objects_are_listed_as_ranges(store: Store) -> None:
    person, age = store.cls("Person"), store.prop("Person.age")
    with store.write() as tx:
        for key in "abcdef":
            k, _ = tx.create(person, key, [(age, 1, False)])
            tx.list_insert(store.ref("Person.ints", k), 0, 1)
        tx.erase(person, store_key := k)
        tx.erase(person, store_key - 3)
        tx.set(person, store_key - 1, age, 2)
    log = store.changes
    assert log.inserted == {person.id: [(1, 3), (4, 6)]}
    assert log.deleted == {}
    assert log.modified == {}
    assert log.lists == {}


def test_changes_of_old_objects(store: Store) -> None:
    person, dog = store.cls("Person"), store.cls("Dog")
    ints, idict, iset = (store.ref(f"Person.{name}", 0) for name in ("ints", "idict", "iset"))
    with store.write() as tx:
        tx.set(person, 0, store.prop("Person.age"), 1)
        tx.list_extend(ints, [1, 2, 3])
        tx.list_set(ints, 0, 9)
        tx.list_move(ints, 0, 2)
        tx.list_erase(ints, 1)
        tx.list_clear(ints)
        tx.dict_set(idict, "a", 1)
        tx.dict_erase(idict, "a")
        tx.dict_set(idict, "b", 1)
        tx.dict_clear(idict)
        tx.set_insert(iset, 3)
        tx.erase(dog, 0)
        embedded = tx.set_embedded(person, 0, store.prop("Person.addr"))
        tx.set(store.cls("Addr"), embedded.object_key, store.prop("Addr.street"), "S")
    log = store.changes
    changed = ("age", "ints", "idict", "iset", "addr")
    assert log.modified == {store.prop(f"Person.{name}").id: {0} for name in changed}
    assert log.deleted == {dog.id: {0}}
    assert log.inserted == {store.cls("Addr").id: [(0, 1)]}
    assert log.lists == {
        (ints.property_id, 0): [
            (LIST_INSERT, 0, 0),
            (LIST_INSERT, 1, 0),
            (LIST_INSERT, 2, 0),
            (LIST_SET, 0, 0),
            (LIST_MOVE, 0, 2),
            (LIST_ERASE, 1, 0),
            (LIST_CLEAR, 2, 0),
        ]
    }
    assert log.dicts == {
        (idict.property_id, 0): [(DICT_SET, "a"), (DICT_ERASE, "a"), (DICT_SET, "b"), (DICT_CLEAR, "")]
    }


def test_collections_in_mixed_are_known_by_node(store: Store) -> None:
    person, mix = store.cls("Person"), store.prop("Person.mix")
    with store.write() as tx:
        ref = tx.set_collection(person, 0, mix, LIST_COLLECTION)
        tx.list_insert(ref, 0, 1)
    assert store.changes.lists == {}
    with store.write() as tx:
        tx.list_insert(ref, 0, 2)
    assert store.changes.lists == {(0, ref.owner): [(LIST_INSERT, 0, 0)]}
    assert store.changes.modified == {mix.id: {0}}


def test_schema_changes_are_noted(store: Store) -> None:
    with store.write() as tx:
        tx.add_property(store.cls("Dog"), "new", INT)
    assert store.changes.schema
    with store.write() as tx:
        tx.set(store.cls("Dog"), 0, store.prop("Dog.new"), 1)
    assert not store.changes.schema


def test_a_deletion_is_seen_by_those_who_linked(store: Store) -> None:
    with store.write() as tx:
        tx.set(store.cls("Person"), 0, store.prop("Person.dog"), ObjectRef(store.cls("Dog").id, 0))
    with store.write() as tx:
        tx.erase(store.cls("Dog"), 0)
    assert store.changes.modified == {store.prop("Person.dog").id: {0}}
    assert store.changes.deleted == {store.cls("Dog").id: {0}}
