"""Syncline: live objects, with and without the history that sync needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from databases.base import Database
from databases.data import Row, Totals, totals
from syncline import CollectionChange, Field, Model, Realm, RealmConfiguration, Results, compilation
from syncline.storage.file import RealmFile


class Reading(Model):
    """What is stored."""

    id: int = Field(primary_key=True)
    name: str
    number: int = Field(index=True)
    value: float


class Syncline(Database):
    """A local Realm."""

    packages = ("syncline", "apsw-sqlite3mc")
    notifies = True
    history: ClassVar[bool] = False

    @classmethod
    def version(cls) -> str:
        return f"kernel {'compiled' if compilation.is_compiled() else 'interpreted'}"

    def open(self) -> None:
        path = self.folder / "readings.realm"
        if not path.exists():
            RealmFile.open(path, history=self.history).close()
        self.realm = Realm.open(RealmConfiguration(path, schema=[Reading]))

    def close(self) -> None:
        self.realm.close()

    def insert_single(self, rows: Sequence[Row]) -> None:
        create = self.realm.create
        with self.realm.write():
            for key, name, number, value in rows:
                create(Reading, id=key, name=name, number=number, value=value)

    def insert_bulk(self, rows: Sequence[Row]) -> None:
        with self.realm.write():
            self.realm.create_many(Reading, rows, properties=("id", "name", "number", "value"))

    def update(self, changes: Sequence[tuple[int, float]]) -> None:
        with self.realm.write():
            for key, value in changes:
                self._reading(key).value = value

    def _reading(self, key: int) -> Reading:
        reading = self.realm.get(Reading, key)
        assert reading is not None
        return reading

    def delete(self, first: int, last: int) -> None:
        with self.realm.write():
            self.realm.objects(Reading).where(Reading.id >= first, Reading.id <= last).delete_all()

    def get(self, keys: Iterable[int]) -> Totals:
        readings = map(self._reading, keys)
        return totals((reading.id, reading.name, reading.number, reading.value) for reading in readings)

    def objects_all(self) -> Totals:
        readings = self.realm.objects(Reading)
        return totals((reading.id, reading.name, reading.number, reading.value) for reading in readings)

    def objects_one(self) -> float:
        return sum(reading.value for reading in self.realm.objects(Reading))

    def values_all(self) -> Totals:
        return totals(self.realm.objects(Reading).values_list("id", "name", "number", "value"))

    def values_one(self) -> float:
        return sum(self.realm.objects(Reading).values_list("value", flat=True))

    def filter_indexed(self, below: int) -> tuple[int, int]:
        return self._keys(self.realm.objects(Reading).where(Reading.number < below))

    def filter_plain(self, below: float) -> tuple[int, int]:
        return self._keys(self.realm.objects(Reading).where(Reading.value < below))

    @staticmethod
    def _keys(results: Results[Reading]) -> tuple[int, int]:
        keys = [reading.id for reading in results]
        return len(keys), sum(keys)

    def sort(self, take: int) -> list[int]:
        return [reading.id for reading in self.realm.objects(Reading).sort(Reading.name).limit(take)]

    def count(self) -> int:
        return len(self.realm.objects(Reading))

    def observe(self, below: int) -> Any:
        self._heard: list[CollectionChange] = []
        results = self.realm.objects(Reading).where(Reading.number < below)
        token = results.observe(lambda _results, change: self._heard.append(change))
        self.realm.refresh()
        return token

    def change_and_hear(self, key: int, value: float) -> int:
        self._heard.clear()
        with self.realm.write():
            self._reading(key).value = value
        self.realm.refresh()
        return sum(len(change.modifications) for change in self._heard)


class SynclineHistory(Syncline):
    """The same, ready for sync: every commit records what a session would upload."""

    history = True
