"""The messages of the wire protocol as values, whichever side sends them (spec/wire-protocol.md §7).

:mod:`syncline.protocol.from_client` and :mod:`syncline.protocol.from_server` turn them from and into bytes. Messages
are named tuples: cheap, comparable, and with the names of the specification.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from syncline.changesets.changeset import (
    DownloadChangeset,
    DownloadCursor,
    SaltedVersion,
    SyncProgress,
    UploadChangeset,
    UploadCursor,
)
from syncline.protocol.backoff import BackoffParameters
from syncline.protocol.errors import ErrorAction

__all__ = [
    "BatchState",
    "Bind",
    "Body",
    "ClientFileIdent",
    "ClientJsonError",
    "ClientMessage",
    "Download",
    "Error",
    "FlexibleBind",
    "Ident",
    "LogMessage",
    "Mark",
    "Ping",
    "Pong",
    "Query",
    "QueryError",
    "Refresh",
    "RejectedUpdate",
    "RemovedRequest",
    "ServerIdent",
    "ServerMessage",
    "TestCommand",
    "Unbind",
    "Unbound",
    "Upload",
]


class BatchState(IntEnum):
    """What a flexible-sync DOWNLOAD is part of (spec/wire-protocol.md §7.5). Partition-based ones are STEADY_STATE."""

    MORE_TO_COME = 0
    LAST_IN_BATCH = 1
    STEADY_STATE = 2


class ClientFileIdent(NamedTuple):
    """Number and secret of a client file; (0, 0) before the server has given one."""

    ident: int = 0
    salt: int = 0


class Body(NamedTuple):
    """An encoded, perhaps compressed body of an UPLOAD or DOWNLOAD; may be shared between sessions.

    Made by :func:`syncline.protocol.bodies.encode_download_entries` or ``encode_upload_entries``.
    """

    is_compressed: bool
    uncompressed_size: int
    data: bytes


# --- from the client --------------------------------------------------------------------------------------------------


class FlexibleBind(NamedTuple):
    """The JSON of a flexible-sync BIND (spec/wire-protocol.md §7.1); what is missing has its default."""

    session_reason: int = 0
    schema_version: int = 0
    migrated_partition: str | None = None


class Bind(NamedTuple):
    """Start of a session. ``flexible`` is None on partition-based connections, where ``path`` names the Realm."""

    session: int
    path: str
    token: str
    need_client_file_ident: bool
    is_subserver: bool = False
    flexible: FlexibleBind | None = None


class Ident(NamedTuple):
    """Where the client stands. ``query`` is None on partition-based connections."""

    session: int
    file_ident: ClientFileIdent
    download: DownloadCursor
    latest_server_version: SaltedVersion
    query_version: int = 0
    query: str | None = None


class Upload(NamedTuple):
    """Changesets of the client, and how far its history has been scanned."""

    session: int
    progress: UploadCursor
    locked_server_version: int
    entries: list[UploadChangeset]


class Query(NamedTuple):
    """A new subscription set: ``body`` is the JSON text, class name to query."""

    session: int
    query_version: int
    body: str


class Unbind(NamedTuple):
    session: int


class ClientJsonError(NamedTuple):
    """The client could not integrate a download (protocol 7 and later)."""

    session: int
    code: int
    message: str


class Ping(NamedTuple):
    """``timestamp`` on the client's clock and the latest round trip, both in milliseconds."""

    timestamp: int
    rtt: int


class Refresh(NamedTuple):
    """A new access token (cores before 11.8)."""

    session: int
    token: str


class RemovedRequest(NamedTuple):
    """``state_request`` or ``client_version_request`` (cores before 11.5), named by ``name``."""

    session: int
    name: str


# --- both ways --------------------------------------------------------------------------------------------------------


class Mark(NamedTuple):
    """The client asks to be told when it has everything; the server says so with the same number."""

    session: int
    request_ident: int


class TestCommand(NamedTuple):
    """Hook of the cloud service's tests; ``body`` is JSON from the client and free text from the server."""

    session: int
    request_ident: int
    body: str


# --- from the server --------------------------------------------------------------------------------------------------


class ServerIdent(NamedTuple):
    session: int
    file_ident: ClientFileIdent


class Download(NamedTuple):
    """Changesets of others, and what the server holds of this client.

    ``downloadable_bytes`` is what remains after this message (partition-based sync only); ``estimate`` the fraction of
    the current bootstrap delivered (flexible sync only).
    """

    session: int
    progress: SyncProgress
    downloadable_bytes: int
    entries: list[DownloadChangeset]
    query_version: int = 0
    batch_state: BatchState = BatchState.STEADY_STATE
    estimate: float = 1.0


class QueryError(NamedTuple):
    session: int
    code: int
    message: str
    query_version: int


class Unbound(NamedTuple):
    session: int


class RejectedUpdate(NamedTuple):
    """One refused write of a 230 or 231; ``primary_key`` is base64 as in spec/flexible-sync.md §6.2."""

    table: str
    primary_key: str
    reason: str


class Error(NamedTuple):
    """An ERROR or JSON_ERROR of the server; session 0 means the connection.

    A legacy ERROR has no ``action`` (None); every field after ``try_again`` then has its default.
    """

    session: int
    code: int
    message: str
    try_again: bool
    action: ErrorAction | None = None
    log_url: str = ""
    should_client_reset: bool = False
    is_recovery_mode_disabled: bool = False
    backoff: BackoffParameters | None = None
    partition_query: str | None = None
    previous_schema_version: int | None = None
    rejected_updates: tuple[RejectedUpdate, ...] = ()
    rejected_client_version: int | None = None
    compensating_write_server_version: int | None = None


class LogMessage(NamedTuple):
    """A line for the client's log. ``connection_id`` is empty in all but the first."""

    session: int
    level: str
    message: str
    connection_id: str = ""


class Pong(NamedTuple):
    timestamp: int


ClientMessage = (
    Bind | Ident | Upload | Query | Mark | Unbind | ClientJsonError | Ping | Refresh | RemovedRequest | TestCommand
)
ServerMessage = ServerIdent | Download | Mark | QueryError | Unbound | Error | LogMessage | Pong | TestCommand
