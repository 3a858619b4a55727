"""A plain value against a list or dictionary in a Mixed (vectors/NOTES.md 12): rules, stored form, real peers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.merge.notation import NothingEmbedded, contents, expected, side

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode
from syncline.changesets.instructions import Clear, Instruction, Update
from syncline.errors import TransformError
from syncline.merge import transform
from syncline.merge.driver import MOST_INSERTED
from syncline.merge.resets import (
    Reset,
    erasures,
    read_reciprocal,
    reset_of,
    spell_out,
    without_resets,
    write_reciprocal,
)
from syncline.testing.vector_files import normal_state
from syncline.testing.vector_peers import Client, Server
from syncline.values import kinds


def merged(a: str, b: str, swapped: bool = False) -> tuple[list[Changeset], list[Changeset]]:
    """A side that makes a collection, and one that sets plain values; merged with either as ours."""
    left, right = side(a, 2), side(b, 3)
    if swapped:
        transform(right, left, schema=NothingEmbedded())
    else:
        transform(left, right, schema=NothingEmbedded())
    return left, right


def instructions_of(changesets: list[Changeset]) -> list[Instruction]:
    return [instruction for changeset in changesets for instruction in changeset.instructions]


@pytest.mark.parametrize(
    ("a", "b", "a_merged", "b_merged"),
    [
        # the list was new: nothing differs from realm-core
        ("Set 1.m=List; Ins 1.m[0]=5 ⟨0⟩", "Set 1.m=1", "…", "∅"),
        # it had two elements, which the plain value has removed
        (
            "Set 1.m=List; Ins 1.m[1]=5 ⟨2⟩; Set 1.m[2]=6 ⟨3⟩",
            "Set 1.m=1",
            "Set 1.m=List; Ins 1.m[0]=5 ⟨0⟩",
            "Del 1.m[0] ⟨3⟩; Del 1.m[1] ⟨2⟩",
        ),
        ("Set 1.m=List; Mov 1.m[0]⇒1 ⟨2⟩; Del 1.m[0] ⟨2⟩", "Set 1.m=1", "Set 1.m=List", "Del 1.m[0] ⟨1⟩"),
        (
            "Set 1.m=List; Set 1.m[0]=6 ⟨1⟩; Ins 1.m[1]=7 ⟨1⟩",
            "Set 1.m=1",
            "Set 1.m=List; Ins 1.m[0]=7 ⟨0⟩",
            "Del 1.m[0] ⟨2⟩",
        ),
        # what the plain value removed had been put there by its own side (td-704)
        (
            "Set 1.m=List; Ins 1.m[0]=5 ⟨0⟩",
            "Set 1.m=List; Ins 1.m[0]=7 ⟨0⟩; Set 1.m=1; Set 1.m=List; Ins 1.m[0]=8 ⟨0⟩",
            "Set 1.m=List; Ins 1.m[1]=5 ⟨1⟩",
            "Set 1.m=List; Ins 1.m[0]=7 ⟨1⟩; Del 1.m[0] ⟨2⟩; Set 1.m=List; Ins 1.m[0]=8 ⟨1⟩",
        ),
        # a clear, or a value of its own, makes it needless
        ("Set 1.m=List; Clr 1.m (List); Ins 1.m[0]=5 ⟨0⟩", "Set 1.m=1", "…", "∅"),
        ("Set 1.m=List; Set 1.m=7", "Set 1.m=1", "…", "∅"),
        ("Set 1.m=List; Set 1.m=Dict; Clr 1.m (Dict)", "Set 1.m=1", "…", "∅"),
        # inside an element of a list that is moved and erased
        ("Set 1.m[0]=List ⟨2⟩; Ins 1.m[0][0]=5 ⟨0⟩; Del 1.m[0] ⟨2⟩", "Set 1.m[0]=1 ⟨2⟩", "…", "∅"),
        # an explicit collection against a default
        ("Set 1.m=List; Ins 1.m[0]=5 ⟨0⟩", "Set 1.m=1 (default)", "…", "∅"),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_lists(a: str, b: str, a_merged: str, b_merged: str, swapped: bool) -> None:
    left, right = merged(f"@20 {a}", f"@10 {b}", swapped)
    assert contents(left) == expected(a if a_merged == "…" else a_merged)
    assert contents(right) == expected(b_merged)


@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_inside_former_elements_goes(swapped: bool) -> None:
    left, right = merged(
        "@20 Set 1.m=List; Clr 1.m[1] (List); Ins 1.m[0][0]=1 ⟨0⟩; Set 1.m=List", "@10 Set 1.m=1", swapped
    )
    assert contents(left) == expected("Set 1.m=List; Set 1.m=List")
    (reset,) = instructions_of(right)
    assert reset_of(reset) is not None


@pytest.mark.parametrize("swapped", [False, True])
def test_dictionaries_keep_the_keys_that_were_written(swapped: bool) -> None:
    a = (
        "Set 1.m=Dict; Set 1.m.a=1; Set 1.m.b=Erased; Clr 1.m.c (List); Ins 1.m.c[0]=1 ⟨0⟩; Set 1.m.old.x=1;"
        " Set 1.m.a=2; Add 1.m.z+1; Set 1.m.d=Dict; Set 1.m.d.new=1; Set 1.m.d.old.x=1"
    )
    left, right = merged(f"@20 {a}", "@10 Set 1.m=1", swapped)
    assert contents(left) == expected(
        "Set 1.m=Dict; Set 1.m.a=1; Set 1.m.b=Erased; Clr 1.m.c (List); Ins 1.m.c[0]=1 ⟨0⟩; Set 1.m.a=2;"
        " Set 1.m.d=Dict; Set 1.m.d.new=1"
    )
    found = {update.path: reset_of(update) for update in instructions_of(right) if isinstance(update, Update)}
    assert {path: list(reset.keys) for path, reset in found.items() if reset} == {
        (): ["a", "b", "c", "d"],
        ("d",): ["new"],
    }


@pytest.mark.parametrize("swapped", [False, True])
def test_another_kind_of_collection_loses_like_a_plain_value(swapped: bool) -> None:
    left, right = merged("@20 Set 1.m=Dict; Set 1.m.a=1", "@10 Set 1.m=List; Ins 1.m[0]=1 ⟨0⟩", swapped)
    assert contents(left) == expected("Set 1.m=Dict; Set 1.m.a=1")
    (reset,) = instructions_of(right)
    assert reset_of(reset) is not None


@pytest.mark.parametrize("swapped", [False, True])
def test_a_clear_of_an_element_that_gives_way_knows_the_size_of_the_list_by_then(swapped: bool) -> None:
    left, right = merged("@20 Set 1.m[1]=Dict ⟨5⟩", "@10 Del 1.m[4] ⟨5⟩; Clr 1.m[1] (List)", swapped)
    assert contents(left) == expected("Set 1.m[1]=Dict ⟨4⟩")
    erase, reset = instructions_of(right)
    assert contents([Changeset([erase], [])]) == expected("Del 1.m[4] ⟨5⟩")
    assert isinstance(reset, Update)
    assert (reset.path, reset.prior_size) == ((1,), 4)


@pytest.mark.parametrize("swapped", [False, True])
def test_nonsense_in_the_collection_is_dropped_or_left_to_the_database(swapped: bool) -> None:
    left, right = merged("@20 Set 1.m=Dict; Ins 1.m[0]=5 ⟨0⟩; Add 1.m+1", "@10 Set 1.m=1", swapped)
    assert contents(left) == expected("Set 1.m=Dict; Add 1.m+1")
    assert reset_of(instructions_of(right)[0]) is not None


def test_the_later_plain_value_wins_alone() -> None:
    left, right = merged("@10 Set 1.m=List; Ins 1.m[0]=5 ⟨0⟩", "@20 Set 1.m=1")
    assert contents(left) == expected("∅")
    assert contents(right) == expected("Set 1.m=1")


def test_without_a_schema_a_plain_value_is_just_dropped() -> None:
    left, right = side("@20 Set 1.m=List", 2), side("@10 Set 1.m=1", 3)
    transform(left, right)
    assert contents(right) == expected("∅")


def test_values_that_lose_to_nested_collections_do_not_multiply_without_bound() -> None:
    winner = "; ".join(["Set 1.m=Dict", *(f"Set 1.m.k{n}=Dict" for n in range(5))])
    losers = "; ".join(["Set 1.m=1"] * (MOST_INSERTED // 5 + 1))
    with pytest.raises(TransformError, match=r"more than 100,000 changes would be needed to merge T: one property"):
        merged(f"@20 {winner}", f"@10 {losers}")


def test_a_list_of_absurd_size_is_cleared() -> None:
    left, right = merged("@20 Set 1.m=List; Ins 1.m[0]=5 ⟨4000000000⟩", "@10 Set 1.m=1")
    assert contents(right) == expected("Clr 1.m (List)")
    assert contents(left) == expected("Set 1.m=List")
    assert isinstance(erasures(Update("T", 1, "m", (), kinds.SET, None), (), 10_001)[0], Clear)


# --- stored form ------------------------------------------------------------------------------------------------------


def test_resets_are_stored_in_reciprocals_and_met_there() -> None:
    ours = side("@10 Set 1.i=1; Set 1.m=1; Set 1.lm[1]=2 ⟨3⟩", 2)
    transform(ours, side("@20 Set 1.m=Dict; Set 1.m.a=1; Set 1.lm[1]=List ⟨3⟩", 3), schema=NothingEmbedded())
    (stored,) = ours
    read = read_reciprocal(write_reciprocal(stored))
    assert [type(i) for i in read.instructions] == [type(i) for i in stored.instructions]
    assert read.instructions[0].value == 1  # type: ignore[attr-defined]
    for before, after in zip(stored.instructions[1:], read.instructions[1:], strict=True):
        old, new = reset_of(before), reset_of(after)
        assert old is not None
        assert new is not None
        assert (old.kind, old.keys) == (new.kind, new.keys)
        assert isinstance(before, Update)
        assert isinstance(after, Update)
        assert (before.path, before.prior_size) == (after.path, after.prior_size)
    read.origin_timestamp, read.origin_file_ident = 10, 2
    later = side("@21 Set 1.m.old.x=1; Set 1.m.b=2; Ins 1.lm[1][1]=5 ⟨1⟩", 3)
    transform([read], later, schema=NothingEmbedded())
    assert contents(later) == expected("Set 1.m.b=2; Ins 1.lm[1][0]=5 ⟨0⟩")


def test_a_reciprocal_without_its_resets() -> None:
    ours = side("@10 Set 1.i=1; Set 1.m=1; Set 1.j=2", 2)
    transform(ours, side("@20 Set 1.m=Dict; Set 1.m.a=1", 3), schema=NothingEmbedded())
    data = without_resets(write_reciprocal(ours[0]))
    assert contents([decode(data)]) == expected("Set 1.i=1; Set 1.j=2")
    assert without_resets(b"") == b""


def test_a_foreign_update_with_set_is_no_reset() -> None:
    foreign = Update("T", 1, "m", (), kinds.SET, None)
    assert reset_of(foreign) is None
    assert read_reciprocal(write_reciprocal(Changeset([foreign], []))).instructions[0].__class__ is Update
    stray = Update("T", 1, "m", ("k",), kinds.SET, None)
    assert read_reciprocal(write_reciprocal(Changeset([stray], []))).instructions == []


def test_what_a_reset_did_is_spelled_out() -> None:
    reset = Reset(kinds.LIST)
    update = Update("T", 1, "m", (), kinds.SET, reset)
    reset.steps = erasures(update, (), 2)
    other = Update("T", 1, "i", (), kinds.INT, 1)
    changeset = Changeset([update, other], [])
    spell_out(changeset)
    assert contents([changeset]) == expected("Del 1.m[0] ⟨2⟩; Del 1.m[0] ⟨1⟩; Set 1.i=1")


# --- real peers -------------------------------------------------------------------------------------------------------

_SCHEMA = [
    {
        "name": "T",
        "pk": {"name": "_id", "type": "int"},
        "props": [{"name": "m", "type": "mixed"}, {"name": "d", "type": "mixed", "collection": "dict"}],
    }
]


@contextmanager
def peers(number: int) -> Iterator[tuple[Server, list[Client]]]:
    """A server and clients that know one object."""
    idents = {str(ident): ident for ident in range(2, 2 + number)}
    with tempfile.TemporaryDirectory() as folder, closing(Server(Path(folder) / "s.realm", idents, [])) as server:
        clients = [Client(ident) for ident in idents.values()]
        clients[0].commit(1, [{"op": "schema", "classes": _SCHEMA}, {"op": "create", "class": "T", "pk": 1}], False)
        sync(server, clients[0])
        for client in clients[1:]:
            sync(server, client)
        yield server, clients
        for client in clients:
            client.close()


def sync(server: Server, client: Client) -> None:
    client.download(server)
    while client.has_upload():
        client.upload(server)


def operation(random: Random, client: Client) -> dict[str, Any]:
    """Something that the client's object allows, in a Mixed that is often a collection."""
    props = client.state()["objects"]["T"][0]["props"]
    path: list[Any] = ["m"]
    value = props["m"]
    if random.random() < 0.4:
        path, value = ["d", "k"], props["d"]["dict"].get("k")
    while isinstance(value, dict) and random.random() < 0.75:
        if value.get("list"):
            place = random.randrange(len(value["list"]))
            inner = value["list"][place]
        elif value.get("dict"):
            place = random.choice(sorted(value["dict"]))
            inner = value["dict"][place]
        else:
            break
        if not (isinstance(inner, dict) and ("list" in inner or "dict" in inner)) or random.random() < 0.3:
            break
        path, value = [*path, place], inner
    new = random.choice(
        [1, "x", None, {"list": []}, {"list": [7, 8]}, {"dict": {}}, {"dict": {"a": 1, "b": {"list": [2]}}}]
    )
    base = {"class": "T", "obj": 1, "path": path}
    if isinstance(value, dict) and "list" in value and random.random() < 0.8:
        size = len(value["list"])
        kind = random.choice(["list_insert", "list_insert", "list_set", "list_erase", "list_move", "list_clear"])
        if kind == "list_insert":
            return {**base, "op": kind, "index": random.randint(0, size), "value": new}
        if kind == "list_clear" or not size:
            return {**base, "op": "list_clear"}
        if kind == "list_move":
            return {**base, "op": kind, "from": random.randrange(size), "to": random.randrange(size)}
        return {**base, "op": kind, "index": random.randrange(size), **({"value": new} if kind == "list_set" else {})}
    if isinstance(value, dict) and "dict" in value and random.random() < 0.8:
        kind = random.choice(["dict_set", "dict_set", "dict_erase", "dict_clear"])
        if kind == "dict_clear":
            return {**base, "op": kind}
        key = random.choice("abc")
        return {**base, "op": kind, "key": key, **({"value": new} if kind == "dict_set" else {})}
    return {**base, "op": "set", "value": new}


