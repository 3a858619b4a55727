"""Queries that make no sense are refused with a reason (spec/sdk.md §7.3, §7.4, §7.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from syncline import (
    Dictionary,
    IllegalOperationError,
    InvalidPropertyError,
    List,
    Model,
    QueryError,
    Realm,
    RealmConfiguration,
    Results,
    Timestamp,
)
from syncline.query.ast import Compare, Constant, Limit, Operator


class Cat(Model):
    name: str


class Dog(Model):
    name: str
    age: int | None
    weight: float
    price: Decimal | None
    born: datetime | None
    photo: bytes | None
    good: bool
    extra: Any
    best: "Dog | None"  # noqa: UP037
    cat: Cat | None
    friends: List["Dog"]  # noqa: UP037
    tags: List[str]
    scores: Dictionary[int]


@pytest.fixture
def dogs() -> Iterator[Results[Dog]]:
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Dog, Cat])) as realm:
        yield realm.objects(Dog)


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: Dog.age == "5", r'age == "5": int cannot be compared with str'),
    (lambda: Dog.name > 5, r"name > 5: string cannot be compared with int 5"),
    (lambda: Dog.good == 1, r"good == 1: bool cannot be compared with int 1"),
    (lambda: Dog.age == True, r"age == true: int cannot be compared with bool"),  # noqa: E712
    (lambda: Dog.born > datetime(2020, 1, 1), r"has no time zone"),
    (lambda: Dog.age == object(), r"object is no value that a property can hold"),
    (lambda: Dog.extra == object(), r"is no object of this Realm"),
    (lambda: Dog.age.startswith("5"), r"BEGINSWITH needs a string or data on the left, not int"),
    (lambda: Dog.name.contains(5), r"CONTAINS needs a string or data on the right, not int"),
    (lambda: Dog.name.like(Dog.age), r"LIKE needs a string or data on the right, not int"),
    (lambda: Dog.age.equals(5, ci=True), r"ignoring case needs a string"),
    (lambda: Dog.age.in_([5], ci=True), r"ignoring case needs a string or data on the left, not int"),
    (lambda: Dog.name == Dog.age, r"name == age: string cannot be compared with int"),
    (lambda: Dog.best > None, r"links can only be compared with ==, != and IN"),
    (lambda: Dog.best.between(1, 2), r"links have no order"),
    (lambda: Dog.best == 5, r"is no object of this Realm"),
    (lambda: Dog.best == Dog.cat, r"links to different classes"),
    (lambda: Dog.friends == None, r"holds no nulls; ask for its @count instead, .count\(\) in Python"),  # noqa: E711
    (lambda: Dog.friends.age == Dog.tags.count(), r""),
    (lambda: Dog.age.between(None, 5), r"a bound is null"),
    (lambda: Dog.age["name"] == 5, r"age\['name'\]: age, which is no collection, has no elements"),
    (lambda: Dog.age.any == 5, r"ANY needs a path that goes through a collection"),
    (lambda: Dog.age.count() == 1, r"a value of type int has no size"),
    (lambda: Dog.price == Decimal("1e9999"), r"too large for a 128-bit decimal"),
]


@pytest.mark.parametrize(("condition", "reason"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_refused_conditions(dogs: Results[Dog], condition: Callable[[], Any], reason: str) -> None:
    if not reason:
        dogs.where(condition())
        return
    with pytest.raises(QueryError, match=reason):
        dogs.where(condition())


def test_two_constants_are_refused(dogs: Results[Dog]) -> None:
    from syncline.query.expression import Condition

    with pytest.raises(QueryError, match=r"compares two constants"):
        dogs.where(Condition(Compare(Operator.EQ, Constant(1), Constant(1))))


def test_objects_in_conditions(dogs: Results[Dog]) -> None:
    realm = dogs._context.realm
    with realm.write():
        dog = realm.create(Dog, name="a", weight=1, good=True)
        cat = realm.create(Cat, name="b")
    dogs.where(Dog.best == dog, Dog.extra == cat, Dog.best.in_([dog, None]))
    with pytest.raises(QueryError, match=r"a link to Dog cannot be compared with Cat"):
        dogs.where(Dog.best == cat)
    with pytest.raises(QueryError, match=r"links can only be compared with ==, != and IN"):
        dogs.where(Dog.extra > cat)
    with pytest.raises(QueryError, match=r"is no object of this Realm"):
        dogs.where(Dog.best == Dog(name="x"))


def test_singles_round_their_constants(dogs: Results[Dog]) -> None:
    assert dogs.where(Dog.weight == 1e300)._resolve().predicate is not None


def test_a_plain_bool_is_no_condition(dogs: Results[Dog]) -> None:
    with pytest.raises(QueryError, match=r"where\(\) takes conditions such as Dog.age > 3, got bool True"):
        dogs.where(True)


@pytest.mark.parametrize("name", ["agee", "best.agee"])
def test_unknown_names_have_a_guess(dogs: Results[Dog], name: str) -> None:
    with pytest.raises(InvalidPropertyError, match=r"Dog has no property 'agee': did you mean 'age'?"):
        dogs.sort(name)


def test_sort_needs_values_with_an_order(dogs: Results[Dog]) -> None:
    with pytest.raises(QueryError, match=r"cannot sort by best: values of type link have no order"):
        dogs.sort("best")
    with pytest.raises(QueryError, match=r"cannot sort by photo"):
        dogs.sort("photo")
    with pytest.raises(QueryError, match=r"cannot sort by friends.age: it goes through a collection"):
        dogs.sort("friends.age")
    with pytest.raises(QueryError, match=r"name is no link, so 'age' cannot follow it"):
        dogs.sort("name.age")
    with pytest.raises(QueryError, match=r"at least one property"):
        dogs.sort()


def test_limits_are_counts(dogs: Results[Dog]) -> None:
    for wrong in (-1, True, 1.5):
        with pytest.raises(QueryError, match=r"give a number that is not negative"):
            dogs.limit(wrong)  # type: ignore[arg-type]
    with pytest.raises(IllegalOperationError, match=r"filter before limit\(\)"):
        dogs.limit(3).where(Dog.age > 3)


def test_constants_become_stored_values(dogs: Results[Dog]) -> None:
    def constant(condition: Any) -> Any:
        return dogs.where(condition)._resolve().predicate.right.value  # type: ignore[union-attr]

    assert constant(Dog.born == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == Timestamp(1, 0)
    assert type(constant(Dog.age == 5.0)) is int
    assert type(constant(Dog.age == 5.5)) is float
    assert str(constant(Dog.price == 0.1)) == "0.1"
    assert constant(Dog.extra == bytearray(b"x")) == b"x"


def test_constants_go_to_the_right(dogs: Results[Dog]) -> None:
    node = dogs.where(3 < Dog.age)._resolve().predicate  # noqa: SIM300
    assert isinstance(node, Compare)
    assert (str(node.left), node.operator, node.right) == ("age", Operator.GT, Constant(3))


def test_a_collection_goes_to_the_left(dogs: Results[Dog]) -> None:
    node = dogs.where(Dog.age < Dog.friends.any.age)._resolve().predicate
    assert isinstance(node, Compare)
    assert (str(node.left), node.operator, str(node.right)) == ("ANY friends.age", Operator.GT, "age")
    node = dogs.where(Dog.name.contains(Dog.tags))._resolve().predicate
    assert isinstance(node, Compare)
    assert (str(node.left), str(node.right)) == ("name", "tags")


def test_limit_stays_in_the_query(dogs: Results[Dog]) -> None:
    assert dogs.limit(3)._resolve().stages == (Limit(3),)
