"""When a connection is tried again, and what is not tried again (spec/sessions.md §5.4, §7.4–§7.7)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from syncline.protocol import backoff, messages
from syncline.protocol.backoff import BackoffParameters
from syncline.protocol.errors import ErrorAction, TerminationReason
from syncline.sync import ConnectionState, SyncCredentials, SyncSessionState, SyncTimeoutOptions, connection

DISCONNECTED, CONNECTING, CONNECTED = ConnectionState
TRY_AGAIN = TerminationReason.TRY_AGAIN_LATER
QUICK = BackoffParameters(20, 60_000, 4, 0)
BUSY = messages.Error(0, 100, "busy", True, ErrorAction.TRANSIENT)
STAY_AWAY = messages.Error(0, 100, "enough", False, ErrorAction.TRANSIENT)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delays begin with 20 ms and have no jitter."""
    monkeypatch.setattr(backoff, "DEFAULT_BACKOFF", QUICK)


def turn_away(realm: Any, times: int, error: messages.Error) -> Callable[[], bool]:
    """The next connections end with ``error``; whether all of them did."""
    ended: list[int] = []

    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Bind) and len(ended) < times:
            ended.append(1)
            await realm.fail(peer, error)
            return True
        return False

    realm.before = before
    return lambda: len(ended) == times


def attempts(world: Any) -> Any:
    (one,) = world.manager.client._attempts.values()
    return one


def bound(realm: Any, path: str) -> int:
    return sum(isinstance(message, messages.Bind) and message.path == path for _, message in realm.log)


def test_a_dead_connection_is_replaced_at_once_when_asked_for_but_not_again_and_again(
    world: Any, server: Any, realm: Any
) -> None:
    device = world.device(world.user(server.url))
    world.connected(device)

    async def silent(peer: Any, message: Any) -> bool:
        return isinstance(message, messages.Ping)

    async def refuse(peer: Any) -> None:
        await peer.answer(503)

    realm.before = silent
    server.script(realm.script, refuse)
    device.session.reconnect()
    world.eventually(lambda: "Ping" in realm.kinds())
    server.run(realm.cut())
    world.eventually(lambda: len(server.peers) == 2, 0.7)
    time.sleep(0.3)
    assert len(server.peers) == 2


def test_reconnecting_while_an_attempt_is_under_way_counts_for_what_comes_of_it_once(
    world: Any, server: Any, realm: Any
) -> None:
    release = asyncio.Event()

    async def hang(peer: Any) -> None:
        await release.wait()

    async def refuse(peer: Any) -> None:
        await peer.answer(503)

    server.script(hang, refuse)
    device = world.device(world.user(server.url))
    world.eventually(lambda: server.peers and device.session.connection_state is CONNECTING)
    device.session.reconnect()
    world.manager.client.submit(asyncio.sleep(0)).result(5)  # it has got there
    server.run(_set(release))
    world.eventually(lambda: len(server.peers) == 2, 0.7)
    time.sleep(0.3)
    assert len(server.peers) == 2


async def _set(event: asyncio.Event) -> None:
    event.set()


def test_delays_grow_with_each_failure_of_the_same_kind_also_if_connecting_succeeds(
    world: Any, server: Any, realm: Any, quick: None
) -> None:
    times: list[float] = []

    async def before(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Bind) and len(times) < 4:
            times.append(time.monotonic())
            await realm.fail(peer, BUSY)
            return True
        return False

    realm.before = before
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap >= wanted for gap, wanted in zip(gaps, (0.020, 0.080, 0.320), strict=True))
    assert attempts(world).backoff.failed(TRY_AGAIN) == 20 * 4**4  # being connected did not reset it


