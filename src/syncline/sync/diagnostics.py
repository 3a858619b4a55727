"""What a session can tell about itself: ``session.diagnostics()``, ``manager.diagnostics()``, ``syncline status``.

Frozen snapshots, made when somebody asks; until then a session only notes a few numbers. Nothing in them is secret:
no tokens, no passwords, no salts. ``to_dict()`` gives what :func:`json.dumps` takes: times as ISO 8601 in UTC, states
as words.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import sys
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from syncline.errors import SyncError, SynclineError
from syncline.storage.file import RealmFile
from syncline.storage.standing import Standing, standing
from syncline.sync.progress import transfer_estimate
from syncline.sync.states import ClientResetMode, ConnectionState, SyncProgress, SyncSessionState
from syncline.version import __version__

if TYPE_CHECKING:
    from syncline.sync.client_reset import ClientReset
    from syncline.sync.manager import SyncManager
    from syncline.sync.protocol_session import ProtocolSession
    from syncline.sync.session_core import SessionCore

__all__ = [
    "ClientResetDiagnostics",
    "ConnectionDiagnostics",
    "Diagnostics",
    "ErrorLog",
    "ErrorRecord",
    "FileDiagnostics",
    "ManagerDiagnostics",
    "SessionDiagnostics",
    "file_diagnostics",
    "lost_session",
    "manager_diagnostics",
    "session_diagnostics",
]

_MAX_ERRORS: Final = 16
_MAX_TEXT: Final = 1000
_TOKEN: Final = re.compile(r"\beyJ[\w-]*\.[\w-]+(\.[\w-]*)*")
"""A signed token, wherever a text quotes one."""


@dataclass(frozen=True)
class Diagnostics:
    """Base of the snapshots."""

    def to_dict(self) -> dict[str, Any]:
        """All fields, nested ones too, as JSON can hold them."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


@dataclass(frozen=True)
class ErrorRecord(Diagnostics):
    """An error of a session, reported to the application or not.

    ``code`` is the name of a :class:`~syncline.errors.SyncErrorCode`, ``server_code`` the number on the wire,
    ``status`` realm-core's name of it. The same error over and over is one record: ``first_time``, ``time`` (the
    latest), ``count``.
    """

    time: datetime
    first_time: datetime
    count: int
    code: str
    text: str
    is_fatal: bool
    status: str | None = None
    server_code: int | None = None


@dataclass(frozen=True)
class FileDiagnostics(Diagnostics):
    """Where the local file stands; also known while no process syncs it.

    ``file_ident``: which client file the server takes it for, 0 if it never connected. ``latest_server_version``: the
    newest one heard of. ``download_server_version``: what is integrated, which was based on our
    ``download_client_version``; ``upload_client_version``: what the server has acknowledged, as of its
    ``upload_server_version``. ``pending_changes`` commits with ``pending_bytes`` of changesets are not acknowledged.
    ``uploaded_bytes`` and so on are the counters of spec/sessions.md §9.2.
    """

    path: str
    file_ident: int
    local_version: int
    latest_server_version: int
    download_server_version: int
    download_client_version: int
    upload_client_version: int
    upload_server_version: int
    pending_changes: int
    pending_bytes: int
    uploaded_bytes: int
    uploadable_bytes: int
    downloaded_bytes: int
    downloadable_bytes: int


@dataclass(frozen=True)
class ConnectionDiagnostics(Diagnostics):
    """The connection as the session sees it (spec/sessions.md §7); None where nothing is known (yet).

    The session may share it with others of its user: ``bytes_sent`` and ``bytes_received`` (sync messages as they went
    over the wire), ``attempts``, ``connections`` and round trips are of all of them, since the program's start.
    ``next_attempt`` and ``retry_delay`` (seconds from now; 0: at once) are known while an attempt is being delayed;
    ``is_waiting_to_be_told``: none is made before ``reconnect()`` or a new token. Round trips are those of pings, in
    milliseconds: the latest one, and smoothed as TCP does (⅞ old, ⅛ new).
    """

    state: ConnectionState
    since: datetime
    server_url: str | None = None
    protocol_version: int | None = None
    attempts: int = 0
    connections: int = 0
    last_attempt: datetime | None = None
    next_attempt: datetime | None = None
    retry_delay: float | None = None
    is_waiting_to_be_told: bool = False
    round_trip_ms: int | None = None
    smoothed_round_trip_ms: float | None = None
    bytes_sent: int = 0
    bytes_received: int = 0


