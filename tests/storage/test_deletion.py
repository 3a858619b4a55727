"""Deleting objects: links to them, what they own, tombstones (spec/changesets.md §9.2 to §9.5, §10.3)."""

from __future__ import annotations

import pytest
from tests.storage.store import Prop, Store, add_properties, people_store, plain

from syncline.changesets.instructions import CreateObject, EraseObject, EraseTable, Update
from syncline.storage.refs import ObjectRef
from syncline.values import GlobalKey, Link
from syncline.values.kinds import (
    DICTIONARY_COLLECTION,
    EMBEDDED,
    INT,
    LINK,
    LIST_COLLECTION,
    MIXED,
    NULL,
    SET_COLLECTION,
)

ANN = ("Person", "Ann")
DOG = Link("Dog", GlobalKey(7, 0))


@pytest.fixture
def store() -> Store:
    """Ann links to a dog from everywhere: directly, from an embedded object, from inside a Mixed."""
    store = people_store()
    with store.write() as tx:
        person, dog = store.cls("Person"), store.cls("Dog")
        ann, _ = tx.create(person, "Ann")
        rex = ObjectRef(dog.id, tx.create(dog)[0])
        tx.create(dog)
        tx.set(person, ann, store.prop("Person.dog"), rex)
        tx.list_extend(store.ref("Person.dogs", ann), [rex, ObjectRef(dog.id, 1), rex])
        tx.set_insert(store.ref("Person.dogset", ann), rex)
        tx.dict_set(store.ref("Person.dogdict", ann), "k", rex)
        tx.list_extend(store.ref("Person.mixes", ann), [1, rex, rex])
        tx.set_insert(store.ref("Person.mset", ann), rex)
        tx.dict_set(store.ref("Person.mdict", ann), "k", rex)
        addr = tx.set_embedded(person, ann, store.prop("Person.addr"))
        inner = tx.set_collection(store.cls("Addr"), addr.object_key, store.prop("Addr.any"), LIST_COLLECTION)
        tx.list_insert(inner, 0, rex)
        tx.dict_set(tx.list_insert_collection(inner, 1, DICTIONARY_COLLECTION), "n", rex)
    return store


def test_every_link_is_removed_with_its_instruction(store: Store) -> None:
    with store.write() as tx:
        tx.erase(store.cls("Dog"), store.key("Dog", GlobalKey(7, 0)))
    assert plain(tx.instructions) == [
        ("Update", *ANN, "dog", (), NULL, None, False, -1),
        ("ArrayErase", *ANN, "dogs", (0,), 3),
        ("ArrayErase", *ANN, "dogs", (1,), 2),
        ("SetErase", *ANN, "dogset", (), LINK, DOG),
        ("Update", *ANN, "dogdict", ("k",), NULL, None, False, -1),
        ("ArrayErase", *ANN, "mixes", (1,), 3),
        ("ArrayErase", *ANN, "mixes", (1,), 2),
        ("SetErase", *ANN, "mset", (), LINK, DOG),
        ("Update", *ANN, "mdict", ("k",), NULL, None, False, -1),
        ("ArrayErase", *ANN, "addr", ("any", 0), 2),
        ("Update", *ANN, "addr", ("any", 0, "n"), NULL, None, False, -1),
        ("EraseObject", "Dog", GlobalKey(7, 0)),
    ]
    reader, ann = store.reader, store.key("Person", "Ann")
    assert reader.list_slice(store.ref("Person.dogs", ann)) == [ObjectRef(store.cls("Dog").id, 1)]
    assert reader.list_slice(store.ref("Person.mixes", ann)) == [1]
    assert reader.dict_items(store.ref("Person.dogdict", ann)) == [("k", None)]
    assert reader.incoming(store.cls("Dog")) != []
    assert all(not reader.backlinks(store.cls("Dog"), 0, prop) for prop in reader.incoming(store.cls("Dog")))
    assert store.rows("rlm_tomb") == []


def test_backlinks_have_multiplicity(store: Store) -> None:
    reader, dog = store.reader, store.cls("Dog")
    counts = {prop.name: len(reader.backlinks(dog, 0, prop)) for prop in reader.incoming(dog)}
    assert counts == {
        "mate": 0,
        "dog": 1,
        "dogs": 2,
        "dogset": 1,
        "dogdict": 1,
        "mixes": 2,
        "mset": 1,
        "mdict": 1,
        "any": 2,
    }


