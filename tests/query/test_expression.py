"""The expression builder and the text of queries (spec/sdk.md §12.4, §7.13)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from syncline import InvalidPropertyError, List, Model, ObjectId, QueryError, all_of, any_of, field
from syncline.query.ast import Always, And, Or


class Dog(Model):
    name: str
    age: int | None
    count: int
    best: "Dog | None"  # noqa: UP037
    friends: List["Dog"]  # noqa: UP037
    tags: List[str]


def text(condition: object) -> str:
    return repr(condition).removeprefix("<Condition ").removesuffix(">")


ROWS: list[tuple[Any, str]] = [
    (Dog.age == 3, "age == 3"),
    (Dog.age != None, "age != NULL"),  # noqa: E711
    (Dog.age.is_null(), "age == NULL"),
    ((Dog.age >= 3) & (Dog.age < 5) & (Dog.name == "Rex"), 'age >= 3 and age < 5 and name == "Rex"'),
    ((Dog.age > 3) | (Dog.name <= "x"), '(age > 3 or name <= "x")'),
    (~(Dog.age > 3), "!(age > 3)"),
    (~~(Dog.age > 3), "age > 3"),
    (Dog.age.between(1, 5), "age BETWEEN {1, 5}"),
    (Dog.age.in_([1, None]), "age IN {1, NULL}"),
    (Dog.name.in_(["a"], ci=True), 'name IN[c] {"a"}'),
    (Dog.name.startswith("R"), 'name BEGINSWITH "R"'),
    (Dog.name.endswith("x", ci=True), 'name ENDSWITH[c] "x"'),
    (Dog.name.contains("e"), 'name CONTAINS "e"'),
    (Dog.name.like("R*"), 'name LIKE "R*"'),
    (Dog.name.equals("rex", ci=True), 'name ==[c] "rex"'),
    (Dog.name.equals("rex", di=True), 'name ==[d] "rex"'),
    (Dog.name.like("r*", ci=True, di=True), 'name LIKE[cd] "r*"'),
    (Dog.name.in_(["a"], di=True), 'name IN[d] {"a"}'),
    (Dog.best.age > 3, "best.age > 3"),
    (Dog.best.best["count"] == 1, "best.best.count == 1"),
    (Dog.friends.any.age > 3, "ANY friends.age > 3"),
    (Dog.friends.all.best.name == "x", 'ALL friends.best.name == "x"'),
    (Dog.tags.none == "x", 'NONE tags == "x"'),
    (Dog.friends.age == 3, "friends.age == 3"),
    (Dog.friends.count() > 2, "friends.@count > 2"),
    (Dog.age == Dog.count, "age == count"),
    (Dog.name == 'it\'s "quoted"', 'name == B64"aXQncyAicXVvdGVkIg=="'),
    (Dog.name == "Ä ü", 'name == "Ä ü"'),
    (Dog.name == datetime(2020, 1, 1, tzinfo=UTC), "name == T1577836800:0"),
    (Dog.name == ObjectId("64b000000000000000000000"), "name == oid(64b000000000000000000000)"),
    (Dog.name == UUID(int=1), "name == uuid(00000000-0000-0000-0000-000000000001)"),
    (Dog.name == b"\x01", 'name == binary(B64"AQ==")'),
    (Dog.age == True, "age == true"),  # noqa: E712
    (Dog.age == 1.5, "age == 1.5"),
    (Dog.age == float("inf"), "age == inf"),
    (Dog.age == float("nan"), "age == nan"),
]


@pytest.mark.parametrize(("condition", "rql"), ROWS, ids=[rql for _, rql in ROWS])
def test_expressions_and_their_text(condition: object, rql: str) -> None:
    assert text(condition) == rql


def test_chains_stay_flat() -> None:
    condition = any_of(Dog.age == n for n in range(3)) | (Dog.age == 5) | (Dog.age == 6)
    assert isinstance(condition.node, Or)
    assert len(condition.node.terms) == 5
    assert isinstance(all_of(Dog.age == 1, [Dog.age == 2]).node, And)


def test_no_conditions_are_always_true_or_never() -> None:
    assert all_of().node == Always(True)
    assert any_of().node == Always(False)
    assert text(all_of()) == "TRUEPREDICATE"
    assert text(any_of([])) == "FALSEPREDICATE"


def test_conditions_have_no_truth_value() -> None:
    with pytest.raises(TypeError, match=r"has no truth value.*Combine conditions with & \| ~"):
        bool(Dog.age > 3)
    with pytest.raises(TypeError, match=r"between\(\) for a chained comparison"):
        assert 1 < Dog.age < 3
    with pytest.raises(TypeError, match=r"has no truth value"):
        _ = (Dog.age > 3) and (Dog.age < 5)
    with pytest.raises(TypeError):
        list(Dog.friends)
    with pytest.raises(TypeError):
        assert 3 in Dog.friends


def test_forgotten_parentheses_are_explained() -> None:
    with pytest.raises(TypeError, match=r"put each comparison in parentheses"):
        _ = Dog.age > 3 & Dog.count < 5
    with pytest.raises(TypeError, match=r"put each comparison in parentheses"):
        _ = Dog.age | Dog.count
    with pytest.raises(TypeError, match=r"& combines conditions, and True is none"):
        _ = (Dog.age > 3) & True
    with pytest.raises(TypeError, match=r"\| combines conditions, and 1 is none"):
        _ = 1 | (Dog.age > 3)
    with pytest.raises(TypeError, match=r"& combines conditions"):
        _ = 1 & (Dog.age > 3)
    with pytest.raises(TypeError, match=r"compare a bool property with == False"):
        _ = ~Dog.age


def test_unknown_properties_are_named_with_a_guess() -> None:
    with pytest.raises(AttributeError, match=r"Dog has no property 'agee': did you mean 'age'?"):
        _ = Dog.agee
    with pytest.raises(InvalidPropertyError, match=r"Dog has no property 'nme': did you mean 'name'?"):
        _ = Dog.best.nme


def test_paths_that_cannot_be() -> None:
    with pytest.raises(AttributeError, match=r"only links lead on"):
        _ = Dog.age.name
    with pytest.raises(QueryError, match=r"give an index from 0, or a key"):
        _ = Dog.friends[-1]
    with pytest.raises(QueryError, match=r"parts of a collection cannot be asked"):
        _ = Dog.friends[1:2]
    with pytest.raises(QueryError, match=r"a value that was computed"):
        _ = Dog.friends.count()["x"]
    with pytest.raises(QueryError, match=r"stands once, behind a collection"):
        _ = Dog.friends.any.all
    with pytest.raises(QueryError, match=r"is a number already"):
        Dog.friends.count().count()
    with pytest.raises(QueryError, match=r"cannot sort by friends.@count"):
        Dog.friends.count().asc()


def test_values_that_cannot_be() -> None:
    with pytest.raises(QueryError, match=r"give a list of values, not one string"):
        Dog.name.in_("abc")
    with pytest.raises(QueryError, match=r"a condition is no value"):
        _ = Dog.age == (Dog.count == 1)


def test_expressions_are_hashable_and_print() -> None:
    assert len({Dog.age, Dog.name, Dog.age}) == 2
    assert repr(Dog.best.age) == "<Expr best.age>"


def test_properties_by_name() -> None:
    assert text(field("best.age") > 3) == "best.age > 3"
    assert field(Dog.age) is Dog.age
    for wrong in (5, "", "a..b"):
        with pytest.raises(QueryError, match=r"give the name of a property, or a property of a class such as Dog.age"):
            field(wrong)
