"""Nothing that a user wrote goes astray where indexes do; what a copied list holds (spec/sessions.md §12.11, §21.7)."""

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
    part,
    put,
    reasons,
    recovered,
    remove,
    text,
    texts,
    uploaded,
)

from syncline.errors import SchemaError
from syncline.storage.recovery import recover
from syncline.testing.recovery.world import World
from syncline.testing.recovery.writing import DOMAIN

Json: TypeAlias = Any


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.both({"op": "schema", "classes": list(DOMAIN.classes)}, *(create(number) for number in range(1, 7)))
    yield world
    world.close()


def links(*keys: int) -> Json:
    return {"list": [link(key) for key in keys]}


def locally(world: World, *operations: Json) -> None:
    """Each in a transaction of its own."""
    for operation in operations:
        world.local(operation)


# --- links that go with what is deleted -------------------------------------------------------------------------------


def test_a_deletion_takes_remote_links_with_it_and_the_known_elements_are_still_found(world: World) -> None:
    world.both(put("items", to=links(1)))
    world.remote(insert("items", index=0, value=link(3)), insert("items", index=0, value=link(3)))  # [3, 3, 1]
    locally(
        world,
        insert("items", index=1, value=link(2)),
        insert("items", index=2, value=link(4)),
        erase(3),  # with it go two elements that the application has never seen
        put("items", 2, to=link(5)),
        remove("items", index=1),
    )
    recovery = recovered(world)
    assert recovery.lost == []
    assert sorted(each["link"][1]["int"] for each in item(world)["items"]["list"]) == [1, 5]


def test_a_deletion_takes_the_last_remote_link_and_what_is_at_the_end_is_still_found(world: World) -> None:
    """An IndexError would make the reset a manual one."""
    world.remote(put("items", to=links(3, 3, 3)))
    locally(
        world,
        insert("items", index=0, value=link(2)),
        insert("items", index=1, value=link(2)),
        insert("items", index=2, value=link(2)),
        insert("items", index=3, value=link(2)),
        erase(3),
        at("list_move", "items", **{"from": 3, "to": 0}),
        put("items", 3, to=link(4)),
    )
    assert recovered(world).lost == []
    assert item(world)["items"] == links(2, 2, 2, 4)


def test_links_in_a_copied_list_that_go_and_come_back(world: World) -> None:
    world.both(put("items", to=links(2, 3)))
    world.local(remove("items", index=0), insert("items", index=1, value=link(4)))  # copied, as it finally is: [3, 4]
    world.local(erase(4))
    world.local(create(4), insert("items", index=1, value=link(4)))
    world.remote(insert("items", index=2, value=link(5)))
    assert recovered(world).lost == []
    assert item(world)["items"] == links(3, 4)


def test_links_inside_an_element_of_a_copied_list_that_go_and_come_back(world: World) -> None:
    world.both(put("parts", to={"list": [part(text=text("a")), part(items=links(4))]}))
    world.local(put("parts", 0, "text", to=text("b")))
    world.local(put("parts", 1, "any", to={"dict": {"k": link(4)}}))
    world.local(erase(4))
    world.local(create(4), insert("parts", 1, "items", index=0, value=link(4)), put("parts", 1, "any", "k", to=link(4)))
    wanted = item(world)["parts"]
    assert recovered(world).lost == []
    assert item(world)["parts"] == wanted


def test_a_link_to_what_a_later_change_creates(world: World) -> None:
    """The list is copied before that: the copy is made again."""
    note = {"name": "Note", "pk": {"name": "_id", "type": "int"}}
    world.both(put("anys", to=texts("a", "b")))
    world.local(remove("anys", index=0))
    world.local(create(9))
    world.local(insert("anys", index=1, value=link(9)))
    world.local({"op": "schema", "classes": [note]}, {"op": "create", "class": "Note", "pk": {"int": 1}})
    world.local(insert("anys", index=2, value={"link": ["Note", {"int": 1}]}))
    world.remote(insert("anys", index=0, value=text("r")))
    wanted = item(world)["anys"]
    assert recovered(world).lost == []
    assert item(world)["anys"] == wanted