def test_links_to_itself(store: Store) -> None:
    with store.write() as tx:
        dog = store.cls("Dog")
        tx.set(dog, 1, store.prop("Dog.mate"), ObjectRef(dog.id, 1))
    with store.write() as tx:
        tx.erase(dog, 1)
    assert plain(tx.instructions)[-2:] == [
        ("Update", "Dog", GlobalKey(7, 1), "mate", (), NULL, None, False, -1),
        ("EraseObject", "Dog", GlobalKey(7, 1)),
    ]


def test_clearing_a_class_keeps_its_own_links_quiet(store: Store) -> None:
    dog = store.cls("Dog")
    with store.write() as tx:
        tx.set(dog, 1, store.prop("Dog.mate"), ObjectRef(dog.id, 0))
    with store.write() as tx:
        tx.clear_class(dog)
    recorded = plain(tx.instructions)
    assert all(instruction[1] == "Person" for instruction in recorded[:-2])
    assert recorded[-2:] == [("EraseObject", "Dog", GlobalKey(7, 0)), ("EraseObject", "Dog", GlobalKey(7, 1))]
    assert store.reader.count(dog) == 0


def test_deleting_many_where_the_class_owns_others() -> None:
    store = people_store()
    person, best = store.cls("Person"), store.prop("Person.best")
    with store.write() as tx:
        ann, bob = tx.create(person, "Ann")[0], tx.create(person, "Bob")[0]
        tx.set(person, ann, best, ObjectRef(person.id, bob))
        tx.set(person, bob, best, ObjectRef(person.id, ann))
    with store.write() as tx:
        tx.erase_many(person, [bob, ann])
    assert [instruction[0] for instruction in plain(tx.instructions)] == [
        "Update",
        "Update",
        "EraseObject",
        "EraseObject",
    ]


def test_deleting_many_that_link_to_each_other() -> None:
    store = people_store()
    dog, mate = store.cls("Dog"), store.prop("Dog.mate")
    with store.write() as tx:
        a, b = tx.create(dog)[0], tx.create(dog)[0]
        tx.set(dog, a, mate, ObjectRef(dog.id, b))
        tx.set(dog, b, mate, ObjectRef(dog.id, a))
    with store.write() as tx:
        tx.erase_many(dog, [a, b])
    assert [instruction[0] for instruction in plain(tx.instructions)] == ["Update", "EraseObject", "EraseObject"]


def test_embedded_objects_can_be_deleted_themselves() -> None:
    store = people_store()
    person, addr = store.cls("Person"), store.cls("Addr")
    with store.write() as tx:
        ann, _ = tx.create(person, "Ann")
        single = tx.set_embedded(person, ann, store.prop("Person.addr"))
        tx.list_insert_embedded(store.ref("Person.addrs", ann), 0)
        second = tx.list_insert_embedded(store.ref("Person.addrs", ann), 1)
        entry = tx.dict_set_embedded(store.ref("Person.addrdict", ann), "k")
    with store.write() as tx:
        for embedded in (single, second, entry):
            tx.erase(addr, embedded.object_key)
    assert plain(tx.instructions) == [
        ("Update", *ANN, "addr", (), NULL, None, False, -1),
        ("ArrayErase", *ANN, "addrs", (1,), 2),
        ("Update", *ANN, "addrdict", ("k",), NULL, None, False, -1),
    ]
    assert store.reader.count(addr) == 1
    with store.write() as tx:
        tx.clear_class(addr)
    assert store.reader.count(addr) == 0


# --- deletions made elsewhere -----------------------------------------------------------------------------------------


