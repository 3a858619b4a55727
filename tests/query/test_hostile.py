"""Texts and conditions that want to do harm: a specific error, or a result, in bounded time and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.query.test_random_queries import check

from syncline import (
    Dictionary,
    Field,
    InvalidPropertyError,
    List,
    Model,
    QueryError,
    QuerySyntaxError,
    Realm,
    RealmConfiguration,
    Results,
    any_of,
)
from syncline.query.expression import Condition


class Node(Model):
    id: int = Field(primary_key=True)
    name: str | None = Field(default=None, index=True)
    number: int | None = Field(default=None, index=True)
    ratio: float | None
    extra: Any
    next: "Node | None"  # noqa: UP037
    nodes: List["Node"]  # noqa: UP037
    words: List[str]
    scores: Dictionary[int | None]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Results[Node]]:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Node])) as realm:
        last = None
        with realm.write():
            for id, name in enumerate(["a\0b", "a", None, "\udcff", "é"]):
                values = {"id": id, "name": name, "number": id, "ratio": id / 2, "words": [name or ""], "next": last}
                last = realm.create(Node, {**values, "extra": {"a\0": [name]}, "scores": {"k\0": id}})
                last.nodes.append(last)
        yield realm.objects(Node)


TOO_DEEP = "more than 100 levels of nesting"
#: text, what is said of it, and how far the text was read at most
REFUSED: list[tuple[str, str, int]] = [
    ("(" * 200_000, TOO_DEEP, 102),
    ("(" * 100_000 + "number == 1" + ")" * 100_000, TOO_DEEP, 102),
    ("!" * 200_000 + "number == 1", TOO_DEEP, 101),
    ("NOT " * 200_000, TOO_DEEP, 404),
    ("number == 1 and (" * 50_000, TOO_DEEP, 17 * 102),
    ("SUBQUERY(nodes, $x, " * 50_000, TOO_DEEP, 20 * 102),
    ("number" + " + 1" * 1_000 + " == 1", TOO_DEEP, 0),
    (".".join(["next"] * 1_000) + ".number == 1", "more than 100 elements in a path", 0),
    ("TRUEPREDICATE" + " DISTINCT(number)" * 101, "more than 100 of SORT, DISTINCT and LIMIT", 1714),
    ("number == " + "9" * 100_000, "9{30} does not fit into 64 bits", 10),
    ("number == 0x" + "f" * 100_000, "does not fit into 64 bits", 10),
    ("number == 0" + "7" * 100_000, "octal", 10),
    ("number == T" + "9" * 100_000 + ":0", "do not fit into 64 bits", 10),
    ("number == " + "9" * 100_000 + "-1-1@0:0:0", "is no part of a date", 10),
    ("nodes[9223372036854775808].number == 1", "does not fit into 64 bits", 6),
    ("'" * 100_001, "is not expected here", 100_001),
    ("\\" * 100_001, "means nothing here", 100_001),
    ("number == 1" + " " * (1 << 20), "more than 1048576; give long lists as arguments", 0),
]


@pytest.mark.parametrize(("text", "reason", "place"), REFUSED, ids=[text[:20] for text, *_ in REFUSED])
def test_refused_with_a_mark(nodes: Results[Node], text: str, reason: str, place: int) -> None:
    with pytest.raises(QuerySyntaxError, match=reason) as caught:
        nodes.filter(text)
    assert caught.value.position is None or caught.value.position <= place
    assert len(str(caught.value)) < 500
    assert "^" in str(caught.value) or len(text) > 1 << 20


def test_long_names_make_no_long_messages(nodes: Results[Node]) -> None:
    with pytest.raises(InvalidPropertyError, match="Node has no property 'aaa") as caught:
        nodes.filter("a" * 100_000 + " == 1")
    assert len(str(caught.value)) < 500


LARGE: list[tuple[str, list[int]]] = [
    (" or ".join(f"number == {number}" for number in range(200)), [0, 1, 2, 3, 4]),
    ("number IN {" + ", ".join(map(str, range(1_000))) + "}", [0, 1, 2, 3, 4]),
    ("name IN {" + ", ".join(f"'{number}'" for number in range(1_000)) + ", 'a'}", [1]),
    ("(" * 99 + "number == 1" + ")" * 99, [1]),
    (".".join(["next"] * 99) + ".number == NULL", [0, 1, 2, 3, 4]),
    (".".join(["nodes"] * 99) + ".number == 1", [1]),
    ("number" + " + 1" * 98 + " == 99", [1]),
    ("ratio" + " / 1.0" * 60 + " == 1", [2]),
    ("number" + " + number" * 30 + " == 62", [2]),
    ("extra" + "[0]" * 99 + " == 1", []),
    ("TRUEPREDICATE SORT(" + ", ".join(["number DESC", "id ASC"] * 500) + ")", [4, 3, 2, 1, 0]),
    ("TRUEPREDICATE DISTINCT(" + ", ".join(["number"] * 500) + ")", [0, 1, 2, 3, 4]),
    ("TRUEPREDICATE" + " DISTINCT(number) LIMIT(4)" * 50, [0, 1, 2, 3]),
    ("TRUEPREDICATE" + " LIMIT(4) SORT(number DESC)" * 50, [3, 2, 1, 0]),
    ("name LIKE '" + "*a" * 100_000 + "'", []),
    ("name ==[c] '" + "A" * 100_000 + "'", []),
    ("NOT (number > 1 and " * 48 + "number == 1" + ")" * 48, []),
]


@pytest.mark.parametrize(("text", "expected"), LARGE, ids=[text[:20] for text, _ in LARGE])
def test_large_queries_are_answered(nodes: Results[Node], text: str, expected: list[int]) -> None:
    found = nodes.filter(text)
    assert len(found) == len(nodes.filter(text)[:])
    if not text.startswith("NOT"):
        assert [node.id for node in found] == expected
    assert found.explain().query
    assert found.sum("number") == sum(node.number or 0 for node in found)
    first = nodes.filter(text).first()
    assert (first and first.id) == (found[0].id if found else None)


def test_very_many_constants(nodes: Results[Node]) -> None:
    """As many as SQLite takes, and more."""
    several = any_of(Node.number == number for number in range(1_000))
    assert len(nodes.where(several)) == 5
    assert nodes.where(several).explain().indexes == ("Node.number",)
    assert len(nodes.where(Node.number > list(range(33_000)))[:]) == 4


def test_operands_in_each_other_do_not_multiply(nodes: Results[Node]) -> None:
    text = "nodes.scores.@values == 1"
    for level in range(30):
        text = f"nodes.scores.@values == SUBQUERY(nodes, $x{level}, {text}).@count"
    check(nodes.filter(text))
    check(nodes.filter("nodes.words.@count == " + "+".join(["number"] * 20)))


ODD = ["\0", "a\0b", "a\0", "\udcff", "\ud800", "\udfff", "\U0010ffff", "é", "x\udcffy"]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_odd_characters_are_characters(nodes: Results[Node], odd: str) -> None:
    """Also those that no UTF-8 text can hold: they are looked for, found or not."""
    for operator in ("==", "!=", "<", ">=", "==[c]", "BEGINSWITH", "ENDSWITH", "CONTAINS", "CONTAINS[c]", "LIKE"):
        for path in ("name", "words", "extra", "extra['a\0'][0]", "scores.@keys"):
            for text, given in ((f"{path} {operator} '{odd}'", ()), (f"{path} {operator} $0", (odd,))):
                agreed(nodes, text, *given)
    for text in (f"scores['{odd}'] == 1", f"extra['{odd}'] == 1", f"name IN {{'{odd}', 'a'}}", f"extra.{odd} == 1"):
        agreed(nodes, text)
    agreed(nodes, "TRUEPREDICATE SORT(scores[$0] DESC) DISTINCT(name)", odd)


def test_half_a_character_is_refused_with_a_mark(nodes: Results[Node]) -> None:
    with pytest.raises(QuerySyntaxError, match=r"position 10: half a surrogate pair \('.ud800'\)") as caught:
        nodes.filter("name == 'a\ud800'")
    assert caught.value.position == 10
    assert str(caught.value).splitlines()[1:] == ["    name == 'a?'", " " * 14 + "^"]
    for refused in (
        lambda: nodes.filter("name == $0", "a\udfff"),
        lambda: nodes.filter("name IN $0", ["a\udfff"]),
        lambda: nodes.filter("scores[$0] == 1", "a\udfff"),
        lambda: nodes.filter("extra[$0] == 1", "a\udfff"),
        lambda: nodes.where(Node.extra["\udfff"] == 1),
        lambda: nodes.where(Node.name.contains("\udfff")),
        lambda: nodes.filter("$K0 == 1", "a\udfff"),
    ):
        with pytest.raises(QueryError, match="half a surrogate pair, which is no character"):
            refused()


def agreed(nodes: Results[Node], text: str, *arguments: object) -> None:
    try:
        results = nodes.filter(text, *arguments)
    except QueryError:
        return
    check(results)


def nested(levels: int) -> Condition:
    condition = Node.number == 1
    for number in range(levels):
        condition = ~(condition & (Node.number != number))
    return condition


def added(levels: int) -> Condition:
    sum: Any = Node.number
    for _ in range(levels):
        sum = sum + 1
    return cast_condition(sum == 5)


def linked(levels: int) -> Condition:
    path: Any = Node.next
    for _ in range(levels):
        path = path.next
    return cast_condition(path.number == 5)


def cast_condition(condition: Any) -> Condition:
    assert isinstance(condition, Condition)
    return condition


@pytest.mark.parametrize("built", [nested, added, linked])
def test_conditions_that_an_application_built(nodes: Results[Node], built: Callable[[int], Condition]) -> None:
    check(nodes.where(built(45)))


def test_built_conditions_are_as_deep_as_texts(nodes: Results[Node]) -> None:
    assert len(nodes.where(linked(1_000))) == 0
    for condition in (nested(51), nested(3_000), added(101), added(3_000)):
        with pytest.raises(QueryError, match=r"more than 100 levels of nesting; combine many conditions with all_of()"):
            nodes.where(condition)
    check(nodes.where(added(98)))
    check(nodes.where(nested(49)))
