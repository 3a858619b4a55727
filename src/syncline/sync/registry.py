"""Which session a local file has, who refers to it, and who has let go of it (spec/sessions.md §3.1–§3.6).

A *seat* is one local path. It holds the present session and counts the open Realms, which are the external references:
when the last one goes, the session is asked to close; when a session has failed for good, the next open puts a new one
into the seat, which then serves all open Realms of that path.

Order of locks: the registry's, then a session's. Nothing of the application runs under either. Realms that were
garbage-collected are released later (:meth:`SessionRegistry.forget`), because a finalizer runs in the middle of
anything, with any lock held.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from syncline.errors import MismatchedConfigError
from syncline.storage.file import FileLease, RealmFile
from syncline.sync.session_core import SessionCore
from syncline.sync.states import InternalState, SyncStopPolicy, Trigger

if TYPE_CHECKING:
    from syncline.sync.configuration import SyncConfiguration
    from syncline.sync.manager import SyncManager
    from syncline.sync.user import SyncUser

__all__ = ["AgentLocks", "SessionRegistry", "check_match"]


class AgentLocks:
    """The lock "this process syncs the file", counted: a session and its successor may hold it together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: dict[str, int] = {}

    def take(self, file: RealmFile) -> None:
        """Raises MultipleSyncAgentsError if another process has it."""
        with self._lock:
            if not self._holders.get(file.path):
                file.lock_sync_agent()
            self._holders[file.path] = self._holders.get(file.path, 0) + 1

    def give_back(self, file: RealmFile) -> None:
        """The last holder unlocks."""
        with self._lock:
            self._holders[file.path] -= 1
            if not self._holders[file.path]:
                del self._holders[file.path]
                file.unlock_sync_agent()


class Seat:
    """One local path."""

    def __init__(self) -> None:
        self.core: SessionCore | None = None
        self.parts = 0  # open Realms, and async opens that are under way
        self.realms = 0  # the open Realms among them


