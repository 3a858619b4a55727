"""The store of users and file actions, and what is done with files (spec/sessions.md §11.2, §15.4)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

from syncline.errors import FileError, NewerFormatError
from syncline.storage.file import RealmFile
from syncline.storage.system import set_meta_value
from syncline.sync import file_actions, metadata
from syncline.sync.file_actions import carry_out, carry_out_all
from syncline.sync.metadata import LAYOUT, FileAction, MetadataStore, UserRecord
from syncline.sync.session_errors import FileActionKind
from syncline.testing.choices import RandomChoices
from syncline.testing.disk import Disk, Everything, Lottery, Nothing, Survival
from syncline.values.kinds import BOOL, INT, STRING

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


def test_15_2_files_are_tracked_for_their_users_and_forgotten_with_them(tmp_path: Path) -> None:
    path, other = tmp_path / "metadata.realm", ANN._replace(app_id="other")
    store = MetadataStore(path)
    for user in (ANN, other):
        store.save_user(user)
    store.track_file("/a", ANN.key)
    store.track_file("/a", ANN.key)
    store.track_file("/b", other.key)
    store.close()
    store = MetadataStore(path)
    assert (store.files_of(ANN.key), store.files_of(other.key)) == (["/a"], ["/b"])
    assert store.is_tracked("/a", ANN.key)
    assert not store.is_tracked("/a", other.key)
    assert not store.is_tracked("/c", ANN.key)
    store.track_file("/a", other.key)  # it has a new owner
    assert store.files_of(ANN.key) == []
    store.remove_user(other.key)
    assert store.files_of(other.key) == []
    assert store.users() == [ANN]
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


def test_11_2_an_action_that_nobody_knows_stays_and_hurts_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = MetadataStore(tmp_path / "metadata.realm")
    store.save_file_action(FileAction("/a", None, DELETE, "", ""))
    store.save_file_action(FileAction("/b", None, DELETE, "", ""))
    store.close()
    file = RealmFile.open(tmp_path / "metadata.realm")
    with file.write() as tx:
        cls = tx.catalogue.classes["FileActionMetadata"]
        k = tx.find(cls, "/a")
        assert k is not None
        tx.set(cls, k, cls.properties["action"], 7)
    file.close()
    store = MetadataStore(tmp_path / "metadata.realm")
    assert [action.original_name for action in store.file_actions()] == ["/b"]
    assert "/a has the unknown file action 7" in caplog.text
    store.close()


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


# --- layouts (§15.4) --------------------------------------------------------------------------------------------------


def make_old_store(path: Path, key: bytes | None = None) -> None:
    """The layout of the first generation (§15.4, [E]) as a file without a number of its layout."""
    file = RealmFile.open(path, encryption_key=key, history=False)
    with file.write() as tx:
        cls = tx.add_class("UserMetadata")
        for name, kind in (("identity", STRING), ("user_token", STRING), ("auth_server_url", STRING)):
            tx.add_property(cls, name, kind)
        tx.add_property(cls, "marked_for_removal", BOOL)
        tx.add_property(cls, "user_is_admin", BOOL)
        actions = tx.add_class("FileActionMetadata", primary_key="original_name", key_type=STRING)
        for name, kind in (("url", STRING), ("identity", STRING), ("action", INT)):
            tx.add_property(actions, name, kind)
        tx.add_property(actions, "new_name", STRING, nullable=True)
    with file.write() as tx:
        cls, actions = tx.catalogue.classes["UserMetadata"], tx.catalogue.classes["FileActionMetadata"]
        for identity, token in (("ann", "refresh"), ("bob", "")):
            k, _ = tx.create(cls)
            tx.set(cls, k, cls.properties["identity"], identity)
            tx.set(cls, k, cls.properties["user_token"], token)
            tx.set(cls, k, cls.properties["auth_server_url"], "http://x")
        k, _ = tx.create(actions, "/a")
        tx.set(actions, k, actions.properties["new_name"], "/backup")
        tx.set(actions, k, actions.properties["action"], 1)
    file.close()


def layout_of(path: Path) -> list[Any]:
    file = RealmFile.open(path, create=False)
    try:
        return file.query("SELECT v FROM rlm_meta WHERE k = 'metadata_layout'")
    finally:
        file.close()


def number_layout(path: Path, layout: int) -> None:
    file = RealmFile.open(path, create=False)
    with file.write():
        set_meta_value(file.writer.connection, "metadata_layout", layout)
    file.close()


def check_brought_forward(store: MetadataStore) -> None:
    ann, bob = store.users()
    assert ann == UserRecord("ann", "http://x", "default", "ann", "refresh", "", "", "", False, 1)
    assert bob == UserRecord("bob", "http://x", "default", "bob", "", "", "", "", False, 0)
    assert store.file_actions() == [FileAction("/a", "/backup", BACK_UP, "", "")]
    store.track_file("/mine", ann.key)
    assert store.files_of(ann.key) == ["/mine"]
    store.save_user(ann._replace(access_token="access"))
    assert [user.access_token for user in store.users()] == ["access", ""]


@pytest.mark.parametrize("key", [None, KEY])
def test_15_4_an_older_layout_is_brought_forward(tmp_path: Path, key: bytes | None) -> None:
    path = tmp_path / "metadata.realm"
    make_old_store(path, key)
    for _ in range(2):
        store = MetadataStore(path, key)
        store.close()
    store = MetadataStore(path, key)
    check_brought_forward(store)
    store.close()
    if key is None:
        assert layout_of(path) == [(LAYOUT,)]


def test_15_4_a_store_from_before_layouts_were_numbered_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "metadata.realm"
    store = MetadataStore(path)
    store.save_user(ANN)
    store.close()
    number_layout(path, 0)
    store = MetadataStore(path)
    assert store.users() == [ANN]
    store.close()
    assert layout_of(path) == [(LAYOUT,)]


def test_15_4_an_interrupted_migration_leaves_the_old_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metadata.realm"
    make_old_store(path)
    for step in ("_ensure", "_value_before", "set_meta_value"):

        def fail(*arguments: Any, **options: Any) -> None:
            raise OSError("power cut")

        with monkeypatch.context() as patched:
            patched.setattr(metadata, step, fail)
            with pytest.raises(OSError, match="power cut"):
                MetadataStore(path)
        assert layout_of(path) == []
    store = MetadataStore(path)
    check_brought_forward(store)
    store.close()


def test_15_4_a_newer_layout_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "metadata.realm"
    store = MetadataStore(path)
    store.save_user(ANN)
    store.close()
    number_layout(path, LAYOUT + 1)
    with pytest.raises(NewerFormatError, match=f"layout {LAYOUT + 1}.*up to {LAYOUT}.*install"):
        MetadataStore(path)
    assert layout_of(path) == [(LAYOUT + 1,)]
    number_layout(path, LAYOUT)
    store = MetadataStore(path)
    assert store.users() == [ANN]
    store.close()


def test_15_4_a_damaged_store_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "metadata.realm"
    store = MetadataStore(path)
    for number in range(200):
        store.save_user(ANN._replace(identity=f"user {number}"))
    store.close()
    with path.open("rb+") as file:  # everything but the first page, which says what it is
        file.seek(4096)
        file.write(bytes(range(256)) * ((path.stat().st_size - 4096) // 256))
    store = MetadataStore(path)
    assert store.users() == []
    store.save_user(ANN)
    assert store.users() == [ANN]
    store.close()


def test_15_4_a_store_that_cannot_be_read_now_is_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metadata.realm"
    store = MetadataStore(path)
    store.save_user(ANN)
    store.close()

    def fail(*arguments: Any, **options: Any) -> None:
        raise FileError("no permission")

    with monkeypatch.context() as patched:
        patched.setattr(metadata, "_opened", fail)
        with pytest.raises(FileError):
            MetadataStore(path)
    store = MetadataStore(path)
    assert store.users() == [ANN]
    store.close()


def test_15_4_nobody_else_can_read_the_store_at_any_moment(tmp_path: Path) -> None:
    store = MetadataStore(tmp_path / "metadata.realm")
    store.save_user(ANN)
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in tmp_path.glob("metadata.realm*")}
    private = {name: mode for name, mode in modes.items() if not name.endswith(".lock")}
    assert private == {"metadata.realm": 0o600, "metadata.realm-wal": 0o600, "metadata.realm-shm": 0o600}
    store.close()


def test_15_4_with_a_key_tokens_are_not_on_the_disk(tmp_path: Path) -> None:
    for key, is_readable in ((KEY, False), (None, True)):
        folder = tmp_path / str(is_readable)
        folder.mkdir()
        store = MetadataStore(folder / "metadata.realm", key)
        store.save_user(ANN._replace(user_token="very secret token"))
        found = any(b"very secret token" in entry.read_bytes() for entry in folder.iterdir())
        store.close()
        assert found == is_readable


PROCESS = """
import sys
from pathlib import Path
from syncline.sync.metadata import FileAction, MetadataStore, UserRecord
from syncline.sync.session_errors import FileActionKind
from syncline.testing.choices import RandomChoices
from syncline.testing.disk import Disk, Everything, Lottery, Nothing, Survival
path, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
store = MetadataStore(path)
for number in range(10):
    store.save_user(UserRecord(f"{name}-{number}", "http://x", "default", "u", "r", "a", "p", "d", False, 1))
    store.save_file_action(FileAction(f"/{name}-{number}", None, FileActionKind.DELETE_REALM, "", ""))
    store.save_user(UserRecord("shared", "http://x", "default", "u", "r", f"{name}-{number}", "p", "d", False, 1))
