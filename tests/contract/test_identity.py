"""Whose session it is, where it comes from, how long it lives (spec/sessions.md §2: S1–S5, S11–S13, S35)."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest
from tests.contract.world import DOWNLOAD, FOREVER, PATIENCE_S, UPLOAD, Item, World, eventually, session_of

from syncline import (
    ClosedRealmError,
    ConnectionState,
    InvalidSessionError,
    OperationAbortedError,
    Realm,
    RealmConfiguration,
    SyncSession,
    SyncSessionState,
    SyncStopPolicy,
    WrongThreadError,
    session_for_realm,
)
from syncline.storage.file import RealmFile
from syncline.sync.states import InternalState

# --- S1, S3: what it is -----------------------------------------------------------------------------------------------


def test_s01_a_session_stands_for_one_session_at_the_server(world: World) -> None:
    before = world.bound_realms()
    realm = world.open()
    session = session_of(realm)
    assert type(session) is SyncSession
    session.wait_for_download(PATIENCE_S)
    assert world.bound_realms() == before + 1
    again = world.open()
    assert session_of(again) is session
    session_of(again).wait_for_download(PATIENCE_S)
    assert world.bound_realms() == before + 1


def test_s01_handles_are_equal_for_one_session_and_keep_nothing_alive(world: World) -> None:
    realm = world.open()
    session = session_of(realm)
    number = id(session)
    assert hash(session) == hash(session_of(realm))
    assert session != session_of(world.open("b"))
    del session
    gc.collect()
    session = session_of(realm)
    assert session == session_of(realm), f"a new handle after {number}"
    realm.close()
    assert world.manager.wait_for_sessions_to_terminate(PATIENCE_S)
    assert session.state is SyncSessionState.INVALID
    assert session != session_of(world.open())


def test_s03_sessions_are_not_constructed(world: World) -> None:
    with pytest.raises(TypeError):
        SyncSession()  # type: ignore[call-arg]
    core = world.manager.registry.core_at(world.open().path)
    with pytest.raises(TypeError, match="opening a synced Realm"):
        SyncSession(None, core)  # type: ignore[arg-type]


def test_s03_look_ups_hand_out_the_same_session(world: World) -> None:
    realm = Realm.open(RealmConfiguration(schema=[Item], sync=world.user.configuration("/~/items")))
    try:
        session = session_of(realm)
        assert realm.sync_session is session
        assert SyncSession.for_realm(realm) is session
        assert world.user.session_for_url(f"realm://127.0.0.1:{world.server.port}/~/items") is session
        assert world.user.session_for_url(f"realm://127.0.0.1:{world.server.port}/~/others") is None
        assert world.user.all_sessions() == [session]
        assert world.manager.all_sessions() == [session]
    finally:
        realm.close()
    assert world.manager.all_sessions() == []


# --- S2: a client with a file, a server with a Realm ------------------------------------------------------------------


def test_s02_two_realms_have_two_sessions_with_their_files_and_urls(world: World) -> None:
    cats, dogs = world.open("cats", "/~/cats"), world.open("dogs", "/~/dogs")
    world.write(cats, 1)
    world.write(dogs, 2)
    world.settle(cats, dogs)
    assert session_of(cats) != session_of(dogs)
    assert session_of(cats).path == cats.path != dogs.path == session_of(dogs).path
    base = f"realm://127.0.0.1:{world.server.port}/{world.user.identity}"
    assert [session_of(realm).realm_url for realm in (cats, dogs)] == [f"{base}/cats", f"{base}/dogs"]
    for realm, name in ((cats, "cats"), (dogs, "dogs")):
        assert realm.content_hash() == world.server.content_hash(f"/{world.user.identity}/{name}")


def test_s02_two_files_of_one_realm_have_two_sessions(world: World) -> None:
    a, b = world.open("a"), world.open("b")
    assert session_of(a) != session_of(b)
    assert session_of(a).realm_url == session_of(b).realm_url
    world.write(a, 1)
    world.write(b, 2)
    world.settle(a, b)
    assert world.numbers(a) == world.numbers(b) == [1, 2]


def test_s02_one_process_at_a_time_syncs_a_file(world: World) -> None:
    realm = world.open("shared", "/~/shared")
    world.settle(realm)
    code = f"""
from syncline import *
manager = SyncManager({str(world.folder / "other")!r})
user = manager.log_in(SyncCredentials.access_token("t", "dev"), "ws://127.0.0.1:{world.server.port}")
try:
    Realm.open(RealmConfiguration(sync=SyncConfiguration(user, "/shared", path={realm.path!r})))
