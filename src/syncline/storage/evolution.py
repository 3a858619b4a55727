"""Changing the schema of a Realm that has contents: what is allowed, and what becomes of the values (spec/changesets.md
§10.4, spec/sdk.md §1.2 to §1.7).

Nothing here is recorded. Every refusal is a SchemaError, raised before anything is touched.
"""

from __future__ import annotations

from typing import cast

from syncline.errors import SchemaError
from syncline.storage import schema
from syncline.storage.backlinks import links_through
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.columns import NULL_CELL
from syncline.storage.workspace import Workspace
from syncline.values.kinds import (
    DICTIONARY_COLLECTION,
    EMBEDDED,
    GLOBAL_KEY,
    KEY_KINDS,
    KIND_NAMES,
    LINK,
    LIST_COLLECTION,
    SET_COLLECTION,
)

__all__ = ["add_class", "add_property", "erase_class", "erase_property", "set_index"]


def add_class(
    workspace: Workspace, name: str, kind: int, key_name: str, key_type: int, key_nullable: bool
) -> tuple[ClassInfo, bool]:
    """The class with that name, kind and key (``key_type`` GLOBAL_KEY: none), and whether it was created."""
    info = workspace.catalogue.find(name)
    if info is not None:
        _check_class(info, kind, key_name, key_type, key_nullable)
        return info, False
    schema.check_class_name(name)
    if key_type not in KEY_KINDS:
        raise SchemaError(f"class {name!r}: a primary key is int, string, objectId or uuid")
    if key_type != GLOBAL_KEY:
        if kind == EMBEDDED:
            raise SchemaError(f"class {name!r} is embedded and cannot have a primary key")
        schema.check_property_name(key_name)
    _adopt(
        workspace,
        schema.add_class(workspace.connection, workspace.catalogue, name, kind, key_name, key_type, key_nullable),
    )
    info = workspace.catalogue.classes[name]
    workspace.expect_tables(info.id)
    return info, True


def _check_class(info: ClassInfo, kind: int, key_name: str, key_type: int, key_nullable: bool) -> None:
    if info.kind != kind:
        names = ("top-level", "embedded", "asymmetric")
        raise SchemaError(f"class {info.name!r} exists and is {names[info.kind]}, not {names[kind]}")
    key = info.primary_key
    if key is None:
        if key_type != GLOBAL_KEY:
            raise SchemaError(f"class {info.name!r} exists and has no primary key")
        return
    if key_type == GLOBAL_KEY:
        raise SchemaError(f"class {info.name!r} exists and has the primary key {key.name!r}")
    if (key.name, key.type, key.nullable) != (key_name, key_type, key_nullable):
        raise SchemaError(
            f"class {info.name!r} exists with different properties of its primary key: "
            f"{key.name!r} of type {KIND_NAMES[key.type]}, nullable {key.nullable}"
        )


def add_property(
    workspace: Workspace,
    info: ClassInfo,
    name: str,
    type: int,
    nullable: bool,
    collection: int,
    target: str | None,
    indexed: int,
) -> tuple[PropertyInfo, bool]:
    """The property with that name and type, and whether it was created. Nullability is not compared."""
    info = workspace.info(info.id)
    existing = info.properties.get(name)
    if existing is not None:
        if (existing.type, existing.collection, existing.target) != (type, collection, target):
            raise SchemaError(f"property {info.name}.{name} exists with another type, collection or target")
        return existing, False
    schema.check_property_name(name)
    target_info = _check_property(workspace.catalogue, info, name, type, collection, target)
    if not schema.is_indexable(indexed, type, collection):
        raise SchemaError(f"property {info.name}.{name} cannot have that index: its type has no such index")
    if len(info.columns) >= schema.MAX_COLUMNS:
        raise SchemaError(f"class {info.name!r} has too many properties")
    nullable = schema.nullability(type, collection, nullable)
    has_tables = workspace.has_tables(info.id)
    if has_tables:
        _close(workspace, info)
    _adopt(
        workspace,
        schema.add_property(
            workspace.connection,
            workspace.catalogue,
            info,
            name,
            type,
            nullable,
            collection,
            target_info,
            indexed,
            has_tables,
        ),
    )
    return workspace.catalogue.by_id[info.id].properties[name], True


def _check_property(
    catalogue: Catalogue, info: ClassInfo, name: str, type: int, collection: int, target: str | None
) -> ClassInfo | None:
    """The class of a link's target, None for other types."""
    if type != LINK:
        if target:
            raise SchemaError(f"property {info.name}.{name} is no link and cannot have a target class")
        return None
    target_info = catalogue.find(target or "")
    if target_info is None:
        raise SchemaError(f"property {info.name}.{name} links to class {target!r}, which does not exist")
    if target_info.asymmetric:
        raise SchemaError(f"property {info.name}.{name} links to the asymmetric class {target!r}")
    if target_info.embedded and collection == SET_COLLECTION:
        raise SchemaError(f"property {info.name}.{name} would be a set of embedded objects")
    return target_info


