"""Lives and deaths of a session, beat by beat: dying, waits, restarts, threads (spec/sessions.md §3–§5, §8, §18)."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from syncline.errors import (
    ClientResetError,
    DiskFullError,
    MismatchedConfigError,
    OperationAbortedError,
    WrongThreadError,
)
from syncline.protocol import backoff, messages
from syncline.protocol.errors import ErrorAction
from syncline.sync import (
    ConnectionState,
    ProgressDirection,
    ProgressMode,
    SyncCredentials,
    SyncLogLevel,
    SyncSessionState,
    SyncStopPolicy,
)
from syncline.sync.backend import Backend
from syncline.sync.log import set_logger
from syncline.sync.states import InternalState

DISCONNECTED, CONNECTING, CONNECTED = ConnectionState
ACTIVE, INACTIVE, INVALID = SyncSessionState
DYING = InternalState.DYING
WAITING = InternalState.WAITING_FOR_ACCESS_TOKEN


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delays begin with 20 ms and have no jitter."""
    monkeypatch.setattr(backoff, "DEFAULT_BACKOFF", backoff.BackoffParameters(20, 60_000, 1, 0))


def acknowledge(server: Any, realm: Any) -> None:
    """Everything that was uploaded so far."""
    server.run(realm._download(1, 1, always=True))


def fail(server: Any, realm: Any, action: ErrorAction, *, try_again: bool, code: int = 201) -> None:
    """An error for the first session of the first connection."""
    realm._sessions[1, 1]["failed"] = True
    server.run(realm.fail(server.peers[0], messages.Error(1, code, "so it is", try_again, action)))


# --- dying (§3.5) -----------------------------------------------------------------------------------------------------


def test_a_session_dies_also_without_a_server_and_is_gone_once_there_was_one(
    world: Any, server: Any, realm: Any, quick: None
) -> None:
    async def refuse(peer: Any) -> None:
        await peer.answer(503)

    server.script(refuse)
    device = world.device(world.user(server.url))
    device.write("Rex")
    core = device.core
    world.eventually(lambda: server.peers)
    device.close()
    assert core.internal_state is DYING
    assert core.state is ACTIVE
    assert not world.manager.wait_for_sessions_to_terminate(0.1)
    server.script(realm.script)
    assert world.manager.wait_for_sessions_to_terminate(5)
    assert len(realm.uploads()) == 1
    assert core.internal_state is InternalState.INACTIVE


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        (SyncStopPolicy.IMMEDIATELY, InternalState.INACTIVE),
        (SyncStopPolicy.LIVE_INDEFINITELY, InternalState.ACTIVE),
        (SyncStopPolicy.AFTER_CHANGES_UPLOADED, DYING),
    ],
)
def test_the_stop_policy_counts_also_without_a_server(
    world: Any, server: Any, policy: SyncStopPolicy, state: InternalState
) -> None:
    async def refuse(peer: Any) -> None:
        await peer.answer(503)

    server.script(refuse)
    device = world.device(world.user(server.url), stop_policy=policy)
    device.write("Rex")
    core = device.core
    device.close()
    assert core.internal_state is state


