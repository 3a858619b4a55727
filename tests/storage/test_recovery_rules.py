"""Every row of the table of replayed instructions, of the table of paths, and of the checklist for data.

spec/sessions.md §12.11 (*Per instruction*, *Walking a path*), §21.7. Item 1 is the object that both sides change. The
worked results are in test_recovery.py, copied lists in test_recovery_kept.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
from tests.storage.items import (
    at,
    create,
    erase,
    insert,
    item,
    link,
    number,
    part,
    put,
    reasons,
    recovered,
    remove,
    text,
    texts,
    uploaded,
)

from syncline.changesets.instructions import (
    AddColumn,
    AddInteger,
    AddTable,
    Clear,
    CreateObject,
    Instruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.errors import AutomaticResetError
from syncline.testing.recovery.world import World
from syncline.testing.recovery.writing import DOMAIN
from syncline.values import Link
from syncline.values.kinds import LINK, SET_COLLECTION, STRING

Json: TypeAlias = Any
GONE = "the server has deleted the object"
DEAD = "the server has deleted the object that is linked to"


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.both({"op": "schema", "classes": list(DOMAIN.classes)}, *(create(number) for number in range(1, 6)))
    yield world
    world.close()


# --- per instruction --------------------------------------------------------------------------------------------------

NOTE = {"name": "Note", "pk": {"name": "_id", "type": "int"}, "props": [{"name": "text", "type": "string"}]}


def test_AddTable_and_AddColumn_are_applied(world: World) -> None:
    world.local({"op": "schema", "classes": [NOTE]}, {"op": "create", "class": "Note", "pk": number(1)})
    recovery = recovered(world)
    assert [type(one) for one in uploaded(recovery)] == [AddTable, AddColumn, CreateObject]
    assert recovery.lost == []


def test_AddTable_and_AddColumn_are_emitted_even_if_the_server_has_them(world: World) -> None:
    world.local({"op": "schema", "classes": [NOTE]})
    world.remote({"op": "schema", "classes": [NOTE]})
    assert [type(one) for one in uploaded(recovered(world))] == [AddTable, AddColumn]


@pytest.mark.parametrize(
    ("row", "theirs"),
    [
        ("another key", {**NOTE, "pk": {"name": "_id", "type": "string"}}),
        ("another kind", {"name": "Note", "embedded": True, "props": NOTE["props"]}),
        ("another type", {**NOTE, "props": [{"name": "text", "type": "int"}]}),
        ("another nullability", {**NOTE, "props": [{"name": "text", "type": "string", "nullable": True}]}),
        ("another collection", {**NOTE, "props": [{"name": "text", "type": "string", "collection": "list"}]}),
    ],
)
def test_AddTable_and_AddColumn_that_contradict_fail(world: World, row: str, theirs: Json) -> None:
    world.local({"op": "schema", "classes": [NOTE]})
    world.remote({"op": "schema", "classes": [theirs]})
    before = world.own_state
    with pytest.raises(AutomaticResetError, match="cannot be recovered"):
        world.recover()
    assert world.own_state == before, "nothing has changed"


@pytest.mark.parametrize(
    "operation",
    [{"op": "erase_class", "class": "Loose"}, {"op": "erase_prop", "class": "Item", "prop": "name"}],
    ids=["EraseTable", "EraseColumn"],
)
def test_EraseTable_and_EraseColumn_fail(world: World, operation: Json) -> None:
    world.local(operation)
    with pytest.raises(AutomaticResetError, match="destructive schema changes"):
        world.recover()


def test_CreateObject_creates(world: World) -> None:
    world.local(create(7, name=text("new")))
    recovered(world)
    assert item(world, 7)["name"] == text("new")


def test_CreateObject_finds_and_says_so_again(world: World) -> None:
    world.local(create(7, name=text("mine")))
    world.remote(create(7, name=text("theirs"), count=number(3)))
    recovery = recovered(world)
    assert (item(world, 7)["name"], item(world, 7)["count"]) == (text("mine"), number(3))
    assert isinstance(uploaded(recovery)[0], CreateObject), "where the server is restored again, it is still created"


def test_EraseObject_deletes_really_with_the_links(world: World) -> None:
    """Not a tombstone: the server's lists keep no hidden elements."""
    world.local(erase(2))
    world.remote(insert("items", index=0, value=link(2)), put("item", to=link(2)), put("name", to=text("x"), obj=2))
    recovered(world)
    assert item(world, 2) is None, "a local deletion wins over remote updates"
    assert item(world)["items"] == {"list": []}
    assert item(world)["item"] is None
    assert world.own.query("SELECT count(*) FROM rlm_tomb") == [(0,)]


