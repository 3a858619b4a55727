"""What the decoder must refuse, and what it says then (spec/changesets.md §2.3, §3, §6.1)."""

from __future__ import annotations

import pytest

from syncline.changesets.codec import decode, encode_integer, encode_recorded
from syncline.changesets.instructions import CreateObject, EraseTable, Update
from syncline.changesets.limits import MAX_STRING_SIZE
from syncline.errors import BadChangesetError, ChangesetLimitError, MalformedChangesetError, TruncatedChangesetError
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

#: What is read, the first bad byte, what is wrong with it, and what the record is as far as it was read.
REFUSED = [
    ("3f00", 2, "ends inside", "InternString 0"),
    ("3f010150", 1, "unexpected intern index 1", "InternString 1"),
    (P + "3f010150", 6, "string 1 is defined already, as string 0", "InternString 1"),
    ("80003f", 2, "string 63 is used before it is defined", "AddTable"),
    ("3e", 0, "unknown instruction 62", "a record"),
    ("0e", 0, "unknown instruction 14", "a record"),
    ("8202", 0, "unknown instruction 258", "a record"),  # not CreateObject
    ("ffff", 0, "ends inside", "a record"),
    (P + "020007", 6, "no type of an object key", "CreateObject of P"),
    (P + "020009", 6, "no type of an object key", "CreateObject of P"),
    (P + "020041", 6, "no type of an object key", "CreateObject of P"),
    (P + "0240", 5, "string index -1 is out of range", "CreateObject"),
    (P + "020001ffffffffffffffffff02", 7, "out of range", "CreateObject of P"),
    (P + "0201 00", 5, "string 1 is used before it is defined", "CreateObject"),
    (P + "000003", 6, "unknown table type 3", "AddTable of P"),
    (P + "000040", 6, "table type -1", "AddTable of P"),
    (P + "00000000 0000", 8, "null is no type of a primary key", "AddTable of P"),
    (P + "00000000 0200", 8, "bool is no type of a primary key", "AddTable of P"),
    (P + "00000000 0900", 8, "no type of a primary key", "AddTable of P"),
    (I + "060001000004", 13, "unknown collection type 4", "AddColumn of P.i"),
    (I + "060001400000", 11, "globalKey is no type of a property", "AddColumn of P.i"),
    (I + "060001410000", 11, "object is no type of a property", "AddColumn of P.i"),
    (I + "060001450000", 11, "set is no type of a property", "AddColumn of P.i"),
    (I + "06000101000201", 14, "keys of a dictionary are strings", "AddColumn of P.i"),
    (I + "06000101000240", 14, "keys of a dictionary are strings", "AddColumn of P.i"),
    (I + "080001010100010100", 13, "does not end in an index", "ArrayInsert of P[1].i"),
    (I + "0800010101 01 4001 0101 00", 13, "does not end in an index", "ArrayInsert of P[1].i"),
    (I + "0900010101 00 00 00", 13, "does not end in an index", "ArrayMove of P[1].i"),
    (I + "0a00010101 00 00", 13, "does not end in an index", "ArrayErase of P[1].i"),
    (I + "0400010101004000 00", 14, "a GlobalKey is no value", "Update of P[1].i"),
    (I + "04000101010046 00", 14, "unknown type code -7", "Update of P[1].i"),
    (I + "0400010101007f00", 14, "unknown type code -64", "Update of P[1].i"),
    (I + "04000101010080 0400", 14, "unknown type code 512", "Update of P[1].i"),  # not Null
    (I + "0400010101000c00", 14, "unknown type code 12", "Update of P[1].i"),
    (I + "0b000101010004", 14, "unknown collection type 4", "Clear of P[1].i"),
    (I + "0b000101010040", 14, "out of range", "Clear of P[1].i"),
    (I + "0400010101000501 80808080c000 00", 15, "timestamp out of range", "Update of P[1].i"),
    (I + "0400010101000501 80 94ebdc03 00", 15, "timestamp out of range", "Update of P[1].i"),  # 10**9 nanoseconds
    (I + "0400010101000501 40 00", 15, "mixed signs", "Update of P[1].i"),
    (I + "0400010101000540 01 00", 15, "mixed signs", "Update of P[1].i"),
    (I + "04000101010008" + "ff" * 17 + "000000", 15, "more than 17 bytes", "Update of P[1].i"),
    (I + "04000101010008" + "ff" * 16 + "7f0000 00", 15, "113 bits", "Update of P[1].i"),
    (I + "0400010101000800 ffff7f 0000", 15, "14 bits", "Update of P[1].i"),
    (I + "0400010101000800 00 ffffffff0f", 15, "sign of a decimal", "Update of P[1].i"),
    ("3f00ffffff0700", 2, "16777215 bytes", "InternString 0"),
    ("3f00" + encode_integer(MAX_STRING_SIZE + 1).hex(), 2, "16777200 bytes", "InternString 0"),
    ("3f00" + encode_integer(2**63).hex(), 2, "bytes", "InternString 0"),
    ("3f0003ff", 3, "3 bytes announced, 1 left", "InternString 0"),
    (I + "04000101010004" + encode_integer(2**40).hex(), 21, "bytes announced", "Update of P[1].i"),
    (I + "0400010101000a0000", 15, "12 bytes announced, 2 left", "Update of P[1].i"),
    (I + "0400010101000600", 15, "4 bytes announced, 1 left", "Update of P[1].i"),
    (I + "0400010101" + encode_integer(1001).hex(), 13, "a path of 1001 elements", "Update of P[1].i"),
    (I + "0400010101" + encode_integer(2**32).hex(), 13, "path length 4294967296 is out of range", "Update of P[1].i"),
    (
        I + "040001010101" + encode_integer(2**32).hex() + "00 00",
        14,
        "path index 4294967296 is out of range",
        "Update of P[1].i",
    ),
    (
        I + "0400010101 01 00 00" + encode_integer(2**32).hex(),
        16,
        "prior size 4294967296 is out of range",
        "Update of P[1].i",
    ),
    (I + "0400010101 00 02 8080 01", 15, "more than 2 bytes", "Update of P[1].i"),
    (I + "0400010101 00 02 ff03 ff04", 15, "out of range", "Update of P[1].i"),
]


