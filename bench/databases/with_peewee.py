"""peewee on the standard library's SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import peewee

from databases.base import Database
from databases.data import Row, Totals, totals

#: Rows in one INSERT: SQLite takes 32,766 parameters.
_BATCH = 5000

_database = peewee.SqliteDatabase(None, pragmas={"journal_mode": "wal", "synchronous": "full"})


class Reading(peewee.Model):
    """What is stored."""

    id = peewee.IntegerField(primary_key=True)
    name = peewee.TextField()
    number = peewee.IntegerField(index=True)
    value = peewee.DoubleField()

    class Meta:
        database = _database


class Peewee(Database):
    """One model, one database."""

    packages = ("peewee",)

    def open(self) -> None:
        _database.init(str(self.folder / "readings.sqlite"))
        _database.connect()
        _database.create_tables([Reading])

    def close(self) -> None:
        _database.close()

    def insert_single(self, rows: Sequence[Row]) -> None:
        with _database.atomic():
            for key, name, number, value in rows:
                Reading.create(id=key, name=name, number=number, value=value)

    def insert_bulk(self, rows: Sequence[Row]) -> None:
        fields = [Reading.id, Reading.name, Reading.number, Reading.value]
        with _database.atomic():
            for batch in peewee.chunked(rows, _BATCH):
                Reading.insert_many(batch, fields=fields).execute()

    def update(self, changes: Sequence[tuple[int, float]]) -> None:
        with _database.atomic():
            for key, value in changes:
                Reading.update(value=value).where(Reading.id == key).execute()

    def delete(self, first: int, last: int) -> None:
        with _database.atomic():
            Reading.delete().where(Reading.id.between(first, last)).execute()

    def get(self, keys: Iterable[int]) -> Totals:
        readings = map(Reading.get_by_id, keys)
        return totals((reading.id, reading.name, reading.number, reading.value) for reading in readings)

    def objects_all(self) -> Totals:
        readings = Reading.select().iterator()
        return totals((reading.id, reading.name, reading.number, reading.value) for reading in readings)

    def objects_one(self) -> float:
        return sum(reading.value for reading in Reading.select().iterator())

    def values_all(self) -> Totals:
        return totals(Reading.select().tuples().iterator())

    def values_one(self) -> float:
        return sum(value for (value,) in Reading.select(Reading.value).tuples().iterator())

    def filter_indexed(self, below: int) -> tuple[int, int]:
        return self._keys(Reading.number < below)

    def filter_plain(self, below: float) -> tuple[int, int]:
        return self._keys(Reading.value < below)

    def _keys(self, condition: Any) -> tuple[int, int]:
        keys = [reading.id for reading in Reading.select().where(condition)]
        return len(keys), sum(keys)

    def sort(self, take: int) -> list[int]:
        return [reading.id for reading in Reading.select().order_by(Reading.name).limit(take)]

    def count(self) -> int:
        return int(Reading.select().count())
