"""``syncline status``: what it says of running programs and of files, with real processes and a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from syncline.cli import status_view
from syncline.cli.commands import build_app
from syncline.storage.file import RealmFile
from syncline.sync.status_server import StatusServer
from syncline.testing.processes import ServerProcess
from syncline.version import __version__

#: An application: syncs a Realm, says so, obeys one-word orders.
_APPLICATION = """
import sys
from syncline import *

class Dog(Model):
    id: int = Field(primary_key=True)
    name: str

folder, url, name = sys.argv[1:]
manager = SyncManager(folder)
user = manager.log_in(SyncCredentials.username_password(name, "correct horse", register=True), url)
realm = Realm.open(RealmConfiguration(schema=[Dog], sync=SyncConfiguration(user, "/~/dogs")))
realm.sync_session.wait_for_upload(60)
print("ready", flush=True)
count = 0
for order in sys.stdin:
    if order.strip() == "write":
        count += 1
        with realm.write():
            realm.create(Dog, id=count, name="Rex")
    else:
        getattr(realm.sync_session, order.strip())()
    print("done", flush=True)
manager.close()
"""


class Application:
    """The process of an application."""

    def __init__(self, folder: Path, url: str, name: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _APPLICATION, str(folder), url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
        assert self._line() == "ready"

    def do(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        assert self._line() == "done"

    def stop(self) -> None:
        self.process.communicate(timeout=60)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    yield process
    process.stop()


@pytest.fixture
def start(server: ServerProcess) -> Iterator[Callable[..., Application]]:
    started: list[Application] = []

    def begin(folder: Path, name: str, **environment: str) -> Application:
        started.append(Application(folder, server.url, name, **environment))
        return started[-1]

    yield begin
    for application in started:
        application.process.kill()
        application.process.communicate()


def status(*arguments: object, columns: int = 200) -> Any:
    """Run the command; its result has ``exit_code``, ``stdout`` and ``stderr``."""
    return CliRunner().invoke(build_app(), ["status", *map(str, arguments)], env={"COLUMNS": str(columns)})


def said(folder: Path, *arguments: object) -> str:
    result = status("--directory", folder, *arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def data(folder: Path, *arguments: object) -> dict[str, Any]:
    return dict(json.loads(said(folder, "--json", *arguments)))


# --- programs ---------------------------------------------------------------------------------------------------------


def test_a_program_that_shows_itself(tmp_path: Path, start: Callable[..., Application]) -> None:
    application = start(tmp_path, "showing", SYNCLINE_STATUS="1")
    application.do("suspend")
    for _ in range(2):
        application.do("write")
    text = said(tmp_path)
    for wanted in (f"process {application.process.pid}", "/~/dogs", "paused", "disconnected", "2 changes pending"):
        assert wanted in text
    assert "No running program" not in text
    assert "not seen" not in text  # its file is not listed again
    seen = data(tmp_path)
    (process,) = seen["processes"]
    (session,) = process["sessions"]
    assert session["file"]["pending_changes"] == 2
    assert seen["files"] == []
    application.do("resume")
    deadline = time.monotonic() + 20
    while data(tmp_path)["processes"][0]["sessions"][0]["file"]["pending_changes"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    text = said(tmp_path)
    assert "● connected" in text
    assert "100 %" in text
    assert "nothing pending" in text
    application.stop()
    assert "No running program" in said(tmp_path)


def test_a_program_that_does_not_show_itself(tmp_path: Path, start: Callable[..., Application]) -> None:
    application = start(tmp_path, "hidden")
    application.do("suspend")
    application.do("write")
    text = said(tmp_path)
    assert "No running program shows its sessions here" in text
    assert "SYNCLINE_STATUS=1" in text
    assert "1 change pending" in text
    assert data(tmp_path)["files"][0]["is_synced"] in (True, None)  # a suspended session keeps others away, too
    assert ("synced by a program that does not show it" in text) == bool(data(tmp_path)["files"][0]["is_synced"])
    application.stop()
    assert data(tmp_path)["files"][0]["is_synced"] in (False, None)


def test_a_program_that_was_killed(tmp_path: Path, start: Callable[..., Application]) -> None:
    application = start(tmp_path, "killed", SYNCLINE_STATUS="1")
    application.do("suspend")
    application.do("write")
    application.process.kill()
    application.process.wait()
    text = said(tmp_path)
    assert "No running program" in text
    assert "1 change pending" in text
    assert "/~/dogs" in text


def test_a_program_that_hangs(
    tmp_path: Path, start: Callable[..., Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    from syncline.cli import status_sources
    from syncline.sync.status_server import ask

    monkeypatch.setattr(status_sources, "ask", lambda path: ask(path, 0.2))
    application = start(tmp_path, "hanging", SYNCLINE_STATUS="1")
    application.process.send_signal(signal.SIGSTOP)
    try:
        text = said(tmp_path)
    finally:
        application.process.send_signal(signal.SIGCONT)
    assert "a program does not answer" in text
    assert "timed out" in text


def hear_interrupts() -> None:
    """A shell's background job, such as a test run may be, is started deaf to Ctrl-C, and so are its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("options", [["--json"], []])
