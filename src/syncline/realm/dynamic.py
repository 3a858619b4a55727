"""Classes that the application has no model for: their schema is read from the file (spec/sdk.md §2.5)."""

from __future__ import annotations

from collections.abc import Callable

from syncline.realm.models import ModelInfo, ModelMeta
from syncline.realm.schema import ObjectSchema, Property, PropertyType
from syncline.realm.schema_models import model_of_schema
from syncline.storage.catalogue import FULL_TEXT_INDEX, NOT_INDEXED, Catalogue, ClassInfo

__all__ = ["dynamic_model", "schema_of"]


def schema_of(info: ClassInfo) -> ObjectSchema:
    """What the file says of a class."""
    properties = []
    for prop in info.properties.values():
        index: bool | str = "fulltext" if prop.indexed == FULL_TEXT_INDEX else prop.indexed != NOT_INDEXED
        type = PropertyType(prop.type, prop.nullable, prop.collection, prop.target)
        key = prop.is_primary_key
        properties.append(Property(prop.name, type, primary_key=key, index=False if key else index))
    return ObjectSchema(info.name, properties, kind=info.kind)


def dynamic_model(catalogue: Catalogue, name: str, find: Callable[[str], ModelInfo]) -> ModelMeta:
    """A model class for a class of the file; ``find`` gives what the classes it links to declare."""
    return model_of_schema(schema_of(catalogue.classes[name]), find)
