"""Backlinks: the objects that link to an object (spec/sdk.md §1.13)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Backlinks,
    Dictionary,
    Field,
    InvalidatedObjectError,
    InvalidPropertyError,
    List,
    Model,
    NoSuchTableError,
    ObjectSchema,
    Property,
    QueryError,
    ReadOnlyPropertyError,
    Realm,
    Results,
    SchemaValidationError,
    Set,
)


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    best: Dog | None
    owners: Backlinks[Person] = Backlinks.of("dogs")
    admirers: Backlinks[Person] = Backlinks.of("favourite")


class Person(Model):
    class Meta:
        name = "people"

    name: str = Field(primary_key=True, name="_id")
    age: int = 30
    dogs: List[Dog] = Field(name="hounds")
    favourite: Dog | None
    loved: Set[Dog]
    by_name: Dictionary[Dog | None]
    extra: Any
    extras: List[Any]


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    realm = open_realm(Dog, Person)
    realm.begin_write()
    return realm


def names(objects: Any) -> list[str]:
    return [each.name for each in objects]


def test_they_follow_the_links(realm: Realm) -> None:
    rex, bo = realm.create(Dog, name="Rex"), realm.create(Dog, name="Bo")
    ann = realm.create(Person, name="Ann", dogs=[rex, bo, rex])
    owners = rex.owners
    assert isinstance(owners, Backlinks)
    assert isinstance(owners, Results)
    assert names(owners) == ["Ann", "Ann"]
    assert len(owners) == 2
    assert owners[0] == ann
    assert owners.first() == ann
    bob = realm.create(Person, name="Bob", dogs=[rex], favourite=rex)
    assert names(owners) == ["Ann", "Ann", "Bob"]
    assert names(bo.owners) == ["Ann"]
    assert names(rex.admirers) == ["Bob"]
    del ann.dogs[0]
    bob.favourite = None
    assert names(owners) == ["Ann", "Bob"]
    assert list(rex.admirers) == []
    realm.delete(bob)
    assert names(owners) == ["Ann"]


def test_they_are_results(realm: Realm) -> None:
    rex = realm.create(Dog, name="Rex")
    for name, age in (("Ann", 40), ("Bob", 20), ("Cid", 60)):
        realm.create(Person, name=name, age=age, dogs=[rex])
    assert names(rex.owners.where(Person.age > 30)) == ["Ann", "Cid"]
    assert names(rex.owners.filter("age > 30 SORT(age DESC)")) == ["Cid", "Ann"]
    assert names(rex.owners.sort("age").limit(2)) == ["Bob", "Ann"]
    assert len(rex.owners.where(Person.age > 30)) == 2
    assert rex.owners.update(age=1) == 3
    assert {person.age for person in realm.objects(Person)} == {1}


def test_they_are_asked_for_in_queries(realm: Realm) -> None:
    rex, bo = realm.create(Dog, name="Rex"), realm.create(Dog, name="Bo")
    rex.best = bo
    realm.create(Person, name="Ann", age=70, dogs=[rex])
    dogs = realm.objects(Dog)
    assert names(dogs.where(Dog.owners.any.age > 60)) == ["Rex"]
    assert names(dogs.where(Dog.owners.count() == 0)) == ["Bo"]
    assert names(dogs.filter("owners.age > 60")) == ["Rex"]
    assert names(dogs.filter("owners.@count == 0")) == ["Bo"]
    assert names(dogs.filter("ANY owners.dogs.name == 'Rex'")) == ["Rex"]
    assert names(realm.objects(Person).where(Person.dogs.owners.any.name == "Ann")) == ["Ann"]


def test_every_kind_of_link_counts(realm: Realm) -> None:
    rex = realm.create(Dog, name="Rex")
    ann = realm.create(Person, name="Ann", loved=[rex], by_name={"a": rex, "b": rex, "c": None})
    ann.extra = {"deep": [rex, 1, rex], "flat": rex}
    ann.extras = [rex, 5]
    bob = realm.create(Person, name="Bob", extra=rex)
    for source in (Person, "Person"):
        assert names(rex.linking_objects(source, "loved")) == ["Ann"]
        assert names(rex.linking_objects(source, "by_name")) == ["Ann", "Ann"]
        assert names(rex.linking_objects(source, "extra")) == ["Ann", "Ann", "Ann", "Bob"]
        assert names(rex.linking_objects(source, "extras")) == ["Ann"]
        assert names(rex.linking_objects(source, "hounds")) == []
    assert names(rex.linking_objects(Person, "extra").filter("name == 'Ann'")) == ["Ann"] * 3
    assert rex.linking_objects_count() == 1 + 2 + 4 + 1
    assert bob.linking_objects_count() == 0


def test_what_cannot_be(realm: Realm) -> None:
    rex = realm.create(Dog, name="Rex")
    for action in (
        lambda: setattr(rex, "owners", []),
        lambda: realm.create(Dog, name="Bo", owners=[]),
        lambda: Dog(name="Bo", owners=[]),
        lambda: delattr(rex, "owners"),
    ):
        with pytest.raises(ReadOnlyPropertyError, match=r"Dog.owners: backlinks follow from the links; change 'dogs'"):
            action()
    with pytest.raises(InvalidPropertyError, match=r"Person has no property 'dog': did you mean 'dogs'?"):
        rex.linking_objects(Person, "dog")
    with pytest.raises(QueryError, match=r"Person.age does not link to Dog"):
        rex.linking_objects(Person, "age")
    with pytest.raises(NoSuchTableError):
        rex.linking_objects("Cat", "dogs")
    with pytest.raises(InvalidatedObjectError, match=r"is in no Realm; add it to one first"):
        Dog(name="Bo").linking_objects(Person, "dogs")
    assert list(Dog(name="Bo").owners) == []


def test_they_end_with_the_object(realm: Realm) -> None:
    rex = realm.create(Dog, name="Rex")
    owners = rex.owners
    realm.delete(rex)
    with pytest.raises(InvalidatedObjectError, match=r"the object that these Person link to was deleted"):
        len(owners)
    with pytest.raises(InvalidatedObjectError):
        _ = rex.owners


def test_they_are_observed(realm: Realm) -> None:
    rex = realm.create(Dog, name="Rex")
    realm.commit_write()
    seen: list[Any] = []
    token = rex.owners.observe(lambda owners, change: seen.append((len(owners), list(change.insertions))))
    realm.refresh()
    with realm.write():
        realm.create(Person, name="Ann", dogs=[rex])
    realm.refresh()
    assert seen[-1] == (1, [0])
    token.invalidate()
    realm.begin_write()


def test_they_stand_in_key_paths(realm: Realm) -> None:
    rex = realm.create(Dog, name="Rex")
    ann = realm.create(Person, name="Ann", dogs=[rex])
    realm.commit_write()
    seen: list[Any] = []
    token = realm.objects(Dog).observe(lambda _, change: seen.append(change.modifications), key_paths=["owners.age"])
    with realm.write():
        rex.age = 9
    with realm.write():
        ann.age = 41
    realm.refresh()
    assert seen[-1] == (0,)
    with pytest.raises(InvalidPropertyError):
        realm.objects(Dog).observe(print, key_paths=["owners.agee"])
    token.invalidate()
    realm.begin_write()


def test_schemas_by_hand(open_realm: OpenRealm) -> None:
    dog = ObjectSchema("Dog", [Property("name", "string"), Property.backlinks("owners", "Person", "dogs")])
    person = ObjectSchema("Person", [Property("dogs", "Dog[]")])
    realm = open_realm(dog, person)
    with realm.write():
        rex = realm.create("Dog", name="Rex")
        realm.create("Person", dogs=[rex])
    assert len(rex.owners) == 1
    assert len(rex["owners"]) == 1
    assert str(dog.computed[0].type) == "linkingObjects"


@pytest.mark.parametrize(
    ("target", "origin", "problem"),
    [
        ("Cat", "dogs", r"Dog.owners: backlinks come from Cat, which is not in the schema"),
        ("Person", "cats", r"Dog.owners: Person has no property 'cats' that is stored"),
        ("Person", "name", r"Dog.owners: Person.name does not link to Dog"),
        ("Person", "friend", r"Dog.owners: Person.friend does not link to Dog"),
        ("Person", "", r"Dog.owners: backlinks need the name of the property that links here"),
        ("", "dogs", r"Dog.owners: backlinks need the class that links here"),
    ],
)
def test_impossible_backlinks(open_realm: OpenRealm, target: str, origin: str, problem: str) -> None:
    dog = ObjectSchema("Dog", [Property("name", "string"), Property.backlinks("owners", target, origin)])
    person = ObjectSchema(
        "Person", [Property("dogs", "Dog[]"), Property("name", "string"), Property("friend", "Person")]
    )
    with pytest.raises(SchemaValidationError, match=problem):
        open_realm(dog, person)


def test_impossible_declarations() -> None:
    with pytest.raises(SchemaValidationError) as caught:

        class Wrong(Model):
            owners: Backlinks[Person]
            others: Backlinks[int] = Backlinks.of("dogs")

    assert len(caught.value.errors) == 2
