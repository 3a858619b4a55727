"""Locks between threads and between processes; every platform call of the storage is in this file (spec/sdk.md §13.1).

Beside a Realm's file lies ``<path>.lock``. Three bytes of it are locked, independently of each other:

======  ============================================================================================
byte 0  the writer: exclusive, for one write transaction (:meth:`LockFile.acquire_writer`)
byte 1  the sync agent: exclusive, while a process syncs the file (:meth:`LockFile.acquire_agent`)
byte 2  users: shared by every process that has the file open; exclusive for deleting or compacting it
======  ============================================================================================

Locks belong to the open file, not to the process, where the platform has such locks (Linux); elsewhere they are the
process's. Both end with the process, however it ends. Inside one process a :class:`LockFile` is shared by all who open
the path, and a :class:`FifoLock` queues its writers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import time
from collections import deque
from pathlib import Path
from typing import Final

from syncline.errors import FileError, RealmInUseError

__all__ = [
    "FifoLock",
    "LockFile",
    "delete_files",
    "is_on_read_only_medium",
    "is_used_here",
    "may",
    "side_files",
    "sync_directory",
    "sync_file",
]

_WRITER: Final = 0
_AGENT: Final = 1
_USERS: Final = 2

#: Pause between two attempts at another process's lock, where waiting has a limit (seconds).
_PAUSE: Final = 0.002
#: How often to ask for a Realm that somebody has for himself: deletion is short, so wait a little for it.
_ATTEMPTS: Final = 500


class FifoLock:
    """A mutual exclusion that is granted in the order of asking.

    It may be released by another thread, and by a finalizer in the middle of anything.
    """

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._held = False
        self._queue: deque[threading.Lock] = deque()

    @property
    def has_waiters(self) -> bool:
        """Whether anybody waits for it now."""
        return bool(self._queue)

    def acquire(self, timeout: float | None = None) -> bool:
        """Wait for the turn, at most ``timeout`` seconds (None: without limit); whether it was granted."""
        turn = threading.Lock()
        turn.acquire()
        granted = False
        try:
            with self._guard:
                self._queue.append(turn)
                self._grant()
            granted = turn.acquire(timeout=-1 if timeout is None else min(max(timeout, 0), threading.TIMEOUT_MAX))
        finally:
            if not granted:
                self._withdraw(turn)
        return granted

    def _withdraw(self, turn: threading.Lock) -> None:
        """Leave the queue, or give the turn back if it came in the same moment."""
        with self._guard:
            if turn in self._queue:
                self._queue.remove(turn)
            elif not turn.locked():
                self.release()

    def release(self) -> None:
        """Pass it on to the one who waits longest."""
        with self._guard:
            self._held = False
            self._grant()

    def _grant(self) -> None:
        if self._queue and not self._held:
            self._held = True
            self._queue.popleft().release()


class LockFile:
    """The open ``<path>.lock`` of one Realm file, shared by all its users in this process. Made by :meth:`open`."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._users = 1
        self._writers = FifoLock()
        self._agent_held = False
        self._borrowers = 0
        self._has_only_user = False

    @classmethod
    def open(cls, realm_path: str, read_only: bool = False) -> LockFile | None:
        """Open or create the lock file of ``realm_path`` and register as a user of it.

        None for a read-only use where there is no lock file and none can be made (a read-only medium). Raises FileError
        when it cannot be made or read, RealmInUseError while somebody deletes or compacts the Realm.
        """
        for _ in range(_ATTEMPTS):
            with _registry_guard:
                lock = _registry.get(realm_path)
                if lock is None:
                    descriptor = _open_as_user(realm_path, read_only)
                    if descriptor is None:
                        return None
                    lock = _registry[realm_path] = cls(realm_path, descriptor)
                    return lock
                if not lock._has_only_user:
                    lock._users += 1
                    return lock
            time.sleep(_PAUSE)  # another thread has it for itself
        raise _excluded(realm_path)

    def close(self) -> None:
        """End one use. The file itself stays: only deleting the Realm removes it."""
        with _registry_guard:
            self._users -= 1
            if self._users == 0 and self._descriptor >= 0:
                _registry.pop(self.path, None)
                self._close_unless_borrowed()

    def _close_unless_borrowed(self) -> None:
        # a thread that waits for the lock still works with the descriptor, whose number another file might get
        if self._borrowers == 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def writer_waiting(self) -> bool:
        """Whether another thread of this process waits to write."""
        return self._writers.has_waiters

    def acquire_writer(self, timeout: float | None = None) -> bool:
        """Become the only writer over all threads and processes; False when that took ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._writers.acquire(timeout):
            return False
        granted = False
        try:
            granted = self._lock_as_writer(deadline)
        finally:
            if not granted:
                self._writers.release()
        return granted

    def _lock_as_writer(self, deadline: float | None) -> bool:
        """The byte lock of writers; False if it was not to be had in time, or the file was closed meanwhile."""
        with _registry_guard:
            if self._users == 0 or self._descriptor < 0:
                return False
            self._borrowers += 1
        try:
            granted = _lock_until(self._descriptor, _WRITER, deadline)
        finally:
            with _registry_guard:
                self._borrowers -= 1
                if self._users == 0:
                    granted = False
                    self._close_unless_borrowed()
        return granted

    def release_writer(self) -> None:
        """Let the next writer in."""
        if self._descriptor >= 0:
            _unlock(self._descriptor, _WRITER)
        self._writers.release()

    def acquire_agent(self) -> bool:
        """Become the file's only sync agent; False when there is one already, here or in another process."""
        with _registry_guard:
            if self._agent_held or not _try_lock(self._descriptor, _AGENT, exclusive=True):
                return False
            self._agent_held = True
            return True

    def has_agent(self) -> bool | None:
        """Whether any process syncs the file; None where the platform does not tell. Disturbs nobody."""
        with _registry_guard:
            return self._agent_held or _is_locked(self._descriptor, _AGENT)

    def release_agent(self) -> None:
        """Stop being the sync agent."""
        with _registry_guard:
            if self._agent_held:
                self._agent_held = False
                if self._descriptor >= 0:
                    _unlock(self._descriptor, _AGENT)

    def become_only_user(self) -> bool:
        """Exclude all other users; False when there are any, here or in another process."""
        with _registry_guard:
            if self._users != 1 or self._has_only_user or not _try_lock(self._descriptor, _USERS, exclusive=True):
                return False
            self._has_only_user = True
            return True

    def admit_users(self) -> None:
        """End of :meth:`become_only_user`."""
        self._has_only_user = False
        _try_lock(self._descriptor, _USERS, exclusive=False)


