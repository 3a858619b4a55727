"""Batches: what the creation of many objects at once records (spec/changesets.md §9.6).

One :class:`ObjectBatch` stands for what one creation after the other would have recorded: for each object a
CreateObject and an Update for each property that is set. It keeps the values by column and is encoded from there, byte
for byte as those instructions would be; it exists only between a local transaction and
:func:`.encoder.encode_recorded`.
"""

from __future__ import annotations

from syncline.changesets.instructions import CREATE_OBJECT, CreateObject, Instruction, Update
from syncline.values import Key

__all__ = ["BatchColumn", "ObjectBatch", "instruction_count"]


class BatchColumn:
    """The values of one property, one for each object.

    ``kind`` is the kind of all values; where they differ, ``kinds`` has one for each.
    """

    __slots__ = ("field", "is_default", "kind", "kinds", "values")

    def __init__(self, field: str, kind: int, kinds: list[int] | None, values: list[object], is_default: bool) -> None:
        self.field = field
        self.kind = kind
        self.kinds = kinds
        self.values = values
        self.is_default = is_default

    def kind_at(self, row: int) -> int:
        """The kind of one object's value."""
        return self.kind if self.kinds is None else self.kinds[row]


class ObjectBatch(Instruction):
    """New objects of one class with the same properties set."""

    __slots__ = ("columns", "keys")

    def __init__(self, table: str, keys: list[Key], columns: list[BatchColumn]) -> None:
        self.opcode = CREATE_OBJECT
        self.table = table
        self.keys = keys
        self.columns = columns

    def instructions_of(self, row: int) -> list[Instruction]:
        """What the creation of one of the objects alone would have recorded."""
        key = self.keys[row]
        result: list[Instruction] = [CreateObject(self.table, key)]
        for column in self.columns:
            kind = column.kind_at(row)
            result.append(Update(self.table, key, column.field, (), kind, column.values[row], column.is_default))
        return result


def instruction_count(instruction: Instruction) -> int:
    """For how many instructions it stands."""
    return len(instruction.keys) * (1 + len(instruction.columns)) if isinstance(instruction, ObjectBatch) else 1