@pytest.mark.parametrize(("digits", "count"), ACCEPTED)
def test_accepted(digits: str, count: int) -> None:
    assert len(decode(bytes.fromhex(digits)).instructions) == count


@pytest.mark.parametrize(("digits", "offset", "reason", "subject"), REFUSED)
def test_refused(digits: str, offset: int, reason: str, subject: str) -> None:
    with pytest.raises(MalformedChangesetError) as caught:
        decode(bytes.fromhex(digits))
    error = caught.value
    assert reason in error.reason
    assert (error.offset, error.instruction, error.subject) == (offset, 0, subject)
    assert str(error) == f"{error.reason} at byte {offset} (instruction 0: {subject})"


def test_the_error_names_the_instruction_by_number() -> None:
    with pytest.raises(BadChangesetError) as caught:
        decode(bytes.fromhex(P + "0100 0100 3e"))
    assert caught.value.instruction == 2
    assert caught.value.offset == 8
    assert str(caught.value) == "unknown instruction 62 at byte 8 (instruction 2: a record)"


def test_the_kind_of_error_tells_what_to_look_for() -> None:
    for digits, kind in (
        ("3f0003ff", TruncatedChangesetError),
        (I + "0400010101", TruncatedChangesetError),
        ("3f00ffffff0700", ChangesetLimitError),
        (I + "0400010101" + encode_integer(1001).hex(), ChangesetLimitError),
        ("3e", MalformedChangesetError),
    ):
        with pytest.raises(MalformedChangesetError) as caught:
            decode(bytes.fromhex(digits))
        assert type(caught.value) is kind


def test_an_error_shows_no_more_of_a_name_than_fits_a_line() -> None:
    for name, shown in (
        ("x" * 100_000, "x" * 64 + "…"),
        ("a\nb", "a\\nb"),
        ("\udcff", "\\udcff"),
    ):
        data = encode_recorded([EraseTable(name), CreateObject(name, name)])
        with pytest.raises(BadChangesetError) as caught:
            decode(data[:-1])
        assert caught.value.subject == f"CreateObject of {shown}"
    with pytest.raises(BadChangesetError) as caught:
        decode(encode_recorded([Update("A", "secret", "f", (), kinds.STRING, "secret")])[:-3])
    assert caught.value.subject == "Update of A[…].f"
    assert "secret" not in str(caught.value)


def test_reasons_are_cut() -> None:
    assert len(str(BadChangesetError("x" * 1_000_000))) < 1100


def test_limits_can_be_set() -> None:
    data = bytes.fromhex(P + "0100 0100 0100")
    assert len(decode(data, max_instructions=3).instructions) == 3
    with pytest.raises(BadChangesetError, match="more than 2 instructions"):
        decode(data, max_instructions=2)
    path = bytes.fromhex(I + "0400010101 03 010101 00 00")
    assert len(decode(path, max_path_length=3).instructions) == 1
    with pytest.raises(BadChangesetError, match="a path of 3 elements, more than 2"):
        decode(path, max_path_length=2)
