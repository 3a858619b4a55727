"""What mypy makes of models with the plugin of Syncline (``make check``); not run. See docs/reference/models.md.

Every ``assert_type`` fails the check if the type is another one; every ``type: ignore`` if there is no error.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, assert_type
from uuid import UUID

from syncline import (
    Backlinks,
    Condition,
    Counter,
    Dictionary,
    EmbeddedModel,
    Expr,
    Field,
    Float32,
    GeoCircle,
    GeoPoint,
    GeoPointModel,
    List,
    Model,
    ObjectId,
    Realm,
    Results,
    Set,
    field,
    km,
)


class Address(EmbeddedModel):
    street: str = ""
    city: str | None


class Place(GeoPointModel):
    name: str = ""


class Dog(Model):
    id: ObjectId = Field(primary_key=True, name="_id", default_factory=ObjectId)
    name: str = Field(index=True)
    age: int | None = None
    weight: float = 0.0
    bio: str = Field("", index="fulltext")
    owners: Backlinks[Person] = Backlinks.of("dogs")


class Person(Model):
    id: int = Field(primary_key=True)
    name: str
    home: Address | None
    best: Dog | None
    dogs: List[Dog]
    nicknames: Set[str]
    scores: Dictionary[float | None]
    extra: Any
    visits: Counter = 0
    height: Float32 = Float32(1.7)
    balance: Decimal = Decimal(0)
    token: UUID | None = None
    created: datetime = Field(default_factory=datetime.now)


def values_of_objects(dog: Dog, person: Person) -> None:
    assert_type(dog.age, int | None)
    assert_type(dog.name, str)
    assert_type(dog.id, ObjectId)
    assert_type(person.home, Address | None)
    assert_type(person.best, Dog | None)
    assert_type(person.dogs, List[Dog])
    assert_type(person.dogs[0], Dog)
    assert_type(person.dogs[1:], list[Dog])
    assert_type(person.nicknames, Set[str])
    assert_type(person.scores, Dictionary[float | None])
    assert_type(person.scores["a"], float | None)
    assert_type(iter(person.nicknames), Iterator[str])
    assert_type(dog.owners, Backlinks[Person])
    assert_type(dog.owners[0], Person)
    assert_type(person.visits, Counter)
    assert_type(person.balance, Decimal)
    assert_type(person.token, UUID | None)
    assert_type(person.linking_objects(Person, "best"), Results[Person])
    dog.age = 3
    dog.age = None
    dog.age = "three"  # type: ignore[assignment]
    dog.owner = person  # type: ignore[attr-defined]
    dog.nmae  # type: ignore[attr-defined]  # noqa: B018
    person.dogs.append(dog)
    person.dogs.append(person)  # type: ignore[arg-type]
    person.nicknames.add(5)  # type: ignore[arg-type]
    person.visits += 1
    person.visits.increment(2)


def properties_of_classes() -> None:
    assert_type(Dog.age, Expr)
    assert_type(Dog.name, Expr)
    assert_type(Person.dogs, Expr)
    assert_type(Dog.owners, Expr)
    assert_type(Dog.age > 3, Condition)
    assert_type(Dog.name.startswith("R", ci=True), Condition)
    assert_type((Dog.age > 3) & ~Dog.age.is_null(), Condition)
    assert_type(Person.dogs.any.age.between(1, 5), Condition)
    assert_type(Person.best.name == "Rex", Condition)
    assert_type(Dog.owners.count() > 2, Condition)
    assert_type(Person.scores["a"], Expr)
    assert_type(field(Dog.age), Expr)
    assert_type(field(Dog.age) > 3, Condition)
    assert_type(field("best.age"), Expr)


def constructors() -> None:
    Dog(name="Rex")
    Dog(name="Rex", age=3)
    Person(id=1, name="Ann", dogs=[Dog(name="Rex")], nicknames={"A"}, scores={"x": 1.0})
    Person(id=1, name="Ann", dogs=["Rex"])  # type: ignore[list-item]
    Dog(age=3)  # type: ignore[call-arg]
    Dog("Rex")  # type: ignore[call-arg, arg-type]
    Dog(name="Rex", age="three")  # type: ignore[arg-type]


def places() -> None:
    place = Place(longitude=12.57, latitude=55.68, name="Hall")
    Place(longitude=12.57, latitude=55.68, altitude=3)
    Place(longitude=12.57)  # type: ignore[call-arg]
    assert_type(place.longitude, float)
    assert_type(place.altitude, float | None)
    assert_type(place.coordinates, List[float])
    assert_type(place.point, GeoPoint)
    assert_type(Place.of((1, 2)), Place)
    assert_type(Place.coordinates, Expr)
    assert_type(Place.longitude > 3, Condition)
    assert_type(GeoCircle(place, km(5)).center, GeoPoint)
    place.latitude += 1
    place.point = (1, 2)
    place.longitude = "east"  # type: ignore[assignment]


def results(realm: Realm, dog: Dog) -> None:
    assert_type(realm.objects(Dog), Results[Dog])
    assert_type(realm.objects(Dog).where(Dog.age > 3), Results[Dog])
    assert_type(realm.objects(Dog).where(Dog.age > 3, Dog.name == "Rex"), Results[Dog])
    assert_type(realm.objects(Dog).filter("age > $0", 3), Results[Dog])
    assert_type(realm.objects(Dog).sort(Dog.age.desc(), "name"), Results[Dog])
    assert_type(realm.objects(Dog)[0], Dog)
    assert_type(realm.objects(Dog).first(), Dog | None)
    assert_type(realm.get(Dog, dog.id), Dog | None)
    assert_type(realm.create(Dog, name="Rex"), Dog)
    for each in realm.objects(Dog):
        assert_type(each, Dog)