def test_EraseObject_of_what_the_server_deleted_is_dropped(world: World) -> None:
    world.local(erase(2))
    world.remote(erase(2))
    recovery = recovered(world)
    assert uploaded(recovery) == []
    assert recovery.lost == [], "what was wanted is so"


UPDATES = [
    # row, what both have, local, server, property of item 1 afterwards (None: no object), why something is lost
    ("object missing: dropped", [], [put("name", to=text("l"))], [erase(1)], None, [GONE]),
    ("local value wins", [], [put("name", to=text("l"))], [put("name", to=text("r"))], {"name": text("l")}, []),
    (
        "link to a missing object: null",
        [],
        [put("item", to=link(2))],
        [erase(2)],
        {"item": None},
        [f"{DEAD}; null was"],
    ),
    ("the same in a Mixed", [], [put("any", to=link(2))], [erase(2)], {"any": None}, [f"{DEAD}; null was"]),
    (
        "the same in a dictionary",
        [],
        [at("dict_set", "item_map", key="a", value=link(2))],
        [erase(2)],
        {"item_map": {"dict": {"a": None}}},
        [f"{DEAD}; null was"],
    ),
    (
        "list element, known: translated",
        [],
        [insert("texts", index=0, value=text("l")), put("texts", 0, to=text("L"))],
        [insert("texts", index=0, value=text("r"))],
        {"texts": texts("L", "r")},
        [],
    ),
    (
        "list element, unknown: list copied",
        [put("texts", to=texts("a", "b"))],
        [put("texts", 1, to=text("B"))],
        [insert("texts", index=0, value=text("r"))],
        {"texts": texts("a", "B")},
        [],
    ),
    (
        "list element, known, link to a missing object: dropped",
        [],
        [insert("items", index=0, value=link(3)), put("items", 0, to=link(2))],
        [erase(2)],
        {"items": {"list": [link(3)]}},
        [DEAD],
    ),
    (
        "dictionary key, erasing one that is gone: dropped",
        [at("dict_set", "text_map", key="a", value=text("a"))],
        [at("dict_erase", "text_map", key="a")],
        [at("dict_erase", "text_map", key="a")],
        {"text_map": {"dict": {}}},
        [],
    ),
    (
        "dictionary key: created",
        [at("dict_set", "text_map", key="a", value=text("a"))],
        [at("dict_set", "text_map", key="a", value=text("l"))],
        [at("dict_erase", "text_map", key="a")],
        {"text_map": {"dict": {"a": text("l")}}},
        [],
    ),
    (
        "dictionary key: erased",
        [at("dict_set", "text_map", key="a", value=text("a"))],
        [at("dict_erase", "text_map", key="a")],
        [at("dict_set", "text_map", key="a", value=text("r"))],
        {"text_map": {"dict": {}}},
        [],
    ),
    (
        "AddInteger: added",
        [put("count", to=number(1))],
        [at("add_int", "count", value=number(2))],
        [put("count", to=number(10))],
        {"count": number(12)},
        [],
    ),
    (
        "AddInteger, null: dropped",
        [put("count", to=number(1))],
        [at("add_int", "count", value=number(2))],
        [put("count", to=None)],
        {"count": None},
        ["there is no integer any more to add to"],
    ),
    (
        "AddInteger, no integer in a Mixed: dropped",
        [put("any", to=number(1))],
        [at("add_int", "any", value=number(2))],
        [put("any", to=text("r"))],
        {"any": text("r")},
        ["there is no integer any more to add to"],
    ),
    (
        "list element, known, becomes a collection or a new embedded object",
        [],
        [
            insert("anys", index=0, value=text("x")),
            put("anys", 0, to={"dict": {"k": text("l")}}),
            put("anys", 0, "k", to=texts("m")),
        ],
        [insert("anys", index=0, value=text("r"))],
        {"anys": {"list": [{"dict": {"k": texts("m")}}, text("r")]}},
        [],
    ),
    (
        "ArrayInsert, missing link target: dropped",
        [],
        [insert("items", index=0, value=link(2))],
        [erase(2)],
        {"items": {"list": []}},
        [DEAD],
    ),
    (
        "ArrayInsert: clamped to the list's size",
        [put("texts", to=texts("a", "b"))],
        [insert("texts", index=2, value=text("l"))],
        [at("list_clear", "texts")],
        {"texts": texts("l")},
        [],
    ),
    (
        "ArrayMove, not allowed: list copied",
        [put("texts", to=texts("a", "b"))],
        [at("list_move", "texts", **{"from": 0, "to": 1})],
        [insert("texts", index=2, value=text("r"))],
        {"texts": texts("b", "a")},
        [],
    ),
    (
        "ArrayMove of known elements",
        [put("texts", to=texts("a"))],
        [
            insert("texts", index=1, value=text("l")),
            insert("texts", index=2, value=text("m")),
            at("list_move", "texts", **{"from": 2, "to": 1}),
        ],
        [insert("texts", index=1, value=text("r"))],
        {"texts": texts("a", "m", "l", "r")},
        [],
    ),
    (
        "ArrayErase of a known element",
        [put("texts", to=texts("a"))],
        [insert("texts", index=1, value=text("l")), remove("texts", index=1)],
        [insert("texts", index=1, value=text("r"))],
        {"texts": texts("a", "r")},
        [],
    ),
    (
        "ArrayErase, not allowed: list copied",
        [put("texts", to=texts("a", "b"))],
        [remove("texts", index=0)],
        [insert("texts", index=2, value=text("r"))],
        {"texts": texts("b")},
        [],
    ),
    (
        "Clear list: remote additions go, later operations are on known elements",
        [put("texts", to=texts("a", "b"))],
        [at("list_clear", "texts"), insert("texts", index=0, value=text("l")), put("texts", 0, to=text("L"))],
        [insert("texts", index=0, value=text("r"))],
        {"texts": texts("L")},
        [],
    ),
    (
        "Clear list after an operation on what is not known",
        [put("texts", to=texts("a", "b"))],
        [remove("texts", index=0), at("list_clear", "texts"), insert("texts", index=0, value=text("l"))],
        [insert("texts", index=0, value=text("r"))],
        {"texts": texts("l")},
        [],
    ),
    (
        "Clear dictionary",
        [at("dict_set", "text_map", key="a", value=text("a"))],
        [at("dict_clear", "text_map")],
        [at("dict_set", "text_map", key="b", value=text("r"))],
        {"text_map": {"dict": {}}},
        [],
    ),
    (
        "Clear set",
        [at("set_insert", "text_set", value=text("a"))],
        [at("set_clear", "text_set")],
        [at("set_insert", "text_set", value=text("r"))],
        {"text_set": {"set": []}},
        [],
    ),
    (
        "Clear nested list under a dictionary key: created if missing",
        [at("dict_set", "any_map", key="a", value=texts("a"))],
        [at("list_clear", "any_map", "a"), insert("any_map", "a", index=0, value=text("l"))],
        [at("dict_erase", "any_map", key="a")],
        {"any_map": {"dict": {"a": texts("l")}}},
        [],
    ),
    (
        "Clear on a Mixed property turns it into that kind",
        [put("any", to=texts("a"))],
        [at("list_clear", "any"), insert("any", index=0, value=text("l"))],
        [put("any", to=text("r"))],
        {"any": texts("l")},
        [],
    ),
    (
        "Clear at a known list element",
        [],
        [
            insert("anys", index=0, value=texts("x")),
            at("list_clear", "anys", 0),
            insert("anys", 0, index=0, value=text("l")),
        ],
        [insert("anys", index=0, value=texts("r"))],
        {"anys": {"list": [texts("l"), texts("r")]}},
        [],
    ),
    (
        "Clear at an unknown list element: list copied",
        [insert("anys", index=0, value=texts("x"))],
        [at("list_clear", "anys", 0), insert("anys", 0, index=0, value=text("l"))],
        [insert("anys", index=0, value=texts("r"))],
        {"anys": {"list": [texts("l")]}},
        [],
    ),
    (
        "SetInsert",
        [],
        [at("set_insert", "text_set", value=text("l"))],
        [at("set_insert", "text_set", value=text("r"))],
        {"text_set": {"set": [text("l"), text("r")]}},
        [],
    ),
    (
        "SetInsert, missing link target: dropped",
        [],
        [at("set_insert", "item_set", value=link(2))],
        [erase(2)],
        {"item_set": {"set": []}},
        [DEAD],
    ),
    (
        "SetErase",
        [at("set_insert", "text_set", value=text("a"))],
        [at("set_erase", "text_set", value=text("a"))],
        [at("set_insert", "text_set", value=text("r"))],
        {"text_set": {"set": [text("r")]}},
        [],
    ),
    (
        "SetErase of a link to a missing object",
        [at("set_insert", "item_set", value=link(2))],
        [at("set_erase", "item_set", value=link(2))],
        [erase(2)],
        {"item_set": {"set": []}},
        [],
    ),
]

