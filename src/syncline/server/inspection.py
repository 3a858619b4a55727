"""A look at what a client uploads before it meets anything else (spec/changesets.md §8.2, spec/merge.md Trap 6)."""

from __future__ import annotations

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import ERASE_COLUMN, ERASE_TABLE, AddTable, EraseColumn
from syncline.storage.global_keys import complete_instructions
from syncline.values.kinds import EMBEDDED, GLOBAL_KEY

__all__ = ["Inspection"]


class Inspection:
    """Looks at the changesets of one part, in order. ``has_keyless``: a class without primary key exists already."""

    def __init__(self, file_ident: int, has_keyless: bool) -> None:
        self._file_ident = file_ident
        self._has_keyless = has_keyless

    def look_at(self, changeset: Changeset) -> str | None:
        """Complete GlobalKeys that an old client left with hi = 0, and find the first instruction that removes schema.

        Returns what it removes ("erasing class Dog"), or None.
        """
        erased: str | None = None
        for instruction in changeset.instructions:
            opcode = instruction.opcode
            if opcode > ERASE_TABLE and opcode != ERASE_COLUMN:
                continue
            if isinstance(instruction, AddTable):
                self._has_keyless |= instruction.pk_type == GLOBAL_KEY and instruction.table_type != EMBEDDED
            elif erased is None:
                erased = f"erasing class {instruction.table}"
                if isinstance(instruction, EraseColumn):
                    erased = f"erasing property {instruction.table}.{instruction.field}"
        if self._has_keyless:
            complete_instructions(changeset.instructions, self._file_ident)
        return erased
