"""What a full-text index costs when texts are written, and what it saves when they are searched.

Run ``python bench/full_text.py [COUNT]``: texts of 5 to 25 words out of 20,000, a few of them frequent as in any
language. Prints microseconds per text for writing with and without the index, the best of three runs each, then
milliseconds per search over the table of words and, for the same file without that table, text by text.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from syncline import Field, Model, Realm, RealmConfiguration, compilation
from syncline.storage.connection import connect

SEARCHES = ("w00700", "w00001", "w00001 w00002", "w00700 w0002*", "w0123*", "w00700 -w00001", "-w00001")


class Plain(Model):
    """A text that cannot be searched for words."""

    id: int = Field(primary_key=True)
    text: str


class Indexed(Model):
    """One that can."""

    id: int = Field(primary_key=True)
    text: str = Field("", index="fulltext")


def texts_of(count: int) -> list[str]:
    """Texts; the n-th word is about n times as rare as the first."""
    chance = random.Random(1)
    words = [f"w{number:05}" for number in range(1, 20_001)]
    weights = [1 / number for number in range(1, 20_001)]
    drawn = iter(chance.choices(words, weights, k=count * 25))
    return [" ".join(next(drawn) for _ in range(chance.randint(5, 25))) for _ in range(count)]


def seconds(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def in_write(realm: Realm, work: Callable[[], object]) -> float:
    def transaction() -> None:
        with realm.write():
            work()

    return seconds(transaction)


def written(folder: Path, model: type[Model], texts: list[str]) -> dict[str, float]:
    """Seconds for each way of writing; the file stays as ``<model>.realm``."""
    rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
    some = range(0, len(rows), 10)
    found: dict[str, float] = {}
    path = folder / f"{model.__name__}.realm"
    path.unlink(missing_ok=True)

    def one_by_one() -> None:
        for row in rows:
            realm.create(model, row)

    with Realm.open(RealmConfiguration(in_memory=True, schema=[model])) as realm:
        found["one by one"] = in_write(realm, one_by_one)
    with Realm.open(RealmConfiguration(in_memory=True, schema=[model])) as realm:
        found["all at once"] = in_write(realm, lambda: realm.create_many(model, rows))
        objects = list(realm.objects(model))

        def change_some() -> None:
            for number in some:
                objects[number].text = texts[number - 1]

        found["change every tenth"] = in_write(realm, change_some) * 10
        found["delete all"] = in_write(realm, lambda: realm.objects(model).delete_all())
    with Realm.open(RealmConfiguration(path, schema=[model])) as realm, realm.write():
        realm.create_many(model, rows)
    return found


def searched(path: Path, read_only: bool) -> dict[str, tuple[float, int]]:
    with Realm.open(RealmConfiguration(path, schema=[Indexed], read_only=read_only)) as realm:
        found = {}
        for words in SEARCHES:

            def search(words: str = words) -> int:
                return len(list(realm.objects(Indexed).filter("text TEXT $0", words)._all_keys()))

            count = search()
            found[words] = (min(seconds(search) for _ in range(3)), count)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=100_000)
    count = parser.parse_args().count
    texts = texts_of(count)
    print(f"{count} texts, {'compiled' if compilation.is_compiled() else 'interpreted'}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [(written(folder, Plain, texts), written(folder, Indexed, texts)) for _ in range(3)]
        for way in runs[0][0]:
            plain = min(run[0][way] for run in runs) / count * 1e6
            indexed = min(run[1][way] for run in runs) / count * 1e6
            print(f"{way:20} {plain:8.1f} µs, with the index {indexed:8.1f} µs: {indexed / plain:.1f} times")
        path = folder / "Indexed.realm"
        sizes = [os.path.getsize(folder / f"{model.__name__}.realm") >> 20 for model in (Plain, Indexed)]
        print(f"{'size of the file':20} {sizes[0]} MiB, with the index {sizes[1]} MiB")
        with_table = searched(path, False)
        connection = connect(str(path), None, writable=True)
        connection.execute("DROP TABLE ft" + str(connection.execute("SELECT id FROM rlm_prop WHERE idx = 2").get))
        connection.close()
        without = searched(path, True)
        for words, (fast, hits) in with_table.items():
            slow, same = without[words]
            assert hits == same
            times = f"{fast * 1e3:8.2f} ms, text by text {slow * 1e3:8.1f} ms: {slow / fast:.0f} times"
            print(f"{words:20} {hits:7} found in {times}")


if __name__ == "__main__":
    main()
