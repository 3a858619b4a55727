"""A look at what a client uploads before it meets anything else: one pass, one repair (spec/changesets.md §8.2)."""

from __future__ import annotations

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    ERASE_COLUMN,
    ERASE_TABLE,
    ArrayInsert,
    Instruction,
    ObjectInstruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.values import GlobalKey, Link

__all__ = ["inspect_upload"]


def inspect_upload(changeset: Changeset, file_ident: int) -> str | None:
    """Complete GlobalKeys that an old client left with hi = 0, and find the first instruction that removes schema.

    Returns what it removes ("erasing class Dog"), or None.
    """
    erased: str | None = None
    for instruction in changeset.instructions:
        if isinstance(instruction, ObjectInstruction):
            key = instruction.key
            if type(key) is GlobalKey and key.hi == 0:
                instruction.key = GlobalKey(file_ident, key.lo)
            value = getattr(instruction, "value", None)
            if type(value) is Link:
                _complete_link(instruction, value, file_ident)
        elif erased is None and instruction.opcode in (ERASE_TABLE, ERASE_COLUMN):
            field = getattr(instruction, "field", None)
            erased = f"erasing property {instruction.table}.{field}" if field else f"erasing class {instruction.table}"
    return erased


def _complete_link(instruction: Instruction, link: Link, file_ident: int) -> None:
    target = link.key
    if (
        type(target) is GlobalKey
        and target.hi == 0
        and isinstance(instruction, (Update, ArrayInsert, SetInsert, SetErase))
    ):
        instruction.value = Link(link.table, GlobalKey(file_ident, target.lo))