def is_used_here(realm_path: str) -> bool:
    """Whether this process has the Realm open, or has not closed it completely yet."""
    return realm_path in _registry


_registry: dict[str, LockFile] = {}
_registry_guard = threading.RLock()  # a finalizer may close another file in the middle


def _forget_inherited() -> None:
    """After fork: the child shares the parent's locks without holding them, so it lets go of the open files."""
    global _registry_guard
    _registry_guard = threading.RLock()
    for lock in _registry.values():
        os.close(lock._descriptor)
        lock._descriptor = -1
    _registry.clear()


os.register_at_fork(after_in_child=_forget_inherited)


def _open_as_user(realm_path: str, read_only: bool) -> int | None:
    """Open the lock file holding the users' lock, sure that it is the one the path names now."""
    path = realm_path + ".lock"
    while True:
        descriptor = _open_lock_file(path, read_only)
        if descriptor is None:
            return None
        try:
            if not _wait_as_user(descriptor):
                raise _excluded(realm_path)
            if _is_same_file(descriptor, path):
                kept, descriptor = descriptor, -1
                return kept
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _excluded(realm_path: str) -> RealmInUseError:
    return RealmInUseError(f"{realm_path} is being deleted, backed up or compacted elsewhere; try again later")


def _open_lock_file(path: str, read_only: bool) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if not read_only:
            raise FileError(
                f"cannot make the lock file {path}: {error.strerror}; a Realm's directory must exist and be writable"
            ) from error
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if is_on_read_only_medium(path):
            return None
        raise FileError(  # behind it somebody may be writing
            f"this user may not read {path} ({error.strerror}): allow it to, as reading the Realm is allowed"
        ) from error


