"""How long merging takes: disjoint work, one list, overlapping work, many clients; and how it grows.

    python bench/merge.py

Prints processor time, the best of several runs, for the modules in use and, if those are compiled, for the interpreted
ones beside them. A merge of one list is k · n pairs of small changes (docs/spec/merge.md §11.7), so it is shown per
pair.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from random import Random

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode
from syncline.changesets.instructions import (
    AddInteger,
    ArrayErase,
    ArrayInsert,
    CreateObject,
    Instruction,
    SetInsert,
    Update,
)
from syncline.compilation import is_compiled
from syncline.merge import WindowEntry, integrate, transform
from syncline.values import kinds

Sides = tuple[list[Changeset], list[Changeset]]
GROWTH = (1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000)


def side(ident: int, transactions: Sequence[list[Instruction]]) -> list[Changeset]:
    """One changeset per transaction, with times that interleave with the other side's; as decoded from bytes."""
    changesets = []
    for number, instructions in enumerate(transactions, 1):
        changeset = decode(encode(Changeset(instructions, [])))
        changeset.version = number
        changeset.origin_timestamp = number
        changeset.origin_file_ident = ident
        changesets.append(changeset)
    return changesets


def new_object(ident: int, number: int) -> list[Instruction]:
    """A created object with three values."""
    key = f"{ident}-{number}"
    values = [Update("Dog", key, field, (), kinds.INT, number) for field in ("age", "weight", "owner")]
    return [CreateObject("Dog", key), *values]


def new_objects(count: int) -> Sides:
    """Both sides create objects, one per transaction."""
    return (
        side(2, [new_object(2, number) for number in range(count)]),
        side(3, [new_object(3, number) for number in range(count)]),
    )


def other_fields(count: int) -> Sides:
    """Both sides change four values of the same objects, in different fields."""

    def change(fields: str, number: int) -> list[Instruction]:
        return [Update("Dog", number, field, (), kinds.INT, number) for field in fields]

    return (
        side(2, [change("abcd", number) for number in range(count)]),
        side(3, [change("efgh", number) for number in range(count)]),
    )


def same_fields(count: int) -> Sides:
    """Both sides change the same four values of the same objects."""

    def change(number: int) -> list[Instruction]:
        return [Update("Dog", number, field, (), kinds.INT, number) for field in "abcd"]

    return side(2, [change(number) for number in range(count)]), side(3, [change(number) for number in range(count)])


def typing(ident: int, count: int) -> list[Changeset]:
    """One insertion per transaction, each behind the one before, into a list of ten."""
    return side(ident, [[ArrayInsert("Text", 1, "letters", (5 + n,), kinds.INT, n, 10 + n)] for n in range(count)])


def same_list(count: int) -> Sides:
    """Both sides write into the middle of one list."""
    return typing(2, count), typing(3, count)


def offline_edits(count: int) -> Sides:
    """Two devices that were offline: edits of all kinds, three in ten of objects that the other edits too."""
    random = Random(1)

    def edit(ident: int, number: int, sizes: dict[str, int]) -> list[Instruction]:
        key = f"shared {random.randrange(count // 10)}" if random.random() < 0.3 else f"{ident}-{number}"
        size = sizes.get(key, 3)
        kind = random.randrange(6)
        if kind == 0:
            sizes[key] = size + 1
            return [ArrayInsert("Dog", key, "walks", (random.randrange(size + 1),), kinds.INT, number, size)]
        if kind == 1 and size:
            sizes[key] = size - 1
            return [ArrayErase("Dog", key, "walks", (random.randrange(size),), size)]
        if kind == 2:
            return [AddInteger("Dog", key, "age", (), 1)]
        if kind == 3:
            return [SetInsert("Dog", key, "tags", (), kinds.INT, random.randrange(5))]
        return [Update("Dog", key, random.choice(("age", "name", "owner")), (), kinds.INT, number)]

    def device(ident: int) -> list[Changeset]:
        sizes: dict[str, int] = {}
        return side(ident, [edit(ident, number, sizes) for number in range(count)])

    return device(2), device(3)


