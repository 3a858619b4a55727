"""Progress notifications: what each registration is told, and when it has heard enough (spec/sessions.md §9).

One :class:`ProgressNotifier` belongs to one sync session and lives as long: its last known values and its registrations
survive reconnects, suspension, logout and client reset. The rules are here, bare of network and threads; ``deliver``
(a :data:`~syncline.sync.delivery.Courier`) takes the calls to their thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from syncline.storage.history import HistoryStatus
from syncline.sync.delivery import Courier, guarded
from syncline.sync.states import ProgressDirection, ProgressMode, SyncProgress

__all__ = ["ProgressFeed", "ProgressNotifier", "ProgressRegistration", "ProgressValues", "transfer_estimate"]

_MOST_PENDING: Final = 1_000
"""Reports of outstanding work that may wait for a slow callback; from there on the newest one replaces the last."""


class ProgressValues(NamedTuple):
    """What a protocol session knows of its transfers; bytes of changesets before compression.

    ``uploadable`` and ``downloadable`` are totals. ``snapshot_version`` is the local version that the numbers describe.
    ``*_base`` is what had been transferred when the current piece of work began; the estimates are relative to it.
    """

    uploaded: int
    uploadable: int
    downloaded: int
    downloadable: int
    snapshot_version: int
    upload_base: int = 0
    download_base: int = 0


def transfer_estimate(transferred: int, total: int, base: int) -> float:
    """Fraction of the work since ``base`` that is done (spec/sessions.md §9.6, *progress_estimate*)."""
    if transferred >= total or base >= total:
        return 1.0
    return max(0.0, (transferred - base) / (total - base))


class ProgressRegistration:
    """One callback with what it waits for. Made by :meth:`ProgressNotifier.register`."""

    def __init__(
        self,
        direction: ProgressDirection,
        mode: ProgressMode,
        callback: Callable[[SyncProgress], Any],
        deliver: Courier,
        snapshot_version: int,
        place: str,
    ) -> None:
        self.direction = direction
        self.streaming = mode is ProgressMode.REPORT_INDEFINITELY
        self.snapshot_version = snapshot_version
        self.captured: int | None = None
        self.expired = False
        """A non-streaming registration that has transferred what it captured: it is not called again."""
        self.cancelled = False
        """Checked before each call: a report that was queued before is dropped (spec/sessions.md §9.8)."""
        self._callback = callback
        self._deliver = deliver
        self._place = place
        self._pending: deque[SyncProgress] = deque()
        self._lock = threading.Lock()

    def report(self, values: ProgressValues) -> SyncProgress | None:
        """What to call back with for ``values``, or None to skip them; sets ``captured`` and ``expired`` (§9.6)."""
        upload = self.direction is ProgressDirection.UPLOAD
        transferred = values.uploaded if upload else values.downloaded
        total = values.uploadable if upload else values.downloadable
        base = values.upload_base if upload else values.download_base
        if self.streaming:
            return SyncProgress(transferred, total, transfer_estimate(transferred, total, base))
        if upload and self.snapshot_version > values.snapshot_version:
            return None  # a commit made before the registration is not in these numbers yet
        if self.captured is None or total < self.captured:
            self.captured = total
        self.expired = transferred >= self.captured
        if not upload:
            estimate = transfer_estimate(transferred, self.captured, base)
        elif self.captured == 0:
            estimate = 0.0
        else:
            estimate = min(transferred / self.captured, 1.0)
        return SyncProgress(transferred, self.captured, estimate)

    def queue(self, progress: SyncProgress) -> bool:
        """Queue one report; True asks for a :meth:`deliver`. A streaming registration keeps only the newest (§9.7)."""
        with self._lock:
            if len(self._pending) >= (1 if self.streaming else _MOST_PENDING):
                self._pending[-1] = progress
                return False
            self._pending.append(progress)
            return True

    @property
    def has_pending(self) -> bool:
        """Whether a report is still on its way."""
        with self._lock:
            return bool(self._pending) and not self.cancelled

    def take(self) -> SyncProgress | None:
        """The next queued report, if there is one and it is still wanted."""
        with self._lock:
            return None if self.cancelled or not self._pending else self._pending.popleft()

    def deliver(self) -> None:
        """Have one queued report taken to the callback. Not under a lock: an executor may run it at once."""
        self._deliver(self._call)

    def _call(self) -> Any:
        progress = self.take()
        return None if progress is None else guarded(lambda: self._callback(progress), self._place)


class ProgressNotifier:
    """All progress registrations of one sync session, called in the order of registration. Thread-safe.

    Registrations may vanish at any moment: the finalizer of a token, which must not wait for a lock, removes them.
    """

    def __init__(self, path: str = "") -> None:
        """``path``: the session's, named in the log when a callback fails."""
        self._place = f"progress of {path}"
        self._lock = threading.Lock()
        self._current: ProgressValues | None = None  # None until the first push
        self._registrations: dict[int, ProgressRegistration] = {}
        self._expired: list[ProgressRegistration] = []  # whose last report is on its way
        self._next_token = 1

    @property
    def current(self) -> ProgressValues | None:
        """The latest values, kept also while offline; None before the first DOWNLOAD of this session."""
        return self._current

    def register(
        self,
        direction: ProgressDirection,
        mode: ProgressMode,
        callback: Callable[[SyncProgress], Any],
        deliver: Courier,
        snapshot_version: int,
    ) -> tuple[int, ProgressRegistration]:
        """Register ``callback``; with known values its first call is queued before this returns (§9.4).

        ``snapshot_version`` is the file's latest version now. Returns a token and the registration; token 0: it heard
        all there is to hear, and is not registered (§9.5).
        """
        registration = ProgressRegistration(direction, mode, callback, deliver, snapshot_version, self._place)
        with self._lock:
            token = self._next_token
            self._next_token += 1
            report = None if self._current is None else registration.report(self._current)
            due = report is not None and registration.queue(report)  # under the lock: a later push stays behind it
            if registration.expired:
                token = 0
                self._let_go(registration)
            else:
                self._registrations[token] = registration
        if due:
            registration.deliver()
        return token, registration

    def unregister(self, token: int, registration: ProgressRegistration | None = None) -> None:
        """Forget a registration; no call starts after this returns. Unknown tokens are ignored.

        With ``registration`` the last report of one that has expired is dropped too, if it is still on its way (§9.8).
        Takes no lock: finalizers of tokens call it.
        """
        found = self._registrations.pop(token, registration)
        if found is not None:
            found.cancelled = True

    def push(self, values: ProgressValues) -> None:
        """New numbers: tell everyone they concern, and drop the registrations that are done (§9.6)."""
        due: list[ProgressRegistration] = []
        with self._lock:
            self._current = values
            for token in list(self._registrations):
                registration = self._registrations.get(token)
                if registration is None:
                    continue
                report = registration.report(values)
                if report is not None and registration.queue(report):
                    due.append(registration)
                if registration.expired:
                    self._let_go(registration)
                    self._registrations.pop(token, None)
        for registration in due:
            registration.deliver()

    def _let_go(self, registration: ProgressRegistration) -> None:
        self._expired = [one for one in self._expired if one.has_pending]
        self._expired.append(registration)

    @property
    def has_registrations(self) -> bool:
        """Whether anybody is still to be told anything."""
        return bool(self._registrations)

    @property
    def has_listeners(self) -> bool:
        """The same, or a last report is still on its way."""
        with self._lock:
            return bool(self._registrations) or any(one.has_pending for one in self._expired)

    def is_registered(self, token: int) -> bool:
        """Whether the registration is still waiting for reports."""
        return token in self._registrations


