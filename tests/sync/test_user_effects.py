"""What becomes of sessions and files when tokens are renewed, refused, and users come and go (spec/sessions.md §6.3,
§13, §15.1, §21.8)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from syncline import errors
from syncline.errors import ConfigurationError, SyncAuthErrorCode
from syncline.sync import (
    ProgressDirection,
    ProgressMode,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncSessionState,
    SyncUser,
    SyncUserState,
)
from syncline.sync.states import InternalState

ACTIVE, INACTIVE, INVALID = SyncSessionState
LOGGED_OUT, LOGGED_IN, ERROR = SyncUserState
ACCOUNT = SyncCredentials.username_password("ann", "secret")


def log_in(world: Any, app: Any, credentials: SyncCredentials = ACCOUNT, **arguments: Any) -> SyncUser:
    user: SyncUser = world.manager.log_in(credentials, app.url, **arguments)
    return user


def log_in_again(world: Any, app: Any, user: SyncUser) -> None:
    """The server gives the same identity again."""
    app._count = int(user.identity, 16) - 1
    assert log_in(world, app) is user


def renewals(app: Any) -> int:
    return int(app.requests.count(("POST", "/api/client/v2.0/auth/session")))


# --- §6.3: results of a token request ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 301, 308])
def test_6_3_a_refusal_logs_out_and_tells_the_waits_the_user_s_handler_and_the_manager_s(
    world: Any, app: Any, server: Any, status: int
) -> None:
    app.lifetime = 3  # it has to be renewed before it is used
    user = log_in(world, app)
    is_waiting = threading.Event()

    async def once_somebody_waits(peer: Any) -> None:
        while not is_waiting.is_set():
            await asyncio.sleep(0.001)
        await app.script(peer)

    server.script(once_somebody_waits)
    app.refusals["session"] = (status, "InvalidSession")
    told: list[Any] = []
    user.error_handler = lambda who, error: told.append((who, type(error), error.http_status))
    world.manager.error_handler = lambda error, session: told.append((session, type(error), error.is_fatal))
    outcomes: list[Any] = []
    paused = world.device(user, "b", path="/cats")
    paused.session.suspend()
    device = world.device(user)
    device.session.on_download_complete(outcomes.append)
    is_waiting.set()
    world.eventually(lambda: len(told) >= 2 and outcomes)
    world.manager.notify_thread.drain(5)
    assert told == [(user, errors.SyncAuthError, status), (device.session, errors.ClientUserError, True)]
    assert [type(outcome) for outcome in outcomes] == [errors.ClientUserError]
    assert isinstance(outcomes[0].__cause__, errors.SyncAuthError)
    assert user.state is LOGGED_OUT
    assert (device.session.state, device.core.internal_state) == (INACTIVE, InternalState.INACTIVE)
    assert paused.core.internal_state is InternalState.PAUSED
    assert app.sockets == [], "nothing was tried with the old token"


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
def test_6_3_any_other_answer_lets_the_server_judge_the_old_token(world: Any, app: Any, status: int) -> None:
    app.lifetime = 3
    user = log_in(world, app)
    app.refusals["session"] = (status, "Whatever")
    device = world.device(user)
    device.session.wait_for_download(5)
    assert app.sockets == [f"baas_at={user.access_token}"]
    assert (world.errors, user.state, device.session.state) == ([], LOGGED_IN, ACTIVE)


@pytest.mark.parametrize("ends", [True, False])
def test_6_3_an_active_session_ends_its_waits_only_if_its_configuration_says_so(
    world: Any, app: Any, ends: bool
) -> None:
    user = log_in(world, app)
    device = world.device(user, cancel_async_open_on_non_fatal_errors=ends)
    device.session.suspend()
    world.eventually(lambda: not world.manager.client._connections)  # or the next session would use it
    app.valid_tokens.discard(user.access_token)
    app.refusals["session"] = (503, "InternalServerError")
    outcomes: list[Any] = []
    device.session.on_download_complete(outcomes.append)
    device.session.resume()
    world.eventually(lambda: renewals(app))
    if ends:
        world.eventually(lambda: outcomes)
        assert isinstance(outcomes[0], (errors.SyncAuthError, errors.SyncError))
    assert device.session.state is ACTIVE
    app.refusals.clear()
    device.session.reconnect()
    device.session.wait_for_download(5)
    world.manager.notify_thread.drain(5)
    assert outcomes == ([outcomes[0]] if ends else [None])


def test_6_3_a_token_that_cannot_be_renewed_now_is_news_for_nobody(world: Any, app: Any, server: Any) -> None:
    app.lifetime = 3
    user = log_in(world, app)

    async def silent(peer: Any) -> None:
        if b"realm-sync" in peer.request:
            await app.script(peer)

    server.script(silent)
    device = world.device(user)
    device.session.wait_for_download(5)
    assert world.errors == []


# --- §13.1, §13.2: out and in again -----------------------------------------------------------------------------------


def test_13_1_logging_out_kills_dying_sessions_and_loses_nothing(world: Any, app: Any) -> None:
    app.realm.acknowledge = False
    user = log_in(world, app)
    device = world.device(user)
    device.write("Rex")
    world.eventually(app.realm.uploads)
    device.close()
    assert world.manager.registry.all(user)[0].internal_state is InternalState.DYING
    user.log_out()
    assert world.manager.wait_for_sessions_to_terminate(5)
    assert world.errors == []
    app.realm.acknowledge = True
    again = world.device(user)
    assert (again.session.state, again.names()) == (INACTIVE, {1: "Rex"})
    log_in_again(world, app, user)
    again.session.wait_for_upload(5)


@pytest.mark.parametrize("comes_back", [True, False])
def test_13_1_data_are_deleted_at_the_next_start_unless_the_user_logs_in_before(
    world: Any, app: Any, comes_back: bool
) -> None:
    user = log_in(world, app)
    device = world.device_at_default_path(SyncConfiguration(user, "/~/dogs"))
    device.write("Rex")
    device.session.wait_for_upload(5)
    user.log_out(delete_data=True)
    assert device.names() == {1: "Rex"}, "until then it can be used"
    device.close()
    if comes_back:
        log_in_again(world, app, user)
    world.manager.close()
    world.manager = world.new_manager()
    assert Path(device.path).exists() == comes_back
    assert Path(device.path).parent.exists() == comes_back
    assert [record.identity for record in world.manager.metadata.users()] == ([user.identity] if comes_back else [])


def test_13_1_what_a_session_still_runs_on_is_deleted_later(world: Any, app: Any) -> None:
    user = log_in(world, app)
    device = world.device_at_default_path(SyncConfiguration(user, "/~/dogs"))
    device.write("Rex")
    user.remove()
    start = "import sys; from syncline import SyncManager; SyncManager(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", start, str(world.manager.layout.base)], check=True, timeout=60)
    assert device.names() == {1: "Rex"}
    device.close()
    world.manager.close()
    world.manager = world.new_manager()
    assert not Path(device.path).exists()


def test_13_2_progress_that_is_wanted_while_logged_out_comes_after_the_login(world: Any, app: Any) -> None:
    user = log_in(world, app)
    user.log_out()
    device = world.device(user)
    device.write("Rex")
    calls: list[tuple[int, int]] = []
    up, outstanding = ProgressDirection.UPLOAD, ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK
    token = device.session.add_progress_notification(up, outstanding, lambda x, t: calls.append((x, t)))
    assert token is not None
    assert token.is_valid
    log_in_again(world, app, user)
    world.eventually(lambda: not token.is_valid)
    world.manager.progress_thread.drain(5)
    assert calls[-1][0] == calls[-1][1] > 0


def test_13_2_the_tokens_of_another_login_are_used_at_once(world: Any, app: Any, server: Any) -> None:
    """A user who is logged in may log in again; a session that waits for its reconnect delay does not wait on."""
    user = log_in(world, app)
    app.valid_tokens.clear()
    app.refusals["session"] = (503, "InternalServerError")
    device = world.device(user)
    world.eventually(lambda: renewals(app))
    app.refusals.clear()
    log_in_again(world, app, user)
    device.session.wait_for_download(0.9)


# --- §13.4: who is the same user --------------------------------------------------------------------------------------


def test_13_4_one_identity_on_two_servers_or_in_two_apps_is_several_users(world: Any, app: Any, server: Any) -> None:
    one = log_in(world, app)
    app._count = int(one.identity, 16) - 1
    two = log_in(world, app, app_id="zoo")
    app._count = int(one.identity, 16) - 1
    three = world.manager.log_in(ACCOUNT, f"http://localhost:{server.port}")
    users = [one, two, three]
    assert len({user.identity for user in users}) == 1
    assert len({user.key for user in users}) == len({user.directory for user in users}) == 3
    devices = [world.device_at_default_path(SyncConfiguration(user, "/~/dogs")) for user in users]
    assert len({device.path for device in devices}) == 3
    for user, device in zip(users, devices, strict=True):
        assert user.all_sessions() == [device.session]
        assert device.session.parent_user() is user
    with pytest.raises(ConfigurationError, match="3 users"):
        world.manager.current_user()
    two.log_out()
    three.log_out()
    assert world.manager.current_user() is one
    assert [device.session.state for device in devices] == [ACTIVE, INACTIVE, INACTIVE]


def test_13_4_without_a_store_a_user_s_directory_is_the_same_in_the_next_run(world: Any, app: Any) -> None:
    paths = []
    for _ in range(2):
        manager = SyncManager(world.folder / "other", persist_users=False)
        app._count = 100
        user = manager.log_in(ACCOUNT, app.url)
        paths.append(manager.default_url_path(user, "realm://x/y"))
        manager.close()
    assert paths[0] == paths[1]
    assert Path(paths[0]).parent.name == f"{101:024x}"


def test_13_2_a_user_in_the_state_error_may_log_in_again(world: Any, app: Any) -> None:
    user = log_in(world, app)
    device = world.device(user)
    user.invalidate()
    assert user.state is ERROR
    assert (user.all_sessions(), user.session_for_url("/~/dogs")) == ([], None)
    assert device.session.state is ACTIVE
    configuration = device.session.configuration()
    assert configuration is not None
    assert (configuration.path, configuration) == (device.path, device.configuration)
    log_in_again(world, app, user)
    assert user.state is LOGGED_IN
    assert user.all_sessions() == [device.session]
    device.session.wait_for_download(5)


def test_a_login_that_is_refused_leaves_the_user_as_it_is(world: Any, app: Any) -> None:
    user = log_in(world, app)
    device = world.device(user)
    device.session.wait_for_download(5)
    app.refusals["login"] = (401, "InvalidPassword")
    with pytest.raises(errors.SyncAuthError) as caught:
        log_in(world, app)
    assert caught.value.code is SyncAuthErrorCode.INVALID_CREDENTIALS
    assert (user.state, device.session.state) == (LOGGED_IN, ACTIVE)


def test_15_4_a_lost_key_forgets_the_users_and_leaves_their_realms(world: Any, app: Any) -> None:
    base = world.folder / "encrypted"
    manager = SyncManager(base, encryption_key=bytes(64))
    user = manager.log_in(ACCOUNT, app.url)
    device = world.device_at_default_path(SyncConfiguration(user, "/~/dogs"))
    device.write("Rex")
    device.session.wait_for_upload(5)
    device.close()
    manager.close()
    before = Path(device.path).read_bytes()
    manager = SyncManager(base, encryption_key=bytes(range(64)))
    assert manager.all_users() == {}
    assert manager.metadata.file_actions() == []
    assert Path(device.path).read_bytes() == before
    manager.close()
