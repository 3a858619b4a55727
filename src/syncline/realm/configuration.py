"""How a Realm is opened (spec/sdk.md §3.1)."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from syncline.errors import ConfigurationError, IllegalCombinationError, InvalidEncryptionKeyError
from syncline.realm.backend import sync_backend
from syncline.realm.converters import describe
from syncline.realm.models import Model
from syncline.realm.schema import ObjectSchema
from syncline.realm.schema_changes import SchemaMode, SchemaSubsetMode
from syncline.realm.validation import ValidationMode

if TYPE_CHECKING:
    from syncline.realm.migration import Migration
    from syncline.realm.realm import Realm
    from syncline.realm.schedulers import Scheduler

__all__ = ["RealmConfiguration"]

DEFAULT_FILE_NAME: Final = "default.realm"
ENCRYPTION_KEY_BYTES: Final = 64

#: The largest schema version; one more stands for "none" (spec/sdk.md §2.1).
LARGEST_VERSION: Final = (1 << 64) - 2

#: Settings that exclude each other (spec/sdk.md §3.1, §3.3).
_EXCLUSIVE: Final = (
    ("in_memory", ("encryption_key", "sync", "read_only", "seed_file")),
    ("delete_if_migration_needed", ("read_only", "migration", "sync")),
)

#: Settings that are on or off.
_SWITCHES: Final = (
    "read_only",
    "delete_if_migration_needed",
    "resolve_embedded_constraints",
    "disable_format_upgrade",
    "cache",
)


def _classes(given: Any) -> tuple[type[Model] | ObjectSchema, ...]:
    """The classes of a schema. Raises ConfigurationError for anything else."""
    if isinstance(given, str | type | ObjectSchema) or not isinstance(given, Iterable):
        raise ConfigurationError(f"schema: expected a list of model classes, got {describe(given)}")
    classes = tuple(given)
    for each in classes:
        if not isinstance(each, ObjectSchema) and not (isinstance(each, type) and issubclass(each, Model)):
            raise ConfigurationError(f"schema: expected model classes, got {describe(each)}")
    return classes


def _check_path(name: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise ConfigurationError(f"{name}: expected a path, got {describe(value)}")
    try:
        is_name = os.fspath(value) != "" and b"\0" not in os.fspath(value).encode()
    except UnicodeEncodeError:
        is_name = False
    if not is_name:
        raise ConfigurationError(f"{name}: no file can have the name {os.fspath(value)!r}")


def _check_function(name: str, value: Any) -> None:
    if value is None:
        return
    if not callable(value):
        raise ConfigurationError(f"{name}: expected a function, got {describe(value)}")
    if inspect.iscoroutinefunction(value) or inspect.isgeneratorfunction(value):
        raise ConfigurationError(f"{name}: expected an ordinary function, which is over when it returns")


class _Default:
    """``RealmConfiguration.default``: what ``Realm.open()`` without arguments opens."""

    value: RealmConfiguration | None = None

    def __get__(self, obj: object, owner: type[RealmConfiguration]) -> RealmConfiguration:
        return self.value if self.value is not None else owner()


@dataclass(frozen=True)
class RealmConfiguration:
    """Where a Realm is and what is in it. Immutable; :meth:`replace` makes a variation (spec/sdk.md §3.1).

    Raises ConfigurationError, InvalidEncryptionKeyError and IllegalCombinationError before any file is touched.

    Args:
        path: the file; relative ones count from the current directory, None is ``default.realm`` there (a synced Realm:
            where its user keeps it).
        schema: model classes and :class:`~syncline.ObjectSchema`; None opens whatever classes the file has.
        in_memory: nothing is kept after the last Realm is closed, which several Realms of this process share: those of
            the same ``path``, at which no file is made, or of the same name, given instead of True. One with neither is
            not shared.
        read_only: nothing is ever written, no schema either; the Realm still sees what others write.
        encryption_key: 64 random bytes; the file is encrypted with them.
        sync: what makes it a synced Realm.
        schema_version: of the models, 0 … 2^64 - 2; a higher one than the file's makes a local Realm migrate.
        migration: ``migration(m)`` or ``migration(old, new)``, called with the :class:`~syncline.Migration` or its
            two Realms, when the file's version is lower (spec/sdk.md §2.4).
        initial_data: ``initial_data(realm)``, called once, in the transaction that makes a new file's schema; not for
            synced Realms.
        delete_if_migration_needed: where a migration would be needed, or the version is another one, the file is
            deleted instead.
        resolve_embedded_constraints: a class that becomes embedded: objects without owner are deleted, those with
            several are copied for each (spec/sdk.md §1.9).
        should_compact: ``should_compact(total_bytes, used_bytes)``, asked at the first open in a process.
        seed_file: a Realm file that is copied to ``path`` if there is none yet.
        max_active_versions: beginning a write raises LimitExceededError while more versions than this are alive.
        schema_mode: what happens when the models differ from the file; by default what the other settings imply:
            AUTOMATIC, READ_ONLY, SOFT_RESET (``delete_if_migration_needed``) or ADDITIVE_EXPLICIT (synced).
        schema_subset_mode: what the Realm shows of a file that has more classes and properties than the models;
            by default nothing of it.
        scheduler: the context that a Realm belongs to, instead of the running event loop or the thread.
        validation_mode: what the classes have to keep besides the rules for all schemas: those of the sync of App
            Services (every class has a primary key that is stored as ``_id``), or that every embedded class is used.
        disable_format_upgrade: a file that an older Syncline made, and that would have to be brought up to date, raises
            FormatUpgradeRequiredError and stays as it is.
        cache: opening the same Realm again on the same thread or event loop gives the same handle, which whoever closes
            it first closes for all.
    """

    path: str | os.PathLike[str] | None = None
    schema: Sequence[type[Model] | ObjectSchema] | None = None
    in_memory: bool | str = False
    read_only: bool = False
    encryption_key: bytes | None = field(default=None, repr=False)
    sync: Any = None
    schema_version: int = 0
    migration: Callable[[Migration], object] | Callable[[Realm, Realm], object] | None = None
    initial_data: Callable[[Realm], object] | None = None
    delete_if_migration_needed: bool = False
    resolve_embedded_constraints: bool = False
    should_compact: Callable[[int, int], bool] | None = None
    seed_file: str | os.PathLike[str] | None = None
    max_active_versions: int | None = None
    schema_mode: SchemaMode | None = None
    schema_subset_mode: SchemaSubsetMode = SchemaSubsetMode.STRICT
    scheduler: Scheduler | None = field(default=None, compare=False)
    validation_mode: ValidationMode = ValidationMode.BASIC
    disable_format_upgrade: bool = False
    cache: bool = False

    default: ClassVar[_Default] = _Default()

    def __post_init__(self) -> None:
        if self.schema is not None:
            object.__setattr__(self, "schema", _classes(self.schema))
        key = self.encryption_key
        if key is not None and (not isinstance(key, bytes) or len(key) != ENCRYPTION_KEY_BYTES):
            size = f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__
            raise InvalidEncryptionKeyError(f"encryption_key: expected {ENCRYPTION_KEY_BYTES} bytes, got {size}")
        for name in ("path", "seed_file"):
            _check_path(name, getattr(self, name))
        for name in ("migration", "initial_data", "should_compact"):
            _check_function(name, getattr(self, name))
        self._check_switches()
        self._check_numbers()
        if self.schema_mode is not None and self.schema_mode.reads_only:
            object.__setattr__(self, "read_only", True)
        self._check_combination()

    def _check_switches(self) -> None:
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"{name}: expected True or False, got {describe(getattr(self, name))}")
        if not isinstance(self.in_memory, bool) and not (isinstance(self.in_memory, str) and self.in_memory):
            raise ConfigurationError(f"in_memory: expected True, False or a name, got {describe(self.in_memory)}")
        if self.schema_mode is not None and not isinstance(self.schema_mode, SchemaMode):
            raise ConfigurationError(f"schema_mode: expected a SchemaMode, got {describe(self.schema_mode)}")
        for name, kind in (("schema_subset_mode", SchemaSubsetMode), ("validation_mode", ValidationMode)):
            if not isinstance(getattr(self, name), kind):
                raise ConfigurationError(f"{name}: expected a {kind.__name__}, got {describe(getattr(self, name))}")

    def _check_numbers(self) -> None:
        version, most = self.schema_version, self.max_active_versions
        if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version <= LARGEST_VERSION:
            raise ConfigurationError(f"schema_version: expected an int from 0 to 2**64 - 2, got {describe(version)}")
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise ConfigurationError(f"max_active_versions: expected an int from 1, got {describe(most)}")

    def _check_combination(self) -> None:
        for setting, others in _EXCLUSIVE:
            for other in others:
                if getattr(self, setting) and getattr(self, other):
                    raise IllegalCombinationError(f"{setting} and {other} exclude each other")
        if isinstance(self.in_memory, str) and self.path is not None:
            raise IllegalCombinationError("a Realm in memory is shared by its path or by in_memory='name', not both")
        mode = self.mode
        if self.read_only and not mode.reads_only:
            raise IllegalCombinationError(f"read_only and the schema mode {mode.name} exclude each other")
        if self.delete_if_migration_needed and mode is not SchemaMode.SOFT_RESET:
            raise IllegalCombinationError(f"delete_if_migration_needed and the mode {mode.name} exclude each other")
        if self.migration is not None and mode not in (SchemaMode.AUTOMATIC, SchemaMode.MANUAL):
            raise IllegalCombinationError(f"a Realm in the schema mode {mode.name} never migrates: leave out migration")
        if self.initial_data is not None and mode.reads_only:
            raise IllegalCombinationError("initial_data and a Realm that is only read exclude each other")
        if self.sync is not None and not (mode.is_additive or mode is SchemaMode.READ_ONLY):
            raise IllegalCombinationError(
                f"a synced Realm cannot have the schema mode {mode.name}, only an additive one"
            )

    @property
    def mode(self) -> SchemaMode:
        """The schema mode: the configured one, or what the other settings imply (spec/sdk.md §2.2)."""
        if self.schema_mode is not None:
            return self.schema_mode
        if self.read_only:
            return SchemaMode.READ_ONLY
        if self.delete_if_migration_needed:
            return SchemaMode.SOFT_RESET
        return SchemaMode.AUTOMATIC if self.sync is None else SchemaMode.ADDITIVE_EXPLICIT

    @property
    def rules(self) -> ValidationMode:
        """The rules that the classes have to keep (spec/sdk.md §1.4, §1.7, §2.2)."""
        rules = self.validation_mode
        if getattr(self.sync, "flexible", False):
            rules |= ValidationMode.ALLOW_ASYMMETRIC
        if self.mode is SchemaMode.ADDITIVE_EXPLICIT:
            rules |= ValidationMode.REJECT_EMBEDDED_ORPHANS
        return rules

    def replace(self, **changes: Any) -> RealmConfiguration:
        """The same configuration with some settings changed."""
        return replace(self, **changes)

    @classmethod
    def set_default(cls, configuration: RealmConfiguration | None) -> None:
        """Make it what ``Realm.open()`` opens; None restores the original."""
        _Default.value = configuration

    @property
    def memory_name(self) -> str | None:
        """What Realms in memory have in common that are the same one; None: this one is alone."""
        if isinstance(self.in_memory, str):
            return f"name {self.in_memory}"
        return None if self.path is None else f"path {os.path.realpath(self.file_path)}"

    @property
    def file_path(self) -> str:
        """The absolute path of the file of a Realm that is on disk."""
        path = None if self.path is None else os.fspath(self.path)
        if self.sync is not None:
            return sync_backend().resolve_path(self.sync, path)
        return str(Path(path if path is not None else DEFAULT_FILE_NAME).absolute())

    def __getstate__(self) -> dict[str, Any]:
        """Pickles leave out the encryption key, and the scheduler, which belongs to this process."""
        return {**self.__dict__, "encryption_key": None, "scheduler": None}
