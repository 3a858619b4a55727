"""What the storage core costs, without file, history and fsync: microseconds per object or element.

Run with ``python bench/storage.py [objects] [--profile]``. One class with an int key, a string, an int and a double;
1,000 objects a transaction, as ``make bench`` measures the whole. The database is on disk, in a temporary directory.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode_recorded
from syncline.storage.catalogue import ClassInfo, create_system_tables, load
from syncline.storage.transaction import WriteTransaction
from syncline.values.kinds import DOUBLE, INT, LIST_COLLECTION, STRING

BATCH = 1_000


class Store:
    """A database with the benchmark's class, and one transaction at a time on it."""

    def __init__(self, path: Path) -> None:
        self.connection = apsw.Connection(str(path))
        self.connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
        create_system_tables(self.connection)
        self.catalogue = load(self.connection)
        tx = self.begin()
        cls = tx.add_class("Item", primary_key="id", key_type=INT)
        tx.add_property(cls, "name", STRING)
        tx.add_property(cls, "count", INT)
        tx.add_property(cls, "weight", DOUBLE)
        tx.add_property(cls, "marks", INT, collection=LIST_COLLECTION)
        self.commit(tx)

    @property
    def item(self) -> ClassInfo:
        return self.catalogue.classes["Item"]

    def begin(self) -> WriteTransaction:
        self.connection.execute("BEGIN IMMEDIATE")
        return WriteTransaction(self.connection, load(self.connection, self.catalogue), 1)

    def commit(self, tx: WriteTransaction) -> bytes:
        """Commit; what would go into the history."""
        tx.finish()
        tx.changes.encode()
        data = encode_recorded(tx.instructions, tx.embedded_classes)
        self.connection.execute("COMMIT")
        self.catalogue = tx.catalogue
        return data


def create(store: Store, count: int) -> list[bytes]:
    """Objects with ascending keys."""
    changesets = []
    for start in range(0, count, BATCH):
        tx = store.begin()
        item = store.item
        name, number, weight = (item.properties[key] for key in ("name", "count", "weight"))
        for key in range(start, start + BATCH):
            k, _ = tx.create(item, key)
            tx.set(item, k, name, f"item {key}")
            tx.set(item, k, number, key * 3)
            tx.set(item, k, weight, key * 0.5)
        changesets.append(store.commit(tx))
    return changesets


def create_with_values(store: Store, count: int) -> None:
    """The same, values given at once."""
    for start in range(0, count, BATCH):
        tx = store.begin()
        item = store.item
        name, number, weight = (item.properties[key] for key in ("name", "count", "weight"))
        for key in range(start, start + BATCH):
            tx.create(item, key, ((name, f"item {key}", False), (number, key * 3, False), (weight, key * 0.5, False)))
        store.commit(tx)


def update(store: Store, count: int) -> None:
    """One property of each object."""
    for start in range(0, count, BATCH):
        tx = store.begin()
        item = store.item
        number = item.properties["count"]
        for k in range(start, start + BATCH):
            tx.set(item, k, number, k)
        store.commit(tx)


def read_and_update(store: Store, count: int) -> None:
    """One property of each object, found by its key and read first."""
    for start in range(0, count, BATCH):
        tx = store.begin()
        item = store.item
        number = item.properties["count"]
        for key in range(start, start + BATCH):
            k = tx.find(item, key)
            assert k is not None
            value = tx.get(item, k, number)
            assert isinstance(value, int)
            tx.set(item, k, number, value + 1)
        store.commit(tx)


def single(store: Store, count: int) -> None:
    """One object a transaction."""
    for key in range(count):
        tx = store.begin()
        item = store.item
        name, number, weight = (item.properties[key] for key in ("name", "count", "weight"))
        tx.create(item, 10_000_000 + key, ((name, "single", False), (number, 1, False), (weight, 0.5, False)))
        store.commit(tx)


def apply(store: Store, changesets: list[Changeset]) -> None:
    """Changesets of 1,000 objects each."""
    for changeset in changesets:
        tx = store.begin()
        tx.apply(changeset)
        store.commit(tx)


def list_front(store: Store, count: int) -> None:
    """Inserts at the front of one list, 100 a transaction."""
    for start in range(0, count, 100):
        tx = store.begin()
        ref = tx.collection(store.item, 0, store.item.properties["marks"])
        for value in range(start, start + 100):
            tx.list_insert(ref, 0, value)
        store.commit(tx)


def list_append(store: Store, count: int) -> None:
    """Appends, ten to each object."""
    for start in range(0, count // 10, BATCH):
        tx = store.begin()
        item = store.item
        marks = item.properties["marks"]
        for k in range(start + 1, min(start + BATCH, count // 10) + 1):
            tx.list_extend(tx.collection(item, k, marks), range(10))
        store.commit(tx)


def erase(store: Store, count: int) -> None:
    """Deletions."""
    for start in range(0, count, BATCH):
        tx = store.begin()
        tx.erase_many(store.item, range(start, start + BATCH))
        store.commit(tx)


def measure(title: str, count: int, work: Callable[[], object], profile: bool) -> None:
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    started, cpu_started = time.perf_counter(), time.process_time()
    work()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    profiler.disable()
    print(f"{title:<34}{seconds / count * 1e6:8.2f} µs {cpu_seconds / count * 1e6:8.2f} µs of processor")
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(14)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("objects", nargs="?", type=int, default=100_000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    count: int = options.objects
    with tempfile.TemporaryDirectory() as directory:
        first = Store(Path(directory) / "first")
        second = Store(Path(directory) / "second")
        third = Store(Path(directory) / "third")
        recorded: list[bytes] = []
        decoded: list[Changeset] = []
        parts: list[tuple[str, int, Callable[[], object]]] = [
            ("create, then set three", count, lambda: recorded.extend(create(first, count))),
            ("create with values", count, lambda: create_with_values(third, count)),
            ("decode", count, lambda: decoded.extend(map(decode, recorded))),
            ("apply", count, lambda: apply(second, decoded)),
            ("set one property", count, lambda: update(first, count)),
            ("find, get, set one property", count, lambda: read_and_update(first, count)),
            ("one object a transaction", 1_000, lambda: single(first, 1_000)),
            ("list insert at the front", 10_000, lambda: list_front(first, 10_000)),
            ("list append", count, lambda: list_append(first, count)),
            ("erase", count, lambda: erase(first, count)),
        ]
        for title, objects, work in parts:
            measure(title, objects, work, options.profile and options.only in title)


if __name__ == "__main__":
    main()
