"""Where random decisions come from: a seed, or whatever else can choose.

Everything random in :mod:`syncline.testing` takes a :class:`Choices`, never a random number generator. So one generator
of histories serves the simulator (replayed from a seed) and hypothesis (which shrinks what it chose, see
:class:`syncline.testing.strategies.DrawnChoices`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Protocol, TypeVar

__all__ = ["BytesChoices", "Choices", "RandomChoices", "pick_weighted"]

T = TypeVar("T")


class Choices(Protocol):
    """A source of decisions. One that shrinks prefers the first, the lowest, and no."""

    def integer(self, low: int, high: int) -> int:
        """A number from ``low`` to ``high``, both included; ``low`` is the simplest."""
        ...

    def pick(self, options: Sequence[T]) -> T:
        """One of ``options``, which must not be empty; the first is the simplest."""
        ...

    def chance(self, percent: int) -> bool:
        """True in about ``percent`` of 100 cases; False is the simplest."""
        ...


class RandomChoices:
    """Choices that follow from ``seed`` alone: the same seed makes the same decisions, on every platform."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def integer(self, low: int, high: int) -> int:
        """See :meth:`Choices.integer`."""
        return self._random.randint(low, high)

    def pick(self, options: Sequence[T]) -> T:
        """See :meth:`Choices.pick`."""
        return options[self._random.randrange(len(options))]

    def chance(self, percent: int) -> bool:
        """See :meth:`Choices.chance`."""
        return self._random.randrange(100) < percent


def pick_weighted(choices: Choices, weights: Mapping[T, int]) -> T:
    """One of the keys, each as often as its weight says; the first is the simplest.

    Raises ValueError if no weight is positive.
    """
    total = sum(weights.values())
    if total <= 0:
        raise ValueError("nothing to pick: no weight is positive")
    at = choices.integer(0, total - 1)
    options = iter(weights.items())
    option, weight = next(options)
    while at >= weight:
        at -= weight
        option, weight = next(options)
    return option


class BytesChoices:
    """Choices read from bytes, one or more for each; after the last byte everything is the simplest.

    For fuzzers, and for shrinking: zero bytes and missing ones choose the simplest, and each part of a history can have
    bytes of its own, so that leaving one out changes no other.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def integer(self, low: int, high: int) -> int:
        """See :meth:`Choices.integer`. Smaller bytes choose smaller numbers."""
        count = high - low + 1
        size = ((count - 1).bit_length() + 7) // 8
        chunk = self._data[self._at : self._at + size].ljust(size, b"\0")
        self._at += size
        return low + (int.from_bytes(chunk, "big") * count >> 8 * size)

    def pick(self, options: Sequence[T]) -> T:
        """See :meth:`Choices.pick`."""
        return options[self.integer(0, len(options) - 1)]

    def chance(self, percent: int) -> bool:
        """See :meth:`Choices.chance`."""
        return self.integer(0, 99) >= 100 - percent
