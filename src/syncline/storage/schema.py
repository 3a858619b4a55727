"""Schema operations on the SQL side: tables, columns, indexes, and the catalogue that follows (spec/sdk.md §13.3).

Each function changes the database inside the caller's write transaction and returns the next catalogue. Whether the
operation is *allowed* is decided by :class:`~syncline.storage.workspace.Workspace`, which also cares for the contents.
"""

from __future__ import annotations

from typing import Final

import apsw

from syncline.errors import InvalidNameError
from syncline.storage.catalogue import (
    COLLECTION_FLAGS,
    FULL_TEXT_INDEX,
    GENERAL_INDEX,
    NOT_INDEXED,
    NULLABLE_FLAG,
    TYPE_CODES,
    Catalogue,
    ClassInfo,
    PropertyInfo,
)
from syncline.storage.columns import SqlValue, default_cell
from syncline.values.kinds import (
    BOOL,
    DECIMAL,
    DICTIONARY_COLLECTION,
    DOUBLE,
    EMBEDDED,
    FLOAT,
    GLOBAL_KEY,
    INT,
    LINK,
    LIST_COLLECTION,
    MIXED,
    OBJECT_ID,
    SET_COLLECTION,
    SINGLE_COLLECTION,
    STRING,
    TIMESTAMP,
    UUID,
)

__all__ = ["MAX_COLUMNS", "add_class", "add_property", "check_class_name", "check_property_name", "nullability"]

MAX_CLASS_NAME_SIZE: Final = 57
MAX_PROPERTY_NAME_SIZE: Final = 63
#: SQLite's limit is 2,000 columns in a table.
MAX_COLUMNS: Final = 1_950

#: Declared types. Floats have none: a REAL column would turn −0.0 into 0.
_SQL_TYPES: Final[dict[int, str]] = {
    INT: " INTEGER",
    BOOL: " INTEGER",
    STRING: " TEXT",
    FLOAT: "",
    DOUBLE: "",
    LINK: " INTEGER",
}
_MIXED_TYPES: Final = (" INTEGER", "", " BLOB", " INTEGER")
_INDEXABLE: Final = (INT, BOOL, STRING, TIMESTAMP, OBJECT_ID, UUID, MIXED)


def check_class_name(name: str) -> None:
    """Raises InvalidNameError for an empty or too long name (spec/sdk.md §1.6)."""
    _check_name(name, "class", MAX_CLASS_NAME_SIZE)


def check_property_name(name: str) -> None:
    """Raises InvalidNameError for an empty or too long name (spec/sdk.md §1.6)."""
    _check_name(name, "property", MAX_PROPERTY_NAME_SIZE)


def _check_name(name: str, what: str, limit: int) -> None:
    if not name:
        raise InvalidNameError(f"a {what} needs a name")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidNameError(f"the {what} name {name!r} is not valid Unicode") from None
    if size > limit:
        raise InvalidNameError(f"the {what} name {name!r} has {size} bytes, more than {limit}")


def nullability(type: int, collection: int, nullable: bool) -> bool:
    """What the nullability of a property is, where its type leaves no choice (spec/sdk.md §1.2)."""
    if type == MIXED:
        return True
    if type == LINK:
        return collection in (SINGLE_COLLECTION, DICTIONARY_COLLECTION)
    return nullable


def is_indexable(indexed: int, type: int, collection: int) -> bool:
    """Whether that index, or none, is allowed (spec/sdk.md §1.5)."""
    if indexed == NOT_INDEXED:
        return True
    if indexed == FULL_TEXT_INDEX:
        return type == STRING and collection == SINGLE_COLLECTION
    return type in _INDEXABLE and (
        collection == SINGLE_COLLECTION or (collection == LIST_COLLECTION and type == STRING)
    )


def add_class(
    connection: apsw.Connection,
    catalogue: Catalogue,
    name: str,
    kind: int,
    key_name: str,
    key_type: int,
    nullable: bool,
) -> Catalogue:
    """Register a class; ``key_type`` GLOBAL_KEY: no primary key (``key_name`` and ``nullable`` do not matter).

    Its table does not exist before :func:`create_tables`: with all its properties known it is one statement, while a
    column added later makes SQLite read the whole schema again.
    """
    connection.execute("INSERT INTO rlm_class(name, kind) VALUES(?, ?)", (name, kind))
    id = connection.last_insert_rowid()
    properties: list[PropertyInfo] = []
    key: PropertyInfo | None = None
    if kind != EMBEDDED and key_type != GLOBAL_KEY:
        key = _insert_property(connection, id, key_name, key_type, nullable, SINGLE_COLLECTION, None, 0, 0, True)
        properties.append(key)
        connection.execute("UPDATE rlm_class SET pk = ? WHERE id = ?", (key.id, id))
    return _count(connection, catalogue.with_class(ClassInfo(id, name, kind, properties, key)))


