"""TinyDB: a JSON file, written as a whole at the end of what would be a transaction elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import Any

from tinydb import TinyDB, where
from tinydb.middlewares import CachingMiddleware
from tinydb.storages import JSONStorage
from tinydb.table import Document

from databases.base import Database
from databases.data import Row, Totals, totals


def _document(row: Row) -> Document:
    key, name, number, value = row
    return Document({"id": key, "name": name, "number": number, "value": value}, doc_id=key)


def _rows(documents: Iterable[Any]) -> Iterable[Row]:
    return ((each["id"], each["name"], each["number"], each["value"]) for each in documents)


class Tiny(Database):
    """Documents in memory, the file behind them. Every insertion copies the table: the square of its size in all."""

    packages = ("tinydb",)
    largest = 10_000

    def open(self) -> None:
        self.storage = CachingMiddleware(JSONStorage)
        # it writes when it is told to, not after so many changes
        self.storage.WRITE_CACHE_SIZE = sys.maxsize
        self.database = TinyDB(str(self.folder / "readings.json"), storage=self.storage)

    def close(self) -> None:
        self.database.close()

    def insert_single(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.database.insert(_document(row))
        self.storage.flush()

    def insert_bulk(self, rows: Sequence[Row]) -> None:
        self.database.insert_multiple(map(_document, rows))
        self.storage.flush()

    def update(self, changes: Sequence[tuple[int, float]]) -> None:
        values = dict(changes)

        def change(document: Any) -> None:
            document["value"] = values[document["id"]]

        self.database.update(change, doc_ids=list(values))
        self.storage.flush()

    def delete(self, first: int, last: int) -> None:
        self.database.remove(doc_ids=list(range(first, last + 1)))
        self.storage.flush()

    def get(self, keys: Iterable[int]) -> Totals:
        return totals(_rows(self.database.get(doc_id=key) for key in keys))

    def objects_all(self) -> Totals:
        return totals(_rows(self.database))

    def objects_one(self) -> float:
        return sum(document["value"] for document in self.database)

    def filter_indexed(self, below: int) -> tuple[int, int]:
        return self._keys(where("number") < below)

    def filter_plain(self, below: float) -> tuple[int, int]:
        return self._keys(where("value") < below)

    def _keys(self, query: Any) -> tuple[int, int]:
        self.database.clear_cache()
        keys = [document["id"] for document in self.database.search(query)]
        return len(keys), sum(keys)

    def sort(self, take: int) -> list[int]:
        return [document["id"] for document in nsmallest(take, self.database, key=lambda document: document["name"])]

    def count(self) -> int:
        return len(self.database)
