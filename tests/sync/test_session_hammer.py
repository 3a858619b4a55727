"""Everything at once on one session, from many threads, over a bad line: every wait ends once, nothing is lost or sent
twice, no observer misses a change (spec/sessions.md §7.3, §8.1, §18.1).

``SYNCLINE_HAMMER_SECONDS=60 SYNCLINE_HAMMER_SEED=7 pytest tests/sync/test_session_hammer.py`` for the long version.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from syncline.errors import InvalidSessionError, OperationAbortedError
from syncline.protocol import backoff, messages
from syncline.protocol.errors import ErrorAction
from syncline.storage.file import RealmFile
from syncline.sync import ConnectionState, ProgressDirection, ProgressMode, SyncSessionState, SyncStopPolicy
from syncline.sync.states import InternalState

SEED = int(os.environ.get("SYNCLINE_HAMMER_SEED", "1"))
SECONDS = float(os.environ.get("SYNCLINE_HAMMER_SECONDS", "0.7"))
THREADS = 6


class Line:
    """A server whose connections end now and then, and which has enough of a session now and then."""

    def __init__(self, realm: Any, seed: int) -> None:
        self.realm = realm
        self.is_bad = True
        self._random = random.Random(seed)
        realm.before = self._before

    async def _before(self, peer: Any, message: Any) -> bool:
        if not self.is_bad or isinstance(message, messages.Ping):
            return False
        chance = self._random.random()
        if chance < 0.02:
            peer.writer.close()
            return True
        if chance < 0.06:
            error = messages.Error(0, 201, "a bad day", True, ErrorAction.TRANSIENT)
            self.realm.fail_once(type(message), error)
        return False


def test_everything_at_once_on_one_session(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "DEFAULT_BACKOFF", backoff.BackoffParameters(5, 50, 2))
    line = Line(realm, SEED)
    user = world.user(server.url)
    device = world.device(user)
    core, session = device.core, device.session
    changes: list[tuple[ConnectionState, ConnectionState]] = []
    observer = session.observe_connection_state(lambda old, new: changes.append((old, new)))
    ends: list[tuple[int, Exception | None]] = []
    asked = iter(range(1, 1 << 30))
    registered: list[int] = []
    failures: list[BaseException] = []
    deadline = time.monotonic() + SECONDS
    writing = threading.Lock()
    written = iter(range(1, 1 << 30))
    count = 0

    def wait(register: Callable[..., None]) -> None:
        number = next(asked)
        registered.append(number)
        register(lambda error: ends.append((number, error)))

    def write() -> None:
        nonlocal count
        with writing:
            count = next(written)
            device.write("Rex", first=count)

    def reopen() -> None:
        other = world.device(user)
        assert other.core is core
        other.close()

    def report() -> None:
        token = session.add_progress_notification(
            ProgressDirection.UPLOAD, ProgressMode.REPORT_INDEFINITELY, lambda done, total: None
        )
        assert token is not None
        token.invalidate()

    deeds: list[Callable[[], object]] = [
        session.suspend,
        session.resume,
        session.resume,
        session.reconnect,
        core.restart,
        lambda: core.update_configuration(core.configuration),
        lambda: wait(session.on_upload_complete),
        lambda: wait(session.on_download_complete),
        lambda: session.observe_connection_state(lambda old, new: None).invalidate(),
        report,
        write,
        reopen,
        world.manager.reconnect,
        lambda: (session.state, session.connection_state, session.configuration(), session.last_error),
        session.diagnostics,
    ]

    def hammer(own: random.Random) -> None:
        try:
            while time.monotonic() < deadline:
                own.choice(deeds)()
        except BaseException as error:  # noqa: BLE001 - the thread of the test is to hear of it
            failures.append(error)

    threads = [threading.Thread(target=hammer, args=(random.Random(SEED * 100 + n),)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 30)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    line.is_bad = False
    session.resume()
    assert core.internal_state is InternalState.ACTIVE
    session.reconnect()
    session.wait_for_upload(20)
    session.wait_for_download(20)
    world.eventually(lambda: len(ends) == len(registered), 10)
    world.manager.notify_thread.drain(10)
    assert sorted(number for number, _ in ends) == sorted(registered), "each wait ends, once"
    assert {type(error) for _, error in ends} <= {type(None), OperationAbortedError}
    assert all(before[1] is after[0] for before, after in pairwise(changes))
    assert all(old is not new for old, new in changes)
    assert changes[-1][1] is ConnectionState.CONNECTED
    assert world.errors == []
    other = world.device(user, "b")
    other.session.wait_for_download(20)
    assert set(other.names()) == set(range(1, count + 1)), "nothing is lost"
    observer.invalidate()
    device.close()
    assert world.manager.wait_for_sessions_to_terminate(10) or other.session.state is SyncSessionState.ACTIVE
    with pytest.raises(InvalidSessionError):
        session.wait_for_upload()


def test_sessions_that_come_and_go_on_many_threads(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened, written to, closed, with every stop policy, while others do the same with the same files."""
    monkeypatch.setattr(backoff, "DEFAULT_BACKOFF", backoff.BackoffParameters(5, 50, 2))
    line = Line(realm, SEED)
    user = world.user(server.url)
    deadline = time.monotonic() + SECONDS
    failures: list[BaseException] = []
    written: list[int] = []
    numbers = iter(range(1, 1 << 30))
    writing = threading.Lock()

    def live(own: random.Random) -> None:
        try:
            while time.monotonic() < deadline:
                device = world.device(user, own.choice("ab"), stop_policy=own.choice(list(SyncStopPolicy)))
                session = device.session
                for _ in range(own.randrange(4)):
                    match own.randrange(6):
                        case 0:
                            session.suspend()
                        case 1:
                            session.resume()
                        case 2:
                            session.reconnect()
                        case 3:
                            with suppress(TimeoutError, OperationAbortedError, InvalidSessionError):
                                session.wait_for_upload(0.02)
                        case _:
                            with writing:
                                number = next(numbers)
                                device.write("Rex", first=number)
                                written.append(number)
                device.close()
        except BaseException as error:  # noqa: BLE001 - the thread of the test is to hear of it
            failures.append(error)

    threads = [threading.Thread(target=live, args=(random.Random(SEED * 100 + n),)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS + 30)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    line.is_bad = False
    last = [world.device(user, name) for name in "ab"]
    for device in last:
        device.session.resume()
        device.session.reconnect()
        device.session.wait_for_upload(20)
    for device in last:
        device.session.wait_for_download(20)
    assert [set(device.names()) for device in last] == [set(written)] * 2
    assert world.errors == []
    sent = [(origin, entry.client_version) for origin, entry in realm.history["/dogs"]]
    assert len(sent) == len(set(sent))
    for device in last:
        device.core.update_configuration(device.configuration.replace(stop_policy=SyncStopPolicy.IMMEDIATELY))
        device.close()
    assert world.manager.wait_for_sessions_to_terminate(10)
    assert world.manager.registry.all() == []
    for device in last:
        RealmFile.delete(device.path)  # nobody has it open
