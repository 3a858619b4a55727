"""Objects from JSON, JSON lines and CSV (spec/sdk.md §12.7).

What the documents say is turned into what ``create_many`` takes: text becomes dates, decimals, identifiers and binary
data by the type of the property; ``{"$ref": [class, key]}`` and bare keys under a link name objects.
"""

from __future__ import annotations

import csv
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from syncline.errors import InvalidPropertyError, LimitExceededError, RealmError, TypeMismatchError
from syncline.realm.attributes import Attribute
from syncline.realm.bulk import BATCH
from syncline.realm.by_key import ByKey
from syncline.realm.converters import Converter, describe
from syncline.realm.json_values import from_json, from_text
from syncline.realm.models import unknown_property
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context

__all__ = ["DocumentReader", "Origin", "Source", "csv_rows", "file_name", "json_documents", "json_lines", "opened"]

#: A file: its path, or an open text file.
Source: TypeAlias = "str | os.PathLike[str] | IO[str]"


class Origin:
    """Where the objects of an import come from, for the notes of its errors: lines of a file, or their numbers."""

    def __init__(self, file: str | None = None, unit: str = "object") -> None:
        self._unit = unit
        self._of = "the import" if file is None else file
        #: where the objects stand that are not written yet, which are a batch at most
        self._places: deque[int] = deque(maxlen=BATCH)
        self._count = 0
        #: what the columns of a table are called, by the names under which values are given
        self.columns: dict[str, str] = {}

    def passes(self, place: int) -> None:
        """The next object stands there."""
        self._places.append(place)
        self._count += 1

    def here(self, place: int) -> str:
        """A note about what stands there."""
        return f"in {self._unit} {place} of {self._of}"

    def of(self, number: int) -> str:
        """A note about an object by its number, from 0 on: one of the last batch."""
        return self.here(self._places[number - self._count])


