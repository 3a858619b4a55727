"""Errors of a scripted server, row by row, and what tokens do (spec/sessions.md §10, §11, §21.6)."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from syncline import errors
from syncline.errors import DiskFullError, RealmInUseError
from syncline.protocol import messages
from syncline.protocol.backoff import BackoffParameters
from syncline.protocol.errors import ERRORS, ErrorAction
from syncline.protocol.from_server import build_json_error
from syncline.sync import (
    ClientResetMode,
    ConnectionState,
    SyncManager,
    SyncSession,
    SyncSessionState,
    SyncStopPolicy,
    file_actions,
)
from syncline.sync.session_errors import FileActionKind

ACTIVE, INACTIVE, INVALID = SyncSessionState
DELETE, BACK_UP = FileActionKind.DELETE_REALM, FileActionKind.BACK_UP_THEN_DELETE_REALM
MANUAL = ClientResetMode.MANUAL
RESET = messages.Error(0, 208, "unknown client file", try_again=False, action=ErrorAction.CLIENT_RESET)
REFUSED = messages.Error(0, 206, "not yours", try_again=False, action=ErrorAction.APPLICATION_BUG)

RESETS = (208, 209, 210, 211, 217, 222, 223, 227, 228, 230)
BUGS = {
    204: errors.ClientSessionError,
    212: errors.ClientSessionError,
    216: errors.ClientSessionError,
    225: errors.ClientSessionError,
    226: errors.SubscriptionFailedError,
    233: errors.ClientSessionError,
    235: errors.ClientSessionError,
}
SILENT = (200, 201, 229)


def rows(world: Any) -> list[FileActionKind]:
    return [action.action for action in world.manager.metadata.file_actions()]


def the_error(world: Any) -> Any:
    world.eventually(lambda: world.errors)
    world.manager.notify_thread.drain(5)
    assert len(world.errors) == 1
    return world.errors[0]


def flagged(world: Any, server: Any, realm: Any, error: messages.Error = RESET, **settings: Any) -> tuple[Any, Any]:
    """A device whose session met an error, and the error."""
    world.errors.clear()
    realm.fail_once(messages.Ident, error)
    device = world.device(world.user(server.url), client_reset_mode=MANUAL, **settings)
    return device, the_error(world)[0]


# --- §10 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [206, *RESETS, *BUGS])
def test_10_4_codes_that_end_a_session(world: Any, server: Any, realm: Any, code: int) -> None:
    info = ERRORS[code]
    device, error = flagged(world, server, realm, messages.Error(0, code, "text", info.try_again, info.action))
    is_reset, is_refusal = code in RESETS, code == 206
    expected = errors.ClientResetError if is_reset else errors.PermissionDeniedError if is_refusal else BUGS[code]
    assert type(error) is expected
    assert world.errors[0][1] == device.session
    assert (error.server_code, error.user_info["statusCode"]) == (code, code)
    assert error.is_fatal
    assert not error.is_unrecognized
    assert device.session.state is INVALID
    assert rows(world) == ([BACK_UP] if is_reset else [])
    assert (error.action_token is not None) == (is_reset or is_refusal)
    assert (error.backup_path is not None) == is_reset


@pytest.mark.parametrize("code", SILENT)
def test_10_4_codes_that_nobody_hears_of(world: Any, server: Any, realm: Any, code: int) -> None:
    info = ERRORS[code]
    soon = BackoffParameters(10, 10, 2)
    realm.fail_once(messages.Ident, messages.Error(0, code, "text", info.try_again, info.action, backoff=soon))
    device = world.device(world.user(server.url))
    device.write("Rex")
    device.session.wait_for_upload(5)
    world.manager.notify_thread.drain(5)
    assert (world.errors, rows(world), device.session.state) == ([], [], ACTIVE)


def test_10_5_an_action_that_nobody_knows_is_a_bug_of_the_application(world: Any, server: Any, realm: Any) -> None:
    known = messages.Error(1, 212, "text", try_again=True, action=ErrorAction.APPLICATION_BUG)
    strange = build_json_error(known).replace(b"ApplicationBug", b"MakeCoffeeNow!")

    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Ident):
            await peer.send(strange)
            return True
        return False

    realm.before = before
    device = world.device(world.user(server.url))
    error, _ = the_error(world)
    assert error.action == "ApplicationBug"
    assert device.session.state is INVALID
    assert rows(world) == []


def test_10_5_log_out_user(world: Any, app: Any, server: Any, realm: Any) -> None:
    from syncline.sync import SyncCredentials, SyncUserState

    realm.fail_once(messages.Ident, messages.Error(0, 220, "begone", False, ErrorAction.LOG_OUT_USER))
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    states: list[Any] = []

    def handler(error: Any, session: Any) -> None:
        states.append((user.state, session.state))
        world.errors.append((error, session))

    world.manager.error_handler = handler
    device = world.device(user)
    error, session = the_error(world)
    assert isinstance(error, errors.ClientUserError)
    assert session == device.session
    assert states == [(SyncUserState.LOGGED_OUT, INACTIVE)]
    assert rows(world) == []


def test_10_6_the_order_of_what_follows_an_error(world: Any, server: Any, realm: Any) -> None:
    events: list[Any] = []
    release = threading.Event()

    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Mark):
            await realm.fail(peer, RESET._replace(session=message.session))
            return True
        return False

    def handler(error: Any, session: Any) -> None:
        (row,) = world.manager.metadata.file_actions()
        events.append(("handler", row.new_name == error.backup_path, session.state))
        release.set()

    world.manager.error_handler = handler
    device = world.device(world.user(server.url), client_reset_mode=MANUAL)
    world.connected(device)
    token = device.session.observe_connection_state(lambda old, new: events.append(("observer", old, new)))
    realm.before = before
    device.session.on_download_complete(lambda error: events.append(("wait", type(error))))
    assert release.wait(5)
    world.manager.notify_thread.drain(5)
    token.invalidate()
    assert events == [
        ("observer", ConnectionState.CONNECTED, ConnectionState.DISCONNECTED),
        ("wait", errors.ClientResetError),
        ("handler", True, INVALID),
    ]


def test_10_2_an_error_is_logged_by_its_weight(
    world: Any, server: Any, realm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    flagged(world, server, realm)
    world.device(world.user("ws://127.0.0.1:9"), "b")
    world.eventually(lambda: len(world.errors) == 2)
    levels = {record.levelname for record in caplog.records if "unknown client file" in record.getMessage()}
    assert levels == {"ERROR"}
    levels = {record.levelname for record in caplog.records if "127.0.0.1:9" in record.getMessage()}
    assert "WARNING" in levels
    assert "ERROR" not in levels


# --- §11 --------------------------------------------------------------------------------------------------------------


def test_11_2_the_backup_has_the_name_and_place_that_were_promised(world: Any, server: Any, realm: Any) -> None:
    root = world.manager.layout.root
    _, error = flagged(world, server, realm)
    backup = Path(error.backup_path)
    assert backup.parent == root / "io.realm.object-server-recovered-realms"
    assert re.fullmatch(r"recovered_realm-\d{8}-\d{6}-.{8}", backup.name)
    assert not backup.parent.exists(), "promised, not made"
    device, error = flagged(world, server, realm, name="b", recovery_directory="mine")
    assert Path(error.backup_path).parent == root / "mine"
    device.close()
    assert SyncSession.immediately_handle_error(error.action_token)
    assert Path(error.backup_path).exists()


def test_11_3_a_token_may_be_used_inside_the_handler(world: Any, server: Any, realm: Any) -> None:
    outcome: list[Any] = []
    opened = threading.Event()

    def handler(error: Any, session: Any) -> None:
        opened.wait(5)
        device.close()
        outcome.append((SyncSession.immediately_handle_error(error.action_token), Path(error.backup_path).exists()))

    world.manager.error_handler = handler
    realm.fail_once(messages.Ident, RESET)
    device = world.device(world.user(server.url), client_reset_mode=MANUAL)
    device.write("Rex")
    opened.set()
    world.eventually(lambda: outcome, 10)
    assert outcome == [(True, True)]
    assert not Path(device.path).exists()


def test_11_5_a_realm_that_is_opened_again_unhandled_fails_again_and_the_newer_row_counts(
    world: Any, server: Any, realm: Any
) -> None:
    device, first = flagged(world, server, realm)
    device.close()
    device, second = flagged(world, server, realm)
    device.close()
    assert first.backup_path != second.backup_path
    (row,) = world.manager.metadata.file_actions()
    assert row.new_name == second.backup_path
    assert SyncSession.immediately_handle_error(first.action_token) is True, "what is stored is done"
    assert Path(second.backup_path).exists()
    assert not Path(first.backup_path).exists()


def test_11_3_a_second_token_does_not_touch_the_new_file(world: Any, server: Any, realm: Any) -> None:
    device, first = flagged(world, server, realm)
    device.close()
    device, second = flagged(world, server, realm)
    device.close()
    assert SyncSession.immediately_handle_error(second.action_token)
    device = world.device(world.user(server.url), client_reset_mode=MANUAL)
    device.write("new")
    device.session.wait_for_upload(5)
    device.close()
    assert SyncSession.immediately_handle_error(first.action_token) is False
    assert not first.action_token.is_valid
    assert Path(device.path).exists()
    assert world.device(world.user(server.url)).names() == {1: "new"}


def test_11_3_one_of_many_threads_uses_a_token(world: Any, server: Any, realm: Any) -> None:
    device, error = flagged(world, server, realm)
    device.close()
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(SyncSession.immediately_handle_error, [error.action_token] * 8))
    assert sorted(done) == [False] * 7 + [True]
    assert Path(error.backup_path).exists()


OPEN_ELSEWHERE = """
import sys
from syncline.storage.file import RealmFile
file = RealmFile.open(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_11_3_a_file_that_another_process_has_open_is_refused_and_the_token_stays_valid(
    world: Any, server: Any, realm: Any
) -> None:
    device, error = flagged(world, server, realm, REFUSED)
    device.close()
    world.manager.wait_for_sessions_to_terminate(5)
    child = subprocess.Popen(
        [sys.executable, "-c", OPEN_ELSEWHERE, device.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    with pytest.raises(RealmInUseError, match="another process"):
        SyncSession.immediately_handle_error(error.action_token)
    assert error.action_token.is_valid
    assert rows(world) == [], "a refusal is not carried out unasked"
    child.communicate(timeout=30)
    assert SyncSession.immediately_handle_error(error.action_token)
    assert not Path(device.path).exists()


def test_11_1_a_token_is_spent_even_if_it_fails(world: Any, server: Any, realm: Any) -> None:
    device, error = flagged(world, server, realm)
    device.close()
    Path(error.backup_path).parent.mkdir()
    Path(error.backup_path).touch()
    assert SyncSession.immediately_handle_error(error.action_token) is False
    assert not error.action_token.is_valid
    assert rows(world) == [BACK_UP]
    assert Path(device.path).exists()


def test_11_3_a_deletion_that_was_begun_is_finished_at_the_next_start(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, error = flagged(world, server, realm, REFUSED)
    device.close()

    def fail(path: str) -> None:
        Path(path).unlink()
        raise OSError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(file_actions, "_delete", fail)
        assert SyncSession.immediately_handle_error(error.action_token) is False
    assert rows(world) == [DELETE]
    world.manager.close()
    world.manager = world.new_manager()
    assert rows(world) == []
    assert [entry.name for entry in world.folder.iterdir() if entry.name.startswith("a.realm")] == []


def test_11_3_a_session_that_still_works_on_the_file_is_in_the_way(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, error = flagged(world, server, realm)
    device.close()
    again = world.device(world.user(server.url), client_reset_mode=MANUAL, stop_policy=SyncStopPolicy.LIVE_INDEFINITELY)
    again.close()
    monkeypatch.setattr(file_actions, "_RELEASE_SECONDS", 0.1)
    with pytest.raises(RealmInUseError, match=r"still works|is open"):
        SyncSession.immediately_handle_error(error.action_token)
    assert error.action_token.is_valid
    assert not Path(error.backup_path).exists()


def test_11_2_an_action_that_cannot_be_stored_is_logged_and_its_token_works(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(action: Any) -> None:
        raise DiskFullError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(world.manager.metadata, "save_file_action", fail)
        device, error = flagged(world, server, realm)
    assert device.session.state is INVALID
    assert "cannot be stored" in caplog.text
    device.close()
    assert SyncSession.immediately_handle_error(error.action_token)
    assert Path(error.backup_path).exists()
    assert rows(world) == []


def test_11_4_a_second_manager_leaves_alone_what_the_first_may_still_use(world: Any, server: Any, realm: Any) -> None:
    device, error = flagged(world, server, realm)
    device.close()
    world.manager.wait_for_sessions_to_terminate(5)
    base = world.manager.layout.base
    second = SyncManager(base)
    second.close()
    start = "import sys; from syncline import SyncManager; SyncManager(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", start, str(base)], check=True, timeout=60)
    assert rows(world) == [BACK_UP]
    assert Path(device.path).exists()
    world.manager.close()
    subprocess.run([sys.executable, "-c", start, str(base)], check=True, timeout=60)
    assert Path(error.backup_path).exists()
    assert not Path(device.path).exists()
    world.manager = world.new_manager()
    assert rows(world) == []


DIES_IN_ITS_HANDLER = """
import os, sys, threading
from syncline import (
    ClientResetMode, Field, Model, Realm, RealmConfiguration, SyncConfiguration, SyncCredentials, SyncManager,
)

class Dog(Model):
    id: int = Field(primary_key=True)

manager = SyncManager(sys.argv[1])
manager.error_handler = lambda error, session: (print(error.backup_path, flush=True), os._exit(9))
user = manager.log_in(SyncCredentials.access_token("token", "me"), sys.argv[2])
sync = SyncConfiguration(user, "/dogs", path=sys.argv[3], client_reset_mode=ClientResetMode.MANUAL)
realm = Realm.open(RealmConfiguration(schema=[Dog], sync=sync))
for number in range(3):
    with realm.write():
        realm.create(Dog, id=number)
threading.Event().wait(30)
"""


def test_10_6_a_program_that_dies_in_its_handler_finds_it_done_at_the_next_start(
    tmp_path: Path, server: Any, realm: Any
) -> None:
    from tests.sync.test_metadata import dogs

    realm.acknowledge = False

    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Upload):
            await realm.fail(peer, RESET._replace(session=message.session))
            return True
        return False

    realm.before = before
    path = tmp_path / "a.realm"
    command = [sys.executable, "-c", DIES_IN_ITS_HANDLER, str(tmp_path / "sync"), server.url, str(path)]
    died = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert died.returncode == 9, died.stderr
    backup = Path(died.stdout.strip())
    assert path.exists()
    assert not backup.exists()
    SyncManager(tmp_path / "sync").close()
    assert not path.exists()
    assert 1 <= dogs(backup) <= 3
