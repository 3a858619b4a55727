"""Peers as processes against a real server: recorded histories, and random ones with cuts and kills.

``SYNCLINE_HISTORIES=all`` plays every recorded history instead of some.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.whole.recorded_live import Ending, play_recorded

from syncline.testing.live import Failure, PeerProcess, Plan, Proxies, Stage, play
from syncline.testing.live.__main__ import main
from syncline.testing.live.history import read_log, write_log
from syncline.testing.live.peer_process import OURS
from syncline.testing.processes import ServerProcess
from syncline.testing.vector_files import normal_state, read_cases, read_fixtures

VECTORS = Path(__file__).parents[1] / "vectors"
EVERY = 1 if os.environ.get("SYNCLINE_HISTORIES") == "all" else 12

# --- recorded histories -----------------------------------------------------------------------------------------------


def recorded(mode: str) -> list[Any]:
    cases = [case.fields for case in read_cases(VECTORS / "merges_long.jsonl.gz")]
    return [case for case in cases if case["mode"] == mode][::EVERY]


@pytest.fixture(scope="module")
def bases() -> dict[int, Any]:
    return {number: fixture["base"] for number, fixture in read_fixtures(VECTORS / "fixtures.json").items()}


Play = Callable[[Any], Ending]


@pytest.fixture(scope="module")
def play_case(tmp_path_factory: pytest.TempPathFactory, bases: dict[int, Any]) -> Iterator[Play]:
    folder = tmp_path_factory.mktemp("recorded")
    # some of the recorded clients erase properties and classes
    server = ServerProcess(folder / "server", environment=dict(os.environ, SYNCLINE_SCHEMA_CHANGES="admin"))
    peers = {name: PeerProcess(name, folder) for name in "abc"}

    def play_case(case: Any) -> Ending:
        ending = play_recorded(case, bases[case["fixture"]], peers, server.port)
        assert len({*ending.hashes.values(), server.content_hash(f"/recorded/{case['id']}")}) == 1
        return ending

    yield play_case
    for peer in peers.values():
        peer.kill()
    server.stop()


@pytest.mark.parametrize("case", recorded("turns"), ids=lambda case: case["id"])
def test_recorded_turns_end_as_recorded(play_case: Play, case: Any) -> None:
    ending = play_case(case)
    if not case.get("mixed_list_move"):  # realm-core loses what is in an element that moves (vectors/NOTES.md)
        assert ending.is_as_recorded
        assert normal_state(ending.dump) == normal_state(case["final"])


@pytest.mark.parametrize("case", recorded("live"), ids=lambda case: case["id"])
def test_recorded_live_histories_converge(play_case: Play, case: Any) -> None:
    """When a change arrives is not in the events; where it arrives as it did then, the end is that of then."""
    ending = play_case(case)
    if ending.is_as_recorded and not case.get("mixed_list_move"):
        assert normal_state(ending.dump) == normal_state(case["final"])


# --- random histories -------------------------------------------------------------------------------------------------


class Theatre:
    """One stage for all histories; a new one after a failure, because nobody knows what state it is in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stage: Stage | None = None

    def play(self, seed: int, plan: Plan) -> None:
        if self._stage is None:
            self._stage = Stage(self.folder)
        stage = self._stage
        try:
            play(stage, seed, plan)
        except Failure as failure:
            log = self.folder / f"seed-{seed}.jsonl"
            write_log(log, stage.name, len(stage.peers), stage.log)
            self.close()
            raise AssertionError(f"{failure}\nplay it again: python -m syncline.testing.live --replay {log}") from None
        stage.forget()

    def close(self) -> None:
        if self._stage is not None:
            self._stage.close()
            self._stage = None


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    theatre = Theatre(tmp_path_factory.mktemp("live"))
    yield theatre
    theatre.close()


PEACE = Plan(kills=False, server_kills=False)


@pytest.mark.parametrize("seed", range(16))
def test_peers_converge(theatre: Theatre, seed: int) -> None:
    theatre.play(seed, PEACE)


@pytest.mark.parametrize("seed", range(100, 106))
def test_peers_converge_although_they_are_killed(theatre: Theatre, seed: int) -> None:
    theatre.play(seed, replace(PEACE, kills=True))


@pytest.mark.parametrize("seed", range(200, 203))
def test_peers_converge_although_everybody_is_killed(theatre: Theatre, seed: int) -> None:
    theatre.play(seed, Plan())


# --- the driver -------------------------------------------------------------------------------------------------------


def test_the_command_plays_seeds_and_replays_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a peer that is given by its command; a foreign one is given likewise."""
    ours = f"{sys.executable} -m syncline.testing.peer --log-level ERROR"
    arguments = ["--peers", "2", "--peer", ours, "--transactions", "6", "--keep", str(tmp_path)]
    assert main(["--seeds", "7:8", *arguments]) == 0
    assert "1 histories, 0 failed" in capsys.readouterr().out


def test_a_log_can_be_played_again_and_tells_differences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Stage(tmp_path, [OURS] * 2) as stage:
        play(stage, 3, replace(PEACE, transactions=5))
        steps = [step for step in stage.log if step["do"] != "command" or step["command"]["cmd"] != "close"]
    log = tmp_path / "log.jsonl"
    write_log(log, stage.name, 2, steps)
    assert read_log(log) == ("seed-3", 2, steps)
    assert main(["--replay", str(log), "--keep", str(tmp_path / "again")]) == 0
    lonely = {"op": "schema", "classes": [{"name": "Zzz", "props": []}]}
    steps.append({"do": "command", "peer": "a", "command": {"cmd": "disconnect", "db": "a"}})
    steps.append({"do": "command", "peer": "a", "command": {"cmd": "tx", "db": "a", "ops": [lonely]}})
    write_log(log, stage.name, 2, steps)
    capsys.readouterr()
    assert main(["--replay", str(log), "--keep", str(tmp_path / "differently")]) == 1
    assert 'at objects.Zzz: peer a has {}, peer b has "(absent)"' in " ".join(capsys.readouterr().out.split())


def test_a_proxy_relays_delays_and_cuts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxies = Proxies("127.0.0.1", server.getsockname()[1])
        try:
            proxy = proxies.open()
            near = socket.create_connection(("127.0.0.1", proxy.port), timeout=30)
            far, _ = server.accept()
            near.sendall(b"hello")
            assert far.recv(100) == b"hello"
            far.sendall(b"back")
            assert near.recv(100) == b"back"
            proxy.cut_after(3)
            near.sendall(b"abcdef")
            assert far.recv(100) in (b"abc", b"")
            assert is_over(far)
            assert is_over(near)
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as again:
                far, _ = server.accept()
                again.sendall(b"once more")
                assert far.recv(100) == b"once more"
                proxy.cut()
                assert is_over(again)
        finally:
            proxies.close()


def is_over(end: socket.socket) -> bool:
    end.settimeout(30)
    try:
        return end.recv(100) == b""
    except ConnectionError:
        return True


def test_a_log_that_is_none(tmp_path: Path) -> None:
    for text in ("", "{}", "nonsense", json.dumps([1])):
        log = tmp_path / "log"
        log.write_text(text)
        with pytest.raises(Failure):
            read_log(log)
