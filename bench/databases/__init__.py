"""The databases that ``bench/local.py`` compares, and how each is used."""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

from databases.base import Database

__all__ = ["DATABASES", "Database", "load"]

#: Name → module and class. A module imports its database, and fails to where that is not installed.
DATABASES: Final = {
    "Syncline": ("with_syncline", "Syncline"),
    "Syncline, history": ("with_syncline", "SynclineHistory"),
    "sqlite3": ("with_sqlite", "Sqlite3"),
    "apsw": ("with_sqlite", "Apsw"),
    "SQLAlchemy": ("with_sqlalchemy", "SqlAlchemy"),
    "peewee": ("with_peewee", "Peewee"),
    "ZODB": ("with_zodb", "Zodb"),
    "TinyDB": ("with_tinydb", "Tiny"),
    "LMDB": ("with_lmdb", "Lmdb"),
    "ObjectBox": ("with_objectbox", "ObjectBox"),
}


def load(name: str) -> type[Database]:
    """The adapter. Raises ImportError where the database is not installed."""
    module, adapter = DATABASES[name]
    return cast("type[Database]", getattr(import_module(f"databases.{module}"), adapter))
