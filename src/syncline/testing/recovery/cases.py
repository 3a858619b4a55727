"""One random case: two sides change what they had in common, then the application recovers, sometimes twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from syncline.changesets.json_form import key_from_json, key_to_json
from syncline.storage.dump import compact
from syncline.testing.choices import Choices
from syncline.testing.domains import Domain
from syncline.testing.recovery.oracle import Object, Reset, object_of, objects_of, violations
from syncline.testing.recovery.world import World
from syncline.testing.recovery.writing import UniqueWriter, narrowed

__all__ = ["run_case"]

Json: TypeAlias = Any


class _Case:
    def __init__(self, choices: Choices, world: World) -> None:
        self.choices = choices
        self.world = world
        self.domain: Domain = narrowed(choices)
        self.numbers = {side: [0] for side in "blr"}
        self.operations: list[Json] = []
        self.events: list[tuple[Object, bool]] = []

    def transaction(self, side: str, state: Json) -> tuple[list[Json], list[tuple[Object, bool]]]:
        """Operations of one side, and which objects with a primary key come and go."""
        writer = UniqueWriter(self.domain, state, side, self.numbers[side])
        made = [writer.operation(self.choices) for _ in range(self.choices.integer(1, 12))]
        events = [((table, compact(key_to_json(key))), came) for table, key, came in writer.events]
        return [operation for operation in made if operation is not None], events

    def begin(self) -> None:
        """What both sides have."""
        self.world.both({"op": "schema", "classes": list(self.domain.classes)})
        for _ in range(self.choices.integer(1, 4)):
            self.world.both(*self.transaction("b", self.world.own_state)[0])
        if self.choices.chance(30):
            self.bury(everywhere=True)

    def bury(self, *, everywhere: bool) -> None:
        """A third party deletes an object that others link to."""
        keys = [form["key"] for form in self.world.fresh_state["objects"]["Item"]]
        if keys:
            self.world.bury("Item", key_from_json(self.choices.pick(keys)), everywhere=everywhere)

    def change_locally(self) -> None:
        for _ in range(self.choices.integer(1, 4)):
            before = _keyless(self.world.own_state)
            made, events = self.transaction("l", self.world.own_state)
            self.world.local(*made)
            after = _keyless(self.world.own_state)
            self.operations += made
            self.events += events
            self.events += [(one, one in after) for one in sorted(before ^ after)]

    def change_remotely(self) -> None:
        for _ in range(self.choices.integer(0, 3)):
            self.world.remote(*self.transaction("r", self.world.fresh_state)[0])
        if self.choices.chance(20):
            self.bury(everywhere=False)

    def forget_what_was_dropped(self, fresh: Json) -> None:
        """After a recovery from ``fresh``: what had no place there belongs to its changes no longer."""
        there = objects_of(fresh)
        kept, alive = [], set(there)
        for one, came in self.events:
            if came or one in alive:
                kept.append((one, came))
            (alive.add if came else alive.discard)(one)
        self.events = kept
        self.operations = [operation for operation in self.operations if _has_place(operation, there)]

    def recover(self, base: Json) -> list[str]:
        world = self.world
        local, fresh = world.own_state, world.fresh_state
        recovery = world.recover()
        final = world.own_state
        found = violations(
            Reset(base, local, fresh, final, self.operations, self.events, [one.what for one in recovery.lost])
        )
        if world.uploaded_state() != final:
            found.append("what is uploaded says something else than what is seen")
        return found


def _has_place(operation: Json, fresh: Mapping[Object, Json]) -> bool:
    """Was it certainly not dropped, for want of its object or of the number to which it adds?"""
    if "obj" not in operation:
        return True
    one = object_of(operation["class"], operation["obj"])
    return one in fresh and not (operation["op"] == "add_int" and fresh[one].get("count") is None)


def _keyless(state: Json) -> set[Object]:
    return {("Loose", compact(form["key"])) for form in state["objects"].get("Loose", [])}


def run_case(choices: Choices) -> list[str]:
    """What is wrong with a recovery of random changes; nothing, if all is well."""
    world = World()
    try:
        case = _Case(choices, world)
        case.begin()
        base = world.own_state
        case.change_locally()
        case.change_remotely()
        found = case.recover(base)
        if not found and choices.chance(40):  # the server is restored again
            before = world.fresh_state
            case.forget_what_was_dropped(before)
            case.change_remotely()
            found = [f"second recovery: {one}" for one in case.recover(before)]
        return found
    finally:
        world.close()
