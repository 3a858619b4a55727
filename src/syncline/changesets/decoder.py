"""Bytes → instructions: the reading half of the codec (spec/changesets.md §2 to §6).

The input is hostile until proved otherwise: every length is compared with the bytes that remain before anything is
allocated, nothing recurses, and whatever is wrong raises :class:`~syncline.errors.BadChangesetError` with the byte
offset and the number of the instruction. Where realm-core is lax by accident (negative numbers in unsigned fields,
codes cut to eight bits) this decoder refuses.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias
from uuid import UUID

from mypy_extensions import i64

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    ADD_COLUMN,
    ADD_INTEGER,
    ADD_TABLE,
    ARRAY_ERASE,
    ARRAY_INSERT,
    ARRAY_MOVE,
    CLEAR,
    CREATE_OBJECT,
    ERASE_OBJECT,
    ERASE_TABLE,
    SET_ERASE,
    SET_INSERT,
    UPDATE,
    AddColumn,
    AddInteger,
    AddTable,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Clear,
    CreateObject,
    EraseColumn,
    EraseObject,
    EraseTable,
    Instruction,
    Path,
    SetErase,
    SetInsert,
    Update,
)
from syncline.changesets.limits import (
    INTERN_STRING,
    MAX_INSTRUCTIONS,
    MAX_PATH_LENGTH,
    MAX_STRING_SIZE,
    RECORDS_PER_TURN,
)
from syncline.errors import BadChangesetError
from syncline.turns import let_others_run
from syncline.values import Decimal128, GlobalKey, Key, Link, ObjectId, Timestamp, kinds

__all__ = ["decode", "decode_detached_key"]

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


def decode(
    data: bytes, *, max_path_length: int = MAX_PATH_LENGTH, max_instructions: int = MAX_INSTRUCTIONS
) -> Changeset:
    """The changeset encoded in ``data``; zero bytes are a changeset without instructions.

    ``max_path_length`` bounds the elements of one path, ``max_instructions`` the instructions in all (the smallest take
    two bytes on the wire and some fifty in memory). Metadata of the result is zero: it travels beside the bytes.

    Raises BadChangesetError for anything that spec/changesets.md §2.3, §3 and §6.1 say must or should be refused.
    """
    decoder = _Decoder(data, max_path_length, max_instructions)
    try:
        decoder.run()
    except IndexError:
        raise decoder.bad("the changeset ends inside an instruction") from None
    return Changeset(decoder.instructions, decoder.strings)


def decode_detached_key(data: bytes) -> Key:
    """A primary key as it stands outside a changeset: in compensating-write errors (spec/changesets.md §5.4).

    Differs from a key in a changeset in that a string is inline. Raises BadChangesetError for anything malformed, for a
    GlobalKey (which must not travel this way) and for bytes left over.
    """
    decoder = _Decoder(data, 0, 0)
    try:
        key = decoder.detached_key()
    except IndexError:
        raise decoder.bad("the key is incomplete") from None
    if decoder.pos != len(data):
        raise decoder.bad("bytes after the key")
    return key


class _Decoder:
    """A position in the input and what was read so far.

    Reading behind the end raises IndexError, which the entry points turn into BadChangesetError; slices are checked
    explicitly, since Python cuts them silently. Integers of one byte are read in place.
    """

    def __init__(self, data: bytes, max_path_length: int, max_instructions: int) -> None:
        self.data = data
        self.pos: i64 = 0
        self.end: i64 = len(data)
        self.max_path_length = max_path_length
        self.max_instructions = max_instructions
        self.strings: list[str] = []
        self.known: set[str] = set()
        self.instructions: list[Instruction] = []
        # consecutive instructions mostly concern one object: its key is made once (the encoder profits from that too)
        self.last_integer = 0
        self.last_integer_key: Key = 0
        self.last_global_key = GlobalKey(0, 0)
        self.last_object_id = b""
        self.last_object_id_key: Key = None
        self.last_uuid = b""
        self.last_uuid_key: Key = None

    def bad(self, message: str) -> BadChangesetError:
        """The error to raise, with the place reached."""
        return BadChangesetError(message, offset=self.pos, instruction=len(self.instructions))

    # --- records ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Read records until the input ends."""
        instructions = self.instructions
        limit = self.max_instructions
        records: i64 = 0
        while self.pos < self.end:
            records += 1
            if records == RECORDS_PER_TURN:
                records = 0
                let_others_run()
            code = self.code()
            if code == INTERN_STRING:
                self.define_string()
                continue
            if len(instructions) >= limit:
                raise self.bad(f"more than {limit} instructions")
            instructions.append(self.instruction(code))

    def code(self) -> int:
        """An instruction code: almost always one byte."""
        byte = self.data[self.pos]
        if byte < 0x40:
            self.pos += 1
            return byte
        return self.unsigned(_INT64_BYTES, _UINT64_MAX, "instruction code")

    def define_string(self) -> None:
        """An InternString record (spec §4)."""
        index = self.uint32("string index")
        if index != len(self.strings):
            raise self.bad(f"unexpected intern index {index}, expected {len(self.strings)}")
        text = self.text()
        if text in self.known:
            raise self.bad(f"the string {text!r} is defined twice")
        self.known.add(text)
        self.strings.append(text)

    def instruction(self, code: int) -> Instruction:
        """The fields of the instruction ``code`` (spec §6)."""
        if code == UPDATE:
            return self.update()
        if code == CREATE_OBJECT:
            return CreateObject(self.string(), self.key())
        if code == ARRAY_INSERT:
            return self.array_insert()
        if code == ERASE_OBJECT:
            return EraseObject(self.string(), self.key())
        if code > SET_ERASE:
            raise self.bad(f"unknown instruction {code}")
        if code >= ARRAY_MOVE or code == ADD_INTEGER:
            return self.path_instruction(code)
        if code == ADD_TABLE:
            return self.add_table()
        if code == ADD_COLUMN:
            return self.add_column()
        if code == ERASE_TABLE:
            return EraseTable(self.string())
        return EraseColumn(self.string(), self.string())

    def update(self) -> Update:
        table = self.string()
        key = self.key()
        field = self.string()
        path = self.path()
        kind, value = self.payload()
        if path and isinstance(path[-1], int):
            return Update(table, key, field, path, kind, value, False, self.uint32("prior size"))
        return Update(table, key, field, path, kind, value, self.boolean())

    def array_insert(self) -> ArrayInsert:
        table = self.string()
        key = self.key()
        field = self.string()
        path = self.index_path("ArrayInsert")
        kind, value = self.payload()
        return ArrayInsert(table, key, field, path, kind, value, self.uint32("prior size"))

    def path_instruction(self, code: int) -> Instruction:
        """The rarer instructions with a path."""
        table = self.string()
        key = self.key()
        field = self.string()
        if code == ARRAY_ERASE:
            path = self.index_path("ArrayErase")
            return ArrayErase(table, key, field, path, self.uint32("prior size"))
        if code == ARRAY_MOVE:
            path = self.index_path("ArrayMove")
            return ArrayMove(table, key, field, path, self.uint32("target index"), self.uint32("prior size"))
        path = self.path()
        if code == ADD_INTEGER:
            return AddInteger(table, key, field, path, self.int64())
        if code == CLEAR:
            return Clear(table, key, field, path, self.collection())
        kind, value = self.payload()
        if code == SET_INSERT:
            return SetInsert(table, key, field, path, kind, value)
        return SetErase(table, key, field, path, kind, value)

    def add_table(self) -> AddTable:
        table = self.string()
        table_type = self.unsigned(_UINT8_BYTES, 0xFF, "table type")
        if table_type == kinds.EMBEDDED:
            return AddTable(table, kinds.EMBEDDED, "", kinds.GLOBAL_KEY, False)
        if table_type > kinds.ASYMMETRIC:
            raise self.bad(f"AddTable: unknown table type {table_type}")
        pk_field = self.string()
        pk_type = self.type_code()
        if pk_type not in kinds.KEY_KINDS:
            raise self.bad(f"AddTable: {kinds.KIND_NAMES[pk_type]} is no type of a primary key")
        return AddTable(table, table_type, pk_field, pk_type, self.boolean())

    def add_column(self) -> AddColumn:
        table = self.string()
        field = self.string()
        value_type = self.type_code()
        if value_type < 0:
            raise self.bad(f"AddColumn: {kinds.KIND_NAMES[value_type]} is no type of a property")
        nullable = self.boolean()
        collection = self.collection()
        link_target = self.string() if value_type == kinds.LINK else ""
        if collection == kinds.DICTIONARY_COLLECTION and self.type_code() != kinds.STRING:
            raise self.bad("AddColumn: the keys of a dictionary are strings")
        return AddColumn(table, field, value_type, nullable, collection, link_target, kinds.STRING)

    # --- compound values -------------------------------------------------------------------------------------------

    def key(self) -> Key:
        """A primary key (spec §5.1)."""
        code = self.type_code()
        if code == kinds.INT:
            return self.integer_key()
        if code == kinds.STRING:
            return self.string()
        if code == kinds.GLOBAL_KEY:
            return self.global_key()
        if code == kinds.OBJECT_ID:
            return self.object_id_key()
        if code == kinds.UUID:
            return self.uuid_key()
        if code == kinds.NULL:
            return None
        raise self.bad(f"{kinds.KIND_NAMES[code]} is no type of an object key")

    def detached_key(self) -> Key:
        """A primary key outside a changeset (spec §5.4)."""
        code = self.type_code()
        if code == kinds.STRING:
            return self.text()
        if code == kinds.NULL:
            return None
        if code == kinds.INT:
            return self.int64()
        if code == kinds.OBJECT_ID:
            return self.object_id_key()
        if code == kinds.UUID:
            return self.uuid_key()
        raise self.bad(f"{kinds.KIND_NAMES[code]} is no type of a primary key")

    def integer_key(self) -> Key:
        value = self.int64()
        if value != self.last_integer:
            self.last_integer = value
            self.last_integer_key = value
        return self.last_integer_key

    def global_key(self) -> GlobalKey:
        hi = self.unsigned(_INT64_BYTES, _UINT64_MAX, "GlobalKey")
        lo = self.unsigned(_INT64_BYTES, _UINT64_MAX, "GlobalKey")
        last = self.last_global_key
        if last.lo != lo or last.hi != hi:
            last = self.last_global_key = tuple.__new__(GlobalKey, (hi, lo))
        return last

    def object_id_key(self) -> Key:
        raw = self.raw(12)
        if raw != self.last_object_id:
            self.last_object_id = raw
            self.last_object_id_key = ObjectId(raw)
        return self.last_object_id_key

    def uuid_key(self) -> Key:
        raw = self.raw(16)
        if raw != self.last_uuid:
            self.last_uuid = raw
            self.last_uuid_key = UUID(bytes=raw)
        return self.last_uuid_key

    def path(self) -> Path:
        """A path below a property (spec §5.3)."""
        count = self.uint32("path length")
        if count == 0:
            return ()
        if count > self.max_path_length:
            raise self.bad(f"a path of {count} elements, more than {self.max_path_length}")
        if count == 1:
            return (self.path_element(),)
        elements: list[int | str] = []
        for _ in range(count):
            elements.append(self.path_element())
        return tuple(elements)

    def path_element(self) -> int | str:
        """An index, or a string announced by a negative number."""
        index = self.int64()
        if index < 0:
            return self.string()
        if index > _UINT32_MAX:
            raise self.bad(f"path index {index} is out of range")
        return index

    def index_path(self, name: str) -> Path:
        """A path that must end in an index."""
        path = self.path()
        if not path or isinstance(path[-1], str):
            raise self.bad(f"{name} without an index")
        return path

    def payload(self) -> Payload:
        """A value with its kind (spec §5.2)."""
        kind = self.type_code()
        if kind == kinds.INT:
            return kind, self.int64()
        if kind == kinds.STRING:
            return kind, self.text()
        if kind == kinds.NULL:
            return kind, None
        if kind == kinds.DOUBLE:
            return kind, self.float64()
        if kind == kinds.BOOL:
            return kind, self.boolean()
        if kind == kinds.LINK:
            return kind, tuple.__new__(Link, (self.string(), self.key()))
        if kind == kinds.TIMESTAMP:
            return kind, self.timestamp()
        if kind == kinds.BINARY:
            return kind, self.raw(self.size())
        if kind == kinds.DECIMAL:
            return self.decimal()
        if kind == kinds.OBJECT_ID:
            return kind, self.object_id_key()
        if kind == kinds.UUID:
            return kind, self.uuid_key()
        if kind == kinds.FLOAT:
            return kind, self.float32()
        if kind == kinds.GLOBAL_KEY:
            raise self.bad("a GlobalKey is no value")
        return kind, None  # OBJECT, DICTIONARY, ERASED, LIST, SET carry no data

    # --- primitives ------------------------------------------------------------------------------------------------

    def string(self) -> str:
        """A reference to an interned string."""
        index = self.data[self.pos]
        if index < 0x40:
            self.pos += 1
        else:
            index = self.uint32("string index")
        if index >= len(self.strings):
            raise self.bad(f"string {index} is used before it is defined")
        return self.strings[index]

    def text(self) -> str:
        """An inline string: length and bytes, of any content."""
        size = self.size()
        if size > MAX_STRING_SIZE:
            raise self.bad(f"a string of {size} bytes, more than {MAX_STRING_SIZE}")
        raw = self.raw(size)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("utf-8", "surrogateescape")

    def raw(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        start = self.pos
        if size > self.end - start:
            raise self.bad(f"{size} bytes announced, {self.end - start} left")
        self.pos = start + size
        return self.data[start : self.pos]

    def size(self) -> int:
        """The length of an inline string or binary."""
        byte = self.data[self.pos]
        if byte < 0x40:
            self.pos += 1
            return byte
        return self.unsigned(_INT64_BYTES, _UINT64_MAX, "length")

    def type_code(self) -> int:
        """A payload or property type: one of ``values.kinds``."""
        byte = self.data[self.pos]
        if byte <= kinds.UUID:
            self.pos += 1
            return byte
        if 0x40 <= byte <= 0x45:  # -1 to -6
            self.pos += 1
            return 0x3F - byte
        code = self.int64()
        if code < kinds.SET or code > kinds.UUID:
            raise self.bad(f"unknown type code {code}")
        return code

    def collection(self) -> int:
        collection = self.unsigned(_UINT8_BYTES, 0xFF, "collection type")
        if collection > kinds.SET_COLLECTION:
            raise self.bad(f"unknown collection type {collection}")
        return collection

    def boolean(self) -> bool:
        byte = self.data[self.pos]
        if byte < 0x40:
            self.pos += 1
            return byte != 0
        return self.unsigned(_UINT8_BYTES, 0xFF, "boolean") != 0

    def float32(self) -> float:
        value: float = _FLOAT.unpack(self.raw(4))[0]
        return value

    def float64(self) -> float:
        value: float = _DOUBLE.unpack(self.raw(8))[0]
        return value

    def timestamp(self) -> Timestamp:
        """Seconds and nanoseconds of one sign, the latter below a second (spec §3)."""
        seconds = self.int64()
        nanoseconds = self.int64()
        if nanoseconds >= _NANOSECONDS or nanoseconds <= -_NANOSECONDS:
            raise self.bad(f"timestamp out of range: {nanoseconds} nanoseconds")
        if (seconds < 0 < nanoseconds) or (nanoseconds < 0 < seconds):
            raise self.bad(f"timestamp with mixed signs: {seconds} s, {nanoseconds} ns")
        return tuple.__new__(Timestamp, (seconds, nanoseconds))

    def decimal(self) -> Payload:
        """Coefficient, exponent, sign (spec §3.6). The pattern of the null decimal reads as null."""
        coefficient = self.coefficient()
        exponent = self.integer(_INT32_BYTES)
        sign = self.integer(_INT32_BYTES)
        if not -_INT32_MAX - 1 <= sign <= _INT32_MAX:
            raise self.bad("the sign of a decimal is out of range")
        try:
            value = Decimal128(coefficient, exponent, sign != 0)
        except ValueError as error:
            raise self.bad(str(error)) from None
        if value.is_null():
            return kinds.NULL, None
        return kinds.DECIMAL, value

    def coefficient(self) -> int:
        """As an integer of §2.1, but of up to 17 bytes and with seven bits and no sign in the last one."""
        value = 0
        shift = 0
        last = self.pos + _COEFFICIENT_BYTES
        while self.pos < last:
            byte = self.data[self.pos]
            self.pos += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise self.bad("a decimal coefficient of more than 17 bytes")

    # --- integers (spec §2) ----------------------------------------------------------------------------------------

    def uint32(self, what: str) -> int:
        byte = self.data[self.pos]
        if byte < 0x40:
            self.pos += 1
            return byte
        return self.unsigned(_INT32_BYTES, _UINT32_MAX, what)

    def unsigned(self, max_bytes: i64, maximum: int, what: str) -> int:
        """An integer of 0 to ``maximum``. Negative ones, which realm-core wraps around, are refused."""
        value = self.integer(max_bytes)
        if value < 0 or value > maximum:
            raise self.bad(f"{what} {value} is out of range")
        return value

    def int64(self) -> int:
        byte = self.data[self.pos]
        if byte < 0x40:
            self.pos += 1
            return byte
        value = self.integer(_INT64_BYTES)
        if -_SAFE < value < _SAFE:  # spares comparing with integers that the compiled code must box
            return value
        if value > _INT64_MAX or value < _INT64_MIN:
            raise self.bad(f"integer {value} is out of range")
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
                raise self.bad(f"an integer of more than {max_bytes} bytes")
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
        raise self.bad(f"an integer of more than {max_bytes} bytes")
