"""The client machine: errors, illegal messages, pings (spec/wire-protocol.md §6.3, §9, §11)."""

from __future__ import annotations

from random import Random

import pytest
from tests.protocol.client_talk import IDENT, Talk, entry, ready, stand

from syncline.protocol import (
    BackoffParameters,
    ClientConnection,
    ClientSettings,
    DisconnectWanted,
    Error,
    ErrorAction,
    LogReceived,
    RttMeasured,
    SessionError,
    SessionResumed,
    Status,
    SyncMode,
    TerminationReason,
    UploadWanted,
)
from syncline.protocol.from_client import build_ping
from syncline.protocol.from_server import (
    build_error,
    build_pong,
    build_server_ident,
    build_unbound,
)
from syncline.protocol.messages import Bind, Ident, Ping, Unbind

# --- errors ----------------------------------------------------------------------------------------------------------


def test_a_fatal_session_error_suspends_until_resumed() -> None:
    talk, session = ready()
    talk.error(206)
    event = talk.one(SessionError)
    assert (event.is_suspended, event.resume_at_ms) == (True, None)
    assert talk.said() == [Unbind(1)]
    assert not talk.machine.wants_connection
    session.resume()
    assert talk.one(SessionResumed).session is session
    assert [type(message) for message in talk.said()] == [Bind, Ident]


def test_a_session_is_bound_again_only_after_unbind_was_written() -> None:
    talk, session = ready()
    talk.error(206)
    session.resume()
    assert [type(message) for message in talk.said()] == [Unbind, Bind, Ident]


def test_a_passing_session_error_resumes_after_a_delay() -> None:
    talk, _ = ready()
    backoff = BackoffParameters(4000, 9000, 2)
    for low, high in ((3000, 4000), (6000, 8000), (6750, 9000)):
        talk.error(201, try_again=True, action=ErrorAction.TRANSIENT, backoff=backoff)
        event = talk.one(SessionError)
        assert event.resume_at_ms is not None
        assert low <= event.resume_at_ms - talk.now <= high
        assert (talk.machine.next_timer() or 0) <= event.resume_at_ms
        assert talk.said() == [Unbind(1)]
        talk.machine.tick(event.resume_at_ms - 1)
        assert talk.machine.events() == []
        talk.now = event.resume_at_ms
        talk.machine.tick(talk.now)
        talk.one(SessionResumed)
        assert Bind(1, "/a", "", False) in talk.said()
        talk.machine.events()


def test_session_closed_always_waits_one_second() -> None:
    talk, _ = ready()
    for _ in range(3):
        talk.error(200, try_again=True, action=ErrorAction.TRANSIENT)
        assert talk.one(SessionError).resume_at_ms == talk.now + 1000
        talk.said()
        talk.now += 1000
        talk.machine.tick(talk.now)
        talk.said()
        talk.machine.events()


def test_legacy_errors_have_no_action() -> None:
    talk, _ = ready()
    talk.hear(build_error(Error(1, 208, "m", False)))
    assert talk.one(SessionError).error.action is None


def test_unknown_codes_suspend_a_session() -> None:
    talk, _ = ready()
    talk.error(321)
    assert talk.one(SessionError).error.code == 321


@pytest.mark.parametrize(("code", "session"), [(101, 1), (208, 0), (999, 0)])
def test_codes_of_the_wrong_level(code: int, session: int) -> None:
    talk, _ = ready()
    talk.error(code, session=session)
    assert "error" in talk.violated()


@pytest.mark.parametrize(
    ("try_again", "reason"), [(True, TerminationReason.TRY_AGAIN_LATER), (False, TerminationReason.DO_NOT_RECONNECT)]
)
def test_connection_errors(try_again: bool, reason: TerminationReason) -> None:
    talk, _ = ready()
    talk.error(100, session=0, try_again=try_again, action=ErrorAction.TRANSIENT)
    event = talk.one(DisconnectWanted)
    assert event.reaction == (Status.CONNECTION_CLOSED, not try_again, ErrorAction.TRANSIENT, reason)
    assert event.error is not None
    assert talk.machine.next_message(0) is None
    talk.machine.disconnected(0)
    talk.connect()
    assert [type(message) for message in talk.said()] == [Bind, Ident]


