"""The eleven rules of write transactions, by their numbers (spec/sdk.md §5.1), and what joins them (§12.3)."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm
from tests.realm.test_threads import elsewhere

from syncline import (
    CollectionChange,
    Dictionary,
    EmbeddedModel,
    Field,
    FileError,
    InvalidatedObjectError,
    List,
    Model,
    NotificationToken,
    ObjectChange,
    Realm,
    Set,
    ThreadSafeReference,
    UpdateMode,
    WriteTimeoutError,
    WrongThreadError,
    WrongTransactionStateError,
)
from syncline.realm.schema_changes import SchemaMode
from syncline.storage.file import RealmFile


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    friends: List["Dog"]  # noqa: UP037 - the class itself
    nicknames: Set[str]
    scores: Dictionary[int]
    extra: Any = None


def test_1_one_writer_at_a_time_over_threads(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    outcomes: list[str] = []

    def write(timeout: float | None) -> None:
        with Realm.open(realm.config) as mine:
            try:
                mine.begin_write(timeout)
            except WriteTimeoutError:
                outcomes.append("too late")
                return
            outcomes.append("written")
            mine.cancel_write()

    threads = [threading.Thread(target=write, args=(timeout,)) for timeout in (0.01, None)]
    with realm.write():
        for thread in threads:
            thread.start()
        threads[0].join()
        assert outcomes == ["too late"]
    threads[1].join()
    assert outcomes == ["too late", "written"]


def test_2_what_cannot_begin_lets_the_next_writer_in(open_realm: OpenRealm, monkeypatch: pytest.MonkeyPatch) -> None:
    realm, told = open_realm(Dog), list[int]()
    token = realm.objects(Dog).observe(lambda dogs, change: told.append(len(dogs)))
    realm.refresh()

    def commit() -> None:
        with Realm.open(realm.config) as other, other.write():
            other.create(Dog, name="Rex")

    def fail(file: RealmFile, after: int, up_to: int) -> None:
        raise FileError("the disk is gone")

    elsewhere(commit)
    monkeypatch.setattr(realm, "_catch_up", lambda: None)
    monkeypatch.setattr(RealmFile, "change_logs", fail)
    with pytest.raises(FileError, match="the disk is gone"):
        realm.begin_write()
    monkeypatch.undo()
    with realm.write(timeout=0):
        realm.create(Dog, name="Bo")
    realm.refresh()
    assert told == [0, 1, 2]  # those of before are told when it begins
    token.invalidate()


def test_1_one_writer_at_a_time_over_processes(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    program = f"""
import sys
from syncline import Realm, WriteTimeoutError
with Realm.open({realm.path!r}) as realm:
    try:
        realm.begin_write(0.01)
    except WriteTimeoutError:
        print("too late", len(realm.objects("Dog")), flush=True)
    sys.stdin.readline()
    with realm.write(timeout=20):
        print("written", flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        with realm.write():
            realm.create(Dog, name="Rex")
            assert process.stdout.readline() == "too late 0\n"  # reading does not wait
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "written\n"


def test_2_beginning_delivers_first(open_realm: OpenRealm) -> None:
    realm, other = open_realm(Dog), open_realm(Dog)
    order: list[object] = []
    with realm.objects(Dog).observe(lambda dogs, change: order.append(change.insertions)):
        realm.refresh()
        with other.write():
            other.create(Dog, name="Rex")
        with realm.write():
            order.append("body")
            assert len(realm.objects(Dog)) == 1
    assert order == [(), (0,), "body"]


def test_3_transactions_do_not_nest(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        assert realm.in_write
        for nested in (realm.begin_write, realm.write().__enter__):
            with pytest.raises(WrongTransactionStateError, match=r"do not nest"):
                nested()
        assert realm.in_write
    assert not realm.in_write


def test_4_only_this_realm_sees_what_is_not_committed(open_realm: OpenRealm) -> None:
    realm, other = open_realm(Dog), open_realm(Dog)
    mine, theirs = realm.objects(Dog), other.objects(Dog)
    with realm.write():
        realm.create(Dog, name="Rex")
        assert len(mine) == 1
        assert len(theirs) == 0
        assert not other.refresh()
        realm.create(Dog, name="Bo")
        assert [dog.name for dog in mine] == ["Rex", "Bo"]
    other.refresh()
    assert len(theirs) == 2


def test_5_commit_tells_the_realms_observers_at_once_and_others_later(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    events: list[object] = []
    with (
        realm.observe(lambda realm, event: events.append((event, realm.version))),
        realm.objects(Dog).observe(lambda dogs, change: events.append(change.insertions)),
    ):
        realm.refresh()
        events.clear()
        version = realm.version
        with realm.write():
            realm.create(Dog, name="Rex")
        assert realm.version == version + 1
        assert events == [("change", version + 1)]
        realm.refresh()
        assert events[1:] == [(0,)]


def test_6_cancelling_undoes_everything_and_tells_nobody(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        rex = realm.create(Dog, name="Rex", age=3, nicknames={"R"})
    changes: list[CollectionChange] = []
    with realm.objects(Dog).observe(lambda dogs, change: changes.append(change)):
        realm.refresh()
        changes.clear()
        version = realm.version
        realm.begin_write()
        new = realm.create(Dog, name="Bo")
        nicknames = rex.nicknames
        nicknames.add("X")
        realm.delete(rex)
        realm.cancel_write()
        realm.refresh()
        assert changes == []
    assert realm.version == version
    assert (new.is_valid, rex.is_valid) == (False, False)
    again = realm.get(Dog, "Rex")
    assert again is not None
    assert (again.age, set(again.nicknames)) == (3, {"R"})


def test_7_a_commit_without_changes_is_no_version(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    changes: list[object] = []
    with realm.objects(Dog).observe(lambda dogs, change: changes.append(change)):
        realm.refresh()
        version = realm.version
        with realm.write():
            assert len(realm.objects(Dog)) == 0
        realm.refresh()
        assert (realm.version, len(changes)) == (version, 1)


def test_8_nothing_is_written_outside(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        rex = realm.create(Dog, name="Rex", extra=[1], scores={"a": 1})
    for action in (
        lambda: setattr(rex, "age", 1),
        lambda: rex.friends.append(rex),
        lambda: rex.nicknames.add("R"),
        lambda: rex.scores.update(a=2),
        lambda: rex.extra.append(2),
        lambda: realm.create(Dog, name="Bo"),
        lambda: realm.delete(rex),
        lambda: realm.objects(Dog).update(age=1),
        realm.commit_write,
        realm.cancel_write,
    ):
        with pytest.raises(WrongTransactionStateError, match=r"changes need a write transaction"):
            action()


@pytest.mark.parametrize("end", [Realm.close, Realm.invalidate])
def test_9_closing_or_invalidating_cancels(open_realm: OpenRealm, end: Callable[[Realm], None]) -> None:
    realm, other = open_realm(Dog), open_realm(Dog)
    with realm.write():
        realm.create(Dog, name="Rex")
        end(realm)
    with other.write(timeout=5):
        assert len(other.objects(Dog)) == 0


def test_10_an_exception_undoes_and_goes_on_unchanged(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    error = ValueError("mine")

    def fail(cancels: bool) -> None:
        with realm.write() as transaction:
            realm.create(Dog, name="Rex")
            if cancels:
                transaction.cancel()
            raise error

    for cancels in (False, True):
        with pytest.raises(ValueError, match="mine") as caught:
            fail(cancels)
        assert caught.value is error
    with realm.write() as transaction:
        realm.create(Dog, name="Rex")
        transaction.cancel()
    assert len(realm.objects(Dog)) == 0


def test_11_what_is_frozen_or_read_only_refuses(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    frozen = realm.freeze()
    for begin in (frozen.begin_write, frozen.write().__enter__):
        with pytest.raises(WrongTransactionStateError, match=r"a frozen Realm does not change"):
            begin()
    frozen.close()
    realm.close()
    for options in ({"read_only": True}, {"schema_mode": SchemaMode.IMMUTABLE}):
        with open_realm(Dog, **options) as refusing:
            for begin in (refusing.begin_write, refusing.write().__enter__):
                with pytest.raises(WrongTransactionStateError, match=r"read-only"):
                    begin()
            assert not refusing.in_write


def test_a_transactional_function_joins_or_makes_a_transaction(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)

    @realm.transactional
    def rename(dog: Dog, *, age: int) -> int:
        """Make it older."""
        dog.age = age
        if age < 0:
            raise ValueError(age)
        return dog.age

    with realm.write():
        rex = realm.create(Dog, name="Rex")
        assert rename(rex, age=1) == 1
        assert realm.in_write
    version = realm.version
    assert rename(rex, age=2) == 2
    assert realm.version == version + 1
    with pytest.raises(ValueError, match="-1"):
        rename(rex, age=-1)
    assert (rex.age, realm.in_write) == (2, False)
    assert (rename.__name__, rename.__doc__) == ("rename", "Make it older.")


def test_every_accessor_keeps_to_its_thread(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write():
        rex = realm.create(Dog, name="Rex", friends=[], nicknames={"R"}, scores={"a": 1}, extra=[{"k": 1}])
        rex.friends.append(rex)
    dogs, friends, nicknames, scores = realm.objects(Dog), rex.friends, rex.nicknames, rex.scores
    extra, inner = rex.extra, rex.extra[0]
    of_list = friends.sort("name")
    actions: dict[str, Callable[[], Any]] = {
        "attribute": lambda: rex.age,
        "assignment": lambda: setattr(rex, "age", 1),
        "collection property": lambda: rex.friends,
        "observe object": lambda: rex.observe(lambda dog, change: None),
        "freeze object": rex.freeze,
        "iterate backlinks": lambda: rex.linking_objects(Dog, "friends"),
        "objects": lambda: realm.objects(Dog),
        "get": lambda: realm.get(Dog, "Rex"),
        "version": lambda: realm.version,
        "refresh": realm.refresh,
        "write": lambda: realm.begin_write(),
        "commit": lambda: realm.commit_write(),
        "wait": lambda: realm.wait_for_change(0),
        "pump": realm.pump,
        "invalidate": realm.invalidate,
        "freeze": realm.freeze,
        "observe realm": lambda: realm.observe(lambda realm, event: None),
        "auto_refresh": lambda: setattr(realm, "auto_refresh", False),
        "close": realm.close,
    }
    for name, collection in {
        "results": dogs, "results of a list": of_list, "list": friends, "set": nicknames, "dictionary": scores,
        "list in Mixed": extra, "dictionary in Mixed": inner,
    }.items():  # fmt: skip
        actions[f"len of {name}"] = lambda collection=collection: len(collection)  # type: ignore[misc]
        actions[f"iterate {name}"] = lambda collection=collection: list(collection)  # type: ignore[misc]
        actions[f"in {name}"] = lambda collection=collection: rex in collection  # type: ignore[misc]
        actions[f"freeze {name}"] = collection.freeze
        if name != "dictionary in Mixed" and name != "list in Mixed":
            actions[f"observe {name}"] = lambda c=collection: c.observe(lambda thing, change: None)  # type: ignore[misc]
    failed: dict[str, object] = {}

    def run() -> None:
        for name, action in actions.items():
            try:
                failed[name] = action()
            except WrongThreadError:
                continue
            except Exception as error:  # noqa: BLE001 - it should have been the other one
                failed[name] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == {}
    assert rex.age == 0


def test_commits_without_pins_do_not_let_the_file_grow(open_realm: OpenRealm) -> None:
    """With ``SYNCLINE_COMMITS=10000`` in full; observers that are told of every commit pin nothing."""
    realm = open_realm(Dog, path=None, in_memory="grows")
    with realm.write():
        rex = realm.create(Dog, name="Rex")
    told: list[ObjectChange] = []
    with rex.observe(lambda dog, change: told.append(change)):
        commits = int(os.environ.get("SYNCLINE_COMMITS", "1200"))
        for age in range(commits):
            with realm.write():
                rex.age = age
        realm.refresh()
    assert len(told) == commits
    assert realm.number_of_versions == 1
    sizes = {path.suffix: path.stat().st_size for path in Path(realm.path).parent.iterdir()}
    assert sizes[".realm"] < 300_000
    assert sum(sizes.values()) < 6_000_000  # a write-ahead log of 1000 pages
    assert realm._context.file.query("SELECT count(*) FROM rlm_commit")[0][0] < 330


def test_every_version_is_given_back(open_realm: OpenRealm) -> None:
    """Whatever holds one, by itself and by what is left of it."""
    realm = open_realm(Dog)
    with realm.write():
        rex = realm.create(Dog, name="Rex", scores={"a": 1})
        rex.friends.append(rex)
    holders: dict[str, Callable[[], Any]] = {
        "a frozen Realm": realm.freeze,
        "a frozen object": rex.freeze,
        "a frozen list": rex.friends.freeze,
        "frozen results": realm.objects(Dog).sort("age").freeze,
        "a frozen section": lambda: realm.objects(Dog).sectioned("age").freeze()[0],
        "a view of a frozen dictionary": lambda: rex.scores.freeze().values(),
        "an iterator over frozen results": lambda: iter(realm.objects(Dog).freeze()),
        "a reference": lambda: ThreadSafeReference(rex),
        "another Realm": lambda: Realm.open(realm.config).objects(Dog).first(),
        "an observer that looks back": lambda: rex.observe(print, key_paths=["@links.Dog.friends"]),
    }
    for name, hold in holders.items():
        held = [hold()]
        for age in range(2):
            with realm.write(without_notifying=held if isinstance(held[0], NotificationToken) else ()):
                rex.age = age
        assert realm.number_of_versions == 2, name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            held.clear()
            gc.collect(1)
        realm.refresh()
        assert realm.number_of_versions == 1, name


def test_a_begun_transaction_ends_by_what_was_returned(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    for name, end in {"commit": True, "cancel": False, "block": True}.items():
        transaction = realm.begin_write()
        realm.create(Dog, name=name)
        if name == "block":
            with transaction:
                pass
        else:
            getattr(transaction, name)()
        assert (realm.get(Dog, name) is not None) is end, name
        with pytest.raises(WrongTransactionStateError, match="has ended already"):
            transaction.commit()
        assert not realm.in_write


def test_a_cancelled_transaction_keeps_objects_invalid(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    realm.begin_write()
    rex = realm.create(Dog, name="Rex")
    friends = rex.friends
    realm.cancel_write()
    with pytest.raises(InvalidatedObjectError):
        _ = rex.age
    with pytest.raises(InvalidatedObjectError):
        _ = len(friends)


def test_a_transaction_ends_only_itself(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    first = realm.begin_write()
    realm.commit_write()
    second = realm.begin_write()
    for end in (first.commit, first.cancel):
        with pytest.raises(WrongTransactionStateError, match="has ended already"):
            end()
    assert realm.in_write
    with second, pytest.raises(WrongTransactionStateError, match="do not nest"):
        second.__enter__()
    with realm.write():  # the end of a block ends what runs
        realm.commit_write()
        realm.begin_write()
        realm.create(Dog, name="Rex")
    assert not realm.in_write
    assert realm.get(Dog, "Rex") is not None


def test_a_commit_that_is_refused_leaves_the_end_to_the_block(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    with realm.write() as transaction:
        realm.create(Dog, name="Rex")
        with ThreadPoolExecutor(1) as pool, pytest.raises(WrongThreadError):
            pool.submit(transaction.commit).result()
    assert not realm.in_write
    assert realm.get(Dog, "Rex") is not None


def test_objects_of_a_cancelled_transaction_do_not_become_others(open_realm: OpenRealm) -> None:
    """Later objects get their numbers."""
    realm = open_realm(Dog)
    realm.begin_write()
    undone = [realm.create(Dog, name="Rex"), realm.add(Dog(name="Bo"))]
    nicknames, friends = undone[0].nicknames, undone[1].friends
    realm.cancel_write()
    with realm.write():
        created = [realm.create(Dog, name="Ann"), realm.create(Dog, {"name": "Bea"}, update=UpdateMode.ALL)]
        realm.create_many(Dog, [("Cid",)], properties=("name",))
    assert [each.is_valid for each in (*undone, nicknames, friends)] == [False] * 4
    assert not any(dog is old for dog in realm.objects(Dog) for old in undone)
    assert [dog.name for dog in created] == ["Ann", "Bea"]


class Page(EmbeddedModel):
    number: int


class Book(Model):
    id: int = Field(primary_key=True)
    title: str = ""
    first: Page | None
    pages: List[Page]


def test_a_cancelled_transaction_keeps_objects_invalid_that_went_with_others(open_realm: OpenRealm) -> None:
    realm = open_realm(Book, Page)
    with realm.write():
        one = realm.create(Book, id=1, first=Page(number=0), pages=[Page(number=n) for n in range(3)])
        two = realm.create(Book, id=2, first=Page(number=9))
    pages, others = [one.first, *one.pages], [two.first]
    realm.begin_write()
    realm.delete(one)
    two.first = None
    assert [page.is_valid for page in (*pages, *others)] == [False] * 5
    realm.cancel_write()
    assert [page.is_valid for page in (*pages, *others)] == [False] * 5
    assert not one.is_valid
    again = realm.get(Book, 1)
    assert again is not None
    assert [page.number for page in (again.first, *again.pages)] == [0, 0, 1, 2]
    assert two.first is not None
    assert two.first.number == 9


@pytest.mark.parametrize("through_older", [False, True])
def test_both_objects_of_a_row_stay_invalid(open_realm: OpenRealm, through_older: bool) -> None:
    realm = open_realm(Book, Page)
    with realm.write():
        older = realm.create(Book, id=1, title="first")
        newer = Book(id=1, title="second")
        realm.add(newer, update=UpdateMode.ALL)
    assert older is not newer
    realm.begin_write()
    realm.delete(older if through_older else newer)
    assert [older.is_valid, newer.is_valid] == [False, False]
    realm.cancel_write()
    assert [older.is_valid, newer.is_valid] == [False, False]
    again = realm.get(Book, 1)
    assert again is not None
    assert again.title == "second"


def test_both_objects_of_a_row_that_was_never_committed_stay_invalid(open_realm: OpenRealm) -> None:
    realm = open_realm(Book, Page)
    realm.begin_write()
    older = realm.create(Book, id=1, title="first", pages=[Page(number=1)])
    pages = older.pages
    newer = Book(id=1, title="second")
    realm.add(newer, update=UpdateMode.ALL)
    realm.cancel_write()
    with realm.write():
        other = realm.create(Book, id=2, title="another", pages=[Page(number=7)])
    assert [older.is_valid, newer.is_valid, other.is_valid] == [False, False, True]
    with pytest.raises(InvalidatedObjectError):
        len(pages)
