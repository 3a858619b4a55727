"""Nothing is lost: killed processes, full and failing disks (spec/sdk.md §5.1 rule 5)."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from syncline.errors import DiskFullError, FileError
from syncline.storage.dump import content_hash
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.values.kinds import INT, LIST_COLLECTION, STRING

ROUNDS = 6
KILLED = 77

#: Writes forever; says the number of a transaction on standard output once it is committed.
WRITER = """
import sys
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
file = RealmFile.open(sys.argv[1], encryption_key=bytes(64))
number = int(sys.argv[2])
while True:
    with file.write() as tx:
        info = tx.catalogue.classes["Pair"]
        for half in (0, 1):
            k, _ = tx.create(info, 2 * number + half)
            tx.set(info, k, info.properties["text"], "x" * (number % 50) * 100)
            ref = tx.collection(info, k, info.properties["list"])
            for value in range(number % 5):
                tx.list_insert(ref, value, value)
        ClientHistory.set_value_in(tx, "test.number", number)
    print(number, flush=True)
    number += 1
"""


def test_a_killed_process_loses_nothing_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    path = str(tmp_path / "a.realm")
    file = RealmFile.open(path, encryption_key=bytes(64))
    with file.write() as tx:
        info = tx.add_class("Pair", primary_key="_id", key_type=INT)
        tx.add_property(info, "text", STRING)
        tx.add_property(tx.catalogue.classes["Pair"], "list", INT, collection=LIST_COLLECTION)
    file.close()
    chance = random.Random(7)
    acknowledged = -1
    for _ in range(ROUNDS):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(acknowledged + 1)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline()
        time.sleep(chance.uniform(0, 0.15))
        child.send_signal(signal.SIGKILL)
        said = child.stdout.read().split()
        child.stdout.close()
        child.wait()
        stored = check(path)
        assert stored in (max([acknowledged + 1, *map(int, said)]), max([acknowledged + 1, *map(int, said)]) + 1)
        acknowledged = stored


def check(path: str) -> int:
    """The number of the last transaction in the file, of which all parts must be there, and of no later one any."""
    file = RealmFile.open(path, encryption_key=bytes(64))
    number = ClientHistory(file).value("test.number")
    assert isinstance(number, int)
    with file.snapshot() as snapshot, snapshot.lock:
        info = snapshot.catalogue.classes["Pair"]
        assert snapshot.reader.count(info) == 2 * (number + 1)
        assert snapshot.version == number + 3
        for k in snapshot.reader.keys(info, limit=-1)[-2:]:
            assert snapshot.reader.get(info, k, info.properties["text"]) == "x" * (number % 50) * 100
            ref = snapshot.reader.collection(info, k, info.properties["list"])
            assert snapshot.reader.list_slice(ref) == list(range(number % 5))
    assert file.query("SELECT count(*), max(version) FROM rlm_history") == [(number + 2, number + 3)]
    assert file.query("PRAGMA integrity_check") == [("ok",)]
    file.close()
    return number


# --- full and failing disks -------------------------------------------------------------------------------------------


class FailingFile(apsw.VFSFile):
    """A file whose writes fail once the disk says so."""

    def __init__(self, disk: FailingDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        self.disk.count()
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.disk.count(syncing=True)
        super().xSync(flags)


class FailingDisk(apsw.VFS):
    """A disk that fails after ``left`` more writes (or syncs), with ``error``; None: never.

    With ``kills`` it ends the process there instead, without any farewell.
    """

    def __init__(self, name: str) -> None:
        self.left: int | None = None
        self.error: type[apsw.Error] = apsw.FullError
        self.kills = False
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return FailingFile(self, name, flags)

    def count(self, syncing: bool = False) -> None:
        if self.left is None or (syncing and self.error is apsw.FullError):
            return
        if self.left <= 0:
            if self.kills:
                os._exit(KILLED)
            raise self.error("the disk of the test failed")
        self.left -= 1


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    vfs = FailingDisk("syncline-failing")
    yield vfs
    vfs.unregister()


def write_some(file: RealmFile, number: int) -> None:
    with file.write() as tx:
        info = tx.catalogue.classes["Dog"]
        for key in range(10):
            tx.create(info, 10 * number + key, [(info.properties["name"], "x" * 3000, False)])


def hash_of(file: RealmFile) -> str:
    with file.snapshot() as snapshot, snapshot.lock:
        return content_hash(snapshot.reader)


@pytest.mark.parametrize(("error", "raised"), [(apsw.FullError, DiskFullError), (apsw.IOError, FileError)])
def test_a_disk_that_fails_at_any_write_of_a_commit(
    tmp_path: Path, disk: FailingDisk, error: type[apsw.Error], raised: type[FileError]
) -> None:
    file = RealmFile.open(tmp_path / "a.realm", vfs="syncline-failing")
    with file.write() as tx:
        info = tx.add_class("Dog", primary_key="_id", key_type=INT)
        tx.add_property(info, "name", STRING)
    write_some(file, 0)
    disk.error = error
    before, version = hash_of(file), file.version
    failures = 0
    while file.version == version:
        disk.left = failures
        file.writer._wal_limit = 0  # writing back the log comes right after the commit, and fails as well
        try:
            write_some(file, 1)
        except raised:
            failures += 1
            disk.left = None
            assert (hash_of(file), file.version) == (before, version)
            assert not file.in_write
        disk.left = None
    assert failures > 10
    assert (hash_of(file) != before, file.version) == (True, version + 1)
    write_some(file, 9)
    assert file.query("PRAGMA integrity_check") == [("ok",)]
    file.close()
    again = RealmFile.open(tmp_path / "a.realm")
    assert again.version == 5
    again.close()


def test_a_process_that_dies_at_any_write_of_a_commit(tmp_path: Path, disk: FailingDisk) -> None:
    """Also while it opens the file, syncs, and writes the log back: in every case all of a transaction, or nothing."""
    base, path = tmp_path / "base.realm", tmp_path / "a.realm"
    file = RealmFile.open(base)
    with file.write() as tx:
        info = tx.add_class("Dog", primary_key="_id", key_type=INT)
        tx.add_property(info, "name", STRING)
    write_some(file, 0)
    before = hash_of(file)
    file.close()
    found = []
    for writes in range(1_000):
        for old in tmp_path.glob("a.realm*"):
            old.unlink()
        shutil.copy(base, path)
        status = die_after(disk, writes, path)
        file = RealmFile.open(path)
        assert file.query("PRAGMA integrity_check") == [("ok",)]
        assert file.query("SELECT count(*), max(version) FROM rlm_history") == [(file.version - 1, file.version)]
        found.append((file.version, hash_of(file)))
        file.close()
        if status != KILLED:
            break
    assert status == 0
    after = found[-1]
    first = found.index(after)
    assert found[:first] == [(3, before)] * first
    assert found[first:] == [after] * (len(found) - first)
    assert (after[0], first > 10, len(found) > first + 1) == (4, True, True)


def die_after(disk: FailingDisk, writes: int, path: Path) -> int:
    """A child process opens the file, writes a transaction and closes; it dies after so many writes. Its status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            disk.kills, disk.error, disk.left = True, apsw.IOError, writes
            file = RealmFile.open(path, vfs="syncline-failing")
            write_some(file, 1)
            file.close()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_file_that_reached_its_size_limit_stays_usable(tmp_path: Path) -> None:
    file = RealmFile.open(tmp_path / "a.realm")
    with file.write() as tx:
        info = tx.add_class("Dog", primary_key="_id", key_type=INT)
        tx.add_property(info, "name", STRING)
    pages = file.query("PRAGMA page_count")[0][0]
    file.writer.connection.pragma("max_page_count", pages + 3)
    before = hash_of(file)
    with pytest.raises(DiskFullError, match="rolled back; free some space"):
        write_some(file, 1)
    assert (hash_of(file), file.version) == (before, 2)
    with file.write() as tx:
        tx.create(tx.catalogue.classes["Dog"], 1)
    file.writer.connection.pragma("max_page_count", 1_000_000)
    write_some(file, 1)
    assert file.version == 4
    assert os.path.getsize(file.path) > 0
    file.close()
