"""What local operations record: the rows of spec/changesets.md §9.2, and what is refused without a trace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.storage.store import Store, people_store, plain

from syncline.errors import (
    IllegalOperationError,
    InvalidatedObjectError,
    InvalidDictionaryKeyError,
    LimitExceededError,
    ModifyPrimaryKeyError,
    SchemaError,
    TypeMismatchError,
)
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.values import Decimal128, Float32, GlobalKey, Link, ObjectId, Timestamp
from syncline.values.kinds import (
    ASYMMETRIC,
    DECIMAL,
    DICTIONARY,
    DICTIONARY_COLLECTION,
    DOUBLE,
    EMBEDDED,
    ERASED,
    FLOAT,
    GLOBAL_KEY,
    INT,
    LINK,
    LIST,
    LIST_COLLECTION,
    MIXED,
    NULL,
    OBJECT,
    SET_COLLECTION,
    STRING,
    TIMESTAMP,
)

Recorded = list[tuple[object, ...]]
ANN = ("Person", "Ann")


class People:
    """Ann and a dog, and a transaction on them with short names."""

    def __init__(self, store: Store, tx: WriteTransaction) -> None:
        self.store = store
        self.tx = tx
        self.ann = store.key("Person", "Ann")
        self.person = store.cls("Person")
        self.dog = ObjectRef(store.cls("Dog").id, store.key("Dog", GlobalKey(7, 0)))

    def set(self, name: str, value: Any, is_default: bool = False) -> None:
        self.tx.set(self.person, self.ann, self.store.prop(f"Person.{name}"), value, is_default)

    def ref(self, name: str) -> CollectionRef:
        return self.store.ref(f"Person.{name}", self.ann)


@pytest.fixture
def store() -> Store:
    store = people_store()
    with store.write() as tx:
        tx.create(store.cls("Person"), "Ann")
        tx.create(store.cls("Dog"))
    return store


@pytest.fixture
def record(store: Store) -> Callable[[Callable[[People], object]], Recorded]:
    def run(operations: Callable[[People], object]) -> Recorded:
        with store.write() as tx:
            operations(People(store, tx))
        return plain(tx.instructions)

    return run


Record = Callable[[Callable[[People], object]], Recorded]
DOG = Link("Dog", GlobalKey(7, 0))


def update(field: str, path: tuple[int | str, ...], kind: int, value: object, *rest: object) -> tuple[object, ...]:
    is_default, prior_size = rest or (False, -1)
    return ("Update", *ANN, field, path, kind, value, is_default, prior_size)


# --- schema -----------------------------------------------------------------------------------------------------------


def test_classes_and_properties() -> None:
    store = Store()
    with store.write() as tx:
        tx.add_class("K", primary_key="id", key_type=INT, key_nullable=True)
        tx.add_class("K", primary_key="id", key_type=INT, key_nullable=True)
        tx.add_class("N")
        tx.add_class("E", kind=EMBEDDED)
        tx.add_class("A", kind=ASYMMETRIC, primary_key="id", key_type=STRING)
        cls = tx.catalogue.classes["K"]
        tx.add_property(cls, "i", INT)
        tx.add_property(cls, "i", INT)
        tx.add_property(cls, "m", MIXED)
        tx.add_property(cls, "l", LINK, target="N")
        tx.add_property(cls, "ll", LINK, collection=LIST_COLLECTION, target="N", nullable=True)
        tx.add_property(cls, "ld", LINK, collection=DICTIONARY_COLLECTION, target="N")
        tx.add_property(cls, "se", STRING, collection=SET_COLLECTION, nullable=True)
        tx.set_index(tx.catalogue.classes["K"], tx.catalogue.classes["K"].properties["i"], 1)
    assert plain(tx.instructions) == [
        ("AddTable", "K", 0, "id", INT, True),
        ("AddTable", "N", 0, "", GLOBAL_KEY, False),
        ("AddTable", "E", 1, "", GLOBAL_KEY, False),
        ("AddTable", "A", 2, "id", STRING, False),
        ("AddColumn", "K", "i", INT, False, 0, "", 0),
        ("AddColumn", "K", "m", MIXED, True, 0, "", 0),
        ("AddColumn", "K", "l", LINK, True, 0, "N", 0),
        ("AddColumn", "K", "ll", LINK, False, LIST_COLLECTION, "N", 0),
        ("AddColumn", "K", "ld", LINK, True, DICTIONARY_COLLECTION, "N", STRING),
        ("AddColumn", "K", "se", STRING, True, SET_COLLECTION, "", 0),
    ]


SCHEMA_REFUSALS: dict[str, Callable[[WriteTransaction], object]] = {
    "exists with another kind": lambda tx: tx.add_class("Dog", kind=EMBEDDED),
    "exists with a key": lambda tx: tx.add_class("Person"),
    "exists without key": lambda tx: tx.add_class("Dog", primary_key="id", key_type=INT),
    "exists with another key": lambda tx: tx.add_class("Person", primary_key="name", key_type=INT, key_nullable=True),
    "empty name": lambda tx: tx.add_class(""),
    "long name": lambda tx: tx.add_class("x" * 58),
    "no key type": lambda tx: tx.add_class("New", primary_key="id", key_type=DOUBLE),
    "embedded with key": lambda tx: tx.add_class("New", kind=EMBEDDED, primary_key="id", key_type=INT),
    "other type": lambda tx: tx.add_property(tx.catalogue.classes["Dog"], "age", STRING),
    "other nullability": lambda tx: tx.add_property(tx.catalogue.classes["Dog"], "age", INT, nullable=True),
    "other collection": lambda tx: tx.add_property(tx.catalogue.classes["Dog"], "age", INT, collection=1),
    "other target": lambda tx: tx.add_property(tx.catalogue.classes["Dog"], "mate", LINK, target="Person"),
    "unknown target": lambda tx: tx.add_property(tx.catalogue.classes["Dog"], "x", LINK, target="Cat"),
    "target of no link": lambda tx: tx.add_property(tx.catalogue.classes["Dog"], "x", INT, target="Dog"),
    "link to asymmetric": lambda tx: tx.add_property(tx.catalogue.classes["Dog"], "x", LINK, target="Metric"),
    "set of embedded": lambda tx: tx.add_property(
        tx.catalogue.classes["Dog"], "x", LINK, target="Addr", collection=SET_COLLECTION
    ),
    "long property name": lambda tx: tx.add_property(tx.catalogue.classes["Dog"], "x" * 64, INT),
    "index on a double": lambda tx: tx.add_property(tx.catalogue.classes["Dog"], "x", DOUBLE, indexed=1),
    "primary key": lambda tx: tx.erase_property(
        tx.catalogue.classes["Person"], tx.catalogue.classes["Person"].properties["name"]
    ),
    "linked class": lambda tx: tx.erase_class(tx.catalogue.classes["Dog"]),
}


@pytest.mark.parametrize("refused", SCHEMA_REFUSALS.values(), ids=SCHEMA_REFUSALS.keys())
def test_refused_schema_changes_leave_nothing(store: Store, refused: Callable[[WriteTransaction], object]) -> None:
    with store.write() as tx:
        with pytest.raises(SchemaError):
            refused(tx)
        assert not tx.is_dirty
        assert tx.instructions == []


# --- objects ----------------------------------------------------------------------------------------------------------


def test_create(record: Record) -> None:
    def operations(p: People) -> None:
        assert p.tx.create(p.person, "Ann", [(p.store.prop("Person.age"), 3, False)]) == (p.ann, False)
        assert p.tx.create(p.person, None)[1]
        p.tx.create(p.store.cls("Dog"))

    assert record(operations) == [
        update("age", (), INT, 3),
        ("CreateObject", "Person", None),
        ("CreateObject", "Dog", GlobalKey(7, 1)),
    ]


def test_erase_says_nothing_of_what_goes_with_it(store: Store, record: Record) -> None:
    with store.write() as tx:
        p = People(store, tx)
        p.set("dog", p.dog)
        tx.set_embedded(p.person, p.ann, store.prop("Person.addr"))
        tx.list_insert_embedded(p.ref("addrs"), 0)
        tx.list_insert(tx.set_collection(p.person, p.ann, store.prop("Person.mix"), LIST_COLLECTION), 0, 1)
    assert record(lambda p: p.tx.erase(p.person, p.ann)) == [("EraseObject", *ANN)]
    for table in (store.cls("Addr").table, "rlm_node", "n_list", f"l{store.prop('Person.addrs').id}"):
        assert store.rows(table) == []


# --- properties -------------------------------------------------------------------------------------------------------


def test_values_and_defaults(record: Record) -> None:
    stamp = Timestamp(1, 5)

    def operations(p: People) -> None:
        p.set("age", 3)
        p.set("age", 3)
        p.set("age", 4, True)
        p.set("nage", None)
        p.set("ts", stamp)
        p.set("f", 0.1)
        p.set("mix", Float32(0.5))
        p.set("d", Float32(0.5))
        p.set("dog", p.dog)
        p.set("dog", None, True)
        p.set("dog", None, True)
        p.set("nage", None, True)
        p.set("mix", p.dog)
        p.set("mix", None, True)

    assert record(operations) == [
        update("age", (), INT, 3),
        update("age", (), INT, 3),
        update("age", (), INT, 4, True, -1),
        update("nage", (), NULL, None),
        update("ts", (), TIMESTAMP, stamp),
        update("f", (), FLOAT, float(Float32(0.1))),
        update("mix", (), FLOAT, Float32(0.5)),
        update("d", (), DOUBLE, 0.5),
        update("dog", (), LINK, DOG),
        update("dog", (), NULL, None, True, -1),
        update("nage", (), NULL, None, True, -1),
        update("mix", (), LINK, DOG),
        update("mix", (), NULL, None, True, -1),
    ]


def test_add_integer(store: Store, record: Record) -> None:
    def operations(p: People) -> None:
        p.set("nage", 1)
        p.set("mix", 1 << 62)
        p.tx.add_integer(p.person, p.ann, p.store.prop("Person.nage"), -5)
        p.tx.add_integer(p.person, p.ann, p.store.prop("Person.mix"), 1 << 62)

    assert record(operations)[2:] == [
        ("AddInteger", *ANN, "nage", (), -5),
        ("AddInteger", *ANN, "mix", (), 1 << 62),
    ]
    reader, ann = store.reader, store.key("Person", "Ann")
    assert reader.get(store.cls("Person"), ann, store.prop("Person.nage")) == -4
    assert reader.get(store.cls("Person"), ann, store.prop("Person.mix")) == -(1 << 63)


def test_embedded_in_a_property(store: Store, record: Record) -> None:
    def operations(p: People) -> None:
        addr, prop = p.store.cls("Addr"), p.store.prop("Person.addr")
        first = p.tx.set_embedded(p.person, p.ann, prop)
        p.tx.set(addr, first.object_key, p.store.prop("Addr.street"), "S")
        sub = p.tx.set_embedded(addr, first.object_key, p.store.prop("Addr.sub"))
        p.tx.list_insert(p.store.ref("Addr.nums", sub.object_key), 0, 1)
        p.tx.set_embedded(p.person, p.ann, prop)
        p.set("addr", None)
        p.set("addr", None, True)  # the default of a link that is null says nothing
        assert not p.tx.exists(addr, sub.object_key)

    assert record(operations) == [
        update("addr", (), OBJECT, None),
        update("addr", ("street",), STRING, "S"),
        update("addr", ("sub",), OBJECT, None),
        ("ArrayInsert", *ANN, "addr", ("sub", "nums", 0), INT, 1, 0),
        update("addr", (), NULL, None),
        update("addr", (), OBJECT, None),
        update("addr", (), NULL, None),
    ]
    assert store.rows(store.cls("Addr").table) == []


def test_embedded_class_names_are_noted(store: Store) -> None:
    with store.write() as tx:
        p = People(store, tx)
        home = tx.list_insert_embedded(p.ref("addrs"), 0)
        tx.set(store.cls("Addr"), home.object_key, store.prop("Addr.street"), "S")
        p.set("age", 1)
    assert tx.embedded_classes == {1: "Addr"}


# --- lists ------------------------------------------------------------------------------------------------------------


def test_lists(record: Record) -> None:
    def operations(p: People) -> None:
        ref = p.ref("ints")
        p.tx.list_clear(ref)
        p.tx.list_extend(ref, [10, 20, 30, 40])
        p.tx.list_set(ref, 1, 20)
        p.tx.list_move(ref, 0, 2)
        p.tx.list_move(ref, 1, 1)
        p.tx.list_swap(ref, 0, 3)
        p.tx.list_swap(ref, 1, 2)
        p.tx.list_swap(ref, 1, 1)
        p.tx.list_erase_range(ref, 1, 3)
        p.tx.list_erase(ref, 0)
        p.tx.list_clear(ref)

    place = (*ANN, "ints")
    assert record(operations) == [
        *[("ArrayInsert", *place, (i,), INT, 10 * i + 10, i) for i in range(4)],
        update("ints", (1,), INT, 20, False, 4),
        ("ArrayMove", *place, (0,), 2, 4),
        ("ArrayMove", *place, (3,), 0, 4),
        ("ArrayMove", *place, (1,), 3, 4),
        ("ArrayMove", *place, (2,), 1, 4),
        ("ArrayErase", *place, (2,), 4),
        ("ArrayErase", *place, (1,), 3),
        ("ArrayErase", *place, (0,), 2),
        ("Clear", *place, (), LIST_COLLECTION),
    ]


def test_elements_inside_moved_elements_have_their_new_path(record: Record) -> None:
    def operations(p: People) -> None:
        ref, addr, street = p.ref("addrs"), p.store.cls("Addr"), p.store.prop("Addr.street")
        first = p.tx.list_insert_embedded(ref, 0)
        p.tx.set(addr, first.object_key, street, "a")
        p.tx.list_insert_embedded(ref, 0)
        p.tx.set(addr, first.object_key, street, "b")
        p.tx.list_move(ref, 1, 0)
        p.tx.set(addr, first.object_key, street, "c")

    paths = [instruction[4] for instruction in record(operations) if instruction[0] == "Update"]
    assert paths == [(0, "street"), (1, "street"), (0, "street")]


# --- sets and dictionaries --------------------------------------------------------------------------------------------


def test_sets(record: Record) -> None:
    def operations(p: People) -> None:
        ref, mixed = p.ref("iset"), p.ref("mset")
        assert p.tx.set_insert(ref, 5)
        assert not p.tx.set_insert(ref, 5)
        assert not p.tx.set_erase(ref, 6)
        assert p.tx.set_erase(ref, 5)
        p.tx.set_clear(ref)
        assert p.tx.set_insert(mixed, 1)
        assert not p.tx.set_insert(mixed, 1.0)
        assert p.tx.set_insert(mixed, True)
        assert p.tx.set_insert(mixed, None)
        p.tx.set_clear(mixed)

    assert [instruction[0] for instruction in record(operations)] == [
        "SetInsert",
        "SetErase",
        "SetInsert",
        "SetInsert",
        "SetInsert",
        "Clear",
    ]


def test_dictionaries(record: Record) -> None:
    def operations(p: People) -> None:
        ref = p.ref("idict")
        p.tx.dict_clear(ref)
        assert p.tx.dict_set(ref, "a", 1)
        assert not p.tx.dict_set(ref, "a", 1)
        assert not p.tx.dict_erase(ref, "b")
        assert p.tx.dict_erase(ref, "a")
        p.tx.dict_set(ref, "", 2)
        p.tx.dict_clear(ref)

    assert record(operations) == [
        update("idict", ("a",), INT, 1),
        update("idict", ("a",), INT, 1),
        update("idict", ("a",), ERASED, None),
        update("idict", ("",), INT, 2),
        ("Clear", *ANN, "idict", (), DICTIONARY_COLLECTION),
    ]


def test_collections_in_mixed_keep_or_lose_their_content(record: Record) -> None:
    def operations(p: People) -> None:
        mix = p.store.prop("Person.mix")
        first = p.tx.set_collection(p.person, p.ann, mix, LIST_COLLECTION)
        p.tx.list_insert(first, 0, "x")
        assert p.tx.set_collection(p.person, p.ann, mix, LIST_COLLECTION) == first
        assert p.tx.size(first) == 1
        second = p.tx.set_collection(p.person, p.ann, mix, DICTIONARY_COLLECTION)
        assert not p.tx.collection_exists(first)
        p.tx.dict_clear(second)
        with pytest.raises(InvalidatedObjectError):
            p.tx.list_insert(first, 0, 1)

    assert record(operations) == [
        update("mix", (), LIST, None),
        ("ArrayInsert", *ANN, "mix", (0,), STRING, "x", 0),
        update("mix", (), LIST, None),
        update("mix", (), DICTIONARY, None),
        ("Clear", *ANN, "mix", (), DICTIONARY_COLLECTION),
    ]


def test_nesting_has_a_limit(store: Store) -> None:
    with store.write() as tx:
        p = People(store, tx)
        ref = tx.set_collection(p.person, p.ann, store.prop("Person.mix"), LIST_COLLECTION)
        for _ in range(99):
            ref = tx.list_insert_collection(ref, 0, LIST_COLLECTION)
        with pytest.raises(LimitExceededError):
            tx.list_insert_collection(ref, 0, LIST_COLLECTION)
        tx.list_insert(ref, 0, 1)
    assert plain(tx.instructions)[-1][4] == (0,) * 100


# --- recording off, and failures --------------------------------------------------------------------------------------


def test_recording_can_be_off(store: Store) -> None:
    with store.write(recording=False) as tx:
        p = People(store, tx)
        p.set("age", 9)
        p.set("dog", p.dog)
        tx.list_extend(p.ref("ints"), [1, 2])
        tx.set_embedded(p.person, p.ann, store.prop("Person.addr"))
        tx.create(p.person, "Bob")
        tx.erase(store.cls("Dog"), p.dog.object_key)
        tx.recording = True
        p.set("age", 10)
    assert plain(tx.instructions) == [update("age", (), INT, 10)]
    assert store.reader.size(store.ref("Person.ints", store.key("Person", "Ann"))) == 2


REFUSALS: dict[str, tuple[type[Exception], Callable[[People], object]]] = {
    "wrong type": (TypeMismatchError, lambda p: p.set("age", "x")),
    "bool for int": (TypeMismatchError, lambda p: p.set("age", True)),
    "int for bool": (TypeMismatchError, lambda p: p.set("b", 1)),
    "int for double": (TypeMismatchError, lambda p: p.set("d", 1)),
    "null": (TypeMismatchError, lambda p: p.set("age", None)),
    "unknown type": (TypeMismatchError, lambda p: p.set("mix", object())),
    "datetime": (TypeMismatchError, lambda p: p.set("mix", datetime.now(UTC))),
    "collection of Python": (TypeMismatchError, lambda p: p.set("mix", [1])),
    "large int": (LimitExceededError, lambda p: p.set("age", 1 << 63)),
    "large int in Mixed": (LimitExceededError, lambda p: p.set("mix", -(1 << 63) - 1)),
    "mixed signs": (LimitExceededError, lambda p: p.set("ts", Timestamp(1, -1))),
    "lone surrogate": (LimitExceededError, lambda p: p.set("mix", "\ud800")),
    "long string": (LimitExceededError, lambda p: p.set("mix", "x" * 16_777_200)),
    "long data": (LimitExceededError, lambda p: p.set("bin", bytes(16_777_201))),
    "link of another class": (TypeMismatchError, lambda p: p.set("best", p.dog)),
    "link to a missing object": (InvalidatedObjectError, lambda p: p.set("dog", ObjectRef(p.dog.class_id, 99))),
    "link into an int": (TypeMismatchError, lambda p: p.set("age", p.dog)),
    "embedded by assignment": (
        TypeMismatchError,
        lambda p: p.set("addr", ObjectRef(p.store.cls("Addr").id, 0)),
    ),
    "embedded in Mixed": (TypeMismatchError, lambda p: p.set("mix", ObjectRef(p.store.cls("Addr").id, 0))),
    "link to asymmetric": (TypeMismatchError, lambda p: p.set("mix", ObjectRef(p.store.cls("Metric").id, 0))),
    "primary key": (ModifyPrimaryKeyError, lambda p: p.set("name", "Bob")),
    "whole collection": (TypeMismatchError, lambda p: p.set("ints", 3)),
    "missing object": (InvalidatedObjectError, lambda p: p.tx.set(p.person, 99, p.store.prop("Person.age"), 1)),
    "erase a missing object": (InvalidatedObjectError, lambda p: p.tx.erase(p.person, 99)),
    "add to null": (
        IllegalOperationError,
        lambda p: p.tx.add_integer(p.person, p.ann, p.store.prop("Person.nage"), 1),
    ),
    "add to a string": (
        IllegalOperationError,
        lambda p: p.tx.add_integer(p.person, p.ann, p.store.prop("Person.mix"), 1),
    ),
    "key of another type": (TypeMismatchError, lambda p: p.tx.create(p.person, 3)),
    "key for a class without": (TypeMismatchError, lambda p: p.tx.create(p.store.cls("Dog"), 3)),
    "embedded on its own": (SchemaError, lambda p: p.tx.create(p.store.cls("Addr"))),
    "bad value at creation": (
        TypeMismatchError,
        lambda p: p.tx.create(p.person, "Bob", [(p.store.prop("Person.age"), "x", False)]),
    ),
    "list index": (IndexError, lambda p: p.tx.list_insert(p.ref("ints"), 1, 1)),
    "list value": (TypeMismatchError, lambda p: p.tx.list_insert(p.ref("ints"), 0, "x")),
    "null in a list": (TypeMismatchError, lambda p: p.tx.list_insert(p.ref("dogs"), 0, None)),
    "list of a missing object": (
        InvalidatedObjectError,
        lambda p: p.tx.list_insert(p.store.ref("Person.ints", 99), 0, 1),
    ),
    "erase beyond": (IndexError, lambda p: p.tx.list_erase(p.ref("ints"), 0)),
    "move beyond": (IndexError, lambda p: p.tx.list_move(p.ref("ints"), 0, 1)),
    "list operation on a set": (TypeMismatchError, lambda p: p.tx.list_insert(p.ref("iset"), 0, 1)),
    "set operation on a list": (TypeMismatchError, lambda p: p.tx.set_insert(p.ref("ints"), 1)),
    "embedded into a list of ints": (TypeMismatchError, lambda p: p.tx.list_insert_embedded(p.ref("ints"), 0)),
    "collection into a list of ints": (
        TypeMismatchError,
        lambda p: p.tx.list_insert_collection(p.ref("ints"), 0, LIST_COLLECTION),
    ),
    "set in Mixed": (
        TypeMismatchError,
        lambda p: p.tx.set_collection(p.person, p.ann, p.store.prop("Person.mix"), SET_COLLECTION),
    ),
    "key with $": (InvalidDictionaryKeyError, lambda p: p.tx.dict_set(p.ref("idict"), "$a", 1)),
    "key with .": (InvalidDictionaryKeyError, lambda p: p.tx.dict_set(p.ref("idict"), "a.b", 1)),
}


@pytest.mark.parametrize(("error", "refused"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_operations_leave_nothing(
    store: Store, error: type[Exception], refused: Callable[[People], object]
) -> None:
    before = store.rows(store.cls("Person").table)
    with store.write() as tx:
        with pytest.raises(error):
            refused(People(store, tx))
        assert not tx.is_dirty
    assert tx.instructions == []
    assert store.changes.is_empty
    assert store.rows(store.cls("Person").table) == before


def test_mixed_values_of_asymmetric_objects_hold_no_links(store: Store) -> None:
    with store.write(keep_asymmetric=True) as tx:
        p = People(store, tx)
        metric = store.cls("Metric")
        k, _ = tx.create(metric, ObjectId(bytes(12)))
        tx.set(metric, k, store.prop("Metric.who"), ObjectRef(p.person.id, p.ann))
        with pytest.raises(TypeMismatchError):
            tx.set(metric, k, store.prop("Metric.m"), p.dog)
    assert len(store.rows(store.cls("Metric").table)) == 1


def test_decimals_keep_their_digits(store: Store) -> None:
    value = Decimal128(1050, -2)
    with store.write() as tx:
        p = People(store, tx)
        p.set("dec", value)
        tx.list_insert(p.ref("decs"), 0, value)
    assert [instruction[5] for instruction in plain(tx.instructions)] == [DECIMAL, DECIMAL]
    stored = store.reader.get(store.cls("Person"), store.key("Person", "Ann"), store.prop("Person.dec"))
    assert isinstance(stored, Decimal128)
    assert (stored.coefficient, stored.exponent) == (1050, -2)
