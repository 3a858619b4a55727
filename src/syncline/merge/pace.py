"""Turns for other threads while all instructions of huge changesets are looked at and meet (``syncline.turns``)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from syncline.changesets.instructions import Instruction
from syncline.turns import let_others_run

__all__ = ["Pace"]

#: After so many instructions or pairs of them (a millisecond or two, compiled) other threads get a turn.
_AT_A_TIME: Final = 5_000


class Pace:
    """Counts work, and gives other threads a turn whenever enough was done."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: i64 = _AT_A_TIME

    def spend(self, work: int) -> None:
        """Note that so many instructions, or pairs, were or are about to be looked at."""
        self._left -= work
        if self._left <= 0:
            self._left = _AT_A_TIME
            let_others_run()

    def parts(self, instructions: list[Instruction]) -> list[list[Instruction]]:
        """The instructions in parts, before each of which to call :meth:`spend`; nearly always one, the list itself."""
        size = len(instructions)
        if size <= _AT_A_TIME:
            return [instructions]
        return [instructions[start : start + _AT_A_TIME] for start in range(0, size, _AT_A_TIME)]
