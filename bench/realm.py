"""How fast the object database is, with objects of four properties (int key, string, int, double).

Run ``python bench/realm.py [COUNT]``; prints microseconds per object. ``--profile`` shows where writing spends time.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from syncline import Field, Model, Realm, RealmConfiguration, compilation
from syncline.storage.file import RealmFile

PER_TRANSACTION = 1_000


class Reading(Model):
    """What is written."""

    id: int = Field(primary_key=True)
    sensor: str
    count: int
    value: float


def open_in(directory: Path, history: bool) -> Realm:
    """A new Realm, with or without the history that sync needs."""
    path = directory / f"history-{history}.realm"
    RealmFile.open(path, history=history).close()
    return Realm.open(RealmConfiguration(path, schema=[Reading]))


def write(realm: Realm, count: int) -> None:
    """One ``create`` per object."""
    for start in range(0, count, PER_TRANSACTION):
        with realm.write():
            for number in range(start, min(start + PER_TRANSACTION, count)):
                realm.create(Reading, id=number, sensor=f"sensor {number % 100}", count=number, value=number * 0.5)


def read_all(realm: Realm) -> None:
    """Every property of every object."""
    for reading in realm.objects(Reading):
        _ = (reading.id, reading.sensor, reading.count, reading.value)


def read_one(realm: Realm) -> None:
    """One property of every object."""
    for reading in realm.objects(Reading):
        _ = reading.value


def update(realm: Realm, count: int) -> None:
    """One property of every tenth object, one transaction."""
    with realm.write():
        for number in range(0, count, 10):
            reading = realm.get(Reading, number)
            assert reading is not None
            reading.count += 1


def observe(realm: Realm) -> None:
    """What one change in all objects costs an observer of them."""
    with realm.write():
        reading = realm.get(Reading, 7)
        assert reading is not None
        reading.count += 1
    realm.refresh()


def measure(name: str, count: int, work: Callable[[], object]) -> None:
    """Print the time of ``work`` per object."""
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    print(f"{name:38} {seconds / count * 1e6:9.2f} µs/object   {seconds:8.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=100_000)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    count = arguments.count
    kind = "compiled" if compilation.is_compiled() else "interpreted"
    print(f"{count} objects, {PER_TRANSACTION} a transaction; kernel: {kind}")
    with tempfile.TemporaryDirectory() as directory, open_in(Path(directory), False) as realm:
        if arguments.profile:
            profile = cProfile.Profile()
            profile.runcall(write, realm, count)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
            return
        measure("create, one call each", count, lambda: write(realm, count))
        with open_in(Path(directory), True) as recording:
            measure("the same with history for sync", count, lambda: write(recording, count))
        measure("read four properties of each", count, lambda: read_all(realm))
        measure("read one property of each", count, lambda: read_one(realm))
        measure("get by key and update a tenth", count // 10, lambda: update(realm, count))
        results = realm.objects(Reading)
        measure("filter 1 %, then iterate", 1, lambda: list(results.where(Reading.count > count * 0.99)))
        measure("sort by string, take 100", 1, lambda: results.sort("sensor").limit(100)[:])
        token = results.observe(lambda _results, _change: None)
        realm.refresh()
        measure("notify of one change", 1, lambda: observe(realm))
        token.invalidate()


if __name__ == "__main__":
    main()
