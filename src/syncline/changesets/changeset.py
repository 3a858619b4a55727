"""A decoded changeset with what travels beside it, and the cursors of progress.

Rules: spec/changesets.md §7, spec/merge.md §8.3.
"""

from __future__ import annotations

from typing import NamedTuple

from syncline.changesets.instructions import Instruction

__all__ = [
    "Changeset",
    "DownloadChangeset",
    "DownloadCursor",
    "SaltedVersion",
    "SyncProgress",
    "UploadChangeset",
    "UploadCursor",
]


class Changeset:
    """All instructions of one transaction, decoded, with the metadata that the merge needs.

    ``strings`` is the table of interned strings in index order; it survives merging, also where no instruction refers
    to an entry any more (spec/merge.md §3.2). ``version`` is the version at the side that sent it (or, for the
    receiver's own, at the receiver); ``last_integrated_remote_version`` the newest version of the *other* side that was
    integrated when it was made: its base. ``sequence`` breaks ties between equal versions. ``dirty`` tells that the
    merge changed it.
    """

    def __init__(
        self,
        instructions: list[Instruction],
        strings: list[str],
        version: int = 0,
        last_integrated_remote_version: int = 0,
        origin_timestamp: int = 0,
        origin_file_ident: int = 0,
        sequence: int = 0,
    ) -> None:
        self.instructions = instructions
        self.strings = strings
        self.version = version
        self.last_integrated_remote_version = last_integrated_remote_version
        self.origin_timestamp = origin_timestamp
        self.origin_file_ident = origin_file_ident
        self.sequence = sequence
        self.dirty = False


class DownloadCursor(NamedTuple):
    """How far a client has downloaded: server version, and the client version the server had integrated there."""

    server_version: int = 0
    last_integrated_client_version: int = 0


class UploadCursor(NamedTuple):
    """How far a client has uploaded: client version, and the server version the client had integrated there."""

    client_version: int = 0
    last_integrated_server_version: int = 0


class SaltedVersion(NamedTuple):
    """A server version with the random number stored beside it, which detects reused version numbers."""

    version: int = 0
    salt: int = 0


class SyncProgress(NamedTuple):
    """Everything a client knows of where it stands with the server (spec/wire-protocol.md §5)."""

    latest_server_version: SaltedVersion = SaltedVersion()
    download: DownloadCursor = DownloadCursor()
    upload: UploadCursor = UploadCursor()


class UploadChangeset(NamedTuple):
    """One entry of an UPLOAD: encoded bytes and metadata. ``origin_file_ident`` 0 means the uploading client."""

    client_version: int
    last_integrated_server_version: int
    origin_timestamp: int
    origin_file_ident: int
    changeset: bytes


class DownloadChangeset(NamedTuple):
    """One entry of a DOWNLOAD: encoded bytes and metadata. ``original_size`` counts for progress."""

    server_version: int
    last_integrated_client_version: int
    origin_timestamp: int
    origin_file_ident: int
    original_size: int
    changeset: bytes
