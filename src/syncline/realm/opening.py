"""What comes before a Realm: its file, and what all open Realms of a file agree on (spec/sdk.md §3.2).

While a Realm is open, its file cannot be opened in another way (spec/sessions.md §17.2): :func:`admit`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet, WeakValueDictionary

from syncline.errors import FileError, MismatchedConfigError, RealmError, TypeMismatchError
from syncline.realm.backend import sync_backend
from syncline.realm.configuration import RealmConfiguration
from syncline.realm.converters import describe
from syncline.realm.schema_update import needs_reset
from syncline.storage.file import RealmFile

if TYPE_CHECKING:
    from syncline.realm.realm import Realm

__all__ = ["Admission", "admit", "admit_anyway", "configuration_of", "open_file"]


def configuration_of(given: Any, options: Mapping[str, Any]) -> RealmConfiguration:
    """What was given to ``Realm.open``, as a configuration. Raises TypeMismatchError."""
    if isinstance(given, RealmConfiguration):
        return given.replace(**options) if options else given
    if given is None:
        return RealmConfiguration(**options) if options else RealmConfiguration.default
    if isinstance(given, str | os.PathLike):
        return RealmConfiguration(given, **options)
    try:
        is_sync = isinstance(given, sync_backend().configuration_type)
    except RealmError:
        is_sync = False
    if is_sync:
        return RealmConfiguration(sync=given, **options)
    raise TypeMismatchError(f"Realm.open: expected a RealmConfiguration or a path, got {describe(given)}")


class _Coordinator:
    """The open Realms of one file, and the configuration of the first of them. Kept alive by their admissions."""

    def __init__(self) -> None:
        self.configuration: RealmConfiguration | None = None
        self.admissions: WeakSet[Admission] = WeakSet()
        #: the last Realm that each thread or event loop has opened
        self.realms: WeakValueDictionary[object, Realm] = WeakValueDictionary()

    def admit(self, configuration: RealmConfiguration, path: str) -> Admission:
        present = self.configuration
        if present is not None and any(one.is_valid for one in self.admissions):
            _check(present, configuration, path)
            if present.schema is None:
                self.configuration = configuration
        else:
            self.configuration = configuration
        return Admission(self)


class Admission:
    """One open Realm's right to its file, until :meth:`end`."""

    def __init__(self, coordinator: _Coordinator) -> None:
        self._coordinator = coordinator
        self.is_valid = True
        with _guard:
            coordinator.admissions.add(self)

    def known(self, configuration: RealmConfiguration) -> Realm | None:
        """The Realm that this thread or event loop has open already; this admission has ended then.

        Raises MismatchedConfigError if it has other classes than ``configuration`` asks for (spec/sdk.md §3.2).
        """
        realm = self._coordinator.realms.get(_here())
        if realm is None or realm.is_closed:
            return None
        self.end()
        asked = (configuration.schema, configuration.schema_subset_mode)
        if configuration.schema is not None and (realm.config.schema, realm.config.schema_subset_mode) != asked:
            raise MismatchedConfigError(
                f"{realm.path} is open on this thread with other classes; use cache=False for a Realm of its own"
            )
        return realm

    def remember(self, realm: Realm) -> None:
        """It is what :meth:`known` finds from now on."""
        self._coordinator.realms[_here()] = realm

    def here(self) -> Realm | None:
        """The Realm of the file that this thread or event loop has opened last."""
        return self._coordinator.realms.get(_here())

    def again(self) -> Admission:
        """For one more Realm that is opened in the same way."""
        return Admission(self._coordinator)

    def end(self) -> None:
        """The Realm was closed. Takes no lock: finalizers call it."""
        self.is_valid = False


_coordinators: Final[WeakValueDictionary[str, _Coordinator]] = WeakValueDictionary()
_guard = threading.RLock()


