"""A batch of new objects is encoded byte for byte as one creation after the other (spec/changesets.md §9.6)."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.changesets.batches import BatchColumn, ObjectBatch, instruction_count
from syncline.changesets.codec import decode, encode_recorded
from syncline.changesets.instructions import CreateObject, Instruction, Update
from syncline.errors import ChangesetLimitError
from syncline.values import Key, Link, ObjectId, Timestamp, kinds

TEXTS = st.text(max_size=5)
KEYS: list[st.SearchStrategy[Key]] = [
    st.integers(-(1 << 63), (1 << 63) - 1),
    TEXTS,
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.uuids(),
]
VALUES: dict[int, st.SearchStrategy[object]] = {
    kinds.NULL: st.none(),
    kinds.INT: st.integers(-(1 << 63), (1 << 63) - 1),
    kinds.BOOL: st.booleans(),
    kinds.STRING: TEXTS,
    kinds.DOUBLE: st.floats(),
    kinds.TIMESTAMP: st.integers(0, 1 << 40).map(lambda seconds: Timestamp(seconds, 7)),
    kinds.LINK: st.builds(Link, st.sampled_from(["Dog", "Cat"]), TEXTS),
}


@st.composite
def batches(draw: st.DrawFn) -> ObjectBatch:
    keys = draw(st.lists(draw(st.sampled_from(KEYS)), max_size=6))
    columns = []
    for number in range(draw(st.integers(0, 3))):
        each: list[int] | None = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=len(keys), max_size=len(keys)))
        kind = draw(st.sampled_from(sorted(VALUES)))
        if draw(st.booleans()):
            each = None
        values = [draw(VALUES[kind if each is None else each[row]]) for row in range(len(keys))]
        columns.append(BatchColumn(f"p{number}", kind, each, values, draw(st.booleans())))
    return ObjectBatch("Dog", keys, columns)


def one_by_one(batch: ObjectBatch) -> list[Instruction]:
    """What a batch stands for, spelled out here."""
    result: list[Instruction] = []
    for row, key in enumerate(batch.keys):
        result.append(CreateObject(batch.table, key))
        for column in batch.columns:
            kind = column.kind if column.kinds is None else column.kinds[row]
            result.append(Update(batch.table, key, column.field, (), kind, column.values[row], column.is_default))
    return result


@given(st.lists(batches(), min_size=1, max_size=3))
def test_a_batch_is_its_instructions(some: list[ObjectBatch]) -> None:
    alone = [instruction for batch in some for instruction in one_by_one(batch)]
    between: list[Instruction] = [CreateObject("Café", "p0")]
    data = encode_recorded([*some, *between])
    assert data == encode_recorded([*alone, *between])
    assert len(decode(data).instructions) == sum(instruction_count(batch) for batch in some) + 1


def test_a_batch_of_many_is_its_instructions() -> None:
    """More than one turn, and more than one piece of output."""
    rows = 5_000
    columns = [
        BatchColumn("name", kinds.STRING, None, [f"dog {row}" for row in range(rows)], False),
        BatchColumn("friend", kinds.LINK, None, [Link("Dog", row) for row in range(rows)], True),
    ]
    for some in (columns, columns[:1]):
        batch = ObjectBatch("Dog", list(range(rows)), some)
        assert encode_recorded([batch]) == encode_recorded(one_by_one(batch))


def test_what_no_peer_could_read_is_refused() -> None:
    long = BatchColumn("name", kinds.STRING, None, ["a", "b" * 16_777_216], False)
    with pytest.raises(ChangesetLimitError, match=re.escape("a string of 16777216 bytes")):
        encode_recorded([ObjectBatch("Dog", [1, 2], [long])])


@pytest.mark.parametrize("key", ["k", UUID(int=7), None])
def test_other_keys(key: Any) -> None:
    batch = ObjectBatch("Dog", [key], [BatchColumn("age", kinds.INT, None, [3], True)])
    assert encode_recorded([batch]) == encode_recorded(one_by_one(batch))
