"""Applying changesets: every effect of spec/changesets.md §10."""

from __future__ import annotations

from typing import Any

import pytest
from tests.storage.edits import column, insert, up
from tests.storage.store import Prop, Store, add_properties, people_store

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    AddColumn,
    AddInteger,
    AddTable,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Clear,
    CreateObject,
    EraseColumn,
    EraseObject,
    Instruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.changesets.limits import MAX_PATH_LENGTH
from syncline.errors import BadChangesetError, LimitExceededError
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import Decimal128, Float32, GlobalKey, Key, Link, ObjectId, Timestamp
from syncline.values.kinds import (
    ASYMMETRIC,
    BOOL,
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
    OBJECT_ID,
    SET_COLLECTION,
    STRING,
    TOP_LEVEL,
    UUID,
)

CREATE = CreateObject("Person", "Ann")


def shown(store: Store, value: Any) -> Any:
    """A value as plain Python: collections and embedded objects with their content, links as (class, key)."""
    reader = store.reader
    if isinstance(value, ObjectRef):
        cls = store.catalogue.by_id[value.class_id]
        if not cls.embedded:
            return cls.name, reader.key_of(cls, value.object_key)
        return {name: get(store, cls.name, value.object_key, name) for name in cls.properties}
    if isinstance(value, CollectionRef):
        if value.kind == LIST_COLLECTION:
            return [shown(store, element) for element in reader.list_slice(value)]
        if value.kind == SET_COLLECTION:
            return {shown(store, element) for element in reader.set_values(value)}
        return {key: shown(store, element) for key, element in reader.dict_items(value)}
    return value


def get(store: Store, class_name: str, k: int, name: str) -> Any:
    cls = store.cls(class_name)
    return shown(store, store.reader.get(cls, k, cls.properties[name]))


def ann(store: Store, name: str) -> Any:
    return get(store, "Person", store.key("Person", "Ann"), name)


@pytest.fixture
def store() -> Store:
    store = people_store()
    store.apply(CREATE)
    return store


def apply_and_read(store: Store, name: str, *instructions: Instruction) -> Any:
    store.apply(*instructions)
    return ann(store, name)


# --- effects ----------------------------------------------------------------------------------------------------------

NEW_ADDR = {"street": None, "nums": [], "sub": None, "friend": None, "any": None}

