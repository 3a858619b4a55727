"""Reader: objects, collections, paths upward, links (storage/reader.py)."""

from __future__ import annotations

import pytest
from tests.storage.store import Store, people_store

from syncline.errors import InvalidatedObjectError, SchemaError, TypeMismatchError
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.values import GlobalKey
from syncline.values.kinds import DICTIONARY_COLLECTION, LIST_COLLECTION


@pytest.fixture
def store() -> Store:
    store = people_store()
    with store.write() as tx:
        person = store.cls("Person")
        for number in range(300):
            tx.create(person, f"p{number}", [(store.prop("Person.age"), number, False)])
        addr = tx.set_embedded(person, 0, store.prop("Person.addr"))
        sub = tx.set_embedded(store.cls("Addr"), addr.object_key, store.prop("Addr.sub"))
        outer = tx.set_collection(store.cls("Addr"), sub.object_key, store.prop("Addr.any"), LIST_COLLECTION)
        inner = tx.list_insert_collection(outer, 0, DICTIONARY_COLLECTION)
        tx.dict_set(inner, "b", 1)
        tx.dict_set(inner, "a", ObjectRef(person.id, 5))
        tx.list_extend(store.ref("Person.ints", 0), range(10))
        for value in (3, 1, 2):
            tx.set_insert(store.ref("Person.iset", 0), value)
    return store


@pytest.fixture(params=["reader", "transaction"])
def reader(request: pytest.FixtureRequest, store: Store) -> Reader:
    """A plain reader, and a transaction, which must read the same."""
    if request.param == "reader":
        return store.reader
    return WriteTransaction(store.connection, store.catalogue, store.version)


def test_objects(store: Store, reader: Reader) -> None:
    person = store.cls("Person")
    assert reader.count(person) == 300
    assert reader.find(person, "p7") == 7
    assert reader.find(person, "nobody") is None
    assert reader.find(person, None) is None
    assert reader.find(store.cls("Dog"), GlobalKey(1, 1)) is None
    assert reader.key_of(person, 7) == "p7"
    assert reader.exists(person, 7)
    assert not reader.exists(person, 700)
    assert reader.keys(person, after=297) == [298, 299]
    assert reader.keys(person, limit=2) == [0, 1]
    age = person.singles.index(store.prop("Person.age"))
    assert reader.get_row(person, 9)[age] == 9
    assert {k: row[age] for k, row in reader.rows(person, [5, 299, 3, 1000]).items()} == {3: 3, 5: 5, 299: 299}
    assert len(reader.rows(person, range(300))) == 300
    assert [(k, row[age]) for k, row in reader.page(person, 297)] == [(298, 298), (299, 299)]
    assert reader.get(person, 0, store.prop("Person.ints")) == store.ref("Person.ints", 0)


def test_wrong_questions(store: Store, reader: Reader) -> None:
    person, addr = store.cls("Person"), store.cls("Addr")
    with pytest.raises(TypeMismatchError):
        reader.find(person, 3)
    for ask in (lambda: reader.find(addr, 3), lambda: reader.key_of(addr, 0), lambda: reader.owner(person, 0)):
        with pytest.raises(SchemaError):
            ask()
    for missing in (
        lambda: reader.get(person, 999, store.prop("Person.age")),
        lambda: reader.get(person, 999, store.prop("Person.ints")),
        lambda: reader.get_row(person, 999),
        lambda: reader.key_of(person, 999),
        lambda: reader.node_owner(999),
    ):
        with pytest.raises(InvalidatedObjectError):
            missing()


def test_the_way_up(store: Store, reader: Reader) -> None:
    addr = store.cls("Addr")
    assert reader.owner(addr, 0) == (ObjectRef(store.cls("Person").id, 0), store.prop("Person.addr"))
    assert reader.owner(addr, 1) == (ObjectRef(addr.id, 0), store.prop("Addr.sub"))
    assert reader.top_level(addr, 1) == ObjectRef(store.cls("Person").id, 0)
    outer = reader.get(addr, 1, store.prop("Addr.any"))
    assert isinstance(outer, CollectionRef)
    inner = reader.list_get(outer, 0)
    assert isinstance(inner, CollectionRef)
    for ref in (outer, inner):
        assert reader.node_owner(ref.owner) == (ObjectRef(addr.id, 1), store.prop("Addr.any"))
        assert reader.collection_exists(ref)
    assert reader.dict_items(inner) == [("a", ObjectRef(store.cls("Person").id, 5)), ("b", 1)]
    assert not reader.collection_exists(CollectionRef(LIST_COLLECTION, 0, 99))
    assert not reader.collection_exists(CollectionRef(LIST_COLLECTION, 9999, 0))
    assert reader.backlinks(store.cls("Person"), 5, store.prop("Addr.any")) == [1]


def test_collections(store: Store, reader: Reader) -> None:
    ints, iset = store.ref("Person.ints", 0), store.ref("Person.iset", 0)
    assert reader.size(ints) == 10
    assert reader.list_slice(ints, 3, 5) == [3, 4]
    assert reader.list_slice(ints, 8) == [8, 9]
    assert reader.list_get(ints, 9) == 9
    for index in (-1, 10):
        with pytest.raises(IndexError):
            reader.list_get(ints, index)
    assert reader.list_find(ints, 4) == 4
    assert reader.list_find(ints, 40) is None
    assert reader.list_find(ints, "x") is None
    assert reader.set_values(iset) == [1, 2, 3]
    assert reader.size(iset) == 3
    assert reader.set_contains(iset, 3)
    assert not reader.set_contains(iset, 4)
    assert not reader.set_contains(iset, "x")
    empty = store.ref("Person.idict", 0)
    assert reader.size(empty) == 0
    assert not reader.dict_contains(empty, "k")
    assert not reader.dict_contains(empty, "\ud800")
    with pytest.raises(KeyError):
        reader.dict_get(empty, "k")


def test_links_are_found_by_value(store: Store) -> None:
    person = store.cls("Person")
    with store.write() as tx:
        rex, max_ = (ObjectRef(store.cls("Dog").id, tx.create(store.cls("Dog"))[0]) for _ in range(2))
        tx.list_extend(store.ref("Person.dogs", 0), [rex, max_])
        tx.list_extend(store.ref("Person.mixes", 0), [1, rex])
        tx.set_insert(store.ref("Person.dogset", 0), rex)
        assert tx.list_find(store.ref("Person.dogs", 0), max_) == 1
    reader = store.reader
    assert reader.list_find(store.ref("Person.dogs", 0), max_) == 1
    assert reader.list_find(store.ref("Person.mixes", 0), rex) == 1
    assert reader.list_find(store.ref("Person.mixes", 0), 1.0) == 0
    assert reader.list_find(store.ref("Person.dogs", 0), ObjectRef(person.id, 0)) is None
    assert reader.set_contains(store.ref("Person.dogset", 0), rex)
    assert not reader.set_contains(store.ref("Person.dogset", 0), max_)
