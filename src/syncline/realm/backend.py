"""What ``realm/`` knows of sync: two small protocols that ``sync/`` implements and registers.

``realm/`` is a complete local database without this. A configuration with ``sync`` set is handed to the registered
backend, which says where the file lives and returns one handle per open Realm::

    Realm.open(config)  ─►  backend.resolve_path(sync, path)      where the local file lives
                        ─►  backend.attach(sync, lease, config)   a session for that file, shared by its Realms
    commit              ─►  handle.local_commit(version)          "there is something to upload"
    realm.sync_session  ─►  handle.session
    realm.close()       ─►  handle.close()                    or handle.forget(), by a finalizer

Changes from the server come the other way without a call: the session integrates them into ``lease.file`` on its own
thread, and the file's commit hook tells every open Realm (spec/sdk.md §4.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from syncline.errors import RealmError

if TYPE_CHECKING:
    from syncline.storage.file import FileLease

__all__ = ["SyncBackend", "SyncHandle", "register_sync_backend", "sync_backend"]


class SyncHandle(Protocol):
    """The tie between one open Realm and the sync session of its file. Every method may be called on any thread."""

    @property
    def session(self) -> Any:
        """The :class:`~syncline.sync.SyncSession`, or None while there is none (spec/sessions.md §17.3)."""

    def local_commit(self, version: int) -> None:
        """A local write made ``version``; returns at once, the session uploads on its own thread."""

    def close(self) -> None:
        """The Realm was closed; what becomes of the session is its stop policy (spec/sessions.md §3.4)."""

    def forget(self) -> None:
        """The Realm was garbage-collected: as :meth:`close`, some time later.

        Called by a finalizer in the middle of anything, so it must neither wait for a lock nor look at the session.
        """


class SyncBackend(Protocol):
    """What ``sync/`` registers on import with :func:`register_sync_backend`."""

    @property
    def configuration_type(self) -> type[Any]:
        """The class of ``RealmConfiguration.sync``, which ``Realm.open`` also accepts by itself."""

    def resolve_path(self, sync: Any, path: str | None) -> str:
        """The path of the local file for ``sync``; ``path`` is the one the configuration names, if any.

        Creates the directory. Raises for a user that cannot open Realms (spec/sessions.md §17.1).
        """

    def attach(self, sync: Any, lease: FileLease, realm: Any = None) -> SyncHandle:
        """A handle on the session of ``lease.file``, made or shared and started; called once per opened Realm.

        ``realm`` is the Realm's configuration, after which the Realms that the session gives to callbacks are opened.
        The lease is the Realm's: a session that must outlive it takes ``lease.share()``.
        """


_backend: SyncBackend | None = None


def register_sync_backend(backend: SyncBackend) -> None:
    """Make ``backend`` serve every Realm that is opened with a sync configuration from now on."""
    global _backend
    _backend = backend


def sync_backend() -> SyncBackend:
    """The registered backend. Raises RealmError if ``syncline.sync`` was never imported."""
    if _backend is None:
        raise RealmError(
            "this configuration has a sync part, but no sync backend is loaded: import syncline.sync first"
        )
    return _backend
