"""The constants of query texts: what their tokens stand for (spec/sdk.md §7.1, §7.9).

Every function raises ValueError with the reason for a token that stands for nothing.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from syncline.query.ast import FloatLiteral, LinkLiteral
from syncline.values import Decimal128, Float32, ObjectId, Timestamp

__all__ = ["argument_number", "base64_bytes", "base64_text", "literal", "natural", "string"]

_INT_MIN: Final = -(1 << 63)
_INT_MAX: Final = (1 << 63) - 1
_FIRST_YEAR: Final = 1900


def literal(text: str, kind: str) -> object:
    """The value of a token of that kind."""
    return _READERS[kind](text)


def natural(text: str) -> int:
    """An integer, also one with a sign or in hexadecimal digits."""
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    if digits[:2] in ("0x", "0X"):
        value = int(sign + digits, 16) if len(digits) <= 100 else _INT_MAX + 1
    elif digits[0] == "0" and len(digits) > 1:
        shown = sign + (digits.lstrip("0") or "0")
        raise ValueError(f"{text[:30]} would be an octal number elsewhere: write {shown[:30]}")
    else:
        value = int(text) if len(digits) <= 19 else _INT_MAX + 1
    if not _INT_MIN <= value <= _INT_MAX:
        raise ValueError(f"{text[:30]} does not fit into 64 bits")
    return value


def argument_number(text: str) -> int:
    """Which argument ``$12`` or ``$K12`` is."""
    digits = text.lstrip("$K")
    if len(digits) > 6:
        raise ValueError(f"{text[:20]} is no argument: so many cannot be given")
    return int(digits)


def string(text: str) -> str:
    """What is between the quotes. Escapes are checked, not read: ``'a\\'b'`` has four characters."""
    return text[1:-1]


def base64_bytes(text: str) -> bytes:
    """The data of ``B64"…"``."""
    try:
        return b64decode(text[4:-1], validate=True)
    except binascii.Error as error:
        raise ValueError(f"this is no base64: {error}") from None


def base64_text(text: str) -> str:
    """The string of ``B64"…"``."""
    return base64_bytes(text).decode("utf-8", "surrogateescape")


def _float(text: str) -> float:
    return Float32(text[:-1]) if text.endswith("f") else FloatLiteral(text)


def _timestamp(text: str) -> Timestamp:
    if text[0] == "T":
        seconds, nanoseconds = map(_signed, text[1:].split(":"))
        return _checked_timestamp(seconds, nanoseconds)
    date, time = text.replace("@", "T").split("T")
    hour, minute, second, *rest = (_bounded(part) for part in time.split(":"))
    year, month, day = (_bounded(part) for part in date.split("-"))
    if year < _FIRST_YEAR:
        raise ValueError(f"the year {year} is before {_FIRST_YEAR}; write such a date as T<seconds>:<nanoseconds>")
    moment = Timestamp.from_datetime(datetime(year, month, day, hour, minute, second, tzinfo=UTC))
    nanoseconds = rest[0] if rest else 0
    return _checked_timestamp(moment.seconds, -nanoseconds if moment.seconds < 0 else nanoseconds)


def _checked_timestamp(seconds: int, nanoseconds: int) -> Timestamp:
    if abs(nanoseconds) >= 1_000_000_000:
        raise ValueError(f"{abs(nanoseconds)} nanoseconds are a second or more")
    if seconds * nanoseconds < 0:
        raise ValueError("seconds and nanoseconds of a date must have the same sign")
    if not _INT_MIN <= seconds <= _INT_MAX:
        raise ValueError("the seconds of a date do not fit into 64 bits")
    return Timestamp(seconds, nanoseconds)


def _signed(text: str) -> int:
    """A number with any digits; of one that is far too large only as many as show it."""
    sign = text[0] if text[0] in "+-" else ""
    return int(sign + (text.removeprefix(sign).lstrip("0") or "0")[:40])


def _bounded(text: str) -> int:
    digits = text.lstrip("0") or "0"
    if len(digits) > 9:
        raise ValueError(f"{digits[:20]} is no part of a date")
    return int(digits)


def _typed_link(text: str) -> LinkLiteral:
    class_id, object_key = text[1:].split(":")
    return LinkLiteral(natural(class_id), natural(object_key))


_READERS: Final[dict[str, Callable[[str], object]]] = {
    "NATURAL": natural,
    "NUMBER": natural,
    "FLOAT": _float,
    "DECIMAL": lambda text: Decimal128.from_text(text[8:-1]),
    "INF": float,
    "NAN": float,
    "STRING": string,
    "BASE64": base64_text,
    "UUID": lambda text: UUID(text[5:-1]),
    "OID": lambda text: ObjectId(text[4:-1]),
    "TIMESTAMP": _timestamp,
    "TRUE": lambda text: True,
    "FALSE": lambda text: False,
    "NULL": lambda text: None,
    "OBJECT_KEY": lambda text: LinkLiteral(None, natural(text[1:])),
    "TYPED_LINK": _typed_link,
}
