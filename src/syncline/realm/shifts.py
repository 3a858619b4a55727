"""How a change set renumbers the elements that stay (spec/sdk.md §9.3)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

__all__ = ["Shift"]


class Shift:
    """How one change set renumbers the elements that stay."""

    def __init__(self, deletions: Sequence[int], insertions: Sequence[int]) -> None:
        self._deletions = deletions
        self._insertions = insertions
        # how many elements that stayed are before each of them
        self._holes = [place - index for index, place in enumerate(deletions)]
        self._gaps = [place - index for index, place in enumerate(insertions)]

    def forward(self, old: int) -> int:
        """Where an element that was not deleted is now."""
        rank = old - bisect_left(self._deletions, old)
        return rank + bisect_right(self._gaps, rank)

    def back(self, new: int) -> int:
        """Where an element that was not inserted came from."""
        rank = new - bisect_left(self._insertions, new)
        return rank + bisect_right(self._holes, rank)
