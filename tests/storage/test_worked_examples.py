"""The worked examples of spec/changesets.md §12 that the recorded operations do not cover, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.storage.store import Prop, Store, add_properties, people_store

from syncline.changesets.codec import encode_recorded
from syncline.changesets.instructions import EraseObject
from syncline.storage.refs import ObjectRef
from syncline.storage.transaction import WriteTransaction
from syncline.values import GlobalKey, ObjectId
from syncline.values.kinds import (
    DICTIONARY_COLLECTION,
    INT,
    LINK,
    LIST_COLLECTION,
    MIXED,
    SET_COLLECTION,
    STRING,
)

SPECIFICATION = (Path(__file__).parents[2] / "docs" / "spec" / "changesets.md").read_text()
Operations = Callable[[Store, WriteTransaction], None]


def blocks(section: str) -> list[bytes]:
    """The changesets of one section: the hex at the start of its lines, one per ``# transaction``."""
    text = SPECIFICATION.split(f"### {section} ")[1].split("```")[1]
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("# transaction"):
            found.append([])
        elif match := re.match(r"((?:[0-9a-f]{2} ?)+)(?: {2,}|$)", line):
            found[-1].append(match[1])
    return [bytes.fromhex("".join(lines)) for lines in found if lines]


def check(store: Store, section: str, *transactions: Operations) -> None:
    """The transactions record the bytes of the section's blocks."""
    expected = blocks(section)
    assert len(expected) == len(transactions)
    for operations, changeset in zip(transactions, expected, strict=True):
        with store.write() as tx:
            operations(store, tx)
        assert encode_recorded(tx.instructions, tx.embedded_classes).hex(" ") == changeset.hex(" ")


def person_store() -> Store:
    store = people_store()
    with store.write() as tx:
        tx.create(store.cls("Person"), "Ann")
    return store


def setter(name: str, value: object) -> Operations:
    def operations(store: Store, tx: WriteTransaction) -> None:
        tx.set(store.cls("Person"), store.key("Person", "Ann"), store.prop(f"Person.{name}"), value)  # type: ignore[arg-type]

    return operations


def test_set_and_null() -> None:
    check(person_store(), "12.8", setter("age", 42), setter("nage", None))


def test_defaults_come_in_the_given_order() -> None:
    def operations(store: Store, tx: WriteTransaction) -> None:
        age, b = store.prop("Person.age"), store.prop("Person.b")
        tx.create(store.cls("Person"), "Bob", [(age, 30, False), (b, True, True)])

    check(people_store(), "12.4", operations)


def test_objects_without_primary_key() -> None:
    def operations(store: Store, tx: WriteTransaction) -> None:
        tx.create(store.cls("Dog"))
        second, _ = tx.create(store.cls("Dog"))
        tx.set(store.cls("Dog"), second, store.prop("Dog.age"), 3)

    check(people_store(), "12.5", operations)


def test_embedded_in_dictionary() -> None:
    def operations(store: Store, tx: WriteTransaction) -> None:
        ref = store.ref("Person.addrdict", store.key("Person", "Ann"))
        for street in ("H", "H2"):
            home = tx.dict_set_embedded(ref, "h")
            tx.set(store.cls("Addr"), home.object_key, store.prop("Addr.street"), street)
        tx.dict_set(ref, "n", None)

    check(person_store(), "12.21", operations)


def test_embedded_list() -> None:
    def insert(store: Store, tx: WriteTransaction) -> None:
        addr, street, nums = store.cls("Addr"), store.prop("Addr.street"), store.prop("Addr.nums")
        ref = store.ref("Person.addrs", store.key("Person", "Ann"))
        first = tx.list_insert_embedded(ref, 0)
        tx.set(addr, first.object_key, street, "A")
        second = tx.list_insert_embedded(ref, 1)
        tx.list_insert(tx.collection(addr, second.object_key, nums), 0, 4)

    def replace(store: Store, tx: WriteTransaction) -> None:
        new = tx.list_set_embedded(store.ref("Person.addrs", store.key("Person", "Ann")), 0)
        tx.set(store.cls("Addr"), new.object_key, store.prop("Addr.street"), "B")

    check(person_store(), "12.20", insert, replace)


