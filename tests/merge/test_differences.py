"""Defects of realm-core that no vector holds (vectors/NOTES.md 9 to 14): ours does the sane thing, and converges.

Real client files and a real server's log and state, without a network; docs/reference/merge-differences.md says why.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from syncline.changesets.changeset import UploadCursor
from syncline.changesets.codec import decode
from syncline.changesets.instructions import SetErase, SetInsert
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.testing.operations import execute_all
from syncline.testing.vector_files import normal_state
from syncline.testing.vector_peers import Client, Server
from syncline.values import GlobalKey, Link

Operation = dict[str, Any]

_CLASSES = [
    {
        "name": "T",
        "pk": {"name": "_id", "type": "int"},
        "props": [
            {"name": "x", "type": "double"},
            {"name": "m", "type": "mixed"},
            {"name": "sm", "type": "mixed", "collection": "set"},
            {"name": "ss", "type": "string", "nullable": True, "collection": "set"},
        ],
    }
]


def op(name: str, *path: str | int, **fields: Any) -> Operation:
    """An operation on object 1."""
    return {"op": name, "class": "T", "obj": 1, "path": list(path), **fields}


@contextmanager
def peers(number: int, *base: Operation) -> Iterator[tuple[Server, list[Client]]]:
    """A server and clients that all have object 1, and ``base`` done to it."""
    idents = {str(ident): ident for ident in range(2, 2 + number)}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "s.realm", idents, [])
        clients = [Client(ident) for ident in idents.values()]
        created = [{"op": "schema", "classes": _CLASSES}, {"op": "create", "class": "T", "pk": 1}]
        clients[0].commit(1, [*created, *base], False)
        for client in clients:
            sync(server, client)
        try:
            yield server, clients
        finally:
            for client in clients:
                client.close()
            server.close()


def sync(server: Server, client: Client) -> None:
    client.download(server)
    while client.has_upload():
        client.upload(server)


def outcomes(base: Sequence[Operation], *sides: Sequence[tuple[int, Operation]]) -> list[dict[str, Any]]:
    """The properties of object 1 after each order in which the sides' commits may arrive; all peers must agree."""
    found = []
    for order in permutations(range(len(sides))):
        with peers(len(sides), *base) as (server, clients):
            for client, commits in zip(clients, sides, strict=True):
                for timestamp, operation in commits:
                    client.commit(timestamp, [operation], False)
            for number in (*order, *order):
                sync(server, clients[number])
            states = [normal_state(client.state())["objects"]["T"] for client in clients]
            assert all(state == states[0] for state in states)
            found.append(states[0]['{"int": 1}'])
    return found


# --- 9 ----------------------------------------------------------------------------------------------------------------


def test_notes_9_minus_zero_over_zero_is_stored_and_travels() -> None:
    for x in outcomes([op("set", "x", value={"double": 0.0})], [(10, op("set", "x", value={"double": -0.0}))], []):
        assert math.copysign(1, x["x"]["double"]) == -1


def test_notes_9_the_later_zero_wins_with_its_sign() -> None:
    minus, plus = op("set", "x", value={"double": -0.0}), op("set", "x", value={"double": 0.0})
    for x in outcomes([], [(10, plus)], [(20, minus)]):
        assert math.copysign(1, x["x"]["double"]) == -1
    for x in outcomes([], [(10, minus)], [(20, plus)]):
        assert math.copysign(1, x["x"]["double"]) == 1


# --- 10 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [{"double": 1.0}, {"float": 1.0}, {"dec": "1.00"}])
def test_notes_10_equal_numbers_of_different_types_are_one_member(later: dict[str, Any]) -> None:
    insert = [op("set_insert", "sm", value={"int": 1}), op("set_insert", "sm", value=later)]
    for found in outcomes([], [(10, insert[0])], [(20, insert[1])]):
        (member,) = found["sm"]["set"]
        assert next(iter(member)) == next(iter(later))


def test_notes_10_erasing_an_equal_number_erases_the_member() -> None:
    base = [op("set_insert", "sm", value={"int": 1})]
    erase = op("set_erase", "sm", value={"double": 1.0})
    assert all(found["sm"] == {"set": []} for found in outcomes(base, [(10, erase)], []))
    again = [(5, op("set_erase", "sm", value={"int": 1})), (6, op("set_insert", "sm", value={"dec": "1"}))]
    assert all(found["sm"] == {"set": []} for found in outcomes(base, again, [(10, erase)]))


def test_notes_10_three_peers() -> None:
    values = [{"int": 7}, {"double": 7.0}, {"dec": "7.0"}]
    sides = [[(10 * n, op("set_insert", "sm", value=value))] for n, value in enumerate(values, 1)]
    for found in outcomes([], *sides):
        assert [next(iter(member)) for member in found["sm"]["set"]] == ["dec"]


# --- 11 ---------------------------------------------------------------------------------------------------------------


