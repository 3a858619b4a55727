"""Changesets that together have every instruction, every type of key and payload, and integers of every length."""

from __future__ import annotations

import math
from collections.abc import Iterator
from uuid import UUID

from syncline.changesets.codec import encode_recorded
from syncline.changesets.instructions import (
    AddColumn,
    AddInteger,
    AddTable,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Clear,
    CreateObject,
    EraseColumn,
    EraseObject,
    EraseTable,
    Instruction,
    SetErase,
    SetInsert,
    Update,
)
from syncline.values import Decimal128, GlobalKey, Key, Link, ObjectId, Timestamp, kinds

KEYS: list[Key] = [
    None,
    5,
    -(1 << 63),
    (1 << 63) - 1,
    "",
    "été",
    "\udcff",
    ObjectId(bytes(range(12))),
    UUID(int=1 << 100),
    GlobalKey(0, 0),
    GlobalKey((1 << 64) - 1, 300),
]

PAYLOADS: list[tuple[int, object]] = [
    (kinds.NULL, None),
    (kinds.INT, 0),
    (kinds.INT, -1),
    (kinds.INT, 1 << 62),
    (kinds.BOOL, True),
    (kinds.STRING, ""),
    (kinds.STRING, "x" * 200),
    (kinds.STRING, "a\udc80b"),
    (kinds.BINARY, bytes(range(256))),
    (kinds.TIMESTAMP, Timestamp(-1, -100_000_000)),
    (kinds.FLOAT, 0.5),
    (kinds.DOUBLE, math.nan),
    (kinds.DECIMAL, Decimal128(10**34 - 1, 6111)),
    (kinds.DECIMAL, Decimal128(0, 0, True)),
    (kinds.OBJECT_ID, ObjectId(bytes(12))),
    (kinds.UUID, UUID(int=0)),
    *[(kinds.LINK, Link("B", key)) for key in KEYS],
    (kinds.OBJECT, None),
    (kinds.DICTIONARY, None),
    (kinds.ERASED, None),
    (kinds.LIST, None),
    (kinds.SET, None),
]

PATHS: list[tuple[int | str, ...]] = [(), ("k",), (0,), ((1 << 32) - 1,), ("k", 70, "é", 9000), (3, "k")]


def _instructions() -> Iterator[Instruction]:
    for kind in (kinds.TOP_LEVEL, kinds.EMBEDDED, kinds.ASYMMETRIC):
        yield AddTable("A", kind, "id", kinds.INT, True)
    for key_type in kinds.KEY_KINDS:
        yield AddTable("A", kinds.TOP_LEVEL, "id", key_type, False)
    for value_type in range(kinds.MIXED, kinds.UUID + 1):
        for collection in range(4):
            yield AddColumn("A", "p", value_type, True, collection, "B", kinds.STRING)
    yield EraseTable("A")
    yield EraseColumn("A", "p")
    for key in KEYS:
        yield CreateObject("A", key)
        yield EraseObject("A", key)
    for path in PATHS:
        ends_in_index = bool(path) and isinstance(path[-1], int)
        for kind, value in PAYLOADS:
            yield Update("A", 1, "p", path, kind, value, not ends_in_index, 300 if ends_in_index else -1)
        yield AddInteger("A", 1, "p", path, -300)
        yield from (Clear("A", 1, "p", path, collection) for collection in range(4))
        if ends_in_index:
            yield ArrayMove("A", 1, "p", path, 64, (1 << 32) - 1)
            yield ArrayErase("A", 1, "p", path, 1)
    for kind, value in PAYLOADS:
        yield ArrayInsert("A", "k", "p", (0,), kind, value, 128)
        yield SetInsert("A", None, "p", (), kind, value)
        yield SetErase("A", None, "p", ("k",), kind, value)


EVERYTHING: list[Instruction] = list(_instructions())
#: One changeset of few instructions each, and one of all.
CHANGESETS: list[bytes] = [
    *[encode_recorded(EVERYTHING[start : start + 5]) for start in range(0, len(EVERYTHING), 5)],
    encode_recorded(EVERYTHING),
]