EFFECTS: dict[str, tuple[str, object, list[Instruction]]] = {
    "scalar": ("age", 3, [up("age", INT, 3)]),
    "default": ("age", 4, [Update("Person", "Ann", "age", (), INT, 4, True)]),
    "null": ("nage", None, [up("nage", INT, 3), up("nage", NULL)]),
    "timestamp": ("ts", Timestamp(-1, -1), [up("ts", 5, Timestamp(-1, -1))]),
    "single precision": ("f", 0.5, [up("f", FLOAT, 0.5)]),
    "minus zero": ("d", -0.0, [up("d", DOUBLE, -0.0)]),
    "decimal": ("dec", Decimal128(105, -1), [up("dec", DECIMAL, Decimal128(105, -1))]),
    "text that is not UTF-8": ("mix", "a\udcff", [up("mix", STRING, "a\udcff")]),
    "float in Mixed": ("mix", Float32(0.5), [up("mix", FLOAT, 0.5)]),
    "object value": ("addr", NEW_ADDR, [up("addr", OBJECT)]),
    "object value again": (
        "addr",
        NEW_ADDR | {"street": "S"},
        [up("addr", OBJECT), up("addr", STRING, "S", "street"), up("addr", OBJECT)],
    ),
    "embedded replaced": (
        "addr",
        NEW_ADDR,
        [up("addr", OBJECT), up("addr", STRING, "S", "street"), up("addr", NULL), up("addr", OBJECT)],
    ),
    "deep path": (
        "addr",
        NEW_ADDR | {"sub": NEW_ADDR | {"nums": [9], "any": {"k": [True]}}},
        [
            up("addr", OBJECT),
            up("addr", OBJECT, None, "sub"),
            insert("addr", INT, 9, "sub", "nums", 0, prior=0),
            up("addr", DICTIONARY, None, "sub", "any"),
            up("addr", LIST, None, "sub", "any", "k"),
            insert("addr", BOOL, True, "sub", "any", "k", 0, prior=0),
        ],
    ),
    "object value in an entry resets it": (
        "addrdict",
        {"h": NEW_ADDR},
        [
            up("addrdict", OBJECT, None, "h"),
            up("addrdict", STRING, "S", "h", "street"),
            up("addrdict", OBJECT, None, "h"),
        ],
    ),
    "object value at an element changes nothing": (
        "addrs",
        [NEW_ADDR | {"street": "S"}],
        [
            insert("addrs", OBJECT, None, 0, prior=0),
            up("addrs", STRING, "S", 0, "street"),
            up("addrs", OBJECT, None, 0, prior=1),
        ],
    ),
    "moved embedded objects keep their content": (
        "addrs",
        [NEW_ADDR, NEW_ADDR | {"street": "S"}],
        [
            insert("addrs", OBJECT, None, 0, prior=0),
            up("addrs", STRING, "S", 0, "street"),
            insert("addrs", OBJECT, None, 1, prior=1),
            ArrayMove("Person", "Ann", "addrs", (0,), 1, 2),
        ],
    ),
    "moved nested collections keep their content": (
        "mixes",
        [1, ["x"]],
        [
            insert("mixes", LIST, None, 0, prior=0),
            insert("mixes", STRING, "x", 0, 0, prior=0),
            insert("mixes", INT, 1, 1, prior=1),
            ArrayMove("Person", "Ann", "mixes", (0,), 1, 2),
        ],
    ),
    "list": (
        "ints",
        [2, 9],
        [
            insert("ints", INT, 1, 0, prior=0),
            insert("ints", INT, 2, 1, prior=1),
            insert("ints", INT, 3, 0, prior=2),
            ArrayErase("Person", "Ann", "ints", (0,), 3),
            ArrayMove("Person", "Ann", "ints", (0,), 1, 2),
            up("ints", INT, 9, 1, prior=77),
        ],
    ),
    "nullable list": ("nstrings", [None], [insert("nstrings", NULL, None, 0, prior=0)]),
    "same kind of collection keeps its content": (
        "mix",
        ["x"],
        [up("mix", LIST), insert("mix", STRING, "x", 0, prior=0), up("mix", LIST)],
    ),
    "another kind drops it": (
        "mix",
        {},
        [up("mix", LIST), insert("mix", STRING, "x", 0, prior=0), up("mix", DICTIONARY)],
    ),
    "element becomes a collection": (
        "mixes",
        [{"a": 1}],
        [
            insert("mixes", INT, 1, 0, prior=0),
            up("mixes", DICTIONARY, None, 0, prior=1),
            up("mixes", INT, 1, 0, "a"),
            up("mixes", DICTIONARY, None, 0, prior=1),
        ],
    ),
    "entry": ("idict", {"a": 2}, [up("idict", INT, 1, "a"), up("idict", INT, 2, "a"), up("idict", ERASED, None, "b")]),
    "entry erased": ("idict", {}, [up("idict", INT, 1, "a"), up("idict", ERASED, None, "a")]),
    "entry becomes a collection": (
        "mdict",
        {"a": {"b": 1}},
        [up("mdict", DICTIONARY, None, "a"), up("mdict", INT, 1, "a", "b"), up("mdict", DICTIONARY, None, "a")],
    ),
    "null link in a dictionary": ("dogdict", {"a": None}, [up("dogdict", NULL, None, "a")]),
    "add": ("age", 2, [up("age", INT, 3), AddInteger("Person", "Ann", "age", (), -1)]),
    "add wraps": (
        "age",
        -(1 << 63),
        [up("age", INT, (1 << 63) - 1), AddInteger("Person", "Ann", "age", (), 1)],
    ),
    "add to null": ("nage", None, [AddInteger("Person", "Ann", "nage", (), 1)]),
    "add to a Mixed that is null": ("mix", None, [AddInteger("Person", "Ann", "mix", (), 2)]),
    "add to a Mixed": ("mix", 5, [up("mix", INT, 3), AddInteger("Person", "Ann", "mix", (), 2)]),
    "set": (
        "iset",
        {1},
        [
            SetInsert("Person", "Ann", "iset", (), INT, 1),
            SetInsert("Person", "Ann", "iset", (), INT, 1),
            SetInsert("Person", "Ann", "iset", (), INT, 2),
            SetErase("Person", "Ann", "iset", (), INT, 2),
            SetErase("Person", "Ann", "iset", (), INT, 3),
        ],
    ),
    "null in a set": (
        "niset",
        set(),
        [SetInsert("Person", "Ann", "niset", (), NULL, None), SetErase("Person", "Ann", "niset", (), NULL, None)],
    ),
    "equal numbers in a set of Mixed: the last one stays": (
        "mset",
        {Decimal128(100, -2), "1"},
        [
            SetInsert("Person", "Ann", "mset", (), INT, 1),
            SetInsert("Person", "Ann", "mset", (), DOUBLE, 1.0),
            SetInsert("Person", "Ann", "mset", (), DECIMAL, Decimal128(100, -2)),
            SetInsert("Person", "Ann", "mset", (), STRING, "1"),
        ],
    ),
    "set of links to missing objects": (
        "dogset",
        set(),
        [
            SetInsert("Person", "Ann", "dogset", (), LINK, Link("Dog", GlobalKey(1, 1))),
            SetErase("Person", "Ann", "dogset", (), LINK, Link("Dog", GlobalKey(1, 1))),
            SetErase("Person", "Ann", "dogset", (), LINK, Link("Dog", GlobalKey(1, 2))),
        ],
    ),
    "clear list": (
        "ints",
        [],
        [insert("ints", INT, 1, 0, prior=0), Clear("Person", "Ann", "ints", (), LIST_COLLECTION)],
    ),
    "clear unspecified": ("iset", set(), [Clear("Person", "Ann", "iset", (), 0)]),
    "clear null Mixed": ("mix", [], [Clear("Person", "Ann", "mix", (), LIST_COLLECTION)]),
    "clear scalar Mixed": ("mix", {}, [up("mix", INT, 1), Clear("Person", "Ann", "mix", (), DICTIONARY_COLLECTION)]),
    "clear to another kind": (
        "mix",
        {},
        [
            up("mix", LIST),
            insert("mix", INT, 1, 0, prior=0),
            Clear("Person", "Ann", "mix", (), DICTIONARY_COLLECTION),
        ],
    ),
    "clear an element": (
        "mixes",
        [[]],
        [insert("mixes", INT, 1, 0, prior=0), Clear("Person", "Ann", "mixes", (0,), LIST_COLLECTION)],
    ),
    "clear a missing key creates it": ("mdict", {"k": []}, [Clear("Person", "Ann", "mdict", ("k",), LIST_COLLECTION)]),
    "clear an entry": (
        "mdict",
        {"k": []},
        [
            up("mdict", LIST, None, "k"),
            insert("mdict", INT, 1, "k", 0, prior=0),
            Clear("Person", "Ann", "mdict", ("k",), LIST_COLLECTION),
        ],
    ),
    "clear an empty nested list": (
        "mdict",
        {"k": []},
        [up("mdict", LIST, None, "k"), Clear("Person", "Ann", "mdict", ("k",), LIST_COLLECTION)],
    ),
    "create twice": ("age", 3, [up("age", INT, 3), CREATE]),
}


