"""The rules of progress notifications, on a bare notifier (spec/sessions.md §9)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.changesets.changeset import DownloadCursor, SaltedVersion, UploadCursor
from syncline.changesets.changeset import SyncProgress as WireProgress
from syncline.storage.history import HistoryStatus
from syncline.storage.sync_state import SyncCounters
from syncline.sync.delivery import SerialThread, guarded
from syncline.sync.progress import ProgressFeed, ProgressNotifier, ProgressValues, transfer_estimate
from syncline.sync.states import ProgressDirection, ProgressMode, SyncProgress

UP, DOWN = ProgressDirection.UPLOAD, ProgressDirection.DOWNLOAD
STREAM, OUTSTANDING = ProgressMode.REPORT_INDEFINITELY, ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK


def at_once(thunk: Callable[[], object]) -> None:
    thunk()


class Listener:
    """Registers at a notifier and keeps what it was told."""

    def __init__(
        self, notifier: ProgressNotifier, direction: ProgressDirection, mode: ProgressMode, snapshot: int = 0
    ) -> None:
        self.reports: list[SyncProgress] = []
        self.notifier = notifier
        self.token, self.registration = notifier.register(direction, mode, self.reports.append, at_once, snapshot)

    @property
    def numbers(self) -> list[tuple[int, int]]:
        return [(report.transferred_bytes, report.transferrable_bytes) for report in self.reports]

    @property
    def is_registered(self) -> bool:
        return self.notifier.is_registered(self.token)


def upload(transferred: int, total: int, snapshot: int = 1, base: int = 0) -> ProgressValues:
    return ProgressValues(transferred, total, 0, 0, snapshot, base, 0)


def download(transferred: int, total: int, snapshot: int = 1, base: int = 0) -> ProgressValues:
    return ProgressValues(0, 0, transferred, total, snapshot, 0, base)


@pytest.fixture
def notifier() -> ProgressNotifier:
    return ProgressNotifier()


def test_s22_the_worked_upload_example(notifier: ProgressNotifier) -> None:
    notifier.push(upload(60, 501))
    streaming, outstanding = Listener(notifier, UP, STREAM), Listener(notifier, UP, OUTSTANDING)
    assert streaming.numbers == [(60, 501)]
    assert outstanding.numbers == [(60, 501)]
    for values in ((66, 582), (601, 1021), (751, 1228)):
        notifier.push(upload(*values))
    assert streaming.numbers == [(60, 501), (66, 582), (601, 1021), (751, 1228)]
    assert outstanding.numbers == [(60, 501), (66, 501), (601, 501)]
    assert streaming.is_registered
    assert not outstanding.is_registered


def test_the_worked_example_of_a_download_that_shrinks(notifier: ProgressNotifier) -> None:
    notifier.push(download(60, 501))
    listener = Listener(notifier, DOWN, OUTSTANDING)
    for values in ((160, 451), (160, 1000), (200, 200), (300, 300)):
        notifier.push(download(*values))
    assert listener.numbers == [(60, 501), (160, 451), (160, 451), (200, 200)]


def test_the_worked_example_of_the_local_version(notifier: ProgressNotifier) -> None:
    listener = Listener(notifier, UP, OUTSTANDING, snapshot=4)
    notifier.push(upload(66, 582, snapshot=3))
    assert listener.numbers == []
    notifier.push(upload(77, 1021, snapshot=4))
    assert listener.numbers == [(77, 1021)]
    assert listener.registration.captured == 1021


def test_a_commit_just_before_registering_is_waited_for_although_values_are_known(notifier: ProgressNotifier) -> None:
    notifier.push(upload(500, 500, snapshot=3))
    listener = Listener(notifier, UP, OUTSTANDING, snapshot=4)
    assert listener.numbers == []
    assert listener.is_registered
    notifier.push(upload(500, 900, snapshot=4))
    notifier.push(upload(900, 900, snapshot=4))
    assert listener.numbers == [(500, 900), (900, 900)]
    assert not listener.is_registered


def test_s19_s23_without_numbers_a_token_and_no_call(notifier: ProgressNotifier) -> None:
    listener = Listener(notifier, DOWN, STREAM)
    assert listener.token != 0
    assert listener.numbers == []
    notifier.push(download(1, 2))
    assert listener.numbers == [(1, 2)]


def test_s26_s28_outstanding_work_that_is_done_is_told_once_without_token(notifier: ProgressNotifier) -> None:
    notifier.push(ProgressValues(10, 10, 20, 20, 1))
    for direction, numbers in ((UP, (10, 10)), (DOWN, (20, 20))):
        listener = Listener(notifier, direction, OUTSTANDING)
        assert listener.token == 0
        assert listener.numbers == [numbers]
    notifier.push(ProgressValues(10, 99, 20, 99, 1))
    assert not notifier.has_registrations


def test_streaming_when_all_is_done_is_told_once_and_goes_on(notifier: ProgressNotifier) -> None:
    notifier.push(upload(10, 10))
    listener = Listener(notifier, UP, STREAM)
    assert listener.token != 0
    notifier.push(upload(10, 30))
    assert listener.numbers == [(10, 10), (10, 30)]


def test_s20_s29_several_registrations_each_with_its_own_numbers(notifier: ProgressNotifier) -> None:
    listeners = [
        Listener(notifier, UP, STREAM),
        Listener(notifier, DOWN, STREAM),
        Listener(notifier, DOWN, OUTSTANDING),
    ]
    assert len({listener.token for listener in listeners}) == 3
    notifier.push(ProgressValues(1, 2, 3, 4, 1))
    assert [listener.numbers for listener in listeners] == [[(1, 2)], [(3, 4)], [(3, 4)]]
    notifier.unregister(listeners[1].token)
    notifier.push(ProgressValues(2, 2, 4, 4, 1))
    assert [listener.numbers for listener in listeners] == [[(1, 2), (2, 2)], [(3, 4)], [(3, 4), (4, 4)]]


def test_s25_after_unregistering_nothing_is_called_and_again_is_harmless(notifier: ProgressNotifier) -> None:
    listener = Listener(notifier, UP, STREAM)
    notifier.unregister(listener.token)
    notifier.unregister(listener.token)
    notifier.unregister(0)
    notifier.push(upload(1, 2))
    assert listener.numbers == []


def test_calls_come_in_the_order_of_registration(notifier: ProgressNotifier) -> None:
    order: list[int] = []
    for number in range(5):
        notifier.register(UP, STREAM, lambda _, n=number: order.append(n), at_once, 0)
    notifier.push(upload(1, 2))
    assert order == [0, 1, 2, 3, 4]


def test_registering_inside_a_callback(notifier: ProgressNotifier) -> None:
    inner: list[Listener] = []
    notifier.register(UP, STREAM, lambda _: inner.append(Listener(notifier, UP, OUTSTANDING)), at_once, 0)
    notifier.push(upload(1, 2))
    assert inner[0].numbers == [(1, 2)]


def test_unregistering_inside_the_own_callback(notifier: ProgressNotifier) -> None:
    calls: list[SyncProgress] = []

    def callback(report: SyncProgress) -> None:
        calls.append(report)
        notifier.unregister(token)

    token, _ = notifier.register(UP, STREAM, callback, at_once, 0)
    notifier.push(upload(1, 2))
    notifier.push(upload(2, 2))
    assert len(calls) == 1


def test_a_queued_call_is_dropped_after_unregistering(notifier: ProgressNotifier) -> None:
    queue: list[Callable[[], object]] = []
    calls: list[SyncProgress] = []
    token, _ = notifier.register(UP, STREAM, calls.append, queue.append, 0)
    notifier.push(upload(1, 2))
    notifier.unregister(token)
    for thunk in queue:
        thunk()
    assert calls == []


def test_a_streaming_callback_that_is_late_gets_the_newest_report_only(notifier: ProgressNotifier) -> None:
    queue: list[Callable[[], object]] = []
    calls: list[SyncProgress] = []
    notifier.register(UP, STREAM, calls.append, queue.append, 0)
    for transferred in range(1, 6):
        notifier.push(upload(transferred, 9))
    for thunk in queue:
        thunk()
    assert [report.transferred_bytes for report in calls] == [5]


def test_the_expiring_report_is_always_delivered(notifier: ProgressNotifier) -> None:
    queue: list[Callable[[], object]] = []
    calls: list[SyncProgress] = []
    notifier.register(UP, OUTSTANDING, calls.append, queue.append, 0)
    for transferred in (1, 4, 9):
        notifier.push(upload(transferred, 9))
    for thunk in queue:
        thunk()
    assert [report.transferred_bytes for report in calls] == [1, 4, 9]


def test_a_last_report_that_is_still_queued_is_dropped_after_unregistering(notifier: ProgressNotifier) -> None:
    queue: list[Callable[[], object]] = []
    calls: list[SyncProgress] = []
    token, registration = notifier.register(UP, OUTSTANDING, calls.append, queue.append, 0)
    notifier.push(upload(9, 9))
    assert not notifier.is_registered(token)
    notifier.unregister(token, registration)
    for thunk in queue:
        thunk()
    assert calls == []


def test_reports_of_outstanding_work_wait_in_bounded_number_and_the_last_one_arrives(
    notifier: ProgressNotifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncline.sync.progress._MOST_PENDING", 3)
    queue: list[Callable[[], object]] = []
    calls: list[SyncProgress] = []
    notifier.register(UP, OUTSTANDING, calls.append, queue.append, 0)
    for transferred in range(10):
        notifier.push(upload(transferred, 9))
    assert len(queue) == 3
    for thunk in queue:
        thunk()
    assert [report.transferred_bytes for report in calls] == [0, 1, 9]


def test_s21_an_exception_in_a_callback_hurts_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = ProgressNotifier("/here/dogs.realm")
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    thread = SerialThread("test-progress")
    calls: list[SyncProgress] = []
    threads: list[str] = []

    def fine(report: SyncProgress) -> None:
        calls.append(report)
        threads.append(threading.current_thread().name)

    def broken(report: SyncProgress) -> None:
        raise ValueError("broken callback")

    notifier.register(UP, STREAM, broken, thread.submit, 0)
    notifier.register(UP, STREAM, fine, thread.submit, 0)
    for transferred in (1, 2):
        notifier.push(upload(transferred, 2))
        assert thread.drain(5)
    assert [report.transferred_bytes for report in calls] == [1, 2]
    assert threads == ["test-progress"] * 2
    assert [args.exc_type for args in seen] == [ValueError, ValueError]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "/here/dogs.realm" in caplog.text


def test_guarded_lets_keyboard_interrupts_through() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guarded(interrupt, "test")


@pytest.mark.parametrize(
    ("transferred", "total", "base", "estimate"),
    [(0, 0, 0, 1.0), (10, 10, 0, 1.0), (12, 10, 0, 1.0), (5, 10, 0, 0.5), (15, 20, 10, 0.5), (5, 10, 10, 1.0)],
)
def test_estimates_are_relative_to_the_present_piece_of_work(
    transferred: int, total: int, base: int, estimate: float
) -> None:
    assert transfer_estimate(transferred, total, base) == estimate


def test_estimates_of_outstanding_uploads(notifier: ProgressNotifier) -> None:
    listener = Listener(notifier, UP, OUTSTANDING)
    notifier.push(upload(5, 20))
    notifier.push(upload(15, 40))
    notifier.push(upload(30, 40))
    assert [report.progress_estimate for report in listener.reports] == [0.25, 0.75, 1.0]
    nothing = ProgressNotifier()
    nothing.push(upload(0, 0))
    assert Listener(nothing, UP, OUTSTANDING).reports == [SyncProgress(0, 0, 0.0)]


def test_the_estimate_of_outstanding_downloads_never_goes_backwards(notifier: ProgressNotifier) -> None:
    notifier.push(download(10, 20, base=10))
    listener = Listener(notifier, DOWN, OUTSTANDING)
    for values in ((15, 100), (20, 100)):
        notifier.push(download(*values, base=10))
    assert [report.progress_estimate for report in listener.reports] == [0.0, 0.5, 1.0]


# --- what a protocol session tells a notifier -------------------------------------------------------------------------


def status(counters: SyncCounters, version: int = 1) -> HistoryStatus:
    progress = WireProgress(SaltedVersion(0, 0), DownloadCursor(0, 0), UploadCursor(0, 0))
    return HistoryStatus(version, 0, 0, 0, progress, counters)


def test_numbers_before_the_first_download_are_not_told(notifier: ProgressNotifier) -> None:
    feed = ProgressFeed(notifier, status(SyncCounters(0, 50, 10, 0)))
    feed.push(status(SyncCounters(0, 60, 10, 0)))
    assert notifier.current is None
    feed.has_downloaded = True
    feed.push(status(SyncCounters(0, 60, 10, 90)))
    assert notifier.current == ProgressValues(0, 60, 10, 100, 1, 0, 10)


def test_the_same_numbers_are_told_once(notifier: ProgressNotifier) -> None:
    feed = ProgressFeed(notifier, status(SyncCounters()))
    feed.has_downloaded = True
    listener = Listener(notifier, UP, STREAM)
    for uploadable in (5, 5, 6):
        feed.push(status(SyncCounters(0, uploadable)))
    assert listener.numbers == [(0, 5), (0, 6)]


def test_suspending_in_the_middle_does_not_set_the_estimate_back(notifier: ProgressNotifier) -> None:
    listener = Listener(notifier, UP, STREAM)
    first = ProgressFeed(notifier, status(SyncCounters(100, 100)))
    first.has_downloaded = True
    first.push(status(SyncCounters(100, 200)))
    first.push(status(SyncCounters(150, 200)))
    second = ProgressFeed(notifier, status(SyncCounters(150, 200)))
    second.has_downloaded = True
    second.push(status(SyncCounters(175, 200)))
    assert [report.progress_estimate for report in listener.reports] == [0.0, 0.5, 0.75]


def test_after_a_client_reset_nothing_is_done_before_it_is_done(notifier: ProgressNotifier) -> None:
    up, down = Listener(notifier, UP, STREAM), Listener(notifier, DOWN, STREAM)
    first = ProgressFeed(notifier, status(SyncCounters(900, 900, 900, 0)))
    first.has_downloaded = True
    first.push(status(SyncCounters(900, 900, 900, 0)))
    second = ProgressFeed(notifier, status(SyncCounters(0, 40, 0, 60)))
    second.has_downloaded = True
    second.push(status(SyncCounters(0, 40, 0, 60)))
    for listener in (up, down):
        assert [report.is_complete for report in listener.reports] == [True, False]
        assert [report.progress_estimate for report in listener.reports] == [1.0, 0.0]


STEPS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=20)


@given(steps=STEPS, start=st.integers(0, 19))
def test_transferrable_of_outstanding_work_never_grows_and_the_last_call_ends_it(
    steps: list[tuple[int, int]], start: int
) -> None:
    notifier = ProgressNotifier()
    transferred = 0
    listener: Listener | None = None
    for number, (more, pending) in enumerate(steps):
        if number == min(start, len(steps) - 1):
            listener = Listener(notifier, DOWN, OUTSTANDING)
        transferred += more
        notifier.push(download(transferred, transferred + pending))
    assert listener is not None
    totals = [total for _, total in listener.numbers]
    assert totals == sorted(totals, reverse=True)
    done = [x >= t for x, t in listener.numbers]
    assert True not in done[:-1]
    assert listener.is_registered == (not done[-1])
