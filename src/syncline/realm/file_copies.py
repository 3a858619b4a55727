"""Copies of a Realm in files of their own, of the same or another kind (spec/sdk.md §3.7).

================  ==================================================================================================
local → local     the file is copied by the database; inside a write transaction its objects are
local → synced    its objects are written into a new file with a history: they wait for upload
synced → local    its objects are written into a file without a history
synced → synced   the file is copied, with what the server knows, but without its identity
================  ==================================================================================================
"""

from __future__ import annotations

import os

from syncline.errors import FileError, IllegalOperationError
from syncline.realm.configuration import RealmConfiguration
from syncline.realm.context import Context
from syncline.storage.conversion import convert, forget_identity, merge_into
from syncline.storage.file import RealmFile
from syncline.storage.standing import standing

__all__ = ["write_copy"]


def write_copy(context: Context, own: RealmConfiguration, target: RealmConfiguration, *, may_exist: bool) -> None:
    """See :meth:`Realm.write_copy`; ``may_exist``: the target's file is merged into if there is one."""
    if target.in_memory:
        raise IllegalOperationError("a copy is a file: give it a path, not in_memory")
    if own.sync is not None and target.sync is not None and own.sync.flexible != target.sync.flexible:
        raise IllegalOperationError(
            "a Realm of flexible sync cannot become one of a partition, nor the other way round"
        )
    path = os.path.realpath(target.file_path)
    synced = target.sync is not None or (context.file.keeps_history and not may_exist)
    if os.path.exists(path):
        if not may_exist:
            raise FileError(f"{path} exists already; choose another name for the copy")
        _merge(context, target, path, synced)
    elif context.tx is None and synced and context.file.keeps_history:
        _copy_synced(context.file, path, target.encryption_key)
    elif context.tx is None and not synced and not context.file.keeps_history:
        context.file.write_copy(path, encryption_key=target.encryption_key)
    else:
        reader = context.reader()
        with context.lock:
            convert(reader, path, target.encryption_key, synced)


def _merge(context: Context, target: RealmConfiguration, path: str, synced: bool) -> None:
    file = RealmFile.open(path, encryption_key=target.encryption_key, history=synced)
    try:
        reader = context.reader()
        with context.lock:
            merge_into(reader, file)
    finally:
        file.close()


def _copy_synced(file: RealmFile, path: str, key: bytes | None) -> None:
    with file.looking() as connection:
        pending = standing(connection).pending_changes
    if pending:
        raise IllegalOperationError(
            f"{pending} changes of {file.path} wait for upload, and a copy could not upload them: wait until they are"
        )
    file.write_copy(path, encryption_key=key)
    copy = RealmFile.open(path, encryption_key=key)
    try:
        forget_identity(copy)
    finally:
        copy.close()
