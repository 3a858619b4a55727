"""What a DOWNLOAD holds, and who may share it (spec/merge.md §10.6; architecture, *Encoded once*).

The history is cut at fixed places: after the entry with which its size passes a multiple of the soft limit. So fresh
clients and pure readers, who stand at the same places, share bodies that are encoded and compressed once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from syncline.changesets.changeset import DownloadChangeset, DownloadCursor
from syncline.protocol.bodies import EMPTY_BODY, encode_download_entries
from syncline.protocol.messages import Body
from syncline.server.log_store import LogEntry

__all__ = ["Chunk", "OwnChanges", "Tail", "encode_chunk", "scan"]

#: What an entry takes in memory besides its changeset, in bytes.
_ENTRY_OVERHEAD = 250

#: Origin of what the server itself wrote, on the wire (spec/merge.md §10.6).
_SERVER_ORIGIN = 1


class Scan(NamedTuple):
    """A stretch of the log as one client file sees it. ``total`` is the size of the log up to the cursor.

    ``is_personal``: changes of that file are in the stretch, so they were left out and nobody else may be sent this.
    """

    cursor: DownloadCursor
    entries: list[DownloadChangeset]
    size: int
    total: int
    is_complete: bool
    is_personal: bool
    origins: frozenset[int]


class Chunk(NamedTuple):
    """A stretch of the log, encoded. ``is_complete``: it ends at a fixed place, so more history does not change it."""

    cursor: DownloadCursor
    total: int
    is_complete: bool
    is_personal: bool
    origins: frozenset[int]
    body: Body

    def serves(self, file_ident: int, head: int) -> bool:
        """True if any file may be sent this, also that one, and there is not yet more to send along."""
        if self.is_personal or file_ident in self.origins:
            return False
        return self.is_complete or self.cursor.server_version == head


def scan(entries: Iterable[LogEntry], start: DownloadCursor, file_ident: int, limit: int) -> Scan:
    """The next DOWNLOAD of a client file that stands at ``start``; ``entries`` follow directly after it.

    Own changes are left out, but move the second part of the cursor. Ends at the first fixed place after something to
    send, or where the entries end.
    """
    version, client_version = start
    found: list[DownloadChangeset] = []
    origins: set[int] = set()
    size = total = 0
    is_complete = False
    for entry in entries:
        version, before, total = entry.version, total, entry.total
        origins.add(entry.origin)
        if entry.origin == file_ident:
            client_version = entry.client_version
        elif entry.changeset:
            length = len(entry.changeset)
            size += length
            before = total - length
            found.append(
                DownloadChangeset(
                    version, client_version, entry.timestamp, entry.origin or _SERVER_ORIGIN, length, entry.changeset
                )
            )
        if found and total // limit != before // limit:
            is_complete = True
            break
    cursor = DownloadCursor(version, client_version)
    return Scan(cursor, found, size, total, is_complete, file_ident in origins, frozenset(origins))


def encode_chunk(result: Scan) -> Chunk:
    """Encode and compress; for large ones call it on a worker thread."""
    body = encode_download_entries(result.entries) if result.entries else EMPTY_BODY
    return Chunk(result.cursor, result.total, result.is_complete, result.is_personal, result.origins, body)


class Tail:
    """The newest entries of one log in memory, without gaps: at most ``limit`` bytes; the oldest go first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: list[LogEntry] = []
        self.size = 0

    def extend(self, entries: list[LogEntry]) -> None:
        if self._entries and entries and entries[0].version != self._entries[-1].version + 1:
            self._entries.clear()
            self.size = 0
        self._entries += entries
        self.size += sum(map(_cost, entries))
        if self.size > self._limit:
            self._shorten()

    def _shorten(self) -> None:
        """Down to three quarters of the limit, so that it is not done again and again."""
        dropped = 0
        while self.size > self._limit * 3 // 4:
            self.size -= _cost(self._entries[dropped])
            dropped += 1
        del self._entries[:dropped]

    @property
    def newest(self) -> int:
        """The newest version in it; 0 if it is empty."""
        return self._entries[-1].version if self._entries else 0

    def stretch(self, version: int, limit: int) -> list[LogEntry] | None:
        """The entries after the version up to the next fixed place; None if the tail does not reach back so far."""
        if not self._entries or not self._entries[0].version - 1 <= version < self.newest:
            return None
        begin = version + 1 - self._entries[0].version
        first = self._entries[begin]
        place = ((first.total - len(first.changeset)) // limit + 1) * limit
        end = bisect_left(self._entries, place, lo=begin, key=_total)
        return self._entries[begin : end + 1]


class OwnChanges:
    """What a client file itself put into the log after the place where its downloads stand. It will not be sent that:
    in what is said to be left for it, it does not count.

    ``unknown_up_to``: what there is up to this version has to be looked up first, by :meth:`learn`; 0: nothing has.
    """

    def __init__(self, unknown_up_to: int = 0) -> None:
        self.unknown_up_to = unknown_up_to
        self._entries: deque[tuple[int, int]] = deque()
        self._size = 0

    def add(self, version: int, size: int) -> None:
        """The file has put ``size`` bytes into the log, as ``version``, which is the newest."""
        self._entries.append((version, size))
        self._size += size

    def learn(self, entries: list[tuple[int, int]]) -> None:
        """Versions and sizes of what was unknown, ascending."""
        if self.unknown_up_to:
            self.unknown_up_to = 0
            self._entries.extendleft(reversed(entries))
            self._size += sum(size for _, size in entries)

    def left_after(self, version: int) -> int:
        """Bytes after ``version``. Where the downloads stand they do not go back from: what is before is forgotten."""
        if version >= self.unknown_up_to:
            self.unknown_up_to = 0
        while self._entries and self._entries[0][0] <= version:
            self._size -= self._entries.popleft()[1]
        return self._size


def _cost(entry: LogEntry) -> int:
    return len(entry.changeset) + _ENTRY_OVERHEAD


def _total(entry: LogEntry) -> int:
    return entry.total
