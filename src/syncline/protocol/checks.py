"""The checks of progress that each side makes on the other (spec/wire-protocol.md §7.5, §10.3, §10.4).

The server's checks return an error code, 0 for none; the client's raise, since a violation ends the connection.
"""

from __future__ import annotations

from typing import NamedTuple

from syncline.changesets.changeset import DownloadCursor, SyncProgress, UploadCursor
from syncline.errors import ProtocolViolationError
from syncline.protocol.errors import ErrorCode
from syncline.protocol.messages import BatchState, Download, Ident, Upload

__all__ = ["IdentFacts", "UploadState", "check_download", "check_ident", "check_integration", "check_upload"]


# --- the client -------------------------------------------------------------------------------------------------------


def check_download(message: Download, before: SyncProgress, local_version: int, own_ident: int, strict: bool) -> None:
    """Check a DOWNLOAD against the progress ``before`` it (rows 1 to 11 of spec/wire-protocol.md §7.5).

    Args:
        local_version: newest client version.
        own_ident: the client file's ident.
        strict: partition-based sync, where every entry has a server version of its own.

    Raises:
        ProtocolViolationError: the first row that does not hold.
    """
    now = message.progress
    download = now.download
    _require(now.latest_server_version.version >= before.latest_server_version.version, "the latest version decreases")
    _require(now.upload.client_version >= before.upload.client_version, "the upload client version decreases")
    _require(now.upload.client_version <= local_version, "an upload client version that the client does not have")
    _require(download.server_version >= before.download.server_version, "the download server version decreases")
    _require(
        download.server_version <= now.latest_server_version.version, "a download cursor beyond the latest version"
    )
    integrated = download.last_integrated_client_version
    previous_integrated = before.download.last_integrated_client_version
    _require(integrated >= previous_integrated, "the download client version decreases")
    _require(integrated <= now.upload.client_version, "a download client version beyond the upload cursor")
    _require(
        download.server_version >= now.upload.last_integrated_server_version,
        "an upload server version beyond the download cursor",
    )
    _check_entries(message, before.download, own_ident, strict)


def _check_entries(message: Download, before: DownloadCursor, own_ident: int, strict: bool) -> None:
    cursor = message.progress.download
    version = before.server_version
    base = before.last_integrated_client_version
    for entry in message.entries:
        if strict:
            _require(entry.server_version > version, "server versions of entries that do not increase")
        else:
            _require(entry.server_version >= version, "server versions of entries that decrease")
            _require(entry.server_version > 0, "an entry with server version 0")
        _require(entry.server_version <= cursor.server_version, "an entry beyond the download cursor")
        _require(entry.last_integrated_client_version >= base, "client versions of entries that decrease")
        _require(
            entry.last_integrated_client_version <= cursor.last_integrated_client_version,
            "an entry with a client version beyond the download cursor",
        )
        _require(entry.origin_file_ident > 0, "an entry without an origin")
        _require(entry.origin_file_ident != own_ident, "an entry that this client made itself")
        version = entry.server_version
        base = entry.last_integrated_client_version


def _require(condition: bool, complaint: str) -> None:
    if not condition:
        raise ProtocolViolationError(f"download: {complaint}")


def check_integration(stored: SyncProgress, progress: SyncProgress, entry_count: int, state: BatchState) -> str:
    """Rows 13 and 14, which the driver checks when it integrates: the complaint for error 233, "" for none."""
    if state is BatchState.MORE_TO_COME and entry_count == 0:
        return "a bootstrap batch without changesets that is not the last"
    server_version = progress.upload.last_integrated_server_version
    if 0 < server_version < stored.upload.last_integrated_server_version:
        return "the upload server version decreases"
    return ""


# --- the server -------------------------------------------------------------------------------------------------------


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


def check_ident(request: Ident, facts: IdentFacts) -> int:
    """Rows 1 to 10 of spec/wire-protocol.md §10.3, in their order: the error code, or 0."""
    current = facts.current_version
    latest = request.latest_server_version
    download = request.download
    if latest.version > current:
        return ErrorCode.BAD_SERVER_VERSION
    if not facts.file_exists:
        return ErrorCode.BAD_CLIENT_FILE_IDENT
    if facts.salt == 0 or facts.salt != request.file_ident.salt:
        return ErrorCode.DIVERGING_HISTORIES
    if download.server_version < facts.upload.last_integrated_server_version:
        return ErrorCode.BAD_SERVER_VERSION
    if facts.is_expired:
        return ErrorCode.CLIENT_FILE_EXPIRED
    if download.server_version > current:
        return ErrorCode.BAD_SERVER_VERSION
    if download.last_integrated_client_version > facts.upload.client_version:
        return ErrorCode.BAD_CLIENT_VERSION
    if download.server_version > latest.version:
        return ErrorCode.BAD_SERVER_VERSION
    if latest.salt != (facts.latest_salt if latest.version else 0):
        return ErrorCode.DIVERGING_HISTORIES
    if not facts.is_same_client_type:
        return ErrorCode.BAD_CLIENT_FILE_IDENT
    return 0


class UploadState(NamedTuple):
    """What an UPLOAD is checked against: ``threshold`` stored at IDENT time, ``progress`` of the session's last UPLOAD,
    the ``download_version`` sent to it, and the ``locked_version`` it reported."""

    threshold: UploadCursor
    progress: UploadCursor
    download_version: int
    locked_version: int


def check_upload(upload: Upload, state: UploadState) -> int:
    """The rows of spec/wire-protocol.md §10.4, in their order: the error code, or 0."""
    progress = upload.progress
    if progress.client_version < state.progress.client_version:
        return ErrorCode.BAD_CLIENT_VERSION
    if progress.last_integrated_server_version > state.download_version:
        return ErrorCode.BAD_SERVER_VERSION
    if not (_consistent(progress) and _agree(progress, state.threshold) and _agree(progress, state.progress)):
        return ErrorCode.BAD_SERVER_VERSION
    if not state.locked_version <= upload.locked_server_version <= state.download_version:
        return ErrorCode.BAD_SERVER_VERSION
    previous = state.progress
    for entry in upload.entries:
        cursor = UploadCursor(entry.client_version, entry.last_integrated_server_version)
        if cursor.client_version <= previous.client_version:
            return ErrorCode.BAD_CLIENT_VERSION
        if not (_consistent(cursor) and _agree(cursor, previous) and _agree(cursor, state.threshold)):
            return ErrorCode.BAD_SERVER_VERSION
        previous = cursor
    if previous.client_version > progress.client_version:
        return ErrorCode.BAD_CLIENT_VERSION
    return 0 if _agree(previous, progress) else ErrorCode.BAD_SERVER_VERSION


def _consistent(cursor: UploadCursor) -> bool:
    """Nothing scanned: nothing integrated (spec/wire-protocol.md §5)."""
    return cursor.client_version > 0 or cursor.last_integrated_server_version == 0


def _agree(one: UploadCursor, other: UploadCursor) -> bool:
    """Mutually consistent: the order of client versions is that of server versions (spec/wire-protocol.md §5)."""
    if one.client_version == other.client_version:
        return one.last_integrated_server_version == other.last_integrated_server_version
    if one.client_version < other.client_version:
        return one.last_integrated_server_version <= other.last_integrated_server_version
    return one.last_integrated_server_version >= other.last_integrated_server_version
