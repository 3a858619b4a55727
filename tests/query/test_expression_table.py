"""Every row of the table of expressions (spec/sdk.md §12.4): an expression and its text are one query."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.query.test_random_queries import check

from syncline import (
    Backlinks,
    Dictionary,
    EmbeddedModel,
    Field,
    GeoBox,
    GeoCircle,
    GeoPolygon,
    List,
    Model,
    Realm,
    RealmConfiguration,
    Set,
    all_of,
    any_of,
    km,
)


class Place(EmbeddedModel):
    type: str = "Point"
    coordinates: List[float]


class Dog(Model):
    id: int = Field(primary_key=True)
    a: int | None
    b: int = 0
    s: str | None
    story: str = Field("", index="fulltext")
    price: float = Field(0.0, name="cost")
    m: Any
    best: "Dog | None"  # noqa: UP037
    friends: List["Dog"]  # noqa: UP037
    pack: Set["Dog"]  # noqa: UP037
    pets: Dictionary["Dog"]  # noqa: UP037
    tags: List[str]
    scores: Dictionary[int | None]
    loc: Place | None
    fans: Backlinks["Dog"] = Backlinks.of("best")  # noqa: UP037


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Dog, Place])) as opened:
        with opened.write():
            last = None
            for id in range(6):
                dog = opened.create(Dog, id=id, a=id % 4 or None, b=id % 2, s=[None, "x", "Xy", "a"][id % 4])
                dog.story, dog.price, dog.m = (
                    "an old dog" if id % 2 else "",
                    id / 2,
                    [None, 1, "x", [1, {"k": 1}]][id % 4],
                )
                dog.best, dog.tags, dog.scores = last, ["x", "y"][: id % 3], {"k": id, "n": None} if id % 2 else {}
                dog.loc = Place(coordinates=[float(id), 1.0])
                if last is not None:
                    dog.friends, dog.pack, dog.pets = [last, dog, last], {last}, {"k": last}
                last = dog
        yield opened


def first(realm: Realm) -> Dog:
    found = realm.get(Dog, 0)
    assert found is not None
    return found


CIRCLE = GeoCircle((0.0, 1.0), km(200))
BOX = GeoBox((-1.0, 0.0), (2.5, 2.0))
POLYGON = GeoPolygon([(-1.0, 0.0), (3.5, 0.0), (1.0, 3.0), (-1.0, 0.0)])
ROWS: list[tuple[Callable[[Realm], Any], str, tuple[Any, ...]]] = [
    (lambda realm: Dog.a == 1, "a == 1", ()),
    (lambda realm: Dog.a != 1, "a != 1", ()),
    (lambda realm: Dog.a < 2, "a < 2", ()),
    (lambda realm: Dog.a <= 2, "a <= 2", ()),
    (lambda realm: Dog.a > 2, "a > 2", ()),
    (lambda realm: Dog.a >= 2, "a >= 2", ()),
    (lambda realm: Dog.a == Dog.b, "a == b", ()),
    (lambda realm: Dog.a == None, "a == NULL", ()),  # noqa: E711
    (lambda realm: Dog.a.is_null(), "a == NULL", ()),
    (lambda realm: (Dog.a == 1) & (Dog.b == 1), "a == 1 AND b == 1", ()),
    (lambda realm: (Dog.a == 1) | (Dog.b == 0), "a == 1 OR b == 0", ()),
    (lambda realm: ~(Dog.a == 1), "NOT a == 1", ()),
    (lambda realm: all_of(Dog.a == 1, Dog.b == 1), "a == 1 AND b == 1", ()),
    (lambda realm: any_of([Dog.a == 1, Dog.b == 0]), "a == 1 OR b == 0", ()),
    (lambda realm: Dog.a.between(1, 5), "a BETWEEN {1, 5}", ()),
    (lambda realm: Dog.a.in_([1, None]), "a IN {1, NULL}", ()),
    (lambda realm: Dog.s.equals("XY", ci=True), "s ==[c] 'XY'", ()),
    (lambda realm: Dog.s.contains("Y", ci=True), "s CONTAINS[c] 'Y'", ()),
    (lambda realm: Dog.s.contains("y"), "s CONTAINS 'y'", ()),
    (lambda realm: Dog.s.startswith("X", ci=True), "s BEGINSWITH[c] 'X'", ()),
    (lambda realm: Dog.s.endswith("y"), "s ENDSWITH 'y'", ()),
    (lambda realm: Dog.s.like("?y*"), "s LIKE '?y*'", ()),
    (lambda realm: Dog.story.text("dog -cat"), "story TEXT 'dog -cat'", ()),
    (lambda realm: Dog.friends.any.a == 1, "ANY friends.a == 1", ()),
    (lambda realm: Dog.friends.all.a == 1, "ALL friends.a == 1", ()),
    (lambda realm: Dog.friends.none.a == 1, "NONE friends.a == 1", ()),
    (lambda realm: Dog.friends.a == 1, "friends.a == 1", ()),
    (lambda realm: Dog.tags.all == "x", "ALL tags == 'x'", ()),
    (lambda realm: Dog.pack.none.a == 1, "NONE pack.a == 1", ()),
    (lambda realm: Dog.friends.count() == 3, "friends.@count == 3", ()),
    (lambda realm: Dog.s.count() == 2, "s.@count == 2", ()),
    (lambda realm: Dog.friends.price.sum() > 1, "friends.@sum.cost > 1", ()),
    (lambda realm: Dog.friends.a.max() == 1, "friends.@max.a == 1", ()),
    (lambda realm: Dog.friends.a.min() == 1, "friends.@min.a == 1", ()),
    (lambda realm: Dog.friends.price.avg() > 1, "friends.@avg.price > 1", ()),
    (lambda realm: Dog.scores.sum() == 3, "scores.@sum == 3", ()),
    (lambda realm: Dog.friends[0].a == 1, "friends[0].a == 1", ()),
    (lambda realm: Dog.friends.first.a == 1, "friends[FIRST].a == 1", ()),
    (lambda realm: Dog.friends.last.a == 1, "friends[LAST].a == 1", ()),
    (lambda realm: Dog.friends[:].a == 1, "friends[*].a == 1", ()),
    (lambda realm: Dog.scores["k"] == 3, "scores['k'] == 3", ()),
    (lambda realm: Dog.scores.keys() == "k", "scores.@keys == 'k'", ()),
    (lambda realm: Dog.scores.values() == None, "scores.@values == NULL", ()),  # noqa: E711
    (lambda realm: Dog.pets["k"].a == 1, "pets['k'].a == 1", ()),
    (lambda realm: Dog.pets.values().a == 1, "pets.@values.a == 1", ()),
    (lambda realm: Dog.m[1]["k"] == 1, "m[1]['k'] == 1", ()),
    (lambda realm: Dog.m.type() == "int", "m.@type == 'int'", ()),
    (lambda realm: Dog.m.type().in_(["int", "list"]), "m.@type IN {'int', 'list'}", ()),
    (
        lambda realm: Dog.friends.where(lambda x: (x.a > 1) & (x.b == 0)).count() > 1,
        "SUBQUERY(friends, $x, $x.a > 1 AND $x.b == 0).@count > 1",
        (),
    ),
    (
        lambda realm: Dog.friends.where(lambda x: x.friends.where(lambda y: y.a == 1).count() > 1).count() == 1,
        "SUBQUERY(friends, $x, SUBQUERY($x.friends, $x2, $x2.a == 1).@count > 1).@count == 1",
        (),
    ),
    (lambda realm: Dog.backlinks(Dog.friends).a == 1, "@links.Dog.friends.a == 1", ()),
    (lambda realm: Dog.best.backlinks(Dog.friends).count() > 2, "best.@links.Dog.friends.@count > 2", ()),
    (lambda realm: Dog.backlinks().count() > 2, "@links.@count > 2", ()),
    (lambda realm: Dog.fans.a == 1, "fans.a == 1", ()),
    (lambda realm: Dog.fans.a == 1, "@links.Dog.best.a == 1", ()),
    (lambda realm: Dog.a + Dog.b == 3, "a + b == 3", ()),
    (lambda realm: 2 * Dog.a - 1 == 3, "2 * a - 1 == 3", ()),
    (lambda realm: Dog.price / 2 > 1, "price / 2 > 1", ()),
    (lambda realm: Dog.loc.within(CIRCLE), "loc GEOWITHIN $0", (CIRCLE,)),
    (lambda realm: Dog.loc.within(BOX), "loc GEOWITHIN geoBox([-1.0, 0.0], [2.5, 2.0])", ()),
    (
        lambda realm: Dog.loc.within(POLYGON),
        "loc GEOWITHIN geoPolygon({[-1.0,0.0],[3.5,0.0],[1.0,3.0],[-1.0,0.0]})",
        (),
    ),
    (lambda realm: Dog.best == first(realm), "best == obj('Dog', 0)", ()),
    (lambda realm: Dog.friends.any == first(realm), "ANY friends == obj('Dog', 0)", ()),
    (lambda realm: Dog.best.in_([first(realm), None]), "best IN {obj('Dog', 0), NULL}", ()),
    (lambda realm: Dog.best.best.a > 1, "best.best.a > 1", ()),
]


@pytest.mark.parametrize(("build", "text", "arguments"), ROWS, ids=[text for _, text, _ in ROWS])
def test_the_table_of_expressions(
    realm: Realm, build: Callable[[Realm], Any], text: str, arguments: tuple[Any, ...]
) -> None:
    dogs = realm.objects(Dog)
    built, written = dogs.where(build(realm)), dogs.filter(text, *arguments)
    if "obj(" not in text:  # an object is its place in the file here, and its key there
        assert repr(built._resolve()) == repr(written._resolve())
    assert built[:] == written[:]
    assert len(dogs.filter(built.description)) == len(built)
    if "GEOWITHIN" in text or "obj(" in text:
        assert 0 < len(built) < 6
    else:
        check(built)


def test_stages_as_expressions_and_as_text(realm: Realm) -> None:
    dogs = realm.objects(Dog)
    built = dogs.sort(Dog.best.a.desc(), "b").distinct(Dog.scores["k"], "s").limit(3).sort(Dog.price)
    text = "TRUEPREDICATE SORT(best.a DESC, b ASC) DISTINCT(scores['k'], s) LIMIT(3) SORT(price ASC)"
    assert built.description == dogs.filter(text).description.replace("price", "cost")
    check(built)
    assert built[:] == dogs.filter(text)[:]
