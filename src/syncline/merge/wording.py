"""Changes in plain words, as an explanation shows them: ``set walks[2].title to "Park"``.

Unlike the words of errors (``changesets/describe.py``), these show what users wrote: they are for whoever may read the
Realm anyway.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID as Uuid

from syncline.changesets.instructions import (
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
from syncline.merge.resets import reset_of
from syncline.values import GlobalKey, Key, Link, ObjectId, Timestamp
from syncline.values.kinds import DICTIONARY, ERASED, FLOAT, LIST, NULL, OBJECT, SET

__all__ = ["key_text", "object_text", "place_text", "time_text", "value_text", "words"]

#: Origin timestamps are milliseconds since then (spec/merge.md §2.1).
_EPOCH: Final = datetime(2015, 1, 1, tzinfo=UTC)

#: Longer strings and binaries are cut (characters, bytes).
_MAX_TEXT: Final = 60
_MAX_BYTES: Final = 16

_SPECIAL: Final[dict[int, str]] = {
    NULL: "null",
    OBJECT: "a new embedded object",
    DICTIONARY: "a dictionary",
    LIST: "a list",
    SET: "a set",
    ERASED: "nothing",
}


def words(instruction: Instruction) -> str:
    """What a change does, as the end of the sentence "somebody wanted to …"."""
    if isinstance(instruction, Update):
        place = place_text(instruction.field, instruction.path)
        if instruction.kind == ERASED:
            return f"remove {place}"
        if reset_of(instruction) is not None:
            return f"remove what was in {place} before"
        default = "its default, " if instruction.is_default else ""
        return f"set {place} to {default}{value_text(instruction.kind, instruction.value)}"
    if isinstance(instruction, AddInteger):
        place = place_text(instruction.field, instruction.path)
        if instruction.value < 0:
            return f"subtract {-instruction.value} from {place}"
        return f"add {instruction.value} to {place}"
    if isinstance(instruction, ArrayInsert):
        value = value_text(instruction.kind, instruction.value)
        return f"insert {value} at {place_text(instruction.field, instruction.path)}"
    if isinstance(instruction, ArrayMove):
        return f"move {place_text(instruction.field, instruction.path)} to [{instruction.ndx_2}]"
    if isinstance(instruction, ArrayErase):
        return f"erase {place_text(instruction.field, instruction.path)}"
    if isinstance(instruction, Clear):
        return f"clear {place_text(instruction.field, instruction.path)}"
    if isinstance(instruction, SetInsert):
        value = value_text(instruction.kind, instruction.value)
        return f"put {value} into {place_text(instruction.field, instruction.path)}"
    if isinstance(instruction, SetErase):
        value = value_text(instruction.kind, instruction.value)
        return f"take {value} out of {place_text(instruction.field, instruction.path)}"
    return _words_of_the_rest(instruction)


def _words_of_the_rest(instruction: Instruction) -> str:
    """Changes of objects, classes and properties as a whole."""
    table = instruction.table
    if isinstance(instruction, CreateObject):
        return f"create {object_text(table, instruction.key)}"
    if isinstance(instruction, EraseObject):
        return f"delete {object_text(table, instruction.key)}"
    if isinstance(instruction, AddTable):
        return f"add the class {table}"
    if isinstance(instruction, EraseTable):
        return f"erase the class {table}"
    if isinstance(instruction, AddColumn):
        return f"add the property {table}.{instruction.field}"
    assert isinstance(instruction, EraseColumn)
    return f"erase the property {table}.{instruction.field}"


def place_text(field: str, path: Path) -> str:
    """A place inside an object: ``walks[2].title``."""
    return field + "".join([f"[{step}]" if isinstance(step, int) else f".{step}" for step in path])


def object_text(table: str, key: Key) -> str:
    """An object by class and key: ``Person[7]``, ``Person["ann"]``."""
    return f"{table}[{key_text(key)}]"


def key_text(key: Key) -> str:
    """A key as the command line takes it, strings in quotation marks: ``7``, ``"ann"``, ``3-17`` (a GlobalKey)."""
    if key is None:
        return "null"
    if isinstance(key, str):
        return _quoted(key)
    if isinstance(key, GlobalKey):
        return f"{key.hi}-{key.lo}"
    return str(key)


def value_text(kind: int, value: object) -> str:
    """A payload: ``7``, ``"Park"``, ``null``, ``Person[7]``, ``2024-05-01 12:00:00 UTC``."""
    if kind in _SPECIAL:
        return _SPECIAL[kind]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bytes):
        more = "…" if len(value) > _MAX_BYTES else ""
        return f"{len(value)} bytes ({value[:_MAX_BYTES].hex()}{more})"
    if isinstance(value, Link):
        return object_text(value.table, value.key)
    if isinstance(value, Timestamp):
        return _time(value)
    if isinstance(value, float):
        return f"{value:.9g}" if kind == FLOAT else repr(value)
    if isinstance(value, (ObjectId, Uuid)):
        return str(value)
    return str(value)


def time_text(timestamp: int) -> str:
    """An origin timestamp, milliseconds since 2015-01-01T00:00:00Z: ``2024-05-01 12:00:05.000 UTC``."""
    try:
        moment = _EPOCH + timedelta(milliseconds=timestamp)
    except OverflowError:  # nobody checks what a client says (spec/merge.md §2.1)
        return f"{timestamp} ms after 2015"
    return f"{moment.strftime('%Y-%m-%d %H:%M:%S')}.{moment.microsecond // 1000:03d} UTC"


def _time(value: Timestamp) -> str:
    try:
        text = value.to_datetime().strftime("%Y-%m-%d %H:%M:%S")
    except OverflowError:
        return f"{value.seconds} seconds after 1970"
    nanoseconds = value.nanoseconds % 1_000_000_000
    return f"{text}.{nanoseconds:09d} UTC" if nanoseconds else f"{text} UTC"


def _quoted(text: str) -> str:
    """In quotation marks, cut, and nothing in it that a terminal would obey."""
    cut = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"
    printable = "".join([c if c.isprintable() or c in "\n\t" else "\ufffd" for c in cut])
    return json.dumps(printable, ensure_ascii=False)