def test_closing_is_called_off_if_somebody_opens_meanwhile(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.core.close(lambda: False)
    assert device.core.internal_state is InternalState.ACTIVE


def test_a_dying_session_that_is_suspended_or_logged_out_is_gone_its_changes_are_in_the_file(
    world: Any, server: Any, realm: Any
) -> None:
    realm.acknowledge = False
    user = world.user(server.url)
    device = world.device(user)
    device.session.wait_for_download(5)
    device.write("Rex")
    session = device.session
    device.close()
    session.suspend()
    assert world.manager.wait_for_sessions_to_terminate(5)
    assert session.state is INVALID
    realm.acknowledge = True
    world.device(user).session.wait_for_upload(5)
    assert len({entry.client_version for entry in realm.uploads()}) == 1


def test_each_death_waits_for_what_was_written_before_it(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    user = world.user(server.url)
    device = world.device(user)
    device.write("Rex")
    world.eventually(realm.uploads)
    core = device.core
    device.close()  # the first death waits for Rex
    again = world.device(user)
    server.run(hold_back(realm))
    again.write("Fido", first=2)
    again.close()  # the second for Fido as well
    assert core._death_count == 2
    acknowledge(server, realm)
    world.manager.notify_thread.drain(5)
    time.sleep(0.1)
    assert core.internal_state is DYING, "the wait of the first death does not end the second"


async def hold_back(realm: Any) -> None:
    """From now on uploads are not even taken."""

    async def before(peer: Any, message: Any) -> bool:
        return isinstance(message, messages.Upload)

    realm.before = before


def test_a_dying_session_goes_on_receiving_and_takes_waits(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)

    async def hold_back_the_first(peer: Any, message: Any) -> bool:
        return isinstance(message, messages.Upload) and peer is server.peers[0]

    realm.before = hold_back_the_first
    device.write("Rex")
    session, core = device.session, device.core
    device.close()
    other = world.device(world.user(server.url, "other"), "b")
    other.write("Fido", first=2)
    other.session.wait_for_upload(5)
    world.eventually(lambda: core.history.status().progress.download.server_version == 1)
    assert core.internal_state is DYING
    ends: list[Any] = []
    session.on_download_complete(ends.append)
    world.eventually(lambda: ends)
    assert ends == [None]
    session.on_upload_complete(ends.append)
    session.suspend()
    world.eventually(lambda: len(ends) == 2)
    assert isinstance(ends[1], OperationAbortedError)


def test_errors_that_leave_a_session_as_it_is_do_not_end_a_dying_one(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    core = device.core
    device.close()
    realm.acknowledge = True
    fail(server, realm, ErrorAction.TRANSIENT, try_again=True)
    world.eventually(lambda: core.connection_state is DISCONNECTED)
    assert core.internal_state is DYING
    assert world.manager.wait_for_sessions_to_terminate(5), "it goes on dying after the pause"
    assert realm.kinds().count("Bind") == 2
    world.manager.notify_thread.drain(5)
    assert world.errors == []


def test_a_warning_for_a_dying_session_is_told(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    core, session = device.core, device.session
    device.close()
    fail(server, realm, ErrorAction.WARNING, try_again=True)
    world.eventually(lambda: world.errors)
    ((error, reported),) = world.errors
    assert not error.is_fatal
    assert reported == session
    assert core.internal_state is DYING


@pytest.mark.parametrize("try_again", [False, True])
def test_an_error_that_ends_sessions_ends_a_dying_one_in_silence_but_for_the_log(
    world: Any, server: Any, realm: Any, caplog: pytest.LogCaptureFixture, try_again: bool
) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    device.close()
    with caplog.at_level(logging.WARNING, "syncline.sync"):
        fail(server, realm, ErrorAction.APPLICATION_BUG, try_again=try_again)
        assert world.manager.wait_for_sessions_to_terminate(5)
    world.manager.notify_thread.drain(5)
    assert world.errors == []
    assert any("so it is" in record.getMessage() and device.path in record.getMessage() for record in caplog.records)


def test_reconnecting_does_not_concern_a_dying_session(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    session = device.session
    device.close()
    session.reconnect()
    world.manager.reconnect()
    time.sleep(0.1)
    assert "Ping" not in realm.kinds()


# --- suspended (§5) ---------------------------------------------------------------------------------------------------


def test_the_first_realm_ends_a_pause_also_if_an_async_open_has_kept_the_session(
    world: Any, server: Any, realm: Any
) -> None:
    user = world.user(server.url)
    device = world.device(user)
    device.session.wait_for_download(5)
    core = device.core
    opening = Backend().download(device.configuration)
    opening.attach(device._lease, None)
    device.session.suspend()
    second = world.device(user)
    assert core.internal_state is InternalState.PAUSED
    second.close()
    device.close()
    assert core.internal_state is InternalState.PAUSED, "the open that is under way keeps it"
    again = world.device(user)
    assert again.core is core
    assert core.internal_state is InternalState.ACTIVE
    again.session.suspend()
    opening.close()
    assert core.internal_state is InternalState.PAUSED
    again.close()
    assert world.manager.wait_for_sessions_to_terminate(5)


# --- waiting for a token (§4.2, §6.2) ---------------------------------------------------------------------------------


class SlowTokens:
    """A server that takes its time to renew access tokens."""

    def __init__(self, server: Any, app: Any) -> None:
        self.asked = 0
        self._go_on = threading.Event()
        self._app = app
        server.script(self._script)

    def go_on(self) -> None:
        self._go_on.set()

    async def _script(self, peer: Any) -> None:
        if peer.request.startswith(b"POST") and b"/session " in peer.request.split(b"\r\n")[0]:
            self.asked += 1
            while not self._go_on.is_set():
                await asyncio.sleep(0.005)
        await self._app.script(peer)


@pytest.fixture
def slow(server: Any, app: Any) -> SlowTokens:
    return SlowTokens(server, app)


def waiting(world: Any, app: Any, slow: SlowTokens, **settings: Any) -> Any:
    """A device whose session waits for a token."""
    app.lifetime = 3
    user = world.manager.log_in(SyncCredentials.username_password("ann", "secret-1"), app.url)
    app.lifetime = 1800
    device = world.device(user, path="/~/dogs", **settings)
    assert device.core.internal_state is WAITING
    world.eventually(lambda: slow.asked == 1)
    return device


def test_a_session_that_waits_for_a_token_is_active_and_takes_waits(
    world: Any, realm: Any, app: Any, slow: SlowTokens
) -> None:
    device = waiting(world, app, slow)
    session, core = device.session, device.core
    assert (session.state, session.connection_state) == (ACTIVE, DISCONNECTED)
    ends: list[Any] = []
    device.write("Rex")
    session.on_upload_complete(ends.append)
    session.resume()
    session.reconnect()
    world.device(device.configuration.user, path="/~/dogs")
    world.manager.network_reachability_changed(True)
    assert core.internal_state is WAITING
    assert slow.asked == 1
    slow.go_on()
    world.eventually(lambda: ends)
    assert ends == [None]
    assert core.internal_state is InternalState.ACTIVE
    assert world.errors == []


def test_suspended_while_it_waits_for_a_token_it_stays_so(world: Any, realm: Any, app: Any, slow: SlowTokens) -> None:
    device = waiting(world, app, slow)
    token = device.configuration.user.access_token
    ends: list[Any] = []
    device.session.on_upload_complete(ends.append)
    device.session.suspend()
    world.eventually(lambda: ends)
    assert isinstance(ends[0], OperationAbortedError)
    slow.go_on()
    world.eventually(lambda: device.configuration.user.access_token != token)
    time.sleep(0.05)
    assert device.core.internal_state is InternalState.PAUSED
    device.session.resume()
    device.session.wait_for_download(5)


@pytest.mark.parametrize("policy", list(SyncStopPolicy))
def test_closed_while_it_waits_for_a_token_it_is_over(
    world: Any, realm: Any, app: Any, slow: SlowTokens, policy: SyncStopPolicy
) -> None:
    device = waiting(world, app, slow, stop_policy=policy)
    session = device.session
    device.close()
    assert session.state is INVALID
    assert world.manager.wait_for_sessions_to_terminate(5)
    slow.go_on()
    again = world.device(device.configuration.user, path="/~/dogs")
    again.session.wait_for_download(5)


def test_logged_out_while_it_waits_for_a_token_it_is_inactive(
    world: Any, realm: Any, app: Any, slow: SlowTokens
) -> None:
    device = waiting(world, app, slow)
    user = device.configuration.user
    user.log_out()
    assert device.core.internal_state is InternalState.INACTIVE
    slow.go_on()
    time.sleep(0.05)
    assert device.core.internal_state is InternalState.INACTIVE
    assert user.access_token is None


# --- waits (§8) -------------------------------------------------------------------------------------------------------


def test_waits_survive_cuts_restarts_tokens_and_a_death_that_is_called_off(
    world: Any, server: Any, realm: Any, app: Any, quick: None
) -> None:
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    device = world.device(user, path="/~/dogs")
    session, core = device.session, device.core
    session.wait_for_download(5)
    server.run(hold_back(realm))
    device.write("Rex")
    ends: list[Any] = []
    session.on_upload_complete(ends.append)
    server.run(realm.cut())
    world.eventually(lambda: session.connection_state is DISCONNECTED)
    world.connected(device)
    core.restart()
    world.connected(device)
    token = user.access_token
    world.manager.renewal.request(user)
    world.eventually(lambda: user.access_token != token)
    device.close()
    assert core.internal_state is DYING
    again = world.device(user, path="/~/dogs")
    assert again.core is core
    world.manager.notify_thread.drain(5)
    assert ends == []
    realm.before = None
    core.restart()
    world.eventually(lambda: ends)
    assert ends == [None]


def test_waits_of_one_moment_end_in_the_order_of_their_registration(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.session.suspend()
    order: list[int] = []
    for number in range(20):
        register = device.session.on_download_complete if number % 2 else device.session.on_upload_complete
        register(lambda error, number=number: order.append(number))
    device.session.resume()
    world.eventually(lambda: len(order) == 20)
    assert [number for number in order if number % 2] == list(range(1, 20, 2))
    assert [number for number in order if not number % 2] == list(range(0, 20, 2))


def test_an_upload_wait_has_a_target_of_its_own_which_later_writes_do_not_move(
    world: Any, server: Any, realm: Any
) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    realm.acknowledge = False
    ends: list[str] = []
    device.write("Rex")
    device.session.on_upload_complete(lambda error: ends.append("Rex"))
    world.eventually(realm.uploads)
    server.run(hold_back(realm))
    device.write("Fido", first=2)
    device.session.on_upload_complete(lambda error: ends.append("Fido"))
    world.eventually(lambda: realm.kinds().count("Upload") == 2)
    acknowledge(server, realm)  # of Rex alone
    world.eventually(lambda: ends)
    time.sleep(0.1)
    assert ends == ["Rex"]


def test_an_upload_wait_includes_the_commit_just_before_it(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    for number in range(1, 30):
        device.write("Rex", first=number)
        device.session.wait_for_upload(5)
        assert sum(len(log) for log in realm.history.values()) == number


def test_what_needs_no_upload_counts_as_uploaded(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    writer, reader = world.device(user, "a"), world.device(user, "b")
    writer.write("Rex")
    world.eventually(lambda: 1 in reader.names())
    reader.session.wait_for_upload(5)
    with reader.file.write():
        pass  # a commit of nothing
    reader.session.wait_for_upload(5)
    assert len(realm.uploads()) == 1


def test_an_error_that_ends_the_session_ends_each_wait_once_with_its_status(
    world: Any, server: Any, realm: Any
) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    ends: list[Exception | None] = []
    device.session.on_upload_complete(ends.append)
    device.session.on_upload_complete(ends.append)
    fail(server, realm, ErrorAction.CLIENT_RESET, try_again=False, code=208)
    world.eventually(lambda: world.errors)
    device.close()
    world.manager.close()
    assert [type(end) for end in ends] == [ClientResetError] * 2


def test_a_restart_keeps_waits_and_tells_of_both_steps(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    ends: list[Exception | None] = []
    device.session.on_upload_complete(ends.append)
    changes: list[Any] = []
    with device.session.observe_connection_state(lambda old, new: changes.append((old, new))):
        device.core.restart()
        world.manager.notify_thread.drain(5)
        assert ends == []
        world.eventually(lambda: len(changes) == 3)
    assert changes == [(CONNECTED, DISCONNECTED), (DISCONNECTED, CONNECTING), (CONNECTING, CONNECTED)]
    world.eventually(lambda: ends)
    assert ends == [None]
    assert realm.kinds().count("Bind") == 2


def test_other_configurations_abort_waits_also_if_the_callback_stops_and_starts(
    world: Any, server: Any, realm: Any
) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    session, core = device.session, device.core
    ends: list[Any] = []

    def again(error: Exception | None) -> None:
        ends.append(error)
        if len(ends) < 3:
            session.on_upload_complete(again)
        session.suspend()
        session.resume()

    session.on_upload_complete(again)
    core.update_configuration(core.configuration.replace(stop_policy=SyncStopPolicy.IMMEDIATELY))
    world.eventually(lambda: len(ends) == 3)
    world.manager.notify_thread.drain(5)
    assert [type(end) for end in ends] == [OperationAbortedError] * 3
    assert session.state is ACTIVE
    realm.acknowledge = True
    session.wait_for_download(5)
    device.close()
    assert session.state is INVALID, "the new policy counts"


def test_waits_of_a_session_that_a_logout_stops_are_aborted_and_later_ones_wait_for_the_login(
    world: Any, server: Any, realm: Any, app: Any
) -> None:
    realm.acknowledge = False
    user = world.manager.log_in(SyncCredentials.username_password("ann", "secret-1"), app.url)
    device = world.device(user, path="/dogs")
    device.write("Rex")
    world.eventually(realm.uploads)
    ends: list[Exception | None] = []
    device.session.on_upload_complete(ends.append)
    user.log_out()
    world.eventually(lambda: ends)
    assert [type(end) for end in ends] == [OperationAbortedError]
    device.session.on_upload_complete(ends.append)
    world.manager.notify_thread.drain(5)
    assert len(ends) == 1


# --- threads (§18) ----------------------------------------------------------------------------------------------------


def test_every_callback_runs_on_the_thread_that_is_promised(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    session = device.session
    threads: dict[str, set[str]] = {}

    def here(what: str) -> Callable[..., None]:
        return lambda *_: threads.setdefault(what, set()).add(threading.current_thread().name)

    world.manager.error_handler = here("error")
    token = session.observe_connection_state(here("observer"))
    progress = session.add_progress_notification(
        ProgressDirection.UPLOAD, ProgressMode.REPORT_INDEFINITELY, here("progress")
    )
    session.on_download_complete(here("wait"))
    device.write("Rex")
    world.eventually(lambda: realm.uploads() and "progress" in threads and "wait" in threads)
    session.on_upload_complete(here("failed wait"))
    fail(server, realm, ErrorAction.APPLICATION_BUG, try_again=False)
    world.eventually(lambda: "error" in threads)
    progress.invalidate()
    token.invalidate()
    assert threads == {
        "observer": {"syncline-notify"},
        "wait": {"syncline-notify"},
        "failed wait": {"syncline-notify"},
        "error": {"syncline-notify"},
        "progress": {"syncline-progress"},
    }


def test_our_threads_do_not_keep_a_program_alive(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.write("Rex")
    with device.session.observe_connection_state(lambda old, new: None):
        device.session.wait_for_upload(5)
        ours = {thread.name: thread.daemon for thread in threading.enumerate() if thread.name.startswith("syncline")}
    assert {"syncline-sync", "syncline-notify", "syncline-work-1"} <= set(ours)
    assert all(ours.values())


def test_executors_and_loops_may_be_named_wherever_a_callback_is(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    session = device.session
    threads: set[str] = set()

    def here(*_: Any) -> None:
        threads.add(threading.current_thread().name)

    with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        token = session.observe_connection_state(here, executor=pool)
        session.suspend()
        session.resume()
        session.on_upload_complete(here, executor=pool)
        session.on_download_complete(here, executor=pool)
        with session.progress_notification(
            ProgressDirection.DOWNLOAD, ProgressMode.REPORT_INDEFINITELY, here, executor=pool
        ):
            device.write("Rex")
            session.wait_for_upload(5)
            world.manager.notify_thread.drain(5)
            world.manager.progress_thread.drain(5)
        token.invalidate()
    assert threads == {"mine_0"}


def test_no_lock_of_ours_is_held_while_a_log_function_runs(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may wait for another thread that asks the session, the manager, the user."""
    manager = world.manager
    stuck: list[str] = []
    told: list[str] = []
    asked: list[Any] = []

    def full(action: Any) -> None:
        raise DiskFullError("no space left")

    def ask() -> None:
        for device in asked:
            session = manager.session_at(device.path)
            if session is not None and session.state is not INVALID:
                _ = (session.connection_state, session.last_error, session.configuration())
                session.resume()
        _ = (manager.all_sessions(), manager.all_users())

    def log(level: SyncLogLevel, text: str) -> None:
        told.append(text)
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(1)
        if asking.is_alive():
            stuck.append(text)

    before = manager.log_level
    manager.log_level = SyncLogLevel.ALL
    manager.logger = log
    try:
        device = world.device(world.user(server.url))
        asked.append(device)
        device.write("Rex")
        device.session.wait_for_upload(5)
        server.run(realm.cut())
        world.eventually(lambda: device.session.connection_state is DISCONNECTED)
        device.session.reconnect()
        device.session.wait_for_download(5)
        monkeypatch.setattr(manager.metadata, "save_file_action", full)  # which is worth a line
        ((_, number), session) = next(iter(realm._sessions.items()))
        session["failed"] = True
        error = messages.Error(number, 208, "unknown", False, ErrorAction.CLIENT_RESET)
        server.run(realm.fail(session["peer"], error))
        world.eventually(lambda: world.errors)
        device.close()
        world.manager.wait_for_sessions_to_terminate(5)
    finally:
        manager.log_level = before
        set_logger(None)
    assert any("cannot be stored" in text for text in told)
    assert stuck == []


def test_a_log_function_that_waits_for_sync_is_told_that_it_would_wait_for_itself(
    world: Any, server: Any, realm: Any
) -> None:
    manager = world.manager
    told: list[BaseException] = []

    def log(level: SyncLogLevel, text: str) -> None:
        session = manager.session_at(str(world.folder / "a.realm"))
        if session is not None and threading.current_thread().name == "syncline-sync":
            try:
                session.wait_for_upload(5)
            except BaseException as error:  # noqa: BLE001 - whatever it is
                told.append(error)

    before = manager.log_level
    manager.log_level = SyncLogLevel.ALL
    manager.logger = log
    try:
        device = world.device(world.user(server.url))
        device.session.wait_for_download(5)
        assert told
    finally:
        manager.log_level = before
        set_logger(None)
    assert {type(error) for error in told} == {WrongThreadError}


def test_a_new_token_does_not_start_a_suspended_session(world: Any, server: Any, realm: Any, app: Any) -> None:
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    device = world.device(user, path="/~/dogs")
    device.session.wait_for_download(5)
    device.session.suspend()
    token = user.access_token
    world.manager.renewal.request(user)
    world.eventually(lambda: user.access_token != token)
    time.sleep(0.05)
    assert device.core.internal_state is InternalState.PAUSED
    device.session.resume()
    device.session.wait_for_download(5)


def test_a_token_that_is_unknown_is_removed_without_ado(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.core.stop_observing(4711)
    token = device.session.observe_connection_state(print)
    device.close()
    assert world.manager.wait_for_sessions_to_terminate(5)
    token.invalidate()
    token.invalidate()


def test_a_session_that_joins_a_connection_under_way_sees_both_steps(world: Any, server: Any, realm: Any) -> None:
    release = threading.Event()

    async def slow(peer: Any) -> None:
        while not release.is_set():
            await asyncio.sleep(0.005)
        await realm.script(peer)

    server.script(slow)
    user = world.user(server.url)
    first = world.device(user, "a")
    world.eventually(lambda: first.session.connection_state is CONNECTING)
    second = world.device(user, "b", path="/cats")
    second.session.suspend()
    changes: list[Any] = []
    with second.session.observe_connection_state(lambda old, new: changes.append((old, new))):
        second.session.resume()
        world.eventually(lambda: changes == [(DISCONNECTED, CONNECTING)])
        release.set()
        world.eventually(lambda: len(changes) == 2)
    assert changes == [(DISCONNECTED, CONNECTING), (CONNECTING, CONNECTED)]


def test_a_session_that_the_server_has_suspended_hears_nothing_of_its_connection(
    world: Any, server: Any, realm: Any, quick: None
) -> None:
    realm.fail_once(messages.Bind, messages.Error(0, 201, "no more", False, ErrorAction.WARNING), path="/cats")
    user = world.user(server.url)
    dogs, cats = world.device(user, "a"), world.device(user, "b", path="/cats")
    world.eventually(lambda: world.errors)
    changes: list[Any] = []
    with cats.session.observe_connection_state(lambda old, new: changes.append((old, new))):
        server.run(realm.cut())
        world.eventually(lambda: len(server.peers) == 2)
        dogs.session.wait_for_download(5)
        world.manager.notify_thread.drain(5)
    assert changes == []
    assert len(world.errors) == 1


def test_many_threads_that_open_one_file_share_one_session(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    with ThreadPoolExecutor(8) as pool:
        devices = list(pool.map(lambda _: world.device(user), range(16)))
    assert len({device.core for device in devices}) == 1
    devices[0].session.wait_for_download(5)
    assert realm.kinds().count("Bind") == 1


def test_two_urls_one_path_and_one_url_two_paths(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    device = world.device(user, "a", path="/dogs")
    assert world.device(user, "b", path="/dogs").session != device.session
    with pytest.raises(MismatchedConfigError):
        world.device(user, "a", path="/cats")
    with pytest.raises(MismatchedConfigError):
        world.device(world.user(server.url, "other"), "a", path="/dogs")
    assert device.session.state is ACTIVE


def test_what_is_written_after_suspending_stays_here_also_if_an_upload_is_on_its_way(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop puts an upload together while another thread suspends, and writes on (§5.1)."""
    device = world.device(world.user(server.url))
    device.write("Rex")
    device.session.wait_for_upload(5)
    uploaded = len(realm.uploads())
    is_asked, may_answer = threading.Event(), threading.Event()
    uploadable = device.core.history.uploadable

    def late(*arguments: Any, **options: Any) -> Any:
        is_asked.set()
        assert may_answer.wait(5)
        return uploadable(*arguments, **options)

    monkeypatch.setattr(device.core.history, "uploadable", late)
    device.write("Luna", first=2)
    assert is_asked.wait(5)
    device.session.suspend()
    device.write("Momo", first=3)
    may_answer.set()
    world.eventually(lambda: "Unbind" in realm.kinds())
    assert len(realm.uploads()) == uploaded
    device.session.resume()
    device.session.wait_for_upload(5)
    assert len(realm.uploads()) == uploaded + 2
