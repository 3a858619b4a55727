"""Opening, closing, reading; one thread, one owner (spec/sdk.md §3, §4)."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    ClosedRealmError,
    DecryptionFailedError,
    Field,
    FileError,
    InvalidDatabaseError,
    List,
    MismatchedConfigError,
    MissingPrimaryKeyError,
    Model,
    NewerFormatError,
    NoSuchTableError,
    Realm,
    RealmConfiguration,
    TypeMismatchError,
    WriteTimeoutError,
    WrongThreadError,
    WrongTransactionStateError,
)


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    friends: List[Dog]


class Note(Model):
    text: str


def on_another_thread(function: Callable[[], object]) -> BaseException | None:
    """What ``function`` raises there."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - handed over
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


# --- opening ----------------------------------------------------------------------------------------------------------


def test_open_write_read_close(tmp_path: Path) -> None:
    path = tmp_path / "dogs.realm"
    with Realm.open(path, schema=[Dog]) as realm:
        assert realm.is_empty
        with realm.write():
            realm.create(Dog, name="Rex", age=3)
        assert not realm.is_empty
        assert not realm.is_closed
    assert realm.is_closed
    with Realm.open(RealmConfiguration(path, schema=[Dog])) as realm:
        rex = realm.get(Dog, "Rex")
        assert rex is not None
        assert rex.age == 3
        assert repr(realm) == f"<Realm {path}>"
        assert [schema.name for schema in realm.schema] == ["Dog"]
        assert realm.config.path == path
        assert realm.sync_session is None
    assert repr(realm) == f"<Realm {path} (closed)>"


def test_a_file_that_another_process_is_just_making(tmp_path: Path) -> None:
    path = tmp_path / "dogs.realm"
    path.touch()
    with Realm.open(path, schema=[Dog]) as realm:
        assert not realm._context.file.keeps_history, "the other one makes it without history, and could not use it"


def test_what_cannot_be_opened() -> None:
    with pytest.raises(TypeMismatchError, match=r"Realm.open: expected a RealmConfiguration or a path, got int 5"):
        Realm.open(5)
    with pytest.raises(TypeMismatchError, match=r"Realm.open: expected a RealmConfiguration or a path, got int 5"):
        Realm(5)


def test_calling_the_class_opens_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = RealmConfiguration(tmp_path / "a.realm", schema=[Dog], cache=True)
    with Realm(config) as realm:
        assert (realm.path, Realm(config) is realm) == (str(tmp_path / "a.realm"), True)
        assert realm.freeze().thaw() is realm
    with Realm("b.realm", schema=[Dog]) as realm, realm.write():
        realm.create(Dog, name="Rex")
    with Realm() as realm:
        assert realm.path == str(tmp_path / "default.realm")


def test_files_that_are_no_realm(tmp_path: Path, open_realm: OpenRealm) -> None:
    text = tmp_path / "text.realm"
    text.write_text("Dear diary, " * 100)
    with pytest.raises(InvalidDatabaseError, match=r"text.realm is not a Realm file"):
        open_realm(Dog, path=text)
    database = tmp_path / "other.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE t(x)")
    with pytest.raises(InvalidDatabaseError, match=r"is a database, but not a Realm file"):
        open_realm(Dog, path=database)
    with pytest.raises(FileError):
        open_realm(Dog, path=tmp_path / "nowhere" / "a.realm")
    with pytest.raises(FileError):
        open_realm(Dog, path=tmp_path / "missing.realm", read_only=True)


