"""MemberBuffer: one set or dictionary during a write transaction, by sort key or by dictionary key."""

from __future__ import annotations

from typing import cast

import apsw

from syncline.storage.columns import Cell, SqlValue
from syncline.storage.layout import CollectionTable
from syncline.storage.tables import Place

__all__ = ["MemberBuffer"]


class MemberBuffer:
    """Members by their place. ``_known`` holds those looked at or written (None: there is none)."""

    def __init__(self, connection: apsw.Connection, table: CollectionTable, owner: int, is_new: bool) -> None:
        self.table = table
        self.owner = owner
        self._connection = connection
        self._known: dict[Place, Cell | None] = {}
        self._written: set[Place] = set()
        #: whatever is not in ``_known`` is not there
        self._complete = is_new
        #: SQLite may still have members from before a clear
        self._emptied = False
        #: the place that was written last
        self._newest: Place | None = None

    @property
    def is_dirty(self) -> bool:
        """Whether something waits to be written."""
        return self._emptied or bool(self._written)

    @property
    def weight(self) -> int:
        """How many members are held in memory."""
        return len(self._known) + 1

    def get(self, place: Place) -> Cell | None:
        """The member at a place, or None."""
        if place in self._known:
            return self._known[place]
        if self._complete:
            return None
        rows = self._connection.execute(self.table.cell_sql, (self.owner, place)).fetchall()
        cell = cast("Cell | None", rows[0] if rows else None)
        self._known[place] = cell
        return cell

    def put(self, place: Place, cell: Cell) -> None:
        """Create or replace the member at a place."""
        self._known[place] = cell
        self._newest = place
        self._written.add(place)

    def erase(self, place: Place) -> None:
        """Remove the member at a place."""
        self._known[place] = None
        self._written.add(place)

    def clear(self) -> None:
        """Remove all members."""
        self._known.clear()
        self._written.clear()
        self._complete = True
        self._emptied = True

    def newest(self) -> tuple[Place, Cell] | None:
        """The member that was written last, with its place, while it is there."""
        cell = None if self._newest is None else self._known.get(self._newest)
        return None if self._newest is None or cell is None else (self._newest, cell)

    def members(self) -> list[tuple[Place, Cell]]:
        """All members with their places, ascending."""
        if not self._complete:
            for row in self._connection.execute(self.table.items_sql, (self.owner,)).fetchall():
                self._known.setdefault(cast(Place, row[0]), row[1:])
            self._complete = True
        present = [(place, cell) for place, cell in self._known.items() if cell is not None]
        present.sort(key=_place_order)
        return present

    def count(self) -> int:
        """How many members there are."""
        if not self._complete and not self._written:
            return cast(int, self._connection.execute(self.table.count_sql, (self.owner,)).fetchall()[0][0])
        return len(self.members())

    def discard(self) -> None:
        """The owner is gone: nothing has to be written any more."""
        self._written.clear()
        self._emptied = False

    def flush(
        self, clears: list[tuple[int]], erasures: list[tuple[int, Place]], upserts: list[tuple[SqlValue, ...]]
    ) -> None:
        """Hand over what has to be written, for ``clear_sql``, ``erase_sql`` and ``upsert_sql`` in that order."""
        owner = self.owner
        if self._emptied:
            clears.append((owner,))
        for place in self._written:
            cell = self._known[place]
            if cell is not None:
                upserts.append((owner, *cell) if self.table.keyed_cell else (owner, place, *cell))
            elif not self._emptied:
                erasures.append((owner, place))
        self._written.clear()
        self._emptied = False


def _place_order(member: tuple[Place, Cell]) -> bytes:
    """By bytes: sort keys are, and SQLite orders text so."""
    place = member[0]
    if isinstance(place, bytes):
        return place
    return cast(str, place).encode()
