"""The sixteen rules of delivery, each by its number (spec/sdk.md §9.4)."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.realm.conftest import OpenRealm
from tests.realm.told import Log

from syncline import (
    CollectionChange,
    Field,
    InvalidatedObjectError,
    List,
    Model,
    NotificationToken,
    ObjectChange,
    Realm,
    RealmConfiguration,
    WrongTransactionStateError,
)
from syncline.realm.observers import CHANGE
from syncline.realm.schema_changes import SchemaMode


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int = 0
    friends: List[Dog]


FIRST = CollectionChange(initial=True)


@pytest.fixture
def realm(open_realm: OpenRealm) -> Realm:
    return open_realm(Dog)


def add(realm: Realm, *names: str) -> None:
    with realm.write():
        for name in names:
            realm.create(Dog, name=name)


async def until(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


# --- 1: tokens --------------------------------------------------------------------------------------------------------


def test_rule_1_a_token_invalidated_in_a_round_is_not_called(realm: Realm) -> None:
    tokens: list[NotificationToken] = []
    second = Log()
    tokens.append(realm.objects(Dog).observe(lambda dogs, change: tokens[1].invalidate()))
    tokens.append(realm.objects(Dog).observe(second))
    realm.refresh()
    assert second.take() == []
    tokens[0].invalidate()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_rule_1_a_token_dropped_in_a_round_is_not_called(realm: Realm) -> None:
    tokens: list[NotificationToken] = []
    second = Log()

    def drop(dogs: Any, change: Any) -> None:
        del tokens[1]
        gc.collect()

    tokens.append(realm.objects(Dog).observe(drop))
    tokens.append(realm.objects(Dog).observe(second))
    realm.refresh()
    assert second.take() == []
    tokens[0].invalidate()


def test_rule_1_the_realm_keeps_what_it_is_told_to_keep(realm: Realm, recwarn: pytest.WarningsRecorder) -> None:
    log, events = Log(), Log()
    realm.objects(Dog).observe(log, keep=True)
    realm.observe(events, keep=True)
    gc.collect()
    realm.refresh()
    add(realm, "a")
    assert (log.take(), events.take()) == ([FIRST], [CHANGE])
    token = realm.objects(Dog).observe(log, keep=True)
    token.invalidate()
    assert len(realm._context.observers.kept) == 2
    realm.close()
    assert not realm._context.observers.kept
    gc.collect()
    assert not [each for each in recwarn if issubclass(each.category, ResourceWarning)]


def test_rule_1_closing_ends_the_tokens(realm: Realm, recwarn: pytest.WarningsRecorder) -> None:
    token = realm.objects(Dog).observe(Log())
    realm.close()
    assert not token.is_valid
    del token
    gc.collect()
    assert not [each for each in recwarn if issubclass(each.category, ResourceWarning)]


# --- 2, 3: first and later calls --------------------------------------------------------------------------------------


def test_rule_2_the_first_call_is_never_made_by_observe(realm: Realm) -> None:
    log = Log()
    with realm.objects(Dog).observe(log):
        assert log.take() == []
        realm.refresh()
        assert log.take() == [FIRST]
        realm.refresh()
        assert log.take() == []


def test_rule_2_writes_before_the_first_call_are_in_it(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog)
    seen: list[tuple[CollectionChange, int]] = []
    with realm.objects(Dog).observe(lambda dogs, change: seen.append((change, len(dogs)))):
        add(other, "a")
        realm.refresh()
    assert seen == [(FIRST, 1)]


def test_rule_2_objects_and_realms_have_no_first_call(realm: Realm) -> None:
    log, events = Log(), Log()
    add(realm, "a")
    dog = realm.objects(Dog)[0]
    with dog.observe(log), realm.observe(events):
        realm.refresh()
        assert (log.take(), events.take()) == ([], [])
        with realm.write():
            dog.age = 3
        realm.refresh()
        assert (log.take(), events.take()) == ([ObjectChange(changed=("age",))], [CHANGE])


def test_rule_3_later_calls_say_something(realm: Realm, open_realm: OpenRealm) -> None:
    log, other = Log(), open_realm(Dog)
    with realm.objects(Dog).where(Dog.age > 5).observe(log):
        realm.refresh()
        log.take()
        add(other, "a")
        assert realm.refresh()
        assert log.take() == []


# --- 4, 5, 6, 7: rounds -----------------------------------------------------------------------------------------------


def test_rule_4_everything_is_at_the_version_of_the_round(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog)
    seen: list[tuple[int, int]] = []
    dogs, old_dogs = realm.objects(Dog), realm.objects(Dog).where(Dog.age > 5)
    look = lambda observed, change: seen.append((len(dogs), len(old_dogs)))  # noqa: E731
    with dogs.observe(look), old_dogs.observe(look):
        realm.refresh()
        seen.clear()
        with other.write():
            other.create(Dog, name="a")
            other.create(Dog, name="b", age=9)
        realm.refresh()
        assert seen == [(2, 1), (2, 1)]


def test_rule_5_callbacks_run_in_the_order_in_which_they_came(realm: Realm) -> None:
    calls: list[int] = []
    dogs = realm.objects(Dog)
    tokens = [dogs.observe(lambda dogs, change, n=n: calls.append(n)) for n in range(5)]  # type: ignore[misc]
    realm.refresh()
    add(realm, "a")
    realm.refresh()
    assert calls == [*range(5), *range(5)]
    for token in tokens:
        token.invalidate()


def test_rule_6_one_just_added_is_told_in_the_same_round(realm: Realm) -> None:
    log, late = Log(), Log()
    with realm.objects(Dog).observe(log):
        realm.refresh()
        add(realm, "a")
        with realm.objects(Dog).observe(late):
            realm.refresh()
            assert (log.take(), late.take()) == ([FIRST, CollectionChange(insertions=(0,))], [FIRST])


def test_rule_7_refresh_and_begin_tell_before_they_return(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog)
    seen: list[tuple[CollectionChange, int, bool]] = []
    with realm.objects(Dog).observe(lambda dogs, change: seen.append((change, len(dogs), realm.in_write))):
        realm.refresh()
        add(other, "a")
        realm.refresh()
        add(other, "b")
        realm.begin_write()
        assert seen == [
            (FIRST, 0, False),
            (CollectionChange(insertions=(0,)), 1, False),
            (CollectionChange(insertions=(1,)), 2, False),
        ]
        assert realm.in_write
        realm.cancel_write()


def test_rule_7_a_writer_who_was_quicker_is_told_of_too(
    realm: Realm, open_realm: OpenRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, other = Log(), open_realm(Dog)
    begin = realm._context.file.begin
    names = ["a", "b"]

    def after_another(timeout: float | None) -> Any:
        if names:
            name = names.pop()
            monkeypatch.setattr(realm._context.file, "begin", begin)
            add(other, name)
            monkeypatch.setattr(realm._context.file, "begin", after_another)
        return begin(timeout)

    with realm.objects(Dog).observe(log):
        realm.refresh()
        monkeypatch.setattr(realm._context.file, "begin", after_another)
        with realm.write():
            assert len(realm.objects(Dog)) == 2
            assert [change.insertions for change in log.take()] == [(), (0,), (1,)]


# --- 8: own writes ----------------------------------------------------------------------------------------------------


def test_rule_8_a_commit_tells_observers_of_the_realm_and_nobody_else(realm: Realm) -> None:
    log, events = Log(), Log()
    with realm.objects(Dog).observe(log), realm.observe(events):
        realm.refresh()
        log.take()
        realm.begin_write()
        realm.create(Dog, name="a")
        assert events.take() == []
        realm.commit_write()
        assert (log.take(), events.take()) == ([], [CHANGE])
        realm.refresh()
        assert (log.take(), events.take()) == ([CollectionChange(insertions=(0,))], [])


# --- 9: writing in callbacks ------------------------------------------------------------------------------------------


def test_rule_9_writing_where_nothing_is_new_leaves_the_round_as_it_was(realm: Realm) -> None:
    def write(change: CollectionChange) -> None:
        if change.insertions == (0,):
            add(realm, "b")

    before, writer, after = Log(), Log(write), Log()
    sizes: list[int] = []
    dogs = realm.objects(Dog)
    after.then = lambda change: sizes.append(len(dogs))
    with dogs.observe(before), dogs.observe(writer), dogs.observe(after):
        realm.refresh()
        for log in (before, writer, after):
            log.take()
        add(realm, "a")
        realm.refresh()
        for log in (before, writer, after):
            assert log.take() == [CollectionChange(insertions=(0,))]
        assert sizes == [0, 2]
        realm.refresh()
        for log in (before, writer, after):
            assert log.take() == [CollectionChange(insertions=(1,))]


def test_rule_9_writing_where_something_is_new_tells_it_first(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog)
    order: list[str] = []

    def write(change: CollectionChange) -> None:
        if change.insertions == (0,):
            add(other, "b")
            order.append("begin")
            add(realm, "c")
            order.append("end")

    before, writer, after = Log(), Log(), Log()
    logs = {"before": before, "writer": writer, "after": after}
    for name, log in logs.items():
        log.then = lambda change, name=name: order.append(name)  # type: ignore[misc]
    dogs = realm.objects(Dog)
    with dogs.observe(before), dogs.observe(writer), dogs.observe(after):
        realm.refresh()
        for log in logs.values():
            log.take()
        order.clear()
        tell = writer.then
        writer.then = lambda change: (tell(change), write(change))
        add(other, "a")
        realm.refresh()
        first, second = CollectionChange(insertions=(0,)), CollectionChange(insertions=(1,))
        assert before.take() == [first, second]
        assert writer.take() == [first, second]
        assert after.take() == [CollectionChange(insertions=(0, 1))]
        assert order == ["before", "writer", "begin", "before", "writer", "after", "end"]
        realm.refresh()
        for log in logs.values():
            assert log.take() == [CollectionChange(insertions=(2,))]


def test_rule_9_the_called_again_do_not_write_again(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog)
    errors: list[Exception] = []
    realm.on_callback_error = errors.append

    def write(change: CollectionChange) -> None:
        if change.insertions:
            add(other, f"other {len(realm.objects(Dog))}")
            add(realm, "mine")

    log = Log(write)
    with realm.objects(Dog).observe(log):
        realm.refresh()
        add(other, "a")
        with pytest.raises(WrongTransactionStateError, match=r"called because another one began to write"):
            realm.refresh()
        assert not realm.in_write
        assert realm.get(Dog, "mine") is None
        assert len(log.take()) == 3
        assert errors == []


def test_rule_9_a_commit_in_a_callback_tells_observers_of_the_realm(realm: Realm) -> None:
    events: list[str] = []

    def write(changed: Realm, event: str) -> None:
        events.append(event)
        if len(realm.objects(Dog)) < 2:
            add(realm, f"{len(realm.objects(Dog))}")

    with realm.observe(write):
        add(realm, "a")
        assert events == [CHANGE, CHANGE]


# --- 10 … 13 ----------------------------------------------------------------------------------------------------------


def test_rule_10_refresh_in_a_callback_does_nothing(realm: Realm, open_realm: OpenRealm) -> None:
    other = open_realm(Dog)
    results: list[bool] = []

    def refresh(observed: Any, change: Any) -> None:
        add(other, f"{len(results)}")
        version = realm.version
        results.append(realm.refresh())
        assert realm.version == version

    with realm.objects(Dog).observe(refresh):
        realm.refresh()
        assert results == [False]
    with realm.observe(refresh):
        realm.refresh()
    assert results == [False, False]


def test_rule_11_where_nothing_can_be_observed(realm: Realm) -> None:
    add(realm, "a")
    dog = realm.objects(Dog)[0]
    frozen = realm.freeze()
    with pytest.raises(WrongTransactionStateError, match=r"a frozen Realm never changes"):
        frozen.objects(Dog).observe(Log())
    with pytest.raises(WrongTransactionStateError, match=r"a frozen Realm never changes"):
        frozen.observe(Log())
    frozen.close()
    with realm.write():
        for observe in (realm.observe, realm.objects(Dog).observe, dog.observe, dog.friends.observe):
            with pytest.raises(WrongTransactionStateError, match=r"observers cannot be added inside a write"):
                observe(Log())
        friends = dog.friends
        realm.delete(dog)
    for observe in (dog.observe, friends.observe, dog.changes, friends.changes):
        with pytest.raises(InvalidatedObjectError):
            observe(Log())
    with pytest.raises(InvalidatedObjectError, match=r"is in no Realm"):
        Dog(name="x").observe(Log())  # type: ignore[call-arg]
    with pytest.raises(InvalidatedObjectError, match=r"is in no Realm"):
        Dog(name="x").changes()  # type: ignore[call-arg]


def test_rule_11_immutable_realms(tmp_path: Path) -> None:
    config = RealmConfiguration(tmp_path / "dogs.realm", schema=[Dog])
    with Realm.open(config) as realm:
        add(realm, "a")
    with Realm.open(config.path, schema=[Dog], schema_mode=SchemaMode.IMMUTABLE) as realm:
        for observe in (realm.observe, realm.objects(Dog).observe, realm.objects(Dog)[0].observe):
            with pytest.raises(WrongTransactionStateError, match=r"an immutable Realm never changes"):
                observe(Log())
    with Realm.open(config.path, schema=[Dog], schema_mode=SchemaMode.READ_ONLY) as realm:
        log = Log()
        with realm.objects(Dog).observe(log):
            realm.refresh()
            assert log.take() == [FIRST]


def test_rule_12_one_added_in_a_callback_is_called_in_a_later_round(realm: Realm) -> None:
    late = Log()
    tokens: list[NotificationToken] = []

    def observe(dogs: Any, change: CollectionChange) -> None:
        if change.initial:
            tokens.append(dogs.observe(late))

    with realm.objects(Dog).observe(observe):
        realm.refresh()
        assert late.take() == []
        realm.refresh()
        assert late.take() == [FIRST]
    tokens[0].invalidate()


def test_rule_13_any_number_of_commits_is_one_call(realm: Realm, open_realm: OpenRealm) -> None:
    log, other = Log(), open_realm(Dog)
    with realm.objects(Dog).observe(log):
        realm.refresh()
        log.take()
        for name in "abc":
            add(other, name)
        realm.refresh()
        assert log.take() == [CollectionChange(insertions=(0, 1, 2))]
        add(other, "d")
        with other.write():
            other.delete(other.get(Dog, "d") or [])
        realm.refresh()
        assert log.take() == []


# --- 14: exceptions ---------------------------------------------------------------------------------------------------


def fail(observed: Any, change: Any) -> None:
    raise ValueError(f"{change}")


def test_rule_14_the_round_goes_on_and_the_first_exception_comes_out(
    realm: Realm, open_realm: OpenRealm, monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)
    log, other, reported = Log(), open_realm(Dog), []  # type: ignore[var-annotated]
    dogs = realm.objects(Dog)
    with dogs.observe(fail), dogs.observe(fail), dogs.observe(log):
        with pytest.raises(ValueError, match=r"initial=True"):
            realm.refresh()
        assert log.take() == [FIRST]
        assert [type(each.exc_value) for each in unraisable] == [ValueError]
        assert unraisable[0].exc_type is ValueError
        assert unraisable[0].exc_traceback is not None
        realm.on_callback_error = reported.append
        add(other, "a")
        with pytest.raises(ValueError, match=r"insertions=\(0,\)"), realm.write():
            raise AssertionError("nothing begins")
        assert not realm.in_write
        assert log.take() == [CollectionChange(insertions=(0,))]
        assert [str(error)[:16] for error in reported] == ["CollectionChange"]
        add(other, "b")  # the lock is free
        realm.on_callback_error = fail  # type: ignore[assignment]
    realm.refresh()
    with realm.observe(fail):
        add(realm, "c")
    assert realm.get(Dog, "c") is not None
    assert [type(each.exc_value) for each in unraisable] == [ValueError, TypeError]


def test_rule_14_an_event_loop_has_a_handler_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        unhandled: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unhandled.append(context["exception"]))
        with Realm.open(RealmConfiguration(tmp_path / "dogs.realm", schema=[Dog])) as realm:
            log, handled = Log(), []  # type: ignore[var-annotated]
            with realm.objects(Dog).observe(fail), realm.objects(Dog).observe(log):
                await until(lambda: log.changes)
                assert [type(error) for error in unhandled] == [ValueError]
                realm.on_callback_error = handled.append
                add(realm, "a")
                await until(lambda: len(log.changes) == 2)
                assert [type(error) for error in handled] == [ValueError]
        assert len(unhandled) == 1

    asyncio.run(main())


def test_rule_14_an_interrupted_round_loses_nothing(realm: Realm) -> None:
    def interrupt(change: CollectionChange) -> None:
        if change.insertions == (0,):
            raise KeyboardInterrupt

    log = Log()
    with realm.objects(Dog).observe(Log(interrupt)), realm.objects(Dog).observe(log):
        realm.refresh()
        log.take()
        add(realm, "a")
        with pytest.raises(KeyboardInterrupt):
            realm.refresh()
        assert log.take() == []
        add(realm, "b")
        realm.refresh()
        assert [change.insertions for change in log.take()] == [(0,), (1,)]


# --- 15, 16 -----------------------------------------------------------------------------------------------------------


def test_rule_15_closing_in_a_callback_ends_the_round(realm: Realm, open_realm: OpenRealm) -> None:
    other, log = open_realm(Dog), Log()
    with realm.objects(Dog).observe(lambda dogs, change: realm.close()), realm.objects(Dog).observe(log):
        realm.refresh()
    assert log.take() == []
    events: list[str] = []
    with (
        other.observe(lambda changed, event: other.close()),
        other.observe(lambda changed, event: events.append(event)),
        other.objects(Dog).observe(log),
    ):
        with open_realm(Dog) as third:
            add(third, "a")
        other.refresh()
    assert other.is_closed
    assert (events, log.take()) == ([], [])


def test_rule_16_without_a_loop_it_waits_to_be_asked(realm: Realm, open_realm: OpenRealm) -> None:
    log, other = Log(), open_realm(Dog)
    with realm.objects(Dog).observe(log):
        for ask in (realm.refresh, lambda: realm.pump(0), lambda: add(realm, "mine")):
            add(other, f"{len(realm.objects(Dog))}")
            log.take()
            assert log.changes == []
            ask()
            assert len(log.take()) == 1
