"""Changing what a schema change alone cannot: names, nullability, primary keys, kinds of classes (spec/sdk.md §2.4).

Only migrations of local Realms do this: nothing is recorded, and no rule of merging knows of it. Between
:func:`loosen_keys` and :func:`tighten_keys` primary keys may be assigned and need not be unique.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

from syncline.errors import MigrationFailedError
from syncline.storage import catalogue, evolution, schema
from syncline.storage.backlinks import LinkPlace, links_through
from syncline.storage.catalogue import NULLABLE_FLAG, TYPE_CODES, ClassInfo, PropertyInfo
from syncline.storage.columns import check_key, key_to_columns
from syncline.storage.transaction import WriteTransaction
from syncline.storage.transfer import duplicate
from syncline.storage.workspace import Workspace
from syncline.values import Key
from syncline.values.kinds import EMBEDDED, LINK, LIST_COLLECTION, MIXED, SET_COLLECTION, TOP_LEVEL

__all__ = [
    "NewType",
    "assign_key",
    "loosen_keys",
    "make_embedded",
    "make_optional",
    "make_top_level",
    "rename",
    "replace",
    "set_primary_key",
    "tighten_keys",
]


class NewType(NamedTuple):
    """What a property is to become; numbers of ``values.kinds``."""

    type: int
    nullable: bool
    collection: int
    target: str | None
    indexed: int


# --- properties -------------------------------------------------------------------------------------------------------


def rename(workspace: Workspace, info: ClassInfo, prop: PropertyInfo, name: str) -> None:
    """Give a property another name, which no other has; its values stay."""
    schema.check_property_name(name)
    _settle(workspace, info)
    workspace.connection.execute("UPDATE rlm_prop SET name = ? WHERE id = ?", (name, prop.id))
    _reload(workspace)


def make_optional(workspace: Workspace, info: ClassInfo, prop: PropertyInfo) -> None:
    """Allow null for the values, or elements, of a property; those that there are stay."""
    _settle(workspace, info)
    workspace.connection.execute("UPDATE rlm_prop SET flags = flags | ? WHERE id = ?", (NULLABLE_FLAG, prop.id))
    _reload(workspace)


def replace(workspace: Workspace, info: ClassInfo, prop: PropertyInfo, new: NewType) -> None:
    """A property of another type under the same name: all objects get zero, null or an empty collection."""
    if prop.is_primary_key:
        _replace_key(workspace, info, prop, new)
        return
    evolution.erase_property(workspace, info, prop)
    now = workspace.info(info.id)
    evolution.add_property(workspace, now, prop.name, new.type, new.nullable, new.collection, new.target, new.indexed)


def _replace_key(workspace: Workspace, info: ClassInfo, prop: PropertyInfo, new: NewType) -> None:
    """The same for the primary key, whose values are all alike then: it needs :func:`tighten_keys`."""
    info = _settle(workspace, info)
    connection = workspace.connection
    schema.drop_views(connection)
    _drop_key_indexes(workspace, info)
    connection.execute(f"ALTER TABLE {info.table} DROP COLUMN {prop.columns[0]}")
    connection.execute("DELETE FROM rlm_prop WHERE id = ?", (prop.id,))
    connection.execute(
        "INSERT INTO rlm_prop(class, name, type, flags, idx, ord) VALUES(?, ?, ?, ?, 0, 0)",
        (info.id, prop.name, TYPE_CODES[new.type], NULLABLE_FLAG if new.nullable else 0),
    )
    id = connection.last_insert_rowid()
    connection.execute("UPDATE rlm_class SET pk = ? WHERE id = ?", (id, info.id))
    _reload(workspace)
    key = workspace.info(info.id).primary_key
    assert key is not None
    for definition in schema.definitions(key):
        connection.execute(f"ALTER TABLE {info.table} ADD COLUMN {definition}")
    _index_loosely(workspace, workspace.info(info.id))


# --- primary keys -----------------------------------------------------------------------------------------------------


def loosen_keys(workspace: Workspace, classes: Iterable[ClassInfo]) -> None:
    """Let primary keys of the classes be assigned, and be the same for several objects."""
    for info in classes:
        if info.primary_key is not None:
            info = _settle(workspace, info)
            _drop_key_indexes(workspace, info)
            _index_loosely(workspace, info)


def tighten_keys(workspace: Workspace, classes: Iterable[ClassInfo]) -> None:
    """End of :func:`loosen_keys`. Raises MigrationFailedError that names a class and a key that is there twice."""
    for info in classes:
        if info.primary_key is None:
            continue
        info = _settle(workspace, info)
        column = info.primary_key.columns[0] if info.primary_key is not None else ""
        twice = workspace.query(f"SELECT {column} FROM {info.table} GROUP BY {column} HAVING count(*) > 1 LIMIT 1")
        if twice:
            assert info.primary_key is not None
            raise MigrationFailedError(
                f"{info.name}: after the migration several objects have the primary key "
                f"{info.primary_key.name} = {twice[0][0]!r}; give each object one of its own"
            )
        _drop_key_indexes(workspace, info)
        schema.create_key_indexes(workspace.connection, info)


def assign_key(workspace: Workspace, info: ClassInfo, k: int, key: Key) -> None:
    """Change the primary key of an object whose class has loose keys. Raises TypeMismatchError."""
    prop = info.primary_key
    assert prop is not None
    check_key(info.name, prop, key)
    rows = workspace.rows(info.id)
    rows.set_cell(k, prop, key_to_columns(key))
    workspace.note(rows, k, prop.id)
    _settle(workspace, info)  # the rows remember which object has which key


def set_primary_key(tx: WriteTransaction, info: ClassInfo, prop: PropertyInfo | None) -> None:
    """Another property becomes the primary key, loosely, or none; what was the key is a plain property then."""
    workspace = tx.workspace
    info = _settle(workspace, info)
    connection = workspace.connection
    schema.drop_views(connection)
    _drop_key_indexes(workspace, info)
    if prop is None:
        _add_global_keys(tx, info)
    elif info.primary_key is None:
        for column in ("ghi", "glo"):
            connection.execute(f"ALTER TABLE {info.table} DROP COLUMN {column}")
    if prop is not None:
        connection.execute(f"DROP INDEX IF EXISTS ix{prop.id}")
        if prop.words is not None:
            prop.words.drop(connection)
        connection.execute("UPDATE rlm_prop SET idx = 0 WHERE id = ?", (prop.id,))
    connection.execute("UPDATE rlm_class SET pk = ? WHERE id = ?", (None if prop is None else prop.id, info.id))
    _reload(workspace)
    now = workspace.info(info.id)
    if prop is None:
        schema.create_key_indexes(connection, now)
    else:
        _index_loosely(workspace, now)


def _add_global_keys(tx: WriteTransaction, info: ClassInfo) -> None:
    """Every object gets the GlobalKey that a new one with its number would get (spec/sdk.md §13.12)."""
    for column in ("ghi", "glo"):
        tx.connection.execute(f"ALTER TABLE {info.table} ADD COLUMN {column} INT")
    tx.connection.execute(f"UPDATE {info.table} SET ghi = ?, glo = k", (tx.file_ident,))


def _drop_key_indexes(workspace: Workspace, info: ClassInfo) -> None:
    for index in (f"u{info.id}", f"un{info.id}"):
        workspace.connection.execute(f"DROP INDEX IF EXISTS {index}")


def _index_loosely(workspace: Workspace, info: ClassInfo) -> None:
    assert info.primary_key is not None
    column = info.primary_key.columns[0]
    workspace.connection.execute(f"CREATE INDEX u{info.id} ON {info.table}({column})")


# --- kinds of classes -------------------------------------------------------------------------------------------------


def make_embedded(tx: WriteTransaction, info: ClassInfo, resolve: bool) -> None:
    """Objects of a class without primary key become part of the one object that links to each (spec/sdk.md §1.9).

    ``resolve``: an object nobody links to is deleted, one with several links is copied for each. Raises
    MigrationFailedError for these otherwise, and for links from Mixed values.
    """
    workspace = tx.workspace
    info = _settle(workspace, info)
    for (k,) in workspace.query(f"SELECT k FROM {info.table} ORDER BY k"):
        links = _links_to(workspace, info, cast(int, k))
        if len(links) != 1 and not resolve:
            raise MigrationFailedError(
                f"{info.name} cannot become embedded: {len(links) or 'no'} links lead to one of its objects, and an "
                "embedded object has exactly one; change that in the migration, or set resolve_embedded_constraints"
            )
        if not links:
            tx.erase(workspace.info(info.id), cast(int, k))
        for place in links[1:]:
            _lead_to(workspace, place, duplicate(tx, info, cast(int, k)))
    _settle(workspace, info)
    _give_owners(workspace, info)


def _links_to(workspace: Workspace, info: ClassInfo, k: int) -> list[LinkPlace]:
    workspace.flush()
    places = [place for prop in workspace.incoming(info) for place in links_through(workspace, prop, info.id, k)]
    for place in places:
        if place.prop.type == MIXED or place.prop.collection == SET_COLLECTION:
            owner = workspace.info(place.prop.class_id).name
            raise MigrationFailedError(
                f"{info.name} cannot become embedded: {owner}.{place.prop.name}, which is no link, list or dictionary "
                "of such objects, holds one"
            )
    return places


def _lead_to(workspace: Workspace, place: LinkPlace, k: int) -> None:
    if place.ref is None:
        workspace.set_cell(workspace.rows(place.prop.class_id), place.owner, place.prop, (k,))
    elif place.ref.kind == LIST_COLLECTION:
        workspace.list_set(place.ref, cast(int, place.place), (k,))
    else:
        workspace.member_put(place.ref, place.place, (k,))


def _give_owners(workspace: Workspace, info: ClassInfo) -> None:
    connection = workspace.connection
    schema.drop_views(connection)
    _drop_key_indexes(workspace, info)
    for column in ("ghi", "glo"):
        connection.execute(f"ALTER TABLE {info.table} DROP COLUMN {column}")
    for column in ("oc", "o", "op"):
        connection.execute(f"ALTER TABLE {info.table} ADD COLUMN {column} INT")
    for prop in workspace.catalogue.links_to(info):
        table, owner, value = (
            (f"c{prop.class_id}", "k", prop.columns[0])
            if prop.table is None
            else (prop.table.name, prop.table.owner, "v")
        )
        connection.execute(
            f"UPDATE {info.table} SET oc = ?, op = ?, o = l.{owner} FROM {table} l WHERE l.{value} = {info.table}.k",
            (prop.class_id, prop.id),
        )
        connection.execute(f"DROP INDEX IF EXISTS x{prop.id}")
        connection.execute("DELETE FROM rlm_incoming WHERE prop = ?", (prop.id,))
    connection.execute("UPDATE rlm_class SET kind = ? WHERE id = ?", (EMBEDDED, info.id))
    _reload(workspace)


def make_top_level(tx: WriteTransaction, info: ClassInfo) -> None:
    """Embedded objects become independent; their owners link to them. They have no primary key yet."""
    workspace = tx.workspace
    info = _settle(workspace, info)
    connection = workspace.connection
    schema.drop_views(connection)
    for column in ("oc", "o", "op"):
        connection.execute(f"ALTER TABLE {info.table} DROP COLUMN {column}")
    _add_global_keys(tx, info)
    connection.execute("UPDATE rlm_class SET kind = ? WHERE id = ?", (TOP_LEVEL, info.id))
    _reload(workspace)
    now = workspace.info(info.id)
    schema.create_key_indexes(connection, now)
    for prop in workspace.catalogue.links_to(now):
        if prop.type == LINK:
            schema.index_links(connection, workspace.info(prop.class_id), prop)
            connection.execute("INSERT INTO rlm_incoming(class, prop) VALUES(?, ?)", (info.id, prop.id))
    workspace.forget_incoming()


# --- all of these -----------------------------------------------------------------------------------------------------


def _settle(workspace: Workspace, info: ClassInfo) -> ClassInfo:
    """The class as it is now, with its table made and its rows written and forgotten."""
    info = workspace.rows(info.id).info
    workspace.flush()
    workspace.close_rows(info.id)
    return info


def _reload(workspace: Workspace) -> None:
    """Read the catalogue anew."""
    workspace.flush()
    for class_id in list(workspace.catalogue.by_id):
        workspace.close_rows(class_id)
    workspace.connection.execute("UPDATE rlm_meta SET v = v + 1 WHERE k = 'catalogue'")
    workspace.catalogue = catalogue.load(workspace.connection, None)
    workspace.schema_changed = True
    workspace.dirty = True
    workspace.changes.schema = True
    workspace.forget_incoming()