WALKS = [
    # the same, for the table of paths and the rows of the checklist
    (
        "top object missing: server deletes win",
        [],
        [put("part", to=part(text=text("l")))],
        [erase(1)],
        None,
        [GONE] * 2,
    ),
    (
        "list index known: replaced, the rest is taken as is",
        [],
        [insert("parts", index=0, value=part(text=text("x"))), put("parts", 0, "text", to=text("l"))],
        [insert("parts", index=0, value=part(text=text("r"))), insert("parts", index=0, value=part(text=text("s")))],
        {"parts": [text("l"), text("s"), text("r")]},
        [],
    ),
    (
        "pre-existing element modified: list copied",
        [insert("parts", index=0, value=part(text=text("a")))],
        [put("parts", 0, "text", to=text("l"))],
        [insert("parts", index=1, value=part(text=text("r")))],
        {"parts": [text("l")]},
        [],
    ),
    (
        "embedded link null: dropped",
        [put("part", to=part(text=text("a")))],
        [put("part", "text", to=text("l"))],
        [put("part", to=None)],
        {"part": None},
        ["there is no embedded object or collection any more"],
    ),
    (
        "dictionary key missing: dropped",
        [at("dict_set", "part_map", key="a", value=part(text=text("a")))],
        [put("part_map", "a", "text", to=text("l"))],
        [at("dict_erase", "part_map", key="a")],
        {"part_map": {"dict": {}}},
        ["the server has removed the dictionary's entry"],
    ),
    (
        "modified key erased locally: erased",
        [at("dict_set", "part_map", key="a", value=part(text=text("a")))],
        [at("dict_erase", "part_map", key="a")],
        [put("part_map", "a", "text", to=text("r"))],
        {"part_map": {"dict": {}}},
        [],
    ),
    (
        "Mixed is a scalar now: dropped",
        [put("any", to=texts("a"))],
        [insert("any", index=1, value=text("l"))],
        [put("any", to=text("r"))],
        {"any": text("r")},
        ["there is no embedded object or collection any more"],
    ),
    (
        "Mixed is a dictionary now: dropped",
        [put("any", to=texts("a"))],
        [insert("any", index=1, value=text("l"))],
        [put("any", to={"dict": {"k": text("r")}})],
        {"any": {"dict": {"k": text("r")}}},
        ["there is no list any more"],
    ),
    (
        "Mixed is a list now: dropped",
        [put("any", to={"dict": {"k": text("a")}})],
        [at("dict_set", "any", key="k", value=text("l"))],
        [put("any", to=texts("r"))],
        {"any": texts("r")},
        ["the value is a list now"],
    ),
    (
        "inside a Mixed that is a dictionary now: dropped",
        [put("any", to={"list": [texts("a")]})],
        [insert("any", 0, index=1, value=text("l"))],
        [put("any", to={"dict": {"k": text("r")}})],
        {"any": {"dict": {"k": text("r")}}},
        ["the value is a dictionary now"],
    ),
    (
        "Mixed is a link now: dropped",
        [put("any", to=texts("a"))],
        [insert("any", index=1, value=text("l"))],
        [put("any", to=link(2))],
        {"any": link(2)},
        ["there is no embedded object or collection any more"],
    ),
]


