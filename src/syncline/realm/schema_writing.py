"""Making a file's schema that of the models, inside a write transaction (spec/sdk.md §2.3, §2.4; steps 2 and 4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from syncline.errors import MigrationFailedError
from syncline.realm.schema import ObjectSchema, Property
from syncline.realm.schema_changes import Change, SchemaChange, compare, index_of
from syncline.storage import restructuring
from syncline.storage.catalogue import ClassInfo
from syncline.storage.restructuring import NewType
from syncline.storage.transaction import WriteTransaction
from syncline.values import kinds

__all__ = ["add_missing", "change_first", "change_last"]


def add_missing(tx: WriteTransaction, schemas: Sequence[ObjectSchema], waiting: Collection[str] = ()) -> None:
    """Classes in the order of their names, then properties in the order of declaration (spec/changesets.md §8.1).

    ``waiting``: stored names of classes that will change their kind; sets of their objects are left out.
    """
    ordered = sorted(schemas, key=lambda schema: schema.stored_name.encode())
    new = [schema for schema in ordered if tx.catalogue.find(schema.stored_name) is None]
    for schema in new:
        _add_class(tx, schema)
    for schema in [*new, *(each for each in ordered if each not in new)]:
        for prop in schema.properties:
            if prop.type.collection != kinds.SET_COLLECTION or prop.type.target not in waiting:
                _add_property(tx, schema.stored_name, prop)


def _add_class(tx: WriteTransaction, schema: ObjectSchema) -> None:
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
            indexed=index_of(prop),
        )
    elif present.indexed != index_of(prop) and not prop.primary_key:
        tx.set_index(info, present, index_of(prop))


# --- migrations -------------------------------------------------------------------------------------------------------

_REPLACED: Final = (Change.CHANGE_TYPE, Change.MAKE_REQUIRED)


def change_first(tx: WriteTransaction, schemas: Sequence[ObjectSchema]) -> set[str]:
    """What happens before the migration function: all but removals and changes of kind (step 2).

    Values of a property that changes its type or becomes required are gone. Returns the classes whose primary keys are
    loose now (:func:`restructuring.loosen_keys`), by stored name.
    """
    changes = compare(tx.catalogue, schemas)
    for change in changes:
        if change.change is Change.ADD_CLASS:
            _add_class(tx, change.schema)
    loose = {change.schema.stored_name for change in changes if _is_of_key(change, _REPLACED)}
    for change in changes:
        _change_property(tx, change)
    turning = {change.schema.stored_name for change in changes if change.change is Change.CHANGE_KIND}
    add_missing(tx, schemas, turning)
    for change in changes:
        if change.change is Change.CHANGE_KEY and change.schema.stored_name not in turning:
            _change_key(tx, change.schema)
            loose.add(change.schema.stored_name)
    return loose


def _is_of_key(change: SchemaChange, which: Iterable[Change]) -> bool:
    return change.change in which and change.stored is not None and change.stored.is_primary_key


def _change_property(tx: WriteTransaction, change: SchemaChange) -> None:
    prop, stored = change.prop, change.stored
    if prop is None or stored is None:
        return
    info = tx.catalogue.classes[change.schema.stored_name]
    now = info.properties[stored.name]
    if change.change in _REPLACED:
        type = prop.type
        new = NewType(type.kind, type.nullable, type.collection, type.target, index_of(prop))
        restructuring.replace(tx.workspace, info, now, new)
    elif change.change is Change.MAKE_OPTIONAL:
        restructuring.make_optional(tx.workspace, info, now)


def _change_key(tx: WriteTransaction, schema: ObjectSchema) -> None:
    info = tx.catalogue.classes[schema.stored_name]
    key = schema.primary_key
    restructuring.set_primary_key(tx, info, None if key is None else info.properties[key.stored_name])


def change_last(tx: WriteTransaction, schemas: Sequence[ObjectSchema], loose: set[str], resolve: bool) -> None:
    """What happens after the migration function: removals, kinds of classes, and whatever it left to do (step 4, 5).

    Raises MigrationFailedError: keys are not unique, or objects cannot be embedded.
    """
    loose |= change_first(tx, schemas)
    for change in compare(tx.catalogue, schemas):
        if change.change is Change.REMOVE_PROPERTY and change.stored is not None and not change.stored.is_primary_key:
            info = tx.catalogue.classes[change.schema.stored_name]
            tx.erase_property(info, info.properties[change.stored.name])
    for change in compare(tx.catalogue, schemas):
        if change.change is Change.CHANGE_KIND:
            _change_kind(tx, change.schema, resolve)
            loose.add(change.schema.stored_name)
    add_missing(tx, schemas)
    for change in compare(tx.catalogue, schemas):  # what was the key of a class that changed its kind
        if change.change is Change.REMOVE_PROPERTY and change.stored is not None:
            info = tx.catalogue.classes[change.schema.stored_name]
            tx.erase_property(info, info.properties[change.stored.name])
    restructuring.tighten_keys(tx.workspace, _present(tx, loose))


def _present(tx: WriteTransaction, names: Iterable[str]) -> list[ClassInfo]:
    return [info for name in sorted(names) if (info := tx.catalogue.find(name)) is not None]


def _change_kind(tx: WriteTransaction, schema: ObjectSchema, resolve: bool) -> None:
    info = tx.catalogue.classes[schema.stored_name]
    if kinds.ASYMMETRIC in (info.kind, schema.kind):
        raise MigrationFailedError(f"{schema.name}: a class cannot become asymmetric, and an asymmetric one stays so")
    if schema.kind == kinds.TOP_LEVEL:
        restructuring.make_top_level(tx, info)
        if schema.primary_key is not None:
            _change_key(tx, schema)
        return
    if info.primary_key is not None:
        restructuring.set_primary_key(tx, info, None)
    restructuring.make_embedded(tx, tx.catalogue.classes[schema.stored_name], resolve)