def test_remote_deletion_keeps_the_places(store: Store) -> None:
    store.apply(EraseObject("Dog", GlobalKey(7, 0)))
    reader, ann, person = store.reader, store.key("Person", "Ann"), store.cls("Person")
    assert reader.get(person, ann, store.prop("Person.dog")) is None
    assert reader.list_slice(store.ref("Person.dogs", ann)) == [ObjectRef(store.cls("Dog").id, 1)]
    assert reader.list_real_size(store.ref("Person.dogs", ann)) == 3
    assert reader.size(store.ref("Person.dogs", ann)) == 1
    assert reader.size(store.ref("Person.dogset", ann)) == 0
    assert reader.set_values(store.ref("Person.mset", ann)) == [None]
    assert reader.dict_items(store.ref("Person.dogdict", ann)) == [("k", None)]
    assert reader.list_slice(store.ref("Person.mixes", ann)) == [1, None, None]
    assert reader.has_tombstones(store.cls("Dog"))
    changes = store.changes
    assert changes.deleted == {store.cls("Dog").id: {0}}
    assert changes.lists[store.prop("Person.dogs").id, ann] == [(2, 0, 0), (2, 1, 0)]

    store.apply(CreateObject("Dog", GlobalKey(7, 0)))
    reader = store.reader
    rex = ObjectRef(store.cls("Dog").id, store.key("Dog", GlobalKey(7, 0)))
    assert reader.get(person, ann, store.prop("Person.dog")) == rex
    assert reader.list_slice(store.ref("Person.dogs", ann)) == [rex, ObjectRef(rex.class_id, 1), rex]
    assert reader.set_values(store.ref("Person.dogset", ann)) == [rex]
    assert reader.set_values(store.ref("Person.mset", ann)) == [rex]
    assert reader.dict_items(store.ref("Person.dogdict", ann)) == [("k", rex)]
    assert reader.list_slice(store.ref("Person.mixes", ann)) == [1, rex, rex]
    assert store.changes.lists[store.prop("Person.dogs").id, ann] == [(0, 0, 0), (0, 2, 0)]
    assert not reader.has_tombstones(store.cls("Dog"))


def test_a_tombstone_goes_with_its_last_link(store: Store) -> None:
    store.apply(EraseObject("Dog", GlobalKey(7, 0)))
    person, ann = store.cls("Person"), store.key("Person", "Ann")
    with store.write() as tx:
        tx.set(person, ann, store.prop("Person.dog"), None)
        tx.list_clear(store.ref("Person.dogs", ann))
        tx.set_clear(store.ref("Person.dogset", ann))
        tx.set_clear(store.ref("Person.mset", ann))
        tx.dict_clear(store.ref("Person.dogdict", ann))
        tx.dict_set(store.ref("Person.mdict", ann), "k", 1)
        tx.list_clear(store.ref("Person.mixes", ann))
    assert len(store.rows("rlm_tomb")) == 1
    with store.write() as tx:
        tx.set(person, ann, store.prop("Person.addr"), None)
    assert store.rows("rlm_tomb") == []


def test_a_tombstone_goes_with_the_object_that_links_to_it(store: Store) -> None:
    store.apply(EraseObject("Dog", GlobalKey(7, 0)))
    with store.write() as tx:
        tx.erase(store.cls("Person"), store.key("Person", "Ann"))
    assert plain(tx.instructions) == [("EraseObject", *ANN)]
    assert store.rows("rlm_tomb") == []


def test_two_objects_linked_to_each_other_and_erased_elsewhere() -> None:
    store = people_store()
    dog, mate = store.cls("Dog"), store.prop("Dog.mate")
    with store.write() as tx:
        a, b = tx.create(dog)[0], tx.create(dog)[0]
        tx.set(dog, a, mate, ObjectRef(dog.id, b))
        tx.set(dog, b, mate, ObjectRef(dog.id, a))
    store.apply(EraseObject("Dog", GlobalKey(7, 0)), EraseObject("Dog", GlobalKey(7, 1)))
    assert store.rows("rlm_tomb") == []
    assert store.reader.count(dog) == 0


def test_links_to_what_comes_later() -> None:
    store = people_store()
    store.apply(
        CreateObject("Person", "Ann"),
        Update("Person", "Ann", "best", (), LINK, Link("Person", "Bob")),
        Update("Person", "Ann", "mix", (), LINK, Link("Person", "Bob")),
    )
    assert store.reader.get(store.cls("Person"), 0, store.prop("Person.best")) is None
    store.apply(CreateObject("Person", "Bob"))
    bob = ObjectRef(store.cls("Person").id, store.key("Person", "Bob"))
    assert store.reader.get(store.cls("Person"), 0, store.prop("Person.best")) == bob
    assert store.reader.get(store.cls("Person"), 0, store.prop("Person.mix")) == bob
    assert store.changes.modified == {store.prop("Person.best").id: {0}, store.prop("Person.mix").id: {0}}


