"""Completing the identity of objects that were made before their file had an ident (spec/changesets.md §8.2)."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from syncline.changesets.instructions import ArrayInsert, Instruction, ObjectInstruction, SetErase, SetInsert, Update
from syncline.storage.catalogue import Catalogue
from syncline.values import GlobalKey, Link

__all__ = ["complete_instructions", "complete_rows"]


def complete_instructions(instructions: Sequence[Instruction], ident: int) -> bool:
    """Give GlobalKeys with hi = 0 the ident, in place: keys of objects, and links in values, those of sets included.

    Returns whether there were any. realm-core leaves out the values of sets, and so loses such links; we do not.
    """
    changed = False
    for instruction in instructions:
        if not isinstance(instruction, ObjectInstruction):
            continue
        key = instruction.key
        if isinstance(key, GlobalKey) and key.hi == 0:
            instruction.key = GlobalKey(ident, key.lo)
            changed = True
        if isinstance(instruction, Update | ArrayInsert | SetInsert | SetErase):
            link = instruction.value
            if isinstance(link, Link) and isinstance(link.key, GlobalKey) and link.key.hi == 0:
                instruction.value = Link(link.table, GlobalKey(ident, link.key.lo))
                changed = True
    return changed


def complete_rows(connection: apsw.Connection, catalogue: Catalogue, ident: int) -> None:
    """Give the objects of classes without primary key the ident, in the open write transaction."""
    for info in catalogue.by_id.values():
        if info.keyless:
            connection.execute(f"UPDATE {info.table} SET ghi = ? WHERE ghi = 0", (ident,))
