"""The words of a merge error: what both sides tried to do, and where (spec/merge.md §6)."""

from __future__ import annotations

from syncline.changesets.describe import place_text, source_text
from syncline.changesets.instructions import ARRAY_MOVE, INSTRUCTION_NAMES
from syncline.merge.operands import Operand
from syncline.values.kinds import KIND_NAMES


def describe(operand: Operand) -> str:
    """A change with its place and changeset: ``ArrayErase of Person[7].dogs[2] (list of 3) in version 9 (client …)``.

    Strings that users wrote are left out (:mod:`syncline.changesets.describe`).
    """
    place = place_text(operand.table, operand.key, operand.field, operand.path)
    target = f" to [{operand.target}]" if operand.opcode == ARRAY_MOVE else ""
    size = f" (list of {operand.prior_size})" if operand.prior_size >= 0 else ""
    return f"{INSTRUCTION_NAMES[operand.opcode]} of {place}{target}{size} in {source(operand)}"


def source(operand: Operand) -> str:
    """The changeset of a change."""
    return source_text(operand.changeset.version, operand.changeset.origin_file_ident)


def kind_name(kind: int) -> str:
    """The name of a type; type 0 of a property or key is Mixed."""
    return KIND_NAMES.get(kind, f"type {kind}") if kind != 0 else "mixed"