# --- schema -----------------------------------------------------------------------------------------------------------


def test_removing_a_property_removes_what_it_owned() -> None:
    store = people_store()
    person = store.cls("Person")
    with store.write() as tx:
        ann, _ = tx.create(person, "Ann")
        tx.set_embedded(person, ann, store.prop("Person.addr"))
        tx.list_insert_embedded(store.ref("Person.addrs", ann), 0)
        mixed = tx.set_collection(person, ann, store.prop("Person.mix"), LIST_COLLECTION)
        tx.list_insert(mixed, 0, 1)
        tx.set(person, ann, store.prop("Person.age"), 30)
    with store.write() as tx:
        for name in ("addr", "addrs", "mix", "b"):
            tx.erase_property(person, store.prop(f"Person.{name}"))
        # the caller's description is from before; the operations must not be confused by it
        tx.set(person, ann, store.prop("Person.age"), 31)
        assert tx.get(person, ann, store.prop("Person.ts")) is not None
        assert tx.get(person, ann, store.prop("Person.age")) == 31
    assert store.rows(store.cls("Addr").table) == []
    assert store.rows("rlm_node") == store.rows("n_list") == []
    assert store.reader.get(store.cls("Person"), ann, store.prop("Person.age")) == 31
    assert "mix" not in store.cls("Person").properties


def test_removing_a_property_by_which_embedded_objects_hold_others_of_their_class() -> None:
    store = people_store()
    person = store.cls("Person")
    with store.write() as tx:
        ann, _ = tx.create(person, "Ann")
        addr = store.cls("Addr")
        inner = tx.set_embedded(person, ann, store.prop("Person.addr"))
        for _ in range(3):
            inner = tx.set_embedded(addr, inner.object_key, store.prop("Addr.sub"))
    assert len(store.rows(store.cls("Addr").table)) == 4
    with store.write() as tx:
        tx.erase_property(store.cls("Addr"), store.prop("Addr.sub"))
    assert len(store.rows(store.cls("Addr").table)) == 1


def test_removing_a_class_that_a_mixed_links_to() -> None:
    store = Store()
    with store.write() as tx:
        tx.add_class("Out", primary_key="id", key_type=INT)
        tx.add_class("Gone", primary_key="id", key_type=INT)
        tx.add_class("Part", kind=EMBEDDED)
        add_properties(
            tx,
            "Out",
            [
                Prop("m", MIXED),
                Prop("ml", MIXED, LIST_COLLECTION),
                Prop("ms", MIXED, SET_COLLECTION),
                Prop("md", MIXED, DICTIONARY_COLLECTION),
            ],
        )
        add_properties(tx, "Gone", [Prop("part", LINK, target="Part"), Prop("self", LINK, target="Gone")])
    with store.write() as tx:
        gone = ObjectRef(store.cls("Gone").id, tx.create(store.cls("Gone"), 1)[0])
        tx.set_embedded(store.cls("Gone"), gone.object_key, store.prop("Gone.part"))
        out, _ = tx.create(store.cls("Out"), 1)
        tx.set(store.cls("Out"), out, store.prop("Out.m"), gone)
        tx.list_extend(store.ref("Out.ml", out), [1, gone])
        tx.set_insert(store.ref("Out.ms", out), gone)
        tx.dict_set(store.ref("Out.md", out), "k", gone)
    store.apply(EraseTable("Gone"))
    reader = store.reader
    assert "Gone" not in store.catalogue.classes
    assert reader.get(store.cls("Out"), out, store.prop("Out.m")) is None
    assert reader.list_slice(store.ref("Out.ml", out)) == [1, None]
    assert reader.set_values(store.ref("Out.ms", out)) == []
    assert reader.dict_items(store.ref("Out.md", out)) == [("k", None)]
    assert store.rows(store.cls("Part").table) == []