def create_tables(connection: apsw.Connection, info: ClassInfo) -> None:
    """Create the table of a registered class, those of its collections, and the indexes."""
    columns = ["k INTEGER PRIMARY KEY"]
    if info.embedded:
        columns += ["oc INT", "o INT", "op INT"]
    elif info.keyless:
        columns += ["ghi INT", "glo INT"]
    for prop in info.singles:
        columns += definitions(prop)
    connection.execute(f"CREATE TABLE {info.table}({', '.join(columns)})")
    create_key_indexes(connection, info)
    for prop in info.properties.values():
        if not prop.is_primary_key:
            _create_beside(connection, info, prop)


def create_key_indexes(connection: apsw.Connection, info: ClassInfo) -> None:
    """Create the indexes that find objects by key and keep keys unique."""
    key = info.primary_key
    if key is not None:
        column = key.columns[0]
        connection.execute(f"CREATE UNIQUE INDEX u{info.id} ON {info.table}({column})")
        if key.nullable:
            connection.execute(f"CREATE UNIQUE INDEX un{info.id} ON {info.table}((1)) WHERE {column} IS NULL")
    elif info.keyless:
        connection.execute(f"CREATE UNIQUE INDEX u{info.id} ON {info.table}(ghi, glo)")


def _create_beside(connection: apsw.Connection, info: ClassInfo, prop: PropertyInfo) -> None:
    """What a property has beside its columns: the table of a collection, indexes."""
    if prop.table is not None:
        _create_collection(connection, prop)
    index_links(connection, info, prop)
    if prop.indexed == GENERAL_INDEX:
        _create_index(connection, info, prop)
    if prop.words is not None:
        prop.words.create(connection)


def add_property(
    connection: apsw.Connection,
    catalogue: Catalogue,
    info: ClassInfo,
    name: str,
    type: int,
    nullable: bool,
    collection: int,
    target: ClassInfo | None,
    indexed: int,
    has_tables: bool,
) -> Catalogue:
    """Create a property: columns with the type's default for existing objects, or the table of a collection.

    ``has_tables`` False: the class's tables do not exist yet.
    """
    prop = _insert_property(
        connection, info.id, name, type, nullable, collection, target, indexed, len(info.properties), False
    )
    if has_tables:
        if collection == SINGLE_COLLECTION:
            for definition in definitions(prop):
                connection.execute(f"ALTER TABLE {info.table} ADD COLUMN {definition}")
        _create_beside(connection, info, prop)
    if type == LINK and not prop.embedded:
        connection.execute("INSERT INTO rlm_incoming(class, prop) VALUES(?, ?)", (prop.target_id, prop.id))
    # the columns of the others stay where they are, so their descriptions can be shared
    next_info = ClassInfo(info.id, info.name, info.kind, [*info.properties.values(), prop], info.primary_key)
    return _count(connection, catalogue.with_class(next_info))


def erase_property(connection: apsw.Connection, catalogue: Catalogue, info: ClassInfo, prop: PropertyInfo) -> Catalogue:
    """Remove a property with its columns or table, its indexes, and what is known of links through it."""
    drop_views(connection)
    for index in (f"x{prop.id}", f"ix{prop.id}"):
        connection.execute(f"DROP INDEX IF EXISTS {index}")
    if prop.words is not None:
        prop.words.drop(connection)
    if prop.table is not None:
        connection.execute(f"DROP TABLE {prop.table.name}")
    for column in prop.columns:
        connection.execute(f"ALTER TABLE {info.table} DROP COLUMN {column}")
    connection.execute("DELETE FROM rlm_incoming WHERE prop = ?", (prop.id,))
    connection.execute("DELETE FROM rlm_prop WHERE id = ?", (prop.id,))
    others = [_copy(other) for other in info.properties.values() if other.id != prop.id]
    key = next((other for other in others if other.is_primary_key), None)
    return _count(connection, catalogue.with_class(ClassInfo(info.id, info.name, info.kind, others, key)))


def erase_class(connection: apsw.Connection, catalogue: Catalogue, info: ClassInfo) -> Catalogue:
    """Remove a class with its tables and what is known of links to and from it."""
    drop_views(connection)
    for prop in info.properties.values():
        if prop.table is not None:
            connection.execute(f"DROP TABLE {prop.table.name}")
        if prop.words is not None:
            prop.words.drop(connection)
        connection.execute("DELETE FROM rlm_incoming WHERE prop = ?", (prop.id,))
    connection.execute(f"DROP TABLE {info.table}")
    for table in ("rlm_incoming", "rlm_tomb", "rlm_prop"):
        connection.execute(f"DELETE FROM {table} WHERE class = ?", (info.id,))
    connection.execute("DELETE FROM rlm_class WHERE id = ?", (info.id,))
    return _count(connection, catalogue.without_class(info))


