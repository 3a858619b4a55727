"""Random instructions for property tests."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import strategies as st

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
from syncline.values import Decimal128, GlobalKey, Link, ObjectId, Timestamp, kinds

INT64 = st.integers(-(2**63), 2**63 - 1)
UINT32 = st.integers(0, 2**32 - 1)
UINT64 = st.integers(0, 2**64 - 1)

#: Any bytes, as the codec carries them: what is not UTF-8 becomes surrogates.
texts = st.one_of(
    st.sampled_from(["", "A", "Dog", "name", "été"]),
    st.text(max_size=8),
    st.binary(max_size=6).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)
object_ids = st.binary(min_size=12, max_size=12).map(ObjectId)
uuids = st.binary(min_size=16, max_size=16).map(lambda raw: UUID(bytes=raw))
keys = st.one_of(st.none(), INT64, texts, object_ids, uuids, st.builds(GlobalKey, UINT64, UINT64))
paths = st.lists(st.one_of(UINT32, texts), max_size=4).map(tuple)
index_paths = st.tuples(paths, UINT32).map(lambda pair: (*pair[0], pair[1]))
timestamps = st.builds(Timestamp.normalised, st.integers(-(2**63) + 2, 2**63 - 2), st.integers(-(10**9), 10**9))
decimals = st.builds(Decimal128, st.integers(0, 2**113 - 1), st.integers(-6176, 10207), st.booleans()).filter(
    lambda value: not value.is_null()
)

VALUES: dict[int, st.SearchStrategy[Any]] = {
    kinds.NULL: st.none(),
    kinds.INT: INT64,
    kinds.BOOL: st.booleans(),
    kinds.STRING: texts,
    kinds.BINARY: st.binary(max_size=200),
    kinds.TIMESTAMP: timestamps,
    kinds.FLOAT: st.floats(width=32),
    kinds.DOUBLE: st.floats(),
    kinds.DECIMAL: decimals,
    kinds.LINK: st.builds(Link, texts, keys),
    kinds.OBJECT_ID: object_ids,
    kinds.UUID: uuids,
    kinds.OBJECT: st.none(),
    kinds.DICTIONARY: st.none(),
    kinds.ERASED: st.none(),
    kinds.LIST: st.none(),
    kinds.SET: st.none(),
}
payloads = st.sampled_from(sorted(VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind]))
collections = st.integers(0, 3)


@st.composite
def updates(draw: st.DrawFn) -> Update:
    path = draw(paths)
    kind, value = draw(payloads)
    if path and isinstance(path[-1], int):
        return Update(draw(texts), draw(keys), draw(texts), path, kind, value, False, draw(UINT32))
    return Update(draw(texts), draw(keys), draw(texts), path, kind, value, draw(st.booleans()))


@st.composite
def new_classes(draw: st.DrawFn) -> AddTable:
    kind = draw(st.sampled_from([kinds.TOP_LEVEL, kinds.EMBEDDED, kinds.ASYMMETRIC]))
    if kind == kinds.EMBEDDED:
        return AddTable(draw(texts), kind, "", kinds.GLOBAL_KEY, False)
    return AddTable(draw(texts), kind, draw(texts), draw(st.sampled_from(kinds.KEY_KINDS)), draw(st.booleans()))


@st.composite
def new_properties(draw: st.DrawFn) -> AddColumn:
    kind = draw(st.integers(kinds.MIXED, kinds.UUID))
    target = draw(texts) if kind == kinds.LINK else ""
    return AddColumn(draw(texts), draw(texts), kind, draw(st.booleans()), draw(collections), target, kinds.STRING)


def with_payload(cls: Any, paths: st.SearchStrategy[Any], *more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(texts, keys, texts, paths, payloads, *more).map(lambda t: cls(*t[:4], *t[4], *t[5:]))


instructions: st.SearchStrategy[Instruction] = st.one_of(
    updates(),
    with_payload(ArrayInsert, index_paths, UINT32),
    with_payload(SetInsert, paths),
    with_payload(SetErase, paths),
    st.builds(CreateObject, texts, keys),
    st.builds(EraseObject, texts, keys),
    st.builds(AddInteger, texts, keys, texts, paths, INT64),
    st.builds(ArrayMove, texts, keys, texts, index_paths, UINT32, UINT32),
    st.builds(ArrayErase, texts, keys, texts, index_paths, UINT32),
    st.builds(Clear, texts, keys, texts, paths, collections),
    st.builds(EraseTable, texts),
    st.builds(EraseColumn, texts, texts),
    new_classes(),
    new_properties(),
)
