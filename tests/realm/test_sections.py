"""Results in sections (spec/sdk.md §8, §9.1)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.realm.conftest import OpenRealm

from syncline import (
    CollectionChange,
    Field,
    InvalidPropertyError,
    KeyNotFoundError,
    Model,
    OutOfBoundsError,
    Realm,
    RealmConfiguration,
    StaleAccessorError,
    TypeMismatchError,
)
from syncline.realm.merging import merged
from syncline.realm.section_changes import SectionedChange
from syncline.realm.sections import SectionedResults, first_letter


class Person(Model):
    name: str = Field(primary_key=True)
    age: int | None = None
    place: str | None = None
    extra: Any = None


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    opened = open_realm(Person)
    with opened.write():
        for name, place in (("Ann", "Rome"), ("Bob", "Oslo"), ("Abe", "Rome"), ("Cyd", None)):
            opened.create(Person, name=name, place=place)
    return opened


def shown(sections: SectionedResults[Any]) -> list[tuple[Any, list[str]]]:
    return [(section.key, [each.name for each in section]) for section in sections]


def test_sections_stand_where_their_keys_first_occur(realm: Realm) -> None:
    people = realm.objects(Person)
    assert shown(people.sectioned("place")) == [("Rome", ["Ann", "Abe"]), ("Oslo", ["Bob"]), (None, ["Cyd"])]
    assert shown(people.sort("name").sectioned(first_letter("name"))) == [
        ("A", ["Abe", "Ann"]),
        ("B", ["Bob"]),
        ("C", ["Cyd"]),
    ]
    assert people.sectioned(first_letter("place")).keys == ["R", "O", ""]
    assert people.sectioned(lambda person: len(person.name)).keys == [3]


def test_a_section_follows_its_key(realm: Realm) -> None:
    sections = realm.objects(Person).sort("name").sectioned("place")
    assert sections.keys == ["Rome", "Oslo", None]
    oslo = sections["Oslo"]
    assert (oslo.index, len(oslo), oslo[0].name, oslo[-1].name, oslo[:1][0].name) == (1, 1, "Bob", "Bob", "Bob")
    assert sections[1].key == sections[-2].key == "Oslo"
    assert [section.key for section in sections[:2]] == ["Rome", "Oslo"]
    assert sections[None].key is None
    with realm.write():
        realm.create(Person, name="Aaa", place="Oslo")
        assert oslo.index == 0
        realm.delete(list(oslo))
        assert not oslo.is_valid
        with pytest.raises(StaleAccessorError, match=r"no element is in the section 'Oslo' any more"):
            len(oslo)
    assert repr(oslo) == "<Section 'Oslo'>"
    with pytest.raises(KeyNotFoundError):
        sections["Oslo"]
    with pytest.raises(OutOfBoundsError):
        sections[2]
    with pytest.raises(OutOfBoundsError):
        sections[0][9]


def test_keys_are_compared_as_the_database_does(realm: Realm) -> None:
    values = [1, 1.0, True, "1", None, b"1", False]
    with realm.write():
        realm.delete_all()
        for number, value in enumerate(values):
            realm.create(Person, name=f"{number}", extra=value)
    sections = realm.objects(Person).sort("name").sectioned("extra")
    assert sections.keys == [1, True, "1", None, b"1", False]
    assert [each.name for each in sections.section(1.0)] == ["0", "1"]
    assert [each.name for each in sections.section(True)] == ["2"]
    with pytest.raises(TypeMismatchError):
        realm.objects(Person).sectioned(lambda person: person).keys  # noqa: B018
    with pytest.raises(InvalidPropertyError, match=r"did you mean 'place'"):
        realm.objects(Person).sectioned("plac")


def test_changes(realm: Realm) -> None:
    changes: list[SectionedChange] = []
    sections = realm.objects(Person).sort("name").sectioned("place")
    with sections.observe(lambda observed, change: changes.append(change)):
        realm.refresh()
        assert changes.pop() == SectionedChange(initial=True)
        with realm.write():
            realm.get(Person, "Ann").age = 3  # type: ignore[union-attr]
            realm.get(Person, "Bob").place = "Rome"  # type: ignore[union-attr]
            realm.create(Person, name="Dee", place="Bonn")
        realm.refresh()
        assert changes.pop() == SectionedChange(
            insertions={0: (2,), 2: (0,)},
            modifications={0: (1,)},
            modifications_new={0: (1,)},
            sections_deleted=(1,),
            sections_inserted=(2,),
        )
        assert sections.keys == ["Rome", None, "Bonn"]
        with realm.write():
            realm.get(Person, "Abe").place = None  # type: ignore[union-attr]
        realm.refresh()
        (change,) = changes
        assert change.collection is sections
    assert shown(sections) == [(None, ["Abe", "Cyd"]), ("Rome", ["Ann", "Bob"]), ("Bonn", ["Dee"])]


def test_one_section(realm: Realm) -> None:
    changes: list[CollectionChange] = []
    sections = realm.objects(Person).sort("name").sectioned("place")
    rome = sections["Rome"]

    def told(write: Callable[[], object]) -> list[CollectionChange]:
        changes.clear()
        with realm.write():
            write()
        realm.refresh()
        return changes

    with rome.observe(lambda observed, change: changes.append(change)):
        realm.refresh()
        assert changes == [CollectionChange(initial=True)]
        assert told(lambda: realm.create(Person, name="Eve", place="Oslo")) == []
        assert told(lambda: setattr(realm.get(Person, "Bob"), "place", "Rome")) == [CollectionChange((), (2,))]
        assert told(lambda: setattr(realm.get(Person, "Ann"), "age", 3)) == [CollectionChange((), (), (1,), (1,))]
        # the section moves behind another, its elements stay
        assert told(lambda: realm.create(Person, name="Aaa", place="Oslo")) == []
        assert rome.index == 1
        assert told(lambda: realm.delete(list(rome))) == [CollectionChange((0, 1, 2))]
        assert told(lambda: realm.create(Person, name="Fay", place="Rome")) == [CollectionChange((), (0,))]
        assert [each.name for each in rome.freeze()] == ["Fay"]


def test_frozen_sections_and_iterators(tmp_path: Path) -> None:
    async def main() -> None:
        with Realm.open(RealmConfiguration(tmp_path / "people.realm", schema=[Person])) as realm:
            sections = realm.objects(Person).sectioned("place")
            stream = sections.changes()
            assert (await anext(stream)).initial
            for name in "ab":
                with realm.write():
                    realm.create(Person, name=name, place="Rome")
                await asyncio.sleep(0.01)
            change = await anext(stream)
            assert change == SectionedChange(insertions={0: (0, 1)}, sections_inserted=(0,))
            with realm.write():
                realm.delete_all()
            assert change.collection.is_frozen
            assert shown(change.collection) == [("Rome", ["a", "b"])]
            assert not sections.is_frozen
            assert sections.keys == []

    asyncio.run(main())


class Mirror:
    """A copy in sections that only change sets keep up to date, and only now and then."""

    def __init__(self, sections: SectionedResults[Any]) -> None:
        self.sections = sections
        self.copy = self.look()
        self.pending: SectionedChange | None = None
        self.token = sections.observe(self)

    def look(self) -> list[list[tuple[str, int | None]]]:
        return [[(each.name, each.age) for each in section] for section in self.sections]

    def __call__(self, sections: Any, change: SectionedChange) -> None:
        if not change.initial:
            self.pending = change if self.pending is None else merged(self.pending, change)

    def check(self) -> None:
        change, self.pending = self.pending or SectionedChange(), None
        new = self.look()
        for number, places in change.deletions.items():
            assert number not in change.sections_deleted
            for place in reversed(places):
                del self.copy[number][place]
        for number in reversed(change.sections_deleted):
            del self.copy[number]
        for number in change.sections_inserted:
            self.copy.insert(number, [])
        for number, places in change.insertions.items():
            for place in places:
                self.copy[number].insert(place, new[number][place])
        for number, places in change.modifications_new.items():
            for place in places:
                self.copy[number][place] = new[number][place]
        assert self.copy == new, change


STEP = st.tuples(st.sampled_from(["create", "age", "place", "delete", "commit", "check"]), *[st.integers(0, 5)] * 2)


@settings(
    max_examples=int(os.environ.get("SYNCLINE_EXAMPLES", "20")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEP, max_size=20))
def test_mirrors_follow(open_realm: OpenRealm, steps: list[tuple[str, int, int]]) -> None:
    realm = open_realm(Person, path=None, in_memory=str(uuid4()))
    people = realm.objects(Person)
    mirrors = [
        Mirror(people.sectioned("place")),
        Mirror(people.sort("age").sectioned("age")),
        Mirror(people.sort("name", descending=True).sectioned(first_letter("place"))),
        Mirror(people.where(Person.age > 1).sort("place").sectioned("age")),
    ]
    realm.refresh()
    realm.begin_write()
    for count, (kind, first, second) in enumerate(steps):
        found = people[first % len(people)] if len(people) else None
        if kind == "create":
            realm.create(Person, name=f"{second}{count}", age=first, place="ABC"[second % 3])
        elif kind in ("commit", "check"):
            realm.commit_write()
            realm.refresh()
            for mirror in mirrors if kind == "check" else ():
                mirror.check()
            realm.begin_write()
        elif found is not None and kind == "delete":
            realm.delete(found)
        elif found is not None:
            setattr(found, kind, second if kind == "age" else "ABC"[second % 3])
    realm.commit_write()
    realm.refresh()
    for mirror in mirrors:
        mirror.check()
        mirror.token.invalidate()
    realm.close()


def test_keys_of_one_property_are_read_in_one_pass(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are what the attributes of the objects are, and equal as the database compares them."""
    with realm.write():
        for number, person in enumerate(realm.objects(Person)):
            person.age = number // 2 if number < 3 else None
    people = realm.objects(Person).sort("name")
    odd = people.sectioned(lambda person: {0: 1, 1: 1.0, None: True}[person.age])
    assert [(type(key), key) for key in odd.keys] == [(float, 1.0), (bool, True)]
    one_by_one = [
        people.sectioned(lambda person: person.age),
        people.sectioned(lambda person: (person.place or "")[:1]),
        people.sectioned(lambda person: person.extra),
    ]
    expected = [shown(sections) for sections in one_by_one]
    in_one = [people.sectioned("age"), people.sectioned(first_letter("place"))]
    with monkeypatch.context() as patched:
        patched.setattr("syncline.realm.binding.Binding.iterate", lambda *_: pytest.fail("objects were made"))
        assert [sections.keys for sections in in_one] == [[key for key, _ in each] for each in expected[:2]]
    assert [shown(sections) for sections in [*in_one, people.sectioned("extra")]] == expected


def test_rows_that_change_their_section_are_told_with_any_key_paths(realm: Realm) -> None:
    sections = realm.objects(Person).sectioned("place")
    told: list[Any] = []

    def tell(_: Any, change: Any) -> None:
        told.append(change)

    with sections.observe(tell, key_paths=["age"]), sections["Oslo"].observe(tell, key_paths=[]):
        realm.refresh()
        told.clear()
        with realm.write():
            realm.get(Person, "Abe").place = "Oslo"  # type: ignore[union-attr]
        realm.refresh()
        whole, oslo = told
        assert (whole.deletions, whole.insertions) == ({0: (1,)}, {1: (1,)})
        assert oslo.insertions == (1,)
        told.clear()
        with realm.write():
            realm.get(Person, "Abe").extra = 1  # type: ignore[union-attr]
        realm.refresh()
        assert told == []