class SessionRegistry:
    """All sessions of a manager. Thread-safe."""

    def __init__(self, manager: SyncManager) -> None:
        self._manager = manager
        self._lock = threading.RLock()
        self._seats: dict[str, Seat] = {}
        self._leaving: list[SessionCore] = []  # out of their seats, not yet let go of their files
        self._forgotten: deque[tuple[str, bool]] = deque()  # what finalizers have run of: path, whether a Realm

    def attach(
        self, configuration: SyncConfiguration, path: str, lease: FileLease, *, is_realm: bool = True
    ) -> SessionCore:
        """A Realm of the file was opened, or is being opened asynchronously: its session, made or revived.

        The first open Realm ends a pause, whoever kept the session until then (spec/sessions.md §5.3).

        Raises MultipleSyncAgentsError, and MismatchedConfigError if the file is synced with another Realm or as another
        user. ClientUserError if the user was removed, InvalidSessionError in a forked child.
        """
        self._manager.check_process()
        configuration.user.check_not_removed()
        self.release_forgotten()
        with self._lock:
            seat = self._seats.get(path) or Seat()
            core = seat.core
            if core is not None and not core.is_invalid:
                check_match(core.configuration, configuration, path)
            else:
                successor = SessionCore(self._manager, configuration, path, lease)
                if core is not None:
                    self._leaving.append(core)
                core = seat.core = successor
                self._seats[path] = seat
            is_first = seat.parts == 0
            if is_first:
                core.configuration = configuration  # the same Realm, perhaps with another stop policy
            ends_pause = is_first or (is_realm and seat.realms == 0)
            seat.parts += 1
            seat.realms += is_realm
        try:
            is_paused = core.internal_state is InternalState.PAUSED
            core.trigger(Trigger.RESUME if ends_pause and is_paused else Trigger.REVIVE)
        except BaseException:
            self.release(path, is_realm=is_realm)
            raise
        return core

    def release(self, path: str, *, is_realm: bool = True) -> None:
        """A Realm of the file was closed, or an async open has ended; the last part asks the session to close."""
        seat = self._leave(path, is_realm)
        if seat.core is not None:
            seat.core.close(lambda: seat.parts == 0)

    def abandon(self, path: str) -> None:
        """An async open was cancelled; the last part of the session ends it, whatever its stop policy (§16.4)."""
        seat = self._leave(path, False)
        if seat.core is not None:
            seat.core.close(lambda: seat.parts == 0, for_good=True)

    def _leave(self, path: str, is_realm: bool) -> Seat:
        with self._lock:
            seat = self._seats[path]
            seat.parts -= 1
            seat.realms -= is_realm
            return seat

    def forget(self, path: str, *, is_realm: bool = True) -> None:
        """A Realm of the file, or an async open, was garbage-collected; takes no lock and does nothing yet.

        The event loop releases it soon, or whoever asks the registry before.
        """
        self._forgotten.append((path, is_realm))
        self._manager.post_if_running(self.release_forgotten)

    def release_forgotten(self) -> None:
        """Release the Realms whose finalizers have run. Not under any lock."""
        while True:
            try:
                path, is_realm = self._forgotten.popleft()
            except IndexError:
                return
            self.release(path, is_realm=is_realm)

    def close_unreferenced(self, core: SessionCore) -> None:
        """A session was revived by a token, a login or ``resume()``: if no Realm is open it goes on dying (§3.5)."""
        core.close(lambda: not self._has_parts(core.path))

    def _has_parts(self, path: str) -> bool:
        """Without the registry's lock, because it is asked under a session's: whoever opens triggers afterwards."""
        seat = self._seats.get(path)
        return seat is not None and seat.parts > 0

    def unregister(self, core: SessionCore) -> None:
        """The session is not active: it ends, unless a Realm still refers to it."""
        with self._lock:
            seat = self._seats.get(core.path)
            if seat is None or seat.core is not core or seat.parts:
                return
            later = [] if core.is_errored else core.end()
            if later is None:
                return
            del self._seats[core.path]
            self._leaving = [one for one in self._leaving if not one.released.is_set()]
            self._leaving.append(core)
        for call in later:
            call()

    def core_at(self, path: str) -> SessionCore | None:
        """The present session of a file."""
        with self._lock:
            seat = self._seats.get(path)
            return None if seat is None else seat.core

    def referenced(self, user: SyncUser | None = None) -> list[SessionCore]:
        """The sessions that open Realms refer to (spec/sessions.md §14.3)."""
        self.release_forgotten()
        with self._lock:
            cores = [seat.core for seat in self._seats.values() if seat.parts and seat.core is not None]
        return [core for core in cores if not core.is_invalid and user in (None, core.configuration.user)]

    def all(self, user: SyncUser | None = None) -> list[SessionCore]:
        """All sessions, those too that only finish their uploads."""
        with self._lock:
            cores = [seat.core for seat in self._seats.values() if seat.core is not None]
        return [core for core in cores if user in (None, core.configuration.user)]

    def is_open(self, path: str) -> bool:
        """Whether a Realm of the file is open."""
        self.release_forgotten()
        return self._has_parts(path)

    def wait_for_release(self, path: str | None, timeout: float | None) -> bool:
        """Wait until every session abandoned so far (of ``path``, or of all files) has given its file back."""
        deadline = None if timeout is None else time.monotonic() + timeout
        self.release_forgotten()
        with self._lock:
            self._leaving = [core for core in self._leaving if not core.released.is_set()]
            abandoned = self._leaving + [
                seat.core
                for seat in self._seats.values()
                if seat.core is not None and not seat.parts and not _lives_on(seat.core)
            ]
        for core in abandoned:
            if path in (None, core.path):
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not core.released.wait(left):
                    return False
        return True

    def end_all(self) -> list[SessionCore]:
        """The manager is shut down: every session ends, also those that Realms refer to."""
        for core in self.all():
            core.trigger(Trigger.SHUT_DOWN)
            for call in core.end() or []:
                call()
        with self._lock:
            return [core for core in [*self._leaving, *self.all()] if not core.released.is_set()]


def _lives_on(core: SessionCore) -> bool:
    """Whether it stays active although nobody refers to it: there is no end to wait for."""
    is_active = core.internal_state is InternalState.ACTIVE
    return is_active and core.configuration.stop_policy is SyncStopPolicy.LIVE_INDEFINITELY


def check_match(present: SyncConfiguration, wanted: SyncConfiguration, path: str) -> None:
    """Raise MismatchedConfigError unless both name the same Realm of the same user (spec/sessions.md §17.2)."""
    if present.user is not wanted.user or present.flexible != wanted.flexible:
        raise MismatchedConfigError(f"{path} is synced as another user or in another mode; close its Realms first")
    if present.bind_path != wanted.bind_path:
        raise MismatchedConfigError(
            f"{path} is synced with {present.bind_path!r}, not with {wanted.bind_path!r}; use another path"
        )
