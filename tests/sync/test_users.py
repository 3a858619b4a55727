"""Logging in and out, tokens and their renewal, users on disk (spec/sessions.md §6, §13; spec/http-api.md §4)."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from syncline import errors
from syncline.errors import ConfigurationError, SyncAuthErrorCode
from syncline.sync import (
    ConnectionState,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncSessionState,
    SyncUser,
    SyncUserState,
)
from syncline.sync.states import InternalState

DISCONNECTED, CONNECTING, CONNECTED = ConnectionState
ACTIVE, INACTIVE, INVALID = SyncSessionState
LOGGED_OUT, LOGGED_IN, ERROR = SyncUserState


def log_in(world: Any, app: Any, **arguments: Any) -> Any:
    return world.manager.log_in(SyncCredentials.anonymous(), app.url, **arguments)


def test_logging_in(world: Any, app: Any) -> None:
    user = log_in(world, app)
    assert user.state is LOGGED_IN
    assert len(user.identity) == 24
    assert user.authentication_server == app.url
    assert user.app_id == "default"
    assert user.is_anonymous
    assert not user.is_admin
    assert user.access_token in app.valid_tokens
    assert user.refresh_token in app.valid_tokens
    assert world.manager.all_users() == {user.identity: user}
    assert world.manager.current_user() is user
    assert "token" not in repr(user)
    assert [path.rsplit("/", 1)[1] for _, path in app.requests] == ["location", "login", "profile"]


def test_logging_in_from_an_event_loop(world: Any, app: Any) -> None:
    async def main() -> SyncUser:
        return await world.manager.log_in_async(SyncCredentials.anonymous(), app.url, app_id="other")

    user = asyncio.run(main())
    assert user.app_id == "other"
    assert "/app/other/" in app.requests[0][1]


def test_the_shared_manager(tmp_path: Path, world: Any, app: Any) -> None:
    manager = SyncManager.shared(tmp_path / "shared")
    try:
        assert SyncManager.shared() is manager
        with pytest.raises(ConfigurationError):
            SyncManager.shared(tmp_path / "elsewhere")
        credentials = SyncCredentials.username_password("ann@example.org", "secret", register=True)
        user = SyncUser.log_in(credentials, app.url)
        assert SyncUser.current() is user
        assert SyncUser.all() == {user.identity: user}
        assert app.bodies[1] == {"email": "ann@example.org", "password": "secret"}
        configuration = SyncConfiguration.automatic()
        assert configuration.user is user
        assert configuration.realm_path == "/default"
        asyncio.run(SyncUser.log_in_async(SyncCredentials.anonymous(), app.url))
        with pytest.raises(ConfigurationError, match="2 users"):
            SyncUser.current()
    finally:
        manager.close()
    assert SyncManager.shared(tmp_path / "again") is not manager
    SyncManager.shared().close()


def test_users_are_not_made_by_hand(world: Any) -> None:
    with pytest.raises(TypeError):
        SyncUser(object(), world.manager, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        ("InvalidPassword", 401, SyncAuthErrorCode.INVALID_CREDENTIALS),
        ("AuthProviderNotFound", 404, SyncAuthErrorCode.UNKNOWN),
    ],
)
def test_a_refused_login(world: Any, app: Any, word: str, status: int, code: SyncAuthErrorCode) -> None:
    app.refusals["login"] = (status, word)
    with pytest.raises(errors.SyncAuthError) as caught:
        log_in(world, app)
    assert (caught.value.code, caught.value.error_code, caught.value.http_status) == (code, word, status)
    assert world.manager.all_users() == {}
    assert world.manager.current_user() is None


def test_a_login_whose_profile_fails_is_no_login(world: Any, app: Any) -> None:
    app.refusals["profile"] = (500, "InternalServerError")
    with pytest.raises(errors.SyncAuthError):
        log_in(world, app)
    assert world.manager.all_users() == {}


def test_bad_input_wrong_addresses_and_dead_servers(world: Any) -> None:
    for url in ("localhost:9080", "ws://localhost:9080", "", "http://"):
        with pytest.raises(errors.SyncAuthError):
            world.manager.log_in(SyncCredentials.anonymous(), url)
    with pytest.raises(errors.ConnectionFailedError):
        world.manager.log_in(SyncCredentials.anonymous(), "http://127.0.0.1:9", timeout=5)


def test_bad_input_a_server_that_speaks_garbage(world: Any, server: Any) -> None:
    async def garbage(peer: Any) -> None:
        await peer.write(b"\x00\x01 garbage\r\n\r\n")

    server.script(garbage)
    with pytest.raises(errors.SyncAuthError) as caught:
        world.manager.log_in(SyncCredentials.anonymous(), f"http://127.0.0.1:{server.port}", timeout=5)
    assert caught.value.code is SyncAuthErrorCode.BAD_RESPONSE


def test_bad_input_a_server_that_does_not_answer(world: Any, server: Any) -> None:
    async def silence(peer: Any) -> None:
        await asyncio.sleep(10)

    server.script(silence)
    with pytest.raises(errors.ConnectTimeoutError):
        world.manager.log_in(SyncCredentials.anonymous(), f"http://127.0.0.1:{server.port}", timeout=0.2)


def test_providers_that_do_not_exist_any_more_are_refused_before_anything_is_sent(world: Any, app: Any) -> None:
    with pytest.raises(errors.SyncAuthError) as caught:
        world.manager.log_in(SyncCredentials.nickname("nick"), app.url)
    assert caught.value.code is SyncAuthErrorCode.INVALID_PARAMETERS
    assert app.requests == []


def test_a_session_connects_with_the_access_token_at_the_place_the_server_named(world: Any, app: Any) -> None:
    user = log_in(world, app)
    device = world.device(user, path="/~/dogs")
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert app.sockets == [f"baas_at={user.access_token}"]
    assert app.realm.log[0][1].path == f"/{user.identity}/dogs"
    assert device.session.realm_url == f"realm://127.0.0.1:{app.url.rsplit(':', 1)[1]}/{user.identity}/dogs"
    assert user.session_for_url("realm://nowhere/x") is None


def test_the_default_path_and_the_look_up_by_url(world: Any, app: Any) -> None:
    user = log_in(world, app)
    url = f"realm://127.0.0.1:{app.url.rsplit(':', 1)[1]}/~/dogs"
    device = world.device_at_default_path(SyncConfiguration(user, url))
    assert device.path == world.manager.default_url_path(user, url)
    assert Path(device.path).name == "realm%3A%2F%2F127.0.0.1%3A" + url.split(":")[2].replace("/", "%2F").replace(
        "~", "%7E"
    )
    assert user.session_for_url(url) == device.session
    bare = world.device_at_default_path(SyncConfiguration(user, "/~/dogs"))
    assert bare.path == device.path
    partition = world.device_at_default_path(SyncConfiguration(user, partition_value=7))
    assert Path(partition.path).parts[-4:] == ("mongodb-realm", "default", user.identity, "l_7.realm")


def test_logging_out_keeps_files_and_stops_sessions(world: Any, app: Any) -> None:
    user = log_in(world, app)
    device = world.device(user)
    device.write("Rex")
    device.session.wait_for_upload(5)
    states: list[Any] = []
    token = device.session.observe_connection_state(lambda old, new: states.append((old, new)))
    refresh_token = user.refresh_token
    user.log_out()
    assert user.state is LOGGED_OUT
    assert (user.access_token, user.refresh_token) == (None, None)
    assert (device.session.state, device.session.connection_state) == (INACTIVE, DISCONNECTED)
    world.manager.notify_thread.drain(5)
    assert states == [(CONNECTED, DISCONNECTED)]
    device.write("Fido", first=2)
    assert device.names() == {1: "Rex", 2: "Fido"}
    world.eventually(lambda: ("DELETE", "/api/client/v2.0/auth/session") in app.requests)
    assert user.all_sessions() == [device.session]
    assert refresh_token is not None
    token.invalidate()


def test_logging_in_again_revives_the_sessions_of_the_same_user(world: Any, app: Any) -> None:
    account = SyncCredentials.username_password("me@x.example", "secret-1")
    user = world.manager.log_in(account, app.url)
    device, paused = world.device(user, "a"), world.device(user, "b", path="/cats")
    paused.session.suspend()
    user.log_out()
    device.write("Rex")
    outcomes: list[Exception | None] = []
    device.session.on_upload_complete(outcomes.append)
    late = world.device(user, "c", path="/late")
    assert late.session.state is INACTIVE
    app._count = int(user.identity, 16) - 1  # the server gives the same identity again
    assert world.manager.log_in(account, app.url) is user
    assert user.state is LOGGED_IN
    assert device.session.state is ACTIVE
    assert late.session.state is ACTIVE
    assert paused.session.state is INACTIVE
    world.eventually(lambda: outcomes == [None])


def test_resume_while_logged_out_ends_the_pause_and_waits_for_the_login(world: Any, app: Any) -> None:
    user = log_in(world, app)
    device = world.device(user)
    user.log_out()
    device.session.suspend()
    assert device.core.internal_state is InternalState.PAUSED
    device.session.resume()
    assert device.session.state is INACTIVE
    assert device.core.internal_state is InternalState.INACTIVE
    app._count = int(user.identity, 16) - 1
    log_in(world, app)
    assert device.session.state is ACTIVE


def test_logging_out_kills_dying_sessions(world: Any, app: Any) -> None:
    app.realm.acknowledge = False
    user = log_in(world, app)
    device = world.device(user)
    device.write("Rex")
    world.eventually(app.realm.uploads)
    device.close()
    user.log_out()
    assert world.manager.wait_for_sessions_to_terminate(5)


def test_other_headers_go_with_requests_and_sockets_from_then_on(world: Any, app: Any, server: Any) -> None:
    user = log_in(world, app)
    device = world.device(user=user)
    world.connected(device)
    before = len(server.peers)
    world.manager.custom_request_headers = {"X-Tenant": "blue"}
    log_in(world, app)
    world.connected(device)
    world.eventually(lambda: all(peer.request for peer in server.peers))  # one may have just been accepted
    sockets = [peer for peer in server.peers[before:] if "/realm-sync" in peer.target]
    assert len(sockets) == 1
    assert len(server.peers) >= before + 3
    assert {peer.header("X-Tenant") for peer in server.peers[before:]} == {"blue"}
    assert {peer.header("X-Tenant") for peer in server.peers[:before]} == {None}


def test_users_survive_a_restart(world: Any, app: Any) -> None:
    user = log_in(world, app)
    other = log_in(world, app)
    other.log_out()
    world.manager.close()
    world.manager = world.new_manager()
    (again,) = world.manager.all_users().values()
    assert (again.identity, again.refresh_token) == (user.identity, user.refresh_token)
    assert again.directory == user.directory
    requests = len(app.requests)
    device = world.device(again)
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert len(app.requests) == requests  # the stored token is good, the guessed address too


def test_an_anonymous_user_who_logs_out_is_gone_at_the_next_start_with_its_files(world: Any, app: Any) -> None:
    user = log_in(world, app)
    path = Path(world.manager.default_url_path(user, "realm://x/y"))
    path.touch()
    user.log_out()
    assert path.exists()
    world.manager.close()
    world.manager = world.new_manager()
    assert not path.exists()
    assert world.manager.metadata.users() == []


def test_an_account_that_logs_out_keeps_its_files_unless_it_is_removed(world: Any, app: Any) -> None:
    credentials = SyncCredentials.username_password("ann", "secret")
    kept, removed = world.manager.log_in(credentials, app.url), world.manager.log_in(credentials, app.url)
    paths = [Path(world.manager.default_url_path(user, "realm://x/y")) for user in (kept, removed)]
    for path in paths:
        path.touch()
    kept.log_out()
    removed.remove()
    world.manager.close()
    world.manager = world.new_manager()
    assert [path.exists() for path in paths] == [True, False]
    assert [record.identity for record in world.manager.metadata.users()] == [kept.identity]
    assert world.manager.all_users() == {}


def test_11_4_data_of_a_removed_user_stay_while_another_manager_runs(world: Any, app: Any) -> None:
    user = log_in(world, app)
    path = Path(world.manager.default_url_path(user, "realm://x/y"))
    path.touch()
    user.remove()
    second = world.new_manager()
    assert path.exists()
    second.close()
    world.manager.close()
    world.manager = world.new_manager()
    assert not path.exists()


def test_11_4_data_that_cannot_be_deleted_are_tried_again_at_the_next_start(
    world: Any, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = log_in(world, app)
    path = Path(world.manager.default_url_path(user, "realm://x/y"))
    path.touch()
    user.remove()
    world.manager.close()
    with monkeypatch.context() as patched:
        patched.setattr("syncline.sync.manager.delete_tree", lambda directory: None)
        world.new_manager().close()
    assert path.exists()
    world.manager = world.new_manager()
    assert not path.exists()
    assert world.manager.metadata.users() == []


def test_a_token_about_to_end_is_renewed_before_connecting(world: Any, app: Any) -> None:
    app.lifetime = 3
    user = log_in(world, app)
    first = user.access_token
    app.lifetime = 1800
    device = world.device(user)
    assert device.core.internal_state in (InternalState.WAITING_FOR_ACCESS_TOKEN, InternalState.ACTIVE)
    assert device.session.state is ACTIVE
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert user.access_token != first
    assert app.sockets == [f"baas_at={user.access_token}"]


def test_a_token_that_the_server_refuses_is_renewed_and_used_at_once(world: Any, app: Any) -> None:
    user = log_in(world, app)
    app.valid_tokens.discard(user.access_token)
    device = world.device(user)
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert len(app.sockets) == 2
    assert world.errors == []


def test_close_code_4001_renews_the_token(world: Any, app: Any, server: Any) -> None:
    user = log_in(world, app)
    device = world.device(user)
    world.connected(device)
    first = user.access_token
    server.run(server.peers[-1].close(4001, "expired"))
    world.eventually(lambda: user.access_token != first)
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert app.sockets[-1] == f"baas_at={user.access_token}"


def test_a_server_that_refuses_every_token_is_not_hammered(world: Any, app: Any) -> None:
    user = log_in(world, app)
    app.valid_tokens = {user.refresh_token}
    app.token = lambda kind: "e30.eyJleHAiOjk5OTk5OTk5OTksImlhdCI6MX0.c2ln"
    world.device(user)
    world.eventually(lambda: len(app.sockets) >= 2)
    threading.Event().wait(0.5)
    assert len(app.sockets) <= 3
    assert sum(path.endswith("/session") for _, path in app.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_renewal_logs_the_user_out_and_tells_everyone(world: Any, app: Any, status: int) -> None:
    user = log_in(world, app)
    told: list[Any] = []
    user.error_handler = lambda who, error: told.append((who, error))
    device = world.device(user)
    device.session.suspend()
    world.eventually(lambda: not world.manager.client._connections)
    app.refusals["session"] = (status, "InvalidSession")
    app.valid_tokens.discard(user.access_token)
    device.write("Rex")
    outcomes: list[Exception | None] = []
    device.session.on_upload_complete(outcomes.append)
    device.session.resume()
    world.eventually(lambda: outcomes)
    assert isinstance(outcomes[0], errors.ClientUserError)
    assert "unable to refresh the user access token" in str(outcomes[0])
    world.eventually(lambda: user.state is LOGGED_OUT)
    world.eventually(lambda: device.session.state is INACTIVE)
    world.eventually(lambda: told and world.errors)
    assert told[0][0] is user
    assert told[0][1].code is SyncAuthErrorCode.EXPIRED_TOKEN
    error, session = world.errors[0]
    assert isinstance(error, errors.ClientUserError)
    assert error.is_fatal
    assert session == device.session
    assert device.names() == {1: "Rex"}
    (record,) = world.manager.metadata.users()
    assert not record.marked_for_removal  # what was not uploaded must not be lost


def test_a_renewal_that_finds_no_server_goes_on_with_the_old_token(world: Any, app: Any) -> None:
    app.lifetime = 3
    user = log_in(world, app)
    app.refusals["session"] = (503, "InternalServerError")
    device = world.device(user)
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert app.sockets == [f"baas_at={user.access_token}"]
    assert world.errors == []


def test_http_403_logs_the_user_out(world: Any, app: Any, server: Any) -> None:
    user = log_in(world, app)

    async def forbid(peer: Any) -> None:
        await peer.answer(403) if b"realm-sync" in peer.request else await app.script(peer)

    server.script(forbid)
    device = world.device(user)
    world.eventually(lambda: user.state is LOGGED_OUT)
    world.eventually(lambda: device.session.state is INACTIVE)
    world.eventually(lambda: world.errors)
    assert isinstance(world.errors[0][0], errors.ClientUserError)


def test_a_server_that_moved_is_found_again(world: Any, app: Any, server: Any) -> None:
    user = log_in(world, app)
    moved = False

    async def script(peer: Any) -> None:
        nonlocal moved
        if b"realm-sync" in peer.request and not moved:
            moved = True
            await peer.answer(308)
        else:
            await app.script(peer)

    server.script(script)
    device = world.device(user)
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert sum(path.endswith("/location") for _, path in app.requests) == 2


def test_an_access_token_user_is_neither_stored_nor_logged_out(world: Any, app: Any) -> None:
    user = world.manager.log_in(SyncCredentials.access_token("tok", "admin"), app.url)
    assert app.requests == []
    assert user.sync_route == f"{app.ws_url}/api/client/v2.0/app/default/realm-sync"
    user.log_out()
    assert user.state is LOGGED_IN
    assert user.access_token == "tok"
    assert user.refresh_token is None
    assert world.manager.metadata.users() == []
    assert not user.needs_refresh()


def test_a_custom_refresh_token_fetches_its_first_access_token(world: Any, app: Any) -> None:
    credentials = SyncCredentials.custom_refresh_token(app.token("refresh"), "ann", is_admin=True)
    user = world.manager.log_in(credentials, app.url)
    assert app.requests == []
    assert user.is_admin
    assert user.access_token is None
    device = world.device(user)
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert user.access_token in app.valid_tokens


def test_a_bare_socket_address_takes_paths_and_services_as_they_are(world: Any, server: Any, realm: Any) -> None:
    user = world.user(f"{server.url}/some-service")
    device = world.device(user, path="../odd path")
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert server.peers[0].target == "/some-service?baas_at=token"
    assert realm.log[0][1].path == "../odd path"
    other = world.device(user, "b", path="/x", url_prefix="/realm-sync")
    world.connected(other)
    assert server.peers[1].target == "/realm-sync?baas_at=token"


def test_credentials_without_identity_are_refused(world: Any) -> None:
    with pytest.raises(ConfigurationError):
        world.manager.log_in(SyncCredentials.access_token("tok", ""), "ws://x")
