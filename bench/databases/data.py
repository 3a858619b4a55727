"""What is stored: objects of four properties, every value known from the number of the object."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

__all__ = ["Row", "Totals", "changed_values", "one_percent", "rows", "some_keys", "totals"]

#: key (from 1), name, number (indexed), value
Row: TypeAlias = tuple[int, str, int, float]

# Primes: multiplied by them, the numbers below any power of ten come in another order, each once.
_NAMES, _NUMBERS, _VALUES = 15_485_863, 7_919, 104_729


class Totals(NamedTuple):
    """What was found, in sum; equal for all databases. Values are quarters, so sums are exact in any order."""

    count: int = 0
    keys: int = 0
    letters: int = 0
    numbers: int = 0
    values: float = 0.0


def rows(count: int) -> list[Row]:
    """All objects, by key. Names, numbers and values are each unique, and in no order."""
    return [
        (key, f"sensor {key * _NAMES % count:07d}", key * _NUMBERS % count, (key * _VALUES % count) / 4)
        for key in range(1, count + 1)
    ]


def one_percent(count: int) -> tuple[int, float]:
    """Limits: 1 % of the numbers are below the first, 1 % of the values below the second."""
    return count // 100, (count // 100) / 4


def some_keys(count: int, wanted: int) -> list[int]:
    """Keys in random order, the same in each run."""
    return random.Random(5).sample(range(1, count + 1), min(wanted, count))


def changed_values(keys: Iterable[int], turn: int) -> list[tuple[int, float]]:
    """(key, new value): another one in each turn."""
    return [(key, key / 4 + turn) for key in keys]


def totals(found: Iterable[Row]) -> Totals:
    """The sums of rows."""
    count = keys = letters = numbers = 0
    values = 0.0
    for key, name, number, value in found:
        count += 1
        keys += key
        letters += len(name)
        numbers += number
        values += value
    return Totals(count, keys, letters, numbers, values)
