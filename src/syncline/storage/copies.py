"""Copies of a whole file, made by the database, durable when they appear (spec/sdk.md §3.7, spec/sessions.md §11.2)."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from syncline.errors import FileError
from syncline.storage.connection import connect, translating
from syncline.storage.locks import sync_directory, sync_file
from syncline.storage.opening import FileSettings

__all__ = ["write_copy"]


def write_copy(source: FileSettings, target: str, key: bytes | None) -> None:
    """Copy the newest version of ``source`` to ``target``, encrypted with ``key`` (a page key) or not at all.

    The copy grows under another name and appears complete. Raises FileError when ``target`` exists or cannot be made.
    """
    if os.path.exists(target):
        raise FileError(f"{target} exists already; choose another name for the copy")
    growing = f"{target}.copying-{os.getpid()}"
    with translating(target):
        try:
            _vacuum_into(source, growing)
            _finish(growing, source.key, key)
            sync_file(growing)
            os.rename(growing, target)
            sync_directory(target)
        except OSError as error:
            raise FileError(f"cannot make the copy {target}: {error.strerror}") from error
        finally:
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(growing + suffix).unlink(missing_ok=True)


def _vacuum_into(source: FileSettings, target: str) -> None:
    connection = connect(source.path, source.key, writable=False, vfs=source.vfs)
    try:
        connection.pragma("query_only", False)
        connection.execute("VACUUM INTO ?", (target,))
    finally:
        connection.close(True)


def _finish(path: str, old_key: bytes | None, new_key: bytes | None) -> None:
    """Change the key where it differs, and make the copy a file with a write-ahead log like every Realm."""
    connection = connect(path, old_key, writable=True)
    try:
        if old_key != new_key:
            if new_key is None:
                connection.pragma("rekey", "")
            else:
                connection.pragma("cipher", "chacha20")
                connection.pragma("rekey", "raw:" + new_key.hex())
        connection.pragma("journal_mode", "wal")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close(True)
