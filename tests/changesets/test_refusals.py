"""What the decoder must refuse, and that nothing makes it fail in another way (spec/changesets.md §2.3, §3, §6.1)."""

from __future__ import annotations

import random
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.changesets import strategies
from tests.changesets.test_specification import EXAMPLES

from syncline.changesets.codec import decode, encode, encode_integer, encode_recorded
from syncline.changesets.instructions import Instruction, Update
from syncline.changesets.limits import MAX_STRING_SIZE
from syncline.errors import BadChangesetError
from syncline.values import kinds

P = "3f000150 "  # string 0 = "P"
I = "3f000150 3f010169 "  # and string 1 = "i"

ACCEPTED = [
    ("", 0),
    ("3f0000", 0),
    ("3f0002c328", 0),
    (P + "020001ff7f", 1),
    (P + "0080000000 4000", 1),  # table type and boolean over-long
    (P + "3f010161 8000 00 00 01 01 00", 1),  # code 0 over-long
    (I + "0b000101010000", 1),  # Clear of an unspecified collection, as old clients write it
    (I + "0b000101010003", 1),
    (I + "0400010101 02 40010204 0005", 1),  # ['i'][2]: prior size
    (I + "0400010101 02 0240 01 0001", 1),  # [2]['i']: is_default
    (I + "0400010101 01 4501 0001", 1),  # any negative number announces a string
]

REFUSED = [
    ("3f00", "ends inside"),
    ("3f010150", "unexpected intern index 1"),
    (P + "3f010150", "defined twice"),
    ("80003f", "used before it is defined|ends inside"),
    ("3e", "unknown instruction 62"),
    ("0e", "unknown instruction 14"),
    ("8202", "unknown instruction 258"),  # not CreateObject
    ("ffff", "ends inside"),
    (P + "020007", "no type of an object key"),
    (P + "020009", "no type of an object key"),
    (P + "020041", "no type of an object key"),
    (P + "0240", "string index -1 is out of range"),
    (P + "020001ffffffffffffffffff02", "out of range"),
    (P + "0201 00", "string 1 is used before it is defined"),
    (P + "000003", "unknown table type 3"),
    (P + "000040", "table type -1"),
    (P + "00000000 0000", "null is no type of a primary key"),
    (P + "00000000 0200", "bool is no type of a primary key"),
    (P + "00000000 0900", "no type of a primary key"),
    (I + "060001000004", "unknown collection type 4"),
    (I + "060001400000", "globalKey is no type of a property"),
    (I + "060001410000", "object is no type of a property"),
    (I + "060001450000", "set is no type of a property"),
    (I + "06000101000201", "keys of a dictionary are strings"),
    (I + "06000101000240", "keys of a dictionary are strings"),
    (I + "080001010100010100", "ArrayInsert without an index"),
    (I + "0800010101 01 4001 0101 00", "ArrayInsert without an index"),
    (I + "0900010101 00 00 00", "ArrayMove without an index"),
    (I + "0a00010101 00 00", "ArrayErase without an index"),
    (I + "0400010101004000 00", "a GlobalKey is no value"),
    (I + "04000101010046 00", "unknown type code -7"),
    (I + "0400010101007f00", "unknown type code -64"),
    (I + "04000101010080 0400", "unknown type code 512"),  # not Null
    (I + "0400010101000c00", "unknown type code 12"),
    (I + "0b000101010004", "unknown collection type 4"),
    (I + "0b000101010040", "out of range"),
    (I + "0400010101000501 80808080c000 00", "timestamp out of range"),
    (I + "0400010101000501 80 94ebdc03 00", "timestamp out of range"),  # 10**9 nanoseconds
    (I + "0400010101000501 40 00", "mixed signs"),
    (I + "0400010101000540 01 00", "mixed signs"),
    (I + "04000101010008" + "ff" * 17 + "000000", "more than 17 bytes"),
    (I + "04000101010008" + "ff" * 16 + "7f0000 00", "113 bits"),
    (I + "0400010101000800 ffff7f 0000", "14 bits"),
    (I + "0400010101000800 00 ffffffff0f", "sign of a decimal"),
    ("3f00ffffff0700", "16777215 bytes"),
    ("3f00" + encode_integer(MAX_STRING_SIZE + 1).hex(), "16777200 bytes"),
    ("3f00" + encode_integer(2**63).hex(), "bytes"),
    ("3f0003ff", "3 bytes announced, 1 left"),
    (I + "04000101010004" + encode_integer(2**40).hex(), "bytes announced"),
    (I + "0400010101000a0000", "12 bytes announced, 2 left"),
    (I + "0400010101000600", "4 bytes announced, 1 left"),
    (I + "0400010101" + encode_integer(1001).hex(), "a path of 1001 elements"),
    (I + "0400010101" + encode_integer(2**32).hex(), "path length 4294967296 is out of range"),
    (I + "040001010101" + encode_integer(2**32).hex() + "00 00", "path index 4294967296 is out of range"),
    (I + "0400010101 01 00 00" + encode_integer(2**32).hex(), "prior size 4294967296 is out of range"),
    (I + "0400010101 00 02 8080 01", "more than 2 bytes"),
    (I + "0400010101 00 02 ff03 ff04", "out of range"),
]


