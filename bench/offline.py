"""Two devices that were offline, with real histories: 10,000 edits each, 30 % of them of objects that both edit.

    python bench/offline.py [--edits N]

The server integrates both uploads, and each device the other's edits: decoding, merging, applying, encoding what the
merge changed. Files and server's log are in memory, so that it is the processor's time that is measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from random import Random
from typing import Any

from syncline.compilation import is_compiled
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.testing.exhaustive.world import Peer, Server

SCHEMA = {
    "name": "Dog",
    "pk": {"name": "id", "type": "int"},
    "props": [
        {"name": "age", "type": "int"},
        {"name": "name", "type": "string"},
        {"name": "walks", "type": "int", "collection": "list"},
        {"name": "tags", "type": "int", "collection": "set"},
    ],
}
OBJECTS = 1_000
#: Edits in one transaction.
BATCH = 10


def edit(random: Random, first: int) -> dict[str, Any]:
    """A change of a common object, or of one of the objects from ``first`` on."""
    key = random.randrange(OBJECTS) if random.random() < 0.3 else random.randrange(first, first + OBJECTS)
    place: dict[str, Any] = {"class": "Dog", "obj": {"int": key}}
    value = {"int": random.randrange(100)}
    kind = random.randrange(6)
    if kind < 2:
        return {"op": "set", **place, "path": ["age"], "value": value}
    if kind == 2:
        return {"op": "set", **place, "path": ["name"], "value": {"str": f"name {value['int']}"}}
    if kind == 3:
        return {"op": "add_int", **place, "path": ["age"], "value": 1}
    if kind == 4:
        return {"op": "list_insert", **place, "path": ["walks"], "index": 0, "value": value}
    return {"op": "set_insert", **place, "path": ["tags"], "value": value}


def prepared(edits: int) -> tuple[Server, list[Peer]]:
    """A server and two devices with common objects, each with its own edits, not uploaded yet."""
    server = Server()
    peers = [Peer(server.register(), None) for _ in range(2)]
    creations = [{"op": "create", "class": "Dog", "pk": {"int": key}} for key in range(3 * OBJECTS)]
    peers[0].commit([{"op": "schema", "classes": [SCHEMA]}, *creations], 1)
    peers[0].upload(server)
    peers[1].download(server)
    for number, peer in enumerate(peers):
        random = Random(number)
        for moment in range(edits // BATCH):
            peer.commit([edit(random, (number + 1) * OBJECTS) for _ in range(BATCH)], 2 + 2 * moment + number)
    return server, peers


def measure(edits: int = 10_000) -> dict[str, float]:
    """All figures, by what they say."""
    server, peers = prepared(edits)
    figures: dict[str, float] = {}

    def timed(what: str, action: Callable[[], object]) -> None:
        start = time.process_time()
        action()
        figures[f"offline edits: {what}, ms"] = (time.process_time() - start) * 1e3

    def upload(peer: Peer) -> None:
        while peer.upload(server)[0]:
            pass

    timed(f"the server takes {edits:,} of one device", lambda: upload(peers[0]))
    timed(f"the server merges {edits:,} of the other", lambda: upload(peers[1]))
    for number, peer in enumerate(peers):
        timed(f"device {number + 1} merges the other's {edits:,}", lambda peer=peer: peer.download(server))
    states = [state(each.file) for each in (server, *peers)]
    assert states[0] == states[1] == states[2], "they differ"
    for each in (*peers, server):
        each.file.close()
    return figures


def state(file: RealmFile) -> dict[str, Any]:
    tx = file.begin()
    try:
        return dump(tx)
    finally:
        file.rollback(tx)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=10_000)
    figures = measure(parser.parse_args().edits)
    print("kernel", "compiled" if is_compiled() else "interpreted")
    for name, figure in figures.items():
        print(f"{name:64}{figure:10.1f}")


if __name__ == "__main__":
    main()
