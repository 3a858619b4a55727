"""Histories (syncline.testing.strategies) carried out by storage: what each peer records, and the state it is in."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from tests.storage.store import Store

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode, encode_recorded
from syncline.changesets.instructions import Instruction
from syncline.merge.resets import spell_out
from syncline.storage.dump import dump
from syncline.testing.model import Model
from syncline.testing.operations import execute_all
from syncline.testing.strategies import BASE_IDENT, History, Side, Transaction


class Peer:
    """A database in memory and a model, which must agree after everything."""

    def __init__(self, ident: int, of: Peer | None = None) -> None:
        self.store = Store(ident, of.store.connection.serialize("main") if of else None)
        self.model = of.model.copy() if of else Model()
        self.model.state.ident = ident

    def edit(self, transaction: Transaction) -> Changeset:
        """Carry out a local transaction; what was recorded."""
        with self.store.write() as tx:
            results = execute_all(tx, transaction.operations)
            data = encode_recorded(tx.instructions, tx.embedded_classes)
        assert results == [self.model.execute(operation) for operation in transaction.operations]
        self.model.commit()
        changeset = decode(data)
        changeset.origin_timestamp = transaction.timestamp
        changeset.origin_file_ident = self.store.file_ident
        return changeset

    def apply(self, changesets: list[Changeset]) -> None:
        """Apply changesets of others: storage, what merging left to it, and the model, what storage made of it."""
        with self.store.write() as tx:
            tx.apply_all(changesets)
        for changeset in changesets:
            spell_out(changeset)
            self.model.apply(changeset)
        self.model.commit()

    def apply_instructions(self, instructions: list[Instruction]) -> None:
        """Apply a changeset of these instructions."""
        self.apply([Changeset(instructions, [])])

    def dump(self) -> dict[str, Any]:
        """The state, on which storage and model agree."""
        shown = dump(self.store.reader)
        assert shown == self.model.dump()
        return shown


def play(side: Side, base: Peer) -> tuple[Peer, list[Changeset]]:
    """What a peer that starts from the state of ``base`` is like after its edits, and what it recorded."""
    peer = Peer(side.ident, base)
    changesets = []
    for transaction in side.transactions:
        changesets.append(peer.edit(transaction))
        changesets[-1].version = len(changesets)
    return peer, changesets


def play_base(history: History) -> Peer:
    """A peer with the common state of a history."""
    schema, *rest = history.base
    peer = Peer(BASE_IDENT, _peer_with(json.dumps(schema.operations)))
    for transaction in rest:
        peer.edit(transaction)
    return peer


@lru_cache(maxsize=4)
def _peer_with(schema: str) -> Peer:
    """A peer whose only transaction was ``schema``: most of a short history's time goes into that."""
    peer = Peer(BASE_IDENT)
    peer.edit(Transaction(0, json.loads(schema)))
    return peer


def copied(changesets: list[Changeset]) -> list[Changeset]:
    """The same changesets, to be merged independently."""
    copies = []
    for changeset in changesets:
        copy = decode(encode(changeset))
        copy.version, copy.origin_timestamp = changeset.version, changeset.origin_timestamp
        copy.origin_file_ident = changeset.origin_file_ident
        copies.append(copy)
    return copies
