"""Changesets cut at each byte: between records what is left is whole, anywhere else the error says where it ends."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from tests.changesets.handmade import CHANGESETS, EVERYTHING
from tests.changesets.test_specification import EXAMPLES

from syncline.changesets.codec import decode, encode, offset_of
from syncline.changesets.instructions import FIELDS
from syncline.errors import ChangesetLimitError, TruncatedChangesetError
from syncline.values import kinds

VECTORS = Path(__file__).parents[1] / "vectors" / "changesets.jsonl"


def vector_changesets() -> list[bytes]:
    with VECTORS.open(encoding="utf-8") as lines:
        return [bytes.fromhex(json.loads(line)["changeset"]) for line in lines]


def record_starts(data: bytes) -> list[int]:
    """Where the instructions begin, then the end; definitions of strings belong to what follows them."""
    count = len(decode(data).instructions)
    starts = [offset_of(data, number) for number in range(count)]
    return [start for start in starts if start is not None] + [len(data)]


def cut_everywhere(data: bytes) -> int:
    """Cut at each byte; the number of cuts that were refused."""
    whole = decode(data)
    read = 0
    refused = 0
    for size in range(len(data) + 1):
        refusal: TruncatedChangesetError | None = None
        try:
            part = decode(data[:size])
        except TruncatedChangesetError as error:
            refusal = error
        if refusal is None:
            read = len(part.instructions)
            assert part.strings == whole.strings[: len(part.strings)]
            continue
        refused += 1
        assert refusal.offset is not None
        assert refusal.offset <= size
        assert refusal.instruction == read
        assert refusal.subject
        assert str(refusal).endswith(f" at byte {refusal.offset} (instruction {read}: {refusal.subject})")
    assert read == len(whole.instructions)
    return refused


def test_the_handmade_changesets_have_everything() -> None:
    assert {instruction.opcode for instruction in EVERYTHING} == set(range(len(FIELDS)))
    payloads = {getattr(instruction, "kind", None) for instruction in EVERYTHING} - {None}
    assert payloads == {*range(kinds.SET, kinds.GLOBAL_KEY), *range(kinds.NULL, kinds.UUID + 1)}
    for data in CHANGESETS:
        assert encode(decode(encode(decode(data)))) == encode(decode(data))


@pytest.mark.parametrize("data", CHANGESETS[:-1], ids=range(len(CHANGESETS) - 1))
def test_handmade_changesets(data: bytes) -> None:
    assert cut_everywhere(data) > len(data) / 2


def test_changesets_of_the_specification() -> None:
    for example in EXAMPLES:
        cut_everywhere(example.data)


def test_changesets_of_the_vectors() -> None:
    refused = sum(cut_everywhere(data) for data in vector_changesets())
    assert refused > 10_000


def test_where_instructions_begin() -> None:
    data = CHANGESETS[-1]
    starts = record_starts(data)
    assert len(starts) == len(EVERYTHING) + 1
    assert starts == sorted(set(starts))
    for number, (start, stop) in enumerate(pairwise(starts)):
        assert data[start] == EVERYTHING[number].opcode
        assert len(decode(data[:start]).instructions) == number
        assert start < stop
    assert offset_of(data, len(EVERYTHING)) is None
    assert offset_of(b"", 0) is None


def test_the_limit_of_instructions_names_the_first_one_too_many() -> None:
    with pytest.raises(ChangesetLimitError) as caught:
        decode(CHANGESETS[-1], max_instructions=3)
    assert (caught.value.offset, caught.value.instruction) == (offset_of(CHANGESETS[-1], 3), 3)