def test_collections_in_mixed() -> None:
    def first(store: Store, tx: WriteTransaction) -> None:
        person, ann, mix = store.cls("Person"), store.key("Person", "Ann"), store.prop("Person.mix")
        outer = tx.set_collection(person, ann, mix, DICTIONARY_COLLECTION)
        tx.dict_set(outer, "x", 1)
        inner = tx.dict_set_collection(outer, "l", LIST_COLLECTION)
        tx.list_insert(inner, 0, 7)
        innermost = tx.list_insert_collection(inner, 1, DICTIONARY_COLLECTION)
        tx.dict_set(innermost, "q", "z")

    def second(store: Store, tx: WriteTransaction) -> None:
        person, ann, mix = store.cls("Person"), store.key("Person", "Ann"), store.prop("Person.mix")
        outer = tx.set_collection(person, ann, mix, LIST_COLLECTION)
        tx.list_insert(outer, 0, 1)
        tx.list_set_collection(outer, 0, LIST_COLLECTION)
        tx.list_clear(outer)

    check(person_store(), "12.22", first, second)


def test_delete_with_links_of_every_kind() -> None:
    store = person_store()
    ann = store.key("Person", "Ann")
    with store.write() as tx:
        rex = ObjectRef(store.cls("Dog").id, tx.create(store.cls("Dog"))[0])
        tx.set(store.cls("Person"), ann, store.prop("Person.dog"), rex)
        tx.list_extend(store.ref("Person.dogs", ann), [rex, rex, rex])
        tx.set_insert(store.ref("Person.dogset", ann), rex)
        tx.dict_set(store.ref("Person.dogdict", ann), "x", rex)
        tx.set(store.cls("Person"), ann, store.prop("Person.mix"), rex)
        tx.list_insert(store.ref("Person.mixes", ann), 0, rex)
        tx.set_insert(store.ref("Person.mset", ann), rex)

    def operations(store: Store, tx: WriteTransaction) -> None:
        tx.erase(store.cls("Dog"), store.key("Dog", GlobalKey(7, 0)))

    check(store, "12.23", operations)
    assert store.rows(f"l{store.prop('Person.dogs').id}") == []
    assert store.rows(f"d{store.prop('Person.dogdict').id}") == [(ann, "x", None)]


def test_ident_comes_later() -> None:
    store = Store(file_ident=0)
    with store.write() as tx:
        dog = tx.add_class("Dog")
        add_properties(
            tx,
            "Dog",
            [
                Prop("l", LINK, target="Dog"),
                Prop("ll", LINK, LIST_COLLECTION, "Dog"),
                Prop("ls", LINK, SET_COLLECTION, "Dog"),
            ],
        )
        dog = tx.catalogue.classes["Dog"]
        a, b = tx.create(dog)[0], tx.create(dog)[0]
        tx.set(dog, a, dog.properties["l"], ObjectRef(dog.id, b))
        tx.list_insert(tx.collection(dog, b, dog.properties["ll"]), 0, ObjectRef(dog.id, a))
        tx.set_insert(tx.collection(dog, b, dog.properties["ls"]), ObjectRef(dog.id, a))
    assert encode_recorded(tx.instructions).hex(" ") == blocks("12.24")[0].hex(" ")


def tombstone_store() -> Store:
    """P[1] links to Q 'a' from a link, a list, a set, a dictionary and a Mixed; then Q 'a' is erased elsewhere."""
    store = Store()
    with store.write() as tx:
        tx.add_class("P", primary_key="id", key_type=INT)
        tx.add_class("Q", primary_key="id", key_type=STRING)
        add_properties(
            tx,
            "P",
            [
                Prop("qs", LINK, LIST_COLLECTION, "Q"),
                Prop("qset", LINK, SET_COLLECTION, "Q"),
                Prop("qd", LINK, DICTIONARY_COLLECTION, "Q"),
                Prop("m", MIXED),
                Prop("q", LINK, target="Q"),
            ],
        )
        p, q = tx.catalogue.classes["P"], tx.catalogue.classes["Q"]
        tx.create(p, 1)
        tx.create(q, "a")
    return store


def fill(store: Store, *names: str) -> None:
    with store.write() as tx:
        one, a = store.key("P", 1), ObjectRef(store.cls("Q").id, store.key("Q", "a"))
        if "qs" in names:
            tx.list_insert(store.ref("P.qs", one), 0, a)
        if "qset" in names:
            tx.set_insert(store.ref("P.qset", one), a)
            tx.dict_set(store.ref("P.qd", one), "k", a)
            tx.set(store.cls("P"), one, store.prop("P.m"), a)


