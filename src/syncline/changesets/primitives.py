"""Bytes → integers, strings and scalar values: the smallest parts of a changeset (spec/changesets.md §2, §3)."""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias
from uuid import UUID, SafeUUID

from mypy_extensions import i64

from syncline.changesets.limits import MAX_STRING_SIZE
from syncline.errors import BadChangesetError, ChangesetLimitError, MalformedChangesetError, TruncatedChangesetError
from syncline.values import Decimal128, Key, ObjectId, Timestamp, kinds

__all__ = ["NEW_TUPLE", "ByteReader", "Payload"]

#: A decoded payload: its kind (a number of ``values.kinds``) and its value.
Payload: TypeAlias = "tuple[int, object]"

_FLOAT: Final = Struct("<f")
_DOUBLE: Final = Struct("<d")

_UINT32_MAX: Final = 0xFFFF_FFFF
_UINT64_MAX: Final = 0xFFFF_FFFF_FFFF_FFFF
_INT64_MIN: Final = -0x8000_0000_0000_0000
_INT64_MAX: Final = 0x7FFF_FFFF_FFFF_FFFF
_INT32_MAX: Final = 0x7FFF_FFFF
_SAFE: Final = 1 << 61
_NANOSECONDS: Final = 1_000_000_000

# longest encodings of the integer types in bytes (spec §2.3)
_UINT8_BYTES: Final = 2
_INT32_BYTES: Final = 5
_INT64_BYTES: Final = 10
_COEFFICIENT_BYTES: Final = 17


# Both identifiers are immutable, with constructors that first find out what they are given. A changeset may have one in
# every object, so they are put together here, from bytes that are known to be right, by what sets their slots.
_NEW: Final = object.__new__
_SET_BINARY: Final = vars(ObjectId)["binary"].__set__
_SET_INT: Final = vars(UUID)["int"].__set__
_SET_IS_SAFE: Final = vars(UUID)["is_safe"].__set__
_UNKNOWN: Final = SafeUUID.unknown
_INTEGER_OF: Final = int.from_bytes
#: How named tuples are made from parts that are known to be right.
NEW_TUPLE: Final = tuple.__new__


def _object_id(raw: bytes) -> ObjectId:
    """``ObjectId(raw)``."""
    made: ObjectId = _NEW(ObjectId)
    _SET_BINARY(made, raw)
    return made


def _uuid(raw: bytes) -> UUID:
    """``UUID(bytes=raw)``."""
    made: UUID = _NEW(UUID)
    _SET_INT(made, _INTEGER_OF(raw, "big"))
    _SET_IS_SAFE(made, _UNKNOWN)
    return made


