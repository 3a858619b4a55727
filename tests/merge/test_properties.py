"""What must hold for any two or three histories (spec/merge.md §1, §2.3, §14)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.merge.digest import digest_of_merges
from tests.merge.histories import TABLE, random_base, random_side, random_transaction
from tests.merge.model import State
from tests.merge.notation import copied
from tests.merge.peers import Client, Server
from tests.merge.reference import plain_transform

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    AddColumn,
    AddTable,
    CreateObject,
    EraseColumn,
    EraseTable,
    Instruction,
    Update,
)
from syncline.errors import TransformError
from syncline.merge import transform
from syncline.values import Link, kinds

_randoms = st.randoms(use_true_random=False)
_few = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def _text(changesets: list[Changeset]) -> list[tuple[bool, list[str]]]:
    return [(changeset.dirty, [repr(i) for i in changeset.instructions]) for changeset in changesets]


@given(_randoms)
@_few
def test_two_peers_converge(random: Random) -> None:
    base = random_base(random)
    ours, after_ours = random_side(random, base, 2, 6)
    theirs, after_theirs = random_side(random, base, 3, 6)
    transform(ours, theirs)
    assert after_ours.apply(theirs).objects == after_theirs.apply(ours).objects


@given(_randoms)
@_few
def test_who_is_ours_does_not_matter(random: Random) -> None:
    base = random_base(random)
    ours, theirs = random_side(random, base, 2, 6)[0], random_side(random, base, 3, 6)[0]
    ours_again, theirs_again = copied(ours), copied(theirs)
    transform(ours, theirs)
    transform(theirs_again, ours_again)
    assert _text(ours) == _text(ours_again)
    assert _text(theirs) == _text(theirs_again)


@given(_randoms)
@_few
def test_grouping_changes_nothing(random: Random) -> None:
    """Merging incoming changesets one at a time is the same as all at once (spec/merge.md §8.2)."""
    base = random_base(random)
    ours, theirs = random_side(random, base, 2, 5)[0], random_side(random, base, 3, 5)[0]
    ours_again, theirs_again = copied(ours), copied(theirs)
    transform(ours, theirs)
    for changeset in theirs_again:
        transform(ours_again, [changeset])
    assert _text(ours) == _text(ours_again)
    assert _text(theirs) == _text(theirs_again)


# --- against the plain loop -------------------------------------------------------------------------------------------


def _schema_change(random: Random) -> Instruction:
    """Something destructive or constructive about classes T and U."""
    table, field = random.choice((TABLE, "U")), random.choice(("i", "l", "m", "u"))
    kind, target = random.choice(((kinds.INT, ""), (kinds.LINK, "T"), (kinds.LINK, "U")))
    return random.choice(
        (
            AddTable(table, kinds.TOP_LEVEL, "_id", kinds.INT, random.random() < 0.05),
            AddColumn(table, field, kind, False, kinds.SINGLE_COLLECTION, target, kinds.NULL),
            EraseTable(table),
            EraseColumn(table, field),
            CreateObject("U", 1),
            Update("U", 1, field, (), kinds.LINK, Link("T", 1)),
        )
    )


def _with_schema_changes(random: Random, changesets: list[Changeset], count: int) -> None:
    for _ in range(random.randrange(count + 1)):
        instructions = random.choice(changesets).instructions
        instructions.insert(random.randrange(len(instructions) + 1), _schema_change(random))


@pytest.mark.parametrize("schema_changes", [0, 4])
@given(random=_randoms)
@settings(_few, max_examples=250)
def test_partitions_change_nothing(random: Random, schema_changes: int) -> None:
    base = random_base(random)
    ours, theirs = random_side(random, base, 2, 6)[0], random_side(random, base, 3, 6)[0]
    _with_schema_changes(random, ours, schema_changes)
    _with_schema_changes(random, theirs, schema_changes)
    random.shuffle(theirs)  # they take part by version, whatever the order of the list
    plain_ours, plain_theirs = copied(ours), copied(theirs)
    try:
        plain_transform(plain_ours, plain_theirs)
    except TransformError:
        with pytest.raises(TransformError):
            transform(ours, theirs)
        return
    transform(ours, theirs)
    assert _text(ours) == _text(plain_ours)
    assert _text(theirs) == _text(plain_theirs)


# --- three clients through a server -----------------------------------------------------------------------------------


@given(_randoms)
@settings(_few, max_examples=100)
def test_three_clients_converge(random: Random) -> None:
    server = Server(State())
    clients = [Client(ident) for ident in (2, 3, 4)]
    clients[0].commit(1, [CreateObject(TABLE, 1)])
    clients[0].send(server)
    clock = 1
    for _ in range(random.randrange(5, 20)):
        client = random.choice(clients)
        clock += random.randrange(3)
        action = random.random()
        if action < 0.45:
            client.commit(clock, random_transaction(random, client.state.copy(), random.randrange(1, 4)))
        elif action < 0.7:
            client.send(server, random.randrange(1, 4))
        else:
            client.receive(server, random.randrange(1, 4))
    for _ in range(2):
        for client in clients:
            client.send(server)
            client.receive(server)
    assert server.state is not None
    for client in clients:
        assert client.state.objects == server.state.objects


# --- interpreted and compiled -----------------------------------------------------------------------------------------


def test_compiled_and_interpreted_give_the_same() -> None:
    """This suite runs both ways; here the interpreted sources answer for themselves in a process of their own."""
    root = Path(__file__).parents[2]
    interpreted = subprocess.run(
        [sys.executable, "-m", "tests.merge.digest"],
        cwd=root,
        env={**os.environ, "SYNCLINE_PURE": "1"},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert interpreted.stdout == digest_of_merges()