def test_the_server_may_say_how_long_to_wait(world: Any, server: Any, realm: Any) -> None:
    turned_away = turn_away(realm, 2, BUSY._replace(backoff=BackoffParameters(3_000, 100_000, 20)))
    device = world.device(world.user(server.url))
    connection = world.eventually(lambda: device.core.protocol.connection)
    world.eventually(lambda: connection.delay() > 0)
    assert not turned_away()
    assert 2.0 < connection.delay() <= 3
    assert [attempts(world).backoff.failed(TRY_AGAIN) for _ in range(2)] == [
        pytest.approx(52_500, 0.15),
        pytest.approx(87_500, 0.15),
    ]


def test_a_connection_that_was_closed_for_want_of_sessions_ends_a_series_of_failures(
    world: Any, server: Any, realm: Any, quick: None
) -> None:
    world.manager.timeout_options = SyncTimeoutOptions(connection_linger_time=1)
    turn_away(realm, 3, BUSY)
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    device.close()
    world.eventually(lambda: not world.manager.client._connections)
    assert attempts(world).backoff.failed(TRY_AGAIN) == 20


def test_a_healthy_connection_keeps_its_back_off_however_often_it_is_checked(
    world: Any, server: Any, realm: Any, quick: None
) -> None:
    turn_away(realm, 3, BUSY)
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    for _ in range(5):
        device.session.reconnect()
    world.eventually(lambda: "Ping" in realm.kinds())
    device.session.wait_for_download(5)
    assert attempts(world).backoff.failed(TRY_AGAIN) == 20 * 4**3
    assert device.session.connection_state is CONNECTED


@pytest.mark.parametrize("how", ["the session", "the manager", "the network"])
def test_told_not_to_reconnect_it_waits_until_the_application_says_so(
    world: Any, server: Any, realm: Any, quick: None, how: str
) -> None:
    turned_away = turn_away(realm, 1, STAY_AWAY)
    device = world.device(world.user(server.url))
    world.eventually(lambda: turned_away() and device.session.connection_state is DISCONNECTED)
    time.sleep(0.1)
    assert len(server.peers) == 1
    match how:
        case "the session":
            device.session.reconnect()
        case "the manager":
            world.manager.reconnect()
        case "the network":
            world.manager.network_reachability_changed(False)
            time.sleep(0.05)
            assert len(server.peers) == 1
            world.manager.network_reachability_changed(True)
    device.session.wait_for_download(5)
    assert attempts(world).backoff.failed(TRY_AGAIN) == 20


def test_told_not_to_reconnect_a_new_token_ends_the_wait_too(world: Any, server: Any, realm: Any, app: Any) -> None:
    turned_away = turn_away(realm, 1, STAY_AWAY)
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    device = world.device(user, path="/~/dogs")
    world.eventually(lambda: turned_away() and device.session.connection_state is DISCONNECTED)
    world.manager.renewal.request(user)
    device.session.wait_for_download(5)


@pytest.mark.parametrize("is_out", [True, False])
def test_told_not_to_reconnect_a_login_ends_the_wait_too_which_brings_a_new_token(
    world: Any, server: Any, realm: Any, app: Any, is_out: bool
) -> None:
    turned_away = turn_away(realm, 1, STAY_AWAY)
    credentials = SyncCredentials.username_password("ann", "secret-1")
    user = world.manager.log_in(credentials, app.url)
    device = world.device(user, path="/~/dogs")
    world.eventually(lambda: turned_away() and device.session.connection_state is DISCONNECTED)
    if is_out:
        user.log_out()
    app._count = int(user.identity, 16) - 1  # the same account
    assert world.manager.log_in(credentials, app.url) is user
    device.session.wait_for_download(5)


def test_reconnecting_one_session_does_not_revive_its_neighbour_that_failed(
    world: Any, server: Any, realm: Any
) -> None:
    realm.fail_once(messages.Bind, messages.Error(0, 201, "no more", False, ErrorAction.WARNING), path="/cats")
    user = world.user(server.url)
    dogs, cats = world.device(user, "a"), world.device(user, "b", path="/cats")
    world.eventually(lambda: world.errors)
    dogs.session.wait_for_download(5)
    dogs.session.reconnect()
    world.eventually(lambda: "Ping" in realm.kinds())
    dogs.session.wait_for_download(5)
    assert cats.session.connection_state is DISCONNECTED
    assert bound(realm, "/cats") == 1
    cats.session.reconnect()
    cats.session.wait_for_download(5)
    assert bound(realm, "/cats") == 2
    assert len(server.peers) == 1


