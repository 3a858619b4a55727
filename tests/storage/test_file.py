"""Transactions, versions and snapshots of one file (storage/file.py, writer.py, snapshot.py, watch.py)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from syncline.changesets.codec import decode
from syncline.errors import (
    ClosedRealmError,
    FileError,
    IllegalOperationError,
    MultipleSyncAgentsError,
    RealmError,
    RealmInUseError,
    WriteTimeoutError,
    WrongTransactionStateError,
)
from syncline.storage import writer
from syncline.storage.catalogue import ClassInfo
from syncline.storage.file import FileLease, RealmFile
from syncline.storage.reader import Reader
from syncline.storage.snapshot import Snapshot
from syncline.storage.transaction import WriteTransaction
from syncline.values.kinds import INT, STRING

KEY = bytes(range(64))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "a.realm")


@pytest.fixture
def file(path: str):  # type: ignore[no-untyped-def]
    with_schema = RealmFile.open(path)
    with with_schema.write() as tx:
        tx.add_class("Dog", primary_key="_id", key_type=INT)
        tx.add_property(tx.catalogue.classes["Dog"], "name", STRING)
    yield with_schema
    while not with_schema.is_closed:
        with_schema.close()


def dogs(reader: Reader) -> ClassInfo:
    return reader.catalogue.classes["Dog"]


def add(tx: WriteTransaction, key: int, name: str = "Rex") -> None:
    info = dogs(tx)
    tx.create(info, key, [(info.properties["name"], name, False)])


def names(snapshot: Snapshot) -> list[object]:
    with snapshot.lock:
        info = dogs(snapshot.reader)
        return [row[1] for _, row in snapshot.reader.page(info)]


def names_now(file: RealmFile) -> list[object]:
    with file.snapshot() as snapshot:
        return names(snapshot)


def fail(file: RealmFile, error: Exception, *actions: Callable[[WriteTransaction], object]) -> None:
    """A transaction that does all actions and then raises ``error``."""
    with file.write() as tx:
        for action in actions:
            action(tx)
        raise error


# --- transactions -----------------------------------------------------------------------------------------------------


def test_every_commit_that_writes_makes_one_version(file: RealmFile) -> None:
    assert file.version == 2
    with file.write() as tx:
        add(tx, 1)
    assert file.version == 3
    with file.write() as tx:
        assert tx.version == 3
    assert file.version == 3
    with file.write() as tx:
        assert dogs(tx)
        add(tx, 1)  # exists already: the name is set again, which is a write
    assert file.version == 4


def test_an_exception_rolls_back_and_goes_on_up(file: RealmFile) -> None:
    with pytest.raises(KeyError, match="mine"):
        fail(file, KeyError("mine"), lambda tx: add(tx, 1))
    assert (file.version, names_now(file), file.in_write) == (2, [], False)
    with file.write() as tx:
        add(tx, 1)
    assert names_now(file) == ["Rex"]


def test_a_schema_that_was_rolled_back_is_forgotten(file: RealmFile) -> None:
    with pytest.raises(KeyError):
        fail(file, KeyError(), lambda tx: tx.add_class("Cat", primary_key="_id", key_type=INT))
    with file.write() as tx:
        assert tx.catalogue.find("Cat") is None
        tx.add_class("Cat", primary_key="_id", key_type=INT)
    with file.snapshot() as snapshot:
        assert snapshot.catalogue.find("Cat") is not None


def test_ending_the_transaction_inside_the_block(file: RealmFile) -> None:
    with file.write() as tx:
        add(tx, 1)
        assert file.commit(tx) == 3
    with file.write() as tx:
        add(tx, 2)
        file.rollback(tx)
    with pytest.raises(KeyError):
        fail(file, KeyError(), lambda tx: add(tx, 3), file.commit)
    assert (file.version, names_now(file)) == (4, ["Rex", "Rex"])
    tx = file.begin()
    file.rollback(tx)
    with pytest.raises(WrongTransactionStateError, match="ended already"):
        file.commit(tx)
    with pytest.raises(WrongTransactionStateError, match="ended already"):
        file.rollback(tx)


def test_one_writer_at_a_time(file: RealmFile) -> None:
    with file.write() as tx:
        add(tx, 1)
        with pytest.raises(WriteTimeoutError, match=r"0\.01 s"):
            file.begin(0.01)
        waiting = threading.Thread(target=lambda: file.rollback(file.begin()))
        waiting.start()
        while not file.writer_waiting:
            time.sleep(0.001)
    waiting.join()
    assert not file.writer_waiting
    assert names_now(file) == ["Rex"]


def test_a_transaction_may_end_on_another_thread(file: RealmFile) -> None:
    tx = file.begin()
    add(tx, 1)
    thread = threading.Thread(target=file.commit, args=(tx,))
    thread.start()
    thread.join()
    assert names_now(file) == ["Rex"]


def test_commit_and_continue_lets_nobody_in_between(file: RealmFile) -> None:
    tx = file.begin()
    add(tx, 1)
    order: list[str] = []

    def other() -> None:
        with file.write() as mine:
            order.append("other")
            add(mine, 3)

    thread = threading.Thread(target=other)
    thread.start()
    tx = file.commit_and_continue(tx)
    assert names_now(file) == ["Rex"]  # visible already
    add(tx, 2)
    time.sleep(0.02)
    order.append("mine")
    file.commit(tx)
    thread.join()
    assert (order, file.version) == (["mine", "other"], 5)


def test_what_sqlite_ended_by_itself_is_not_stored_in_pieces(file: RealmFile) -> None:
    tx = file.begin()
    add(tx, 1)
    tx.flush()
    tx.connection.execute("ROLLBACK")  # as SQLite does on some errors
    with pytest.raises(apsw.ConstraintError):
        tx.connection.execute("INSERT INTO rlm_sync VALUES('test.value', 1)")
    with pytest.raises(WrongTransactionStateError, match="rolled this transaction back"):
        file.commit(tx)
    assert names_now(file) == []
    assert file.query("SELECT * FROM rlm_sync WHERE k = 'test.value'") == []


def test_a_clock_before_2015_is_refused(path: str) -> None:
    file = RealmFile.open(path, clock=lambda: 0)
    with pytest.raises(WrongTransactionStateError, match="clock is before 2015"), file.write() as tx:
        tx.add_class("Dog", primary_key="_id", key_type=INT)
    file.close()


# --- history entries --------------------------------------------------------------------------------------------------


def test_a_commit_records_its_changeset_with_the_time(path: str) -> None:
    now = 1_420_070_400_000_000_000 + 5_000_000
    file = RealmFile.open(path, clock=lambda: now)
    with file.write() as tx:
        tx.add_class("Dog", primary_key="_id", key_type=INT)
    with file.write(origin_timestamp=123) as tx:
        tx.create(dogs(tx), 1)
    rows = file.query("SELECT version, size, remote_version, origin, timestamp, changeset, reciprocal FROM rlm_history")
    (first, second) = rows
    assert (first[0], first[2:5], first[6]) == (2, (0, 0, 5), None)
    assert second[4] == 123
    assert first[1] == len(first[5]) > 0
    assert len(decode(second[5]).instructions) == 1
    file.close()


def test_a_file_without_history_has_none(path: str) -> None:
    file = RealmFile.open(path, history=False)
    with file.write() as tx:
        tx.add_class("Dog", primary_key="_id", key_type=INT)
        assert tx.instructions
    assert file.version == 2
    assert file.query("SELECT count(*) FROM rlm_history") == [(0,)]
    file.close()


# --- snapshots --------------------------------------------------------------------------------------------------------


def test_a_snapshot_stays_where_it_is(file: RealmFile) -> None:
    before = file.snapshot()
    with file.write() as tx:
        add(tx, 1)
        assert names_now(file) == []  # nobody else sees what is not committed
    after = file.snapshot()
    assert (before.version, names(before)) == (2, [])
    assert (after.version, names(after)) == (3, ["Rex"])
    assert file.number_of_versions == 2
    before.release()
    after.release()
    assert file.number_of_versions == 1


def test_snapshots_of_one_version_are_shared_and_counted(file: RealmFile) -> None:
    first, second = file.snapshot(), file.snapshot()
    assert first is second
    third = first.acquire()
    for _ in range(2):
        third.release()
    assert names(first) == []
    first.release()
    with pytest.raises(WrongTransactionStateError, match="more often than acquired"):
        first.release()
    with pytest.raises(ClosedRealmError):
        first.acquire()
    with pytest.raises(ClosedRealmError):
        _ = first.reader


def test_a_pinned_commit_is_exactly_its_own_version(file: RealmFile) -> None:
    tx = file.begin()
    add(tx, 1)
    with file.commit_pinned(tx) as snapshot:
        with file.write() as tx:
            add(tx, 2)
        assert (snapshot.version, names(snapshot)) == (3, ["Rex"])
    with file.commit_pinned(file.begin()) as snapshot:
        assert snapshot.version == 4


def test_the_catalogue_is_read_once_per_schema(file: RealmFile) -> None:
    first = file.snapshot()
    with file.write() as tx:
        add(tx, 1)
    second = file.snapshot()
    assert first.catalogue is second.catalogue
    with file.write() as tx:
        tx.add_class("Cat", primary_key="_id", key_type=INT)
    with file.snapshot() as third:
        assert third.catalogue is not first.catalogue
        assert first.catalogue.find("Cat") is None
    first.release()
    second.release()


def test_threads_read_one_snapshot_in_turn(file: RealmFile) -> None:
    with file.write() as tx:
        for key in range(500):
            add(tx, key)
    snapshot = file.snapshot()
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: [results.append(len(names(snapshot))) for _ in range(20)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot.release()
    assert set(results) == {256}
    assert len(results) == 80


def test_the_write_ahead_log_stays_short(file: RealmFile) -> None:
    snapshot = file.snapshot()
    for number in range(300):
        snapshot.release()
        tx = file.begin()
        add(tx, number, "x" * 20_000)
        snapshot = file.commit_pinned(tx)
    snapshot.release()
    assert os.path.getsize(file.path + "-wal") < 9_000_000  # of 300 commits of more than 20 kB each


def test_it_starts_over_also_where_readers_follow_every_commit(
    file: RealmFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_LONG_WAL_PAGES", 1000)
    monkeypatch.setattr(file.writer, "_long_wal", 1000)
    snapshot = file.snapshot()
    for number in range(600):
        with file.write() as tx:
            add(tx, number, "x" * 20_000)
        newest = file.snapshot()
        snapshot.release()
        snapshot = newest
    assert os.path.getsize(file.path + "-wal") < 12_000_000
    with snapshot, snapshot.lock:
        assert snapshot.version == file.version
        assert snapshot.reader.count(dogs(snapshot.reader)) == 600


def test_nobody_sees_another_version_because_it_starts_over(file: RealmFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LONG_WAL_PAGES", 1)
    monkeypatch.setattr(file.writer, "_long_wal", 1)
    with file.write() as tx:
        add(tx, 0)
    newest = file.snapshot()
    with newest.lock:
        reader = threading.Thread(target=lambda: file.rollback(file.begin()))
        reader.start()  # it does not wait for whoever reads
        reader.join(10)
        assert not reader.is_alive()
    for number in range(1, 20):
        old = newest
        with file.write() as tx:
            add(tx, number)
        newest = file.snapshot()
        with file.write() as tx:  # two versions are held: nothing starts over
            add(tx, 100 + number)
        assert [held.reader.count(dogs(held.reader)) for held in (old, newest)] == [2 * number - 1, 2 * number]
        old.release()
        newest.release()
        newest = file.snapshot()
    newest.release()


# --- change logs ------------------------------------------------------------------------------------------------------


def test_change_logs_tell_what_each_version_changed(file: RealmFile) -> None:
    for key in (1, 2):
        with file.write() as tx:
            add(tx, key)
    logs = file.change_logs(2, 4)
    assert logs is not None
    with file.snapshot() as snapshot:
        id = dogs(snapshot.reader).id
    assert [list(log.inserted) for log in logs] == [[id], [id]]
    assert file.change_logs(4, 4) == []


def test_change_logs_are_kept_while_somebody_may_ask(path: str) -> None:
    file = RealmFile.in_memory()
    with file.write() as tx:
        tx.add_class("Dog", primary_key="_id", key_type=INT)
    held = file.snapshot()
    for key in range(500):
        with file.write() as tx:
            tx.create(dogs(tx), key)
    logs = file.change_logs(held.version, file.version)
    assert logs is not None
    assert len(logs) == 500
    assert file.change_logs(1, 2) is None or True
    held.release()
    for key in range(500, 600):
        with file.write() as tx:
            tx.create(dogs(tx), key)
    assert file.change_logs(2, file.version) is None
    assert len(file.query("SELECT 1 FROM rlm_commit")) < 400
    file.close()


# --- observers --------------------------------------------------------------------------------------------------------


def test_observers_hear_of_every_commit(file: RealmFile, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []

    def broken(version: int) -> None:
        raise RuntimeError("broken observer")

    remove_broken = file.on_commit(broken)
    remove = file.on_commit(heard.append)
    with file.write() as tx:
        add(tx, 1)
    with file.write():
        pass
    with file.write() as tx:
        add(tx, 2)
    assert heard == [3, 4]
    assert "an observer of commits failed" in caplog.text
    remove()
    remove()
    remove_broken()
    with file.write() as tx:
        add(tx, 3)
    assert heard == [3, 4]


def test_waiting_for_a_version(file: RealmFile) -> None:
    assert file.wait_for_version(1) == 2
    assert file.wait_for_version(2, timeout=0.01) is None

    def write() -> None:
        with file.write() as tx:
            add(tx, 1)

    timer = threading.Timer(0.02, write)
    timer.start()
    assert file.wait_for_version(2, timeout=10) == 3
    timer.join()


def test_closing_waits_for_a_transaction_that_begins_on_another_thread(
    file: RealmFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads never use one connection; who began finds that the transaction is over."""
    begin = file.writer.begin
    begins, may_begin = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        begins.set()
        assert may_begin.wait(5)
        return begin(*arguments)

    monkeypatch.setattr(file.writer, "begin", slow)
    ends: list[Any] = []

    def write() -> None:
        tx = file.begin()
        try:
            file.rollback(tx)
        except RealmError as error:
            ends.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    assert begins.wait(5)
    closer = threading.Thread(target=file.close)
    closer.start()
    closer.join(0.05)
    assert closer.is_alive(), "the connection is in use"
    may_begin.set()
    writer.join(5)
    closer.join(5)
    assert not writer.is_alive()
    assert not closer.is_alive()
    assert file.is_closed
    assert all(isinstance(error, RealmError) for error in ends)