def set_index(
    connection: apsw.Connection, catalogue: Catalogue, info: ClassInfo, prop: PropertyInfo, indexed: int
) -> Catalogue:
    """Create an index, or drop the one that there is, or both."""
    connection.execute(f"DROP INDEX IF EXISTS ix{prop.id}")
    if prop.words is not None:
        prop.words.drop(connection)
    if indexed == GENERAL_INDEX:
        _create_index(connection, info, prop)
    connection.execute("UPDATE rlm_prop SET idx = ? WHERE id = ?", (indexed, prop.id))
    properties = [_copy(other, indexed if other.id == prop.id else None) for other in info.properties.values()]
    key = next((other for other in properties if other.is_primary_key), None)
    words = next(other.words for other in properties if other.id == prop.id)
    if words is not None:
        words.create(connection)
    return _count(connection, catalogue.with_class(ClassInfo(info.id, info.name, info.kind, properties, key)))


def _insert_property(
    connection: apsw.Connection,
    class_id: int,
    name: str,
    type: int,
    nullable: bool,
    collection: int,
    target: ClassInfo | None,
    indexed: int,
    order: int,
    is_primary_key: bool,
) -> PropertyInfo:
    flags = COLLECTION_FLAGS[collection] | (NULLABLE_FLAG if nullable else 0)
    target_id = target.id if target is not None else None
    connection.execute(
        "INSERT INTO rlm_prop(class, name, type, flags, target, idx, ord) VALUES(?, ?, ?, ?, ?, ?, ?)",
        (class_id, name, TYPE_CODES[type], flags, target_id, indexed, order),
    )
    return PropertyInfo(
        connection.last_insert_rowid(),
        class_id,
        name,
        type,
        nullable,
        collection,
        target.name if target is not None else None,
        target.id if target is not None else 0,
        target is not None and target.embedded,
        indexed,
        is_primary_key,
    )


def _copy(prop: PropertyInfo, indexed: int | None = None) -> PropertyInfo:
    """A description of its own: its column numbers will differ."""
    return PropertyInfo(
        prop.id,
        prop.class_id,
        prop.name,
        prop.type,
        prop.nullable,
        prop.collection,
        prop.target,
        prop.target_id,
        prop.embedded,
        prop.indexed if indexed is None else indexed,
        prop.is_primary_key,
    )


def definitions(prop: PropertyInfo) -> list[str]:
    """Column definitions of a single property."""
    defaults = default_cell(prop)
    if prop.type == MIXED:
        types: tuple[str, ...] = _MIXED_TYPES
    elif prop.type == DECIMAL:
        types = (" BLOB", " BLOB")
    else:
        types = (_SQL_TYPES.get(prop.type, " BLOB"),)
    return [
        f"{column}{sql_type} DEFAULT {_literal(default)}" if default is not None else f"{column}{sql_type}"
        for column, sql_type, default in zip(prop.columns, types, defaults, strict=True)
    ]


def _literal(value: SqlValue) -> str:
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return "''" if value == "" else repr(value)


def _create_collection(connection: apsw.Connection, prop: PropertyInfo) -> None:
    table = prop.table
    assert table is not None
    if prop.type == MIXED:
        types: dict[str, str] = dict(zip(("t", "v", "s", "l"), _MIXED_TYPES, strict=True))
    else:
        types = {"v": _SQL_TYPES.get(prop.type, " BLOB"), "s": " BLOB"}
    place = {LIST_COLLECTION: "i INT", SET_COLLECTION: "s BLOB", DICTIONARY_COLLECTION: "key TEXT"}[prop.collection]
    cells = [f"{column}{types[column]}" for column in table.columns if column != table.place]
    definitions = ", ".join(["o INT", place, *cells])
    connection.execute(f"CREATE TABLE {table.name}({definitions}, PRIMARY KEY(o, {table.place})) WITHOUT ROWID")


def index_links(connection: apsw.Connection, info: ClassInfo, prop: PropertyInfo) -> None:
    """The index that finds the links to an object."""
    name = info.table if prop.table is None else prop.table.name
    value = f"p{prop.id}" if prop.table is None else "v"
    if prop.type == MIXED:
        link = f"l{prop.id}" if prop.table is None else "l"
        connection.execute(f"CREATE INDEX x{prop.id} ON {name}({link}, {value}) WHERE {link} IS NOT NULL")
    elif prop.type == LINK and not prop.embedded:
        connection.execute(f"CREATE INDEX x{prop.id} ON {name}({value}) WHERE {value} IS NOT NULL")


def _create_index(connection: apsw.Connection, info: ClassInfo, prop: PropertyInfo) -> None:
    if prop.table is not None:
        connection.execute(f"CREATE INDEX ix{prop.id} ON {prop.table.name}(v)")
    else:
        column = f"s{prop.id}" if prop.type == MIXED else f"p{prop.id}"
        connection.execute(f"CREATE INDEX ix{prop.id} ON {info.table}({column})")


def drop_views(connection: apsw.Connection) -> None:
    """Views of a class would keep its columns from being dropped; they are made anew at the commit."""
    names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall()
    for (name,) in names:
        quoted = str(name).replace('"', '""')
        connection.execute(f'DROP VIEW "{quoted}"')


def _count(connection: apsw.Connection, catalogue: Catalogue) -> Catalogue:
    connection.execute("UPDATE rlm_meta SET v = ? WHERE k = 'catalogue'", (catalogue.counter,))
    return catalogue
