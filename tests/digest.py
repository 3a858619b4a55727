"""A digest of random histories of two files and a server, to compare the compiled kernel with the interpreted one.

Everything the kernel makes goes into it: what is recorded, what the server sends after merging, every state, every
error.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from syncline.compilation import is_compiled
from syncline.errors import BadChangesetError
from syncline.storage.dump import dump
from syncline.testing.choices import RandomChoices
from syncline.testing.exhaustive.world import Peer, RefusedError, Server
from syncline.testing.random_operations import STANDARD, random_transaction

SEEDS = range(20)
ROUNDS = 3
OPERATIONS = 8


def digest_of_histories() -> str:
    """SHA-256 of all histories."""
    digest = hashlib.sha256()
    for seed in SEEDS:
        for fact in history(seed):
            digest.update(fact)
    return digest.hexdigest()


def history(seed: int) -> list[bytes]:
    """What happens while two files edit and exchange by turns."""
    choices = RandomChoices(seed)
    server = Server()
    peers = [Peer(server.register(), None) for _ in range(2)]
    facts: list[bytes] = []
    try:
        for number in range(ROUNDS):
            for peer in peers:
                peer.commit(random_transaction(choices, STANDARD, state(peer), OPERATIONS), 10 * number + peer.ident)
            for peer in peers:
                facts += [entry.changeset for entry in peer.upload(server)[0]]
            for peer in peers:
                facts += [entry.changeset for entry in peer.download(server)[0]]
                facts.append(json.dumps(state(peer), sort_keys=True).encode())
    except (RefusedError, BadChangesetError) as error:
        facts.append(str(error).encode())
    finally:
        for each in (*peers, server):
            each.file.close()
    return facts


def state(peer: Peer) -> dict[str, Any]:
    tx = peer.file.begin()
    try:
        return dump(tx)
    finally:
        peer.file.rollback(tx)


if __name__ == "__main__":
    sys.stdout.write(f"{is_compiled()} {digest_of_histories()}")
