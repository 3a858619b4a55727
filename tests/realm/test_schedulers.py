"""Schedulers: the application's own, those of windows, plain threads, and waiting (spec/sdk.md §4.2, §4.3)."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import tkinter
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.realm.conftest import OpenRealm

from syncline import (
    AsyncioScheduler,
    CollectionChange,
    Field,
    FrozenScheduler,
    Model,
    QtScheduler,
    Realm,
    RealmConfiguration,
    Scheduler,
    ThreadScheduler,
    TkScheduler,
    WrongThreadError,
    WrongTransactionStateError,
)


class Dog(Model):
    name: str = Field(primary_key=True)


class Loop:
    """The simplest loop there is: a queue that the test empties."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.queue: deque[Callable[[], object]] = deque()

    def is_on_thread(self) -> bool:
        return threading.get_ident() == self.thread

    def can_invoke(self) -> bool:
        return True

    def invoke(self, function: Callable[[], object]) -> None:
        self.queue.append(function)

    def run(self) -> None:
        while self.queue:
            self.queue.popleft()()


def add(folder: Path, name: str) -> None:
    """Commit on another thread."""

    def run() -> None:
        with Realm.open(folder / "test.realm", schema=[Dog]) as realm, realm.write():
            realm.create(Dog, name=name)

    on_another_thread(run)


def on_another_thread(action: Callable[[], Any]) -> Exception | None:
    failed: list[Exception] = []

    def run() -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever it raises
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return failed[0] if failed else None


def test_a_loop_of_the_application(open_realm: OpenRealm, tmp_path: Path) -> None:
    loop = Loop()
    open_realm(Dog).close()
    with Realm.open(tmp_path / "test.realm", scheduler=loop, schema=[Dog]) as realm:
        changes: list[CollectionChange] = []
        token = realm.objects(Dog).observe(lambda dogs, change: changes.append(change))
        loop.run()
        assert [change.initial for change in changes] == [True]
        add(tmp_path, "a")
        add(tmp_path, "b")
        assert len(loop.queue) == 1
        assert len(realm.objects(Dog)) == 0
        loop.run()
        assert [change.insertions for change in changes[1:]] == [(0, 1)]
        token.invalidate()
    assert isinstance(loop, Scheduler)


def test_a_configuration_may_name_the_scheduler(tmp_path: Path) -> None:
    loop = Loop()
    config = RealmConfiguration(tmp_path / "test.realm", schema=[Dog], scheduler=loop)
    assert config == config.replace(scheduler=None)
    assert pickle.loads(pickle.dumps(config)).scheduler is None
    with Realm.open(config) as realm:
        token = realm.objects(Dog).observe(lambda dogs, change: None)
        assert len(loop.queue) == 1
        token.invalidate()
        frozen = realm.freeze()
        assert on_another_thread(lambda: frozen.thaw().close()) is None
        with Realm.open(config, scheduler=ThreadScheduler()) as other:
            token = other.objects(Dog).observe(lambda dogs, change: None)
            assert len(loop.queue) == 1
            token.invalidate()
    assert isinstance(on_another_thread(lambda: Realm.open(config)), WrongThreadError)


def test_a_scheduler_belongs_to_its_thread(tmp_path: Path) -> None:
    loop = Loop()
    error = on_another_thread(lambda: Realm.open(tmp_path / "test.realm", scheduler=loop, schema=[Dog]))
    assert isinstance(error, WrongThreadError)


def test_what_every_scheduler_says_of_itself() -> None:
    async def of_the_loop() -> tuple[Scheduler, bool]:
        scheduler = AsyncioScheduler()
        return scheduler, scheduler.can_invoke()

    (on_loop, could_invoke), thread, frozen = asyncio.run(of_the_loop()), ThreadScheduler(), FrozenScheduler()
    assert could_invoke
    assert [each.can_invoke() for each in (on_loop, thread, frozen)] == [False, False, False]  # its loop has ended
    for each, elsewhere in ((on_loop, False), (thread, False), (frozen, True)):
        assert each.is_on_thread()
        seen: list[bool] = []
        on_another_thread(lambda seen=seen, each=each: seen.append(each.is_on_thread()))  # type: ignore[misc]
        assert seen == [elsewhere]
    with pytest.raises(RuntimeError):
        frozen.invoke(list)
    with pytest.raises(RuntimeError):
        on_loop.invoke(list)  # its loop has ended


def test_a_thread_runs_its_queue_when_asked(open_realm: OpenRealm) -> None:
    realm = open_realm(Dog)
    scheduler = realm._delivery.scheduler
    ran: list[str] = []
    on_another_thread(lambda: scheduler.invoke(lambda: ran.append("refresh")))
    assert ran == []
    realm.refresh()
    timer = threading.Timer(0.02, lambda: scheduler.invoke(lambda: ran.append("pump")))
    timer.start()
    realm.pump(10)
    timer.join()
    assert ran == ["refresh", "pump"]


