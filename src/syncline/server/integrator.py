"""Taking uploads into the log and the state: what one commit group does (spec/merge.md §10.4, §10.5).

All of it is synchronous and runs on a worker thread, between the begin and the commit of one
:class:`~syncline.server.log_store.LogGroup`. Each client's part stands or falls alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from syncline.changesets.changeset import Changeset, UploadChangeset, UploadCursor
from syncline.changesets.codec import decode, encode
from syncline.errors import BadChangesetError, FileError, RealmError, SynclineError
from syncline.merge.integration import integrate
from syncline.protocol.errors import ErrorAction, ErrorCode
from syncline.server.inspection import inspect_upload
from syncline.server.log_store import ClientFile, LogEntry, LogGroup
from syncline.server.permissions import Level

__all__ = ["Refusal", "UploadPart", "UploadRefusedError", "integrate_part"]

_log = logging.getLogger("syncline.server")

#: Encoded bytes that are decoded, merged and applied in one go; bounds memory and the length of calls into the kernel.
_RUN_BYTES: Final = 256 * 1024

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

    ``level`` asks for the user's permission as of now; ``schema_policy`` is the setting of that name.
    """

    file_ident: int
    entries: Sequence[UploadChangeset]
    progress: UploadCursor
    locked_version: int
    level: Callable[[], Level]
    schema_policy: str


def integrate_part(group: LogGroup, part: UploadPart) -> tuple[list[LogEntry], Refusal | None]:
    """Merge, apply and log one client's part; the new entries, or the reason why nothing of it was kept.

    Raises:
        FileError: the whole group cannot go on.
    """
    try:
        with group.part():
            return _integrate(group, part), None
    except UploadRefusedError as error:
        return [], error.refusal
    except FileError:
        raise
    except (BadChangesetError, RealmError) as error:
        return [], Refusal(ErrorCode.BAD_CHANGESET, str(error))
    except Exception as error:  # noqa: BLE001 - a defect of ours met by one client's bytes must not stop the others
        _log.exception("an upload of client file %d failed in an unexpected way", part.file_ident)
        return [], Refusal(ErrorCode.BAD_CHANGESET, f"the changeset could not be integrated ({type(error).__name__})")


def _integrate(group: LogGroup, part: UploadPart) -> list[LogEntry]:
    file = group.client_file(part.file_ident)
    if file is None:
        raise UploadRefusedError(ErrorCode.BAD_CLIENT_FILE_IDENT, "the client file is not known")
    if file.is_expired:
        raise UploadRefusedError(ErrorCode.CLIENT_FILE_EXPIRED, "the client file has expired")
    # Tested against the stored cursor under the append lock: what was sent again is silently skipped (§10.4).
    entries = [entry for entry in part.entries if entry.client_version > file.upload.client_version]
    if entries:
        _check_authority(part)
    base, head = file.upload.last_integrated_server_version, group.head
    appended: list[LogEntry] = []
    for run in _runs(entries):
        changesets = [_decode(entry, file, base, head, part) for entry in run]
        integrate(group.history(file.ident), SERVER_IDENT, head, changesets, _go_on)
        group.state.apply_all(changesets)
        for changeset in changesets:
            appended.append(group.append(file.ident, changeset.version, changeset.origin_timestamp, encode(changeset)))
    group.set_progress(file.ident, part.progress, part.locked_version)
    return appended


def _check_authority(part: UploadPart) -> None:
    level = part.level()
    if level < Level.READ:
        raise UploadRefusedError(ErrorCode.PERMISSION_DENIED, "no access to this Realm")
    if level < Level.WRITE:
        raise UploadRefusedError(
            ErrorCode.WRITE_NOT_ALLOWED, "no permission to write to this Realm", ErrorAction.CLIENT_RESET_NO_RECOVERY
        )


def _decode(entry: UploadChangeset, file: ClientFile, base: int, head: int, part: UploadPart) -> Changeset:
    if entry.origin_file_ident not in (0, file.ident):
        raise UploadRefusedError(ErrorCode.BAD_ORIGIN_FILE_IDENT, "the origin of a changeset is another client file")
    if not base <= entry.last_integrated_server_version <= head:
        raise UploadRefusedError(ErrorCode.BAD_SERVER_VERSION, "a changeset is based on a version out of range")
    changeset = decode(entry.changeset)
    changeset.version = entry.client_version
    changeset.last_integrated_remote_version = entry.last_integrated_server_version
    changeset.origin_timestamp = entry.origin_timestamp
    changeset.origin_file_ident = file.ident
    erased = inspect_upload(changeset, file.ident)
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
