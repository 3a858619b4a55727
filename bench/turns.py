"""How long the kernel keeps other threads waiting, and how much memory it takes: one huge changeset, one huge merge.

    python bench/turns.py

A server's event loop, or a user interface, is another thread. It waits as long as compiled code keeps the interpreter
to itself, so the kernel gives turns (``syncline/turns.py``). Shown is the longest wait of a thread that wants to run
every half millisecond, the best of several runs; for comparison also while the first thread only sleeps, and without
the cyclic garbage collector, whose passes over everything that was decoded nobody can interrupt.
"""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext

from codec import four_properties, keys_of_all_kinds
from sides import new_objects, offline_edits, same_list

from syncline.changesets.codec import decode, encode, encode_recorded
from syncline.collector import COLLECTOR_PAUSED
from syncline.compilation import is_compiled
from syncline.merge import transform

RUNS = 3
#: How often the other thread wants to run.
TICK_S = 0.000_5
#: Instructions of the huge changeset, and transactions on each side of the huge merge, compiled.
INSTRUCTIONS = 500_000
TRANSACTIONS = 50_000
#: Interpreted code gives turns anyway, and takes longer.
SMALLER = 10


class OtherThread:
    """Wants to run all the time; ``longest`` is how long it once had to wait."""

    def __enter__(self) -> OtherThread:
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self) -> None:
        last = time.perf_counter()
        while not self._over.wait(TICK_S):
            now = time.perf_counter()
            self.longest = max(self.longest, now - last)
            last = now

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def longest_wait(prepare: Callable[[], Callable[[], object]], collecting: bool = False) -> float:
    """Milliseconds, best of several; only what ``prepare`` returns is watched."""
    waits = []
    for _ in range(RUNS):
        action = prepare()
        gc.collect()
        with nullcontext() if collecting else COLLECTOR_PAUSED, OtherThread() as other:
            time.sleep(0.01)
            result = action()
        waits.append(other.longest)
        del result, action
    return min(waits) * 1e3


def memory(action: Callable[[], object]) -> int:
    """Bytes that an action needed at its peak, its result included."""
    gc.collect()
    tracemalloc.start()
    result = action()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return peak


def measure() -> dict[str, float]:
    """All figures, by what they say."""
    divisor = 1 if is_compiled() else SMALLER
    instructions, transactions = INSTRUCTIONS // divisor, TRANSACTIONS // divisor
    plain = encode_recorded(four_properties(instructions // 5))
    rich = encode_recorded(keys_of_all_kinds(instructions // 12))
    changeset = decode(plain)
    figures = {"longest wait of another thread while sleeping, ms": longest_wait(lambda: lambda: time.sleep(0.3))}
    for name, action in (
        ("decode, four properties", lambda: decode(plain)),
        ("decode, keys, links, times", lambda: decode(rich)),
        ("encode, four properties", lambda: encode(changeset)),
    ):
        figures[f"longest wait: {name}, ms"] = longest_wait(lambda action=action: action)
        figures[f"longest wait: {name}, with the collector, ms"] = longest_wait(lambda action=action: action, True)
    for name, sides, count in (
        ("merge, other objects", new_objects, transactions),
        ("merge, 30 % overlap", offline_edits, transactions),
        ("merge, one list", same_list, 2_000 // divisor),
    ):

        def prepare(sides=sides, count=count) -> Callable[[], object]:
            ours, theirs = sides(count)
            return lambda: transform(ours, theirs)

        figures[f"longest wait: {name}, ms"] = longest_wait(prepare)
    figures["memory of decoded instructions, four properties, bytes each"] = (
        memory(lambda: decode(plain)) / instructions
    )
    for name, sides in (("other objects", new_objects), ("30 % overlap", offline_edits)):
        ours, theirs = sides(transactions)
        total = sum(len(changeset.instructions) for changeset in ours + theirs)
        peak = memory(lambda ours=ours, theirs=theirs: transform(ours, theirs))
        figures[f"memory of a merge, {name}, bytes an instruction"] = peak / total
    return figures


def main() -> None:
    print("kernel", "compiled" if is_compiled() else "interpreted")
    for name, figure in measure().items():
        print(f"{name:64}{figure:10.1f}")


if __name__ == "__main__":
    main()
