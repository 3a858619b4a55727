"""The notation of the worked examples of spec/merge.md §12: text ↔ instructions, changesets and states.

Objects are of class T and named by their key; `U/1` is object 1 of class U. `⟨n⟩` is prior_size, `‖` separates
changesets, `@` gives their timestamps, `∅` is nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.merge.model import Value

from syncline.changesets.changeset import Changeset
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
    fields_of,
)
from syncline.values import Link, kinds

_TABLE = "T"
_COLLECTIONS = {"List": kinds.LIST_COLLECTION, "Dict": kinds.DICTIONARY_COLLECTION, "Set": kinds.SET_COLLECTION}
_SPECIAL = {"Object": kinds.OBJECT, "List": kinds.LIST, "Dict": kinds.DICTIONARY, "Erased": kinds.ERASED}


def instructions(text: str) -> list[Instruction]:
    """The instructions of one changeset: `Set 1.i=5; Ins 1.l[0]=7 ⟨1⟩`."""
    text = text.strip()
    return [] if text == "∅" else [instruction(part.strip()) for part in text.split(";")]


def side(text: str, ident: int) -> list[Changeset]:
    """One side of an example with its timestamps: `@10/20 Set 1.i=5 ‖ Set 1.i=6`."""
    stamps, _, rest = text.strip().removeprefix("@").partition(" ")
    parts = rest.split("‖")
    times = [int(stamp) for stamp in stamps.split("/")]
    assert len(times) == len(parts), text
    return [
        Changeset(instructions(part), [], version=n, origin_timestamp=time, origin_file_ident=ident, sequence=n)
        for n, (part, time) in enumerate(zip(parts, times, strict=True), 1)
    ]


def copied(changesets: list[Changeset]) -> list[Changeset]:
    """The same changesets once more, sharing nothing that a merge changes."""
    return [
        Changeset(
            [type(instruction)(*fields_of(instruction)[1:]) for instruction in changeset.instructions],
            list(changeset.strings),
            changeset.version,
            changeset.last_integrated_remote_version,
            changeset.origin_timestamp,
            changeset.origin_file_ident,
            changeset.sequence,
        )
        for changeset in changesets
    ]


def contents(changesets: list[Changeset]) -> list[list[tuple[Any, ...]]]:
    """What can be compared of changesets."""
    return [[fields_of(instruction) for instruction in changeset.instructions] for changeset in changesets]


def expected(text: str) -> list[list[tuple[Any, ...]]]:
    """The same of the text of a result, `Set 1.i=7 ‖ ∅`."""
    return [[fields_of(instruction) for instruction in instructions(part)] for part in text.split("‖")]


# --- instructions -----------------------------------------------------------------------------------------------------


def instruction(text: str) -> Instruction:
    """One instruction."""
    word, _, rest = text.partition(" ")
    if word in ("AddTable", "EraseTable", "AddColumn", "EraseColumn"):
        return _schema(word, rest)
    if word in ("Create", "Erase"):
        table, key = _object(rest)
        return CreateObject(table, key) if word == "Create" else EraseObject(table, key)
    size = re.search(r" ⟨(\d+)⟩$", rest)
    prior_size = int(size[1]) if size else -1
    is_default = rest.endswith(" (default)")
    rest = re.sub(r" ⟨\d+⟩$| \(default\)$", "", rest)
    if word == "Set":
        place, _, value = rest.partition("=")
        return Update(*_place(place), *payload(value), is_default, prior_size)
    if word == "Ins":
        place, _, value = rest.partition("=")
        return ArrayInsert(*_place(place), *payload(value), prior_size)
    if word == "Add":
        place, sign, value = re.match(r"(.*?)([+-])(.*)", rest).groups()
        return AddInteger(*_place(place), int(sign + value))
    if word == "Del":
        return ArrayErase(*_place(rest), prior_size)
    if word == "Mov":
        place, _, target = rest.partition("⇒")
        return ArrayMove(*_place(place), int(target), prior_size)
    place, _, value = rest.partition(" ")
    if word == "Clr":
        return Clear(*_place(place), _COLLECTIONS[value.strip("()")] if value else kinds.SINGLE_COLLECTION)
    return {"S+": SetInsert, "S−": SetErase, "S-": SetErase}[word](*_place(place), *payload(value))


def _schema(word: str, rest: str) -> Instruction:
    name, *words = rest.replace("`", "").split()
    table, _, field = name.partition(".")
    if word == "EraseTable":
        return EraseTable(table)
    if word == "EraseColumn":
        return EraseColumn(table, field)
    if word == "AddTable":
        if words[:1] == ["embedded"]:
            return AddTable(table, kinds.EMBEDDED, "", kinds.GLOBAL_KEY, False)
        kind = kinds.ASYMMETRIC if "asymmetric" in words else kinds.TOP_LEVEL
        if "pk" not in words:
            return AddTable(table, kind, "", kinds.GLOBAL_KEY, False)
        pk_field, pk_type = words[words.index("pk") + 1 :][:2]
        return AddTable(table, kind, pk_field, _type(pk_type), "nullable" in words)
    target = ""
    kind = kinds.INT
    collection = kinds.SINGLE_COLLECTION
    for item in words:
        if item.startswith("link→"):
            kind, target = kinds.LINK, item.removeprefix("link→")
        elif item.capitalize() in _COLLECTIONS:
            collection = _COLLECTIONS[item.capitalize()]
        elif item != "nullable":
            kind = _type(item)
    key_type = kinds.STRING if collection == kinds.DICTIONARY_COLLECTION else kinds.NULL
    return AddColumn(table, field, kind, "nullable" in words, collection, target, key_type)


def _type(name: str) -> int:
    return {"int": kinds.INT, "string": kinds.STRING, "mixed": kinds.MIXED, "double": kinds.DOUBLE}[name]


def _object(text: str) -> tuple[str, Any]:
    table, slash, key = text.rpartition("/")
    return (table if slash else _TABLE), int(key)


def _place(text: str) -> tuple[str, Any, str, Path]:
    """`1.ee[0].v` → class, key, field, path."""
    head, _, rest = text.partition(".")
    steps = re.findall(r"[^.\[\]]+", rest)
    path = tuple(int(step) if step.isdigit() else step for step in steps[1:])
    return *_object(head), steps[0], path


def payload(text: str) -> tuple[int, Any]:
    """Kind and value of a payload: `5`, `"x"`, `null`, `→2`, `→U/1`, `1.5`, `Object`, `List`, …."""
    text = text.strip()
    if text in _SPECIAL:
        return _SPECIAL[text], None
    if text == "null":
        return kinds.NULL, None
    if text.startswith('"'):
        return kinds.STRING, text.strip('"')
    if text.startswith("→"):
        return kinds.LINK, Link(*_object(text.removeprefix("→")))
    if "." in text or text == "nan":
        return kinds.DOUBLE, float(text)
    return kinds.INT, int(text)


# --- states -----------------------------------------------------------------------------------------------------------


def state(text: str) -> dict[int, dict[str, Value]]:
    """`1: i=0, l=[1, 2]; 2: k=null` → the fields shown of each object."""
    text = text.strip().removesuffix(" (dangling)")
    if text == "no objects":
        return {}
    objects: dict[int, dict[str, Value]] = {}
    for part in text.split(";"):
        key, _, rest = part.partition(":")
        reader = _StateReader(rest)
        objects[int(key)] = reader.fields()
    return objects


class _StateReader:
    """Reads `i=0, l=[1, 2], e={v:1}, s={1}`."""

    def __init__(self, text: str) -> None:
        self.tokens = re.findall(r'[\[\]{},:=]|"[^"]*"|→?[\w-]+', text)
        self.place = 0

    def fields(self) -> dict[str, Value]:
        fields: dict[str, Value] = {}
        while self.place < len(self.tokens):
            name = self.take()
            assert self.take() == "="
            fields[name] = self.value(name)
            if self.place < len(self.tokens):
                assert self.take() == ","
        return fields

    def take(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1]

    def value(self, field: str) -> Value:
        token = self.take()
        if token == "[":
            return self.items("]", lambda: self.value(""))
        if token == "{" and field == "s":
            return {payload(item)[1] for item in self.items("}", self.take)}
        if token == "{":
            return dict(self.items("}", self.pair))
        return payload(token)[1]

    def pair(self) -> tuple[str, Value]:
        name = self.take()
        assert self.take() == ":"
        return name, self.value("")

    def items(self, end: str, item: Callable[[], Any]) -> list[Any]:
        found = []
        while self.tokens[self.place] != end:
            found.append(item())
            if self.tokens[self.place] == ",":
                self.take()
        self.take()
        return found


class NothingEmbedded:
    """A schema in which no property holds embedded objects."""

    def embedded_property(self, table: str, field: str) -> None:
        """See :class:`syncline.merge.schema.Schema`."""
        return None
