"""Instructions → bytes: the writing half of the codec, in both styles (spec/changesets.md §2 to §6, §4.5).

*Re-encoding style* (whatever went through a merge): all string definitions first, in the order of the changeset's own
table. *Recording style* (a local transaction): each string directly before the first instruction that needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final, cast
from uuid import UUID

from mypy_extensions import i64

from syncline.changesets.batches import BatchColumn, ObjectBatch, instruction_count
from syncline.changesets.changeset import Changeset
from syncline.changesets.describe import describe
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
    SET_INSERT,
    UPDATE,
    AddColumn,
    AddInteger,
    AddTable,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Clear,
    EraseColumn,
    Instruction,
    ObjectInstruction,
    PathInstruction,
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
from syncline.errors import BadChangesetError, ChangesetLimitError, MalformedChangesetError
from syncline.turns import let_others_run
from syncline.values import Decimal128, GlobalKey, Key, Link, ObjectId, Timestamp, kinds

__all__ = ["encode", "encode_detached_key", "encode_integer", "encode_recorded"]

#: After so many records their pieces are put together: few enough that the memory of the pieces is used again.
_RECORDS_PER_PIECE: Final = 100

_FLOAT: Final = Struct("<f")
_DOUBLE: Final = Struct("<d")


def encode(changeset: Changeset) -> bytes:
    """``changeset`` in the re-encoding style; zero bytes if it has no instructions (its strings are dropped then).

    The table of strings keeps its order, unused entries included; strings that the merge brought in follow. Raises
    MalformedChangesetError for an instruction that no peer could read.
    """
    if not changeset.instructions:
        return b""
    encoder = _Encoder()
    for text in changeset.strings:
        encoder.string(text)
        encoder.take_turns()
    encoder.check_number(len(changeset.instructions))
    try:
        for instruction in changeset.instructions:
            encoder.instruction(instruction)
            encoder.take_turns()
    except BadChangesetError as error:
        _place(error, instruction, changeset.instructions)
        raise
    return b"".join(encoder.definitions) + encoder.written()


def encode_recorded(instructions: Sequence[Instruction], embedded_classes: Mapping[int, str] | None = None) -> bytes:
    """``instructions`` of a local transaction in the recording style, byte for byte as realm-core writes them.

    ``embedded_classes`` names, by the number of the instruction in the sequence, the embedded class inside which the
    instruction acts, if it does: realm-core interns that name before everything else of the instruction although
    nothing refers to it (spec/changesets.md §4.5). Leaving it out gives an equally valid changeset. The other oddity of
    §4.5, the "" of a property that is no link, needs no help.

    Raises MalformedChangesetError for an instruction that no peer could read.
    """
    encoder = _Encoder()
    encoder.check_number(sum([instruction_count(instruction) for instruction in instructions]))
    try:
        for number, instruction in enumerate(instructions):
            if isinstance(instruction, ObjectBatch):
                encoder.batch(instruction)
                continue
            if embedded_classes and number in embedded_classes:
                encoder.string(embedded_classes[number])
            encoder.recorded(instruction)
            encoder.take_turns()
    except BadChangesetError as error:
        _place(error, instruction, instructions)
        raise
    return encoder.written()


def _place(error: BadChangesetError, instruction: Instruction, instructions: Sequence[Instruction]) -> None:
    """Tell which of the instructions is to blame."""
    error.instruction = instructions.index(instruction)
    error.subject = describe(instruction)


def encode_detached_key(key: Key) -> bytes:
    """A primary key as it stands outside a changeset (spec/changesets.md §5.4). Raises ValueError for a GlobalKey."""
    if isinstance(key, str):
        raw = _text_bytes(key)
        return b"\x03" + encode_integer(len(raw)) + raw
    if isinstance(key, GlobalKey):
        raise ValueError("a GlobalKey does not travel outside changesets")
    return _Encoder().key(key)


def encode_integer(value: int) -> bytes:
    """The variable-length integer of spec/changesets.md §2.1, in its shortest form."""
    if 0 <= value < _TWO_BYTES:
        return _SHORT[value]
    sign: i64 = 0
    if value < 0:
        sign = 0x40
        value = -value - 1
    if value >= _EIGHT_BYTES:
        return _encode_long_integer(value, sign)
    rest: i64 = value
    packed: i64 = 0
    shift: i64 = 0
    while rest >= 0x40:
        packed |= (0x80 | (rest & 0x7F)) << shift
        shift += 8
        rest >>= 7
    packed |= (sign | rest) << shift
    size: i64 = (shift >> 3) + 1
    return int(packed).to_bytes(int(size), "little")


def _encode_long_integer(value: int, sign: i64) -> bytes:
    """The same for integers of more than eight bytes."""
    out: list[int] = []
    while value >= 0x40:
        out.append(0x80 | (value & 0x7F))
        value >>= 7
    out.append(sign | value)
    return bytes(out)


_INTERN: Final = bytes((INTERN_STRING,))
#: Integers below this take at most two bytes. Most are: they are encoded once, and looked up.
_TWO_BYTES: Final = 1 << 13
_SHORT: Final[list[bytes]] = [
    *[bytes((value,)) for value in range(0x40)],
    *[bytes((0x80 | (value & 0x7F), value >> 7)) for value in range(0x40, _TWO_BYTES)],
]
_CREATE: Final = _SHORT[CREATE_OBJECT]
_UPDATE: Final = _SHORT[UPDATE]
#: Integers below this take at most eight bytes.
_EIGHT_BYTES: Final = 1 << 55


def _escaped_bytes(text: str) -> bytes:
    """Bytes of a string in which surrogates stand for bytes that are not UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise MalformedChangesetError("a string with a lone surrogate cannot travel") from None


