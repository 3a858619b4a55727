"""Encoding and decoding in both styles, with strings, values and limits of every kind."""

from __future__ import annotations

import math
import struct
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, decode_detached_key, encode, encode_detached_key, encode_recorded
from syncline.changesets.describe import describe
from syncline.changesets.instructions import (
    AddColumn,
    CreateObject,
    EraseTable,
    Instruction,
    SetInsert,
    Update,
    fields_of,
)
from syncline.changesets.limits import MAX_INSTRUCTIONS, MAX_STRING_SIZE, RECORDS_PER_TURN
from syncline.errors import BadChangesetError, ChangesetLimitError, MalformedChangesetError
from syncline.testing import strategies
from syncline.values import Decimal128, GlobalKey, Key, Link, ObjectId, Timestamp, kinds


def contents(instructions: list[Instruction]) -> list[str]:
    """For comparing: by representation, so that a NaN is equal to itself and 1.0 is not 1."""
    return [repr(fields_of(instruction)) for instruction in instructions]


def set_to(kind: int, value: object) -> Update:
    return Update("A", 1, "f", (), kind, value)


def value_bytes(kind: int, value: object) -> bytes:
    """How a value is encoded, with its type code."""
    data = encode_recorded([set_to(kind, value)])
    return data[len(bytes.fromhex("3f0001413f010166040001010100")) : -1]


# --- styles -----------------------------------------------------------------------------------------------------------


def test_nothing() -> None:
    assert decode(b"").instructions == []
    assert encode(Changeset([], [])) == b""
    assert encode(Changeset([], ["unused"])) == b""
    assert encode_recorded([]) == b""


def test_recording_defines_strings_where_they_are_first_needed() -> None:
    data = encode_recorded([CreateObject("P", 1), EraseTable("P"), CreateObject("Q", "P")])
    assert data.hex(" ") == "3f 00 01 50 02 00 01 01 01 00 3f 01 01 51 02 01 03 00"


def test_re_encoding_puts_all_strings_first_also_unused_ones() -> None:
    changeset = decode(encode_recorded([CreateObject("P", 1), CreateObject("Q", 2)]))
    del changeset.instructions[0]
    assert encode(changeset).hex(" ") == "3f 00 01 50 3f 01 01 51 02 01 01 02"


def test_re_encoding_adds_strings_that_the_merge_brought_in() -> None:
    changeset = decode(encode_recorded([CreateObject("P", 1)]))
    changeset.instructions.insert(0, EraseTable("new"))
    assert encode(changeset).hex(" ") == "3f 00 01 50 3f 01 03 6e 65 77 01 01 02 00 01 01"


def test_the_absent_link_target_is_interned_like_the_original_does() -> None:
    column = AddColumn("X", "v", kinds.INT, False, kinds.SINGLE_COLLECTION, "", kinds.STRING)
    assert encode_recorded([column]).hex(" ") == "3f 00 01 58 3f 01 01 76 3f 02 00 06 00 01 01 00 00"


def test_the_embedded_class_is_interned_before_everything_else() -> None:
    inside = Update("P", 1, "e", ("s",), kinds.INT, 1)
    data = encode_recorded([CreateObject("Q", 1), inside], {1: "E"})
    assert decode(data).strings == ["Q", "E", "P", "e", "s"]
    assert contents(decode(data).instructions) == contents([CreateObject("Q", 1), inside])
    assert encode_recorded([CreateObject("E", 1), inside], {1: "E"}) == encode_recorded([CreateObject("E", 1), inside])


@settings(max_examples=300)
@given(st.lists(strategies.instructions(), max_size=8))
def test_both_styles_survive(made: list[Instruction]) -> None:
    recorded = decode(encode_recorded(made))
    assert contents(recorded.instructions) == contents(made)
    again = decode(encode(recorded))
    assert contents(again.instructions) == contents(made)
    assert again.strings == (recorded.strings if made else [])
    assert encode(again) == encode(recorded)


# --- strings ----------------------------------------------------------------------------------------------------------


def test_bytes_that_are_not_utf8_travel_unchanged() -> None:
    for raw in (b"\xc3\x28", b"\xff", b"\xed\xa0\x80", b"ok\x80"):
        length = bytes((len(raw),))
        data = b"\x3f\x00" + length + raw + b"\x04\x00\x03\x00\x00\x01\x40\x00\x03" + length + raw + b"\x00"
        changeset = decode(data)
        assert encode(changeset) == data
        assert encode_recorded(changeset.instructions) == data


