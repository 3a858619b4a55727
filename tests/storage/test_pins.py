"""Change logs that other processes need are kept for them (spec/sdk.md §13.8)."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.realm.test_threads import elsewhere

from syncline import Field, Model, Realm, RealmConfiguration
from syncline.storage import writer
from syncline.storage.file import RealmFile
from syncline.storage.pins import STALE, VersionPin, oldest_pinned
from syncline.storage.snapshot import Snapshot


class Dog(Model):
    name: str = Field(primary_key=True)


# --- what a process says, and when ------------------------------------------------------------------------------------


class Saying:
    """A pin of which everything is decided by the test."""

    def __init__(self) -> None:
        self.oldest: int | None = None
        self.can_write = True
        self.said: list[int | None] = []
        self.keys: set[str] = set()
        self.pin = VersionPin(lambda: self.oldest, self.write)

    def write(self, key: str, version: int | None) -> bool:
        self.keys.add(key)
        if self.can_write:
            self.said.append(version)
        return self.can_write


def test_who_keeps_up_says_nothing() -> None:
    saying = Saying()
    for newest in range(1, 500):
        saying.oldest = None if newest % 3 else newest - newest % 60
        saying.pin.attend(newest, newest / 20)
    assert saying.keys == set()


def test_what_is_held_is_said_now_and_then() -> None:
    saying, now = Saying(), 1000.0

    def attend(newest: int, after: float) -> list[int | None]:
        nonlocal now
        now += after
        saying.said.clear()
        saying.pin.attend(newest, now)
        return list(saying.said)

    saying.oldest = 10
    assert attend(73, 0) == []
    assert attend(74, 0.05) == [10]
    saying.oldest = 20
    assert attend(100, 1) == []  # not so soon again
    assert attend(100, 3) == [20]
    assert attend(999, 30) == []  # it is known
    assert attend(999, 31) == [20]  # but not for ever
    saying.can_write = False
    saying.oldest = 30
    assert attend(999, 3) == []
    saying.can_write = True
    assert attend(999, 0) == [30]  # as soon as it is possible
    saying.oldest = 990
    assert attend(999, 5) == [None]
    assert attend(999, 500) == []
    assert len(saying.keys) == 1


def test_a_disk_that_is_full_is_not_tried_all_the_time() -> None:
    attempts: list[int | None] = []

    def fail(key: str, version: int | None) -> bool:
        attempts.append(version)
        raise OSError("no space left")

    pin = VersionPin(lambda: 1, fail)
    for now in range(100, 110):
        try:
            pin.attend(500, float(now))
        except OSError:
            continue
    assert len(attempts) == 4


# --- what others make of it -------------------------------------------------------------------------------------------


def logs(file: RealmFile) -> int:
    count: int = file.query("SELECT count(*) FROM rlm_commit")[0][0]
    return count


def rows(file: RealmFile) -> list[str]:
    return [value for (value,) in file.query("SELECT v FROM rlm_meta WHERE k LIKE 'pin:%' ORDER BY v")]


def commit(file: RealmFile, times: int) -> None:
    for _ in range(times):
        with file.write():
            file.writer.connection.execute("UPDATE rlm_meta SET v = v + 1 WHERE k = 'catalogue'")


def test_pins_keep_logs_until_they_are_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LOGS_KEPT", 8)
    now = [10_000]
    file = RealmFile.open(tmp_path / "test.realm", history=False, clock=lambda: 1_600_000_000 + now[0] * 1_000_000_000)
    now_says = 1 + now[0]  # seconds of that clock
    try:
        commit(file, 3)
        assert file._store_pin("pin:other", 2)
        assert file._store_pin("pin:older", 1)
        assert file._store_pin("pin:older", None)
        assert rows(file) == [f"2,{now_says}"]
        version = file.version
        commit(file, 128)
        assert logs(file) == file.version - 2
        assert file.change_logs(2, 10) is not None
        now[0] += STALE + 1
        commit(file, 64)
        assert rows(file) == []
        assert logs(file) <= 8 + 64
        assert file.change_logs(2, 10) is None
        assert file.version == version + 128 + 64  # pins make no versions
    finally:
        file.close()


def test_what_is_not_a_pin_is_dropped(tmp_path: Path) -> None:
    file = RealmFile.open(tmp_path / "test.realm", history=False)
    with file.write():
        connection = file.writer.connection
        for key, value in {"pin:a": "7,1000", "pin:b": "5,1000", "pin:c": "1,1", "pin:d": "x", "pin:e": None}.items():
            connection.execute("INSERT INTO rlm_meta VALUES(?, ?)", (key, value))
        connection.execute("INSERT INTO rlm_meta VALUES('pins', 'of another kind')")
        assert oldest_pinned(connection, 1000 + STALE) == 5
        assert oldest_pinned(connection, 1000 - STALE) == 5
        left = {key for (key,) in connection.execute("SELECT k FROM rlm_meta WHERE k LIKE 'pin%'")}
    assert left == {"pin:a", "pin:b", "pins"}
    file.close()


def test_who_cannot_write_says_nothing(tmp_path: Path) -> None:
    file = RealmFile.open(tmp_path / "test.realm", history=False)
    said: list[bool] = []
    with file.write():
        elsewhere(lambda: said.append(file._store_pin("pin:x", 1)))
    assert (said, rows(file)) == ([False], [])
    assert file._store_pin("pin:x", 1)
    file.close()
    for other in (RealmFile.open(tmp_path / "test.realm", read_only=True), RealmFile.in_memory()):
        assert not other._store_pin("pin:x", 1)
        other.close()


# --- two processes ----------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from syncline import Field, Model, Realm, RealmConfiguration
from syncline.storage import pins

class Dog(Model):
    name: str = Field(primary_key=True)

pins._LAG, pins._PAUSE = 2, 3600.0
with Realm.open(RealmConfiguration(sys.argv[1], schema=[Dog])) as realm:
    told = []
    token = realm.objects(Dog).observe(lambda dogs, change: told.append(change))
    realm.refresh()
    print("ready", flush=True)
    for line in sys.stdin:
        told.clear()
        realm.refresh()
        print(*((len(each.insertions), len(each.modifications)) for each in told), flush=True)
    token.invalidate()
"""


