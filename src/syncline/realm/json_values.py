"""Single values as JSON has them, and back (spec/sdk.md §12.7).

Dates are ISO 8601 with nanoseconds, binary data is base64, ObjectId, UUID and decimals are strings, and so are NaN and
the infinities. Reading goes by the type of the property, which JSON does not tell.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any, Final
from uuid import UUID

from syncline.errors import TypeMismatchError
from syncline.realm.converters import SCALARS, Converter, describe
from syncline.values import Decimal128, ObjectId, Timestamp, kinds

__all__ = ["from_json", "from_text", "timestamp_from_text", "timestamp_to_text", "to_json"]

_NONFINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_json(value: Any) -> Any:
    """A stored scalar as JSON has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Timestamp):
        return timestamp_to_text(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


# --- dates ------------------------------------------------------------------------------------------------------------

_DATE: Final = re.compile(
    r"([+-]?\d{4,})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d*)?)?\s*([Zz]|[+-]\d\d:?(?:\d\d)?)?)?"
)
_DAY: Final = 86_400
#: Days from the first of March of the year 0 to the first of January 1970.
_EPOCH: Final = 719_468


def timestamp_to_text(value: Timestamp) -> str:
    """ISO 8601 in UTC, with nine digits after the point unless they are all zero; years beyond 9999 have a sign."""
    seconds, nanoseconds = value
    if nanoseconds < 0:
        seconds, nanoseconds = seconds - 1, nanoseconds + 1_000_000_000
    days, rest = divmod(seconds, _DAY)
    year, month, day = _date_of(days)
    date = f"{year:04d}" if 0 <= year <= 9999 else f"{year:+07d}"
    fraction = f".{nanoseconds:09d}" if nanoseconds else ""
    return f"{date}-{month:02d}-{day:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}{fraction}Z"


def timestamp_from_text(text: str, zone: tzinfo | None = None) -> Timestamp:
    """The moment that an ISO 8601 text names, in ``zone`` if it names none itself. Raises ValueError."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no date and time, such as 2020-02-29T12:00:00Z")
    if match[8] is None and zone is None:
        raise ValueError(f"{text!r} has no time zone: an import may say by time_zone=UTC what is meant")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    days = _days_of(year, month, day)
    if _date_of(days) != (year, month, day) or hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"there is no such day or time as {text!r}")
    offset = _offset(match[8]) if match[8] is not None else _offset_in(zone, year, month, day, hour, minute)
    seconds = days * _DAY + hour * 3600 + minute * 60 + second - offset
    nanoseconds = int((match[7] or "").ljust(9, "0"))
    if seconds < 0 and nanoseconds:
        seconds, nanoseconds = seconds + 1, nanoseconds - 1_000_000_000
    return Timestamp(seconds, nanoseconds)


def _offset(zone: str) -> int:
    """Seconds that a time zone is ahead of UTC."""
    if zone in "Zz":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -offset if zone[0] == "-" else offset


def _offset_in(zone: tzinfo | None, *date: int) -> int:
    """Seconds that a place is ahead of UTC at this time there. Raises ValueError for years that nobody knows it of."""
    offset = datetime(*date[:5], tzinfo=zone).utcoffset()  # type: ignore[misc,arg-type]
    return 0 if offset is None else round(offset.total_seconds())


def _date_of(days: int) -> tuple[int, int, int]:
    """Year, month and day of the Gregorian calendar; ``datetime`` ends at the years 1 and 9999."""
    era, day = divmod(days + _EPOCH, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    month += 3 if month < 10 else -9
    return year + era * 400 + (month <= 2), month, day + 1


def _days_of(year: int, month: int, day: int) -> int:
    """Days since 1970."""
    year -= month <= 2
    era, year = divmod(year, 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + year * 365 + year // 4 - year // 100 + of_year - _EPOCH


# --- reading ----------------------------------------------------------------------------------------------------------


def _double(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return _NONFINITE[value] if value in _NONFINITE else float(value)
    except ValueError:
        raise ValueError(f"{value!r} is no number") from None


def _decimal(value: Any) -> Any:
    return Decimal128.from_text(str(value)) if isinstance(value, str | float) else value


def _binary(value: Any) -> Any:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else value
    except binascii.Error as error:
        raise ValueError(f"{value!r} is no base64: {error}") from None


def _object_id(value: Any) -> Any:
    return ObjectId(value) if isinstance(value, str) else value


def _uuid(value: Any) -> Any:
    return UUID(value) if isinstance(value, str) else value


_READERS: Final[dict[int, Callable[[Any], Any]]] = {
    kinds.DOUBLE: _double,
    kinds.FLOAT: _double,
    kinds.DECIMAL: _decimal,
    kinds.BINARY: _binary,
    kinds.OBJECT_ID: _object_id,
    kinds.UUID: _uuid,
}


def _plain(kind: int, value: Any, zone: tzinfo | None) -> Any:
    """What a JSON value means where values of this kind are stored. Raises ValueError."""
    if kind == kinds.TIMESTAMP:
        return timestamp_from_text(value, zone) if isinstance(value, str) else value
    read = _READERS.get(kind)
    return value if read is None or value is None else read(value)


def _custom(converter: Converter, python_type: type[Any], value: Any, zone: tzinfo | None) -> Any:
    """The application's value, of which JSON has what is stored. Raises ValueError, TypeMismatchError."""
    if value is None or isinstance(value, python_type):
        return value
    exact, check = SCALARS[converter.kind]
    stored = _plain(converter.kind, value, zone)
    if type(stored) is not exact:
        stored = check(stored, converter.where)
    assert converter.load is not None
    needed: Any = None  # of the Realm, for scalars
    return converter.load(stored, needed)


def from_json(converter: Converter, value: Any, zone: tzinfo | None = None) -> Any:
    """What a JSON value means for a property of scalars; other values are for the property to judge.

    ``zone``: of dates that name none. Raises TypeMismatchError for text that says no such value.
    """
    try:
        if converter.custom is not None:
            return _custom(converter, converter.custom.python_type, value, zone)
        return _plain(converter.kind, value, zone)
    except ValueError as error:
        text = str(error)
        raise TypeMismatchError(
            f"{converter.where}: {text if repr(value) in text else f'{describe(value)}: {text}'}"
        ) from None


_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def _int(text: str) -> int:
    """``7``, and ``7.0``, which tables make of numbers in a column with gaps. Raises ValueError."""
    whole, point, rest = text.strip().partition(".")
    return int(whole if point and not rest.strip("0") else text)


def from_text(converter: Converter, text: str, zone: tzinfo | None = None) -> Any:
    """What a field of a CSV file means for a property of scalars; an empty one is null where there is one.

    Raises TypeMismatchError.
    """
    kind = converter.kind
    if text == "" and (converter.nullable or kind != kinds.STRING):
        return None
    value: Any = text
    try:
        if kind == kinds.INT:
            value = _int(text)
        elif kind == kinds.BOOL:
            value = _BOOLEANS[text.strip().lower()]
    except (ValueError, KeyError):
        raise TypeMismatchError(
            f"{converter.where}: {text!r} is no {'bool' if kind == kinds.BOOL else 'int'}"
        ) from None
    return from_json(converter, value, zone)
