"""Files of synced Realms: asked for, deleted, gone with their user; several processes with one directory (spec/sdk.md
§3.7, spec/sessions.md §13.1, §15.2)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from syncline import Realm, RealmConfiguration
from syncline.errors import ClientUserError, FileError, RealmInUseError
from syncline.protocol import messages
from syncline.protocol.errors import ErrorAction
from syncline.storage.file import RealmFile
from syncline.sync import SyncConfiguration, SyncCredentials, SyncSessionState
from syncline.sync.session_errors import FileActionKind

KEY = bytes(range(64))
LONG = "x" * 500
ACCOUNT = SyncCredentials.username_password("me@x.example", "secret-1")


# --- deleting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, KEY])
def test_3_7_a_local_realm(tmp_path: Path, key: bytes | None) -> None:
    config = RealmConfiguration(tmp_path / "a.realm", encryption_key=key)
    assert not Realm.exists(config)
    assert Realm.delete_files(config) is False
    realm = Realm.open(config)
    assert Realm.exists(config)
    assert Realm.exists(tmp_path / "a.realm")
    with pytest.raises(RealmInUseError):
        Realm.delete_files(config)
    realm.close()
    assert Realm.delete_files(config) is True
    assert list(tmp_path.iterdir()) == []
    assert not Realm.exists(in_memory=True)
    assert Realm.delete_files(in_memory="one") is False


def test_3_7_an_open_realm_of_another_process_is_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "a.realm"
    code = "import sys; from syncline import Realm; r = Realm.open(sys.argv[1]); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(RealmInUseError):
            Realm.delete_files(path)
        other.communicate("\n")
    assert Realm.delete_files(path) is True


def test_3_7_a_synced_realm_while_it_is_open_while_it_uploads_and_then(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    sync = SyncConfiguration(world.user(server.url), "/dogs", path=str(world.folder / "a.realm"))
    device = world.device_at_default_path(sync)
    device.write("Rex")
    world.eventually(realm.uploads)
    session = device.session
    with pytest.raises(RealmInUseError, match="close all its Realms"):
        Realm.delete_files(sync)
    device.close()
    with pytest.raises(RealmInUseError, match="still uploads"):
        Realm.delete_files(sync)
    assert session.state is SyncSessionState.ACTIVE
    assert session.shutdown_and_wait(5)
    (world.folder / "a.realm.management").mkdir()
    (world.folder / "a.realm.note").touch()
    assert Realm.delete_files(sync) is True
    assert not [path for path in world.folder.iterdir() if path.name.startswith("a.realm")]
    assert Realm.delete_files(sync) is False


def test_3_7_what_was_to_be_done_with_the_file_is_not_done_with_its_successor(
    world: Any, server: Any, realm: Any
) -> None:
    reset = messages.Error(0, 208, "unknown client file", try_again=False, action=ErrorAction.CLIENT_RESET)
    realm.fail_once(messages.Ident, reset)
    user = world.user(server.url)
    device = world.device(user)
    world.eventually(lambda: world.errors)
    device.close()
    assert world.manager.metadata.file_actions()[0].action is FileActionKind.BACK_UP_THEN_DELETE_REALM
    assert Realm.delete_files(device.configuration) is True
    assert world.manager.metadata.file_actions() == []
    again = world.device(user)
    again.write("Rex")
    again.session.wait_for_upload(5)
    again.close()
    world.manager.close()
    world.manager = world.new_manager()
    assert Path(again.path).exists()


@pytest.mark.parametrize("key", [None, KEY])
def test_3_7_the_fresh_copy_of_an_interrupted_reset_goes_too_and_a_realm_of_that_name_stays(
    world: Any, server: Any, realm: Any, key: bytes | None
) -> None:
    path = world.folder / "a.realm"
    config = RealmConfiguration(
        path, encryption_key=key, sync=SyncConfiguration(world.user(server.url), "/dogs", path=str(path))
    )
    for is_ours in (True, False):
        opened = Realm.open(config)
        opened.sync_session.wait_for_download(5)
        copy = opened._context.file.open_beside(f"{path}.fresh")
        if not is_ours:
            for _ in range(2):
                with copy.write() as tx:
                    tx.add_class(f"Mine{copy.version}")
        copy.close()
        session = opened.sync_session
        opened.close()
        session.shutdown_and_wait(5)
        assert Realm.delete_files(config) is True
        assert Path(f"{path}.fresh").exists() is not is_ours


# --- users and their files --------------------------------------------------------------------------------------------


def restarted(world: Any) -> Any:
    world.manager.close()
    world.manager = world.new_manager()
    return world.manager


@pytest.mark.parametrize("name", [LONG, "short"])
def test_13_1_a_removed_user_leaves_nothing_whatever_the_names(world: Any, app: Any, name: str) -> None:
    """A name that is too long for the file system is kept outside of the user's directory (§15.2)."""
    user = world.manager.log_in(ACCOUNT, app.url)
    paths = []
    for configuration in (
        SyncConfiguration(user, partition_value=name),
        SyncConfiguration(user, f"/{'/'.join([name[:100]] * 4)}"),
    ):
        device = world.device_at_default_path(configuration)
        device.write("Rex")
        device.close()
        paths.append(Path(device.path))
    assert (len(paths[0].stem) == 64) == (name == LONG)
    kept = world.device(user, "own")
    world.manager.wait_for_sessions_to_terminate(5)
    user.remove()
    kept.close()
    world.manager.wait_for_sessions_to_terminate(5)
    assert all(path.exists() for path in paths)
    manager = restarted(world)
    assert not any(path.exists() for path in paths)
    assert Path(kept.path).exists(), "a path of the application's own is the application's"
    assert manager.metadata.users() == []
    assert manager.metadata.files_of(user.key) == []


