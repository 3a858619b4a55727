"""The state of a session, and what stops and starts it (spec/sessions.md §2: S6, S7, S14–S18)."""

from __future__ import annotations

import inspect
import threading

import pytest
from tests.contract.world import FORBIDDEN, PATIENCE_S, World, eventually, session_of

from syncline import (
    ConnectionState,
    OperationAbortedError,
    SyncSession,
    SyncSessionState,
)

ACTIVE, INACTIVE, INVALID = SyncSessionState.ACTIVE, SyncSessionState.INACTIVE, SyncSessionState.INVALID


# --- S6, S7: state ----------------------------------------------------------------------------------------------------


def test_s06_active_when_open_inactive_when_suspended_invalid_when_closed(world: World) -> None:
    realm = world.open()
    session = session_of(realm)
    assert session.state is ACTIVE
    world.settle(realm)
    assert session.state is ACTIVE
    session.suspend()
    assert session.state is INACTIVE
    session.resume()
    assert session.state is ACTIVE
    realm.close()
    assert world.manager.wait_for_sessions_to_terminate(PATIENCE_S)
    assert session.state is INVALID
    with pytest.raises(AttributeError):
        session.state = ACTIVE  # type: ignore[misc]


def test_s06_inactive_while_the_user_is_logged_out(world: World) -> None:
    user = world.user_named("ann")
    realm = world.open(user=user)
    session = session_of(realm)
    user.log_out()
    assert session.state is INACTIVE
    world.log_in("ann")
    assert session.state is ACTIVE
    world.settle(realm)


def test_s06_invalid_after_a_fatal_end_and_the_next_open_has_a_new_session(world: World) -> None:
    realm, session, error = world.end_fatally()
    assert error.is_fatal
    assert session.state is INVALID
    assert session.connection_state is ConnectionState.DISCONNECTED
    assert (session.realm_url, session.parent_user(), session.configuration()) == (None, None, None)
    world.write(realm, 1)
    again = world.open("forbidden", FORBIDDEN)
    assert session_of(again) != session
    assert session_of(realm) == session_of(again), "the Realm that was open has it too"
    assert session.state is INVALID


def test_s06_one_session_that_ends_does_not_end_its_neighbours(world: World) -> None:
    other = world.open("other")
    world.end_fatally()
    world.settle(other)
    assert session_of(other).state is ACTIVE


def test_s06_invalid_once_the_manager_is_closed(world: World) -> None:
    realm = world.open()
    session = session_of(realm)
    world.manager.close()
    assert session.state is INVALID
    world.write(realm, 1)
    assert world.numbers(realm) == [1]


def test_s07_the_state_is_read_not_observed(world: World) -> None:
    session = session_of(world.open())
    observers = {name for name, _ in inspect.getmembers(SyncSession) if "observe" in name or name.endswith("_states")}
    assert observers == {"observe_connection_state", "connection_states"}
    assert "not observable" in inspect.getdoc(SyncSession.state)  # type: ignore[operator]
    seen: list[SyncSessionState] = []
    with session.observe_connection_state(lambda old, new: seen.append(session.state)):
        session.suspend()
        assert session.state is INACTIVE, "at once, whatever an observer has seen by then"


# --- S14, S15: suspend ------------------------------------------------------------------------------------------------


def test_s14_suspending_stops_and_disconnects_while_the_file_goes_on(world: World) -> None:
    a, b = world.open("a"), world.open("b")
    world.settle(a, b)
    session = session_of(a)
    bound = world.bound_realms()
    world.write(b, 1)
    world.settle(b, a)
    seen: list[tuple[ConnectionState, ConnectionState]] = []
    told = threading.Event()

    def observe(old: ConnectionState, new: ConnectionState) -> None:
        seen.append((old, new))
        told.set()

    with session.observe_connection_state(observe):
        session.suspend()
        assert session.state is INACTIVE
        assert session.connection_state is ConnectionState.DISCONNECTED
        assert told.wait(PATIENCE_S)
        assert seen == [(ConnectionState.CONNECTED, ConnectionState.DISCONNECTED)]
    world.write(a, 2)
    world.write(b, 3)
    session_of(b).wait_for_upload(PATIENCE_S)
    assert world.numbers(a) == [1, 2]
    assert world.numbers(b) == [1, 3]
    assert world.bound_realms() == bound, "one Realm, bound by the other device"


def test_s14_the_server_sees_the_session_go(world: World) -> None:
    """By UNBIND: the connection itself lingers for half a minute."""
    realm = world.open()
    world.settle(realm)
    bound = world.bound_realms()
    session_of(realm).suspend()
    eventually(lambda: world.bound_realms() == bound - 1, "UNBIND")


def test_s14_waits_are_aborted_and_later_ones_stay(world: World) -> None:
    realm = world.open()
    world.settle(realm)
    session = session_of(realm)
    ends: list[Exception | None] = []
    with world.silence():
        world.write(realm, 1)
        session.on_upload_complete(ends.append)
        session.suspend()
        eventually(lambda: ends, "the end of the wait")
    assert isinstance(ends[0], OperationAbortedError)
    session.on_upload_complete(ends.append)
    session.suspend()  # again: nothing
    assert len(ends) == 1
    session.resume()
    eventually(lambda: len(ends) == 2, "the end of the second wait")
    assert ends[1] is None