def admit(configuration: RealmConfiguration) -> Admission:
    """Let a Realm be opened. Raises MismatchedConfigError if one of the file is open in another way."""
    if configuration.in_memory and configuration.memory_name is None:
        return admit_anyway()
    if isinstance(configuration.in_memory, str):
        path = f"the Realm {configuration.in_memory!r} in memory"
    else:
        path = os.path.realpath(configuration.file_path)
    with _guard:
        coordinator = _coordinators.get(path)
        if coordinator is None:
            coordinator = _coordinators[path] = _Coordinator()
        return coordinator.admit(configuration, path)


def admit_anyway() -> Admission:
    """Let a Realm be opened of which no other has to know."""
    return Admission(_Coordinator())


def _check(present: RealmConfiguration, wanted: RealmConfiguration, path: str) -> None:
    if (present.sync is None) != (wanted.sync is None):
        state, way = ("synced", "without sync") if wanted.sync is None else ("not synced", "with sync")
        raise MismatchedConfigError(f"{path} is open and {state}: it cannot be opened {way} until it is closed")
    if bool(present.in_memory) != bool(wanted.in_memory):
        state, way = ("in memory", "as a file") if present.in_memory else ("as a file", "in memory")
        raise MismatchedConfigError(f"{path} is open {state}: it cannot be opened {way} until it is closed")
    if present.read_only != wanted.read_only:
        state, way = ("read-only", "for writing") if present.read_only else ("for writing", "read-only")
        raise MismatchedConfigError(f"{path} is open {state}: it cannot be opened {way} until it is closed")
    if present.encryption_key != wanted.encryption_key:
        raise MismatchedConfigError(f"{path} is open in this process with another encryption key, or with none")
    if present.mode is not wanted.mode:
        raise MismatchedConfigError(f"{path} is open in the schema mode {present.mode.name}, not {wanted.mode.name}")
    if None not in (present.schema, wanted.schema) and present.schema_version != wanted.schema_version:
        raise MismatchedConfigError(
            f"{path} is open with schema version {present.schema_version}, not {wanted.schema_version}"
        )
    if wanted.sync is not None:
        sync_backend().check_match(present.sync, wanted.sync, path)


def _here() -> object:
    """The running event loop, or the thread."""
    try:
        return id(asyncio.get_running_loop()), threading.get_ident()
    except RuntimeError:
        return threading.get_ident()


def _forget_inherited() -> None:
    """In a forked child no Realm is open."""
    global _guard
    _guard = threading.RLock()
    _coordinators.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)


def open_file(config: RealmConfiguration) -> RealmFile:
    """The file of a configuration, made, copied from its seed, deleted and made anew, or compacted if need be.

    Its schema is not changed. What is read-only of a synced Realm is the Realm: what is downloaded has to be written.
    """
    if config.in_memory:
        return RealmFile.in_memory(config.memory_name, history=False)
    path = config.file_path
    if config.seed_file is not None and not os.path.exists(path):
        _plant(config, path)
    file = _open(config, path)
    try:
        if config.mode.resets and config.schema is not None and needs_reset(file, config.schema, config):
            file.close()
            RealmFile.delete(path)
            file = _open(config, path)
        asked = config.should_compact
        if asked is not None and not file.read_only and not file.is_shared and asked(*file.space()):
            file.compact()
        return file
    except BaseException:
        file.close()
        raise


def _open(config: RealmConfiguration, path: str) -> RealmFile:
    read_only = config.read_only and config.sync is None
    return RealmFile.open(
        path,
        encryption_key=config.encryption_key,
        history=None if config.sync is None else True,
        new_history=False,
        read_only=read_only,
        create=not read_only,
        may_upgrade=not config.disable_format_upgrade,
    )


def _plant(config: RealmConfiguration, path: str) -> None:
    """Copy the seed to where the Realm is to be; somebody else may do so at the same time."""
    assert config.seed_file is not None
    seed = RealmFile.open(config.seed_file, encryption_key=config.encryption_key, read_only=True)
    try:
        seed.write_copy(path, encryption_key=config.encryption_key)
    except FileError:
        if not os.path.exists(path):
            raise
    finally:
        seed.close()
