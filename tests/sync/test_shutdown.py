"""The end of sessions, managers and programs: in time, nothing lost, and told what is unsent (spec/sessions.md §3.6,
§14.4); managers in forked children (§18.3)."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from syncline.errors import InvalidSessionError, OperationAbortedError, SynclineError
from syncline.storage.file import RealmFile
from syncline.sync import SyncCredentials, SyncSessionState, SyncStopPolicy

ACTIVE, INACTIVE, INVALID = SyncSessionState


async def silence(peer: Any) -> None:
    await asyncio.sleep(60)


# --- one session ------------------------------------------------------------------------------------------------------


def test_3_6_a_session_without_realm_is_over_and_its_file_can_be_deleted(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url), stop_policy=SyncStopPolicy.AFTER_CHANGES_UPLOADED)
    device.write("Rex")
    world.eventually(realm.uploads)
    session = device.session
    device.close()
    assert session.state is ACTIVE, "it waits for the acknowledgement"
    assert session.shutdown_and_wait(5) is True
    assert session.state is INVALID
    assert world.manager.registry.core_at(device.path) is None
    assert RealmFile.delete(device.path)
    assert session.shutdown_and_wait(5) is True
    again = world.device(world.user(server.url))
    realm.acknowledge = True
    again.session.wait_for_download(5)


def test_3_6_a_session_with_open_realms_is_inactive_until_it_is_told_to_go_on(
    world: Any, server: Any, realm: Any
) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    outcomes: list[Any] = []
    device.session.on_upload_complete(outcomes.append)
    assert device.session.shutdown_and_wait() is True
    world.eventually(lambda: outcomes)
    assert isinstance(outcomes[0], OperationAbortedError)
    assert device.session.state is INACTIVE
    assert device.core._running_protocols == 0
    realm.acknowledge = True
    device.session.resume()
    device.session.wait_for_upload(5)
    device.session.shutdown_and_wait()
    second = world.device(world.user(server.url))
    assert second.session.state is ACTIVE


def test_3_6_whoever_would_wait_for_himself_does_not(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)
    answers: list[bool] = []
    world.manager.client.post(lambda: answers.append(device.session.shutdown_and_wait()))
    world.eventually(lambda: answers)
    device.session.resume()
    device.session.wait_for_download(5)
    device.session.on_download_complete(lambda error: answers.append(device.session.shutdown_and_wait(5)))
    world.eventually(lambda: len(answers) == 2)
    assert answers[1] is True, "a callback of the application may wait"


# --- a manager --------------------------------------------------------------------------------------------------------


def test_14_4_closing_tells_which_files_have_unsent_changes(
    world: Any, server: Any, realm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    user = world.user(server.url)
    sent, unsent = world.device(user, "sent", "/sent"), world.device(user, "unsent", "/unsent")
    sent.write("Rex")
    sent.session.wait_for_upload(5)
    unsent.session.wait_for_download(5)
    unsent.session.suspend()
    unsent.write("Fido")
    unsent.write("Bello", first=2)
    dying = world.device(user, "dying", "/dying")
    dying.session.wait_for_download(5)
    realm.acknowledge = False
    dying.write("Waldi")
    dying.close()
    world.manager.close()
    told = [record.getMessage() for record in caplog.records if "not uploaded" in record.getMessage()]
    assert len(told) == 2
    by_file = {line.partition(": ")[0]: line for line in told}
    assert re.search(r": 2 changes with \d{2,} bytes not uploaded yet; kept in the file", by_file[unsent.path])
    assert ": 1 change with " in by_file[dying.path]


def test_14_4_closing_from_several_threads_waits_for_the_end_in_each(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    world.connected(device)
    states: list[Any] = []

    def close() -> None:
        world.manager.close()
        states.append((device.session.state, world.manager.client_is_closed()))

    world.manager.client_is_closed = lambda client=world.manager.client: client.is_closed
    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert states == [(INVALID, True)] * 4


@pytest.mark.parametrize("is_async", [False, True])
def test_14_4_closing_ends_a_login_that_waits_for_its_server(world: Any, server: Any, is_async: bool) -> None:
    server.script(silence)
    outcomes: list[BaseException] = []

    def log_in() -> None:
        url = f"http://127.0.0.1:{server.port}"
        try:
            if is_async:
                asyncio.run(world.manager.log_in_async(SyncCredentials.anonymous(), url))
            else:
                world.manager.log_in(SyncCredentials.anonymous(), url)
        except (SynclineError, asyncio.CancelledError) as error:
            outcomes.append(error)

    thread = threading.Thread(target=log_in)
    thread.start()
    world.eventually(lambda: server.peers)
    world.manager.close()
    thread.join(10)
    assert isinstance(outcomes[0], OperationAbortedError)
    with pytest.raises(InvalidSessionError):
        world.manager.log_in(SyncCredentials.anonymous(), f"http://127.0.0.1:{server.port}")


def test_14_4_the_server_still_hears_of_a_logout(world: Any, app: Any) -> None:
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    user.log_out()
    world.manager.close()
    assert ("DELETE", "/api/client/v2.0/auth/session") in app.requests


def test_14_4_a_login_that_is_cancelled_is_cancelled(world: Any, server: Any) -> None:
    server.script(silence)

    async def main() -> None:
        login = world.manager.log_in_async(SyncCredentials.anonymous(), f"http://127.0.0.1:{server.port}")
        task = asyncio.create_task(login)
        while not server.peers:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


# --- programs ---------------------------------------------------------------------------------------------------------

PROGRAM = """
import os, signal, sys, threading, time
from syncline import Field, Model, Realm, RealmConfiguration, SyncConfiguration, SyncCredentials, SyncManager

