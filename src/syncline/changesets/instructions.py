"""The instructions a changeset consists of, as mutable objects (spec/changesets.md §6).

A changeset is decoded into these, merged in place (``merge/``), and encoded again. One class per instruction; classes
that share fields share a base. An instruction's place in a list is the last element of its path, as on the wire.

* Strings are ``str`` (bytes that are not UTF-8 are carried by surrogateescape); keys are :data:`~syncline.values.Key`.
* A payload is a pair: ``kind`` (a number of ``values.kinds``) and ``value``: None for kinds without data, ``int``,
  ``bool``, ``str``, ``bytes``, :class:`~syncline.values.Timestamp`, ``float`` (kinds FLOAT and DOUBLE),
  :class:`~syncline.values.Decimal128`, :class:`~syncline.values.Link`, ``ObjectId`` or ``uuid.UUID``.
* ``path`` is a tuple, empty for the property itself.

Instructions are made by the million: every constructor sets its fields itself instead of calling up a chain, and
``acyclic`` tells the compiler that they need no place in the garbage collector's lists (they hold only values).
Two instructions are equal only if they are the same object; compare contents with :func:`fields_of`.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from mypy_extensions import mypyc_attr

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

#: The names of the instructions by opcode.
INSTRUCTION_NAMES: Final[tuple[str, ...]] = (
    "AddTable",
    "EraseTable",
    "CreateObject",
    "EraseObject",
    "Update",
    "AddInteger",
    "AddColumn",
    "EraseColumn",
    "ArrayInsert",
    "ArrayMove",
    "ArrayErase",
    "Clear",
    "SetInsert",
    "SetErase",
)

#: The fields of each instruction by opcode, in constructor order.
FIELDS: Final[tuple[tuple[str, ...], ...]] = (
    ("table", "table_type", "pk_field", "pk_type", "pk_nullable"),
    ("table",),
    ("table", "key"),
    ("table", "key"),
    ("table", "key", "field", "path", "kind", "value", "is_default", "prior_size"),
    ("table", "key", "field", "path", "value"),
    ("table", "field", "value_type", "nullable", "collection", "link_target", "key_type"),
    ("table", "field"),
    ("table", "key", "field", "path", "kind", "value", "prior_size"),
    ("table", "key", "field", "path", "ndx_2", "prior_size"),
    ("table", "key", "field", "path", "prior_size"),
    ("table", "key", "field", "path", "collection"),
    ("table", "key", "field", "path", "kind", "value"),
    ("table", "key", "field", "path", "kind", "value"),
)


@mypyc_attr(acyclic=True)
class Instruction:
    """Base of all: the opcode and the class (table) it speaks of."""

    __slots__ = ("opcode", "table")
    opcode: int
    table: str

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in FIELDS[self.opcode])
        return f"{type(self).__name__}({fields})"


def fields_of(instruction: Instruction) -> tuple[object, ...]:
    """Opcode and all fields, for comparing contents."""
    return (instruction.opcode, *[getattr(instruction, name) for name in FIELDS[instruction.opcode]])


@mypyc_attr(acyclic=True)
class AddTable(Instruction):
    """Create a class. ``pk_field`` is "" and ``pk_type`` GLOBAL_KEY for a class without primary key."""

    __slots__ = ("pk_field", "pk_nullable", "pk_type", "table_type")

    def __init__(self, table: str, table_type: int, pk_field: str, pk_type: int, pk_nullable: bool) -> None:
        self.opcode = ADD_TABLE
        self.table = table
        self.table_type = table_type
        self.pk_field = pk_field
        self.pk_type = pk_type
        self.pk_nullable = pk_nullable


@mypyc_attr(acyclic=True)
class EraseTable(Instruction):
    """Drop a class with all its objects."""

    __slots__ = ()

    def __init__(self, table: str) -> None:
        self.opcode = ERASE_TABLE
        self.table = table


@mypyc_attr(acyclic=True)
class AddColumn(Instruction):
    """Create a property. ``link_target`` is "" unless ``value_type`` is LINK; ``key_type`` is STRING for dictionaries.

    For other collections ``key_type`` means nothing and does not travel.
    """

    __slots__ = ("collection", "field", "key_type", "link_target", "nullable", "value_type")

    def __init__(
        self, table: str, field: str, value_type: int, nullable: bool, collection: int, link_target: str, key_type: int
    ) -> None:
        self.opcode = ADD_COLUMN
        self.table = table
        self.field = field
        self.value_type = value_type
        self.nullable = nullable
        self.collection = collection
        self.link_target = link_target
        self.key_type = key_type


@mypyc_attr(acyclic=True)
class EraseColumn(Instruction):
    """Drop a property."""

    __slots__ = ("field",)

    def __init__(self, table: str, field: str) -> None:
        self.opcode = ERASE_COLUMN
        self.table = table
        self.field = field


@mypyc_attr(acyclic=True)
class ObjectInstruction(Instruction):
    """Base of the instructions that concern one object."""

    __slots__ = ("key",)
    key: Key


@mypyc_attr(acyclic=True)
class CreateObject(ObjectInstruction):
    """Create an object with the given key."""

    __slots__ = ()

    def __init__(self, table: str, key: Key) -> None:
        self.opcode = CREATE_OBJECT
        self.table = table
        self.key = key


@mypyc_attr(acyclic=True)
class EraseObject(ObjectInstruction):
    """Delete an object."""

    __slots__ = ()

    def __init__(self, table: str, key: Key) -> None:
        self.opcode = ERASE_OBJECT
        self.table = table
        self.key = key


@mypyc_attr(acyclic=True)
class PathInstruction(ObjectInstruction):
    """Base of the instructions that concern a place inside one object: a property, then a path below it."""

    __slots__ = ("field", "path")
    field: str
    path: Path


@mypyc_attr(acyclic=True)
class Update(PathInstruction):
    """Set a property, a list element or a dictionary entry; kind ERASED removes a dictionary entry.

    An *array update* (the path ends in an index) has ``prior_size`` >= 0 and no ``is_default``; any other has
    ``prior_size`` = :data:`NOT_AN_ARRAY_UPDATE`.
    """

    __slots__ = ("is_default", "kind", "prior_size", "value")

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
        self.opcode = UPDATE
        self.table = table
        self.key = key
        self.field = field
        self.path = path
        self.kind = kind
        self.value = value
        self.is_default = is_default
        self.prior_size = prior_size


@mypyc_attr(acyclic=True)
class AddInteger(PathInstruction):
    """Add to an integer, modulo 2**64."""

    __slots__ = ("value",)

    def __init__(self, table: str, key: Key, field: str, path: Path, value: int) -> None:
        self.opcode = ADD_INTEGER
        self.table = table
        self.key = key
        self.field = field
        self.path = path
        self.value = value


@mypyc_attr(acyclic=True)
class ArrayInsert(PathInstruction):
    """Insert a list element at the last path element."""

    __slots__ = ("kind", "prior_size", "value")

    def __init__(self, table: str, key: Key, field: str, path: Path, kind: int, value: object, prior_size: int) -> None:
        self.opcode = ARRAY_INSERT
        self.table = table
        self.key = key
        self.field = field
        self.path = path
        self.kind = kind
        self.value = value
        self.prior_size = prior_size


@mypyc_attr(acyclic=True)
class ArrayMove(PathInstruction):
    """Move a list element from the last path element to ``ndx_2``, its index after the move."""

    __slots__ = ("ndx_2", "prior_size")

    def __init__(self, table: str, key: Key, field: str, path: Path, ndx_2: int, prior_size: int) -> None:
        self.opcode = ARRAY_MOVE
        self.table = table
        self.key = key
        self.field = field
        self.path = path
        self.ndx_2 = ndx_2
        self.prior_size = prior_size


@mypyc_attr(acyclic=True)
class ArrayErase(PathInstruction):
    """Remove the list element at the last path element."""

    __slots__ = ("prior_size",)

    def __init__(self, table: str, key: Key, field: str, path: Path, prior_size: int) -> None:
        self.opcode = ARRAY_ERASE
        self.table = table
        self.key = key
        self.field = field
        self.path = path
        self.prior_size = prior_size


@mypyc_attr(acyclic=True)
class Clear(PathInstruction):
    """Empty the list, set or dictionary at the path; ``collection`` tells which one the sender saw (0: unspecified)."""

    __slots__ = ("collection",)

    def __init__(self, table: str, key: Key, field: str, path: Path, collection: int) -> None:
        self.opcode = CLEAR
        self.table = table
        self.key = key
        self.field = field
        self.path = path
        self.collection = collection


@mypyc_attr(acyclic=True)
class SetInsert(PathInstruction):
    """Add a value to the set at the path."""

    __slots__ = ("kind", "value")

    def __init__(self, table: str, key: Key, field: str, path: Path, kind: int, value: object) -> None:
        self.opcode = SET_INSERT
        self.table = table
        self.key = key
        self.field = field
        self.path = path
        self.kind = kind
        self.value = value


@mypyc_attr(acyclic=True)
class SetErase(PathInstruction):
    """Remove a value from the set at the path."""

    __slots__ = ("kind", "value")

    def __init__(self, table: str, key: Key, field: str, path: Path, kind: int, value: object) -> None:
        self.opcode = SET_ERASE
        self.table = table
        self.key = key
        self.field = field
        self.path = path
        self.kind = kind
        self.value = value
