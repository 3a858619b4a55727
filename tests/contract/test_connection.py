"""The state of the connection, and those who watch it (spec/sessions.md §2: S8–S10)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from tests.contract.world import PATIENCE_S, World, eventually, session_of

from syncline import (
    ConnectionState,
    InvalidSessionError,
    NotificationToken,
    SyncCredentials,
    SyncSession,
    SyncStopPolicy,
    SyncUser,
)
from syncline.testing.live.proxy import Proxies, Proxy
from syncline.testing.processes import ServerProcess

DISCONNECTED, CONNECTING, CONNECTED = ConnectionState
Change = tuple[ConnectionState, ConnectionState]
START: list[Change] = [(DISCONNECTED, CONNECTING), (CONNECTING, CONNECTED)]


@pytest.fixture
def relay(server: ServerProcess) -> Iterator[Proxy]:
    """A relay to the server, whose connections can be cut."""
    proxies = Proxies("127.0.0.1", server.port)
    yield proxies.open()
    proxies.close()


def through(world: World, relay: Proxy) -> SyncUser:
    """A user who is connected by the relay."""
    return world.manager.log_in(SyncCredentials.access_token("t", "dev"), f"ws://127.0.0.1:{relay.port}")


def gap_free(changes: list[Change]) -> bool:
    """Each change begins where the one before ended, and is one."""
    follows = all(before[1] is after[0] for before, after in pairwise(changes))
    return follows and all(old is not new for old, new in changes)


# --- S8: read ---------------------------------------------------------------------------------------------------------


def test_s08_disconnected_connecting_connected(world: World) -> None:
    user = world.user
    with world.silence():  # the kernel accepts, nobody answers
        session = session_of(world.open(user=user))
        eventually(lambda: session.connection_state is CONNECTING, "connecting")
    eventually(lambda: session.connection_state is CONNECTED, "the connection")
    session.suspend()
    assert session.connection_state is DISCONNECTED
    with pytest.raises(AttributeError):
        session.connection_state = CONNECTED  # type: ignore[misc]


@pytest.mark.parametrize("by", ["the session", "the manager", "the network"])
def test_s08_a_lost_connection_is_disconnected_and_comes_back(world: World, relay: Proxy, by: str) -> None:
    """By itself after a while, at once if it is told to."""
    realm = world.open("a", f"/relayed/{by.replace(' ', '-')}", user=through(world, relay))
    world.settle(realm)
    session = session_of(realm)
    changes: list[Change] = []
    with session.observe_connection_state(lambda old, new: changes.append((old, new))):
        relay.cut()
        eventually(lambda: changes, "the loss")
        match by:
            case "the session":
                session.reconnect()
            case "the manager":
                world.manager.reconnect()
            case "the network":
                world.manager.network_reachability_changed(True)
        eventually(lambda: len(changes) == 3, "the new connection")
    assert changes == [(CONNECTED, DISCONNECTED), *START]
    world.write(realm, 1)
    world.settle(realm)


def test_s08_the_state_is_the_sessions_own(world: World) -> None:
    """Two sessions share a connection; one of them leaves."""
    a, b = world.open("a", "/~/a"), world.open("b", "/~/b")
    world.settle(a, b)
    session_of(a).suspend()
    assert session_of(a).connection_state is DISCONNECTED
    assert session_of(b).connection_state is CONNECTED


# --- S9: observed -----------------------------------------------------------------------------------------------------


def test_s09_every_change_is_told_old_and_new(world: World) -> None:
    realm = world.open()
    session = session_of(realm)
    world.settle(realm)
    changes: list[Change] = []
    token = session.observe_connection_state(lambda old, new: changes.append((old, new)))
    assert isinstance(token, NotificationToken)
    assert changes == [], "nothing is told at registration"
    for _ in range(3):
        session.suspend()
        session.resume()
        world.settle(realm)
    eventually(lambda: len(changes) == 9, "nine changes")
    assert changes == [(CONNECTED, DISCONNECTED), *START] * 3
    token.invalidate()
    token.invalidate()
    session.suspend()
    world.manager.notify_thread.drain(PATIENCE_S)
    assert len(changes) == 9


def test_s09_a_session_that_joins_a_connection_sees_both_steps(world: World) -> None:
    world.settle(world.open("first", "/~/first"))
    realm = world.open("second", "/~/second")
    session = session_of(realm)
    session.suspend()
    changes: list[Change] = []
    with session.observe_connection_state(lambda old, new: changes.append((old, new))):
        session.resume()
        eventually(lambda: changes and changes[-1][1] is CONNECTED, "the connection")
    assert changes[-2:] == START
    assert gap_free(changes)


def test_s09_several_observers_in_order_that_come_and_go_in_the_middle(world: World) -> None:
    realm = world.open()
    world.settle(realm)
    session = session_of(realm)
    told: list[str] = []
    tokens: dict[str, NotificationToken] = {}

    def first(old: ConnectionState, new: ConnectionState) -> None:
        told.append("first")
        tokens["first"].invalidate()
        tokens["second"].invalidate()
        tokens["late"] = session.observe_connection_state(lambda old, new: told.append(f"late {new.name}"))

    tokens["first"] = session.observe_connection_state(first)
    tokens["second"] = session.observe_connection_state(lambda old, new: told.append("second"))
    tokens["third"] = session.observe_connection_state(lambda old, new: told.append(f"third {new.name}"))
    session.suspend()
    eventually(lambda: len(told) == 2, "the first change")
    session.resume()
    eventually(lambda: len(told) == 6, "the next changes")
    for token in tokens.values():
        token.invalidate()
    assert told == [
        "first",
        "third DISCONNECTED",
        "third CONNECTING",
        "late CONNECTING",
        "third CONNECTED",
        "late CONNECTED",
    ]


def test_s09_logging_out_is_told_and_the_observer_stays(world: World) -> None:
    user = world.user_named("ann")
    realm = world.open(user=user)
    world.settle(realm)
    changes: list[Change] = []
    with session_of(realm).observe_connection_state(lambda old, new: changes.append((old, new))):
        user.log_out()
        world.log_in("ann")
        world.settle(realm)
        eventually(lambda: len(changes) == 3, "three changes")
    assert changes == [(CONNECTED, DISCONNECTED), *START]


def test_s09_a_chain_without_gaps_whoever_stops_and_starts(world: World) -> None:
    realm = world.open()
    session = session_of(realm)
    world.settle(realm)
    changes: list[Change] = []

    def restless(session: SyncSession) -> None:
        for _ in range(25):
            session.suspend()
            session.resume()

    with session.observe_connection_state(lambda old, new: changes.append((old, new))):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(restless, [session] * 4))
        world.settle(realm)
        world.manager.notify_thread.drain(PATIENCE_S)
    assert gap_free(changes)
    assert changes[0][0] is CONNECTED
    assert changes[-1][1] is CONNECTED


def test_s09_as_an_asynchronous_iterator(world: World) -> None:
    realm = world.open()
    session = session_of(realm)
    world.settle(realm)

    async def collect() -> list[Change]:
        changes: list[Change] = []
        async for change in session.connection_states():
            changes.append(change)
            if change[1] is CONNECTED:
                break
        return changes

    async def main() -> list[Change]:
        collecting = asyncio.create_task(collect())
        await asyncio.sleep(0)  # the loop has begun, and with it the observation
        await asyncio.to_thread(session.suspend)
        await asyncio.to_thread(session.resume)
        return await collecting

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE_S)) == [(CONNECTED, DISCONNECTED), *START]


def test_s09_as_something_to_await(world: World) -> None:
    session = session_of(world.open())

    async def main() -> None:
        await session.wait_for_connection_state(CONNECTED, PATIENCE_S)
        await session.wait_for_connection_state(CONNECTED, PATIENCE_S)  # it is already
        with pytest.raises(TimeoutError):
            await session.wait_for_connection_state(DISCONNECTED, 0.01)
        waiting = asyncio.create_task(session.wait_for_connection_state(DISCONNECTED, PATIENCE_S))
        await asyncio.sleep(0)
        await asyncio.to_thread(session.suspend)
        await waiting

    asyncio.run(main())


def test_s09_who_waits_hears_of_the_end_of_the_session(world: World) -> None:
    """An iteration is over, after the last change; a state that will not come is an error."""
    realm = world.open(stop_policy=SyncStopPolicy.IMMEDIATELY)
    world.settle(realm)
    session = session_of(realm)

    async def collect() -> list[Change]:
        return [change async for change in session.connection_states()]

    async def main() -> list[Change]:
        collecting = asyncio.create_task(collect())
        waiting = asyncio.create_task(session.wait_for_connection_state(CONNECTING))
        await asyncio.sleep(0)
        realm.close()
        with pytest.raises(InvalidSessionError, match="ended before"):
            await waiting
        return await collecting

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE_S)) == [(CONNECTED, DISCONNECTED)]

    async def too_late() -> None:
        with pytest.raises(InvalidSessionError):
            await session.wait_for_connection_state(DISCONNECTED)
        with pytest.raises(InvalidSessionError):
            await anext(session.connection_states())

    asyncio.run(too_late())


# --- S10: where observers run -----------------------------------------------------------------------------------------


def test_s10_observers_run_on_a_thread_of_their_own(world: World) -> None:
    realm = world.open()
    world.settle(realm)
    session = session_of(realm)
    threads: list[threading.Thread] = []
    with session.observe_connection_state(lambda old, new: threads.append(threading.current_thread())):
        session.suspend()
        session.resume()
        eventually(lambda: len(threads) == 3, "three calls")
    assert {thread.name for thread in threads} == {"syncline-notify"}
    assert threading.current_thread() not in threads


def test_s10_or_where_the_application_wants_them(world: World) -> None:
    realm = world.open()
    world.settle(realm)
    session = session_of(realm)
    names: list[str] = []
    with (
        ThreadPoolExecutor(1, thread_name_prefix="mine") as pool,
        session.observe_connection_state(lambda old, new: names.append(threading.current_thread().name), executor=pool),
    ):
        session.suspend()
        eventually(lambda: names, "the call")
    assert names == ["mine_0"]

    async def main() -> bool:
        called = asyncio.Event()
        inside: list[bool] = []

        async def observe(old: ConnectionState, new: ConnectionState) -> None:
            inside.append(asyncio.get_running_loop() is loop)
            called.set()

        loop = asyncio.get_running_loop()
        with session.observe_connection_state(observe):
            await asyncio.to_thread(session.resume)
            await asyncio.wait_for(called.wait(), PATIENCE_S)
        return inside[0]

    assert asyncio.run(main())


def test_s10_an_observer_that_fails_or_dawdles_stops_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    realm = world.open()
    world.settle(realm)
    session = session_of(realm)
    release = threading.Event()
    changes: list[Change] = []

    def fail(old: ConnectionState, new: ConnectionState) -> None:
        release.wait(PATIENCE_S)
        raise RuntimeError("an observer of the application")

    with (
        session.observe_connection_state(fail),
        session.observe_connection_state(lambda old, new: changes.append((old, new))),
    ):
        session.suspend()
        session.resume()
        world.write(realm, 1)
        eventually(lambda: session.connection_state is CONNECTED, "the connection, although an observer hangs")
        assert changes == []
        release.set()
        eventually(lambda: len(changes) == 3, "the calls")
    assert changes == [(CONNECTED, DISCONNECTED), *START]
    assert len(failures) == 3