@pytest.mark.parametrize(("row", "both", "local", "server", "after", "why"), UPDATES + WALKS, ids=lambda row: None)
def test_row(
    world: World, row: str, both: list[Json], local: list[Json], server: list[Json], after: Json, why: list[str]
) -> None:
    if both:
        world.both(*both)
    for operation in local:
        world.local(operation)
    world.remote(*server)
    recovery = recovered(world)
    found = item(world)
    if after is None:
        assert found is None, row
    else:
        (name,) = after
        value = found[name]
        if name == "parts":
            value = [element["obj"]["text"] for element in value["list"]]
        assert value == after[name], row
    assert len(recovery.lost) == len(why), row
    assert all(found.startswith(wanted) for found, wanted in zip(reasons(recovery), why, strict=True)), row


def test_rows_have_names_of_their_own() -> None:
    names = [row[0] for row in UPDATES + WALKS]
    assert len(set(names)) == len(names)


CRAFTED: list[tuple[str, Instruction]] = [
    ("AddInteger on a list element", AddInteger("Item", 1, "anys", (0,), 1)),
    ("AddInteger on a dictionary entry", AddInteger("Item", 1, "any_map", ("a",), 1)),
    ("no set there: SetInsert", SetInsert("Item", 1, "any", (), STRING, "x")),
    ("no set there: Clear", Clear("Item", 1, "name", (), SET_COLLECTION)),
    ("column missing", Update("Item", 1, "nowhere", (), STRING, "x")),
    ("class missing", Update("Nowhere", 1, "name", (), STRING, "x")),
    ("link to a class that is missing", Update("Item", 1, "any", (), LINK, Link("Nowhere", 1))),
    ("structurally impossible: a step into a value that holds none", SetErase("Item", 1, "name", ("a",), STRING, "x")),
]


@pytest.mark.parametrize(("row", "instruction"), CRAFTED, ids=[row for row, _ in CRAFTED])
def test_what_no_operation_makes(world: World, row: str, instruction: Instruction) -> None:
    world.both(insert("anys", index=0, value=number(1)), at("dict_set", "any_map", key="a", value=number(1)))
    if row == "AddInteger on a list element":  # a known one: an unknown one leads to a copy
        world.local(insert("anys", index=0, value=number(1)))
    world.local_instructions(instruction)
    if row.startswith(("structurally", "no set")):
        assert len(world.recover().lost) == 1
        return
    with pytest.raises(AutomaticResetError):
        world.recover()
