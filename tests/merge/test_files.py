"""Random histories of real files and a real server: with a schema at hand, which erasures, dictionaries of embedded
objects, and values that give way to collections need (``merge/schema.py``, ``merge/resets.py``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.testing.choices import RandomChoices
from syncline.testing.domains import STANDARD, Domain, focused
from syncline.testing.exhaustive.world import Peer, Server
from syncline.testing.random_operations import random_transaction

ROUNDS = 3
OPERATIONS = 5
REMOVAL = replace(STANDARD, schema_removal=True)
MIXED = replace(STANDARD, focus={"Person": ["any", "anys", "any_dict"]}, keys=1)


def state(file: RealmFile) -> dict[str, Any]:
    tx = file.begin()
    try:
        return dump(tx)
    finally:
        file.rollback(tx)


def converge(seed: int, domain: Domain) -> None:
    choices = RandomChoices(seed)
    server = Server()
    peers = [Peer(server.register(), None) for _ in range(3)]
    try:
        peers[0].commit(random_transaction(choices, domain, state(peers[0].file), 0), 1)
        exchange(server, peers)
        for number in range(ROUNDS):
            for peer in peers:
                operations = random_transaction(choices, domain, state(peer.file), OPERATIONS)
                peer.commit(operations, 10 * number + choices.integer(1, 9))
            for peer in peers:
                if choices.chance(70):
                    peer.upload(server)
                    peer.download(server)
        exchange(server, peers)
        states = [state(each.file) for each in (server, *peers)]
        assert all(each == states[0] for each in states[1:]), f"seed {seed}"
    finally:
        for each in (*peers, server):
            each.file.close()


def exchange(server: Server, peers: list[Peer]) -> None:
    for peer in peers:
        peer.upload(server)
    for peer in peers:
        peer.download(server)


@pytest.mark.parametrize("seeds", [range(first, first + 10) for first in range(0, 30, 10)], ids=str)
def test_files_converge(seeds: range) -> None:
    for seed in seeds:
        converge(seed, focused(RandomChoices(seed), STANDARD))


@pytest.mark.parametrize("seeds", [range(first, first + 10) for first in range(0, 30, 10)], ids=str)
def test_files_converge_while_classes_and_properties_are_erased(seeds: range) -> None:
    for seed in seeds:
        converge(seed, focused(RandomChoices(seed), REMOVAL))


def test_files_converge_while_values_give_way_to_collections() -> None:
    for seed in range(12):
        converge(seed, MIXED)
