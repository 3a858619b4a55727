"""The reference model: against what realm-core recorded, against storage, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.testing.recorded import Peer

from syncline.changesets.codec import decode
from syncline.changesets.instructions import (
    AddColumn,
    AddInteger,
    AddTable,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Clear,
    CreateObject,
    EraseColumn,
    EraseObject,
    EraseTable,
    Instruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.errors import BadChangesetError
from syncline.testing.choices import RandomChoices
from syncline.testing.domains import STANDARD, focused
from syncline.testing.model import Model, ModelError
from syncline.testing.random_operations import random_transaction
from syncline.testing.strategies import Transaction
from syncline.testing.vector_files import Case, compare, normal_objects, normal_state, read_cases, read_fixtures
from syncline.values import Float32, GlobalKey, Key, Link, kinds

VECTORS = Path(__file__).parents[1] / "vectors"
#: Of the recorded merges every how many-th is looked at.
EVERY = 60


# --- what realm-core recorded -----------------------------------------------------------------------------------------


def test_recorded_operations_have_the_recorded_results() -> None:
    count = 0
    for case in read_cases(VECTORS / "operations.jsonl.gz"):
        model = Model(case.fields["file_ident"])
        model.execute({"op": "schema", "classes": case.fields["schema"]})
        for operation in case.fields.get("setup", ()):
            model.execute(operation)
        model.commit()
        compare(case.name, case.fields["results"], [model.execute(operation) for operation in case.fields["ops"]])
        model.commit()
        compare(case.name, normal_objects(case.fields["final"]), normal_objects(model.dump()["objects"]))
        count += 1
    assert count == 325


def _fixtures() -> dict[int, Model]:
    models = {}
    for number, form in read_fixtures(VECTORS / "fixtures.json").items():
        models[number] = Model(9)
        for base in form["base"]:
            models[number].apply(decode(bytes.fromhex(base["changeset"])))
        compare("fixture", normal_state(form["dump"]), normal_state(models[number].dump()))
    return models


def _merges() -> Iterator[Case]:
    for case in read_cases(VECTORS / "merges.jsonl.gz", every=EVERY):
        if not case.fields.get("mixed_list_move"):  # the original loses content that stands in a moved element
            yield case


def test_recorded_merges_lead_to_the_recorded_states() -> None:
    fixtures = _fixtures()
    count = 0
    for case in _merges():
        for one, other in (("left", "right_transformed"), ("right", "left_transformed")):
            model = fixtures[case.fields["fixture"]].copy()
            for form in (*case.fields[one], *case.fields[other]):
                model.apply(decode(bytes.fromhex(form["changeset"])))
            compare(case.name, normal_state(case.fields["final"]), normal_state(model.dump()))
        count += 1
    assert count > 60


# --- storage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("removal", [False, True])
@pytest.mark.parametrize("seed", range(14))
def test_storage_does_what_the_model_does(seed: int, removal: bool) -> None:
    """Executing operations, and applying what was recorded (``Peer`` compares after everything)."""
    choices = RandomChoices(seed)
    domain = replace(STANDARD, schema_removal=removal)
    if seed % 2:
        domain = focused(choices, domain)
    editor, reader = Peer(7), Peer(8)
    for _ in range(6):
        made = random_transaction(choices, domain, editor.dump(), 6)
        reader.apply([editor.edit(Transaction(0, made))])
        assert reader.dump() == editor.dump()


def test_a_dump_makes_a_model() -> None:
    choices = RandomChoices(5)
    model = Model(7)
    for _ in range(12):
        for operation in random_transaction(choices, STANDARD, model.dump(), 8):
            model.execute(operation)
        model.commit()
        again = Model.of(model.dump(), ident=7, asymmetric={"Metric"})
        assert again.dump() == model.dump()
    assert again.execute({"op": "create", "class": "Metric", "pk": {"oid": "0" * 24}})["created"]
    again.commit()
    assert again.dump() == model.dump()


def test_a_type_that_is_none_makes_no_model() -> None:
    with pytest.raises(ValueError, match="not a type"):
        Model.of({"schema": {"A": {"embedded": False, "pk": None, "props": {"x": "int!"}}}, "objects": {}})


# --- what it says where storage has no say ----------------------------------------------------------------------------

CLASSES = [
    {"name": "E", "embedded": True, "props": [{"name": "i", "type": "int"}, {"name": "m", "type": "mixed"}]},
    {
        "name": "A",
        "pk": {"name": "_id", "type": "int"},
        "props": [
            {"name": "i", "type": "int"},
            {"name": "f", "type": "float"},
            {"name": "m", "type": "mixed"},
            {"name": "k", "type": "link", "target": "A"},
            {"name": "e", "type": "link", "target": "E"},
            {"name": "l", "type": "int", "collection": "list"},
            {"name": "lk", "type": "link", "target": "A", "collection": "list"},
            {"name": "two", "type": "mixed", "collection": "list"},
            {"name": "le", "type": "link", "target": "E", "collection": "list"},
            {"name": "s", "type": "int", "collection": "set"},
            {"name": "d", "type": "mixed", "collection": "dict"},
            {"name": "de", "type": "link", "target": "E", "collection": "dict"},
        ],
    },
    {"name": "N", "props": [{"name": "m", "type": "mixed"}, {"name": "k", "type": "link", "target": "N"}]},
    {"name": "Y", "asymmetric": True, "pk": {"name": "_id", "type": "int"}, "props": []},
]

SCHEMA = {"op": "schema", "classes": CLASSES}
OBJECTS = [
    {"op": "create", "class": "A", "pk": 1, "values": {"two": {"list": [1, "text"]}}},
    {"op": "create", "class": "A", "pk": 2},
    {"op": "create", "class": "N"},
]


@pytest.fixture
def model() -> Model:
    model = Model(7)
    for operation in (SCHEMA, *OBJECTS):
        model.execute(operation)
    return model


def shown(model: Model, prop: str, key: int = 1) -> Any:
    entries = model.dump()["objects"]["A"]
    return next(entry["props"][prop] for entry in entries if entry["key"] == {"int": key})


def at(*path: Any, key: int = 1, **operands: Any) -> dict[str, Any]:
    return {"class": "A", "obj": key, "path": list(path), **operands}


def test_hidden_elements_count_only_in_instructions(model: Model) -> None:
    link = Link("A", 3)
    model.apply([ArrayInsert("A", 1, "lk", (0,), kinds.LINK, link, 0)])
    assert shown(model, "lk") == {"list": []}
    model.execute({"op": "list_insert", **at("lk", index=0, value={"link": ["A", 1]})})
    model.execute({"op": "list_insert", **at("lk", value={"link": ["A", 2]})})
    model.execute({"op": "list_move", **at("lk"), "from": 1, "to": 0})
    model.apply([CreateObject("A", 3)])
    assert shown(model, "lk") == {"list": [{"link": ["A", {"int": key}]} for key in (3, 2, 1)]}


def test_an_object_that_comes_back_is_linked_again_but_not_after_a_local_erasure(model: Model) -> None:
    model.execute({"op": "set", **at("k", value={"link": ["A", 2]})})
    model.execute({"op": "set", **at("m", value={"list": [{"link": ["A", 2]}, 1]})})
    model.apply([EraseObject("A", 2)])
    assert shown(model, "k") is None
    assert shown(model, "m") == {"list": [None, {"int": 1}]}
    model.apply([CreateObject("A", 2)])
    assert shown(model, "k") == {"link": ["A", {"int": 2}]}
    model.execute({"op": "erase", "class": "A", "obj": 2})
    model.execute({"op": "create", "class": "A", "pk": 2})
    assert shown(model, "k") is None
    assert shown(model, "m") == {"list": [{"int": 1}]}


def test_keys_without_primary_key(model: Model) -> None:
    assert model.execute({"op": "create", "class": "N"}) == {"key": {"gk": [7, 1]}}
    model.apply([CreateObject("N", GlobalKey(7, 9)), CreateObject("N", GlobalKey(3, 40))])
    model.execute({"op": "clear_class", "class": "N"})
    assert model.execute({"op": "create", "class": "N"}) == {"key": {"gk": [7, 11]}}
    assert model.execute({"op": "create", "class": "N"}, GlobalKey(7, 77)) == {"key": {"gk": [7, 77]}}


def test_floats_become_what_the_place_wants(model: Model) -> None:
    model.execute({"op": "set", **at("f", value={"double": 0.1})})
    assert shown(model, "f") == {"float": float(Float32(0.1))}


def test_a_copy_is_independent(model: Model) -> None:
    before = model.dump()
    other = model.copy()
    other.execute({"op": "set", **at("i", value=5)})
    other.execute({"op": "list_insert", **at("l", value=5)})
    other.execute({"op": "erase_prop", "class": "A", "prop": "f"})
    assert model.dump() == before != other.dump()


def test_what_merging_asks_of_a_schema(model: Model) -> None:
    assert model.embedded_property("A", "e") == (kinds.SINGLE_COLLECTION, "E")
    assert model.embedded_property("A", "de") == (kinds.DICTIONARY_COLLECTION, "E")
    assert model.embedded_property("A", "k") is None
    assert model.embedded_property("A", "i") is None
    assert model.embedded_property("A", "x") is None
    assert model.embedded_property("X", "e") is None


def _refused_operations() -> Iterator[Mapping[str, Any]]:
    yield {"op": "fly"}
    yield {"op": "create", "class": "X"}
    yield {"op": "create", "class": "A"}
    yield {"op": "create", "class": "A", "pk": "text"}
    yield {"op": "create", "class": "A", "pk": None}
    yield {"op": "create", "class": "E"}
    yield {"op": "create", "class": "A", "pk": 1, "values": {"x": 1}}
    yield {"op": "erase", "class": "A", "obj": 9}
    yield {"op": "erase_prop", "class": "A", "prop": "_id"}
    yield {"op": "erase_class", "class": "E"}
    yield {"op": "schema", "classes": [{"name": "A", "props": [{"name": "i", "type": "string"}]}]}
    yield {"op": "schema", "classes": [{"name": "A", "props": [{"name": "i", "type": "int", "nullable": True}]}]}
    yield {"op": "schema", "classes": [{"name": "A", "props": [{"name": "z", "type": "link", "target": "Y"}]}]}
    embedded_set = {"name": "z", "type": "link", "target": "E", "collection": "set"}
    yield {"op": "schema", "classes": [{"name": "A", "props": [embedded_set]}]}
    yield {"op": "set", **at("i", value="text")}
    yield {"op": "set", **at("i", value=None)}
    yield {"op": "set", **at("i", value={"list": []})}
    yield {"op": "set", **at("i", value={"obj": {}})}
    yield {"op": "set", **at("l", value=1)}
    yield {"op": "set", **at("l", 0, value=1)}
    yield {"op": "set", **at("m", value={"set": []})}
    yield {"op": "set", **at("m", "x", value=1)}
    yield {"op": "set", **at("k", value={"link": ["A", 9]})}
    yield {"op": "set", **at("k", value={"link": ["N", {"gk": [7, 0]}]})}
    yield {"op": "set", **at("e", "i", value=1)}
    yield {"op": "add_int", **at("m", value=1)}
    yield {"op": "add_int", **at("i", value="text")}
    yield {"op": "list_insert", **at("l", index=1, value=1)}
    yield {"op": "list_insert", **at("s", value=1)}
    yield {"op": "list_erase", **at("l", index=0)}
    yield {"op": "list_move", **at("l"), "from": 0, "to": 0}
    yield {"op": "set_insert", **at("l", value=1)}
    yield {"op": "set_insert", **at("s", value="text")}
    yield {"op": "dict_set", **at("l", key="a", value=1)}
    yield {"op": "dict_clear", **at("m")}
    yield {"op": "dict_set", **at("d", key="a.b", value=1)}
    yield {"op": "dict_set", **at("d", key="a", value={"obj": {}})}


@pytest.mark.parametrize("operation", list(_refused_operations()), ids=repr)
def test_refused_operations(model: Model, operation: Mapping[str, Any]) -> None:
    with pytest.raises(ModelError):
        model.execute(operation)


def test_a_class_that_mixed_values_link_to_is_not_erased_here_but_elsewhere(model: Model) -> None:
    model.execute({"op": "create", "class": "N"})
    link = {"link": ["N", {"gk": [7, 0]}]}
    model.execute({"op": "set", **at("m", value={"list": [link, {"dict": {"a": link}}]})})
    with pytest.raises(ModelError, match="is linked to"):
        model.execute({"op": "erase_class", "class": "N"})
    model.apply([EraseTable("N")])
    assert shown(model, "m") == {"list": [None, {"dict": {"a": None}}]}


def update(prop: str, kind: int, value: object = None, *, path: tuple[int | str, ...] = (), key: Key = 1) -> Update:
    return Update("A", key, prop, path, kind, value)


def column(name: str, type: int, collection: int = 0, target: str = "", key_type: int = 0) -> AddColumn:
    return AddColumn("A", name, type, False, collection, target, key_type)


REFUSED: list[Instruction] = [
    AddTable("A", kinds.TOP_LEVEL, "_id", kinds.STRING, False),
    AddTable("A", kinds.TOP_LEVEL, "", kinds.GLOBAL_KEY, False),
    AddTable("A", kinds.EMBEDDED, "", kinds.GLOBAL_KEY, False),
    AddTable("A", kinds.ASYMMETRIC, "_id", kinds.INT, False),
    AddTable("x" * 58, kinds.TOP_LEVEL, "_id", kinds.INT, False),
    AddTable("\udcff", kinds.TOP_LEVEL, "_id", kinds.INT, False),
    column("x" * 64, kinds.INT),
    EraseTable("X"),
    EraseTable("E"),
    column("i", kinds.STRING),
    column("i", kinds.INT, kinds.LIST_COLLECTION),
    column("k", kinds.LINK, target="N"),
    column("z", kinds.LINK, target="X"),
    column("z", kinds.INT, kinds.DICTIONARY_COLLECTION, key_type=kinds.INT),
    EraseColumn("A", "_id"),
    EraseColumn("A", "x"),
    CreateObject("X", 1),
    CreateObject("E", GlobalKey(1, 1)),
    CreateObject("A", "text"),
    CreateObject("A", None),
    CreateObject("A", GlobalKey(1, 1)),
    CreateObject("N", 1),
    CreateObject("N", GlobalKey(1 << 40, 1)),
    EraseObject("A", "text"),
    update("i", kinds.INT, 1, key=9),
    update("x", kinds.INT, 1),
    update("_id", kinds.INT, 1),
    update("i", kinds.STRING, "x"),
    update("i", kinds.NULL),
    update("i", kinds.LINK, Link("A", 1)),
    update("i", kinds.ERASED),
    update("i", kinds.OBJECT),
    update("i", kinds.LIST),
    update("m", kinds.SET),
    update("m", kinds.LINK, Link("E", 1)),
    update("m", kinds.LINK, Link("A", "text")),
    update("k", kinds.LINK, Link("N", GlobalKey(7, 0))),
    update("l", kinds.INT, 1),
    update("l", kinds.INT, 1, path=(0,)),
    update("l", kinds.INT, 1, path=("a",)),
    update("d", kinds.INT, 1, path=(0,)),
    update("d", kinds.OBJECT, path=("a",)),
    update("d", kinds.INT, 1, path=("a", "b")),
    update("m", kinds.INT, 1, path=(0,)),
    update("e", kinds.INT, 1, path=("i",)),
    update("s", kinds.INT, 1, path=(0,)),
    update("d", kinds.INT, 1, path=("$a",)),
    update("two", kinds.OBJECT, path=(2,)),
    update("m", kinds.OBJECT, path=(0, 1)),
    update("k", kinds.OBJECT),
    update("f", kinds.OBJECT),
    AddInteger("A", 1, "f", (), 1),
    AddInteger("A", 1, "d", ("a",), 1),
    ArrayInsert("A", 1, "l", (0,), kinds.INT, 1, 1),
    ArrayInsert("A", 1, "l", (1,), kinds.INT, 1, 0),
    ArrayInsert("A", 1, "l", (0,), kinds.NULL, None, 0),
    ArrayInsert("A", 1, "l", (0,), kinds.LIST, None, 0),
    ArrayInsert("A", 1, "l", (0,), kinds.OBJECT, None, 0),
    ArrayInsert("A", 1, "d", ("a",), kinds.INT, 1, 0),
    ArrayMove("A", 1, "l", (0,), 0, 0),
    ArrayMove("A", 1, "two", (0,), 2, 2),
    ArrayMove("A", 1, "two", (1,), 1, 2),
    ArrayErase("A", 1, "l", (0,), 0),
    Clear("A", 1, "l", (), kinds.SET_COLLECTION),
    Clear("A", 1, "i", (), kinds.LIST_COLLECTION),
    Clear("A", 1, "m", (), kinds.SINGLE_COLLECTION),
    Clear("A", 1, "l", (0,), kinds.LIST_COLLECTION),
    SetInsert("A", 1, "l", (), kinds.INT, 1),
    SetInsert("A", 1, "s", (), kinds.STRING, "x"),
    SetErase("A", 1, "s", (), kinds.OBJECT, None),
]


@pytest.mark.parametrize("instruction", REFUSED, ids=repr)
def test_refused_instructions(model: Model, instruction: Instruction) -> None:
    """Storage refuses them too; nothing of the changeset is kept."""
    before = model.dump()
    with pytest.raises(BadChangesetError) as caught:
        model.apply([update("i", kinds.INT, 5), instruction])
    assert caught.value.instruction == 1
    assert model.dump() == before


@cache
def _peer() -> Peer:
    peer = Peer(7)
    peer.edit(Transaction(0, [SCHEMA]))
    peer.edit(Transaction(0, OBJECTS))
    return peer


@pytest.mark.parametrize("instruction", REFUSED, ids=repr)
def test_storage_refuses_the_same(instruction: Instruction) -> None:
    with pytest.raises(BadChangesetError):
        Peer(7, _peer()).store.apply(instruction)


def test_addition_wraps_and_leaves_null_alone(model: Model) -> None:
    model.apply([update("i", kinds.INT, 2**63 - 1), AddInteger("A", 1, "i", (), 2)])
    assert shown(model, "i") == {"int": -(2**63) + 1}
    model.execute(
        {"op": "schema", "classes": [{"name": "A", "props": [{"name": "n", "type": "int", "nullable": True}]}]}
    )
    model.apply([AddInteger("A", 1, "n", (), 2)])
    assert shown(model, "n") is None
