"""The numbers that stand for types in changesets, schemas and rows (spec/changesets.md §5.2).

Plain ``Final`` integers rather than an enum, because the compiled kernel compares them millions of times.
"""

from __future__ import annotations

from typing import Final

#: In a schema: a property of any type. In a payload: null.
MIXED: Final = 0
NULL: Final = 0
INT: Final = 1
BOOL: Final = 2
STRING: Final = 3
BINARY: Final = 4
TIMESTAMP: Final = 5
FLOAT: Final = 6
DOUBLE: Final = 7
DECIMAL: Final = 8
LINK: Final = 9
OBJECT_ID: Final = 10
UUID: Final = 11

#: Only as the type of an object's key: classes without primary key.
GLOBAL_KEY: Final = -1
#: Payloads without data.
OBJECT: Final = -2
DICTIONARY: Final = -3
ERASED: Final = -4
LIST: Final = -5
SET: Final = -6

#: Collection types of properties (spec/changesets.md §6).
SINGLE_COLLECTION: Final = 0
LIST_COLLECTION: Final = 1
DICTIONARY_COLLECTION: Final = 2
SET_COLLECTION: Final = 3

#: Kinds of classes.
TOP_LEVEL: Final = 0
EMBEDDED: Final = 1
ASYMMETRIC: Final = 2

KIND_NAMES: Final[dict[int, str]] = {
    NULL: "null",
    INT: "int",
    BOOL: "bool",
    STRING: "string",
    BINARY: "binary",
    TIMESTAMP: "timestamp",
    FLOAT: "float",
    DOUBLE: "double",
    DECIMAL: "decimal",
    LINK: "link",
    OBJECT_ID: "objectId",
    UUID: "uuid",
    GLOBAL_KEY: "globalKey",
    OBJECT: "object",
    DICTIONARY: "dictionary",
    ERASED: "erased",
    LIST: "list",
    SET: "set",
}

#: Types of which an object's key can be, the null key apart (spec/changesets.md §6, AddTable).
KEY_KINDS: Final = (INT, STRING, OBJECT_ID, UUID, GLOBAL_KEY)
