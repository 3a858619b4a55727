"""Progress notifications (spec/sessions.md §2: S19–S32)."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.contract.world import (
    DOWNLOAD,
    FOREVER,
    OUTSTANDING,
    PATIENCE_S,
    UPLOAD,
    Item,
    Report,
    World,
    eventually,
    session_of,
)

from syncline import (
    ProgressDirection,
    ProgressMode,
    ProgressNotificationToken,
    Realm,
    SyncProgress,
    SyncSession,
    SyncSessionState,
    SyncTimeoutOptions,
)

BOTH_DIRECTIONS = pytest.mark.parametrize("direction", [UPLOAD, DOWNLOAD], ids=lambda one: one.name.lower())
BOTH_MODES = pytest.mark.parametrize("mode", [FOREVER, OUTSTANDING], ids=lambda one: one.name.lower())


class Calls(list[Report]):
    """A callback that keeps what it is told, and where it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[threading.Thread] = set()

    def __call__(self, transferred: int, transferrable: int) -> None:
        self.threads.add(threading.current_thread())
        self.append((transferred, transferrable))

    @property
    def is_over(self) -> bool:
        """Whether the last report says that all is transferred."""
        return bool(self) and self[-1][0] >= self[-1][1]


def drained(world: World) -> None:
    """Every report that was under way has been delivered."""
    assert world.manager.progress_thread.drain(PATIENCE_S)


def caught_up(world: World, *numbers: int) -> tuple[Realm, SyncSession]:
    """A Realm that has synced some items, with its session."""
    realm = world.open()
    world.write(realm, *(numbers or range(20)), text="x" * 100)
    world.settle(realm)
    return realm, session_of(realm)


# --- S19, S20: registering --------------------------------------------------------------------------------------------


@BOTH_DIRECTIONS
@BOTH_MODES
def test_s19_registering_returns_a_token(world: World, direction: ProgressDirection, mode: ProgressMode) -> None:
    session = session_of(world.open())
    session.suspend()
    token = session.add_progress_notification(direction, mode, Calls())
    assert isinstance(token, ProgressNotificationToken)
    assert token.is_valid
    token.invalidate()


def test_s20_several_callbacks_of_all_kinds_at_once(world: World) -> None:
    a, b = world.open("a"), world.open("b")
    world.settle(a, b)
    session = session_of(a)
    session.suspend()
    world.write(a, *range(100), text="x" * 200)
    world.write(b, *range(1000, 1050), text="y" * 200)
    session_of(b).wait_for_upload(PATIENCE_S)
    calls = {(direction, mode): Calls() for direction in ProgressDirection for mode in ProgressMode}
    twin = Calls()
    tokens = [session.add_progress_notification(*kind, one) for kind, one in calls.items()]
    tokens.append(session.add_progress_notification(UPLOAD, FOREVER, twin))
    session.resume()
    world.settle(a)
    eventually(lambda: all(one.is_over for one in calls.values()), "the end of all")
    drained(world)
    for kind, one in calls.items():
        assert one, kind
        transferred = [report[0] for report in one]
        assert transferred == sorted(transferred), kind
    assert twin[-1] == calls[UPLOAD, FOREVER][-1]
    assert calls[UPLOAD, OUTSTANDING][-1][1] >= 100 * 200
    assert calls[DOWNLOAD, FOREVER][-1][0] >= 50 * 200
    for token in tokens:
        if token is not None:
            token.invalidate()


def test_s20_one_ends_the_others_go_on(world: World) -> None:
    realm, session = caught_up(world)
    ended, staying = Calls(), Calls()
    first = session.add_progress_notification(UPLOAD, FOREVER, ended)
    second = session.add_progress_notification(UPLOAD, FOREVER, staying)
    assert first is not None
    assert second is not None
    drained(world)
    first.invalidate()
    before = len(ended)
    world.write(realm, 100)
    world.settle(realm)
    drained(world)
    assert len(ended) == before
    assert len(staying) > before
    second.invalidate()


# --- S21: where callbacks run -----------------------------------------------------------------------------------------


def test_s21_callbacks_have_a_background_queue_of_their_own(world: World) -> None:
    _, session = caught_up(world)
    calls = Calls()
    with session.progress_notification(UPLOAD, FOREVER, calls):
        drained(world)
    assert {thread.name for thread in calls.threads} == {"syncline-progress"}
    assert threading.current_thread() not in calls.threads


