"""What the machines report to their drivers, and what they ask of them.

An event whose name ends in *Wanted* or *Requested* is a question: the driver answers it by a call on the session the
event carries, now or later, from the thread that drives the machine. An answer to a session that has ended in the
meantime does nothing, so drivers need not check. All other events are news. Times are milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from syncline.changesets.changeset import (
    DownloadChangeset,
    DownloadCursor,
    SaltedVersion,
    SyncProgress,
    UploadChangeset,
    UploadCursor,
)
from syncline.protocol.errors import Reaction
from syncline.protocol.messages import BatchState, Body, ClientFileIdent, Error, FlexibleBind, Ident

if TYPE_CHECKING:
    from syncline.protocol.client_session import ClientSession
    from syncline.protocol.server_session import ServerSession

__all__ = [
    "BindRequested",
    "ClientErrorReceived",
    "ClientEvent",
    "CloseWanted",
    "DisconnectWanted",
    "DownloadBatch",
    "DownloadCompleted",
    "DownloadReceived",
    "DownloadWanted",
    "IdentReceived",
    "IdentRequested",
    "LogReceived",
    "MarkRequested",
    "PingReceived",
    "QueryReceived",
    "QueryRejected",
    "RttMeasured",
    "ServerEvent",
    "SessionEnded",
    "SessionError",
    "SessionResumed",
    "SessionUnbound",
    "TokenRefreshed",
    "UploadReceived",
    "UploadWanted",
]

# --- the client machine -----------------------------------------------------------------------------------------------


class IdentReceived(NamedTuple):
    """The server gave the file its identity. Store it durably, then call ``session.ident_stored``."""

    session: ClientSession
    file_ident: ClientFileIdent


class UploadWanted(NamedTuple):
    """The socket is ready for this session's next UPLOAD.

    Scan the local history from ``cursor`` to client version ``up_to`` at most (spec/wire-protocol.md §7.4,
    spec/merge.md §9.2) and call ``session.supply_upload(this event, entries, cursor after the scan)``.
    """

    session: ClientSession
    cursor: UploadCursor
    up_to: int


class DownloadReceived(NamedTuple):
    """A DOWNLOAD that passed all checks of spec/wire-protocol.md §7.5; they come in the order of integration.

    Integrate it (a bootstrap batch: stage it), then call ``session.integrated`` or ``session.integration_failed``, once
    per event, in order, also after the connection was lost: until then the session does not identify itself again.
    ``size`` is the size of the message in bytes, for the driver's back-pressure.
    """

    session: ClientSession
    progress: SyncProgress
    entries: list[DownloadChangeset]
    downloadable_bytes: int
    query_version: int
    batch_state: BatchState
    estimate: float
    size: int


class DownloadCompleted(NamedTuple):
    """All that the server had when it answered mark ``mark`` is integrated; covers every mark requested up to it."""

    session: ClientSession
    mark: int


class QueryRejected(NamedTuple):
    """The server refused a subscription set (QUERY_ERROR); the session goes on with the active one."""

    session: ClientSession
    query_version: int
    code: int
    message: str


class SessionError(NamedTuple):
    """The server reported an error for this session.

    ``is_suspended``: the session has stopped; it resumes by itself at ``resume_at_ms`` where that is not None, else
    when the driver calls ``session.resume`` (fatal errors). Codes 231 (reported once its version is integrated) and 236
    do not stop the session.
    """

    session: ClientSession
    error: Error
    is_suspended: bool
    resume_at_ms: int | None


class SessionResumed(NamedTuple):
    """The resumption delay is over: the session binds again."""

    session: ClientSession


class SessionUnbound(NamedTuple):
    """The end of a session that the driver unbound: nothing of it is left on the wire, its file may be used anew."""

    session: ClientSession


class LogReceived(NamedTuple):
    """A line from the server's log; ``session_ident`` 0 is the connection. ``connection_id`` names this connection."""

    session_ident: int
    level: str
    message: str
    connection_id: str


class RttMeasured(NamedTuple):
    """Time between a PING and its PONG."""

    rtt_ms: int


