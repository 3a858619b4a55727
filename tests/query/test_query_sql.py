"""Compiled queries find exactly what the reference evaluator says, on any data (spec/sdk.md §13.7)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncline import (
    Dictionary,
    Float32,
    List,
    Model,
    ObjectId,
    Realm,
    RealmConfiguration,
    Results,
    Set,
    Timestamp,
    all_of,
    any_of,
)
from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import EraseObject
from syncline.query.ast import ClassLike, PropertyLike
from syncline.query.evaluator import evaluate
from syncline.query.expression import Condition, Expr
from syncline.storage import query_run
from syncline.storage.query_objects import StoredObjects
from syncline.storage.reader import Reader
from syncline.values import GlobalKey


class Part(Model):
    number: int | None
    name: str | None
    price: Decimal | None
    ratio: float | None
    extra: Any
    next: "Part | None"  # noqa: UP037
    marks: List[int | None]


class Thing(Model):
    number: int | None
    other: int
    good: bool | None
    name: str | None
    label: str
    ratio: float | None
    single: Float32 | None
    price: Decimal | None
    born: datetime | None
    photo: bytes | None
    token: ObjectId | None
    code: UUID | None
    extra: Any
    part: Part | None
    parts: List[Part]
    marks: List[int | None]
    words: Set[str]
    scores: Dictionary[float | None]


POOLS: dict[str, list[Any]] = {
    "number": [None, -1, 0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)],
    "good": [None, True, False],
    "name": [None, "", "a", "A", "b", "ä", "Ä", "ab", "aB", "a\0b", "[a]", "b*", "\U0001f600", "x\udcffy"],
    "ratio": [None, 0.0, -0.0, 1.0, 1.5, -2.5, float(2**53), math.nan, math.inf, -math.inf],
    "single": [None, 0.0, 0.1, 1.5, math.nan, math.inf],
    "price": [None, Decimal("0"), Decimal("1"), Decimal("1.00"), Decimal("1.5"), Decimal("-3"), Decimal("NaN")],
    "born": [None, datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC), Timestamp(0, 1)],
    "photo": [None, b"", b"a", b"A", b"\xff\0", b"ab"],
    "token": [None, ObjectId(bytes(12)), ObjectId(b"a" * 12)],
    "code": [None, UUID(int=0), UUID(int=1 << 127)],
}
#: Without infinities, which cannot be compared with integers.
INTEGERS = [value for pool in ("number", "price") for value in POOLS[pool]] + [0.0, 1.0, 1.5, -2.5, math.nan]
INTEGERS += [float(2**53), Decimal("2.5"), 2**70, 0.1]
NUMBERS = [value for pool in ("number", "ratio", "price") for value in POOLS[pool]] + [Decimal("2.5"), 2**70, 0.1]
MIXED = [
    None,
    True,
    1,
    1.0,
    Decimal("1.0"),
    Float32(0.5),
    math.nan,
    "a",
    "A",
    b"a",
    b"A",
    Timestamp(0, 1),
    [1],
    {"k": 1},
]
MIXED += [ObjectId(bytes(12)), UUID(int=0), "x\udcffy"]


def pool(name: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(POOLS[name])


PART = st.fixed_dictionaries(
    {
        "number": pool("number"),
        "name": pool("name"),
        "price": pool("price"),
        "ratio": pool("ratio"),
        "extra": st.sampled_from(MIXED),
        "marks": st.lists(pool("number"), max_size=3),
    }
)
THING = st.fixed_dictionaries(
    {name: pool(name) for name in POOLS}
    | {
        "other": pool("number").filter(lambda value: value is not None),
        "label": pool("name").filter(lambda value: value is not None),
        "extra": st.sampled_from(MIXED),
        "marks": st.lists(pool("number"), max_size=3),
        "words": st.sets(pool("name").filter(lambda value: value is not None), max_size=3),
        "scores": st.dictionaries(st.sampled_from("abc"), pool("ratio"), max_size=3),
    }
)
#: Properties of a thing, the links between its parts, and which part is deleted under them.
DATA = st.tuples(
    st.lists(PART, min_size=1, max_size=4),
    st.lists(THING, min_size=1, max_size=4),
    st.lists(st.integers(-1, 3), min_size=4, max_size=4),
    st.lists(st.integers(-1, 3), min_size=4, max_size=4),
    st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=4, max_size=4),
    st.integers(-2, 3),
)


# --- queries ----------------------------------------------------------------------------------------------------------

EQUALITY: list[Callable[[Any, Any], Any]] = [lambda e, v: e == v, lambda e, v: e != v]
ORDER: list[Callable[[Any, Any], Any]] = [
    *EQUALITY,
    lambda e, v: e < v,
    lambda e, v: e <= v,
    lambda e, v: e > v,
    lambda e, v: e >= v,
]


def compared(
    expression: Expr, operators: list[Callable[[Any, Any], Any]], values: list[Any], between: bool = True
) -> list[Any]:
    """Every comparison with a constant, and some IN and BETWEEN."""
    conditions = [operator(expression, value) for operator in operators for value in values]
    conditions += [expression.in_([]), expression.in_(values), expression.in_(values[:2]), expression.in_(values[-3:])]
    if operators is ORDER and between:
        known = [value for value in values if value is not None]
        conditions += [expression.between(low, high) for low, high in zip(known, known[2:], strict=False)]
        conditions += [expression.between(high, low) for low, high in itertools.pairwise(known)]
    return conditions


NEEDLES = ["", "a", "A", "ä", "b", "ab", "\0", "x\udcffy", None]
PATTERNS = ["*", "?", "a*", "*b", "A?", "[a]", "b*", "*\0*", "x?y", "*" * 300, None]


def textual(expression: Expr, between: bool = True) -> list[Any]:
    conditions = compared(expression, ORDER, POOLS["name"], between)
    for ci in (False, True):
        for name in ("startswith", "endswith", "contains", "equals"):
            conditions += [getattr(expression, name)(needle, ci=ci) for needle in NEEDLES]
        conditions += [expression.like(pattern, ci=ci) for pattern in PATTERNS]
    return [*conditions, expression.in_(POOLS["name"][1:4], ci=True), expression.in_([None, "AB"], ci=True)]


def binary(expression: Expr) -> list[Any]:
    conditions = compared(expression, ORDER, POOLS["photo"])
    for ci in (False, True):
        for name in ("startswith", "endswith", "contains", "like", "equals"):
            conditions += [getattr(expression, name)(needle, ci=ci) for needle in [*POOLS["photo"], b"?", b"*a"]]
    return [*conditions, expression.in_([b"A", None], ci=True)]


def mixed(expression: Expr) -> list[Any]:
    scalars = [value for value in MIXED if not isinstance(value, list | dict)]
    return [*compared(expression, ORDER, scalars), *textual(expression), *binary(expression)]


def part_leaves(part: Expr, plural: bool = False) -> list[Any]:
    """Conditions on a part that a path leads to."""
    return [
        *compared(part.number, ORDER, INTEGERS),
        *compared(part.price, ORDER, NUMBERS),
        *compared(part.ratio, ORDER, NUMBERS),
        *textual(part.name),
        *mixed(part.extra),
        *(() if plural else (part.next.is_null(), part.next != None)),  # noqa: E711
        part.next.number == 1,
    ]


def only_all(collection: Expr) -> bool:
    """BETWEEN of a collection of values needs ALL."""
    return str(collection).startswith("ALL ")


def quantified(collection: Expr) -> list[Expr]:
    return [collection, collection.any, collection.all, collection.none]


def in_turn(collection: Expr, leaves: Callable[[Expr], list[Any]]) -> list[Any]:
    """Every leaf with one of the quantifiers, each in its turn: what a leaf means does not depend on them."""
    columns = zip(*(leaves(each) for each in quantified(collection)), strict=False)
    return [column[number % len(column)] for number, column in enumerate(columns)]


SIZES = [0, 1, 2, 3, 1.5]
PLAIN = [
    *compared(Thing.number, ORDER, INTEGERS),
    *compared(Thing.other, ORDER, INTEGERS),
    *compared(Thing.ratio, ORDER, NUMBERS),
    *compared(Thing.single, ORDER, [*NUMBERS, Float32(0.1), 1e300, 10**400, Decimal("1e400"), Decimal("-Infinity")]),
    *compared(Thing.price, ORDER, NUMBERS),
    *compared(Thing.good, ORDER, POOLS["good"]),
    *compared(Thing.born, ORDER, POOLS["born"]),
    *compared(Thing.token, ORDER, POOLS["token"]),
    *compared(Thing.code, ORDER, POOLS["code"]),
    *textual(Thing.name),
    *textual(Thing.label),
    *binary(Thing.photo),
    *mixed(Thing.extra),
]
LINKED = [
    *(Thing.part.is_null(), Thing.part != None),  # noqa: E711
    *part_leaves(Thing.part),
    *compared(Thing.part.next.ratio, ORDER, NUMBERS),
    *mixed(Thing.part.next.extra),
    *in_turn(Thing.parts, lambda parts: part_leaves(parts, plural=True)),
    *in_turn(Thing.parts.next, lambda parts: compared(parts.number, ORDER, INTEGERS)),
    *in_turn(Thing.parts.next, lambda parts: textual(parts.name)),
    *compared(Thing.parts.count(), ORDER, SIZES),
    *compared(Thing.parts.next.count(), ORDER, SIZES),
    *compared(Thing.part.count(), ORDER, SIZES),
    *compared(Thing.part.next.count(), ORDER, SIZES),
]
COLLECTIONS = [
    *(leaf for marks in quantified(Thing.marks) for leaf in compared(marks, ORDER, INTEGERS, only_all(marks))),
    *in_turn(Thing.words, lambda words: textual(words, between=False)),
    *textual(Thing.words.all),
    *(leaf for scores in quantified(Thing.scores) for leaf in compared(scores, ORDER, NUMBERS, only_all(scores))),
    *(
        leaf
        for path in (Thing.part.marks, Thing.parts.marks, Thing.parts.next.marks)
        for leaf in in_turn(path, lambda marks: compared(marks, ORDER, INTEGERS, between=False))
    ),
    *compared(Thing.marks.count(), ORDER, SIZES),
    *compared(Thing.part.marks.count(), ORDER, SIZES),
    *(leaf for parts in quantified(Thing.parts) for leaf in compared(parts.marks.count(), ORDER, SIZES)),
    *compared(Thing.name.count(), ORDER, SIZES),
    *compared(Thing.part.name.count(), ORDER, SIZES),
    *compared(Thing.photo.count(), ORDER, SIZES),
]
NUMERIC = [Thing.number, Thing.other, Thing.ratio, Thing.single, Thing.price, Thing.part.number, Thing.part.price]
OTHERS = [Thing.extra, Thing.parts.any.number, Thing.parts.all.price, Thing.marks.none]
SINGLES = [Thing.part.extra, Thing.parts.count(), Thing.name.count(), Thing.part.marks.count()]
PAIRS = [
    *(operator(left, right) for left in [*NUMERIC, *OTHERS] for right in [*NUMERIC, *SINGLES] for operator in ORDER),
    *(
        operator(left, right)
        for left in (Thing.name, Thing.part.name, Thing.words.any)
        for right in (Thing.label, Thing.part.name, Thing.extra)
        for operator in ORDER
    ),
    *(
        getattr(left, name)(right, ci=ci)
        for left in (Thing.name, Thing.extra, Thing.parts.any.name)
        for right in (Thing.label, Thing.part.extra)
        for name in ("startswith", "endswith", "contains", "like", "equals")
        for ci in (False, True)
    ),
    *(Thing.part == Thing.part.next, Thing.part != Thing.part.next, Thing.parts.any == Thing.part),
    *(Thing.good == Thing.good, Thing.extra == Thing.part, Thing.born <= Thing.born),
]
LEAF = st.one_of(st.sampled_from(PLAIN), st.sampled_from(LINKED), st.sampled_from(COLLECTIONS), st.sampled_from(PAIRS))
CONDITION = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.builds(all_of, st.lists(inner, max_size=3)),
        st.builds(any_of, st.lists(inner, max_size=3)),
        st.builds(lambda condition: ~condition, inner),
    ),
    max_leaves=4,
)

SORTABLE = ["number", "good", "name", "ratio", "single", "price", "born", "token", "code", "extra"]
SORTABLE += ["part.number", "part.name", "part.next.number", "part.extra"]
STAGE = st.one_of(
    st.builds(
        lambda names, descending: lambda results: results.sort(*names, descending=descending),
        st.lists(st.sampled_from(SORTABLE), min_size=1, max_size=2),
        st.booleans(),
    ),
    st.builds(
        lambda names: lambda results: results.distinct(*names),
        st.lists(st.sampled_from([*SORTABLE, "photo", "part", "part.next"]), min_size=1, max_size=2),
    ),
    st.builds(lambda count: lambda results: results.limit(count), st.integers(0, 4)),
)


# --- the two answers --------------------------------------------------------------------------------------------------


def fill(realm: Realm, data: Any) -> None:
    """Write the data into the open transaction; deleting a part the way a server does leaves a tombstone."""
    parts, things, nexts, firsts, lists, erased = data
    made = [realm.create(Part, values) for values in parts]
    for part, target in zip(made, nexts, strict=False):
        if 0 <= target < len(made):
            part.next = made[target]
    for values, first, members in zip(things, firsts, lists, strict=False):
        chosen = made[first] if 0 <= first < len(made) else None
        extra = {"extra": chosen} if first == 2 and chosen is not None else {}
        realm.create(Thing, {**values, **extra, "part": chosen, "parts": [made[i] for i in members if i < len(made)]})
    if 0 <= erased < len(made):
        tx = realm._context.writing()
        key = tx.key_of(realm._context.classes.of(Part).info, made[erased]._key)
        assert isinstance(key, GlobalKey)
        tx.apply(Changeset([EraseObject("Part", key)], []))
        realm._context.touch()


def expected(results: Results[Any]) -> list[int]:
    context = results._context
    reader = context.reader()
    info = results._binding.info
    keys: list[int] = reader.keys(info)
    return evaluate(results._resolve(), info, keys, StoredObjects(reader))


def check(results: Results[Any]) -> None:
    reference = expected(results)
    assert list(results._all_keys()) == reference, results.description
    assert results._run(query_run.count, results._resolve()) == len(reference)


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    path: Path = tmp_path_factory.mktemp("query") / "things.realm"
    with Realm.open(RealmConfiguration(path, schema=[Thing, Part])) as opened:
        yield opened


def every_value(pools: dict[str, list[Any]], count: int) -> list[dict[str, Any]]:
    """``count`` objects that together hold every value of every pool, in changing company."""
    return [
        {
            name: values[(index * (1 + place % 3) + place) % len(values)]
            for place, (name, values) in enumerate(pools.items())
        }
        for index in range(count)
    ]


def rich_data() -> Any:
    numbers, texts = POOLS["number"], [value for value in POOLS["name"] if value is not None]
    lists = [[], [None], [1], [0, 1, 2**53], [None, -1], [2**63 - 1, 2]]
    parts = {name: POOLS[name] for name in ("number", "name", "price", "ratio")} | {"extra": MIXED, "marks": lists}
    things = {
        **POOLS,
        "other": [number for number in numbers if number is not None],
        "label": texts,
        "extra": MIXED,
        "marks": lists,
        "words": [set(), {"a"}, {"A", "b"}, set(texts)],
        "scores": [{}, {"a": None}, {"a": math.nan, "b": 1.0}, {"a": 0.0, "b": -2.5}],
    }
    count = 25
    links = [index * 7 % (count + 1) - 1 for index in range(count)]
    members = [[index * 3 % count, index * 5 % count, index * 3 % count][: index % 4] for index in range(count)]
    return every_value(parts, count), every_value(things, count), links[::-1], links, members, 3


GROUPS = {"plain": PLAIN, "linked": LINKED, "collections": COLLECTIONS, "pairs": PAIRS}


@pytest.mark.parametrize("group", GROUPS)
def test_every_leaf_on_every_value(realm: Realm, group: str) -> None:
    conditions = GROUPS[group]
    with realm.write() as transaction:
        fill(realm, rich_data())
        objects = Remembered(realm._context.reader())
        keys = realm._context.reader().keys(realm.objects(Thing)._binding.info)
        for condition in conditions:
            results = realm.objects(Thing).where(condition)
            reference = evaluate(results._resolve(), results._binding.info, keys, objects)
            assert list(results._all_keys()) == reference, results.description
        transaction.cancel()


def test_every_sort_and_distinct_on_every_value(realm: Realm) -> None:
    with realm.write() as transaction:
        fill(realm, rich_data())
        for name in SORTABLE:
            for descending in (False, True):
                check(realm.objects(Thing).sort(name, descending=descending))
                check(realm.objects(Thing).sort("label").sort(name, descending=descending).limit(7))
        for name in [*SORTABLE, "photo", "part", "part.next"]:
            check(realm.objects(Thing).distinct(name))
            check(realm.objects(Thing).sort("other", descending=True).distinct(name).sort("label"))
        transaction.cancel()


class Remembered(StoredObjects):
    """Reads every value once."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        self.known: dict[tuple[int, int], Any] = {}

    def value(self, cls: ClassLike, key: int, prop: PropertyLike) -> object:
        if (prop.id, key) not in self.known:
            self.known[prop.id, key] = super().value(cls, key, prop)
        return self.known[prop.id, key]

    def elements(self, cls: ClassLike, key: int, prop: PropertyLike) -> Iterable[object]:
        if (prop.id, key) not in self.known:
            self.known[prop.id, key] = super().elements(cls, key, prop)
        elements: Iterable[object] = self.known[prop.id, key]
        return elements


ON_ANY_DATA = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@ON_ANY_DATA
@given(data=DATA, conditions=st.lists(CONDITION, min_size=6, max_size=6))
def test_conditions(realm: Realm, data: Any, conditions: list[Condition]) -> None:
    with realm.write() as transaction:
        fill(realm, data)
        for condition in conditions:
            check(realm.objects(Thing).where(condition))
        transaction.cancel()


@ON_ANY_DATA
@given(data=DATA, condition=LEAF, stages=st.lists(STAGE, min_size=1, max_size=4))
def test_sort_distinct_and_limit(realm: Realm, data: Any, condition: Condition, stages: list[Any]) -> None:
    with realm.write() as transaction:
        fill(realm, data)
        for results in (realm.objects(Thing), realm.objects(Thing).where(condition)):
            for stage in stages:
                results = stage(results)
            check(results)
        transaction.cancel()
