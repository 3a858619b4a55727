"""Many objects at once leave the same file and the same history as one by one (spec/changesets.md §9.6)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline import (
    EmbeddedModel,
    Field,
    List,
    Model,
    ObjectId,
    Realm,
    RealmConfiguration,
    UpdateMode,
    errors,
)
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile

_counter = itertools.count()


class Owner(Model):
    name: str = Field(primary_key=True)


class Chip(EmbeddedModel):
    number: int = 0


class Pet(Model):
    id: int = Field(primary_key=True)
    name: str
    weight: float | None = None
    born: datetime | None = None
    price: Decimal | None = None
    tag: UUID | None = None
    legs: int = 4
    serial: int = Field(default_factory=lambda: next(_counter))
    code: ObjectId | None = Field(name="stored_code")
    anything: Any = None
    owner: Owner | None = None
    friend: Pet | None = None
    tricks: List[str]
    chip: Chip | None = None


class Note(Model):
    """Without primary key."""

    text: str
    stars: int | None = None


Write = Callable[[Realm], object]


def outcome(path: Path, *writes: Write) -> tuple[list[bytes], dict[str, Any]]:
    """The changesets and the dump after these transactions."""
    global _counter
    _counter = itertools.count()
    RealmFile.open(path, history=True).close()
    with Realm.open(RealmConfiguration(path, schema=[Owner, Pet, Chip, Note])) as realm:
        for write in writes:
            with realm.write():
                write(realm)
        reader = realm._context.reader()
        rows = reader.connection.execute("SELECT changeset FROM rlm_history ORDER BY version").fetchall()
        return [row[0] for row in rows], dump(reader)


def same_outcome(path: Path, one_by_one: list[Write], many: list[Write]) -> None:
    assert outcome(path / f"many-{next(_files)}", *many) == outcome(path / f"one-{next(_files)}", *one_by_one)


_files = itertools.count()


def create_each(values: Iterable[dict[str, Any]], cls: type[Model] = Pet, **options: Any) -> Write:
    def write(realm: Realm) -> None:
        for each in values:
            realm.create(cls, each, **options)

    return write


def create_many(values: Iterable[dict[str, Any]], cls: type[Model] = Pet, **options: Any) -> Write:
    return lambda realm: realm.create_many(cls, values, **options)


def owners(realm: Realm) -> None:
    for name in ("ann", "bob", "çelik"):
        realm.create(Owner, name=name)


ROWS = [
    {
        "id": number,
        "name": f"pet {number}" if number % 3 else "ünï",
        "weight": None if number % 5 == 0 else float("nan") if number % 7 == 0 else number / 3,
        "born": datetime(2000, 1, 1 + number % 28, tzinfo=UTC),
        "price": Decimal(number) / 10,
        "tag": UUID(int=number),
        "anything": (None, 1, True, "x", 2.5, b"y", Decimal(3))[number % 7],
    }
    for number in range(50)
]


def test_values_of_all_types(tmp_path: Path) -> None:
    same_outcome(tmp_path, [create_each(ROWS)], [create_many(ROWS)])


def test_defaults_are_defaults(tmp_path: Path) -> None:
    rows = [{"id": number, "name": "x"} for number in range(30)]
    same_outcome(tmp_path, [create_each(rows)], [create_many(rows)])
    assert any(b"serial" in changeset for changeset in outcome(tmp_path / "more", create_many(rows))[0])


def test_objects_without_primary_key(tmp_path: Path) -> None:
    rows = [{"text": f"note {number}", "stars": number % 2 or None} for number in range(40)]
    same_outcome(tmp_path, [create_each(rows, Note), create_each(rows, Note)], [create_many(rows, Note)] * 2)


def test_string_keys_and_links_by_key(tmp_path: Path) -> None:
    names = [{"name": f"owner {number}"} for number in range(30)]

    def one_by_one(realm: Realm) -> None:
        create_each(names, Owner)(realm)
        for number in range(30):
            realm.create(
                Pet, id=number, name="p", owner=realm.get(Owner, f"owner {number // 2}") if number % 4 else None
            )

    def many(realm: Realm) -> None:
        realm.create_many(Owner, names)
        rows = [{"id": n, "name": "p", "owner": f"owner {n // 2}" if n % 4 else None} for n in range(30)]
        realm.create_many(Pet, rows)

    same_outcome(tmp_path, [one_by_one], [many])


def test_a_link_to_an_object_of_the_same_batch_by_key(tmp_path: Path) -> None:
    with Realm.open(RealmConfiguration(tmp_path / "x", schema=[Owner, Pet, Chip])) as realm:
        with realm.write():
            realm.create_many(Pet, ({"id": n, "name": "p", "friend": n - 1 if n else None} for n in range(20)))
        friend = realm.get(Pet, 7).friend
        assert friend is not None
        assert friend.id == 6


def test_a_link_to_nothing(tmp_path: Path) -> None:
    with Realm.open(RealmConfiguration(tmp_path / "x", schema=[Owner, Pet, Chip])) as realm, realm.write():
        with pytest.raises(errors.InvalidatedObjectError, match="no Owner with the primary key 'nobody'"):
            realm.create_many(Pet, [{"id": n, "name": "p", "owner": "nobody"} for n in range(20)])
        with pytest.raises(errors.TypeMismatchError):
            realm.create_many(Pet, [{"id": 100 + n, "name": "p", "owner": 7} for n in range(20)])


def test_values_that_take_more_than_rows(tmp_path: Path) -> None:
    rows = [
        {"id": n, "name": "p", "tricks": ["sit", "roll"], "chip": {"number": n}, "owner": {"name": f"new {n}"}}
        | ({"anything": [1, {"a": 2}]} if n % 2 else {})
        for n in range(30)
    ]
    same_outcome(tmp_path, [create_each(rows)], [create_many(rows)])


def test_stored_names_are_accepted(tmp_path: Path) -> None:
    rows = [{"id": n, "name": "p", "stored_code": ObjectId("0" * 24)} for n in range(20)]
    same_outcome(tmp_path, [create_each(rows)], [create_many(rows)])


@pytest.mark.parametrize("mode", [UpdateMode.ALL, UpdateMode.MODIFIED])
def test_upserts(tmp_path: Path, mode: UpdateMode) -> None:
    again = [
        {"id": number, "name": "pet 1", "weight": None if number % 5 == 0 else 0.5, "owner": None}
        for number in range(20, 90)
    ]
    mixed = [
        {"id": number, "name": f"n{number}", "price": Decimal("1.0")} for number in (3, 200, 4, 201, *range(40, 130))
    ]
    same_outcome(
        tmp_path,
        [create_each(ROWS), create_each(again, update=mode), create_each(mixed, update=mode)],
        [create_many(ROWS), create_many(again, update=mode), create_many(mixed, update=mode)],
    )


@pytest.mark.parametrize("mode", UpdateMode)
def test_the_same_key_twice(tmp_path: Path, mode: UpdateMode) -> None:
    rows = [{"id": number % 10, "name": f"p{number}"} for number in range(20)]
    if mode is not UpdateMode.NEVER:
        same_outcome(tmp_path, [create_each(rows, update=mode)], [create_many(rows, update=mode)])
        return
    with Realm.open(RealmConfiguration(tmp_path / "x", schema=[Owner, Pet, Chip])) as realm:
        with pytest.raises(errors.ObjectAlreadyExistsError), realm.write():
            realm.create_many(Pet, rows)
        assert len(realm.objects(Pet)) == 0


def test_keys_that_were_deleted_or_written_before(tmp_path: Path) -> None:
    def delete(realm: Realm) -> None:
        realm.delete(realm.objects(Pet).where(Pet.id < 10))

    def both(create: Callable[..., Write]) -> Write:
        def write(realm: Realm) -> None:
            delete(realm)
            create(ROWS[:10])(realm)
            realm.get(Pet, 3).legs = 3
            create([{"id": 1000 + n, "name": "p"} for n in range(10)])(realm)
            realm.get(Pet, 1003).legs = 5
            realm.get(Pet, 1004).tricks.append("beg")
            realm.delete(realm.get(Pet, 1005))
            create([{"id": n, "name": "p"} for n in (1005, *range(2000, 2010))])(realm)

        return write

    same_outcome(tmp_path, [create_each(ROWS), both(create_each)], [create_many(ROWS), both(create_many)])


def test_objects_that_others_still_link_to_come_back(tmp_path: Path) -> None:
    def linked(realm: Realm) -> None:
        owners(realm)
        realm.create(Pet, id=1, name="p", owner=realm.get(Owner, "ann"))

    rows = [{"name": name} for name in ("ann", *map(str, range(20)))]
    same_outcome(
        tmp_path,
        [linked, lambda realm: realm.delete(realm.get(Owner, "ann")), create_each(rows, Owner)],
        [linked, lambda realm: realm.delete(realm.get(Owner, "ann")), create_many(rows, Owner)],
    )


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"name": 5}, errors.TypeMismatchError),
        ({"id": 2**63}, errors.LimitExceededError),
        ({"legs": 2**63}, errors.LimitExceededError),
        ({"legs": True}, errors.TypeMismatchError),
        ({"name": None}, errors.TypeMismatchError),
        ({"nmae": "x"}, errors.InvalidPropertyError),
    ],
)
def test_what_is_wrong_is_said_as_by_create(tmp_path: Path, wrong: dict[str, Any], error: type[Exception]) -> None:
    rows = [{"id": number, "name": "p"} | (wrong if number == 15 else {}) for number in range(20)]
    with Realm.open(RealmConfiguration(tmp_path / "x", schema=[Owner, Pet, Chip])) as realm:
        for write in (create_many(rows), create_each(rows)):
            with pytest.raises(error) as raised, realm.write():
                write(realm)
            assert len(realm.objects(Pet)) == 0
        with pytest.raises(error) as again, realm.write():
            create_many([row | wrong for row in rows])(realm)
        assert str(again.value).split(":")[0] == str(raised.value).split(":")[0]


@pytest.mark.parametrize("row", [tuple, list, iter])
def test_rows_of_values(tmp_path: Path, row: Callable[[Any], Any]) -> None:
    """As mappings, with the names given once; also where they have to be made one by one."""
    names = tuple(ROWS[0])
    same_outcome(
        tmp_path,
        [create_each(ROWS)],
        [lambda realm: realm.create_many(Pet, (row(list(values.values())) for values in ROWS), properties=names)],
    )
    owned = [{"id": number, "name": "p", "owner": {"name": str(number)}} for number in range(20)]
    same_outcome(
        tmp_path,
        [create_each(owned)],
        [lambda realm: realm.create_many(Pet, map(dict.values, owned), properties=("id", "name", "owner"))],
    )


@pytest.mark.parametrize(
    ("rows", "properties", "error", "message"),
    [
        ([(1, "a"), (2,)], ("id", "name"), errors.TypeMismatchError, r"values\[1\] has 1 values, but 2 .*: id, name"),
        ([(1, "a"), "xy"], ("id", "name"), errors.TypeMismatchError, r"values\[1\] has to be a row of values, got str"),
        ([(1, "a"), {"id": 2}], ("id", "name"), errors.TypeMismatchError, r"values\[1\] has to be a row of values"),
        ([(1, "a"), 7], ("id", "name"), errors.TypeMismatchError, r"values\[1\] has to be a row of values, got int"),
        ([(1, "a")], "id", errors.TypeMismatchError, "properties are names of properties, got str 'id'"),
        ([(1, "a"), {2, "b"}], ("id", "name"), errors.TypeMismatchError, "has to be a row of values, got set"),
        ([(1, "a")], {"id", "name"}, errors.TypeMismatchError, "properties are names of properties, got set"),
        ([(1, "a")], 7, errors.TypeMismatchError, "properties are names of properties, got int 7"),
        ([(1, "a")], ("id", "id"), errors.InvalidPropertyError, "'id' is named twice"),
        ([(1, "a")], ("id", "nmae"), errors.InvalidPropertyError, "nmae"),
        ([(1, "a"), (2, 3)], ("id", "name"), errors.TypeMismatchError, "expected str, got int 3"),
    ],
)
def test_rows_that_are_wrong(tmp_path: Path, rows: Any, properties: Any, error: type[Exception], message: str) -> None:
    with Realm.open(RealmConfiguration(tmp_path / "x", schema=[Owner, Pet, Chip])) as realm:
        with pytest.raises(error, match=message) as raised, realm.write():
            realm.create_many(Pet, rows, properties=properties)
        if "expected" in message:
            assert raised.value.__notes__ == ["in values[1]"]
        assert len(realm.objects(Pet)) == 0


def test_unknown_names_can_be_left_out(tmp_path: Path) -> None:
    rows = [{"id": number, "name": "p", "colour": "red"} for number in range(20)]
    plain = [{"id": number, "name": "p"} for number in range(20)]
    same_outcome(tmp_path, [create_each(plain)], [create_many(rows, ignore_unknown=True)])


def test_no_mapping_and_no_key(tmp_path: Path) -> None:
    with Realm.open(RealmConfiguration(tmp_path / "x", schema=[Owner, Pet, Chip, Note])) as realm, realm.write():
        with pytest.raises(errors.TypeMismatchError, match="mappings"):
            realm.create_many(Owner, ["ann"])  # type: ignore[list-item]
        with pytest.raises(errors.TypeMismatchError, match=r"name the properties of rows: properties=\(…\)"):
            realm.create_many(Owner, [("ann",)])  # type: ignore[list-item]
        with pytest.raises(errors.MissingPrimaryKeyError):
            realm.create_many(Note, [], update=UpdateMode.ALL)
        with pytest.raises(errors.MissingPropertyValueError):
            realm.create_many(Pet, [{"id": n} for n in range(20)])
        with pytest.raises(errors.IllegalOperationError):
            realm.create_many(Chip, [{}] * 20)
    with pytest.raises(errors.RealmError):
        realm.create_many(Owner, [])


class Text(Model):
    id: int = Field(primary_key=True)
    body: str = Field("", index="fulltext")
    size: int = Field(0, index=True)


def test_indexes_and_observers_know(tmp_path: Path) -> None:
    with Realm.open(RealmConfiguration(tmp_path / "x", schema=[Text])) as realm:
        texts = realm.objects(Text).filter("body TEXT 'dog'")
        changes: list[list[int]] = []
        token = texts.observe(lambda results, change: changes.append(list(change.insertions)))
        realm.refresh()
        with realm.write():
            realm.create_many(Text, [{"id": n, "body": "a dog" if n % 2 else "a cat", "size": n} for n in range(20)])
            assert len(texts) == 10
            realm.create_many(Text, [{"id": n, "body": "dog"} for n in range(0, 20, 2)], update=UpdateMode.MODIFIED)
        realm.refresh()
        assert len(texts) == 20
        assert changes[-1] == list(range(20))
        assert realm.objects(Text).where(Text.size > 17).values_list("id", flat=True) == [18, 19]
        token.invalidate()


# --- add_all ----------------------------------------------------------------------------------------------------------


def pets(count: int) -> list[Pet]:
    """Unmanaged objects: plain ones, some with touched defaults, some with links and collections."""
    made = [Pet(id=number, name=f"p{number}", legs=number) for number in range(count)]
    made += [Pet(id=count + number, name="p", friend=made[number], tricks=["sit"]) for number in range(5)]
    made += [Pet(id=2 * count + number, name="p") for number in range(20)]
    for pet in made[-3:]:
        assert pet.legs == 4
        assert isinstance(pet.serial, int)
    return made


def test_add_all(tmp_path: Path) -> None:
    given: list[Pet] = []

    def many(realm: Realm) -> None:
        given.extend(pets(30))
        assert realm.add_all([*given, given[0], given[0]]) == len(given) + 2
        assert all(pet.realm is realm for pet in given)
        assert given[3].legs == 3
        assert realm.get(Pet, 3) is given[3]

    def one_by_one(realm: Realm) -> None:
        for pet in pets(30):
            realm.add(pet)

    same_outcome(tmp_path, [one_by_one], [many])


def test_added_updates(tmp_path: Path) -> None:
    def again(count: int) -> list[Pet]:
        return [Pet(id=number, name="new") for number in range(count)]

    def one_by_one(realm: Realm) -> None:
        for pet in again(10):
            realm.add(pet, update=UpdateMode.MODIFIED)

    same_outcome(
        tmp_path,
        [create_each(ROWS), one_by_one],
        [create_many(ROWS), lambda realm: realm.add_all(again(10), update=UpdateMode.MODIFIED)],
    )


def test_progress(tmp_path: Path) -> None:
    seen: list[int] = []
    with Realm.open(RealmConfiguration(tmp_path / "x", schema=[Owner])) as realm, realm.write():
        assert realm.create_many(Owner, ({"name": str(n)} for n in range(10_000)), progress=seen.append) == 10_000
        assert seen[-1] == 10_000
        assert len(seen) > 1
        assert realm.add_all((Owner(name=f"o{n}") for n in range(10)), progress=seen.append) == 10
        assert len(realm.objects(Owner)) == 10_010


# --- anything ---------------------------------------------------------------------------------------------------------

_rows = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 30), "name": st.text(max_size=3)},
        optional={
            "weight": st.none() | st.floats(),
            "legs": st.integers(-(2**63), 2**63 - 1),
            "anything": st.none()
            | st.booleans()
            | st.integers(-9, 9)
            | st.text(max_size=2)
            | st.lists(st.integers(0, 9)),
            "owner": st.none() | st.sampled_from(["ann", "bob", "çelik"]),
            "tricks": st.lists(st.text(max_size=2), max_size=3),
        },
    ),
    max_size=60,
)


@settings(max_examples=int(os.environ.get("SYNCLINE_EXAMPLES", "8")), deadline=None)
@given(first=_rows, shape=st.booleans(), mode=st.sampled_from([UpdateMode.ALL, UpdateMode.MODIFIED]))
def test_any_rows(first: list[dict[str, Any]], shape: bool, mode: UpdateMode, tmp_path_factory: Any) -> None:
    if shape:  # long runs
        first = sorted(first, key=lambda row: tuple(sorted(row)))

    def one_by_one(realm: Realm) -> None:
        for row in first:
            name = row.get("owner")
            values = row if name is None else row | {"owner": realm.get(Owner, name)}
            realm.create(Pet, values, update=mode)

    def many(realm: Realm) -> None:
        realm.create_many(Pet, first, update=mode)

    same_outcome(tmp_path_factory.mktemp("any"), [owners, one_by_one, one_by_one], [owners, many, many])