@pytest.mark.parametrize(("digits", "count"), ACCEPTED)
def test_accepted(digits: str, count: int) -> None:
    assert len(decode(bytes.fromhex(digits)).instructions) == count


@pytest.mark.parametrize(("digits", "message"), REFUSED)
def test_refused(digits: str, message: str) -> None:
    with pytest.raises(BadChangesetError, match=message):
        decode(bytes.fromhex(digits))


def test_the_error_names_the_place() -> None:
    with pytest.raises(BadChangesetError) as caught:
        decode(bytes.fromhex(P + "0100 0100 3e"))
    assert caught.value.instruction == 2
    assert caught.value.offset == 9
    assert "at byte 9 (instruction 2)" in str(caught.value)


def test_limits_can_be_set() -> None:
    data = bytes.fromhex(P + "0100 0100 0100")
    assert len(decode(data, max_instructions=3).instructions) == 3
    with pytest.raises(BadChangesetError, match="more than 2 instructions"):
        decode(data, max_instructions=2)
    path = bytes.fromhex(I + "0400010101 03 010101 00 00")
    assert len(decode(path, max_path_length=3).instructions) == 1
    with pytest.raises(BadChangesetError, match="a path of 3 elements, more than 2"):
        decode(path, max_path_length=2)


def test_every_example_fails_when_cut_inside_a_record() -> None:
    for example in EXAMPLES:
        whole = decode(example.data)
        for size in range(len(example.data)):
            try:
                part = decode(example.data[:size])
            except BadChangesetError:
                continue
            assert part.instructions == [] or len(part.instructions) <= len(whole.instructions)  # cut between records
            assert part.strings == whole.strings[: len(part.strings)]


def test_announced_sizes_allocate_nothing() -> None:
    tracemalloc.start()
    for data in (
        bytes.fromhex(I + "04000101010004") + encode_integer(2**62),
        bytes.fromhex("3f00") + encode_integer(MAX_STRING_SIZE),
        bytes.fromhex(I + "0400010101") + encode_integer(1000),
    ):
        with pytest.raises(BadChangesetError):
            decode(data)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_deep_paths_need_no_recursion() -> None:
    deep = Update("A", 1, "f", tuple(range(1000)), kinds.INT, 1, prior_size=1)
    again = decode(encode_recorded([deep])).instructions[0]
    assert isinstance(again, Update)
    assert again.path == deep.path


def test_many_small_records_take_linear_time() -> None:
    data = bytes.fromhex(P) + b"\x01\x00" * 200_000
    start = time.process_time()
    assert len(decode(data).instructions) == 200_000
    assert time.process_time() - start < 20  # a second at most; quadratic would take hours


def _survives(data: bytes) -> None:
    """Decoding either works, and encoding again too, or raises the one error."""
    try:
        changeset = decode(data)
    except BadChangesetError:
        return
    again = decode(encode(changeset))
    assert len(again.instructions) == len(changeset.instructions)


def test_random_mutations_of_the_examples() -> None:
    generator = random.Random(20)
    samples = [example.data for example in EXAMPLES]
    for _ in range(20_000):
        data = bytearray(generator.choice(samples))
        for _ in range(generator.randint(1, 3)):
            position = generator.randrange(len(data) + 1)
            choice = generator.randrange(4)
            if choice == 0:
                data.insert(position, generator.randrange(256))
            elif choice == 1:
                del data[position : position + generator.randint(1, 3)]
            elif choice == 2 and position < len(data):
                data[position] = generator.randrange(256)
            else:
                data += generator.choice(samples)[: generator.randrange(20)]
        _survives(bytes(data))


@given(st.binary(max_size=60))
def test_random_bytes(data: bytes) -> None:
    _survives(data)
    _survives(bytes.fromhex(I) + data)


@settings(max_examples=50)
@given(st.lists(strategies.instructions, min_size=1, max_size=3))
def test_random_instructions_cut_anywhere(made: list[Instruction]) -> None:
    data = encode_recorded(made)
    for size in range(len(data)):
        _survives(data[:size])