class Dog(Model):
    id: int = Field(primary_key=True)
    name: str

folder, url, ending = sys.argv[1:]
manager = SyncManager(folder + "/sync")
user = manager.log_in(SyncCredentials.access_token("t", "me"), url)

def opened(name):
    sync = SyncConfiguration(user, "/" + name, path=f"{folder}/{name}")
    return Realm.open(RealmConfiguration(schema=[Dog], sync=sync))

realm = opened("a.realm")
with realm.write():
    realm.create(Dog, {"id": 0, "name": "Rex"})

def say(word):
    sys.stdout.write(word + "\\n")
    sys.stdout.flush()

def write_for_ever():
    mine, count = opened("a.realm"), 0
    while True:
        count += 1
        with mine.write():
            mine.create(Dog, {"id": count, "name": "x" * 100})
        say(f"wrote {count}")

match ending:
    case "uploaded":
        realm.sync_session.wait_for_upload(20)
    case "threads":
        threading.Thread(target=write_for_ever, daemon=True).start()
        time.sleep(0.3)
    case "stuck":
        lock = manager.registry.core_at(realm.path)._lock
        threading.Thread(target=lambda: (lock.acquire(), time.sleep(60)), daemon=True).start()
        second = SyncManager(folder + "/sync2")
        time.sleep(0.1)
    case "interrupt":  # also where the test run itself is deaf to interrupts
        signal.signal(signal.SIGINT, signal.default_int_handler)
    case "term":
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(3))
say("ready")
if ending in ("interrupt", "term", "killed"):
    write_for_ever()
