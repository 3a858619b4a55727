"""``results.filter()`` on a Realm: the whole language, in SQL or not, on live data (spec/sdk.md §7.12, §8)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy
import pytest

from syncline import (
    Dictionary,
    EmbeddedModel,
    Field,
    GeoBox,
    GeoCircle,
    IllegalOperationError,
    InvalidPropertyError,
    List,
    Model,
    QueryArgumentError,
    QueryError,
    QuerySyntaxError,
    QueryTypeError,
    Realm,
    RealmConfiguration,
    Results,
    Set,
    km,
)
from syncline.query.evaluator import evaluate
from syncline.storage.query_objects import StoredObjects
from syncline.storage.query_sql import compile_query


class Point(EmbeddedModel):
    type: str = "Point"
    coordinates: List[float]


class Dog(Model):
    id: int = Field(primary_key=True)
    name: str | None
    story: str = Field(default="", index="fulltext")
    years: int | None = Field(name="age")
    price: Decimal | None
    weight: float | None
    born: datetime | None
    extra: Any
    best: "Dog | None"  # noqa: UP037
    friends: List["Dog"]  # noqa: UP037
    tags: List[str]
    marks: Set[int]
    scores: Dictionary[int | None]
    pets: Dictionary["Dog"]  # noqa: UP037
    place: Point | None


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Dog, Point])) as opened:
        with opened.write():
            fill(opened)
        yield opened


def fill(realm: Realm) -> None:
    rex = realm.create(Dog, id=0, name="Rex", years=3, price=Decimal("1.50"), weight=1.5, story="The old dog sleeps")
    bo = realm.create(Dog, id=1, name="Bo", years=None, weight=float("nan"), story="A young dog", best=rex)
    ida = realm.create(Dog, id=2, name=None, years=7, born=datetime(2020, 1, 2, tzinfo=UTC), best=bo)
    rex.friends.extend([bo, ida, bo])
    bo.friends.append(rex)
    rex.tags.extend(["a", "ää"])
    bo.tags.extend(["a"])
    rex.marks.update({1, 2})
    rex.scores.update({"a": 1, "b": None})
    rex.pets.update({"one": bo, "years": ida})
    rex.extra = [1, {"x": 6, "dog": "y"}]
    bo.extra = {"k": [ida.id, None]}
    ida.extra = rex
    rex.place = Point(coordinates=[10.0, 50.0])
    bo.place = Point(coordinates=[20.0, 50.0])


FOUND: list[tuple[str, list[int]]] = [
    ("years == 3", [0]),
    ("age == 3", [0]),
    ("name == NULL OR name BEGINSWITH[c] 'r'", [0, 2]),
    ("best.name == 'Rex'", [1]),
    ("best.best.years == 3", [2]),
    ("ANY friends.years > 5", [0]),
    ("ALL friends.years == 3", [1, 2]),
    ("friends.@count == 3", [0]),
    ("friends.@sum.years == 7", [0]),
    ("friends.@avg.years == 3", [1]),
    ("marks.@max == 2", [0]),
    ("scores.@min == 1", [0]),
    ("scores['a'] == 1", [0]),
    ("scores.b == NULL", [0, 1, 2]),
    ("scores.@keys == 'b'", [0]),
    ("pets.one.name == 'Bo'", [0]),
    ("pets['years'].years == 7", [0]),
    ("pets.years == 7", [0]),
    ("tags[0] == 'a'", [0, 1]),
    ("tags[LAST] == 'ää'", [0]),
    ("tags.length == 4", [0]),
    ("extra[1].x == 6", [0]),
    ("extra.k[0] == 2", [1]),
    ("extra[*].x == 6", [0]),
    ("extra.@type == 'list'", [0]),
    ("extra.@type == 'link'", [2]),
    ("extra == obj('Dog', 0)", [2]),
    ("@links.Dog.friends.@count == 2", [1]),
    ("@links.Dog.best.name == 'Bo'", [0]),
    ("@links.@count == 3", [0]),
    ("best == obj('Dog', 0)", [1]),
    ("best == obj('Dog', 77)", []),
    ("SUBQUERY(friends, $f, $f.years == 7 AND $f.best.name == 'Bo').@count == 1", [0]),
    ("years * 2 + 1 == 7", [0]),
    ("price + 0.5 == 2", [0]),
    ("weight / 0 == inf", [0]),
    ("story TEXT 'dog -old'", [1]),
    ("story TEXT 'sle*'", [0]),
    ("place GEOWITHIN geoBox([9, 49], [11, 51])", [0]),
    ("place GEOWITHIN geoCircle([20, 50.1], 0.01)", [1]),
    ("NOT place GEOWITHIN geoBox([9, 49], [11, 51])", [1, 2]),
    ("years > 3 OR extra[0] == 1", [0, 2]),
    ("years > 3 AND extra.@type == 'link'", [2]),
    ("(years == 3 OR tags[0] == 'a') AND name == 'Bo'", [1]),
    ("NOT (years == 3 AND tags[0] == 'a')", [1, 2]),
    ("born BETWEEN {2020-1-1@0:0:0, 2021-1-1@0:0:0}", [2]),
    ("TRUEPREDICATE SORT(scores['a'] DESC, id DESC)", [0, 2, 1]),
    ("tags[0] == 'a' SORT(id DESC) LIMIT(1)", [1]),
    ("TRUEPREDICATE SORT(best.years DESC) DISTINCT(weight)", [0, 1, 2]),
]


def found(realm: Realm, rql: str, *arguments: Any) -> list[int]:
    return [dog.id for dog in realm.objects(Dog).filter(rql, *arguments)]


@pytest.mark.parametrize(("rql", "expected"), FOUND, ids=[rql for rql, _ in FOUND])
def test_found(realm: Realm, rql: str, expected: list[int]) -> None:
    results = realm.objects(Dog).filter(rql)
    assert [dog.id for dog in results] == expected
    assert len(realm.objects(Dog).filter(rql)) == len(expected)
    first = realm.objects(Dog).filter(rql).first()
    assert (None if first is None else first.id) == (expected[0] if expected else None)
    again = realm.objects(Dog).filter(results.description)
    assert [dog.id for dog in again] == expected
    assert again.description == results.description
    reader, info = realm._context.reader(), results._binding.info
    assert evaluate(results._resolve(), info, reader.keys(info), StoredObjects(reader)) == list(results._all_keys())


def test_what_sql_decides_is_left_to_sql(realm: Realm) -> None:
    def residual(rql: str) -> str | None:
        results = realm.objects(Dog).filter(rql)
        compiled = compile_query(results._resolve(), results._binding.info)
        return None if compiled.residual is None else repr(compiled.residual.predicate)

    assert residual("years > 3 AND (name == 'x' OR NOT best.years IN {1, 2})") is None
    rest = residual("years > 3 AND extra[0] == 1")
    if rest is not None:
        assert "age" not in rest


def test_arguments(realm: Realm) -> None:
    rex = realm.get(Dog, 0)
    assert found(realm, "years == $0 OR name == $1", 3, "Bo") == [0, 1]
    assert found(realm, "best == $0", rex) == [1]
    assert found(realm, "best IN $0", realm.objects(Dog).filter("id < 2")) == [1, 2]
    assert found(realm, "ANY friends == $0", rex) == [1]
    assert found(realm, "$K0 == $1", "best.years", 3) == [1]
    assert found(realm, "price == $0", Decimal("1.5")) == [0]
    assert found(realm, "place GEOWITHIN $0", GeoCircle((10, 50), km(10))) == [0]
    assert found(realm, "id IN $0", range(1, 9)) == [1, 2]
    assert found(realm, "id IN $0", (number for number in (0, 2))) == [0, 2]
    text = realm.objects(Dog).filter("best == $0", rex).description
    assert text == 'best == obj("class_Dog", 0)'


def test_numbers_of_numpy_are_arguments(realm: Realm) -> None:
    dogs, three, half = realm.objects(Dog), numpy.int64(3), numpy.float32(0.5)
    assert found(realm, "years == $0 OR weight == $1", three, half) == found(realm, "years == 3 OR weight == 0.5")
    assert found(realm, "years IN $0", numpy.array([3])) == found(realm, "years == 3")
    assert found(realm, "years + $0 == 6", three) == found(realm, "years == 3")
    assert found(realm, "years BETWEEN {$0, $0}", three) == found(realm, "years == 3")
    assert found(realm, "extra == $0 OR extra == $1", three, half) == found(realm, "extra == 3 OR extra == 0.5")
    assert found(realm, "tags[$0] != null", numpy.int8(0)) == found(realm, "tags[0] != null")
    description = dogs.filter("years == $0 AND weight < $1 LIMIT(2)", three, half).description
    assert description == "years == 3 and weight < 0.5 LIMIT(2)"
    for condition in (
        (Dog.years == three) & (Dog.weight < half),
        Dog.years.in_(numpy.array([3, 4])),
        Dog.years.between(three, three),
        Dog.years + three == 6,
        Dog.tags[numpy.int64(0)] == "a",
    ):
        assert "numpy" not in dogs.where(condition).description
        assert "obj(" not in dogs.where(condition).description
    assert dogs.limit(numpy.int64(2)).description == "TRUEPREDICATE LIMIT(2)"


def test_filters_add_up(realm: Realm) -> None:
    dogs = realm.objects(Dog)
    both = dogs.filter("years > 0 SORT(id DESC)").filter("years < 5 LIMIT(9)")
    assert both.description == "years > 0 and years < 5 SORT(id DESC) LIMIT(9)"
    assert [dog.id for dog in dogs.where(Dog.years > 0).filter("name != NULL").sort("id")] == [0]
    with pytest.raises(IllegalOperationError, match="limited already"):
        both.filter("years > 1")
    assert [dog.id for dog in both.filter("TRUEPREDICATE SORT(years ASC)")] == [0]
    assert [dog.id for dog in realm.get(Dog, 0).friends.filter("tags[0] == 'a'")] == [1, 1]


def test_the_place_of_the_first_match(realm: Realm) -> None:
    sorted_dogs = realm.objects(Dog).sort("id", descending=True)
    assert sorted_dogs.index_of("tags[0] == $0", "a") == 1
    assert sorted_dogs.index_of(Dog.years == 3) == 2
    assert sorted_dogs.limit(2).index_of("years == NULL") == 1
    assert realm.get(Dog, 0).friends.filter("TRUEPREDICATE").index_of(Dog.years == 7) == 1
    with pytest.raises(ValueError, match=r"no Dog among these results meets age == 99"):
        sorted_dogs.index_of(Dog.years == 99)
    with pytest.raises(ValueError, match="no Dog among"):
        sorted_dogs.limit(2).index_of("years == 3")


def test_errors_point_at_the_place(realm: Realm) -> None:
    dogs = realm.objects(Dog)
    with pytest.raises(QuerySyntaxError, match=r"position 8") as caught:
        dogs.filter("years > > 3")
    assert caught.value.position == 8
    with pytest.raises(InvalidPropertyError, match=r"did you mean 'years'\?\n    best.yearz == 3\n         \^\^\^\^\^"):
        dogs.filter("best.yearz == 3")
    with pytest.raises(QueryTypeError, match=r"string cannot be compared with int 5\n    name == 5\n            \^"):
        dogs.filter("name == 5")
    with pytest.raises(QueryArgumentError, match=r"is no object of this Realm"):
        dogs.filter("best == $0", Dog(id=9))


def test_changes_are_seen_and_observed() -> None:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Dog, Point])) as realm:
        with realm.write():
            fill(realm)
        watched = {
            rql: realm.objects(Dog).filter(rql)
            for rql in ("extra[0] == 1", "@links.Dog.friends.id == 2", "best == obj('Dog', 9)", "story TEXT 'cat'")
        }
        calls: list[tuple[str, list[int]]] = []
        tokens = [
            results.observe(lambda dogs, change, rql=rql: calls.append((rql, [dog.id for dog in dogs])))  # type: ignore[misc]
            for rql, results in watched.items()
        ]
        realm.refresh()
        calls.clear()
        with realm.write():
            realm.get(Dog, 1).extra = [1]
            realm.get(Dog, 2).friends.append(realm.get(Dog, 2))
            nine = realm.create(Dog, id=9, story="No dog but a cat")
            nine.best = nine
        realm.refresh()
        assert {rql: [dog.id for dog in results] for rql, results in watched.items()} == dict(calls)
        assert dict(calls) == {
            "extra[0] == 1": [0, 1],
            "@links.Dog.friends.id == 2": [2],
            "best == obj('Dog', 9)": [9],
            "story TEXT 'cat'": [9],
        }
        for token in tokens:
            token.invalidate()


EXPRESSIONS: list[tuple[Any, str, list[int]]] = [
    (Dog.years == 3, "age == 3", [0]),
    (Dog.tags[0] == "a", 'tags[0] == "a"', [0, 1]),
    (Dog.tags.first == "a", 'tags[FIRST] == "a"', [0, 1]),
    (Dog.tags.last == "ää", 'tags[LAST] == "ää"', [0]),
    (Dog.friends[0].years == 3, "friends[0].age == 3", [1]),
    (Dog.friends.last.name == "Bo", 'friends[LAST].name == "Bo"', [0]),
    (Dog.scores["a"] == 1, 'scores["a"] == 1', [0]),
    (Dog.scores.keys() == "b", 'scores.@keys == "b"', [0]),
    (Dog.scores.values() == 1, "scores.@values == 1", [0]),
    (Dog.pets["one"].name == "Bo", 'pets["one"].name == "Bo"', [0]),
    (Dog.pets.years == 7, "pets.age == 7", [0]),
    (Dog.extra[1]["x"] == 6, 'extra[1]["x"] == 6', [0]),
    (Dog.extra[:]["x"] == 6, 'extra[*]["x"] == 6', [0]),
    (Dog.extra.type() == "list", 'extra.@type == "list"', [0]),
    (Dog.extra.type().in_(["list", "link"]), 'extra.@type IN {"list", "link"}', [0, 2]),
    (Dog.friends.years.sum() > 5, "friends.@sum.age > 5", [0]),
    (Dog.friends.years.avg() == 3, "friends.@avg.age == 3", [1]),
    (Dog.friends.years.max() == 7, "friends.@max.age == 7", [0]),
    (Dog.marks.min() == 1, "marks.@min == 1", [0]),
    (Dog.tags.lengths() == 4, "tags.length == 4", [0]),
    (Dog.tags.in_(["ää", "x"]), 'ANY tags IN {"ää", "x"}', [0]),
    (Dog.tags.none.in_(["ää"]), 'NONE tags IN {"ää"}', [1, 2]),
    (Dog.tags == ["a", "ää"], 'tags == {"a", "ää"}', [0]),
    (Dog.name.in_(Dog.tags), "name IN tags", []),
    (Dog.years.in_(Dog.marks), "age IN marks", []),
    (Dog.years * 2 + 1 == 7, "(age * 2) + 1 == 7", [0]),
    (10 - Dog.years > 5, "10 - age > 5", [0]),
    (6 / Dog.years == 2, "6 / age == 2", [0]),
    (1 + Dog.years / 2 == 4, "1 + (age / 2) == 4", [2]),
    (2 * (Dog.years - 1) == 4, "2 * (age - 1) == 4", [0]),
    (Dog.friends.years + 1 == 8, "friends.age + 1 == 8", [0]),
    (Dog.backlinks(Dog.friends).name == "Bo", '@links.Dog.friends.name == "Bo"', [0]),
    (Dog.backlinks(Dog.friends).count() == 2, "@links.Dog.friends.@count == 2", [1]),
    (Dog.backlinks().count() == 3, "@links.@count == 3", [0]),
    (Dog.best.backlinks(Dog.friends).years == 7, "best.@links.Dog.friends.age == 7", []),
    (Dog.story.text("dog -old"), 'story TEXT "dog -old"', [1]),
    (Dog.place.within(GeoBox((9, 49), (11, 51))), "place GEOWITHIN geoBox([9.0, 49.0], [11.0, 51.0])", [0]),
    (
        Dog.friends.where(lambda f: (f.years > 5) & (f.best.name == "Bo")).count() > 0,
        'SUBQUERY(friends, $x, $x.age > 5 and $x.best.name == "Bo").@count > 0',
        [0],
    ),
    (
        Dog.friends.where(lambda f: f.friends.where(lambda g: g.years == 3).count() > 0).count() == 2,
        "SUBQUERY(friends, $x, SUBQUERY($x.friends, $x2, $x2.age == 3).@count > 0).@count == 2",
        [0],
    ),
]


@pytest.mark.parametrize(("condition", "rql", "expected"), EXPRESSIONS, ids=[rql for _, rql, _ in EXPRESSIONS])
def test_expressions(realm: Realm, condition: Any, rql: str, expected: list[int]) -> None:
    results: Results[Dog] = realm.objects(Dog).where(condition)
    assert results.description == rql
    assert [dog.id for dog in results] == expected
    assert found(realm, rql) == expected


def test_expressions_that_cannot_be(realm: Realm) -> None:
    with pytest.raises(QueryError, match="give the property that links here"):
        Dog.backlinks(Dog.best.friends)
    with pytest.raises(QueryArgumentError, match="give a GeoBox"):
        Dog.place.within("here")  # type: ignore[arg-type]
    with pytest.raises(QueryError, match="only linked objects"):
        Dog.tags.where(lambda tag: tag == 1)
    with pytest.raises(TypeError, match="combines conditions"):
        Dog.friends.where(lambda f: f.years)  # type: ignore[arg-type, return-value]
    with pytest.raises(QueryTypeError, match=r"friends.@max: @max needs a collection, or links and a property"):
        realm.objects(Dog).where(Dog.friends.max() == 1)
    assert "use .count()" in repr(Dog.friends.where(lambda f: f.years > 1))


class Stray(Model):
    """Without a primary key: queries name such objects by their numbers."""

    best: "Stray | None"  # noqa: UP037
    friends: List["Stray"]  # noqa: UP037
    extra: Any


def test_objects_without_a_key_can_be_named_in_a_text() -> None:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Stray])) as realm:
        with realm.write():
            one, two = realm.create(Stray), realm.create(Stray)
            three = realm.create(Stray, best=one, friends=[one, two], extra=one)
        strays = realm.objects(Stray)
        queries = [
            strays.where(Stray.best == one),
            strays.where(Stray.best.in_([one, two])),
            strays.where((Stray.best == one) | (Stray.best == two)),
            strays.where(Stray.friends == two),
            strays.where(Stray.extra == one),
        ]
        for results in queries:
            assert list(results) == list(strays.filter(results.description)) == [three], results.description
        assert not strays.filter("best == O9")
