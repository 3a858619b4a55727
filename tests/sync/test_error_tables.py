"""The two tables of errors, row by row, against a scripted server (spec/sessions.md §10.4, §10.5, §21.6).

§10.4 is for servers that send the legacy ERROR, as realm-core's reference server does: the code decides. §10.5 is for
JSON_ERROR: the action decides.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from syncline import errors
from syncline.protocol import messages
from syncline.protocol.backoff import BackoffParameters
from syncline.protocol.errors import ErrorAction
from syncline.sync import (
    ClientResetMode,
    ConnectionState,
    SyncConfiguration,
    SyncCredentials,
    SyncSession,
    SyncSessionState,
    SyncUser,
    SyncUserState,
)
from syncline.sync.session_errors import FileActionKind
from syncline.sync.states import InternalState

ACTIVE, INACTIVE, INVALID = SyncSessionState
DISCONNECTED = ConnectionState.DISCONNECTED
DELETE, BACK_UP = FileActionKind.DELETE_REALM, FileActionKind.BACK_UP_THEN_DELETE_REALM
MANUAL = ClientResetMode.MANUAL
SOON = BackoffParameters(10, 10, 2)


def rows(world: Any) -> list[FileActionKind]:
    return [action.action for action in world.manager.metadata.file_actions()]


class Fate(NamedTuple):
    """What became of a session that met an error while a download was waited for."""

    device: Any
    error: Any
    waited: Exception | None


def meet(world: Any, realm: Any, user: SyncUser, error: messages.Error) -> Fate:
    """Let a session meet an error that it is told of, in answer to its IDENT."""
    is_waiting = threading.Event()

    async def before(peer: Any, message: Any) -> None:
        while not is_waiting.is_set():
            await asyncio.sleep(0.001)

    realm.before = before
    realm.fail_once(messages.Ident, error)
    device = world.device(user, client_reset_mode=MANUAL)
    outcomes: list[Exception | None] = []
    device.session.on_download_complete(outcomes.append)
    is_waiting.set()
    world.eventually(lambda: world.errors and outcomes)
    world.manager.notify_thread.drain(5)
    ((told, session),) = world.errors
    assert session == device.session
    assert device.session.connection_state is DISCONNECTED
    return Fate(device, told, outcomes[0])


# --- §10.4: the code decides ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "kind", "state", "action"),
    [
        ((206,), errors.PermissionDeniedError, INVALID, DELETE),
        ((207, 208, 209, 210, 211, 222), errors.ClientResetError, INVALID, BACK_UP),
        ((216, 217, 218, 219, 220), errors.ClientSessionError, INVALID, BACK_UP),
        ((204, 205, 212, 214, 215, 221), errors.ClientSessionError, ACTIVE, None),
    ],
)
def test_10_4_what_a_legacy_error_of_a_session_leads_to(
    world: Any, server: Any, realm: Any, codes: tuple[int, ...], kind: type, state: SyncSessionState, action: Any
) -> None:
    for code in codes:
        world.errors.clear()
        fate = meet(world, realm, world.user(server.url), messages.Error(0, code, "text", try_again=False))
        assert type(fate.error) is kind, code
        assert fate.waited is fate.error
        assert (fate.error.server_code, fate.error.is_fatal, fate.error.is_unrecognized) == (code, True, False)
        assert fate.device.session.state is state
        assert rows(world) == ([] if action is None else [action])
        assert (fate.error.action_token is not None) == (action is not None)
        assert (fate.error.backup_path is not None) == (kind is errors.ClientResetError)
        fate.device.close()
        assert world.manager.wait_for_sessions_to_terminate(5)
        if fate.error.action_token is not None:
            assert SyncSession.immediately_handle_error(fate.error.action_token)
            assert not Path(fate.device.path).exists()


@pytest.mark.parametrize(("code", "has_backup"), [(206, False), (209, True), (218, True)])
def test_10_4_what_nobody_handles_is_done_at_the_next_start(
    world: Any, server: Any, realm: Any, code: int, has_backup: bool
) -> None:
    fate = meet(world, realm, world.user(server.url), messages.Error(0, code, "text", try_again=False))
    fate.device.write("never uploaded")
    fate.device.close()
    world.manager.close()
    world.manager = world.new_manager()
    assert not Path(fate.device.path).exists()
    assert rows(world) == []
    backups = list(world.manager.layout.root.rglob("recovered_realm-*"))
    assert len(backups) == has_backup
    with pytest.raises(errors.InvalidSessionError, match="closed"):
        SyncSession.immediately_handle_error(fate.error.action_token)


@pytest.mark.parametrize("code", [102, 103, 105, 106, 107, 108, 109, 110, 111, 112])
def test_10_4_what_a_legacy_error_of_the_connection_leads_to(world: Any, server: Any, realm: Any, code: int) -> None:
    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Ident):
            await realm.fail(peer, messages.Error(0, code, "text", try_again=False))
            return True
        return False

    realm.before = before
    device = world.device(world.user(server.url))
    world.eventually(lambda: world.errors)
    ((error, session),) = world.errors
    assert (type(error), error.is_fatal, session) == (errors.ClientInternalError, True, device.session)
    assert (session.state, session.connection_state, rows(world)) == (ACTIVE, DISCONNECTED, [])
    realm.before = None
    session.reconnect()
    session.wait_for_download(5)


@pytest.mark.parametrize("code", [200, 201, 213, 229])
def test_10_4_legacy_errors_that_nobody_hears_of_but_the_log(
    world: Any, server: Any, realm: Any, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    realm.fail_once(messages.Ident, messages.Error(0, code, "later, please", try_again=True))
    device = world.device(world.user(server.url))
    world.eventually(lambda: device.session.last_error)
    assert (device.session.state, device.session.connection_state) == (ACTIVE, DISCONNECTED)
    device.session.reconnect()
    device.session.wait_for_download(5)
    assert (world.errors, rows(world), device.session.state) == ([], [], ACTIVE)
    assert [r.levelname for r in caplog.records if "later, please" in r.getMessage()] == ["WARNING"]


def test_10_4_a_code_that_nobody_knows(world: Any, server: Any, realm: Any) -> None:
    error = meet(world, realm, world.user(server.url), messages.Error(0, 299, "what?", try_again=False)).error
    assert (type(error), error.is_unrecognized, error.action_token) == (errors.ClientInternalError, True, None)
    assert error.is_fatal


def test_10_5_closing_a_session_that_a_fatal_error_has_stopped_ends_it(world: Any, server: Any, realm: Any) -> None:
    device = meet(world, realm, world.user(server.url), messages.Error(0, 212, "no", try_again=False)).device
    device.write("Rex")
    device.close()
    assert world.manager.wait_for_sessions_to_terminate(5)
    again = world.device(world.user(server.url))
    again.session.wait_for_upload(5)


def log_in(world: Any, app: Any) -> SyncUser:
    user: SyncUser = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    return user


def test_10_4_202_fetches_another_token_and_goes_on(world: Any, app: Any, realm: Any) -> None:
    user = log_in(world, app)
    first = user.access_token
    realm.fail_once(messages.Ident, messages.Error(0, 202, "expired", try_again=False))
    device = world.device(user)
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert user.access_token != first
    assert app.requests.count(("POST", "/api/client/v2.0/auth/session")) == 1
    assert (world.errors, device.session.state) == ([], ACTIVE)


def test_10_4_202_waits_before_it_fetches_yet_another_token(world: Any, app: Any, realm: Any) -> None:
    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Ident):
            await realm.fail(peer, messages.Error(message.session, 202, "expired", try_again=False))
            return True
        return False

    realm.before = before
    device = world.device(log_in(world, app))
    world.eventually(lambda: realm.kinds().count("Ident") == 2)
    world.eventually(lambda: device.core.internal_state is InternalState.WAITING_FOR_ACCESS_TOKEN)
    device.session.reconnect()
    with pytest.raises(TimeoutError):
        device.session.wait_for_download(0.2)
    assert app.requests.count(("POST", "/api/client/v2.0/auth/session")) == 1
    assert realm.kinds().count("Ident") == 2


def test_10_4_203_invalidates_the_user_until_the_next_login(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    fate = meet(world, realm, user, messages.Error(0, 203, "who are you?", try_again=False))
    assert isinstance(fate.error, errors.ClientUserError)
    assert fate.waited is fate.error
    assert fate.device.session.state is ACTIVE, "sessions are not touched"
    assert user.state is SyncUserState.ERROR
    assert user.all_sessions() == []
    assert user.session_for_url("/dogs") is None
    assert world.manager.all_users() == {}
    with pytest.raises(errors.ConfigurationError, match="log in again"):
        SyncConfiguration(user, "/other")
    assert world.user(server.url) is user
    assert user.state is SyncUserState.ACTIVE
    fate.device.write("Rex")
    fate.device.session.wait_for_upload(5)


def test_10_4_203_is_kept_with_the_user(world: Any, app: Any, realm: Any) -> None:
    user = log_in(world, app)
    meet(world, realm, user, messages.Error(0, 203, "who are you?", try_again=False)).device.close()
    world.manager.close()
    world.manager = world.new_manager()
    assert [record.state for record in world.manager.metadata.users()] == [SyncUserState.ERROR]
    assert world.manager.all_users() == {}


def test_10_4_a_token_that_nobody_can_renew_waits_for_a_login(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    fate = meet(world, realm, user, messages.Error(0, 202, "expired", try_again=False))
    assert isinstance(fate.error, errors.ClientUserError)
    assert fate.device.session.state is ACTIVE
    assert world.user(server.url) is user, "with another token"
    fate.device.session.wait_for_download(5)


# --- §10.5: the action decides ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "state", "stored"),
    [
        (ErrorAction.APPLICATION_BUG, INVALID, None),
        (ErrorAction.PROTOCOL_VIOLATION, INVALID, None),
        (ErrorAction.WARNING, ACTIVE, None),
        (ErrorAction.DELETE_REALM, INVALID, DELETE),
        (ErrorAction.CLIENT_RESET, INVALID, BACK_UP),
        (ErrorAction.CLIENT_RESET_NO_RECOVERY, INVALID, BACK_UP),
        (ErrorAction.MIGRATE_TO_FLX, INVALID, None),
        (ErrorAction.REVERT_TO_PBS, INVALID, None),
    ],
)
def test_10_5_what_an_action_leads_to(
    world: Any, server: Any, realm: Any, action: ErrorAction, state: SyncSessionState, stored: Any
) -> None:
    migrates = {ErrorAction.MIGRATE_TO_FLX: 232, ErrorAction.REVERT_TO_PBS: 234}
    code, query = migrates.get(action, 212), "a == 1" if action is ErrorAction.MIGRATE_TO_FLX else None
    error = messages.Error(0, code, "text", False, action, partition_query=query)
    fate = meet(world, realm, world.user(server.url), error)
    assert (fate.error.action, fate.error.is_unrecognized) == (action.value, False)
    assert fate.waited is fate.error
    assert fate.device.session.state is state
    assert rows(world) == ([] if stored is None else [stored])
    assert (fate.error.action_token is not None) == (stored is not None)


@pytest.mark.parametrize("action", [ErrorAction.WARNING, ErrorAction.TRANSIENT])
def test_10_5_what_is_not_fatal_leaves_the_waits_alone(
    world: Any, server: Any, realm: Any, action: ErrorAction
) -> None:
    realm.fail_once(messages.Ident, messages.Error(0, 212, "text", True, action, backoff=SOON))
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    world.manager.notify_thread.drain(5)
    assert [type(error) for error, _ in world.errors] == (
        [errors.ClientSessionError] if action is ErrorAction.WARNING else []
    )
    assert (device.session.state, rows(world)) == (ACTIVE, [])


def test_10_5_refresh_user_in_a_session_goes_on_with_the_new_token(world: Any, app: Any, realm: Any) -> None:
    user = log_in(world, app)
    first = user.access_token
    realm.fail_once(messages.Ident, messages.Error(0, 212, "expired", False, ErrorAction.REFRESH_USER))
    device = world.device(user)
    device.session.wait_for_download(5)
    assert user.access_token != first
    assert world.errors == []


def test_10_5_refresh_location_restarts_the_session(world: Any, app: Any, realm: Any) -> None:
    user = log_in(world, app)
    asked = app.requests.count(("GET", "/api/client/v2.0/app/default/location"))
    realm.fail_once(messages.Ident, messages.Error(0, 212, "moved", False, ErrorAction.REFRESH_LOCATION))
    device = world.device(user)
    device.session.wait_for_download(5)
    assert app.requests.count(("GET", "/api/client/v2.0/app/default/location")) == asked + 1
    assert world.errors == []


def test_10_5_migrate_schema_goes_on(world: Any, server: Any, realm: Any) -> None:
    async def before(peer: Any, message: Any) -> None:
        if isinstance(message, messages.Mark):
            old = messages.Error(message.session, 236, "new", True, ErrorAction.MIGRATE_SCHEMA)
            await realm.fail(peer, old._replace(previous_schema_version=1))

    realm.before = before
    device = world.device(world.user(server.url))
    device.write("Rex")
    device.session.wait_for_upload(5)
    world.manager.notify_thread.drain(5)
    assert (world.errors, device.session.state, realm.kinds().count("Bind")) == ([], ACTIVE, 1)


def test_10_5_a_compensating_write_is_told_after_the_download_that_undoes_it(
    world: Any, server: Any, realm: Any
) -> None:
    refused = messages.Error(1, 231, "not allowed", True, ErrorAction.WARNING, rejected_client_version=3)
    refused = refused._replace(
        rejected_updates=(messages.RejectedUpdate("Dog", "AQ==", "not yours"),), compensating_write_server_version=1
    )
    writer, reader = world.device(world.user(server.url), "a"), world.device(world.user(server.url, "b"), "b")
    reader.session.wait_for_download(5)
    seen: list[Any] = []
    world.manager.error_handler = lambda error, session: seen.append((error, reader.names(), session.connection_state))
    peer = next(peer for peer in server.peers if any(b"ident 1 2 " in message for message in peer.received) is False)
    server.run(realm.fail(peer, refused._replace(session=session_number(peer))))
    reader.session.wait_for_download(5)
    assert seen == []
    writer.write("Rex")
    world.eventually(lambda: seen)
    ((error, names, state),) = seen
    assert isinstance(error, errors.CompensatingWriteError)
    assert not error.is_fatal
    assert [(name, why) for name, _, why in error.compensating_writes] == [("Dog", "not yours")]
    assert (names, state) == ({1: "Rex"}, ConnectionState.CONNECTED)


def session_number(peer: Any) -> int:
    return int(peer.received[0].split(b" ")[1])