@pytest.mark.parametrize(("name", "expected", "instructions"), EFFECTS.values(), ids=EFFECTS.keys())
def test_effects(store: Store, name: str, expected: object, instructions: list[Instruction]) -> None:
    value = apply_and_read(store, name, *instructions)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("name", "expected", "instructions"), EFFECTS.values(), ids=EFFECTS.keys())
def test_effects_one_by_one(store: Store, name: str, expected: object, instructions: list[Instruction]) -> None:
    """The same in transactions of their own: nothing may depend on what is still buffered."""
    for instruction in instructions:
        store.apply(instruction)
    assert ann(store, name) == expected


def test_minus_zero_keeps_its_sign(store: Store) -> None:
    store.apply(up("d", DOUBLE, 0.0))
    assert str(apply_and_read(store, "d", up("d", DOUBLE, -0.0))) == "-0.0"


def test_not_a_number_is_no_null(store: Store) -> None:
    value = apply_and_read(store, "d", up("d", DOUBLE, float("nan")))
    assert value != value


def test_erasing_what_is_missing_does_nothing(store: Store) -> None:
    with store.write() as tx:
        tx.apply(Changeset([EraseObject("Person", "Bob"), EraseObject("Dog", GlobalKey(9, 9))], []))
        assert not tx.is_dirty


