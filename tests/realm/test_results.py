"""Results: lazy, live, in pages (spec/sdk.md §8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Dictionary,
    Field,
    InvalidatedObjectError,
    InvalidPropertyError,
    List,
    Model,
    ModifyPrimaryKeyError,
    ObjectTypeMismatchError,
    QueryError,
    Realm,
    StaleAccessorError,
    TypeMismatchError,
)


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int | None = None
    breed: str = Field("mutt", name="kind", index=True)
    best: Dog | None
    friends: List[Dog]


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    opened = open_realm(Dog)
    with opened.write():
        for name, age in (("Rex", 3), ("Ada", None), ("Bo", 5), ("Cy", 3), ("Kim", 9)):
            opened.create(Dog, name=name, age=age)
        rex, bo = opened.get(Dog, "Rex"), opened.get(Dog, "Bo")
        assert rex is not None
        assert bo is not None
        rex.best = bo
        rex.friends.extend([bo, rex])
        bo.breed = "Beagle"
    return opened


def names(dogs: object) -> list[str]:
    return [dog.name for dog in dogs]  # type: ignore[attr-defined]


def test_a_sequence_of_objects(realm: Realm) -> None:
    dogs = realm.objects(Dog)
    assert names(dogs) == ["Rex", "Ada", "Bo", "Cy", "Kim"]
    assert (len(dogs), bool(dogs), dogs[0].name, dogs[-1].name) == (5, True, "Rex", "Kim")
    assert names(dogs[1:3]) == ["Ada", "Bo"]
    assert names(dogs[::-2]) == ["Kim", "Bo", "Rex"]
    assert names(reversed(dogs)) == ["Kim", "Cy", "Bo", "Ada", "Rex"]
    rex, kim = dogs.first(), dogs.last()
    assert (rex, kim) == (dogs[0], dogs[4])
    assert rex in dogs
    assert "Rex" not in dogs
    assert dogs.index(kim) == 4
    assert (dogs.count(), dogs.count(rex), dogs.count("x")) == (5, 1, 0)
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"index {index} is out of range: there are 5 Dog objects"):
            dogs[index]
    with pytest.raises(ValueError, match=r"is not in these results"):
        dogs.where(Dog.age > 5).index(rex)
    with pytest.raises(ValueError, match=r"is not in these results"):
        dogs.index(rex, 1)


def test_nothing_found(realm: Realm) -> None:
    none = realm.objects(Dog).where(Dog.age > 100)
    assert (len(none), bool(none), none.first(), none.last(), none[:]) == (0, False, None, None, [])


def test_where_narrows_down(realm: Realm) -> None:
    dogs = realm.objects(Dog)
    assert names(dogs.where(Dog.age > 3)) == ["Bo", "Kim"]
    assert names(dogs.where(Dog.age > 3, Dog.name.startswith("K"))) == ["Kim"]
    assert names(dogs.where(Dog.age > 3).where(Dog.name == "Bo")) == ["Bo"]
    assert names(dogs.where((Dog.age == None) | (Dog.name == "Cy"))) == ["Ada", "Cy"]  # noqa: E711
    assert names(dogs.where(~(Dog.age > 3))) == ["Rex", "Ada", "Cy"]
    assert names(dogs.where(Dog.breed == "Beagle")) == ["Bo"]
    assert names(dogs.where(Dog.best.breed == "Beagle")) == ["Rex"]
    assert names(dogs.where(Dog.best == dogs[2])) == ["Rex"]
    assert names(dogs.where(Dog.friends.any == dogs[2])) == ["Rex"]
    assert names(dogs.where(Dog.friends.count() == 2)) == ["Rex"]
    assert names(dogs.where(Dog.best.in_([dogs[2], None]))) == names(dogs)
    assert names(dogs.where()) == names(dogs)


def test_many_values(realm: Realm) -> None:
    dogs = realm.objects(Dog)
    assert names(dogs.where(Dog.age.in_(range(4, 200_000)))) == ["Bo", "Kim"]
    many = [f"dog {number}" for number in range(40_000)]
    assert names(dogs.where(Dog.name.in_([*many, "Cy"]))) == ["Cy"]
    assert names(dogs.where(Dog.name.in_(["CY", "kim"], ci=True))) == ["Cy", "Kim"]
    condition = Dog.name == "Rex"
    for number in range(2_000):
        condition = condition | (Dog.name == str(number))
    assert names(dogs.where(condition)) == ["Rex"]


def test_sort_distinct_limit(realm: Realm) -> None:
    dogs = realm.objects(Dog)
    assert names(dogs.sort("age")) == ["Ada", "Rex", "Cy", "Bo", "Kim"]
    assert names(dogs.sort(Dog.age.desc(), "name")) == ["Kim", "Bo", "Cy", "Rex", "Ada"]
    assert names(dogs.sort(Dog.name, descending=True)) == ["Rex", "Kim", "Cy", "Bo", "Ada"]
    assert names(dogs.sort("name").sort("age")) == ["Ada", "Cy", "Rex", "Bo", "Kim"]
    assert names(dogs.sort("best.name")) == ["Rex", "Ada", "Bo", "Cy", "Kim"]
    assert names(dogs.sort("breed", "name")) == ["Bo", "Ada", "Cy", "Kim", "Rex"]
    assert names(dogs.distinct("age")) == ["Rex", "Ada", "Bo", "Kim"]
    assert names(dogs.sort("name").limit(2)) == ["Ada", "Bo"]
    assert names(dogs.limit(3).sort("name")) == ["Ada", "Bo", "Rex"]
    assert dogs.sort("name").limit(2).count() == 2
    assert dogs.sort("name").first().name == "Ada"  # type: ignore[union-attr]
    with pytest.raises(TypeMismatchError, match=r"expected a property such as Dog.age or 'age', got int 5"):
        dogs.sort(5)  # type: ignore[arg-type]
    with pytest.raises(QueryError, match=r"at least one property"):
        dogs.distinct()


def test_results_are_lazy_and_live(realm: Realm) -> None:
    old = realm.objects(Dog).where(Dog.age >= 5)
    assert len(old) == 2
    with realm.write():
        realm.create(Dog, name="Zoe", age=7)
        assert names(old) == ["Bo", "Kim", "Zoe"]
        realm.get(Dog, "Bo").age = 1  # type: ignore[union-attr]
        assert names(old) == ["Kim", "Zoe"]
    assert names(old) == ["Kim", "Zoe"]


def test_iteration_keeps_to_what_was_there(realm: Realm) -> None:
    seen = []
    with realm.write():
        for dog in realm.objects(Dog):
            seen.append(dog.name)
            realm.create(Dog, name=dog.name + "!")
            if dog.name == "Rex":
                realm.delete(realm.get(Dog, "Bo"))  # type: ignore[arg-type]
    assert seen == ["Rex", "Ada", "Cy", "Kim"]


def test_pages(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        for number in range(1_000):
            realm.create(Dog, name=f"{number:04}", age=number)
    dogs = realm.objects(Dog)
    reads = count_reads(realm)
    assert [dog.age for dog in dogs] == list(range(1_000))
    assert reads() <= 5
    assert [dogs[index].age for index in range(len(dogs))] == list(range(1_000))
    assert reads() <= 7  # and the keys
    assert [dog.age for dog in dogs[500:]] == list(range(500, 1_000))
    assert reads() <= 2
    keep = dogs[:]
    reads()
    assert sum(dog.age for dog in keep for _ in range(3)) == 3 * sum(range(1_000))  # type: ignore[misc]
    assert reads() == 0


def count_reads(realm: Realm) -> Callable[[], int]:
    """Count what SQLite is asked; each call gives the number since the last."""
    counted = [0]

    def seen(cursor: object, sql: str, bindings: object) -> bool:
        counted[0] += 1
        return True

    realm._context.reader().connection.exec_trace = seen

    def since() -> int:
        number, counted[0] = counted[0], 0
        return number

    return since


def test_update_and_delete(realm: Realm) -> None:
    rex = realm.get(Dog, "Rex")
    assert rex is not None
    with realm.write():
        assert realm.objects(Dog).where(Dog.age == 3).update(age=4, kind="old") == 2
        assert (rex.age, rex.breed) == (4, "old")
        with pytest.raises(InvalidPropertyError, match=r"Dog has no property 'agee': did you mean 'age'?"):
            realm.objects(Dog).update(agee=1)
        with pytest.raises(ModifyPrimaryKeyError, match=r"Dog.name: a primary key cannot be changed"):
            realm.objects(Dog).update(name="x")
        with pytest.raises(TypeMismatchError, match=r"Dog.age: expected int, got str 'x'"):
            realm.objects(Dog).update(age="x")
        assert realm.objects(Dog).sort("name").limit(2).delete_all() == 2
        assert names(realm.objects(Dog)) == ["Rex", "Cy", "Kim"]


def test_repr_and_description(realm: Realm) -> None:
    dogs = realm.objects(Dog).where(Dog.age > 3).sort(Dog.age.desc()).limit(5)
    assert dogs.description == "age > 3 SORT(age DESC) LIMIT(5)"
    assert repr(dogs) == "<Results of Dog where age > 3 SORT(age DESC) LIMIT(5)>"
    assert len(dogs[:]) == 2
    assert repr(dogs) == "<Results of Dog where age > 3 SORT(age DESC) LIMIT(5) (2 objects)>"
    realm.close()
    assert repr(dogs) == "<Results of Dog (closed)>"


def test_repr_of_all(realm: Realm) -> None:
    assert repr(realm.objects(Dog)) == "<Results of Dog>"
    assert repr(realm.objects(Dog).sort("age")) == "<Results of Dog SORT(age ASC)>"
    both = realm.objects(Dog).filter("TRUEPREDICATE").where(Dog.age > 3)
    assert repr(both) == f"<Results of Dog where {both.description}>"


def test_results_are_hashable_by_identity(realm: Realm) -> None:
    dogs = realm.objects(Dog)
    assert len({dogs, realm.objects(Dog)}) == 2
    assert dogs != realm.objects(Dog)


class Cat(Model):
    name: str
    scores: Dictionary[int | None]


def test_sort_and_distinct_by_a_key_of_a_dictionary(open_realm: OpenRealm) -> None:
    realm = open_realm(Cat)
    with realm.write():
        for name, scores in (("a", {"k": 2}), ("b", {}), ("c", {"k": 1, "x y": 5}), ("d", {"k": 2})):
            realm.create(Cat, name=name, scores=scores)
    cats = realm.objects(Cat)
    for key in ("scores['k']", 'scores["k"]', Cat.scores["k"]):
        assert names(cats.sort(key)) == ["b", "c", "a", "d"]
        assert names(cats.sort(key, descending=True)) == ["a", "d", "c", "b"]
        assert names(cats.distinct(key)) == ["a", "b", "c"]
    assert names(cats.sort("scores['x y']", "name", descending=True)) == ["c", "d", "b", "a"]
    assert cats.sort("scores['x y']").description == 'TRUEPREDICATE SORT(scores["x y"] ASC)'
    for wrong in ("scores[k]", "scores['k'", "scores['k']) SORT(name ASC", "scores['k'], name", "[", "scores[$0]"):
        with pytest.raises(QueryError):
            cats.sort(wrong)


def test_results_that_have_nothing_to_look_at_any_more(realm: Realm) -> None:
    dogs, rex = realm.objects(Dog), realm.get(Dog, "Rex")
    assert rex is not None
    friends, linking = rex.friends.where(Dog.age > 1), rex.linking_objects(Dog, "best")
    assert (dogs.is_valid, friends.is_valid, linking.is_valid) == (True, True, True)
    with realm.write():
        realm.delete(rex)
    assert (dogs.is_valid, friends.is_valid, linking.is_valid) == (True, False, False)
    for stale in (friends, linking):
        for use in (len, list, bool, lambda results: results[0], lambda results: results.first()):
            with pytest.raises(StaleAccessorError, match="was deleted"):
                use(stale)
    realm.close()
    assert not dogs.is_valid


def test_the_place_of_what_cannot_be_there(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog, Cat)
    with realm.write():
        rex, bo = realm.create(Dog, name="Rex"), realm.create(Dog, name="Bo")
        cat = realm.create(Cat, name="Tom")
        realm.delete(bo)
    dogs = realm.objects(Dog)
    assert dogs.index(rex) == 0
    with pytest.raises(ObjectTypeMismatchError, match=r"index: expected Dog, got Cat"):
        dogs.index(cat)
    with pytest.raises(InvalidatedObjectError, match="this Dog was deleted"):
        dogs.index(bo)
    for other in (Dog(name="Rex"), "Rex", None):
        with pytest.raises(ValueError, match="is not in these results"):
            dogs.index(other)
        assert other not in dogs
    assert cat not in dogs
    assert bo not in dogs


WRONG: dict[str, tuple[Callable[[Realm, Any], object], str]] = {
    "objects": (lambda realm, wrong: realm.objects(wrong), "expected a model class or the name of one, got"),
    "get": (lambda realm, wrong: realm.get(wrong, 1), "expected a model class or the name of one, got"),
    "filter": (lambda realm, wrong: realm.objects(Dog).filter(wrong), "a query is a string such as 'age > 3', not"),
    "sort": (lambda realm, wrong: realm.objects(Dog).sort(wrong), "expected a property such as Dog.age or 'age', got"),
    "distinct": (lambda realm, wrong: realm.objects(Dog).distinct(wrong), "expected a property such as Dog.age or"),
    "min": (lambda realm, wrong: realm.objects(Dog).min(wrong), "expected a property such as Dog.age or 'age', got"),
    "values": (lambda realm, wrong: realm.objects(Dog).values(wrong), "expected a property such as Dog.age or 'age'"),
    "sectioned": (lambda realm, wrong: realm.objects(Dog).sectioned(wrong), "expected the name of a property or a"),
    "an index": (lambda realm, wrong: realm.objects(Dog)[wrong], "Results of Dog: an index is an int, got"),
    "of a snapshot": (
        lambda realm, wrong: realm.objects(Dog).snapshot()[wrong],
        "the snapshot: an index is an int, got",
    ),
}


@pytest.mark.parametrize("wrong", [None, 1.5, ["name"], Dog.age > 3])
@pytest.mark.parametrize(("use", "message"), WRONG.values(), ids=WRONG)
def test_what_is_of_another_type_is_refused(
    realm: Realm, use: Callable[[Realm, Any], object], message: str, wrong: Any
) -> None:
    with pytest.raises(TypeMismatchError, match=message):
        use(realm, wrong)


def test_a_place_is_asked_for_by_a_condition(realm: Realm) -> None:
    dogs = realm.objects(Dog)
    for wrong in (5, None, Dog.age):
        with pytest.raises(QueryError, match=r"index_of\(\) takes conditions such as Dog.age > 3, got"):
            dogs.index_of(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeMismatchError, match="Results of Dog: an index is an int, got str 'name'"):
        dogs["name"]  # type: ignore[call-overload]
    with pytest.raises(TypeMismatchError, match=r"where\(\) takes conditions"):
        dogs.filter(Dog.age > 3)  # type: ignore[arg-type]
