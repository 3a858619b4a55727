"""The disk with a power cord: what was synced survives, the rest as luck has it."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest

from syncline.errors import FileError
from syncline.storage.file import RealmFile
from syncline.testing.choices import RandomChoices
from syncline.testing.disk import SECTOR, Disk, Everything, Lottery, Nothing, Survival
from syncline.values.kinds import INT, STRING


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.close()


def connect(disk: Disk, mode: str, synchronous: str = "FULL") -> apsw.Connection:
    connection = apsw.Connection(disk.path("a.db"), vfs=disk.vfs)
    connection.pragma("journal_mode", mode)
    connection.pragma("synchronous", synchronous)
    connection.execute("CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY, text TEXT)")
    return connection


def commit_until_the_power_goes(disk: Disk, mode: str, synchronous: str = "FULL") -> int:
    """Numbers committed, 1 to n."""
    committed = 0
    try:
        connection = connect(disk, mode, synchronous)
        for number in range(1, 30):
            connection.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * 300 * (number % 7)))
            committed = number
            if number % 5 == 0 and mode == "wal":
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.Error:
        assert disk.is_off
    disk.silence()
    connection.close(True)
    return committed


def found(disk: Disk) -> int:
    connection = apsw.Connection(disk.path("a.db"), vfs=disk.vfs)
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    rows = connection.execute("SELECT n, text FROM t ORDER BY n").fetchall()
    assert all(text == "x" * 300 * (number % 7) for number, text in rows)
    numbers = [number for number, _ in rows]
    assert numbers == list(range(1, len(numbers) + 1))
    connection.close()
    return len(numbers)


def survivals(seed: int) -> list[Survival]:
    return [Everything(), Nothing(), Lottery(RandomChoices(seed)), Lottery(RandomChoices(-1 - seed))]


@pytest.mark.parametrize(("mode", "synchronous"), [("wal", "FULL"), ("truncate", "FULL"), ("delete", "EXTRA")])
def test_what_sqlite_acknowledged_survives_a_cut_at_any_step(disk: Disk, mode: str, synchronous: str) -> None:
    for steps in range(0, 400, 7):
        for number, survival in enumerate(survivals(steps)):
            disk.install({})
            connect(disk, mode, synchronous).close()
            disk.cut_power_after(steps)
            committed = commit_until_the_power_goes(disk, mode, synchronous)
            disk.restore(survival)
            assert found(disk) in (committed, committed + 1), (steps, number)


def test_a_disk_that_lies_about_syncs_loses_what_was_acknowledged(disk: Disk) -> None:
    disk.install({})
    connect(disk, "wal").close()
    disk.is_honest = False
    disk.cut_power_after(60)
    assert commit_until_the_power_goes(disk, "wal") > 5
    disk.restore(Nothing())
    assert found_or_nothing(disk) == 0


def found_or_nothing(disk: Disk) -> int:
    connection = apsw.Connection(disk.path("a.db"), vfs=disk.vfs)
    count: int = connection.execute("SELECT count(*) FROM t").get
    connection.close()
    return count


def test_without_full_synchronisation_the_last_commits_are_lost(disk: Disk) -> None:
    losses = 0
    for steps in range(20, 120, 5):
        disk.install({})
        connect(disk, "wal").close()
        disk.cut_power_after(steps)
        committed = commit_until_the_power_goes(disk, "wal", "NORMAL")
        disk.restore(Nothing())
        losses += found_or_nothing(disk) < committed
    assert losses > 5


# --- images -----------------------------------------------------------------------------------------------------------


def raw_file(disk: Disk, name: str) -> apsw.VFSFile:
    flags = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_READWRITE
    return apsw.VFSFile(disk.name, disk.path(name), [flags, 0])


def test_a_write_is_durable_after_the_sync_and_not_before(disk: Disk) -> None:
    disk.install({"a": b"old!"})
    file = raw_file(disk, "a")
    file.xWrite(b"new", 0)
    assert (file.xRead(4, 0), disk.durable("a")) == (b"new!", b"old!")
    file.xSync(apsw.SQLITE_SYNC_NORMAL)
    assert disk.durable("a") == b"new!"
    file.xTruncate(2)
    assert (file.xFileSize(), disk.durable("a")) == (2, b"new!")
    file.xSync(apsw.SQLITE_SYNC_NORMAL)
    assert disk.durable("a") == b"ne"
    assert disk.steps == 4
    file.xClose()


def test_writes_tear_between_sectors_only(disk: Disk) -> None:
    seen = set()
    for seed in range(400):
        disk.install({"a": b"-" * 3 * SECTOR})
        file = raw_file(disk, "a")
        file.xWrite(b"x" * 2 * SECTOR, SECTOR // 2)
        file.xClose()
        disk.silence()
        disk.restore(Lottery(RandomChoices(seed)))
        content = disk.durable("a")
        assert content is not None
        parts = (content[SECTOR // 2 : SECTOR], content[SECTOR : 2 * SECTOR], content[2 * SECTOR : 5 * SECTOR // 2])
        assert all(len(set(part)) == 1 for part in parts)
        assert content.count(b"-", 0, SECTOR // 2) == SECTOR // 2
        seen.add(tuple(part[:1] for part in parts))
    assert len(seen) == 8


def test_creation_and_deletion_are_durable_only_after_a_sync(disk: Disk) -> None:
    vfs = apsw.VFS(disk.name + "-beside", disk.name)
    for syncs_directory in (False, True):
        disk.install({"old": b"1", "gone": b"2"})
        file = raw_file(disk, "new")
        assert (disk.durable("new"), disk.steps) == (None, 0)
        file.xWrite(b"?", 0)
        vfs.xDelete(disk.path("old"), False)
        vfs.xDelete(disk.path("gone"), syncs_directory)
        file.xClose()
        disk.silence()
        disk.restore(Nothing())
        images = [disk.durable(name) for name in ("old", "gone", "new")]
        assert images == ([None, None, b""] if syncs_directory else [b"1", b"2", None])
    vfs.unregister()


def test_the_first_sync_of_a_journal_syncs_its_directory(disk: Disk) -> None:
    """As SQLite's own code for files does: a log is not there without the end of what came before it."""
    vfs = apsw.VFS(disk.name + "-beside", disk.name)
    disk.install({"a": b"", "a-journal": b"1"})
    vfs.xDelete(disk.path("a-journal"), False)
    flags = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_READWRITE
    file = apsw.VFSFile(disk.name, disk.path("a-wal"), [flags, 0])
    assert disk.durable("a-journal") == b"1"
    file.xSync(0)
    assert (disk.durable("a-journal"), disk.durable("a-wal")) == (None, b"")
    file.xClose()
    vfs.unregister()


