"""Checks that are left to the drivers (spec/wire-protocol.md §7.5, rows 13 and 14)."""

from __future__ import annotations

import pytest

from syncline.changesets.changeset import DownloadCursor, SaltedVersion, SyncProgress, UploadCursor
from syncline.protocol import BatchState, check_integration

STORED = SyncProgress(SaltedVersion(5, 55), DownloadCursor(5, 3), UploadCursor(3, 4))


@pytest.mark.parametrize(
    ("server_version", "count", "state", "complaint"),
    [
        (4, 0, BatchState.STEADY_STATE, ""),
        (0, 0, BatchState.STEADY_STATE, ""),  # 0 is ignored
        (3, 0, BatchState.STEADY_STATE, "decreases"),
        (4, 0, BatchState.MORE_TO_COME, "without changesets"),
        (4, 1, BatchState.MORE_TO_COME, ""),
        (4, 0, BatchState.LAST_IN_BATCH, ""),
    ],
)
def test_what_the_driver_checks(server_version: int, count: int, state: BatchState, complaint: str) -> None:
    progress = STORED._replace(upload=UploadCursor(3, server_version))
    found = check_integration(STORED, progress, count, state)
    assert (complaint in found) if complaint else found == ""
