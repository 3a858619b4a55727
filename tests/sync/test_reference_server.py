"""Our client against servers of other makers: no accounts, no HTTP, older protocols, the legacy ERROR, no estimates.

What realm-core's reference server really says is in :mod:`tests.sync.test_recorded_server`; here is a server that does
no more than it, and changes its mind where a test wants it to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.sync.conftest import FakeRealm

from syncline import (
    ClientResetError,
    ClientResetMode,
    ClientSessionError,
    Field,
    Model,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncProgress,
    SyncSession,
)
from syncline.protocol import messages
from syncline.protocol.settings import MAX_VERSION, MIN_VERSION
from syncline.sync.states import ConnectionState, ProgressDirection, ProgressMode, SyncSessionState


class Dog(Model):
    id: int = Field(primary_key=True)
    name: str


class ReferenceServer(FakeRealm):
    """Sends the legacy ERROR only, to whoever claims an ident that it does not know (any more)."""

    def __init__(self, version: int = MAX_VERSION) -> None:
        super().__init__()
        self.version = version
        self.lost: set[int] = set()
        self._refused: set[tuple[Any, int]] = set()
        self.code = 209
        self.before = self._refuse

    async def script(self, peer: Any) -> None:
        await peer.accept(f"com.mongodb.realm-sync#{self.version}")
        await self.serve(peer)

    async def _refuse(self, peer: Any, message: messages.ClientMessage) -> bool:
        session = (peer, getattr(message, "session", 0))
        if isinstance(message, messages.Ident) and message.file_ident.ident in self.lost:
            self._refused.add(session)
            await peer.send(f"error {self.code} 5 0 {message.session}\nsorry")
        is_refused = session in self._refused  # nothing more is answered to it
        if isinstance(message, messages.Unbind):
            self._refused.discard(session)
        return is_refused

    def lose(self, path: str, versions: int) -> None:
        """Restored from a copy: the newest versions are gone, and every ident that was given."""
        del self.history[path][-versions:]
        self.lost = set(range(2, self._next_ident))


@pytest.fixture
def reference(server: Any) -> ReferenceServer:
    made = ReferenceServer()
    server.script(made.script)
    return made


@pytest.mark.parametrize("version", range(MIN_VERSION, MAX_VERSION + 1))
def test_every_version_that_a_server_may_choose(world: Any, server: Any, version: int) -> None:
    reference = ReferenceServer(version)
    server.script(reference.script)
    one, two = world.device(world.user(server.url, "a"), "a"), world.device(world.user(server.url, "b"), "b")
    one.write("Rex")
    one.session.wait_for_upload(5)
    two.session.wait_for_download(5)
    assert two.names() == {1: "Rex"}
    two.write("Fido", first=2)
    two.session.wait_for_upload(5)
    one.session.wait_for_download(5)
    assert one.names() == two.names() == {1: "Rex", 2: "Fido"}
    assert world.errors == []
    assert {message.flexible for _, message in reference.log if isinstance(message, messages.Bind)} == {None}


@pytest.mark.parametrize(("version", "is_told"), [(6, False), (7, True), (14, True)])
def test_a_server_hears_of_a_bad_download_where_it_knows_the_message(
    world: Any, server: Any, version: int, is_told: bool
) -> None:
    reference = ReferenceServer(version)
    server.script(reference.script)
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    server.run(reference.spoil((1, 1), b"1 0 1 9 3 3 \xff\xff\xff"))
    world.eventually(lambda: world.errors)
    device.session.suspend()
    world.eventually(lambda: "Unbind" in reference.kinds())
    assert ("ClientJsonError" in reference.kinds()) == is_told


@pytest.mark.parametrize(
    ("address", "prefix", "target"),
    [
        ("ws://127.0.0.1:{}", None, "/realm-sync"),
        ("realm://127.0.0.1:{}/", None, "/realm-sync"),
        ("ws://127.0.0.1:{}/realm-sync", None, "/realm-sync"),
        ("ws://127.0.0.1:{}/api/client/v2.0/app/zoo/realm-sync", None, "/api/client/v2.0/app/zoo/realm-sync"),
        ("ws://127.0.0.1:{}", "/realm-sync/%2Fdogs", "/realm-sync/%2Fdogs"),
    ],
)
def test_both_shapes_of_the_address_and_nothing_but_the_socket(
    world: Any, server: Any, reference: ReferenceServer, address: str, prefix: str | None, target: str
) -> None:
    user = world.user(address.format(server.port))
    device = world.device(user, url_prefix=prefix)
    device.write("Rex")
    device.session.wait_for_upload(5)
    server.run(reference.cut())
    world.eventually(lambda: device.session.connection_state is ConnectionState.DISCONNECTED)
    device.session.reconnect()
    device.session.wait_for_download(5)
    assert {peer.target for peer in server.peers} == {f"{target}?baas_at=token"}
    assert {peer.request.split(b" ")[0] for peer in server.peers} == {b"GET"}


TOKENS = [
    "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl",  # a JWT, which has expired: only the server may mind
    "eyJpZGVudGl0eSI6InRlc3QifQ==:c2ln+bmF0/dXJl",  # of the first generation: base64 ":" base64
    "nonsense",
]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_travels_as_it_was_given(world: Any, server: Any, reference: ReferenceServer, token: str) -> None:
    user = world.manager.log_in(SyncCredentials.access_token(token, "me"), server.url)
    world.device(user).session.wait_for_download(5)
    assert server.peers[0].target == f"/realm-sync?baas_at={token}"
    assert all(message.token == "" for _, message in reference.log if isinstance(message, messages.Bind))


def test_another_token_for_the_same_user_is_used_from_then_on(
    world: Any, server: Any, reference: ReferenceServer
) -> None:
    async def only_second(peer: Any) -> None:
        if "second" not in peer.target:
            await peer.answer(401)
        else:
            await reference.script(peer)

    server.script(only_second)
    first = world.manager.log_in(SyncCredentials.access_token("first", "me"), server.url)
    device = world.device(first)
    world.eventually(lambda: world.errors)
    assert world.manager.log_in(SyncCredentials.access_token("second", "me"), server.url) is first
    device.session.wait_for_download(0.9)  # without the delay of a second


@pytest.mark.parametrize("code", [208, 209, 210, 211, 222])
def test_a_server_that_was_set_back_gets_the_unsynced_changes(
    world: Any, server: Any, reference: ReferenceServer, code: int
) -> None:
    mode = ClientResetMode.RECOVER_UNSYNCED_CHANGES
    device = world.device(world.user(server.url), client_reset_mode=mode)
    for number, name in enumerate(("kept", "lost by the server"), 1):
        device.write(name, first=number)
        device.session.wait_for_upload(5)
    device.session.suspend()
    reference.code = code
    reference.lose("/dogs", 1)
    device.write("unsynced", first=3)
    device.session.resume()
    device.session.wait_for_upload(10)
    device.session.wait_for_download(10)
    assert device.names() == {1: "kept", 3: "unsynced"}
    assert world.errors == []
    other = world.device(world.user(server.url, "other"), "b")
    other.session.wait_for_download(5)
    assert other.names() == device.names()


def test_after_a_client_reset_progress_begins_anew(world: Any, server: Any, reference: ReferenceServer) -> None:
    device = world.device(world.user(server.url), client_reset_mode=ClientResetMode.RECOVER_UNSYNCED_CHANGES)
    device.write("kept")
    device.session.wait_for_upload(5)
    device.write(*("x" * 100 for _ in range(30)), first=10)
    device.session.wait_for_upload(5)
    before = device.core.history.status().counters.uploaded
    assert before > 3_000
    device.session.suspend()
    reference.lose("/dogs", 1)
    device.write("unsynced", first=3)
    calls: list[SyncProgress] = []
    callback = with_estimate(calls)
    up, forever = ProgressDirection.UPLOAD, ProgressMode.REPORT_INDEFINITELY
    with device.session.progress_notification(up, forever, callback):
        device.session.resume()
        device.session.wait_for_upload(10)
        world.manager.progress_thread.drain(5)
    assert calls[0].transferred_bytes == before, "as it was known before"
    counters = device.core.history.status().counters
    assert 0 < counters.uploaded == counters.uploadable < 1_000
    assert counters.downloaded == counters.downloadable == 0, "what the fresh copy brought is not counted"
    assert (calls[-1].transferred_bytes, calls[-1].transferrable_bytes) == (counters.uploaded, counters.uploadable)
    after = [call for call in calls if call.transferrable_bytes <= counters.uploadable]
    assert [call.transferred_bytes for call in after] == sorted(call.transferred_bytes for call in after)
    assert all(call.is_complete == (call.progress_estimate == 1.0) for call in after)


def with_estimate(calls: list[SyncProgress]) -> Callable[[SyncProgress], None]:
    """A progress callback that keeps whole reports."""

    def callback(progress: SyncProgress) -> None:
        calls.append(progress)

    callback.with_estimate = True  # type: ignore[attr-defined]
    return callback


def test_by_hand_the_token_backs_the_file_up(world: Any, server: Any, reference: ReferenceServer) -> None:
    device = world.device(world.user(server.url), client_reset_mode=ClientResetMode.MANUAL)
    device.write("Rex")
    device.session.wait_for_upload(5)
    device.session.suspend()
    reference.lose("/dogs", 1)
    session = device.session
    session.resume()
    world.eventually(lambda: world.errors)
    ((error, _),) = world.errors
    assert isinstance(error, ClientResetError)
    assert session.state is SyncSessionState.INVALID
    device.close()
    assert SyncSession.immediately_handle_error(error.action_token)
    again = world.device(world.user(server.url))
    again.write("Fido", first=2)
    again.session.wait_for_upload(5)


def test_the_backup_of_an_encrypted_realm_opens_with_its_key_and_has_what_was_not_uploaded(
    world: Any, server: Any, reference: ReferenceServer, tmp_path: Any
) -> None:
    key = bytes(range(64))
    sync = SyncConfiguration(
        world.user(server.url), "/dogs", path=str(tmp_path / "a.realm"), client_reset_mode=ClientResetMode.MANUAL
    )
    with Realm.open(RealmConfiguration(schema=[Dog], sync=sync, encryption_key=key)) as realm:
        with realm.write():
            realm.create(Dog, id=1, name="Rex")
        realm.sync_session.wait_for_upload(5)
        realm.sync_session.suspend()
        reference.lose("/dogs", 1)
        with realm.write():
            realm.create(Dog, id=2, name="never uploaded")
        realm.sync_session.resume()
        world.eventually(lambda: world.errors)
    ((error, _),) = world.errors
    assert SyncSession.immediately_handle_error(error.action_token)
    assert [path.name for path in tmp_path.glob("a.realm*")] == []
    with Realm.open(RealmConfiguration(schema=[Dog], path=error.backup_path, encryption_key=key)) as saved:
        assert sorted(dog.name for dog in saved.objects(Dog)) == ["Rex", "never uploaded"]
        assert saved.sync_session is None


def test_a_path_that_the_server_does_not_like_is_told(world: Any, server: Any, reference: ReferenceServer) -> None:
    async def refuse(peer: Any, message: Any) -> bool:
        if isinstance(message, messages.Bind):
            await peer.send(f"error 204 18 0 {message.session}\nIllegal Realm path")
            return True
        return False

    reference.before = refuse
    world.device(world.user(server.url), path="/../x")
    world.eventually(lambda: world.errors)
    ((error, _),) = world.errors
    assert (type(error), error.server_code, str(error)) == (ClientSessionError, 204, "Illegal Realm path")


@pytest.mark.parametrize("remaining", [0, 1_000_000])
def test_progress_ends_whatever_the_server_says_is_left(
    world: Any, server: Any, reference: ReferenceServer, remaining: int
) -> None:
    """The reference server counts what it will not send, too; with the last message it says 0."""
    writer, reader = world.device(world.user(server.url, "a"), "a"), world.device(world.user(server.url, "b"), "b")
    calls: list[tuple[int, int]] = []
    reference.remaining = remaining
    for number in range(3):
        writer.write("x" * 100, first=number)
        writer.session.wait_for_upload(5)
    reader.session.wait_for_download(5)
    down = ProgressDirection.DOWNLOAD
    with reader.session.progress_notification(
        down, ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK, lambda x, t: calls.append((x, t))
    ):
        reference.remaining = 0
        writer.write("last", first=9)
        writer.session.wait_for_upload(5)
        reader.session.wait_for_download(5)
        world.manager.progress_thread.drain(5)
    assert calls[-1][0] >= calls[-1][1] > 0
    assert [total for _, total in calls] == sorted((total for _, total in calls), reverse=True)


def test_realms_with_models_users_and_asynchronous_opens(
    world: Any, server: Any, reference: ReferenceServer, tmp_path: Any
) -> None:
    """What a program does; see docs/how-to/use-another-server.md."""

    def configuration(name: str) -> RealmConfiguration:
        user = world.user(server.url, name)
        sync = SyncConfiguration(user, "/dogs", path=str(tmp_path / f"{name}.realm"))
        return RealmConfiguration(schema=[Dog], sync=sync)

    async def second() -> list[str]:
        async with Realm.open_async(configuration("b"), timeout=5) as realm:
            names = [dog.name for dog in realm.objects(Dog)]
        return names

    with Realm.open(configuration("a")) as realm:
        with realm.write():
            realm.create(Dog, id=1, name="Rex")
        realm.sync_session.wait_for_upload(5)
        assert asyncio.run(second()) == ["Rex"]
    assert {peer.target.partition("?")[0] for peer in server.peers} == {"/realm-sync"}
