"""What ``realm/`` knows of sync: two small protocols that ``sync/`` implements and registers.

``realm/`` is a complete local database without this. A configuration with ``sync`` set is handed to the registered
backend, which says where the file lives and returns one handle per open Realm::

    Realm.open(config)  ─►  backend.resolve_path(sync, path)      where the local file lives
                        ─►  backend.attach(sync, lease, config)   a session for that file, shared by its Realms
    commit              ─►  handle.local_commit(version)          "there is something to upload"
    realm.sync_session  ─►  handle.session
    realm.close()       ─►  handle.close()                    or handle.forget(), by a finalizer
    Realm.open_async    ─►  backend.download(sync)            .attach, .start; .close when the Realm is handed over

Changes from the server come the other way without a call: the session integrates them into ``lease.file`` on its own
thread, and the file's commit hook tells every open Realm (spec/sdk.md §4.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from syncline.errors import RealmError

if TYPE_CHECKING:
    from syncline.realm.tokens import NotificationToken
    from syncline.storage.file import FileLease

__all__ = ["SyncBackend", "SyncDownload", "SyncHandle", "register_sync_backend", "sync_backend"]


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


class SyncDownload(Protocol):
    """An async open's part in the session of its file, from the call on (spec/sessions.md §16).

    Every method may be called on any thread.
    """

    def attach(self, lease: FileLease, realm: Any) -> None:
        """Take part in the session of ``lease.file``, which is made or revived.

        ``realm`` is the Realm's configuration. Raises as :meth:`SyncBackend.attach`, and OperationCancelledError if it
        was closed or cancelled already.
        """

    def start(self, done: Callable[[Exception | None], object]) -> None:
        """Call ``done(error)`` once everything that the server has is here, or never will be; not under a lock."""

    def add_progress_notification(
        self,
        callback: Callable[..., Any],
        executor: Executor | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> NotificationToken:
        """See :meth:`AsyncOpenTask.add_progress_notification`."""

    def progress_bar(self, title: str | None, library: str | None, file: Any) -> AbstractContextManager[Any]:
        """See :meth:`AsyncOpenTask.progress_bar`."""

    def close(self) -> None:
        """The Realm was handed over, or could not be opened: no part in the session any more."""

    def cancel(self) -> None:
        """:meth:`close`; a session of which nobody else is a part stops."""

    def forget(self) -> None:
        """As :meth:`close`, some time later; see :meth:`SyncHandle.forget`."""


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

    def download(self, sync: Any) -> SyncDownload:
        """What an async open of a Realm with ``sync`` begins with; touches neither file nor network."""

    def delete_files(self, sync: Any, path: str, encryption_key: bytes | None) -> bool:
        """Delete the local file with all that belongs to it; whether it was there. Raises RealmInUseError."""

    def check_match(self, present: Any, wanted: Any, path: str) -> None:
        """Raise MismatchedConfigError unless ``wanted`` may be opened while ``present`` is (spec/sessions.md §17.2)."""


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
