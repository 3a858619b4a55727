"""How long coding and merging take: disjoint work, one list, overlapping work, many clients; and how it grows.

    python bench/merge.py

Prints processor time, the best of several runs, for the modules in use and, if those are compiled, for the interpreted
ones beside them; and what we aim at. A merge of one list is k · n pairs of small changes (docs/spec/merge.md §11.7), so
it is shown per pair. Then offline edits with real histories (bench/offline.py), and how long the kernel keeps other
threads waiting, and its memory (bench/turns.py).
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

import codec
import offline
import turns
from sides import Sides, new_objects, offline_edits, other_fields, same_fields, same_list, typing

from syncline.changesets.codec import decode, encode
from syncline.compilation import is_compiled
from syncline.merge import WindowEntry, integrate, transform

GROWTH = (1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000)
#: What compiled code should take at most, by how a figure's name begins.
AIMS = {
    "decode": 250,
    "encode": 250,
    "record": 250,
    "1,000 × 1,000 transactions, other objects, ns": 150,
    "growth": 150,
}


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
    figures = codec.measure()
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
    return {**figures, **offline.measure(), **turns.measure()}


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
    print(f"{'codec and merge':{width}}" + "".join(f"{column:>14}" for column in columns) + "   aim, compiled")
    for name in names:
        cells = [f"{figures[name]:14,.1f}" if name in figures else " " * 14 for figures in columns.values()]
        aim = next((f"{aim:16,.0f}" for beginning, aim in AIMS.items() if name.startswith(beginning)), "")
        print(f"{name:{width}}" + "".join(cells) + aim)


if __name__ == "__main__":
    main()