class ByteReader:
    """A position in the input.

    Reading behind the end raises IndexError, which the entry points turn into TruncatedChangesetError: ``pos`` is then
    the first byte of what is incomplete. Slices are checked explicitly, since Python cuts them silently. Every other
    error names the first byte of what is wrong. Integers of one byte are read in place.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos: i64 = 0
        self.end: i64 = len(data)
        # consecutive instructions mostly concern one object: its key is made once (the encoder profits from that too)
        self.last_object_id = b""
        self.last_object_id_key: Key = None
        self.last_uuid = b""
        self.last_uuid_key: Key = None

    @staticmethod
    def bad(start: i64, reason: str) -> BadChangesetError:
        """The error for something that begins at ``start`` and cannot be."""
        return MalformedChangesetError(reason, offset=start)

    # --- values ----------------------------------------------------------------------------------------------------

    def object_id_key(self) -> Key:
        raw = self.fixed(12)
        if raw != self.last_object_id:
            self.last_object_id = raw
            self.last_object_id_key = _object_id(raw)
        return self.last_object_id_key

    def uuid_key(self) -> Key:
        raw = self.fixed(16)
        if raw != self.last_uuid:
            self.last_uuid = raw
            self.last_uuid_key = _uuid(raw)
        return self.last_uuid_key

    def text(self) -> str:
        """An inline string: length and bytes, of any content."""
        start = self.pos
        size = self.size()
        if size > MAX_STRING_SIZE:
            raise ChangesetLimitError(f"a string of {size} bytes, more than {MAX_STRING_SIZE}", offset=start)
        raw = self.raw(size)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("utf-8", "surrogateescape")

    def raw(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        start = self.pos
        left: int = self.end - start  # no i64: what is announced can be larger than those
        if size > left:
            raise TruncatedChangesetError(f"{size} bytes announced, {left} left", offset=start)
        self.pos = start + size
        return self.data[start : self.pos]

    def fixed(self, size: i64) -> bytes:
        """The same where the size is not announced but known."""
        start = self.pos
        if self.end - start < size:
            raise TruncatedChangesetError(f"{size} bytes announced, {self.end - start} left", offset=start)
        self.pos = start + size
        return self.data[start : start + size]

    def size(self) -> int:
        """The length of an inline string or binary."""
        byte = self.data[self.pos]
        if byte < 0x40:
            self.pos += 1
            return byte
        return self.unsigned(_INT64_BYTES, _UINT64_MAX, "length")

    def type_code(self) -> int:
        """A payload or property type: one of ``values.kinds``."""
        start = self.pos
        byte = self.data[start]
        if byte <= kinds.UUID:
            self.pos = start + 1
            return byte
        if 0x40 <= byte <= 0x45:  # -1 to -6
            self.pos = start + 1
            return 0x3F - byte
        code = self.int64()
        if code < kinds.SET or code > kinds.UUID:
            raise self.bad(start, f"unknown type code {code}")
        return code

    def collection(self) -> int:
        start = self.pos
        collection = self.unsigned(_UINT8_BYTES, 0xFF, "collection type")
        if collection > kinds.SET_COLLECTION:
            raise self.bad(start, f"unknown collection type {collection}")
        return collection

    def boolean(self) -> bool:
        byte = self.data[self.pos]
        if byte < 0x40:
            self.pos += 1
            return byte != 0
        return self.unsigned(_UINT8_BYTES, 0xFF, "boolean") != 0

    def float32(self) -> float:
        value: float = _FLOAT.unpack(self.fixed(4))[0]
        return value

    def float64(self) -> float:
        value: float = _DOUBLE.unpack(self.fixed(8))[0]
        return value

    def timestamp(self) -> Timestamp:
        """Seconds and nanoseconds of one sign, the latter below a second (spec §3)."""
        start = self.pos
        seconds = self.int64()
        nanoseconds = self.int64()
        if nanoseconds >= _NANOSECONDS or nanoseconds <= -_NANOSECONDS:
            raise self.bad(start, "timestamp out of range: a second or more in nanoseconds")
        if (seconds < 0 < nanoseconds) or (nanoseconds < 0 < seconds):
            raise self.bad(start, "timestamp with mixed signs")
        made: Timestamp = NEW_TUPLE(Timestamp, (seconds, nanoseconds))
        return made

    def decimal(self) -> Payload:
        """Coefficient, exponent, sign (spec §3.6). The pattern of the null decimal reads as null."""
        start = self.pos
        coefficient = self.coefficient()
        exponent = self.integer(_INT32_BYTES)
        sign = self.integer(_INT32_BYTES)
        if not -_INT32_MAX - 1 <= sign <= _INT32_MAX:
            raise self.bad(start, "the sign of a decimal is out of range")
        try:
            value = Decimal128(coefficient, exponent, sign != 0)
        except ValueError as error:
            raise self.bad(start, str(error)) from None
        if value.is_null():
            return kinds.NULL, None
        return kinds.DECIMAL, value

    def coefficient(self) -> int:
        """As an integer of §2.1, but of up to 17 bytes and with seven bits and no sign in the last one."""
        value = 0
        shift = 0
        start = self.pos
        for pos in range(start, start + _COEFFICIENT_BYTES):
            byte = self.data[pos]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                self.pos = pos + 1
                return value
            shift += 7
        raise self.bad(start, "a decimal coefficient of more than 17 bytes")

    # --- integers (spec §2) ----------------------------------------------------------------------------------------

    def uint8(self, what: str) -> int:
        return self.unsigned(_UINT8_BYTES, 0xFF, what)

    def uint32(self, what: str) -> int:
        byte = self.data[self.pos]
        if byte < 0x40:
            self.pos += 1
            return byte
        return self.unsigned(_INT32_BYTES, _UINT32_MAX, what)

    def uint64(self, what: str) -> int:
        start = self.pos
        value = self.integer(_INT64_BYTES)
        if 0 <= value < _SAFE:  # spares comparing with integers that the compiled code must box
            return value
        self.pos = start
        return self.unsigned(_INT64_BYTES, _UINT64_MAX, what)

    def unsigned(self, max_bytes: i64, maximum: int, what: str) -> int:
        """An integer of 0 to ``maximum``. Negative ones, which realm-core wraps around, are refused."""
        start = self.pos
        value = self.integer(max_bytes)
        if value < 0 or value > maximum:
            raise self.bad(start, f"{what} {value} is out of range")
        return value

    def int64(self) -> int:
        start = self.pos
        byte = self.data[start]
        if byte < 0x40:
            self.pos = start + 1
            return byte
        value = self.integer(_INT64_BYTES)
        if -_SAFE < value < _SAFE:  # as above
            return value
        if value > _INT64_MAX or value < _INT64_MIN:
            raise self.bad(start, "integer out of range")
        return value

    def integer(self, max_bytes: i64) -> int:
        """An integer in at most ``max_bytes`` bytes, over-long forms included."""
        data = self.data
        pos = self.pos
        stop = pos + max_bytes
        result: i64 = 0
        shift: i64 = 0
        byte: i64 = data[pos]
        while byte >= 0x80:
            if shift == 56:
                return self.huge_integer(max_bytes)
            result |= (byte & 0x7F) << shift
            shift += 7
            pos += 1
            if pos == stop:
                raise self.bad(self.pos, f"an integer of more than {max_bytes} bytes")
            byte = data[pos]
        self.pos = pos + 1
        result |= (byte & 0x3F) << shift
        return -result - 1 if byte & 0x40 else result

    def huge_integer(self, max_bytes: i64) -> int:
        """The same for integers that may exceed 62 bits."""
        pos = self.pos
        stop = pos + max_bytes
        result = 0
        shift = 0
        while pos < stop:
            byte = self.data[pos]
            pos += 1
            if byte < 0x80:
                self.pos = pos
                result |= (byte & 0x3F) << shift
                return -result - 1 if byte & 0x40 else result
            result |= (byte & 0x7F) << shift
            shift += 7
        raise self.bad(self.pos, f"an integer of more than {max_bytes} bytes")
