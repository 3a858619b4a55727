"""Changesets with a fault in them: one error, which names byte and instruction, in bounded time and memory."""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.changesets.handmade import CHANGESETS

from syncline.changesets.codec import decode, encode, encode_integer, encode_recorded
from syncline.changesets.instructions import Update
from syncline.changesets.limits import MAX_PATH_LENGTH, MAX_STRING_SIZE
from syncline.errors import ChangesetLimitError, MalformedChangesetError, TruncatedChangesetError
from syncline.values import kinds

HEAD = bytes.fromhex("3f000150 3f010169")  # strings 0 = "P", 1 = "i"
#: In front of the path of an Update of P[1].i.
UPDATE = HEAD + bytes.fromhex("0400010101")
#: Integers of all sizes a length or index could be announced with.
ABSURD = [1 << shift for shift in range(2, 64, 6)] + [(1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1]


def refusal(data: bytes) -> MalformedChangesetError | None:
    """The error of decoding, which must be complete; None if ``data`` can be decoded, and then encoded and so on."""
    error: MalformedChangesetError | None = None
    try:
        changeset = decode(data)
    except MalformedChangesetError as caught:
        error = caught
    if error is None:
        canonical = encode(changeset)
        assert encode(decode(canonical)) == canonical
        return None
    assert error.offset is not None
    assert 0 <= error.offset <= len(data)
    assert error.instruction is not None
    assert error.subject
    assert len(str(error)) < 1200
    return error


def faults_at(data: bytes, position: int) -> Iterator[bytes]:
    """Single faults at one byte."""
    for bit in range(8):
        yield data[:position] + bytes((data[position] ^ (1 << bit),)) + data[position + 1 :]
    for byte in (0x00, 0x3F, 0x40, 0x7F, 0x80, 0xFF):
        yield data[:position] + bytes((byte,)) + data[position:]
        yield data[:position] + bytes((byte,)) + data[position + 1 :]
    yield data[:position] + data[position + 1 :]
    yield data[:position] + data[position : position + 1] + data[position:]
    for size in ABSURD:
        yield data[:position] + encode_integer(size) + data[position + 1 :]


@pytest.mark.parametrize("data", CHANGESETS[:-1:4], ids=range(0, len(CHANGESETS) - 1, 4))
def test_a_single_fault_anywhere(data: bytes) -> None:
    generator = random.Random(len(data))
    positions = range(len(data)) if len(data) < 60 else sorted(generator.sample(range(len(data)), 60))
    for position in positions:
        for faulty in faults_at(data, position):
            error = refusal(faulty)
            if error is not None:
                before = refusal(faulty[: error.offset])
                assert before is None or isinstance(before, TruncatedChangesetError)  # all is well up to the offset


@given(st.sampled_from(CHANGESETS[:-1]), st.data())
def test_several_faults(data: bytes, more: st.DataObject) -> None:
    for _ in range(more.draw(st.integers(1, 4))):
        position = more.draw(st.integers(0, max(len(data) - 1, 0)))
        inserted = more.draw(st.one_of(st.binary(max_size=3), st.sampled_from(ABSURD).map(encode_integer)))
        removed = more.draw(st.integers(0, 3))
        data = data[:position] + inserted + data[position + removed :]
    refusal(data)


@given(st.sampled_from(CHANGESETS[:-1]), st.sampled_from(CHANGESETS[:-1]), st.data())
def test_parts_of_two_changesets(one: bytes, other: bytes, more: st.DataObject) -> None:
    refusal(one[: more.draw(st.integers(0, len(one)))] + other[more.draw(st.integers(0, len(other))) :])


@settings(max_examples=200)
@given(st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    refusal(data)
    refusal(UPDATE + data)


@pytest.mark.parametrize("size", ABSURD[4:])
def test_announced_sizes_allocate_nothing(size: int) -> None:
    announced = encode_integer(size)
    tracemalloc.start()
    try:
        for data in (
            b"\x3f\x00" + announced,  # a string
            b"\x3f" + announced,  # its index
            UPDATE + b"\x00\x03" + announced,  # a value: string, binary
            UPDATE + b"\x00\x04" + announced,
            UPDATE + announced,  # a path
            HEAD + b"\x02" + announced,  # an index of a string
            UPDATE + b"\x01" + announced,  # an index in a path, and nothing more
        ):
            assert refusal(data) is not None
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_bad_changeset_takes_no_more_memory_than_a_good_one() -> None:
    good = encode_recorded([Update("P", number, "i", (), kinds.INT, number) for number in range(5_000)])
    for data, problem in ((good + b"\x3e", True), (good[:-1], True), (good, False)):
        tracemalloc.start()
        assert (refusal_only(data) is not None) is problem
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 40 * len(data)


def refusal_only(data: bytes) -> MalformedChangesetError | None:
    try:
        decode(data)
    except MalformedChangesetError as error:
        return error
    return None


def test_paths_as_deep_as_allowed_and_one_deeper() -> None:
    for steps in (b"\x02", b"\x40\x01"):
        path = encode_integer(MAX_PATH_LENGTH) + steps * MAX_PATH_LENGTH
        update = decode(UPDATE + path + b"\x00\x00").instructions[0]
        assert isinstance(update, Update)
        assert len(update.path) == MAX_PATH_LENGTH
        assert decode(encode(decode(UPDATE + path + b"\x00\x00"))).instructions[0].__repr__() == repr(update)
        with pytest.raises(ChangesetLimitError, match="a path of 1001 elements, more than 1000 at byte 13"):
            decode(UPDATE + encode_integer(MAX_PATH_LENGTH + 1) + steps * (MAX_PATH_LENGTH + 1) + b"\x00\x00")
    too_deep = Update("P", 1, "i", (*range(MAX_PATH_LENGTH), "k"), kinds.NULL, None)
    for write in (encode_recorded, lambda made: encode_recorded([made[0]], {0: "E"})):
        with pytest.raises(
            ChangesetLimitError, match=r"a path of 1001 elements, more than 1000 \(instruction 0: Update"
        ):
            write([too_deep])


def test_longest_strings_and_one_byte_more() -> None:
    for front in (b"\x3f\x00", UPDATE + b"\x00\x03"):
        assert isinstance(refusal_only(front + encode_integer(MAX_STRING_SIZE)), TruncatedChangesetError)
        assert isinstance(refusal_only(front + encode_integer(MAX_STRING_SIZE + 1)), ChangesetLimitError)


@pytest.mark.parametrize("part", ["0100", "0b000101000000", "040040000000000000"])
def test_work_grows_with_the_size_and_no_faster(part: str) -> None:
    """Counted in calls of functions; compiled ones are not seen, and do the same."""

    def calls(count: int) -> int:
        seen = 0

        def count_calls(frame: object, event: str, argument: object) -> None:
            nonlocal seen
            seen += event in ("call", "c_call")

        data = HEAD + bytes.fromhex(part) * count + b"\x3e"
        sys.setprofile(count_calls)
        try:
            refusal_only(data)
        finally:
            sys.setprofile(None)
        return seen

    assert calls(4000) <= 4 * calls(1000) + 100
