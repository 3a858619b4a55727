"""What clients uploaded, where merging made something else of it: what an explanation needs later.

The log keeps entries as they came out of the merge. Of those that met something (they or what they met were changed)
``rlm_original`` keeps the base, and the bytes as uploaded if they differ from the log's. Nothing is kept per rule:
whoever wants to know why merges again (``merge/story.py``). Written in the transaction of the entry itself; like the
log, it is for ever. Nothing is written where nothing met.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import apsw

from syncline.merge.integration import History, WindowEntry

__all__ = ["KEPT_FROM", "TABLE", "Original", "WatchedHistory", "keep"]

#: Key in ``rlm_meta``: the first version from which on everything that met something is kept without a gap.
KEPT_FROM: Final = "server_originals_from"

TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS rlm_original (version INTEGER PRIMARY KEY, base INTEGER NOT NULL, changeset BLOB)"
)


class Original(NamedTuple):
    """Of one entry of the log: the version it was based on, and the uploaded bytes; None: they are the log's."""

    version: int
    base: int
    changeset: bytes | None


def keep(connection: apsw.Connection, originals: Iterable[Original]) -> None:
    """Write them in the open transaction."""
    connection.executemany("INSERT INTO rlm_original VALUES (?, ?, ?)", originals)


class WatchedHistory:
    """A history that notes whether a merge rewrote something of it."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.is_rewritten = False

    def window(self, after: int, up_to: int) -> Iterable[WindowEntry]:
        """See :class:`syncline.merge.integration.History`."""
        return self._history.window(after, up_to)

    def set_reciprocals(self, reciprocals: Sequence[tuple[int, bytes]]) -> None:
        """See :class:`syncline.merge.integration.History`."""
        self.is_rewritten = True
        self._history.set_reciprocals(reciprocals)
