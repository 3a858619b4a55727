"""Which GlobalKey of a replay stands for which one of a vector.

A client file numbers its own objects without primary key as it likes (spec/changesets.md §8.2), so a replay may give
other low halves than the recording. The n-th one created by a file in a class is the same object in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from syncline.changesets.instructions import CreateObject, Instruction, ObjectInstruction
from syncline.changesets.json_form import key_from_json, key_to_json
from syncline.values import GlobalKey, Key, Link

__all__ = ["KeyNames"]

Json: TypeAlias = Any


class KeyNames:
    """From keys of the replay to keys of the vector, by class."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, GlobalKey], GlobalKey] = {}

    def learn(self, expected: Iterable[Instruction], actual: Iterable[Instruction]) -> None:
        """Pair the creations of one changeset in their order."""
        for wanted, made in zip(_creations(expected), _creations(actual), strict=False):
            if wanted.table != made.table:
                return  # different changesets: the comparison will say so
            if isinstance(wanted.key, GlobalKey) and isinstance(made.key, GlobalKey) and wanted.key != made.key:
                self._names[made.table, made.key] = wanted.key

    def __bool__(self) -> bool:
        """Is there any key that differs?"""
        return bool(self._names)

    def name(self, table: str, key: Key) -> Key:
        """The vector's key for a key of the replay."""
        return self._names.get((table, key), key) if isinstance(key, GlobalKey) else key

    def rename(self, instructions: Iterable[Instruction]) -> None:
        """Put the vector's keys into ``instructions``, as objects and as targets of links."""
        for instruction in instructions:
            if isinstance(instruction, ObjectInstruction):
                instruction.key = self.name(instruction.table, instruction.key)
            value = getattr(instruction, "value", None)
            if isinstance(value, Link):
                instruction.value = Link(value.table, self.name(*value))  # type: ignore[attr-defined]

    def rename_state(self, state: Mapping[str, Json]) -> dict[str, Json]:
        """A dump ``{schema, objects}`` with the vector's keys."""
        objects = {
            table: [
                {"key": self._rename_key(table, entry["key"]), "props": self._rename_value(entry["props"])}
                for entry in entries
            ]
            for table, entries in state["objects"].items()
        }
        return {**state, "objects": objects}

    def _rename_key(self, table: str, form: Json) -> Json:
        return key_to_json(self.name(table, key_from_json(form)))

    def _rename_value(self, form: Json) -> Json:
        if isinstance(form, list):
            return [self._rename_value(element) for element in form]
        if not isinstance(form, dict):
            return form
        link = form.get("link")
        if len(form) == 1 and isinstance(link, list) and len(link) == 2 and isinstance(link[0], str):
            return {"link": [link[0], self._rename_key(link[0], link[1])]}
        return {name: self._rename_value(element) for name, element in form.items()}


def _creations(instructions: Iterable[Instruction]) -> list[CreateObject]:
    return [i for i in instructions if isinstance(i, CreateObject) and isinstance(i.key, GlobalKey)]
