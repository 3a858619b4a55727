"""Objects from JSON, JSON lines and CSV (spec/sdk.md §12.7).

What the documents say is turned into what ``create_many`` takes: text becomes dates, decimals, identifiers and binary
data by the type of the property; ``{"$ref": [class, key]}`` and bare keys under a link name objects.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from syncline.errors import RealmError, TypeMismatchError
from syncline.realm.attributes import Attribute
from syncline.realm.by_key import ByKey
from syncline.realm.converters import Converter, describe
from syncline.realm.json_values import from_json, from_text
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context

__all__ = ["DocumentReader", "Source", "csv_rows", "json_documents", "json_lines"]

#: A file: its path, or an open text file.
Source: TypeAlias = "str | os.PathLike[str] | IO[str]"


class DocumentReader:
    """Turns documents into values for ``create_many`` of one class."""

    def __init__(self, context: Context, binding: Binding) -> None:
        self.context = context
        self.binding = binding

    def rows(self, documents: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
        """The values of each document. Raises TypeMismatchError for one that is no object."""
        for number, document in enumerate(documents, 1):
            if not isinstance(document, Mapping):
                raise TypeMismatchError(f"object {number}: expected a JSON object, got {describe(document)}")
            try:
                yield self._values(self.binding, document)
            except RealmError as error:
                error.add_note(f"in object {number} of the import")
                raise

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
        return from_json(converter, value)

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

    def text_columns(self, names: Iterable[str]) -> dict[str, Callable[[str], Any]]:
        """For each column of a table what its text means. Raises TypeMismatchError for one that text cannot say."""
        attributes, public = self.binding.model._info.attributes, self.binding.plan().public_names
        readers: dict[str, Callable[[str], Any]] = {}
        for name in names:
            attribute = attributes.get(public.get(name, name))
            if attribute is None:
                readers[name] = str
            else:
                readers[name] = self._text_reader(attribute)
        return readers

    def _text_reader(self, attribute: Attribute) -> Callable[[str], Any]:
        converter = attribute.converter
        if attribute.property.type.is_collection or converter.kind == kinds.MIXED:
            return lambda text: None if text == "" else self._value(attribute, json.loads(text))
        if converter.kind != kinds.LINK:
            return lambda text: from_text(converter, text)
        assert converter.type.target is not None
        info = self.context.reader().catalogue.classes[converter.type.target]
        key = self.context.classes.binding(info.id).plan().key
        if key is None:
            raise TypeMismatchError(f"{converter.where}: objects without a primary key cannot be named in a table")
        known = key.converter
        return lambda text: None if text == "" else ByKey(from_text(known, text))


def _is_reference(value: Any) -> bool:
    if not isinstance(value, Mapping) or list(value) != ["$ref"]:
        return False
    reference = value["$ref"]
    return isinstance(reference, list | tuple) and len(reference) == 2 and isinstance(reference[0], str)


# --- files ------------------------------------------------------------------------------------------------------------


@contextmanager
def opened(source: Source, newline: str | None = None) -> Iterator[IO[str]]:
    """The text file, closed afterwards if it was opened here."""
    if isinstance(source, str | os.PathLike):
        with Path(source).open(encoding="utf-8-sig", newline=newline) as file:
            yield file
    else:
        yield source


def json_documents(data: Any) -> Iterable[Any]:
    """The objects in JSON text, a JSON file (a path object or open file), or in what has been parsed already."""
    if isinstance(data, os.PathLike):
        with opened(data) as file:
            data = json.load(file)
    elif isinstance(data, str | bytes | bytearray):
        data = json.loads(data)
    elif hasattr(data, "read"):
        data = json.load(data)
    return [data] if isinstance(data, Mapping) else data


def json_lines(source: Source) -> Iterator[Any]:
    """The values of a file with one JSON value on a line; empty lines are skipped."""
    with opened(source) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise TypeMismatchError(f"line {number}: no JSON: {error}") from None


def csv_rows(
    source: Source, reader: DocumentReader, columns: Mapping[str, str | None], **options: Any
) -> Iterator[dict[str, Any]]:
    """The values of a CSV file whose first line names the columns.

    ``columns``: what a column is called in the class, None to leave it out.
    """
    with opened(source, newline="") as file:
        lines = csv.reader(file, **options)
        header = next(lines, [])
        names = [columns.get(name, name) for name in header]
        readers = reader.text_columns([name for name in names if name is not None])
        for line in lines:
            if not line:
                continue
            if len(line) != len(header):
                raise TypeMismatchError(f"line {lines.line_num}: {len(line)} fields, but {len(header)} columns")
            try:
                yield {name: readers[name](text) for name, text in zip(names, line, strict=True) if name is not None}
            except (RealmError, ValueError) as error:
                error.add_note(f"in line {lines.line_num} of the file")
                raise