def test_a_silent_disk_does_nothing_and_complains_of_nothing(disk: Disk) -> None:
    disk.install({"a": b"old"})
    file = raw_file(disk, "a")
    disk.cut_power_after(1)
    file.xWrite(b"x", 0)
    with pytest.raises(apsw.IOError, match="power is off"):
        file.xSync(0)
    disk.silence()
    file.xWrite(b"xyz", 0)
    file.xTruncate(0)
    file.xSync(0)
    file.xClose()
    disk.restore(Everything())
    assert disk.durable("a") == b"xld"


def test_an_encrypted_realm_survives_cuts_at_every_step_of_a_commit(disk: Disk) -> None:
    key = bytes(64)
    committed = 0
    for steps in range(200):
        disk.install({})
        file = RealmFile.open(disk.path("a.realm"), vfs=disk.vfs, encryption_key=key)
        with file.write() as tx:
            info = tx.add_class("Dog", primary_key="_id", key_type=INT)
            tx.add_property(info, "name", STRING)
        disk.cut_power_after(steps)
        version = file.version
        try:
            with file.write() as tx:
                tx.create(tx.catalogue.classes["Dog"], 1)
            version = file.version
            committed += 1
        except FileError:
            assert disk.is_off
        disk.silence()
        file.close()
        disk.restore(Lottery(RandomChoices(steps)))
        file = RealmFile.open(disk.path("a.realm"), vfs=disk.vfs, encryption_key=key)
        assert file.version in (version, version + 1)
        file.close()
        if committed == 3:
            break
    assert committed == 3
