"""Progress notifications: what each registration is told, and when it has heard enough (spec/sessions.md §9).

One :class:`ProgressNotifier` belongs to one sync session and lives as long: its last known values and its registrations
survive reconnects, suspension, logout and client reset. The rules are here, bare of network and threads; ``deliver``
(a :data:`~syncline.sync.delivery.Courier`) takes the calls to their thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from syncline.sync.delivery import Courier
from syncline.sync.states import ProgressDirection, ProgressMode, SyncProgress

__all__ = ["ProgressNotifier", "ProgressRegistration", "ProgressValues", "transfer_estimate"]


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
            estimate = transfer_estimate(transferred, total, base)
        elif self.captured == 0:
            estimate = 0.0
        else:
            estimate = min(transferred / self.captured, 1.0)
        return SyncProgress(transferred, self.captured, estimate)

    def queue(self, progress: SyncProgress) -> bool:
        """Queue one report; True asks for a :meth:`deliver`. A streaming registration keeps only the newest (§9.7)."""
        with self._lock:
            if self.streaming and self._pending:
                self._pending[0] = progress
                return False
            self._pending.append(progress)
            return True

    @property
    def has_pending(self) -> bool:
        """Whether a report is still on its way."""
        return bool(self._pending)

    def deliver(self) -> None:
        """Have one queued report taken to the callback. Not under a lock: an executor may run it at once."""
        self._deliver(self._call)

    def _call(self) -> Any:
        with self._lock:
            if self.cancelled or not self._pending:
                return None
            progress = self._pending.popleft()
        return self._callback(progress)


class ProgressNotifier:
    """All progress registrations of one sync session, called in the order of registration. Thread-safe.

    Registrations may vanish at any moment: the finalizer of a token, which must not wait for a lock, removes them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: ProgressValues | None = None  # None until the first push
        self._registrations: dict[int, ProgressRegistration] = {}
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
        registration = ProgressRegistration(direction, mode, callback, deliver, snapshot_version)
        with self._lock:
            token = self._next_token
            self._next_token += 1
            report = None if self._current is None else registration.report(self._current)
            due = report is not None and registration.queue(report)  # under the lock: a later push stays behind it
            if registration.expired:
                token = 0
            else:
                self._registrations[token] = registration
        if due:
            registration.deliver()
        return token, registration

    def unregister(self, token: int) -> None:
        """Forget a registration; no call starts after this returns. Unknown tokens are ignored."""
        registration = self._registrations.pop(token, None)
        if registration is not None:
            registration.cancelled = True

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
                    self._registrations.pop(token, None)
        for registration in due:
            registration.deliver()

    @property
    def has_registrations(self) -> bool:
        """Whether anybody is still to be told anything."""
        return bool(self._registrations)

    def is_registered(self, token: int) -> bool:
        """Whether the registration is still waiting for reports."""
        return token in self._registrations