def test_a_wait_can_be_ended(open_realm: OpenRealm, tmp_path: Path) -> None:
    realm = open_realm(Dog)
    for wait in (realm.wait_for_change, realm.pump):
        timer = threading.Timer(0.02, realm.wait_for_change_release)
        timer.start()
        assert not wait(30)
        timer.join()
    add(tmp_path, "a")
    realm.wait_for_change_release()  # nobody waits: it has no effect on later waits
    assert realm.wait_for_change(30)


def test_auto_refresh_off_and_on(open_realm: OpenRealm, tmp_path: Path) -> None:
    loop = Loop()
    open_realm(Dog).close()
    with Realm.open(tmp_path / "test.realm", scheduler=loop, schema=[Dog]) as realm:
        events: list[str] = []
        token = realm.observe(lambda realm, event: events.append(event))
        realm.auto_refresh = False
        assert len(realm.objects(Dog)) == 0
        add(tmp_path, "a")
        loop.run()
        assert (events, len(realm.objects(Dog))) == (["refresh_required"], 0)
        realm.auto_refresh = True
        loop.run()
        assert (events[1:], len(realm.objects(Dog))) == (["change"], 1)
        frozen = realm.freeze()
        with pytest.raises(WrongTransactionStateError):
            frozen.auto_refresh = True
        token.invalidate()


def test_refresh_says_whether_the_version_moved(open_realm: OpenRealm, tmp_path: Path) -> None:
    realm = open_realm(Dog)
    realm.refresh()
    assert not realm.refresh()
    realm.invalidate()
    assert realm.refresh()  # nothing was pinned before
    add(tmp_path, "a")
    assert realm.refresh()
    with realm.write():
        assert not realm.refresh()
    inside: list[bool] = []
    with realm.objects(Dog).observe(lambda dogs, change: inside.append(realm.refresh())):
        add(tmp_path, "b")
        assert realm.refresh()
    assert inside == [False]
    assert not realm.freeze().refresh()


def test_a_reader_keeps_its_version_during_100_commits(open_realm: OpenRealm) -> None:
    reader = open_realm(Dog, path=None, in_memory="hundred")
    writer = open_realm(Dog, path=None, in_memory="hundred")
    version = reader.version
    rounds: list[CollectionChange] = []
    with reader.objects(Dog).observe(lambda dogs, change: rounds.append(change)):
        reader.refresh()
        for number in range(100):
            with writer.write():
                writer.create(Dog, name=str(number))
        assert reader.version == version
        assert len(reader.objects(Dog)) == 0
        assert reader.refresh()
    assert reader.version == version + 100
    assert [len(change.insertions) for change in rounds] == [0, 100]


# --- windows ----------------------------------------------------------------------------------------------------------


def test_tk(open_realm: OpenRealm, tmp_path: Path) -> None:
    """On Tk's own loop; it needs no display as long as nothing is drawn."""
    open_realm(Dog).close()
    window = tkinter.Tcl()
    scheduler = TkScheduler(window, interval=0.001)
    with Realm.open(tmp_path / "test.realm", scheduler=scheduler, schema=[Dog]) as realm:
        names: list[list[str]] = []
        with realm.objects(Dog).observe(lambda dogs, change: names.append([dog.name for dog in dogs])):
            run_until(window, lambda: names == [[]])
            add(tmp_path, "Rex")
            run_until(window, lambda: names == [[], ["Rex"]])
    assert scheduler.is_on_thread()
    scheduler.close()
    scheduler.close()
    with pytest.raises(RuntimeError, match=r"was closed"):
        scheduler.invoke(list)
    known = weakref.ref(window)
    del window
    gc.collect()
    assert known() is None  # Tk ends the program if another thread collects it


def run_until(window: Any, condition: Callable[[], bool]) -> None:
    for _ in range(20_000):
        window.update()
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never happened")


class _Event:
    class Type:
        User = 1000

    def __init__(self, kind: int) -> None:
        self._kind = kind

    def type(self) -> int:
        return self._kind


class _Object:
    def event(self, event: _Event) -> bool:
        return False


class FakeQt:
    """As much of QtCore as a scheduler uses: posted events, delivered when the test says so."""

    QEvent = _Event
    QObject = _Object

    class QCoreApplication:
        posted: ClassVar[deque[tuple[Any, _Event]]] = deque()

        @classmethod
        def postEvent(cls, receiver: Any, event: _Event) -> None:
            cls.posted.append((receiver, event))


def test_qt(open_realm: OpenRealm, tmp_path: Path) -> None:
    open_realm(Dog).close()
    posted = FakeQt.QCoreApplication.posted
    scheduler = QtScheduler(FakeQt)
    with Realm.open(RealmConfiguration(tmp_path / "test.realm", schema=[Dog]), scheduler=scheduler) as realm:
        names: list[list[str]] = []
        with realm.objects(Dog).observe(lambda dogs, change: names.append([dog.name for dog in dogs])):
            add(tmp_path, "Rex")
            assert names == []
            while posted:
                receiver, event = posted.popleft()
                assert receiver.event(event)
                assert not receiver.event(_Event(1))
            assert names == [["Rex"]]
    assert scheduler.is_on_thread()
    assert scheduler.can_invoke()


def test_qt_must_be_there() -> None:
    with pytest.raises(RuntimeError, match=r"no Qt is loaded"):
        QtScheduler()
