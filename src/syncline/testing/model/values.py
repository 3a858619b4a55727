"""What the reference model keeps in its places: plain values, collections, embedded objects.

A link is a plain value, also one to an object that does not exist: what storage calls a tombstone is here just a link
that leads nowhere, and that shows again when its target comes into being (spec/changesets.md §10.3).
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from syncline.testing.model.schema import PropertyDef
from syncline.values import Decimal128, Float32, ObjectId, Timestamp, kinds
from syncline.values.order import sort_key

__all__ = [
    "NULL",
    "Dictionary",
    "Embedded",
    "Fields",
    "Holder",
    "List",
    "ModelError",
    "Scalar",
    "Set",
    "Value",
    "copy_fields",
    "copy_value",
    "default",
]


class ModelError(ValueError):
    """What cannot be done with the state as it is: a place that is not there, a value that does not fit."""


class Scalar(NamedTuple):
    """A value of one kind (of ``values.kinds``): null, a link, or what Python has a type for."""

    kind: int
    value: object


NULL: Final = Scalar(kinds.NULL, None)


class List(list["Value"]):
    """A list: of a property, or inside a Mixed. Hidden elements count."""


class Dictionary(dict[str, "Value"]):
    """A dictionary: of a property, or inside a Mixed."""


class Set(dict[bytes, Scalar]):
    """A set; each member stands under what makes it different from others (spec/sdk.md §1.11.1)."""

    def insert(self, member: Scalar) -> bool:
        """Add a member; False if an equal one was there."""
        place = sort_key(member.value)
        if place in self:
            return False
        self[place] = member
        return True

    def put(self, member: Scalar) -> None:
        """Add a member in the place of an equal one, which may be written in another way (1 and 1.00)."""
        self[sort_key(member.value)] = member

    def erase(self, member: Scalar) -> bool:
        """Remove a member; False if there was none."""
        return self.pop(sort_key(member.value), None) is not None


class Fields(dict[str, "Value"]):
    """The properties of an object, the primary key apart."""

    def __init__(self, class_name: str) -> None:
        super().__init__()
        self.class_name = class_name


class Embedded(Fields):
    """The properties of an embedded object."""


FieldsT = TypeVar("FieldsT", bound=Fields)
Value: TypeAlias = "Scalar | List | Dictionary | Set | Embedded"
#: What has places in it.
Holder: TypeAlias = "Fields | List | Dictionary"

_ZEROS: Final[dict[int, object]] = {
    kinds.INT: 0,
    kinds.BOOL: False,
    kinds.STRING: "",
    kinds.BINARY: b"",
    kinds.TIMESTAMP: Timestamp(0, 0),
    kinds.FLOAT: Float32(0.0),
    kinds.DOUBLE: 0.0,
    kinds.DECIMAL: Decimal128(0),
    kinds.OBJECT_ID: ObjectId(bytes(12)),
    kinds.UUID: UUID(int=0),
}


def default(prop: PropertyDef) -> Value:
    """What a new property holds (spec/sdk.md §1.3)."""
    if prop.collection == kinds.LIST_COLLECTION:
        return List()
    if prop.collection == kinds.SET_COLLECTION:
        return Set()
    if prop.collection == kinds.DICTIONARY_COLLECTION:
        return Dictionary()
    return NULL if prop.nullable else Scalar(prop.type, _ZEROS[prop.type])


def copy_value(value: Value) -> Value:
    """One that changes independently."""
    if isinstance(value, List):
        return List(copy_value(element) for element in value)
    if isinstance(value, Dictionary):
        return Dictionary((key, copy_value(element)) for key, element in value.items())
    if isinstance(value, Set):
        return Set(value)
    if isinstance(value, Embedded):
        return copy_fields(value)
    return value


def copy_fields(fields: FieldsT) -> FieldsT:
    """An object that changes independently."""
    other = type(fields)(fields.class_name)
    other.update((name, copy_value(value)) for name, value in fields.items())
    return other
