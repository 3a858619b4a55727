"""The words of a merge error: what both sides tried to do, and where (spec/merge.md §6)."""

from __future__ import annotations

from typing import Final

from syncline.changesets.instructions import (
    ADD_INTEGER,
    ARRAY_ERASE,
    ARRAY_INSERT,
    ARRAY_MOVE,
    CLEAR,
    SET_ERASE,
    SET_INSERT,
    UPDATE,
)
from syncline.merge.operands import Operand
from syncline.values.kinds import KIND_NAMES

#: The instructions that change something inside an object, by opcode.
_NAMES: Final[dict[int, str]] = {
    UPDATE: "Update",
    ADD_INTEGER: "AddInteger",
    ARRAY_INSERT: "ArrayInsert",
    ARRAY_MOVE: "ArrayMove",
    ARRAY_ERASE: "ArrayErase",
    CLEAR: "Clear",
    SET_INSERT: "SetInsert",
    SET_ERASE: "SetErase",
}


def describe(operand: Operand) -> str:
    """A change with its place, as in ``ArrayErase of Person[7].dogs[2] (list of 3)``."""
    steps = "".join([f"[{step}]" if isinstance(step, int) else f".{step}" for step in operand.path])
    target = f" to [{operand.target}]" if operand.opcode == ARRAY_MOVE else ""
    size = f" (list of {operand.prior_size})" if operand.prior_size >= 0 else ""
    return f"{_NAMES[operand.opcode]} of {operand.table}[{operand.key!r}].{operand.field}{steps}{target}{size}"


def kind_name(kind: int) -> str:
    """The name of a type; type 0 of a property or key is Mixed."""
    return KIND_NAMES.get(kind, f"type {kind}") if kind != 0 else "mixed"
