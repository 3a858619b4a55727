"""Where a client file stands with its server: ``rlm_sync`` (spec/sdk.md §13.12, spec/merge.md §8.3, §9.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import apsw

from syncline.changesets.changeset import DownloadCursor, SaltedVersion, SyncProgress, UploadCursor
from syncline.storage.system import FIRST_VERSION

__all__ = ["SyncCounters", "SyncState", "progress_values"]

FILE_IDENT: Final = "file_ident"
FILE_SALT: Final = "file_salt"
HISTORY_BASE: Final = "history_base"
LATEST_VERSION: Final = "latest_server_version"
LATEST_SALT: Final = "latest_server_version_salt"
DOWNLOAD_SERVER: Final = "download_server_version"
DOWNLOAD_CLIENT: Final = "download_client_version"
UPLOAD_CLIENT: Final = "upload_client_version"
UPLOAD_SERVER: Final = "upload_server_version"
UPLOADED: Final = "uploaded_bytes"
UPLOADABLE: Final = "uploadable_bytes"
DOWNLOADED: Final = "downloaded_bytes"
REMAINING: Final = "remaining_bytes"

_DEFAULTS: Final[dict[str, int]] = {
    FILE_IDENT: 0,
    FILE_SALT: 0,
    HISTORY_BASE: FIRST_VERSION,
    LATEST_VERSION: 0,
    LATEST_SALT: 0,
    DOWNLOAD_SERVER: 0,
    DOWNLOAD_CLIENT: 0,
    UPLOAD_CLIENT: 0,
    UPLOAD_SERVER: 0,
    UPLOADED: 0,
    UPLOADABLE: 0,
    DOWNLOADED: 0,
    REMAINING: 0,
}


class SyncCounters(NamedTuple):
    """Bytes for progress notifications (spec/sessions.md §9.2); ``remaining``: what the server says is to come."""

    uploaded: int = 0
    uploadable: int = 0
    downloaded: int = 0
    remaining: int = 0

    @property
    def downloadable(self) -> int:
        """Downloaded plus remaining."""
        return self.downloaded + self.remaining


class SyncState:
    """The numbers of one version; the writer keeps those of the newest and changes them together with the file."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = dict(_DEFAULTS)
        for key in _DEFAULTS:
            value = values.get(key)
            if isinstance(value, int):
                self._values[key] = value

    @classmethod
    def load(cls, connection: apsw.Connection) -> SyncState:
        """As of the version ``connection`` reads."""
        return cls(dict(connection.execute("SELECT k, v FROM rlm_sync")))

    def __getitem__(self, key: str) -> int:
        return self._values[key]

    @property
    def progress(self) -> SyncProgress:
        """All cursors."""
        values = self._values
        return SyncProgress(
            SaltedVersion(values[LATEST_VERSION], values[LATEST_SALT]),
            DownloadCursor(values[DOWNLOAD_SERVER], values[DOWNLOAD_CLIENT]),
            UploadCursor(values[UPLOAD_CLIENT], values[UPLOAD_SERVER]),
        )

    @property
    def counters(self) -> SyncCounters:
        """All byte counters."""
        values = self._values
        return SyncCounters(values[UPLOADED], values[UPLOADABLE], values[DOWNLOADED], values[REMAINING])

    def change(self, connection: apsw.Connection, changes: Mapping[str, int]) -> bool:
        """Store what differs, in the open write transaction; whether anything did."""
        rows = [(key, value) for key, value in changes.items() if self._values[key] != value]
        if rows:
            connection.executemany("INSERT OR REPLACE INTO rlm_sync VALUES(?, ?)", rows)
            self._values.update(rows)
        return bool(rows)


def progress_values(progress: SyncProgress) -> dict[str, int]:
    """``progress`` by keys, for :meth:`SyncState.change`."""
    return {
        LATEST_VERSION: progress.latest_server_version.version,
        LATEST_SALT: progress.latest_server_version.salt,
        DOWNLOAD_SERVER: progress.download.server_version,
        DOWNLOAD_CLIENT: progress.download.last_integrated_client_version,
        UPLOAD_CLIENT: progress.upload.client_version,
        UPLOAD_SERVER: progress.upload.last_integrated_server_version,
    }