class Log:
    """A server's log in memory, towards one client."""

    def __init__(self, entries: list[WindowEntry]) -> None:
        self.entries = entries
        self.reciprocals: list[tuple[int, bytes]] = []

    def window(self, after: int, up_to: int) -> list[WindowEntry]:
        return self.entries[after:up_to]

    def set_reciprocals(self, reciprocals: Sequence[tuple[int, bytes]]) -> None:
        self.reciprocals += reciprocals


def many_clients(clients: int, count: int) -> Callable[[], int]:
    """Clients that wrote into one list without contact upload in turn; decoding and encoding included."""
    uploads = [[encode(changeset) for changeset in typing(ident, count)] for ident in range(2, clients + 2)]

    def upload_all() -> int:
        entries: list[WindowEntry] = []
        for ident, upload in enumerate(uploads, 2):
            incoming = [decode(data) for data in upload]
            for number, changeset in enumerate(incoming, 1):
                changeset.version = changeset.origin_timestamp = number
                changeset.origin_file_ident = ident
            integrate(Log(entries), 1, len(entries), incoming, lambda _: True)
            for changeset in incoming:
                stamp = changeset.origin_timestamp
                entries.append(WindowEntry(len(entries) + 1, stamp, ident, encode(changeset)))
        return len(entries)

    return upload_all


def seconds(sides: Callable[[int], Sides], count: int, runs: int = 5) -> float:
    """Processor time of one merge, best of several."""
    times = []
    for _ in range(runs):
        ours, theirs = sides(count)
        gc.collect()
        start = time.process_time()
        transform(ours, theirs)
        times.append(time.process_time() - start)
    return min(times)


def measure() -> dict[str, float]:
    """All figures, by what they say."""
    figures: dict[str, float] = {}
    for name, sides, instructions in (
        ("1,000 × 1,000 transactions, other objects", new_objects, 8_000),
        ("1,000 × 1,000 transactions, same objects, other fields", other_fields, 8_000),
        ("1,000 × 1,000 transactions, same fields", same_fields, 8_000),
    ):
        taken = seconds(sides, 1_000)
        figures[f"{name}, ms"] = taken * 1e3
        figures[f"{name}, ns an instruction"] = taken / instructions * 1e9
    taken = seconds(same_list, 1_000, 3)
    figures["1,000 × 1,000 insertions in one list, ms"] = taken * 1e3
    figures["1,000 × 1,000 insertions in one list, ns a pair"] = taken / 1e6 * 1e9
    taken = seconds(offline_edits, 10_000)
    figures["10,000 × 10,000 edits, 30 % overlap, ms"] = taken * 1e3
    figures["10,000 × 10,000 edits, 30 % overlap, ns an instruction"] = taken / 20_000 * 1e9
    clients, count = 10, 1_000 if is_compiled() else 200
    upload_all = many_clients(clients, count)
    start = time.process_time()
    upload_all()
    taken = time.process_time() - start
    pairs = clients * (clients - 1) // 2 * count * count
    figures[f"{clients} clients × {count:,} insertions in one list, s"] = taken
    figures[f"{clients} clients in one list, ns a pair"] = taken / pairs * 1e9
    for count in GROWTH:
        figures[f"growth, other objects: {count:,} × {count:,} transactions, ns an instruction"] = (
            seconds(new_objects, count, 3) / (count * 8) * 1e9
        )
    return figures


def measure_interpreted() -> dict[str, float]:
    """The same by a process that uses the sources."""
    environment = {**os.environ, "SYNCLINE_PURE": "1"}
    command = [sys.executable, __file__, "--json"]
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="only the figures of this process, as JSON")
    if parser.parse_args().json:
        print(json.dumps(measure()))
        return
    columns = {"compiled" if is_compiled() else "interpreted": measure()}
    if is_compiled():
        columns["interpreted"] = measure_interpreted()
    names = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    width = max(map(len, names))
    print(f"{'merge':{width}}" + "".join(f"{column:>14}" for column in columns))
    for name in names:
        cells = [f"{figures[name]:14,.1f}" if name in figures else " " * 14 for figures in columns.values()]
        print(f"{name:{width}}" + "".join(cells))


if __name__ == "__main__":
    main()
