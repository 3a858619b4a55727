"""A look at what a client uploads before it meets anything else (spec/changesets.md §8.2, spec/merge.md Trap 6)."""

from __future__ import annotations

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import ERASE_COLUMN, ERASE_TABLE, EraseColumn
from syncline.storage.global_keys import complete_instructions

__all__ = ["inspect_upload"]


def inspect_upload(changeset: Changeset, file_ident: int) -> str | None:
    """Complete GlobalKeys that an old client left with hi = 0, and find the first instruction that removes schema.

    Returns what it removes ("erasing class Dog"), or None.
    """
    complete_instructions(changeset.instructions, file_ident)
    for instruction in changeset.instructions:
        opcode = instruction.opcode
        if opcode in (ERASE_TABLE, ERASE_COLUMN):
            if isinstance(instruction, EraseColumn):
                return f"erasing property {instruction.table}.{instruction.field}"
            return f"erasing class {instruction.table}"
    return None
