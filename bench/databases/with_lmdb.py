"""LMDB with values packed by msgpack; the index is a second database that the application keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from operator import itemgetter
from struct import Struct
from typing import Any

import lmdb
import msgpack

from databases.base import Database
from databases.data import Row, Totals, totals

#: Big-endian: the order of keys is that of the numbers.
_KEY = Struct(">Q")
_pack = _KEY.pack
_SPACE = 8 << 30


class Lmdb(Database):
    """Key → (key, name, number, value), and number → keys."""

    packages = ("lmdb", "msgpack")

    @classmethod
    def version(cls) -> str:
        return f"LMDB {'.'.join(map(str, lmdb.version()))}"

    def open(self) -> None:
        self.environment = lmdb.open(str(self.folder), map_size=_SPACE, max_dbs=2)
        self.readings = self.environment.open_db(b"readings")
        self.by_number = self.environment.open_db(b"by_number", dupsort=True, dupfixed=True)

    def close(self) -> None:
        self.environment.close()

    def insert_single(self, rows: Sequence[Row]) -> None:
        with self.environment.begin(write=True) as transaction:
            for row in rows:
                transaction.put(_pack(row[0]), msgpack.packb(row), db=self.readings)
                transaction.put(_pack(row[2]), _pack(row[0]), db=self.by_number)

    def insert_bulk(self, rows: Sequence[Row]) -> None:
        with self.environment.begin(write=True) as transaction:
            pairs = [(_pack(row[0]), msgpack.packb(row)) for row in rows]
            transaction.cursor(self.readings).putmulti(pairs, append=True)
            numbers = sorted((_pack(row[2]), _pack(row[0])) for row in rows)
            transaction.cursor(self.by_number).putmulti(numbers)

    def update(self, changes: Sequence[tuple[int, float]]) -> None:
        with self.environment.begin(write=True, db=self.readings) as transaction:
            for number, value in changes:
                key = _pack(number)
                reading = msgpack.unpackb(transaction.get(key))
                reading[3] = value
                transaction.put(key, msgpack.packb(reading))

    def delete(self, first: int, last: int) -> None:
        with self.environment.begin(write=True) as transaction:
            for number in range(first, last + 1):
                key = _pack(number)
                reading = msgpack.unpackb(transaction.pop(key, db=self.readings))
                transaction.delete(_pack(reading[2]), key, db=self.by_number)

    def _all(self, transaction: Any) -> Iterator[list[Any]]:
        return map(msgpack.unpackb, transaction.cursor(self.readings).iternext(keys=False, values=True))

    def get(self, keys: Iterable[int]) -> Totals:
        with self.environment.begin(db=self.readings, buffers=True) as transaction:
            return totals(msgpack.unpackb(transaction.get(_pack(key))) for key in keys)

    def objects_all(self) -> Totals:
        with self.environment.begin(buffers=True) as transaction:
            return totals(self._all(transaction))

    def objects_one(self) -> float:
        with self.environment.begin(buffers=True) as transaction:
            return sum(reading[3] for reading in self._all(transaction))

    def filter_indexed(self, below: int) -> tuple[int, int]:
        limit, found = _pack(below), []
        with self.environment.begin() as transaction:
            for number, key in transaction.cursor(self.by_number):
                if number >= limit:
                    break
                found.append(msgpack.unpackb(transaction.get(key, db=self.readings))[0])
        return len(found), sum(found)

    def filter_plain(self, below: float) -> tuple[int, int]:
        with self.environment.begin(buffers=True) as transaction:
            found = [reading[0] for reading in self._all(transaction) if reading[3] < below]
        return len(found), sum(found)

    def sort(self, take: int) -> list[int]:
        with self.environment.begin(buffers=True) as transaction:
            return [reading[0] for reading in nsmallest(take, self._all(transaction), key=itemgetter(1))]

    def count(self) -> int:
        with self.environment.begin() as transaction:
            return int(transaction.stat(self.readings)["entries"])