except MultipleSyncAgentsError as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["MultipleSyncAgentsError"], done.stderr
    assert session_of(realm).state is SyncSessionState.ACTIVE


# --- S4: an automatic life --------------------------------------------------------------------------------------------


def test_s04_pending_writes_are_uploaded_after_the_last_realm_closed_then_the_session_disappears(world: World) -> None:
    realm = world.open()
    world.settle(realm)
    session = session_of(realm)
    with world.silence():
        world.write(realm, *range(100))
        realm.close()
        assert world.internal_state() is InternalState.DYING
        assert session.state is SyncSessionState.ACTIVE
        assert world.manager.all_sessions() == []
        assert not world.manager.wait_for_sessions_to_terminate(0.1)
    assert world.manager.wait_for_sessions_to_terminate(PATIENCE_S)
    assert session.state is SyncSessionState.INVALID
    assert world.internal_state() is None
    RealmFile.delete(realm.path)  # nobody has it open any more
    other = world.open("b")
    world.settle(other)
    assert world.numbers(other) == list(range(100))


def test_s04_a_realm_that_is_opened_again_in_time_has_the_same_session(world: World) -> None:
    realm = world.open()
    world.settle(realm)
    session = session_of(realm)
    seen: list[tuple[ConnectionState, ConnectionState]] = []
    with session.observe_connection_state(lambda old, new: seen.append((old, new))):
        for number in range(3):  # each death has its own upload to wait for
            with world.silence():
                world.write(realm, number)
                realm.close()
                assert world.internal_state() is InternalState.DYING
                realm = world.open()
                assert session_of(realm) == session
                assert world.internal_state() is InternalState.ACTIVE
        world.settle(realm)
        assert session.state is SyncSessionState.ACTIVE
    assert seen == []


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        (SyncStopPolicy.IMMEDIATELY, None),
        (SyncStopPolicy.AFTER_CHANGES_UPLOADED, InternalState.DYING),
        (SyncStopPolicy.LIVE_INDEFINITELY, InternalState.ACTIVE),
    ],
    ids=lambda value: str(getattr(value, "name", value)).lower(),
)
def test_s04_the_stop_policy_says_what_the_last_close_does(
    world: World, policy: SyncStopPolicy, state: InternalState | None
) -> None:
    realm = world.open(stop_policy=policy)
    world.settle(realm)
    with world.silence():
        world.write(realm, 1)
        realm.close()
        assert world.internal_state() is state
    other = world.open("b")
    if policy is SyncStopPolicy.IMMEDIATELY:
        world.settle(world.open(stop_policy=policy))  # what was not uploaded is in the file
    eventually(lambda: world.numbers(other) == [1])
    if policy is SyncStopPolicy.LIVE_INDEFINITELY:
        assert world.internal_state() is InternalState.ACTIVE
        other.close()
        assert world.manager.wait_for_sessions_to_terminate(PATIENCE_S), "nobody waits for what does not end"


def test_s04_the_stop_policy_may_change_while_the_session_lives(world: World) -> None:
    realm = world.open(stop_policy=SyncStopPolicy.LIVE_INDEFINITELY)
    world.settle(realm)
    session = session_of(realm)
    core = world.manager.registry.core_at(realm.path)
    assert core is not None
    core.update_configuration(core.configuration.replace(stop_policy=SyncStopPolicy.IMMEDIATELY))
    assert session.state is SyncSessionState.ACTIVE
    world.settle(realm)
    realm.close()
    assert session.state is SyncSessionState.INVALID


@pytest.mark.parametrize("policy", [SyncStopPolicy.AFTER_CHANGES_UPLOADED, SyncStopPolicy.LIVE_INDEFINITELY])
def test_s04_other_headers_do_not_end_what_lives_on(world: World, policy: SyncStopPolicy) -> None:
    realm = world.open(stop_policy=policy)
    world.settle(realm)
    session = session_of(realm)
    with world.silence():
        world.write(realm, 1)
        realm.close()
        state = world.internal_state()
        world.manager.custom_request_headers = {"X-Test": "1"}
        assert world.internal_state() is state
        assert session.state is SyncSessionState.ACTIVE
    other = world.open("b")
    eventually(lambda: world.numbers(other) == [1], "the upload")
    if policy is SyncStopPolicy.AFTER_CHANGES_UPLOADED:
        assert world.manager.wait_for_sessions_to_terminate(PATIENCE_S)


