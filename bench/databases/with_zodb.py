"""ZODB: persistent objects in B-trees, in a file storage; the index is a B-tree that the application keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nsmallest

import persistent
import transaction
import ZODB
import ZODB.FileStorage
from BTrees.LLBTree import LLBTree
from BTrees.LOBTree import LOBTree

from databases.base import Database
from databases.data import Row, Totals, totals

#: Objects kept in memory, and written between two savepoints.
_CACHE = 10_000


class Reading(persistent.Persistent):
    """What is stored."""

    def __init__(self, key: int, name: str, number: int, value: float) -> None:
        self.id = key
        self.name = name
        self.number = number
        self.value = value


class Zodb(Database):
    """One connection. Where a transaction ends, objects beyond the cache are dropped."""

    packages = ("ZODB", "BTrees", "persistent")

    def open(self) -> None:
        storage = ZODB.FileStorage.FileStorage(str(self.folder / "readings.fs"))
        self.database = ZODB.DB(storage, cache_size=_CACHE)
        self.connection = self.database.open()
        root = self.connection.root
        if not hasattr(root, "readings"):
            root.readings, root.by_number = LOBTree(), LLBTree()
            transaction.commit()
        self.readings, self.by_number = root.readings, root.by_number

    def close(self) -> None:
        transaction.abort()
        self.connection.close()
        self.database.close()

    def insert_single(self, rows: Sequence[Row]) -> None:
        with transaction.manager:
            for done, (key, name, number, value) in enumerate(rows, 1):
                self.readings[key] = Reading(key, name, number, value)
                self.by_number[number] = key
                if done % _CACHE == 0:
                    transaction.savepoint(optimistic=True)

    def insert_bulk(self, rows: Sequence[Row]) -> None:
        with transaction.manager:
            for start in range(0, len(rows), _CACHE):
                batch = rows[start : start + _CACHE]
                self.readings.update([(row[0], Reading(*row)) for row in batch])
                self.by_number.update([(row[2], row[0]) for row in batch])
                transaction.savepoint(optimistic=True)

    def update(self, changes: Sequence[tuple[int, float]]) -> None:
        with transaction.manager:
            for key, value in changes:
                self.readings[key].value = value

    def delete(self, first: int, last: int) -> None:
        with transaction.manager:
            for key, reading in list(self.readings.items(first, last)):
                del self.by_number[reading.number]
                del self.readings[key]

    def get(self, keys: Iterable[int]) -> Totals:
        with transaction.manager:
            readings = map(self.readings.__getitem__, keys)
            return totals((reading.id, reading.name, reading.number, reading.value) for reading in readings)

    def objects_all(self) -> Totals:
        with transaction.manager:
            readings = self.readings.values()
            return totals((reading.id, reading.name, reading.number, reading.value) for reading in readings)

    def objects_one(self) -> float:
        with transaction.manager:
            return sum(reading.value for reading in self.readings.values())

    def filter_indexed(self, below: int) -> tuple[int, int]:
        with transaction.manager:
            keys = [self.readings[key].id for key in self.by_number.values(max=below, excludemax=True)]
        return len(keys), sum(keys)

    def filter_plain(self, below: float) -> tuple[int, int]:
        with transaction.manager:
            keys = [reading.id for reading in self.readings.values() if reading.value < below]
        return len(keys), sum(keys)

    def sort(self, take: int) -> list[int]:
        with transaction.manager:
            return [each.id for each in nsmallest(take, self.readings.values(), key=lambda reading: reading.name)]

    def count(self) -> int:
        with transaction.manager:
            return len(self.readings)
