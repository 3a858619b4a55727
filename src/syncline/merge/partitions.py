"""Dividing both sides into partitions that cannot interact (spec/merge.md §11).

A partition is one object, or the additions of one class or property, or all there is about a component of classes that
an erasure concerns. Only instructions that share a partition with the other side become operands.
"""

from __future__ import annotations

from typing import cast

from mypy_extensions import i64

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    ADD_COLUMN,
    ADD_TABLE,
    CREATE_OBJECT,
    ERASE_OBJECT,
    AddColumn,
    Instruction,
    ObjectInstruction,
)
from syncline.merge.footprint import Footprint, components
from syncline.merge.operands import Operand
from syncline.values import Key

__all__ = ["Partition", "Partitions"]


class Partition:
    """The operands of both sides that may interact, each side in its order."""

    def __init__(self) -> None:
        self.majors: list[Operand] = []
        self.minors: list[Operand] = []
        self.has_erase = False

    def add(self, operand: Operand, is_major: bool) -> None:
        """Append an operand to its side."""
        if is_major:
            self.majors.append(operand)
        else:
            self.minors.append(operand)

    def fields(self) -> list[Partition]:
        """The partitions by field of an object that neither side erases; creating it meets nothing then."""
        parts: dict[str, Partition] = {}
        for operand in self.majors:
            if operand.opcode != CREATE_OBJECT:
                part = parts.get(operand.field)
                if part is None:
                    part = parts[operand.field] = Partition()
                part.majors.append(operand)
        for operand in self.minors:
            part = parts.get(operand.field)
            if part is not None and operand.opcode != CREATE_OBJECT:
                part.minors.append(operand)
        return list(parts.values())


class Partitions:
    """All partitions of one merge, with every operand in them in the order of the sides."""

    def __init__(self, ours: Footprint, theirs: Footprint) -> None:
        self.operands: list[Operand] = []
        self.components: dict[str, Partition] = {}
        self.objects: list[Partition] = []
        self.additions: dict[tuple[str, str], Partition] = {}
        self._by_key: dict[str, dict[Key, Partition]] = {}
        self._component_of: dict[str, str] = {}
        if ours.is_destructive or theirs.is_destructive:
            self._component_of = components(ours, theirs)
        self._shared_objects = ours.shared_objects(theirs)
        self._shared_additions = ours.additions & theirs.additions

    def gather(self, changesets: list[Changeset], ranks: dict[tuple[int, int], int], is_major: bool) -> None:
        """Take in one side, in the order in which it takes part."""
        for changeset in changesets:
            rank = ranks[(changeset.origin_timestamp, changeset.origin_file_ident)]
            for position, instruction in enumerate(changeset.instructions):
                partition = self._find(instruction)
                if partition is not None:
                    operand = Operand(instruction, changeset, position, rank)
                    self.operands.append(operand)
                    partition.add(operand, is_major)

    def _find(self, instruction: Instruction) -> Partition | None:
        """The partition of an instruction; None where the other side has nothing that it could meet."""
        table = instruction.table
        if self._component_of:
            component = self._component_of.get(table)
            if component is not None:
                return self._component(component)
        opcode: i64 = instruction.opcode
        if opcode == ADD_TABLE:
            return self._addition((table, ""))
        if opcode == ADD_COLUMN:
            return self._addition((table, cast(AddColumn, instruction).field))
        shared = self._shared_objects.get(table)
        if shared is None:
            return None
        key = cast(ObjectInstruction, instruction).key
        if key not in shared:
            return None
        by_key = self._by_key.get(table)
        if by_key is None:
            by_key = self._by_key[table] = {}
        partition = by_key.get(key)
        if partition is None:
            partition = by_key[key] = Partition()
            self.objects.append(partition)
        if opcode == ERASE_OBJECT:
            partition.has_erase = True
        return partition

    def _component(self, name: str) -> Partition:
        partition = self.components.get(name)
        if partition is None:
            partition = self.components[name] = Partition()
        return partition

    def _addition(self, name: tuple[str, str]) -> Partition | None:
        if name not in self._shared_additions:
            return None
        partition = self.additions.get(name)
        if partition is None:
            partition = self.additions[name] = Partition()
        return partition
