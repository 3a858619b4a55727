"""A client reset from the server's error to its end; every answer of the server is scripted (spec/sessions.md §12).

What stands in its way: test_client_reset_trouble.py; a real server that was restored: test_client_reset.py;
interruptions: test_client_reset_crashes.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.sync.reset_scene import (
    DISCARD,
    EITHER,
    RECOVER,
    RESET,
    Dog,
    Gate,
    Scene,
    fresh_copy_of,
    is_noted,
    names,
    put,
    record_of,
    session_of,
    settle,
)

from syncline import (
    ClientResetMode,
    ConnectionState,
    ProgressDirection,
    ProgressMode,
    Realm,
    SyncSessionState,
    SyncStopPolicy,
)
from syncline.protocol import messages
from syncline.sync.reset_tracking import Outcome


@pytest.fixture
def scene(world: Any, server: Any, app: Any, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(world, server, app, tmp_path)
    yield made
    made.close()


# --- the sequence -----------------------------------------------------------------------------------------------------


def test_what_was_recovered_is_uploaded_at_once(scene: Scene) -> None:
    """Not only when everything is downloaded, as after any other first connection: the fresh copy was just that."""
    realm = scene.ahead()
    held = []

    async def hold_marks(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Mark) and scene.binds() == 4:
            held.append((peer, message))
            return True
        return False

    before = len(scene.fake.uploads())
    scene.fake.before = hold_marks
    scene.refuse(realm)
    scene.world.eventually(lambda: len(scene.fake.uploads()) > before)
    scene.fake.before = None
    for peer, message in held:
        scene.server.run(peer.send(f"mark {message.session} {message.request_ident}\n"))
    settle(realm)
    assert names(realm) == ["Luna", "Rex"]


@pytest.mark.parametrize("mode", [RECOVER, DISCARD])
def test_waits_that_were_registered_before_the_reset_end_well_after_it(scene: Scene, mode: ClientResetMode) -> None:
    realm = scene.ahead(mode)
    ends: list[Any] = []
    session_of(realm).on_upload_complete(lambda error: ends.append(("upload", error)))
    session_of(realm).on_download_complete(lambda error: ends.append(("download", error)))
    scene.refuse(realm)
    scene.world.eventually(lambda: len(ends) == 2)
    assert sorted(ends) == [("download", None), ("upload", None)]
    assert names(realm) == (["Luna", "Rex"] if mode is RECOVER else ["Rex"])
    assert scene.world.errors == []


def test_observers_of_the_connection_see_it_come_back(scene: Scene) -> None:
    realm = scene.ahead(DISCARD)
    seen: list[Any] = []
    with session_of(realm).observe_connection_state(lambda old, new: seen.append((old, new))):
        scene.refuse(realm)
        settle(realm)
        scene.world.eventually(lambda: seen and seen[-1][1] is ConnectionState.CONNECTED and len(seen) > 3)
    assert all(before[1] is after[0] for before, after in pairwise(seen)), "without gaps"
    assert ConnectionState.DISCONNECTED in [new for _, new in seen[:-1]]
    assert session_of(realm).state is SyncSessionState.ACTIVE


def test_the_attempt_is_forgotten_once_everything_is_uploaded_and_downloaded(scene: Scene) -> None:
    realm = scene.ahead()
    scene.fake.acknowledge = False
    scene.refuse(realm)
    session_of(realm).wait_for_download(10)
    assert names(realm) == ["Luna", "Rex"]
    record = record_of(realm)
    assert record is not None
    assert (record.mode, record.outcome, record.error_code) == (RECOVER, Outcome.DONE, 208)
    scene.fake.acknowledge = True
    put(realm, 3, "Momo")
    settle(realm)
    scene.world.eventually(lambda: not is_noted(realm))


def test_recovering_twice_in_a_row(scene: Scene) -> None:
    realm = scene.ahead(encryption_key=bytes(range(64)))
    scene.refuse(realm)
    settle(realm)
    scene.world.eventually(lambda: not scene.core().history.value("reset.record"))
    session_of(realm).suspend()
    put(realm, 3, "Momo")
    scene.refuse(realm)
    settle(realm)
    assert names(realm) == ["Luna", "Momo", "Rex"]
    assert scene.world.errors == []
    assert not fresh_copy_of(realm).exists()


def test_callbacks_are_called_when_no_realm_is_open_any_more(scene: Scene) -> None:
    called: list[Any] = []
    realm = scene.open(
        stop_policy=SyncStopPolicy.LIVE_INDEFINITELY,
        before_client_reset=lambda frozen: called.append(names(frozen)),
        after_client_reset=lambda frozen, live, did_recover: called.append((names(frozen), names(live), did_recover)),
    )
    put(realm, 1, "Rex")
    settle(realm)
    session = session_of(realm)
    realm.close()
    assert session.state is SyncSessionState.ACTIVE
    scene.fake.fail_once(messages.Ident, RESET)
    scene.server.run(scene.fake.cut())
    session.reconnect()
    scene.world.eventually(lambda: len(called) == 2)
    assert called == [["Rex"], (["Rex"], ["Rex"], True)]
    session.wait_for_download(10)
    assert scene.world.errors == []


@pytest.mark.parametrize("key", [None, bytes(range(64))], ids=["plain", "encrypted"])
def test_callbacks_see_the_realm_before_and_after_and_may_write(scene: Scene, key: bytes | None) -> None:
    called: list[Any] = []

    def before(frozen: Realm) -> None:
        called.append(("before", frozen.is_frozen, names(frozen), frozen.version))

    def after(frozen: Realm, live: Realm, did_recover: bool) -> None:
        called.append(("after", frozen.is_frozen, names(frozen), frozen.version, did_recover, names(live)))
        assert frozen.version < live.version
        put(live, 3, "saved by after")

    realm = scene.ahead(DISCARD, before_client_reset=before, after_client_reset=after, encryption_key=key)
    version = realm.version
    scene.refuse(realm)
    settle(realm)
    assert called == [
        ("before", True, ["Luna", "Rex"], version),
        ("after", True, ["Luna", "Rex"], version, False, ["Rex"]),
    ]
    other = scene.world.device(scene.user, "other")
    other.session.wait_for_download(10)
    assert other.names() == {1: "Rex", 3: "saved by after"}
    assert names(realm) == ["Rex", "saved by after"]
    assert not fresh_copy_of(realm).exists()


def test_what_before_writes_belongs_to_the_state_before(scene: Scene) -> None:
    seen: list[Any] = []

    def before(frozen: Realm) -> None:
        with Realm.open(realm.config) as mine:
            put(mine, 3, "by before")

    def after(frozen: Realm, live: Realm, did_recover: bool) -> None:
        seen.append((names(frozen), names(live), did_recover))

    realm = scene.ahead(before_client_reset=before, after_client_reset=after)
    scene.refuse(realm)
    settle(realm)
    everything = ["Luna", "Rex", "by before"]
    assert seen == [(everything, everything, True)]
    assert names(realm) == everything


def test_live_objects_and_observers_go_on_and_hear_only_of_what_differs(scene: Scene) -> None:
    versions: list[int] = []

    def after(frozen: Realm, live: Realm, did_recover: bool) -> None:
        versions.extend([frozen.version, live.version])

    realm = scene.open(DISCARD, after_client_reset=after)
    for number in range(1, 6):
        put(realm, number, f"dog {number}")
    session_of(realm).wait_for_upload(10)
    other = scene.world.device(scene.user, "other")
    other.session.wait_for_download(10)
    session_of(realm).suspend()
    with realm.write():
        realm.delete(realm.get(Dog, 1))
        realm.get(Dog, 2).name = "unsynced"
        realm.create(Dog, {"id": 6, "name": "unsynced"})
    heard: list[Any] = []
    token = realm.objects(Dog).sort("id").observe(lambda dogs, change: heard.append(change))
    realm.refresh()
    untouched, changed = realm.get(Dog, 3), realm.get(Dog, 2)
    single: list[Any] = []
    watch = untouched.observe(lambda *change: single.append(change))
    other.write("new", first=7)
    other.session.wait_for_upload(10)
    scene.refuse(realm)
    settle(realm)
    realm.refresh()
    scene.world.eventually(lambda: len(heard) > 1 and realm.refresh() is not None)
    assert [dog.id for dog in realm.objects(Dog).sort("id")] == [1, 2, 3, 4, 5, 7]
    assert changed.name == "dog 2"
    changes = [change for change in heard if change.deletions or change.insertions or change.modifications]
    assert len(changes) == 1
    assert list(changes[0].deletions) == [4]
    assert list(changes[0].insertions) == [0, 5]
    assert list(changes[0].modifications) == [0]
    assert single in ([], single[:1]), "dog 3 was not touched"
    assert versions[0] < versions[1]
    token.invalidate()
    watch.invalidate()


def test_progress_becomes_small(scene: Scene) -> None:
    realm = scene.open()
    for number in range(1, 30):
        put(realm, number, "a dog with quite a long name" * 10)
    session_of(realm).wait_for_upload(10)
    session_of(realm).suspend()
    put(realm, 2000, "Luna")
    before = scene.core().history.status().counters
    reports: list[tuple[int, int]] = []
    token = session_of(realm).add_progress_notification(
        ProgressDirection.UPLOAD, ProgressMode.REPORT_INDEFINITELY, lambda *report: reports.append(report)
    )
    scene.refuse(realm)
    settle(realm)
    token.invalidate()
    assert reports[-1][0] == reports[-1][1] < 1000
    assert all(done <= whole for done, whole in reports)
    after = scene.core().history.status().counters
    assert before.uploaded > 5000
    assert after.uploaded == after.uploadable < 1000
    assert after.downloaded <= after.downloadable < 1000
    known = session_of(realm).diagnostics().upload
    assert known is not None
    assert known.is_complete
    assert known.transferrable_bytes < 1000


def test_a_file_that_was_never_written_has_nothing_to_reset(scene: Scene) -> None:
    other = scene.world.device(scene.user, "other")
    other.write("Rex")
    other.session.wait_for_upload(10)
    scene.fake.fail_once(messages.Bind, RESET)
    called: list[Any] = []
    device = scene.world.device(
        scene.user, client_reset_mode=RECOVER, before_client_reset=called.append, after_client_reset=called.append
    )
    device.session.wait_for_download(10)
    assert device.names() == {1: "Rex"}
    assert called == []
    assert scene.world.errors == []
    assert not Path(f"{device.path}.fresh").exists()


def test_a_download_that_is_being_integrated_ends_first(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, go_on = threading.Event(), threading.Event()
    realm = scene.open()
    put(realm, 1, "Rex")
    settle(realm)
    history = scene.core().history
    integrate = history.integrate

    def hold(*arguments: Any) -> Any:
        entered.set()
        assert go_on.wait(10)
        return integrate(*arguments)

    monkeypatch.setattr(history, "integrate", hold)
    other = scene.world.device(scene.user, "other")
    other.write("Momo", first=3)
    assert entered.wait(10)
    ident = history.status().file_ident
    (found,) = [(key, session) for key, session in scene.fake._sessions.items() if session.get("ident") == ident]
    (_, number), session = found
    session["failed"] = True
    gate = Gate(scene)
    scene.server.run(scene.fake.fail(session["peer"], RESET._replace(session=number)))
    gate.wait()
    put(realm, 2, "Luna")
    gate.open()
    scene.world.eventually(lambda: not scene.core().reset._fresh._protocol._waits)  # the copy is complete
    go_on.set()
    settle(realm)
    assert names(realm) == ["Luna", "Momo", "Rex"]
    assert scene.world.errors == []


def test_while_a_new_realm_is_opened_asynchronously(scene: Scene) -> None:
    """There is nothing yet that the callbacks could see or save: they are not called."""
    called: list[str] = []
    other = scene.world.device(scene.user, "other")
    other.write("Rex")
    other.session.wait_for_upload(10)
    scene.fake.fail_once(messages.Ident, RESET)
    configuration = scene.configuration(
        before_client_reset=lambda frozen: called.append("before"),
        after_client_reset=lambda frozen, live, did_recover: called.append("after"),
    )

    async def open() -> list[str]:
        async with Realm.open_async(configuration, timeout=10) as realm:
            return [dog.name for dog in realm.objects(Dog)]

    assert asyncio.run(open()) == ["Rex"]
    assert called == []
    assert scene.world.errors == []
    assert not (scene.folder / "reset.realm.fresh").exists()


def test_while_a_realm_with_unsynced_changes_is_opened_asynchronously(scene: Scene) -> None:
    called: list[Any] = []
    scene.ahead().close()
    assert scene.world.manager.wait_for_sessions_to_terminate(5)
    scene.fake.fail_once(messages.Ident, RESET)
    configuration = scene.configuration(
        before_client_reset=lambda frozen: called.append(names(frozen)),
        after_client_reset=lambda frozen, live, did_recover: called.append(names(live)),
    )

    async def open() -> list[str]:
        async with Realm.open_async(configuration, timeout=10) as realm:
            return sorted(dog.name for dog in realm.objects(Dog))

    assert asyncio.run(open()) == ["Luna", "Rex"]
    assert called == [["Luna", "Rex"], ["Luna", "Rex"]]
    assert scene.world.errors == []


# --- a look at it -----------------------------------------------------------------------------------------------------


def test_diagnostics_show_a_running_reset(scene: Scene) -> None:
    steps: list[str] = []

    def note(*realms: Any) -> None:
        running = session.diagnostics().client_reset
        assert running is not None
        steps.append(running.step)

    realm = scene.ahead(EITHER, before_client_reset=note, after_client_reset=note)
    session = session_of(realm)
    assert session.diagnostics().client_reset is None
    gate = Gate(scene)
    scene.refuse(realm, RESET._replace(message="unknown, eyJhbGciOi.eyJzdWIi.c2lnbmF0"))
    gate.wait()
    running = session.diagnostics().client_reset
    assert running is not None
    assert (running.step, running.mode) == ("downloading a fresh copy", EITHER)
    assert running.cause == "unknown, [token]"
    told = scene.world.manager.diagnostics().to_dict()["sessions"][0]["client_reset"]
    assert told["mode"] == "recover_or_discard_unsynced_changes"
    assert told["since"].endswith("+00:00")
    gate.open()
    settle(realm)
    assert steps == ["before_client_reset", "after_client_reset"]
    assert session.diagnostics().client_reset is None
