"""Taking uploads into the log and the state: what one commit group does (spec/merge.md §10.4, §10.5).

All of it is synchronous and runs on a worker thread, between the begin and the commit of one
:class:`~syncline.server.log_store.LogGroup`. Each client's part stands or falls alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from syncline.changesets.arrival import Arrivals, decode_arrival
from syncline.changesets.changeset import Changeset, UploadChangeset, UploadCursor
from syncline.changesets.codec import encode
from syncline.errors import BadChangesetError, RealmError, SynclineError
from syncline.merge.footprint import Footprint
from syncline.merge.integration import integrate
from syncline.merge.observer import MergeObserver
from syncline.merge.resets import spell_out
from syncline.protocol.errors import ErrorAction, ErrorCode
from syncline.server.inspection import Inspection
from syncline.server.log_store import STORAGE_FAILURES, ClientFile, LogEntry, LogGroup, LogStore
from syncline.server.originals import Original, WatchedHistory
from syncline.server.permissions import Level

__all__ = ["Integrated", "Refusal", "UploadPart", "UploadRefusedError", "integrate_alone", "integrate_part"]

_log = logging.getLogger("syncline.server")

#: Encoded bytes that are decoded, merged and applied in one go; bounds memory and the length of calls into the kernel.
_RUN_BYTES: Final = 1024 * 1024
#: Instructions that are applied in one call: some milliseconds.
_SLICE: Final = 4000
#: What larger changesets touch is not remembered: they are rare, and it would be as large as they are.
_FOOTPRINT_BYTES: Final = 16 * 1024

#: The server's ident in the discriminant and as origin of what it writes itself (spec/merge.md §8.4).
SERVER_IDENT: Final = 1


class Refusal(NamedTuple):
    """Why an upload is not taken: the session error that says so. ``action`` None means the code's usual one."""

    code: ErrorCode
    message: str
    action: ErrorAction | None = None


class UploadRefusedError(SynclineError):
    """An upload that breaks a rule other than those of changesets."""

    def __init__(self, code: ErrorCode, message: str, action: ErrorAction | None = None) -> None:
        super().__init__(message)
        self.refusal = Refusal(code, message, action)


class UploadPart(NamedTuple):
    """What one client file uploaded: entries of one or more messages, and where they lead.

    ``level`` asks for the user's permission as of now; ``schema_policy`` is the setting of that name; ``observer`` is
    told what the merge rules decide.
    """

    file_ident: int
    entries: Sequence[UploadChangeset]
    progress: UploadCursor
    locked_version: int
    level: Callable[[], Level]
    schema_policy: str
    observer: MergeObserver | None = None


class Integrated(NamedTuple):
    """What came of one part: its client file afterwards and its new entries, or the reason why nothing was kept."""

    file: ClientFile | None
    entries: list[LogEntry]
    refusal: Refusal | None = None


def integrate_part(group: LogGroup, part: UploadPart) -> Integrated:
    """Merge, apply and log one client's part beside others; if it is refused, it is undone alone.

    Raises:
        FileError, WriteTimeoutError: the whole group cannot go on.
    """
    try:
        with group.part():
            return _integrate(group, part)
    except STORAGE_FAILURES:
        raise
    except Exception as error:  # noqa: BLE001 - one client's bytes must not stop the others, whatever they run into
        return Integrated(None, [], _refusal(error, part))


def integrate_alone(store: LogStore, part: UploadPart) -> Integrated:
    """The same as a commit group of its own, which is cheaper: if the part is refused, so is the group.

    Raises:
        FileError, WriteTimeoutError: it cannot be made durable.
    """
    try:
        with store.group() as group:
            return _integrate(group, part)
    except STORAGE_FAILURES:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        return Integrated(None, [], _refusal(error, part))


def _refusal(error: Exception, part: UploadPart) -> Refusal:
    if isinstance(error, UploadRefusedError):
        return error.refusal
    if isinstance(error, BadChangesetError | RealmError):
        return Refusal(ErrorCode.BAD_CHANGESET, str(error))
    _log.error("an upload of client file %d failed in an unexpected way", part.file_ident, exc_info=error)
    return Refusal(ErrorCode.BAD_CHANGESET, f"the changeset could not be integrated ({type(error).__name__})")


