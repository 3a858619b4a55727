"""Clients and servers that die at any moment and come back: nothing is lost, nothing is half, and all converge.

``SYNCLINE_ROUNDS=20`` kills the server more often than in every run.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time

import pytest
from tests.server.wire import Wire
from tests.whole.bare_socket import BareSocket
from tests.whole.scene import PATH, Scene, numbers, torn
from tests.whole.writer import SIZE, ident_of

from syncline.changesets.codec import decode
from syncline.changesets.instructions import CreateObject
from syncline.testing.processes import DeviceProcess, ProcessFailed, ServerProcess

#: How often the server is killed; another number gives other moments, too.
ROUNDS = int(os.environ.get("SYNCLINE_ROUNDS", "3"))


# --- the client dies --------------------------------------------------------------------------------------------------


def test_a_client_killed_while_it_writes_loses_nothing(scene: Scene) -> None:
    chance = random.Random(1)
    committed = 0
    for _ in range(3):
        client = scene.client(1)
        client.do("suspend")
        client.begin("write", transactions=1_000_000)
        for _ in range(chance.randint(2, 12)):
            committed = client.wait_for_progress()["transaction"] + 1
        time.sleep(chance.uniform(0, 0.1))
        client.kill()
    client = scene.client(1)
    state = client.do("state")
    assert torn(state) == {}
    found = numbers(state, 1)
    assert found == list(range(len(found)))
    assert len(found) >= committed
    assert numbers(scene.settle(client), 1) == found


def test_a_client_killed_while_it_uploads_goes_on(scene: Scene) -> None:
    written = 0
    for _ in range(2):
        client = scene.client(1)
        assert len(numbers(client.do("state"), 1)) == written
        client.do("suspend")
        client.do("write", transactions=100)
        written += 100
        kill_in_transfer(client, "upload")
    client = scene.client(1)
    assert len(numbers(scene.settle(client), 1)) == written


def test_a_client_killed_while_it_downloads_goes_on(scene: Scene) -> None:
    author = scene.client(1)
    author.do("write", transactions=150)
    author.do("sync", direction="upload")
    idents = set()
    for _ in range(3):
        reader = scene.client(2)
        state = reader.do("state")
        assert torn(state) == {}
        idents.add(state["ident"])
        kill_in_transfer(reader, "download")
    reader = scene.client(2)
    assert numbers(scene.settle(author, reader), 1) == list(range(150))
    idents.add(reader.do("state")["ident"])
    assert len(idents - {0}) == 1


def kill_in_transfer(client: DeviceProcess, direction: str) -> None:
    """Kill a client when the second of its reports tells that something was transferred, or when it is done."""
    client.begin("sync", direction=direction)
    begun = client.wait_for_progress()["transferred"]
    with contextlib.suppress(ProcessFailed):
        while client.wait_for_progress()["transferred"] == begun:
            pass
    client.kill()


def test_a_client_started_again_is_the_same_client(scene: Scene) -> None:
    author, reader = scene.client(1), scene.client(2)
    author.do("write", transactions=20)
    scene.settle(author, reader)
    first = reader.do("state")
    assert first["ident"] > 1
    assert first["received"] > 10_000
    reader.stop()
    author.do("write", transactions=1)
    author.do("sync", direction="upload")
    reader = scene.client(2)
    scene.settle(author, reader)
    second = reader.do("state")
    assert second["ident"] == first["ident"]
    assert len(numbers(second, 1)) == 21
    assert second["received"] < first["received"] / 4, "only what was new came"


# --- the server dies --------------------------------------------------------------------------------------------------


def test_what_the_server_acknowledged_survives_its_death(scene: Scene) -> None:
    chance = random.Random(ROUNDS)
    clients = [scene.client(1), scene.client(2)]
    for number in range(ROUNDS):
        copy, acknowledged = kill_under_load(scene, clients, chance.uniform(0.0, 0.8))
        kept = keys_on(copy)
        for author, last in zip((1, 2), acknowledged, strict=True):
            expected = {ident_of(author, n, place) for n in range(last + 1) for place in range(SIZE)}
            assert expected <= kept, f"round {number}: the server lost what client {author} was told is safe"
    scene.settle(*clients)


def kill_under_load(scene: Scene, clients: list[DeviceProcess], delay: float) -> tuple[ServerProcess, list[int]]:
    """Kill the server while all clients write, and start it again.

    Returns a second server on a copy of what the first one left behind, and the last transaction of each client that
    had been acknowledged before.
    """
    for client in clients:
        client.begin("write_for", seconds=delay + 1.5)
    said = [[client.wait_for_progress()] for client in clients]
    time.sleep(delay)
    scene.server.kill()
    killed_at = time.monotonic()
    left = scene.folder / f"left-{killed_at}"
    shutil.copytree(scene.server.folder, left)
    scene.server.start()
    for client, lines in zip(clients, said, strict=True):
        client.finish(lines.append)
    return scene.another_server(left), [
        max(line["transaction"] for line in lines if line["at"] < killed_at) for lines in said
    ]


def keys_on(server: ServerProcess) -> set[int]:
    """The keys of all records that a server has, read by a client that knows nothing; ends the server."""
    try:
        bare = BareSocket(server.port)
        assert bare.upgrade("/realm-sync").status == 101
        reader = Wire(bare.send, lambda: (bare.receive() or pytest.fail("the server is gone")).data)
        reader.start(PATH)
        reader.until_complete()
        bare.close()
    finally:
        server.stop()
    return {
        int(instruction.key)
        for entry in reader.downloaded
        for instruction in decode(entry.changeset).instructions
        if isinstance(instruction, CreateObject)
    }


def test_clients_come_back_by_themselves_after_a_shutdown_under_load(scene: Scene) -> None:
    clients = [scene.client(1), scene.client(2)]
    for client in clients:
        client.begin("write_for", seconds=2)
    for client in clients:
        client.wait_for_progress()
    scene.server.stop()
    assert scene.server.wait_killed() == 0
    for client in clients:
        client.finish()
        client.do("write", transactions=1)
    scene.server.start()
    for client in clients:
        client.do("wait_for_upload")
    scene.settle(*clients)
