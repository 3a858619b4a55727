"""What ``realm/`` knows of sync, implemented (see :mod:`syncline.realm.backend`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncline.realm.backend import register_sync_backend
from syncline.sync.async_open import Download
from syncline.sync.configuration import SyncConfiguration
from syncline.sync.file_actions import delete_realm
from syncline.sync.registry import check_match
from syncline.sync.session import SyncSession

if TYPE_CHECKING:
    from syncline.storage.file import FileLease
    from syncline.sync.registry import SessionRegistry

__all__ = ["Backend", "RealmHandle", "register"]


class RealmHandle:
    """One open Realm's tie to the seat of its file: to whatever session is in it."""

    def __init__(self, registry: SessionRegistry, path: str) -> None:
        self._registry = registry
        self._path = path
        self._is_open = True

    @property
    def session(self) -> SyncSession | None:
        """The present session of the file."""
        core = self._registry.core_at(self._path)
        return None if core is None else core.manager.session_of(core)

    def local_commit(self, version: int) -> None:
        """A local write made ``version``."""
        core = self._registry.core_at(self._path)
        if core is not None:
            core.local_commit(version)

    def close(self) -> None:
        """The Realm was closed."""
        if self._is_open:
            self._is_open = False
            self._registry.release(self._path)

    def forget(self) -> None:
        """The Realm was garbage-collected: a finalizer says so."""
        if self._is_open:
            self._is_open = False
            self._registry.forget(self._path)


class Backend:
    """Finds the local file of a configuration and gives its Realms their session."""

    @property
    def configuration_type(self) -> type[SyncConfiguration]:
        """What ``RealmConfiguration.sync`` holds."""
        return SyncConfiguration

    def resolve_path(self, sync: SyncConfiguration, path: str | None) -> str:
        """The path of the local file: the configuration's own, the Realm configuration's, or one made of user and
        Realm."""
        chosen = sync.path or path
        if chosen is not None:
            return chosen
        user = sync.user
        if sync.realm_url is not None:
            made = user.manager.default_url_path(user, sync.reference_url)
        else:
            made = str(user.manager.layout.partition_path(user.app_id, user.identity, sync.partition_name))
        user.manager.track_file(user, made)
        return made

    def attach(self, sync: SyncConfiguration, lease: FileLease, realm: Any = None) -> RealmHandle:
        """A Realm of the file was opened. Raises MultipleSyncAgentsError and MismatchedConfigError."""
        registry = sync.user.manager.registry
        path = lease.file.path
        core = registry.attach(sync, path, lease)
        core.realm_configuration = realm
        core.had_realm = True
        return RealmHandle(registry, path)

    def download(self, sync: SyncConfiguration) -> Download:
        """What an async open begins with."""
        return Download(sync)

    def delete_files(self, sync: SyncConfiguration, path: str, encryption_key: bytes | None) -> bool:
        """Delete the local file with all that belongs to it. Raises RealmInUseError."""
        return delete_realm(sync.user.manager, path, encryption_key)

    def check_match(self, present: SyncConfiguration, wanted: SyncConfiguration, path: str) -> None:
        """Raise MismatchedConfigError unless both name the same Realm of the same user (spec/sessions.md §17.2)."""
        check_match(present, wanted, path)


def register() -> None:
    """Serve every Realm that is opened with a sync configuration."""
    register_sync_backend(Backend())