def test_asymmetric_objects_vanish(store: Store) -> None:
    key = ObjectId(bytes(12))
    store.apply(CreateObject("Metric", key), Update("Metric", key, "v", (), DOUBLE, 1.0))
    assert store.rows(store.cls("Metric").table) == []
    with store.write(keep_asymmetric=True) as tx:
        tx.apply(Changeset([CreateObject("Metric", key)], []))
    assert len(store.rows(store.cls("Metric").table)) == 1


def test_many_objects_in_one_changeset(store: Store) -> None:
    first: list[Instruction] = []
    for number in range(500):
        first += [CreateObject("Person", f"p{number}"), Update("Person", f"p{number}", "age", (), INT, number)]
    second: list[Instruction] = [
        Update("Person", f"p{number}", "best", (), LINK, Link("Person", f"p{number + 1}")) for number in range(500)
    ]
    with store.write() as tx:
        tx.apply_all([Changeset(first, []), Changeset(second, [])])
    store.apply(*[Update("Person", f"p{number}", "nage", (), INT, number) for number in range(500)])
    person = store.cls("Person")
    for number in (0, 250, 499):
        k = store.key("Person", f"p{number}")
        assert store.reader.get(person, k, store.prop("Person.age")) == number
        assert store.reader.get(person, k, store.prop("Person.nage")) == number
    assert len(store.rows("rlm_tomb")) == 1  # p500


# --- schema -----------------------------------------------------------------------------------------------------------


def test_schema_instructions_repeat_without_effect(store: Store) -> None:
    with store.write() as tx:
        tx.apply(
            Changeset(
                [
                    AddTable("Dog", TOP_LEVEL, "", GLOBAL_KEY, False),
                    AddTable("Addr", EMBEDDED, "", 0, False),
                    AddTable("Person", TOP_LEVEL, "name", STRING, True),
                    AddTable("Metric", ASYMMETRIC, "_id", OBJECT_ID, False),
                    column("age", INT),
                    AddColumn("Person", "age", INT, True, 0, "", 0),
                    column("mate", LINK, 0, "Dog"),
                    AddColumn("Person", "name", STRING, True, 0, "", 0),
                ],
                [],
            )
        )
        assert not tx.is_dirty
        assert not tx.schema_changed


def test_new_properties_have_zero_or_null(store: Store) -> None:
    store.apply(CreateObject("Dog", GlobalKey(2, 0)))
    kinds = [INT, BOOL, STRING, 4, 5, FLOAT, DOUBLE, DECIMAL, OBJECT_ID, UUID, MIXED]
    store.apply(
        *[column(f"z{kind}", kind) for kind in kinds],
        *[AddColumn("Dog", f"n{kind}", kind, True, 0, "", 0) for kind in kinds],
        column("link", LINK, 0, "Dog"),
        column("list", INT, LIST_COLLECTION),
        column("dict", LINK, DICTIONARY_COLLECTION, "Dog", STRING),
    )
    old = [get(store, "Dog", 0, name) for name in store.cls("Dog").properties]
    store.apply(CreateObject("Dog", GlobalKey(2, 1)))
    assert old == [get(store, "Dog", 1, name) for name in store.cls("Dog").properties]
    zeros = [get(store, "Dog", 0, f"z{kind}") for kind in kinds]
    assert zeros[:9] == [0, False, "", b"", Timestamp(0, 0), 0.0, 0.0, Decimal128(0), ObjectId(bytes(12))]
    assert zeros[10] is None
    assert all(get(store, "Dog", 0, f"n{kind}") is None for kind in kinds)
    assert not store.prop("Dog.list").nullable
    assert store.prop("Dog.link").nullable
    assert store.prop("Dog.dict").nullable


