"""What merging wants to know of the schema: which properties hold embedded objects (spec/merge.md §12 E67, traps 6, 9).

A path is a list of names and indexes. Whether a name in it is the key of a dictionary or the property of an embedded
object, and of which class, cannot be seen from the path. Two rules need it: an embedded object under a key of a
dictionary is *replaced* by an Update with ObjectValue, while one in a property is only created if it is missing; and an
erased property of an embedded class takes along what was changed in it, through whatever path.

Both sides' databases pass their catalogue. A property that both sides changed is known to both, and one that only the
other side has added stands in its changesets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import AddColumn, Path
from syncline.values.kinds import DICTIONARY_COLLECTION, LINK, SINGLE_COLLECTION

__all__ = ["Column", "Columns", "Schema"]

#: A property: its class and its name.
Column: TypeAlias = "tuple[str, str]"


class Schema(Protocol):
    """The schema of a database, as far as merging asks for it."""

    def embedded_property(self, table: str, field: str) -> tuple[int, str] | None:
        """Of a property that holds embedded objects: its kind of collection (``values.kinds``) and their class.

        None for every other property, and where there is no such class or property.
        """


class Columns:
    """The properties that paths lead through: those of a schema, and those that changesets add."""

    __slots__ = ("_added", "_schema")

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._added: dict[Column, tuple[int, str]] = {}

    def add(self, changesets: Sequence[Changeset]) -> None:
        """Take in the properties that ``changesets`` add."""
        for changeset in changesets:
            for instruction in changeset.instructions:
                if isinstance(instruction, AddColumn) and instruction.value_type == LINK:
                    column = (instruction.table, instruction.field)
                    self._added[column] = (instruction.collection, instruction.link_target)

    def ends_at_key(self, table: str, field: str, path: Path) -> bool:
        """Whether the path leads to an embedded object under a key of a dictionary."""
        return self._follow(table, field, path)[1]

    def inside(self, table: str, field: str, path: Path) -> list[Column]:
        """The properties of embedded objects that the path leads through or to, from the outermost on."""
        return self._follow(table, field, path)[0]

    def _follow(self, table: str, field: str, path: Path) -> tuple[list[Column], bool]:
        """The properties of embedded objects on a path; and whether it ends at a dictionary's embedded object."""
        columns: list[Column] = []
        size = len(path)
        position = 0
        while position < size:
            found = self._added.get((table, field)) or self._schema.embedded_property(table, field)
            if found is None:
                break
            collection, owned = found
            if collection != SINGLE_COLLECTION:
                position += 1  # past the element's index or key
                if position == size:
                    return columns, collection == DICTIONARY_COLLECTION
            name = path[position]
            if not isinstance(name, str):
                break
            table, field = owned, name
            columns.append((table, field))
            position += 1
        return columns, False
