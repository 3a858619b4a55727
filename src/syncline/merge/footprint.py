"""What a list of changesets touches, so that only what may meet the other side is looked at (spec/merge.md §11).

Apart from erased classes and properties, two instructions can interact only on the same object, or if both add the same
class or property. Two footprints that share none of these belong to changesets that merge without any change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    ADD_COLUMN,
    ADD_TABLE,
    ERASE_COLUMN,
    ERASE_OBJECT,
    ERASE_TABLE,
    AddColumn,
    ArrayInsert,
    Instruction,
    ObjectInstruction,
    PathInstruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.merge.pace import Pace
from syncline.merge.schema import Columns
from syncline.values import Key, Link
from syncline.values.kinds import LINK

__all__ = ["Footprint"]


class Footprint:
    """Objects touched, by class; classes and properties added or erased.

    ``additions`` are (class, property), with property "" for an added class. ``erased_columns`` are the classes of
    erased properties. ``links`` are (class, target class) of added links.
    """

    def __init__(self) -> None:
        self.objects: dict[str, set[Key]] = {}
        self.erased_objects: set[tuple[str, Key]] = set()
        self.additions: set[tuple[str, str]] = set()
        self.erased_tables: set[str] = set()
        self.erased_columns: set[str] = set()
        self.links: list[tuple[str, str]] = []

    @classmethod
    def of(cls, changesets: Sequence[Changeset]) -> Footprint:
        """The footprint of all these changesets together."""
        footprint = cls()
        pace = Pace()
        for changeset in changesets:
            for part in pace.parts(changeset.instructions):
                pace.spend(len(part))
                footprint.add(part)
        return footprint

    @property
    def is_destructive(self) -> bool:
        """A class or property is erased."""
        return bool(self.erased_tables or self.erased_columns)

    def add(self, instructions: Sequence[Instruction]) -> None:
        """Take in the instructions of one more changeset."""
        table = ""
        keys: set[Key] | None = None
        last: Key = None
        for instruction in instructions:
            opcode = instruction.opcode
            if opcode <= ERASE_TABLE or opcode in (ADD_COLUMN, ERASE_COLUMN):
                self._add_schema(instruction)
                continue
            if keys is None or instruction.table != table:
                table = instruction.table
                keys = self.objects.get(table)
                if keys is None:
                    keys = self.objects[table] = set()
                last = None
            key = cast(ObjectInstruction, instruction).key
            if opcode == ERASE_OBJECT:
                self.erased_objects.add((table, key))
            if key is None or key is not last:  # edits of one object usually come together
                last = key
                keys.add(key)

    def _add_schema(self, instruction: Instruction) -> None:
        table = instruction.table
        if instruction.opcode == ADD_TABLE:
            self.additions.add((table, ""))
        elif instruction.opcode == ERASE_TABLE:
            self.erased_tables.add(table)
        elif isinstance(instruction, AddColumn):
            self.additions.add((table, instruction.field))
            if instruction.value_type == LINK:
                self.links.append((table, instruction.link_target))
        else:
            self.erased_columns.add(table)

    def may_meet(self, other: Footprint) -> bool:
        """False if changesets with these footprints merge without any change on either side."""
        if self.is_destructive or other.is_destructive:
            return True
        if not self.additions.isdisjoint(other.additions):
            return True
        for table, keys in self.objects.items():
            others = other.objects.get(table)
            if others is not None and not keys.isdisjoint(others):
                return True
        return False

    def shared_objects(self, other: Footprint) -> dict[str, set[Key]]:
        """The objects touched by both, by class."""
        shared: dict[str, set[Key]] = {}
        for table, keys in self.objects.items():
            others = other.objects.get(table)
            if others is not None:
                both = keys & others
                if both:
                    shared[table] = both
        return shared


def components(
    ours: list[Changeset], theirs: list[Changeset], our: Footprint, their: Footprint, columns: Columns | None
) -> dict[str, str]:
    """The classes that an erasure on either side concerns, each with the name of its component.

    Instructions of different components never interact. A class with an added link, or with a value that links, to an
    erased class belongs to the component of that class: the erasure is then preceded by that of the link (spec/merge.md
    §3.3), and the value becomes null. So does, if ``columns`` are known, a class with a change in an embedded object
    of such a class.
    """
    erased = our.erased_tables | their.erased_tables
    component = {table: table for table in erased | our.erased_columns | their.erased_columns}
    links = our.links + their.links
    if erased:
        links += _linking_values(ours + theirs)
    for table, target in links:
        if target in erased:
            _unite(component, table, target)
    if columns is not None:
        for table, owned in _owners(ours + theirs, columns):
            if owned in component:
                _unite(component, table, owned)
    return component


def _unite(component: dict[str, str], table: str, known: str) -> None:
    """Put ``table``, with its component if it has one, into the component of ``known``."""
    old = component.get(table, table)
    new = component[known]
    component[table] = new
    for name, current in component.items():
        if current == old:
            component[name] = new


def _owners(changesets: list[Changeset], columns: Columns) -> list[tuple[str, str]]:
    """(class, embedded class) of all changes inside embedded objects."""
    found: set[tuple[str, str]] = set()
    pace = Pace()
    for changeset in changesets:
        for part in pace.parts(changeset.instructions):
            pace.spend(len(part))
            for instruction in part:
                if isinstance(instruction, PathInstruction) and instruction.path:
                    for owned, _ in columns.inside(instruction.table, instruction.field, instruction.path):
                        found.add((instruction.table, owned))
    return list(found)


def _linking_values(changesets: list[Changeset]) -> list[tuple[str, str]]:
    """(class, target class) of all values that are links."""
    found: set[tuple[str, str]] = set()
    pace = Pace()
    for changeset in changesets:
        for part in pace.parts(changeset.instructions):
            pace.spend(len(part))
            for instruction in part:
                if isinstance(instruction, (Update, ArrayInsert, SetInsert, SetErase)) and instruction.kind == LINK:
                    found.add((instruction.table, cast(Link, instruction.value).table))
    return list(found)
