"""Dividing both sides into partitions that cannot interact (spec/merge.md §11).

A partition is one field of one object; or a whole object, if it is erased; or the additions of one class or property;
or all there is about a component of classes that the erasure of a class or property concerns. Only instructions that
share a partition with the other side become operands.
"""

from __future__ import annotations

from typing import Final, TypeAlias, cast

from mypy_extensions import i64, mypyc_attr

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    ADD_COLUMN,
    ADD_TABLE,
    AddColumn,
    Instruction,
    ObjectInstruction,
    PathInstruction,
    Update,
)
from syncline.merge.footprint import Footprint, components
from syncline.merge.operands import PATHLESS, Operand
from syncline.merge.pace import Pace
from syncline.merge.schema import Columns, Schema
from syncline.values import Key
from syncline.values.kinds import DICTIONARY, LIST, SET
from syncline.values.kinds import OBJECT as OBJECT_VALUE

__all__ = ["ANYTHING", "COMPONENT", "FIELD", "OBJECT", "Partition", "Partitions"]

# What all operands of a partition have in common, from the least to the most.
COMPONENT: Final = 0  # a component of classes, where something may be prepended
ANYTHING: Final = 1
OBJECT: Final = 2
FIELD: Final = 3


@mypyc_attr(acyclic=True)
class Partition:
    """The operands of both sides that may interact, each side in its order.

    ``inserts``: a rule may put new operands beside or in place of one; ``inserted`` of them were. ``lost``: one of
    ``minors`` was discarded.
    """

    __slots__ = ("inserted", "inserts", "lost", "majors", "minors", "scope")

    def __init__(self, scope: int) -> None:
        self.scope: i64 = scope
        self.inserts = scope == COMPONENT
        self.inserted: i64 = 0
        self.lost = False
        self.majors: list[Operand] = []
        self.minors: list[Operand] = []


#: The partitions of one object by field. None: the minor side touches the field, the major one has not been seen to.
_Fields: TypeAlias = "dict[str, Partition | None]"


class Partitions:
    """All partitions of two sides, and every operand in them: first the major, then the minor ones, in order."""

    def __init__(
        self,
        ours: list[Changeset],
        theirs: list[Changeset],
        our: Footprint,
        their: Footprint,
        schema: Schema | None,
    ) -> None:
        self.all: list[Partition] = []
        self.operands: list[Operand] = []
        self._erased_objects = our.erased_objects | their.erased_objects
        self._shared_additions = our.additions & their.additions
        self._pace = Pace()
        self._columns = None if schema is None else Columns(schema)
        self._component_of: dict[str, str] = {}
        if our.is_destructive or their.is_destructive:
            if self._columns is not None:
                self._columns.add(ours)
                self._columns.add(theirs)
            self._component_of = components(ours, theirs, our, their, self._columns)
        self._named: dict[tuple[str, str], Partition] = {}
        self._objects: dict[str, dict[Key, _Fields]] = {
            table: {key: {} for key in keys} for table, keys in our.shared_objects(their).items()
        }
        self._table = "no class yet"  # compared by identity
        self._key: Key = None
        self._fields: _Fields | None = None
        if self._objects:
            self._expect(theirs)
        self._gather(ours, True)
        self._gather(theirs, False)

    def _expect(self, minor: list[Changeset]) -> None:
        """Note which fields of the shared objects the minor side touches: the major side need not look at others."""
        for changeset in minor:
            for part in self._pace.parts(changeset.instructions):
                self._pace.spend(len(part))
                for instruction in part:
                    if isinstance(instruction, ObjectInstruction):
                        fields = self._fields_of(instruction)
                        if fields is not None:
                            fields.setdefault(self._field_of(instruction), None)

    def _gather(self, changesets: list[Changeset], is_major: bool) -> None:
        """Make the operands of one side, in the order in which it takes part; the major side comes first."""
        for changeset in changesets:
            position: i64 = 0
            for part in self._pace.parts(changeset.instructions):
                self._pace.spend(len(part))
                for instruction in part:
                    partition = self._find(instruction, is_major)
                    if partition is not None:
                        self._take_part(partition, Operand(instruction, changeset, position), is_major)
                    position += 1

    def _take_part(self, partition: Partition, operand: Operand, is_major: bool) -> None:
        if self._columns is not None:
            self._use_schema(operand, partition, self._columns)
        self.operands.append(operand)
        if is_major:
            partition.majors.append(operand)
        else:
            partition.minors.append(operand)

    def _use_schema(self, operand: Operand, partition: Partition, columns: Columns) -> None:
        """Note what only the schema knows of the operand's place, where a rule may ask for it."""
        is_inside = operand.depth > PATHLESS
        if is_inside and partition.scope == COMPONENT:
            operand.columns = columns.inside(operand.table, operand.field, operand.path)
        update = operand.instruction
        if isinstance(update, Update):
            kind = update.kind
            operand.resettable = True
            if kind in (LIST, DICTIONARY, SET):
                partition.inserts = True
            elif kind == OBJECT_VALUE and is_inside and operand.index < 0:
                operand.replaces = columns.ends_at_key(operand.table, operand.field, update.path)

    def _find(self, instruction: Instruction, is_major: bool) -> Partition | None:
        """The partition of an instruction; None where the other side has nothing that it could meet."""
        if self._component_of:
            component = self._component_of.get(instruction.table)
            if component is not None:
                return self._find_named((component, ""), COMPONENT)
        opcode: i64 = instruction.opcode
        if opcode in (ADD_TABLE, ADD_COLUMN):
            field = cast(AddColumn, instruction).field if opcode == ADD_COLUMN else ""
            addition = (instruction.table, field)
            return self._find_named(addition, ANYTHING) if addition in self._shared_additions else None
        changed = cast(ObjectInstruction, instruction)
        fields = self._fields_of(changed)
        if fields is None:
            return None
        field = self._field_of(changed)
        if field not in fields:
            return None
        partition = fields[field]
        if partition is None and is_major:
            partition = fields[field] = self._new(FIELD if field else OBJECT)
        return partition

    def _fields_of(self, instruction: ObjectInstruction) -> _Fields | None:
        """The fields of the instruction's object, if both sides touch it. Edits of one object often come together."""
        table, key = instruction.table, instruction.key
        if table is not self._table or key != self._key:
            self._table, self._key = table, key
            by_key = self._objects.get(table)
            self._fields = None if by_key is None else by_key.get(key)
        return self._fields

    def _field_of(self, instruction: ObjectInstruction) -> str:
        """The field that a change concerns; "" if it concerns or, because the object is erased, may meet all of them.

        Creating an object meets nothing but its erasure.
        """
        if self._erased_objects and (instruction.table, instruction.key) in self._erased_objects:
            return ""
        return instruction.field if isinstance(instruction, PathInstruction) else ""

    def _find_named(self, name: tuple[str, str], scope: int) -> Partition:
        partition = self._named.get(name)
        if partition is None:
            partition = self._named[name] = self._new(scope)
        return partition

    def _new(self, scope: int) -> Partition:
        partition = Partition(scope)
        self.all.append(partition)
        return partition
