"""ProtocolSession: one file on one connection, from BIND to UNBIND (spec/sessions.md §1, §4.4).

The tie between the file's history and the protocol machine: what the machine asks for is read from the history, what it
received is integrated by a worker, in order, while the next download arrives. Lives on the event loop; its owner, a
:class:`~syncline.sync.session_core.SessionCore`, makes a new one each time it becomes active.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from syncline.changesets.changeset import DownloadChangeset
from syncline.errors import BadChangesetError, ProtocolViolationError, SynclineError
from syncline.protocol.client_session import ClientSession, SessionConfig, UploadPolicy
from syncline.protocol.errors import ErrorAction, ErrorCode, Status
from syncline.protocol.events import DownloadReceived, IdentReceived, SessionError, UploadWanted
from syncline.protocol.messages import ClientFileIdent, FlexibleBind
from syncline.protocol.settings import SyncMode
from syncline.sync.progress import ProgressFeed, ProgressNotifier
from syncline.sync.session_errors import Effect, Failure, consequence
from syncline.sync.states import ConnectionState
from syncline.sync.telemetry import Transfers
from syncline.sync.transport import Endpoint, SocketOptions
from syncline.sync.waits import Wait, WaitKind

if TYPE_CHECKING:
    from syncline.storage.file import RealmFile
    from syncline.storage.history import ClientHistory
    from syncline.sync.client import SyncClient
    from syncline.sync.configuration import SyncConfiguration
    from syncline.sync.connection import Connection
    from syncline.sync.manager import SyncManager

__all__ = ["ProtocolSession", "SessionOwner"]

logger = logging.getLogger("syncline.sync.session")

_BATCH_BYTES: Final = 1 << 20
_BATCH_DOWNLOADS: Final = 64
"""Downloads that arrived while another was being integrated go into one commit, up to these limits."""


_AWAIT_TOKEN: Final = (Effect.REFRESH_TOKEN, Effect.INVALIDATE_USER)
"""After these the session is as good as another token."""


class SessionOwner(Protocol):
    """Whose file a protocol session syncs, and who hears of it; all methods are called on the event loop."""

    @property
    def manager(self) -> SyncManager: ...
    @property
    def configuration(self) -> SyncConfiguration: ...
    @property
    def path(self) -> str: ...
    @property
    def file(self) -> RealmFile: ...
    @property
    def history(self) -> ClientHistory: ...
    @property
    def progress(self) -> ProgressNotifier: ...
    @property
    def hears_commits(self) -> bool: ...

    def start_protocol(self, protocol: ProtocolSession) -> None:
        """Start it now: the one before it has let go of the file."""

    def protocol_finished(self, protocol: ProtocolSession) -> None:
        """It does not touch the file any more."""

    def connection_changed(self, protocol: ProtocolSession, state: ConnectionState, failure: Failure | None) -> None:
        """Its connection went to ``state``."""

    def failed(self, protocol: ProtocolSession, failure: Failure, *, disconnected: bool) -> None:
        """The server reported an error for it, or sent what cannot be integrated."""

    def local_fault(self, protocol: ProtocolSession, error: Exception | None) -> None:
        """The file could not be read or written."""

    def wait_completed(self, wait: Wait) -> None:
        """A wait is over, well."""


class ProtocolSession:
    """Made active by :meth:`start`, ended by :meth:`stop`; :meth:`SessionCore.protocol_finished` is called when nothing
    of it touches the file any more."""

    def __init__(
        self,
        core: SessionOwner,
        client: SyncClient,
        number: int,
        *,
        uploads: UploadPolicy = UploadPolicy.DELAYED,
        session_reason: int = 0,
    ) -> None:
        """``session_reason``: why it is bound (spec/wire-protocol.md §7.1)."""
        self._uploads = uploads
        self._session_reason = session_reason
        self._core = core
        self._client = client
        self._number = number
        self._configuration = core.configuration
        self._user = self._configuration.user
        self._history = core.history
        self._connection: Connection | None = None
        self._session: ClientSession | None = None
        self._downloads: deque[DownloadReceived] = deque()
        self._is_working = False  # a worker is busy with the file
        self._worker_thread = 0  # its commits are not the application's
        self._is_suspended = False
        self._awaits_token = False  # suspended because its token was refused
        self._is_stopping = False
        self._is_retired = False
        self._is_finished = False
        self._is_faulty = False  # our own file failed: it will be stopped, and another started
        self._on_finished: list[Callable[[], None]] = []
        self._waits: list[Wait] = []
        self._announced = 0  # newest local version known
        self._announcing = False
        self._announce_lock = threading.Lock()
        self._remove_hook: Callable[[], None] | None = None
        self._progress: ProgressFeed | None = None
        self._transfers = Transfers(client.telemetry, self._configuration.bind_path)

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bind, once a previous session of the same file has let go of it. Further calls do nothing."""
        if self._is_stopping or self._session is not None:
            return
        previous = self._client.ending.get(self._core.path)
        if previous is not None:
            previous.call_when_finished(lambda: self._core.start_protocol(self))
            return
        self._remove_hook = self._core.file.on_commit(self.committed)
        status = self._history.status()
        self._announced = max(self._announced, status.current_version)
        self._progress = ProgressFeed(self._core.progress, status)
        config = SessionConfig(
            path=self._configuration.bind_path,
            file_ident=ClientFileIdent(status.file_ident, status.file_salt),
            progress=status.progress,
            local_version=status.current_version,
            flexible=FlexibleBind(session_reason=self._session_reason),
            uploads=self._uploads,
        )
        self._connection = self._client.connection(self._endpoint())
        self._session = self._connection.bind(self, config)
        waits, self._waits = self._waits, []
        for wait in waits:
            self.add_wait(wait)

    def retire(self) -> None:
        """Upload nothing that is committed from now on; :meth:`stop` follows on the event loop. Any thread."""
        self._is_retired = True

    def stop(self) -> None:
        """Unbind; a download that is being integrated may still be committed."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._transfers.stopped()
        if self._remove_hook is not None:
            self._remove_hook()
        if self._session is not None and self._connection is not None:
            self._session.unbind()
            self._drop_downloads()
            self._connection.pump()
        if self._is_working:
            self._client.ending[self._core.path] = self
        else:
            self._finish()

    def call_when_finished(self, call: Callable[[], None]) -> None:
        """Call back when nothing of this session touches the file any more."""
        self._on_finished.append(call)

    def _finish(self) -> None:
        if self._is_finished:
            return
        self._is_finished = True
        if self._client.ending.get(self._core.path) is self:
            del self._client.ending[self._core.path]
        self._core.protocol_finished(self)
        for call in self._on_finished:
            call()

    def _endpoint(self) -> Endpoint:
        mode = SyncMode.FLX if self._configuration.flexible else SyncMode.PBS
        url = self._user.socket_url(self._configuration)
        is_shared = self._client.multiplexing and not self._core.manager.goes_by_proxy(url)
        trust = (self._configuration.enable_ssl_validation, self._configuration.pinned_certificate_path)
        return Endpoint(mode, url, self._user.key, 0 if is_shared else self._number, trust)

    @property
    def connection(self) -> Connection | None:
        """The connection it is bound to; None before :meth:`start`."""
        return self._connection

    def delay(self) -> float:
        """Seconds until it tries again, if it is not connected; inf: not before somebody says so. Any thread."""
        session, connection = self._session, self._connection
        if session is None or connection is None:
            return 0.0
        if not self._is_suspended:
            return connection.delay()
        resume_at = session.resume_at_ms
        return math.inf if resume_at is None else max(0.0, resume_at / 1000 - self._client.loop.time())

    # --- what the owner asks for --------------------------------------------------------------------------------------

    def committed(self, version: int) -> None:
        """The file has a new version. Any thread; commits of our own worker are known already."""
        if threading.get_ident() == self._worker_thread or not self._core.hears_commits:
            return
        with self._announce_lock:
            if version <= self._announced:
                return
            self._announced = version
            if self._announcing:
                return
            self._announcing = True
        self._client.post(self._announce)

    def _announce(self) -> None:
        with self._announce_lock:
            self._announcing = False
            version = self._announced
        if self._session is not None and self._connection is not None and not self._is_stopping:
            self._session.committed(version)
            self._connection.pump()
            self._client.loop.call_soon(self._push_progress)  # after the upload went out

    def add_wait(self, wait: Wait) -> None:
        """Carry a wait (spec/sessions.md §8.2)."""
        if self._is_stopping or wait.is_done:
            return
        # Those that were given up go here: there may be many while the server does not answer.
        self._waits = [one for one in self._waits if not one.is_done]
        if self._session is None or self._connection is None:
            self._waits.append(wait)  # registered once bound
        elif wait.kind is WaitKind.UPLOAD:
            try:
                wait.target = self._core.file.version if self._core.hears_commits else self._announced
            except (SynclineError, OSError) as error:  # our successor will carry it
                self._local_fault(error)
                return
            self._waits.append(wait)
            self._check_uploads()
        else:
            wait.mark = self._session.request_mark()
            self._waits.append(wait)
            self._connection.pump()

    def reconnect(self) -> None:
        """Skip delays (spec/sessions.md §5.4)."""
        if self._connection is not None and self._session is not None and not self._is_stopping:
            self._session.resume()
            self._connection.reconnect_now()

    def token_renewed(self) -> None:
        """A new access token: for the next connection, without delay.

        A session whose last one was refused goes on, and one that was to try again later does so now (§6.2).
        """
        if self._connection is None:
            return
        self._connection.renewed(self)
        session = self._session
        if session is None or self._is_stopping:
            return
        if self._awaits_token or session.resume_at_ms is not None:
            self._awaits_token = False
            session.resume()
            self._connection.pump()

    # --- what the connection asks for ---------------------------------------------------------------------------------

    def socket_options(self) -> SocketOptions:
        """How to open the next socket."""
        manager, token = self._core.manager, self._user.access_token or ""
        headers = dict(manager.custom_request_headers or {})
        if self._configuration.authorization_header_name is not None:
            headers[self._configuration.authorization_header_name] = f"Bearer {token}"
        return SocketOptions(
            token=token,
            user_agent=self._client.user_agent,
            headers=headers,
            proxy=manager.proxy,
            verify_certificate=self._configuration.enable_ssl_validation,
            pinned_certificate_path=self._configuration.pinned_certificate_path,
            connect_timeout_ms=self._client.connect_timeout_ms,
            max_message_bytes=self._client.settings.limits.message,
        )

    def is_route_verified(self) -> bool:
        """Whether a handshake ever succeeded at the user's present route."""
        return self._user.is_route_verified or self._user.is_direct

    def route_verified(self) -> None:
        """A handshake succeeded."""
        self._user.is_route_verified = True

    def connection_changed(self, state: ConnectionState, failure: Failure | None = None) -> None:
        """The connection went to ``state``; a suspended session is not concerned (spec/sessions.md §7.1)."""
        if not (self._is_suspended or self._is_stopping):
            self._core.connection_changed(self, state, failure)

    # --- what the machine says ----------------------------------------------------------------------------------------

    def ident_received(self, event: IdentReceived) -> None:
        """Store the identity of the file."""
        ident, realm = event.file_ident, self._configuration.bind_path

        def stored(version: int | None, error: Exception | None) -> None:
            self._is_working = False
            if self._is_stopping:
                self._finish()
            elif version is None:
                self._local_fault(error)
            elif self._connection is not None:
                self._raise_announced(version)
                event.session.ident_stored(version)
                self._connection.pump()

        self._is_working = True
        self._client.work(self._as_worker(lambda: self._history.set_file_ident(ident.ident, ident.salt, realm)), stored)

    def upload_wanted(self, event: UploadWanted) -> None:
        """Answer with the next own changesets."""
        try:
            entries, cursor = self._history.uploadable(event.cursor)
        except (SynclineError, OSError) as error:  # the file cannot be read
            self._local_fault(error)
            return
        if self._is_retired:  # while they were read: something among them may be of later
            return
        event.session.committed(cursor.client_version)
        event.session.supply_upload(event, entries, cursor)
        if entries:
            self._transfers.uploading(entries)

    def download_received(self, event: DownloadReceived) -> None:
        """Integrate it, after those before it."""
        self._downloads.append(event)
        if self._connection is not None:
            self._connection.integrating(event.size)
        self._integrate_next(_BATCH_DOWNLOADS)

    def download_completed(self, mark: int) -> None:
        """Everything the server had at a mark is here."""
        self._push_progress()
        for wait in [wait for wait in self._waits if wait.kind is WaitKind.DOWNLOAD and wait.mark <= mark]:
            self._complete(wait)

    def error_received(self, event: SessionError) -> None:
        """The server reported an error for this session."""
        failure = Failure.of_message(event.error)
        if event.is_suspended:
            self._is_suspended = True
            self._awaits_token = consequence(failure).effect in _AWAIT_TOKEN
        self._core.failed(self, failure, disconnected=event.is_suspended)

    def resumed(self, state: ConnectionState) -> None:
        """The suspension is over; the connection is in ``state``."""
        self._is_suspended = False
        if state is not ConnectionState.DISCONNECTED:
            self.connection_changed(ConnectionState.CONNECTING)
        if state is ConnectionState.CONNECTED:
            self.connection_changed(ConnectionState.CONNECTED)

    # --- integrating --------------------------------------------------------------------------------------------------

    def _integrate_next(self, most: int) -> None:
        """Have a worker integrate the downloads that are here, at most ``most`` of them, in one transaction."""
        if self._is_working or not self._downloads or self._is_stopping:
            return
        batch = self._batch(most)
        last = batch[-1]
        entries = batch[0].entries if len(batch) == 1 else [entry for event in batch for entry in event.entries]

        def done(version: int | None, error: Exception | None) -> None:
            self._integrated(batch, version, error)

        self._is_working = True
        self._client.work(self._as_worker(lambda: self._integrate(last, entries)), done)

    def _batch(self, most: int) -> list[DownloadReceived]:
        batch: list[DownloadReceived] = []
        size = 0
        for event in self._downloads:
            size += event.size
            if batch and (size > _BATCH_BYTES or len(batch) >= most):
                break
            batch.append(event)
        return batch

    def _integrate(self, last: DownloadReceived, entries: list[DownloadChangeset]) -> int:
        with self._transfers.integrating(entries):
            version = self._history.integrate(last.progress, entries, last.downloadable_bytes)
        return self._core.file.version if version is None else version

    def _integrated(self, batch: list[DownloadReceived], version: int | None, error: Exception | None) -> None:
        self._is_working = False
        if self._is_stopping:
            self._finish()
            return
        if version is None:
            self._not_integrated(batch, error)
            return
        connection, session = self._connection, self._session
        assert connection is not None
        assert session is not None
        self._raise_announced(version)
        progress = batch[-1].progress
        self._transfers.acknowledged(progress.upload.client_version)
        for event in batch:
            self._downloads.popleft()
            connection.integrated(event.size)
            session.integrated(progress, version)
        if self._progress is not None:
            self._progress.has_downloaded = True
        connection.pump()
        self._integrate_next(_BATCH_DOWNLOADS)
        self._push_progress()
        self._check_uploads()

    def _not_integrated(self, batch: list[DownloadReceived], error: Exception | None) -> None:
        """Nothing of ``batch`` was kept. Find the one to blame; tell the server, if it is to blame."""
        if len(batch) > 1:
            self._integrate_next(1)
            return
        if isinstance(error, ProtocolViolationError):
            code = ErrorCode.BAD_PROGRESS
        elif isinstance(error, BadChangesetError):
            code = ErrorCode.BAD_CHANGESET
        else:
            self._local_fault(error)
            return
        message = f"a download cannot be integrated: {error}"
        logger.error("%s: %s", self._core.path, message)
        assert self._session is not None
        assert self._connection is not None
        self._session.integration_failed(code, message)
        self._drop_downloads()
        self._connection.pump()
        failure = Failure(Status.BAD_CHANGESET, message, False, ErrorAction.WARNING, cause=error)
        self._core.failed(self, failure, disconnected=False)

    def _local_fault(self, error: Exception | None) -> None:
        """Our own file could not be read or written: not the server's affair. Try again later, from the start."""
        if not (self._is_stopping or self._is_faulty):
            self._is_faulty = True
            logger.error("%s: the file cannot be synced: %s", self._core.path, error)
            self._core.local_fault(self, error)

    def _drop_downloads(self) -> None:
        while self._downloads:
            event = self._downloads.popleft()
            if self._connection is not None:
                self._connection.integrated(event.size)

    def _as_worker(self, job: Callable[[], int]) -> Callable[[], int]:
        """``job``, whose commits are recognised as ours."""

        def run() -> int:
            self._worker_thread = threading.get_ident()
            try:
                return job()
            finally:
                self._worker_thread = 0

        return run

    def _raise_announced(self, version: int) -> None:
        with self._announce_lock:
            self._announced = max(self._announced, version)

    # --- telling ------------------------------------------------------------------------------------------------------

    def _check_uploads(self) -> None:
        """Complete the upload waits whose version the server has acknowledged (spec/sessions.md §8.2)."""
        waits = [wait for wait in self._waits if wait.kind is WaitKind.UPLOAD]
        if not waits:
            return
        try:
            entries, _ = self._history.uploadable(self._history.status().progress.upload, limit=1)
        except (SynclineError, OSError) as error:
            self._local_fault(error)
            return
        for wait in waits:
            if not entries or entries[0].client_version > wait.target:
                self._complete(wait)

    def _complete(self, wait: Wait) -> None:
        self._waits.remove(wait)
        self._core.wait_completed(wait)

    def _push_progress(self) -> None:
        """Tell the notifier, if a number has changed (spec/sessions.md §9.2)."""
        if self._progress is None or not self._progress.has_downloaded or self._is_stopping:
            return
        try:
            status = self._history.status()
        except (SynclineError, OSError) as error:
            self._local_fault(error)
            return
        self._progress.push(status)
