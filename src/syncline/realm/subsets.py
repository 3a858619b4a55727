"""Models that show less than the file has, and how much of the rest a Realm shows besides (spec/sdk.md §2.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from syncline.realm.dynamic import dynamic_model, schema_of
from syncline.realm.models import ModelInfo, ModelMeta
from syncline.realm.schema import ObjectSchema, Property
from syncline.realm.schema_changes import SchemaSubsetMode
from syncline.realm.schema_models import widened
from syncline.storage.catalogue import Catalogue, ClassInfo
from syncline.storage.file import RealmFile

__all__ = ["shown", "with_the_rest"]


def with_the_rest(models: Mapping[str, ModelMeta], file: RealmFile, mode: SchemaSubsetMode) -> Mapping[str, ModelMeta]:
    """The models with whatever properties the file has beyond theirs, if the mode includes them."""
    if SchemaSubsetMode.INCLUDE_PROPERTIES not in mode:
        return models
    with file.snapshot() as snapshot:
        catalogue = snapshot.catalogue
    found: dict[str, ModelMeta] = {}
    others: dict[str, ModelMeta] = {}

    def find(name: str) -> ModelInfo:
        model = found.get(name) or others.get(name)
        if model is None:
            model = others[name] = dynamic_model(catalogue, name, find)
        return model._info

    for name, model in models.items():
        info = catalogue.find(name)
        rest = [] if info is None else _rest(model._info.schema, info)
        found[name] = widened(model, rest, find) if rest else model
    return found


def _rest(schema: ObjectSchema, info: ClassInfo) -> list[Property]:
    """What the file has besides; not under a name that the model gives to something else."""
    taken = {prop.stored_name for prop in schema.properties} | set(schema.by_name)
    return [prop for prop in schema_of(info).properties if prop.name not in taken and not prop.primary_key]


def shown(
    models: Mapping[str, ModelMeta] | None, mode: SchemaSubsetMode, catalogue: Callable[[], Catalogue]
) -> list[ObjectSchema]:
    """What ``realm.schema`` says; ``models`` None: all that the file has, whose ``catalogue`` is asked then only."""
    requested = [] if models is None else [model._info.schema for model in models.values()]
    if models is not None and SchemaSubsetMode.INCLUDE_TYPES not in mode:
        return requested
    known = {schema.stored_name for schema in requested}
    return requested + [schema_of(info) for name, info in catalogue().classes.items() if name not in known]