@dataclass(frozen=True)
class ClientResetDiagnostics(Diagnostics):
    """A client reset that runs (spec/sessions.md §12): nothing is uploaded meanwhile.

    ``step``: ``downloading a fresh copy``, ``before_client_reset``, ``rewriting the file``, ``after_client_reset`` (the
    application's callbacks). ``mode``: what the configuration wants; ``cause``: what the server said. ``downloaded``:
    how much of the fresh copy is here, None before the server has said how much there is.
    """

    since: datetime
    step: str
    mode: ClientResetMode
    cause: str
    downloaded: SyncProgress | None = None


@dataclass(frozen=True)
class SessionDiagnostics(Diagnostics):
    """A session at one moment.

    ``activity`` says more than ``state``: ``inactive``, ``waiting for access token``, ``active``, ``dying`` (finishing
    its uploads), ``paused``. ``file`` is None if the file cannot be read now; ``upload`` and ``download`` then, too.
    ``errors``: the latest ones, the newest last, at most 16. ``client_reset``: the one that runs, if one does.
    """

    path: str
    state: SyncSessionState
    activity: str
    realm_url: str | None = None
    user_identity: str | None = None
    connection: ConnectionDiagnostics | None = None
    file: FileDiagnostics | None = None
    upload: SyncProgress | None = None
    download: SyncProgress | None = None
    errors: tuple[ErrorRecord, ...] = ()
    client_reset: ClientResetDiagnostics | None = None


@dataclass(frozen=True)
class ManagerDiagnostics(Diagnostics):
    """All sessions of a manager, with the process it is in. ``bytes_*``: of all its connections together."""

    time: datetime
    pid: int
    program: str
    syncline_version: str
    directory: str
    bytes_sent: int
    bytes_received: int
    sessions: tuple[SessionDiagnostics, ...]


class ErrorLog:
    """The latest errors of a session. Appended to under the session's lock."""

    def __init__(self) -> None:
        self._records: deque[ErrorRecord] = deque(maxlen=_MAX_ERRORS)

    def add(self, error: SyncError) -> None:
        """Note an error; if it is the last one again, it is counted."""
        now = datetime.now(UTC)
        text = _without_tokens(error.message)
        record = ErrorRecord(now, now, 1, error.code.name, text, error.is_fatal, error.status, error.server_code)
        last = self._records[-1] if self._records else None
        if last is not None and _what(last) == _what(record):
            self._records[-1] = dataclasses.replace(last, time=now, count=last.count + 1)
        else:
            self._records.append(record)

    def records(self) -> tuple[ErrorRecord, ...]:
        """The newest last."""
        return tuple(self._records)


def session_diagnostics(core: SessionCore) -> SessionDiagnostics:
    """The snapshot of a session. Any thread; reads the file on a connection of its own, so that nobody waits."""
    configuration = core.configuration
    state, activity = core.state, core.internal_state
    file = _file_of(core)
    return SessionDiagnostics(
        path=core.path,
        state=state,
        activity="invalid" if state is SyncSessionState.INVALID else activity.value,
        realm_url=configuration.resolved_url,
        user_identity=configuration.user.identity,
        connection=_connection(core.connection_state, core.connection_since, core.protocol),
        file=file,
        upload=None if file is None else _upload(core, file),
        download=None if file is None else _download(core, file),
        errors=core.errors.records(),
        client_reset=_client_reset(core.reset),
    )


def lost_session(path: str) -> SessionDiagnostics:
    """The snapshot of a session that is gone."""
    return SessionDiagnostics(path, SyncSessionState.INVALID, "invalid")