def test_a_new_token_ends_the_wait_of_a_session_that_is_to_try_again(
    world: Any, server: Any, realm: Any, app: Any
) -> None:
    later = messages.Error(0, 201, "later", True, ErrorAction.TRANSIENT, backoff=BackoffParameters(60_000, 60_000, 1))
    realm.fail_once(messages.Ident, later)
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    device = world.device(user, path="/~/dogs")
    world.eventually(lambda: device.core.last_error is not None and device.session.connection_state is DISCONNECTED)
    world.manager.renewal.request(user)
    device.session.wait_for_download(5)


def test_a_session_whose_token_is_refused_goes_on_with_the_next(world: Any, server: Any, realm: Any, app: Any) -> None:
    realm.fail_once(messages.Ident, messages.Error(0, 201, "who are you?", False, ErrorAction.REFRESH_USER))
    device = world.device(world.manager.log_in(SyncCredentials.anonymous(), app.url), path="/~/dogs")
    device.session.wait_for_download(5)
    assert world.errors == []


def test_a_session_that_failed_for_good_is_not_revived_by_a_new_token(
    world: Any, server: Any, realm: Any, app: Any
) -> None:
    realm.fail_once(messages.Ident, messages.Error(0, 201, "no more", False, ErrorAction.WARNING))
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    device = world.device(user, path="/~/dogs")
    world.eventually(lambda: world.errors)
    renewals = len([one for one in app.requests if one == ("POST", "/api/client/v2.0/auth/session")])
    world.manager.renewal.request(user)
    world.eventually(
        lambda: len([r for r in app.requests if r == ("POST", "/api/client/v2.0/auth/session")]) > renewals
    )
    time.sleep(0.1)
    assert (device.session.state, device.session.connection_state) == (SyncSessionState.ACTIVE, DISCONNECTED)
    assert realm.kinds().count("Bind") == 1


def test_a_pong_with_another_time_is_a_violation(world: Any, server: Any, realm: Any) -> None:
    from syncline.protocol.from_server import build_pong

    device = world.device(world.user(server.url))
    world.connected(device)

    async def wrong(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Ping):
            await peer.send(build_pong(message.timestamp + 1))
            return True
        return False

    realm.before = wrong
    device.session.reconnect()
    world.eventually(lambda: world.errors)
    ((error, _),) = world.errors
    assert error.is_fatal
    assert "pong" in str(error)
    assert device.session.connection_state is DISCONNECTED


def test_what_was_suspended_by_the_server_with_code_200_tries_again_after_one_second(
    world: Any, server: Any, realm: Any
) -> None:
    realm.fail_once(
        messages.Ident,
        messages.Error(0, 200, "go on", True, ErrorAction.TRANSIENT, backoff=BackoffParameters(60_000, 60_000, 1)),
    )
    device = world.device(world.user(server.url))
    started = time.monotonic()
    device.session.wait_for_download(5)
    assert time.monotonic() - started >= 0.9


@pytest.mark.parametrize("is_soon", [True, False])
def test_after_a_short_loss_uploads_go_on_at_once_after_a_long_one_downloads_come_first(
    world: Any, server: Any, realm: Any, is_soon: bool
) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    if not is_soon:
        connection = device.core.protocol.connection
        connection._machine.settings = connection._machine.settings._replace(fast_reconnect_limit_ms=-1)

    async def no_marks(peer: Any, message: Any) -> bool:
        return isinstance(message, messages.Mark)

    realm.before = no_marks
    server.run(realm.cut())
    world.eventually(lambda: device.session.connection_state is DISCONNECTED)
    device.write("Rex")
    device.session.reconnect()
    world.eventually(lambda: realm.kinds(2)[:2] == ["Bind", "Ident"])
    if is_soon:
        world.eventually(realm.uploads)
    else:
        world.eventually(lambda: "Mark" in realm.kinds(2))
        time.sleep(0.1)
        assert realm.uploads() == []
        realm.before = None
        mark = next(m for c, m in realm.log if c == 2 and isinstance(m, messages.Mark))
        server.run(server.peers[-1].send(f"mark {mark.session} {mark.request_ident}\n"))
    device.session.wait_for_upload(5)


