"""Progress reports of simulated sessions, held against the truth (spec/sessions.md §9).

The client's own notifier and feed (``sync/progress.py``) watch each simulated device, over lost connections, crashes,
power cuts, restarts and offline writes. Whatever is reported is compared, at that moment, with what the history of the
device and the log of the server hold: the log up to the newest version that the server has told the device of, because
of more the device cannot know.

Use it as the ``prepare`` of :func:`~syncline.testing.simulation.running.simulate`; a report that is not true ends the
run with a failure of kind ``progress``.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from typing import Final

from syncline.protocol import ClientSession
from syncline.storage.history import HistoryStatus
from syncline.sync.progress import ProgressFeed, ProgressNotifier
from syncline.sync.states import ProgressDirection, ProgressMode, SyncProgress
from syncline.sync.waits import at_once
from syncline.testing.choices import RandomChoices
from syncline.testing.simulation.device import Device
from syncline.testing.simulation.events import Event
from syncline.testing.simulation.failures import SimulationError
from syncline.testing.simulation.world import World

__all__ = ["TOLERANCE", "ProgressWatch"]

TOLERANCE: Final = 0.02
"""How far a reported remainder may be from the real one, as a part of the real one."""

_STREAM: Final = ProgressMode.REPORT_INDEFINITELY
_OUTSTANDING: Final = ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK


class ProgressWatch:
    """Watches the progress of every session of one world; ``counts``: sessions, reports and their kinds."""

    def __init__(self, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._choices = RandomChoices(seed)
        self._sessions: list[_Session] = []

    def __call__(self, world: World) -> None:
        """Begin: from now on ``world`` tells of every event."""
        self._sessions = [self._new_session(world, device) for device in world.devices]
        world.onlookers.append(partial(self._look, world))

    def _new_session(self, world: World, device: Device, notifier: ProgressNotifier | None = None) -> _Session:
        self.counts["sessions"] += 1
        return _Session(world, device, notifier, self.counts)

    def _look(self, world: World, event: Event) -> None:
        for number, device in enumerate(world.devices):
            session = self._sessions[number]
            if session.machine is not device.session:
                # An orderly restart is to the notifier what suspending and resuming is: half of the times it goes on.
                goes_on = event.action == "restart" and self._choices.chance(50)
                session = self._new_session(world, device, session.notifier if goes_on else None)
                self._sessions[number] = session
            elif event.action == "integrate" and event.who == number:
                session.feed.has_downloaded = True
            session.feed.push(device.history.status())
            if self._choices.chance(4):
                session.watch(self._choices.pick(list(ProgressDirection)), _OUTSTANDING)
            if session.untrue:
                raise session.untrue[0]


class _Session:
    """One protocol session of a device with the notifier that it feeds."""

    def __init__(self, world: World, device: Device, notifier: ProgressNotifier | None, counts: Counter[str]) -> None:
        self.machine: ClientSession = device.session
        #: what was complained of; callbacks do not raise through a notifier
        self.untrue: list[SimulationError] = []
        self._world = world
        self._device = device
        self._counts = counts
        self.notifier = notifier or ProgressNotifier(f"device {device.number}")
        self.feed = ProgressFeed(self.notifier, device.history.status())
        if notifier is None:
            for direction in ProgressDirection:
                self.watch(direction, _STREAM)

    def watch(self, direction: ProgressDirection, mode: ProgressMode) -> None:
        """Register, and check every report."""
        listener = _Listener(self._world, self._device, direction, mode, self._counts, self.untrue)
        self.notifier.register(direction, mode, listener.told, at_once, self._device.file.version)


class _Listener:
    """One registration, and what must hold of all its reports."""

    def __init__(
        self,
        world: World,
        device: Device,
        direction: ProgressDirection,
        mode: ProgressMode,
        counts: Counter[str],
        untrue: list[SimulationError],
    ) -> None:
        self._untrue = untrue
        self._world = world
        self._device = device
        self._is_upload = direction is ProgressDirection.UPLOAD
        self._is_streaming = mode is _STREAM
        self._counts = counts
        self._what = f"{direction.name.lower()}, {'streaming' if self._is_streaming else 'outstanding work'}"
        self._captured: int | None = None
        self._last: SyncProgress | None = None

    def told(self, report: SyncProgress) -> None:
        """The callback; complains of a report that is not true."""
        self._counts[f"reports, {self._what}"] += 1
        status = self._device.history.status()
        newest = status.current_version if self._is_upload else status.progress.latest_server_version.version
        if self._captured is None or self._is_streaming:
            self._captured = newest
        real = self._left_to_upload(status) if self._is_upload else self._left_to_download(status)
        reported = max(0, report.transferrable_bytes - report.transferred_bytes)
        self._counts["reports while work was left"] += real > 0
        if abs(reported - real) > TOLERANCE * real:
            self._complain(report, f"{real} bytes are left")
        if not 0.0 <= report.progress_estimate <= 1.0 or math.isnan(report.progress_estimate):
            self._complain(report, "that is no fraction")
        if real and (report.is_complete or report.progress_estimate >= 1.0):
            self._complain(report, f"not everything is done, {real} bytes are left")
        self._check_direction(report)
        self._last = report

    def _check_direction(self, report: SyncProgress) -> None:
        last = self._last
        if last is None:
            return
        if report.transferred_bytes < last.transferred_bytes:
            self._complain(report, f"it went backwards after {last}")
        if self._is_streaming:
            return
        if last.is_complete:
            self._complain(report, f"{last} was the last report")
        if report.transferrable_bytes > last.transferrable_bytes:
            self._complain(report, f"the total has grown after {last}")
        if report.progress_estimate < last.progress_estimate:
            self._complain(report, f"the estimate went backwards after {last}")

    def _left_to_upload(self, status: HistoryStatus) -> int:
        """Bytes of own changes up to the captured version that the server has not acknowledged."""
        changes = self._device.history.local_changes(status.progress.upload.client_version)
        return sum(len(change.changeset) for change in changes if change.version <= (self._captured or 0))

    def _left_to_download(self, status: HistoryStatus) -> int:
        """Bytes of the changes of others in the server's log, up to the captured version, that are not here."""
        cursor = status.progress.download.server_version
        with self._world.server.store() as store:
            entries = list(store.entries(cursor, self._captured or 0, status.file_ident))
        return sum(len(entry.changeset) for entry in entries)

    def _complain(self, report: SyncProgress, why: str) -> None:
        message = f"device {self._device.number} ({self._what}) was told {report}: {why}"
        self._untrue.append(SimulationError("progress", message))
