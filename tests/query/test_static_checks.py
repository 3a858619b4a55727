"""Queries that make no sense, written as text: refused with a mark under the place (spec/sdk.md §7.3, §7.4, §7.9)."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.query.plain import Objects, Schema, found, resolved

from syncline import (
    GeoBox,
    GeoCircle,
    InvalidPropertyError,
    InvalidSortDescriptorError,
    QueryArgumentError,
    QueryTypeError,
)
from syncline.query.ast import Compare, Constant, ConstantList, KeyedObject, LinkLiteral
from syncline.query.paths import Names
from syncline.values import Decimal128, Float32, ObjectId, Timestamp

D = Decimal128.from_text

SCHEMA = Schema(
    Dog={
        "_id": "int*",
        "name": "string?",
        "story": "string!",
        "age": "int?",
        "price": "double?",
        "weight": "float?",
        "cost": "decimal?",
        "good": "bool",
        "born": "date?",
        "photo": "data?",
        "token": "objectId?",
        "m": "mixed",
        "best": "Dog?",
        "cat": "Cat?",
        "friends": "Dog[]",
        "pack": "Dog<>",
        "pets": "Cat{}",
        "tags": "string[]",
        "marks": "int<>",
        "scores": "int{}",
        "dates": "date[]",
        "place": "Point?",
        "places": "Point[]",
        "home": "Home?",
        "many": "mixed[]",
    },
    Cat={"name": "string"},
    Point_={"type": "string", "coordinates": "double[]"},
    Home_={"type": "int", "coordinates": "double[]"},
)

#: query, class of the error, what it says, the text that is marked
REFUSED: list[tuple[str, type[Exception], str, str]] = [
    ("name == 5", QueryTypeError, "string cannot be compared with int 5", "5"),
    ("good == 1", QueryTypeError, "bool cannot be compared with int 1", "1"),
    ("age == true", QueryTypeError, "int cannot be compared with bool", "true"),
    ("token == 'x'", QueryTypeError, "objectId cannot be compared with str 'x'", "'x'"),
    ("age == name", QueryTypeError, "int cannot be compared with string", "age == name"),
    ("age == 'five'", QueryTypeError, "int cannot be compared with str 'five'", "'five'"),
    ("name == inf", QueryTypeError, "string cannot be compared with float inf", "inf"),
    ("age > inf", QueryArgumentError, "inf cannot be compared with an integer", "inf"),
    ("1 == 1", QueryTypeError, "compares two constants", "1 == 1"),
    ("{1} IN {1, 2}", QueryTypeError, "compares two constants", "{1} IN {1, 2}"),
    ("1 + 1 == 2", QueryTypeError, "compares two constants", "1 + 1 == 2"),
    ("1 BETWEEN {1, 2}", QueryTypeError, "compares two constants", "1 BETWEEN {1, 2}"),
    ("best > NULL", QueryTypeError, "links can only be compared with ==, != and IN", "best > NULL"),
    ("best == cat", QueryTypeError, "links to different classes", "best == cat"),
    (
        "best == obj('Cat', 1)",
        QueryArgumentError,
        "a link to Dog cannot be compared with an object of Cat",
        "obj('Cat', 1)",
    ),
    ("best == obj('Cow', 1)", QueryTypeError, "there is no class 'Cow'", "obj('Cow', 1)"),
    ("cat == obj('Cat', 1)", QueryTypeError, "Cat has no primary key", "obj('Cat', 1)"),
    ("best == obj('Dog', 'x')", QueryArgumentError, "Dog._id is of type int", "obj('Dog', 'x')"),
    ("age == obj('Dog', 1)", QueryTypeError, "an object of Dog cannot be compared with int", "obj('Dog', 1)"),
    ("m == O1", QueryTypeError, "the class of the object is not known", "O1"),
    ("best == L9:1", QueryTypeError, "there is no class number 9", "L9:1"),
    ("best == 5", QueryArgumentError, "is no object", "5"),
    ("best BEGINSWITH 'x'", QueryTypeError, "BEGINSWITH needs a string or data on the left, not link", "best"),
    ("name LIKE best", QueryTypeError, "LIKE needs a string or data on the right, not link", "best"),
    ("best ==[c] NULL", QueryTypeError, "ignoring case needs a string or data on the left, not link", "best"),
    ("best TEXT 'x'", QueryTypeError, "TEXT needs a string property with a full-text index", "best"),
    ("best + 1 == 2", QueryTypeError, "best is link, so nothing can be calculated", "best"),
    ("m.@type CONTAINS 'i'", QueryTypeError, "CONTAINS needs a string or data on the left, not @type", "m.@type"),
    ("m.@type ==[c] 'int'", QueryTypeError, "ignoring case needs a string or data on the left", "m.@type"),
    (
        "token == uuid(00000000-0000-0000-0000-000000000000)",
        QueryTypeError,
        "objectId cannot be compared",
        "uuid(00000000-0000-0000-0000-000000000000)",
    ),
    ("born == 5", QueryTypeError, "timestamp cannot be compared with int 5", "5"),
    ("price == name", QueryTypeError, "double cannot be compared with string", "price == name"),
    ("token == age", QueryTypeError, "objectId cannot be compared with int", "token == age"),
    ("good == age", QueryTypeError, "bool cannot be compared with int", "good == age"),
    ("friends == NULL", QueryTypeError, "holds no nulls", "friends == NULL"),
    ("friends.best != NULL", QueryTypeError, "holds no nulls", "friends.best != NULL"),
    ("age.@type == 'int'", QueryTypeError, "compares two constants: age is always int", "age.@type == 'int'"),
    ("m.@type > 'int'", QueryTypeError, "types can only be compared", "m.@type > 'int'"),
    ("m.@type == 5", QueryTypeError, "@type is compared with the name of a type", "5"),
    ("m.@type == 'lizard'", QueryTypeError, "there is no type 'lizard'", "'lizard'"),
    ("m.@type == name", QueryTypeError, "or another @type", "name"),
    ("m.@type BETWEEN {'int', 'bool'}", QueryTypeError, "types have no order", "m.@type BETWEEN {'int', 'bool'}"),
    ("age ==[c] 5", QueryTypeError, "ignoring case needs a string or data on the left", "age"),
    ("name ==[c] age", QueryTypeError, "ignoring case needs a string or data on the right", "age"),
    ("name CONTAINS 5", QueryTypeError, "CONTAINS needs a string or data on the right, not int", "5"),
    ("name LIKE age", QueryTypeError, "LIKE needs a string or data on the right, not int", "age"),
    ("age BEGINSWITH 'x'", QueryTypeError, "BEGINSWITH needs a string or data on the left, not int", "age"),
    ("photo CONTAINS 'x'", QueryTypeError, "data|binary cannot be compared with str", "'x'"),
    ("a IN 5", InvalidPropertyError, "Dog has no property 'a'", "a"),
    ("age IN 5", QueryArgumentError, "IN needs a list or a collection on its right", "5"),
    ("age IN name", QueryArgumentError, "IN needs a list or a collection on its right", "name"),
    ("ANY age == 5", QueryTypeError, "ANY needs a path that goes through a collection", "ANY age"),
    ("ALL best.age == 5", QueryTypeError, "ALL needs a path", "ALL best.age"),
    ("NONE friends.@count == 5", QueryTypeError, "NONE needs a path", "NONE friends.@count"),
    ("1 + ANY age == 5", QueryTypeError, "ANY needs a path", "ANY age"),
    ("tags BETWEEN {'a', 'b'}", QueryTypeError, "needs ALL in front", "tags BETWEEN {'a', 'b'}"),
    ("ANY marks BETWEEN {1, 2}", QueryTypeError, "needs ALL in front", "ANY marks BETWEEN {1, 2}"),
    ("age BETWEEN {1, NULL}", QueryArgumentError, "a bound is null", "{1, NULL}"),
    ("age BETWEEN {'a', 'b'}", QueryTypeError, "cannot be compared with str 'a'", "{'a', 'b'}"),
    ("best BETWEEN {1, 2}", QueryTypeError, "links have no order", "best BETWEEN {1, 2}"),
    ("m BETWEEN {1, obj('Dog', 1)}", QueryTypeError, "links have no order", "m BETWEEN {1, obj('Dog', 1)}"),
    # paths
    ("friends.agee == 1", InvalidPropertyError, "Dog has no property 'agee': did you mean 'age'?", "agee"),
    ("best.name.x == 1", QueryTypeError, "best.name is no link, so 'x' cannot follow it", "x"),
    ("age[0] == 1", QueryTypeError, "age, which is no collection, has no elements", "0"),
    ("best[0] == 1", QueryTypeError, "best, which is a link, has no elements", "0"),
    ("marks[0] == 1", QueryTypeError, "marks, which is a set, has no elements", "0"),
    ("marks[*] == 1", QueryTypeError, "has no elements", "*"),
    ("tags['a'] == 1", QueryTypeError, "tags is a list: give a number, FIRST, LAST or", "'a'"),
    ("scores[0] == 1", QueryTypeError, "scores is a dictionary: give a key", "0"),
    ("scores[FIRST] == 1", QueryTypeError, "scores is a dictionary", "FIRST"),
    ("tags[0][1] == 1", QueryTypeError, "no collection, has no elements", "1"),
    ("tags.@keys == 1", QueryTypeError, "@keys stands directly behind a dictionary", "@keys"),
    ("friends.@values == 1", QueryTypeError, "@values stands directly behind a dictionary", "@values"),
    ("@links.Dog == 1", QueryTypeError, "@links is followed by a class and its property", "@links"),
    ("@links.Cow.x == 1", InvalidPropertyError, "there is no class 'Cow'", "@links"),
    ("@links.Dog.x == 1", InvalidPropertyError, "Dog has no property 'x'", "@links"),
    ("@links.Dog.age.x == 1", QueryTypeError, "Dog.age does not link to Dog", "@links"),
    ("age.@links.Dog.best == 1", QueryTypeError, "@links stands where an object is", "@links"),
    ("age.@links.@count == 1", QueryTypeError, "@links stands where an object is", "age.@links.@count"),
    ("age.@count == 1", QueryTypeError, "a value of type int has no size", "age.@count"),
    ("many.x == 1", QueryTypeError, r"many holds many values: write many\[\*\].x for all or many\[0\].x", "x"),
    ("@links.Dog.best[0] == 1", QueryTypeError, "@links.Dog.best has no elements", "0"),
    ("SUBQUERY(friends, $x, $x[0] == 1).@count > 0", QueryTypeError, "an index stands behind a property", "0"),
    ("SUBQUERY(friends, $x, $x.@count == 1).@count > 0", QueryTypeError, "an object has no size", "$x.@count"),
    ("friends.length == 1", InvalidPropertyError, "no property 'length'", "length"),
    ("nothing.length == 1", InvalidPropertyError, "no property 'nothing'", "nothing"),
    # aggregates
    ("tags.@max == 1", QueryTypeError, "@max of values of type string is not possible", "tags.@max"),
    ("dates.@sum == 1", QueryTypeError, "@sum of values of type timestamp", "dates.@sum"),
    ("age.@max == 1", QueryTypeError, "@max needs a collection, or links and a property", "age.@max"),
    ("friends.@max == 1", QueryTypeError, "friends.@max.<property>", "friends.@max"),
    ("friends.@sum.name == 1", QueryTypeError, "@sum of values of type string", "friends.@sum.name"),
    ("friends.@sum.tags == 1", QueryTypeError, "tags is no single property of Dog", "friends.@sum.tags"),
    ("scores.@sum.x == 1", QueryTypeError, "scores does not lead to objects", "scores.@sum.x"),
    # subqueries
    ("SUBQUERY(best, $x, TRUEPREDICATE).@count > 0", QueryTypeError, "needs a list or set of links", "best"),
    ("SUBQUERY(pets, $x, TRUEPREDICATE).@count > 0", QueryTypeError, "needs a list or set of links", "pets"),
    ("SUBQUERY(tags, $x, TRUEPREDICATE).@count > 0", QueryTypeError, "needs a list or set of links", "tags"),
    ("SUBQUERY(friends, $x, $y.age == 1).@count > 0", InvalidPropertyError, r"no property '\$y'", "$y"),
    (
        "SUBQUERY(friends, $x, SUBQUERY($x.pack, $x, age == 1).@count > 0).@count > 0",
        QueryTypeError,
        r"\$x is taken by the subquery around",
        "SUBQUERY($x.pack, $x, age == 1).@count",
    ),
    (
        "SUBQUERY(friends, $x, SUBQUERY($x.pack, $y, $x.age == 1).@count > 0).@count > 0",
        QueryTypeError,
        r"\$x belongs to the subquery around this one",
        "$x",
    ),
    # arithmetic
    ("age + name == 5", QueryTypeError, "name is string, so nothing can be calculated", "name"),
    ("m + 1 == 5", QueryTypeError, "m is mixed, so nothing", "m"),
    ("age + 'x' == 5", QueryTypeError, "'x' is no number", "'x'"),
    ("age + best == 5", QueryTypeError, "best is link", "best"),
    ("{1} + {2} == age", QueryTypeError, "two lists of constants", "{1} + {2}"),
    ("friends.age + pack.age == 5", QueryTypeError, "at most one side", "friends.age + pack.age"),
    ("{1, 'x'} + age == 5", QueryTypeError, "'x' is no number", "{1, 'x'}"),
    # TEXT and GEOWITHIN
    ("name TEXT 'x'", QueryTypeError, "a full-text index on its left", "name"),
    ("story TEXT name", QueryTypeError, "a string of words on its right", "name"),
    ("story TEXT ''", QueryArgumentError, "has no words", "''"),
    ("story TEXT 'a -a'", QueryArgumentError, "asks for 'a' and excludes it", "'a -a'"),
    ("story TEXT '-a*'", QueryArgumentError, "excludes the beginning of words", "'-a*'"),
    ("story TEXT 'a-b'", QueryArgumentError, "no letters or digits", "'a-b'"),
    ("best GEOWITHIN geoBox([0,0],[1,1])", QueryTypeError, "a link to an embedded object", "best"),
    ("home GEOWITHIN $0", QueryArgumentError, "argument 0 is missing", "$0"),
    ("home GEOWITHIN geoBox([0,0],[1,1])", QueryTypeError, "Home is no point", "home GEOWITHIN geoBox([0,0],[1,1])"),
    (
        "ALL places GEOWITHIN geoBox([0,0],[1,1])",
        QueryTypeError,
        "ALL and NONE are not possible",
        "ALL places GEOWITHIN geoBox([0,0],[1,1])",
    ),
    ("name GEOWITHIN geoBox([0,0],[1,1])", QueryTypeError, "a link to an embedded object", "name"),
    ("place GEOWITHIN geoBox([0,0],[190,1])", QueryArgumentError, "190.0 is no longitude", "geoBox([0,0],[190,1])"),
]


@pytest.mark.parametrize(("rql", "error", "reason", "marked"), REFUSED, ids=[rql for rql, *_ in REFUSED])
def test_refused(rql: str, error: type[Exception], reason: str, marked: str) -> None:
    with pytest.raises(error, match=reason) as caught:
        resolved(SCHEMA, "Dog", rql)
    _, line, marks = str(caught.value).split("\n")
    assert "".join(c for c, mark in zip(line, marks, strict=False) if mark == "^") == marked


STAGES = [
    ("SORT(friends.age ASC)", "it goes through a collection"),
    ("SORT(best ASC)", "values of type link have no order"),
    ("SORT(tags ASC)", "it goes through a collection"),
    ("SORT(tags[0] ASC)", "only one key of a dictionary"),
    ("SORT(m.a ASC)", "it goes through a collection"),
    ("SORT(@links.Dog.best.age ASC)", "it goes through a collection"),
    ("DISTINCT(scores)", "it goes through a collection"),
]


@pytest.mark.parametrize(("stage", "reason"), STAGES, ids=[stage for stage, _ in STAGES])
def test_stages_without_meaning(stage: str, reason: str) -> None:
    with pytest.raises(InvalidSortDescriptorError, match=reason):
        resolved(SCHEMA, "Dog", f"TRUEPREDICATE {stage}")
    resolved(SCHEMA, "Dog", "TRUEPREDICATE SORT(photo ASC)")


# --- arguments and coercion -------------------------------------------------------------------------------------------

ARGUMENTS: list[tuple[str, tuple[Any, ...], str]] = [
    ("age == $0", (), "argument 0 is missing: no arguments given"),
    ("age == $2", (1, 2), "argument 2 is missing: 2 arguments given"),
    ("name == $0", (5,), "string cannot be compared with int 5"),
    ("age == $0", ("5",), "int cannot be compared with str '5'"),
    ("m.@type == $0", (5,), "@type is compared with the name of a type"),
    ("m.@type == $0", ("lizard",), "there is no type 'lizard'"),
    ("age == ANY $0", (5,), r"ANY \$0 needs a list, not int"),
    ("age BETWEEN {$0, 5}", ([1],), r"\$0 is a list here"),
    ("age IN {1, $0}", ([1],), r"\$0 is a list here"),
    ("born == $0", (datetime(2020, 1, 1),), "has no time zone"),
    ("age == $0", (object(),), "object is no value that a property can hold"),
    ("cost == $0", (Decimal("1e9999"),), "too large for a 128-bit decimal"),
    ("$K0 == 1", (5,), r"\$K0 needs a key path such as 'dog.name', not 5"),
    ("$K0 == 1", ("a..b",), r"needs a key path"),
    ("tags[$0] == 'x'", (-1,), "needs an index that is not negative"),
    ("tags[$0] == 'x'", (True,), "needs an index"),
    ("age == $0", (GeoBox((0, 0), (1, 1)),), "a shape can only stand behind GEOWITHIN"),
    ("place GEOWITHIN $0", (5,), "needs a GeoBox, GeoCircle or GeoPolygon, not int"),
    ("place GEOWITHIN $0", ("geoBox(",), "is no shape"),
    ("place GEOWITHIN $0", ("$0",), "is no shape: give one of"),
    ("place GEOWITHIN geoCircle([0,0], $0)", ("x",), "needs a number, not 'x'"),
    ("place GEOWITHIN geoCircle([0,0], $0)", (-1,), "a circle's radius"),
]


@pytest.mark.parametrize(("rql", "arguments", "reason"), ARGUMENTS)
def test_wrong_arguments(rql: str, arguments: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(QueryArgumentError, match=reason):
        resolved(SCHEMA, "Dog", rql, *arguments)


COERCED: list[tuple[str, Any]] = [
    ("age == 5.0", 5),
    ("age == 5.5", 5.5),
    ("age == 5f", 5),
    ("age == '5'", 5),
    ("age == '5.5'", 5.5),
    ("price == 5", 5),
    ("price == '1e3'", 1000.0),
    ("price == 0.1f", Float32(0.1)),
    ("weight == 0.1", Float32(0.1)),
    ("cost == 5", Decimal128(5)),
    ("cost == 0.1234567890123456789012345", Decimal128.from_text("0.1234567890123456789012345")),
    ("cost == '0.1'", Decimal128.from_text("0.1")),
    ("m == 5.0", 5.0),
    ("m == '5'", "5"),
    ("name == NULL", None),
    ("best == NULL", None),
    ("best == O3", LinkLiteral(1, 3)),
]


@pytest.mark.parametrize(("rql", "value"), COERCED, ids=[rql for rql, _ in COERCED])
def test_coercion(rql: str, value: Any) -> None:
    node = resolved(SCHEMA, "Dog", rql).predicate
    assert isinstance(node, Compare)
    assert isinstance(node.right, Constant)
    assert node.right.value == value
    assert type(node.right.value) is type(value)


#: §7.9, *Coercion of a constant c to the type of the other operand*: what a constant is beside age (int), weight
#: (float), price (double) and cost (decimal). None: the constant as it is; a class: of the error.
INF, NAN = math.inf, math.nan
SAID, GAVE = QueryTypeError, QueryArgumentError
TABLE: list[tuple[str, Any, tuple[Any, Any, Any, Any]]] = [
    ("5", 5, (5, 5, 5, D("5"))),
    ("5.0", 5.0, (5, Float32(5.0), 5.0, D("5.0"))),
    ("5.5", 5.5, (5.5, Float32(5.5), 5.5, D("5.5"))),
    ("0.1", 0.1, (0.1, Float32(0.1), 0.1, D("0.1"))),
    ("-0.0", -0.0, (0, Float32(-0.0), -0.0, D("-0.0"))),
    ("inf", INF, (GAVE, INF, INF, D("Infinity"))),
    ("-inf", -INF, (GAVE, -INF, -INF, D("-Infinity"))),
    ("nan", NAN, (NAN, NAN, NAN, D("NaN"))),
    ("1e30", 1e30, (1e30, Float32(1e30), 1e30, D("1E+30"))),
    ("5f", Float32(5), (5, Float32(5), Float32(5), D("5.0"))),
    ("5.5f", Float32(5.5), (Float32(5.5), Float32(5.5), Float32(5.5), D("5.5"))),
    ("", Float32(INF), (GAVE, Float32(INF), Float32(INF), D("Infinity"))),
    ("", Float32(NAN), (GAVE, Float32(NAN), Float32(NAN), D("NaN"))),
    ("", Decimal("1.50"), (D("1.50"), D("1.50"), D("1.50"), D("1.50"))),
    ("decimal(0.1)", Decimal("0.1"), (D("0.1"), D("0.1"), D("0.1"), D("0.1"))),
    ("decimal(99999999999999999999)", 10**20 - 1, (D("99999999999999999999"),) * 4),
    # text as a number: as a whole, and in query texts only
    ("'5'", None, (5, 5, 5, D("5"))),
    ("'+5'", None, (5, 5, 5, D("5"))),
    ("'5.0'", None, (5, Float32(5.0), 5.0, D("5.0"))),
    ("'-.5e1'", None, (-5, Float32(-5), -5.0, D("-5"))),
    ("'inf'", None, (GAVE, INF, INF, D("Infinity"))),
    ("'99999999999999999999'", None, (D("99999999999999999999"),) * 4),
    *((text, None, (SAID,) * 4) for text in ("'5abc'", "''", "' 5'", "'5 '", "'1_000'", "'0x10'", "'٣'", "'five'")),
    ("", "5", (GAVE,) * 4),
    ("", "five", (GAVE,) * 4),
    ("true", True, (TypeError,) * 4),
    ("oid(000000000000000000000000)", ObjectId(bytes(12)), (TypeError,) * 4),
]


@pytest.mark.parametrize(("text", "given", "expected"), TABLE)
def test_the_table_of_coercions(text: str, given: Any, expected: tuple[Any, ...]) -> None:
    for name, value in zip(("age", "weight", "price", "cost"), expected, strict=True):
        asked: list[tuple[str, tuple[Any, ...]]] = [(f"{name} == {text}", ())] if text else []
        asked += [] if given is None else [(f"{name} == $0", (given,))]
        for rql, arguments in asked:
            if isinstance(value, type):
                error = value if value is not TypeError else GAVE if arguments else SAID
                with pytest.raises(error) as caught:
                    resolved(SCHEMA, "Dog", rql, *arguments)
                assert type(caught.value) is error
                continue
            node = resolved(SCHEMA, "Dog", rql, *arguments).predicate
            assert isinstance(node, Compare)
            assert isinstance(node.right, Constant)
            if value != value:
                assert isinstance(node.right.value, float)
                assert node.right.value != node.right.value
            else:
                assert repr(node.right.value) == repr(value), rql


GIVEN: list[tuple[str, Any, Any]] = [
    ("age == $0", 5.0, 5),
    ("cost == $0", 0.1, Decimal128.from_text("0.1")),
    ("cost == $0", Decimal("1.50"), Decimal128.from_text("1.50")),
    ("born == $0", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), Timestamp(1, 0)),
    ("born == $0", Timestamp(1, 2), Timestamp(1, 2)),
    ("photo == $0", bytearray(b"x"), b"x"),
    ("token == $0", ObjectId(bytes(12)), ObjectId(bytes(12))),
    ("age == $0", 2**64, Decimal128.from_decimal(2**64)),
    ("best == $0", LinkLiteral(1, 3), LinkLiteral(1, 3)),
]


@pytest.mark.parametrize(("rql", "argument", "value"), GIVEN)
def test_arguments_become_stored_values(rql: str, argument: Any, value: Any) -> None:
    node = resolved(SCHEMA, "Dog", rql, argument).predicate
    assert isinstance(node, Compare)
    assert node.right == Constant(value)


def test_stored_lists_of_values_can_be_compared_with_each_other() -> None:
    """Core refuses them; we may say what the rules of lists say."""
    objects = Objects(Schema(L={"x": "int[]", "y": "int[]"}))
    for x, y in (([1, 2], [1, 2]), ([1, 2], [2, 1]), ([], []), ([1], [])):
        objects.add("L", x=x, y=y)
    assert found(objects, "L", "x == y") == [0, 2]
    assert found(objects, "L", "ANY x == ANY y") == [0, 1]


def test_lists_are_anything_iterable() -> None:
    for argument in ([1, 2], (1, 2), {1: 0, 2: 0}.keys(), (n for n in (1, 2)), range(1, 3)):
        node = resolved(SCHEMA, "Dog", "age IN $0", argument).predicate
        assert isinstance(node, Compare)
        assert node.right == ConstantList((1, 2))
    node = resolved(SCHEMA, "Dog", "age IN NONE $0", {1, 2}).predicate
    mixed = resolved(SCHEMA, "Dog", "age IN {1.0, 'x', '7', 5.5}").predicate
    assert isinstance(mixed, Compare)
    assert mixed.right == ConstantList((1, "x", 7, 5.5))


def test_objects_by_key_are_looked_up_later() -> None:
    node = resolved(SCHEMA, "Dog", "best == obj('class_Dog', $0)", 7).predicate
    assert isinstance(node, Compare)
    assert node.right == Constant(KeyedObject(SCHEMA.classes["Dog"], 7))


def test_public_names_of_classes_properties_and_backlinks() -> None:
    names = Names({"Hound": "Dog"}, {"Dog": {"years": "age", "fans": ("@links", "Dog", "best"), "name": "name"}})
    objects = Objects(SCHEMA)
    rex = objects.add("Dog", age=3)
    objects.add("Dog", age=5, best=rex)
    assert found(objects, "Dog", "years == 3", names=names) == [0]
    assert found(objects, "Dog", "age == 3", names=names) == [0]
    assert found(objects, "Dog", "fans.years == 5", names=names) == [0]
    assert found(objects, "Dog", "fans.@count == 1", names=names) == [0]
    assert found(objects, "Dog", "@links.Hound.best.age == 5", names=names) == [0]
    assert found(objects, "Dog", "best == L1:0", names=names) == [1]
    with pytest.raises(InvalidPropertyError, match="did you mean 'years'"):
        found(objects, "Dog", "yearz == 3", names=names)


def test_key_paths_as_arguments() -> None:
    objects = Objects(SCHEMA)
    rex = objects.add("Dog", age=3)
    objects.add("Dog", age=5, best=rex)
    assert found(objects, "Dog", "$K0 == $1", "best.age", 3) == [1]
    assert found(objects, "Dog", "TRUEPREDICATE SORT($K0 DESC)", "age") == [1, 0]


def test_geo_queries() -> None:
    objects = Objects(SCHEMA)
    here = objects.add("Point", type="Point", coordinates=[10.0, 50.0, 7.0])
    line = objects.add("Point", type="LineString", coordinates=[10.0, 50.0])
    short = objects.add("Point", type="point", coordinates=[10.0])
    for place in (here, line, short, None):
        objects.add("Dog", place=place)
    assert found(objects, "Dog", "place GEOWITHIN geoBox([9, 49], [11, 51])") == [0]
    assert found(objects, "Dog", "place GEOWITHIN geoCircle([10.001, 50], 0.001)") == [0]
    assert found(objects, "Dog", "place GEOWITHIN $0", GeoCircle((10, 50), 0.001)) == [0]
    assert found(objects, "Dog", "place GEOWITHIN $0", "geoCircle([10, 50], 0.001)") == [0]
    assert found(objects, "Dog", "place GEOWITHIN geoPolygon({[9,49],[11,49],[10,52],[9,49]})") == [0]
    assert found(objects, "Dog", "NOT place GEOWITHIN geoBox([9, 49], [11, 51])") == [1, 2, 3]


def test_text_queries() -> None:
    objects = Objects(SCHEMA)
    for story in ("The old dog", "A dog, barking", "Ärger mit Hunden", None):
        objects.add("Dog", story=story)
    assert found(objects, "Dog", "story TEXT 'dog'") == [0, 1]
    assert found(objects, "Dog", "story TEXT 'dog -old'") == [1]
    assert found(objects, "Dog", "story TEXT '-dog'") == [2, 3]
    assert found(objects, "Dog", "story TEXT 'arg* HUND*'") == [2]
    assert found(objects, "Dog", "story TEXT $0", "barking a") == [1]