class DisconnectWanted(NamedTuple):
    """The connection must end: close the socket, then call ``disconnected``.

    Reasons: a connection-level error of the server (``error``), a protocol violation by the server, a missing PONG, or
    no session left (``reaction.reason`` is VOLUNTARY). ``reaction.reason`` is the key for the reconnect back-off.
    """

    reaction: Reaction
    message: str
    error: Error | None


ClientEvent = (
    IdentReceived
    | UploadWanted
    | DownloadReceived
    | DownloadCompleted
    | QueryRejected
    | SessionError
    | SessionResumed
    | SessionUnbound
    | LogReceived
    | RttMeasured
    | DisconnectWanted
)


# --- the server machine -----------------------------------------------------------------------------------------------


class BindRequested(NamedTuple):
    """A client wants to sync a Realm.

    Check ``path`` (and ``token`` if there is one), then call ``session.accept_bind(realm, file_ident)`` — with a new
    file ident exactly if ``need_client_file_ident`` — or ``session.fail``.
    """

    session: ServerSession
    path: str
    token: str
    need_client_file_ident: bool
    is_subserver: bool
    flexible: FlexibleBind | None


class IdentRequested(NamedTuple):
    """The client says which file it is and where it stands. Look the file up and call ``session.identify(facts)``."""

    session: ServerSession
    request: Ident


class UploadReceived(NamedTuple):
    """An UPLOAD that passed the checks of spec/wire-protocol.md §10.4.

    ``entries`` are without those integrated before this session (``skipped`` of them); they may be empty: the progress
    must be stored all the same. Call ``session.fail(212, ...)`` if they cannot be integrated.
    """

    session: ServerSession
    entries: list[UploadChangeset]
    progress: UploadCursor
    locked_server_version: int
    skipped: int


class DownloadWanted(NamedTuple):
    """The socket is ready for this session's next DOWNLOAD.

    Scan the history from ``cursor`` and call ``session.supply_download(batch)``; with None if there is nothing after
    all. The first DOWNLOAD of a session must be sent even if it is empty (``is_first``).
    """

    session: ServerSession
    cursor: DownloadCursor
    is_first: bool


class DownloadBatch(NamedTuple):
    """Answer to DownloadWanted: one DOWNLOAD.

    The cursor after it, the newest version at the time of the scan, the stored upload cursor, and the encoded body,
    which may be shared between sessions (``bodies.encode_download_entries``). The last three fields are of flexible
    sync.
    """

    cursor: DownloadCursor
    latest: SaltedVersion
    upload: UploadCursor
    downloadable_bytes: int
    body: Body
    query_version: int = 0
    batch_state: BatchState = BatchState.STEADY_STATE
    estimate: float = 1.0


class MarkRequested(NamedTuple):
    """The client asks to be told when it has everything.

    Call ``session.confirm_mark(version)`` with the newest version that exists anywhere now, so that a client that waits
    for downloads sees all that was acknowledged to others before.
    """

    session: ServerSession
    request_ident: int


class QueryReceived(NamedTuple):
    """A new subscription set: bootstrap it (``supply_download``) or call ``session.reject_query``."""

    session: ServerSession
    query_version: int
    body: str


class ClientErrorReceived(NamedTuple):
    """The client could not integrate a DOWNLOAD (212, 233, 112 or 201); the machine has answered it with a reset."""

    session: ServerSession
    code: int
    message: str


class TokenRefreshed(NamedTuple):
    """A client before core 11.8 replaced its access token; check it as in BIND."""

    session: ServerSession
    token: str


class PingReceived(NamedTuple):
    """The client is alive; ``rtt_ms`` is its latest round trip, 0 before the first."""

    rtt_ms: int


class SessionEnded(NamedTuple):
    """The session has left its Realm: nothing more is received or sent except its UNBOUND or error.

    What was uploaded before must still be integrated.
    """

    session: ServerSession


class CloseWanted(NamedTuple):
    """Everything is said: close the WebSocket with ``code`` and end the TCP connection soon after (§3.2)."""

    code: int
    message: str


ServerEvent = (
    BindRequested
    | IdentRequested
    | UploadReceived
    | DownloadWanted
    | MarkRequested
    | QueryReceived
    | ClientErrorReceived
    | TokenRefreshed
    | PingReceived
    | SessionEnded
    | CloseWanted
)
