"""Unmanaged objects, and what all objects share (spec/sdk.md §6.5, §12.1)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Field,
    IllegalOperationError,
    InvalidatedObjectError,
    InvalidPropertyError,
    List,
    Model,
    Set,
    TypeMismatchError,
)


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int | None = None
    tricks: List[str]
    tags: Set[str]
    toys: dict[str, int]
    code: int = Field(default_factory=iter(range(100)).__next__)
    best: Dog | None
    friends: List[Dog]
    extra: Any

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self._barks = 0

    @property
    def shout(self) -> str:
        return self.name.upper()

    @shout.setter
    def shout(self, value: str) -> None:
        self.name = value.lower()


def test_values_and_defaults() -> None:
    dog = Dog(name="Rex", tricks=["sit"], best=Dog(name="Bo"))
    assert (dog.name, dog.age, dog.tricks) == ("Rex", None, ["sit"])
    assert dog.code == dog.code
    assert Dog(name="Bo").code != dog.code
    assert dog.best is not None
    assert dog.best.name == "Bo"
    assert dog._barks == 0


def test_unmanaged_collections_are_pythons_own() -> None:
    dog = Dog(name="Rex", tags=["a", "a"])
    dog.tricks.append("roll")
    dog.toys["ball"] = 1
    assert dog.tricks == ["roll"]
    assert dog.tags == {"a"}
    assert type(dog.tricks) is list
    assert type(dog.toys) is dict
    dog.tricks = None  # type: ignore[assignment]
    assert dog.tricks == []


def test_python_properties_and_methods_are_ordinary() -> None:
    dog = Dog(name="Rex")
    assert dog.shout == "REX"
    dog.shout = "BO"
    assert dog.name == "bo"


def test_wrong_values_are_refused_at_once() -> None:
    with pytest.raises(TypeMismatchError, match=r"Dog.age: expected int, got str 'five'"):
        Dog(name="Rex", age="five")
    with pytest.raises(TypeMismatchError, match=r"Dog.name: cannot be None; declare it as 'str \| None' if it may be"):
        Dog(name=None)
    with pytest.raises(TypeMismatchError, match=r"Dog.tricks: expected str, got int 1"):
        Dog(name="Rex", tricks=[1])
    with pytest.raises(TypeMismatchError, match=r"Dog.tricks: its elements cannot be None"):
        Dog(name="Rex", tricks=[None])
    with pytest.raises(TypeMismatchError, match=r"Dog.best: expected Dog or None, got int 5"):
        Dog(name="Rex", best=5)
    with pytest.raises(IllegalOperationError, match=r"Dog.extra: a Mixed value cannot be a set; give a list"):
        Dog(name="Rex", extra={1})


def test_what_is_no_collection_is_refused_in_memory_too() -> None:
    for name, value in (("tricks", "abc"), ("tags", b"abc"), ("tricks", 5), ("toys", "abc"), ("toys", [("a", 1)])):
        with pytest.raises(TypeMismatchError, match=rf"Dog.{name}: expected a (collection|dictionary), got"):
            Dog(name="Rex", **{name: value})
    assert Dog(name="Rex", toys=()).toys == {}
    assert Dog(name="Rex", tricks=(str(n) for n in range(2))).tricks == ["0", "1"]


def test_unknown_properties_have_a_guess() -> None:
    with pytest.raises(InvalidPropertyError, match=r"Dog has no property 'agee': did you mean 'age'?"):
        Dog(name="Rex", agee=3)
    dog = Dog(name="Rex")
    with pytest.raises(InvalidPropertyError, match=r"Dog has no property 'nam': did you mean 'name'?"):
        _ = dog.nam
    with pytest.raises(InvalidPropertyError, match=r"Dog has no property 'zzz': it has name, age"):
        dog.zzz = 1
    assert not hasattr(dog, "zzz")
    with pytest.raises(AttributeError, match=r"a property cannot be deleted"):
        del dog.age


def test_identity_of_unmanaged_objects() -> None:
    first, second = Dog(name="Rex"), Dog(name="Rex")
    assert first != second
    assert first == first
    assert first != "Rex"
    assert len({first, second}) == 2
    assert first.same_object(first)
    assert not first.same_object(second)
    with pytest.raises(TypeMismatchError, match="expected an object, got str"):
        first.same_object("Rex")  # type: ignore[arg-type]
    assert first.is_valid
    assert not first.is_managed
    assert first.realm is None


def test_identity_of_live_objects(open_realm: OpenRealm) -> None:
    one, two = open_realm(Dog), open_realm(Dog)
    with one.write():
        rex = one.create(Dog, name="Rex")
        bo = one.create(Dog, name="Bo")
    two.refresh()
    other = two.get(Dog, "Rex")
    assert other is not None
    assert one.get(Dog, "Rex") is rex
    assert other is not rex
    assert other == rex
    assert hash(other) == hash(rex)
    assert rex != bo
    assert rex.same_object(other)
    assert not rex.same_object(bo)
    assert rex != Dog(name="Rex")
    assert rex.realm is one
    assert rex.is_managed
    number = hash(rex)
    with one.write():
        one.delete(rex)
    assert hash(rex) == number
    assert not rex.is_valid


def test_identity_of_frozen_objects(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        rex = realm.create(Dog, name="Rex", tags=["a"])
    first = realm.freeze()
    with realm.write():
        rex.age = 1
    second = realm.freeze()
    one, again, two = first.get(Dog, "Rex"), rex.freeze(), second.get(Dog, "Rex")
    assert one is not None
    assert two is not None
    assert (one == first.get(Dog, "Rex"), two == again, one == two, one == rex, rex == two) == (
        True, True, False, False, False,
    )  # fmt: skip
    assert len({hash(one), hash(two), hash(rex), hash(again)}) == 1
    assert one.same_object(two)
    assert two.same_object(rex)
    assert len({one, two, rex, again}) == 3
    numbers = [hash(each) for each in (one, two, rex)]
    with realm.write():
        realm.delete(rex)
        new = realm.create(Dog, name="Rex")
    assert ([hash(each) for each in (one, two, rex)], rex == new, rex.same_object(new)) == (numbers, False, False)
    assert (one.is_valid, one.age, rex.is_valid, hash(new) == hash(rex)) == (True, None, False, False)
    tags = one.tags
    first.close()
    realm.close()
    assert [hash(each) for each in (one, two, rex)] == numbers
    assert (repr(one), repr(tags), one == rex) == ("<Dog (closed)>", "<Set (closed)>", False)


def test_an_object_is_the_same_python_object_while_somebody_holds_it(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        rex = realm.create(Dog, name="Rex", friends=[{"name": "Bo"}])
        rex.best, rex.extra = rex, rex
        rex.friends.append(rex)
    ways = [realm.get(Dog, "Rex"), realm.objects(Dog)[0], rex.best, rex.extra, rex.friends[1], list(rex.friends)[1]]
    assert all(each is rex for each in ways)
    assert rex.friends is rex.friends
    number = id(rex)
    realm.refresh()
    del rex, ways
    found = realm.get(Dog, "Rex")
    assert (found is not None, found is realm.objects(Dog).first(), number > 0) == (True, True, True)


def test_repr_never_fails(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        rex = realm.create(Dog, name="R" * 80, age=3, code=1, tricks=["sit"])
        rex.best = rex
    assert repr(rex) == (
        f"<Dog name='{'R' * 56}…' age=3 tricks=[1 items] tags=[0 items] toys=[0 items] code=1 "
        f"best=<Dog '{'R' * 80}'> friends=[0 items] extra=None>"
    )
    with realm.write():
        realm.delete(rex)
    assert repr(rex) == "<Dog (deleted)>"
    with realm.write():
        bo = realm.create(Dog, name="Bo")
    realm.close()
    assert repr(bo) == "<Dog (closed)>"
    assert "name='Bo'" in repr(Dog(name="Bo", code=1))


def test_mixins_that_are_no_models() -> None:
    class Loud:
        def shout(self) -> str:
            return str(self.name).upper()  # type: ignore[attr-defined]

    class Cat(Loud, Model):
        name: str

    assert Cat(name="Tom").shout() == "TOM"


def test_unmanaged_objects_cannot_be_observed() -> None:
    with pytest.raises(InvalidatedObjectError, match=r"is in no Realm; add it to one before you observe it"):
        Dog(name="Rex").observe(lambda dog, change: None)