print(store.is_first, flush=True)
sys.stdin.readline()
store.close()
"""


def test_15_4_several_processes_use_one_store_and_one_of_them_is_the_first(tmp_path: Path) -> None:
    path = tmp_path / "metadata.realm"
    command = [sys.executable, "-c", PROCESS, str(path)]
    children = [
        subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for n in range(4)
    ]

    def hear() -> list[str]:
        return [child.stdout.readline().strip() for child in children if child.stdout is not None]

    assert hear() == ["ready"] * 4
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert sorted(hear()) == ["False", "False", "False", "True"]
    store = MetadataStore(path)
    assert not store.is_first
    users = [user.identity for user in store.users()]
    assert len(users) == len(set(users)) == 41
    assert len(store.file_actions()) == 40
    store.close()
    for child in children:
        child.communicate("end\n", timeout=30)
        assert child.returncode == 0
    store = MetadataStore(path)
    assert store.is_first
    second = MetadataStore(path)
    assert not second.is_first
    second.close()
    store.close()


@pytest.mark.parametrize("survival", [Nothing(), Everything(), Lottery(RandomChoices(1)), Lottery(RandomChoices(2))])
def test_11_2_a_power_cut_at_any_write_keeps_every_row_that_was_stored(survival: Survival) -> None:
    disk = Disk()
    path = Path(disk.path("metadata.realm"))
    actions = [FileAction(f"/{n}", None, DELETE, "", "") for n in range(3)]
    steps = 0
    try:
        while True:
            disk.install({})
            disk.cut_power_after(steps)
            stored: list[str] = []
            store = None
            try:
                store = MetadataStore(path, vfs=disk.vfs)
                for action in actions:
                    store.save_file_action(action)
                    stored.append(action.original_name)
                stored.remove("/0")
                store.remove_file_action("/0")
            except (OSError, apsw.IOError):  # the latter from closing what could not be opened
                pass
            is_over = not disk.is_off
            disk.silence()
            if store is not None:
                store.close()
            disk.restore(survival)
            store = MetadataStore(path, vfs=disk.vfs)
            found = [action.original_name for action in store.file_actions()]
            store.close()
            assert set(stored) <= set(found)
            assert len(found) <= len(stored) + 1, "at most what was under way"
            if is_over:
                break
            steps += 1
    finally:
        disk.close()
    assert found == ["/1", "/2"]
    assert steps > 20
