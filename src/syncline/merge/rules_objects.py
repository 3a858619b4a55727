"""Rules for whole objects (spec/merge.md §5.2 EraseObject, §5.5). Both operands are on the same object."""

from __future__ import annotations

from mypy_extensions import i64

from syncline.merge.operands import Operand
from syncline.merge.reasons import ERASED_OBJECT, LATER_WINS
from syncline.merge.rule import Rule


class EraseObjectDrops(Rule):
    """EraseObject × CreateObject, and EraseObject against any change in the object (nested): erasing wins."""

    def meet(self, left: Operand, right: Operand) -> i64:
        right.discarded = True
        return ERASED_OBJECT


class EraseObjectTwice(Rule):
    """EraseObject × EraseObject: the later stays, because what follows it may create the object again."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if right.rank < left.rank:
            right.discarded = True
        else:
            left.discarded = True
        return LATER_WINS
