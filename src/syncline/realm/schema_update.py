"""Making a file fit the models it is opened with: what is missing is added, what contradicts is refused (spec/sdk.md
§2.3).

Classes and properties that the models do not mention stay as they are: another application may need them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from syncline.errors import SchemaError
from syncline.realm.models import Model, ModelInfo, ModelMeta, model_of_schema
from syncline.realm.schema import ObjectSchema, Property, PropertyType, schema_error
from syncline.realm.validation import validate
from syncline.storage.catalogue import FULL_TEXT_INDEX, GENERAL_INDEX, NOT_INDEXED, Catalogue, ClassInfo, PropertyInfo
from syncline.storage.file import RealmFile
from syncline.storage.transaction import WriteTransaction
from syncline.values import kinds

__all__ = ["apply_schema", "models_by_name"]

_KINDS: Final = {kinds.TOP_LEVEL: "ordinary", kinds.EMBEDDED: "embedded", kinds.ASYMMETRIC: "asymmetric"}


def models_by_name(schema: Iterable[type[Model] | ObjectSchema]) -> dict[str, ModelMeta]:
    """The model classes of a configuration by stored name; schemas become classes.

    Raises SchemaError that lists every problem.
    """
    models: dict[str, ModelMeta] = {}
    given = list(schema)

    def find(name: str) -> ModelInfo:
        return models[name]._info

    schemas = [each if isinstance(each, ObjectSchema) else _schema(each) for each in given]
    validate(schemas)
    for each, described in zip(given, schemas, strict=True):
        models[described.stored_name] = each if isinstance(each, ModelMeta) else model_of_schema(described, find)
    return models


def _schema(model: type[Model]) -> ObjectSchema:
    info = model._info
    if info.abstract:
        raise SchemaError(f"{model.__name__} is an abstract base; put the classes derived from it into the schema")
    return info.schema


def apply_schema(
    file: RealmFile, schemas: Sequence[ObjectSchema], read_only: bool, *, classes_may_come: bool = False
) -> None:
    """Add to the file what it lacks; if ``read_only``, nothing.

    ``classes_may_come``: a read-only file may lack classes, which have no objects until somebody else adds them
    (spec/sdk.md §2.2, READ_ONLY). Raises SchemaError that lists everything in the file that contradicts the schemas, or
    (``read_only``) is missing.
    """
    with file.snapshot() as snapshot, snapshot.lock:
        complete = _compare(snapshot.catalogue, schemas)
        missing = _missing(snapshot.catalogue, schemas, classes_may_come) if read_only else []
    if missing:
        raise SchemaError(
            "the file lacks classes or properties of the schema, and was opened read-only: " + ", ".join(missing)
        )
    if complete or read_only:
        return
    with file.write() as tx:
        if not _compare(tx.catalogue, schemas):  # another process may have been faster
            _add(tx, schemas)


def _compare(catalogue: Catalogue, schemas: Iterable[ObjectSchema]) -> bool:
    """Whether the file has everything. Raises SchemaError for contradictions."""
    problems: list[str] = []
    complete = True
    for schema in schemas:
        info = catalogue.find(schema.stored_name)
        if info is None:
            complete = False
            continue
        problems += _contradictions(schema, info)
        for prop in schema.properties:
            present = info.properties.get(prop.stored_name)
            complete = complete and present is not None and present.indexed == _index(prop)
    if problems:
        raise schema_error(problems)
    return complete


def _missing(catalogue: Catalogue, schemas: Iterable[ObjectSchema], classes_may_come: bool) -> list[str]:
    """The classes and properties that the file lacks; indexes it may lack."""
    found = []
    for schema in schemas:
        info = catalogue.find(schema.stored_name)
        if info is not None:
            found += [f"{schema.name}.{p.name}" for p in schema.properties if p.stored_name not in info.properties]
        elif not classes_may_come:
            found.append(schema.name)
    return found


def _contradictions(schema: ObjectSchema, info: ClassInfo) -> list[str]:
    problems = []
    if info.kind != schema.kind:
        problems.append(
            f"{schema.name}: the file has it as an {_KINDS[info.kind]} class, the model is {_KINDS[schema.kind]}"
        )
    key = schema.primary_key
    stored_key = info.primary_key.name if info.primary_key is not None else None
    if (key.stored_name if key is not None else None) != stored_key:
        problems.append(
            f"{schema.name}: its primary key is {stored_key or 'none'} in the file and {key.name if key else 'none'} "
            "in the model; the key of a class cannot change"
        )
    for prop in schema.properties:
        present = info.properties.get(prop.stored_name)
        if present is not None and _type_of(present) != prop.type:
            problems.append(
                f"{schema.name}.{prop.name}: the file has it as {_shown(present)}, the model as "
                f"{_described(prop.type)}; give the property another name, or open another file"
            )
    return problems


def _type_of(prop: PropertyInfo) -> PropertyType:
    return PropertyType(prop.type, prop.nullable, prop.collection, prop.target)


def _shown(prop: PropertyInfo) -> str:
    return _described(_type_of(prop))


def _described(type: PropertyType) -> str:
    return f"'{type}'"


def _index(prop: Property) -> int:
    if prop.primary_key or not prop.index:
        return NOT_INDEXED
    return FULL_TEXT_INDEX if prop.index == "fulltext" else GENERAL_INDEX


def _add(tx: WriteTransaction, schemas: Sequence[ObjectSchema]) -> None:
    """Classes in the order of their names, then properties in the order of declaration (spec/changesets.md §8.1)."""
    ordered = sorted(schemas, key=lambda schema: schema.stored_name.encode())
    new = [schema for schema in ordered if tx.catalogue.find(schema.stored_name) is None]
    for schema in new:
        key = schema.primary_key
        if key is None:
            tx.add_class(schema.stored_name, kind=schema.kind)
        else:
            tx.add_class(
                schema.stored_name,
                kind=schema.kind,
                primary_key=key.stored_name,
                key_type=key.type.kind,
                key_nullable=key.type.nullable,
            )
    for schema in [*new, *(each for each in ordered if each not in new)]:
        for prop in schema.properties:
            _add_property(tx, schema.stored_name, prop)


def _add_property(tx: WriteTransaction, class_name: str, prop: Property) -> None:
    info = tx.catalogue.classes[class_name]
    present = info.properties.get(prop.stored_name)
    if present is None:
        tx.add_property(
            info,
            prop.stored_name,
            prop.type.kind,
            nullable=prop.type.nullable,
            collection=prop.type.collection,
            target=prop.type.target,
            indexed=_index(prop),
        )
    elif present.indexed != _index(prop) and not prop.primary_key:
        tx.set_index(info, present, _index(prop))
