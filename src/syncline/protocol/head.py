"""Reading the first line of a message: its type, and its fields one after the other (spec/wire-protocol.md §4.1)."""

from __future__ import annotations

import re
from typing import Final

from syncline.errors import ProtocolViolationError
from syncline.protocol.errors import ErrorCode

__all__ = ["FIELD_MAX", "HeadReader", "MessageReader"]

#: Largest number that a field may hold; the same for every kind (spec/wire-protocol.md §4.2).
FIELD_MAX: Final = 2**63 - 1

#: Longest number accepted: leading zeros are legal, but not without end.
_DIGITS_MAX: Final = 40
_DECIMAL: Final = re.compile(rb"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


class HeadReader:
    """The fields of one head, in order. Each method raises ProtocolViolationError if the next field is not as asked."""

    def __init__(self, name: str, fields: list[bytes]) -> None:
        self.name = name
        self._fields = fields
        self._next = 0

    def uint(self, what: str) -> int:
        """An unsigned integer up to 2^63 - 1."""
        text = self._take(what)
        if not text.isdigit() or len(text) > _DIGITS_MAX:
            raise self._bad(what, text, "an unsigned integer")
        value = int(text)
        if value > FIELD_MAX:
            raise self._bad(what, text, "below 2^63")
        return value

    def positive(self, what: str) -> int:
        """An unsigned integer other than 0."""
        value = self.uint(what)
        if value == 0:
            raise self._bad(what, b"0", "greater than 0")
        return value

    def size(self, what: str, limit: int) -> int:
        """A number of bytes, at most ``limit``."""
        value = self.uint(what)
        if value > limit:
            raise ProtocolViolationError(f"{self.name}: {what} is {value} bytes, at most {limit} are accepted")
        return value

    def flag(self, what: str) -> bool:
        """An integer, perhaps negative: 0 is false, everything else true."""
        text = self._take(what)
        digits = text[1:] if text.startswith(b"-") else text
        if not digits.isdigit() or len(digits) > _DIGITS_MAX or int(digits) > FIELD_MAX:
            raise self._bad(what, text, "an integer")
        return int(digits) != 0

    def fraction(self, what: str) -> float:
        """A decimal number from 0 to 1."""
        text = self._take(what)
        if len(text) > _DIGITS_MAX or _DECIMAL.fullmatch(text) is None:
            raise self._bad(what, text, "a decimal number")
        value = float(text)
        if not 0.0 <= value <= 1.0:
            raise self._bad(what, text, "from 0 to 1")
        return value

    def discard(self) -> None:
        """Accept whatever fields are left."""
        self._next = len(self._fields)

    def end(self) -> None:
        """There must be no further field."""
        if self._next != len(self._fields):
            raise ProtocolViolationError(f"{self.name}: {len(self._fields)} fields, expected {self._next}")

    def _take(self, what: str) -> bytes:
        if self._next >= len(self._fields):
            raise ProtocolViolationError(f"{self.name}: {what} is missing")
        field = self._fields[self._next]
        self._next += 1
        return field

    def _bad(self, what: str, text: bytes, expected: str) -> ProtocolViolationError:
        return ProtocolViolationError(f"{self.name}: {what} is {text[:50]!r}, expected {expected}")


class MessageReader:
    """One WebSocket message, cut into head and body. The body is taken part by part and must be used up.

    Args:
        data: the message.
        head_limit: longest head accepted, in bytes.
        message_limit: longest message accepted, in bytes; a longer one is error 104.

    Raises:
        ProtocolViolationError: no head that ends in a line feed, or too long.
    """

    def __init__(self, data: bytes, head_limit: int, message_limit: int) -> None:
        if len(data) > message_limit:
            raise ProtocolViolationError(
                f"a message of {len(data)} bytes; at most {message_limit} are accepted", code=ErrorCode.LIMITS_EXCEEDED
            )
        end = data.find(b"\n", 0, head_limit + 1)
        if end < 0:
            raise ProtocolViolationError(f"no line feed within the first {head_limit} bytes of a message")
        fields = data[:end].split(b" ")
        name = fields.pop(0)
        if not fields or not name:
            raise ProtocolViolationError(f"{data[: min(end, 50)]!r} is not the head of a message")
        self.name = name.decode("latin-1")
        self.head = HeadReader(self.name, fields)
        self._data = data
        self._position = end + 1

    def remaining(self) -> int:
        """Bytes of the body not yet taken."""
        return len(self._data) - self._position

    def take(self, size: int, what: str) -> bytes:
        """The next ``size`` bytes of the body."""
        if size > self.remaining():
            raise ProtocolViolationError(
                f"{self.name}: {what} is announced with {size} bytes, {self.remaining()} are there"
            )
        start = self._position
        self._position = start + size
        return self._data[start : self._position]

    def take_text(self, size: int, what: str) -> str:
        """The next ``size`` bytes of the body, which must be UTF-8."""
        data = self.take(size, what)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolViolationError(f"{self.name}: {what} is not UTF-8 at byte {error.start}") from error

    def discard(self) -> None:
        """Accept whatever is left of head and body."""
        self.head.discard()
        self._position = len(self._data)

    def end(self) -> None:
        """Nothing may follow (spec/wire-protocol.md §4.3)."""
        self.head.end()
        if self.remaining():
            raise ProtocolViolationError(f"{self.name}: {self.remaining()} bytes after the end of the message")
