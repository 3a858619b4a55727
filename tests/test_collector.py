"""The cyclic collector rests during bulk work, and never longer."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest

from syncline.changesets.codec import decode, encode_recorded
from syncline.changesets.instructions import CreateObject, Update
from syncline.collector import COLLECTOR_PAUSED, CollectorPause
from syncline.errors import BadChangesetError
from syncline.values import GlobalKey, Link, kinds


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    """The collector runs before each test, and must run after it."""
    gc.enable()
    yield
    found = gc.isenabled()
    gc.enable()
    assert found, "the collector was left switched off"


def test_the_collector_rests_inside_and_runs_afterwards() -> None:
    with COLLECTOR_PAUSED:
        assert not gc.isenabled()
    assert gc.isenabled()


def test_pauses_nest() -> None:
    with COLLECTOR_PAUSED:
        with COLLECTOR_PAUSED:
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_exception_ends_a_pause() -> None:
    with pytest.raises(ZeroDivisionError), COLLECTOR_PAUSED, COLLECTOR_PAUSED:
        raise ZeroDivisionError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with COLLECTOR_PAUSED:
        pass
    assert not gc.isenabled()
    gc.enable()


def test_pauses_of_threads_are_counted_together() -> None:
    """The second thread's pause goes on after the first one's has ended."""
    pause = CollectorPause()
    begun, may_end = threading.Event(), threading.Event()

    def other() -> None:
        with pause:
            begun.set()
            may_end.wait(10)

    thread = threading.Thread(target=other)
    with pause:
        thread.start()
        assert begun.wait(10)
    assert not gc.isenabled()
    may_end.set()
    thread.join(10)
    assert gc.isenabled()


def test_many_threads_at_once_leave_it_running() -> None:
    pause = CollectorPause()
    seen: list[bool] = []

    def work() -> None:
        for _ in range(300):
            with pause:
                seen.append(gc.isenabled())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(seen) == 2400
    assert not any(seen)
    assert gc.isenabled()


def test_a_forked_child_does_not_inherit_the_pause_of_another_thread() -> None:
    with COLLECTOR_PAUSED:
        child = os.fork()
        if child == 0:
            enabled = gc.isenabled()
            with COLLECTOR_PAUSED:
                enabled = enabled and not gc.isenabled()
            os._exit(0 if enabled and gc.isenabled() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def many_links(objects: int) -> bytes:
    instructions = []
    for number in range(objects):
        key = GlobalKey(2, number)
        instructions += [CreateObject("Dog", key), Update("Dog", key, "next", (), kinds.LINK, Link("Dog", key))]
    return encode_recorded(instructions)


class Collections:
    """How often the collector ran in the block."""

    def __enter__(self) -> Collections:
        self.count = 0
        gc.callbacks.append(self._seen)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._seen)

    def _seen(self, phase: str, _: object) -> None:
        self.count += phase == "start"


def test_decoding_a_large_changeset_is_not_interrupted() -> None:
    data = many_links(5_000)
    with Collections() as collections:
        changeset = decode(data)
    assert len(changeset.instructions) == 10_000
    assert collections.count <= 1


def test_a_large_bad_changeset_leaves_the_collector_running() -> None:
    with pytest.raises(BadChangesetError):
        decode(many_links(5_000) + b"\x3e")
    assert gc.isenabled()