def test_s04_other_headers_abort_waits_and_connect_anew(world: World) -> None:
    realm = world.open()
    world.settle(realm)
    session = session_of(realm)
    ends: list[Exception | None] = []
    changes: list[ConnectionState] = []
    with session.observe_connection_state(lambda old, new: changes.append(new)):
        with world.silence():
            world.write(realm, 1)
            session.on_upload_complete(lambda error: (ends.append(error), session.suspend(), session.resume()))
            world.manager.custom_request_headers = {"X-Test": "1"}
            eventually(lambda: ends, "the end of the wait")
        world.settle(realm)
        world.manager.notify_thread.drain(PATIENCE_S)
    assert isinstance(ends[0], OperationAbortedError)
    assert session.state is SyncSessionState.ACTIVE
    assert changes[0] is ConnectionState.DISCONNECTED
    assert changes[-1] is ConnectionState.CONNECTED


# --- S5: threads ------------------------------------------------------------------------------------------------------


def test_s05_everything_may_be_called_from_any_thread(world: World) -> None:
    realm = world.open()
    session = session_of(realm)
    errors: list[Exception] = []
    start = threading.Barrier(9)

    def hammer(number: int) -> None:
        try:
            start.wait(PATIENCE_S)
            for step in range(60):
                assert session.state in (SyncSessionState.ACTIVE, SyncSessionState.INACTIVE)
                assert session.connection_state in ConnectionState
                assert session.realm_url is not None
                assert session.parent_user() is world.user
                assert session.configuration() is not None
                with (
                    session.observe_connection_state(lambda old, new: None),
                    session.progress_notification(UPLOAD if step % 2 else DOWNLOAD, FOREVER, lambda done, total: None),
                ):
                    match (step + number) % 8:
                        case 0:
                            session.suspend()
                        case 1 | 2:
                            session.resume()
                        case 3:
                            session.reconnect()
                        case 4:
                            session.on_upload_complete(lambda error: None)
        except Exception as error:  # noqa: BLE001 - the thread of the test is to hear of it
            errors.append(error)

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    start.wait(PATIENCE_S)
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)
    assert errors == []
    session.resume()
    world.write(realm, 1)
    world.settle(realm)
    assert session.connection_state is ConnectionState.CONNECTED


def test_s05_files_and_users_come_and_go_on_any_thread(world: World) -> None:
    """Open, close, suspend, resume, log out and in, all at once: in the end everybody has everything."""
    user = world.user_named("ann")
    world.settle(world.open("first", user=user))
    errors: list[Exception] = []
    written = [*range(15), *range(100, 115), *range(200, 215)]

    def live(device: str, first: int) -> None:
        try:
            for number in range(first, first + 15):
                with Realm.open(
                    RealmConfiguration(schema=[Item], sync=world.configuration(device, user=user))
                ) as realm:
                    session = session_of(realm)
                    world.write(realm, number)
                    match number % 5:
                        case 0:
                            session.suspend()
                        case 1:
                            session.reconnect()
                        case 2:
                            session.resume()
        except Exception as error:  # noqa: BLE001 - the thread of the test is to hear of it
            errors.append(error)

    threads = [threading.Thread(target=live, args=arguments) for arguments in [("a", 0), ("a", 100), ("b", 200)]]
    for thread in threads:
        thread.start()
    for _ in range(3):
        user.log_out()
        world.log_in("ann")
    for thread in threads:
        thread.join(PATIENCE_S)
    assert errors == []
    a, b = world.open("a", user=user), world.open("b", user=user)
    for session in (session_of(a), session_of(b)):
        session.resume()
        assert session.state is SyncSessionState.ACTIVE
    world.settle(a, b)
    world.settle(a)
    assert world.numbers(a) == world.numbers(b) == written


def test_s05_callbacks_may_call_everything(world: World) -> None:
    realm = world.open()
    world.settle(realm)
    session = session_of(realm)
    ended = threading.Event()

    def observe(old: ConnectionState, new: ConnectionState) -> None:
        if new is ConnectionState.DISCONNECTED:
            session.suspend()
            session.resume()
            session.reconnect()
            session.on_download_complete(lambda error: ended.set())

    with session.observe_connection_state(observe):
        session.suspend()
        assert ended.wait(PATIENCE_S)
    world.settle(realm)


# --- S11–S13: facts ---------------------------------------------------------------------------------------------------


def test_s11_the_url_is_resolved_from_the_start_and_gone_with_the_session(world: World) -> None:
    realm = world.open("a", "/~/notes")
    session = session_of(realm)
    url = session.realm_url
    assert url == f"realm://127.0.0.1:{world.server.port}/{world.user.identity}/notes"
    world.settle(realm)
    session.suspend()
    assert session.realm_url == url
    realm.close()
    assert session.state is SyncSessionState.INVALID
    assert session.realm_url is None


