"""Operations in JSON on a write transaction; the recorded ones are run by test_vectors.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from syncline.errors import RealmError
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.transaction import WriteTransaction
from syncline.testing.operations import OperationError, execute, execute_all

SCHEMA = {
    "op": "schema",
    "classes": [
        {"name": "E", "embedded": True, "props": [{"name": "i", "type": "int"}]},
        {
            "name": "A",
            "pk": {"name": "_id", "type": "int"},
            "props": [
                {"name": "i", "type": "int"},
                {"name": "m", "type": "mixed"},
                {"name": "l", "type": "link", "target": "A"},
                {"name": "e", "type": "link", "target": "E"},
                {"name": "li", "type": "int", "collection": "list"},
                {"name": "si", "type": "int", "collection": "set"},
                {"name": "di", "type": "int", "collection": "dict"},
            ],
        },
        {"name": "N", "props": [{"name": "l", "type": "link", "target": "A", "nullable": True}]},
        {"name": "S", "pk": {"name": "_id", "type": "string", "nullable": True}, "props": []},
    ],
}


@pytest.fixture
def tx() -> Iterator[WriteTransaction]:
    file = RealmFile.in_memory()
    transaction = file.begin()
    execute(transaction, SCHEMA)
    execute(transaction, {"op": "create", "class": "A", "pk": 1})
    yield transaction
    file.close()


def objects(tx: WriteTransaction) -> Any:
    tx.flush()
    return dump(tx)["objects"]


def test_results(tx: WriteTransaction) -> None:
    results = execute_all(
        tx,
        [
            {"op": "create", "class": "A", "pk": 2},
            {"op": "create", "class": "A", "pk": 2},
            {"op": "create", "class": "N"},
            {"op": "set_insert", "class": "A", "obj": 1, "path": ["si"], "value": 5},
            {"op": "set_insert", "class": "A", "obj": 1, "path": ["si"], "value": 5},
            {"op": "dict_erase", "class": "A", "obj": 1, "path": ["di"], "key": "k"},
            {"op": "set", "class": "A", "obj": 1, "path": ["i"], "value": 7},
        ],
    )
    assert results == [
        {"key": {"int": 2}, "created": True},
        {"key": {"int": 2}, "created": False},
        {"key": {"gk": [0, 0]}},
        {"changed": True},
        {"changed": False},
        {"changed": False},
        {},
    ]


def test_values_of_all_shapes(tx: WriteTransaction) -> None:
    execute(
        tx,
        {
            "op": "create",
            "class": "A",
            "pk": 3,
            "values": {
                "e": {"obj": {"i": 4}},
                "m": {"dict": {"a": {"list": [1, {"str": "x"}]}, "b": {"float": 0.5}}},
                "l": {"link": ["A", 1]},
                "li": {"list": [1, 2]},
                "si": {"set": [3]},
                "di": {"dict": {"k": 4}},
            },
        },
    )
    execute(tx, {"op": "list_insert", "class": "A", "obj": 3, "path": ["m", "a"], "value": {"bool": True}})
    execute(tx, {"op": "add_int", "class": "A", "obj": 3, "path": ["e", "i"], "value": 2})
    assert objects(tx)["A"][1]["props"] == {
        "i": {"int": 0},
        "e": {"obj": {"i": {"int": 6}}},
        "m": {"dict": {"a": {"list": [{"int": 1}, {"str": "x"}, {"bool": True}]}, "b": {"float": 0.5}}},
        "l": {"link": ["A", {"int": 1}]},
        "li": {"list": [{"int": 1}, {"int": 2}]},
        "si": {"set": [{"int": 3}]},
        "di": {"dict": {"k": {"int": 4}}},
    }


def test_a_schema_creates_what_is_missing(tx: WriteTransaction) -> None:
    execute(tx, {"op": "schema", "classes": [{"name": "A", "props": [{"name": "new", "type": "int"}]}]})
    execute(tx, {"op": "set", "class": "A", "obj": 1, "path": ["new"], "value": 1})
    assert objects(tx)["A"][0]["props"]["new"] == {"int": 1}


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({}, "unknown operation None"),
        ({"op": "explode"}, "unknown operation 'explode'"),
        ({"op": []}, "unknown operation"),
        ({"op": "erase", "class": "A"}, "erase needs obj"),
        ({"op": "erase", "class": "A", "obj": 1, "now": True}, "erase has no operand now"),
        ({"op": "erase", "class": "B", "obj": 1}, "no class 'B'"),
        ({"op": "erase", "class": "A", "obj": 9}, "no object 9"),
        ({"op": "set", "class": "A", "obj": 1, "path": [], "value": 1}, "empty path"),
        ({"op": "set", "class": "A", "obj": 1, "path": ["x"], "value": 1}, "no property 'x'"),
        ({"op": "set", "class": "A", "obj": 1, "path": ["i", "x"], "value": 1}, "nothing to go on"),
        ({"op": "set", "class": "A", "obj": 1, "path": ["li", "x"], "value": 1}, "does not fit"),
        ({"op": "set", "class": "A", "obj": 1, "path": ["di", 0], "value": 1}, "does not fit"),
        ({"op": "list_clear", "class": "A", "obj": 1, "path": ["di"]}, "no such collection"),
        ({"op": "add_int", "class": "A", "obj": 1, "path": ["i"], "value": "1"}, "needs an integer"),
        ({"op": "set", "class": "A", "obj": 1, "path": ["l"], "value": {"link": ["A", 9]}}, "no object 9"),
        ({"op": "set", "class": "A", "obj": 1, "path": ["m"], "value": {"list": [1], "dict": {}}}, "one of"),
        ({"op": "list_insert", "class": "A", "obj": 1, "path": ["li"], "value": {"list": [], "int": 1}}, "one of"),
        ({"op": "set", "class": "A", "obj": 1, "path": ["e"], "value": {"obj": {}, "int": 1}}, "one of"),
        ({"op": "create", "class": "A"}, "'A' has a primary key"),
        ({"op": "create", "class": "S"}, "'S' has a primary key"),
        ({"op": "create", "class": "N", "pk": None}, "'N' has no primary key"),
        ({"op": "create", "class": "N", "pk": {"gk": [1, 1]}}, "'N' has no primary key"),
        ({"op": "schema", "classes": [{"name": "Z", "embeded": True}]}, "no field embeded"),
        ({"op": "schema", "classes": [{"name": "Z", "embedded": "no"}]}, "embedded must be true or false"),
        ({"op": "schema", "classes": [{"name": "Z", "asymmetric": 1}]}, "asymmetric must be true or false"),
        ({"op": "schema", "classes": [{"name": "Z", "embedded": True, "asymmetric": True}]}, "not both"),
        ({"op": "schema", "classes": [{"name": "Z", "props": 5}]}, "props must be a list"),
        (
            {"op": "schema", "classes": [{"name": "Z", "pk": {"name": "_id", "type": "int", "null": 1}}]},
            "no field null",
        ),
        ({"op": "schema", "classes": [{"name": "Z", "pk": {"name": "_id", "type": "int", "nullable": 1}}]}, "nullable"),
        ({"op": "schema", "classes": [{"name": "A", "props": [{"name": "z", "type": "int", "key": 1}]}]}, "field key"),
        (
            {"op": "schema", "classes": [{"name": "A", "props": [{"name": "z", "type": "int", "nullable": 1}]}]},
            "nullabl",
        ),
    ],
)
def test_operations_that_make_no_sense(tx: WriteTransaction, operation: dict[str, Any], message: str) -> None:
    with pytest.raises(OperationError, match=message):
        execute(tx, operation)


def test_a_path_ends_at_a_link(tx: WriteTransaction) -> None:
    execute(tx, {"op": "set", "class": "A", "obj": 1, "path": ["l"], "value": {"link": ["A", 1]}})
    with pytest.raises(OperationError, match="ends at a link"):
        execute(tx, {"op": "set", "class": "A", "obj": 1, "path": ["l", "i"], "value": 1})
    execute(tx, {"op": "list_insert", "class": "A", "obj": 1, "path": ["li"], "value": 1})
    with pytest.raises(OperationError, match="path to a property"):
        execute(tx, {"op": "add_int", "class": "A", "obj": 1, "path": ["li", 0], "value": 1})


def test_what_the_database_refuses(tx: WriteTransaction) -> None:
    with pytest.raises(RealmError):
        execute(tx, {"op": "set", "class": "A", "obj": 1, "path": ["i"], "value": {"str": "x"}})
    with pytest.raises(IndexError):
        execute(tx, {"op": "list_erase", "class": "A", "obj": 1, "path": ["li"], "index": 0})
    with pytest.raises(ValueError, match="not a value"):
        execute(tx, {"op": "set", "class": "A", "obj": 1, "path": ["i"], "value": {"odd": 1}})