def test_waiting_ends_when_the_file_closes(file: RealmFile) -> None:
    timer = threading.Timer(0.02, file.close)
    timer.start()
    assert file.wait_for_version(2) is None
    timer.join()


WRITER = """
import sys
from syncline.storage.file import RealmFile
file = RealmFile.open(sys.argv[1])
for key in range(int(sys.argv[2]), int(sys.argv[3])):
    with file.write() as tx:
        info = tx.catalogue.classes["Dog"]
        tx.create(info, key, [(info.properties["name"], f"dog {key}", False)])
file.close()
"""


def test_commits_of_another_process_are_noticed(file: RealmFile) -> None:
    heard: list[int] = []
    file.on_commit(heard.append)
    snapshot = file.snapshot()
    subprocess.run([sys.executable, "-c", WRITER, file.path, "0", "3"], check=True)
    assert file.wait_for_version(4, timeout=10) == 5
    deadline = time.monotonic() + 10
    while not (heard and heard[-1] == 5) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert heard[-1] == 5
    assert (len(names(snapshot)), len(names_now(file))) == (0, 3)
    snapshot.release()
    with file.write() as tx:
        assert tx.version == 5
        assert tx.count(dogs(tx)) == 3


def test_two_processes_write_one_file(file: RealmFile) -> None:
    child = subprocess.Popen([sys.executable, "-c", WRITER, file.path, "1000", "1100"])
    for key in range(100):
        with file.write() as tx:
            add(tx, key)
    assert child.wait() == 0
    with file.snapshot() as snapshot, snapshot.lock:
        assert snapshot.version == 202
        info = dogs(snapshot.reader)
        keys = [snapshot.reader.key_of(info, k) for k in snapshot.reader.keys(info)]
    assert sorted(keys) == [*range(100), *range(1000, 1100)]  # type: ignore[type-var]
    assert file.query("SELECT count(*) FROM rlm_history") == [(201,)]


