"""Writing everything that one file holds into another, as if the application had: recorded, where that records
(spec/sdk.md §3.7).

The copy has the objects of the source by their primary keys; objects without one are new ones. What is in the
destination already stays: sets and dictionaries are merged, lists and single values replaced.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from syncline.errors import FileError
from syncline.storage import sync_state
from syncline.storage.catalogue import ClassInfo
from syncline.storage.columns import Value
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.storage.list_copy import ListCopier
from syncline.storage.locks import sync_directory
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.storage.schema_version import schema_version, set_schema_version
from syncline.storage.transaction import WriteTransaction
from syncline.values.kinds import LIST_COLLECTION, SINGLE_COLLECTION

__all__ = ["convert", "merge_into"]


def convert(source: Reader, path: str, encryption_key: bytes | None, history: bool) -> None:
    """A new file at ``path`` with everything that ``source`` sees; it appears complete.

    ``history``: whether it records, and so holds it all as a change that waits for upload. Raises FileError.
    """
    growing = f"{path}.copying-{os.getpid()}"
    try:
        file = RealmFile.open(growing, encryption_key=encryption_key, history=history)
        try:
            merge_into(source, file)
        finally:
            file.close()
        os.rename(growing, path)
        sync_directory(path)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot make the copy {path}: {error.strerror}") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal", ".lock"):
            Path(growing + suffix).unlink(missing_ok=True)


def merge_into(source: Reader, file: RealmFile) -> None:
    """Write everything that ``source`` sees into ``file``, in one transaction.

    Raises SchemaError where a class or property exists there and differs.
    """
    source.flush()
    with file.write() as tx:
        _add_schema(source, tx)
        _Everything(source, tx).run()
        version = schema_version(source)
        if version is not None and (schema_version(tx) or 0) <= version:
            set_schema_version(tx, version)


def forget_identity(file: RealmFile) -> None:
    """Make a synced file, of which everything is uploaded, one that the server does not know yet.

    It keeps what it has downloaded, and goes on from there under the identity it will get.
    """
    history = ClientHistory(file)
    progress = history.status().progress
    downloaded = progress.download.server_version
    with file.write() as tx:
        history.rewrite_in(tx, ident=0, salt=0, server_version=progress.latest_server_version, recovered={})
        file.writer.state.change(
            tx.connection, {sync_state.DOWNLOAD_SERVER: downloaded, sync_state.UPLOAD_SERVER: downloaded}
        )


def _add_schema(source: Reader, tx: WriteTransaction) -> None:
    classes = source.catalogue.classes.values()
    for info in classes:
        key = info.primary_key
        if key is None:
            tx.add_class(info.name, kind=info.kind)
        else:
            tx.add_class(info.name, kind=info.kind, primary_key=key.name, key_type=key.type, key_nullable=key.nullable)
    for info in classes:
        for prop in info.properties.values():
            if not prop.is_primary_key:
                tx.add_property(
                    tx.catalogue.classes[info.name],
                    prop.name,
                    prop.type,
                    nullable=prop.nullable,
                    collection=prop.collection,
                    target=prop.target,
                    indexed=prop.indexed,
                )


class _Everything(ListCopier):
    """One copy of all objects."""

    def __init__(self, source: Reader, tx: WriteTransaction) -> None:
        super().__init__(source, tx)
        #: the copy of each of the source's objects, by class and number there
        self._copies: dict[tuple[int, int], ObjectRef] = {}

    def run(self) -> None:
        """Create first: links need their targets."""
        classes = [info for info in self._local.catalogue.classes.values() if not (info.embedded or info.asymmetric)]
        for info in classes:
            own = self._tx.catalogue.classes[info.name]
            for k in self._local.keys(info):
                key = None if info.keyless else self._local.key_of(info, k)
                self._copies[info.id, k] = ObjectRef(own.id, self._tx.create(own, key)[0])
        for info in classes:
            for k in self._local.keys(info):
                self._fill_present(self._copies[info.id, k], info, k)

    def _fill_present(self, own: ObjectRef, source: ClassInfo, k: int) -> None:
        """The values of an object that may have some already."""
        tx = self._tx
        info = tx.catalogue.by_id[own.class_id]
        for source_prop in source.properties.values():
            if source_prop.is_primary_key:
                continue
            prop = info.properties[source_prop.name]
            value = self._local.get(source, k, source_prop)
            if prop.collection != SINGLE_COLLECTION:
                ref = CollectionRef(prop.collection, prop.id, own.object_key)
                if prop.collection == LIST_COLLECTION and tx.size(ref):
                    tx.list_clear(ref)
                self._fill(ref, cast(CollectionRef, value))
            elif isinstance(value, CollectionRef):
                tx.set(info, own.object_key, prop, None)
                self._fill(tx.set_collection(info, own.object_key, prop, value.kind), value)
            elif self._is_embedded(value):
                self._fill_object(tx.set_embedded(info, own.object_key, prop), cast(ObjectRef, value))
            else:
                there = self._there(value)
                present = tx.get(info, own.object_key, prop)
                if type(present) is not type(there) or present != there:
                    tx.set(info, own.object_key, prop, there)

    def _there(self, value: Value) -> Value:
        if not isinstance(value, ObjectRef):
            return value
        return self._copies[value.class_id, value.object_key]
