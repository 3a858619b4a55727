"""Mixed values with collections in them, embedded objects, limits (spec/sdk.md §1.1.1, §1.6, §1.9, §1.11)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Dictionary,
    EmbeddedModel,
    Field,
    IllegalOperationError,
    InvalidDictionaryKeyError,
    LimitExceededError,
    List,
    Model,
    ObjectId,
    ObjectSchema,
    Property,
    PropertyNotNullableError,
    Realm,
    RealmConfiguration,
    SchemaMode,
    Set,
    StaleAccessorError,
    Timestamp,
    TypeMismatchError,
    UpdateMode,
)
from syncline.values import kinds


class Leg(EmbeddedModel):
    number: int = 0


class Dog(Model):
    name: str = Field(primary_key=True)


class Thing(Model):
    key: int | None = Field(primary_key=True)
    text: str = ""
    data: bytes = b""
    when: datetime | None
    any: Any
    anys: List[Any]
    leg: Leg | None
    legs: List[Leg]
    named: Dictionary[Leg | None]
    numbers: List[int]
    members: Set[int]
    scores: Dictionary[int]


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    realm = open_realm(Thing, Leg, Dog)
    realm.begin_write()
    return realm


@pytest.fixture
def thing(realm: Realm) -> Thing:
    return realm.create(Thing)


# --- collections in Mixed values --------------------------------------------------------------------------------------


def test_a_list_over_a_list_keeps_it_anything_else_does_not(thing: Thing) -> None:
    thing.any = [1, [2, 3], {"a": [4]}]
    outer = thing.any
    inner, innermost = outer[1], outer[2]["a"]
    assert isinstance(outer, List)
    thing.any = [5]
    assert list(outer) == [5]
    for gone in (inner, innermost):
        assert not gone.is_valid
        with pytest.raises(StaleAccessorError, match=r"another value took the place of this collection"):
            list(gone)
    for value in ("text", {"a": 1}, None):
        thing.any = [6]
        before = thing.any
        thing.any = value
        thing.any = [7]
        with pytest.raises(StaleAccessorError):
            before.append(1)
    thing.any = {"a": 1}
    mapping = thing.any
    thing.any = {"b": [2]}
    assert list(mapping) == ["b"]
    mapping["b"].append(3)
    assert list(thing.any["b"]) == [2, 3]


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_collections_nest_a_hundred_levels_deep(thing: Thing) -> None:
    thing.any = nested(100)
    with pytest.raises(LimitExceededError, match=r"100 levels deep, no more"):
        thing.any = nested(101)
    thing.anys.append(nested(99))


@pytest.mark.parametrize("value", [{1, 2}, [frozenset()], {"a": {1}}])
def test_sets_are_no_mixed_values(thing: Thing, value: Any) -> None:
    with pytest.raises(IllegalOperationError, match=r"a Mixed value cannot be a set"):
        thing.any = value
    with pytest.raises(IllegalOperationError, match=r"a Mixed value cannot be a set"):
        thing.anys.append(value)


def test_what_else_is_no_mixed_value(realm: Realm, thing: Thing) -> None:
    with pytest.raises(IllegalOperationError, match=r"is embedded"):
        thing.any = Leg()
    with pytest.raises(InvalidDictionaryKeyError):
        thing.any = {"a.b": 1}
    with pytest.raises(TypeMismatchError, match=r"the keys of a dictionary are str"):
        thing.any = {1: 1}
    with pytest.raises(IllegalOperationError, match=r"a Mixed value cannot be a set"):
        Thing(any={1})


def test_an_object_in_its_own_value_can_be_shown(thing: Thing) -> None:
    thing.any = [thing, {"x": thing}]
    assert "any=[2 items]" in repr(thing.any)
    assert thing.linking_objects_count() == 2


def test_the_type_is_part_of_a_change(realm: Realm, thing: Thing) -> None:
    thing.any = 1
    realm.create(Thing, key=None, any=1.0, update=UpdateMode.MODIFIED)
    assert type(thing.any) is float
    realm.create(Thing, key=None, any=True, update=UpdateMode.MODIFIED)
    assert thing.any is True


# --- embedded objects -------------------------------------------------------------------------------------------------


def test_they_have_one_parent(realm: Realm, thing: Thing) -> None:
    thing.legs = [Leg(number=1), {"number": 2}]  # type: ignore[assignment, list-item]
    leg = thing.legs[0]
    assert leg.parent == thing
    actions: list[Callable[[], object]] = [
        lambda: setattr(thing, "leg", leg),
        lambda: thing.legs.append(leg),
        lambda: thing.legs.__setitem__(1, leg),
        lambda: thing.named.__setitem__("a", leg),
    ]
    for action in actions:
        with pytest.raises(IllegalOperationError, match=r"has a parent already; embedded objects have one"):
            action()
    with pytest.raises(PropertyNotNullableError):
        thing.legs.append(None)  # type: ignore[arg-type]
    copy = realm.create(Thing, key=2, legs=thing.legs, leg=leg, named={"a": leg})
    assert [each.number for each in copy.legs] == [1, 2]
    assert copy.leg is not None
    assert (copy.leg.number, copy.leg.parent) == (1, copy)
    assert leg.parent == thing


def test_they_are_not_created_alone_but_can_be_looked_at(realm: Realm, thing: Thing) -> None:
    with pytest.raises(IllegalOperationError, match=r"come into being by assigning them to their parent"):
        realm.create(Leg)
    with pytest.raises(IllegalOperationError, match=r"assign it to the property of its parent"):
        realm.add(Leg())
    thing.leg = Leg(number=7)
    assert [leg.number for leg in realm.objects(Leg)] == [7]


def test_deleting_one_leaves_its_place_empty(realm: Realm, thing: Thing) -> None:
    thing.leg = Leg()
    thing.legs = [Leg(number=1), Leg(number=2)]  # type: ignore[assignment]
    thing.named = {"a": Leg()}  # type: ignore[assignment]
    realm.delete([thing.leg, thing.legs[0], thing.named["a"]])
    assert thing.leg is None
    assert [leg.number for leg in thing.legs] == [2]
    assert dict(thing.named) == {"a": None}
    realm.delete(thing)
    assert len(realm.objects(Leg)) == 0


# --- values and limits ------------------------------------------------------------------------------------------------


def test_timestamps_lose_nothing(thing: Thing) -> None:
    moment = datetime(2020, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    thing.when = moment
    assert thing.when == moment
    assert thing.when.tzinfo is UTC
    for exact in (Timestamp(5, 123456789), Timestamp(-1, -1), Timestamp(10**15, 0), Timestamp(-(10**15), 0)):
        thing.when = exact  # type: ignore[assignment]
        assert thing.when == exact
        thing.when = thing.when
        assert thing.when == exact
    thing.when = Timestamp(-1, -100_000_000)  # type: ignore[assignment]
    assert thing.when == datetime(1969, 12, 31, 23, 59, 58, 900_000, tzinfo=UTC)
    with pytest.raises(TypeMismatchError, match=r"has no time zone"):
        thing.when = datetime(2020, 1, 1)


def test_long_values(thing: Thing) -> None:
    thing.text = "x" * 16_777_199
    thing.data = b"x" * 16_777_200
    for name, value in (("text", "é" * 8_388_600), ("data", b"x" * 16_777_201)):
        with pytest.raises(LimitExceededError):
            setattr(thing, name, value)


def test_none_clears_a_collection(realm: Realm, thing: Thing) -> None:
    thing.numbers, thing.members, thing.scores = [1], {1}, {"a": 1}  # type: ignore[assignment]
    thing.numbers = thing.members = thing.scores = None  # type: ignore[assignment]
    assert (list(thing.numbers), list(thing.members), dict(thing.scores)) == ([], [], {})
    thing.numbers, thing.scores = [1], {"a": 1}  # type: ignore[assignment]
    realm.create(Thing, key=None, numbers=None, scores=None, update=UpdateMode.ALL)
    assert (list(thing.numbers), dict(thing.scores)) == ([], {})


# --- what deleting leaves behind (1.8.2), storage defaults (1.3) ------------------------------------------------------


class Holder(Model):
    """Every place in which a Mixed value can hold a link."""

    any: Any
    listed: List[Any]
    members: Set[Any]
    named: Dictionary[Any]


def test_links_in_mixed_values_are_cleaned(open_realm: OpenRealm) -> None:
    realm = open_realm(Holder, Dog)
    with realm.write():
        rex, bo = realm.create(Dog, name="Rex"), realm.create(Dog, name="Bo")
        single = realm.create(Holder, any=rex)
        holder = realm.create(
            Holder,
            any=[rex, 1, {"a": rex, "b": [rex, bo]}],
            listed=[rex, bo, rex, [rex]],
            members=[rex, bo],
            named={"a": rex, "b": {"c": rex}},
        )
        realm.delete(rex)
        assert single.any is None
        assert holder.listed[0] == bo
        assert [list(each) for each in holder.listed[1:]] == [[]]
        assert list(holder.members) == [bo]
        assert holder.named["a"] is None
        assert dict(holder.named["b"]) == {"c": None}
        assert len(holder.any) == 2
        assert holder.any[1]["a"] is None
        assert list(holder.any[1]["b"]) == [bo]


class Inner(EmbeddedModel):
    number: int


class Middle(EmbeddedModel):
    inner: Inner | None
    inners: List[Inner]


class Outer(Model):
    middle: Middle | None
    middles: Dictionary[Middle | None]


def test_everything_owned_goes_with_its_owner(open_realm: OpenRealm) -> None:
    realm = open_realm(Outer, Middle, Inner)
    with realm.write():
        middle = {"inner": {"number": 1}, "inners": [{"number": 2}, {"number": 3}]}
        outer = realm.create(Outer, middle=middle, middles={"a": middle})
        assert outer.middle is not None
        inner = outer.middle.inners[1]
        assert len(realm.objects(Inner)) == 6
        del outer.middles["a"]
        assert len(realm.objects(Inner)) == 3
        realm.delete(outer)
        assert (len(realm.objects(Inner)), len(realm.objects(Middle))) == (0, 0)
        assert not inner.is_valid


@pytest.mark.parametrize("migrates", [True, False])
def test_rows_that_exist_get_storage_defaults_not_those_of_the_model(tmp_path: Path, migrates: bool) -> None:
    before = ObjectSchema("Row", [Property("id", "int", primary_key=True)])
    added: dict[str, tuple[str, Any, Any]] = {
        "i": ("int", 7, 0),
        "b": ("bool", True, False),
        "s": ("string", "x", ""),
        "d": ("data", b"x", b""),
        "t": ("date", datetime(2020, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)),
        "f": ("float", 1.5, 0.0),
        "g": ("double", 1.5, 0.0),
        "o": ("objectId", ObjectId(), ObjectId(bytes(12))),
        "n": ("decimal128", Decimal(3), Decimal(0)),
        "u": ("uuid", UUID(int=1), UUID(int=0)),
        "m": ("mixed", 5, None),
        "j": ("int?", 7, None),
    }
    added |= {f"{name}0": (f"{type}?", default, None) for name, (type, default, _) in added.items() if name not in "mj"}
    properties = [Property(name, type, default=default) for name, (type, default, _) in added.items()]
    part = ObjectSchema("Part", [Property("x", "int")], kind=kinds.EMBEDDED)
    collections = [
        Property("l", "int[]", default=[1]),
        Property("w", "string<>"),
        Property("k", "int{}", default={"a": 1}),
    ]
    links = [Property("r", "Row"), Property("rs", "Row[]"), Property("p", "Part"), Property("ps", "Part{}")]
    after = ObjectSchema("Row", [*before.properties, *properties, *collections, *links])
    path = tmp_path / "rows.realm"
    with Realm.open(RealmConfiguration(path=path, schema=[before])) as realm, realm.write():
        realm.create("Row", id=1)
    way: dict[str, Any] = {"schema_version": 1} if migrates else {"schema_mode": SchemaMode.ADDITIVE_EXPLICIT}
    with Realm.open(RealmConfiguration(path=path, schema=[after, part], **way)) as realm:
        old = realm.get("Row", 1)
        assert old is not None
        with realm.write():
            new = realm.create("Row", id=2)
        for name, (_, default, stored) in added.items():
            assert old[name] == stored, name
            assert new[name] == default, name
        assert [list(old[name]) for name in ("l", "w", "k", "rs", "ps")] == [[], [], [], [], []]
        assert (old["r"], old["p"], list(new["l"]), dict(new["k"])) == (None, None, [1], {"a": 1})
