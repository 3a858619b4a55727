"""One session of a client connection: what was sent and received, what comes next (spec/wire-protocol.md §6.2)."""

from __future__ import annotations

from collections import deque
from enum import Enum
from random import Random
from typing import Final, NamedTuple

from syncline.changesets.changeset import SyncProgress, UploadChangeset, UploadCursor
from syncline.errors import ProtocolViolationError
from syncline.protocol.backoff import Backoff
from syncline.protocol.bodies import encode_upload_entries
from syncline.protocol.checks import check_download
from syncline.protocol.errors import ErrorCode
from syncline.protocol.events import (
    ClientEvent,
    DownloadCompleted,
    DownloadReceived,
    IdentReceived,
    QueryRejected,
    SessionError,
    SessionResumed,
    SessionUnbound,
    UploadWanted,
)
from syncline.protocol.from_client import (
    build_bind,
    build_client_json_error,
    build_ident,
    build_mark,
    build_query,
    build_unbind,
    build_upload,
)
from syncline.protocol.messages import (
    BatchState,
    Bind,
    ClientFileIdent,
    Download,
    Error,
    FlexibleBind,
    Ident,
    QueryError,
)
from syncline.protocol.settings import SyncMode
from syncline.protocol.turns import Turns

__all__ = ["ClientOutbox", "ClientSession", "PendingQuery", "SessionConfig", "UploadPolicy"]

#: Code 200 always waits this long (spec/wire-protocol.md §9.3).
_SESSION_CLOSED_DELAY_MS: Final = 1_000

#: Errors that report something and let the session go on (spec/wire-protocol.md §11.4).
_HARMLESS: Final = frozenset({ErrorCode.COMPENSATING_WRITE, ErrorCode.SCHEMA_VERSION_CHANGED})


class UploadPolicy(Enum):
    """When a session uploads and sends queries."""

    #: After the first download completion, as ``ClientSettings.upload_activation_delay`` says.
    DELAYED = "delayed"
    #: At once on the first connection: the session that follows a client reset.
    AT_ONCE = "at once"
    #: Uploads never, queries as DELAYED: the fresh copy of a client reset.
    NEVER = "never"


class SessionConfig(NamedTuple):
    """What a session starts from: the persisted facts of its file.

    ``path`` is the Realm path or partition value (partition-based sync), ``flexible`` the JSON of BIND (flexible sync);
    ``file_ident`` (0, 0) asks the server for one; ``local_version`` is the newest client version of the file;
    ``active_query`` the body of the last query version whose bootstrap is complete.
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

    Local versions up to ``snapshot_version`` are uploaded before it. After a *sentinel* (the last set of a migrated
    file, spec/wire-protocol.md §11.6) nothing but marks is sent.
    """

    query_version: int
    snapshot_version: int
    body: str
    is_sentinel: bool = False


class ClientOutbox:
    """What sessions share with their connection: events for the driver, turns to send, and who has ended."""

    def __init__(self, mode: SyncMode, delay_uploads: bool) -> None:
        self.mode = mode
        self.delay_uploads = delay_uploads
        self.events: list[ClientEvent] = []
        self.turns: Turns[ClientSession] = Turns()
        self.closed: list[ClientSession] = []