class DocumentReader:
    """Turns documents into values for ``create_many`` of one class; ``zone``: of dates that name none."""

    def __init__(self, context: Context, binding: Binding, zone: tzinfo | None = None) -> None:
        self.context = context
        self.binding = binding
        self.zone = zone

    def rows(self, documents: Iterable[tuple[int, Any]], origin: Origin) -> Iterator[Mapping[str, Any]]:
        """The values of each document; they come with their places. Raises TypeMismatchError for what is no object."""
        for place, document in documents:
            try:
                if not isinstance(document, Mapping):
                    raise TypeMismatchError(f"expected a JSON object, got {describe(document)}")
                values = self._values(self.binding, document)
            except RealmError as error:
                error.add_note(origin.here(place))
                raise
            except RecursionError:
                problem = _too_deep()
                problem.add_note(origin.here(place))
                raise problem from None
            origin.passes(place)
            yield values

    def _values(self, binding: Binding, document: Mapping[str, Any]) -> dict[str, Any]:
        attributes, public = binding.model._info.attributes, binding.plan().public_names
        values: dict[str, Any] = {}
        for name, value in document.items():
            attribute = attributes.get(public.get(name, name))
            values[name] = value if attribute is None else self._value(attribute, value)
        return values

    def _value(self, attribute: Attribute, value: Any) -> Any:
        converter = attribute.converter
        if attribute.property.type.is_collection:
            if isinstance(value, Mapping):
                return {name: self._element(converter, each) for name, each in value.items()}
            return [self._element(converter, each) for each in value] if isinstance(value, list) else value
        return self._element(converter, value)

    def _element(self, converter: Converter, value: Any) -> Any:
        if converter.kind == kinds.LINK:
            return self._link(converter, value)
        if converter.kind == kinds.MIXED:
            return self._mixed(converter, value)
        return from_json(converter, value, self.zone)

    def _link(self, converter: Converter, value: Any) -> Any:
        target = converter.type.target
        assert target is not None
        info = self.context.reader().catalogue.classes[target]
        binding = self.context.classes.binding(info.id)
        if not isinstance(value, Mapping):
            return value if value is None or info.embedded else self._by_key(binding, value)
        if _is_reference(value):
            name, key = value["$ref"]
            if name not in (binding.name, target):
                raise TypeMismatchError(f"{converter.where}: expected a reference to {binding.name}, got one to {name}")
            return self._by_key(binding, key)
        return self._values(binding, value)

    def _by_key(self, binding: Binding, key: Any) -> ByKey:
        attribute = binding.plan().key
        return ByKey(key if attribute is None else from_json(attribute.converter, key))

    def _mixed(self, converter: Converter, value: Any) -> Any:
        if _is_reference(value):
            name, key = value["$ref"]
            key_of = self.context.classes.of(name).plan().key
            return ByKey(key if key_of is None else from_json(key_of.converter, key), name)
        if isinstance(value, Mapping):
            return {name: self._mixed(converter, each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._mixed(converter, each) for each in value]
        return value

    def text_column(self, name: str) -> Callable[[str], Any] | None:
        """What the text in a column means; None for a column that is no property.

        Raises TypeMismatchError for a property that text cannot say.
        """
        attributes, public = self.binding.model._info.attributes, self.binding.plan().public_names
        attribute = attributes.get(public.get(name, name))
        return None if attribute is None else self._text_reader(attribute)

    def _text_reader(self, attribute: Attribute) -> Callable[[str], Any]:
        converter, zone = attribute.converter, self.zone
        if attribute.property.type.is_collection or converter.kind == kinds.MIXED:
            return lambda text: None if text == "" else self._value(attribute, _parsed(converter, text))
        if converter.kind != kinds.LINK:
            return lambda text: from_text(converter, text, zone)
        assert converter.type.target is not None
        info = self.context.reader().catalogue.classes[converter.type.target]
        key = self.context.classes.binding(info.id).plan().key
        if key is None:
            raise TypeMismatchError(f"{converter.where}: objects without a primary key cannot be named in a table")
        known = key.converter
        return lambda text: None if text == "" else ByKey(from_text(known, text))


def _parsed(converter: Converter, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise TypeMismatchError(f"{converter.where}: {text!r} is no JSON: {error}") from None


def _too_deep() -> LimitExceededError:
    return LimitExceededError("this JSON is nested too deep to be read; a Mixed value has at most 100 levels")


def _is_reference(value: Any) -> bool:
    if not isinstance(value, Mapping) or list(value) != ["$ref"]:
        return False
    reference = value["$ref"]
    return isinstance(reference, list | tuple) and len(reference) == 2 and isinstance(reference[0], str)


# --- files ------------------------------------------------------------------------------------------------------------


@contextmanager
def opened(source: Source, encoding: str = "utf-8-sig", newline: str | None = None) -> Iterator[IO[str]]:
    """The text file, closed afterwards if it was opened here."""
    if isinstance(source, str | os.PathLike):
        with Path(source).open(encoding=encoding, newline=newline) as file:
            yield file
    else:
        yield source


def file_name(file: Any) -> str | None:
    """What an open file is called."""
    name = getattr(file, "name", None)
    return os.fspath(name) if isinstance(name, str | os.PathLike) else None


def _lines(file: IO[str]) -> Iterator[str]:
    """The lines of a file, without the mark that some programs begin it with. Raises UnicodeDecodeError."""
    try:
        for number, line in enumerate(file):
            yield line if number else line.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        error.add_note(f"{file_name(file) or 'the file'} has another encoding: give encoding='latin-1', or what it is")
        raise


def json_documents(data: Any) -> Iterable[tuple[int, Any]]:
    """The objects in JSON text, a JSON file (a path object or open file), or in what has been parsed already; with
    their numbers, from 1 on. Raises TypeMismatchError for text that is no JSON and for JSON without objects,
    LimitExceededError for JSON that is nested too deep.
    """
    if isinstance(data, os.PathLike):
        with opened(data) as file:
            data = _document(file.read(), file_name(file))
    elif isinstance(data, str | bytes | bytearray):
        data = _document(data)
    elif hasattr(data, "read"):
        data = _document(data.read(), file_name(data))
    if isinstance(data, Mapping):
        data = [data]
    if isinstance(data, str) or not isinstance(data, Iterable):
        raise TypeMismatchError(f"expected a JSON array of objects, or an object, got {describe(data)}")
    return enumerate(data, 1)


def _document(text: str | bytes | bytearray, file: str | None = None) -> Any:
    """What the JSON text says that is all of a file. Errors have a note with file and line."""
    try:
        return _loaded(text.removeprefix("\ufeff") if isinstance(text, str) else text, Origin(file, "line"))
    except TypeMismatchError as error:
        if isinstance(text, str) and len(text) < 1000 and os.path.exists(text):
            error.add_note(f"{text!r} is a file: give pathlib.Path({text!r})")
        raise


def _loaded(text: str | bytes | bytearray, origin: Origin, first: int = 1) -> Any:
    """What JSON text says, whose lines are numbered from ``first`` on.

    Raises TypeMismatchError for what is no JSON, LimitExceededError for what Python does not read, and
    UnicodeDecodeError.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = TypeMismatchError(f"no JSON: {error.msg} (character {error.colno})")
        problem.add_note(origin.here(first + error.lineno - 1))
        raise problem from None
    except UnicodeDecodeError:
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # a number
        raise LimitExceededError(f"no JSON that can be read: {error}") from None


def json_lines(file: IO[str], origin: Origin) -> Iterator[tuple[int, Any]]:
    """The values of a file with one JSON value on a line, with the numbers of their lines; empty ones are skipped."""
    for number, line in enumerate(_lines(file), 1):
        if line := line.strip():
            try:
                value = _loaded(line, origin, number)
            except LimitExceededError as error:
                error.add_note(origin.here(number))
                raise
            yield number, value


class _Table:
    """The columns of a CSV file, as its first line names them."""

    def __init__(self, header: list[str], reader: DocumentReader, columns: Mapping[str, str | None]) -> None:
        """Raises InvalidPropertyError for names that do not fit each other."""
        self.header = header
        if absent := [name for name in columns if name not in header]:
            raise InvalidPropertyError(f"there is no column {absent[0]!r}; there are {', '.join(map(repr, header))}")
        self.names: list[str | None] = [columns.get(name, name) for name in header]
        read = [name for name in self.names if name is not None]
        if twice := [name for place, name in enumerate(read) if name in read[:place]]:
            raise InvalidPropertyError(f"two columns are called {twice[0]!r}; leave one out: columns={{…: None}}")
        #: what the columns are called, by the names of the properties
        self.headers: dict[str, str] = {}
        self.unknown: list[str] = []
        self._columns: list[tuple[str, Callable[[str], Any], int]] = []
        for place, name in enumerate(self.names):
            if name is not None:
                self.headers[name] = header[place]
                read_text = reader.text_column(name)
                if read_text is None:
                    self.unknown.append(name)
                self._columns.append((name, str if read_text is None else read_text, place))

    def values(self, line: list[str]) -> dict[str, Any]:
        """The values of a line. Raises TypeMismatchError, with a note which column it is."""
        if len(line) != len(self.header):
            raise TypeMismatchError(f"{len(line)} fields, but {len(self.header)} columns")
        values: dict[str, Any] = {}
        try:
            for name, read, place in self._columns:
                values[name] = read(line[place])
        except RealmError as error:
            error.add_note(f"in column {self.header[self._columns[len(values)][2]]!r}")
            raise
        return values


def csv_rows(
    file: IO[str],
    reader: DocumentReader,
    origin: Origin,
    columns: Mapping[str, str | None],
    ignore_unknown: bool,
    options: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """The values of a CSV file whose first line names the columns.

    ``columns``: what a column is called in the class, None to leave it out.
    """
    lines = csv.reader(_lines(file), **{"strict": True, **options})
    start = 1
    try:
        header = next(lines, None)
        if header is None:
            return
        table = _Table(header, reader, columns)
        if table.unknown and not ignore_unknown:
            raise _unknown_column(reader.binding, table)
        origin.columns.update(table.headers)
        start = lines.line_num + 1
        for line in lines:
            if line:
                values = table.values(line)
                origin.passes(start)
                yield values
            start = lines.line_num + 1
    except csv.Error as error:
        problem = TypeMismatchError(f"no CSV: {error}")
        if "field limit" in str(error):
            problem.add_note("csv.field_size_limit(16_777_199) lets Python read fields as long as a Realm's strings")
        problem.add_note(origin.here(start))
        raise problem from None
    except RealmError as error:
        error.add_note(origin.here(start))
        raise


def _unknown_column(binding: Binding, table: _Table) -> RealmError:
    error = unknown_property(binding.name, table.unknown[0], binding.model._info.attributes)
    delimiter = next((each for each in ";\t|" if each in table.header[0]), None) if len(table.header) == 1 else None
    if delimiter is not None:
        error.add_note(f"there is one column only: perhaps delimiter={delimiter!r}")
    else:
        error.add_note("columns={…: None} leaves a column out, ignore_unknown=True all that are not known")
    return error
