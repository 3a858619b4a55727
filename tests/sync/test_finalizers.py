"""What the garbage collector ends in the middle of anything, and locks that must not wait for each other."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from syncline import Field, Model, Realm
from syncline.errors import FileError
from syncline.sync import ProgressDirection, ProgressMode, SyncConfiguration, SyncSessionState, SyncStopPolicy


class Dog(Model):
    id: int = Field(primary_key=True)
    name: str = ""


def finishes(call: Callable[[], object]) -> bool:
    """Whether ``call``, on a thread of its own, comes to an end."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(5)
    return not thread.is_alive()


def locks_of(world: Any, core: Any) -> list[Any]:
    manager = world.manager
    return [manager.registry._lock, core._lock, manager.agent_locks._lock, manager._lock, core.progress._lock]


def opened(world: Any, url: str) -> Realm:
    configuration = SyncConfiguration(
        world.user(url), "/dogs", path=str(world.folder / "a.realm"), stop_policy=SyncStopPolicy.IMMEDIATELY
    )
    return Realm.open(configuration, schema=[Dog])


def test_a_realm_is_forgotten_inside_any_lock(world: Any, server: Any, realm: Any) -> None:
    opening = [opened(world, server.url)]
    session = opening[0].sync_session
    core = session._core_ref()

    def forget() -> None:
        with ExitStack() as held:
            for lock in locks_of(world, core):
                held.enter_context(lock)
            opening.clear()
            gc.collect()

    assert finishes(forget)
    world.eventually(lambda: session.state is SyncSessionState.INVALID)
    assert world.manager.wait_for_sessions_to_terminate(5)


def test_a_realm_is_forgotten_while_others_hold_the_locks(world: Any, server: Any, realm: Any) -> None:
    opening = [opened(world, server.url)]
    core = opening[0].sync_session._core_ref()

    def forget() -> None:
        opening.clear()
        gc.collect()

    with ExitStack() as held:
        for lock in locks_of(world, core):
            held.enter_context(lock)
        assert finishes(forget)
    assert world.manager.wait_for_sessions_to_terminate(5)


def test_whoever_asks_first_sees_a_forgotten_realm_as_closed(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = world.device(world.user("ws://127.0.0.1:9"))
    monkeypatch.setattr(world.manager, "post_if_running", lambda call: None)  # the event loop has not come to it yet
    device._handle.forget()
    device._handle.forget()
    assert world.manager.all_sessions() == []
    assert not world.manager.registry.is_open(device.path)


def test_tokens_are_dropped_inside_any_lock(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    core = device.core
    progress, states = ProgressDirection.UPLOAD, ProgressMode.REPORT_INDEFINITELY
    tokens = [
        device.session.add_progress_notification(progress, states, lambda *_: None),
        device.session.observe_connection_state(lambda *_: None),
    ]

    def drop() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            tokens.clear()

    def drop_inside() -> None:
        with core.progress._lock:
            drop()

    with core._lock:
        assert finishes(drop_inside)
    assert not core._watch._observers
    assert not core.progress.has_registrations


def test_asking_whether_a_session_is_referred_to_does_not_wait_for_the_registry(
    world: Any, server: Any, realm: Any
) -> None:
    """It is asked under the session's lock, which whoever ends a session takes under the registry's."""
    device = world.device(world.user(server.url))
    core, registry = device.core, world.manager.registry
    with registry._lock:
        assert finishes(lambda: registry.close_unreferenced(core))


def test_an_open_that_fails_leaves_no_reference(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: Any) -> None:
        raise FileError("cannot lock a Realm's lock file")

    user = world.user(server.url)
    with monkeypatch.context() as patched:
        patched.setattr(world.manager.agent_locks, "take", fail)
        with pytest.raises(FileError, match="lock file"):
            world.device(user)
    assert not world.manager.registry.is_open(str(world.folder / "a.realm"))
    world.device(user).session.wait_for_download(5)
