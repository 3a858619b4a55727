"""The reference model (syncline.testing.model) with the class T of the examples in spec/merge.md §12.

T is keyed by int; what a field is follows from its name. States are shown as plain Python values.
"""

from __future__ import annotations

from typing import Any

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import Instruction
from syncline.testing.model import Model
from syncline.testing.model.applying import apply
from syncline.testing.model.values import Embedded as EmbeddedFields
from syncline.testing.model.values import Fields, List, Scalar, Set
from syncline.testing.model.values import Value as Held
from syncline.values import Link

Value = Any

#: The fields of T, and those of the embedded objects in it.
FIELDS = {
    "i": {"type": "int", "nullable": True},
    "m": {"type": "mixed"},
    "k": {"type": "link", "target": "T"},
    "l": {"type": "mixed", "collection": "list"},  # examples put ints only
    "lm": {"type": "mixed", "collection": "list"},
    "d": {"type": "mixed", "collection": "dict"},
    "s": {"type": "mixed", "collection": "set"},
    "e": {"type": "link", "target": "E"},
    "ee": {"type": "link", "target": "E", "collection": "list"},
    "de": {"type": "link", "target": "E", "collection": "dict"},
}
EMBEDDED_FIELDS = {
    "v": {"type": "int", "nullable": True},
    "w": {"type": "int", "nullable": True},
    "el": {"type": "int", "collection": "list"},
    "em": {"type": "mixed"},
}


def _props(fields: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, **form} for name, form in fields.items()]


_CLASSES = [
    {"name": "E", "embedded": True, "props": _props(EMBEDDED_FIELDS)},
    {"name": "T", "pk": {"name": "_id", "type": "int"}, "props": _props(FIELDS)},
]


class Embedded(dict[str, Value]):
    """An embedded object."""


class State:
    """All objects of T."""

    def __init__(self, objects: dict[int, dict[str, Value]] | None = None) -> None:
        self.model = Model()
        self.model.execute({"op": "schema", "classes": _CLASSES})
        for key, fields in (objects or {}).items():
            values = {name: _form(name, value) for name, value in fields.items()}
            self.model.execute({"op": "create", "class": "T", "pk": key, "values": values})

    @property
    def objects(self) -> dict[int, dict[str, Value]]:
        """Field values by name, by key; links to missing objects show."""
        held = self.model.state.objects["T"]
        return {key: _shown(fields) for key, fields in held.items() if isinstance(key, int)}

    def create(self, key: int) -> None:
        """Create an object, or find that it exists."""
        self.model.execute({"op": "create", "class": "T", "pk": key})

    def copy(self) -> State:
        """One that changes independently."""
        other = State()
        other.model = self.model.copy()
        return other

    def apply(self, changesets: list[Changeset]) -> State:
        """Apply changesets to a copy."""
        other = self.copy()
        for changeset in changesets:
            for instruction in changeset.instructions:
                other.execute(instruction)
        return other

    def execute(self, instruction: Instruction) -> None:
        """Apply one instruction in place."""
        apply(self.model.state, instruction)


def _form(name: str, value: Value) -> Any:
    """A value of an example as an operation has it."""
    if isinstance(value, dict):
        members = {key: _form("", member) for key, member in value.items()}
        return {"obj": members} if name == "e" else {"dict": members}
    if isinstance(value, list):
        return {"list": [{"obj": element} if name == "ee" else _form("", element) for element in value]}
    if isinstance(value, set):
        return {"set": list(value)}
    return {"link": list(value)} if isinstance(value, Link) else value


def _shown(held: Held | Fields) -> Value:
    if isinstance(held, Scalar):
        return held.value
    if isinstance(held, List):
        return [_shown(element) for element in held]
    if isinstance(held, Set):
        return {member.value for member in held.values()}
    shown = {key: _shown(value) for key, value in held.items()}
    return Embedded(shown) if isinstance(held, EmbeddedFields) else shown