def test_s14_waits_end_with_the_session_also_if_it_is_suspended(world: World) -> None:
    realm = world.open()
    world.settle(realm)
    session = session_of(realm)
    session.suspend()
    ends: list[Exception | None] = []
    session.on_upload_complete(ends.append)
    session.on_download_complete(ends.append)
    realm.close()
    eventually(lambda: len(ends) == 2, "the end of the waits")
    assert [type(end) for end in ends] == [OperationAbortedError] * 2


def test_s14_suspending_a_logged_out_session_changes_nothing_else(world: World) -> None:
    user = world.user_named("ann")
    realm = world.open(user=user)
    world.settle(realm)
    session = session_of(realm)
    user.log_out()
    ends: list[Exception | None] = []
    session.on_upload_complete(ends.append)
    session.suspend()
    world.log_in("ann")
    world.manager.notify_thread.drain(PATIENCE_S)
    assert ends == [], "a wait stays"
    session.resume()
    eventually(lambda: ends, "the end of the wait")
    assert ends == [None]


def test_s15_only_resume_ends_a_suspension(world: World) -> None:
    user = world.user_named("ann")
    realm = world.open(user=user)
    world.settle(realm)
    session = session_of(realm)
    bound = world.bound_realms()
    session.suspend()
    eventually(lambda: world.bound_realms() == bound - 1, "UNBIND")
    second = world.open(user=user)
    assert session_of(second) is session
    session.reconnect()
    world.manager.reconnect()
    world.manager.network_reachability_changed(False)
    world.manager.network_reachability_changed(True)
    world.manager.custom_request_headers = {"X-Test": "1"}
    user.log_out()
    world.log_in("ann")
    second.close()
    neighbour = world.open("neighbour", "/~/others", user=user)  # connects, so that the rest would have had the time
    world.settle(neighbour)
    assert session.state is INACTIVE
    assert session.connection_state is ConnectionState.DISCONNECTED
    assert world.bound_realms() == bound, "the neighbour alone"
    session.resume()
    world.settle(realm)


def test_s15_closing_the_file_and_opening_it_again_ends_a_suspension(world: World) -> None:
    realm = world.open()
    second = world.open()
    world.settle(realm)
    session = session_of(realm)
    session.suspend()
    world.write(realm, 1)
    second.close()
    assert session.state is INACTIVE
    realm.close()
    assert session.state is INVALID
    again = world.open()
    assert session_of(again).state is ACTIVE
    other = world.open("b")
    world.settle(again, other)
    assert world.numbers(other) == [1]


def test_s15_a_logged_out_session_that_was_suspended_is_not_started_by_the_login(world: World) -> None:
    user = world.user_named("ann")
    realm = world.open(user=user)
    session = session_of(realm)
    user.log_out()
    session.suspend()
    world.log_in("ann")
    assert session.state is INACTIVE
    session.resume()
    assert session.state is ACTIVE
    world.settle(realm)


# --- S16, S17: resume -------------------------------------------------------------------------------------------------


def test_s16_after_resuming_what_was_written_in_between_travels_both_ways(world: World) -> None:
    a, b = world.open("a"), world.open("b")
    world.settle(a, b)
    with session_of(a).suspended():
        world.write(a, 1)
        world.write(b, 2)
        session_of(b).wait_for_upload(PATIENCE_S)
    assert session_of(a).state is ACTIVE
    world.settle(a, b)
    assert world.numbers(a) == world.numbers(b) == [1, 2]
    assert session_of(a).connection_state is ConnectionState.CONNECTED


def test_s16_resuming_while_logged_out_waits_for_the_login(world: World) -> None:
    user = world.user_named("ann")
    realm = world.open(user=user)
    session = session_of(realm)
    session.suspend()
    user.log_out()
    session.resume()
    assert session.state is INACTIVE
    world.log_in("ann")
    assert session.state is ACTIVE
    world.settle(realm)


def test_s17_resuming_an_active_session_does_nothing(world: World) -> None:
    realm = world.open()
    world.settle(realm)
    session = session_of(realm)
    seen: list[object] = []
    with session.observe_connection_state(lambda old, new: seen.append(new)):
        session.resume()
        session.resume()
        session.wait_for_download(PATIENCE_S)
        assert session.state is ACTIVE
    assert seen == []


def test_s17_resuming_an_invalid_session_does_nothing(world: World) -> None:
    realm, session, _ = world.end_fatally()
    closed = world.open("closed")
    ended = session_of(closed)
    closed.close()
    assert world.manager.wait_for_sessions_to_terminate(PATIENCE_S)
    for one in (session, ended):
        one.resume()
        one.suspend()
        one.reconnect()
        assert one.state is INVALID
        assert one.connection_state is ConnectionState.DISCONNECTED
    assert world.numbers(realm) == []


# --- S18: born active -------------------------------------------------------------------------------------------------


def test_s18_a_new_session_is_active_at_once_also_offline(world: World) -> None:
    user = world.user
    with world.downtime():
        realm = world.open(user=user)
        session = session_of(realm)
        assert session.state is ACTIVE
        world.write(realm, 1)
        assert session.connection_state is not ConnectionState.CONNECTED
    assert session.state is ACTIVE
    session.reconnect()
    session.wait_for_upload(PATIENCE_S)


def test_s18_of_a_logged_out_user_it_is_inactive_until_the_login(world: World) -> None:
    user = world.user_named("ann")
    user.log_out()
    realm = world.open(user=user)
    session = session_of(realm)
    assert session.state is INACTIVE
    fired = threading.Event()
    session.on_download_complete(lambda error: fired.set() if error is None else None)
    assert not fired.is_set()
    world.log_in("ann")
    assert session.state is ACTIVE
    assert fired.wait(PATIENCE_S)
