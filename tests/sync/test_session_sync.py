"""Sessions against a small Realm server: what travels, and when (spec/sessions.md §3, §5, §7, §8)."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import warnings
from typing import Any

import pytest

from syncline.errors import InvalidSessionError, OperationAbortedError
from syncline.protocol import messages
from syncline.sync import (
    ConnectionState,
    ProgressDirection,
    ProgressMode,
    ProgressNotificationToken,
    SyncConfiguration,
    SyncProgress,
    SyncSession,
    SyncSessionState,
    SyncStopPolicy,
)
from syncline.sync.states import InternalState

DISCONNECTED, CONNECTING, CONNECTED = ConnectionState
ACTIVE, INACTIVE, INVALID = SyncSessionState
UP = ProgressDirection.UPLOAD


def test_s2_s8_s18_a_fresh_file_binds_uploads_and_is_acknowledged(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    assert device.session.state is ACTIVE
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert realm.kinds()[:3] == ["Bind", "Ident", "Mark"]
    assert len(realm.uploads()) == 1
    assert device.session.connection_state is CONNECTED
    assert realm.log[0][1] == messages.Bind(1, "/dogs", "", True)
    assert server.peers[0].target == "/realm-sync?baas_at=token"


def test_a_second_device_downloads_what_the_first_uploaded(world: Any, server: Any, realm: Any) -> None:
    first = world.device(world.user(server.url), "a")
    first.write("Rex", "Fido")
    first.session.wait_for_upload(5)
    second = world.device(world.user(server.url), "b")
    second.session.wait_for_download(5)
    assert second.names() == {1: "Rex", 2: "Fido"}
    first.write("Pluto", first=3)
    world.eventually(lambda: 3 in second.names())


def test_s1_s3_sessions_are_not_made_by_hand() -> None:
    with pytest.raises(TypeError, match="sync_session"):
        SyncSession(object(), None)  # type: ignore[arg-type]


def test_s4_closing_with_pending_writes_finishes_the_upload_and_ends(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    session, core = device.session, device.core
    device.close()
    assert core.internal_state is InternalState.DYING
    assert session.state is ACTIVE
    assert world.manager.all_sessions() == []
    world.eventually(realm.uploads)
    assert not world.manager.wait_for_sessions_to_terminate(0.05)
    realm.acknowledge = True
    server.run(realm._download(1, 1, always=True))
    assert world.manager.wait_for_sessions_to_terminate(5)
    assert session.state is INVALID
    world.eventually(lambda: realm.kinds()[-1] == "Unbind")


def test_s4_a_dying_session_that_is_opened_again_lives_on_with_the_same_bind(
    world: Any, server: Any, realm: Any
) -> None:
    realm.acknowledge = False
    user = world.user(server.url)
    device = world.device(user)
    device.write("Rex")
    core = device.core
    device.close()
    world.eventually(realm.uploads)
    again = world.device(user)
    assert again.core is core
    assert core.internal_state is InternalState.ACTIVE
    server.run(realm._download(1, 1, always=True))
    again.session.wait_for_upload(5)
    assert core.internal_state is InternalState.ACTIVE
    assert realm.kinds().count("Bind") == 1
    again.close()
    assert world.manager.wait_for_sessions_to_terminate(5)


def test_s4_the_wait_of_an_earlier_death_does_not_end_a_later_life(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    user = world.user(server.url)
    device = world.device(user)
    device.write("Rex")
    core = device.core
    world.eventually(realm.uploads)
    device.close()
    again = world.device(user)
    core._uploaded_all(1)  # the first death's wait fires late
    assert core.internal_state is InternalState.ACTIVE
    again.close()
    core._uploaded_all(1)
    assert core.internal_state is InternalState.DYING
    core._uploaded_all(2)
    assert core.internal_state is InternalState.INACTIVE


def test_stop_policies(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    user = world.user(server.url)
    at_once = world.device(user, "a", stop_policy=SyncStopPolicy.IMMEDIATELY)
    at_once.write("Rex")
    core = at_once.core
    at_once.close()
    assert core.internal_state is InternalState.INACTIVE
    assert world.manager.wait_for_sessions_to_terminate(5)
    forever = world.device(user, "b", stop_policy=SyncStopPolicy.LIVE_INDEFINITELY)
    core = forever.core
    forever.close()
    assert core.internal_state is InternalState.ACTIVE
    assert world.manager.session_at(forever.path) is not None


def test_s14_s16_s17_suspend_and_resume(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    session = device.session
    world.connected(device)
    session.suspend()
    assert (session.state, session.connection_state) == (INACTIVE, DISCONNECTED)
    session.suspend()
    device.write("Rex")
    world.eventually(lambda: realm.kinds()[-1] == "Unbind")
    assert realm.uploads() == []
    session.resume()
    session.resume()
    assert session.state is ACTIVE
    session.wait_for_upload(5)
    assert len(realm.uploads()) == 1
    assert len(server.peers) == 1  # the connection lingered


def test_s15_a_suspended_session_stays_suspended(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    device = world.device(user)
    world.connected(device)
    device.session.suspend()
    second = world.device(user)
    assert second.session == device.session
    device.session.reconnect()
    world.manager.reconnect()
    world.manager.network_reachability_changed(True)
    world.user(server.url)  # logs in again
    world.manager.custom_request_headers = {"X-Other": "1"}
    assert device.session.state is INACTIVE
    device.close()
    assert second.session.state is INACTIVE
    second.close()
    assert world.manager.wait_for_sessions_to_terminate(5)
    assert world.device(user).session.state is ACTIVE


def test_s15_the_pause_ends_with_the_first_open_of_a_session_that_something_else_kept(
    world: Any, server: Any, realm: Any
) -> None:
    user = world.user(server.url)
    device = world.device(user, stop_policy=SyncStopPolicy.LIVE_INDEFINITELY)
    core = device.core
    device.close()
    core.trigger(__import__("syncline.sync.states", fromlist=["Trigger"]).Trigger.SUSPEND)
    assert world.device(user).session.state is ACTIVE


def test_s17_nothing_happens_to_an_invalid_session(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    session = device.session
    device.close()
    assert world.manager.wait_for_sessions_to_terminate(5)
    assert session.state is INVALID
    assert session.connection_state is DISCONNECTED
    assert (session.realm_url, session.parent_user(), session.configuration()) == (None, None, None)
    assert session.path == device.path
    session.resume()
    session.suspend()
    session.reconnect()
    assert session.state is INVALID
    with pytest.raises(InvalidSessionError):
        session.wait_for_upload(1)
    with pytest.raises(InvalidSessionError):
        session.observe_connection_state(print)


def test_suspended_as_a_block(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    with device.session.suspended() as session:
        assert session.state is INACTIVE
    assert device.session.state is ACTIVE


def test_s11_s12_s13_what_a_session_knows(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    device = world.device(user, path="/me/dogs")
    session = device.session
    assert session.parent_user() is user
    assert session.user is user
    assert session.realm_url == f"realm://127.0.0.1:{server.port}/me/dogs"
    configuration = session.configuration()
    assert isinstance(configuration, SyncConfiguration)
    assert configuration == device.configuration
    assert configuration.path == device.path
    session.suspend()
    assert session.realm_url is not None


def test_handles_are_equal_and_keep_nothing_alive(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    device, same, other = world.device(user), world.device(user), world.device(user, "b")
    assert device.session is same.session
    assert device.session == same.session
    assert hash(device.session) == hash(same.session)
    assert device.session != other.session
    assert set(world.manager.all_sessions()) == {device.session, other.session}
    assert user.all_sessions() == world.manager.all_sessions_for(user)


def test_two_sessions_share_one_connection_and_another_user_does_not(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    first, second = world.device(user, "a"), world.device(user, "b", path="/cats")
    other = world.device(world.user(server.url, "other"), "c")
    for device in (first, second, other):
        world.connected(device)
    assert len(server.peers) == 2


def test_without_multiplexing_each_session_has_its_connection(world: Any, server: Any, realm: Any) -> None:
    world.manager.session_multiplexing = False
    user = world.user(server.url)
    devices = [world.device(user, name, path=f"/{name}") for name in "ab"]
    for device in devices:
        world.connected(device)
    assert len(server.peers) == 2


def test_s8_s9_s10_connection_states_without_gaps(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    session = device.session
    session.suspend()
    seen: list[tuple[ConnectionState, ConnectionState]] = []
    threads: set[str] = set()

    def observe(old: ConnectionState, new: ConnectionState) -> None:
        seen.append((old, new))
        threads.add(threading.current_thread().name)

    with session.observe_connection_state(observe):
        for _ in range(3):
            session.resume()
            world.connected(device)
            session.suspend()
        world.eventually(lambda: seen and seen[-1][1] is DISCONNECTED and len(seen) >= 9)
    assert seen == [(DISCONNECTED, CONNECTING), (CONNECTING, CONNECTED), (CONNECTED, DISCONNECTED)] * 3
    assert threads == {"syncline-notify"}
    session.resume()
    world.connected(device)
    world.manager.notify_thread.drain(5)
    assert len(seen) == 9  # the token is invalid


def test_s9_observers_may_remove_themselves_and_add_others(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    session = device.session
    world.connected(device)
    once: list[Any] = []
    late: list[Any] = []
    tokens: list[Any] = []

    def first(old: ConnectionState, new: ConnectionState) -> None:
        once.append((old, new))
        tokens[0].invalidate()
        tokens.append(session.observe_connection_state(lambda old, new: late.append((old, new))))

    tokens.append(session.observe_connection_state(first))
    session.suspend()
    world.manager.notify_thread.drain(5)
    assert (len(once), len(late)) == (1, 0)
    session.resume()
    world.connected(device)
    world.manager.notify_thread.drain(5)
    assert (len(once), len(late)) == (1, 2)
    for token in tokens:
        token.invalidate()
        token.invalidate()


def test_s9_awaiting_connection_states(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    session = device.session
    session.suspend()

    async def main() -> list[ConnectionState]:
        seen: list[ConnectionState] = []
        waiter = asyncio.ensure_future(session.wait_for_connection_state(CONNECTED, timeout=5))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.02, session.resume)
        async for _, new in session.connection_states():
            seen.append(new)
            if new is CONNECTED:
                break
        await waiter
        await session.wait_for_connection_state(CONNECTED)
        with pytest.raises(TimeoutError):
            await session.wait_for_connection_state(CONNECTING, timeout=0.02)
        return seen

    assert asyncio.run(main()) == [CONNECTING, CONNECTED]


def test_a_lost_connection_is_regained_and_nothing_is_sent_twice(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.write("Rex")
    device.session.wait_for_upload(5)
    server.run(realm.cut())
    world.eventually(lambda: device.session.connection_state is not CONNECTED)
    device.write("Fido", first=2)
    device.session.reconnect()
    device.session.wait_for_upload(5)
    assert [entry.client_version for entry in realm.uploads()] == sorted(
        {entry.client_version for entry in realm.uploads()}
    )
    assert len(realm.uploads()) == 2
    assert world.errors == []  # a lost connection is not worth a report


def test_an_unacknowledged_upload_is_sent_again_after_a_reconnect(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    server.run(realm.cut())
    realm.acknowledge = True
    realm.history.clear()
    device.session.reconnect()
    device.session.wait_for_upload(10)
    first, second = realm.uploads()
    assert first == second


def test_after_a_restart_the_file_goes_on_where_it_was(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.write("Rex")
    device.session.wait_for_upload(5)
    device.close()
    world.manager.close()
    world.manager = world.new_manager()
    again = world.device(world.user(server.url))
    again.write("Fido", first=2)
    again.session.wait_for_upload(5)
    binds = [message for _, message in realm.log if isinstance(message, messages.Bind)]
    idents = [message for _, message in realm.log if isinstance(message, messages.Ident)]
    assert [bind.need_client_file_ident for bind in binds] == [True, False]
    assert idents[1].file_ident == idents[0].file_ident
    assert idents[1].download.server_version == 1
    assert len(realm.uploads()) == 2


def test_waits_registered_while_suspended_end_after_resume(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.session.suspend()
    device.write("Rex")
    outcomes: list[Exception | None] = []
    threads: list[str] = []

    def done(error: Exception | None) -> None:
        outcomes.append(error)
        threads.append(threading.current_thread().name)

    device.session.on_upload_complete(done)
    device.session.on_download_complete(done)
    time.sleep(0.05)
    assert outcomes == []
    device.session.resume()
    world.eventually(lambda: len(outcomes) == 2)
    assert outcomes == [None, None]
    assert set(threads) == {"syncline-notify"}


def test_suspend_aborts_waits(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    threading.Timer(0.05, device.session.suspend).start()
    with pytest.raises(OperationAbortedError, match="inactive"):
        device.session.wait_for_upload(5)


def test_a_wait_that_takes_too_long_is_forgotten(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    with pytest.raises(TimeoutError):
        device.session.wait_for_upload(0.05)
    assert device.core._waits == []

    async def main() -> None:
        task = asyncio.ensure_future(device.session.wait_for_upload_async())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert device.core._waits == []


def test_awaiting_uploads_and_downloads(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.write("Rex")

    async def main() -> None:
        await asyncio.wait_for(device.session.wait_for_upload_async(), 5)
        await asyncio.wait_for(device.session.wait_for_download_async(), 5)

    asyncio.run(main())
    assert len(realm.uploads()) == 1


def test_the_application_may_do_anything_in_a_callback(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    done = threading.Event()

    def callback(error: Exception | None) -> None:
        device.session.suspend()
        device.session.resume()
        device.write("Fido", first=2)
        device.session.wait_for_upload(5)
        device.close()
        done.set()

    device.write("Rex")
    device.session.on_upload_complete(callback)
    assert done.wait(10)
    assert world.manager.wait_for_sessions_to_terminate(5)
    assert len(realm.uploads()) == 2


def test_headers_reconnect_all_sessions(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    world.connected(device)
    outcomes: list[Exception | None] = []
    device.session.on_download_complete(outcomes.append)
    world.manager.custom_request_headers = {"X-Tenant": "blue"}
    world.eventually(lambda: len(server.peers) == 2 and server.peers[1].request)
    assert server.peers[1].header("X-Tenant") == "blue"
    device.write("Rex")
    device.session.wait_for_upload(5)


def test_s5_hammering_a_session_from_many_threads(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    session = device.session
    failures: list[Exception] = []

    def hammer(number: int) -> None:
        try:
            for turn in range(15):
                _ = session.state, session.connection_state, session.realm_url, session.parent_user()
                session.configuration()
                if turn % 3 == 0:
                    session.suspend()
                session.resume()
                session.reconnect()
                with session.observe_connection_state(lambda old, new: None):
                    pass
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must fail
            failures.append(error)

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failures == []
    device.write("Rex")
    session.resume()
    session.wait_for_upload(10)
    assert len(realm.uploads()) == 1


def test_a_dying_session_that_is_resumed_goes_on_dying(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    session, core = device.session, device.core
    device.close()
    session.resume()
    world.user(server.url)  # a login
    assert core.internal_state is InternalState.DYING
    server.run(realm._download(1, 1, always=True))
    assert world.manager.wait_for_sessions_to_terminate(5)
    assert session.state is INVALID


def test_a_fault_of_ours_does_not_end_syncing(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = world.device(world.user(server.url))
    world.connected(device)
    machine = world.manager.client.connection(next(iter(world.manager.client._connections)))._machine
    faults = [ZeroDivisionError("a bug")]
    receive = machine.receive

    def failing(data: bytes, now: int) -> None:
        if faults:
            raise faults.pop()
        receive(data, now)

    monkeypatch.setattr(machine, "receive", failing)
    device.write("Rex")
    world.eventually(lambda: not faults)
    device.session.reconnect()
    device.session.wait_for_upload(5)


def test_a_session_resumed_during_an_integration_waits_for_it(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = world.device(world.user(server.url), "a")
    writer.write("Rex", "Fido")
    writer.session.wait_for_upload(5)
    reader = world.device(world.user(server.url, "other"), "b")
    core = reader.core
    integrate = core.history.integrate
    entered, go_on = threading.Event(), threading.Event()
    calls: list[int] = []

    def slow(progress: Any, entries: Any, remaining: int) -> Any:
        calls.append(len(entries))
        entered.set()
        assert go_on.wait(5)
        return integrate(progress, entries, remaining)

    monkeypatch.setattr(core.history, "integrate", slow)
    assert entered.wait(5)
    reader.session.suspend()
    reader.session.resume()
    reader.session.suspend()
    reader.session.resume()
    time.sleep(0.05)
    binds = [message for _, message in realm.log if isinstance(message, messages.Bind)]
    assert len(binds) == 2  # the new session waits
    go_on.set()
    reader.session.wait_for_download(5)
    assert reader.names() == {1: "Rex", 2: "Fido"}
    assert sum(calls) == 1
    idents = [message for _, message in realm.log if isinstance(message, messages.Ident)]
    assert idents[-1].download.server_version == 1
    assert world.errors == []


def test_closing_during_an_integration_keeps_the_file_until_it_is_done(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = world.device(world.user(server.url), "a")
    writer.write("Rex")
    writer.session.wait_for_upload(5)
    reader = world.device(world.user(server.url, "other"), "b", stop_policy=SyncStopPolicy.IMMEDIATELY)
    core = reader.core
    integrate = core.history.integrate
    entered, go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        entered.set()
        assert go_on.wait(5)
        return integrate(*arguments)

    monkeypatch.setattr(core.history, "integrate", slow)
    assert entered.wait(5)
    reader.close()
    assert not world.manager.wait_for_sessions_to_terminate(0.05)
    go_on.set()
    assert world.manager.wait_for_sessions_to_terminate(5)
    again = world.device(world.user(server.url, "other"), "b")
    assert again.names() == {1: "Rex"}


def test_downloads_that_arrive_together_share_a_commit(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = world.device(world.user(server.url), "a")
    reader = world.device(world.user(server.url, "other"), "b")
    reader.session.wait_for_download(5)
    core = reader.core
    integrate = core.history.integrate
    go_on = threading.Event()
    calls: list[int] = []

    def slow(progress: Any, entries: Any, remaining: int) -> Any:
        calls.append(len(entries))
        assert go_on.wait(5)
        return integrate(progress, entries, remaining)

    monkeypatch.setattr(core.history, "integrate", slow)
    for number in range(1, 11):
        writer.write("Rex", first=number)
        writer.session.wait_for_upload(5)
    world.eventually(lambda: calls)
    time.sleep(0.05)
    go_on.set()
    world.eventually(lambda: len(reader.names()) == 10)
    assert calls == [1, 9]


def test_a_bad_download_among_good_ones_is_refused_alone(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = world.device(world.user(server.url), "a")
    reader = world.device(world.user(server.url, "other"), "b")
    reader.session.wait_for_download(5)
    core = reader.core
    integrate = core.history.integrate
    go_on = threading.Event()
    first = True

    def slow(*arguments: Any) -> Any:
        nonlocal first
        if first:
            first = False
            assert go_on.wait(5)
        return integrate(*arguments)

    monkeypatch.setattr(core.history, "integrate", slow)
    for number in (1, 2, 3):
        writer.write("Rex", first=number)
        writer.session.wait_for_upload(5)
    server.run(realm.spoil(next(key for key in realm._sessions if key[0] == 2), b"4 0 1 2 4 4 \xff\xff\xff\xff"))
    time.sleep(0.1)
    go_on.set()
    world.eventually(lambda: world.errors)
    assert sorted(reader.names()) == [1, 2, 3]
    assert core.history.status().progress.download.server_version == 3


def test_s24_s25_a_token_that_is_dropped_warns_and_unregisters(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    notifier = device.core.progress
    with pytest.warns(ResourceWarning):
        device.session.add_progress_notification(UP, ProgressMode.REPORT_INDEFINITELY, lambda x, t: None)
    assert not notifier.has_registrations


def test_s24_an_expired_token_is_dropped_in_silence(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.session.suspend()
    device.write("Rex")
    token = device.session.add_progress_notification(
        ProgressDirection.UPLOAD, ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK, lambda x, t: None
    )
    assert token is not None
    assert token.is_valid
    device.session.resume()
    device.session.wait_for_upload(5)
    assert not token.is_valid
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del token


def test_s19_s30_forms_of_progress_callbacks(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.write("Rex")
    device.session.wait_for_upload(5)
    reports: list[SyncProgress] = []

    def with_estimate(report: SyncProgress) -> None:
        reports.append(report)

    with_estimate.with_estimate = True  # type: ignore[attr-defined]
    with device.session.progress_notification(UP, ProgressMode.REPORT_INDEFINITELY, with_estimate) as token:
        assert token is not None
        world.eventually(lambda: reports)
    assert reports[0].is_complete
    assert reports[0].progress_estimate == 1.0
    with device.session.progress_notification(UP, ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK, with_estimate) as token:
        assert token is None


def test_s21_progress_callbacks_have_a_thread_of_their_own_or_run_on_a_loop(
    world: Any, server: Any, realm: Any
) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    names: list[str] = []
    with device.session.progress_notification(
        UP, ProgressMode.REPORT_INDEFINITELY, lambda x, t: names.append(threading.current_thread().name)
    ):
        world.eventually(lambda: names)
    assert names[0] == "syncline-progress"

    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[tuple[int, int]] = loop.create_future()
        token = device.session.add_progress_notification(
            UP, ProgressMode.REPORT_INDEFINITELY, lambda x, t: arrived.done() or arrived.set_result((x, t)), loop=loop
        )
        assert token is not None
        with token:
            return await asyncio.wait_for(arrived, 5)

    assert asyncio.run(main()) == (0, 0)


def test_progress_loops_end_with_the_work_and_with_the_session(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.write("Rex")
    session = device.session
    session.wait_for_upload(5)

    async def main() -> tuple[list[SyncProgress], list[SyncProgress]]:
        mode = ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK
        done = [report async for report in session.progress(UP, mode)]
        asyncio.get_running_loop().call_later(0.05, device.close)
        endless = [report async for report in session.progress(UP, ProgressMode.REPORT_INDEFINITELY)]
        return done, endless

    done, endless = asyncio.run(asyncio.wait_for(main(), 10))
    assert len(done) == 1
    assert done[0].is_complete
    assert len(endless) >= 1
    assert session.state is INVALID
    assert asyncio.run(collect(session.progress(UP, ProgressMode.REPORT_INDEFINITELY))) == []


async def collect(reports: Any) -> list[Any]:
    return [report async for report in reports]


def test_progress_of_offline_writes_is_first_told_with_all_of_them(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.session.suspend()
    device.write(*("x" * 100 for _ in range(50)))
    calls: list[tuple[int, int]] = []
    with device.session.progress_notification(UP, ProgressMode.REPORT_INDEFINITELY, lambda x, t: calls.append((x, t))):
        time.sleep(0.05)
        assert calls == []
        device.session.resume()
        device.session.wait_for_upload(5)
    total = device.core.history.status().counters.uploadable
    assert total > 5_000
    assert calls[0] == (0, total)
    assert calls[-1] == (total, total)


def test_a_progress_report_goes_before_the_completion_of_the_same_moment(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    order: list[str] = []
    finished = threading.Event()
    for turn in range(5):
        finished.clear()
        with device.session.progress_notification(
            UP, ProgressMode.REPORT_INDEFINITELY, lambda x, t: order.append("progress") if x == t else None
        ):
            device.write("Rex", first=turn)
            device.session.on_upload_complete(lambda error: (order.append("done"), finished.set()))
            assert finished.wait(5)
        assert order[-1] == "done"
        assert "progress" in order
        order.clear()


def test_a_slow_progress_callback_does_not_hold_up_syncing_nor_a_wait_for_long(
    world: Any, server: Any, realm: Any
) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    release = threading.Event()
    with device.session.progress_notification(UP, ProgressMode.REPORT_INDEFINITELY, lambda x, t: release.wait(20)):
        device.write("Rex")
        started = time.monotonic()
        device.session.wait_for_upload(5)
        assert time.monotonic() - started < 4
        release.set()


def test_the_socket_is_not_read_while_too_much_waits_for_integration(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from syncline.sync import connection

    monkeypatch.setattr(connection, "_MAX_PENDING_INTEGRATIONS", 3)
    writer = world.device(world.user(server.url), "a")
    reader = world.device(world.user(server.url, "other"), "b")
    reader.session.wait_for_download(5)
    core = reader.core
    integrate = core.history.integrate
    go_on = threading.Event()

    def slow(*arguments: Any) -> Any:
        assert go_on.wait(5)
        return integrate(*arguments)

    monkeypatch.setattr(core.history, "integrate", slow)
    for number in range(1, 13):
        writer.write("Rex", first=number)
        writer.session.wait_for_upload(5)
    pending = core._protocol._connection._pending_count
    assert pending == 3
    go_on.set()
    world.eventually(lambda: len(reader.names()) == 12)


def test_an_observer_that_another_one_removes_is_not_called(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    world.connected(device)
    tokens: list[Any] = []
    calls: list[str] = []
    tokens.append(
        device.session.observe_connection_state(lambda old, new: (calls.append("first"), tokens[1].invalidate()))
    )
    tokens.append(device.session.observe_connection_state(lambda old, new: calls.append("second")))
    device.session.suspend()
    world.manager.notify_thread.drain(5)
    assert calls == ["first"]
    tokens[0].invalidate()


def test_s7_the_state_cannot_be_observed() -> None:
    observing = [name for name in dir(SyncSession) if "observe" in name]
    assert observing == ["observe_connection_state"]
    assert isinstance(SyncSession.state, property)
    assert SyncSession.state.fset is None


def test_s32_what_registering_returns(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)

    def register(mode: ProgressMode) -> Any:
        return device.session.add_progress_notification(UP, mode, lambda x, t: None)

    with register(ProgressMode.REPORT_INDEFINITELY) as token:
        assert isinstance(token, ProgressNotificationToken)
        assert token.is_valid
    assert not token.is_valid
    token.invalidate()
    assert register(ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK) is None


def test_large_messages_arrive_whole_and_in_order(world: Any, server: Any, realm: Any) -> None:
    writer = world.device(world.user(server.url), "a")
    names = [os.urandom(200_000).hex() for _ in range(3)]  # each makes a download that a worker decodes
    for number, name in enumerate(names, 1):
        writer.write(name, first=number)
        writer.write("small", first=10 + number)
    writer.session.wait_for_upload(10)
    reader = world.device(world.user(server.url, "other"), "b")
    reader.session.wait_for_download(10)
    assert {number: name for number, name in reader.names().items() if number < 10} == dict(enumerate(names, 1))
    writer.write(names[0], first=20)
    world.eventually(lambda: 20 in reader.names())


def test_the_first_realm_that_opens_a_dying_session_decides_its_stop_policy(
    world: Any, server: Any, realm: Any
) -> None:
    realm.acknowledge = False
    user = world.user(server.url)
    device = world.device(user)
    device.write("Rex")
    core = device.core
    device.close()
    again = world.device(user, stop_policy=SyncStopPolicy.IMMEDIATELY)
    assert again.core is core
    again.close()
    assert core.internal_state is InternalState.INACTIVE


def test_a_wait_on_an_event_loop_that_was_closed_spoils_no_other(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    outcomes: list[Exception | None] = []
    loop = asyncio.new_event_loop()
    task = loop.create_task(device.session.wait_for_upload_async())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    device.session.on_upload_complete(outcomes.append)
    device.session.suspend()
    world.eventually(lambda: outcomes)
    assert isinstance(outcomes[0], OperationAbortedError)
    task.get_coro().close()
    task._log_destroy_pending = False


def test_waits_that_were_given_up_are_forgotten(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    for _ in range(20):
        with pytest.raises(TimeoutError):
            device.session.wait_for_upload(0.001)
    world.eventually(lambda: len(device.core._protocol._waits) <= 1)
