"""The catalogue, its tables, and the tables of classes (storage/catalogue.py, storage/schema.py, storage/layout.py)."""

from __future__ import annotations

import pytest
from tests.storage.store import Store, people_store

from syncline.errors import FileError, InvalidatedObjectError
from syncline.storage.catalogue import FULL_TEXT_INDEX, GENERAL_INDEX, ClassInfo, PropertyInfo, load
from syncline.values.kinds import DICTIONARY_COLLECTION, DOUBLE, INT, LINK, LIST_COLLECTION, MIXED, STRING


def described(info: ClassInfo) -> list[tuple[object, ...]]:
    return [
        (p.id, p.class_id, p.name, p.type, p.nullable, p.collection, p.target, p.target_id, p.embedded, p.indexed)
        for p in info.properties.values()
        if p.slot == column(info, p)
    ]


def column(info: ClassInfo, prop: PropertyInfo) -> int:
    return info.columns.index(prop.columns[0]) if prop.columns else -1


def test_what_is_stored_is_what_is_read() -> None:
    store = people_store()
    read = load(store.connection)
    assert read is not store.catalogue
    for name, info in store.catalogue.classes.items():
        other = read.classes[name]
        assert (other.id, other.kind, other.columns) == (info.id, info.kind, info.columns)
        assert described(other) == described(info)
    assert read.find("Person") is read.classes["Person"]
    assert read.find("Nobody") is None


def test_a_transaction_has_the_same_catalogue_as_the_next_reader() -> None:
    store = Store()
    with store.write() as tx:
        tx.add_property(tx.add_class("A", primary_key="id", key_type=INT), "x", MIXED)
        tx.erase_property(tx.catalogue.classes["A"], tx.catalogue.classes["A"].properties["x"])
        tx.add_property(tx.catalogue.classes["A"], "y", LINK, target="A")
    assert load(store.connection, tx.catalogue) is tx.catalogue
    fresh = load(store.connection)
    assert described(fresh.classes["A"]) == described(tx.catalogue.classes["A"])
    assert fresh.classes["A"].columns == tx.catalogue.classes["A"].columns


def test_an_unchanged_catalogue_is_shared() -> None:
    store = people_store()
    first = load(store.connection)
    assert load(store.connection, first) is first
    with store.write() as tx:
        tx.create(store.cls("Dog"))
    assert load(store.connection, first) is first
    with store.write() as tx:
        tx.add_class("New")
    assert load(store.connection, first) is not first


def test_older_descriptions_do_not_change() -> None:
    store = people_store()
    old = store.cls("Person")
    slots = {prop.name: prop.slot for prop in old.properties.values()}
    with store.write() as tx:
        tx.erase_property(old, old.properties["age"])
        tx.add_property(tx.catalogue.classes["Person"], "later", INT)
    assert {prop.name: prop.slot for prop in old.properties.values()} == slots


def test_ids_are_never_used_again() -> None:
    store = Store()
    with store.write() as tx:
        first = tx.add_class("A")
        x = tx.add_property(first, "x", INT)
        tx.erase_property(first, x)
        y = tx.add_property(first, "y", INT)
        tx.erase_class(first)
        second = tx.add_class("A")
    assert y.id > x.id
    assert second.id > first.id


def test_a_removed_class_or_property_is_refused() -> None:
    store = people_store()
    with store.write() as tx:
        k, _ = tx.create(store.cls("Dog"))
        p, _ = tx.create(store.cls("Person"), "Ann")
        tx.erase_property(store.cls("Dog"), store.prop("Dog.age"))
        tx.erase_property(store.cls("Person"), store.prop("Person.ints"))
        with pytest.raises(InvalidatedObjectError):
            tx.set(store.cls("Dog"), k, store.prop("Dog.age"), 1)
        with pytest.raises(InvalidatedObjectError):
            tx.list_insert(store.ref("Person.ints", p), 0, 1)
        new = tx.add_class("New")
        n, _ = tx.create(new)
        tx.erase_class(new)
        with pytest.raises(InvalidatedObjectError):
            tx.erase(new, n)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM rlm_meta WHERE k = 'catalogue'",
        "UPDATE rlm_meta SET v = 'x' WHERE k = 'catalogue'",
        "UPDATE rlm_prop SET type = 99 WHERE name = 'age'",
        "UPDATE rlm_prop SET flags = 3 WHERE name = 'age'",
        "UPDATE rlm_prop SET target = 99 WHERE name = 'mate'",
        "DELETE FROM rlm_class WHERE name = 'Dog'",
    ],
)
def test_a_damaged_catalogue_is_refused(damage: str) -> None:
    store = people_store()
    store.connection.execute(damage)
    with pytest.raises(FileError):
        load(store.connection)


def indexes(store: Store) -> set[str]:
    return {row[0] for row in store.connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'ix%'")}


def test_indexes_come_and_go() -> None:
    store = Store()
    with store.write() as tx:
        cls = tx.add_class("A")
        name = tx.add_property(cls, "name", STRING, indexed=GENERAL_INDEX)
        names = tx.add_property(cls, "names", STRING, collection=LIST_COLLECTION, indexed=GENERAL_INDEX)
        mixed = tx.add_property(cls, "mixed", MIXED)
        text = tx.add_property(cls, "text", STRING, indexed=FULL_TEXT_INDEX)
    assert indexes(store) == {f"ix{name.id}", f"ix{names.id}"}
    with store.write() as tx:
        tx.create(store.cls("A"))
        tx.set_index(store.cls("A"), mixed, GENERAL_INDEX)
        tx.set_index(tx.catalogue.classes["A"], name, 0)
        tx.set_index(tx.catalogue.classes["A"], text, 0)
    assert tx.instructions[1:] == []
    assert indexes(store) == {f"ix{names.id}", f"ix{mixed.id}"}
    assert store.prop("A.mixed").indexed == GENERAL_INDEX
    assert store.prop("A.text").indexed == 0


def plan(store: Store, sql: str) -> str:
    return " ".join(str(row[3]) for row in store.connection.execute("EXPLAIN QUERY PLAN " + sql))


def test_links_are_found_by_index() -> None:
    store = people_store()
    for name in ("dog", "mix", "best"):
        prop = store.prop(f"Person.{name}")
        link = f"l{prop.id} = 1 AND " if prop.type == MIXED else ""
        assert f"INDEX x{prop.id}" in plan(store, f"SELECT k FROM c{prop.class_id} WHERE {link}p{prop.id} = 3")
    for name in ("dogs", "dogset", "dogdict", "mixes", "mset", "mdict"):
        prop = store.prop(f"Person.{name}")
        assert prop.table is not None
        sql = prop.table.linking_sql.replace("?", "3")
        assert f"INDEX x{prop.id}" in plan(store, sql)


def test_numbers_of_floats_are_stored_as_they_are() -> None:
    """A REAL column would turn −0.0 into 0."""
    store = Store()
    with store.write() as tx:
        cls = tx.add_class("A")
        tx.add_property(cls, "d", DOUBLE)
        tx.add_property(cls, "dd", DOUBLE, collection=DICTIONARY_COLLECTION)
    with store.write() as tx:
        k, _ = tx.create(store.cls("A"), values=[(store.prop("A.d"), -0.0, False)])
        tx.dict_set(store.ref("A.dd", k), "k", -0.0)
    assert str(store.reader.get(store.cls("A"), k, store.prop("A.d"))) == "-0.0"
    assert str(store.reader.dict_get(store.ref("A.dd", k), "k")) == "-0.0"