def test_surrogates_that_spell_utf8_are_not_defined_twice() -> None:
    plain = "é"
    spelled = plain.encode().decode("ascii", "surrogateescape")
    data = encode_recorded([CreateObject(plain, spelled), CreateObject(spelled, plain)])
    assert decode(data).strings == [plain]


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(BadChangesetError, match="lone surrogate"):
        encode_recorded([CreateObject("\ud800", 1)])
    with pytest.raises(BadChangesetError, match="lone surrogate"):
        encode_recorded([set_to(kinds.STRING, "\udfff")])


def test_the_longest_string() -> None:
    longest = "x" * MAX_STRING_SIZE
    changeset = decode(encode_recorded([CreateObject("A", longest), set_to(kinds.STRING, longest)]))
    assert len(changeset.strings[1]) == MAX_STRING_SIZE
    with pytest.raises(BadChangesetError, match="16777200 bytes"):
        encode_recorded([CreateObject("A", longest + "x")])
    with pytest.raises(BadChangesetError, match="16777200 bytes"):
        encode_recorded([set_to(kinds.STRING, longest + "x")])


def test_one_string_for_all_uses() -> None:
    changeset = decode(encode_recorded([CreateObject("name", "name"), Update("name", "name", "name", (), 3, "name")]))
    assert changeset.strings == ["name"]
    update = changeset.instructions[1]
    assert isinstance(update, Update)
    assert update.table is update.field is changeset.strings[0]


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("10.50", "9a 08 41 00"),
        ("-1.5", "0f 40 01"),
        ("64", "c0 00 00 00"),
        ("128", "80 01 00 00"),
        ("0", "00 00 00"),
        ("-0", "00 00 01"),
        ("9.999999999999999999999999999999999E6144", "ff ff ff ff bf cc e3 c6 b7 80 9f ec ea b7 c2 f6 01 df 2f 00"),
        ("Infinity", "00 e0 c7 00 00"),
        ("-Infinity", "00 e0 c7 00 01"),
        ("NaN", "00 e0 cb 00 00"),
    ],
)
def test_decimals_of_the_specification(text: str, encoded: str) -> None:
    value = Decimal128.from_text(text)
    assert value_bytes(kinds.DECIMAL, value).hex(" ") == f"08 {encoded}"
    read = decode(encode_recorded([set_to(kinds.DECIMAL, value)])).instructions[0]
    assert isinstance(read, Update)
    assert isinstance(read.value, Decimal128)
    assert read.value.to_bytes() == value.to_bytes()


def test_the_coefficient_has_seven_bits_in_its_last_byte() -> None:
    data = bytes.fromhex("3f000141040001010000") + b"\x08\x7f\x00\x00" + b"\x00"
    update = decode(data).instructions[0]
    assert isinstance(update, Update)
    assert isinstance(update.value, Decimal128)
    assert update.value.coefficient == 127


def test_the_null_decimal_travels_as_null() -> None:
    null = Decimal128.from_bid(0x7C00_0000_0000_0000, 0xAA)
    assert value_bytes(kinds.DECIMAL, null) == b"\x00"
    data = bytes.fromhex("3f000141040001010000") + bytes.fromhex("08 aa01 e0cb00 00 00")
    update = decode(data).instructions[0]
    assert isinstance(update, Update)
    assert (update.kind, update.value) == (kinds.NULL, None)


@pytest.mark.parametrize(
    ("kind", "value", "encoded"),
    [
        (kinds.FLOAT, 1.5, "06 00 00 c0 3f"),
        (kinds.DOUBLE, -2.25, "07 00 00 00 00 00 00 02 c0"),
        (kinds.TIMESTAMP, Timestamp(1700000000, 123456789), "05 80 e2 cf aa 06 95 9a ef 3a"),
        (kinds.TIMESTAMP, Timestamp(-1, -100000000), "05 40 ff c1 d7 6f"),
        (kinds.BOOL, True, "02 01"),
        (kinds.BINARY, b"\x00\xff\x10", "04 03 00 ff 10"),
        (kinds.STRING, "", "03 00"),
        (kinds.OBJECT_ID, ObjectId("0102030405060708090a0b0c"), "0a 01 02 03 04 05 06 07 08 09 0a 0b 0c"),
        (kinds.UUID, UUID(int=1), "0b" + " 00" * 15 + " 01"),
        (kinds.LINK, Link("A", GlobalKey(7, 0)), "09 00 40 07 00"),
        (kinds.OBJECT, None, "41"),
        (kinds.DICTIONARY, None, "42"),
        (kinds.ERASED, None, "43"),
        (kinds.LIST, None, "44"),
        (kinds.SET, None, "45"),
        (kinds.NULL, None, "00"),
    ],
)
def test_values_of_the_specification(kind: int, value: object, encoded: str) -> None:
    assert value_bytes(kind, value).hex(" ") == encoded


