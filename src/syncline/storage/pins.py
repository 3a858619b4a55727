"""Change logs that other processes still need (spec/sdk.md §13.8).

Every commit leaves a change log, for observers that are told of it later; the process that commits drops those that
nobody needs. Which versions its own snapshots hold it knows. A process that lags far behind says so in ``rlm_meta``
under ``pin:<uuid>``: the oldest version that it holds, and when it said so. What was said long ago is ignored: that
process is gone, or hangs. Whose change logs are gone nevertheless compares everything.

The thread that looks for commits of others attends to it. Who keeps up with them says nothing and writes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

import apsw

from syncline.storage import system

__all__ = ["STALE", "VersionPin", "oldest_pinned", "store"]

#: Keys in ``rlm_meta``; the value is ``version,seconds``.
_PREFIX: Final = "pin:"
#: Seconds after which a pin that was not renewed does not count.
STALE: Final = 300

#: How many versions a process lags behind before it says so; well below the change logs that are kept anyway.
_LAG: Final = 64
#: Seconds from one change of a pin to the next, and after which one is said again.
_PAUSE: Final = 3.0
_RENEWAL: Final = 60.0


class VersionPin:
    """What this process says of one file.

    ``oldest`` gives the oldest version that it holds. ``write`` stores a pin, or removes it for None, and says whether
    it could, which it cannot while somebody else writes.
    """

    def __init__(self, oldest: Callable[[], int | None], write: Callable[[str, int | None], bool]) -> None:
        self._key = f"{_PREFIX}{uuid.uuid4().hex}"
        self._oldest = oldest
        self._write = write
        self._said: int | None = None
        self._not_before = 0.0
        self._renew_at = 0.0

    def attend(self, newest: int, now: float) -> None:
        """Say what has changed; ``newest``: the newest version of the file, ``now``: monotonic seconds."""
        if now < self._not_before:
            return
        oldest = self._oldest()
        version = oldest if oldest is not None and newest - oldest >= _LAG else None
        if version == self._said and (version is None or now < self._renew_at):
            return
        self._not_before = now + _PAUSE  # also if writing fails, as on a full disk
        if self._write(self._key, version):
            self._said, self._renew_at = version, now + _RENEWAL
        else:
            self._not_before = now


def store(connection: apsw.Connection, key: str, version: int | None, now: int) -> None:
    """Store a pin in the open write transaction; ``now`` in seconds of whatever clock all use."""
    system.set_meta_value(connection, key, None if version is None else f"{version},{now}")


def oldest_pinned(connection: apsw.Connection, now: int) -> int | None:
    """The oldest version that a process says it holds; drops what was said long ago, in the open write transaction."""
    oldest: int | None = None
    rows = connection.execute("SELECT k, v FROM rlm_meta WHERE k BETWEEN ? AND ?", (_PREFIX, _PREFIX + "~")).fetchall()
    for key, value in rows:
        version, _, said = str(value).partition(",")
        if not (version.isdecimal() and said.isdecimal()) or abs(now - int(said)) > STALE:
            connection.execute("DELETE FROM rlm_meta WHERE k = ?", (key,))
        elif oldest is None or int(version) < oldest:
            oldest = int(version)
    return oldest
