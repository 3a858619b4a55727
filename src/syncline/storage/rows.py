"""ClassRows: the rows of one class during a write transaction, written behind (design/architecture.md, *Where the speed
comes from*).

New rows and changed columns wait here and reach SQLite in batches: deletions first, then new rows by one
``executemany``, then changes by one ``executemany`` per set of columns. Which objects exist is known without asking
SQLite once per object: keys seen are remembered, an ascending key beyond the largest one stored cannot exist, and the
keys of a whole changeset are looked up in batches (:meth:`ClassRows.prefetch`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Final, cast

import apsw

from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.columns import Cell, Row, SqlValue, default_cell, key_from_columns, key_to_columns
from syncline.storage.tables import missing
from syncline.values import GlobalKey, Key

__all__ = ["ClassRows"]

#: Keys remembered per class.
KEYS_MAX: Final = 200_000
#: Keys looked up by one query.
_BATCH: Final = 128
#: Objects whose keys are looked up by one query.
_NUMBERS: Final = 4096

#: What is known of the largest stored key.
_UNKNOWN: Final = 0
_NONE_STORED: Final = 1
_BOUNDED: Final = 2


class ClassRows:
    """The rows of one class, buffered. ``first_new``: objects from this key on were made in this transaction."""

    def __init__(
        self, connection: apsw.Connection, info: ClassInfo, next_key: int, first_new: int, keys_max: int = KEYS_MAX
    ) -> None:
        self.info = info
        self.next_key = next_key
        self.first_new = first_new
        #: complete rows that SQLite has not seen
        self.new: dict[int, Row] = {}
        #: object key → column number → value, for rows that SQLite has
        self.changed: dict[int, dict[int, SqlValue]] = {}
        #: rows that SQLite still has
        self.gone: set[int] = set()
        self._keys_max = keys_max
        self._cursor = connection.cursor()
        self._template: Row = [None] * (len(info.columns) - sum(len(prop.columns) for prop in info.singles))
        for prop in info.singles:
            self._template.extend(default_cell(prop))
        #: -1: known not to exist
        self._by_key: dict[Key, int] = {}
        self._keys: dict[int, Key] = {}
        self._bound_state = _UNKNOWN
        self._bound: SqlValue = None
        self._bounds_by_hi: dict[int, int] = {}

    # --- which objects exist ----------------------------------------------------------------------------------------

    def find(self, key: Key) -> int:
        """The object with that (checked) key, or -1."""
        k = self._by_key.get(key)
        if k is not None:
            return k
        columns = key_to_columns(key)
        if not self._may_be_stored(key, columns):
            return -1
        sql = self.info.find_null_sql if key is None else self.info.find_sql
        rows = self._cursor.execute(sql, () if key is None else columns).fetchall()
        if rows and rows[0][0] not in self.gone:
            found = cast(int, rows[0][0])
            self._remember(key, found)
            return found
        return -1

    def prefetch(self, keys: Iterable[Key]) -> None:
        """Find out about many (checked) keys at once, so that :meth:`find` need not ask for each."""
        wanted: dict[Cell, Key] = {}
        for key in keys:
            if key is not None and key not in self._by_key:
                columns = key_to_columns(key)
                if self._may_be_stored(key, columns):
                    wanted[columns] = key
        places = list(wanted)
        for start in range(0, len(places), _BATCH):
            self._prefetch_batch(wanted, places[start : start + _BATCH])

    def prefetch_numbers(self, numbers: list[int]) -> None:
        """Find out the keys of many objects, so that :meth:`key_of` and :meth:`exists` need not ask for each."""
        info = self.info
        names = "c.ghi, c.glo" if info.primary_key is None else f"c.{info.primary_key.columns[0]}"
        sql = f"SELECT c.k, {names} FROM carray(?) q CROSS JOIN {info.table} c ON c.k = q.value"
        for start in range(0, len(numbers), _NUMBERS):
            some = apsw.carray(array("q", numbers[start : start + _NUMBERS]))
            for row in self._cursor.execute(sql, (some,)).fetchall():
                if row[0] not in self.gone:
                    self._remember(key_from_columns(info.primary_key, row[1:]), cast(int, row[0]))

    def all_are_new(self, keys: Sequence[Key]) -> bool:
        """Whether all are integers, or all are strings, above every key of the class: then none of them is taken.

        False says nothing.
        """
        key_type = type(keys[0])
        if key_type is not int and key_type is not str:
            return False
        for key in keys:
            if type(key) is not key_type:
                return False
        self.flush()
        self._load_bound()
        if self._bound_state == _NONE_STORED:
            return True
        lowest = min(keys)  # type: ignore[type-var]
        return type(self._bound) is key_type and lowest > self._bound  # type: ignore[operator]

    def _prefetch_batch(self, wanted: dict[Cell, Key], places: list[Cell]) -> None:
        if len(places) < 4:
            for place in places:
                self.find(wanted[place])
            return
        full = places + places[-1:] * (_BATCH - len(places))  # one statement for all sizes
        info = self.info
        if info.primary_key is None:
            values = ",".join(["(?,?)"] * _BATCH)
            sql = f"SELECT k, ghi, glo FROM {info.table} WHERE (ghi, glo) IN (VALUES {values})"
        else:
            name = info.primary_key.columns[0]
            sql = f"SELECT k, {name} FROM {info.table} WHERE {name} IN ({','.join('?' * _BATCH)})"
        parameters = [value for place in full for value in place]
        for place in places:
            self._by_key[wanted[place]] = -1
        for row in self._cursor.execute(sql, parameters).fetchall():
            if row[0] not in self.gone:
                self._remember(wanted[row[1:]], cast(int, row[0]))

    def _may_be_stored(self, key: Key, columns: Cell) -> bool:
        """False if the key is above every stored one, so that SQLite need not be asked."""
        if isinstance(key, GlobalKey):
            return key.lo <= self._largest_lo(key.hi)
        if self._bound_state == _UNKNOWN:
            self._load_bound()
        if self._bound_state == _NONE_STORED:
            return key is None
        if key is None or type(columns[0]) is not type(self._bound):
            return True  # text that is not UTF-8 is stored as bytes
        return columns[0] <= self._bound  # type: ignore[operator]

    def _load_bound(self) -> None:
        assert self.info.primary_key is not None
        name = self.info.primary_key.columns[0]
        bound = self._cursor.execute(f"SELECT max({name}) FROM {self.info.table}").fetchall()[0][0]
        self._bound = bound
        if bound is None:
            self._bound_state = _NONE_STORED
        else:
            self._bound_state = _BOUNDED

    def _largest_lo(self, hi: int) -> int:
        largest = self._bounds_by_hi.get(hi)
        if largest is None:
            sql = f"SELECT ifnull(max(glo), -1) FROM {self.info.table} WHERE ghi = ?"
            largest = cast(int, self._cursor.execute(sql, (hi,)).fetchall()[0][0])
            self._bounds_by_hi[hi] = largest
        return largest

    def _remember(self, key: Key, k: int) -> None:
        self._by_key[key] = k
        self._keys[k] = key

    def key_of(self, k: int) -> Key:
        """The key of an object. Raises InvalidatedObjectError."""
        try:
            return self._keys[k]
        except KeyError:
            pass
        rows = () if k in self.gone else self._cursor.execute(self.info.key_sql, (k,)).fetchall()
        if not rows:
            raise missing(self.info, k)
        key = key_from_columns(self.info.primary_key, rows[0])
        self._remember(key, k)
        return key

    def exists(self, k: int) -> bool:
        """Whether the object exists."""
        if k in self.new or k in self._keys or k in self.changed:
            return True
        if k in self.gone:
            return False
        return bool(self._cursor.execute(self.info.exists_sql, (k,)).fetchall())

    # --- rows -------------------------------------------------------------------------------------------------------

    def add(self, key: Key) -> int:
        """A new object with that key, which no object has; properties are zero or null."""
        k = self.next_key
        self.next_key = k + 1
        row = self._template.copy()
        row[0] = k
        prop = self.info.primary_key
        if prop is not None:
            row[prop.slot] = key_to_columns(key)[0]
        else:
            assert isinstance(key, GlobalKey)
            row[1], row[2] = key
        self.new[k] = row
        self._by_key[key] = k
        self._keys[k] = key
        return k

    def add_many(self, keys: list[Key], cells: dict[int, list[SqlValue]]) -> int:
        """New objects with those keys, which no object has, written at once; the number of the first.

        ``cells``: their values by column number, one for each object; other properties are zero or null.
        """
        self.flush()  # an object that goes may have one of the keys
        first = self.next_key
        self.next_key = first + len(keys)
        numbers = list(range(first, self.next_key))
        columns: list[Iterable[SqlValue]] = [numbers]
        prop = self.info.primary_key
        for slot in range(1, len(self._template)):
            values: list[SqlValue] | None = cells.get(slot)
            if values is not None:
                columns.append(values)
            elif prop is None and slot <= 2:
                columns.append([cast(GlobalKey, key)[slot - 1] for key in keys])
            elif prop is not None and slot == prop.slot:
                columns.append([key if type(key) is int else key_to_columns(key)[0] for key in keys])
            else:
                columns.append(repeat(self._template[slot]))
        self._cursor.executemany(self.info.insert_sql, zip(*columns, strict=False))
        for text in self.info.texts:
            texts = cells.get(text.slot)
            if texts is not None and text.words is not None:
                text.words.add(self._cursor, zip(numbers, texts, strict=True))
        if self._by_key:
            for key in keys:
                self._by_key.pop(key, None)  # it was known not to exist
        self._bound_state = _UNKNOWN
        self._bounds_by_hi.clear()
        return first

    def reserve(self, lo: int) -> None:
        """A GlobalKey of this file with that low part exists: new objects must not get it again."""
        if lo >= self.next_key:
            self.next_key = lo + 1

    def add_embedded(self, owner_class: int, owner: int, property_id: int) -> int:
        """A new embedded object of that owner."""
        k = self.next_key
        self.next_key = k + 1
        row = self._template.copy()
        row[0] = k
        row[1] = owner_class
        row[2] = owner
        row[3] = property_id
        self.new[k] = row
        return k

    def row(self, k: int) -> Cell:
        """The row of an object. Raises InvalidatedObjectError."""
        row = self.new.get(k)
        if row is not None:
            return tuple(row)
        rows = () if k in self.gone else self._cursor.execute(self.info.row_sql, (k,)).fetchall()
        if not rows:
            raise missing(self.info, k)
        changed = self.changed.get(k)
        if not changed:
            return cast(Cell, rows[0])
        merged = list(rows[0])
        for slot, value in changed.items():
            merged[slot] = value
        return tuple(merged)

    def cell(self, k: int, prop: PropertyInfo) -> Cell:
        """The cell of a single property. Raises InvalidatedObjectError."""
        slot = prop.slot
        width = len(prop.columns)
        row = self.new.get(k)
        if row is not None:
            return tuple(row[slot : slot + width])
        changed = self.changed.get(k)
        if changed is not None and slot in changed:
            return tuple([changed[slot + i] for i in range(width)])
        rows = () if k in self.gone else self._cursor.execute(prop.cell_sql, (k,)).fetchall()
        if not rows:
            raise missing(self.info, k)
        return cast(Cell, rows[0])

    def set_cell(self, k: int, prop: PropertyInfo, cell: Cell) -> None:
        """Write the cell of a single property of an existing object."""
        slot = prop.slot
        row = self.new.get(k)
        if row is not None:
            row[slot : slot + len(cell)] = cell
            return
        changed = self.changed_row(k)
        for value in cell:
            changed[slot] = value
            slot += 1

    def changed_row(self, k: int) -> dict[int, SqlValue]:
        """Where to put new values, by column number, of an existing object that is not in :attr:`new`."""
        changed = self.changed.get(k)
        if changed is None:
            changed = self.changed[k] = {}
        return changed

    def remove(self, k: int) -> None:
        """Delete the row."""
        if self.new.pop(k, None) is None:
            self.changed.pop(k, None)
            self.gone.add(k)
        if k in self._keys:
            self._by_key[self._keys.pop(k)] = -1

    @property
    def pending(self) -> int:
        """How many rows wait."""
        return len(self.new) + len(self.changed) + len(self.gone)

    def flush(self) -> None:
        """Write everything that waits."""
        info = self.info
        if info.texts and (self.gone or self.changed):
            self._flush_words()  # those of the texts that SQLite still has
        if self.gone:
            self._cursor.executemany(info.delete_sql, [(k,) for k in self.gone])
            self.gone.clear()
        if self.new:
            rows = list(self.new.values())
            self._cursor.executemany(info.insert_sql, rows)
            for prop in info.texts:
                if prop.words is not None:
                    prop.words.add(self._cursor, [(row[0], row[prop.slot]) for row in rows])
            self.new.clear()
        if self.changed:
            self._flush_changed()
        if len(self._keys) > self._keys_max:
            self._keys.clear()
            self._by_key.clear()
            self._bound_state = _UNKNOWN
            self._bounds_by_hi.clear()

    def _flush_words(self) -> None:
        """Tell the full-text indexes which texts are about to change or go."""
        for prop in self.info.texts:
            slot = prop.slot
            texts: dict[int, object] = {k: values[slot] for k, values in self.changed.items() if slot in values}
            for k in self.gone:
                texts[k] = None
            if texts and prop.words is not None:
                prop.words.replace(self._cursor, texts)

    def _flush_changed(self) -> None:
        groups: dict[tuple[int, ...], list[list[SqlValue]]] = {}
        for k, values in self.changed.items():
            groups.setdefault(tuple(values), []).append([*values.values(), k])
        columns = self.info.columns
        for slots, rows in groups.items():
            assignments = ", ".join([f"{columns[slot]} = ?" for slot in slots])
            self._cursor.executemany(f"UPDATE {self.info.table} SET {assignments} WHERE k = ?", rows)
        self.changed.clear()
