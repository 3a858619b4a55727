"""The drivable peer with a server: sessions, waits, commits that the session is not told of (vectors/PEER.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.testing.peer import Peer
from syncline.testing.processes import ServerProcess

DOGS = {"op": "schema", "classes": [{"name": "Dog", "pk": {"name": "id", "type": "int"}, "props": []}]}

Say = Callable[..., dict[str, Any]]


def dog(key: int) -> dict[str, Any]:
    return {"op": "create", "class": "Dog", "pk": key}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    yield process
    process.stop()


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[list[Say]]:
    """Two peers with a file each."""
    made = [Peer(), Peer()]

    def sayer(peer: Peer) -> Say:
        return lambda cmd, **fields: peer.answer({"cmd": cmd, "db": "x", **fields})

    says = [sayer(peer) for peer in made]
    for number, say in enumerate(says):
        assert say("open", file=str(tmp_path / f"{number}.realm"))["ok"]
    yield says
    for peer in made:
        peer.close()


def ok(reply: dict[str, Any]) -> dict[str, Any]:
    assert reply["ok"], reply
    return reply


def keys(say: Say) -> list[int]:
    return [entry["key"]["int"] for entry in ok(say("dump"))["dump"]["objects"].get("Dog", [])]


def test_two_peers_and_the_server_hold_the_same(server: ServerProcess, peers: list[Say]) -> None:
    """However the server is named, with any token, with and without a leading slash."""
    a, b = peers
    ok(a("tx", ops=[DOGS, dog(1)]))
    ok(a("connect", url=f"ws://localhost:{server.port}/", path="two/peers"))
    ok(a("wait_sync"))
    elsewhere = {"host": "127.0.0.1", "service": "realm-sync", "token": "n'importe quoi"}
    ok(b("connect", **elsewhere, port=server.port, path="/two/peers"))
    ok(b("wait_download", timeout_s=30))
    assert a("hash") == b("hash")
    assert a("hash")["hash"] == server.content_hash("/two/peers")
    assert a("errors") == {"ok": True, "errors": [], "states": ["connecting", "connected"]}
    progress = a("progress")["progress"]
    assert progress["uploaded"] == progress["uploadable"] > 0 == progress["downloaded"]
    history = a("history")
    assert history["changesets"] == []
    assert history["ident"] > 0
    assert history["progress"]["upload"]["client_version"] >= 2


def test_a_commit_that_nobody_is_told_of_waits_for_the_next(server: ServerProcess, peers: list[Say]) -> None:
    a, b = peers
    for say in peers:
        ok(say("connect", host="localhost", port=server.port, path="/silence"))
    ok(a("tx", ops=[DOGS, dog(1)]))
    ok(a("wait_sync"))
    ok(a("tx", ops=[dog(2)], notify=False))
    ok(a("wait_sync"))
    assert len(a("history")["changesets"]) == 1
    ok(b("wait_sync"))
    assert keys(b) == [1]
    ok(a("tx", ops=[dog(3)]))
    ok(a("wait_upload"))
    ok(b("wait_download"))
    assert keys(b) == [1, 2, 3]
    ok(a("tx", ops=[dog(4)], notify=False))
    ok(a("disconnect"))
    ok(a("connect", host="localhost", port=server.port, path="/silence"))
    ok(a("wait_upload"))
    ok(b("wait_download"))
    assert keys(b) == [1, 2, 3, 4]


def test_a_session_is_suspended_resumed_and_ended(server: ServerProcess, peers: list[Say]) -> None:
    a, b = peers
    for cmd in ("disconnect", "suspend", "resume", "wait_sync"):
        assert a(cmd)["type"] == "NotConnectedError"
    ok(a("connect", host="localhost", port=server.port, path="/ends"))
    assert a("connect", host="localhost", port=server.port, path="/ends")["type"] == "CommandError"
    ok(a("tx", ops=[DOGS]))
    ok(a("wait_sync"))
    ok(a("suspend"))
    ok(a("tx", ops=[dog(1)]))
    assert a("wait_upload", timeout_s=0.2)["type"] == "WaitTimeoutError"
    ok(a("resume"))
    ok(a("wait_sync"))
    ok(a("disconnect"))
    assert a("errors")["states"] == ["connecting", "connected", "disconnected", "connecting", "connected"]
    assert a("progress")["progress"]["uploaded"] > 0
    ok(a("tx", ops=[dog(2)]))
    ok(a("connect", host="localhost", port=server.port, path="/ends"))
    ok(a("wait_upload"))
    ok(b("connect", host="localhost", port=server.port, path="/ends"))
    ok(b("wait_sync"))
    assert keys(b) == [1, 2]


def test_an_error_of_the_server_ends_a_wait(server: ServerProcess, peers: list[Say]) -> None:
    a, _ = peers
    ok(a("connect", host="localhost", port=server.port, path="/a.realm"))
    reply = a("wait_sync")
    assert reply.keys() == {"ok", "error", "type"}
    (error,) = a("errors")["errors"]
    assert (error["code"], error["is_fatal"]) == (204, True)
    assert error["type"] == reply["type"]
    assert a("wait_sync")["type"] == reply["type"]
    assert a("wait_sync", timeout_s=0.2, stop_on_error=False)["type"] == "WaitTimeoutError"
    ok(a("disconnect"))
    ok(a("connect", host="localhost", port=server.port, path="/other"))
    ok(a("wait_sync"))
    assert a("errors")["errors"] == []


def test_a_file_of_another_realm_is_refused(server: ServerProcess, peers: list[Say]) -> None:
    a, _ = peers
    ok(a("connect", host="localhost", port=server.port, path="/one"))
    ok(a("tx", ops=[DOGS]))
    ok(a("wait_sync"))
    ok(a("disconnect"))
    before = a("hash")
    ok(a("connect", host="localhost", port=server.port, path="/another"))
    assert a("wait_sync")["type"] == "ClientResetError"
    ok(a("disconnect"))
    assert a("hash") == before


def test_a_wait_goes_on_until_there_is_a_server_again(server: ServerProcess, peers: list[Say]) -> None:
    a, b = peers
    for say in peers:
        ok(say("connect", host="localhost", port=server.port, path="/again"))
    ok(a("tx", ops=[DOGS, dog(1)]))
    ok(a("wait_sync"))
    server.kill()
    ok(a("tx", ops=[dog(2)]))
    assert a("wait_upload", timeout_s=0.5)["type"] == "WaitTimeoutError"
    assert {error["type"] for error in a("errors")["errors"]} <= {"ConnectionFailedError"}
    server.start()
    ok(a("wait_upload", timeout_s=60))
    ok(b("wait_download", timeout_s=60))
    assert keys(b) == [1, 2]


def test_a_file_is_synced_by_one_process_only(server: ServerProcess, peers: list[Say], tmp_path: Path) -> None:
    a, _ = peers
    ok(a("open", db="y", file=str(tmp_path / "0.realm")))
    ok(a("connect", host="localhost", port=server.port, path="/shared"))
    ok(a("tx", ops=[DOGS, dog(1)]))
    ok(a("wait_sync"))
    assert a("dump", db="y") == a("dump")
    assert a("connect", db="y", host="localhost", port=server.port, path="/else")["type"] == "MismatchedConfigError"
    ok(a("close", db="y"))
    ok(a("wait_sync"))
