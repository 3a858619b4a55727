"""Values of many objects by property: what tables, data frames and ``values()`` are made of (spec/sdk.md §12.7).

One query for each property path and no object for any row. A link is the primary key of its object, or the object key
where the class has none; a list is a list of that, a set too, in its order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from syncline.errors import InvalidPropertyError, QueryError
from syncline.query.ast import Path
from syncline.query.expression import Expr
from syncline.realm.attributes import Attribute
from syncline.realm.converters import load_mixed, no_property
from syncline.realm.models import unknown_property
from syncline.storage.column_reader import keys_of, read_collections, read_columns
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context

__all__ = ["Column", "Columns", "column_names", "loaded"]


class Column:
    """The values of one path for all rows, in their stored form but for links, which are keys.

    ``attribute`` is the property at its end; ``key`` that of the primary key that stands for a link, if it is one.
    """

    def __init__(self, name: str, attribute: Attribute, key: Attribute | None, values: list[Any]) -> None:
        self.name = name
        self.attribute = attribute
        self.key = key
        self.values = values


def column_names(binding: Binding, names: Sequence[str | Expr]) -> list[str]:
    """The paths asked for; all properties of the class where none was named."""
    return [_path(name) for name in names] or list(binding.model._info.attributes)


def _path(name: str | Expr) -> str:
    """The names on the way, with points between them. Raises QueryError for an expression that is no property,
    TypeMismatchError for anything else.
    """
    if isinstance(name, str):
        return name
    if not isinstance(name, Expr):
        raise no_property(name)
    operand = name._operand
    elements = operand.elements if isinstance(operand, Path) else ()
    if not elements or not all(isinstance(element, str) for element in elements):
        raise QueryError(f"{name!r} is no property, so it cannot be a column")
    return ".".join(map(str, elements))


class Columns:
    """Reads columns of one class at one version."""

    def __init__(self, binding: Binding, keys: Sequence[int] | None) -> None:
        """``keys`` None: all objects of the class, in the order of their keys."""
        self.context: Context = binding.context
        self.binding = binding
        self.keys = keys

    def read(self, names: Sequence[str]) -> list[Column]:
        """A column for each path. Raises InvalidPropertyError for an unknown name."""
        self.context.reader()
        with self.context.lock:
            return self._read(self.binding, self.keys, names)

    def _read(self, binding: Binding, keys: Sequence[int] | None, names: Sequence[str]) -> list[Column]:
        reader, info = self.context.reader(), binding.info
        attributes = [self._attribute(binding, name.split(".")[0]) for name in names]
        own = [a for a in dict.fromkeys(attributes) if not a.property.type.is_collection]
        existing, columns = read_columns(reader, info, keys, [binding.places[a.place] for a in own])
        stored = dict(zip(own, columns, strict=True))
        result = []
        for name, attribute in zip(names, attributes, strict=True):
            rest = name.partition(".")[2]
            if attribute.property.type.is_collection:
                if rest:
                    raise InvalidPropertyError(f"{attribute.converter.where} is a collection: {name!r} has many values")
                place = binding.places[attribute.place]
                found = read_collections(reader, place, existing)
                empty: type[Any] = dict if place.collection == kinds.DICTIONARY_COLLECTION else list
                values = [found.get(key) or empty() for key in existing]
                result.append(self._finished(attribute, values))
            elif rest:
                result.append(self._behind(attribute, stored[attribute], rest))
            else:
                result.append(self._finished(attribute, stored[attribute]))
        return result

    def _attribute(self, binding: Binding, name: str) -> Attribute:
        attributes = binding.model._info.attributes
        name = binding.plan().public_names.get(name, name)
        attribute: Attribute | None = attributes.get(name)
        if attribute is None:
            raise unknown_property(binding.name, name, attributes)
        return attribute

    def _behind(self, attribute: Attribute, links: list[Any], rest: str) -> Column:
        """The values of a path through a link; None where it is null."""
        if attribute.converter.kind != kinds.LINK:
            raise InvalidPropertyError(f"{attribute.converter.where} is no link, so {rest!r} leads nowhere")
        assert attribute.converter.type.target is not None
        info = self.context.reader().catalogue.classes[attribute.converter.type.target]
        binding = self.context.classes.binding(info.id)
        targets = sorted({link.object_key for link in links if link is not None})
        column = self._read(binding, targets, [rest])[0]
        by_key = dict(zip(targets, column.values, strict=True))
        values = [None if link is None else by_key.get(link.object_key) for link in links]
        return Column(f"{attribute.name}.{column.name}", column.attribute, column.key, values)

    def _finished(self, attribute: Attribute, values: list[Any]) -> Column:
        kind = attribute.converter.kind
        if kind == kinds.LINK:
            target = attribute.converter.type.target
            assert target is not None
            info = self.context.reader().catalogue.classes[target]
            key = self.context.classes.binding(info.id).plan().key
            if info.embedded:
                return Column(attribute.name, attribute, None, self._embedded(values))
            return Column(attribute.name, attribute, key, self._keyed(values, attribute.property.type.is_collection))
        if kind == kinds.MIXED:
            return Column(attribute.name, attribute, None, self._mixed(values))
        return Column(attribute.name, attribute, None, values)

    # --- links --------------------------------------------------------------------------------------------------------

    def _keyed(self, values: list[Any], nested: bool) -> list[Any]:
        """References replaced by keys."""
        references: list[ObjectRef] = []
        for value in values:
            each = (value.values() if isinstance(value, dict) else value) if nested else (value,)
            references += [reference for reference in each if reference is not None]
        known = self.keys_of(references)
        if not nested:
            return [None if value is None else known.get(value) for value in values]
        return [
            {name: None if each is None else known.get(each) for name, each in value.items()}
            if isinstance(value, dict)
            else [known.get(each) for each in value]
            for value in values
        ]

    def keys_of(self, references: Sequence[ObjectRef]) -> dict[ObjectRef, Any]:
        """The primary keys of objects; the object keys where the class has none."""
        by_class: dict[int, set[int]] = {}
        for reference in references:
            by_class.setdefault(reference.class_id, set()).add(reference.object_key)
        reader = self.context.reader()
        known: dict[ObjectRef, Any] = {}
        for class_id, numbers in by_class.items():
            info = reader.catalogue.by_id[class_id]
            if info.primary_key is None:
                known.update({ObjectRef(class_id, k): k for k in numbers})
            else:
                found = keys_of(reader, info, sorted(numbers))
                known.update({ObjectRef(class_id, k): key for k, key in found.items()})
        return known

    # --- what lies in values ------------------------------------------------------------------------------------------

    def _embedded(self, values: list[Any]) -> list[Any]:
        """Embedded objects as dictionaries of the same form as ``to_dict``."""
        from syncline.realm.export import Exporter

        exporter = Exporter(self.context, depth=0)
        return exporter.forms(values)

    def _mixed(self, values: list[Any]) -> list[Any]:
        return [self.plain(value) for value in values]

    def plain(self, value: Any) -> Any:
        """A Mixed value without anything live in it: links are keys, collections are lists and dictionaries."""
        if isinstance(value, ObjectRef):
            return self.keys_of([value]).get(value)
        if isinstance(value, CollectionRef):
            reader = self.context.reader()
            if value.kind == kinds.LIST_COLLECTION:
                return [self.plain(each) for each in reader.list_slice(value)]
            return {name: self.plain(each) for name, each in reader.dict_items(value)}
        if isinstance(value, list):
            return [self.plain(each) for each in value]
        if isinstance(value, dict):
            return {name: self.plain(each) for name, each in value.items()}
        return load_mixed(value, self.context)


def loaded(column: Column) -> list[Any]:
    """The values as the application sees them."""
    converter = column.attribute.converter if column.key is None else column.key.converter
    load = converter.load
    if load is None or converter.kind in (kinds.LINK, kinds.MIXED):
        return column.values
    context: Any = None  # scalars need none
    if not column.attribute.property.type.is_collection:
        return [load(value, context) for value in column.values]
    return [
        {name: load(each, context) for name, each in value.items()}
        if isinstance(value, dict)
        else [load(each, context) for each in value]
        for value in column.values
    ]