class ProgressFeed:
    """What one protocol session tells a notifier: the counters of the file, once they mean something (§9.2).

    ``opening`` is the file as the session found it. An estimate begins at what had been transferred then, or where an
    earlier session of the same notifier began: suspending does not set it back.
    """

    def __init__(self, notifier: ProgressNotifier, opening: HistoryStatus) -> None:
        self.has_downloaded = False
        """Numbers before the first DOWNLOAD may be long out of date: nothing is told."""
        self._notifier = notifier
        self._pushed: ProgressValues | None = None
        before = notifier.current
        self._upload_base = opening.counters.uploaded if before is None else before.upload_base
        self._download_base = opening.counters.downloaded if before is None else before.download_base

    def push(self, status: HistoryStatus) -> None:
        """The file is as ``status`` says: tell the notifier, if a number has changed."""
        if not self.has_downloaded:
            return
        counters = status.counters
        # A client reset sets the counters back.
        self._upload_base = min(self._upload_base, counters.uploaded)
        self._download_base = min(self._download_base, counters.downloaded)
        if counters.uploaded >= counters.uploadable:
            self._upload_base = counters.uploaded
        values = ProgressValues(
            counters.uploaded,
            counters.uploadable,
            counters.downloaded,
            counters.downloadable,
            status.current_version,
            self._upload_base,
            self._download_base,
        )
        if values != self._pushed:
            self._pushed = values
            self._notifier.push(values)
