"""The catalogue: classes and properties of one version, and the system tables that hold them (spec/sdk.md §13.2).

A catalogue never changes. Schema operations make a new one (:mod:`syncline.storage.schema`); readers share the one of
their version. ``catalogue.counter`` grows with every change of the schema, so a connection can tell in one look-up
whether the catalogue it knows is still the right one (:func:`load`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias
from uuid import UUID as Uuid

import apsw

from syncline.errors import FileError
from syncline.storage.full_text import WordTable, missing
from syncline.storage.layout import CollectionTable, cell_columns, collection_table
from syncline.values import ObjectId, Timestamp
from syncline.values.kinds import (
    ASYMMETRIC,
    BINARY,
    BOOL,
    DECIMAL,
    DICTIONARY_COLLECTION,
    DOUBLE,
    EMBEDDED,
    FLOAT,
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

__all__ = [
    "FULL_TEXT_INDEX",
    "GENERAL_INDEX",
    "NOT_INDEXED",
    "Catalogue",
    "ClassInfo",
    "PropertyInfo",
    "create_system_tables",
    "load",
]

NOT_INDEXED: Final = 0
GENERAL_INDEX: Final = 1
FULL_TEXT_INDEX: Final = 2

#: ``rlm_prop.type``: the codes of spec/sdk.md §1.1, by kind.
TYPE_CODES: Final[dict[int, int]] = {
    INT: 0,
    BOOL: 1,
    STRING: 2,
    BINARY: 3,
    TIMESTAMP: 4,
    FLOAT: 5,
    DOUBLE: 6,
    LINK: 7,
    MIXED: 9,
    OBJECT_ID: 10,
    DECIMAL: 11,
    UUID: 12,
}
_KINDS: Final[dict[int, int]] = {code: kind for kind, code in TYPE_CODES.items()}

#: ``rlm_prop.flags`` (spec/sdk.md §1.1).
NULLABLE_FLAG: Final = 64
COLLECTION_FLAGS: Final[dict[int, int]] = {
    SINGLE_COLLECTION: 0,
    LIST_COLLECTION: 128,
    SET_COLLECTION: 256,
    DICTIONARY_COLLECTION: 512,
}
_COLLECTIONS: Final[dict[int, int]] = {flag: collection for collection, flag in COLLECTION_FLAGS.items()}

#: A Python type, or None.
ValueType: TypeAlias = "type[object] | None"

_EXACT_TYPES: Final[dict[int, type]] = {
    INT: int,
    BOOL: bool,
    STRING: str,
    BINARY: bytes,
    TIMESTAMP: Timestamp,
    DOUBLE: float,
    OBJECT_ID: ObjectId,
    UUID: Uuid,
}

_SYSTEM_TABLES: Final = """
CREATE TABLE rlm_meta(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
CREATE TABLE rlm_class(
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, kind INT, pk INT, next_key INT NOT NULL DEFAULT 0);
CREATE TABLE rlm_prop(
    id INTEGER PRIMARY KEY AUTOINCREMENT, class INT, name TEXT, type INT, flags INT, target INT, idx INT, ord INT,
    UNIQUE(class, name));
CREATE TABLE rlm_commit(version INTEGER PRIMARY KEY, at INT, origin INT, log BLOB);
CREATE TABLE rlm_node(id INTEGER PRIMARY KEY AUTOINCREMENT, kind INT, class INT, owner INT, prop INT, parent INT);
CREATE INDEX rlm_node_parent ON rlm_node(parent) WHERE parent IS NOT NULL;
CREATE TABLE rlm_tomb(class INT, key INT, pk BLOB, PRIMARY KEY(class, key), UNIQUE(class, pk)) WITHOUT ROWID;
CREATE TABLE rlm_incoming(seq INTEGER PRIMARY KEY, class INT, prop INT, UNIQUE(class, prop));
CREATE TABLE n_list(node INT, i INT, t INT, p, s BLOB, l INT, PRIMARY KEY(node, i)) WITHOUT ROWID;
CREATE TABLE n_dict(node INT, key TEXT, t INT, p, s BLOB, l INT, PRIMARY KEY(node, key)) WITHOUT ROWID;
CREATE INDEX n_list_links ON n_list(l, p) WHERE l IS NOT NULL;
CREATE INDEX n_dict_links ON n_dict(l, p) WHERE l IS NOT NULL;
INSERT INTO rlm_meta VALUES('catalogue', 0);
"""


class PropertyInfo:
    """One stored property.

    ``type`` and ``collection`` are numbers of ``values.kinds``. ``nullable`` is that of the value or, in a collection,
    of the element. ``target`` (name) and ``target_id`` are the class of a link's target, else None and 0.
    ``indexed`` is NOT_INDEXED, GENERAL_INDEX or FULL_TEXT_INDEX.
    """

    def __init__(
        self,
        id: int,
        class_id: int,
        name: str,
        type: int,
        nullable: bool,
        collection: int = SINGLE_COLLECTION,
        target: str | None = None,
        target_id: int = 0,
        target_embedded: bool = False,
        indexed: int = NOT_INDEXED,
        is_primary_key: bool = False,
    ) -> None:
        self.id = id
        self.class_id = class_id
        self.name = name
        self.type = type
        self.nullable = nullable
        self.collection = collection
        self.target = target
        self.target_id = target_id
        #: a link to a class of embedded objects: the object is owned, not referred to
        self.embedded = target_embedded
        self.indexed = indexed
        self.is_primary_key = is_primary_key
        #: a single value in one column without any tie to other rows, which can be written without looking at anything
        self.plain = collection == SINGLE_COLLECTION and type not in (LINK, MIXED, DECIMAL) and not is_primary_key
        #: values of exactly this Python type fit a plain property as they are
        self.exact_type: ValueType = _EXACT_TYPES.get(type) if self.plain else None
        #: the value may tie the object to other rows: a link, an owned object, a collection in a Mixed
        self.tied = type in (LINK, MIXED)
        #: columns in the class's table (single values), in the order of a cell (:mod:`syncline.storage.layout`)
        self.columns: tuple[str, ...] = cell_columns(id, type) if collection == SINGLE_COLLECTION else ()
        #: reads the cell of one object
        self.cell_sql = f"SELECT {', '.join(self.columns)} FROM c{class_id} WHERE k = ?" if self.columns else ""
        #: first of those columns in a row of the class, -1 for collections; set by :class:`ClassInfo`
        self.slot = -1
        #: the table of the elements, None for single values
        self.table: CollectionTable | None = (
            None if collection == SINGLE_COLLECTION else collection_table(id, type, collection)
        )
        #: the words of the texts, if the property has a full-text index
        self.words: WordTable | None = None
        if indexed == FULL_TEXT_INDEX and type == STRING and collection == SINGLE_COLLECTION and not is_primary_key:
            self.words = WordTable(id, class_id)

    def __repr__(self) -> str:
        return f"PropertyInfo({self.id}, {self.name!r}, type={self.type}, collection={self.collection})"


class ClassInfo:
    """One class: ``kind`` is TOP_LEVEL, EMBEDDED or ASYMMETRIC; properties by name in the order they were added.

    A *row* is a list of SQL values: the object key, then (embedded) ``oc, o, op`` or (no primary key) ``ghi, glo``,
    then the columns of the single properties.
    """

    def __init__(
        self, id: int, name: str, kind: int, properties: Iterable[PropertyInfo], primary_key: PropertyInfo | None
    ) -> None:
        self.id = id
        self.name = name
        self.kind = kind
        self.primary_key = primary_key
        self.embedded = kind == EMBEDDED
        self.asymmetric = kind == ASYMMETRIC
        #: objects are known by GlobalKey
        self.keyless = primary_key is None and kind != EMBEDDED
        self.properties: dict[str, PropertyInfo] = {prop.name: prop for prop in properties}
        self.by_id: dict[int, PropertyInfo] = {prop.id: prop for prop in self.properties.values()}
        #: the properties with one value, in the order of :meth:`Reader.get_row`
        self.singles: tuple[PropertyInfo, ...] = tuple(
            prop for prop in self.properties.values() if prop.collection == SINGLE_COLLECTION
        )
        #: the lists, sets and dictionaries
        self.collections: tuple[PropertyInfo, ...] = tuple(
            prop for prop in self.properties.values() if prop.collection != SINGLE_COLLECTION
        )
        #: those of ``singles`` that may tie an object to other rows
        self.tied: tuple[PropertyInfo, ...] = tuple(prop for prop in self.singles if prop.tied)
        #: those of ``singles`` whose words are kept in a table
        self.texts: tuple[PropertyInfo, ...] = tuple(prop for prop in self.singles if prop.words is not None)
        #: the name of the class's table
        self.table = f"c{id}"
        columns = ["k"]
        if self.embedded:
            columns += ["oc", "o", "op"]
        elif self.keyless:
            columns += ["ghi", "glo"]
        for prop in self.singles:
            prop.slot = len(columns)
            columns += prop.columns
        #: names of the columns of a row
        self.columns: tuple[str, ...] = tuple(columns)
        names = ", ".join(columns)
        self.insert_sql = f"INSERT INTO {self.table}({names}) VALUES({', '.join('?' * len(columns))})"
        self.row_sql = f"SELECT {names} FROM {self.table} WHERE k = ?"
        self.page_sql = f"SELECT {names} FROM {self.table} WHERE k > ? ORDER BY k LIMIT ?"
        self.exists_sql = f"SELECT 1 FROM {self.table} WHERE k = ?"
        self.delete_sql = f"DELETE FROM {self.table} WHERE k = ?"
        key_columns = "ghi, glo" if primary_key is None else f"p{primary_key.id}"
        self.key_sql = f"SELECT {key_columns} FROM {self.table} WHERE k = ?"
        if primary_key is None:
            self.find_sql = f"SELECT k FROM {self.table} WHERE ghi = ? AND glo = ?"
        else:
            self.find_sql = f"SELECT k FROM {self.table} WHERE {key_columns} = ?"
        self.find_null_sql = f"SELECT k FROM {self.table} WHERE {key_columns} IS NULL"

    def __repr__(self) -> str:
        return f"ClassInfo({self.id}, {self.name!r})"


class Catalogue:
    """All classes of one version. ``counter`` tells versions of the catalogue apart within one file."""

    def __init__(self, classes: Iterable[ClassInfo], counter: int) -> None:
        self.counter = counter
        self.classes: dict[str, ClassInfo] = {info.name: info for info in classes}
        self.by_id: dict[int, ClassInfo] = {info.id: info for info in self.classes.values()}
        #: every property of every class by its id
        self.properties: dict[int, PropertyInfo] = {}
        for info in self.classes.values():
            self.properties.update(info.by_id)

    def find(self, name: str) -> ClassInfo | None:
        """The class of that stored name, or None."""
        return self.classes.get(name)

    def embedded_property(self, table: str, field: str) -> tuple[int, str] | None:
        """What merging asks of the schema (``merge.schema.Schema``)."""
        info = self.classes.get(table)
        prop = None if info is None else info.properties.get(field)
        if prop is None or not prop.embedded or prop.target is None:
            return None
        return prop.collection, prop.target

    def with_class(self, info: ClassInfo) -> Catalogue:
        """The next catalogue: this one with ``info`` added, or in place of the class with its id."""
        classes = [info if known.id == info.id else known for known in self.classes.values()]
        if info.id not in self.by_id:
            classes.append(info)
        return Catalogue(classes, self.counter + 1)

    def without_class(self, info: ClassInfo) -> Catalogue:
        """The next catalogue: this one without that class."""
        return Catalogue([known for known in self.classes.values() if known.id != info.id], self.counter + 1)

    def links_to(self, info: ClassInfo) -> list[PropertyInfo]:
        """The link properties of any class whose declared target is ``info``, in the order they were added."""
        return [prop for prop in self.properties.values() if prop.target_id == info.id]


def create_system_tables(connection: apsw.Connection) -> None:
    """Create the tables that describe classes, properties, commits, nodes and tombstones in an empty file."""
    connection.execute(_SYSTEM_TABLES)


def load(connection: apsw.Connection, known: Catalogue | None = None) -> Catalogue:
    """The catalogue of the version ``connection`` reads; ``known`` itself when it is still the right one.

    ``known`` must be of the same file. Raises FileError when the tables contradict each other.
    """
    row = connection.execute("SELECT v FROM rlm_meta WHERE k = 'catalogue'").fetchone()
    counter = row[0] if row is not None else None
    if not isinstance(counter, int):
        raise FileError("the file's catalogue is damaged: rlm_meta has no schema counter; restore it from a backup")
    if known is not None and known.counter == counter:
        return known
    return _read(connection, counter)


def _read(connection: apsw.Connection, counter: int) -> Catalogue:
    classes = list(connection.execute("SELECT id, name, kind, pk FROM rlm_class ORDER BY id"))
    names: dict[int, tuple[str, int]] = {row[0]: (row[1], row[2]) for row in classes}
    keys: dict[int, int | None] = {row[0]: row[3] for row in classes}
    properties: dict[int, list[PropertyInfo]] = {class_id: [] for class_id in names}
    for row in connection.execute("SELECT id, class, name, type, flags, target, idx FROM rlm_prop ORDER BY id"):
        prop = _property(row, names, keys)
        properties[prop.class_id].append(prop)
    _forget_missing_words(connection, [prop for listed in properties.values() for prop in listed])
    infos = []
    for class_id, (name, kind) in names.items():
        key = next((prop for prop in properties[class_id] if prop.is_primary_key), None)
        infos.append(ClassInfo(class_id, name, kind, properties[class_id], key))
    return Catalogue(infos, counter)


def _forget_missing_words(connection: apsw.Connection, properties: list[PropertyInfo]) -> None:
    """A file that was made without tables of words, and never written since, is searched without."""
    indexed = [prop for prop in properties if prop.words is not None]
    if indexed:
        lacking = {table.name for table in missing(connection)}
        for prop in indexed:
            if prop.words is not None and prop.words.name in lacking:
                prop.words = None


def _property(
    row: tuple[int, int, str, int, int, int | None, int], names: dict[int, tuple[str, int]], keys: dict[int, int | None]
) -> PropertyInfo:
    id, class_id, name, code, flags, target_id, indexed = row
    kind = _KINDS.get(code)
    collection = _COLLECTIONS.get(flags & ~NULLABLE_FLAG)
    if (
        kind is None
        or collection is None
        or class_id not in names
        or (target_id or 0) not in (names if target_id else (0,))
    ):
        raise FileError(f"the file's catalogue is damaged: property {id} ({name!r}); restore it from a backup")
    target, target_kind = names[target_id] if target_id else (None, 0)
    return PropertyInfo(
        id,
        class_id,
        name,
        kind,
        bool(flags & NULLABLE_FLAG),
        collection,
        target,
        target_id or 0,
        target_kind == EMBEDDED,
        indexed or NOT_INDEXED,
        keys[class_id] == id,
    )