def test_list_with_a_tombstone() -> None:
    store = tombstone_store()
    fill(store, "qs")
    store.apply(EraseObject("Q", "a"))
    one = store.key("P", 1)
    assert store.reader.list_slice(store.ref("P.qs", one)) == []

    def operations(store: Store, tx: WriteTransaction) -> None:
        b = ObjectRef(store.cls("Q").id, tx.create(store.cls("Q"), "b")[0])
        qs = store.ref("P.qs", one)
        tx.list_insert(qs, 0, b)
        tx.list_insert(qs, 0, b)
        tx.list_erase(qs, 0)
        tx.set(store.cls("P"), one, store.prop("P.q"), b)

    check(store, "12.25", operations)
    assert store.reader.size(store.ref("P.qs", one)) == 1
    assert store.reader.list_real_size(store.ref("P.qs", one)) == 2


def test_creating_a_tombstoned_object_again() -> None:
    store = tombstone_store()
    fill(store, "qs", "qset")
    with store.write() as tx:
        b = ObjectRef(store.cls("Q").id, tx.create(store.cls("Q"), "b")[0])
        tx.list_insert(store.ref("P.qs", store.key("P", 1)), 1, b)
    store.apply(EraseObject("Q", "a"))
    assert len(store.rows("rlm_tomb")) == 1

    def operations(store: Store, tx: WriteTransaction) -> None:
        tx.create(store.cls("Q"), "a")

    check(store, "12.26", operations)
    assert store.rows("rlm_tomb") == []
    one, a = store.key("P", 1), ObjectRef(store.cls("Q").id, store.key("Q", "a"))
    reader = store.reader
    assert reader.list_get(store.ref("P.qs", one), 0) == a
    assert reader.set_values(store.ref("P.qset", one)) == [a]
    assert reader.dict_get(store.ref("P.qd", one), "k") == a
    assert reader.get(store.cls("P"), one, store.prop("P.m")) == a


def test_asymmetric_objects_are_gone_after_the_commit() -> None:
    store = people_store()

    def operations(store: Store, tx: WriteTransaction) -> None:
        metric = store.cls("Metric")
        k, _ = tx.create(metric, ObjectId("0102030405060708090a0b0c"), [(store.prop("Metric.v"), 1.0, False)])
        addr = tx.set_embedded(metric, k, store.prop("Metric.a"))
        tx.set(store.cls("Addr"), addr.object_key, store.prop("Addr.street"), "Q")

    check(store, "12.27", operations)
    assert store.rows(store.cls("Metric").table) == []
    assert store.rows(store.cls("Addr").table) == []
    assert store.changes.inserted == {}


def test_removing_properties_and_classes() -> None:
    store = Store()
    with store.write() as tx:
        tx.add_class("P", primary_key="id", key_type=INT)
        add_properties(tx, "P", [Prop("md", MIXED, DICTIONARY_COLLECTION)])

    def erase_property(store: Store, tx: WriteTransaction) -> None:
        tx.erase_property(store.cls("P"), store.prop("P.md"))
        tx.add_property(tx.add_class("Tmp"), "x", INT)

    def erase_class(store: Store, tx: WriteTransaction) -> None:
        tx.erase_class(store.cls("Tmp"))

    check(store, "12.28", erase_property, erase_class)


@pytest.mark.parametrize(
    ("section", "values"),
    [("12.9", {"b": True, "bin": b"\x00\xff\x10"}), ("12.11", {"f": 1.5, "d": -2.25}), ("12.15", {})],
)
def test_scalars(section: str, values: dict[str, object]) -> None:
    """One transaction per value; what follows in the section is covered by the recorded operations."""
    store = person_store()
    operations = [setter(name, value) for name, value in values.items()]
    if section == "12.15":
        operations = [
            lambda store, tx: tx.add_integer(
                store.cls("Person"), store.key("Person", "Ann"), store.prop("Person.age"), -5
            )
        ]
    for operation, expected in zip(operations, blocks(section), strict=False):
        with store.write() as tx:
            operation(store, tx)
        assert encode_recorded(tx.instructions) == expected