def erase_property(workspace: Workspace, info: ClassInfo, prop: PropertyInfo) -> None:
    """Remove a property, with the embedded objects and collections it owns."""
    if prop.is_primary_key:
        raise SchemaError(f"property {info.name}.{prop.name} is the primary key and cannot be removed")
    info = workspace.rows(info.id).info
    workspace.flush()
    _empty_property(workspace, info, prop)
    _close(workspace, info)
    _adopt(workspace, schema.erase_property(workspace.connection, workspace.catalogue, info, prop))


def _empty_property(workspace: Workspace, info: ClassInfo, prop: PropertyInfo) -> None:
    """Delete what the values of a property own; note the tombstones they link to."""
    if not prop.tied:
        return
    if prop.table is None:
        columns = ", ".join(prop.columns)
        cells = workspace.query(f"SELECT k, {columns} FROM {info.table} WHERE {prop.columns[0]} IS NOT NULL")
    else:
        columns = ", ".join(prop.table.columns)
        cells = workspace.query(f"SELECT {prop.table.owner}, {columns} FROM {prop.table.name}")
    rows = workspace.rows(info.id)
    for cell in cells:
        # an embedded object that held others of its class may have gone with its own owner already
        if rows.exists(cast(int, cell[0])):
            workspace.release(prop, cell[1:])
    workspace.flush()


def erase_class(workspace: Workspace, info: ClassInfo, forced: bool) -> None:
    """Remove a class with its objects.

    Refused while another class has a property for links to it and, unless ``forced``, while a Mixed of another class
    holds one; ``forced`` makes those null (a removal that was made elsewhere, where no such link was).
    """
    info = workspace.rows(info.id).info
    for prop in workspace.catalogue.links_to(info):
        if prop.class_id != info.id:
            other = workspace.catalogue.by_id[prop.class_id].name
            raise SchemaError(f"class {info.name!r} cannot be removed: {other}.{prop.name} links to it")
    workspace.flush()
    _cut_mixed_links(workspace, info, forced)
    for prop in info.properties.values():
        _empty_property(workspace, info, prop)
    workspace.flush()
    _close(workspace, info)
    _adopt(workspace, schema.erase_class(workspace.connection, workspace.catalogue, info))


def _cut_mixed_links(workspace: Workspace, info: ClassInfo, forced: bool) -> None:
    """Links from Mixed values of other classes, to objects or tombstones of the class, become null."""
    targets = [cast(int, row[0]) for row in workspace.query(f"SELECT k FROM {info.table}")]
    tombs = workspace.query("SELECT key FROM rlm_tomb WHERE class = ?", (info.id,))
    targets += [-1 - cast(int, row[0]) for row in tombs]
    for prop in workspace.incoming(info):
        if prop.class_id == info.id:
            continue
        for target in targets:
            for place in links_through(workspace, prop, info.id, target):
                if not forced:
                    other = workspace.catalogue.by_id[prop.class_id].name
                    raise SchemaError(
                        f"class {info.name!r} cannot be removed: a value of {other}.{prop.name} links to it"
                    )
                if place.ref is None:
                    workspace.set_cell(workspace.rows(prop.class_id), place.owner, prop, NULL_CELL)
                elif place.ref.kind == LIST_COLLECTION:
                    workspace.list_set(place.ref, cast(int, place.place), NULL_CELL)
                elif place.ref.kind == DICTIONARY_COLLECTION:
                    workspace.member_put(place.ref, place.place, NULL_CELL)
                else:
                    workspace.member_erase(place.ref, place.place)
            workspace.flush()


def set_index(workspace: Workspace, info: ClassInfo, prop: PropertyInfo, indexed: int) -> None:
    """Give a property an index, or none."""
    if not schema.is_indexable(indexed, prop.type, prop.collection):
        raise SchemaError(f"property {info.name}.{prop.name} cannot have that index: its type has no such index")
    info = workspace.rows(info.id).info
    if prop.is_primary_key or info.by_id[prop.id].indexed == indexed:
        return
    _close(workspace, info)
    _adopt(workspace, schema.set_index(workspace.connection, workspace.catalogue, info, prop, indexed))


def _close(workspace: Workspace, info: ClassInfo) -> None:
    """Write the class's buffered rows: they have the old columns."""
    workspace.flush()
    workspace.close_rows(info.id)


def _adopt(workspace: Workspace, catalogue: Catalogue) -> None:
    workspace.catalogue = catalogue
    workspace.schema_changed = True
    workspace.dirty = True
    workspace.changes.schema = True
    workspace.forget_incoming()
