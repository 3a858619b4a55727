"""One commit group from its operations to its outcome: what a hub hands to a worker thread.

Operations that arrive while a group is being committed form the next one. New client files and uploads change the log;
IDENT only reads, and is answered after the commit, so that it sees everything that came before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from syncline.changesets.changeset import SaltedVersion, UploadChangeset, UploadCursor
from syncline.merge.observer import MergeObserver
from syncline.protocol.messages import Ident
from syncline.protocol.server_session import IdentFacts
from syncline.server.integrator import Integrated, Refusal, UploadPart, integrate_alone, integrate_part
from syncline.server.log_store import ClientFile, LogEntry, LogStatus, LogStore
from syncline.server.permissions import Level

__all__ = [
    "GroupOutcome",
    "IdentOperation",
    "NewFileOperation",
    "Operation",
    "UploadOperation",
    "Uploader",
    "run_group",
]


class Uploader(Protocol):
    """The session that uploads; parts are formed per uploader. ``level`` asks for its permission as of now."""

    @property
    def file_ident(self) -> int: ...

    def level(self) -> Level: ...


class NewFileOperation(NamedTuple):
    """A BIND that needs a client file ident."""

    user_id: str
    login_session: str
    is_subserver: bool


class IdentOperation(NamedTuple):
    """An IDENT: what is known of that file, for this user (spec/http-api.md §12, threat 1)."""

    request: Ident
    user_id: str
    is_subserver: bool


class UploadOperation(NamedTuple):
    """An UPLOAD that passed the checks of the protocol."""

    uploader: Uploader
    entries: Sequence[UploadChangeset]
    progress: UploadCursor
    locked_version: int


Operation = NewFileOperation | IdentOperation | UploadOperation


class GroupOutcome(NamedTuple):
    """What came of the group: the log's end, the new entries; per operation (by index) the new file or the facts; per
    uploader its stored cursor or the reason why nothing of its uploads was kept."""

    status: LogStatus
    entries: list[LogEntry]
    files: dict[int, ClientFile]
    facts: dict[int, IdentFacts]
    cursors: list[tuple[Uploader, UploadCursor]]
    refusals: list[tuple[Uploader, Refusal]]


def run_group(
    store: LogStore, operations: Sequence[Operation], schema_policy: str, observer: MergeObserver | None = None
) -> GroupOutcome:
    """Carry out the operations; when this returns, everything in the outcome is durable.

    ``observer`` is told what the merge rules decide.

    Raises:
        FileError: nothing was kept.
    """
    parts = _parts(operations, schema_policy, observer)
    new_files = [(index, op) for index, op in enumerate(operations) if isinstance(op, NewFileOperation)]
    files: dict[int, ClientFile] = {}
    done: list[tuple[Uploader, Integrated]] = []
    status: LogStatus | None = None
    if len(parts) == 1 and not new_files:
        uploader, part = parts[0]
        alone = integrate_alone(store, part)
        done.append((uploader, alone))
        if alone.entries:
            newest = alone.entries[-1]
            status = LogStatus(SaltedVersion(newest.version, newest.salt), newest.total)
    elif parts or new_files:
        with store.group() as group:
            for index, new_file in new_files:
                files[index] = group.new_client_file(*new_file)
            for uploader, part in parts:
                done.append((uploader, integrate_part(group, part)))
            status = group.status
    status = status or store.status()
    facts = {
        index: _facts(store, status, operation)
        for index, operation in enumerate(operations)
        if isinstance(operation, IdentOperation)
    }
    return GroupOutcome(
        status,
        [entry for _, integrated in done for entry in integrated.entries],
        files,
        facts,
        [(uploader, integrated.file.upload) for uploader, integrated in done if integrated.file is not None],
        [(uploader, integrated.refusal) for uploader, integrated in done if integrated.refusal is not None],
    )


def _parts(
    operations: Sequence[Operation], schema_policy: str, observer: MergeObserver | None
) -> list[tuple[Uploader, UploadPart]]:
    """One part per uploader, in order of first arrival."""
    uploads: dict[int, list[UploadOperation]] = {}
    for operation in operations:
        if isinstance(operation, UploadOperation):
            uploads.setdefault(id(operation.uploader), []).append(operation)
    parts = []
    for operations_of_one in uploads.values():
        last = operations_of_one[-1]
        entries = [entry for operation in operations_of_one for entry in operation.entries]
        part = UploadPart(
            last.uploader.file_ident,
            entries,
            last.progress,
            last.locked_version,
            last.uploader.level,
            schema_policy,
            observer,
        )
        parts.append((last.uploader, part))
    return parts


def _facts(store: LogStore, status: LogStatus, operation: IdentOperation) -> IdentFacts:
    request = operation.request
    salt = store.salt_of(request.latest_server_version.version)
    file = store.client_file(request.file_ident.ident)
    if file is None or file.user_id != operation.user_id:
        return IdentFacts(status.head.version, salt or 0, file_exists=False)
    return IdentFacts(
        current_version=status.head.version,
        latest_salt=salt or 0,
        file_exists=True,
        salt=file.salt,
        upload=file.upload,
        locked_version=file.locked_version,
        is_expired=file.is_expired,
        is_same_client_type=file.is_subserver == operation.is_subserver,
    )
