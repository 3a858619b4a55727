"""What is done with the file of a Realm as a whole (spec/sdk.md §2.1, §3.6, §3.7)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, overload

from syncline.errors import (
    IllegalOperationError,
    InvalidDatabaseError,
    RealmFileNotFoundError,
    TypeMismatchError,
    WrongTransactionStateError,
)
from syncline.realm import file_copies as copying
from syncline.realm.backend import sync_backend
from syncline.realm.configuration import RealmConfiguration
from syncline.realm.context import Context
from syncline.realm.dynamic import schema_of
from syncline.realm.opening import configuration_of
from syncline.realm.schema_changes import SchemaMode, SchemaSubsetMode
from syncline.storage import evolution
from syncline.storage.file import RealmFile
from syncline.storage.schema_version import schema_version, set_schema_version

if TYPE_CHECKING:
    from syncline.realm.models import Model
    from syncline.realm.schedulers import Scheduler
    from syncline.realm.schema import ObjectSchema

__all__ = ["RealmMaintenance"]


class _SchemaVersion:
    """``realm.schema_version``, and ``Realm.schema_version(path)``, which needs no Realm."""

    @overload
    def __get__(self, obj: None, owner: type) -> _ReadVersion: ...
    @overload
    def __get__(self, obj: RealmMaintenance, owner: type) -> int | None: ...
    def __get__(self, obj: RealmMaintenance | None, owner: type) -> _ReadVersion | int | None:
        if obj is None:
            return _ReadVersion()
        context = obj._context
        reader = context.reader()
        with context.lock:
            return schema_version(reader)


class _ReadVersion:
    """``Realm.schema_version``."""

    def __call__(
        self,
        configuration: RealmConfiguration | str | os.PathLike[str] | Any = None,
        encryption_key: bytes | None = None,
        /,
        **options: Any,
    ) -> int | None:
        """The schema version of the file of a configuration; None if there is no file, or no schema in it yet.

        Takes what :meth:`Realm.open` takes; needs no models. Raises FileError, DecryptionFailedError.
        """
        if encryption_key is not None:
            options["encryption_key"] = encryption_key
        config = configuration_of(configuration, options)
        if config.in_memory or not RealmFile.exists(config.file_path):
            return None
        try:
            file = RealmFile.open(config.file_path, encryption_key=config.encryption_key, read_only=True)
        except RealmFileNotFoundError:  # somebody has just begun to make it, or it was deleted
            return None
        try:
            with file.snapshot() as snapshot, snapshot.lock:
                return schema_version(snapshot.reader)
        finally:
            file.close()


class RealmMaintenance:
    """The part of :class:`~syncline.Realm` that is about its file."""

    _config: RealmConfiguration
    _context: Context

    #: Of a Realm: the schema version of the version it sees, None if it has none. Of the class: a function that reads
    #: the version of a file without a schema, ``Realm.schema_version("dogs.realm")``.
    schema_version = _SchemaVersion()

    def generate_models(self) -> str:
        """The source of a Python module with a model class for every class of the file, also for those that this Realm
        was opened without: ``Path("models.py").write_text(realm.generate_models(), encoding="utf-8")``.

        Executed, it has ``SCHEMA``, with which the file opens as it is, and ``SCHEMA_VERSION``. Names that Python
        cannot have are mapped. Defaults, backlinks and whatever else a file does not know are left to add.
        """
        from syncline.realm.model_source import model_source

        context = self._context
        reader = context.reader()
        with context.lock:
            version = schema_version(reader)
        schemas = [schema_of(info) for info in reader.catalogue.classes.values()]
        return model_source(schemas, file_name=os.path.basename(context.file.path), version=version)

    @property
    def in_migration(self) -> bool:
        """Whether this is the new Realm of a migration function that runs."""
        return self._context.assign_key is not None

    @classmethod
    def from_bytes(
        cls,
        data: bytes | bytearray | memoryview,
        /,
        *,
        schema: Sequence[type[Model] | ObjectSchema] | None = None,
        schema_version: int = 0,
        schema_subset_mode: SchemaSubsetMode = SchemaSubsetMode.STRICT,
        scheduler: Scheduler | None = None,
    ) -> Self:
        """A Realm of what is in a Realm file, given as bytes: out of an archive, a database, a download.

        It is in memory and immutable (:attr:`SchemaMode.IMMUTABLE`): ``schema_version`` has to be that of the file, and
        nothing can be written; :meth:`write_copy` makes a file of it. Read the bytes of a file that no Realm has open,
        best a copy. Raises what :meth:`open` raises, InvalidDatabaseError for bytes that are no Realm, and
        DecryptionFailedError for those of an encrypted one.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeMismatchError(f"from_bytes: expected bytes, got {type(data).__name__}")
        if not len(data):
            raise InvalidDatabaseError("from_bytes: no bytes are no Realm")
        directory = os.path.realpath(tempfile.mkdtemp(prefix="syncline-"))
        try:
            path = os.path.join(directory, "bytes.realm")
            with open(path, "wb") as file:
                file.write(data)
            config = RealmConfiguration(
                path,
                schema=schema,
                schema_version=schema_version,
                schema_mode=SchemaMode.IMMUTABLE,
                schema_subset_mode=schema_subset_mode,
            )
            realm: Self = cls.open(config, scheduler=scheduler)  # type: ignore[attr-defined]
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        realm._context.file.owns(directory)
        return realm

    @classmethod
    def exists(cls, configuration: RealmConfiguration | str | os.PathLike[str] | Any = None, /, **options: Any) -> bool:
        """Whether the file of a configuration is there. Takes what :meth:`open` takes; opens nothing."""
        config = configuration_of(configuration, options)
        return not config.in_memory and RealmFile.exists(config.file_path)

    @classmethod
    def delete_files(
        cls, configuration: RealmConfiguration | str | os.PathLike[str] | Any = None, /, **options: Any
    ) -> bool:
        """Delete the file of a configuration and all that belongs to it; whether it was there.

        Takes what :meth:`open` takes. What a synced Realm has not uploaded is lost with it. Raises RealmInUseError
        while it is open, in any process, and of a synced Realm while its session still uploads.
        """
        config = configuration_of(configuration, options)
        if config.in_memory:
            return False
        if config.sync is None:
            return RealmFile.delete(config.file_path)
        return sync_backend().delete_files(config.sync, config.file_path, config.encryption_key)

    def delete_model(self, cls: type[Model] | str) -> bool:
        """Remove a class with all its objects, inside a write transaction; whether there was one.

        Links to its objects in Mixed values become None. The file's schema version grows by one: models without the
        class, or with another of its name, are opened with that version or a higher one (in a migration function the
        version is that of the migration). Raises WrongTransactionStateError, and IllegalOperationError while a property
        of another class links to it, and for a file that is or was synced: such files are only ever added to.
        """
        context = self._context
        tx = context.writing()
        name = cls if isinstance(cls, str) else cls._info.stored_name
        name = context.classes.stored_name(name)
        if context.delete_class is not None:
            return context.delete_class(name)
        info = tx.catalogue.find(name)
        if info is None:
            return False
        if context.file.keeps_history:
            raise IllegalOperationError(f"{name} cannot be removed: what a synced file has stays there for all devices")
        for prop in tx.catalogue.links_to(info):
            if prop.class_id != info.id:
                owner = tx.catalogue.by_id[prop.class_id].name
                raise IllegalOperationError(f"{name} cannot be removed: {owner}.{prop.name} links to it")
        version = schema_version(tx)
        context.classes.drop(info)
        evolution.erase_class(tx.workspace, info, True)
        if version is not None:
            set_schema_version(tx, version + 1)
        context.classes.follow(tx.catalogue)
        context.touch()
        return True

    def write_copy(
        self,
        target: RealmConfiguration | str | os.PathLike[str],
        encryption_key: bytes | None = None,
    ) -> None:
        """A compacted copy of everything the Realm holds, in a file of its own.

        To a path: a copy of the same kind, encrypted with ``encryption_key`` or not at all; in a write transaction it
        holds what was written so far. To a :class:`~syncline.RealmConfiguration`: with its key and as what it says, a
        local or a synced Realm. A local Realm that becomes synced uploads all its objects when it is opened. Where the
        configuration has a file already, all objects are written into that: those with the same primary key are
        updated, those without one are added.

        Raises FileError (a path where something is, or that cannot be written), IllegalOperationError (between flexible
        and partition-based sync; a synced Realm that has not uploaded everything, as a synced one), SchemaError (an
        existing Realm whose classes differ).
        """
        context = self._context
        context.check()
        if isinstance(target, RealmConfiguration):
            config = target
        elif target is None:
            raise TypeMismatchError("write_copy: expected a path or a RealmConfiguration, got None")
        else:
            config = RealmConfiguration(target, encryption_key=encryption_key)
        copying.write_copy(context, self._config, config, may_exist=isinstance(target, RealmConfiguration))

    def compact(self) -> bool:
        """Rewrite the file without free pages; False, and nothing is done, while any other Realm has it open.

        "Other" are also frozen Realms, the session of a synced one, and other processes (there: ``should_compact``).
        Raises WrongTransactionStateError in a write transaction and for a Realm that cannot write.
        """
        context = self._context
        context.check()
        if context.frozen or self._config.read_only:
            raise WrongTransactionStateError(
                f"{context.file.path} was opened read-only, or is frozen: open it to write"
            )
        if context.tx is not None:
            raise WrongTransactionStateError("a Realm cannot be compacted inside a write transaction; commit first")
        if context.file.is_shared:
            return False
        context.invalidate()
        return context.file.compact()
