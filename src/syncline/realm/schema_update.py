"""Making a file fit the models it is opened with, as the schema mode says (spec/sdk.md §2.2).

Classes that the models do not mention stay as they are: another application may need them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from syncline.errors import (
    InvalidSchemaChangeError,
    InvalidSchemaVersionError,
    SchemaError,
    SchemaMismatchError,
)
from syncline.realm.configuration import RealmConfiguration
from syncline.realm.migration import MakeRealm, Work, work_in
from syncline.realm.models import Model, ModelInfo, ModelMeta
from syncline.realm.schema import ObjectSchema
from syncline.realm.schema_changes import APPLIED, Change, SchemaChange, SchemaMode, compare, refused
from syncline.realm.schema_models import model_of_schema
from syncline.realm.schema_writing import add_missing
from syncline.realm.validation import ValidationMode, validate
from syncline.storage.file import RealmFile
from syncline.storage.reader import Reader
from syncline.storage.schema_version import schema_version, set_schema_version
from syncline.values import kinds

__all__ = ["fit", "models_by_name", "needs_reset"]


def models_by_name(
    schema: Iterable[type[Model] | ObjectSchema], rules: ValidationMode = ValidationMode.BASIC
) -> dict[str, ModelMeta]:
    """The model classes of a configuration by stored name; schemas become classes.

    Raises SchemaError that lists every problem.
    """
    models: dict[str, ModelMeta] = {}
    given = list(schema)

    def find(name: str) -> ModelInfo:
        return models[name]._info

    schemas = [each if isinstance(each, ObjectSchema) else _schema(each) for each in given]
    validate(schemas, rules)
    for each, described in zip(given, schemas, strict=True):
        models[described.stored_name] = each if isinstance(each, ModelMeta) else model_of_schema(described, find)
    return models


def _schema(model: type[Model]) -> ObjectSchema:
    info = model._info
    if info.abstract:
        raise SchemaError(f"{model.__name__} is an abstract base; put the classes derived from it into the schema")
    return info.schema


class _State(NamedTuple):
    """What a version of a file is, seen with the models."""

    version: int | None
    #: whether no class was ever made in it
    is_new: bool
    changes: list[SchemaChange]

    @classmethod
    def of(cls, reader: Reader, schemas: Sequence[ObjectSchema]) -> _State:
        version = schema_version(reader)
        return cls(version, version is None and not reader.catalogue.classes, compare(reader.catalogue, schemas))


def fit(file: RealmFile, models: Mapping[str, ModelMeta], config: RealmConfiguration, make_realm: MakeRealm) -> None:
    """Make the file's schema and its version those of the configuration, where its mode allows it.

    ``make_realm``: for the functions of the application that take part. Raises SchemaMismatchError,
    InvalidSchemaVersionError, InvalidSchemaChangeError, MigrationFailedError, and whatever these functions raise: the
    file is unchanged then.
    """
    mode = _mode(file, config)
    schemas = _without_orphans([model._info.schema for model in models.values()], config)
    with file.snapshot() as snapshot, snapshot.lock:
        work = _work(mode, config, _State.of(snapshot.reader, schemas), file.path)
    if work is Work.NOTHING:
        return
    with work_in(file, config, make_realm, models) as step:
        state = _State.of(step.tx, schemas)  # somebody else may have been faster
        work = _work(mode, config, state, file.path)
        if work is Work.MIGRATE:
            step.migrate(schemas, state.version or 0, by_hand=mode is SchemaMode.MANUAL)
        elif work is Work.APPLY:
            add_missing(step.tx, schemas)
            if state.is_new and config.initial_data is not None and not mode.is_additive:
                step.fill()
        if work is not Work.NOTHING:
            set_schema_version(step.tx, config.schema_version)


def needs_reset(file: RealmFile, schema: Iterable[type[Model] | ObjectSchema], config: RealmConfiguration) -> bool:
    """Whether the mode of the configuration wants the file deleted (spec/sdk.md §2.2, SOFT_RESET and HARD_RESET)."""
    schemas = [model._info.schema for model in models_by_name(schema, config.rules).values()]
    with file.snapshot() as snapshot, snapshot.lock:
        state = _State.of(snapshot.reader, schemas)
    if state.is_new:
        return False
    differs = state.changes if config.mode is SchemaMode.HARD_RESET else refused(config.mode, state.changes)
    return bool(differs) or state.version != config.schema_version


def _mode(file: RealmFile, config: RealmConfiguration) -> SchemaMode:
    """A file with a history belongs to a synced Realm, whoever opens it: what it has was or will be uploaded."""
    if file.keeps_history and not config.mode.reads_only:
        return config.mode if config.mode.is_additive else SchemaMode.ADDITIVE_EXPLICIT
    return config.mode


def _without_orphans(schemas: list[ObjectSchema], config: RealmConfiguration) -> list[ObjectSchema]:
    """Embedded classes that no other class leads to are left out where classes are discovered (spec/sdk.md §2.2)."""
    if config.mode is not SchemaMode.ADDITIVE_DISCOVERED:
        return schemas
    by_name = {schema.stored_name: schema for schema in schemas}
    reached = {schema.stored_name for schema in schemas if schema.kind != kinds.EMBEDDED}
    todo = list(reached)
    while todo:
        for prop in by_name[todo.pop()].properties:
            if prop.type.target is not None and prop.type.target not in reached:
                reached.add(prop.type.target)
                todo.append(prop.type.target)
    return [schema for schema in schemas if schema.stored_name in reached]


# --- what has to be done ----------------------------------------------------------------------------------------------

#: What a file without version may lack: nobody has counted on it yet.
_ADDITIONS: Final = frozenset({Change.ADD_CLASS, Change.ADD_PROPERTY, Change.CHANGE_INDEX})


def _work(mode: SchemaMode, config: RealmConfiguration, state: _State, path: str) -> Work:
    """What the mode makes of the differences. Raises SchemaMismatchError and its like."""
    wanted = config.schema_version
    if mode.reads_only:
        if mode is SchemaMode.IMMUTABLE and state.version != wanted:
            raise _wrong_version(path, state.version, wanted, "is opened immutable, which needs the same version")
        _refuse(InvalidSchemaChangeError, path, refused(mode, state.changes), f"which the mode {mode.name} refuses")
        return Work.NOTHING
    applied = any(each.change in APPLIED[mode] for each in state.changes)
    if mode.is_additive:
        _refuse(InvalidSchemaChangeError, path, refused(mode, state.changes), "where only additions are possible")
        return Work.APPLY if applied or (state.version or 0) != wanted else Work.NOTHING
    if state.version is None:
        contradicting = [each for each in state.changes if each.change not in _ADDITIONS]
        _refuse(SchemaMismatchError, path, contradicting, "and it has no schema version to migrate from")
        return Work.APPLY
    if state.version > wanted:
        raise _wrong_version(path, state.version, wanted, "a version never goes back: open it with newer models")
    if state.version < wanted:
        return Work.MIGRATE
    advice = f"which needs a migration: configure a schema_version above {wanted}"
    _refuse(SchemaMismatchError, path, refused(mode, state.changes), advice)
    return Work.APPLY if applied else Work.NOTHING


def _wrong_version(path: str, old: int | None, new: int, why: str) -> InvalidSchemaVersionError:
    has = "no schema version" if old is None else f"schema version {old}"
    return InvalidSchemaVersionError(f"{path} has {has}, the configuration says {new}; {why}", old, new)


def _refuse(
    error: type[InvalidSchemaChangeError] | type[SchemaMismatchError],
    path: str,
    changes: Iterable[SchemaChange],
    why: str,
) -> None:
    listed = [str(each) for each in changes]
    if listed:
        text = "\n".join(f"- {each}" for each in listed)
        raise error(f"the models differ from {path}, {why}:\n{text}", listed)