def test_with_one_connection_per_session_nothing_lingers(world: Any, server: Any, realm: Any) -> None:
    world.manager.session_multiplexing = False
    world.manager.timeout_options = SyncTimeoutOptions()
    user = world.user(server.url)
    devices = [world.device(user, name, path=f"/{name}") for name in "ab"]
    for device in devices:
        world.connected(device)
    assert len(server.peers) == 2
    devices[0].close()
    world.eventually(lambda: len(world.manager.client._connections) == 1)
    assert devices[1].session.connection_state is CONNECTED
    assert len(world.manager.client._attempts) == 1, "nothing is remembered of a connection that nobody can use again"


def test_while_the_delay_lasts_a_new_session_of_the_endpoint_waits_too(world: Any, server: Any, realm: Any) -> None:
    turned_away = turn_away(realm, 1, BUSY._replace(backoff=BackoffParameters(60_000, 60_000, 1)))
    user = world.user(server.url)
    first = world.device(user, "a")
    world.eventually(lambda: turned_away() and first.session.connection_state is DISCONNECTED)
    second = world.device(user, "b", path="/cats")
    time.sleep(0.1)
    assert second.session.connection_state is DISCONNECTED
    assert len(server.peers) == 1
    second.session.reconnect()
    for device in (first, second):
        device.session.wait_for_download(5)


def test_nothing_is_reported_of_connections_once_the_manager_is_closed(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    world.connected(device)
    states: list[Any] = []
    token = device.session.observe_connection_state(lambda old, new: states.append(new))
    world.manager.close()
    server.run(asyncio.sleep(0.05))
    world.manager.notify_thread.drain(5)
    assert states == [DISCONNECTED]
    assert world.errors == []
    token.invalidate()


def test_a_new_token_that_was_waited_for_ends_a_delay_without_end(
    world: Any, server: Any, realm: Any, app: Any
) -> None:
    """Found by the soak: the session became active with its new token, and nothing made the client connect."""
    app.lifetime = 3  # it has to be renewed before it is used
    device = world.device(world.manager.log_in(SyncCredentials.anonymous(), app.url), path="/~/dogs")
    device.session.wait_for_download(5)
    server.run(realm.fail(server.peers[-1], STAY_AWAY))
    world.eventually(lambda: device.session.connection_state is DISCONNECTED)
    with device.session.suspended():
        pass
    device.session.wait_for_download(5)


def test_a_client_that_is_slow_to_integrate_does_not_take_its_server_for_dead(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the socket is not read, no PONG can be."""
    monkeypatch.setattr(connection, "_MAX_PENDING_INTEGRATIONS", 1)
    writer = world.device(world.user(server.url), "a")
    writer.session.wait_for_download(5)
    settings = world.manager.client.settings
    world.manager.client.settings = settings._replace(ping_period_ms=20, pong_timeout_ms=150)
    reader = world.device(world.user(server.url, "other"), "b")
    reader.session.wait_for_download(5)
    integrate = reader.core.history.integrate

    def slow(*arguments: Any) -> Any:
        time.sleep(0.4)
        return integrate(*arguments)

    monkeypatch.setattr(reader.core.history, "integrate", slow)
    changes: list[Any] = []
    with reader.session.observe_connection_state(lambda old, new: changes.append((old, new))):
        for number in range(1, 4):
            writer.write("Rex", first=number)
            writer.session.wait_for_upload(5)
        world.eventually(lambda: len(reader.names()) == 3)
    assert changes == []
    assert len(server.peers) == 2
