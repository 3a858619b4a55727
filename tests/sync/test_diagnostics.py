"""What a session tells about itself, with a real server process and with one whose every message a test decides."""

from __future__ import annotations

import dataclasses
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncline import (
    ConnectionState,
    Field,
    Model,
    Realm,
    RealmConfiguration,
    SessionDiagnostics,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncSession,
    SyncSessionState,
    SyncUser,
)
from syncline.errors import ClientSessionError
from syncline.protocol import messages
from syncline.protocol.backoff import BackoffParameters
from syncline.protocol.errors import ErrorAction
from syncline.protocol.messages import Error
from syncline.sync.diagnostics import ErrorLog
from syncline.testing.processes import ServerProcess

MINUTE = BackoffParameters(60_000, 60_000)


class Dog(Model):
    id: int = Field(primary_key=True)
    name: str


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    yield server
    server.stop()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[SyncManager]:
    made = SyncManager(tmp_path / "sync")
    yield made
    made.close()


def logged_in(manager: SyncManager, url: str, name: str = "ann") -> SyncUser:
    return manager.log_in(SyncCredentials.username_password(name, "correct horse", register=name != "ann"), url)


@pytest.fixture(scope="module", autouse=True)
def ann(process: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    manager = SyncManager(tmp_path_factory.mktemp("first"), persist_users=False)
    manager.log_in(SyncCredentials.username_password("ann", "correct horse", register=True), process.url)
    manager.close()


def kennel(user: SyncUser, path: str) -> Realm:
    return Realm.open(RealmConfiguration(schema=[Dog], sync=SyncConfiguration(user, path)))


def session_of(realm: Realm) -> SyncSession:
    session = realm.sync_session
    assert isinstance(session, SyncSession)
    return session


# --- with a real server -----------------------------------------------------------------------------------------------


def test_a_session_that_has_synced(process: ServerProcess, manager: SyncManager, world: Any) -> None:
    user = logged_in(manager, process.url)
    realm = kennel(user, "/kennel/synced")
    session = session_of(realm)
    with realm.write():
        realm.create(Dog, id=1, name="Rex")
    session.wait_for_upload(20)
    session.wait_for_download(20)
    seen = session.diagnostics()
    assert (seen.state, seen.activity) == (SyncSessionState.ACTIVE, "active")
    assert (seen.path, seen.realm_url, seen.user_identity) == (session.path, session.realm_url, user.identity)
    connection, file = seen.connection, seen.file
    assert connection is not None
    assert file is not None
    assert connection.state is ConnectionState.CONNECTED
    assert connection.server_url == user.sync_route
    assert (connection.attempts, connection.connections) == (1, 1)
    assert connection.protocol_version is not None
    assert connection.last_attempt is not None
    assert connection.last_attempt <= connection.since <= datetime.now(UTC)
    assert connection.next_attempt is connection.retry_delay is None
    assert connection.bytes_sent > 0
    assert connection.bytes_received > 0
    assert file.file_ident > 0
    assert file.upload_client_version > 1
    assert file.latest_server_version == file.download_server_version > 0
    assert (file.pending_changes, file.pending_bytes) == (0, 0)
    assert file.uploaded_bytes == file.uploadable_bytes > 0
    assert seen.upload is not None
    assert seen.upload.is_complete
    assert seen.upload.progress_estimate == 1.0
    assert seen.errors == ()
    session.reconnect()  # an urgent ping
    world.eventually(lambda: (session.diagnostics().connection or connection).round_trip_ms is not None)
    pinged = session.diagnostics().connection
    assert pinged is not None
    assert pinged.smoothed_round_trip_ms == pinged.round_trip_ms
    realm.close()


def test_a_suspended_session_counts_what_is_pending(process: ServerProcess, manager: SyncManager) -> None:
    realm = kennel(logged_in(manager, process.url), "/kennel/suspended")
    session = session_of(realm)
    session.wait_for_upload(20)
    session.suspend()
    before = session.diagnostics().file
    assert before is not None
    for number in range(3):
        with realm.write():
            realm.create(Dog, id=number, name="Rex")
    seen = session.diagnostics()
    assert (seen.state, seen.activity) == (SyncSessionState.INACTIVE, "paused")
    assert seen.connection is not None
    assert seen.connection.state is ConnectionState.DISCONNECTED
    assert seen.file is not None
    assert seen.file.pending_changes == before.pending_changes + 3
    assert seen.file.pending_bytes > before.pending_bytes
    assert seen.upload is not None
    assert seen.upload.transferrable_bytes - seen.upload.transferred_bytes == seen.file.pending_bytes
    assert seen.upload.progress_estimate < 1
    session.resume()
    session.wait_for_upload(20)
    after = session.diagnostics().file
    assert after is not None
    assert (after.pending_changes, after.pending_bytes) == (0, 0)
    realm.close()


def test_a_session_without_a_server_says_when_it_tries_again(tmp_path: Path, manager: SyncManager, world: Any) -> None:
    server = ServerProcess(tmp_path / "data")
    realm = kennel(logged_in(manager, server.url, "eve"), "/kennel/alone")
    session = session_of(realm)
    session.wait_for_upload(20)
    server.kill()

    def delayed() -> SessionDiagnostics | None:
        seen = session.diagnostics()
        return seen if seen.errors and seen.connection is not None and seen.connection.retry_delay else None

    seen: SessionDiagnostics = world.eventually(delayed, 20)
    assert seen.state is SyncSessionState.ACTIVE
    connection = seen.connection
    assert connection is not None
    assert connection.state is ConnectionState.DISCONNECTED
    assert connection.retry_delay is not None
    assert connection.next_attempt is not None
    assert 0 < connection.retry_delay <= 300
    assert abs(connection.next_attempt - datetime.now(UTC)) <= timedelta(seconds=300)
    assert connection.attempts >= connection.connections >= 1
    assert {error.is_fatal for error in seen.errors} == {False}
    assert seen.errors[-1].text
    realm.close()


def test_the_manager_shows_all_sessions_and_json_takes_it(process: ServerProcess, manager: SyncManager) -> None:
    user = logged_in(manager, process.url)
    realms = [kennel(user, f"/kennel/many{number}") for number in range(2)]
    for realm in realms:
        session_of(realm).wait_for_upload(20)
    sent, received = manager.traffic.bytes_sent, manager.traffic.bytes_received
    seen = manager.diagnostics()
    assert sent <= seen.bytes_sent <= manager.traffic.bytes_sent
    assert received <= seen.bytes_received <= manager.traffic.bytes_received
    assert seen.bytes_sent > 0
    assert {session.path for session in seen.sessions} == {session_of(realm).path for realm in realms}
    assert seen.directory == str(manager.base_directory)
    plain = json.loads(json.dumps(seen.to_dict()))
    assert plain["sessions"][0]["state"] == "active"
    assert plain["sessions"][0]["connection"]["state"] == "connected"
    assert datetime.fromisoformat(plain["sessions"][0]["connection"]["since"]).tzinfo is not None
    for realm in realms:
        realm.close()


def test_nothing_secret_is_in_it(process: ServerProcess, manager: SyncManager) -> None:
    user = logged_in(manager, process.url)
    realm = kennel(user, "/kennel/secret")
    session = session_of(realm)
    session.wait_for_upload(20)
    text = json.dumps(manager.diagnostics().to_dict()) + repr(manager.diagnostics())
    core: Any = session._core_ref()
    secrets = [user.access_token, user.refresh_token, "correct horse", core.history.status().file_salt]
    for secret in secrets:
        assert secret
        assert str(secret) not in text
    realm.close()


def test_without_a_session_no_client_is_made(manager: SyncManager) -> None:
    assert manager.diagnostics().sessions == ()
    assert manager._client is None


# --- errors and ends --------------------------------------------------------------------------------------------------


def test_errors_are_listed_with_code_and_text(world: Any, server: Any, realm: Any) -> None:
    error = Error(0, 206, "no, not you", False, ErrorAction.APPLICATION_BUG)
    realm.fail_once(messages.Bind, error)
    device = world.device(world.user(server.url))
    handle = device.session
    world.eventually(lambda: handle.diagnostics().state is SyncSessionState.INVALID)
    seen = handle.diagnostics()
    (record,) = seen.errors
    assert seen.activity == "invalid"
    assert record.server_code == 206
    assert record.code == "PERMISSION_DENIED"
    assert "no, not you" in record.text
    assert record.count == 1


@pytest.mark.parametrize("is_fatal", [False, True])
def test_a_session_that_the_server_suspended_says_when_it_goes_on(
    world: Any, server: Any, realm: Any, is_fatal: bool
) -> None:
    realm.fail_once(messages.Bind, Error(0, 201, "not you", not is_fatal, ErrorAction.WARNING, backoff=MINUTE))
    device = world.device(world.user(server.url))
    world.eventually(lambda: device.session.diagnostics().errors)
    seen = device.session.diagnostics()
    assert seen.state is SyncSessionState.ACTIVE
    assert seen.connection is not None
    assert seen.connection.state is ConnectionState.DISCONNECTED
    assert seen.connection.is_waiting_to_be_told == is_fatal
    assert (seen.connection.retry_delay is None) == is_fatal
    assert is_fatal or 1 < (seen.connection.retry_delay or 0) <= 60
    assert seen.connection.protocol_version == 14  # others may use the connection meanwhile
    device.session.reconnect()
    world.connected(device)


def test_a_session_that_is_gone_is_only_a_path(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    handle = device.session
    world.connected(device)
    device.close()
    world.manager.wait_for_sessions_to_terminate(5)
    world.eventually(lambda: handle.diagnostics().state is SyncSessionState.INVALID)
    assert handle.diagnostics().path == device.path


def test_the_same_error_again_is_counted_and_the_list_is_bounded() -> None:
    log = ErrorLog()
    for _ in range(3):
        log.add(ClientSessionError("again"))
    (record,) = log.records()
    assert record.count == 3
    assert record.first_time <= record.time
    for number in range(100):
        log.add(ClientSessionError(f"number {number}"))
    assert [record.text for record in log.records()] == [f"number {number}" for number in range(84, 100)]


def test_tokens_in_the_text_of_an_error_are_hidden() -> None:
    log = ErrorLog()
    log.add(ClientSessionError("bad token eyJhbGciOi.eyJzdWIi.c2ln-_x, sorry"))
    assert log.records()[0].text == "bad token [token], sorry"


def test_a_snapshot_cannot_be_changed(manager: SyncManager) -> None:
    seen = manager.diagnostics()
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen.pid = 0  # type: ignore[misc]


# --- seen from another process ----------------------------------------------------------------------------------------


def test_another_process_of_the_same_user_sees_it(process: ServerProcess, manager: SyncManager) -> None:
    manager.expose_status()
    manager.expose_status()  # once is enough
    realm = kennel(logged_in(manager, process.url), "/kennel/shown")
    session_of(realm).wait_for_upload(20)
    code = (
        "import sys, json; from pathlib import Path; from syncline.sync.status_server import ask, status_sockets;"
        "print(json.dumps([ask(path) for path in status_sockets(Path(sys.argv[1]))]))"
    )
    folder = str(manager.layout.status_directory)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True, timeout=60)
    (seen,) = json.loads(done.stdout)
    assert [session["path"] for session in seen["sessions"]] == [session_of(realm).path]
    realm.close()


def test_the_environment_asks_every_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = SyncManager(tmp_path / "plain")
    assert not plain.layout.status_directory.exists()
    plain.close()
    monkeypatch.setenv("SYNCLINE_STATUS", "1")
    manager = SyncManager(tmp_path / "shown")
    assert len(list(manager.layout.status_directory.iterdir())) == 1
    manager.close()
    assert list(manager.layout.status_directory.iterdir()) == []


def test_where_no_socket_can_be_made_the_environment_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SYNCLINE_STATUS", "1")
    place = tmp_path / "sync" / "realm-object-server" / "io.realm.object-server-utility"
    place.mkdir(parents=True)
    (place / "status").write_text("in the way")
    manager = SyncManager(tmp_path / "sync")
    assert "the status cannot be shown" in caplog.text
    with pytest.raises(FileExistsError):
        manager.expose_status()
    manager.close()


def test_a_manager_that_is_forgotten_takes_its_socket_with_it(tmp_path: Path) -> None:
    manager = SyncManager(tmp_path / "sync")
    manager.expose_status()
    folder = manager.layout.status_directory
    assert len(list(folder.iterdir())) == 1
    del manager
    gc.collect()
    assert list(folder.iterdir()) == []
