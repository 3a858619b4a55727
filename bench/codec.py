"""How long the codec takes per instruction.

    python bench/codec.py [--objects N]

Measures decoding and both ways of encoding for changesets of typical shapes; says whether the compiled modules were
in use (``SYNCLINE_PURE=1`` forces the interpreted ones). Figures are processor time, the best of several runs.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode, encode_recorded
from syncline.changesets.instructions import ArrayErase, ArrayInsert, CreateObject, Instruction, Update
from syncline.compilation import is_compiled
from syncline.values import GlobalKey, Key, Link, ObjectId, Timestamp, kinds

RUNS = 10


def four_properties(objects: int) -> list[Instruction]:
    """Objects with an integer key, a string, an int and a double: five instructions each."""
    result: list[Instruction] = []
    for number in range(objects):
        result.append(CreateObject("Item", number))
        result.append(Update("Item", number, "name", (), kinds.STRING, f"item number {number}"))
        result.append(Update("Item", number, "count", (), kinds.INT, number * 7))
        result.append(Update("Item", number, "price", (), kinds.DOUBLE, number * 0.25))
        result.append(Update("Item", number, "stock", (), kinds.INT, number % 50))
    return result


def lists(objects: int) -> list[Instruction]:
    """Insertions into and removals from lists of integers and of embedded objects' integers."""
    result: list[Instruction] = []
    for number in range(objects):
        result.append(ArrayInsert("Item", number, "numbers", (0,), kinds.INT, number, 0))
        result.append(ArrayInsert("Item", number, "numbers", (1,), kinds.INT, number, 1))
        result.append(Update("Item", number, "parts", (2, "sizes", 0), kinds.INT, 5, prior_size=3))
        result.append(ArrayErase("Item", number, "numbers", (0,), 2))
    return result


def keys_of_all_kinds(objects: int) -> list[Instruction]:
    """Strings, ObjectIds, UUIDs and GlobalKeys as keys; timestamps and links as values."""
    result: list[Instruction] = []
    for number in range(objects):
        made: list[Key] = [
            f"key {number}",
            ObjectId(number.to_bytes(12, "big")),
            UUID(int=number),
            GlobalKey(7, number),
        ]
        for table, key in zip("STUG", made, strict=True):
            result.append(CreateObject(table, key))
            result.append(Update(table, key, "when", (), kinds.TIMESTAMP, Timestamp(1_700_000_000 + number, 5)))
            result.append(Update(table, key, "next", (), kinds.LINK, Link(table, key)))
    return result


def best(action: Callable[[], object], instructions: int) -> float:
    """Nanoseconds of processor time per instruction, best of many."""
    times: list[float] = []
    for _ in range(RUNS):
        gc.collect()
        start = time.process_time()
        result = action()
        times.append(time.process_time() - start)
        del result
    return min(times) / instructions * 1e9


def measure(objects: int = 2_000) -> dict[str, float]:
    """All figures, by what they say; ``bench/merge.py`` prints them too."""
    figures: dict[str, float] = {}
    for title, make in (
        ("four properties", four_properties),
        ("lists", lists),
        ("keys, links, times", keys_of_all_kinds),
    ):
        instructions = make(objects)
        data = encode_recorded(instructions)
        count = len(instructions)
        changeset: Changeset = decode(data)
        figures[f"decode {title}, ns an instruction"] = best(partial(decode, data), count)
        figures[f"encode {title}, ns an instruction"] = best(partial(encode, changeset), count)
        figures[f"record {title}, ns an instruction"] = best(partial(encode_recorded, instructions), count)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=2_000)
    figures = measure(parser.parse_args().objects)
    print(f"codec, {'compiled' if is_compiled() else 'interpreted'}")
    for name, figure in figures.items():
        print(f"{name:48}{figure:8.0f}")


if __name__ == "__main__":
    main()
