"""One order for values of all kinds, and byte strings that sort like it (spec/sdk.md §1.11.1, §13.3).

The order of kinds is null, bool, number, string, binary, timestamp, ObjectId, UUID, link, list, dictionary. Numbers of
all types compare by value (1 == 1.0 == Decimal("1.00"), −0 == 0), NaN is the least number and equal to itself.

A *sort key* is a byte string: comparing two keys byte by byte compares their values, and equal values have equal keys.
Sets, mixed columns, DISTINCT and SORT rest on it.
"""

from __future__ import annotations

from math import isinf, isnan
from typing import Final
from uuid import UUID

from syncline.values.decimal128 import Decimal128
from syncline.values.identity import GlobalKey, Link, ObjectId
from syncline.values.timestamp import Timestamp

__all__ = ["compare", "equal", "link_sort_key", "sort_key"]

_NULL: Final = b"\x00"
_FALSE: Final = b"\x01\x00"
_TRUE: Final = b"\x01\x01"
_NAN: Final = b"\x02\x00"
_MINUS_INFINITY: Final = b"\x02\x01"
_NEGATIVE: Final = b"\x02\x02"
_ZERO: Final = b"\x02\x03"
_POSITIVE: Final = b"\x02\x04"
_PLUS_INFINITY: Final = b"\x02\x05"
_STRING: Final = b"\x03"
_BINARY: Final = b"\x04"
_TIMESTAMP: Final = b"\x05"
_OBJECT_ID: Final = b"\x06"
_UUID: Final = b"\x07"
_LINK: Final = b"\x08"
_LIST: Final = b"\x09"
_DICTIONARY: Final = b"\x0b"
_END: Final = b"\x00\x00"

_EXPONENT_BIAS: Final = 0x8000
_COMPLEMENT: Final = bytes(0xFF - byte for byte in range(256))
#: Two decimal digits, read as two hexadecimal ones → their number plus 1.
_PAIRS: Final = bytes(
    (byte >> 4) * 10 + (byte & 15) + 1 if byte >> 4 < 10 and byte & 15 < 10 else 0 for byte in range(256)
)


def sort_key(value: object) -> bytes:
    """The sort key of a value of any kind.

    ``value`` is None, bool, int, float (Float32 too), Decimal128, str, bytes, Timestamp, ObjectId, UUID, Link, or a
    list or dict (all lists are equal to each other, and all dictionaries: their contents do not count). The key of a
    *stored* link is :func:`link_sort_key`. Raises TypeError for anything else.
    """
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, int):
        return _number(value < 0, str(abs(value)), 0)
    if isinstance(value, str):
        return _STRING + _delimited(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, float):
        return _float_key(value)
    if isinstance(value, bytes):
        return _BINARY + _delimited(value)
    if isinstance(value, Timestamp):
        return _TIMESTAMP + value.to_bytes()
    return _rare_key(value)


def link_sort_key(class_id: int, object_key: int) -> bytes:
    """The sort key of a stored link: by class number, then by object key (negative for unresolved ones)."""
    return _LINK + (class_id + (1 << 63)).to_bytes(8, "big") + (object_key + (1 << 63)).to_bytes(8, "big")


def compare(left: object, right: object) -> int:
    """−1, 0 or 1 as ``left`` comes before, with or after ``right`` in the order of mixed values."""
    left_key = sort_key(left)
    right_key = sort_key(right)
    return (left_key > right_key) - (left_key < right_key)


def equal(left: object, right: object) -> bool:
    """Are the two one value to a set, to DISTINCT and to comparisons? Numbers compare across their types."""
    if type(left) is type(right) and not isinstance(left, (float, list, dict)):
        return left == right
    return sort_key(left) == sort_key(right)


def _rare_key(value: object) -> bytes:
    if isinstance(value, Decimal128):
        return _decimal_key(value)
    if isinstance(value, ObjectId):
        return _OBJECT_ID + value.binary
    if isinstance(value, UUID):
        return _UUID + value.bytes
    if isinstance(value, Link):
        return _LINK + _delimited(value.table.encode("utf-8", "surrogateescape")) + _key_key(value.key)
    if isinstance(value, list):
        return _LIST
    if isinstance(value, dict):
        return _DICTIONARY
    raise TypeError(f"a {type(value).__name__} has no place in the order of values")


def _key_key(key: object) -> bytes:
    """Of a link's object key: a GlobalKey comes after all primary keys."""
    if isinstance(key, GlobalKey):
        return b"\xff" + key.hi.to_bytes(8, "big") + key.lo.to_bytes(8, "big")
    return sort_key(key)


def _delimited(raw: bytes) -> bytes:
    """Bytes with a terminator that sorts a prefix before what continues it: 00 becomes 00 FF, the end is 00 00."""
    return raw.replace(b"\x00", b"\x00\xff") + _END


def _float_key(value: float) -> bytes:
    if isnan(value):
        return _NAN
    if isinf(value):
        return _PLUS_INFINITY if value > 0 else _MINUS_INFINITY
    numerator, denominator = abs(value).as_integer_ratio()
    power = denominator.bit_length() - 1  # n / 2**p = n * 5**p / 10**p: every double is a finite decimal fraction
    return _number(value < 0, str(numerator * 5**power), -power)


def _decimal_key(value: Decimal128) -> bytes:
    if value.is_nan():
        return _NAN
    if value.is_infinite():
        return _MINUS_INFINITY if value.negative else _PLUS_INFINITY
    if not value.is_canonical():
        return _ZERO
    return _number(value.negative, str(value.coefficient), value.exponent)


def _number(negative: bool, digits: str, exponent: int) -> bytes:
    """The number ``digits`` x 10**``exponent``: its place value, then its digits by pairs, complemented if negative."""
    digits = digits.lstrip("0")
    place = len(digits) + exponent
    digits = digits.rstrip("0")
    if not digits:
        return _ZERO
    if len(digits) % 2:
        digits += "0"
    body = (place + _EXPONENT_BIAS).to_bytes(2, "big") + bytes.fromhex(digits).translate(_PAIRS) + b"\x00"
    return _NEGATIVE + body.translate(_COMPLEMENT) if negative else _POSITIVE + body
