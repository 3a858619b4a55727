"""What any type checker makes of models, without a plugin: checked by mypy and by pyright (``make pyright``); not run.

Properties are what they are on an object; ``field(Dog.age)`` is the expression. Where they are declared as ``Stored``,
so is ``Cat.age``. Collections are ``list``, ``set`` and ``dict``, so that calling the class takes plain ones.
"""

from __future__ import annotations

from typing import Any, assert_type

from syncline import Backlinks, Condition, Counter, Expr, Field, Model, ObjectId, Realm, Results, Stored, field


class Dog(Model):
    id: ObjectId = Field(primary_key=True, name="_id", default_factory=ObjectId)
    name: str = Field(index=True)
    age: int | None = None
    weight: float = 0.0
    owners: Backlinks[Person] = Backlinks.of("dogs")


class Person(Model):
    id: int = Field(primary_key=True)
    name: str
    best: Dog | None = None
    dogs: list[Dog] = Field(default_factory=list)
    nicknames: set[str] = Field(default_factory=set)
    scores: dict[str, float | None] = Field(default_factory=dict)
    extra: Any = None
    visits: Counter = Field(default=0)


class Cat(Model):
    name: Stored[str] = Field(primary_key=True)
    age: Stored[int | None] = Field(default=None)
    owner: Stored[Person | None] = Field(default=None)
    friends: Stored[list[Cat]] = Field(default_factory=list)


def stored(cat: Cat, realm: Realm) -> None:
    assert_type(cat.name, str)
    assert_type(cat.age, int | None)
    assert_type(cat.owner, Person | None)
    assert_type(cat.friends[0], Cat)
    assert_type(Cat.age, Expr)
    assert_type(Cat.age > 3, Condition)
    assert_type(Cat.owner.name == "Ann", Condition)
    assert_type(Cat.friends.any.age > 3, Condition)
    assert_type(realm.objects(Cat).where(Cat.age > 3).sort(Cat.age.desc()), Results[Cat])
    cat.age = 3
    Cat(name="Tom")
    Cat(name="Tom", age=3, friends=[cat])


def values_of_objects(dog: Dog, person: Person) -> None:
    assert_type(dog.age, int | None)
    assert_type(dog.name, str)
    assert_type(person.best, Dog | None)
    assert_type(person.dogs, list[Dog])
    assert_type(person.dogs[0], Dog)
    assert_type(person.nicknames, set[str])
    assert_type(person.scores["a"], float | None)
    assert_type(dog.owners, Backlinks[Person])
    assert_type(dog.owners[0], Person)
    dog.age = 3
    person.visits.increment(2)


def expressions() -> None:
    assert_type(field(Dog.age), Expr)
    assert_type(field(Dog.age) > 3, Condition)
    assert_type(field(Dog.name).startswith("R", ci=True), Condition)
    assert_type(field(Person.dogs).any.age > 3, Condition)
    assert_type(field("best.age") > 3, Condition)


def constructors() -> None:
    Dog(name="Rex", age=3)
    Person(id=1, name="Ann", dogs=[Dog(name="Rex")], nicknames={"A"}, scores={"x": 1.0})


def results(realm: Realm, dog: Dog) -> None:
    assert_type(realm.objects(Dog), Results[Dog])
    assert_type(realm.objects(Dog).where(Dog.name == "Rex", Dog.weight > 3), Results[Dog])
    assert_type(realm.objects(Dog).where(field(Dog.age) > 3), Results[Dog])
    assert_type(realm.objects(Dog)[0], Dog)
    assert_type(realm.get(Dog, dog.id), Dog | None)
    assert_type(realm.create(Dog, name="Rex"), Dog)
