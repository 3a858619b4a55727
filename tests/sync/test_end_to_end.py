"""Real Realms, a real server process, real sockets: what a user of the library sees."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from syncline import (
    ConnectionState,
    Field,
    Model,
    ProgressDirection,
    ProgressMode,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncSession,
    SyncSessionState,
    SyncUser,
    session_for_realm,
)


class Item(Model):
    id: int = Field(primary_key=True)
    name: str
    count: int


class Server:
    """A ``syncline serve --dev`` process on a free port, that can be killed and started again on the same one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        code = "from syncline.cli.main import main; main()"
        options = ["serve", "--dev", "--port", str(self.port), "--data", str(self.folder)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and event.get("event") == "ready":
                    self.port = event["port"]
                    return
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[SyncManager]:
    made = SyncManager(tmp_path / "sync")
    yield made
    made.close()


@pytest.fixture
def open_realm(manager: SyncManager, serving: Server, tmp_path: Path) -> Iterator[Callable[..., Realm]]:
    """Opens Realms of one user by the name of their file."""
    user = manager.log_in(SyncCredentials.anonymous(), serving.url)
    opened: list[Realm] = []

    def open_realm(name: str, url: str = "/~/items", *, who: SyncUser = user, keep: bool = True) -> Realm:
        sync = SyncConfiguration(who, url, path=str(tmp_path / f"{name}.realm"))
        realm = Realm.open(RealmConfiguration(schema=[Item], sync=sync))
        if keep:
            opened.append(realm)
        return realm

    yield open_realm
    for realm in opened:
        realm.close()


def session_of(realm: Realm) -> SyncSession:
    session = SyncSession.for_realm(realm)
    assert session is not None
    return session


def contents(realm: Realm) -> dict[int, tuple[str, int]]:
    realm.refresh()
    return {item.id: (item.name, item.count) for item in realm.objects(Item)}


def settled(*realms: Realm) -> None:
    """Everything of each Realm is on the server, and then on every device."""
    for realm in realms:
        session_of(realm).wait_for_upload(30)
    for realm in realms:
        session_of(realm).wait_for_download(30)


def test_s35_the_session_of_a_realm(open_realm: Callable[..., Realm], tmp_path: Path) -> None:
    realm = open_realm("a")
    session = realm.sync_session
    assert isinstance(session, SyncSession)
    assert session_for_realm(realm) == session
    assert SyncSession.for_realm(realm) == session
    local = Realm.open(RealmConfiguration(path=str(tmp_path / "local.realm"), schema=[Item]))
    assert SyncSession.for_realm(local) is None
    local.close()


def test_s13_the_configuration_of_a_session_opens_its_realm(open_realm: Callable[..., Realm]) -> None:
    realm = open_realm("a")
    with realm.write():
        realm.create(Item, {"id": 1, "name": "one", "count": 0})
    configuration = session_of(realm).configuration()
    assert configuration is not None
    again = Realm.open(RealmConfiguration(schema=[Item], sync=configuration))
    assert again.path == realm.path
    assert contents(again) == {1: ("one", 0)}
    again.close()


def test_two_devices_offline_come_together(open_realm: Callable[..., Realm]) -> None:
    a = open_realm("a")
    with a.write():
        for number in range(10):
            a.create(Item, {"id": number, "name": f"item {number}", "count": 0})
    settled(a)
    b = open_realm("b")
    settled(b)
    assert contents(b) == contents(a)

    for realm, name in ((a, "from a"), (b, "from b")):
        session_of(realm).suspend()
        assert session_of(realm).state is SyncSessionState.INACTIVE
        with realm.write():
            realm.get(Item, 1).name = name
            realm.create(Item, {"id": 100 if realm is a else 200, "name": name, "count": 1})
    with a.write():
        a.delete(a.get(Item, 2))
    with b.write():
        b.get(Item, 2).name = "changed"
    for realm in (a, b):
        session_of(realm).resume()
    settled(a, b)
    assert contents(a) == contents(b)
    assert contents(a)[1][0] in ("from a", "from b")
    assert {100, 200} <= set(contents(a))
    assert 2 not in contents(a)


def test_changes_arrive_by_themselves_and_wake_observers(open_realm: Callable[..., Realm]) -> None:
    a, b = open_realm("a"), open_realm("b")
    settled(a, b)

    async def main() -> None:
        realm = Realm.open(b.config)
        arrived = asyncio.Event()
        items = realm.objects(Item)
        with items.observe(lambda items, change: arrived.set() if len(items) == 1 else None):
            await asyncio.to_thread(add, a.config)
            await asyncio.wait_for(arrived.wait(), 20)
        realm.close()

    def add(configuration: RealmConfiguration) -> None:
        with Realm.open(configuration) as realm, realm.write():
            realm.create(Item, {"id": 1, "name": "one", "count": 0})

    asyncio.run(main())


def test_s20_s22_s31_progress_of_uploads_and_downloads(open_realm: Callable[..., Realm]) -> None:
    a = open_realm("a")
    session = session_of(a)
    settled(a)
    session.suspend()
    with a.write():
        for number in range(2_000):
            a.create(Item, {"id": number, "name": "x" * 100, "count": number})
    streaming: list[tuple[int, int]] = []
    outstanding: list[tuple[int, int]] = []
    tokens = [
        session.add_progress_notification(
            ProgressDirection.UPLOAD, ProgressMode.REPORT_INDEFINITELY, lambda x, t: streaming.append((x, t))
        ),
        session.add_progress_notification(
            ProgressDirection.UPLOAD,
            ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK,
            lambda x, t: outstanding.append((x, t)),
        ),
    ]
    assert None not in tokens
    session.resume()
    session.wait_for_upload(30)
    assert outstanding[-1][0] >= outstanding[-1][1] > 100 * 2_000
    assert streaming[-1] == outstanding[-1]
    assert tokens[0] is not None
    assert tokens[0].is_valid
    assert tokens[1] is not None
    assert not tokens[1].is_valid
    tokens[0].invalidate()

    b = open_realm("b")

    async def main() -> list[Any]:
        mode = ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK
        return [report async for report in session_of(b).progress(ProgressDirection.DOWNLOAD, mode)]

    reports = asyncio.run(asyncio.wait_for(main(), 30))
    assert reports[-1].is_complete
    settled(b)
    calls: list[tuple[int, int]] = []
    done = session_of(b).add_progress_notification(
        ProgressDirection.DOWNLOAD, ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK, lambda x, t: calls.append((x, t))
    )
    assert done is None
    deadline = time.monotonic() + 5
    while not calls and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(calls) == 1
    assert calls[0][0] >= calls[0][1] > 100 * 2_000


@pytest.mark.parametrize("seed", range(3))
def test_devices_that_come_and_go_at_random_converge(open_realm: Callable[..., Realm], seed: int) -> None:
    url = f"/~/random-{seed}"

    def live(name: str) -> None:
        """Write, suspend, resume, reconnect, close and open again."""
        random = Random(f"{name}-{seed}")
        realm = open_realm(name, url, keep=False)
        for step in range(40):
            session = session_of(realm)
            match random.randrange(8):
                case 0:
                    session.suspend()
                case 1:
                    session.resume()
                case 2:
                    session.reconnect()
                case 3:
                    realm.close()
                    realm = open_realm(name, url, keep=False)
                case _:
                    with realm.write():
                        key = random.randrange(10)
                        item = realm.get(Item, key)
                        if item is None:
                            realm.create(Item, {"id": key, "name": f"{name} {step}", "count": step})
                        elif random.random() < 0.2:
                            realm.delete(item)
                        else:
                            item.name = f"{name} {step}"
        session_of(realm).resume()
        realm.close()

    with ThreadPoolExecutor(2) as executor:
        list(executor.map(live, "ab"))
    a, b = open_realm("a", url), open_realm("b", url)
    settled(a, b)
    settled(a, b)
    assert contents(a) == contents(b)


def test_a_server_killed_in_the_middle_loses_nothing(manager: SyncManager, tmp_path: Path) -> None:
    server = Server(tmp_path / "own-server")
    try:
        user = manager.log_in(SyncCredentials.anonymous(), server.url)
        realms = []
        for name in "ab":
            sync = SyncConfiguration(user, "/~/items", path=str(tmp_path / f"{name}.realm"))
            realms.append(Realm.open(RealmConfiguration(schema=[Item], sync=sync)))
        a, b = realms
        settled(a, b)
        acknowledged: list[int] = []
        with session_of(a).progress_notification(
            ProgressDirection.UPLOAD, ProgressMode.REPORT_INDEFINITELY, lambda x, t: acknowledged.append(x)
        ):
            start = acknowledged[-1] if acknowledged else 0
            for batch in range(20):
                with a.write():
                    for number in range(batch * 200, batch * 200 + 200):
                        a.create(Item, {"id": number, "name": "y" * 50, "count": batch})
            deadline = time.monotonic() + 30
            while (not acknowledged or acknowledged[-1] <= start) and time.monotonic() < deadline:
                time.sleep(0.002)
            server.kill()
        with a.write():
            a.create(Item, {"id": 99_999, "name": "made while the server was down", "count": 0})
        server.start()
        for realm in realms:
            session_of(realm).reconnect()
        settled(a, b)
        assert len(contents(a)) == 4_001
        assert contents(a) == contents(b)
        for realm in realms:
            realm.close()
        assert manager.wait_for_sessions_to_terminate(30)
    finally:
        server.stop()


def test_s4_what_was_written_last_arrives_although_the_realm_was_closed(
    open_realm: Callable[..., Realm], manager: SyncManager
) -> None:
    a = open_realm("a", "/~/closing")
    with a.write():
        a.create(Item, {"id": 1, "name": "last words", "count": 0})
    a.close()
    assert manager.wait_for_sessions_to_terminate(30)
    b = open_realm("b", "/~/closing")
    settled(b)
    assert contents(b) == {1: ("last words", 0)}


def test_a_program_that_ends_without_closing_loses_nothing(
    serving: Server, manager: SyncManager, tmp_path: Path, open_realm: Callable[..., Realm]
) -> None:
    socket_url = f"ws://localhost:{serving.port}"
    code = f"""
from syncline import *
class Item(Model):
    id: int = Field(primary_key=True)
    name: str
    count: int
user = SyncManager.shared({str(tmp_path / "other")!r}).log_in(SyncCredentials.access_token("t", "dev"), {socket_url!r})
sync = SyncConfiguration(user, "/shared/ending", path={str(tmp_path / "other.realm")!r})
realm = Realm.open(RealmConfiguration(schema=[Item], sync=sync))
with realm.write():
    realm.create(Item, {{"id": 1, "name": "offline", "count": 0}})
"""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert time.monotonic() - started < 30
    user = manager.log_in(SyncCredentials.access_token("t", "dev"), socket_url)
    sync = SyncConfiguration(user, "/shared/ending", path=str(tmp_path / "other.realm"))
    realm = Realm.open(RealmConfiguration(schema=[Item], sync=sync))
    settled(realm)
    assert contents(realm) == {1: ("offline", 0)}
    fresh = open_realm("fresh", "/shared/ending", who=user)
    settled(fresh)
    assert contents(fresh) == {1: ("offline", 0)}
    realm.close()


def test_a_bare_socket_with_any_token_reaches_the_development_server(
    serving: Server, manager: SyncManager, tmp_path: Path
) -> None:
    realms = []
    for name in "ab":
        user = manager.log_in(SyncCredentials.access_token(f"any-{name}", name), f"ws://localhost:{serving.port}")
        sync = SyncConfiguration(user, "/raw/path", path=str(tmp_path / f"{name}.realm"), url_prefix="/realm-sync")
        realms.append(Realm.open(RealmConfiguration(schema=[Item], sync=sync)))
    a, b = realms
    with a.write():
        a.create(Item, {"id": 1, "name": "one", "count": 0})
    settled(a, b)
    assert contents(b) == {1: ("one", 0)}
    assert session_of(a).connection_state is ConnectionState.CONNECTED
    for realm in realms:
        realm.close()
