"""After a transfer the states are equal, and only what differed was written (spec/sessions.md §12.12)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeAlias

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.changesets.codec import decode, encode_recorded
from syncline.changesets.instructions import EraseObject
from syncline.changesets.json_form import key_from_json, key_to_json
from syncline.storage.dump import compact, dump
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.storage.transfer import transfer
from syncline.testing.choices import BytesChoices, Choices, RandomChoices
from syncline.testing.domains import Domain
from syncline.testing.operations import execute_all
from syncline.testing.random_operations import STANDARD, random_transaction

Json: TypeAlias = Any

DOMAIN = dataclasses.replace(STANDARD, additions=())


class Pair:
    """The server's state and the application's file, with keys of their own for objects without primary key."""

    def __init__(self) -> None:
        self.source = RealmFile.in_memory()
        self.own = RealmFile.in_memory()
        for ident, file in enumerate((self.source, self.own), 1):
            ClientHistory(file).set_file_ident(ident, 1)

    def close(self) -> None:
        self.source.close()
        self.own.close()

    def edit(self, file: RealmFile, choices: Choices, domain: Domain = DOMAIN) -> None:
        made = random_transaction(choices, domain, state(file), choices.integer(1, 12))
        with file.write() as tx:
            execute_all(tx, made)

    def share(self) -> None:
        """Objects that both have: the same transfer, which is tested by itself, makes them."""
        with self.source.reading_alone() as source, self.own.write() as tx:
            tx.recording = False
            transfer(source, tx)

    def bury(self, file: RealmFile, choices: Choices) -> None:
        """A third party deletes an object: links to it stay, hidden."""
        objects = [(name, form["key"]) for name, forms in state(file)["objects"].items() for form in forms]
        if objects:
            table, key = choices.pick(objects)
            with file.write() as tx:
                tx.apply(decode(encode_recorded([EraseObject(table, key_from_json(key))], {})))

    def transfer(self) -> set[tuple[str, str, str]]:
        """Transfer; which properties of which objects, not embedded, were written that were there before."""
        before = self.own.version
        with self.own.snapshot() as snapshot, snapshot.lock:
            classes = {info.id: info for info in snapshot.catalogue.classes.values()}
            props = {prop.id: prop for info in classes.values() for prop in info.properties.values()}
            keys = {
                (info.id, k): compact(key_to_json(snapshot.reader.key_of(info, k)))
                for info in classes.values()
                if not info.embedded
                for k in snapshot.reader.keys(info)
            }
        self.share()
        written = set()
        for log in self.own.change_logs(before, self.own.version) or []:
            for prop_id, objects in log.modified.items():
                prop = props.get(prop_id)
                if prop is not None and not classes[prop.class_id].embedded:
                    name = classes[prop.class_id].name
                    written |= {(name, keys[prop.class_id, k], prop.name) for k in objects}
        return written


def state(file: RealmFile) -> Json:
    with file.snapshot() as snapshot, snapshot.lock:
        return dump(snapshot.reader)


def values(dumped: Json) -> dict[tuple[str, str, str], str]:
    return {
        (name, compact(form["key"]), prop): compact(value)  # tells 0.0 from -0.0
        for name, forms in dumped["objects"].items()
        for form in forms
        for prop, value in form["props"].items()
    }


def check(choices: Choices) -> None:
    pair = Pair()
    try:
        buries = choices.chance(40)
        for _ in range(choices.integer(1, 4)):
            pair.edit(pair.source, choices)
        if choices.chance(80):
            pair.share()
        for file in (pair.own, pair.source):
            for _ in range(choices.integer(0, 3)):
                pair.edit(file, choices)
            if buries:
                pair.bury(file, choices)
        before, wanted = state(pair.own), state(pair.source)
        written = pair.transfer()
        assert compact(state(pair.own)) == compact(wanted)
        if not buries:  # links to tombstones are not in dumps
            old, new = values(before), values(wanted)
            assert written <= {place for place in old if place in new and old[place] != new[place]} | gone(old, new)
        assert pair.transfer() == set()
    finally:
        pair.close()


def gone(old: dict[tuple[str, str, str], str], new: dict[tuple[str, str, str], str]) -> set[tuple[str, str, str]]:
    """What was in objects that were deleted: links there to others that were deleted, too, may have gone first."""
    return old.keys() - new.keys()


@pytest.mark.parametrize("seed", range(40))
def test_random_states(seed: int) -> None:
    check(RandomChoices(seed))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.binary(min_size=40, max_size=600))
def test_states_that_shrink(data: bytes) -> None:
    check(BytesChoices(data))


# --- cost -------------------------------------------------------------------------------------------------------------

CLASSES = [
    {
        "name": "Task",
        "pk": {"name": "_id", "type": "int"},
        "props": [
            {"name": "title", "type": "string"},
            {"name": "any", "type": "mixed"},
            {"name": "next", "type": "link", "target": "Task"},
            {"name": "tags", "type": "string", "collection": "list"},
            {"name": "marks", "type": "string", "collection": "set"},
            {"name": "map", "type": "link", "target": "Task", "collection": "dict"},
        ],
    },
    {"name": "Loose", "props": [{"name": "text", "type": "string"}]},
]
LISTS = {
    "name": "Lists",
    "pk": {"name": "_id", "type": "int"},
    "props": [{"name": "tasks", "type": "link", "target": "Task", "collection": "list"}],
}


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


def grow(pair: Pair, start: int, stop: int) -> None:
    """The same objects on both sides."""
    with pair.source.write() as tx:
        for number in range(start, stop):
            links = {"a": {"link": ["Task", number - 1]}} if number else {}
            content = {"title": f"t{number}", "tags": {"list": ["a", "b"]}, "marks": {"set": ["m"]}}
            execute_all(
                tx,
                [
                    {"op": "create", "class": "Task", "pk": number, "values": {**content, "map": {"dict": links}}},
                    {"op": "create", "class": "Loose", "values": {"text": "x"}},
                ],
            )
    pair.share()


def statements(pair: Pair) -> int:
    """How many statements a transfer of three small differences takes."""
    with pair.source.write() as tx:
        execute_all(
            tx,
            [
                {"op": "set", "class": "Task", "obj": 5, "path": ["title"], "value": f"new{pair.source.version}"},
                {"op": "list_insert", "class": "Task", "obj": 6, "path": ["tags"], "value": "c"},
                {"op": "set", "class": "Task", "obj": 7, "path": ["next"], "value": {"link": ["Task", 8]}},
            ],
        )
    return traced(pair)


def traced(pair: Pair) -> int:
    """How many statements a transfer takes, on both sides."""
    count = 0

    def seen(*_: object) -> bool:
        nonlocal count
        count += 1
        return True

    with pair.source.reading_alone() as source, pair.own.write() as tx:
        tx.recording = False
        connections: list[apsw.Connection] = [source.connection, tx.connection]
        for connection in connections:
            connection.exec_trace = seen
        transfer(source, tx)
        tx.flush()
        for connection in connections:
            connection.exec_trace = None
    return count


def test_equal_objects_cost_no_statements_of_their_own(pair: Pair) -> None:
    with pair.source.write() as tx:
        execute_all(tx, [{"op": "schema", "classes": CLASSES}])
    grow(pair, 0, 256)
    few = statements(pair)
    grow(pair, 256, 1024)
    many = statements(pair)
    assert many - few < 768 // 16, "two tables of 256 objects each: some statements for each 256 objects"
    assert state(pair.own) == state(pair.source)


def statements_of_a_discard(count: int) -> int:
    """How many statements it takes to remove objects that one list links to."""
    pair = Pair()
    try:
        with pair.source.write() as tx:
            execute_all(tx, [{"op": "schema", "classes": [*CLASSES, LISTS]}])
        pair.share()
        links = [{"link": ["Task", number]} for number in range(count)]
        with pair.own.write() as tx:
            execute_all(tx, [{"op": "create", "class": "Task", "pk": number} for number in range(count)])
            execute_all(tx, [{"op": "create", "class": "Lists", "pk": 1, "values": {"tasks": {"list": links}}}])
        with pair.source.write() as tx:
            execute_all(tx, [{"op": "create", "class": "Lists", "pk": 1}])
        made = traced(pair)
        assert state(pair.own) == state(pair.source)
        return made
    finally:
        pair.close()


def test_what_one_list_links_to_goes_without_moving_the_rest_each_time() -> None:
    assert statements_of_a_discard(200) < 2.5 * statements_of_a_discard(100)