class ClientSession:
    """Handle of one session; made by :meth:`syncline.protocol.client.ClientConnection.bind`.

    ``ident`` is its session ident on the wire. The public methods are for the driver, those of one leading underscore
    for the connection.
    """

    def __init__(self, ident: int, config: SessionConfig, outbox: ClientOutbox, random: Random) -> None:
        self.ident = ident
        self.config = config
        self._outbox = outbox
        self._is_flexible = outbox.mode is SyncMode.FLX

        # The file, as the driver reports it.
        self._file_ident = config.file_ident
        self._new_ident = ClientFileIdent()  # received, not yet stored
        self._progress = config.progress  # stored
        self._received = config.progress  # stored, or received and on its way to storage
        self._local_version = config.local_version
        self._unanswered: deque[DownloadReceived] = deque()
        self._active_query_version = config.active_query_version
        self._active_query = config.active_query
        self._pending_queries: list[PendingQuery] = []

        # The session across connections.
        self._is_closing = False
        self._is_closed = False
        self._is_suspended = False
        self._resume_at: int | None = None
        self._backoff: Backoff[int] = Backoff(random)
        self._uploads = config.uploads
        self._delay_uploads = config.uploads is not UploadPolicy.AT_ONCE and outbox.delay_uploads
        self._mark_target = 0
        self._mark_sent = 0
        self._mark_received = 0
        self._mark_barrier = -1  # downloads to be answered before the received mark counts; -1: no mark waits
        self._activation_mark = 0  # the mark that lets uploads begin

        self._reset_protocol_state()

    def _reset_protocol_state(self) -> None:
        """Forget all that concerns one BIND (spec/wire-protocol.md §6.2)."""
        self._bind_sent = False
        self._ident_sent = False
        self._unbind_sent = False
        self._is_over = False  # ERROR or UNBOUND received
        self._error_to_send: tuple[int, str] | None = None
        self._is_mute = False  # a download could not be integrated
        self._scanned = self._progress.upload
        self._reported_server_version = self._progress.upload.last_integrated_server_version
        self._mark_sent = self._mark_received
        self._last_query_sent = self._active_query_version
        self._sentinel_sent = False
        self._upload_wanted: UploadWanted | None = None
        self._upload_ready: tuple[list[UploadChangeset], UploadCursor] | None = None
        self._compensating_writes: deque[Error] = deque()

    # --- what the driver calls ----------------------------------------------------------------------------------------

    @property
    def pending_integrations(self) -> int:
        """DownloadReceived events that the driver has not answered yet; stop reading the socket when they are many."""
        return len(self._unanswered)

    @property
    def is_active(self) -> bool:
        """Whether it is neither suspended nor unbound by the driver: a reason to hold a connection."""
        return not (self._is_closing or self._is_suspended)

    @property
    def resume_at_ms(self) -> int | None:
        """When the suspension ends by itself."""
        return self._resume_at

    def ident_stored(self, local_version: int) -> None:
        """Answer to IdentReceived: the identity is durable; that was a commit, which made ``local_version``."""
        if self._new_ident.ident == 0:
            return
        self._file_ident = self._new_ident
        self._new_ident = ClientFileIdent()
        self.committed(local_version)

    def committed(self, local_version: int) -> None:
        """The file has a new version, made by the application (or by anything else but the calls of this class)."""
        self._local_version = max(self._local_version, local_version)
        self._enlist()

    def supply_upload(self, wanted: UploadWanted, entries: list[UploadChangeset], cursor: UploadCursor) -> None:
        """Answer to UploadWanted: the changesets found, oldest first, and the cursor after the scan.

        No entries means that there are none up to ``wanted.up_to``: an UPLOAD that only reports progress is sent if
        there are server versions to report. An answer to a question of an earlier connection is ignored.

        Raises:
            ValueError: entries or a cursor before the one asked for.
        """
        if wanted is not self._upload_wanted:
            return
        start = wanted.cursor.client_version
        if cursor.client_version < start or (
            entries and not start < entries[0].client_version <= cursor.client_version
        ):
            raise ValueError(f"an upload scan from {wanted.cursor} to {cursor} found {len(entries)} changesets")
        if not entries:
            cursor = UploadCursor(max(cursor.client_version, wanted.up_to), cursor.last_integrated_server_version)
        self._upload_wanted = None
        self._upload_ready = (entries, cursor)
        self._enlist()

    def integrated(self, progress: SyncProgress, local_version: int) -> None:
        """Answer to the oldest DownloadReceived: it is durably integrated (or staged, for a bootstrap batch).

        ``progress`` is what the file stores now: unchanged while a bootstrap is only staged.
        """
        if not self._unanswered:
            return
        answered = self._unanswered.popleft()
        self._advance(progress)
        if answered.batch_state is BatchState.STEADY_STATE:
            self._release_compensating_writes()
        if self._mark_barrier > 0:
            self._mark_barrier -= 1
        self._complete_mark()
        self.committed(local_version)

    def integration_failed(self, code: int, message: str) -> None:
        """Answer to the oldest DownloadReceived: it cannot be integrated.

        ``code``: 212 bad changeset, 233 bad progress, 112 too big to stage, 201 anything else. The server is told
        (protocol 7 and later); further downloads are ignored until the session binds again. Later DownloadReceived
        events that were reported already must be dropped, unanswered.
        """
        if not self._unanswered:
            return
        self._unanswered.clear()
        self._lose_mark()
        if self._ident_sent and not self._is_over:
            self._is_mute = True
            self._error_to_send = (code, message)
        self._enlist()

    def request_mark(self) -> int:
        """Ask for a :class:`DownloadCompleted` whose ``mark`` is at least the number returned."""
        self._mark_target += 1
        self._enlist()
        return self._mark_target

    def add_query(self, query: PendingQuery) -> None:
        """A new subscription set was committed; give them in ascending order of version."""
        self._pending_queries.append(query)
        self.committed(query.snapshot_version)

    def set_active_query(self, query_version: int, body: str) -> None:
        """A bootstrap is complete: this set is the active one, older pending ones are superseded."""
        self._active_query_version = query_version
        self._active_query = body
        self._pending_queries = [query for query in self._pending_queries if query.query_version > query_version]
        self._last_query_sent = max(self._last_query_sent, query_version)

    def resume(self) -> None:
        """End a suspension now, fatal or not: bind again as soon as the server has let go of the session."""
        if not self._is_suspended:
            return
        self._is_suspended = False
        self._resume_at = None
        if not self._is_closing:
            self._outbox.events.append(SessionResumed(self))
            self._finish_unbinding()
            self._enlist()

    def unbind(self) -> None:
        """End the session; :class:`SessionUnbound` follows, at once if nothing of it is on the wire."""
        if self._is_closing:
            return
        self._is_closing = True
        self._resume_at = None
        if not self._bind_sent:
            self._close()
            return
        self._finish_unbinding()
        self._enlist()

    # --- what the connection calls: sending ---------------------------------------------------------------------------

    def _enlist(self) -> None:
        if not self._is_closed:
            self._outbox.turns.enlist(self)

    def _connection_established(self, fast: bool) -> None:
        """A WebSocket is open; ``fast``: soon enough after the last one for uploads to go on (§6.1)."""
        if not fast and self._outbox.delay_uploads and self._uploads is not UploadPolicy.AT_ONCE:
            self._delay_uploads = True
        if self._uploads is UploadPolicy.AT_ONCE:
            self._uploads = UploadPolicy.DELAYED
        if self._delay_uploads:
            self._mark_target += 1
            self._activation_mark = self._mark_target
        if not self._is_suspended:
            self._enlist()

    def _connection_lost(self) -> None:
        self._reset_protocol_state()
        if self._is_closing:
            self._close()

    def _next_message(self, version: int) -> bytes | None:
        """One message, or None; the order is the priority of spec/wire-protocol.md §6.2."""
        if self._is_closed:
            return None
        if self._is_closing or self._is_suspended or self._is_over:
            return self._next_unbind()
        if not self._bind_sent:
            self._bind_sent = True
            return build_bind(self._bind(), version)
        if not self._ident_sent:
            # While downloads of an earlier connection are being integrated, the progress to report is not settled.
            if self._file_ident.ident == 0 or self._unanswered:
                return None
            return self._send_ident()
        if self._error_to_send is not None:
            code, text = self._error_to_send
            self._error_to_send = None
            if version >= 7:
                return build_client_json_error(self.ident, code, text)
        if self._is_mute:
            return None
        if self._mark_target > self._mark_sent:
            self._mark_sent = self._mark_target
            return build_mark(self.ident, self._mark_sent)
        if self._delay_uploads or self._sentinel_sent:
            return None
        return self._next_query_or_upload()

    def _next_unbind(self) -> bytes | None:
        if not self._bind_sent or self._unbind_sent:
            return None
        self._unbind_sent = True
        self._finish_unbinding()
        return build_unbind(self.ident)

    def _bind(self) -> Bind:
        need_ident = self._file_ident.ident == 0 and self._new_ident.ident == 0
        flexible = self.config.flexible if self._is_flexible else None
        return Bind(self.ident, "" if self._is_flexible else self.config.path, "", need_ident, False, flexible)

    def _send_ident(self) -> bytes:
        self._ident_sent = True
        self._received = self._progress
        self._scanned = self._progress.upload
        self._reported_server_version = self._scanned.last_integrated_server_version
        self._last_query_sent = self._active_query_version
        return build_ident(
            Ident(
                self.ident,
                self._file_ident,
                self._progress.download,
                self._progress.latest_server_version,
                self._active_query_version,
                self._active_query if self._is_flexible else None,
            )
        )

    def _next_query_or_upload(self) -> bytes | None:
        query = self._next_pending_query()
        if query is not None and self._scanned.client_version >= query.snapshot_version:
            self._last_query_sent = query.query_version
            self._sentinel_sent = query.is_sentinel
            self._mark_target += 1
            return build_query(self.ident, query.query_version, query.body)
        if self._uploads is UploadPolicy.NEVER:
            if query is not None and self._local_version >= query.snapshot_version:
                # Nothing is uploaded, so nothing has to go before the query.
                self._scanned = UploadCursor(query.snapshot_version, self._scanned.last_integrated_server_version)
                return self._next_query_or_upload()
            return None
        if self._upload_ready is not None:
            message = self._ready_upload(limited=query is not None)
            return message if message is not None else self._next_query_or_upload()
        self._want_upload(query)
        if query is None and self._upload_wanted is None:
            return self._progress_upload()
        return None

    def _next_pending_query(self) -> PendingQuery | None:
        for query in self._pending_queries:
            if query.query_version > self._last_query_sent:
                return query
        return None

    def _want_upload(self, query: PendingQuery | None) -> None:
        up_to = self._local_version if query is None else query.snapshot_version
        if self._upload_wanted is None and up_to > self._scanned.client_version:
            self._upload_wanted = UploadWanted(self, self._scanned, up_to)
            self._outbox.events.append(self._upload_wanted)

    def _ready_upload(self, limited: bool) -> bytes | None:
        """The UPLOAD supplied; None if it holds nothing worth sending."""
        assert self._upload_ready is not None
        entries, cursor = self._upload_ready
        self._upload_ready = None
        self._scanned = cursor
        if not entries and (limited or cursor.last_integrated_server_version <= self._reported_server_version):
            return None
        return self._upload(entries)

    def _progress_upload(self) -> bytes | None:
        """An UPLOAD without changesets, if there are server versions to report that no scan reported."""
        if self._scanned.last_integrated_server_version <= self._reported_server_version:
            return None
        return self._upload([])

    def _upload(self, entries: list[UploadChangeset]) -> bytes:
        self._reported_server_version = self._scanned.last_integrated_server_version
        locked = self._progress.download.server_version
        return build_upload(self.ident, self._scanned, locked, encode_upload_entries(entries))

    # --- what the connection calls: receiving -------------------------------------------------------------------------

    def _receive_ident(self, file_ident: ClientFileIdent) -> None:
        if self._is_closing:
            return
        self._require(self._bind_sent and not self._is_over, "ident")
        if self._file_ident.ident != 0 or self._new_ident.ident != 0:
            raise ProtocolViolationError(f"session {self.ident}: an ident for a file that has one")
        self._new_ident = file_ident
        self._outbox.events.append(IdentReceived(self, file_ident))

    def _receive_download(self, message: Download, version: int, size: int) -> None:
        if self._is_closing:
            return
        self._require(self._ident_sent and not self._is_over, "download")
        if self._is_mute:
            return
        state = message.batch_state
        is_active_query = message.query_version == self._active_query_version
        if version < 14 and state is BatchState.LAST_IN_BATCH and is_active_query:
            # Steady state has no number of its own there (spec/wire-protocol.md §8.6).
            state = BatchState.STEADY_STATE
        check_download(message, self._received, self._local_version, self._file_ident.ident, not self._is_flexible)
        if state is not BatchState.MORE_TO_COME:
            self._received = message.progress
        event = DownloadReceived(
            session=self,
            progress=message.progress,
            entries=message.entries,
            downloadable_bytes=message.downloadable_bytes,
            query_version=message.query_version,
            batch_state=state,
            estimate=message.estimate,
            size=size,
        )
        self._unanswered.append(event)
        self._outbox.events.append(event)

    def _receive_mark(self, request_ident: int) -> None:
        if self._is_closing:
            return
        self._require(self._ident_sent and not self._is_over, "mark")
        if not self._mark_received < request_ident <= self._mark_sent:
            raise ProtocolViolationError(
                f"session {self.ident}: mark {request_ident} answered; expected more than {self._mark_received}, "
                f"at most {self._mark_sent}"
            )
        self._mark_received = request_ident
        self._mark_barrier = len(self._unanswered)
        if self._is_mute:
            self._lose_mark()
        self._complete_mark()

    def _lose_mark(self) -> None:
        """What a received mark stood for was not integrated: ask again after the next BIND."""
        self._mark_barrier = -1
        self._mark_target = max(self._mark_target, self._mark_received + 1)

    def _complete_mark(self) -> None:
        if self._mark_barrier != 0:
            return
        self._mark_barrier = -1
        if self._mark_received >= self._activation_mark:
            self._delay_uploads = False
        self._outbox.events.append(DownloadCompleted(self, self._mark_received))
        self._enlist()

    def _receive_query_error(self, message: QueryError) -> None:
        if self._is_closing:
            return
        self._pending_queries = [q for q in self._pending_queries if q.query_version != message.query_version]
        self._outbox.events.append(QueryRejected(self, message.query_version, message.code, message.message))

    def _receive_unbound(self) -> None:
        self._require(self._unbind_sent and not self._is_over, "unbound")
        self._is_over = True
        self._finish_unbinding()

    def _receive_error(self, error: Error, now: int) -> None:
        self._require(self._bind_sent and not self._is_over, "error")
        if error.code in _HARMLESS:
            self._receive_report(error)
            return
        self._is_over = True
        if self._is_closing:
            self._finish_unbinding()
            self._enlist()
            return
        self._is_suspended = True
        self._resume_at = now + self._resumption_delay(error) if error.try_again else None
        self._outbox.events.append(SessionError(self, error, True, self._resume_at))
        self._enlist()

    def _receive_report(self, error: Error) -> None:
        if self._is_closing:
            return
        if error.code == ErrorCode.COMPENSATING_WRITE:
            self._compensating_writes.append(error)
        else:
            self._outbox.events.append(SessionError(self, error, False, None))

    def _resumption_delay(self, error: Error) -> int:
        delay = self._backoff.failed(error.code, error.backoff)
        return _SESSION_CLOSED_DELAY_MS if error.code == ErrorCode.SESSION_CLOSED else delay

    # --- inside -------------------------------------------------------------------------------------------------------

    def _require(self, condition: bool, name: str) -> None:
        if not condition:
            raise ProtocolViolationError(f"session {self.ident}: {name} is not legal now (spec/wire-protocol.md §6.3)")

    def _advance(self, progress: SyncProgress) -> None:
        """The file stores ``progress``; what an earlier session uploaded need not be scanned again."""
        upload_progressed = progress.upload.client_version > self._scanned.client_version
        self._progress = progress
        if upload_progressed and self._ident_sent:
            self._scanned = progress.upload
            self._reported_server_version = max(
                self._reported_server_version, progress.upload.last_integrated_server_version
            )
            self._upload_wanted = None
            self._upload_ready = None

    def _release_compensating_writes(self) -> None:
        """Report refused writes whose undoing is integrated now (spec/flexible-sync.md §6.3)."""
        version = self._progress.download.server_version
        while self._compensating_writes:
            needed = self._compensating_writes[0].compensating_write_server_version
            if needed is None or needed > version:
                return
            self._outbox.events.append(SessionError(self, self._compensating_writes.popleft(), False, None))

    def _finish_unbinding(self) -> None:
        """Once UNBIND was sent and the server has let go: close, or bind again if nothing holds the session back."""
        if not (self._unbind_sent and self._is_over):
            return
        if self._is_closing:
            self._close()
        elif not self._is_suspended:
            self._reset_protocol_state()
            self._enlist()

    def _close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._is_suspended = False
        self._unanswered.clear()
        self._outbox.closed.append(self)
        self._outbox.events.append(SessionUnbound(self))
