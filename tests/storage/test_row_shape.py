"""Rows as they are wanted: the same values as property by property, for every type (storage/row_shape.py)."""

from __future__ import annotations

import math
import uuid

import pytest
from tests.storage.store import Store, people_store

from syncline.errors import InvalidatedObjectError, LimitExceededError, TypeMismatchError
from syncline.storage.reader import Reader
from syncline.storage.refs import ObjectRef
from syncline.storage.row_shape import RowShape
from syncline.storage.transaction import WriteTransaction
from syncline.values import Decimal128, Float32, GlobalKey, ObjectId, Timestamp
from syncline.values.kinds import DICTIONARY_COLLECTION

#: Values of one object for each property of Person; others have what is there without.
VALUES = {
    "age": -5, "nage": 7, "b": True, "bin": b"\x00\xff", "ts": Timestamp(-3, -4), "f": 1.5, "d": math.inf,
    "dec": Decimal128(150, -2), "oid": ObjectId("00112233445566778899aabb"), "uuid": uuid.UUID(int=9),
}  # fmt: skip
#: What stands in a Mixed place, one object each; text that is not UTF-8, numbers that are none.
MIXED = [
    None,
    True,
    3,
    "t",
    "\udcff",
    b"b",
    2.5,
    Float32(0.5),
    Decimal128.from_text("NaN"),
    Timestamp(1, 2),
    uuid.UUID(int=1),
]


@pytest.fixture
def store() -> Store:
    store = people_store()
    person, dog = store.cls("Person"), store.cls("Dog")
    with store.write() as tx:
        for key in ("a", "\udcfe", "c"):
            tx.create(person, key, [(store.prop(f"Person.{name}"), value, False) for name, value in VALUES.items()])
        tx.set(person, 1, store.prop("Person.d"), math.nan)
        for number, value in enumerate(MIXED):
            tx.create(person, f"m{number}", [(store.prop("Person.mix"), value, False)])
        rex, _ = tx.create(dog, GlobalKey(1, 1), [])
        tx.set(person, 0, store.prop("Person.dog"), ObjectRef(dog.id, rex))
        tx.set(person, 1, store.prop("Person.mix"), ObjectRef(dog.id, rex))
        tx.set_collection(person, 2, store.prop("Person.mix"), DICTIONARY_COLLECTION)
        tx.set_embedded(person, 2, store.prop("Person.addr"))
    return store


@pytest.fixture(params=["reader", "transaction"])
def reader(request: pytest.FixtureRequest, store: Store) -> Reader:
    if request.param == "reader":
        return store.reader
    return WriteTransaction(store.connection, store.catalogue, store.version)


def texts(rows: list[tuple[object, ...]], count: int) -> list[list[str]]:
    """Rows to compare: NaN is no equal of itself, 1 is one of True."""
    return [[repr(value) for value in row[:count]] for row in rows]


@pytest.mark.parametrize("name", ["Person", "Dog", "Addr"])
@pytest.mark.parametrize("backwards", [False, True])
def test_every_way_gives_what_the_properties_hold(store: Store, reader: Reader, name: str, backwards: bool) -> None:
    cls = store.cls(name)
    props = list(reversed(cls.singles)) if backwards else list(cls.singles)
    keys = reader.keys(cls)
    expected = texts([(k, *[reader.get(cls, k, prop) for prop in props]) for k in keys], 1 + len(props))
    shape, count = RowShape(cls, props), 1 + len(props)
    assert texts(shape.all(reader), count) == expected
    assert texts(shape.by_keys(reader, keys), count) == expected
    assert texts([shape.one(reader, k) for k in keys], count) == expected
    assert texts(shape.after(reader, -1, keys[-1], 100), count) == expected
    assert texts(list(zip(*shape.columns(reader, None), strict=True)), count) == expected
    assert texts(list(zip(*shape.columns(reader, keys), strict=True)), count) == expected
    for place, prop in enumerate(props):  # a value is the same whatever is read with it
        assert [row[1] for row in texts(RowShape(cls, [prop]).all(reader), 2)] == [row[place + 1] for row in expected]


def test_rows_come_in_the_order_of_keys_as_often_as_these_do(store: Store, reader: Reader) -> None:
    cls = store.cls("Person")
    shape = RowShape(cls, [store.prop("Person.age")])
    assert [row[:2] for row in shape.by_keys(reader, [4, 0, 77, 4, 2])] == [(4, 0), (0, -5), (4, 0), (2, -5)]
    assert shape.columns(reader, [4, 0, 77, 4, 2]) == [[4, 0, 4, 2], [0, -5, 0, -5]]
    assert shape.by_keys(reader, []) == []
    assert shape.columns(reader, []) == [[], []]
    assert [row[0] for row in shape.after(reader, 2, 9, 3)] == [3, 4, 5]
    assert [row[0] for row in shape.after(reader, 7, 9, 30)] == [8, 9]
    assert shape.after(reader, 9, 9, 30) == []


def test_one_row_that_is_not_there(store: Store, reader: Reader) -> None:
    with pytest.raises(InvalidatedObjectError):
        RowShape(store.cls("Person"), []).one(reader, 77)


def test_rows_are_found_by_primary_key(store: Store) -> None:
    cls = store.cls("Person")
    shape = RowShape(cls, [store.prop("Person.b")])
    assert shape.find(store.reader, "c") == (2, True)
    assert shape.find(store.reader, "\udcfe") == (1, True)
    assert shape.find(store.reader, "nobody") is None
    assert shape.find(store.reader, None) is None
    for wrong in (3, GlobalKey(1, 1)):
        with pytest.raises(TypeMismatchError):
            shape.find(store.reader, wrong)
    with pytest.raises(LimitExceededError):
        shape.find(store.reader, "long" * 5_000_000)


def test_a_transaction_sees_what_it_has_not_written_yet(store: Store) -> None:
    cls = store.cls("Person")
    age, shape = store.prop("Person.age"), RowShape(store.cls("Person"), [store.prop("Person.age")])
    with store.write() as tx:
        tx.set(cls, 0, age, 99)
        new, _ = tx.create(cls, "new", [])
        assert shape.one(tx, 0) == (0, 99)
        assert shape.one(tx, new) == (new, 0)
        assert [row[1] for row in shape.by_keys(tx, [new, 0])] == [0, 99]
