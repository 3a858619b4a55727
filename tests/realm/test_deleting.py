"""Deleting objects and what it does to links (spec/sdk.md §1.8.2, §6.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Dictionary,
    EmbeddedModel,
    Field,
    IllegalOperationError,
    InvalidatedObjectError,
    List,
    Model,
    Realm,
    RealmConfiguration,
    Set,
    TypeMismatchError,
)


class Tag(EmbeddedModel):
    text: str


class Dog(Model):
    name: str
    best: Dog | None
    friends: List[Dog]
    pack: Set[Dog]
    by_name: Dictionary[Dog]
    tag: Tag | None


class Cat(Model):
    name: str


@pytest.fixture
def realm(open_realm: OpenRealm) -> Iterator[Realm]:
    opened = open_realm(Dog, Cat, Tag)
    opened.begin_write()
    yield opened
    opened.cancel_write()


def test_links_to_a_deleted_object_are_cleaned(realm: Realm) -> None:
    rex = realm.create(Dog, name="Rex")
    bo = realm.create(Dog, name="Bo", best=rex, friends=[rex, rex], pack={rex}, by_name={"rex": rex})
    bo.friends.append(bo)
    assert bo.best is rex
    realm.delete(rex)
    assert bo.best is None
    assert bo.friends == [bo]
    assert len(bo.pack) == 0
    assert dict(bo.by_name) == {"rex": None}


class Place(Model):
    """Every place from which a link can lead to a Target."""

    single: Target | None
    listed: List[Target]
    members: Set[Target]
    named: Dictionary[Target | None]
    any: Any
    anys: List[Any]
    any_members: Set[Any]
    any_named: Dictionary[Any]
    nested: Any


class Target(Model):
    id: int = Field(primary_key=True)


WAYS: dict[str, Callable[[Realm, Target, Place], object]] = {
    "itself": lambda realm, target, place: realm.delete(target),
    "with others": lambda realm, target, place: realm.delete([realm.get(Target, 3), target]),
    "results": lambda realm, target, place: realm.objects(Target).where(Target.id == 1).delete_all(),
    "results of several": lambda realm, target, place: realm.delete(realm.objects(Target).filter("id != 2")),
    "through a list": lambda realm, target, place: place.listed.delete_at(0),
    "through a dictionary": lambda realm, target, place: place.named.delete_all(),
    "while iterating": lambda realm, target, place: [realm.delete(t) for t in realm.objects(Target) if t.id != 2],
}


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_whatever_leads_to_a_deleted_object(open_realm: OpenRealm, way: str, committed: bool) -> None:
    realm = open_realm(Place, Target)
    realm.begin_write()
    gone, stays, _third = (realm.create(Target, id=number) for number in (1, 2, 3))
    place = realm.create(
        Place,
        single=gone,
        listed=[gone, stays, gone, gone],
        members={gone, stays},
        named={"gone": gone},
        any=gone,
        anys=[gone, stays, 1, gone],
        any_members=[gone, stays, 1],
        any_named={"gone": gone, "stays": stays},
        nested=[gone, stays, {"gone": gone, "stays": stays, "deeper": [1, gone, [gone]]}, gone],
    )
    if committed:
        realm.commit_write()
        realm.begin_write()
    WAYS[way](realm, gone, place)
    for _ in range(2):
        assert (place.single, list(place.listed), set(place.members), dict(place.named)) == (
            None, [stays], {stays}, {"gone": None},
        )  # fmt: skip
        assert (place.any, list(place.anys), list(place.any_members)) == (None, [stays, 1], [1, stays])
        assert dict(place.any_named) == {"gone": None, "stays": stays}
        first, mapping = place.nested
        assert (first, mapping["gone"], mapping["stays"]) == (stays, None, stays)
        assert [mapping["deeper"][0], list(mapping["deeper"][1])] == [1, []]
        assert (gone.is_valid, stays.is_valid, stays.linking_objects_count()) == (False, True, 7)
        if realm.in_write:
            realm.commit_write()


def test_what_can_be_deleted(realm: Realm) -> None:
    dogs = [realm.create(Dog, name=str(number)) for number in range(10)]
    dogs[0].friends = dogs[8:]  # type: ignore[assignment]
    realm.delete(dogs[1])
    realm.delete([dogs[2], dogs[3], dogs[2]])
    realm.delete(realm.objects(Dog).where(Dog.name == "4"))
    realm.delete(dogs[0].friends)
    realm.delete(dog for dog in realm.objects(Dog) if dog.name == "5")
    assert [dog.name for dog in realm.objects(Dog)] == ["0", "6", "7"]
    assert len(dogs[0].friends) == 0
    assert realm.objects(Dog).where(Dog.name != "0").delete_all() == 2
    assert realm.objects(Dog)[:] == [dogs[0]]


def test_what_cannot_be_deleted(realm: Realm) -> None:
    rex = realm.create(Dog, name="Rex")
    bo = realm.create(Dog, name="Bo")
    realm.delete(rex)
    with pytest.raises(InvalidatedObjectError, match=r"this Dog was deleted"):
        realm.delete([bo, rex])
    assert bo.is_valid
    with pytest.raises(IllegalOperationError, match=r"does not belong to this Realm"):
        realm.delete(Dog(name="x"))
    for nothing in (None, 5):
        with pytest.raises(TypeMismatchError, match=r"delete: expected an object or a collection of them, got"):
            realm.delete(nothing)  # type: ignore[arg-type]
    with pytest.raises(TypeMismatchError, match=r"delete: expected objects of a Realm, got str 'x'"):
        realm.delete(["x"])  # type: ignore[list-item]
    with Realm.open(RealmConfiguration(in_memory=True, schema=[Cat])) as other, other.write():
        stranger = other.create(Cat, name="x")
        with pytest.raises(IllegalOperationError, match=r"does not belong to this Realm"):
            realm.delete(stranger)


def test_delete_all(realm: Realm) -> None:
    rex = realm.create(Dog, name="Rex", tag={"text": "x"})
    tag = rex.tag
    tom = realm.create(Cat, name="Tom")
    realm.delete_all(Dog)
    assert not rex.is_valid
    assert tag is not None
    assert not tag.is_valid
    assert tom.is_valid
    realm.delete_all("Cat")
    realm.create(Dog, name="Bo")
    realm.delete_all()
    assert realm.is_empty


def test_deleting_while_iterating(realm: Realm) -> None:
    for number in range(600):
        realm.create(Dog, name=str(number))
    seen = 0
    for dog in realm.objects(Dog):
        seen += 1
        if int(dog.name) % 2 == 0:
            following = realm.objects(Dog).where(Dog.name == str(int(dog.name) + 1))
            realm.delete(following)
        realm.delete(dog)
    assert seen == 300
    assert len(realm.objects(Dog)) == 0


def test_an_embedded_object_can_be_deleted_itself(realm: Realm) -> None:
    rex = realm.create(Dog, name="Rex", tag={"text": "x"})
    assert rex.tag is not None
    realm.delete(rex.tag)
    assert rex.tag is None
