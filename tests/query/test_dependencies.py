"""What a query looks at, so that observers know when to look again."""

from __future__ import annotations

import pytest
from tests.query.plain import Schema, resolved

from syncline.query.dependencies import dependencies

SCHEMA = Schema(
    Dog={
        "id": "int*",
        "age": "int",
        "words": "string!",
        "best": "Dog",
        "friends": "Dog[]",
        "m": "mixed",
        "at": "Point",
    },
    Point_={"type": "string", "coordinates": "double[]"},
)

LOOKS = [
    ("TRUEPREDICATE", ""),
    ("age > 1 AND NOT (best.age < 2 OR words TEXT 'x')", "age best words"),
    ("age BETWEEN {1, 2}", "age"),
    ("age + best.id * 2 == friends.@count", "age best id friends"),
    ("friends.@sum.age == 1", "friends age"),
    ("m[0].@type == 'int'", "m"),
    ("SUBQUERY(friends, $x, $x.age == 1).@count > 0", "friends age"),
    ("@links.Dog.best.age == 1", "best age"),
    ("@links.@count == 1", "best friends m"),
    ("at GEOWITHIN geoBox([0,0],[1,1])", "at type coordinates"),
    ("best == obj('Dog', 1)", "best (Dog)"),
    ("best IN {obj('Dog', 1), NULL}", "best (Dog)"),
    ("m == obj('Dog', 1)", "m (Dog)"),
    ("TRUEPREDICATE SORT(age ASC) DISTINCT(best.id) LIMIT(1)", "age best id"),
]


@pytest.mark.parametrize(("rql", "expected"), LOOKS, ids=[rql for rql, _ in LOOKS])
def test_dependencies(rql: str, expected: str) -> None:
    steps, classes = dependencies(resolved(SCHEMA, "Dog", rql))
    names = {step.property.name for step in steps} | {"(Dog)" for each in classes if each == SCHEMA.classes["Dog"].id}
    assert names == set(expected.split())
