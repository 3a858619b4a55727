"""One session of a server connection: its phase, its cursors, what it must say next (spec/wire-protocol.md §6.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from enum import Enum
from typing import Final

from syncline.changesets.changeset import DownloadCursor, SyncProgress, UploadCursor
from syncline.errors import ProtocolViolationError
from syncline.protocol.checks import IdentFacts, UploadState, check_ident, check_upload
from syncline.protocol.errors import ERRORS, ErrorAction, ErrorCode
from syncline.protocol.events import (
    BindRequested,
    ClientErrorReceived,
    DownloadBatch,
    DownloadWanted,
    IdentRequested,
    MarkRequested,
    QueryReceived,
    SessionEnded,
    TokenRefreshed,
    UploadReceived,
)
from syncline.protocol.from_client import build_mark
from syncline.protocol.from_server import (
    build_any_error,
    build_download,
    build_json_error,
    build_query_error,
    build_server_ident,
    build_unbound,
)
from syncline.protocol.messages import (
    BatchState,
    Bind,
    ClientFileIdent,
    ClientJsonError,
    ClientMessage,
    Error,
    Ident,
    Mark,
    Query,
    Refresh,
    RejectedUpdate,
    RemovedRequest,
    Unbind,
    Upload,
)
from syncline.protocol.server_outbox import ServerOutbox

__all__ = ["DownloadBatch", "IdentFacts", "ServerSession"]


class _Phase(Enum):
    """States of spec/wire-protocol.md §6.4; BINDING and IDENTIFYING wait for the driver."""

    BINDING = "waits for the driver's answer to BIND"
    SEND_IDENT = "has a new client file ident to send"
    WAIT_FOR_IDENT = "waits for IDENT"
    IDENTIFYING = "waits for the driver's answer to IDENT"
    READY = "identified"
    SEND_ERROR = "has an error to send"
    FAILED = "sent its error, waits for UNBIND"
    SEND_UNBOUND = "has UNBOUND to send"
    ENDED = "gone"


#: Phases in which the session is attached to its Realm.
_ATTACHED: Final = frozenset(
    {_Phase.BINDING, _Phase.SEND_IDENT, _Phase.WAIT_FOR_IDENT, _Phase.IDENTIFYING, _Phase.READY}
)


class ServerSession:
    """Handle of one session; made by :class:`syncline.protocol.server.ServerConnection` when BIND arrives.

    ``ident`` is its session ident on the wire; ``realm`` and ``file_ident`` are known after bind and ident. The public
    methods are for the driver, and do nothing once the session has ended or failed; those of one leading underscore are
    for the connection.
    """

    def __init__(self, ident: int, outbox: ServerOutbox) -> None:
        self.ident = ident
        self.realm: Hashable = None
        self.file_ident = 0
        self._outbox = outbox
        self._phase = _Phase.BINDING
        self._need_ident = False
        self._new_ident = ClientFileIdent()
        self._request: Ident | None = None
        self._queue: deque[tuple[ClientMessage, int]] = deque()
        self._queue_is_full = False
        self._error: Error | None = None

        self._upload_state = UploadState(UploadCursor(), UploadCursor(), 0, 0)
        self._cursor = DownloadCursor()
        self._head = 0  # newest server version known
        self._sent_download = False
        self._at_end = False  # the last DOWNLOAD reached the newest version of its time
        self._is_paused = False
        self._is_fetching = False
        self._waits_for_fetch = False
        self._batch: DownloadBatch | None = None
        self._notices: deque[bytes] = deque()

        self._mark = 0  # the latest request; 0: none
        self._mark_version = 0
        self._marks_unconfirmed = 0
        self._mark_query = 0  # newest query version received before the mark
        self._query_version = 0  # newest query version received
        self._bootstrapped_query = 0  # newest query version bootstrapped or rejected
        self._bootstrap_due = False

    # --- what the driver calls ----------------------------------------------------------------------------------------

    @property
    def is_attached(self) -> bool:
        """Whether it is in use: neither failed nor unbound."""
        return self._phase in _ATTACHED

    @property
    def download_cursor(self) -> DownloadCursor:
        """How far the client has been sent the history."""
        return self._cursor

    def accept_bind(self, realm: Hashable, file_ident: ClientFileIdent | None = None) -> None:
        """Answer to BindRequested: the Realm's key (any hashable), and the new ident if one was needed.

        Raises:
            ValueError: an ident was needed and is missing, or the other way round.
        """
        if self._phase is not _Phase.BINDING:
            return
        if self._need_ident != (file_ident is not None):
            raise ValueError("accept_bind takes a file ident exactly if BindRequested.need_client_file_ident")
        self.realm = realm
        if file_ident is not None:
            self._new_ident = file_ident
            self._phase = _Phase.SEND_IDENT
            self._enlist()
        else:
            self._phase = _Phase.WAIT_FOR_IDENT
            self._work_off_queue()

    def identify(self, facts: IdentFacts) -> int:
        """Answer to IdentRequested: check the request against the facts (spec/wire-protocol.md §10.3).

        Returns:
            0: the session is identified, downloads begin; close every other connection's session of the same Realm and
            file ident. Otherwise the error code that was sent; -1 if the session ended in the meantime.
        """
        if self._phase is not _Phase.IDENTIFYING or self._request is None:
            return -1
        request = self._request
        code = check_ident(request, facts)
        if code != 0:
            self.fail(code)
            return code
        self.file_ident = request.file_ident.ident
        key = (self.realm, self.file_ident)
        if key in self._outbox.bound:
            self._outbox.violation = ProtocolViolationError(
                f"ident: client file {self.file_ident} is bound in another session of this connection",
                code=ErrorCode.BOUND_IN_OTHER_SESSION,
            )
            return ErrorCode.BOUND_IN_OTHER_SESSION
        self._outbox.bound.add(key)
        self._cursor = request.download
        self._head = facts.current_version
        self._upload_state = UploadState(
            facts.upload, UploadCursor(), request.download.server_version, facts.locked_version
        )
        self._query_version = request.query_version
        self._bootstrapped_query = request.query_version
        self._bootstrap_due = facts.bootstrap_due
        self._phase = _Phase.READY
        self._outbox.log("debug", f"Session {self.ident} bound to client file ident {self.file_ident}", self.ident)
        self._enlist()
        self._work_off_queue()
        return 0

    def advance(self, version: int) -> None:
        """The Realm has server version ``version`` now: DownloadWanted follows when the session has its turn."""
        if version > self._head:
            self._head = version
            self._enlist()

    def supply_download(self, batch: DownloadBatch | None) -> None:
        """Answer to DownloadWanted; None if there is nothing to send after all.

        Raises:
            ValueError: a batch that goes back or beyond its latest version, or none where the first one is due.
        """
        if not self._is_fetching:
            return
        self._is_fetching = False
        if batch is None:
            if self._must_download:
                raise ValueError("the first DOWNLOAD of a session, and a bootstrap that is due, must be sent")
            self._head = self._cursor.server_version
            self._outbox.release_fetch()
        else:
            _require_progress(self._cursor, batch)
            self._batch = batch
        self._enlist()

    def confirm_mark(self, version: int) -> None:
        """Answer to MarkRequested, one for each, in order: reply once everything up to ``version`` has been sent."""
        if self._marks_unconfirmed == 0:
            return
        self._marks_unconfirmed -= 1
        self._mark_version = max(self._mark_version, version)
        self.advance(version)
        self._enlist()

    def reject_query(self, query_version: int, code: int, message: str) -> None:
        """Send QUERY_ERROR (226 typically): that subscription set is refused, the session goes on."""
        if self._phase is not _Phase.READY:
            return
        self._notices.append(build_query_error(self.ident, query_version, code, message))
        self._bootstrapped_query = max(self._bootstrapped_query, query_version)
        self._enlist()

    def compensating_write(
        self, server_version: int, client_version: int, updates: tuple[RejectedUpdate, ...], message: str
    ) -> None:
        """Send 231 before any later DOWNLOAD (spec/flexible-sync.md §6.2); in ascending order of ``server_version``."""
        self._report(
            Error(
                self.ident,
                ErrorCode.COMPENSATING_WRITE,
                message,
                try_again=True,
                action=ErrorAction.WARNING,
                rejected_updates=updates,
                rejected_client_version=client_version,
                compensating_write_server_version=server_version,
            )
        )

    def schema_version_changed(self, previous: int, message: str) -> None:
        """Send 236: the session goes on so that old changes can be uploaded (spec/wire-protocol.md §11.4)."""
        self._report(
            Error(
                self.ident,
                ErrorCode.SCHEMA_VERSION_CHANGED,
                message,
                try_again=True,
                action=ErrorAction.MIGRATE_SCHEMA,
                previous_schema_version=previous,
            )
        )

    def _report(self, error: Error) -> None:
        """Send an error that lets the session go on; clients before version 4 cannot be told."""
        if self._phase is _Phase.READY and self._outbox.version >= 4:
            self._notices.append(build_json_error(error))
            self._enlist()

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

        ``message`` defaults to the meaning of the code, ``action`` and ``try_again`` to the pair of
        spec/wire-protocol.md §11.3 for it.

        Raises:
            ValueError: not a session-level code, one that kills clients (spec/wire-protocol.md §11.1), or one that does
                not end a session.
        """
        info = ERRORS.get(code)
        if info is None or not info.is_session_level or not info.may_be_sent:
            raise ValueError(f"error code {code} must not be sent for a session")
        if code in (ErrorCode.COMPENSATING_WRITE, ErrorCode.SCHEMA_VERSION_CHANGED):
            raise ValueError(f"error code {code} does not end a session")
        if (code == ErrorCode.MIGRATE_TO_FLX) != bool(partition_query):
            raise ValueError("partition_query goes with error code 232, and only with it")
        if not self.is_attached:
            return
        self._error = Error(
            self.ident,
            code,
            message or info.name,
            try_again=info.try_again if try_again is None else try_again,
            action=action or info.action,
            partition_query=partition_query,
            rejected_updates=rejected_updates,
            rejected_client_version=rejected_client_version,
        )
        self._detach()
        self._phase = _Phase.SEND_ERROR
        self._enlist()

    def pause(self) -> None:
        """Ask for no more downloads of this session until :meth:`unpause`."""
        self._is_paused = True

    def unpause(self) -> None:
        """End :meth:`pause`."""
        self._is_paused = False
        self._enlist()

    # --- what the connection calls: receiving -------------------------------------------------------------------------

    def _start(self, bind: Bind) -> None:
        self._need_ident = bind.need_client_file_ident
        self._outbox.events.append(
            BindRequested(self, bind.path, bind.token, bind.need_client_file_ident, bind.is_subserver, bind.flexible)
        )

    def _refuse(self, text: str) -> None:
        """The connection has too many sessions: this one only waits for the client to let go."""
        self._error = Error(
            self.ident, ErrorCode.OTHER_SESSION_ERROR, text, try_again=False, action=ErrorAction.APPLICATION_BUG
        )
        self._phase = _Phase.SEND_ERROR
        self._enlist()

    def _receive(self, message: ClientMessage, size: int) -> None:
        """Take one message of the client, now or after the driver's answer; the order of checks is §10.1."""
        phase = self._phase
        if phase is _Phase.SEND_UNBOUND:
            raise _bad_order(message, "after unbind")
        if isinstance(message, Unbind):
            self._receive_unbind()
            return
        if not self.is_attached:
            return
        if isinstance(message, RemovedRequest):
            text = f"{message.name} is not supported any more; update the application"
            self.fail(ErrorCode.OTHER_SESSION_ERROR, text, action=ErrorAction.APPLICATION_BUG, try_again=False)
            return
        if isinstance(message, Refresh):
            self._outbox.events.append(TokenRefreshed(self, message.token))
            return
        waits = phase is _Phase.IDENTIFYING or (phase is _Phase.BINDING and not self._need_ident)
        if waits or self._queue:
            self._enqueue(message, size)
        else:
            self._handle(message)

    def _receive_unbind(self) -> None:
        if self._phase is _Phase.FAILED:
            self._end()
            return
        if self.is_attached:
            self._detach()
        self._phase = _Phase.SEND_UNBOUND
        self._enlist()

    def _handle(self, message: ClientMessage) -> None:
        if isinstance(message, Ident):
            self._require(message, _Phase.WAIT_FOR_IDENT)
            self._phase = _Phase.IDENTIFYING
            self._request = message
            self._outbox.events.append(IdentRequested(self, message))
            return
        self._require(message, _Phase.READY)
        if isinstance(message, Upload):
            self._handle_upload(message)
        elif isinstance(message, Mark):
            self._mark = message.request_ident
            self._mark_query = self._query_version
            self._marks_unconfirmed += 1
            self._outbox.events.append(MarkRequested(self, message.request_ident))
        elif isinstance(message, Query):
            self._handle_query(message)
        elif isinstance(message, ClientJsonError):
            self._handle_json_error(message)
        else:
            raise _bad_order(message, "here")

    def _require(self, message: ClientMessage, phase: _Phase) -> None:
        if self._phase is not phase:
            raise _bad_order(message, f"while the session {self._phase.value}")

    def _handle_upload(self, message: Upload) -> None:
        state = self._upload_state
        code = check_upload(message, state)
        if code != 0:
            self.fail(code)
            return
        self._upload_state = state._replace(progress=message.progress, locked_version=message.locked_server_version)
        threshold = state.threshold.client_version
        entries = message.entries
        if entries and entries[0].client_version <= threshold:
            entries = [entry for entry in entries if entry.client_version > threshold]
        skipped = len(message.entries) - len(entries)
        self._outbox.events.append(
            UploadReceived(self, entries, message.progress, message.locked_server_version, skipped)
        )

    def _handle_query(self, message: Query) -> None:
        if message.query_version <= self._query_version:
            raise ProtocolViolationError(
                f"query: version {message.query_version} after {self._query_version}", code=ErrorCode.BAD_MESSAGE_ORDER
            )
        self._query_version = message.query_version
        self._outbox.events.append(QueryReceived(self, message.query_version, message.body))
        self._enlist()

    def _handle_json_error(self, message: ClientJsonError) -> None:
        """The client is mute now: end the session in a way that lets it go on (spec/wire-protocol.md §7.9)."""
        self._outbox.events.append(ClientErrorReceived(self, message.code, message.message))
        if message.code == ErrorCode.OTHER_SESSION_ERROR:
            self.fail(ErrorCode.OTHER_SESSION_ERROR, "the client could not integrate a download")
        else:
            self.fail(ErrorCode.BAD_CHANGESET, "the client refused a changeset", action=ErrorAction.CLIENT_RESET)

    def _enqueue(self, message: ClientMessage, size: int) -> None:
        self._queue.append((message, size))
        self._outbox.queued_bytes += size
        if not self._queue_is_full and len(self._queue) >= self._outbox.settings.queued_messages:
            self._queue_is_full = True
            self._outbox.queues_full += 1

    def _work_off_queue(self) -> None:
        while self._queue and self._phase not in (_Phase.BINDING, _Phase.IDENTIFYING):
            message, size = self._queue.popleft()
            self._outbox.queued_bytes -= size
            try:
                self._handle(message)
            except ProtocolViolationError as error:
                self._outbox.violation = error
                return
        if self._queue_is_full and len(self._queue) < self._outbox.settings.queued_messages:
            self._queue_is_full = False
            self._outbox.queues_full -= 1

    # --- what the connection calls: sending ---------------------------------------------------------------------------

    def _enlist(self) -> None:
        if self._phase is not _Phase.ENDED:
            self._outbox.turns.enlist(self)

    @property
    def _bootstrap_is_due(self) -> bool:
        return self._bootstrap_due or self._query_version > self._bootstrapped_query

    @property
    def _must_download(self) -> bool:
        return not self._sent_download or self._bootstrap_is_due

    def _next_message(self) -> bytes | None:
        """One message, or None; may ask the driver for a download instead."""
        phase = self._phase
        if phase is _Phase.READY:
            return self._next_of_ready()
        if phase is _Phase.SEND_IDENT:
            self._phase = _Phase.WAIT_FOR_IDENT
            return build_server_ident(self.ident, self._new_ident)
        if phase is _Phase.SEND_ERROR and self._error is not None:
            self._phase = _Phase.FAILED
            return build_any_error(self._error, self._outbox.version)
        if phase is _Phase.SEND_UNBOUND:
            self._end()
            return build_unbound(self.ident)
        return None

    def _next_of_ready(self) -> bytes | None:
        if self._notices:
            return self._notices.popleft()
        if self._batch is not None:
            return self._send_download(self._batch)
        if self._mark_is_due:
            answer = build_mark(self.ident, self._mark)
            self._mark = 0
            return answer
        if self._wants_download:
            self._request_download()
        return None

    @property
    def _wants_download(self) -> bool:
        if self._phase is not _Phase.READY or self._is_fetching or self._batch is not None or self._is_paused:
            return False
        return self._head > self._cursor.server_version or self._must_download

    @property
    def _mark_is_due(self) -> bool:
        """Whether everything that the latest mark asks for was sent (spec/wire-protocol.md §7.6).

        The last head must have said that nothing follows: a client reset continues from its *latest* version
        (spec/flexible-sync.md §6.7).
        """
        return (
            self._mark != 0
            and self._marks_unconfirmed == 0
            and self._sent_download
            and self._at_end
            and self._cursor.server_version >= self._mark_version
            and self._bootstrapped_query >= self._mark_query
            and not self._bootstrap_due
        )

    def _request_download(self) -> None:
        outbox = self._outbox
        if outbox.fetches >= outbox.settings.fetches:
            if not self._waits_for_fetch:
                self._waits_for_fetch = True
                outbox.waiting_for_fetch.append(self)
            return
        outbox.fetches += 1
        self._is_fetching = True
        outbox.events.append(DownloadWanted(self, self._cursor, not self._sent_download))

    def _send_download(self, batch: DownloadBatch) -> bytes:
        self._batch = None
        self._outbox.release_fetch()
        self._sent_download = True
        self._cursor = batch.cursor
        self._head = max(self._head, batch.latest.version)
        self._at_end = batch.cursor.server_version >= batch.latest.version
        self._upload_state = self._upload_state._replace(download_version=batch.cursor.server_version)
        if batch.batch_state is BatchState.LAST_IN_BATCH:
            self._bootstrapped_query = max(self._bootstrapped_query, batch.query_version)
            self._bootstrap_due = False
        return build_download(
            self.ident,
            SyncProgress(batch.latest, batch.cursor, batch.upload),
            batch.body,
            mode=self._outbox.mode,
            version=self._outbox.version,
            downloadable_bytes=batch.downloadable_bytes,
            query_version=batch.query_version,
            batch_state=batch.batch_state,
            estimate=batch.estimate,
        )

    # --- the end ------------------------------------------------------------------------------------------------------

    def _detach(self) -> None:
        """Leave the Realm: drop what was to be received or sent."""
        outbox = self._outbox
        if self._phase is _Phase.READY:
            outbox.bound.discard((self.realm, self.file_ident))
        self._drop_queue()
        if self._is_fetching or self._batch is not None:
            self._is_fetching = False
            self._batch = None
            outbox.release_fetch()
        self._notices.clear()
        outbox.events.append(SessionEnded(self))

    def _drop_queue(self) -> None:
        for _, size in self._queue:
            self._outbox.queued_bytes -= size
        self._queue.clear()
        if self._queue_is_full:
            self._queue_is_full = False
            self._outbox.queues_full -= 1

    def _end(self) -> None:
        """Nothing of it is left; its ident may be used again."""
        if self.is_attached:
            self._detach()
        self._phase = _Phase.ENDED
        self._outbox.ended.append(self)


def _require_progress(cursor: DownloadCursor, batch: DownloadBatch) -> None:
    after = batch.cursor
    if (
        after.server_version < cursor.server_version
        or after.last_integrated_client_version < cursor.last_integrated_client_version
        or after.server_version > batch.latest.version
    ):
        raise ValueError(f"a DOWNLOAD from {cursor} to {after}, with {batch.latest} as the latest version")


def _bad_order(message: ClientMessage, where: str) -> ProtocolViolationError:
    name = type(message).__name__.lower()
    return ProtocolViolationError(f"{name} is not legal {where}", code=ErrorCode.BAD_MESSAGE_ORDER)
