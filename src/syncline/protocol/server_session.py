"""One session of a server connection (spec/wire-protocol.md §6.4)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from syncline.changesets.changeset import DownloadCursor, SaltedVersion, UploadCursor
from syncline.protocol.errors import ErrorAction
from syncline.protocol.messages import BatchState, Body, ClientFileIdent, RejectedUpdate

__all__ = ["DownloadBatch", "IdentFacts", "ServerSession"]


class IdentFacts(NamedTuple):
    """What the server knows of a client file when its IDENT arrives, read under one lock or transaction.

    ``current_version`` is the newest server version; ``latest_salt`` the stored salt of the version that the request
    calls latest (0 for version 0; anything if there is no such version). The file's record: whether it exists, its
    ``salt``, the ``upload`` cursor (client version and reciprocal base) advanced by uploads of earlier sessions that
    are still queued, ``locked_version``, whether it expired, whether it is of the client type of the BIND.
    ``bootstrap_due``: flexible sync, a bootstrap must come before any mark is answered.
    """

    current_version: int
    latest_salt: int
    file_exists: bool
    salt: int = 0
    upload: UploadCursor = UploadCursor()
    locked_version: int = 0
    is_expired: bool = False
    is_same_client_type: bool = True
    bootstrap_due: bool = False


class DownloadBatch(NamedTuple):
    """One DOWNLOAD: the cursor after it, the newest version at the time of the scan, the stored upload cursor, and the
    encoded body, which may be shared between sessions."""

    cursor: DownloadCursor
    latest: SaltedVersion
    upload: UploadCursor
    downloadable_bytes: int
    body: Body
    query_version: int = 0
    batch_state: BatchState = BatchState.STEADY_STATE
    estimate: float = 1.0


class ServerSession:
    """Handle of one session; made by :class:`syncline.protocol.server.ServerConnection` when BIND arrives.

    ``ident`` is its session ident on the wire; ``realm`` and ``file_ident`` are known after bind and ident. Every call
    on a session that has ended does nothing.
    """

    def __init__(self, ident: int) -> None:
        self.ident = ident
        self.realm: Hashable = None
        self.file_ident = 0

    def accept_bind(self, realm: Hashable, file_ident: ClientFileIdent | None = None) -> None:
        """Answer to BindRequested: the Realm's key (any hashable), and the new ident if one was needed."""

    def identify(self, facts: IdentFacts) -> int:
        """Answer to IdentRequested: check the request against the facts (spec/wire-protocol.md §10.3).

        Returns:
            0: the session is identified, downloads begin; close every other connection's session of the same Realm and
            file ident. Otherwise the error code that was sent.
        """
        return 0

    def advance(self, version: int) -> None:
        """The Realm has server version ``version`` now: DownloadWanted follows when the session has its turn."""

    def supply_download(self, batch: DownloadBatch | None) -> None:
        """Answer to DownloadWanted."""

    def confirm_mark(self, version: int) -> None:
        """Answer to MarkRequested: reply once everything up to ``version`` has been sent."""

    def reject_query(self, query_version: int, code: int, message: str) -> None:
        """Send QUERY_ERROR (226 typically): that subscription set is refused, the session goes on."""

    def compensating_write(
        self, server_version: int, client_version: int, updates: tuple[RejectedUpdate, ...], message: str
    ) -> None:
        """Send 231 before any later DOWNLOAD (spec/flexible-sync.md §6.2); in ascending order of ``server_version``."""

    def schema_version_changed(self, previous: int, message: str) -> None:
        """Send 236: the session goes on so that old changes can be uploaded (spec/wire-protocol.md §11.4)."""

    def fail(
        self,
        code: int,
        message: str = "",
        *,
        action: ErrorAction | None = None,
        try_again: bool | None = None,
        partition_query: str | None = None,
        rejected_updates: tuple[RejectedUpdate, ...] = (),
        rejected_client_version: int | None = None,
    ) -> None:
        """End the session with an error (JSON_ERROR, or ERROR before protocol 4).

        ``action`` and ``try_again`` default to the pair of spec/wire-protocol.md §11.3 for that code.

        Raises:
            ValueError: not a session-level code, or one that kills clients (spec/wire-protocol.md §11.1).
        """

    def pause(self) -> None:
        """Ask for no more downloads of this session until :meth:`unpause`."""

    def unpause(self) -> None:
        """End :meth:`pause`."""