def _integrate(group: LogGroup, part: UploadPart) -> Integrated:
    file = group.client_file(part.file_ident)
    if file is None:
        raise UploadRefusedError(ErrorCode.BAD_CLIENT_FILE_IDENT, "the client file is not known")
    if file.is_expired:
        raise UploadRefusedError(ErrorCode.CLIENT_FILE_EXPIRED, "the client file has expired")
    # Tested against the stored cursor under the append lock: what was sent again is silently skipped (§10.4).
    entries = [entry for entry in part.entries if entry.client_version > file.upload.client_version]
    appended: list[LogEntry] = []
    if entries:
        _check_authority(part)
        has_keyless = any(info.keyless for info in group.state.catalogue.by_id.values())
        inspection = Inspection(file.ident, has_keyless)
        head = group.status.head.version
        for run in _runs(entries):
            changesets = [_decode(entry, file, head, part, inspection) for entry in run]
            schema = group.state.catalogue
            history = WatchedHistory(group.history(file.ident))
            with Arrivals(changesets, [entry.changeset for entry in run]):
                integrate(history, SERVER_IDENT, head, changesets, _go_on, part.observer, schema)
                _apply(group, changesets)
            logged = [_append(group, file, changeset) for changeset in changesets]
            if history.is_rewritten or any(changeset.dirty for changeset in changesets):
                group.keep_originals(_originals(run, changesets, logged))
            appended += logged
    return Integrated(group.set_progress(file, part.progress, part.locked_version), appended)


def _apply(group: LogGroup, changesets: Sequence[Changeset]) -> None:
    """Apply in slices: a compiled call keeps the interpreter to itself, and the event loop waits for it."""
    batch: list[Changeset] = []
    size = 0
    for changeset in changesets:
        count = len(changeset.instructions)
        for start in range(0, count, _SLICE):
            if count > _SLICE:
                part = Changeset(changeset.instructions[start : start + _SLICE], changeset.strings)
            else:
                part = changeset
            batch.append(part)
            size += len(part.instructions)
            if size >= _SLICE:
                group.state.apply_all(batch)
                batch, size = [], 0
    if batch:
        group.state.apply_all(batch)


def _append(group: LogGroup, file: ClientFile, changeset: Changeset) -> LogEntry:
    if changeset.dirty:
        spell_out(changeset)
    data = encode(changeset)
    footprint = Footprint.of([changeset]) if len(data) <= _FOOTPRINT_BYTES else None
    return group.append(file.ident, changeset.version, changeset.origin_timestamp, data, footprint)


def _originals(
    uploaded: Sequence[UploadChangeset], merged: Sequence[Changeset], logged: Sequence[LogEntry]
) -> list[Original]:
    return [
        Original(entry.version, upload.last_integrated_server_version, upload.changeset if changeset.dirty else None)
        for upload, changeset, entry in zip(uploaded, merged, logged, strict=True)
    ]


def _check_authority(part: UploadPart) -> None:
    level = part.level()
    if level < Level.READ:
        raise UploadRefusedError(ErrorCode.PERMISSION_DENIED, "no access to this Realm")
    if level < Level.WRITE:
        raise UploadRefusedError(
            ErrorCode.WRITE_NOT_ALLOWED, "no permission to write to this Realm", ErrorAction.CLIENT_RESET_NO_RECOVERY
        )


def _decode(entry: UploadChangeset, file: ClientFile, head: int, part: UploadPart, inspection: Inspection) -> Changeset:
    if entry.origin_file_ident not in (0, file.ident):
        raise UploadRefusedError(ErrorCode.BAD_ORIGIN_FILE_IDENT, "the origin of a changeset is another client file")
    if not file.upload.last_integrated_server_version <= entry.last_integrated_server_version <= head:
        raise UploadRefusedError(ErrorCode.BAD_SERVER_VERSION, "a changeset is based on a version out of range")
    changeset = decode_arrival(
        entry.changeset,
        version=entry.client_version,
        base=entry.last_integrated_server_version,
        timestamp=entry.origin_timestamp,
        origin_file_ident=file.ident,
    )
    erased = inspection.look_at(changeset)
    if erased is not None and not (part.schema_policy == "admin" and part.level() >= Level.ADMIN):
        raise UploadRefusedError(ErrorCode.INVALID_SCHEMA_CHANGE, f"{erased} is not allowed on this server")
    return changeset


def _runs(entries: Sequence[UploadChangeset]) -> Iterator[Sequence[UploadChangeset]]:
    """The entries in runs of bounded size. One at a time or together, merging gives the same (spec/merge.md §8.2)."""
    start, size = 0, 0
    for index, entry in enumerate(entries):
        size += len(entry.changeset)
        if size >= _RUN_BYTES:
            yield entries[start : index + 1]
            start, size = index + 1, 0
    if start < len(entries):
        yield entries[start:]


def _go_on(changeset: Changeset) -> bool:
    return True
