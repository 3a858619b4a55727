"""Where a synced file stands with its server, for whoever wants to look: versions, cursors, what is not uploaded.

One statement, so that all numbers are of one version. Counting what is pending reads as many rows as there are.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import apsw

from syncline.changesets.changeset import SyncProgress
from syncline.storage import sync_state
from syncline.storage.sync_state import SyncCounters, SyncState

__all__ = ["Standing", "standing"]

#: Keys of the rows that are not of ``rlm_sync``, whose keys are texts.
_VERSION: Final = 0
_PENDING: Final = 1
_PENDING_BYTES: Final = 2

_QUERY: Final = f"""
WITH pending(changes, bytes) AS (
  SELECT count(*), ifnull(sum(size), 0) FROM rlm_history WHERE origin = 0 AND size > 0
  AND version > ifnull((SELECT v FROM rlm_sync WHERE k = '{sync_state.UPLOAD_CLIENT}'), 0))
SELECT k, v FROM rlm_sync
UNION ALL SELECT {_VERSION}, max(version) FROM rlm_commit
UNION ALL SELECT {_PENDING}, changes FROM pending
UNION ALL SELECT {_PENDING_BYTES}, bytes FROM pending
"""


class Standing(NamedTuple):
    """``file_ident`` 0: the server gave none yet. Pending is what the server has not acknowledged."""

    version: int
    file_ident: int
    progress: SyncProgress
    counters: SyncCounters
    pending_changes: int
    pending_bytes: int


def standing(connection: apsw.Connection) -> Standing:
    """As of the version that ``connection`` reads, of a file that keeps a history."""
    values = dict(connection.execute(_QUERY))
    state = SyncState(values)
    return Standing(
        values[_VERSION],
        state[sync_state.FILE_IDENT],
        state.progress,
        state.counters,
        values[_PENDING],
        values[_PENDING_BYTES],
    )