CREATOR = """
import sys
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
print("ready", flush=True)
sys.stdin.readline()
file = RealmFile.open(sys.argv[1])
with file.write() as tx:
    ClientHistory.set_value_in(tx, "test." + sys.argv[2], 1)
file.close()
"""


def test_processes_that_create_one_file_at_once(path: str) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CREATOR, path, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for number in range(4)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        child.communicate(b"go\n")
        assert child.returncode == 0
    file = RealmFile.open(path)
    assert (file.version, file.query("SELECT count(*) FROM rlm_sync")) == (5, [(4,)])
    file.close()


# --- one instance per path --------------------------------------------------------------------------------------------


def test_opening_an_open_path_shares_the_file(file: RealmFile, tmp_path: Path) -> None:
    (tmp_path / "link.realm").symlink_to(file.path)
    again = RealmFile.open(tmp_path / "link.realm")
    assert again is file
    again.close()
    assert file.version == 2
    lease = FileLease(file.share())
    other = lease.share()
    lease.close()
    lease.close()
    with pytest.raises(ClosedRealmError):
        _ = lease.file
    file.close()
    assert other.file.version == 2
    other.close()
    with pytest.raises(ClosedRealmError, match="was closed"):
        _ = file.version
    file.close()  # closing a closed file does nothing


