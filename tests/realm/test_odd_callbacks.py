"""Applications that do everything wrong in callbacks, and when: nobody else suffers from it (spec/sdk.md §9.4)."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm
from tests.realm.told import Log

from syncline import (
    CollectionChange,
    DiskFullError,
    Field,
    InvalidExternalSchemaChangeError,
    List,
    Model,
    ObjectChange,
    Realm,
    RealmConfiguration,
    ThreadSafeReference,
    WrongTransactionStateError,
)
from syncline.realm.observers import CHANGE, ObserverToken

FIRST = CollectionChange(initial=True)


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    friends: List[Dog]
    numbers: List[int]


class Person(Model):
    name: str = Field(primary_key=True)
    dogs: List[Dog]


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    opened = open_realm(Dog, Person)
    add(opened, "a")
    return opened


def add(realm: Realm, *names: str) -> None:
    with realm.write():
        for name in names:
            realm.create(Dog, name=name)


def dog(realm: Realm, name: str) -> Dog:
    found = realm.get(Dog, name)
    assert found is not None
    return found


# --- code of the application that runs while change sets are worked out -----------------------------------------------


class Key:
    """A key function of sections that can be told to fail."""

    def __init__(self) -> None:
        self.then: Callable[[], object] = lambda: None

    def __call__(self, dog: Dog) -> int:
        self.then()
        return dog.age


def fail() -> None:
    raise ValueError("the key")


def test_a_key_function_that_fails_takes_nothing_from_others(realm: Realm, open_realm: OpenRealm) -> None:
    other, key = open_realm(Dog, Person), Key()
    before, sections, section, after = Log(), Log(), Log(), Log()
    sectioned = realm.objects(Dog).sectioned(key)
    with (
        realm.objects(Dog).observe(before),
        sectioned.observe(sections),
        sectioned.section(0).observe(section),
        realm.objects(Dog).observe(after),
    ):
        realm.refresh()
        for log in (before, sections, section, after):
            log.take()
        reported: list[Exception] = []
        realm.on_callback_error = reported.append
        key.then = fail
        add(other, "b")
        with pytest.raises(ValueError, match="the key"):
            realm.refresh()
        assert [type(error) for error in reported] == [ValueError]
        assert before.take() == after.take() == [CollectionChange((), (1,))]
        assert sections.take() == section.take() == []
        key.then = lambda: None
        add(other, "c")
        realm.refresh()
        assert before.take() == after.take() == [CollectionChange((), (2,))]
        (change,) = sections.take()
        assert change.insertions == {0: (1, 2)}  # what was missed is told
        assert section.take()[0].insertions == (1, 2)
        add(other, "d")
        realm.refresh()
        assert section.take() == [CollectionChange((), (3,))]


def test_a_key_function_that_is_interrupted_takes_nothing_from_anybody(realm: Realm, open_realm: OpenRealm) -> None:
    other, key = open_realm(Dog, Person), Key()
    before, sections, after = Log(), Log(), Log()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with (
        realm.objects(Dog).observe(before),
        realm.objects(Dog).sectioned(key).observe(sections),
        realm.objects(Dog).observe(after),
    ):
        realm.refresh()
        for log in (before, sections, after):
            log.take()
        key.then = interrupt
        add(other, "b")
        with pytest.raises(KeyboardInterrupt):
            realm.refresh()
        key.then = lambda: None
        realm.refresh()
        for log in (before, after):
            assert [change.insertions for change in log.take()] == [(1,)]
        assert [change.insertions for change in sections.take()] == [{0: (1,)}]


def test_a_key_function_does_not_write_or_close(realm: Realm, open_realm: OpenRealm) -> None:
    key, log = Key(), Log()
    other = open_realm(Dog, Person)
    with realm.objects(Dog).sectioned(key).observe(Log()), realm.objects(Dog).observe(log):
        realm.refresh()
        log.take()
        key.then = lambda: add(realm, "x")
        add(other, "b")
        with pytest.raises(WrongTransactionStateError, match=r"while observers are told"):
            realm.refresh()
        assert log.take() == [CollectionChange((), (1,))]
        key.then = realm.refresh
        add(other, "c")
        realm.refresh()
        assert log.take() == [CollectionChange((), (2,))]
        key.then = realm.close
        add(other, "d")
        realm.refresh()
        assert (realm.is_closed, log.take()) == (True, [])


# --- exceptions that nobody takes -------------------------------------------------------------------------------------


def test_the_interpreters_own_hook_takes_what_nobody_else_does(
    realm: Realm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.unraisablehook", sys.__unraisablehook__)
    with realm.observe(lambda realm, event: 1 / 0):
        add(realm, "b")
    assert realm.get(Dog, "b") is not None
    written = capsys.readouterr().err
    assert written.startswith("an observer of a Realm raised an exception:\nTraceback")
    assert "ZeroDivisionError" in written


# --- moving on and letting go in a callback ---------------------------------------------------------------------------


def test_resolving_in_a_callback_moves_on_and_says_so(realm: Realm, open_realm: OpenRealm) -> None:
    other, events, log = open_realm(Dog, Person), Log(), Log()

    def resolve(change: CollectionChange) -> None:
        if change.insertions == (1,):
            add(other, "c")
            assert realm.resolve(ThreadSafeReference(dog(other, "c"))) is not None

    with realm.observe(events), realm.objects(Dog).observe(Log(resolve)), realm.objects(Dog).observe(log):
        realm.refresh()
        add(other, "b")
        log.take()
        realm.refresh()
        assert events.take() == [CHANGE, CHANGE]
        assert log.take() == [CollectionChange((), (1,))]
        realm.refresh()
        assert (events.take(), log.take()) == ([], [CollectionChange((), (2,))])


def test_invalidating_in_a_callback_is_no_trouble(realm: Realm, open_realm: OpenRealm) -> None:
    other, log = open_realm(Dog, Person), Log()
    with realm.objects(Dog).observe(lambda dogs, change: realm.invalidate()), realm.objects(Dog).observe(log):
        realm.refresh()
        for number, name in enumerate("bc"):
            log.take()
            add(other, name)
            realm.refresh()
            assert log.take() == [CollectionChange((), (number + 1,))]


def test_deleting_what_is_observed_in_a_callback(realm: Realm) -> None:
    a, second, numbers = dog(realm, "a"), Log(), Log()

    def delete(observed: Dog, change: ObjectChange) -> None:
        if not change.deleted:
            with realm.write():
                realm.delete(observed)

    with a.observe(delete), a.observe(second), a.numbers.observe(numbers):
        realm.refresh()
        numbers.take()
        with realm.write():
            a.age = 3
            a.numbers.append(1)
        realm.refresh()
        assert (second.take(), numbers.take()) == (
            [ObjectChange(changed=("age", "numbers"))],
            [CollectionChange((), (0,))],
        )
        realm.refresh()
        assert (second.take(), numbers.take()) == (
            [ObjectChange(deleted=True)],
            [CollectionChange((0,), root_deleted=True)],
        )
        add(realm, "a")
        realm.refresh()
        assert (second.take(), numbers.take()) == ([], [])


def test_closing_inside_a_commit(realm: Realm, open_realm: OpenRealm) -> None:
    events, log, other = Log(), Log(), open_realm(Dog, Person)
    tokens = [
        realm.observe(lambda realm, event: realm.close()),
        realm.observe(events),
        realm.objects(Dog).observe(log),
    ]
    realm.refresh()
    log.take()
    add(realm, "b")
    assert (realm.is_closed, events.take(), log.take()) == (True, [], [])
    assert not any(token.is_valid for token in tokens)
    other.refresh()
    assert len(other.objects(Dog)) == 2


# --- left out, and linked meanwhile -----------------------------------------------------------------------------------


def test_links_of_a_commit_that_was_left_out_are_known_to_have_gone(realm: Realm, open_realm: OpenRealm) -> None:
    other, log = open_realm(Dog, Person), Log()
    with realm.write():
        realm.create(Person, name="x")
    for observed in (realm.objects(Dog), dog(realm, "a")):
        with observed.observe(log, key_paths=["@links.Person.dogs"]) as token:
            realm.refresh()
            log.take()
            with realm.write(without_notifying=[token]):
                realm.get(Person, "x").dogs.append(dog(realm, "a"))  # type: ignore[union-attr]
            with other.write():
                other.get(Person, "x").dogs.clear()  # type: ignore[union-attr]
            realm.refresh()
            assert len(log.take()) == 1
            realm.refresh()
            assert log.take() == []
        realm.refresh()
        other.refresh()
    assert realm.number_of_versions == 1
    assert len(realm._context.pins.detach) <= 3


# --- a schema that does not fit any more ------------------------------------------------------------------------------


def test_a_version_that_does_not_fit_is_not_moved_to(realm: Realm) -> None:
    """The Realm stays where it is, whole, and says so whenever it should move."""
    log, events, a = Log(), Log(), dog(realm, "a")
    with realm.write():
        realm.create(Person, name="x")
    with realm.objects(Dog).observe(log), realm.observe(events):
        realm.refresh()
        log.take()
        version = realm.version
        with realm._context.file.write() as tx:
            tx.erase_class(tx.catalogue.classes["Person"])
        for move in (realm.refresh, realm.begin_write, realm.refresh, realm.pump):
            with pytest.raises(InvalidExternalSchemaChangeError, match=r"somebody changed Person in"):
                move()
            assert (realm.version, realm.in_write) == (version, False)
            assert [(each.name, each.numbers[:]) for each in realm.objects(Dog)] == [("a", [])]
            assert [each.name for each in realm.objects(Person)] == ["x"]
            assert a.freeze().age == 0
        assert (log.take(), events.take()) == ([], [])
    realm.invalidate()
    uses: list[Callable[[], object]] = [lambda: len(realm.objects(Dog)), lambda: a.age, realm.refresh]
    for use in uses:
        with pytest.raises(InvalidExternalSchemaChangeError):
            use()
    realm.close()
    gc.collect()  # the frozen Realms
    assert realm._context.file.is_closed


async def until(condition: Callable[[], object]) -> None:
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never happened")


# --- a group of commits that is lost ----------------------------------------------------------------------------------


@pytest.mark.parametrize("quietly", [False, True])
def test_of_a_group_that_was_not_stored_nothing_is_told(tmp_path: Path, quietly: bool) -> None:
    """Also where others make as many versions before anybody looks."""

    async def main() -> None:
        config = RealmConfiguration(tmp_path / "test.realm", schema=[Dog, Person])
        with Realm.open(config) as realm, Realm.open(config) as other:
            add(realm, "a", "b")
            a, numbers, old = dog(realm, "a"), Log(), Log()
            with realm.write():
                a.numbers = [1, 2, 3]  # type: ignore[assignment]
            tokens = [a.numbers.observe(numbers), realm.objects(Dog).where(Dog.age > 3).observe(old)]
            await until(lambda: old.changes and numbers.changes)
            numbers.take(), old.take()
            writer = realm._context.file.writer

            def fails() -> None:
                raise DiskFullError("no space left")

            def meanwhile(error: Exception) -> None:
                del writer.finish_group
                with other.write():
                    del dog(other, "a").numbers[0]
                with other.write():
                    dog(other, "b").age = 9

            def prepend() -> None:
                a.numbers.insert(0, 7)
                realm.async_commit(allow_grouping=True, without_notifying=tokens if quietly else [])

            realm.on_callback_error = meanwhile
            writer.finish_group = fails  # type: ignore[method-assign]
            for _ in range(2):
                realm.async_begin(prepend)
            await until(lambda: old.changes and numbers.changes)
            assert [change.insertions for change in old.take()] == [(0,)]
            (change,) = numbers.take()
            mirror = [1, 2, 3]
            for index in reversed(change.deletions):
                del mirror[index]
            for index in change.insertions:
                mirror.insert(index, a.numbers[index])
            assert mirror == list(a.numbers) == [2, 3]
            for token in tokens:
                token.invalidate()

    asyncio.run(main())


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_that_warns_by_an_exception_ends_its_observer(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: unraisable.append(type(args.exc_value)))
    token = realm.objects(Dog).observe(Log())
    observer = token.observer  # type: ignore[attr-defined]
    stopped: list[bool] = []
    token._stop = lambda: stopped.append(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del token
        gc.collect()
    assert (stopped, unraisable) == ([True], [ResourceWarning])
    assert observer is not None


class ShortLived(ObserverToken):
    """One that another thread invalidates as soon as a round has looked at it."""

    once: Any

    @property
    def observer(self) -> Any:
        found, self.once = self.once, None
        return found

    @observer.setter
    def observer(self, observer: Any) -> None:
        self.once = observer


def test_a_token_may_become_invalid_in_the_middle_of_a_round(realm: Realm) -> None:
    log = Log()
    with realm.objects(Dog).observe(log) as token, realm.objects(Dog).observe(log):
        realm.refresh()
        log.take()
        observer = token.observer  # type: ignore[attr-defined]
        add(realm, "b")
        token.__class__ = ShortLived
        token.observer = observer  # type: ignore[attr-defined]
        realm.refresh()
        assert log.take() == [CollectionChange((), (1,))] * 2


def test_what_cannot_be_called_is_no_observer(realm: Realm) -> None:
    async def coroutine(observed: Any, change: Any) -> None:
        """It would never be awaited."""

    observers: list[Callable[[Any], object]] = [realm.objects(Dog).observe, dog(realm, "a").observe, realm.observe]
    for observe in observers:
        for callback, message in ((None, "got None"), (5, "got 5"), (coroutine, "a plain function")):
            with pytest.raises(TypeError, match=message):
                observe(callback)
    realm.refresh()
    assert not realm._context.observers.any
