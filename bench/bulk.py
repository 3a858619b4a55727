"""What writing many objects at once costs, beside one by one and beside SQLite alone.

Run ``python bench/bulk.py [COUNT]``: objects of four properties (int key, string, int, double), one transaction each.
*Bare* is apsw's ``executemany`` of the same rows into the same table with the same index, in the same mode. Prints
microseconds per object, the best of three runs each, and how many times the bare time that is.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw

from syncline import Field, Model, Realm, RealmConfiguration, UpdateMode, compilation
from syncline.storage.file import RealmFile


class Reading(Model):
    """What is written."""

    id: int = Field(primary_key=True)
    sensor: str
    count: int
    value: float


Rows = list[tuple[int, str, int, float]]


def rows_of(count: int) -> Rows:
    return [(number, f"sensor {number % 100}", number, number * 0.5) for number in range(count)]


def bare(folder: Path, rows: Rows) -> float:
    """SQLite alone."""
    model = folder / "model.realm"
    Realm.open(RealmConfiguration(model, schema=[Reading])).close()
    schema = apsw.Connection(str(model)).execute(
        "SELECT sql FROM sqlite_schema WHERE tbl_name GLOB 'c[0-9]*' AND type IN ('table', 'index') ORDER BY type DESC"
    )
    connection = apsw.Connection(str(folder / f"{time.monotonic_ns()}.sqlite"))
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    for statement in [text for (text,) in schema.fetchall()]:
        connection.execute(statement)
    (name,) = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()[0]
    numbered = [(number, *row) for number, row in enumerate(rows)]

    def write() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"INSERT INTO {name} VALUES(?, ?, ?, ?, ?)", numbered)
        connection.execute("COMMIT")

    return seconds(write)


def in_realm(folder: Path, history: bool, work: Callable[[Realm], object], *before: Callable[[Realm], object]) -> float:
    """One write transaction in a new file."""
    path = folder / f"{time.monotonic_ns()}.realm"
    RealmFile.open(path, history=history).close()
    with Realm.open(RealmConfiguration(path, schema=[Reading])) as realm:

        def transaction(work: Callable[[Realm], object]) -> None:
            with realm.write():
                work(realm)

        for each in before:
            transaction(each)
        return seconds(lambda: transaction(work))


def seconds(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best(measure: Callable[[], float]) -> float:
    """The shortest of three times."""
    return min(measure() for _ in range(3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=100_000)
    count = parser.parse_args().count
    rows = rows_of(count)
    names = ("id", "sensor", "count", "value")
    values = [dict(zip(names, row, strict=True)) for row in rows]
    changed = [value | {"count": -1} if number % 2 else value for number, value in enumerate(values)]
    kind = "compiled" if compilation.is_compiled() else "interpreted"
    print(f"{count} objects in one transaction; kernel: {kind}")

    def one_by_one(realm: Realm) -> None:
        for value in values:
            realm.create(Reading, value)

    def add_all(realm: Realm) -> None:
        realm.add_all(Reading(**value) for value in values)

    def many(realm: Realm) -> None:
        realm.create_many(Reading, values)

    def upsert(realm: Realm) -> None:
        realm.create_many(Reading, changed, update=UpdateMode.MODIFIED)

    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        base = best(lambda: bare(folder, rows))

        def show(name: str, measure: Callable[[], float]) -> None:
            time = best(measure)
            print(f"{name:60} {time / count * 1e6:7.2f} µs/object   {time / base:5.2f} × bare")

        show("executemany alone", lambda: base)
        for history, suffix in ((False, ""), (True, ", with history")):
            show("create, one call each" + suffix, partial(in_realm, folder, history, one_by_one))
            show("create_many" + suffix, partial(in_realm, folder, history, many))
            show("add_all of unmanaged objects made on the way" + suffix, partial(in_realm, folder, history, add_all))
            show("create_many, half of them changed" + suffix, partial(in_realm, folder, history, upsert, many))


if __name__ == "__main__":
    main()
