"""The variable-length integers (spec/changesets.md §2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.changesets.codec import decode, encode_integer
from syncline.changesets.instructions import AddInteger
from syncline.errors import BadChangesetError
from syncline.values import GlobalKey

EXAMPLES = """
0 00|1 01|63 3f|64 c0 00|127 ff 00|128 80 01|300 ac 02|8191 ff 3f|8192 80 c0 00|16384 80 80 01|1000000 c0 84 3d
-1 40|-2 41|-63 7e|-64 7f|-65 c0 40|-128 ff 40|-129 80 41|-8192 ff 7f|-8193 80 c0 40|-1000000 bf 84 7d
2147483647 ff ff ff ff 07|-2147483648 ff ff ff ff 47|4294967295 ff ff ff ff 0f
9223372036854775807 ff ff ff ff ff ff ff ff ff 00|-9223372036854775808 ff ff ff ff ff ff ff ff ff 40
-9223372036854775807 fe ff ff ff ff ff ff ff ff 40|9223372036854775808 80 80 80 80 80 80 80 80 80 01
18446744073709551615 ff ff ff ff ff ff ff ff ff 01
"""
TABLE = [row.split(" ", 1) for line in EXAMPLES.split("\n") for row in line.split("|") if row]

#: AddInteger in object 0 of class "A", property "A": what follows is its value.
PREFIX = bytes.fromhex("3f000141 0500010000 00")


def read(data: bytes) -> int:
    """A signed 64-bit integer."""
    instruction = decode(PREFIX + data).instructions[0]
    assert isinstance(instruction, AddInteger)
    return instruction.value


def read_unsigned(data: bytes) -> int:
    """An unsigned 64-bit integer: the low half of a GlobalKey."""
    key = decode(bytes.fromhex("3f000141 02004000") + data).instructions[0].key  # type: ignore[attr-defined]
    assert isinstance(key, GlobalKey)
    return key.lo


@pytest.mark.parametrize(("number", "encoded"), TABLE)
def test_examples_of_the_specification(number: str, encoded: str) -> None:
    value, data = int(number), bytes.fromhex(encoded)
    assert encode_integer(value) == data
    if value < 2**63:
        assert read(data) == value
    if value >= 0:
        assert read_unsigned(data) == value


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_integers_survive(value: int) -> None:
    assert read(encode_integer(value)) == value


@given(st.integers(0, 2**64 - 1))
def test_unsigned_integers_survive(value: int) -> None:
    assert read_unsigned(encode_integer(value)) == value


@pytest.mark.parametrize(
    ("encoded", "value"), [("8000", 0), ("c040", -65), ("808080808000", 0), ("81" + "80" * 8 + "00", 1)]
)
def test_over_long_forms_are_read(encoded: str, value: int) -> None:
    assert read(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "80",
        "ffffffffffffffffff",
        "ff" * 9 + "02",  # 2**63 and more
        "80" * 9 + "01",
        "80" * 9 + "41",  # below -2**63
        "80" * 10 + "00",  # eleven bytes
    ],
)
def test_signed_integers_that_are_refused(encoded: str) -> None:
    with pytest.raises(BadChangesetError):
        read(bytes.fromhex(encoded))


@pytest.mark.parametrize("encoded", ["40", "41", "ff40", "80" * 9 + "02", "80" * 9 + "40", "80" * 10 + "01"])
def test_unsigned_integers_that_are_refused(encoded: str) -> None:
    with pytest.raises(BadChangesetError):
        read_unsigned(bytes.fromhex(encoded))
