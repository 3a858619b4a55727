"""Two clients with 1,000 random offline operations each converge, through a real server, whatever the seed.

``SYNCLINE_SEEDS=100-199`` runs other seeds than the 200 of every run. A failure names its seed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.cli.processes import DeviceProcess, ServerProcess

OPERATIONS = 1000
OBJECTS = 40
EDITOR = str(Path(__file__).with_name("editor.py"))

first, _, last = os.environ.get("SYNCLINE_SEEDS", "0-199").partition("-")
SEEDS = range(int(first), int(last or first) + 1)
#: Seeds per test, so that several test processes share the work.
PORTION = 25


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    yield process
    process.stop()


@pytest.fixture(scope="module")
def clients(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[DeviceProcess]]:
    processes = [
        DeviceProcess([EDITOR, str(tmp_path_factory.mktemp(name)), server.url], name) for name in ("left", "right")
    ]
    yield processes
    for process in processes:
        process.stop()


@pytest.mark.parametrize("portion", [SEEDS[i : i + PORTION] for i in range(0, len(SEEDS), PORTION)], ids=str)
def test_two_clients_converge_after_random_offline_edits(
    server: ServerProcess, clients: list[DeviceProcess], portion: range
) -> None:
    for seed in portion:
        converge(server, clients, seed)


def converge(server: ServerProcess, clients: list[DeviceProcess], seed: int) -> None:
    path = f"/seeds/{seed}"
    left, right = clients
    left.do("open", path=path)
    left.do("populate", objects=OBJECTS)
    right.do("open", path=path)
    for number, client in enumerate(clients):
        client.do("suspend")
        client.begin("edit", seed=2 * seed + number, operations=OPERATIONS, objects=OBJECTS)
    for client in clients:
        client.finish()
    for client in clients:
        client.do("resume")
    for client in (left, right, left):
        client.do("settle")
    results = [client.do("hash") for client in clients]
    state = server.content_hash(path)
    assert results[0]["objects"] > 0
    assert results[0]["hash"] == results[1]["hash"] == state, f"seed {seed}: {results}, server {state}"
    for client in clients:
        client.do("close")