def test_a_property_of_embedded_objects_that_a_later_change_adds(world: World) -> None:
    world.both(put("parts", to={"list": [part(text=text("a"))]}))
    world.local(put("parts", 0, "text", to=text("b")))
    lines = {"name": "lines", "type": "string", "collection": "list"}
    world.local({"op": "schema", "classes": [{"name": "Part", "embedded": True, "props": [lines]}]})
    world.local(insert("parts", 0, "lines", index=0, value=text("c")))
    wanted = item(world)["parts"]
    assert recovered(world).lost == []
    assert item(world)["parts"] == wanted


# --- links to what the server deleted ---------------------------------------------------------------------------------


def test_a_dropped_insertion_moves_the_elements_behind_it(world: World) -> None:
    """The original then takes element 3 for the inserted one, and overwrites that."""
    world.both(put("items", to=links(1, 2, 3)))
    world.remote(erase(6))
    locally(
        world,
        insert("items", index=3, value=link(5)),
        insert("items", index=0, value=link(6)),
        put("items", 3, to=link(4)),
    )
    recovery = recovered(world)
    assert item(world)["items"] == links(1, 2, 4, 5)
    assert [one.what for one in recovery.lost][-1] == "copy of Item[1].items"
    assert recovery.lost[-1].reason == "the server has deleted objects that are linked to"


def test_a_dropped_insertion_inside_an_element_that_the_recovery_made(world: World) -> None:
    """Its lists are tracked too: what was dropped there is not looked for."""
    world.remote(erase(6))
    locally(
        world,
        insert("parts", index=0, value=part(items=links(6, 2))),
        remove("parts", 0, "items", index=0),
        insert("parts", 0, "items", index=1, value=link(3)),
    )
    recovered(world)
    assert item(world)["parts"]["list"][0]["obj"]["items"] == links(2, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("items", links(2, 6)),
        ("anys", {"list": [link(2), link(6), {"list": [link(6)]}, {"dict": {"a": link(6), "b": link(2)}}]}),
        ("parts", {"list": [part(any=link(6), items=links(6, 2))]}),
    ],
)
def test_dead_links_in_a_copied_list_are_left_out_or_null_and_told(world: World, name: str, value: Json) -> None:
    world.both(put(name, to=value))
    changes = {
        "items": at("list_move", "items", **{"from": 0, "to": 1}),
        "anys": put("anys", 0, to=link(2)),
        "parts": put("parts", 0, "text", to=text("l")),
    }
    world.local(changes[name])
    world.remote(erase(6))
    recovery = recovered(world)
    assert reasons(recovery) == ["the server has deleted objects that are linked to"]
    expected = {
        "items": links(2),
        "anys": {"list": [link(2), {"list": []}, {"dict": {"a": None, "b": link(2)}}]},
    }
    found = item(world)[name]
    if name == "parts":
        values = found["list"][0]["obj"]
        assert (values["text"], values["any"], values["items"]) == (text("l"), None, links(2))
    else:
        assert found == expected[name]


# --- lists that take the place of others ------------------------------------------------------------------------------


REPLACED = [
    (
        "an embedded object",
        [put("part", to=part(texts=texts("a", "b")))],
        [remove("part", "texts", index=0), put("part", to=part()), insert("part", "texts", index=0, value=text("l"))],
        lambda values: values["part"]["obj"]["texts"],
    ),
    (
        "a list in a Mixed",
        [put("any", to=texts("a", "b"))],
        [remove("any", index=0), put("any", to=text("x")), put("any", to=texts("l"))],
        lambda values: values["any"],
    ),
    (
        "a list in a dictionary",
        [at("dict_set", "any_map", key="k", value=texts("a", "b"))],
        [
            remove("any_map", "k", index=0),
            at("dict_erase", "any_map", key="k"),
            at("dict_set", "any_map", key="k", value=texts("l")),
        ],
        lambda values: values["any_map"]["dict"]["k"],
    ),
    (
        "an object",
        [put("texts", to=texts("a", "b"))],
        [remove("texts", index=0), erase(1), create(1, texts=texts("l"))],
        lambda values: values["texts"],
    ),
    (
        "a cleared list, of which a dead link is moved",
        [put("items", to=links(2, 3))],
        [
            remove("items", index=0),
            at("list_clear", "items"),
            insert("items", index=0, value=link(6)),
            insert("items", index=1, value=link(4)),
            at("list_move", "items", **{"from": 0, "to": 1}),
            insert("items", index=2, value=link(5)),
        ],
        lambda values: {"list": [{"str": "l"}]} if values["items"] == links(4, 5) else values["items"],
    ),
]


