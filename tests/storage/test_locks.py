"""The locks between threads and processes (storage/locks.py)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from syncline.errors import FileError, RealmInUseError
from syncline.storage import locks
from syncline.storage.locks import FifoLock, LockFile, delete_files, side_files

HOLDER = """
import sys
from syncline.storage.locks import LockFile
lock = LockFile.open(sys.argv[1])
for what in sys.argv[2:]:
    assert getattr(lock, what)()
print("held", flush=True)
sys.stdin.readline()
"""


def hold_elsewhere(path: str, *what: str) -> subprocess.Popen[bytes]:
    """Another process that uses the lock file and holds some of its locks until it is killed."""
    child = subprocess.Popen([sys.executable, "-c", HOLDER, path, *what], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    return child


def end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()
    child.stdout.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "a.realm")


def test_a_fifo_lock_is_granted_in_the_order_of_asking() -> None:
    lock = FifoLock()
    assert lock.acquire()
    order: list[int] = []

    def wait(number: int) -> None:
        assert lock.acquire()
        order.append(number)
        lock.release()

    threads = []
    for number in range(5):
        thread = threading.Thread(target=wait, args=(number,))
        thread.start()
        threads.append(thread)
        while len(lock._queue) <= number:
            time.sleep(0.001)
    assert lock.has_waiters
    lock.release()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert not lock.has_waiters


def test_a_fifo_lock_gives_up_after_its_timeout_and_forgets_the_one_who_waited() -> None:
    lock = FifoLock()
    assert lock.acquire(0)
    assert not lock.acquire(0.01)
    assert not lock.has_waiters
    lock.release()
    assert lock.acquire(0)


def test_one_process_at_a_time_writes(path: str) -> None:
    child = hold_elsewhere(path, "acquire_writer")
    lock = LockFile.open(path)
    assert lock is not None
    assert not lock.acquire_writer(0.05)
    end(child)
    assert lock.acquire_writer()  # a lock ends with its process
    lock.release_writer()
    lock.close()


def test_waiting_without_limit_for_another_process(path: str) -> None:
    child = hold_elsewhere(path, "acquire_writer")
    lock = LockFile.open(path)
    assert lock is not None
    threading.Timer(0.1, end, [child]).start()
    assert lock.acquire_writer()
    lock.release_writer()
    lock.close()


def test_there_is_one_sync_agent_over_all_processes_beside_the_writer(path: str) -> None:
    child = hold_elsewhere(path, "acquire_agent")
    lock = LockFile.open(path)
    assert lock is not None
    assert not lock.acquire_agent()
    assert lock.acquire_writer(0)
    end(child)
    assert lock.acquire_agent()
    assert not lock.acquire_agent()  # nor a second one in this process
    lock.release_agent()
    assert lock.acquire_agent()
    lock.close()


def test_whether_anybody_syncs_can_be_asked_without_disturbing(path: str) -> None:
    lock = LockFile.open(path)
    assert lock is not None
    assert lock.has_agent() in (False, None)  # None where the platform does not tell
    child = hold_elsewhere(path, "acquire_agent")
    assert lock.has_agent() in (True, None)
    end(child)
    assert lock.acquire_agent()
    assert lock.has_agent()
    lock.close()


def test_users_of_one_path_in_a_process_share_the_lock_file(path: str) -> None:
    first, second = LockFile.open(path), LockFile.open(path)
    assert first is second
    assert first is not None
    first.close()
    assert first.acquire_writer(0)
    first.release_writer()
    first.close()


def test_deleting_refuses_while_anybody_uses_the_file(path: str) -> None:
    Path(path).write_bytes(b"x")
    lock = LockFile.open(path)
    assert lock is not None
    with pytest.raises(RealmInUseError, match="close every"):
        delete_files(path)
    lock.close()
    child = hold_elsewhere(path)
    with pytest.raises(RealmInUseError):
        delete_files(path)
    end(child)
    for side in side_files(path):
        Path(side).touch()
    assert delete_files(path)
    assert os.listdir(os.path.dirname(path)) == []
    assert not delete_files(path)


def test_opening_while_another_process_deletes_waits_and_uses_the_new_lock_file(path: str) -> None:
    child = hold_elsewhere(path, "become_only_user")
    threading.Timer(0.1, lambda: (os.unlink(path + ".lock"), end(child))).start()
    lock = LockFile.open(path)
    assert lock is not None
    assert os.path.exists(path + ".lock")  # it did not keep the one that is gone
    lock.close()


def test_what_a_thread_has_for_itself_others_of_the_process_wait_for(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = LockFile.open(path)
    assert lock is not None
    assert lock.become_only_user()
    assert not lock.become_only_user()
    with monkeypatch.context() as patched:
        patched.setattr(locks, "_ATTEMPTS", 3)
        with pytest.raises(RealmInUseError, match="try again later"):
            LockFile.open(path)
    threading.Timer(0.1, lock.close).start()
    other = LockFile.open(path)
    assert other is not None
    assert other is not lock
    assert other.become_only_user()
    other.admit_users()
    assert LockFile.open(path) is other
    other.close()
    other.close()


def test_a_lock_file_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="must exist and be writable"):
        LockFile.open(str(tmp_path / "nowhere" / "a.realm"))
    assert LockFile.open(str(tmp_path / "nowhere" / "a.realm"), read_only=True) is None


def test_closing_keeps_the_descriptor_while_somebody_waits_with_it(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was closed under the waiting thread, which then locked a bad descriptor, or another file's."""
    lock = LockFile.open(path)
    assert lock is not None
    descriptor = lock._descriptor
    waiting, closed = threading.Event(), threading.Event()
    lock_until = locks._lock_until

    def lock_after_closing(descriptor: int, byte: int, deadline: float | None) -> bool:
        waiting.set()
        assert closed.wait(10)
        return lock_until(descriptor, byte, deadline)

    monkeypatch.setattr(locks, "_lock_until", lock_after_closing)
    granted: list[bool] = []
    thread = threading.Thread(target=lambda: granted.append(lock.acquire_writer()))
    thread.start()
    assert waiting.wait(10)
    lock.close()
    os.fstat(descriptor)  # still open
    closed.set()
    thread.join(10)
    assert granted == [False]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
