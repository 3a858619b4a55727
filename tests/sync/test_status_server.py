"""The socket that shows a process's sessions: who can open it, what happens with long names, dead and slow peers."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.sync import status_server
from syncline.sync.status_server import StatusServer, ask, status_sockets

Make = Callable[..., StatusServer]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[StatusServer] = []

    def start(folder: Path, report: Callable[[], dict[str, Any]] = lambda: {"a": 1}) -> StatusServer:
        made.append(StatusServer(folder, report))
        return made[-1]

    yield start
    for server in made:
        server.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_it_answers_every_time_anew(tmp_path: Path, make: Make) -> None:
    calls: list[int] = []

    def report() -> dict[str, Any]:
        calls.append(1)
        return {"calls": len(calls)}

    server = make(tmp_path / "status", report)
    assert calls == []  # nothing happens while nobody looks
    assert ask(server.path) == {"calls": 1}
    assert ask(server.path) == {"calls": 2}


def test_only_the_owner_gets_near(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "status"
    folder.mkdir(mode=0o755)
    server = make(folder)
    assert mode(folder) == 0o700
    assert mode(server.path) == 0o600


def test_a_name_that_is_too_long_for_a_socket(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / ("x" * 120) / "status"
    server = make(folder)
    target = Path(os.path.realpath(server.path))
    assert server.path.is_symlink()
    assert mode(target.parent) == 0o700
    assert mode(target) == 0o600
    assert ask(server.path) == {"a": 1}
    server.close()
    assert status_sockets(folder) == []
    assert not target.parent.exists()


def test_nothing_is_left_when_it_is_closed(tmp_path: Path, make: Make) -> None:
    server = make(tmp_path)
    server.close()
    server.close()
    assert status_sockets(tmp_path) == []
    with pytest.raises(OSError, match="No such file"):
        ask(server.path)


@pytest.mark.parametrize("depth", [1, 120])
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, make: Make, depth: int) -> None:
    folder = tmp_path / ("x" * depth)
    code = (
        "import os, sys; from pathlib import Path; from syncline.sync.status_server import StatusServer;"
        "StatusServer(Path(sys.argv[1]), dict); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=False, timeout=60)
    (left,) = status_sockets(folder)
    target = Path(os.path.realpath(left))
    with pytest.raises(ConnectionRefusedError):
        ask(left)
    server = make(folder)
    assert status_sockets(folder) == [server.path]
    assert not target.exists()


def test_a_forked_child_neither_answers_nor_takes_it_away(tmp_path: Path) -> None:
    code = """if True:
        import os, sys
        from pathlib import Path
        from syncline.sync.status_server import StatusServer, ask
        server = StatusServer(Path(sys.argv[1]), dict)
        read, write = os.pipe()
        child = os.fork()
        if not child:
            server.close()
            os.write(write, b"x")
            os.close(write)
            sys.stdin.read()  # outlives its parent
            os._exit(0)
        os.read(read, 1)
        assert ask(server.path) == {}
        os._exit(9)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert parent.wait(60) == 9
    (left,) = status_sockets(tmp_path)
    with pytest.raises(ConnectionRefusedError):
        ask(left)
    parent.communicate(timeout=60)  # the end of its input ends the child


def test_living_ones_stay(tmp_path: Path, make: Make) -> None:
    servers = [make(tmp_path), make(tmp_path)]
    assert status_sockets(tmp_path) == sorted(server.path for server in servers)


def test_a_report_that_fails_does_not_end_it(tmp_path: Path, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    reports = iter([ZeroDivisionError, None])

    def report() -> dict[str, Any]:
        if (error := next(reports)) is not None:
            raise error
        return {"fine": True}

    server = make(tmp_path, report)
    with pytest.raises(ValueError, match="Expecting value"):
        ask(server.path)
    assert ask(server.path) == {"fine": True}
    assert "the status cannot be told" in caplog.text


def test_who_does_not_read_holds_up_the_next_for_a_while_only(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_server, "_ANSWER_SECONDS", 0.2)
    server = make(tmp_path, lambda: {"text": "x" * 4_000_000})
    with socket.socket(socket.AF_UNIX) as lazy:
        lazy.connect(str(server.path))
        assert len(ask(server.path, 20)["text"]) == 4_000_000


def test_who_does_not_answer_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "1-x.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        with pytest.raises(TimeoutError):
            ask(path, 0.1)


@pytest.mark.parametrize("answer", [b"[1]", b"nonsense", b""])
def test_an_answer_that_is_no_status(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "1-x.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ValueError, match=r"status|Expecting value"):
            ask(path)
        thread.join()
