"""How models differ from a file, and which differences a schema mode allows (spec/sdk.md §2.2, §2.3)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, Flag
from typing import Final, NamedTuple

from syncline.realm.schema import ObjectSchema, Property, PropertyType
from syncline.storage.catalogue import FULL_TEXT_INDEX, GENERAL_INDEX, NOT_INDEXED, Catalogue, ClassInfo, PropertyInfo
from syncline.values import kinds

__all__ = [
    "APPLIED",
    "IGNORED",
    "Change",
    "SchemaChange",
    "SchemaMode",
    "SchemaSubsetMode",
    "compare",
    "index_of",
    "refused",
    "type_of",
]

_KINDS: Final = {kinds.TOP_LEVEL: "ordinary", kinds.EMBEDDED: "embedded", kinds.ASYMMETRIC: "asymmetric"}


class SchemaMode(Enum):
    """What happens when the models differ from the file (spec/sdk.md §2.2)."""

    #: Local Realms: new classes and indexes are added; everything else needs a higher version, which migrates.
    AUTOMATIC = "automatic"
    #: A file that nobody writes: nothing is written, the version must be the same, nothing is followed.
    IMMUTABLE = "immutable"
    #: A view of a file that others write: it may lack classes, but no properties.
    READ_ONLY = "read only"
    #: What would need a migration, and another version, deletes the file.
    SOFT_RESET = "soft reset"
    #: Any difference deletes the file.
    HARD_RESET = "hard reset"
    #: Synced Realms: only additions; the version is recorded, never compared. Embedded orphans are left out.
    ADDITIVE_DISCOVERED = "additive, classes discovered"
    #: The same; an embedded class without owner is an error.
    ADDITIVE_EXPLICIT = "additive"
    #: The migration function itself makes the file fit.
    MANUAL = "manual"

    @property
    def is_additive(self) -> bool:
        """Whether only additions are made."""
        return self in (SchemaMode.ADDITIVE_DISCOVERED, SchemaMode.ADDITIVE_EXPLICIT)

    @property
    def reads_only(self) -> bool:
        """Whether nothing is ever written through the Realm."""
        return self in (SchemaMode.IMMUTABLE, SchemaMode.READ_ONLY)

    @property
    def resets(self) -> bool:
        """Whether the file is deleted instead of migrated."""
        return self in (SchemaMode.SOFT_RESET, SchemaMode.HARD_RESET)


class SchemaSubsetMode(Flag):
    """What a Realm shows of a file that has more than its models (spec/sdk.md §2.5)."""

    #: The models, and nothing else.
    STRICT = 0
    #: The other classes too, in ``realm.schema``.
    INCLUDE_TYPES = 1
    #: The other properties of the models' classes too, as the file has them when it is opened: ``obj["name"]``.
    INCLUDE_PROPERTIES = 2
    #: Everything.
    COMPLETE = 3


class Change(Enum):
    """A class of differences (spec/sdk.md §2.3)."""

    ADD_CLASS = "the file lacks the class"
    ADD_PROPERTY = "the file lacks the property"
    REMOVE_PROPERTY = "the file has it, the model does not"
    CHANGE_TYPE = "another type"
    MAKE_OPTIONAL = "required in the file, optional in the model"
    MAKE_REQUIRED = "optional in the file, required in the model"
    CHANGE_INDEX = "another index"
    CHANGE_KEY = "another primary key"
    CHANGE_KIND = "another kind of class"


class SchemaChange(NamedTuple):
    """One difference. ``prop``: the model's property; ``stored``: the file's, where there is one."""

    change: Change
    schema: ObjectSchema
    prop: Property | None = None
    stored: PropertyInfo | None = None
    info: ClassInfo | None = None

    def __str__(self) -> str:
        name, prop, stored = self.schema.name, self.prop, self.stored
        if self.change is Change.CHANGE_KEY:
            was = self.info.primary_key.name if self.info is not None and self.info.primary_key is not None else "none"
            key = self.schema.primary_key
            return f"{name}: its primary key is {was} in the file and {key.name if key else 'none'} in the model"
        if self.change is Change.CHANGE_KIND and self.info is not None:
            there, here = _KINDS[self.info.kind], _KINDS[self.schema.kind]
            return f"{name}: the file has it as an {there} class, the model is {here}"
        if prop is None and stored is None:
            return f"{name}: {self.change.value}"
        where = f"{name}.{prop.name if prop is not None else stored.name if stored is not None else ''}"
        if prop is None or stored is None or self.change is Change.CHANGE_INDEX:
            return f"{where}: {self.change.value}"
        return f"{where}: the file has it as '{type_of(stored)}', the model as '{prop.type}'"


#: The differences that each mode makes good, and those it lives with; all others it refuses.
_INDEXES: Final = frozenset({Change.ADD_CLASS, Change.CHANGE_INDEX})
APPLIED: Final[dict[SchemaMode, frozenset[Change]]] = {
    SchemaMode.AUTOMATIC: _INDEXES,
    SchemaMode.SOFT_RESET: _INDEXES,
    SchemaMode.HARD_RESET: frozenset(),
    SchemaMode.MANUAL: frozenset(),
    SchemaMode.ADDITIVE_DISCOVERED: _INDEXES | {Change.ADD_PROPERTY},
    SchemaMode.ADDITIVE_EXPLICIT: _INDEXES | {Change.ADD_PROPERTY},
    SchemaMode.READ_ONLY: frozenset(),
    SchemaMode.IMMUTABLE: frozenset(),
}
_VIEWED: Final = frozenset({Change.ADD_CLASS, Change.REMOVE_PROPERTY, Change.CHANGE_INDEX, Change.CHANGE_KIND})
IGNORED: Final[dict[SchemaMode, frozenset[Change]]] = {
    SchemaMode.ADDITIVE_DISCOVERED: frozenset({Change.REMOVE_PROPERTY}),
    SchemaMode.ADDITIVE_EXPLICIT: frozenset({Change.REMOVE_PROPERTY}),
    SchemaMode.READ_ONLY: _VIEWED,
    SchemaMode.IMMUTABLE: _VIEWED,
}


def refused(mode: SchemaMode, changes: Iterable[SchemaChange]) -> list[SchemaChange]:
    """Those of the differences that the mode neither makes good nor lives with (spec/sdk.md §2.3)."""
    fine = APPLIED[mode] | IGNORED.get(mode, frozenset())
    return [each for each in changes if each.change not in fine]


def compare(catalogue: Catalogue, schemas: Iterable[ObjectSchema]) -> list[SchemaChange]:
    """What has to happen to a file so that it fits, in the order of spec/sdk.md §2.3.

    Classes that only the file has yield nothing: they stay. Schemas come in the order of their stored names
    (spec/changesets.md §8.1).
    """
    ordered = sorted(schemas, key=lambda schema: schema.stored_name.encode())
    new = [schema for schema in ordered if catalogue.find(schema.stored_name) is None]
    changes = [SchemaChange(Change.ADD_CLASS, schema) for schema in new]
    kinds_changed = []
    for schema in ordered:
        info = catalogue.find(schema.stored_name)
        if info is None:
            continue
        changes += _compare_properties(schema, info)
        if info.kind != schema.kind:
            kinds_changed.append(SchemaChange(Change.CHANGE_KIND, schema, info=info))
    return changes + kinds_changed


def _compare_properties(schema: ObjectSchema, info: ClassInfo) -> list[SchemaChange]:
    wanted = {prop.stored_name: prop for prop in schema.properties}
    changes: list[SchemaChange] = []
    for stored in info.properties.values():
        prop = wanted.get(stored.name)
        if prop is None:
            changes.append(SchemaChange(Change.REMOVE_PROPERTY, schema, None, stored, info))
        else:
            changes += [SchemaChange(change, schema, prop, stored, info) for change in _compare_one(prop, stored)]
    changes += [
        SchemaChange(Change.ADD_PROPERTY, schema, prop, None, info)
        for prop in schema.properties
        if prop.stored_name not in info.properties
    ]
    key = schema.primary_key
    if (key.stored_name if key else None) != (info.primary_key.name if info.primary_key is not None else None):
        changes.append(SchemaChange(Change.CHANGE_KEY, schema, key, info=info))
    return changes


def _compare_one(prop: Property, stored: PropertyInfo) -> list[Change]:
    there, here = type_of(stored), prop.type
    changes = []
    if (there.kind, there.collection, there.target) != (here.kind, here.collection, here.target):
        changes.append(Change.CHANGE_TYPE)
    elif there.nullable != here.nullable:
        changes.append(Change.MAKE_OPTIONAL if here.nullable else Change.MAKE_REQUIRED)
    if not prop.primary_key and not stored.is_primary_key and stored.indexed != index_of(prop):
        changes.append(Change.CHANGE_INDEX)
    return changes


def type_of(prop: PropertyInfo) -> PropertyType:
    """The type of a property of the file."""
    return PropertyType(prop.type, prop.nullable, prop.collection, prop.target)


def index_of(prop: Property) -> int:
    """The index that a model wants for a property, as the file counts them."""
    if prop.primary_key or not prop.index:
        return NOT_INDEXED
    return FULL_TEXT_INDEX if prop.index == "fulltext" else GENERAL_INDEX
