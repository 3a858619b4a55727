"""Files of test vectors: reading them, telling their kinds apart, comparing states (tests/vectors/README.md).

A file has one JSON object per line, plain or gzip; ``fixtures.json`` is one JSON list. What a line is follows from its
fields alone, so that files nobody has seen before can be run.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = [
    "Case",
    "Kind",
    "Mismatch",
    "NotRunnableError",
    "VectorFileError",
    "compare",
    "kind_of",
    "normal_objects",
    "normal_state",
    "read_cases",
    "read_fixtures",
]

#: A JSON value as ``json.loads`` makes it.
Json: TypeAlias = Any

_GZIP_MAGIC: Final = b"\x1f\x8b"


class VectorFileError(Exception):
    """A file that cannot be read, or that holds no test vectors; the message names it."""


class NotRunnableError(Exception):
    """A case that this runner cannot execute; counted as *not supported*."""


class Mismatch(Exception):
    """A case whose result is not the expected one. ``what`` was compared; the values may be large."""

    def __init__(self, what: str, expected: object, actual: object) -> None:
        super().__init__(f"{what}: expected {_brief(expected)}, got {_brief(actual)}")
        self.what = what
        self.expected = expected
        self.actual = actual


class Kind(Enum):
    """What a line is."""

    CHANGESET = "changeset"
    INVALID_CHANGESET = "invalid changeset"
    OPERATIONS = "operations"
    MERGE_RULE = "merge of single instructions"
    MERGE = "merge"
    TROUBLED_MERGE = "merge in which realm-core fails"
    LONG_MERGE = "long merge"
    TROUBLED_LONG_MERGE = "long merge in which realm-core fails"
    CRASH_NOTE = "note that realm-core died before anything was recorded"
    FIXTURE = "fixture"
    UNKNOWN = "unknown"


class Case(NamedTuple):
    """One line: its kind, its name (``id``, or the line's number), its fields."""

    kind: Kind
    name: str
    fields: Mapping[str, Json]


def kind_of(fields: Mapping[str, Json]) -> Kind:
    """The kind of a case, by its fields."""
    names = fields.keys()
    if names >= {"fixture", "base", "dump"}:
        return Kind.FIXTURE
    if names >= {"schema", "ops", "changeset"}:
        return Kind.OPERATIONS
    if names >= {"events", "fixture"}:
        return Kind.TROUBLED_LONG_MERGE if "status" in fields else Kind.LONG_MERGE
    if names >= {"left", "right"}:
        if "fixture" not in fields:
            return Kind.MERGE_RULE
        return Kind.TROUBLED_MERGE if "status" in fields else Kind.MERGE
    if names >= {"status", "error"} and fields["status"] == "crash":
        return Kind.CRASH_NOTE
    if names >= {"changeset", "instructions"}:
        return Kind.CHANGESET
    if "changeset" in fields:
        return Kind.INVALID_CHANGESET
    return Kind.UNKNOWN


def read_cases(path: Path, first: int = 0, every: int = 1) -> Iterator[Case]:
    """The cases of a file, in order: all, or from the one with index ``first`` on each ``every``-th.

    Raises VectorFileError for what is no such file, naming the line.
    """
    text = _read_text(path)
    if text.lstrip()[:1] == "[":
        listed = list(enumerate(_parse(path, text, "the file"), 1))
        for number, fields in listed[first::every]:
            yield _case(path, number, fields)
        return
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, line in lines[first::every]:
        yield _case(path, number, _parse(path, line, f"line {number}"))


def read_fixtures(path: Path) -> dict[int, Mapping[str, Json]]:
    """The common states that merges start from, by number. Raises VectorFileError."""
    fixtures: dict[int, Mapping[str, Json]] = {}
    for case in read_cases(path):
        if case.kind is not Kind.FIXTURE:
            raise VectorFileError(f"{path} does not hold fixtures")
        fixtures[case.fields["fixture"]] = case.fields
    return fixtures


def _case(path: Path, number: int, fields: Json) -> Case:
    if not isinstance(fields, dict):
        raise VectorFileError(f"{path}, line {number}: not a JSON object")
    name = fields.get("id", fields.get("fixture", number))
    return Case(kind_of(fields), str(name), fields)


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP_MAGIC):
            data = gzip.decompress(data)
        return data.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise VectorFileError(f"{path} cannot be read: {reason}") from error


def _parse(path: Path, text: str, where: str) -> Json:
    try:
        return json.loads(text)
    except ValueError as error:
        raise VectorFileError(f"{path}, {where}: not JSON: {error}") from error


# --- comparing --------------------------------------------------------------------------------------------------------


def compare(what: str, expected: object, actual: object) -> None:
    """Raise Mismatch unless the two are equal."""
    if expected != actual:
        raise Mismatch(what, expected, actual)


def normal_state(state: Mapping[str, Json]) -> dict[str, Json]:
    """A dump ``{schema, objects}`` in a form that can be compared with ``==``."""
    return {"schema": state["schema"], "objects": normal_objects(state["objects"])}


def normal_objects(objects: Mapping[str, list[Json]]) -> dict[str, dict[str, Json]]:
    """The objects of a dump by class and key, with sets in one order."""
    return {
        name: {
            json.dumps(entry["key"], sort_keys=True): {p: _normal_value(v) for p, v in entry["props"].items()}
            for entry in entries
        }
        for name, entries in objects.items()
    }


def _normal_value(value: Json) -> Json:
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((name, content),) = value.items()
    if name == "list":
        return {name: [_normal_value(element) for element in content]}
    if name == "set":
        return {name: sorted(content, key=lambda member: json.dumps(member, sort_keys=True))}
    if name in ("dict", "obj"):
        return {name: {key: _normal_value(element) for key, element in content.items()}}
    return value


def first_difference(expected: Json, actual: Json, place: str = "") -> tuple[str, Json, Json]:
    """Where two JSON values differ first, and the two values there (the whole of both if nowhere inside)."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted(expected.keys() | actual.keys()):
            if key not in expected or key not in actual or expected[key] != actual[key]:
                absent = "(absent)"
                return first_difference(expected.get(key, absent), actual.get(key, absent), f"{place}.{key}")
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, (left, right) in enumerate(zip(expected, actual, strict=True)):
            if left != right:
                return first_difference(left, right, f"{place}[{index}]")
    return place.removeprefix("."), expected, actual


def _brief(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"