@pytest.mark.parametrize("transactions", ["each", "one"])
@pytest.mark.parametrize(("what", "both", "local", "found"), REPLACED, ids=[row[0] for row in REPLACED])
def test_what_was_known_of_a_list_goes_with_it(
    world: World, transactions: str, what: str, both: list[Json], local: list[Json], found: Any
) -> None:
    """After the copy of a list, operations on it are ignored: not those on the one that takes its place."""
    world.both(*both)
    world.remote(erase(6))
    if transactions == "one":
        world.local(*local) if what != "an object" else locally(world, *local)
    else:
        locally(world, *local)
    recovered(world)
    assert found(item(world)) == texts("l")


# --- what a copied list holds -----------------------------------------------------------------------------------------


def test_nested_lists_sets_dictionaries_and_embedded_objects_are_copied(world: World) -> None:
    nested = {"list": [text("a"), {"list": [link(2), None]}, {"dict": {"k": {"list": [text("b")]}, "n": None}}, None]}
    more = {"item_set": {"set": [link(2)]}, "subs": {"dict": {"k": part(text=text("f"))}}}
    parts = [
        part(text=text("a"), any=nested, texts=texts("b", "c"), sub=part(text=text("d")), items=links(2, 3), **more)
    ]
    world.both(put("parts", to={"list": parts}), put("anys", to=nested))
    world.local(put("parts", 0, "sub", "text", to=text("e")), put("anys", 1, 1, to=link(3)))
    wanted = item(world)
    world.remote(put("parts", to={"list": [part()]}), insert("anys", index=0, value=text("r")))
    assert recovered(world).lost == []
    assert (item(world)["parts"], item(world)["anys"]) == (wanted["parts"], wanted["anys"])


def test_an_inserted_element_that_is_modified_afterwards_is_kept_beside_remote_ones(world: World) -> None:
    world.both(put("parts", to={"list": [part(text=text("a"))]}))
    locally(
        world,
        insert("parts", index=1, value=part(texts=texts("l"))),
        insert("parts", 1, "texts", index=1, value=text("m")),
        remove("parts", 1, "texts", index=0),
        put("parts", 1, "any", to=texts("n")),
        insert("parts", 1, "any", index=0, value=text("o")),
    )
    world.remote(insert("parts", index=1, value=part(text=text("r"))))
    recovered(world)
    a, mine, r = (element["obj"] for element in item(world)["parts"]["list"])
    assert (a["text"], r["text"]) == (text("a"), text("r"))
    assert (mine["texts"], mine["any"]) == (texts("m"), texts("o", "n"))


def test_an_unknown_element_inside_one_that_the_recovery_made_cannot_be(world: World) -> None:
    """All of it is known, so the list around it keeps what others inserted there."""
    locally(
        world,
        insert("anys", index=0, value={"list": [text("a"), {"list": [text("b")]}]}),
        insert("anys", 0, 1, index=0, value=text("c")),
        at("list_move", "anys", 0, **{"from": 1, "to": 0}),
        put("anys", 0, 0, 1, to=text("d")),
    )
    world.remote(put("anys", to=texts("r")))
    recovered(world)
    assert item(world)["anys"] == {"list": [{"list": [texts("c", "d"), text("a")]}, text("r")]}


def test_hidden_elements_count_in_indexes(world: World) -> None:
    """Links to what others deleted stay, unseen, in the lists of both sides."""
    world.both(put("items", to=links(2, 6, 3)))
    world.bury("Item", 6)
    assert item(world)["items"] == links(2, 3)
    locally(
        world,
        insert("items", index=1, value=link(4)),
        insert("items", index=3, value=link(5)),
        put("items", 3, to=link(1)),
    )
    world.remote(insert("items", index=2, value=link(2)))
    assert recovered(world).lost == []
    assert item(world)["items"] in (links(2, 4, 3, 1, 2), links(2, 4, 3, 2, 1))
    world.local(create(6))
    assert link(6) in item(world)["items"]["list"], "and may show again"


# --- schema -----------------------------------------------------------------------------------------------------------

NOTE = {"name": "Note", "pk": {"name": "_id", "type": "int"}, "props": [{"name": "text", "type": "string"}]}


