"""The words of a merge error: what both sides tried to do, and where (spec/merge.md §6)."""

from __future__ import annotations

from typing import Final

from syncline.merge.operands import Operand
from syncline.values.kinds import KIND_NAMES

NAMES: Final[tuple[str, ...]] = (
    "AddTable",
    "EraseTable",
    "CreateObject",
    "EraseObject",
    "Update",
    "AddInteger",
    "AddColumn",
    "EraseColumn",
    "ArrayInsert",
    "ArrayMove",
    "ArrayErase",
    "Clear",
    "SetInsert",
    "SetErase",
)


def describe(operand: Operand) -> str:
    """An instruction with its place, as in ``ArrayErase of Person[7].dogs[2] (list of 3)``."""
    place = operand.table
    if operand.opcode in _ON_OBJECTS:
        place += f"[{operand.key!r}]"
    if operand.field:
        place += f".{operand.field}"
    place += "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in operand.path)
    if operand.opcode == _ARRAY_MOVE:
        place += f" to [{operand.target}]"
    size = f" (list of {operand.prior_size})" if operand.prior_size >= 0 else ""
    return f"{NAMES[operand.opcode]} of {place}{size}"


def kind_name(kind: int) -> str:
    """The name of a type; type 0 of a property or key is Mixed."""
    return KIND_NAMES.get(kind, f"type {kind}") if kind != 0 else "mixed"


_ARRAY_MOVE: Final = 9
_ON_OBJECTS: Final = (2, 3, 4, 5, 8, 9, 10, 11, 12, 13)