def test_a_compensating_write_is_reported_when_it_is_undone() -> None:
    talk, session = ready()
    for version in (7, 8):
        talk.error(
            231,
            try_again=True,
            action=ErrorAction.WARNING,
            rejected_client_version=3,
            compensating_write_server_version=version,
        )
    talk.download(stand(6), entry(6))
    talk.download(stand(7), entry(7))
    assert len(talk.machine.events()) == 2
    session.integrated(stand(6), 6)
    assert talk.machine.events() == []
    session.integrated(stand(7), 7)
    event = talk.one(SessionError)
    assert (event.error.compensating_write_server_version, event.is_suspended) == (7, False)
    talk.said()
    talk.machine.disconnected(0)  # the server must send the other one again
    talk.connect()
    talk.said()
    talk.machine.events()
    talk.download(stand(8), entry(8))
    talk.machine.events()
    session.integrated(stand(8), 8)
    assert talk.machine.events() == []


def test_a_changed_schema_version_lets_the_session_go_on() -> None:
    talk, session = ready()
    talk.error(236, try_again=True, action=ErrorAction.MIGRATE_SCHEMA, previous_schema_version=3)
    event = talk.one(SessionError)
    assert (event.error.previous_schema_version, event.is_suspended) == (3, False)
    session.committed(6)
    assert talk.said() == []
    talk.one(UploadWanted)


# --- legality --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        build_server_ident(1, IDENT),
        build_unbound(1),
        b"download 1 0 0 0 0 0 0 0 0 0 0\n",
        b"mark 1 1\n",
        build_error(Error(1, 206, "m", False)),
        build_server_ident(9, IDENT),
        b"mark 9 1\n",
        b"pong 0\n",
        b"test_command 1 1 0\n",
        b"hello 1\n",
        b"download 1 0 0 0 0 0 0 0 0 5 0\nabc",
    ],
)
def test_messages_before_anything_was_sent(data: bytes) -> None:
    talk = Talk()
    talk.bind()
    talk.connect()
    talk.hear(data)
    talk.violated()


def test_messages_of_a_session_that_is_over() -> None:
    for data in (b"mark 1 1\n", build_unbound(1), build_error(Error(1, 206, "m", False))):
        talk, session = ready()
        session.request_mark()
        talk.said()
        talk.error(206)
        talk.machine.events()
        talk.hear(data)
        assert "not legal now" in talk.violated()


def test_an_ident_for_a_file_that_has_one() -> None:
    talk, _ = ready()
    talk.hear(build_server_ident(1, IDENT))
    assert "has one" in talk.violated()


def test_unbound_without_unbind() -> None:
    talk, _ = ready()
    talk.hear(build_unbound(1))
    assert "unbound" in talk.violated()


def test_session_ident_0_is_ignored() -> None:
    talk, _ = ready()
    for data in (b"mark 0 1\n", b"unbound 0\n", b"ident 0 2 3\n", b"download 0 9 9 9 9 9 9 9 0 0 0\n"):
        talk.hear(data)
    assert talk.machine.events() == []


def test_logs_are_for_everyone() -> None:
    talk = Talk()
    talk.connect()
    talk.hear(b'log_message 77 29\n{"level":"warn","msg":"full"}')
    assert talk.one(LogReceived) == (77, "warn", "full", "")


def test_a_session_ident_is_used_once() -> None:
    talk = Talk()
    talk.bind(1)
    for ident in (1, 0, -1):
        with pytest.raises(ValueError, match="session ident"):
            talk.bind(ident)


# --- keeping alive ---------------------------------------------------------------------------------------------------


def next_ping(talk: Talk) -> int:
    due = talk.machine.next_timer()
    assert due is not None
    talk.now = due
    talk.machine.tick(due)
    (ping,) = talk.said()
    assert isinstance(ping, Ping)
    assert ping.timestamp == due
    return ping.rtt


def test_pings_and_pongs() -> None:
    talk, _ = ready()
    assert next_ping(talk) == 0
    assert 0 <= talk.now <= 60_000
    talk.machine.tick(talk.now + 119_999)
    assert talk.machine.events() == []
    sent = talk.now
    talk.now += 250
    talk.hear(build_pong(sent))
    assert talk.one(RttMeasured).rtt_ms == 250
    assert next_ping(talk) == 250
    assert 54_000 <= talk.now - sent <= 60_000