def test_closing_ends_snapshots_and_rolls_back(file: RealmFile) -> None:
    snapshot = file.snapshot()
    tx = file.begin()
    add(tx, 1)
    file.close()
    with pytest.raises(ClosedRealmError):
        _ = snapshot.reader
    snapshot.release()
    with pytest.raises(ClosedRealmError):
        file.commit(tx)
    again = RealmFile.open(file.path)
    assert names_now(again) == []
    again.close()


def test_closing_while_others_wait_to_write(file: RealmFile) -> None:
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            file.begin()
        except ClosedRealmError as error:
            errors.append(error)

    file.begin()
    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    while not file.writer_waiting:
        time.sleep(0.001)
    file.close()
    for thread in threads:
        thread.join(10)
    assert len(errors) == 3


def test_a_snapshot_may_be_released_in_the_middle_of_anything(file: RealmFile) -> None:
    """As a finalizer does, which the collector runs while the pool is at work on the same thread."""
    snapshot = file.snapshot()
    with file._pool._guard:
        snapshot.release()
        assert file._pool._live == {2: snapshot}
    assert file.number_of_versions == 1
    with file.write() as tx:
        add(tx, 1)
    assert file._pool._live == {}


def test_a_forked_child_may_use_what_its_parent_had_closed(file: RealmFile, tmp_path: Path) -> None:
    """SQLite takes the parent's locks for its own there: a commit of the child would go when the parent closes."""
    snapshot = file.snapshot()
    RealmFile.open(tmp_path / "closed.realm").close()
    child = os.fork()
    if child == 0:
        result = 1
        try:
            with pytest.raises(ClosedRealmError, match="close it before the fork"):
                file.begin()
            with pytest.raises(ClosedRealmError):
                _ = snapshot.reader
            for read_only in (False, True):
                with pytest.raises(IllegalOperationError, match="was open when this process was forked"):
                    RealmFile.open(file.path, read_only=read_only)
            mine = RealmFile.open(tmp_path / "closed.realm")
            with mine.write() as tx:
                tx.add_class("Child")
            mine.close()
            result = 0
        finally:
            os._exit(result)
    assert os.waitpid(child, 0)[1] == 0
    with closing(RealmFile.open(tmp_path / "closed.realm")) as other, other.snapshot() as seen:
        assert seen.reader.catalogue.find("Child") is not None
    assert names(snapshot) == []
    snapshot.release()


