"""The instructions a changeset consists of, as mutable objects (spec/changesets.md §6).

A changeset is decoded into these, merged in place (``merge/``), and encoded again. One class per instruction; classes
that share fields share a base. An instruction's place in a list is the last element of its path, as on the wire.

* Strings are ``str`` (bytes that are not UTF-8 are carried by surrogateescape); a key is a :data:`~syncline.values.Key`.
* A payload is a pair: ``kind`` (a number of ``values.kinds``) and ``value``: None for kinds without data, ``int``,
  ``bool``, ``str``, ``bytes``, :class:`~syncline.values.Timestamp`, ``float`` (kinds FLOAT and DOUBLE),
  :class:`~syncline.values.Decimal128`, :class:`~syncline.values.Link`, ``ObjectId`` or ``uuid.UUID``.
* ``path`` is a tuple, empty for the property itself.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from syncline.values import Key

# opcodes
ADD_TABLE: Final = 0
ERASE_TABLE: Final = 1
CREATE_OBJECT: Final = 2
ERASE_OBJECT: Final = 3
UPDATE: Final = 4
ADD_INTEGER: Final = 5
ADD_COLUMN: Final = 6
ERASE_COLUMN: Final = 7
ARRAY_INSERT: Final = 8
ARRAY_MOVE: Final = 9
ARRAY_ERASE: Final = 10
CLEAR: Final = 11
SET_INSERT: Final = 12
SET_ERASE: Final = 13

Path: TypeAlias = "tuple[int | str, ...]"

#: ``Update.prior_size`` of an Update that is not an array update.
NOT_AN_ARRAY_UPDATE: Final = -1


class Instruction:
    """Base of all: the opcode and the class (table) it speaks of."""

    def __init__(self, opcode: int, table: str) -> None:
        self.opcode = opcode
        self.table = table


class AddTable(Instruction):
    """Create a class. ``pk_field`` is "" and ``pk_type`` GLOBAL_KEY for a class without primary key."""

    def __init__(self, table: str, table_type: int, pk_field: str, pk_type: int, pk_nullable: bool) -> None:
        super().__init__(ADD_TABLE, table)
        self.table_type = table_type
        self.pk_field = pk_field
        self.pk_type = pk_type
        self.pk_nullable = pk_nullable


class EraseTable(Instruction):
    """Drop a class with all its objects."""

    def __init__(self, table: str) -> None:
        super().__init__(ERASE_TABLE, table)


class AddColumn(Instruction):
    """Create a property. ``link_target`` is "" unless ``value_type`` is LINK; ``key_type`` is STRING for dictionaries."""

    def __init__(
        self, table: str, field: str, value_type: int, nullable: bool, collection: int, link_target: str, key_type: int
    ) -> None:
        super().__init__(ADD_COLUMN, table)
        self.field = field
        self.value_type = value_type
        self.nullable = nullable
        self.collection = collection
        self.link_target = link_target
        self.key_type = key_type


class EraseColumn(Instruction):
    """Drop a property."""

    def __init__(self, table: str, field: str) -> None:
        super().__init__(ERASE_COLUMN, table)
        self.field = field


class ObjectInstruction(Instruction):
    """Base of the instructions that concern one object."""

    def __init__(self, opcode: int, table: str, key: Key) -> None:
        super().__init__(opcode, table)
        self.key = key


class CreateObject(ObjectInstruction):
    """Create an object with the given key."""

    def __init__(self, table: str, key: Key) -> None:
        super().__init__(CREATE_OBJECT, table, key)


class EraseObject(ObjectInstruction):
    """Delete an object."""

    def __init__(self, table: str, key: Key) -> None:
        super().__init__(ERASE_OBJECT, table, key)


class PathInstruction(ObjectInstruction):
    """Base of the instructions that concern a place inside one object: a property, then a path below it."""

    def __init__(self, opcode: int, table: str, key: Key, field: str, path: Path) -> None:
        super().__init__(opcode, table, key)
        self.field = field
        self.path = path


class Update(PathInstruction):
    """Set a property, a list element or a dictionary entry; kind ERASED removes a dictionary entry.

    An *array update* (the path ends in an index) has ``prior_size`` >= 0 and no ``is_default``; any other has
    ``prior_size`` = :data:`NOT_AN_ARRAY_UPDATE`.
    """

    def __init__(
        self,
        table: str,
        key: Key,
        field: str,
        path: Path,
        kind: int,
        value: object,
        is_default: bool = False,
        prior_size: int = NOT_AN_ARRAY_UPDATE,
    ) -> None:
        super().__init__(UPDATE, table, key, field, path)
        self.kind = kind
        self.value = value
        self.is_default = is_default
        self.prior_size = prior_size


class AddInteger(PathInstruction):
    """Add to an integer, modulo 2**64."""

    def __init__(self, table: str, key: Key, field: str, path: Path, value: int) -> None:
        super().__init__(ADD_INTEGER, table, key, field, path)
        self.value = value


class ArrayInsert(PathInstruction):
    """Insert a list element at the last path element."""

    def __init__(
        self, table: str, key: Key, field: str, path: Path, kind: int, value: object, prior_size: int
    ) -> None:
        super().__init__(ARRAY_INSERT, table, key, field, path)
        self.kind = kind
        self.value = value
        self.prior_size = prior_size


class ArrayMove(PathInstruction):
    """Move a list element from the last path element to ``ndx_2``, its index after the move."""

    def __init__(self, table: str, key: Key, field: str, path: Path, ndx_2: int, prior_size: int) -> None:
        super().__init__(ARRAY_MOVE, table, key, field, path)
        self.ndx_2 = ndx_2
        self.prior_size = prior_size


class ArrayErase(PathInstruction):
    """Remove the list element at the last path element."""

    def __init__(self, table: str, key: Key, field: str, path: Path, prior_size: int) -> None:
        super().__init__(ARRAY_ERASE, table, key, field, path)
        self.prior_size = prior_size


class Clear(PathInstruction):
    """Empty the list, set or dictionary at the path; ``collection`` tells which one the sender saw (0: unspecified)."""

    def __init__(self, table: str, key: Key, field: str, path: Path, collection: int) -> None:
        super().__init__(CLEAR, table, key, field, path)
        self.collection = collection


class SetInsert(PathInstruction):
    """Add a value to the set at the path."""

    def __init__(self, table: str, key: Key, field: str, path: Path, kind: int, value: object) -> None:
        super().__init__(SET_INSERT, table, key, field, path)
        self.kind = kind
        self.value = value


class SetErase(PathInstruction):
    """Remove a value from the set at the path."""

    def __init__(self, table: str, key: Key, field: str, path: Path, kind: int, value: object) -> None:
        super().__init__(SET_ERASE, table, key, field, path)
        self.kind = kind
        self.value = value