def test_notes_11_null_can_be_erased_from_a_nullable_set() -> None:
    base = [op("set_insert", "ss", value=None), op("set_insert", "ss", value="a")]
    for found in outcomes(base, [(10, op("set_erase", "ss", value=None))], [(20, op("set_insert", "ss", value="b"))]):
        assert found["ss"] == {"set": [{"str": "a"}, {"str": "b"}]}


def test_notes_11_null_in_a_set_of_mixed_too() -> None:
    base = [op("set_insert", "sm", value=None)]
    assert all(found["sm"] == {"set": []} for found in outcomes(base, [(10, op("set_erase", "sm", value=None))], []))


# --- 12 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [None, {"int": 0}, {"list": [1, 2]}, {"dict": {"old": 1}}])
def test_notes_12_a_mixed_between_collections_and_a_plain_value_with_three_peers(base: Any) -> None:
    start = [op("set", "m", value=base)]
    make_list = [(30, op("set", "m", value={"list": []})), (31, op("list_insert", "m", value="new"))]
    make_dict = [(20, op("set", "m", value={"dict": {"k": 1}}))]
    plain = [(10, op("set", "m", value={"int": 5}))]
    for found in outcomes(start, make_list, make_dict, plain):
        assert {"str": "new"} in found["m"]["list"]


@pytest.mark.parametrize("base", [None, {"list": [1, 2]}, {"dict": {"old": 1}}])
def test_notes_12_the_later_plain_value_wins_alone(base: Any) -> None:
    start = [op("set", "m", value=base)]
    sides = [
        [(10, op("set", "m", value={"list": [7]}))],
        [(20, op("set", "m", value={"dict": {"k": 1}}))],
        [(30, op("set", "m", value={"int": 5}))],
    ]
    assert all(found["m"] == {"int": 5} for found in outcomes(start, *sides))


def test_notes_12_what_the_plain_value_removed_is_gone_everywhere_and_nothing_else() -> None:
    for base, own, kept in (
        ({"list": [1, 2]}, op("list_insert", "m", index=2, value="new"), {"list": [{"str": "new"}]}),
        ({"dict": {"old": 1}}, op("dict_set", "m", key="new", value=2), {"dict": {"new": {"int": 2}}}),
    ):
        again = op("set", "m", value={"list": []} if "list" in base else {"dict": {}})  # it is one: keeps what is there
        sides = [[(20, again), (21, own)], [(10, op("set", "m", value={"int": 5}))]]
        assert all(found["m"] == kept for found in outcomes([op("set", "m", value=base)], *sides))


# --- 13 ---------------------------------------------------------------------------------------------------------------


def test_notes_13_links_in_set_instructions_are_completed_with_the_ident() -> None:
    """Objects without primary key that were made before the client file had its ident."""
    classes = [{"name": "C", "props": [{"name": "others", "type": "link", "target": "C", "collection": "set"}]}]
    file = RealmFile.in_memory()
    try:
        history = ClientHistory(file)
        with file.write() as tx:
            execute_all(tx, [{"op": "schema", "classes": classes}])
            made = execute_all(tx, [{"op": "create", "class": "C"}, {"op": "create", "class": "C"}])
            first, second = (result["key"] for result in made)
            link = {"link": ["C", second]}
            change = {"class": "C", "obj": first, "path": ["others"], "value": link}
            execute_all(tx, [{"op": "set_insert", **change}, {"op": "set_erase", **change}])
        history.set_file_ident(9, 1)
        entries, _ = history.uploadable(UploadCursor())
        links = [
            instruction.value
            for entry in entries
            for instruction in decode(entry.changeset).instructions
            if isinstance(instruction, SetInsert | SetErase)
        ]
        assert links == [Link("C", GlobalKey(9, second["gk"][1]))] * 2
    finally:
        file.close()


# --- 14 ---------------------------------------------------------------------------------------------------------------


def test_notes_14_clearing_a_nested_collection_follows_its_element() -> None:
    base = [op("set", "m", value={"list": [{"list": [1]}, {"list": [2]}, {"dict": {"a": 3}}]})]
    inner = [{"int": 1}], [{"int": 2}], {"a": {"int": 3}}
    clear = [(20, op("list_clear", "m", 1))]
    for found in outcomes(base, clear, [(10, op("list_insert", "m", index=0, value=0))]):
        assert found["m"]["list"] == [{"int": 0}, {"list": inner[0]}, {"list": []}, {"dict": inner[2]}]
    for found in outcomes(base, clear, [(10, op("list_erase", "m", index=0))]):
        assert found["m"]["list"] == [{"list": []}, {"dict": inner[2]}]
    for found in outcomes(base, clear, [(10, op("list_erase", "m", index=1))]):
        assert found["m"]["list"] == [{"list": inner[0]}, {"dict": inner[2]}]
    for found in outcomes(base, clear, [(10, {**op("list_move", "m"), "from": 1, "to": 0})]):
        assert found["m"]["list"] == [{"list": []}, {"list": inner[0]}, {"dict": inner[2]}]
    for found in outcomes(base, [(20, op("dict_clear", "m", 2))], [(10, op("list_erase", "m", index=0))]):
        assert found["m"]["list"] == [{"list": inner[1]}, {"dict": {}}]
