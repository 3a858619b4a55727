"""Hypothesis strategies for values, instructions and changesets: what a codec must carry (spec/changesets.md §2 to §6).

Imported through :mod:`syncline.testing.strategies`.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias
from uuid import UUID

from hypothesis import strategies as st

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode, encode_integer, encode_recorded
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
    Path,
    SetErase,
    SetInsert,
    Update,
)
from syncline.values import Decimal128, GlobalKey, Key, Link, ObjectId, Timestamp, kinds

__all__ = [
    "changesets",
    "damaged_changesets",
    "instructions",
    "invalid_changesets",
    "keys",
    "payloads",
    "texts",
    "values",
]

Strategy: TypeAlias = st.SearchStrategy

_INT64: Final = st.integers(-(2**63), 2**63 - 1)
_UINT32: Final = st.integers(0, 2**32 - 1)
_UINT64: Final = st.integers(0, 2**64 - 1)
_OBJECT_IDS: Final = st.binary(min_size=12, max_size=12).map(ObjectId)
_UUIDS: Final = st.binary(min_size=16, max_size=16).map(lambda raw: UUID(bytes=raw))
_COLLECTIONS: Final = st.integers(kinds.SINGLE_COLLECTION, kinds.SET_COLLECTION)


# --- values -----------------------------------------------------------------------------------------------------------


def texts() -> Strategy[str]:
    """Strings of any bytes, as changesets carry them: what is not UTF-8 stands there as surrogates."""
    odd = st.binary(max_size=6).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    return st.one_of(st.sampled_from(["", "A", "Dog", "name", "été"]), st.text(max_size=8), odd)


def keys() -> Strategy[Key]:
    """What names an object: primary keys of all types, null, GlobalKeys."""
    return st.one_of(st.none(), _INT64, texts(), _OBJECT_IDS, _UUIDS, st.builds(GlobalKey, _UINT64, _UINT64))


def values(kind: int) -> Strategy[Any]:
    """Values of a kind (a number of ``syncline.values.kinds``) as instructions hold them.

    None for null and for payloads without data. Raises ValueError for a kind that no value has.
    """
    if kind in (kinds.NULL, kinds.OBJECT, kinds.DICTIONARY, kinds.ERASED, kinds.LIST, kinds.SET):
        return st.none()
    if kind == kinds.LINK:
        return st.builds(Link, texts(), keys())
    if kind not in _SCALARS:
        raise ValueError(f"no value has the kind {kind}")
    return _SCALARS[kind]


_SCALARS: Final[dict[int, Strategy[Any]]] = {
    kinds.INT: _INT64,
    kinds.BOOL: st.booleans(),
    kinds.STRING: texts(),
    kinds.BINARY: st.binary(max_size=200),
    kinds.TIMESTAMP: st.builds(
        Timestamp.normalised, st.integers(-(2**63) + 2, 2**63 - 2), st.integers(-(10**9), 10**9)
    ),
    kinds.FLOAT: st.floats(width=32),
    kinds.DOUBLE: st.floats(),
    kinds.DECIMAL: st.builds(Decimal128, st.integers(0, 2**113 - 1), st.integers(-6176, 10207), st.booleans()).filter(
        lambda value: not value.is_null()
    ),
    kinds.OBJECT_ID: _OBJECT_IDS,
    kinds.UUID: _UUIDS,
}
#: All kinds that a payload can have, the plain ones first.
_PAYLOAD_KINDS: Final = (
    kinds.NULL,
    *_SCALARS,
    kinds.LINK,
    kinds.OBJECT,
    kinds.DICTIONARY,
    kinds.ERASED,
    kinds.LIST,
    kinds.SET,
)


def payloads() -> Strategy[tuple[int, Any]]:
    """Kind and value of an instruction's payload."""
    return st.sampled_from(_PAYLOAD_KINDS).flatmap(lambda kind: st.tuples(st.just(kind), values(kind)))


# --- instructions -----------------------------------------------------------------------------------------------------


def _paths() -> Strategy[Path]:
    return st.lists(st.one_of(_UINT32, texts()), max_size=4).map(tuple)


def _index_paths() -> Strategy[Path]:
    return st.tuples(_paths(), _UINT32).map(lambda pair: (*pair[0], pair[1]))


@st.composite
def _updates(draw: st.DrawFn) -> Update:
    path = draw(_paths())
    kind, value = draw(payloads())
    if path and isinstance(path[-1], int):
        return Update(draw(texts()), draw(keys()), draw(texts()), path, kind, value, False, draw(_UINT32))
    return Update(draw(texts()), draw(keys()), draw(texts()), path, kind, value, draw(st.booleans()))


