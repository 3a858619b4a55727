"""Where random decisions come from: a seed, or whatever else can choose.

Everything random in :mod:`syncline.testing` takes a :class:`Choices`, never a random number generator. So one generator
of histories serves the simulator (replayed from a seed) and hypothesis (which shrinks what it chose, see
:class:`syncline.testing.strategies.DrawnChoices`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Protocol, TypeVar

__all__ = ["Choices", "RandomChoices", "pick_weighted"]

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
    """One of the keys, each as often as its weight says; the first is the simplest. The sum must not be 0."""
    at = choices.integer(0, sum(weights.values()) - 1)
    for option, weight in weights.items():
        at -= weight
        if at < 0:
            return option
    raise ValueError("nothing to pick: no weight is positive")
