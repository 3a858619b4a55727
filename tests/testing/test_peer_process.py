"""The drivable peer as a process: recorded operations and merges, and its clean end (vectors/PEER.md)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.storage.file import RealmFile
from syncline.testing.live.peer_process import PeerProcess
from syncline.testing.vector_files import normal_objects, read_cases

VECTORS = Path(__file__).parents[1] / "vectors"
#: Every so many of the recorded cases; ``SYNCLINE_HISTORIES=all`` plays all.
EVERY_OPERATIONS, EVERY_MERGE = (1, 1) if os.environ.get("SYNCLINE_HISTORIES") == "all" else (8, 60)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerProcess]:
    peer = PeerProcess("peer", tmp_path_factory.mktemp("peer"))
    yield peer
    assert peer.stop() == 0


def cases(name: str, every: int) -> list[Any]:
    return [case.fields for case in read_cases(VECTORS / name, every=every)]


@pytest.mark.parametrize("case", cases("operations.jsonl.gz", EVERY_OPERATIONS), ids=lambda case: case["id"])
def test_recorded_operations(peer: PeerProcess, case: Any) -> None:
    """The same results, the same bytes, the same state as realm-core."""
    db = case["id"]
    peer.do("open", db=db, file=f"{db}.realm".replace("/", "_"))
    peer.do("set_ident", db=db, ident=case["file_ident"], salt=1)
    peer.do("tx", db=db, ops=[{"op": "schema", "classes": case["schema"]}])
    peer.do("tx", db=db, ops=case["setup"])
    setup = changesets(peer, db)
    assert setup == case["setup_changesets"]
    assert peer.do("tx", db=db, ops=case["ops"])["results"] == case["results"]
    assert "".join(changesets(peer, db)[len(setup) :]) == case["changeset"]
    assert normal_objects(peer.do("dump", db=db)["dump"]["objects"]) == normal_objects(case["final"])
    peer.do("close", db=db)


def changesets(peer: PeerProcess, db: str) -> list[str]:
    return [entry["changeset"] for entry in peer.do("history", db=db)["changesets"]]


@pytest.mark.parametrize("case", cases("merges.jsonl.gz", EVERY_MERGE), ids=lambda case: case["id"])
def test_recorded_merges(peer: PeerProcess, case: Any) -> None:
    reply = peer.do("transform", left=case["left"], right=case["right"])
    for side in ("left", "right"):
        for ours, theirs in zip(reply[side], case[f"{side}_transformed"], strict=True):
            assert ours.keys() == theirs.keys()
            assert (ours["changeset"], ours["instructions"]) == (theirs["changeset"], theirs["instructions"])


@pytest.mark.parametrize("case", cases("changesets.jsonl", 40), ids=lambda case: case["id"])
def test_recorded_changesets(peer: PeerProcess, case: Any) -> None:
    reply = peer.do("changeset2json", changeset=case["changeset"])
    assert (reply["strings"], reply["instructions"]) == (case["strings"], case["instructions"])
    encoded = peer.do("json2changeset", instructions=case["instructions"], strings=case["strings"])["changeset"]
    if case["style"] == "re-encoded":
        assert encoded == case["changeset"]


# --- the process ------------------------------------------------------------------------------------------------------


def run(folder: Path, data: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "syncline.testing.peer", *arguments]
    return subprocess.run(command, input=data, capture_output=True, cwd=folder, timeout=120)


def test_it_ends_cleanly_when_its_input_closes(tmp_path: Path) -> None:
    """In the middle of a transaction, with a session that never reached a server."""
    lines = [
        {"cmd": "open", "db": "a", "file": "a.realm"},
        {"cmd": "connect", "db": "a", "host": "127.0.0.1", "port": 1, "path": "/a"},
        {"cmd": "wait_sync", "db": "a", "timeout_s": 0.3},
        {"cmd": "errors", "db": "a"},
        {"cmd": "progress", "db": "a"},
        {"cmd": "begin", "db": "a"},
    ]
    done = run(tmp_path, b"\n".join(json.dumps(line).encode() for line in lines))
    assert done.returncode == 0
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["ok"] for reply in replies] == [True, True, False, True, True, True]
    assert replies[2]["type"] == "WaitTimeoutError"
    assert replies[3]["errors"][0]["type"] == "ConnectionFailedError"
    assert replies[3]["states"][:2] == ["connecting", "disconnected"]
    assert replies[4]["progress"] is None
    assert RealmFile.delete(tmp_path / "a.realm")


def test_only_replies_go_to_standard_output(tmp_path: Path) -> None:
    data = b'{"cmd": "open", "db": "a", "file": "a.realm"}\n{"cmd": "close", "db": "a"}\nbad\n'
    done = run(tmp_path, data, "--log-level", "DEBUG")
    assert [json.loads(line)["ok"] for line in done.stdout.splitlines()] == [True, True, False]
    assert done.returncode == 0


def test_it_ends_when_nobody_reads_its_replies(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "syncline.testing.peer"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.close()
        process.stdin.write(b'{"cmd": "open", "db": "a", "file": "a.realm"}\n')
        process.stdin.flush()
        assert process.wait(60) == 1


def test_a_signal_ends_it_like_closed_input(tmp_path: Path) -> None:
    peer = PeerProcess("a", tmp_path)
    peer.do("open", db="a", file="a.realm")
    assert peer._process is not None
    peer._process.send_signal(signal.SIGTERM)
    assert peer._process.wait(60) == 130
    assert RealmFile.delete(tmp_path / "a.realm")
    peer.kill()


def test_a_killed_peer_begins_again_with_its_file(tmp_path: Path) -> None:
    peer = PeerProcess("a", tmp_path)
    peer.do("open", db="a", file="a.realm")
    peer.do(
        "tx", db="a", ops=[{"op": "schema", "classes": [{"name": "C", "props": []}]}, {"op": "create", "class": "C"}]
    )
    before = peer.do("hash", db="a")
    peer.do("begin", db="a")
    peer.do("clear_class", db="a", **{"class": "C"})
    peer.kill()
    peer.start()
    peer.do("open", db="a", file="a.realm")
    assert peer.do("hash", db="a") == before
    assert peer.stop() == 0
