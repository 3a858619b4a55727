"""What counts as a modification: depth and key paths (spec/sdk.md §9.5, §9.6)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    Backlinks,
    CollectionChange,
    Dictionary,
    EmbeddedModel,
    Field,
    InvalidPropertyError,
    List,
    Model,
    ObjectChange,
    Realm,
    RealmError,
    Set,
)


class Collar(EmbeddedModel):
    colour: str = ""
    given_by: Dog | None


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    weight: float = Field(0.0, name="kg")
    best: Dog | None
    friends: List[Dog]
    pack: Set[Dog]
    roles: Dictionary[Dog | None]
    numbers: List[int]
    collar: Collar | None
    extra: Any


class Cat(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    owners: Backlinks[Owner] = Backlinks.of("cats")


class Owner(Model):
    name: str = Field(primary_key=True)
    cats: List[Cat] = Field(name="animals")


class Person(Model):
    name: str = Field(primary_key=True)
    dogs: List[Dog] = Field(name="animals")
    first: Dog | None


MODIFIED = CollectionChange((), (), (0,), (0,))


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    opened = open_realm(Dog, Person, Collar)
    with opened.write():
        for name in "abcdefgh":
            opened.create(Dog, name=name)
        for name in "xyz":
            opened.create(Person, name=name)
    return opened


def dog(realm: Realm, name: str) -> Dog:
    found = realm.get(Dog, name)
    assert found is not None
    return found


def person(realm: Realm, name: str) -> Person:
    found = realm.get(Person, name)
    assert found is not None
    return found


class Watch:
    """Observes something; :meth:`told` writes and says whether there was a call."""

    def __init__(self, realm: Realm, observed: Any, key_paths: list[str] | None = None) -> None:
        self.realm = realm
        self.changes: list[Any] = []
        self.token = observed.observe(lambda observed, change: self.changes.append(change), key_paths=key_paths)
        realm.refresh()
        self.changes.clear()

    def told(self, write: Callable[[], object]) -> list[Any]:
        self.changes.clear()
        with self.realm.write():
            write()
        self.realm.refresh()
        return self.changes

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.token.invalidate()


def only(realm: Realm, name: str) -> Any:
    return realm.objects(Dog).where(Dog.name == name)


# --- depth ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["link", "list", "set", "dictionary", "embedded", "mixed", "in a mixed list"])
def test_three_links_deep_over_every_kind_of_link(realm: Realm, kind: str) -> None:
    names = "abcde"
    with realm.write():
        for source, target in pairwise(names):
            start, end = dog(realm, source), dog(realm, target)
            if kind == "link":
                start.best = end
            elif kind == "list":
                start.friends.append(end)
            elif kind == "set":
                start.pack.add(end)
            elif kind == "dictionary":
                start.roles["x"] = end
            elif kind == "embedded":
                start.collar = Collar(given_by=end)  # type: ignore[call-arg]
            elif kind == "mixed":
                start.extra = end
            else:
                start.extra = [1, {"deep": end}]
    depth = 1 if kind == "embedded" else 3  # an embedded object is a link of its own
    with Watch(realm, only(realm, "a")) as watch:
        for distance, name in enumerate(names):
            told = watch.told(lambda name=name: setattr(dog(realm, name), "age", 3))  # type: ignore[misc]
            assert told == ([MODIFIED] if distance <= depth else []), (name, told)


def test_cycles_and_several_ways(realm: Realm) -> None:
    with realm.write():
        a, b = dog(realm, "a"), dog(realm, "b")
        a.best, b.best = b, a
        a.friends = [b, b, a]  # type: ignore[assignment]
    with Watch(realm, only(realm, "a")) as watch:
        assert watch.told(lambda: setattr(b, "age", 3)) == [MODIFIED]
        assert watch.told(lambda: setattr(a, "age", 3)) == [MODIFIED]


def test_a_link_that_comes_counts_only_where_it_starts(realm: Realm) -> None:
    with Watch(realm, only(realm, "a")) as watch:
        assert watch.told(lambda: person(realm, "x").dogs.append(dog(realm, "a"))) == []
    with Watch(realm, realm.objects(Person).where(Person.name == "x")) as watch:
        assert watch.told(lambda: setattr(dog(realm, "a"), "age", 5)) == [MODIFIED]


# --- key paths --------------------------------------------------------------------------------------------------------


def test_a_path_of_six_links(realm: Realm) -> None:
    names = "abcdefgh"
    with realm.write():
        for source, target in pairwise(names):
            dog(realm, source).best = dog(realm, target)
    with Watch(realm, only(realm, "a"), ["best." * 6 + "age"]) as watch:
        assert watch.told(lambda: setattr(dog(realm, "g"), "age", 3)) == [MODIFIED]
        assert watch.told(lambda: setattr(dog(realm, "f"), "age", 3)) == []
        assert watch.told(lambda: setattr(dog(realm, "h"), "age", 3)) == []
        assert watch.told(lambda: setattr(dog(realm, "f"), "best", None)) == [MODIFIED]


def test_a_path_that_ends_at_a_link_does_not_look_behind_it(realm: Realm) -> None:
    a, b = dog(realm, "a"), dog(realm, "b")
    with realm.write():
        a.friends.append(b)
    with Watch(realm, only(realm, "a"), ["friends"]) as watch:
        assert watch.told(lambda: setattr(b, "age", 3)) == []
        assert watch.told(lambda: a.friends.append(b)) == [MODIFIED]


def test_public_names_are_those_of_the_models(realm: Realm) -> None:
    with Watch(realm, only(realm, "a"), ["weight"]) as watch:
        assert watch.told(lambda: setattr(dog(realm, "a"), "weight", 1.5)) == [MODIFIED]
        assert watch.told(lambda: setattr(dog(realm, "a"), "age", 1)) == []
    with realm.write():
        person(realm, "x").dogs.append(dog(realm, "a"))
    with Watch(realm, realm.objects(Person), ["dogs.weight"]) as watch:
        assert watch.told(lambda: setattr(dog(realm, "a"), "weight", 2.5)) == [MODIFIED]


def test_no_path_at_all_leaves_only_coming_and_going(realm: Realm) -> None:
    with Watch(realm, realm.objects(Dog).where(Dog.age < 5), []) as watch:
        assert watch.told(lambda: setattr(dog(realm, "a"), "age", 1)) == []
        assert watch.told(lambda: setattr(dog(realm, "a"), "age", 9)) == [CollectionChange((0,))]
        assert watch.told(lambda: setattr(dog(realm, "a"), "age", 1)) == [CollectionChange((), (0,))]


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (["*"], {"age", "best", "friends"}),
        (["*.age"], {"best", "friends", "best.age", "friends.age"}),
        (["best.*"], {"best", "best.age", "best.best"}),
        (["*.*"], {"age", "best", "friends", "best.age", "friends.age", "best.best"}),
        (["*.*.*"], {"age", "best", "friends", "best.age", "friends.age", "best.best", "best.best.age"}),
        (["*.best.age"], {"best", "friends", "best.best", "best.best.age"}),
        (["*.colour"], {"collar", "collar.colour"}),
        (["age", "best.age"], {"age", "best", "best.age"}),
    ],
)
def test_wildcards(realm: Realm, paths: list[str], told: set[str]) -> None:
    a, b, c, d = (dog(realm, name) for name in "abcd")
    with realm.write():
        a.best, b.best = b, c
        a.friends.append(d)
        a.collar = Collar(colour="red")  # type: ignore[call-arg]
    writes: dict[str, Callable[[], object]] = {
        "age": lambda: setattr(a, "age", 1),
        "best": lambda: setattr(a, "best", b),
        "friends": lambda: a.friends.append(d),
        "best.age": lambda: setattr(b, "age", 1),
        "friends.age": lambda: setattr(d, "age", 1),
        "best.best": lambda: setattr(b, "best", c),
        "best.best.age": lambda: setattr(c, "age", 1),
        "collar.colour": lambda: setattr(a.collar, "colour", "blue"),
        "collar": lambda: setattr(a, "collar", Collar(colour="green")),  # type: ignore[call-arg]
    }
    if any(path == "*" or path.startswith("*.*") for path in paths):
        told = told | {"collar"} | ({"collar.colour"} if "*.*" in paths[0] else set())
    with Watch(realm, only(realm, "a"), paths) as watch:
        assert {name for name, write in writes.items() if watch.told(write)} == told


def test_many_wildcards_are_no_trouble(realm: Realm) -> None:
    with realm.write():
        dog(realm, "a").best = dog(realm, "b")
    with Watch(realm, only(realm, "a"), [".".join("*" * 40)]) as watch:
        assert watch.told(lambda: setattr(dog(realm, "b"), "age", 3)) == [MODIFIED]


def test_against_links(realm: Realm) -> None:
    a, b, x, y = dog(realm, "a"), dog(realm, "b"), person(realm, "x"), person(realm, "y")
    with (
        Watch(realm, only(realm, "a"), ["@links.Person.dogs"]) as links,
        Watch(realm, only(realm, "a"), ["@links.Person.dogs.name"]) as names,
        Watch(realm, a, ["@links.Person.dogs.name", "age"]) as one,
        Watch(realm, only(realm, "a"), ["@links.Person.first"]) as first,
    ):
        watches = (links, names, one, first)

        def told(write: Callable[[], object]) -> str:
            for watch in watches:
                watch.changes.clear()
            with realm.write():
                write()
            realm.refresh()
            return "".join(f"{len(watch.changes)}" for watch in watches)

        assert told(lambda: x.dogs.append(b)) == "0000"
        assert told(lambda: x.dogs.append(a)) == "1110"
        assert one.changes == [ObjectChange(changed=("@links.Person.dogs",))]
        assert told(lambda: x.dogs.append(b)) == "0000"
        assert told(lambda: setattr(x, "first", b)) == "0000"
        assert told(lambda: setattr(x, "first", a)) == "0001"
        assert told(lambda: realm.create(Person, name="new", dogs=[a])) == "1110"
        assert told(lambda: x.dogs.remove(a)) == "1110"
        assert told(lambda: setattr(x, "first", None)) == "0001"
        assert told(lambda: realm.delete(realm.get(Person, "new") or [])) == "1110"
        assert told(lambda: y.dogs.append(a)) == "1110"
        assert told(lambda: realm.delete(y)) == "1110"
    realm.refresh()
    assert realm._context.observers._before.snapshot is None


@pytest.fixture
def cats(open_realm: OpenRealm) -> Realm:
    opened = open_realm(Cat, Owner)
    with opened.write():
        opened.create(Cat, name="tom")
        opened.create(Owner, name="ann")
    return opened


def test_declared_backlinks_in_paths(cats: Realm) -> None:
    (tom,), (ann,) = cats.objects(Cat), cats.objects(Owner)
    with (
        Watch(cats, cats.objects(Cat), ["owners.name"]) as names,
        Watch(cats, tom, ["owners"]) as one,
        Watch(cats, tom, ["*"]) as everything,
        Watch(cats, tom) as own,
    ):
        assert names.told(lambda: ann.cats.append(tom)) == [MODIFIED]
        assert one.changes == everything.changes == [ObjectChange(changed=("owners",))]
        assert own.changes == []
        assert everything.told(lambda: setattr(tom, "age", 3)) == [ObjectChange(changed=("age",))]
        assert names.told(lambda: cats.delete(ann)) == [MODIFIED]


def test_observed_backlinks(cats: Realm) -> None:
    (tom,), (ann,) = cats.objects(Cat), cats.objects(Owner)
    with Watch(cats, tom.owners) as watch:
        assert watch.told(lambda: ann.cats.append(tom)) == [CollectionChange((), (0,))]
        assert watch.told(lambda: cats.create(Owner, name="bob", cats=[tom])) == [CollectionChange((), (1,))]
        assert watch.told(lambda: ann.cats.clear()) == [CollectionChange((0,))]
        assert watch.told(lambda: cats.delete(tom)) == [CollectionChange((0,), root_deleted=True)]


def test_collections_of_objects_with_paths(realm: Realm) -> None:
    a, b = dog(realm, "a"), dog(realm, "b")
    with realm.write():
        a.friends.append(b)
        a.pack.add(b)
        a.roles["x"] = b
    for collection in (a.friends, a.pack, a.roles):
        with Watch(realm, collection, ["age"]) as watch:
            assert len(watch.told(lambda: setattr(b, "weight", 2.0))) == 0
            (change,) = watch.told(lambda: setattr(b, "age", 2))
            assert len(change.modifications) == 1


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("agee", r"Dog has no property 'agee': did you mean 'age'\?"),
        ("best.agee", r"Dog has no property 'agee'"),
        ("", r"Dog has no property ''"),
        ("best..age", r"Dog has no property ''"),
        ("age.*", r"key path 'age.\*': 'age' is no link, so nothing can follow it"),
        ("age.name", r"key path 'age.name': 'age' is no link, so nothing can follow it"),
        ("numbers.x", r"key path 'numbers.x': 'numbers' is no link"),
        ("extra.x", r"key path 'extra.x': 'extra' is no link"),
        ("*.nothing", r"key path '\*.nothing' matches no property of Dog"),
        ("*.age.x", r"key path '\*.age.x' matches no property of Dog"),
        ("@links", r"@links is followed by a class and its property: @links.Person.dogs"),
        ("@links.Person.name", r"Person.name is no link to Dog"),
        ("@links.Person.cats", r"Person has no property 'cats'"),
    ],
)
def test_paths_that_lead_nowhere(realm: Realm, path: str, message: str) -> None:
    with pytest.raises(InvalidPropertyError, match=message):
        realm.objects(Dog).observe(lambda dogs, change: None, key_paths=[path])
    with pytest.raises(InvalidPropertyError, match=message):
        dog(realm, "a").observe(lambda dog, change: None, key_paths=["age", path])


def test_a_path_against_a_class_that_does_not_exist(realm: Realm) -> None:
    with pytest.raises(RealmError, match=r"this Realm has no class 'Cat'"):
        realm.objects(Dog).observe(lambda dogs, change: None, key_paths=["@links.Cat.dogs"])


def test_paths_are_a_list_and_name_properties_of_objects(realm: Realm) -> None:
    with pytest.raises(InvalidPropertyError, match=r"key_paths is a list of paths, not one text"):
        realm.objects(Dog).observe(lambda dogs, change: None, key_paths="age")  # type: ignore[arg-type]
    with pytest.raises(InvalidPropertyError, match=r"Dog.numbers: key paths name properties of objects"):
        dog(realm, "a").numbers.observe(lambda numbers, change: None, key_paths=["x"])
    with Watch(realm, dog(realm, "a").numbers, []) as watch:
        assert watch.told(lambda: dog(realm, "a").numbers.append(1)) == [CollectionChange((), (0,))]
