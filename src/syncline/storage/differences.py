"""Which properties of objects that two files have may differ, found for many objects at once.

A transfer (:mod:`.transfer`) asks first, so that objects that are equal cost a share of one query, not queries of their
own. What holds others (embedded objects, collections in a Mixed) is not looked into: it may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias, cast

from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.columns import DICTIONARY_TAG, LIST_TAG, Cell
from syncline.storage.tables import Tables
from syncline.values.kinds import DICTIONARY_COLLECTION, DOUBLE, FLOAT, MIXED, SET_COLLECTION

__all__ = ["Differences", "exactly", "holds_others"]

#: A cell of the source as a cell of the other file; one that holds no others.
Translation: TypeAlias = Callable[[PropertyInfo, Cell, PropertyInfo], Cell]

#: Objects looked at together.
_BATCH: Final = 256
_MINUS_ZERO: Final = "-0.0"


class Differences:
    """Compares objects of ``source`` with objects of ``own``. Both must have been flushed."""

    def __init__(self, source: Tables, own: Tables, translated: Translation) -> None:
        self._source = source
        self._own = own
        self._translated = translated

    def find(
        self, info: ClassInfo, own: ClassInfo, pairs: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[int, int, list[PropertyInfo]]]:
        """Of the pairs of objects (source's, own), those that may differ, and in which of the source's properties."""
        for start in range(0, len(pairs), _BATCH):
            batch = pairs[start : start + _BATCH]
            different: dict[int, list[PropertyInfo]] = {}
            self._compare_rows(info, own, batch, different)
            for prop in info.collections:
                self._compare_elements(prop, own.properties[prop.name], batch, different)
            for k, own_k in batch:
                if k in different:
                    yield k, own_k, different[k]

    def _compare_rows(
        self,
        info: ClassInfo,
        own: ClassInfo,
        batch: Sequence[tuple[int, int]],
        different: dict[int, list[PropertyInfo]],
    ) -> None:
        rows = _rows(self._source, info, [k for k, _ in batch])
        own_rows = _rows(self._own, own, [own_k for _, own_k in batch])
        peers = [(prop, own.properties[prop.name]) for prop in info.singles if not prop.is_primary_key]
        for k, own_k in batch:
            row, own_row = rows[k], own_rows[own_k]
            for prop, own_prop in peers:
                cell = row[prop.slot : prop.slot + len(prop.columns)]
                if not self._is_same(prop, cell, own_prop, own_row[own_prop.slot : own_prop.slot + len(prop.columns)]):
                    different.setdefault(k, []).append(prop)

    def _compare_elements(
        self,
        prop: PropertyInfo,
        own_prop: PropertyInfo,
        batch: Sequence[tuple[int, int]],
        different: dict[int, list[PropertyInfo]],
    ) -> None:
        elements = _elements(self._source, prop, [k for k, _ in batch])
        own_elements = _elements(self._own, own_prop, [own_k for _, own_k in batch])
        for k, own_k in batch:
            if not self._are_same(prop, elements.get(k, []), own_prop, own_elements.get(own_k, [])):
                different.setdefault(k, []).append(prop)

    def _are_same(self, prop: PropertyInfo, cells: list[Cell], own_prop: PropertyInfo, own_cells: list[Cell]) -> bool:
        """Rows of elements: place, then cell."""
        if len(cells) != len(own_cells):
            return False
        if prop.collection == SET_COLLECTION:  # ordered by keys that are not the same in both files
            if not prop.tied:
                return {exactly(cell[1:]) for cell in cells} == {exactly(cell[1:]) for cell in own_cells}
            wanted = {exactly(self._translated(prop, cell[1:], own_prop)) for cell in cells}
            return wanted == {exactly(cell[1:]) for cell in own_cells}
        if prop.collection == DICTIONARY_COLLECTION and [cell[0] for cell in cells] != [cell[0] for cell in own_cells]:
            return False
        return all(
            self._is_same(prop, cell[1:], own_prop, own_cell[1:])
            for cell, own_cell in zip(cells, own_cells, strict=True)
        )

    def _is_same(self, prop: PropertyInfo, cell: Cell, own_prop: PropertyInfo, own_cell: Cell) -> bool:
        if prop.tied:
            if holds_others(prop, cell):
                return False
            cell = self._translated(prop, cell, own_prop)
        if prop.type in (FLOAT, DOUBLE, MIXED):
            return exactly(cell) == exactly(own_cell)
        return cell == own_cell


def holds_others(prop: PropertyInfo, cell: Cell) -> bool:
    """Whether the cell is an embedded object or a collection inside a Mixed."""
    if prop.type == MIXED:
        return cell[0] in (LIST_TAG, DICTIONARY_TAG)
    return prop.embedded and cell[0] is not None


def exactly(cell: Cell) -> Cell:
    """Comparable as it is stored: the zeros of floating point are two."""
    return tuple([_MINUS_ZERO if isinstance(part, float) and repr(part) == _MINUS_ZERO else part for part in cell])


def _rows(tables: Tables, info: ClassInfo, keys: list[int]) -> dict[int, Cell]:
    sql = f"SELECT {', '.join(info.columns)} FROM {info.table} WHERE k IN ({_marks()})"
    return {cast(int, row[0]): row for row in tables.query(sql, _filled(keys))}


def _elements(tables: Tables, prop: PropertyInfo, owners: list[int]) -> dict[int, list[Cell]]:
    """By owner, the elements in order: place, then cell."""
    table = prop.table
    assert table is not None
    found: dict[int, list[Cell]] = {}
    columns = ", ".join((table.owner, table.place, *table.columns))
    sql = (
        f"SELECT {columns} FROM {table.name} WHERE {table.owner} IN ({_marks()}) ORDER BY {table.owner}, {table.place}"
    )
    for row in tables.query(sql, _filled(owners)):
        found.setdefault(cast(int, row[0]), []).append(row[1:])
    return found


def _marks() -> str:
    return ",".join("?" * _BATCH)


def _filled(keys: list[int]) -> tuple[int, ...]:
    """One statement for all sizes."""
    return tuple(keys + keys[-1:] * (_BATCH - len(keys)))
