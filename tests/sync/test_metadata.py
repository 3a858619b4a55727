"""The store of users and file actions, and what is done with files (spec/sessions.md §11.2, §15.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncline.errors import FileError
from syncline.storage.file import RealmFile
from syncline.sync import file_actions
from syncline.sync.file_actions import carry_out, carry_out_all
from syncline.sync.metadata import FileAction, MetadataStore, UserRecord
from syncline.sync.session_errors import FileActionKind
from syncline.values.kinds import INT

DELETE, BACK_UP = FileActionKind.DELETE_REALM, FileActionKind.BACK_UP_THEN_DELETE_REALM
ANN = UserRecord("ann", "http://x", "default", "uuid-1", "refresh", "access", "anon-user", "device", False, 1)
KEY = bytes(range(64))


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = MetadataStore(tmp_path / "metadata.realm")
    yield made
    made.close()


def make_realm(path: Path, key: bytes | None = None) -> None:
    file = RealmFile.open(path, encryption_key=key)
    with file.write() as tx:
        tx.add_class("Dog", primary_key="id", key_type=INT)
    with file.write() as tx:
        dog = tx.catalogue.find("Dog")
        assert dog is not None
        tx.create(dog, 1)
    file.close()


def dogs(path: Path, key: bytes | None = None) -> int:
    file = RealmFile.open(path, encryption_key=key, create=False)
    try:
        with file.snapshot() as snapshot:
            dog = snapshot.catalogue.find("Dog")
            assert dog is not None
            return snapshot.reader.count(dog)
    finally:
        file.close()


def test_users_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "metadata.realm"
    store = MetadataStore(path)
    bob = ANN._replace(identity="bob", user_is_admin=True)
    store.save_user(ANN)
    store.save_user(bob)
    store.save_user(ANN._replace(access_token="newer", marked_for_removal=True))
    store.close()
    assert path.stat().st_mode & 0o777 == 0o600
    store = MetadataStore(path)
    assert store.users() == [ANN._replace(access_token="newer", marked_for_removal=True), bob]
    store.remove_user(bob.key)
    store.remove_user(bob.key)
    assert [user.identity for user in store.users()] == ["ann"]
    store.close()


def test_an_encrypted_store_with_a_lost_key_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "metadata.realm"
    store = MetadataStore(path, KEY)
    store.save_user(ANN)
    store.close()
    store = MetadataStore(path, KEY)
    assert store.users() == [ANN]
    store.close()
    store = MetadataStore(path, bytes(64))
    assert store.users() == []
    store.close()


def test_a_store_that_is_garbage_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "metadata.realm"
    path.write_bytes(b"garbage" * 1000)
    store = MetadataStore(path)
    store.save_user(ANN)
    assert store.users() == [ANN]
    store.close()


def test_a_store_in_memory(tmp_path: Path) -> None:
    store = MetadataStore(None)
    store.save_user(ANN)
    assert store.users() == [ANN]
    store.close()


def test_file_actions_are_kept_one_per_file(store: Any) -> None:
    first = FileAction("/a", "/backup", BACK_UP, "realm://x/a", "ann")
    store.save_file_action(first)
    store.save_file_action(first._replace(original_name="/b"))
    second = first._replace(new_name=None, action=DELETE)
    store.save_file_action(second)
    assert store.file_action("/a") == second
    assert store.file_action("/c") is None
    assert len(store.file_actions()) == 2
    store.remove_file_action("/a")
    store.remove_file_action("/a")
    assert [action.original_name for action in store.file_actions()] == ["/b"]


@pytest.mark.parametrize("key", [None, KEY])
def test_back_up_then_delete(store: Any, tmp_path: Path, key: bytes | None) -> None:
    path, backup = tmp_path / "a.realm", tmp_path / "backups" / "recovered"
    make_realm(path, key)
    (tmp_path / "a.realm.management").mkdir()
    store.save_file_action(FileAction(str(path), str(backup), BACK_UP, "", ""))
    carry_out_all(store)
    assert store.file_actions() == []
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.name.startswith("a.")) == []
    assert dogs(backup, key) == 1


def test_an_encrypted_file_with_a_write_ahead_log_is_backed_up_whole(store: Any, tmp_path: Path) -> None:
    path, backup = tmp_path / "a.realm", tmp_path / "recovered"
    make_realm(path, KEY)
    code = (
        "import os, sys\n"
        "from syncline.storage.file import RealmFile\n"
        "file = RealmFile.open(sys.argv[1], encryption_key=bytes(range(64)))\n"
        "with file.write() as tx:\n    tx.create(tx.catalogue.find('Dog'), 2)\n"
        "os._exit(0)\n"
    )
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=30)
    assert Path(f"{path}-wal").exists()
    assert carry_out(store, FileAction(str(path), str(backup), BACK_UP, "", ""))
    assert dogs(backup, KEY) == 2


def test_a_missing_original_is_done(store: Any, tmp_path: Path) -> None:
    for action in (BACK_UP, DELETE):
        store.save_file_action(FileAction(str(tmp_path / "gone"), str(tmp_path / "b"), action, "", ""))
        carry_out_all(store)
        assert store.file_actions() == []
    assert not (tmp_path / "b").exists()


def test_a_backup_name_that_is_taken_keeps_the_row(store: Any, tmp_path: Path) -> None:
    path, backup = tmp_path / "a.realm", tmp_path / "taken"
    make_realm(path)
    backup.touch()
    action = FileAction(str(path), str(backup), BACK_UP, "", "")
    store.save_file_action(action)
    assert not carry_out(store, action)
    assert store.file_actions() == [action]
    assert dogs(path) == 1


def test_after_a_copy_only_the_deletion_is_left(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, backup = tmp_path / "a.realm", tmp_path / "recovered"
    make_realm(path)
    action = FileAction(str(path), str(backup), BACK_UP, "", "")
    store.save_file_action(action)

    def fail(path: str) -> None:
        raise FileError("busy")

    with monkeypatch.context() as patched:
        patched.setattr(file_actions, "_delete", fail)
        assert not carry_out(store, action)
    assert store.file_actions() == [action._replace(action=DELETE, new_name=None)]
    carry_out_all(store)
    assert store.file_actions() == []
    assert not path.exists()
    assert dogs(backup) == 1


def test_a_file_that_is_open_is_left_alone(store: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.realm"
    make_realm(path)
    file = RealmFile.open(path)
    action = FileAction(str(path), None, DELETE, "", "")
    store.save_file_action(action)
    assert not carry_out(store, action)
    file.close()
    assert carry_out(store, action)
    assert not path.exists()