def _wait_as_user(descriptor: int) -> bool:
    """Take the users' lock in shared mode."""
    for _ in range(_ATTEMPTS):
        if _try_lock(descriptor, _USERS, exclusive=False):
            return True
        time.sleep(_PAUSE)
    return False


def _is_same_file(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


# --- byte locks -------------------------------------------------------------------------------------------------------

_HAS_OPEN_FILE_LOCKS: Final = hasattr(fcntl, "F_OFD_SETLK")


def _request(kind: int, byte: int) -> bytes:
    """``struct flock`` of Linux for one byte: type, whence, start, length, pid (0 for locks of the open file)."""
    return struct.pack("@hhqqi4x", kind, os.SEEK_SET, byte, 1, 0)


def _try_lock(descriptor: int, byte: int, exclusive: bool) -> bool:
    try:
        if _HAS_OPEN_FILE_LOCKS:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK, byte))
        else:
            kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            fcntl.lockf(descriptor, kind | fcntl.LOCK_NB, 1, byte)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise FileError(
            f"cannot lock a Realm's lock file: {error.strerror}; its file system must have locks"
        ) from error
    return True


def _is_locked(descriptor: int, byte: int) -> bool | None:
    """Whether another open file holds a lock on the byte; None where that cannot be asked."""
    if not _HAS_OPEN_FILE_LOCKS:
        return None
    answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK, byte))
    kind: int = struct.unpack_from("@h", answer)[0]
    return kind != fcntl.F_UNLCK


def _lock_until(descriptor: int, byte: int, deadline: float | None) -> bool:
    """Exclusive lock on one byte: at once, or by waiting until ``deadline`` (monotonic seconds; None: no limit)."""
    while not _try_lock(descriptor, byte, exclusive=True):
        if deadline is not None and time.monotonic() >= deadline:
            return False
        if deadline is None and _HAS_OPEN_FILE_LOCKS:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, _request(fcntl.F_WRLCK, byte))
            return True
        time.sleep(_PAUSE)
    return True


def _unlock(descriptor: int, byte: int) -> None:
    if _HAS_OPEN_FILE_LOCKS:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request(fcntl.F_UNLCK, byte))
    else:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, byte)


# --- files ------------------------------------------------------------------------------------------------------------


def may(path: str, mode: int) -> bool:
    """Whether the user of this process may do that with a file or directory; ``mode``: of ``os.access``."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def is_on_read_only_medium(path: str) -> bool:
    """Whether nobody can write there, though a lock file may have been copied with the Realm."""
    return bool(os.statvfs(os.path.dirname(path)).f_flag & os.ST_RDONLY)


def side_files(realm_path: str) -> list[str]:
    """Every file that belongs to a Realm beside its main file, the lock file last (spec/sdk.md §13.1)."""
    return [realm_path + suffix for suffix in ("-wal", "-shm", "-journal", ".lock")]


def delete_files(realm_path: str) -> bool:
    """Remove a Realm's main file and side files; whether the main file was there.

    Raises RealmInUseError when it is open in this or another process.
    """
    if not os.path.exists(realm_path + ".lock") and not os.path.exists(realm_path):
        return False
    lock = LockFile.open(realm_path)
    assert lock is not None
    try:
        if not lock.become_only_user():
            raise RealmInUseError(f"{realm_path} is open; close every Realm and session that uses it, then delete it")
        existed = os.path.exists(realm_path)
        for path in [realm_path, *side_files(realm_path)]:
            Path(path).unlink(missing_ok=True)
        return existed
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot delete {realm_path}: {error.strerror}") from error
    finally:
        lock.close()


def sync_file(path: str) -> None:
    """Make the content of a file durable that somebody else wrote."""
    _sync(path)


def sync_directory(path: str) -> None:
    """Make the creation, renaming or removal of the file ``path`` itself durable."""
    _sync(os.path.dirname(path) or ".")


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