@pytest.mark.parametrize("seed", range(60))
def test_real_peers_converge(seed: int) -> None:
    random = Random(seed)
    with peers(2 + seed % 2) as (server, clients):
        for _ in range(random.randint(6, 24)):
            client = random.choice(clients)
            action = random.random()
            if action < 0.65:
                client.commit(random.randint(1, 30), [operation(random, client)], False)
            elif action < 0.8:
                client.download(server)
            elif client.has_upload():
                client.upload(server)
        for client in [*clients, *clients]:
            sync(server, client)
        states = [json.dumps(normal_state(client.state()), sort_keys=True) for client in clients]
        assert len(set(states)) == 1


def of_m(name: str, value: object, **fields: object) -> dict[str, Any]:
    """An operation on the Mixed of the object."""
    return {"op": name, "class": "T", "obj": 1, "path": ["m"], "value": value, **fields}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_reset_inside_the_collection_is_not_an_entry_that_was_written(order: tuple[int, ...]) -> None:
    with peers(3) as (server, clients):
        clients[0].commit(2, [of_m("set", {"dict": {"k": 1}})], False)
        for client in clients:
            sync(server, client)
        clients[0].commit(20, [of_m("set", {"dict": {}})], False)
        clients[1].commit(8, [of_m("dict_set", 5, key="k")], False)
        clients[2].commit(9, [of_m("dict_set", {"list": []}, key="k")], False)
        clients[2].commit(10, [of_m("set", 6)], False)
        for number in (*order, *range(3), *range(3)):
            sync(server, clients[number])
        assert [client.state()["objects"]["T"][0]["props"]["m"] for client in clients] == [{"dict": {}}] * 3