def test_a_process_that_lags_behind_is_told_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its pin is stale, it compares everything: what stayed may have changed."""
    monkeypatch.setattr(writer, "_LOGS_KEPT", 2)
    config = RealmConfiguration(tmp_path / "test.realm", schema=[Dog])
    with Realm.open(config) as realm:
        made = 0

        def add(count: int) -> None:
            nonlocal made
            for _ in range(count):
                made += 1
                with realm.write():
                    realm.create(Dog, name=f"{made}")

        add(3)
        file = realm._context.file
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, realm.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None

            def told() -> str:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("refresh\n")
                process.stdin.flush()
                answer: str = process.stdout.readline().strip()
                return answer

            try:
                assert process.stdout.readline() == "ready\n"
                held = file.version
                add(3)
                deadline = time.monotonic() + 30
                while not rows(file) and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert [row.partition(",")[0] for row in rows(file)] == [f"{held}"]
                add(70)
                assert told() == "(73, 0)"
                with realm.write():
                    file.writer.connection.execute("UPDATE rlm_meta SET v = '1,1' WHERE k LIKE 'pin:%'")
                before = made
                add(140)
                assert told() == f"(140, {before})"
            finally:
                process.stdin.close()


class Collecting(dict[int, Snapshot]):
    """The snapshots of a pool, whose garbage collector gives back the last use of the file when they are looked at."""

    def __init__(self, file: RealmFile) -> None:
        self.file = file

    def __iter__(self) -> Iterator[int]:
        self.file.close()
        return super().__iter__()


def test_the_thread_that_attends_may_close_the_file(tmp_path: Path) -> None:
    file = RealmFile.open(tmp_path / "test.realm")
    file._pool._live = Collecting(file)
    elsewhere(file._bell.attend)
    assert file.is_closed
    assert RealmFile.delete(file.path)


def test_compacting_beside_the_thread_that_attends(tmp_path: Path) -> None:
    file, ended, failed = RealmFile.open(tmp_path / "test.realm"), threading.Event(), list[Exception]()

    def say() -> None:
        while not ended.is_set():
            try:
                file._store_pin("pin:x", 1)
            except Exception as error:  # noqa: BLE001 - whatever it raises
                failed.append(error)

    thread = threading.Thread(target=say)
    thread.start()
    try:
        compacted = [file.compact() for _ in range(20)]
    finally:
        ended.set()
        thread.join()
    file.close()
    assert any(compacted)
    assert failed == []
