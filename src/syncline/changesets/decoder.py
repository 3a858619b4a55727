"""Bytes → instructions: the reading half of the codec (spec/changesets.md §2 to §6).

The input is hostile until proved otherwise: every length is compared with the bytes that remain before anything is
allocated, nothing recurses, and whatever is wrong raises a :class:`~syncline.errors.MalformedChangesetError` that names
the byte offset, and number and subject of the instruction. Where realm-core is lax by accident (negative numbers in
unsigned fields, codes cut to eight bits) this decoder refuses.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from syncline.changesets.changeset import Changeset
from syncline.changesets.describe import key_text, name_text
from syncline.changesets.instructions import (
    ADD_COLUMN,
    ADD_INTEGER,
    ADD_TABLE,
    ARRAY_ERASE,
    ARRAY_INSERT,
    ARRAY_MOVE,
    CLEAR,
    CREATE_OBJECT,
    ERASE_COLUMN,
    ERASE_OBJECT,
    ERASE_TABLE,
    INSTRUCTION_NAMES,
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
from syncline.changesets.limits import BULK_BYTES, INTERN_STRING, MAX_INSTRUCTIONS, MAX_PATH_LENGTH, RECORDS_PER_TURN
from syncline.changesets.primitives import NEW_TUPLE, ByteReader, Payload
from syncline.collector import COLLECTOR_PAUSED
from syncline.errors import BadChangesetError, ChangesetLimitError, TruncatedChangesetError
from syncline.turns import let_others_run
from syncline.values import GlobalKey, Key, Link, kinds

__all__ = ["decode", "decode_detached_key", "offset_of"]

_UINT32_MAX: Final = 0xFFFF_FFFF


def decode(
    data: bytes, *, max_path_length: int = MAX_PATH_LENGTH, max_instructions: int = MAX_INSTRUCTIONS
) -> Changeset:
    """The changeset encoded in ``data``; zero bytes are a changeset without instructions.

    ``max_path_length`` bounds the elements of one path, ``max_instructions`` the instructions in all (the smallest take
    two bytes on the wire and some fifty in memory). Metadata of the result is zero: it travels beside the bytes.

    Raises MalformedChangesetError for anything that spec/changesets.md §2.3, §3 and §6.1 say must or should be refused;
    the error has ``offset``, ``instruction`` and ``subject``.
    """
    decoder = _Decoder(data, max_path_length, max_instructions)
    if len(data) < BULK_BYTES:
        decoder.run()
    else:
        with COLLECTOR_PAUSED:
            decoder.run()
    return Changeset(decoder.instructions, decoder.strings)


def offset_of(data: bytes, instruction: int) -> int | None:
    """Where the instruction of that number (from 0) begins in a changeset that can be decoded; None if it has fewer.

    Takes as long as decoding up to there: for errors that turn up later.
    """
    try:
        decode(data, max_instructions=instruction)
    except ChangesetLimitError as error:
        return error.offset
    return None


def decode_detached_key(data: bytes) -> Key:
    """A primary key as it stands outside a changeset: in compensating-write errors (spec/changesets.md §5.4).

    Differs from a key in a changeset in that a string is inline. Raises MalformedChangesetError for anything malformed,
    for a GlobalKey (which must not travel this way) and for bytes left over.
    """
    reader = ByteReader(data)
    try:
        key = _detached_key(reader)
    except IndexError:
        raise TruncatedChangesetError("the key is incomplete", offset=reader.pos) from None
    if reader.pos != len(data):
        raise reader.bad(reader.pos, "bytes after the key")
    return key


def _detached_key(reader: ByteReader) -> Key:
    code = reader.type_code()
    if code == kinds.STRING:
        return reader.text()
    if code == kinds.NULL:
        return None
    if code == kinds.INT:
        return reader.int64()
    if code == kinds.OBJECT_ID:
        return reader.object_id_key()
    if code == kinds.UUID:
        return reader.uuid_key()
    raise reader.bad(0, f"{kinds.KIND_NAMES[code]} is no type of a primary key")


class _Decoder(ByteReader):
    """The records, and what was read so far."""

    def __init__(self, data: bytes, max_path_length: int, max_instructions: int) -> None:
        super().__init__(data)
        self.max_path_length = max_path_length
        self.max_instructions = max_instructions
        self.strings: list[str] = []
        self.known: set[str] = set()
        self.instructions: list[Instruction] = []
        # as the keys of ByteReader
        self.last_integer = 0
        self.last_integer_key: Key = 0
        self.last_hi = self.last_lo = 0
        self.last_global_key = GlobalKey(0, 0)

    # --- records ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Read records until the input ends; an error is completed by what is known of the record it is in."""
        instructions = self.instructions
        limit = self.max_instructions
        start: i64 = 0
        records: i64 = 0
        try:
            while self.pos < self.end:
                start = self.pos
                records += 1
                if records == RECORDS_PER_TURN:
                    records = 0
                    let_others_run()
                code = self.code()
                if code > SET_ERASE:
                    if code != INTERN_STRING:
                        raise self.bad(start, f"unknown instruction {code}")
                    self.define_string()
                    continue
                if len(instructions) >= limit:
                    raise ChangesetLimitError(f"more than {limit} instructions", offset=start)
                instructions.append(self.instruction(code))
        except IndexError:
            error = TruncatedChangesetError("the changeset ends inside a record", offset=self.pos)
            raise self.placed(error, start) from None
        except BadChangesetError as found:
            self.placed(found, start)
            raise

    def placed(self, error: BadChangesetError, start: i64) -> BadChangesetError:
        """``error`` with the number and subject of the record that begins at ``start``."""
        error.instruction = len(self.instructions)
        error.subject = self.subject(start)
        return error

    def subject(self, start: i64) -> str:
        """What the bad record that begins at ``start`` speaks of, as far as it can be read."""
        self.pos = start
        text = "a record"
        try:
            code = self.code()
            if code == INTERN_STRING:
                text = "InternString"
                return f"InternString {self.uint32('string index')}"
            if code > SET_ERASE:
                return text
            text = INSTRUCTION_NAMES[code]
            text += f" of {name_text(self.string())}"
            if code in (ADD_TABLE, ERASE_TABLE):
                return text
            if code not in (ADD_COLUMN, ERASE_COLUMN):
                text += key_text(self.key())
            if code not in (CREATE_OBJECT, ERASE_OBJECT):
                text += f".{name_text(self.string())}"
        except (BadChangesetError, IndexError):
            pass  # that is how far it can be read
        return text

    def code(self) -> int:
        """An instruction code: almost always one byte."""
        byte = self.data[self.pos]
        if byte < 0x40:
            self.pos += 1
            return byte
        return self.uint64("instruction code")

    def define_string(self) -> None:
        """An InternString record (spec §4)."""
        start = self.pos
        index = self.uint32("string index")
        if index != len(self.strings):
            raise self.bad(start, f"unexpected intern index {index}, expected {len(self.strings)}")
        start = self.pos
        text = self.text()
        if text in self.known:
            raise self.bad(start, f"string {index} is defined already, as string {self.strings.index(text)}")
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
        path = self.index_path()
        kind, value = self.payload()
        return ArrayInsert(table, key, field, path, kind, value, self.uint32("prior size"))

    def path_instruction(self, code: int) -> Instruction:
        """The rarer instructions with a path."""
        table = self.string()
        key = self.key()
        field = self.string()
        if code == ARRAY_ERASE:
            path = self.index_path()
            return ArrayErase(table, key, field, path, self.uint32("prior size"))
        if code == ARRAY_MOVE:
            path = self.index_path()
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
        start = self.pos
        table_type = self.uint8("table type")
        if table_type == kinds.EMBEDDED:
            return AddTable(table, kinds.EMBEDDED, "", kinds.GLOBAL_KEY, False)
        if table_type > kinds.ASYMMETRIC:
            raise self.bad(start, f"unknown table type {table_type}")
        pk_field = self.string()
        start = self.pos
        pk_type = self.type_code()
        if pk_type not in kinds.KEY_KINDS:
            raise self.bad(start, f"{kinds.KIND_NAMES[pk_type]} is no type of a primary key")
        return AddTable(table, table_type, pk_field, pk_type, self.boolean())

    def add_column(self) -> AddColumn:
        table = self.string()
        field = self.string()
        start = self.pos
        value_type = self.type_code()
        if value_type < 0:
            raise self.bad(start, f"{kinds.KIND_NAMES[value_type]} is no type of a property")
        nullable = self.boolean()
        collection = self.collection()
        link_target = self.string() if value_type == kinds.LINK else ""
        if collection == kinds.DICTIONARY_COLLECTION:
            start = self.pos
            if self.type_code() != kinds.STRING:
                raise self.bad(start, "the keys of a dictionary are strings")
        return AddColumn(table, field, value_type, nullable, collection, link_target, kinds.STRING)

    # --- compound values -------------------------------------------------------------------------------------------

    def key(self) -> Key:
        """A primary key (spec §5.1)."""
        start = self.pos
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
        raise self.bad(start, f"{kinds.KIND_NAMES[code]} is no type of an object key")

    def integer_key(self) -> Key:
        value = self.int64()
        if value != self.last_integer:
            self.last_integer = value
            self.last_integer_key = value
        return self.last_integer_key

    def global_key(self) -> GlobalKey:
        hi = self.uint64("GlobalKey")
        lo = self.uint64("GlobalKey")
        if lo != self.last_lo or hi != self.last_hi:
            self.last_hi = hi
            self.last_lo = lo
            self.last_global_key = NEW_TUPLE(GlobalKey, (hi, lo))
        return self.last_global_key

    def path(self) -> Path:
        """A path below a property (spec §5.3)."""
        start = self.pos
        count = self.uint32("path length")
        if count == 0:
            return ()
        if count > self.max_path_length:
            raise ChangesetLimitError(f"a path of {count} elements, more than {self.max_path_length}", offset=start)
        if count == 1:
            return (self.path_element(),)
        elements: list[int | str] = []
        for _ in range(count):
            elements.append(self.path_element())
        return tuple(elements)

    def path_element(self) -> int | str:
        """An index, or a string announced by a negative number."""
        start = self.pos
        index = self.int64()
        if index < 0:
            return self.string()
        if index > _UINT32_MAX:
            raise self.bad(start, f"path index {index} is out of range")
        return index

    def index_path(self) -> Path:
        """A path that must end in an index."""
        start = self.pos
        path = self.path()
        if not path or isinstance(path[-1], str):
            raise self.bad(start, "the path does not end in an index")
        return path

    def payload(self) -> Payload:
        """A value with its kind (spec §5.2)."""
        start = self.pos
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
            return kind, NEW_TUPLE(Link, (self.string(), self.key()))
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
            raise self.bad(start, "a GlobalKey is no value")
        return kind, None  # OBJECT, DICTIONARY, ERASED, LIST, SET carry no data

    def string(self) -> str:
        """A reference to an interned string."""
        start = self.pos
        index = self.data[start]
        if index < 0x40:
            self.pos = start + 1
        elif index >= 0x80 and self.data[start + 1] < 0x40:
            index = (index & 0x7F) | self.data[start + 1] << 7
            self.pos = start + 2
        else:
            index = self.uint32("string index")
        if index >= len(self.strings):
            raise self.bad(start, f"string {index} is used before it is defined")
        return self.strings[index]
