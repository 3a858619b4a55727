"""Two clients with 1,000 random offline operations each converge, through a real server, whatever the seed.

A few seeds are enough here: thousands of them run in ``syncline.testing.simulation``, which has everything but
processes and sockets. ``SYNCLINE_SEEDS=100-199`` runs others, ``SYNCLINE_CHAOS=10-19`` other seeds of the test in which
the server is killed. A failure names its seed.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.testing.processes import DeviceProcess, ServerProcess

OPERATIONS = 1000
OBJECTS = 40
EDITOR = str(Path(__file__).with_name("editor.py"))


def seeds(variable: str, default: str) -> range:
    first, _, last = os.environ.get(variable, default).partition("-")
    return range(int(first), int(last or first) + 1)


SEEDS = seeds("SYNCLINE_SEEDS", "0-47")
#: Seeds per test, so that several test processes share the work.
PORTION = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    yield process
    process.stop()


@pytest.fixture(scope="module")
def clients(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[DeviceProcess]]:
    names = ("left", "right", "third")
    processes = [DeviceProcess([EDITOR, str(tmp_path_factory.mktemp(name)), server.url], name) for name in names]
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
    left, right, _ = clients
    left.do("open", path=path)
    left.do("populate", objects=OBJECTS)
    right.do("open", path=path)
    for number, client in enumerate((left, right)):
        client.do("suspend")
        client.begin("edit", seed=2 * seed + number, operations=OPERATIONS, objects=OBJECTS)
    for client in (left, right):
        client.finish()
    for client in (left, right):
        client.do("resume")
    for client in (left, right, left):
        client.do("settle")
    check(server, [left, right], path, seed)


def check(server: ServerProcess, clients: list[DeviceProcess], path: str, seed: int) -> None:
    results = [client.do("hash") for client in clients]
    state = server.content_hash(path)
    assert results[0]["objects"] > 0
    assert {result["hash"] for result in results} == {state}, f"seed {seed}: {results}, server {state}"
    for client in clients:
        client.do("close")


@pytest.mark.parametrize("seed", seeds("SYNCLINE_CHAOS", "0-2"))
def test_three_clients_converge_although_the_server_is_killed(
    server: ServerProcess, clients: list[DeviceProcess], seed: int
) -> None:
    """Three rounds of edits, online and offline; the server may die while they are made and while they are sent."""
    chance = random.Random(seed)
    path = f"/chaos/{seed}"
    clients[0].do("reconnect")
    clients[0].do("open", path=path)
    clients[0].do("populate", objects=OBJECTS)
    for client in clients[1:]:
        client.do("reconnect")
        client.do("open", path=path)
    for round_number in range(3):
        for number, client in enumerate(clients):
            if chance.random() < 0.7:
                client.do("suspend")
            client.begin("edit", seed=100 * seed + 10 * round_number + number, operations=100, objects=OBJECTS)
        perhaps_kill(server, chance)
        for client in clients:
            client.finish()
        for client in clients:
            client.do("resume")
        perhaps_kill(server, chance)
        for client in clients:
            client.do("reconnect")
    for client in (*clients, *clients):
        client.do("settle")
    check(server, clients, path, seed)


def perhaps_kill(server: ServerProcess, chance: random.Random) -> None:
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, 0.3))
        server.kill()
        server.start()