def test_watching_until_interrupted(tmp_path: Path, start: Callable[..., Application], options: list[str]) -> None:
    application = start(tmp_path, f"watched{len(options)}", SYNCLINE_STATUS="1")
    command = [sys.executable, "-m", "syncline.cli.main", "status", "--watch", "--interval", "0.1", *options]
    watching = subprocess.Popen(
        [*command, "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )
    assert watching.stdout is not None
    if options:
        pids = [json.loads(watching.stdout.readline())["processes"][0]["pid"] for _ in range(3)]
        assert pids == [application.process.pid] * 3
    else:
        titles = 0
        while titles < 3:
            titles += f"process {application.process.pid}" in watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, problems = watching.communicate(timeout=30)
    assert problems == ""
    assert watching.returncode == 0


def test_watching_in_a_terminal(
    tmp_path: Path, start: Callable[..., Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tmp_path, "terminal", SYNCLINE_STATUS="1")
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    # not time.sleep itself: other threads of this process sleep too
    monkeypatch.setattr(status_view, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(status_view, "Console", lambda **settings: Console(**settings, force_terminal=True, width=120))
    result = status("--directory", tmp_path, "--watch", "--interval", "5")
    assert result.exit_code == 0
    assert looks == [5.0, 5.0, 5.0]
    assert result.stdout.count("/~/dogs") >= 3


def test_errors_are_shown(tmp_path: Path) -> None:
    error = {
        "time": "2026-03-01T10:00:00+00:00", "first_time": "2026-03-01T10:00:00+00:00", "count": 3,
        "code": "CONNECTION_FAILED", "text": "cannot connect to [x]", "is_fatal": False,
        "status": None, "server_code": 206,
    }  # fmt: skip
    connection = {
        "state": "disconnected", "since": "2026-03-01T10:00:00+00:00", "server_url": "ws://example.org:9080/x",
        "retry_delay": 75.0, "is_waiting_to_be_told": True, "round_trip_ms": 12, "smoothed_round_trip_ms": 13.4,
    }  # fmt: skip
    session = {
        "path": "/x/realm%3A%2F%2Fexample.org%2Fa", "realm_url": None, "user_identity": None, "activity": "active",
        "connection": connection, "file": None, "upload": None,
        "download": {"transferred_bytes": 999, "transferrable_bytes": 1000, "progress_estimate": 0.999},
        "errors": [error],
    }  # fmt: skip
    process = {
        "syncline_version": __version__, "program": "app.py", "pid": 7, "bytes_sent": 5, "bytes_received": 12_000,
        "sessions": [session],
    }  # fmt: skip
    folder = tmp_path / "realm-object-server" / "io.realm.object-server-utility" / "status"
    server = StatusServer(folder, lambda: process)
    other = StatusServer(folder, lambda: {"pid": 8, "syncline_version": "0.0.0"})
    empty = StatusServer(folder, lambda: {**process, "pid": 9, "sessions": []})
    try:
        text = said(tmp_path)
    finally:
        for each in (server, other, empty):
            each.close()
    for wanted in (
        "app.py, process 7: 5 B sent, 12.0 kB received",
        "CONNECTION_FAILED 206 ×3 /a: cannot connect to [x]",
        "next attempt in 1 min 15 s",
        "waits for reconnect()",
        "round trip 12 ms (∅ 13 ms)",
        "99 %",
        "process 8 has another version",
        "No Realm is synced.",
    ):
        assert wanted in text
    assert "100 %" not in text


def test_a_running_client_reset_is_shown(tmp_path: Path) -> None:
    reset = {
        "since": datetime.now(UTC).isoformat(), "step": "downloading a fresh copy",
        "mode": "recover_unsynced_changes", "cause": "bad client file ident",
        "downloaded": {"transferred_bytes": 500, "transferrable_bytes": 2000, "progress_estimate": 0.25},
    }  # fmt: skip
    session = {
        "path": "/x/dogs.realm", "realm_url": None, "user_identity": None, "activity": "active", "connection": None,
        "file": None, "upload": None, "download": None, "errors": [], "client_reset": reset,
    }  # fmt: skip
    process = {
        "syncline_version": __version__, "program": "app.py", "pid": 7, "bytes_sent": 5, "bytes_received": 12_000,
        "sessions": [session],
    }  # fmt: skip
    folder = tmp_path / "realm-object-server" / "io.realm.object-server-utility" / "status"
    server = StatusServer(folder, lambda: process)
    try:
        text = said(tmp_path)
    finally:
        server.close()
    for wanted in ("client reset 0 s", "downloading a fresh copy", " 25 %", "2.0 kB"):
        assert wanted in text


# --- files ------------------------------------------------------------------------------------------------------------


def test_nothing_at_all(tmp_path: Path) -> None:
    result = status("--directory", tmp_path)
    assert result.exit_code == 1
    assert "No running program shows its sessions here" in result.stdout
    assert "no files of synced Realms" in result.stdout
    assert list(tmp_path.iterdir()) == []  # looking leaves no trace


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    result = status("--directory", tmp_path / "absent")
    assert result.exit_code == 2
    assert "there is no directory" in result.stderr


def test_files_of_both_layouts_and_others(tmp_path: Path) -> None:
    places = [
        tmp_path / "realm-object-server" / "user" / "realm%3A%2F%2Fexample.org%2Fa%2Fb",
        tmp_path / "mongodb-realm" / "default" / "user" / "s_part.realm",
        tmp_path / "elsewhere.realm",
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        RealmFile.open(place).close()
    local = places[0].with_name("local")
    RealmFile.open(local, history=False).close()
    (places[0].parent / "notes.txt").write_text("no Realm")
    seen = data(tmp_path, places[2])
    assert {file["path"] for file in seen["files"] if "problem" not in file} == {str(place) for place in places}
    (odd,) = [file for file in seen["files"] if "problem" in file]
    assert odd["path"].endswith("notes.txt")
    text = said(tmp_path, places[2])
    assert "/a/b" in text
    assert "file ident none yet" in text


def test_an_encrypted_file(tmp_path: Path) -> None:
    place = tmp_path / "secret.realm"
    RealmFile.open(place, encryption_key=bytes(range(64))).close()
    (without,) = data(tmp_path, place)["files"]
    assert "problem" in without
    (with_key,) = data(tmp_path, place, "--encryption-key", bytes(range(64)).hex())["files"]
    assert with_key["file_ident"] == 0
    assert status("--directory", tmp_path, "--encryption-key", "xyz").exit_code == 2


def test_a_key_of_the_wrong_length_is_told(tmp_path: Path) -> None:
    place = tmp_path / "secret.realm"
    RealmFile.open(place, encryption_key=bytes(range(64))).close()
    (file,) = data(tmp_path, place, "--encryption-key", "00ff")["files"]
    assert "64 bytes" in file["problem"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert status_view._duration(seconds) == words
