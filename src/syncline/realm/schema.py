"""Schemas as data: classes, properties, and the rules they must keep (spec/sdk.md §1, §12.1 *Dynamic schema*).

An :class:`ObjectSchema` comes from a model class, from the file, or is written by hand in the short notation::

    ObjectSchema("Dog", [Property("id", "int", primary_key=True), Property("name", "string?"), Property("friends",
    "Dog[]")])
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from syncline.errors import SchemaError, SchemaValidationError
from syncline.realm.custom_types import CustomType
from syncline.values import kinds

__all__ = ["MISSING", "ObjectSchema", "Property", "PropertyType", "schema_error"]

#: Names of the types in the short notation (spec/sdk.md §1.1).
TYPE_NAMES: Final[dict[str, int]] = {
    "int": kinds.INT,
    "bool": kinds.BOOL,
    "string": kinds.STRING,
    "data": kinds.BINARY,
    "date": kinds.TIMESTAMP,
    "float": kinds.FLOAT,
    "double": kinds.DOUBLE,
    "mixed": kinds.MIXED,
    "objectId": kinds.OBJECT_ID,
    "decimal128": kinds.DECIMAL,
    "uuid": kinds.UUID,
}
_NAME_OF: Final = {kind: name for name, kind in TYPE_NAMES.items()}
_BRACKETS: Final = {
    "": kinds.SINGLE_COLLECTION,
    "[]": kinds.LIST_COLLECTION,
    "<>": kinds.SET_COLLECTION,
    "{}": kinds.DICTIONARY_COLLECTION,
}
_BRACKETS_OF: Final = {collection: text for text, collection in _BRACKETS.items()}
_NOTATION: Final = re.compile(r"(?P<base>[^\[\]<>{}?]+)(?P<optional>\??)(?P<brackets>(\[\]|<>|\{\})?)")


class _Missing:
    """The type of :data:`MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


#: No value given, as opposed to None, which is one.
MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class PropertyType:
    """What a property holds: ``kind`` of ``values.kinds``, whether the value (in a collection: the element) may be
    null, which ``collection`` it is, and for links the stored name of the ``target`` class.

    ``origin``: nothing is stored; these are the objects of the class ``target`` whose property of that name links here
    (spec/sdk.md §1.13).
    """

    kind: int
    nullable: bool = False
    collection: int = kinds.SINGLE_COLLECTION
    target: str | None = None
    origin: str | None = None

    @classmethod
    def parse(cls, text: str) -> PropertyType:
        """Read the short notation: ``int``, ``string?``, ``double?[]``, ``Dog``, ``Dog[]``, ``Dog<>``, ``mixed{}``.

        Raises SchemaError for text that is none.
        """
        match = _NOTATION.fullmatch(text)
        if match is None:
            raise SchemaError(f"{text!r} is no property type; write for instance 'int', 'string?', 'double[]' or 'Dog'")
        base, optional, collection = match["base"], bool(match["optional"]), _BRACKETS[match["brackets"]]
        kind = TYPE_NAMES.get(base)
        if kind is None:
            null_link = collection in (kinds.SINGLE_COLLECTION, kinds.DICTIONARY_COLLECTION)
            return cls(kinds.LINK, optional or null_link, collection, base)
        return cls(kind, optional or kind == kinds.MIXED, collection)

    @property
    def is_collection(self) -> bool:
        """Whether this is a list, set or dictionary."""
        return self.collection != kinds.SINGLE_COLLECTION

    @property
    def is_computed(self) -> bool:
        """Whether these are backlinks, of which nothing is stored."""
        return self.origin is not None

    def __str__(self) -> str:
        if self.is_computed:
            return "linkingObjects"
        base = self.target or "object" if self.kind == kinds.LINK else _NAME_OF[self.kind]
        optional = "?" if self.nullable and self.kind not in (kinds.MIXED, kinds.LINK) else ""
        return base + optional + _BRACKETS_OF[self.collection]


@dataclass(frozen=True)
class Property:
    """One property of a class.

    ``type`` is a :class:`PropertyType` or its short notation; ``stored_name`` is the name in the file and on the
    wire, the same as ``name`` unless given; ``index`` is True or ``"fulltext"``; ``counter`` marks an int that the
    application sees as a :class:`~syncline.Counter`; ``exact`` a date that is always read as a
    :class:`~syncline.Timestamp`; ``custom`` a type of the application that stands for the stored one. ``default`` and
    ``default_factory`` apply when an object is created without a value for it (spec/sdk.md §1.3).
    """

    name: str
    type: PropertyType
    primary_key: bool = False
    index: bool | str = False
    default: Any = MISSING
    default_factory: Callable[[], Any] | None = None
    stored_name: str = ""
    counter: bool = False
    exact: bool = False
    custom: CustomType | None = None

    def __init__(
        self,
        name: str,
        type: PropertyType | str,
        *,
        primary_key: bool = False,
        index: bool | str = False,
        default: Any = MISSING,
        default_factory: Callable[[], Any] | None = None,
        stored_name: str | None = None,
        counter: bool = False,
        exact: bool = False,
        custom: CustomType | None = None,
    ) -> None:
        values = {
            "name": name,
            "type": PropertyType.parse(type) if isinstance(type, str) else type,
            "primary_key": primary_key,
            "index": index,
            "default": default,
            "default_factory": default_factory,
            "stored_name": name if stored_name is None else stored_name,
            "counter": counter,
            "exact": exact,
            "custom": custom,
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)

    @classmethod
    def backlinks(cls, name: str, target: str, origin: str) -> Property:
        """The objects of the class ``target`` that link here through their property ``origin``; nothing is stored."""
        return cls(name, PropertyType(kinds.LINK, False, kinds.LIST_COLLECTION, target, origin))

    @property
    def has_default(self) -> bool:
        """Whether the model gives a value to new objects that are created without one."""
        return self.default is not MISSING or self.default_factory is not None

    @property
    def required(self) -> bool:
        """Whether creating an object needs a value for this."""
        return not (self.type.nullable or self.type.is_collection or self.has_default)


@dataclass(frozen=True)
class ObjectSchema:
    """One class: its public name, its properties in the order of declaration, and its kind of ``values.kinds``.

    ``properties`` are those that are stored, ``computed`` its backlinks.
    """

    name: str
    properties: tuple[Property, ...]
    computed: tuple[Property, ...]
    kind: int = kinds.TOP_LEVEL
    stored_name: str = ""
    by_name: Mapping[str, Property] = field(init=False, repr=False, compare=False)
    named_key: str | None = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        name: str,
        properties: Iterable[Property],
        *,
        kind: int = kinds.TOP_LEVEL,
        stored_name: str | None = None,
        primary_key: str | None = None,
    ) -> None:
        """``primary_key`` names it, where no property says ``primary_key=True`` itself."""
        object.__setattr__(self, "name", name)
        declared = tuple(
            replace(prop, primary_key=True) if primary_key is not None and prop.name == primary_key else prop
            for prop in properties
        )
        object.__setattr__(self, "named_key", primary_key)
        object.__setattr__(self, "properties", tuple(prop for prop in declared if not prop.type.is_computed))
        object.__setattr__(self, "computed", tuple(prop for prop in declared if prop.type.is_computed))
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "stored_name", name if stored_name is None else stored_name)
        object.__setattr__(self, "by_name", {prop.name: prop for prop in declared})

    @property
    def primary_key(self) -> Property | None:
        """The property that names objects of the class, if it has one."""
        return next((prop for prop in self.properties if prop.primary_key), None)


def schema_error(problems: Iterable[str]) -> SchemaValidationError:
    """One error that lists all problems, one per line (spec/sdk.md §1.7)."""
    listed = list(problems)
    if len(listed) == 1:
        return SchemaValidationError(listed[0], listed)
    text = "\n".join(f"- {problem}" for problem in listed)
    return SchemaValidationError(f"the schema has {len(listed)} problems:\n{text}", listed)
