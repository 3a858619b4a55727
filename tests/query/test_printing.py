"""Queries as text: parsing what was printed gives an equal query (spec/sdk.md §7.13)."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.query.plain import Schema, resolved

from syncline import GeoBox, GeoCircle, GeoPolygon, ObjectId
from syncline.query.arguments import bind
from syncline.query.ast import (
    Aggregate,
    Aggregation,
    Always,
    And,
    Argument,
    Arithmetic,
    ArithmeticOperator,
    Between,
    Compare,
    Constant,
    ConstantList,
    Distinct,
    Index,
    KeyPathArgument,
    Limit,
    LinkLiteral,
    Not,
    ObjectLiteral,
    Operator,
    Or,
    Path,
    Position,
    Predicate,
    Quantifier,
    Query,
    ShapeLiteral,
    Size,
    Sort,
    SortKey,
    Subquery,
    TypeOf,
    Within,
)
from syncline.query.parser import parse
from syncline.query.printing import operand_to_rql, query_to_rql, to_rql
from syncline.query.text import Fold
from syncline.values import Decimal128, Float32, Timestamp

# --- any query --------------------------------------------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from(["a", "b-1", "all", "not", "true", "none", "O1", "T1:2", "1x", "-", "size", "a b", "a.b", "a\\b"]),
    st.sampled_from(["in", "@keys", "@values", "$x", "$0", "$K0", "nan", "nil", "rtn", "é", "5f", "x\ny", "'", "t\r"]),
    st.text(min_size=1, max_size=5).filter(lambda text: text[0] != "@"),
)
KEYS = st.one_of(st.sampled_from(["k", "a b", "'", '"', "\\", "'\"", "FIRST", ""]), st.text(max_size=4))
INDEXES = st.builds(
    Index, st.one_of(st.integers(0, 2**63 - 1), KEYS, st.sampled_from([Position.FIRST, Position.LAST, Position.ALL]))
)
QUANTIFIERS = st.sampled_from([None, None, *Quantifier])
PATHS = st.builds(
    lambda head, rest, quantifier: Path((head, *rest), quantifier),
    st.one_of(NAMES.filter(lambda name: name[0] != "@"), st.just("@links")),
    st.lists(st.one_of(NAMES, INDEXES), max_size=3),
    QUANTIFIERS,
)
PLAIN_PATHS = PATHS.map(lambda path: Path(path.elements))

FLOATS = st.floats(allow_nan=False)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    FLOATS,
    st.floats(width=32, allow_nan=False).map(Float32),
    st.text(max_size=6),
    st.sampled_from(["\udcff", "a\0b", "B64", 'say "hi"', "it's", "\\", "ä😀\ud7ff"]),
    st.binary(max_size=6),
    st.builds(Timestamp.normalised, st.integers(-(2**62), 2**62), st.integers(0, 999_999_999)),
    st.uuids(),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.builds(LinkLiteral, st.one_of(st.none(), st.integers(0, 9)), st.integers(0, 99)),
    st.builds(
        ObjectLiteral,
        st.sampled_from(["Dog", "My Class", 'a"b']).map(lambda name: f"class_{name}"),
        st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=3), st.uuids()),
    ),
)
CONSTANTS = st.builds(Constant, SCALARS)
LISTS = st.builds(ConstantList, st.lists(SCALARS, max_size=3).map(tuple), QUANTIFIERS)


def operands(predicates: Any) -> Any:
    leaves = st.one_of(
        CONSTANTS,
        LISTS,
        PATHS,
        st.builds(Size, PATHS),
        st.builds(TypeOf, PATHS),
        st.builds(
            Aggregate,
            st.sampled_from(list(Aggregation)),
            PATHS,
            st.one_of(st.none(), NAMES.filter(lambda name: name[0] != "@").map(lambda name: Path((name,)))),
        ),
    )
    subqueries = st.builds(Subquery, PLAIN_PATHS, st.sampled_from(["$x", "$dog", "$x1"]), predicates)
    arithmetic = st.builds(Arithmetic, st.sampled_from(list(ArithmeticOperator)), leaves, leaves)
    nested = st.builds(Arithmetic, st.sampled_from(list(ArithmeticOperator)), arithmetic, st.one_of(leaves, arithmetic))
    return st.one_of(leaves, leaves, arithmetic, nested, subqueries)


FOLDING = [Operator.EQ, Operator.NE, Operator.IN, Operator.BEGINSWITH, Operator.ENDSWITH, Operator.CONTAINS]
FOLDING += [Operator.LIKE]
DEGREES = st.floats(-90, 90)
POINTS = st.tuples(DEGREES, DEGREES)
SHAPES = st.one_of(
    st.builds(GeoCircle, POINTS, st.floats(0, 4)),
    st.builds(GeoBox, st.tuples(st.floats(-90, -1), st.floats(-80, -1)), st.tuples(st.floats(1, 80), st.floats(1, 80))),
    st.just(GeoPolygon([(0, 0), (9, 0), (0, 9), (0, 0)], [(1, 1), (2, 1), (1, 2), (1, 1)])),
)


def leaves(predicates: Any) -> Any:
    operand = operands(predicates)
    return st.one_of(
        st.builds(Always, st.booleans()),
        st.builds(Compare, st.sampled_from(FOLDING), operand, operand, st.sampled_from([Fold(n) for n in range(4)])),
        st.builds(Compare, st.sampled_from([Operator.LT, Operator.GE, Operator.TEXT]), operand, operand),
        st.builds(Between, operand, CONSTANTS, CONSTANTS),
        st.builds(Within, PATHS, SHAPES),
    )


PREDICATES: Any = st.recursive(
    leaves(st.just(Always(True))),
    lambda inner: st.one_of(
        st.builds(lambda terms: And(tuple(terms)), st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda terms: Or(tuple(terms)), st.lists(inner, min_size=2, max_size=3)),
        st.builds(Not, inner),
        leaves(inner),
    ),
    max_leaves=4,
)
STAGES = st.lists(
    st.one_of(
        st.builds(
            lambda keys: Sort(tuple(keys)),
            st.lists(st.builds(SortKey, PLAIN_PATHS, st.booleans()), min_size=1, max_size=2),
        ),
        st.builds(lambda paths: Distinct(tuple(paths)), st.lists(PLAIN_PATHS, min_size=1, max_size=2)),
        st.builds(Limit, st.integers(0, 2**63 - 1)),
    ),
    max_size=3,
).map(tuple)


@st.composite
def queries(draw: Any) -> Query:
    return Query(draw(PREDICATES), draw(STAGES))


#: ``SYNCLINE_QUERY_EXAMPLES=5000`` for a long look.
EXAMPLES = int(os.environ.get("SYNCLINE_QUERY_EXAMPLES", "60"))


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(queries())
def test_what_is_printed_reads_back_as_the_same(query: Query) -> None:
    text = query_to_rql(query)
    assert bind(parse(text)) == query, text
    assert query_to_rql(parse(text)) == text


# --- one by one -------------------------------------------------------------------------------------------------------

A, ONE = Path(("a",)), Constant(1)
COMPARISON = Compare(Operator.EQ, A, ONE)

TEXTS: list[tuple[Predicate, str]] = [
    (And(()), "TRUEPREDICATE"),
    (Or(()), "FALSEPREDICATE"),
    (And((COMPARISON, And((COMPARISON, COMPARISON)))), "a == 1 and (a == 1 and a == 1)"),
    (Or((COMPARISON, Not(COMPARISON))), "(a == 1 or !(a == 1))"),
    (Compare(Operator.EQ, Arithmetic(ArithmeticOperator.ADD, A, Constant(Decimal("2"))), ONE), "a + decimal(2) == 1"),
    (Compare(Operator.EQ, A, Argument(3)), "a == $3"),
    (Compare(Operator.EQ, Path((KeyPathArgument(1), "b")), ONE), "$K1.b == 1"),
    (
        Within(A, ShapeLiteral("geoCircle", (((1.0, Argument(0)),),), Argument(1))),
        "a GEOWITHIN geoCircle([1.0, $0], $1)",
    ),
    (
        Within(A, ShapeLiteral("geoPolygon", (((0.0, 0.0), (1.0, 0.0)), ((2.0, 3.0),)))),
        "a GEOWITHIN geoPolygon({[0.0, 0.0], [1.0, 0.0]}, {[2.0, 3.0]})",
    ),
]


@pytest.mark.parametrize(("node", "text"), TEXTS, ids=[text for _, text in TEXTS])
def test_predicates(node: Predicate, text: str) -> None:
    assert to_rql(node) == text


CONSTANT_TEXTS: list[tuple[Any, str]] = [
    (Decimal("1.5"), "1.5"),
    (Decimal128.from_text("1.50"), "1.50"),
    (Decimal("0.1"), "decimal(0.1)"),
    (Decimal("1E+400"), "decimal(1E+400)"),
    (Decimal("NaN"), "decimal(NaN)"),
    (2**70, "decimal(1180591620717411303424)"),
    (Float32(0.1), "0.1f"),
    (Float32("nan"), "nan"),
    (float("-nan"), "-nan"),
    (-math.inf, "-inf"),
    (1e16, "1e+16"),
    (datetime(1970, 1, 2, tzinfo=UTC), "T86400:0"),
    (bytearray(b"x"), 'binary(B64"eA==")'),
    (UUID(int=7), "uuid(00000000-0000-0000-0000-000000000007)"),
    ("back`quote", '"back`quote"'),
    ("back\\slash", 'B64"YmFja1xzbGFzaA=="'),
    (LinkLiteral(None, 4), "O4"),
    (LinkLiteral(3, 4), "L3:4"),
    (ObjectLiteral("Dog", "x"), 'obj("class_Dog", "x")'),
]


@pytest.mark.parametrize(("value", "text"), CONSTANT_TEXTS, ids=[text for _, text in CONSTANT_TEXTS])
def test_constants(value: Any, text: str) -> None:
    assert operand_to_rql(Constant(value)) == text
    assert operand_to_rql(ConstantList((value,), Quantifier.ALL)) == f"ALL {{{text}}}"


RESOLVED = [
    "age == 5 and cost == 0.12345678901234567890",
    "best == obj(\"class_Dog\", 7) and best != NULL",
    "m.@type == \"numeric\" and m.@type IN {\"int\", \"bool\"}",
    "ANY friends.best.age > 3 SORT(best.age DESC)",
    "SUBQUERY(friends, $x, $x.age > 3 and age < 9).@count > 2",
    "@links.Dog.best.@links.@count > 0 and @links.@count > 0",
    "friends.@sum.age > 3 and tags.length > 3 and scores[\"a b\"] == 1 and scores.@keys == \"x\"",
    "m[0].x[*] == 1 and tags[LAST] == \"x\"",
    "best IN {obj(\"class_Dog\", 1), NULL}",
]  # fmt: skip


@pytest.mark.parametrize("rql", RESOLVED)
def test_resolved_queries_print_the_same(rql: str) -> None:
    schema = Schema(
        Dog={
            "_id": "int*",
            "age": "int",
            "cost": "decimal",
            "m": "mixed",
            "best": "Dog",
            "friends": "Dog[]",
            "tags": "string[]",
            "scores": "int{}",
        }
    )
    query = resolved(schema, "Dog", rql)
    assert query_to_rql(query) == rql
    assert resolved(schema, "Dog", query_to_rql(query)) == query