@pytest.mark.parametrize("key", [None, "", "é", "a\udcff", "x" * 1000])
def test_keys_survive(store: Store, key: Key) -> None:
    store.apply(CreateObject("Person", key), up("best", LINK, Link("Person", key)))
    assert ann(store, "best") == ("Person", key)
    store.apply(EraseObject("Person", key))
    assert ann(store, "best") is None
    store.apply(CreateObject("Person", key))
    assert ann(store, "best") == ("Person", key)


def test_nested_collections_have_a_limit(store: Store) -> None:
    deep: list[Instruction] = [up("mix", LIST)]
    deep += [insert("mix", LIST, None, *[0] * depth, prior=0) for depth in range(1, 100)]
    store.apply(*deep)
    with store.write() as tx, pytest.raises(BadChangesetError), tx.savepoint():
        tx.apply(Changeset([insert("mix", LIST, None, *[0] * 100, prior=0)], []))


def test_embedded_objects_may_be_nested_deeply(store: Store) -> None:
    """As deep as a path can be; neither recording inside nor deleting recurses."""
    store.apply(up("addr", OBJECT), *[up("addr", OBJECT, None, *["sub"] * depth) for depth in range(1, 999)])
    with store.write() as tx:
        deepest = store.reader.keys(store.cls("Addr"))[-1]
        tx.set(store.cls("Addr"), deepest, store.prop("Addr.street"), "down here")
        assert len(tx.instructions[0].path) == 999  # type: ignore[attr-defined]
        tx.list_insert(store.reader.collection(store.cls("Addr"), deepest, store.prop("Addr.nums")), 0, 1)
        assert len(tx.instructions[1].path) == 1000  # type: ignore[attr-defined]
        tx.erase(store.cls("Person"), 0)
    assert store.rows(store.cls("Addr").table) == []


def test_nothing_is_written_where_receivers_do_not_look(store: Store) -> None:
    """An embedded object may be made by the longest path there is; what would be inside has no path."""
    deep = [up("addr", OBJECT, None, *["sub"] * depth) for depth in range(1, MAX_PATH_LENGTH + 1)]
    store.apply(up("addr", OBJECT), *deep)
    addr = store.cls("Addr")
    deepest = store.reader.keys(addr)[-1]
    before = store.rows(addr.table)
    with store.write() as tx:
        for write in (
            lambda: tx.set(addr, deepest, store.prop("Addr.street"), "too deep"),
            lambda: tx.set_embedded(addr, deepest, store.prop("Addr.sub")),
            lambda: tx.set_collection(addr, deepest, store.prop("Addr.any"), LIST_COLLECTION),
            lambda: tx.list_insert(tx.collection(addr, deepest, store.prop("Addr.nums")), 0, 1),
            lambda: tx.list_insert(tx.collection(addr, deepest - 1, store.prop("Addr.nums")), 0, 1),
        ):
            with pytest.raises(LimitExceededError, match="nested 1000 levels deep, no more"):
                write()
        assert tx.instructions == []
    assert store.rows(addr.table) == before


def test_schema_and_objects_in_one_changeset() -> None:
    store = Store()
    store.apply(
        AddTable("T", TOP_LEVEL, "id", INT, False),
        AddColumn("T", "a", INT, False, 0, "", 0),
        CreateObject("T", 1),
        Update("T", 1, "a", (), INT, 5),
        AddColumn("T", "b", STRING, False, 0, "", 0),
        Update("T", 1, "b", (), STRING, "x"),
        EraseColumn("T", "a"),
        Update("T", 1, "b", (), STRING, "y"),
        AddColumn("T", "a", STRING, True, 0, "", 0),
    )
    assert store.reader.get_row(store.cls("T"), 0) == (1, "y", None)


def test_properties_of_one_name_are_independent() -> None:
    store = Store()
    with store.write() as tx:
        for name in ("A", "B"):
            tx.add_class(name, primary_key="id", key_type=INT)
            add_properties(tx, name, [Prop("l", INT, LIST_COLLECTION)])
    store.apply(
        CreateObject("A", 1),
        CreateObject("B", 1),
        ArrayInsert("A", 1, "l", (0,), INT, 5, 0),
        ArrayInsert("B", 1, "l", (0,), INT, 6, 0),
    )
    assert [get(store, name, 0, "l") for name in ("A", "B")] == [[5], [6]]
