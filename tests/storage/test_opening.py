"""What can be opened, and what is said of what cannot (storage/opening.py, storage/connection.py)."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from syncline.errors import (
    ClosedRealmError,
    ConfigurationError,
    DecryptionFailedError,
    FileError,
    InvalidDatabaseError,
    MismatchedConfigError,
    NewerFormatError,
    RealmFileNotFoundError,
    WrongTransactionStateError,
)
from syncline.storage.connection import APPLICATION_ID, FORMAT, page_key
from syncline.storage.file import RealmFile
from syncline.storage.locks import LockFile
from syncline.storage.system import set_sync_value, sync_value

KEY = bytes(range(64))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "a.realm")


def make(path: str, key: bytes | None = None, value: int = 1) -> None:
    file = RealmFile.open(path, encryption_key=key)
    with file.write() as tx:
        set_sync_value(tx.connection, "test.value", value)
    file.close()


def stored(file: RealmFile) -> object:
    with file.looking() as connection:
        return sync_value(connection, "test.value")


def test_a_file_that_is_deleted_while_it_is_opened(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens makes a new file, or finds none; never half of the old one."""
    opens = LockFile.open

    def open_late(realm_path: str, read_only: bool = False) -> LockFile | None:
        monkeypatch.setattr(LockFile, "open", opens)
        assert RealmFile.delete(path)
        return opens(realm_path, read_only)

    for options in ({"create": False}, {"read_only": True}):
        make(path)
        monkeypatch.setattr(LockFile, "open", open_late)
        with pytest.raises(RealmFileNotFoundError):
            RealmFile.open(path, **options)  # type: ignore[arg-type]
    make(path)
    monkeypatch.setattr(LockFile, "open", open_late)
    file = RealmFile.open(path)
    assert (file.version, stored(file)) == (1, None)
    file.close()


def test_a_new_file_is_an_ordinary_database_of_version_1(path: str) -> None:
    file = RealmFile.open(path)
    assert file.version == 1
    file.close()
    plain = sqlite3.connect(path)
    assert plain.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert plain.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert plain.execute("PRAGMA encoding").fetchone() == ("UTF-8",)
    plain.close()


def test_what_was_written_is_there_after_opening_again(path: str) -> None:
    make(path, value=5)
    file = RealmFile.open(path, create=False)
    assert (file.version, stored(file)) == (2, 5)
    file.close()


def test_a_missing_file_is_not_created_unasked(path: str) -> None:
    with pytest.raises(FileError, match="no Realm at"):
        RealmFile.open(path, create=False)
    with pytest.raises(FileError, match="no Realm at"):
        RealmFile.open(path, read_only=True)
    assert os.listdir(os.path.dirname(path)) == []


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="create it, then open"):
        RealmFile.open(tmp_path / "no" / "where.realm")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="there is no directory"):
        RealmFile.open(tmp_path / "file" / "a.realm")