def test_the_same_additions_on_both_sides(world: World) -> None:
    for edit in (world.local, world.remote):
        edit({"op": "schema", "classes": [NOTE, {"name": "Item", "props": [{"name": "more", "type": "int"}]}]})
    world.local({"op": "create", "class": "Note", "pk": {"int": 1}, "values": {"text": text("l")}})
    world.remote({"op": "create", "class": "Note", "pk": {"int": 2}, "values": {"text": text("r")}})
    recovered(world)
    assert [form["key"]["int"] for form in world.own_state["objects"]["Note"]] == [1, 2]


@pytest.mark.parametrize("addition", ["class", "column"])
def test_what_only_the_application_added(world: World, addition: str) -> None:
    """Discarding fails: an open Realm cannot lose it. Recovering works: the server gets it."""
    column = {"name": "Item", "props": [{"name": "more", "type": "string"}]}
    world.local({"op": "schema", "classes": [NOTE if addition == "class" else column]})
    before = world.own_state
    with pytest.raises(SchemaError, match="have been removed"):
        world.discard()
    assert world.own_state == before
    recovered(world)
    assert world.own_state == before


# --- again and again --------------------------------------------------------------------------------------------------


def test_twice_in_a_row(world: World) -> None:
    """The recovered changes are changes like others: a second reset recovers them from another state of the server."""
    world.both(put("texts", to=texts("a")))
    world.local(insert("texts", index=1, value=text("l")), create(8, name=text("mine")), put("name", to=text("l")))
    world.remote(insert("texts", index=1, value=text("r")), put("name", to=text("r")))
    recovered(world)
    assert item(world)["texts"] == texts("a", "l", "r")
    world.local(insert("texts", index=2, value=text("m")))
    world.remote(remove("texts", index=1), put("name", to=text("s")))
    recovery = recovered(world)
    assert recovery.lost == []
    assert item(world)["texts"] == texts("a", "l", "m")
    assert item(world)["name"] == text("l")
    assert item(world, 8)["name"] == text("mine")


def test_what_the_server_has_already_changes_no_object_twice(world: World) -> None:
    """It received the changes, but the answer was lost: objects, properties, sets, dictionaries stay as they are."""
    world.local(
        create(8, name=text("mine")),
        erase(2),
        put("part", to=part(text=text("p"))),
        at("set_insert", "text_set", value=text("s")),
        at("dict_set", "text_map", key="k", value=text("d")),
        at("list_clear", "anys"),
    )
    world.upload()
    wanted = world.own_state
    assert recovered(world).lost == []
    assert world.own_state == wanted


def test_discard_then_recover(world: World) -> None:
    world.local(put("name", to=text("lost")))
    world.discard()
    assert item(world)["name"] is None
    assert world.unsynced() == []
    world.local(put("name", to=text("l")))
    assert uploaded(recovered(world))
    assert item(world)["name"] == text("l")


# --- cost -------------------------------------------------------------------------------------------------------------


def statements(objects: int, elements: int) -> int:
    """How many statements it takes to recover some changes and the elements that were appended to one list."""
    world = World()
    try:
        world.both({"op": "schema", "classes": list(DOMAIN.classes)}, *(create(number) for number in range(objects)))
        world.local(*(insert("texts", index=number, value=text(f"t{number}")) for number in range(elements)))
        world.local(erase(2), put("name", to=text("l"), obj=3), remove("texts", index=0))
        count = 0

        def seen(*_: object) -> bool:
            nonlocal count
            count += 1
            return True

        changes = world.unsynced()
        source = world.fresh.begin()
        try:
            with world.own.write() as own:
                own.recording = False
                source.connection.exec_trace = own.connection.exec_trace = seen
                recover(changes, own, source)
                source.connection.exec_trace = own.connection.exec_trace = None
        finally:
            world.fresh.rollback(source)
        return count
    finally:
        world.close()


def test_what_a_recovery_costs_does_not_depend_on_the_size_of_the_file() -> None:
    assert abs(statements(400, 10) - statements(100, 10)) <= 5


def test_elements_of_a_long_list_cost_the_same_each() -> None:
    few, more, many = (statements(10, elements) for elements in (100, 200, 400))
    assert many - more <= 2.2 * (more - few) + 5
