"""What can go wrong with a session, who is told, what becomes of it; nothing is lost (spec/sessions.md §10)."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from syncline import errors
from syncline.errors import DiskFullError, RealmInUseError
from syncline.protocol import messages
from syncline.protocol.backoff import BackoffParameters
from syncline.protocol.errors import ErrorAction
from syncline.storage.file import RealmFile
from syncline.sync import (
    ConnectionState,
    ErrorActionToken,
    ProgressDirection,
    ProgressMode,
    SyncCredentials,
    SyncSession,
    SyncSessionState,
)
from syncline.sync.session_errors import FileActionKind

DISCONNECTED, CONNECTING, CONNECTED = ConnectionState
ACTIVE, INACTIVE, INVALID = SyncSessionState


def the_error(world: Any) -> Any:
    """The one error that was reported."""
    world.eventually(lambda: world.errors)
    world.manager.notify_thread.drain(5)
    assert len(world.errors) == 1
    return world.errors[0]


RESET = messages.Error(0, 208, "unknown client file", try_again=False, action=ErrorAction.CLIENT_RESET)


def test_s6_s33_client_reset_ends_the_session_and_the_token_saves_the_file(world: Any, server: Any, realm: Any) -> None:
    realm.fail_once(messages.Ident, RESET)
    device = world.device(world.user(server.url))
    device.write("Rex")
    session = device.session
    with pytest.raises(errors.ClientResetError):
        session.wait_for_upload(5)
    error, reported = the_error(world)
    assert reported == session
    assert isinstance(error, errors.ClientResetError)
    assert error.is_fatal
    assert session.state is INVALID
    assert (session.realm_url, session.parent_user(), session.configuration()) == (None, None, None)
    token = error.action_token
    assert isinstance(token, ErrorActionToken)
    assert token.is_valid
    backup = Path(error.backup_path)
    assert not backup.exists()
    (row,) = world.manager.metadata.file_actions()
    assert (row.original_name, row.new_name) == (device.path, str(backup))
    assert row.action is FileActionKind.BACK_UP_THEN_DELETE_REALM

    with pytest.raises(RealmInUseError):
        SyncSession.immediately_handle_error(token)
    assert token.is_valid
    device.close()
    assert SyncSession.immediately_handle_error(token) is True
    assert not token.is_valid
    assert SyncSession.immediately_handle_error(token) is False
    assert backup.exists()
    assert not Path(device.path).exists()
    assert world.manager.metadata.file_actions() == []
    copy = RealmFile.open(backup)
    with copy.snapshot() as snapshot:
        dog = snapshot.catalogue.find("Dog")
        assert dog is not None
        assert snapshot.reader.count(dog) == 1
    copy.close()


def test_a_reset_that_nobody_handles_is_done_at_the_next_start(world: Any, server: Any, realm: Any) -> None:
    realm.fail_once(messages.Ident, RESET)
    device = world.device(world.user(server.url))
    device.write("Rex")
    error, _ = the_error(world)
    device.close()
    world.manager.close()
    world.manager = world.new_manager()
    assert Path(error.backup_path).exists()
    assert not Path(device.path).exists()
    assert world.manager.metadata.file_actions() == []


def test_after_a_fatal_end_the_next_open_has_a_new_session_which_serves_open_realms_too(
    world: Any, server: Any, realm: Any
) -> None:
    realm.fail_once(messages.Ident, RESET)
    user = world.user(server.url)
    device = world.device(user)
    old = device.session
    world.eventually(lambda: old.state is INVALID)
    assert device.session is old
    second = world.device(user)
    assert second.session != old
    assert second.session.state is ACTIVE
    assert device.session == second.session
    assert old.state is INVALID
    device.write("Rex")
    second.session.wait_for_upload(5)
    device.close()
    second.write("Fido", first=2)
    second.session.wait_for_upload(5)


@pytest.mark.parametrize(
    ("code", "action", "kind", "row"),
    [
        (212, ErrorAction.APPLICATION_BUG, errors.ClientSessionError, None),
        (201, ErrorAction.PROTOCOL_VIOLATION, errors.ClientInternalError, None),
        (217, ErrorAction.DELETE_REALM, errors.ClientSessionError, FileActionKind.DELETE_REALM),
        (230, ErrorAction.CLIENT_RESET_NO_RECOVERY, errors.ClientResetError, FileActionKind.BACK_UP_THEN_DELETE_REALM),
        (206, ErrorAction.APPLICATION_BUG, errors.PermissionDeniedError, None),
    ],
)
def test_actions_that_end_a_session(
    world: Any, server: Any, realm: Any, code: int, action: ErrorAction, kind: type, row: FileActionKind | None
) -> None:
    realm.fail_once(messages.Ident, messages.Error(0, code, "said so", False, action))
    device = world.device(world.user(server.url))
    error, _ = the_error(world)
    assert type(error) is kind
    assert error.server_code == code
    assert str(error).startswith("said so")
    assert ("immediately_handle_error" in str(error)) == (kind is errors.ClientResetError), "what to do"
    assert device.session.state is INVALID
    assert [stored.action for stored in world.manager.metadata.file_actions()] == ([] if row is None else [row])
    assert (error.action_token is not None) == (row is not None or kind is errors.PermissionDeniedError)
    assert (error.backup_path is not None) == (kind is errors.ClientResetError)


def test_s34_a_refused_permission_deletes_only_when_asked(world: Any, server: Any, realm: Any) -> None:
    refused = messages.Error(0, 206, "not yours", False, ErrorAction.APPLICATION_BUG)
    realm.fail_once(messages.Ident, refused)
    device = world.device(world.user(server.url))
    error, _ = the_error(world)
    device.close()
    world.manager.wait_for_sessions_to_terminate(5)
    assert Path(device.path).exists()
    assert SyncSession.immediately_handle_error(error.action_token)
    assert not Path(device.path).exists()


def test_s27_a_session_that_ended_takes_no_progress_callback(world: Any, server: Any, realm: Any) -> None:
    realm.fail_once(messages.Ident, RESET)
    device = world.device(world.user(server.url))
    session = device.session
    world.eventually(lambda: session.state is INVALID)
    calls: list[Any] = []
    for mode in ProgressMode:
        assert session.add_progress_notification(ProgressDirection.UPLOAD, mode, lambda x, t: calls.append(x)) is None
    world.manager.progress_thread.drain(5)
    assert calls == []


def test_a_fatal_error_without_action_leaves_the_session_active_and_disconnected(
    world: Any, server: Any, realm: Any
) -> None:
    realm.fail_once(messages.Ident, messages.Error(0, 201, "no more", False, ErrorAction.WARNING))
    device = world.device(world.user(server.url))
    session = device.session
    error, _ = the_error(world)
    assert error.is_fatal
    assert (session.state, session.connection_state) == (ACTIVE, DISCONNECTED)
    assert session.last_error is error
    device.write("Rex")
    with pytest.raises(TimeoutError):
        session.wait_for_upload(0.1)
    session.reconnect()
    session.wait_for_upload(5)
    assert session.connection_state is CONNECTED


def test_a_session_error_does_not_concern_its_neighbour(world: Any, server: Any, realm: Any) -> None:
    bad = messages.Error(0, 204, "bad path", False, ErrorAction.APPLICATION_BUG)
    realm.fail_once(messages.Bind, bad, path="/cats")
    user = world.user(server.url)
    dogs, cats = world.device(user, "a"), world.device(user, "b", path="/cats")
    world.eventually(lambda: cats.session.state is INVALID)
    dogs.write("Rex")
    dogs.session.wait_for_upload(5)
    assert dogs.session.connection_state is CONNECTED
    assert len(server.peers) == 1


def test_a_transient_error_is_not_reported_and_the_session_resumes(world: Any, server: Any, realm: Any) -> None:
    backoff = BackoffParameters(20, 1000, 2)
    transient = messages.Error(0, 201, "later", True, ErrorAction.TRANSIENT, backoff=backoff)
    realm.fail_once(messages.Ident, transient)
    device = world.device(world.user(server.url))
    states: list[Any] = []
    with device.session.observe_connection_state(lambda old, new: states.append(new)):
        device.write("Rex")
        device.session.wait_for_upload(5)
    assert world.errors == []
    assert realm.kinds(1).count("Bind") == 2
    assert states[-2:] == [CONNECTING, CONNECTED]
    assert DISCONNECTED in states


def test_a_dying_session_that_meets_a_fatal_error_ends_silently(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    device.close()
    server.run(realm.fail(server.peers[0], RESET._replace(session=1)))
    assert world.manager.wait_for_sessions_to_terminate(5)
    world.manager.notify_thread.drain(5)
    assert world.errors == []


def test_a_connection_level_error(world: Any, server: Any, realm: Any) -> None:
    busy = messages.Error(0, 100, "shutting down", True, ErrorAction.TRANSIENT, backoff=BackoffParameters(10, 10, 2))
    sent = False

    async def before(peer: Any, message: Any) -> bool:
        nonlocal sent
        if isinstance(message, messages.Ident) and not sent:
            sent = True
            await realm.fail(peer, busy)
            return True
        return False

    realm.before = before
    device = world.device(world.user(server.url))
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert len(server.peers) == 2
    assert world.errors == []


def test_do_not_reconnect_waits_for_the_application(world: Any, server: Any, realm: Any) -> None:
    sent = False

    async def before(peer: Any, message: Any) -> bool:
        nonlocal sent
        if isinstance(message, messages.Bind) and not sent:
            sent = True
            await realm.fail(peer, messages.Error(0, 101, "go away", False, ErrorAction.WARNING))
            return True
        return False

    realm.before = before
    device = world.device(world.user(server.url))
    error, _ = the_error(world)
    assert error.is_fatal
    device.write("Rex")
    with pytest.raises(TimeoutError):
        device.session.wait_for_upload(0.2)
    assert len(server.peers) == 1
    device.session.reconnect()
    device.session.wait_for_upload(5)


# --- bad input --------------------------------------------------------------------------------------------------------

BOMB = zlib.compress(bytes(50_000_000), 9)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff garbage",
        b"nonsense 1 2 3\n",
        b"download 1 2\n",
        b"download  1 0 0 0 0 0 0 0 0 0 0\n",
        b"download 1 5 0 1 1 0 0 0 0 0 0\n",
        b"download 1 1 0 1 1 0 0 0 0 12 0\n1 0 1 3 9 9 ",
        b"download 1 1 9 1 1 9 0 0 0 0 0\n",
        b"download 7 0 0 0 0 0 0 0 0 0 0\n",
        b"download 1 0 0 0 0 0 0 0 1 99999999999 %d\n" % len(BOMB) + BOMB,
        b"download 1 0 0 0 0 0 0 0 1 100 %d\n" % len(BOMB) + BOMB,
        b"download 1 0 0 0 0 0 0 0 0 300000 0\n" + bytes(300_001),
        b"ident 1 5 5\n",
        b"mark 1 77\n",
        b"unbound 1\n",
        b"pong 1\n",
        b"json_error 208 2 1\n{}",
        b"error 208 0 0 0\n",
        b"log_message 0 3\n{]}",
    ],
)
def test_bad_input_messages_that_break_the_protocol(world: Any, server: Any, realm: Any, garbage: bytes) -> None:
    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Mark):
            await peer.send(garbage)
            return True
        return False

    realm.before = before
    device = world.device(world.user(server.url))
    device.write("Rex")
    error, session = the_error(world)
    assert isinstance(error, errors.ClientSessionError)
    assert error.status == "SyncProtocolInvariantFailed"
    assert error.action == "ProtocolViolation"
    assert error.is_fatal
    assert session.state is INVALID
    assert device.names() == {1: "Rex"}
    realm.before = None
    device.close()
    again = world.device(device.configuration.user)
    again.session.reconnect()
    again.session.wait_for_upload(5)
    assert len(realm.uploads()) == 1


@pytest.mark.parametrize(
    "ident", [b"ident 1 5 0\n", b"ident 1 0 5\n", b"ident 1 99999999999999999999 5\n", b"ident 1 -1 5\n"]
)
def test_bad_input_idents_and_salts(world: Any, server: Any, realm: Any, ident: bytes) -> None:
    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Bind):
            await peer.send(ident)
            return True
        return False

    realm.before = before
    device = world.device(world.user(server.url))
    device.write("Rex")
    error, _ = the_error(world)
    assert error.action == "ProtocolViolation"
    assert device.core.history.status().file_ident == 0
    assert device.names() == {1: "Rex"}


def test_bad_input_a_changeset_that_cannot_be_read(
    world: Any, server: Any, realm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Mark):
            body = b"1 0 1 3 4 4 \xff\xff\xff\xff"
            await peer.send(b"download 1 1 0 1 9 0 0 0 0 %d 0\n" % len(body) + body)
        return False

    realm.before = before
    device = world.device(world.user(server.url))
    device.write("Rex")
    before_version = device.file.version
    error, session = the_error(world)
    assert not error.is_fatal
    assert error.action == "Warning"
    assert isinstance(error.__cause__, errors.BadChangesetError)
    assert session.state is ACTIVE
    told = world.eventually(lambda: [m for _, m in realm.log if isinstance(m, messages.ClientJsonError)])
    assert told[0].code == 212
    place = "at byte 0 (instruction 0: a record) in version 1 (client file 3)"
    assert all(place in text for text in (error.message, told[0].message, caplog.text))
    assert device.names() == {1: "Rex"}
    assert device.core.history.status().progress.download.server_version == 0
    assert device.file.version >= before_version


def test_bad_input_progress_that_goes_back(world: Any, server: Any, realm: Any) -> None:
    first = world.device(world.user(server.url))
    first.write("Rex")
    first.session.wait_for_upload(5)

    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Mark):
            await peer.send(b"download 1 0 0 1 99 0 0 0 0 0 0\n")
            return True
        return False

    realm.before = before
    first.session.on_download_complete(lambda error: None)
    error, _ = the_error(world)
    assert error.action == "ProtocolViolation"


def test_bad_input_a_full_disk_is_survived(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = world.device(world.user(server.url), "a")
    writer.write("Rex")
    writer.session.wait_for_upload(5)
    reader = world.device(world.user(server.url, "other"), "b")
    core = reader.core
    integrate = core.history.integrate
    failures = [DiskFullError("no space left"), OSError("I/O error")]

    def failing(*arguments: Any) -> Any:
        if failures:
            raise failures.pop(0)
        return integrate(*arguments)

    monkeypatch.setattr(core.history, "integrate", failing)
    world.eventually(lambda: 1 in reader.names(), 10)
    assert world.errors
    error, session = world.errors[0]
    assert isinstance(error.__cause__, DiskFullError | OSError)
    assert not error.is_fatal
    assert session == reader.session
    assert session.state is ACTIVE


# --- the connection ---------------------------------------------------------------------------------------------------


def test_bad_input_a_refused_connection_is_reported_once(world: Any, server: Any) -> None:
    device = world.device(world.user("ws://127.0.0.1:9"))
    error, session = the_error(world)
    assert isinstance(error, errors.ConnectionFailedError)
    assert not error.is_fatal
    assert "127.0.0.1:9" in str(error)
    assert session.state is ACTIVE
    for _ in range(3):
        session.reconnect()
        world.eventually(lambda: session.connection_state is DISCONNECTED)
    world.manager.notify_thread.drain(5)
    assert len(world.errors) == 1
    device.write("Rex")
    assert device.names() == {1: "Rex"}


def test_bad_input_a_wrong_url(world: Any, server: Any) -> None:
    async def not_here(peer: Any) -> None:
        await peer.answer(404, "Page not found")

    server.script(not_here)
    device = world.device(world.user(server.url))
    error, _ = the_error(world)
    assert isinstance(error, errors.ConnectionFailedError)
    assert "404" in str(error)
    assert error.is_fatal
    assert device.session.state is ACTIVE
    for attempts in (2, 3):
        device.session.reconnect()
        world.eventually(lambda attempts=attempts: len(server.peers) >= attempts)
        world.eventually(lambda: device.session.connection_state is DISCONNECTED)
    assert the_error(world)[0] is error, "it is tried again, and told once"


def test_bad_input_a_server_that_speaks_garbage(world: Any, server: Any) -> None:
    async def garbage(peer: Any) -> None:
        await peer.write(b"220 mail.example.org ESMTP\r\n\r\n")

    server.script(garbage)
    world.device(world.user(server.url))
    error, _ = the_error(world)
    assert isinstance(error, errors.ConnectionFailedError)


def test_bad_input_a_server_without_our_protocol(world: Any, server: Any) -> None:
    async def chat(peer: Any) -> None:
        await peer.accept("chat")
        await asyncio.sleep(5)

    server.script(chat)
    device = world.device(world.user(server.url))
    error, _ = the_error(world)
    assert error.status == "SyncProtocolNegotiationFailed"
    assert error.is_fatal
    assert device.session.state is ACTIVE


def test_bad_input_oversize_messages(world: Any, server: Any, realm: Any) -> None:
    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Mark):
            await peer.write(b"\x82\x7f" + (1 << 40).to_bytes(8, "big"))
            return True
        return False

    realm.before = before
    device = world.device(world.user(server.url))
    error, _ = the_error(world)
    assert error.action == "ProtocolViolation"
    assert device.session.state is INVALID


def test_a_token_that_is_refused_fails_the_waits_once_and_is_tried_again(world: Any, server: Any, realm: Any) -> None:
    async def refuse(peer: Any) -> None:
        await peer.answer(401)

    server.script(refuse)
    user = world.user(server.url)
    device = world.device(user)
    device.write("Rex")
    with pytest.raises(errors.ClientUserError, match="refresh"):
        device.session.wait_for_upload(5)
    error, session = the_error(world)
    assert isinstance(error, errors.ClientUserError)
    assert session.state is ACTIVE
    device.session.reconnect()
    world.eventually(lambda: len(server.peers) >= 2 and session.connection_state is DISCONNECTED)
    server.script(realm.script)
    device.session.reconnect()
    world.connected(device)
    device.session.wait_for_upload(5)
    assert len(world.errors) == 1


def test_non_fatal_errors_end_waits_where_the_configuration_says_so(world: Any, server: Any) -> None:
    device = world.device(world.user("ws://127.0.0.1:9"), cancel_async_open_on_non_fatal_errors=True)
    with pytest.raises(errors.ConnectionFailedError):
        device.session.wait_for_download(5)
    assert device.session.state is ACTIVE


def test_errors_are_logged_without_a_handler(
    world: Any, server: Any, realm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world.manager.error_handler = None
    realm.fail_once(messages.Ident, RESET)
    device = world.device(world.user(server.url))
    session = device.session
    world.eventually(lambda: session.state is INVALID)
    world.eventually(lambda: "unknown client file" in caplog.text)


def test_a_manual_reset_handler_goes_before_the_manager_s(world: Any, server: Any, realm: Any) -> None:
    from syncline.sync import ClientResetMode

    seen: list[Any] = []
    realm.fail_once(messages.Ident, RESET)
    world.device(
        world.user(server.url),
        client_reset_mode=ClientResetMode.MANUAL,
        manual_client_reset_handler=lambda error, session: seen.append(error),
    )
    world.eventually(lambda: seen)
    world.manager.notify_thread.drain(5)
    assert world.errors == []


def test_tokens_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        ErrorActionToken(object(), None, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        SyncSession.immediately_handle_error(None)  # type: ignore[arg-type]


def test_a_second_process_cannot_sync_the_same_file(world: Any, server: Any, realm: Any, tmp_path: Path) -> None:
    import subprocess
    import sys

    device = world.device(world.user(server.url))
    code = (
        "import sys\n"
        "from syncline.storage.file import RealmFile\n"
        "from syncline.errors import MultipleSyncAgentsError\n"
        "file = RealmFile.open(sys.argv[1])\n"
        "try:\n    file.lock_sync_agent()\n"
        "except MultipleSyncAgentsError:\n    sys.exit(7)\n"
    )
    command = [sys.executable, "-c", code, device.path]
    assert subprocess.run(command, check=False, timeout=30).returncode == 7
    device.close()
    assert world.manager.wait_for_sessions_to_terminate(5)
    assert subprocess.run(command, check=False, timeout=30).returncode == 0


def test_an_open_that_another_agent_forbids_leaves_nothing_behind(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    path = world.folder / "a.realm"
    file = RealmFile.open(path)
    file.lock_sync_agent()
    with pytest.raises(errors.MultipleSyncAgentsError):
        world.device(user)
    assert world.manager.all_sessions() == []
    file.unlock_sync_agent()
    file.close()
    assert world.manager.wait_for_sessions_to_terminate(5)
    device = world.device(user)
    device.write("Rex")
    device.session.wait_for_upload(5)


def test_a_file_is_synced_with_one_realm_as_one_user(world: Any, server: Any, realm: Any) -> None:
    world.device(world.user(server.url))
    with pytest.raises(errors.MismatchedConfigError):
        world.device(world.user(server.url), path="/cats")
    with pytest.raises(errors.MismatchedConfigError):
        world.device(world.user(server.url, "other"))
    assert SyncCredentials.anonymous().needs_network


def test_a_server_that_cannot_even_be_asked_where_it_is_gets_reported_once(world: Any, app: Any, server: Any) -> None:
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)

    async def hang_up(peer: Any) -> None: ...

    server.script(hang_up)
    device = world.device(user)
    error, session = the_error(world)
    assert isinstance(error, errors.ConnectionFailedError)
    device.session.reconnect()
    world.eventually(lambda: len(server.peers) > 6)
    world.manager.notify_thread.drain(5)
    assert len(world.errors) == 1
    assert session.state is ACTIVE


def test_a_session_that_cannot_start_at_login_is_reported(world: Any, app: Any) -> None:
    account = SyncCredentials.username_password("me@x.example", "secret-1")
    user = world.manager.log_in(account, app.url)
    user.log_out()
    device = world.device(user)
    device.file.lock_sync_agent()
    app._count = int(user.identity, 16) - 1
    assert world.manager.log_in(account, app.url) is user
    error, session = the_error(world)
    assert isinstance(error.__cause__, errors.MultipleSyncAgentsError)
    assert session.state is INACTIVE
    device.file.unlock_sync_agent()
    session.resume()
    device.write("Rex")
    session.wait_for_upload(5)


def test_bad_input_a_file_that_cannot_be_read_is_tried_again(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    core = device.core
    uploadable = core.history.uploadable
    faults = [OSError("I/O error")]

    def failing(*arguments: Any, **options: Any) -> Any:
        if faults and not options:
            raise faults.pop()
        return uploadable(*arguments, **options)

    monkeypatch.setattr(core.history, "uploadable", failing)
    device.write("Rex")
    device.session.wait_for_upload(10)
    assert isinstance(the_error(world)[0].__cause__, OSError)
    assert len(realm.uploads()) == 1


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for 127.0.0.1, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_path, key_path)
    return certificate_path, context


def test_tls_is_checked_pinned_or_not_checked_as_configured(
    world: Any, server: Any, realm: Any, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    path, context = certificate
    user = world.user(f"wss://127.0.0.1:{server.listen_with_tls(context)}")
    untrusted = world.device(user, "a")
    error, session = the_error(world)
    assert isinstance(error, errors.TlsHandshakeFailedError)
    assert session.state is ACTIVE
    untrusted.close()
    for name, settings in (
        ("b", {"pinned_certificate_path": str(path)}),
        ("c", {"enable_ssl_validation": False}),
    ):
        device = world.device(user, name, **settings)
        device.session.reconnect()
        device.write(name)
        device.session.wait_for_upload(5)
        device.close()
        world.manager.wait_for_sessions_to_terminate(5)
        world.eventually(lambda: not world.manager.client._connections)


def test_a_file_that_cannot_be_read_for_a_moment_delays_waits_and_ends_none(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither lost, nor complete before the upload is."""
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    history, failures = device.core.history, [errors.FileError("busy"), errors.FileError("still busy")]
    status = history.status

    def failing() -> Any:
        if failures:
            raise failures.pop()
        return status()

    monkeypatch.setattr(history, "status", failing)
    device.write("Rex")
    device.session.wait_for_upload(10)
    assert realm.uploads()
    assert not failures
    assert any("cannot be synced at present" in str(error) for error, _ in world.errors)
    device.session.wait_for_download(10)