def _text_bytes(text: str) -> bytes:
    """The bytes of a string value or name, of legal length."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raw = _escaped_bytes(text)
    if len(raw) > MAX_STRING_SIZE:
        raise ChangesetLimitError(f"a string of {len(raw)} bytes, more than {MAX_STRING_SIZE}")
    return raw


def _sized_text(text: str) -> bytes:
    raw = _text_bytes(text)
    return encode_integer(len(raw)) + raw


class _Encoder:
    """The output as a list of pieces, and what has been interned so far (text → its encoded index).

    ``finished`` is what pieces in front of those in ``body`` were put together to.
    """

    def __init__(self) -> None:
        self.definitions: list[bytes] = []
        self.body: list[bytes] = []
        self.finished: list[bytes] = []
        self.records: i64 = 0
        self.references: dict[str, bytes] = {}
        self.whole_fields: dict[str, bytes] = {}
        # consecutive instructions mostly concern one object: its class and key are encoded once
        self.last_table = ""
        self.last_key: Key = None
        self.last_object = b""

    def check_number(self, count: int) -> None:
        """A changeset that receivers would refuse for its size must not leave."""
        if count > MAX_INSTRUCTIONS:
            raise ChangesetLimitError(f"{count} instructions in one changeset, more than {MAX_INSTRUCTIONS}")

    def take_turns(self) -> None:
        """After each record: put the pieces together from time to time, and let other threads run."""
        self.records += 1
        if self.records % _RECORDS_PER_PIECE == 0:
            self.finished.append(b"".join(self.body))
            self.body.clear()
            if self.records == RECORDS_PER_TURN:
                self.records = 0
                let_others_run()

    def written(self) -> bytes:
        """All instructions so far."""
        return b"".join(self.finished) + b"".join(self.body)

    # --- strings ---------------------------------------------------------------------------------------------------

    def string(self, text: str) -> bytes:
        """The reference to ``text``, which is defined first if it is new."""
        reference = self.references.get(text)
        if reference is None:
            reference = self.define(text)
        return reference

    def define(self, text: str) -> bytes:
        raw = _text_bytes(text)
        if not text.isascii() and (canonical := raw.decode("utf-8", "surrogateescape")) != text:
            return self.string(canonical)  # surrogates that spell proper UTF-8: must not be defined twice
        reference = encode_integer(len(self.references))
        self.references[text] = reference
        self.definitions.append(_INTERN + reference + encode_integer(len(raw)) + raw)
        return reference

    # --- instructions ----------------------------------------------------------------------------------------------

    def recorded(self, instruction: Instruction) -> None:
        """Append ``instruction`` with the definitions it needs in front of it."""
        body = self.body
        start = len(body)
        self.instruction(instruction)
        if instruction.opcode == ADD_COLUMN and cast(AddColumn, instruction).value_type != kinds.LINK:
            self.string("")  # the absent link target
        if self.definitions:
            body[start:start] = self.definitions
            self.definitions = []

    def batch(self, batch: ObjectBatch) -> None:
        """Append what a batch stands for, in the recording style."""
        if not batch.keys:
            return
        for instruction in batch.instructions_of(0):  # defines the names
            self.recorded(instruction)
        columns: list[list[bytes]] = []
        for column in batch.columns:
            updates = self.column_updates(column)
            if updates is None:
                self.batch_by_row(batch)
                return
            columns.append(updates)
        self.batch_by_column(batch, columns)

    def batch_by_row(self, batch: ObjectBatch) -> None:
        """Append all but the first object, one after the other."""
        for row in range(1, len(batch.keys)):
            for instruction in batch.instructions_of(row):
                self.recorded(instruction)
                self.take_turns()

    def batch_by_column(self, batch: ObjectBatch, columns: list[list[bytes]]) -> None:
        """Append all but the first object, their pieces put in between each other column by column."""
        table = self.string(batch.table)
        with_number = table + b"\x01"
        creations: list[bytes] = []
        updates: list[bytes] = []
        for row in range(1, len(batch.keys)):
            key = batch.keys[row]
            if type(key) is int:
                target = with_number + encode_integer(key)
                creations.append(_CREATE + target)
            else:
                target = table + self.key(key)
                creations.append(b"".join(self.definitions) + _CREATE + target)
                self.definitions.clear()
            updates.append(_UPDATE + target)
        width = 1 + 2 * len(columns)
        pieces = [b""] * (width * len(creations))
        pieces[0::width] = creations
        for number, column in enumerate(columns):
            pieces[2 * number + 1 :: width] = updates
            pieces[2 * number + 2 :: width] = column[1:]
        self.finished.append(b"".join(self.body))
        self.body.clear()
        self.finished.append(b"".join(pieces))
        let_others_run()

    def column_updates(self, column: BatchColumn) -> list[bytes] | None:
        """What follows class and key in the Updates of a column; None for links, which may define strings."""
        field = self.whole_field(column.field)
        end = b"\x01" if column.is_default else b"\x00"
        if column.kinds is not None:
            if kinds.LINK in column.kinds:
                return None
        elif column.kind == kinds.INT:
            start = field + b"\x01"
            return [start + encode_integer(cast(int, value)) + end for value in column.values]
        elif column.kind == kinds.DOUBLE:
            start = field + b"\x07"
            return [start + _DOUBLE.pack(value) + end for value in column.values]
        elif column.kind == kinds.STRING:
            start = field + b"\x03"
            return [start + _sized_text(cast(str, value)) + end for value in column.values]
        elif column.kind == kinds.LINK:
            return None
        return [self.one_update(column, row) for row in range(len(column.values))]

    def one_update(self, column: BatchColumn, row: int) -> bytes:
        """What follows class and key in one Update of a column."""
        body = self.body
        self.body = []
        self.payload(column.kind_at(row), column.values[row])
        payload = b"".join(self.body)
        self.body = body
        return self.whole_field(column.field) + payload + (b"\x01" if column.is_default else b"\x00")

    def instruction(self, instruction: Instruction) -> None:
        """Append ``instruction``."""
        opcode = instruction.opcode
        body = self.body
        body.append(_SHORT[opcode])
        if isinstance(instruction, ObjectInstruction):
            self.target(instruction)
            if isinstance(instruction, PathInstruction):
                self.place(instruction)
                self.rest(instruction, opcode)
            return
        body.append(self.string(instruction.table))
        if opcode == ADD_COLUMN:
            self.add_column(cast(AddColumn, instruction))
        elif opcode == ADD_TABLE:
            self.add_table(cast(AddTable, instruction))
        elif opcode == ERASE_COLUMN:
            body.append(self.string(cast(EraseColumn, instruction).field))

    def target(self, instruction: ObjectInstruction) -> None:
        """Class and key."""
        if instruction.key is not self.last_key or instruction.table is not self.last_table or not self.last_object:
            self.last_table = instruction.table
            self.last_key = instruction.key
            self.last_object = self.string(instruction.table) + self.key(instruction.key)
        self.body.append(self.last_object)

    def place(self, instruction: PathInstruction) -> None:
        """Property and path (spec §5.3)."""
        body = self.body
        path = instruction.path
        if not path:
            body.append(self.whole_field(instruction.field))
            return
        body.append(self.string(instruction.field))
        if len(path) > MAX_PATH_LENGTH:
            raise ChangesetLimitError(f"a path of {len(path)} elements, more than {MAX_PATH_LENGTH}")
        body.append(encode_integer(len(path)))
        for element in path:
            if isinstance(element, str):
                body.append(b"\x40")
                body.append(self.string(element))
            else:
                body.append(encode_integer(element))

    def whole_field(self, field: str) -> bytes:
        """The place of a property itself: its name, and a path of no elements."""
        known = self.whole_fields.get(field)
        if known is None:
            known = self.whole_fields[field] = self.string(field) + b"\x00"
        return known

    def rest(self, instruction: PathInstruction, opcode: int) -> None:
        """What follows the path."""
        body = self.body
        if opcode == UPDATE:
            self.update(cast(Update, instruction))
        elif opcode == ARRAY_INSERT:
            insert = cast(ArrayInsert, instruction)
            self.payload(insert.kind, insert.value)
            body.append(encode_integer(insert.prior_size))
        elif opcode == ARRAY_ERASE:
            body.append(encode_integer(cast(ArrayErase, instruction).prior_size))
        elif opcode == ARRAY_MOVE:
            move = cast(ArrayMove, instruction)
            body.append(encode_integer(move.ndx_2))
            body.append(encode_integer(move.prior_size))
        elif opcode == ADD_INTEGER:
            body.append(encode_integer(cast(AddInteger, instruction).value))
        elif opcode == CLEAR:
            body.append(encode_integer(cast(Clear, instruction).collection))
        elif opcode == SET_INSERT:
            addition = cast(SetInsert, instruction)
            self.payload(addition.kind, addition.value)
        else:
            removal = cast(SetErase, instruction)
            self.payload(removal.kind, removal.value)

    def update(self, instruction: Update) -> None:
        self.payload(instruction.kind, instruction.value)
        path = instruction.path
        if path and isinstance(path[-1], int):
            self.body.append(encode_integer(instruction.prior_size))
        else:
            self.body.append(b"\x01" if instruction.is_default else b"\x00")

    def add_table(self, instruction: AddTable) -> None:
        body = self.body
        body.append(encode_integer(instruction.table_type))
        if instruction.table_type != kinds.EMBEDDED:
            body.append(self.string(instruction.pk_field))
            body.append(encode_integer(instruction.pk_type))
            body.append(b"\x01" if instruction.pk_nullable else b"\x00")

    def add_column(self, instruction: AddColumn) -> None:
        body = self.body
        if instruction.value_type < 0:
            raise MalformedChangesetError(f"{kinds.KIND_NAMES[instruction.value_type]} is no type of a property")
        body.append(self.string(instruction.field))
        body.append(encode_integer(instruction.value_type))
        body.append(b"\x01" if instruction.nullable else b"\x00")
        body.append(encode_integer(instruction.collection))
        if instruction.value_type == kinds.LINK:
            body.append(self.string(instruction.link_target))
        if instruction.collection == kinds.DICTIONARY_COLLECTION:
            body.append(_SHORT[kinds.STRING])

    # --- compound values -------------------------------------------------------------------------------------------

    def key(self, key: Key) -> bytes:
        """A primary key (spec §5.1)."""
        if isinstance(key, int):
            return b"\x01" + encode_integer(key)
        if isinstance(key, str):
            return b"\x03" + self.string(key)
        if isinstance(key, GlobalKey):
            return b"\x40" + encode_integer(key.hi) + encode_integer(key.lo)
        if isinstance(key, ObjectId):
            return b"\x0a" + key.binary
        if isinstance(key, UUID):
            return b"\x0b" + key.bytes
        return b"\x00"

    def payload(self, kind: int, value: object) -> None:
        """A value with its kind (spec §5.2)."""
        body = self.body
        if kind == kinds.INT:
            body.append(b"\x01")
            body.append(encode_integer(cast(int, value)))
        elif kind == kinds.STRING:
            raw = _text_bytes(cast(str, value))
            body.append(b"\x03")
            body.append(encode_integer(len(raw)))
            body.append(raw)
        elif kind == kinds.NULL:
            body.append(b"\x00")
        elif kind == kinds.DOUBLE:
            body.append(b"\x07")
            body.append(_DOUBLE.pack(value))
        elif kind == kinds.BOOL:
            body.append(b"\x02\x01" if value else b"\x02\x00")
        elif kind == kinds.LINK:
            link = cast(Link, value)
            body.append(b"\x09")
            body.append(self.string(link.table))
            body.append(self.key(link.key))
        elif kind == kinds.TIMESTAMP:
            timestamp = cast(Timestamp, value)
            body.append(b"\x05")
            body.append(encode_integer(timestamp.seconds))
            body.append(encode_integer(timestamp.nanoseconds))
        else:
            self.rare_payload(kind, value)

    def rare_payload(self, kind: int, value: object) -> None:
        body = self.body
        if kind == kinds.BINARY:
            raw = cast(bytes, value)
            body.append(b"\x04" + encode_integer(len(raw)))
            body.append(raw)
        elif kind == kinds.DECIMAL:
            self.decimal(cast(Decimal128, value))
        elif kind == kinds.OBJECT_ID:
            body.append(b"\x0a" + cast(ObjectId, value).binary)
        elif kind == kinds.UUID:
            body.append(b"\x0b" + cast(UUID, value).bytes)
        elif kind == kinds.FLOAT:
            body.append(b"\x06" + _FLOAT.pack(value))
        elif kinds.SET <= kind <= kinds.OBJECT:
            body.append(encode_integer(kind))
        else:
            raise MalformedChangesetError(f"no payload has the type code {kind}")

    def decimal(self, value: Decimal128) -> None:
        """Coefficient, exponent, sign (spec §3.6); the null decimal travels as null."""
        if value.is_null():
            self.body.append(b"\x00")
            return
        sign = b"\x01" if value.negative else b"\x00"
        self.body.append(b"\x08" + encode_integer(value.coefficient) + encode_integer(value.exponent) + sign)
