"""What a client's file keeps of changes that met: enough to explain, never more than it may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.storage.test_history import at, download, make_schema, set_age, set_dog

from syncline.changesets.changeset import SaltedVersion
from syncline.changesets.codec import decode, encode_recorded
from syncline.changesets.instructions import ArrayInsert, CreateObject, EraseObject, Update
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.storage.kept_changes import KeptChange, forgotten_until, kept_changes
from syncline.values.kinds import STRING


@pytest.fixture
def file() -> Iterator[RealmFile]:
    opened = RealmFile.in_memory()
    make_schema(opened)
    yield opened
    opened.close()


@pytest.fixture
def history(file: RealmFile) -> ClientHistory:
    made = ClientHistory(file)
    made.set_file_ident(3, 99)
    return made


def tables(file: RealmFile) -> list[str]:
    return [name for (name,) in file.query("SELECT name FROM sqlite_schema WHERE name = 'rlm_kept'")]


def kept(file: RealmFile, name: str = "Dog") -> list[KeptChange]:
    with file.reading_alone() as reader:
        return [change for change in kept_changes(reader.connection, name) if change.version > 3]


def forgotten(file: RealmFile) -> int:
    with file.reading_alone() as reader:
        return forgotten_until(reader.connection)


def rename(key: int, name: str) -> Update:
    return Update("Dog", key, "name", (), STRING, name)


def test_nothing_is_kept_where_nothing_meets(file: RealmFile, history: ClientHistory) -> None:
    set_dog(file, 1, "age", 5, timestamp=20)
    history.integrate(at(5, 3), [download(5, 3, CreateObject("Dog", 2), set_age(2, 1))], 0)
    assert tables(file) == []
    assert [(change.version, change.origin) for change in kept(file)] == [(4, 0)], "an own change not yet taken in"


@pytest.mark.parametrize("timestamp", [10, 100], ids=["the own one wins", "the own one loses"])
def test_both_sides_of_a_conflict_are_kept_as_they_were(
    file: RealmFile, history: ClientHistory, timestamp: int
) -> None:
    set_dog(file, 1, "age", 5, timestamp=20)
    theirs = download(5, 3, CreateObject("Dog", 1), set_age(1, 7), timestamp=timestamp)
    other = download(6, 3, CreateObject("Dog", 2))
    history.integrate(at(6, 3), [theirs, other], 0)
    own = history.local_changes(0)[-1]
    assert kept(file) == [
        KeptChange(4, 0, 0, 0, 20, own.changeset),
        KeptChange(5, 5, 3, 2, timestamp, theirs.changeset),
    ]


def test_they_outlive_the_history(file: RealmFile, history: ClientHistory) -> None:
    set_dog(file, 1, "age", 5, timestamp=20)
    history.integrate(at(5, 3), [download(5, 3, set_age(1, 7))], 0)
    before = kept(file)
    history.integrate(at(6, 4, upload=(4, 5)), [], 0)
    assert history.status().base_version >= 4
    assert kept(file) == before
    assert kept(file, "Cat") == []


def test_an_own_change_that_meets_twice_is_kept_once(file: RealmFile, history: ClientHistory) -> None:
    set_dog(file, 1, "age", 5, timestamp=2000)
    for version in (5, 6):
        history.integrate(at(version, 3), [download(version, 3, set_age(1, version), timestamp=version)], 0)
    assert [(change.version, change.remote_version) for change in kept(file)] == [(4, 0), (5, 5), (6, 6)]


def test_several_of_one_download_keep_their_order(file: RealmFile, history: ClientHistory) -> None:
    set_dog(file, 1, "age", 5, timestamp=20)
    entries = [download(5, 3, set_age(1, 1)), download(5, 3, set_age(1, 2)), download(6, 3, EraseObject("Dog", 1))]
    history.integrate(at(6, 3), entries, 0)
    assert [decode(change.changeset).instructions[0].opcode for change in kept(file)[1:]] == [4, 4, 3]
    assert [change.remote_version for change in kept(file)[1:]] == [5, 5, 6]


def conflicts(file: RealmFile, history: ClientHistory, count: int, size: int = 1) -> None:
    for version in range(5, 5 + count):
        set_dog(file, 1, "name", "x" * size, timestamp=20)
        newest = history.status().current_version
        history.integrate(at(version, newest - 1), [download(version, newest - 1, rename(1, "y"))], 0)


def test_what_is_kept_has_a_limit(file: RealmFile) -> None:
    history = ClientHistory(file, keep_bytes=5000)
    history.set_file_ident(3, 99)
    conflicts(file, history, 40)
    rows: list[Any] = file.query("SELECT version, length(changeset) + 100 FROM rlm_kept ORDER BY version")
    assert 2500 < sum(size for _, size in rows) <= 5000
    assert forgotten(file) == rows[0][0] - 1
    assert rows[-1][0] == history.status().current_version, "the newest are kept"


def test_a_change_that_is_too_large_is_forgotten_at_once(file: RealmFile) -> None:
    history = ClientHistory(file, keep_bytes=1000)
    history.set_file_ident(3, 99)
    conflicts(file, history, 1, size=5000)
    history.integrate(at(6, 4, upload=(4, 5)), [], 0)  # else the history itself has it
    assert [change.version for change in kept(file)] == [5], "the small one that it met is kept"
    assert forgotten(file) == 4


def test_nothing_is_kept_if_nothing_may_be(file: RealmFile) -> None:
    history = ClientHistory(file, keep_bytes=0)
    history.set_file_ident(3, 99)
    conflicts(file, history, 2)
    assert tables(file) == []


def test_a_client_reset_forgets_everything(file: RealmFile, history: ClientHistory) -> None:
    conflicts(file, history, 3)
    assert tables(file)
    with file.write() as tx:
        history.rewrite_in(tx, ident=9, salt=9, server_version=SaltedVersion(1, 1), recovered={})
    assert tables(file) == []
    assert (kept(file), forgotten(file)) == ([], 0)
    conflicts(file, history, 1)
    assert tables(file)


def test_what_a_failed_download_met_is_not_kept(file: RealmFile, history: ClientHistory) -> None:
    set_dog(file, 1, "age", 5, timestamp=20)
    bad = download(6, 3, ArrayInsert("Dog", 1, "name", (9,), STRING, "x", 9))
    with pytest.raises(Exception, match="Dog"):
        history.integrate(at(6, 3), [download(5, 3, set_age(1, 7)), bad], 0)
    assert tables(file) == []


def test_class_names_are_found_in_the_form_that_is_recorded(file: RealmFile) -> None:
    data = encode_recorded([CreateObject("Dög", 1)])
    assert "Dög".encode() in data
