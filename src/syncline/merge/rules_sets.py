"""Rules for sets (spec/merge.md §5.8). Both operands are on the same field.

Values of SetErase are compared by content, like those of SetInsert; realm-core compares their places in its string
buffers (spec/merge.md trap 2). Values are equal where a set takes them for one: 1, 1.0 and the decimal 1.00 in a set of
Mixed are one member, which realm-core's rule takes for three, so that its peers do not converge.
"""

from __future__ import annotations

from mypy_extensions import i64

from syncline.changesets.instructions import SetErase, SetInsert
from syncline.merge.operands import Operand
from syncline.merge.paths import same_place
from syncline.merge.reasons import CLEARED, NOTHING
from syncline.merge.rule import Rule
from syncline.merge.rules_values import keep_later
from syncline.values.order import equal


class SameMember(Rule):
    """SetInsert or SetErase × SetInsert or SetErase of an equal value: the later wins."""

    def meet(self, left: Operand, right: Operand) -> i64:
        ours, theirs = left.instruction, right.instruction
        assert isinstance(ours, (SetInsert, SetErase))
        assert isinstance(theirs, (SetInsert, SetErase))
        if not same_place(left, right) or not equal(ours.value, theirs.value):
            return NOTHING
        return keep_later(left, right)


class ClearDropsMember(Rule):
    """SetInsert or SetErase × Clear: clearing wins."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_place(left, right):
            return NOTHING
        left.discarded = True
        return CLEARED
