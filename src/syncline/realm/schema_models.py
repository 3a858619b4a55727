"""Model classes that are made from schemas instead of class bodies (spec/sdk.md §2.5, §12.1 *Dynamic schema*)."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable
from dataclasses import replace

from syncline.query.expression import ClassRef
from syncline.realm.models import EmbeddedModel, Model, ModelInfo, ModelMeta, default_problems
from syncline.realm.schema import ObjectSchema, Property, schema_error
from syncline.realm.validation import class_problems
from syncline.values import kinds

__all__ = ["model_of_schema", "widened"]


class DynamicObject(Model):
    """Base of the classes made from a schema instead of a class body."""

    __slots__ = ()

    class Meta:
        abstract = True


def model_of_schema(schema: ObjectSchema, find: Callable[[str], ClassRef], *, is_checked: bool = False) -> ModelMeta:
    """A model class for a schema written by hand or read from a file; ``find`` gives the classes that links lead to.

    Raises SchemaError with all problems of the class, unless it ``is_checked`` already.
    """
    problems = [] if is_checked else class_problems(schema)
    problems += [] if is_checked or problems else default_problems(schema)
    if problems:
        raise schema_error(problems)
    base = EmbeddedModel if schema.kind == kinds.EMBEDDED else DynamicObject
    model = type.__new__(ModelMeta, schema.name, (base,), {"__slots__": (), "__module__": __name__})
    info = ModelInfo(model, {}, ChainMap(), schema.kind, schema.stored_name)
    model._info = info
    links = [*schema.properties, *schema.computed]
    targets = {p.name: p.type.target for p in links if p.type.kind == kinds.LINK and p.type.target}
    info.install(schema, {name: _lookup(find, target) for name, target in targets.items()})
    return model


def widened(model: ModelMeta, rest: Iterable[Property], find: Callable[[str], ClassRef]) -> ModelMeta:
    """The same class with more properties, which the file has beyond those of the model.

    Creating an object needs no values for them. Those that have the name of a method are reached by ``obj["name"]``.
    """
    narrow = model._info
    extra = [replace(prop, default=None) if prop.required else prop for prop in rest]
    wide = type.__new__(ModelMeta, model.__name__, (model,), {"__slots__": (), "__module__": model.__module__})
    info = wide._info = ModelInfo(wide, narrow.declared, narrow.names, narrow.kind, narrow.stored_name)
    own = narrow.schema
    declared = [*own.properties, *extra, *own.computed]
    targets = {p.name: p.type.target for p in declared if p.type.kind == kinds.LINK and p.type.target}
    schema = ObjectSchema(own.name, declared, kind=own.kind, stored_name=own.stored_name)
    info.install(
        schema,
        {name: _lookup(find, target) for name, target in targets.items()},
        hidden=[prop for prop in extra if hasattr(model, prop.name)],
    )
    return wide


def _lookup(find: Callable[[str], ClassRef], target: str) -> Callable[[], ClassRef]:
    return lambda: find(target)
