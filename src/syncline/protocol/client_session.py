"""One session of a client connection: what was sent, what was received, what comes next (spec/wire-protocol.md §6.2)."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from syncline.changesets.changeset import SyncProgress, UploadChangeset, UploadCursor
from syncline.protocol.events import UploadWanted
from syncline.protocol.messages import ClientFileIdent, FlexibleBind

__all__ = ["ClientSession", "PendingQuery", "SessionConfig", "UploadPolicy"]


class UploadPolicy(Enum):
    """When a session uploads (and sends queries, except that NEVER still sends them)."""

    #: After the first download completion, as ``ClientSettings.upload_activation_delay`` says.
    DELAYED = "delayed"
    #: At once: the session that follows a client reset.
    AT_ONCE = "at once"
    #: Never: the fresh copy of a client reset.
    NEVER = "never"


class SessionConfig(NamedTuple):
    """What a session starts from: the persisted facts of its file.

    ``path`` is the Realm path or partition value (partition-based sync), ``flexible`` the JSON of BIND (flexible sync);
    ``file_ident`` (0, 0) asks the server for one; ``local_version`` is the newest client version of the file;
    ``active_query`` the last query version whose bootstrap is complete, with its body.
    """

    path: str
    file_ident: ClientFileIdent
    progress: SyncProgress
    local_version: int
    flexible: FlexibleBind = FlexibleBind()
    active_query_version: int = 0
    active_query: str = "{}"
    uploads: UploadPolicy = UploadPolicy.DELAYED


class PendingQuery(NamedTuple):
    """A subscription set that the server does not know yet.

    Local versions up to ``snapshot_version`` are uploaded before it. After a *sentinel* (the last set of a migrated file,
    spec/wire-protocol.md §11.6) nothing but marks is sent.
    """

    query_version: int
    snapshot_version: int
    body: str
    is_sentinel: bool = False


class ClientSession:
    """Handle of one session; made by :meth:`syncline.protocol.client.ClientConnection.bind`.

    ``ident`` is its session ident on the wire.
    """

    def __init__(self, ident: int, config: SessionConfig) -> None:
        self.ident = ident
        self.config = config

    @property
    def pending_integrations(self) -> int:
        """DownloadReceived events that the driver has not answered yet; stop reading the socket when they are many."""
        return 0

    def ident_stored(self, local_version: int) -> None:
        """Answer to IdentReceived: the identity is durable; that was a commit, which made ``local_version``."""

    def committed(self, local_version: int) -> None:
        """The file has a new version, made by the application (or by anything else but the calls of this class)."""

    def supply_upload(self, wanted: UploadWanted, entries: list[UploadChangeset], cursor: UploadCursor) -> None:
        """Answer to UploadWanted: the changesets found, oldest first, and the cursor after the scan.

        No entries: an UPLOAD that only reports progress is sent if there are server versions to report.
        """

    def integrated(self, progress: SyncProgress, local_version: int) -> None:
        """Answer to the oldest DownloadReceived: it is durably integrated (or staged, for a bootstrap batch).

        ``progress`` is what the file stores now: unchanged while a bootstrap is only staged.
        """

    def integration_failed(self, code: int, message: str) -> None:
        """Answer to the oldest DownloadReceived: it cannot be integrated.

        ``code``: 212 bad changeset, 233 bad progress, 112 too big to stage, 201 anything else. The server is told
        (protocol 7 and later); further downloads are ignored until the session binds again.
        """

    def request_mark(self) -> int:
        """Ask for a :class:`DownloadCompleted` whose ``mark`` is at least the number returned."""
        return 0

    def add_query(self, query: PendingQuery) -> None:
        """A new subscription set was committed; give them in ascending order of version."""

    def set_active_query(self, query_version: int, body: str) -> None:
        """A bootstrap is complete: this set is the active one, older pending ones are superseded."""

    def resume(self) -> None:
        """End a suspension now, fatal or not: bind again as soon as the server has let go of the session."""

    def unbind(self) -> None:
        """End the session; :class:`SessionUnbound` follows, at once if nothing of it is on the wire."""
