"""The number that an application gives its models, kept with the file (spec/sdk.md §2.1)."""

from __future__ import annotations

from typing import Final

from syncline.storage import system
from syncline.storage.reader import Reader
from syncline.storage.transaction import WriteTransaction

__all__ = ["schema_version", "set_schema_version"]

_KEY: Final = "schema_version"


def schema_version(reader: Reader) -> int | None:
    """The schema version of the file; None: it was never opened with a schema."""
    value = system.meta_value(reader.connection, _KEY)
    return int(value) if isinstance(value, int | str) else None


def set_schema_version(tx: WriteTransaction, version: int) -> None:
    """Store it; that alone makes a version of the file."""
    # text, because the upper half of what it may be has no place in SQLite's integers
    system.set_meta_value(tx.connection, _KEY, str(version))
    tx.workspace.dirty = True