def test_s12_the_user_who_owns_the_session(world: World) -> None:
    ann, bob = world.user, world.user_named("bob")
    of_ann, of_bob = world.open("ann"), world.open("bob", user=bob)
    assert session_of(of_ann).parent_user() is ann is session_of(of_ann).user
    assert session_of(of_bob).parent_user() is bob
    assert ann.all_sessions() == [session_of(of_ann)]
    world.settle(of_ann, of_bob)
    session = session_of(of_ann)
    of_ann.close()
    assert world.manager.wait_for_sessions_to_terminate(PATIENCE_S)
    assert session.parent_user() is None


def test_s12_logging_out_stops_the_sessions_of_that_user_only(world: World) -> None:
    ann, bob = world.user_named("ann"), world.user_named("bob")
    of_ann, of_bob = world.open("ann", user=ann), world.open("bob", user=bob)
    paused = world.open("paused", "/~/paused", user=ann)
    world.settle(of_ann, of_bob, paused)
    session = session_of(of_ann)
    session_of(paused).suspend()
    ann.log_out()
    assert session.state is SyncSessionState.INACTIVE
    assert session.connection_state is ConnectionState.DISCONNECTED
    assert session.parent_user() is ann
    assert set(ann.all_sessions()) == {session, session_of(paused)}
    assert session_of(of_bob).connection_state is ConnectionState.CONNECTED

    world.write(of_ann, 1)  # the file goes on working
    late = world.open("late", user=ann)
    assert session_of(late).state is SyncSessionState.INACTIVE
    fired = threading.Event()
    session.on_upload_complete(lambda error: fired.set() if error is None else None)

    assert world.log_in("ann") is ann
    assert session.state is SyncSessionState.ACTIVE
    assert session_of(late).state is SyncSessionState.ACTIVE
    assert session_of(paused).state is SyncSessionState.INACTIVE
    assert fired.wait(PATIENCE_S)
    world.settle(of_ann, late)
    assert world.numbers(late) == [1]


def test_s13_the_configuration_opens_the_same_realm(world: World) -> None:
    realm = world.open("somewhere", "/~/notes")
    world.write(realm, 1)
    world.settle(realm)
    configuration = session_of(realm).configuration()
    assert configuration is not None
    assert configuration.realm_url == "/~/notes", "unresolved, as it was given"
    assert configuration.user is world.user
    again = world.open_with(configuration)
    assert again.path == realm.path
    assert session_of(again) is session_of(realm)
    session = session_of(realm)
    again.close()
    realm.close()
    assert world.manager.wait_for_sessions_to_terminate(PATIENCE_S)
    assert session.configuration() is None
    later = world.open_with(configuration)
    assert world.numbers(later) == [1]
    world.settle(later)


def test_s13_what_an_ended_session_answers(world: World) -> None:
    realm = world.open()
    session = session_of(realm)
    world.settle(realm)
    realm.close()
    assert world.manager.wait_for_sessions_to_terminate(PATIENCE_S)
    assert session.state is SyncSessionState.INVALID
    assert session.connection_state is ConnectionState.DISCONNECTED
    assert session.path == realm.path
    assert (session.realm_url, session.parent_user(), session.user, session.configuration()) == (None,) * 4
    with pytest.raises(InvalidSessionError):
        session.wait_for_download(1)
    with pytest.raises(InvalidSessionError):
        session.observe_connection_state(lambda old, new: None)


# --- S35: from the Realm ----------------------------------------------------------------------------------------------


def test_s35_the_session_of_a_synced_realm_and_none_of_a_local_one(world: World) -> None:
    realm = world.open()
    session = session_for_realm(realm)
    assert isinstance(session, SyncSession)
    assert session is SyncSession.for_realm(realm) is realm.sync_session
    with Realm.open(RealmConfiguration(path=str(world.folder / "local.realm"), schema=[Item])) as local:
        assert session_for_realm(local) is None
        assert local.sync_session is None
    world.user.log_out()
    assert session_for_realm(realm) is session, "logged out, it is inactive, not gone"


def test_s35_a_closed_realm_and_another_thread_are_errors(world: World) -> None:
    realm = world.open()
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            session_for_realm(realm)
        except WrongThreadError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert len(caught) == 1
    realm.close()
    with pytest.raises(ClosedRealmError):
        session_for_realm(realm)