"""


class Ended:
    """A program that has ended: how long after it was told to, and what it has left."""

    def __init__(self, folder: Path, url: str, ending: str, number: int | None = None) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "SYNCLINE_STATUS"}
        command = [sys.executable, "-c", PROGRAM, str(folder), url, ending]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if number is not None and "ready\n" in lines and any("wrote" in each for each in lines):
                process.send_signal(number)
                number = None
            if line == "ready\n":
                started = time.monotonic()
        self.code = process.wait(60)
        self.seconds = time.monotonic() - started
        assert process.stderr is not None
        self.told = process.stderr.read()
        process.stderr.close()
        self.wrote = max((int(line.split()[1]) for line in lines if line.startswith("wrote")), default=0)
        self.path = folder / "a.realm"

    def dogs(self) -> int:
        file = RealmFile.open(self.path)
        try:
            with file.snapshot() as snapshot:
                dog = snapshot.catalogue.find("Dog")
                assert dog is not None
                return snapshot.reader.count(dog)
        finally:
            file.close()


NOBODY = "ws://127.0.0.1:9"
PATIENCE_S = 15.0
"""The exit takes five seconds at most; what else a busy machine does is not its fault."""


@pytest.mark.parametrize(
    ("ending", "number", "code"),
    [
        ("at once", None, 0),
        ("threads", None, 0),
        ("stuck", None, 0),
        ("interrupt", signal.SIGINT, -signal.SIGINT),
        ("term", signal.SIGTERM, 3),
        ("killed", signal.SIGTERM, -signal.SIGTERM),
    ],
)
def test_14_4_a_program_ends_in_time_loses_nothing_and_says_what_is_unsent(
    server: Any, tmp_path: Path, ending: str, number: int | None, code: int
) -> None:
    server.script(silence)
    url = NOBODY if ending in ("at once", "term") else server.url
    ended = Ended(tmp_path, url, ending, number)
    assert ended.code == code
    assert ended.seconds < PATIENCE_S
    assert ended.dogs() >= ended.wrote + 1
    warned = re.search(r"a\.realm: (\d+) changes? with (\d+) bytes not uploaded yet", ended.told)
    if ending == "killed":
        assert ended.told == ""
        return
    assert warned is not None
    assert int(warned[1]) >= 1
    assert ("Traceback" in ended.told) == (ending == "interrupt")


def test_14_4_a_program_that_has_uploaded_everything_ends_in_silence(server: Any, realm: Any, tmp_path: Path) -> None:
    ended = Ended(tmp_path, server.url, "uploaded")
    assert (ended.code, ended.told) == (0, "")
    assert len(realm.uploads()) == 2


# --- fork -------------------------------------------------------------------------------------------------------------

FORK = """
import os, sys
from pathlib import Path
from syncline import *

folder, url = sys.argv[1:]
SyncManager.shared(folder + "/sync")
manager = SyncManager.shared()
token = SyncCredentials.access_token("t", "me")
user = manager.log_in(token, url)
sync = SyncConfiguration(user, "/a", path=folder + "/a.realm")
realm = Realm.open(sync)
session = realm.sync_session
session.wait_for_download(10)
SyncManager._shared_lock.acquire()  # as another thread may hold it
manager._lock.acquire()
child = os.fork()
if child == 0:
    refused = []
    for call in (
        lambda: manager.log_in(token, url),
        lambda: manager.log_in(SyncCredentials.anonymous(), "http://127.0.0.1:9"),
        manager.all_users, manager.all_sessions, manager.current_user, manager.diagnostics, manager.reconnect,
        manager.has_existing_sessions, manager.wait_for_sessions_to_terminate, manager.expose_status,
        session.suspend, session.shutdown_and_wait, session.configuration, user.log_out, user.all_sessions,
        lambda: session.wait_for_upload(1),
        lambda: Realm.open(SyncConfiguration(user, "/b", path=folder + "/b.realm")),
    ):
        try:
            call()
        except InvalidSessionError as error:
            refused.append("belong to the parent process" in str(error))
        else:
            os._exit(2)
    manager.close()  # does nothing
    try:
        SyncManager.shared()  # the parent has its users open, and SQLite would take the parent's locks for the child's
    except IllegalOperationError:
        pass
    else:
        os._exit(5)
    mine = SyncManager.shared(folder + "/child")
    again = mine.log_in(token, url)
    ok = all(refused) and mine is not manager and SyncManager.shared() is mine
    other = Realm.open(SyncConfiguration(again, "/b", path=folder + "/b.realm"))
    other.sync_session.wait_for_download(10)
    try:
        Realm.open(SyncConfiguration(again, "/a", path=folder + "/a.realm"))
    except IllegalOperationError:
        sys.exit(7 if ok else 3)
    sys.exit(4)
SyncManager._shared_lock.release()
manager._lock.release()
_, status = os.waitpid(child, 0)
session.wait_for_download(10)
assert session.state is SyncSessionState.ACTIVE
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_18_3_a_forked_child_must_not_use_what_is_its_parents_and_may_make_its_own(
    server: Any, realm: Any, tmp_path: Path
) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(tmp_path), server.url]
    result = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert result.returncode == 7, result.stderr
    assert "Traceback" not in result.stderr