def test_damage_that_is_met_while_objects_are_read(tmp_path: Path, open_realm: OpenRealm) -> None:
    path = tmp_path / "test.realm"
    with open_realm(Dog) as realm, realm.write():
        for number in range(400):
            realm.create(Dog, name=f"dog {number} " + "x" * 200)
    data = path.read_bytes()
    for damage in (b"\xff" * (len(data) // 2), data[len(data) // 2 :].replace(b"xxx", b"\xffxx")):
        path.write_bytes(data[: len(data) // 2] + damage)
        with open_realm(Dog) as realm, pytest.raises(FileError, match=r"test.realm is damaged .*restore it"):
            [dog.name for dog in realm.objects(Dog)]


def test_a_realm_that_lacks_what_every_realm_has(tmp_path: Path, open_realm: OpenRealm) -> None:
    open_realm(Dog).close()
    with sqlite3.connect(tmp_path / "test.realm") as connection:
        connection.execute("DROP TABLE rlm_meta")
    with pytest.raises(FileError, match=r"test.realm is damaged \(no such table: rlm_meta\)"):
        open_realm(Dog)


def test_a_newer_file_is_left_alone(tmp_path: Path, open_realm: OpenRealm) -> None:
    open_realm(Dog).close()
    with sqlite3.connect(tmp_path / "test.realm") as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 1}")
    with pytest.raises(NewerFormatError, match=r"install a newer Syncline"):
        open_realm(Dog)


def test_encryption(tmp_path: Path, open_realm: OpenRealm) -> None:
    key, wrong = os.urandom(64), os.urandom(64)
    realm = open_realm(Note, encryption_key=key)
    with realm.write():
        realm.create(Note, text="a secret")
    with pytest.raises(MismatchedConfigError):
        open_realm(Note, encryption_key=wrong)
    realm.close()
    assert b"a secret" not in (tmp_path / "test.realm").read_bytes()
    for bad in (None, wrong):
        with pytest.raises(DecryptionFailedError):
            open_realm(Note, encryption_key=bad)
    assert open_realm(Note, encryption_key=key).objects(Note)[0].text == "a secret"


def test_in_memory_realms_are_shared_by_name() -> None:
    one = Realm.open(in_memory="shared", schema=[Note])
    with one.write():
        one.create(Note, text="x")
    with Realm.open(in_memory="shared", schema=[Note]) as two, Realm.open(in_memory=True, schema=[Note]) as three:
        assert len(two.objects(Note)) == 1
        assert len(three.objects(Note)) == 0
    directory = Path(one.path).parent
    assert directory.exists()
    one.close()
    assert not directory.exists()


def test_read_only(open_realm: OpenRealm) -> None:
    realm = open_realm(Note)
    with realm.write():
        realm.create(Note, text="x")
    realm.close()
    reader = open_realm(Note, read_only=True)
    assert reader.objects(Note)[0].text == "x"
    with pytest.raises(WrongTransactionStateError, match=r"was opened read-only"):
        reader.begin_write()
    assert len(open_realm(Dog, read_only=True).objects(Dog)) == 0  # a class may be missing


# --- reading ----------------------------------------------------------------------------------------------------------


def test_get_by_key(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog, Note)
    assert realm.get(Dog, "Rex") is None
    with realm.write():
        rex = realm.create(Dog, name="Rex")
        assert realm.get(Dog, "Rex") is rex
    assert realm.get(Dog, "Rex") is rex
    assert realm.get("Dog", "Rex") is rex
    with pytest.raises(TypeMismatchError, match=r"Dog.name: expected str, got int 5"):
        realm.get(Dog, 5)
    with pytest.raises(MissingPrimaryKeyError, match=r"Note has no primary key; use objects\(Note\).where"):
        realm.get(Note, 1)


def test_equal_content_has_an_equal_hash(open_realm: OpenRealm) -> None:
    one, two = open_realm(Dog, path=None, in_memory=True), open_realm(Dog, path=None, in_memory=True)
    for realm, names in ((one, "ab"), (two, "ba")):
        with realm.write():
            for name in names:
                realm.create(Dog, name=name)
    assert one.content_hash() == two.content_hash()
    with two.write():
        two.get(Dog, "a").age = 1  # type: ignore[union-attr]
    assert one.content_hash() != two.content_hash()
    assert len(one.content_hash()) == 64


def test_classes_that_are_not_there(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with pytest.raises(
        NoSuchTableError, match=r"Note is not in the schema of this Realm; open it with .*\[Dog, Note\]"
    ):
        realm.objects(Note)
    with pytest.raises(NoSuchTableError, match=r"this Realm has no class 'Dgo': did you mean 'Dog'?"):
        realm.objects("Dgo")
    with pytest.raises(NoSuchTableError, match=r"this Realm has no class 'Zebra': it has Dog"):
        realm.get("Zebra", 1)
    with pytest.raises(TypeMismatchError, match=r"expected a model class or the name of one, got int 5"):
        realm.objects(5)  # type: ignore[call-overload]


# --- after close, on another thread -----------------------------------------------------------------------------------


def uses(realm: Realm, rex: Dog) -> dict[str, Callable[[], Any]]:
    """Everything one can do with a Realm and what comes from it."""
    dogs = realm.objects(Dog)
    friends = rex.friends
    return {
        "objects": lambda: realm.objects(Dog),
        "get": lambda: realm.get(Dog, "Rex"),
        "write": realm.begin_write,
        "refresh": realm.refresh,
        "version": lambda: realm.version,
        "freeze": realm.freeze,
        "observe": lambda: realm.observe(lambda realm, event: None),
        "wait": lambda: realm.wait_for_change(0),
        "is empty": lambda: realm.is_empty,
        "session": lambda: realm.sync_session,
        "attribute": lambda: rex.age,
        "assign": lambda: setattr(rex, "age", 5),
        "list": lambda: friends[0],
        "list length": lambda: len(friends),
        "list of object": lambda: rex.friends,
        "results": lambda: dogs[0],
        "length": lambda: len(dogs),
        "iterate": lambda: list(dogs),
        "where": lambda: dogs.where(Dog.age > 3),
        "observe object": lambda: rex.observe(lambda dog, change: None),
        "observe results": lambda: dogs.observe(lambda dogs, change: None),
    }


def realm_with_a_dog(open_realm: OpenRealm) -> tuple[Realm, Dog]:
    realm = open_realm(Dog)
    with realm.write():
        rex = realm.create(Dog, name="Rex")
        rex.friends.append(rex)
    assert rex.age == 0
    return realm, rex


def test_nothing_works_after_close(open_realm: OpenRealm) -> None:
    realm, rex = realm_with_a_dog(open_realm)
    actions = uses(realm, rex)
    realm.close()
    realm.close()
    for name, action in actions.items():
        with pytest.raises(ClosedRealmError, match=r"test.realm was closed; open it again"):
            pytest.fail(f"{name} gave {action()!r}")
    assert not rex.is_valid


def test_nothing_works_on_another_thread(open_realm: OpenRealm) -> None:
    realm, rex = realm_with_a_dog(open_realm)
    for name, action in uses(realm, rex).items():
        error = on_another_thread(action)
        assert isinstance(error, WrongThreadError), name
        assert "was opened on another thread: open it again on this one" in str(error)
    assert isinstance(on_another_thread(realm.close), WrongThreadError)
    assert "on another thread" in str(threading_repr(rex))
    assert rex.age == 0


def threading_repr(obj: object) -> str:
    shown: list[str] = []
    on_another_thread(lambda: shown.append(repr(obj)))
    return shown[0]


def test_closing_inside_a_write_cancels_it(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    realm.begin_write()
    realm.create(Dog, name="Rex")
    realm.close()
    assert len(open_realm(Dog).objects(Dog)) == 0


def test_a_forgotten_realm_gives_everything_back(tmp_path: Path) -> None:
    realm = Realm.open(tmp_path / "a.realm", schema=[Dog])
    realm.begin_write()
    realm.create(Dog, name="Rex")
    file = realm._context.file
    del realm
    gc.collect()
    assert file.is_closed
    with Realm.open(tmp_path / "a.realm", schema=[Dog]) as again, again.write(timeout=1):
        assert len(again.objects(Dog)) == 0


def test_a_forked_child_opens_what_was_closed(tmp_path: Path) -> None:
    program = f"""
import os, sys
from syncline import ClosedRealmError, Field, IllegalOperationError, Model, Realm

class Dog(Model):
    name: str = Field(primary_key=True)

realm = Realm.open({str(tmp_path / "a.realm")!r}, schema=[Dog])
with realm.write():
    rex = realm.create(Dog, name="Rex")
child = os.fork()
if child == 0:
    try:
        print(rex.name)
    except ClosedRealmError:
        try:
            Realm.open({str(tmp_path / "a.realm")!r}, schema=[Dog])
        except IllegalOperationError as error:
            assert "close it before the fork" in str(error).lower()
            with Realm.open({str(tmp_path / "b.realm")!r}, schema=[Dog]) as other, other.write():
                other.create(Dog, name="Bo")
            os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
with Realm.open({str(tmp_path / "b.realm")!r}, schema=[Dog]) as other:
    assert [dog.name for dog in other.objects(Dog)] == ["Bo"]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_objects_keep_their_realm_open(tmp_path: Path) -> None:
    realm = Realm.open(tmp_path / "a.realm", schema=[Dog])
    with realm.write():
        rex = realm.create(Dog, name="Rex", age=3)
    del realm
    gc.collect()
    assert rex.age == 3
    assert rex.realm is not None
    rex.realm.close()


# --- versions ---------------------------------------------------------------------------------------------------------


def test_a_realm_stays_at_its_version(open_realm: OpenRealm) -> None:
    reader, writer = open_realm(Dog), open_realm(Dog)
    dogs = reader.objects(Dog)
    assert len(dogs) == 0
    version = reader.version
    with writer.write():
        writer.create(Dog, name="Rex")
    assert (len(dogs), reader.version) == (0, version)
    assert reader.wait_for_change(5)
    assert reader.refresh()
    assert (len(dogs), reader.version) == (1, version + 1)
    assert not reader.refresh()
    assert not reader.wait_for_change(0.01)
    assert not reader.pump(0.01)


def test_rows_follow_the_version(open_realm: OpenRealm) -> None:
    reader, writer = open_realm(Dog), open_realm(Dog)
    with writer.write():
        mine = writer.create(Dog, name="Rex", age=1)
    reader.refresh()
    theirs = reader.get(Dog, "Rex")
    assert theirs is not None
    assert theirs.age == 1
    with writer.write():
        mine.age = 2
    assert (mine.age, theirs.age) == (2, 1)
    reader.refresh()
    assert theirs.age == 2
    assert reader.number_of_versions == 1


def test_invalidate_reads_the_newest(open_realm: OpenRealm) -> None:
    reader, writer = open_realm(Dog), open_realm(Dog)
    dogs = reader.objects(Dog)
    assert len(dogs) == 0
    with writer.write():
        writer.create(Dog, name="Rex")
    reader.invalidate()
    assert len(dogs) == 1
    reader.begin_write()
    reader.create(Dog, name="Bo")
    reader.invalidate()
    assert len(dogs) == 1
    assert not reader.in_write


def test_frozen_realms_stay_and_pass_threads(open_realm: OpenRealm) -> None:
    realm, rex = realm_with_a_dog(open_realm)
    frozen = realm.freeze()
    with realm.write():
        rex.age = 9
    still = frozen.get(Dog, "Rex")
    assert still is not None
    ages: list[int] = []
    assert on_another_thread(lambda: ages.append(still.age + len(frozen.objects(Dog)) + len(still.friends))) is None
    assert ages == [2]
    assert rex.age == 9
    assert still != rex
    assert still.same_object(rex)
    assert frozen.is_frozen
    assert frozen.freeze() is frozen
    assert not frozen.refresh()
    assert "(frozen)" in repr(frozen)
    with pytest.raises(
        WrongTransactionStateError, match=r"a frozen Realm does not change; use realm.thaw\(\) to write"
    ):
        frozen.begin_write()
    with pytest.raises(WrongTransactionStateError, match=r"a frozen Realm does not change"):
        still.age = 5
    with pytest.raises(
        WrongTransactionStateError, match=r"a frozen Realm never changes, so there is nothing to observe"
    ):
        still.observe(lambda dog, change: None)
    with pytest.raises(WrongTransactionStateError, match=r"a frozen Realm does not change"):
        frozen.auto_refresh = True
    assert frozen.thaw() is realm
    assert realm.thaw() is realm
    frozen.close()
    with pytest.raises(ClosedRealmError):
        _ = still.age
    with realm.write(), pytest.raises(WrongTransactionStateError, match=r"what is being written cannot be frozen"):
        realm.freeze()


def test_a_writer_elsewhere_can_be_waited_for(open_realm: OpenRealm) -> None:
    one, two = open_realm(Dog), open_realm(Dog)
    with one.write():
        with pytest.raises(WriteTimeoutError, match=r"did not end within 0.01 s"):
            two.begin_write(timeout=0.01)
        assert not two.in_write
    with two.write(timeout=5):
        assert two.in_write