def test_a_directory_is_no_realm(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read"):
        RealmFile.open(tmp_path)


@pytest.mark.parametrize(
    "content", [b"hello", b"hello, world, this is just some text file", bytes(5000), b"\xff" * 4096]
)
def test_other_files_are_left_alone(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    for key in (None, KEY):
        with pytest.raises(InvalidDatabaseError):
            RealmFile.open(path, encryption_key=key)
    assert Path(path).read_bytes() == content


def test_somebody_elses_database_is_left_alone(path: str) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t(a)")
    other.commit()
    other.close()
    with pytest.raises(InvalidDatabaseError, match="a database, but not a Realm"):
        RealmFile.open(path)


def test_an_empty_file_becomes_a_realm(path: str) -> None:
    Path(path).touch()
    with pytest.raises(FileError):
        RealmFile.open(path, read_only=True)
    file = RealmFile.open(path)
    assert file.version == 1
    file.close()


def test_a_file_of_a_newer_syncline_is_refused(path: str) -> None:
    make(path)
    plain = sqlite3.connect(path)
    plain.execute(f"PRAGMA user_version={FORMAT + 1}")
    plain.close()
    with pytest.raises(NewerFormatError, match="install a newer Syncline"):
        RealmFile.open(path)


def test_a_damaged_file_is_reported_as_one(path: str) -> None:
    make(path)
    data = bytearray(Path(path).read_bytes())
    data[100:200] = b"\xaa" * 100
    Path(path).write_bytes(data)
    with pytest.raises(FileError, match="damaged"):
        RealmFile.open(path)


@pytest.mark.parametrize(
    "damage", ["DROP TABLE rlm_commit", "DELETE FROM rlm_commit", "DROP TABLE rlm_meta", "DROP TABLE rlm_prop"]
)
def test_a_file_that_lacks_something_is_damaged_and_stays_closed(path: str, damage: str) -> None:
    make(path)
    with sqlite3.connect(path) as plain:
        plain.execute(damage)
    plain.close()
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        with pytest.raises(FileError, match=r"is damaged .*restore it"):
            RealmFile.open(path)
    assert os.listdir("/proc/self/fd") == before
    assert RealmFile.delete(path)


def test_nothing_stays_open_where_the_first_look_fails(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    monkeypatch.setattr(RealmFile, "_look", lambda file: os.listdir(path))
    with pytest.raises(NotADirectoryError):
        RealmFile.open(path)
    monkeypatch.undo()
    assert RealmFile.delete(path)


def test_a_file_that_cannot_be_made_says_why_and_is_made_later(path: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (1, 5000, 20_000, 80_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(FileError, match=r"cannot read or write .*disk"):
                RealmFile.open(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    make(path, value=3)
    file = RealmFile.open(path)
    assert stored(file) == 3
    file.close()


def test_the_first_write_makes_no_other_file(path: str) -> None:
    """Somebody has removed it, with other means than ours."""
    make(path)
    file = RealmFile.open(path)
    os.rename(path, path + ".moved")
    with pytest.raises(FileError):
        file.begin()
    assert not os.path.exists(path)
    os.rename(path + ".moved", path)
    with file.write() as tx:
        set_sync_value(tx.connection, "test.value", 2)
    assert stored(file) == 2
    file.close()


def test_what_is_no_file_is_not_waited_for(path: str) -> None:
    os.mkfifo(path)
    with pytest.raises(FileError, match="is no file"):
        RealmFile.open(path)


# --- encryption -------------------------------------------------------------------------------------------------------


def test_the_page_key_uses_all_64_bytes() -> None:
    assert len(page_key(KEY)) == 32
    assert page_key(KEY) != page_key(KEY[:63] + b"x")
    assert page_key(KEY) != page_key(b"x" + KEY[1:])
    assert page_key(KEY).hex() == "e63de32f61d92efadd305be24065563ec5dff66e511888ca089daebec7dc2ab9"  # RFC 5869


def test_an_encrypted_file_opens_with_its_key_only(path: str) -> None:
    make(path, KEY, 77)
    assert b"rlm_commit" not in Path(path).read_bytes()
    for wrong in (None, KEY[::-1]):
        with pytest.raises(DecryptionFailedError):
            RealmFile.open(path, encryption_key=wrong)
    file = RealmFile.open(path, encryption_key=KEY)
    assert stored(file) == 77
    with pytest.raises(MismatchedConfigError, match="another encryption key"):
        RealmFile.open(path)
    with pytest.raises(MismatchedConfigError, match="another encryption key"):
        RealmFile.open(path, encryption_key=KEY[::-1])
    file.close()


def test_the_write_ahead_log_is_encrypted_too(path: str) -> None:
    file = RealmFile.open(path, encryption_key=KEY)
    with file.write() as tx:
        set_sync_value(tx.connection, "test.value", "a secret of some length")
    assert os.path.getsize(path + "-wal") > 0
    assert b"a secret of some length" not in Path(path + "-wal").read_bytes()
    file.close()


def test_a_plain_file_does_not_open_with_a_key(path: str) -> None:
    make(path)
    with pytest.raises(DecryptionFailedError, match="is not encrypted"):
        RealmFile.open(path, encryption_key=KEY)


@pytest.mark.parametrize("length", [0, 32, 63, 65])
def test_a_key_has_64_bytes(path: str, length: int) -> None:
    with pytest.raises(ConfigurationError, match=f"exactly 64 bytes, this one has {length}"):
        RealmFile.open(path, encryption_key=bytes(length))
    assert not os.path.exists(path)


# --- history ----------------------------------------------------------------------------------------------------------


def test_whether_a_file_keeps_history_is_fixed_when_it_is_made(path: str) -> None:
    file = RealmFile.open(path, history=False)
    assert not file.keeps_history
    with pytest.raises(MismatchedConfigError, match="created without sync history"):
        RealmFile.open(path, history=True)
    file.close()
    with pytest.raises(MismatchedConfigError, match="created without sync history"):
        RealmFile.open(path, history=True)
    file = RealmFile.open(path)
    assert not file.keeps_history
    file.close()


# --- read-only --------------------------------------------------------------------------------------------------------


def test_a_read_only_file_reads_and_follows(path: str) -> None:
    make(path)
    writer = RealmFile.open(path)
    reader = RealmFile.open(path, read_only=True)
    assert reader is not writer
    with writer.write() as tx:
        set_sync_value(tx.connection, "test.value", 2)
    assert (reader.version, stored(reader)) == (3, 2)
    with pytest.raises(WrongTransactionStateError, match="read-only"):
        reader.begin()
    with pytest.raises(apsw.ReadOnlyError), reader.snapshot() as snapshot:
        snapshot.reader.connection.execute("DELETE FROM rlm_meta")
    reader.close()
    writer.close()


VISITOR = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("SELECT count(*) FROM rlm_meta").fetchall()
database.close()
"""


@pytest.mark.parametrize("first", [False, True])
def test_opening_a_file_that_is_open_keeps_its_locks(path: str, first: bool) -> None:
    """POSIX drops them when the process closes the file anywhere; the next to close takes the log away then."""
    make(path)
    files = [RealmFile.open(path, read_only=first), RealmFile.open(path, read_only=not first)]
    files.pop().close()
    file = files[0]
    assert (file.version, stored(file)) == (2, 1)
    subprocess.run([sys.executable, "-S", "-c", VISITOR, path], check=True)
    assert os.path.exists(path + "-wal")
    file.close()


def test_a_file_that_is_open_is_looked_at_all_the_same(path: str) -> None:
    make(path, KEY)
    file = RealmFile.open(path, encryption_key=KEY)
    for wrong in (None, KEY[::-1]):
        with pytest.raises(DecryptionFailedError):
            RealmFile.open(path, read_only=True, encryption_key=wrong)
    file.close()
    make(path + "2")
    file = RealmFile.open(path + "2")
    with pytest.raises(DecryptionFailedError):
        RealmFile.open(path + "2", read_only=True, encryption_key=KEY)
    file.close()


READER = """
import os, sys, types
from syncline.storage.file import RealmFile
if sys.argv[2:] == ["mounted read-only"]:
    os.statvfs = lambda path: types.SimpleNamespace(f_flag=os.ST_RDONLY)
if os.geteuid() == 0:
    os.seteuid(65534)
file = RealmFile.open(sys.argv[1], read_only=True)
print(file.version)
file.close()
"""


@pytest.mark.parametrize("lock_file_is_there", [False, True])
def test_a_file_on_a_read_only_medium(lock_file_is_there: bool) -> None:
    """No lock file and no shared memory can be made there: for a user who may only read."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "a.realm")
        make(path, value=9)
        if lock_file_is_there:
            os.chmod(path + ".lock", 0o444)
        else:
            os.unlink(path + ".lock")
        os.chmod(directory, 0o555)
        command = [sys.executable, "-c", READER, path, *["mounted read-only"] * lock_file_is_there]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        os.chmod(directory, 0o755)
    assert (result.stdout, result.stderr) == ("2\n", "")


CRASHING = """
import os, sys
from syncline.storage.file import RealmFile
file = RealmFile.open(sys.argv[1])
with file.write() as tx:
    tx.add_class("Dog")
os._exit(9)
"""


def as_reader(path: str, *more: str) -> subprocess.CompletedProcess[str]:
    """What a process says that opens the file read-only, as a user who may not write in its directory."""
    directory = os.path.dirname(path)
    os.chmod(directory, 0o555)
    try:
        return subprocess.run([sys.executable, "-c", READER, path, *more], capture_output=True, text=True, check=False)
    finally:
        os.chmod(directory, 0o755)


@pytest.fixture
def path_for_all() -> Iterator[str]:
    """Where every user may read: pytest's own directories are for one user alone."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield os.path.join(os.path.realpath(directory), "a.realm")


@pytest.mark.parametrize("closed", [True, False], ids=["nobody has it open", "after a crash"])
def test_who_may_not_write_beside_the_file_learns_what_is_missing(path_for_all: str, closed: bool) -> None:
    """Others may write it, so that it cannot be read as if on a read-only medium."""
    path = path_for_all
    subprocess.run([sys.executable, "-c", CRASHING, path], check=False)
    if closed:
        RealmFile.open(path).close()
    else:
        os.unlink(path + "-shm")
    os.chmod(path, 0o444)
    error = as_reader(path).stderr.splitlines()[-1]
    directory = os.path.dirname(path)
    assert f"FileError: this user may not write in {directory}, where SQLite needs {path}-shm to read" in error
    assert error.endswith(
        "or read a copy of it" if closed else f"read a copy of it and of {path}-wal, which holds commits"
    )


@pytest.mark.parametrize("side", ["-wal", "-shm", ".lock"])
def test_a_side_file_that_may_not_be_read_is_named(path_for_all: str, side: str) -> None:
    """A lock file that cannot be looked at is there all the same: somebody may be writing."""
    file = RealmFile.open(path_for_all)
    os.chmod(path_for_all + side, 0)
    error = as_reader(path_for_all).stderr.splitlines()[-1]
    file.close()
    assert f"FileError: this user may not read {path_for_all}{side}" in error


def test_who_may_not_write_beside_the_file_reads_what_somebody_else_has_open(path_for_all: str) -> None:
    file = RealmFile.open(path_for_all)
    with file.write() as tx:
        tx.add_class("Dog")
    os.chmod(path_for_all, 0o444)
    result = as_reader(path_for_all)
    file.close()
    assert (result.stdout, result.stderr) == ("2\n", "")


@pytest.mark.parametrize("crashed", [True, False], ids=["after a crash", "after closing"])
def test_a_read_only_look_changes_neither_the_file_nor_its_log(tmp_path: Path, crashed: bool) -> None:
    path = tmp_path / "a.realm"
    subprocess.run([sys.executable, "-c", CRASHING, str(path)], check=False)
    if not crashed:
        RealmFile.open(path).close()

    def contents() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")}

    before = contents()
    assert ("a.realm-wal" in before) is crashed
    file = RealmFile.open(path, read_only=True, create=False)
    with file.reading_alone() as reader:
        assert list(reader.catalogue.classes) == ["Dog"]
    file.close()
    assert contents() == before


@pytest.fixture
def connections() -> Iterator[list[apsw.Connection]]:
    """Every connection that is opened meanwhile."""
    opened: list[apsw.Connection] = []
    apsw.connection_hooks.append(opened.append)
    yield opened
    apsw.connection_hooks.remove(opened.append)


def schemas_known(connections: list[apsw.Connection]) -> int:
    """How many of them SQLite has parsed the schema for, which takes most of the time of opening one."""
    return sum(connection.status(apsw.SQLITE_DBSTATUS_SCHEMA_USED)[0] > 0 for connection in connections)


def test_who_only_reads_has_one_connection_that_knows_the_schema(path: str, connections: list[apsw.Connection]) -> None:
    make(path)
    connections.clear()
    file = RealmFile.open(path)
    assert file.version == 2
    assert stored(file) == 1
    with file.snapshot() as snapshot, snapshot.lock:
        assert snapshot.version == 2
    assert (len(connections), schemas_known(connections)) == (2, 1)
    with file.write() as tx:
        set_sync_value(tx.connection, "test.value", 2)
    with file.snapshot() as snapshot:
        assert snapshot.version == 3
    assert (len(connections), schemas_known(connections)) == (3, 2)
    file.close()


def test_a_file_that_was_closed_does_not_open_another_connection(path: str, connections: list[apsw.Connection]) -> None:
    make(path)
    file = RealmFile.open(path)
    file.close()
    connections.clear()
    with pytest.raises(ClosedRealmError):
        file.writer.connection.changes()
    assert connections == []