def test_s21_a_slow_callback_does_not_hold_up_the_session(world: World) -> None:
    a, session = caught_up(world)
    b = world.open("b")
    entered, release = threading.Event(), threading.Event()

    def dawdle(transferred: int, transferrable: int) -> None:
        entered.set()
        release.wait(PATIENCE_S)

    with session.progress_notification(DOWNLOAD, FOREVER, dawdle):
        assert entered.wait(PATIENCE_S)
        world.write(b, 1000)
        session_of(b).wait_for_upload(PATIENCE_S)
        eventually(lambda: 1000 in world.numbers(a), "the download")
        world.write(a, 2000)
        eventually(lambda: 2000 in world.numbers(b), "the upload")
        release.set()


def test_s21_a_callback_that_fails_keeps_its_registration(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    realm, session = caught_up(world)
    other = Calls()

    def fail(transferred: int, transferrable: int) -> None:
        raise RuntimeError("a callback of the application")

    with session.progress_notification(UPLOAD, FOREVER, fail), session.progress_notification(UPLOAD, FOREVER, other):
        drained(world)
        before = len(failures)
        assert before == 1
        world.write(realm, 100)
        world.settle(realm)
        drained(world)
        assert len(failures) > before
        assert other.is_over


def test_s21_or_where_the_application_wants_them(world: World) -> None:
    _, session = caught_up(world)
    calls = Calls()
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        token = session.add_progress_notification(UPLOAD, FOREVER, calls, executor=pool)
        assert token is not None
        token_calls = pool.submit(lambda: list(calls)).result(PATIENCE_S)
        token.invalidate()
    assert len(token_calls) == 1
    assert {thread.name for thread in calls.threads} == {"mine_0"}


# --- S22, S23: the first call -----------------------------------------------------------------------------------------


@BOTH_DIRECTIONS
@BOTH_MODES
def test_s22_with_known_numbers_the_first_call_comes_at_once(
    world: World, direction: ProgressDirection, mode: ProgressMode
) -> None:
    world.manager.timeout_options = SyncTimeoutOptions(ping_keepalive_period=3_600_000)  # no ping comes between
    _, session = caught_up(world)
    traffic = world.manager.traffic.sent
    calls = Calls()
    with session.progress_notification(direction, mode, calls):
        drained(world)  # it was queued before the registration returned
        assert len(calls) == 1
        assert calls.is_over
    assert world.manager.traffic.sent == traffic, "nothing was asked for"


def test_s22_also_while_offline_after_a_time_online(world: World) -> None:
    realm, session = caught_up(world)
    session.suspend()
    world.write(realm, 100)
    calls = Calls()
    with session.progress_notification(DOWNLOAD, FOREVER, calls):
        drained(world)
        assert len(calls) == 1


@BOTH_DIRECTIONS
def test_s23_without_numbers_the_first_call_comes_with_them(world: World, direction: ProgressDirection) -> None:
    user = world.user
    calls = Calls()
    with world.silence():
        realm = world.open(user=user)
        world.write(realm, *range(50), text="x" * 100)
        session = session_of(realm)
        token = session.add_progress_notification(direction, FOREVER, calls)
        assert token is not None
        drained(world)
        assert calls == []
    world.settle(realm)
    eventually(lambda: calls.is_over, "the first call")
    if direction is UPLOAD:
        assert calls[0][1] >= 50 * 100, "what was written offline is in the first total"
    token.invalidate()


# --- S24–S26: the token -----------------------------------------------------------------------------------------------


def test_s24_calls_go_on_as_long_as_the_token_is_kept(world: World) -> None:
    realm, session = caught_up(world)
    calls = Calls()
    token = session.add_progress_notification(UPLOAD, FOREVER, calls)
    for number in range(100, 105):
        before = len(calls)
        gc.collect()
        world.write(realm, number)
        world.settle(realm)
        eventually(lambda before=before: len(calls) > before and calls.is_over, "a report")  # type: ignore[misc]
    assert token is not None
    assert token.is_valid
    token.invalidate()


def test_s24_a_token_that_is_dropped_ends_the_calls(world: World) -> None:
    realm, session = caught_up(world)
    calls = Calls()
    with pytest.warns(ResourceWarning, match="keep the token"):
        session.add_progress_notification(UPLOAD, FOREVER, calls)  # nobody keeps what it returns
    drained(world)
    before = len(calls)
    assert before <= 1
    world.write(realm, 100)
    world.settle(realm)
    drained(world)
    assert len(calls) == before


def test_s25_after_invalidate_nothing_is_called(world: World) -> None:
    realm, session = caught_up(world)
    calls = Calls()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        token = session.add_progress_notification(UPLOAD, FOREVER, calls)
        assert token is not None
        drained(world)
        token.invalidate()
        token.invalidate()
        assert not token.is_valid
        del token
        gc.collect()
    before = list(calls)
    world.write(realm, 100)
    world.settle(realm)
    drained(world)
    assert calls == before


def test_s25_inside_the_callback_and_in_the_queue(world: World) -> None:
    realm, session = caught_up(world)
    tokens: list[ProgressNotificationToken] = []
    told: list[str] = []
    registered = threading.Event()

    def first(transferred: int, transferrable: int) -> None:
        registered.wait(PATIENCE_S)
        told.append("first")
        for token in tokens:
            token.invalidate()

    for callback in (first, lambda transferred, transferrable: told.append("second")):
        token = session.add_progress_notification(UPLOAD, FOREVER, callback)
        assert token is not None
        tokens.append(token)
    registered.set()
    drained(world)
    world.write(realm, 100)
    world.settle(realm)
    drained(world)
    assert told == ["first"], "the second call was in the queue already, and is dropped"


def test_s25_as_context_managers(world: World) -> None:
    _, session = caught_up(world)
    token = session.add_progress_notification(UPLOAD, FOREVER, Calls())
    assert token is not None
    with token:
        assert token.is_valid
    assert not token.is_valid
    with session.progress_notification(UPLOAD, FOREVER, Calls()) as token:
        assert token is not None
        assert token.is_valid
    assert not token.is_valid
    with session.progress_notification(UPLOAD, OUTSTANDING, Calls()) as token:
        assert token is None


@BOTH_DIRECTIONS
def test_s26_without_a_token_there_is_no_further_call(world: World, direction: ProgressDirection) -> None:
    a, session = caught_up(world)
    calls = Calls()
    assert session.add_progress_notification(direction, OUTSTANDING, calls) is None
    b = world.open("b")
    world.write(a, 100)
    world.write(b, 200)
    world.settle(a, b)
    world.settle(a)
    session.suspend()
    session.resume()
    world.settle(a)
    drained(world)
    assert len(calls) == 1


# --- S27, S28: when there is none -------------------------------------------------------------------------------------


@BOTH_DIRECTIONS
@BOTH_MODES
def test_s27_a_session_that_ended_fatally_takes_no_callback(
    world: World, direction: ProgressDirection, mode: ProgressMode
) -> None:
    _, session, error = world.end_fatally()
    assert error.is_fatal
    calls = Calls()
    assert session.add_progress_notification(direction, mode, calls) is None
    drained(world)
    assert calls == []


def test_s27_nor_does_one_whose_realm_is_closed(world: World) -> None:
    realm, session = caught_up(world)
    calls = Calls()
    token = session.add_progress_notification(UPLOAD, FOREVER, calls)
    assert token is not None
    drained(world)
    realm.close()
    assert world.manager.wait_for_sessions_to_terminate(PATIENCE_S)
    assert session.state is SyncSessionState.INVALID
    before = len(calls)
    assert session.add_progress_notification(UPLOAD, FOREVER, calls) is None
    drained(world)
    assert len(calls) == before
    token.invalidate()


def test_s27_suspension_is_no_reason(world: World) -> None:
    realm, session = caught_up(world)
    session.suspend()
    world.write(realm, 100)
    calls = Calls()
    token = session.add_progress_notification(UPLOAD, OUTSTANDING, calls)
    assert token is not None
    session.resume()
    world.settle(realm)
    eventually(lambda: calls.is_over, "the last report")
    assert not token.is_valid


@BOTH_DIRECTIONS
def test_s28_when_nothing_is_outstanding_there_is_one_call_and_no_token(
    world: World, direction: ProgressDirection
) -> None:
    _, session = caught_up(world)
    calls = Calls()
    assert session.add_progress_notification(direction, OUTSTANDING, calls) is None
    drained(world)
    assert len(calls) == 1
    assert calls.is_over


# --- S29–S31: the parameters ------------------------------------------------------------------------------------------


def test_s29_each_direction_has_its_own_numbers(world: World) -> None:
    a, b = world.open("a"), world.open("b")
    world.write(a, *range(100), text="x" * 100)
    world.settle(a, b)
    sent, received = Calls(), Calls()
    with (
        session_of(a).progress_notification(UPLOAD, FOREVER, sent),
        session_of(b).progress_notification(DOWNLOAD, FOREVER, received),
        session_of(a).progress_notification(DOWNLOAD, FOREVER, none := Calls()),
    ):
        drained(world)
    assert sent[-1][0] >= 100 * 100
    assert received[-1][0] >= 100 * 100
    assert none[-1][0] < 100 * 100, "its own changes do not come back"
    with pytest.raises(ValueError, match="7"):
        session_of(a).add_progress_notification(7, FOREVER, sent)  # type: ignore[arg-type]


def test_s30_forever_reports_what_comes_later_too(world: World) -> None:
    realm, session = caught_up(world)
    calls = Calls()
    with session.progress_notification(UPLOAD, FOREVER, calls) as token:
        drained(world)
        first = calls[-1]
        world.write(realm, *range(100, 120), text="x" * 100)
        world.settle(realm)
        eventually(lambda: calls[-1][0] > first[0] and calls.is_over, "the later work")
        assert token is not None
        assert token.is_valid


def test_s30_outstanding_work_keeps_its_total_and_ends(world: World) -> None:
    realm, session = caught_up(world)
    session.suspend()
    world.write(realm, *range(100, 200), text="x" * 100)
    calls = Calls()
    token = session.add_progress_notification(UPLOAD, OUTSTANDING, calls)
    assert token is not None
    world.write(realm, *range(200, 210), text="x" * 100)  # not outstanding when it was registered
    session.resume()
    world.settle(realm)
    eventually(lambda: calls.is_over, "the end")
    drained(world)
    assert not token.is_valid
    ends = [transferred >= transferrable for transferred, transferrable in calls]
    assert ends == [False] * (len(calls) - 1) + [True]
    totals = [transferrable for _, transferrable in calls]
    assert totals == sorted(totals, reverse=True), "it never grows"
    count = len(calls)
    world.write(realm, 300)
    world.settle(realm)
    drained(world)
    assert len(calls) == count
    with pytest.raises(ValueError, match="7"):
        session.add_progress_notification(UPLOAD, 7, calls)  # type: ignore[arg-type]


def test_s31_the_callback_gets_what_was_transferred_and_the_total(world: World) -> None:
    """The total, not the rest."""
    realm, session = caught_up(world)
    world.write(realm, *range(100, 200), text="x" * 100)
    calls = Calls()
    with session.progress_notification(UPLOAD, FOREVER, calls):
        world.settle(realm)
        eventually(lambda: calls.is_over, "the end")
    for transferred, transferrable in calls:
        assert type(transferred) is int
        assert type(transferrable) is int
        assert 0 <= transferred <= transferrable
    assert calls[-1][0] == calls[-1][1] >= 100 * 100


def test_s31_or_one_report_with_an_estimate(world: World) -> None:
    _, session = caught_up(world)
    reports: list[SyncProgress] = []

    def callback(report: SyncProgress) -> None:
        reports.append(report)

    callback.with_estimate = True  # type: ignore[attr-defined]
    with session.progress_notification(UPLOAD, FOREVER, callback):
        drained(world)
    assert len(reports) == 1
    assert reports[0].is_complete
    assert reports[0].progress_estimate == 1.0
    assert reports[0].transferred_bytes == reports[0].transferrable_bytes > 0


# --- S32: what is returned --------------------------------------------------------------------------------------------


def test_s32_a_token_while_something_can_be_told_else_none(world: World) -> None:
    realm, session = caught_up(world)
    forever = session.add_progress_notification(DOWNLOAD, FOREVER, Calls())
    assert forever is not None
    assert session.add_progress_notification(DOWNLOAD, OUTSTANDING, Calls()) is None
    session.suspend()
    world.write(realm, 100)
    calls = Calls()
    kept = [session.add_progress_notification(UPLOAD, OUTSTANDING, calls)]
    assert kept[0] is not None
    assert kept[0].is_valid
    session.resume()
    world.settle(realm)
    eventually(lambda: not kept[0].is_valid, "the end of the registration")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept.clear()  # it has expired: dropping it is no mistake
        gc.collect()
    forever.invalidate()


def test_s32_as_an_asynchronous_iterator(world: World) -> None:
    a, _ = caught_up(world, *range(200))
    b = world.open("b")

    async def outstanding() -> list[SyncProgress]:
        return [report async for report in session_of(b).progress(DOWNLOAD, OUTSTANDING)]

    reports = asyncio.run(asyncio.wait_for(outstanding(), PATIENCE_S))
    assert reports[-1].is_complete
    assert [report.is_complete for report in reports[:-1]] == [False] * (len(reports) - 1)
    world.settle(b)
    assert len(b.objects(Item)) == len(a.objects(Item))
    assert len(asyncio.run(asyncio.wait_for(outstanding(), PATIENCE_S))) == 1, "caught up: exactly one report"