def test_doubles_keep_every_bit() -> None:
    odd_nan = struct.unpack("<d", bytes.fromhex("0100000000f0f87f"))[0]
    for value in (odd_nan, -0.0, 5e-324, math.inf):
        read = decode(encode_recorded([set_to(kinds.DOUBLE, value)])).instructions[0]
        assert isinstance(read, Update)
        assert struct.pack("<d", read.value) == struct.pack("<d", value)


def test_any_non_zero_boolean_is_true() -> None:
    update = decode(bytes.fromhex("3f000141 040001010000 02ff01 05")).instructions[0]
    assert isinstance(update, Update)
    assert update.value is True
    assert update.is_default is True


def test_bad_instructions_are_not_sent() -> None:
    good = CreateObject("A", 1)
    for bad, reason in (
        (SetInsert("A", 1, "f", (), kinds.GLOBAL_KEY, None), "no payload has the type code -1"),
        (AddColumn("A", "f", kinds.OBJECT, False, 0, "", kinds.STRING), "object is no type of a property"),
    ):
        for write in (encode_recorded, lambda made: encode(Changeset(made, []))):
            with pytest.raises(MalformedChangesetError) as caught:
                write([good, bad])
            assert (caught.value.reason, caught.value.instruction) == (reason, 1)
            assert str(caught.value) == f"{reason} (instruction 1: {describe(bad)})"


def test_more_instructions_than_a_receiver_takes_are_not_sent() -> None:
    too_many = [EraseTable("A")] * (MAX_INSTRUCTIONS + 1)
    with pytest.raises(ChangesetLimitError, match="16777217 instructions in one changeset, more than 16777216"):
        encode(Changeset(too_many, []))


# --- keys outside changesets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        (None, "00"),
        (1, "01 01"),
        ("Ann", "03 03 41 6e 6e"),
        (ObjectId(bytes(12)), "0a" + " 00" * 12),
        (UUID(int=0), "0b" + " 00" * 16),
    ],
)
def test_detached_keys(key: Key, encoded: str) -> None:
    assert encode_detached_key(key).hex(" ") == encoded
    assert decode_detached_key(bytes.fromhex(encoded)) == key


@pytest.mark.parametrize("encoded", ["", "01", "40 07 00", "09 00", "03 05 41", "00 00", "7f"])
def test_detached_keys_that_are_refused(encoded: str) -> None:
    with pytest.raises(BadChangesetError):
        decode_detached_key(bytes.fromhex(encoded))
    with pytest.raises(ValueError, match="GlobalKey"):
        encode_detached_key(GlobalKey(1, 2))


@pytest.mark.parametrize("count", [RECORDS_PER_TURN - 1, RECORDS_PER_TURN, 2 * RECORDS_PER_TURN + 1])
def test_long_changesets_are_whole_wherever_other_threads_had_a_turn(count: int) -> None:
    instructions: list[Instruction] = [CreateObject(f"class_{number // 100}", number) for number in range(count)]
    strings = [f"class_{number}" for number in range((count - 1) // 100 + 1)]
    changeset = Changeset(instructions, strings)
    whole = encode(changeset)
    assert contents(decode(whole).instructions) == contents(instructions)
    assert decode(whole).strings == strings
    assert contents(decode(encode_recorded(instructions)).instructions) == contents(instructions)
    late = encode(Changeset(instructions, []))  # strings that turn up in the middle
    assert late == whole


def test_many_strings_and_no_instruction_let_other_threads_run() -> None:
    names = [f"class_{number}" for number in range(RECORDS_PER_TURN + 1)]
    assert decode(encode(Changeset([CreateObject("", 1)], names))).strings == [*names, ""]