def manager_diagnostics(manager: SyncManager) -> ManagerDiagnostics:
    """The snapshot of all sessions, those too that only finish their uploads. Makes no client."""
    traffic = manager.known_traffic
    return ManagerDiagnostics(
        time=datetime.now(UTC),
        pid=os.getpid(),
        program=os.path.basename(sys.argv[0]) if sys.argv else "",  # arguments may hold secrets
        syncline_version=__version__,
        directory=str(manager.base_directory),
        bytes_sent=traffic.bytes_sent,
        bytes_received=traffic.bytes_received,
        sessions=tuple(session_diagnostics(core) for core in manager.registry.all()),
    )


def file_diagnostics(file: RealmFile) -> FileDiagnostics:
    """Where an open file with a history stands. Raises FileError if it cannot be read, ClosedRealmError."""
    with file.reading_alone() as reader:
        found: Standing = standing(reader.connection)
    progress, counters = found.progress, found.counters
    return FileDiagnostics(
        path=file.path,
        file_ident=found.file_ident,
        local_version=found.version,
        latest_server_version=progress.latest_server_version.version,
        download_server_version=progress.download.server_version,
        download_client_version=progress.download.last_integrated_client_version,
        upload_client_version=progress.upload.client_version,
        upload_server_version=progress.upload.last_integrated_server_version,
        pending_changes=found.pending_changes,
        pending_bytes=found.pending_bytes,
        uploaded_bytes=counters.uploaded,
        uploadable_bytes=counters.uploadable,
        downloaded_bytes=counters.downloaded,
        downloadable_bytes=counters.downloadable,
    )


def _file_of(core: SessionCore) -> FileDiagnostics | None:
    try:
        return file_diagnostics(core.file)
    except (SynclineError, OSError):  # closed with its last Realm, or unreadable: the errors say which
        return None


def _connection(state: ConnectionState, since: float, protocol: ProtocolSession | None) -> ConnectionDiagnostics:
    connection = None if protocol is None else protocol.connection
    if protocol is None or connection is None:
        return ConnectionDiagnostics(state, _moment(since))
    record, traffic = connection.record, connection.traffic
    delay = protocol.delay() if state is ConnectionState.DISCONNECTED else None
    is_finite = delay is not None and delay < math.inf
    return ConnectionDiagnostics(
        state=state,
        since=_moment(since),
        server_url=connection.endpoint.url,
        protocol_version=record.protocol_version,
        attempts=record.attempts,
        connections=record.connections,
        last_attempt=None if record.last_attempt is None else _moment(record.last_attempt),
        next_attempt=_moment(time.time() + delay) if delay is not None and is_finite else None,
        retry_delay=delay if is_finite else None,
        is_waiting_to_be_told=delay == math.inf,
        round_trip_ms=record.round_trip_ms,
        smoothed_round_trip_ms=record.smoothed_round_trip_ms,
        bytes_sent=traffic.bytes_sent,
        bytes_received=traffic.bytes_received,
    )


def _client_reset(reset: ClientReset | None) -> ClientResetDiagnostics | None:
    if reset is None:
        return None
    assert reset.mode is not None
    known = reset.downloaded
    downloaded = None
    if known is not None:
        estimate = transfer_estimate(known.downloaded, known.downloadable, known.download_base)
        downloaded = SyncProgress(known.downloaded, known.downloadable, estimate)
    cause = _without_tokens(reset.cause)
    return ClientResetDiagnostics(_moment(reset.since), reset.step.value, reset.mode, cause, downloaded)


def _upload(core: SessionCore, file: FileDiagnostics) -> SyncProgress:
    known = core.progress.current
    done, total = file.uploaded_bytes, file.uploadable_bytes
    return SyncProgress(done, total, transfer_estimate(done, total, 0 if known is None else known.upload_base))


def _download(core: SessionCore, file: FileDiagnostics) -> SyncProgress:
    known = core.progress.current
    done, total = file.downloaded_bytes, file.downloadable_bytes
    return SyncProgress(done, total, transfer_estimate(done, total, 0 if known is None else known.download_base))


def _without_tokens(text: str) -> str:
    return _TOKEN.sub("[token]", text)[:_MAX_TEXT]


def _what(record: ErrorRecord) -> tuple[object, ...]:
    return (record.code, record.status, record.server_code, record.text, record.is_fatal)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, Diagnostics):
        return value.to_dict()
    if isinstance(value, SyncProgress):
        return dataclasses.asdict(value)
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