def test_an_in_memory_file_goes_with_its_last_user() -> None:
    first = RealmFile.in_memory("shared")
    second = RealmFile.in_memory("shared")
    assert first is second
    assert RealmFile.in_memory() is not RealmFile.in_memory()
    directory = os.path.dirname(first.path)
    first.close()
    assert os.path.isdir(directory)
    second.close()
    assert not os.path.exists(directory)


# --- the file as a whole ----------------------------------------------------------------------------------------------


def test_there_is_one_sync_agent(file: RealmFile) -> None:
    file.lock_sync_agent()
    with pytest.raises(MultipleSyncAgentsError, match="synced by another session"):
        file.lock_sync_agent()
    file.unlock_sync_agent()
    file.unlock_sync_agent()
    file.lock_sync_agent()


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("copy_key", [None, KEY, KEY[::-1]])
def test_a_copy_is_a_realm_of_its_own(tmp_path: Path, key: bytes | None, copy_key: bytes | None) -> None:
    file = RealmFile.open(tmp_path / "a.realm", encryption_key=key)
    with file.write() as tx:
        tx.add_class("Dog", primary_key="_id", key_type=INT)
        tx.add_property(dogs(tx), "name", STRING)
        add(tx, 1)
    target = tmp_path / "copy.realm"
    file.write_copy(target, encryption_key=copy_key)
    with pytest.raises(FileError, match="exists already"):
        file.write_copy(target)
    copy = RealmFile.open(target, encryption_key=copy_key)
    assert copy.version == file.version
    assert names_now(copy) == ["Rex"]
    with copy.write() as tx:
        add(tx, 2)
    assert (names_now(copy), names_now(file)) == (["Rex", "Rex"], ["Rex"])
    copy.close()
    file.close()
    assert sorted(os.listdir(tmp_path)) == ["a.realm", "a.realm.lock", "copy.realm", "copy.realm.lock"]