def test_13_1_a_file_that_is_still_open_is_deleted_at_a_later_start(world: Any, app: Any) -> None:
    user = world.manager.log_in(ACCOUNT, app.url)
    device = world.device_at_default_path(SyncConfiguration(user, partition_value=LONG))
    path = device.path
    device.close()
    user.remove()
    world.manager.close()
    used = RealmFile.open(path)
    world.manager = world.new_manager()
    assert Path(path).exists()
    assert len(world.manager.metadata.users()) == 1
    used.close()
    assert restarted(world).metadata.users() == []
    assert not Path(path).exists()


def test_3_2_no_realm_opens_as_a_removed_user(world: Any, app: Any) -> None:
    user = world.manager.log_in(ACCOUNT, app.url)
    device = world.device(user)
    user.log_out()
    world.device(user, "b", "/late").close()  # logged out is not removed
    user.remove()
    assert user.is_removed
    with pytest.raises(ClientUserError, match="client user not found") as caught:
        world.device(user, "c", "/other")
    assert caught.value.status == "ClientUserNotFound"
    with pytest.raises(ClientUserError):
        Realm.open(SyncConfiguration(user, "/dogs", path=device.path))
    device.write("Rex")  # what is open stays open
    app._count = int(user.identity, 16) - 1  # the server gives the same identity again
    assert world.manager.log_in(ACCOUNT, app.url) is user
    assert not user.is_removed
    world.device(user, "c", "/other").session.wait_for_download(5)


def test_15_2_a_file_that_cannot_be_noted_is_used_all_the_same(
    world: Any, app: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any) -> None:
        raise FileError("no space")

    user = world.manager.log_in(ACCOUNT, app.url)
    monkeypatch.setattr(world.manager.metadata, "track_file", fail)
    device = world.device_at_default_path(SyncConfiguration(user, "/a"))
    assert "cannot be noted: no space" in caplog.text
    device.session.wait_for_download(5)


# --- byte for byte ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [200, 231, 232, 255, 500])
def test_15_2_names_of_every_length_can_be_opened_and_are_found_again(world: Any, app: Any, length: int) -> None:
    """Up to 255 bytes with the longest companion's suffix (``.rtest.management``) the name is the preferred one."""
    user = world.manager.log_in(ACCOUNT, app.url)
    config = RealmConfiguration(sync=SyncConfiguration(user, partition_value="y" * length))
    name = f"s_{'y' * length}.realm"
    path = Path(config.file_path)
    assert (path.name == name) == (len(name) + len(".rtest.management") <= 255)
    Realm.open(config).close()
    assert Path(config.file_path) == path
    assert path.exists()


# --- several processes ------------------------------------------------------------------------------------------------

OTHER = """
import sys
from syncline import MultipleSyncAgentsError, Realm, SyncConfiguration, SyncCredentials, SyncManager

directory, url, mine, theirs = sys.argv[1:]
manager = SyncManager(directory)
assert not manager.metadata.is_first
assert [user.identity for user in manager.all_users().values()] == ["0" * 23 + "1"]
user = manager.current_user()
realm = Realm.open(SyncConfiguration(user, mine))
realm.sync_session.wait_for_download(20)
try:
    Realm.open(SyncConfiguration(user, theirs))
except MultipleSyncAgentsError:
    print("refused", flush=True)
input()
manager.log_in(SyncCredentials.custom_refresh_token("t", "other"), url)
realm.close()
assert manager.wait_for_sessions_to_terminate(20)
manager.close()
print(realm.path, flush=True)
"""


def test_15_several_processes_share_a_base_directory(world: Any, app: Any, tmp_path: Path) -> None:
    """Users of one are the users of all that start later; each syncs files of its own; nothing of the others' is
    deleted while one of them runs."""
    user = world.manager.log_in(ACCOUNT, app.url)
    device = world.device_at_default_path(SyncConfiguration(user, "/first"))
    device.session.wait_for_download(5)
    command = [sys.executable, "-c", OTHER, str(world.manager.base_directory), app.url]
    with (
        subprocess.Popen(
            [*command, "/second", "/first"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as b,
        subprocess.Popen([*command, "/third", "/first"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as c,
    ):
        paths = []
        for process in (b, c):
            assert process.stdout is not None
            assert process.stdout.readline() == "refused\n"
        for process in (b, c):
            paths.append(process.communicate("\n", timeout=60)[0].strip())
            assert process.returncode == 0
    assert {os.path.dirname(path) for path in paths} == {os.path.dirname(device.path)}
    assert {record.identity for record in world.manager.metadata.users()} == {user.identity, "other"}
    device.write("Rex")
    device.session.wait_for_upload(5)