class Extreme(Random):
    """Always the least, or always the most."""

    def __init__(self, most: bool) -> None:
        super().__init__()
        self.most = most

    def randint(self, a: int, b: int) -> int:
        return b if self.most else a


@pytest.mark.parametrize("most", [False, True])
def test_pings_keep_their_bounds(most: bool) -> None:
    """The first within [0, P], the others within [0.9 P, P] of the one before (spec/sessions.md §7.5)."""
    machine = ClientConnection(SyncMode.PBS, Extreme(most), ClientSettings(ping_period_ms=10_000, linger_ms=10**9))
    machine.connected(14, 1_000)
    assert machine.next_timer() == 1_000 + (10_000 if most else 0)
    now = 20_000
    for rtt in (0, 70, 9_500):
        machine.tick(now)
        assert machine.next_message(now) == build_ping(now, machine._rtt)
        machine.receive(build_pong(now), now + rtt)
        due = machine.next_timer()
        assert due == max(now + rtt, now + (9_000 if most else 10_000))
        now = due


def test_no_pong_ends_the_connection() -> None:
    talk, _ = ready()
    next_ping(talk)
    assert talk.machine.next_timer() == talk.now + 120_000
    talk.machine.tick(talk.now + 120_000)
    event = talk.one(DisconnectWanted)
    assert event.reaction.reason is TerminationReason.PONG_TIMEOUT
    assert (event.reaction.is_fatal, event.reaction.action) == (False, ErrorAction.TRANSIENT)


def test_no_pong_is_missed_while_nothing_is_read() -> None:
    talk, _ = ready()
    next_ping(talk)
    sent = talk.now
    talk.machine.stop_reading()
    talk.machine.tick(sent + 500_000)
    assert talk.machine.events() == []
    assert (talk.machine.next_timer() or 1 << 60) > sent + 500_000, "no timer that is over already"
    talk.machine.read_on(sent + 600_000)
    assert talk.machine.next_timer() == sent + 720_000
    talk.now = sent + 700_000
    talk.hear(build_pong(sent))
    assert talk.one(RttMeasured).rtt_ms == 700_000


def test_a_pong_must_fit() -> None:
    talk, _ = ready()
    next_ping(talk)
    talk.hear(build_pong(talk.now + 1))
    assert "pong" in talk.violated()


def test_an_urgent_ping_decides_about_the_backoff() -> None:
    talk, _ = ready()
    talk.machine.reconnect_now(10)
    assert talk.machine.backoff_reset_due
    talk.now = 10
    assert talk.said() == [Ping(10, 0)]
    talk.hear(build_pong(10))
    assert not talk.machine.backoff_reset_due


def test_an_urgent_ping_waits_for_the_one_that_is_under_way() -> None:
    talk, _ = ready()
    next_ping(talk)
    talk.machine.events()
    first = talk.now
    talk.machine.reconnect_now(talk.now)
    talk.hear(build_pong(first))
    assert talk.machine.backoff_reset_due
    assert talk.said() == [Ping(talk.now, 0)]
    talk.machine.disconnected(talk.now)
    assert talk.machine.take_backoff_reset()
    assert not talk.machine.take_backoff_reset()


def test_suspended_sessions_are_resumed_one_by_one() -> None:
    talk, session = ready()
    talk.error(206)
    talk.machine.events()
    talk.said()
    talk.machine.reconnect_now(5)
    assert talk.machine.events() == []
    assert [type(message) for message in talk.said()] == [Ping]
    session.resume()
    talk.one(SessionResumed)
    assert [type(message) for message in talk.said()] == [Bind, Ident]


def test_an_idle_connection_lingers_and_closes() -> None:
    talk, session = ready(linger_ms=500)
    session.unbind()
    talk.said()
    talk.hear(build_unbound(1))
    talk.machine.events()
    assert talk.said() == []
    talk.bind(2)  # somebody comes in time
    talk.said()
    talk.machine.events()
    talk.machine.tick(600)
    assert talk.machine.events() == []
    talk.error(206, session=2)  # suspended sessions do not hold a connection
    talk.machine.events()
    talk.said()
    talk.machine.tick(500)
    assert talk.one(DisconnectWanted).reaction.reason is TerminationReason.VOLUNTARY
