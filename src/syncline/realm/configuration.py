"""How a Realm is opened (spec/sdk.md §3.1)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from syncline.errors import ConfigurationError, IllegalCombinationError
from syncline.realm.backend import sync_backend
from syncline.realm.converters import describe
from syncline.realm.models import Model
from syncline.realm.schema import ObjectSchema

__all__ = ["RealmConfiguration"]

DEFAULT_FILE_NAME: Final = "default.realm"
ENCRYPTION_KEY_BYTES: Final = 64


class _Default:
    """``RealmConfiguration.default``: what ``Realm.open()`` without arguments opens."""

    value: RealmConfiguration | None = None

    def __get__(self, obj: object, owner: type[RealmConfiguration]) -> RealmConfiguration:
        return self.value if self.value is not None else owner()


@dataclass(frozen=True)
class RealmConfiguration:
    """Where a Realm is and what is in it. Immutable; :meth:`replace` makes a variation.

    ``path``: the file; relative ones count from the current directory, None is ``default.realm`` there (a synced Realm:
    where its user keeps it). ``schema``: model classes and :class:`~syncline.ObjectSchema`; None opens whatever classes
    the file has. ``in_memory``: True, or a name that several Realms of this process share: nothing is kept on disk
    after the last of them is closed. ``read_only``: nothing is ever written, no schema either; a synced Realm still
    receives what others write. ``encryption_key``: 64 random bytes; the file is encrypted with them. ``sync``: what
    makes it a synced Realm.

    Raises ConfigurationError and IllegalCombinationError before any file is touched.
    """

    path: str | os.PathLike[str] | None = None
    schema: Sequence[type[Model] | ObjectSchema] | None = None
    in_memory: bool | str = False
    read_only: bool = False
    encryption_key: bytes | None = field(default=None, repr=False)
    sync: Any = None

    default: ClassVar[_Default] = _Default()

    def __post_init__(self) -> None:
        if self.schema is not None:
            object.__setattr__(self, "schema", tuple(self.schema))
            for each in self.schema:
                if not isinstance(each, ObjectSchema) and not (isinstance(each, type) and issubclass(each, Model)):
                    raise ConfigurationError(f"schema: expected model classes, got {describe(each)}")
        key = self.encryption_key
        if key is not None and (not isinstance(key, bytes) or len(key) != ENCRYPTION_KEY_BYTES):
            size = f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__
            raise ConfigurationError(f"encryption_key: expected {ENCRYPTION_KEY_BYTES} bytes, got {size}")
        if self.path is not None and not isinstance(self.path, str | os.PathLike):
            raise ConfigurationError(f"path: expected a path, got {describe(self.path)}")
        self._check_combination()

    def _check_combination(self) -> None:
        for other in ("encryption_key", "sync", "read_only"):
            if self.in_memory and getattr(self, other):
                raise IllegalCombinationError(f"in_memory and {other} exclude each other")
        if self.in_memory and self.path is not None:
            raise IllegalCombinationError("in_memory and path exclude each other; in_memory='name' makes it shared")

    def replace(self, **changes: Any) -> RealmConfiguration:
        """The same configuration with some settings changed."""
        return replace(self, **changes)

    @classmethod
    def set_default(cls, configuration: RealmConfiguration | None) -> None:
        """Make it what ``Realm.open()`` opens; None restores the original."""
        _Default.value = configuration

    @property
    def file_path(self) -> str:
        """The absolute path of the file of a Realm that is on disk."""
        path = None if self.path is None else os.fspath(self.path)
        if self.sync is not None:
            return sync_backend().resolve_path(self.sync, path)
        return str(Path(path if path is not None else DEFAULT_FILE_NAME).absolute())

    def __getstate__(self) -> dict[str, Any]:
        """Pickles leave out the encryption key."""
        return {**self.__dict__, "encryption_key": None}
