"""The own changes that downloads may have to be merged with, kept between downloads (spec/merge.md §8.2).

A client that was offline for long has many of them, and meets all of them with every download until the server has
caught up. So they stay in memory, with what each touches (its footprint): one that cannot meet what arrives costs
nothing but the look at its footprint.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import apsw

from syncline.changesets.codec import decode
from syncline.merge.footprint import Footprint
from syncline.merge.integration import WindowEntry

__all__ = ["OwnChanges"]

#: More than this is read again for every download (bytes of changesets).
LIMIT: Final = 4 * 1024 * 1024


class OwnChanges:
    """The history as :func:`syncline.merge.integration.integrate` sees it, on the writing connection.

    What is remembered is true for the running transaction; the writer clears it whenever that is rolled back.
    """

    def __init__(self, connection: apsw.Connection, limit: int = LIMIT) -> None:
        """``limit``: bytes of changesets that are remembered at most."""
        self._limit = limit
        self._connection = connection
        # entries with _after < version <= _up_to, ascending
        self._entries: list[WindowEntry] = []
        self._after = 0
        self._up_to = 0
        self._size = 0

    def clear(self) -> None:
        """Forget everything."""
        self._entries = []
        self._after = self._up_to = self._size = 0

    def drop(self, base: int) -> None:
        """Forget the entries up to ``base``: they are gone from the history."""
        if base <= self._after:
            return
        count = bisect_right(self._entries, base, key=_version)
        self._size -= sum(len(entry.changeset) for entry in self._entries[:count])
        del self._entries[:count]
        self._after = base
        self._up_to = max(self._up_to, base)

    def window(self, after: int, up_to: int) -> list[WindowEntry]:
        """See :class:`syncline.merge.integration.History`."""
        self._add_footprints(after)
        if self._after == self._up_to:
            self._after = self._up_to = after
        if after < self._after:
            self._entries = [*self._read(after, self._after), *self._entries]
            self._after = after
        if up_to > self._up_to:
            self._entries += self._read(self._up_to, up_to)
            self._up_to = up_to
        first = bisect_right(self._entries, after, key=_version)
        stop = bisect_right(self._entries, up_to, key=_version)
        found = self._entries[first:stop]
        if self._size > self._limit:
            self.clear()
        return found

    def _add_footprints(self, after: int) -> None:
        """For entries that are used a second time, which is when it pays."""
        for index in range(bisect_right(self._entries, after, key=_version), len(self._entries)):
            entry = self._entries[index]
            if entry.footprint is None:
                self._entries[index] = entry._replace(footprint=Footprint.of([decode(entry.changeset)]))

    def _read(self, after: int, up_to: int) -> list[WindowEntry]:
        rows = self._connection.execute(
            "SELECT version, timestamp, ifnull(reciprocal, changeset), reciprocal IS NOT NULL FROM rlm_history"
            " WHERE version > ? AND version <= ? AND origin = 0 AND size > 0 ORDER BY version",
            (after, up_to),
        )
        entries = [WindowEntry(version, timestamp, 0, data, bool(merged)) for version, timestamp, data, merged in rows]
        self._size += sum(len(entry.changeset) for entry in entries)
        return entries

    def set_reciprocals(self, reciprocals: Sequence[tuple[int, bytes]]) -> None:
        """See :class:`syncline.merge.integration.History`."""
        self._connection.executemany(
            "UPDATE rlm_history SET reciprocal = ? WHERE version = ?",
            [(data, version) for version, data in reciprocals],
        )
        changed = dict(reciprocals)
        for index, entry in enumerate(self._entries):
            data = changed.get(entry.version)
            if data is not None:
                self._size += len(data) - len(entry.changeset)
                self._entries[index] = entry._replace(changeset=data, is_reciprocal=True, footprint=None)


def _version(entry: WindowEntry) -> int:
    return entry.version
