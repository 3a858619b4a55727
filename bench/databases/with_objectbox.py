"""ObjectBox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import objectbox
from objectbox.query import Query

from databases.base import Database
from databases.data import Row, Totals, totals

#: Objects put at once: all of them are packed before any is stored.
_BATCH = 10_000
_SPACE_KB = 8 << 20


@objectbox.Entity()
class Reading:
    """What is stored; keys are the application's own, as everywhere here."""

    id = objectbox.Id(assignable=True)
    name = objectbox.String()
    number = objectbox.Int64(index=objectbox.Index())
    value = objectbox.Float64()


def _reading(row: Row) -> Any:
    reading = Reading()
    reading.id, reading.name, reading.number, reading.value = row
    return reading


class ObjectBox(Database):
    """One store, one box."""

    packages = ("objectbox", "objectbox-clib")

    def open(self) -> None:
        # the names of properties for good: a part of the application, not of the database
        model = self.folder.parent / "objectbox-model.json"
        self.store = objectbox.Store(
            directory=str(self.folder), model_json_file=str(model), max_db_size_in_kb=_SPACE_KB
        )
        self.box = self.store.box(Reading)

    def close(self) -> None:
        self.store.close()

    def insert_single(self, rows: Sequence[Row]) -> None:
        with self.store.write_tx():
            for row in rows:
                self.box.put(_reading(row))

    def insert_bulk(self, rows: Sequence[Row]) -> None:
        with self.store.write_tx():
            for start in range(0, len(rows), _BATCH):
                self.box.put([_reading(row) for row in rows[start : start + _BATCH]])

    def update(self, changes: Sequence[tuple[int, float]]) -> None:
        with self.store.write_tx():
            readings = self.box.get_many([key for key, _ in changes])
            for reading, (_, value) in zip(readings, changes, strict=True):
                reading.value = value
            self.box.put(readings)

    def delete(self, first: int, last: int) -> None:
        with self.box.query(Reading.id.between(first, last)).build() as query:
            query.remove()

    def get(self, keys: Iterable[int]) -> Totals:
        readings = map(self.box.get, keys)
        return totals((reading.id, reading.name, reading.number, reading.value) for reading in readings)

    def objects_all(self) -> Totals:
        readings = self.box.get_all()
        return totals((reading.id, reading.name, reading.number, reading.value) for reading in readings)

    def objects_one(self) -> float:
        return sum(reading.value for reading in self.box.get_all())

    def filter_indexed(self, below: int) -> tuple[int, int]:
        return self._keys(self.box.query(Reading.number.less_than(below)).build())

    def filter_plain(self, below: float) -> tuple[int, int]:
        return self._keys(self.box.query(Reading.value.less_than(below)).build())

    @staticmethod
    def _keys(query: Query) -> tuple[int, int]:
        with query:
            keys = [reading.id for reading in query.find()]
        return len(keys), sum(keys)

    def sort(self, take: int) -> list[int]:
        with self.box.query().order(Reading.name).build() as query:
            return [reading.id for reading in query.limit(take).find()]

    def count(self) -> int:
        return int(self.box.count())