@st.composite
def _new_classes(draw: st.DrawFn) -> AddTable:
    kind = draw(st.sampled_from([kinds.TOP_LEVEL, kinds.EMBEDDED, kinds.ASYMMETRIC]))
    if kind == kinds.EMBEDDED:
        return AddTable(draw(texts()), kind, "", kinds.GLOBAL_KEY, False)
    key_type = draw(st.sampled_from(kinds.KEY_KINDS))
    return AddTable(draw(texts()), kind, draw(texts()), key_type, draw(st.booleans()))


@st.composite
def _new_properties(draw: st.DrawFn) -> AddColumn:
    kind = draw(st.integers(kinds.MIXED, kinds.UUID))
    target = draw(texts()) if kind == kinds.LINK else ""
    collection = draw(_COLLECTIONS)
    return AddColumn(draw(texts()), draw(texts()), kind, draw(st.booleans()), collection, target, kinds.STRING)


def _with_payload(cls: Any, paths: Strategy[Path], *more: Strategy[Any]) -> Strategy[Any]:
    parts = st.tuples(texts(), keys(), texts(), paths, payloads(), *more)
    return parts.map(lambda drawn: cls(*drawn[:4], *drawn[4], *drawn[5:]))


def instructions() -> Strategy[Instruction]:
    """Any instruction that can be encoded, whether or not it makes sense as an edit."""
    place = (texts(), keys(), texts())
    return st.one_of(
        st.builds(CreateObject, texts(), keys()),
        st.builds(EraseObject, texts(), keys()),
        _updates(),
        st.builds(AddInteger, *place, _paths(), _INT64),
        _with_payload(ArrayInsert, _index_paths(), _UINT32),
        st.builds(ArrayMove, *place, _index_paths(), _UINT32, _UINT32),
        st.builds(ArrayErase, *place, _index_paths(), _UINT32),
        st.builds(Clear, *place, _paths(), _COLLECTIONS),
        _with_payload(SetInsert, _paths()),
        _with_payload(SetErase, _paths()),
        st.builds(EraseTable, texts()),
        st.builds(EraseColumn, texts(), texts()),
        _new_classes(),
        _new_properties(),
    )


# --- changesets -------------------------------------------------------------------------------------------------------


def changesets(max_size: int = 8) -> Strategy[Changeset]:
    """Changesets of up to ``max_size`` instructions that can be encoded and decoded; they need not make sense.

    ``strings`` holds the interned strings as the recording style numbers them.
    """
    return st.lists(instructions(), max_size=max_size).map(lambda made: decode(encode_recorded(made)))


@st.composite
def damaged_changesets(draw: st.DrawFn) -> bytes:
    """Encoded changesets with bytes changed, removed, inserted or repeated. Some are valid all the same."""
    data = bytearray(encode(draw(changesets(4))) or b"\x01\x00")
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 4)))
        data[start:stop] = draw(st.one_of(st.binary(max_size=4), st.just(bytes(data[start:stop]) * 2)))
    return bytes(data)


@st.composite
def invalid_changesets(draw: st.DrawFn) -> bytes:
    """Bytes that no reader may accept: a valid changeset, and after it one record that is wrong or cut off."""
    changeset = draw(changesets(4))
    data = encode(changeset)
    count = len(changeset.strings) if data else 0
    if not count:
        data = bytes.fromhex("3f0000")  # string 0 is the empty one: something to name a class by
        count = 1
    record = draw(st.sampled_from(_WRONG_RECORDS)).replace("N", encode_integer(count).hex())
    return data + bytes.fromhex(record)


#: What is wrong after ``N`` strings were defined (spec/changesets.md §2.3, §4, §5, §6).
_WRONG_RECORDS: Final = (
    "01",  # EraseTable of nothing: the input ends
    "0f",  # no such instruction
    "8202",  # instruction 258
    "0140",  # a negative index
    "01ffffffffff00",  # an integer of too many bytes
    "01N",  # a string that is not defined
    "3fN05",  # a string whose bytes are missing
    "3fN01ff3fN00",  # a number given twice
    "3fN03ff00ff3f",  # the next record ends at once
    "020005",  # no type of an object key
    "0400010100000c",  # no type of a value
    "04000101000040",  # a GlobalKey as a value
    "040001010000030f",  # a string value that is longer than the input
    "0400010100000500bfffff0f",  # a time of day that ends early
    "0800010100000000",  # ArrayInsert without an index in its path
    "0b000101000004",  # Clear of a collection of no type
    "0000030000",  # a class of no kind
)
