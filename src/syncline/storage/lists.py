"""ListBuffer: one list during a write transaction (design/architecture.md, *Where the speed comes from*).

Shifting positions in SQL costs milliseconds per insert at the front of a long list; here it is an insert into a Python
list, and :meth:`ListBuffer.flush` writes the elements whose position or value changed, once. A list that is only
appended to or assigned at known places is never read.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import cast

import apsw

from syncline.storage.columns import Cell, SqlValue
from syncline.storage.layout import CollectionTable

__all__ = ["ListBuffer"]


class ListBuffer:
    """The elements of one list, by real index.

    Not loaded: ``_overlay`` holds the elements written since the last flush, everything else is in SQLite. Loaded:
    ``_items`` holds all, ``_stored`` those that SQLite has (the same tuples where nothing changed).
    """

    def __init__(self, connection: apsw.Connection, table: CollectionTable, owner: int, is_new: bool) -> None:
        self.table = table
        self.owner = owner
        self._connection = connection
        self._items: list[Cell] = []
        self._stored: list[Cell] = []
        self._loaded = is_new
        self._overlay: dict[int, Cell] = {}
        self._hidden: list[int] | None = [] if is_new or not table.links else None
        self._stored_size = 0
        if not is_new:
            self._stored_size = cast(int, self._connection.execute(table.size_sql, (owner,)).fetchall()[0][0])
        self._size = self._stored_size
        self._dirty = False

    @property
    def size(self) -> int:
        """Number of elements, hidden ones too."""
        return len(self._items) if self._loaded else self._size

    @property
    def is_dirty(self) -> bool:
        """Whether something waits to be written."""
        return self._dirty

    @property
    def weight(self) -> int:
        """How many elements are held in memory."""
        return len(self._items) + len(self._overlay) + 1

    def load(self) -> list[Cell]:
        """All elements; the buffer's own list, only to be read."""
        if not self._loaded:
            stored = cast("list[Cell]", self._connection.execute(self.table.cells_sql, (self.owner,)).fetchall())
            items = stored[: self._size]
            for index in sorted(self._overlay):
                if index < len(items):
                    items[index] = self._overlay[index]
                else:
                    items.append(self._overlay[index])
            self._stored = stored
            self._items = items
            self._overlay.clear()
            self._loaded = True
        return self._items

    def get(self, index: int) -> Cell | None:
        """The element at an index, or None beyond the end."""
        if index < 0 or index >= self.size:
            return None
        if self._loaded:
            return self._items[index]
        cell = self._overlay.get(index)
        if cell is None:
            rows = self._connection.execute(self.table.cell_sql, (self.owner, index)).fetchall()
            cell = cast(Cell, rows[0])
        return cell

    def insert(self, index: int, cell: Cell) -> None:
        """Insert before ``index`` (0 … size)."""
        self._dirty = True
        if not self._loaded and index == self._size:
            self._overlay[index] = cell
            self._size += 1
        else:
            self.load().insert(index, cell)
        if self._hidden is not None:
            self._shift_hidden(index, 1)
            if self._is_hidden(cell):
                self._hidden.insert(bisect_left(self._hidden, index), index)

    def set(self, index: int, cell: Cell) -> None:
        """Replace the element at ``index`` (0 … size - 1)."""
        self._dirty = True
        if self._loaded:
            self._items[index] = cell
        else:
            self._overlay[index] = cell
        if self._hidden is not None:
            place = bisect_left(self._hidden, index)
            if place < len(self._hidden) and self._hidden[place] == index:
                del self._hidden[place]
            if self._is_hidden(cell):
                self._hidden.insert(place, index)

    def erase(self, index: int) -> None:
        """Remove the element at ``index`` (0 … size - 1)."""
        self._dirty = True
        if not self._loaded and index == self._size - 1:
            self._overlay.pop(index, None)
            self._size = index
        else:
            del self.load()[index]
        if self._hidden is not None:
            place = bisect_left(self._hidden, index)
            if place < len(self._hidden) and self._hidden[place] == index:
                del self._hidden[place]
            self._shift_hidden(index, -1)

    def move(self, source: int, target: int) -> None:
        """Move the element at ``source`` so that its index becomes ``target``."""
        cell = self.load()[source]
        self.erase(source)
        self.insert(target, cell)

    def clear(self) -> None:
        """Remove everything."""
        self._dirty = True
        self._items = []
        self._overlay.clear()
        self._loaded = True
        self._stored = []
        self._hidden = []

    def hidden(self) -> list[int]:
        """The indexes of links to tombstones, ascending; the buffer's own list, only to be read."""
        if self._hidden is None:
            if self._loaded or self._overlay or self._size != self._stored_size:
                self._hidden = [index for index, cell in enumerate(self.load()) if self._is_hidden(cell)]
            else:
                rows = self._connection.execute(self.table.hidden_sql, (self.owner,)).fetchall()
                self._hidden = [cast(int, row[0]) for row in rows]
        return self._hidden

    def _is_hidden(self, cell: Cell) -> bool:
        value = cell[0]
        return self.table.links and isinstance(value, int) and value < 0

    def _shift_hidden(self, index: int, by: int) -> None:
        hidden = self._hidden
        if hidden:
            for place in range(bisect_left(hidden, index), len(hidden)):
                hidden[place] += by

    def discard(self) -> None:
        """The owner is gone: nothing has to be written any more."""
        self._dirty = False

    def flush(self, upserts: list[tuple[SqlValue, ...]], cuts: list[tuple[int, int]]) -> None:
        """Hand over what has to be written: rows for ``upsert_sql``, then (owner, size) for ``erase_from_sql``."""
        owner = self.owner
        if self._loaded:
            items = self._items
            stored = self._stored
            size = len(items)
            common = min(size, len(stored))
            for index in range(common):
                cell = items[index]
                if cell is not stored[index]:
                    upserts.append((owner, index, *cell))
            for index in range(common, size):
                upserts.append((owner, index, *items[index]))
            self._stored = items.copy()
        else:
            size = self._size
            for index, cell in self._overlay.items():
                upserts.append((owner, index, *cell))
            self._overlay.clear()
        if size < self._stored_size:
            cuts.append((owner, size))
        self._stored_size = size
        self._dirty = False
