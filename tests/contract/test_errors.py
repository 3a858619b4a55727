"""Errors that concern the local file, and the token that acts on it (spec/sessions.md §2: S33, S34)."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.contract.world import FORBIDDEN, PATIENCE_S, Item, World, eventually, session_of

from syncline import (
    ERROR_ACTION_TOKEN_KEY,
    PATH_OF_REALM_BACKUP_COPY_KEY,
    ClientResetError,
    ClientResetMode,
    ConnectionFailedError,
    ErrorActionToken,
    PermissionDeniedError,
    Realm,
    RealmConfiguration,
    RealmInUseError,
    SyncCredentials,
    SyncError,
    SyncErrorCode,
    SyncSession,
    SyncSessionState,
    SyncUser,
)

Told = list[tuple[SyncError, SyncSession | None]]


class Reset(NamedTuple):
    """A Realm whose history the server does not know any more; item 1 was synced, item 2 was not."""

    realm: Realm
    session: SyncSession
    error: SyncError


@pytest.fixture
def errors(world: World) -> Told:
    """What the manager's error handler is told."""
    heard: Told = []
    world.manager.error_handler = lambda error, session: heard.append((error, session))
    return heard


def at_the_socket(world: World) -> SyncUser:
    """A user without an account, who survives that the server loses its accounts."""
    credentials = SyncCredentials.access_token("t", "dev")
    return world.manager.log_in(credentials, f"ws://127.0.0.1:{world.server.port}")


@pytest.fixture
def reset(world: World, tmp_path: Path, errors: Told) -> Reset:
    """The server is restored from a copy that is older than what this client has synced with it."""
    folder, copy, url = world.server.folder, tmp_path / "older", f"/reset/{tmp_path.name}"
    with world.downtime():
        shutil.copytree(folder, copy)
    realm = world.open("a", url, user=at_the_socket(world), client_reset_mode=ClientResetMode.MANUAL)
    session = session_of(realm)
    world.write(realm, 1)
    world.settle(realm)
    with world.downtime():
        shutil.rmtree(folder)
        shutil.copytree(copy, folder)
        world.write(realm, 2)
    session.reconnect()
    return Reset(realm, session, told(errors, lambda error: isinstance(error, ClientResetError)))


def told(errors: Told, wanted: Callable[[SyncError], bool]) -> SyncError:
    """The first such error, once it was told."""
    eventually(lambda: any(wanted(error) for error, _ in errors), "the error")
    return next(error for error, _ in errors if wanted(error))


def everything_of(path: str) -> set[str]:
    """The files of a Realm that are there."""
    return {name.name for name in Path(path).parent.glob(f"{Path(path).name}*")}


# --- S33: immediately_handle_error ------------------------------------------------------------------------------------


def test_s33_s34_the_token_of_a_client_reset_backs_up_and_deletes_now(world: World, reset: Reset) -> None:
    realm, session, error = reset
    token = error.action_token
    assert isinstance(token, ErrorActionToken)
    assert error.code is SyncErrorCode.CLIENT_RESET_ERROR
    assert error.user_info[ERROR_ACTION_TOKEN_KEY] is token
    assert error.user_info[PATH_OF_REALM_BACKUP_COPY_KEY] == error.backup_path
    backup = Path(error.backup_path or "")
    assert backup.is_absolute()
    assert not backup.exists(), "promised, not made yet"
    assert session.state is SyncSessionState.INVALID
    assert world.numbers(realm) == [1, 2], "the file can be read"

    with pytest.raises(RealmInUseError):
        SyncSession.immediately_handle_error(token)
    assert token.is_valid
    realm.close()
    assert SyncSession.immediately_handle_error(token) is True
    assert backup.exists()
    assert everything_of(realm.path) == set()
    assert not token.is_valid
    assert SyncSession.immediately_handle_error(token) is False, "it is good for one use"

    with Realm.open(RealmConfiguration(path=str(backup), schema=[Item])) as saved:
        assert sorted(item.id for item in saved.objects(Item)) == [1, 2]
        assert saved.sync_session is None
    again = world.open_with(realm.config.sync)
    assert session_of(again).state is SyncSessionState.ACTIVE
    world.settle(again)
    assert world.numbers(again) == [], "a new file, with what the server has"


def test_s33_a_refused_permission_deletes_without_a_backup(world: World) -> None:
    realm, _, error = world.end_fatally()
    world.write(realm, 1)
    token = error.action_token
    assert token is not None
    realm.close()
    assert SyncSession.immediately_handle_error(token) is True
    assert everything_of(realm.path) == set()
    assert list(world.folder.rglob("recovered_realm-*")) == []


def test_s33_inside_the_error_handler(world: World) -> None:
    closed, done = threading.Event(), threading.Event()
    outcomes: list[bool] = []

    def handler(error: SyncError, session: SyncSession | None) -> None:
        assert closed.wait(PATIENCE_S)
        outcomes.append(SyncSession.immediately_handle_error(error.action_token))
        done.set()

    world.manager.error_handler = handler
    realm = world.open("forbidden", FORBIDDEN)
    session = session_of(realm)
    eventually(lambda: session.state is SyncSessionState.INVALID, "the end")
    realm.close()
    closed.set()
    assert done.wait(PATIENCE_S)
    assert outcomes == [True]
    assert everything_of(realm.path) == set()


def test_s33_takes_tokens_only_which_come_from_errors_only() -> None:
    with pytest.raises(TypeError):
        SyncSession.immediately_handle_error("token")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ErrorActionToken()  # type: ignore[call-arg]


# --- S34: which errors carry one --------------------------------------------------------------------------------------


def test_s34_a_refused_permission_has_a_token_and_no_backup_path(world: World) -> None:
    _, _, error = world.end_fatally()
    assert isinstance(error, PermissionDeniedError)
    assert error.code is SyncErrorCode.PERMISSION_DENIED_ERROR
    assert error.user_info[ERROR_ACTION_TOKEN_KEY] is error.action_token is not None
    assert error.backup_path is None


def test_s34_other_errors_have_none(world: World, errors: Told) -> None:
    user = at_the_socket(world)
    illegal = session_of(world.open("illegal", "/not a path", user=user))
    first = told(errors, lambda error: not isinstance(error, ConnectionFailedError))
    assert not isinstance(first, (ClientResetError, PermissionDeniedError))
    realm = world.open("b", "/s34/b", user=user)
    session_of(realm).wait_for_download(PATIENCE_S)
    with world.downtime():
        session_of(realm).reconnect()
        second = told(errors, lambda error: isinstance(error, ConnectionFailedError))
    for error in (first, second):
        assert error.action_token is None
        assert error.backup_path is None
    assert {session for error, session in errors if error is first} == {illegal}