def test_compacting_gives_space_back_when_nobody_else_is_there(file: RealmFile) -> None:
    with file.write() as tx:
        for key in range(100):
            add(tx, key, "x" * 10_000)
    with file.write() as tx:
        tx.clear_class(dogs(tx))
    total, used = file.space()
    assert used < total - 900_000
    snapshot = file.snapshot()
    assert not file.compact()
    snapshot.release()
    tx = file.begin()
    with pytest.raises(WrongTransactionStateError):
        file.compact()
    file.rollback(tx)
    assert file.compact()
    assert os.path.getsize(file.path) < 1_300_000  # the history holds the million bytes too
    assert file.space()[0] == file.space()[1] == os.path.getsize(file.path)
    with file.write() as tx:
        add(tx, 1)
    assert names_now(file) == ["Rex"]


def test_deleting_takes_the_side_files_too(file: RealmFile) -> None:
    with pytest.raises(RealmInUseError):
        RealmFile.delete(file.path)
    file.close()
    assert RealmFile.exists(file.path)
    assert RealmFile.delete(file.path)
    assert not RealmFile.exists(file.path)
    assert os.listdir(os.path.dirname(file.path)) == []
    assert not RealmFile.delete(file.path)


def test_a_finalizer_may_close_a_file_in_the_middle_of_a_look(file: RealmFile, path: str) -> None:
    """The watcher looks at files that it does not keep open."""

    def look() -> None:
        with file.looking() as connection:
            file.close()
            assert connection.execute("SELECT max(version) FROM rlm_commit").get

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert file.is_closed
    assert RealmFile.delete(path)
