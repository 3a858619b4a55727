"""Random transactions: valid, reproducible, of every kind, and within their domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.testing.recorded import Peer

from syncline.changesets.instructions import CreateObject, EraseObject
from syncline.testing.choices import BytesChoices, RandomChoices
from syncline.testing.domains import KEYS, STANDARD, VALUES, Domain, focused
from syncline.testing.model import Model
from syncline.testing.operations import OPERATION_NAMES
from syncline.testing.random_operations import Writer, random_transaction
from syncline.testing.strategies import Transaction

Operation = dict[str, Any]


def history(seed: int, domain: Domain, transactions: int = 8, size: int = 6) -> Iterator[tuple[Operation, Model]]:
    """The operations of a random history, each with the state before it."""
    choices = RandomChoices(seed)
    model = Model(7)
    for _ in range(transactions):
        for operation in random_transaction(choices, domain, model.dump(), size):
            yield operation, model
            model.execute(operation)
        model.commit()


def operations(domain: Domain, seeds: range) -> list[Operation]:
    return [operation for seed in seeds for operation, _ in history(seed, domain)]


def test_a_seed_makes_the_same_history() -> None:
    assert operations(STANDARD, range(3)) == operations(STANDARD, range(3)) != operations(STANDARD, range(3, 6))


def test_the_first_transaction_makes_the_schema() -> None:
    first = random_transaction(RandomChoices(1), STANDARD, Model().dump(), 3)
    assert first == [{"op": "schema", "classes": list(STANDARD.classes)}]


def test_without_any_class_there_is_nothing_to_do() -> None:
    writer = Writer(Domain(()), Model().dump())
    assert [writer.operation(RandomChoices(seed)) for seed in range(20)] == [None] * 20


def test_every_operation_and_every_property_occurs() -> None:
    made = operations(replace(STANDARD, schema_removal=True), range(60))
    made += [operation for seed in range(40) for operation, _ in history(seed, focused(RandomChoices(seed), STANDARD))]
    assert {operation["op"] for operation in made} == OPERATION_NAMES
    touched = Counter((operation["class"], operation["path"][0]) for operation in made if "path" in operation)
    standard = {(form["name"], prop["name"]) for form in STANDARD.classes for prop in form["props"]}
    assert {(table, prop) for table, prop in standard if table not in ("Address", "Metric")} <= touched.keys()
    assert any(len(operation.get("path", ())) > 3 for operation in made)
    assert any(operation.get("is_default") for operation in made)
    assert any("defaults" in operation for operation in made)


def test_without_removal_classes_and_properties_stay() -> None:
    names = {operation["op"] for operation in operations(STANDARD, range(20))}
    assert not names & {"erase_class", "erase_prop"}
    assert "schema" in names


def _holds_more(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.keys() & {"obj", "list", "dict"})


def _list_of(model: Model, operation: Operation) -> list[Any]:
    """The list that an operation acts on, as a dump shows it."""
    first, *rest = operation["path"]
    entries = model.dump()["objects"][operation["class"]]
    held = next(entry["props"] for entry in entries if entry["key"] == operation["obj"])[first]
    for step in rest:
        held = next(iter(held.values()))[step]
    return held["list"]


def test_without_nested_moves_only_plain_values_are_moved() -> None:
    moves = 0
    for seed in range(30):
        for operation, model in history(seed, replace(focused(RandomChoices(seed), STANDARD), nested_moves=False)):
            if operation["op"] == "list_move":
                moves += 1
                assert not any(map(_holds_more, _list_of(model, operation)))
    assert moves > 0


def test_without_embedded_dictionaries() -> None:
    made = operations(replace(STANDARD, embedded_dictionaries=False), range(20))
    assert not any("address_dict" in str(operation) for operation in made if operation["op"] != "schema")


def test_lists_stay_short() -> None:
    for operation, model in history(4, focused(RandomChoices(4), STANDARD), 20):
        if operation["op"] == "list_insert":
            assert len(_list_of(model, operation)) < STANDARD.max_size + 2


def test_focus_keeps_to_few_objects_and_properties() -> None:
    for seed in range(20):
        domain = focused(RandomChoices(seed), STANDARD, 2)
        assert domain.focus is not None
        for operation, _ in history(seed, domain, 4):
            if "path" in operation:
                assert operation["path"][0] in domain.focus[operation["class"]]
            elif operation["op"] == "create" and operation["class"] != "Note":
                assert operation["class"] in domain.focus
                assert {*operation.get("values", ())} <= {*domain.focus[operation["class"]]}


def test_everything_in_the_tables_is_a_value() -> None:
    model = Model()
    classes = [
        {"name": name, "pk": {"name": "_id", "type": name}, "props": [{"name": "v", "type": name}]} for name in KEYS
    ]
    classes += [{"name": name, "props": [{"name": "v", "type": name}]} for name in VALUES if name not in KEYS]
    model.execute({"op": "schema", "classes": classes})
    for name, keys in KEYS.items():
        for key in keys:
            model.execute({"op": "create", "class": name, "pk": key})
    for name, values in VALUES.items():
        for value in values:
            model.execute(
                {
                    "op": "create",
                    "class": name,
                    "values": {"v": value},
                    **({"pk": KEYS[name][0]} if name in KEYS else {}),
                }
            )


@pytest.mark.parametrize("seed", range(15))
def test_valid_where_the_dump_hides_links(seed: int) -> None:
    """Erased elsewhere, linked to here: what the peer holds has more elements than its dump shows."""
    choices = RandomChoices(seed)
    domain = focused(choices, STANDARD, 5)
    peer = Peer(7)
    for _ in range(8):
        peer.edit(Transaction(0, random_transaction(choices, domain, peer.dump(), 6)))
        keys = [(table, key) for table, objects in peer.model.state.objects.items() for key in objects]
        if keys:
            table, key = choices.pick(keys)
            peer.apply_instructions([EraseObject(table, key)])
            if choices.chance(30):
                peer.apply_instructions([CreateObject(table, key)])


def test_no_bytes_make_the_simplest_operation() -> None:
    model = Model(7)
    model.execute({"op": "schema", "classes": list(STANDARD.classes)})
    writer = Writer(STANDARD, model.dump())
    assert writer.operation(BytesChoices(b"")) == {"op": "create", "class": "Dog"}
