"""Rules for lists (spec/merge.md §5.2, §5.7). Both operands are on the same field.

In the formulas an element's place is ``index``; a move goes from ``index`` to ``target``.

Two of them are ours where realm-core's lead to different states (spec/merge.md trap 1, vectors/NOTES.md 1 and 14): a
move carries the changes inside the moved element along, and a Clear of a collection that is itself an element of a list
follows that element.
"""

from __future__ import annotations

from mypy_extensions import i64

from syncline.errors import TransformError
from syncline.merge.messages import describe
from syncline.merge.operands import Operand
from syncline.merge.paths import NOT_BELOW, below, index_within, same_container, set_index_within, via_move
from syncline.merge.reasons import (
    ELEMENT_ERASED,
    FOLLOWS_MOVE,
    LATER_MOVE,
    NOTHING,
    SAME_TARGET,
    SHIFTED,
)
from syncline.merge.rule import Rule


def _fail(problem: str, left: Operand, right: Operand) -> None:
    raise TransformError(f"Merge error: {problem}: {describe(left)} against {describe(right)}")


def _check_places(left: Operand, right: Operand) -> None:
    """Both paths end in a list index, as they must for two changes of one list."""
    if left.index < 0 or right.index < 0:
        _fail("one side works on a list, the other on something else at the same place", left, right)


def _check_inside(operand: Operand, other: Operand) -> None:
    if operand.index >= operand.prior_size:
        _fail("the index is beyond the end of the list", operand, other)


def _check_same_list(left: Operand, right: Operand) -> None:
    _check_places(left, right)
    if left.prior_size != right.prior_size:
        _fail("lists of different sizes", left, right)


class InsertAgainstUpdate(Rule):
    """ArrayInsert × Update of an element."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_container(left, right):
            return NOTHING
        _check_same_list(left, right)
        if left.index > left.prior_size:
            _fail("the index is beyond the end of the list", left, right)
        _check_inside(right, left)
        right.prior_size += 1
        if right.index >= left.index:
            right.index += 1
        right.changed = True
        return SHIFTED


class MoveAgainstUpdate(Rule):
    """ArrayMove × Update of an element; the sizes may differ."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_container(left, right):
            return NOTHING
        _check_places(left, right)
        _check_inside(left, right)
        _check_inside(right, left)
        index = via_move(right.index, left.index, left.target)
        if index == right.index:
            return NOTHING
        right.index = index
        right.changed = True
        return FOLLOWS_MOVE


class EraseAgainstUpdate(Rule):
    """ArrayErase × Update of an element."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_container(left, right):
            return NOTHING
        _check_same_list(left, right)
        _check_inside(left, right)
        _check_inside(right, left)
        right.prior_size -= 1
        right.changed = True
        if left.index == right.index:
            right.discarded = True
            return ELEMENT_ERASED
        if right.index > left.index:
            right.index -= 1
        return SHIFTED


class InsertTwice(Rule):
    """ArrayInsert × ArrayInsert."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_container(left, right):
            return NOTHING
        _check_same_list(left, right)
        left.prior_size += 1
        right.prior_size += 1
        left.changed = right.changed = True
        if left.index > right.index:
            left.index += 1
            return SHIFTED
        if left.index < right.index:
            right.index += 1
            return SHIFTED
        if left.rank < right.rank:
            right.index += 1
        else:
            left.index += 1
        return SAME_TARGET


class MoveAgainstInsert(Rule):
    """ArrayMove × ArrayInsert: first the moved element is taken out, then put in at its target."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_container(left, right):
            return NOTHING
        _check_places(left, right)
        left.prior_size += 1
        left.changed = True
        reason: i64 = SHIFTED
        index = right.index
        if index > left.index:
            index -= 1
        else:
            left.index += 1
        if index < left.target:
            left.target += 1
        elif index > left.target:
            index += 1
        else:
            reason = SAME_TARGET
            if left.rank < right.rank:
                left.target += 1
            else:
                index += 1
        if index != right.index:
            right.index = index
            right.changed = True
        return reason


class EraseAgainstInsert(Rule):
    """ArrayErase × ArrayInsert."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_container(left, right):
            return NOTHING
        _check_same_list(left, right)
        _check_inside(left, right)
        if right.index > right.prior_size:
            _fail("the index is beyond the end of the list", right, left)
        left.prior_size += 1
        right.prior_size -= 1
        left.changed = right.changed = True
        if right.index <= left.index:
            left.index += 1
        else:
            right.index -= 1
        return SHIFTED


class MoveTwice(Rule):
    """ArrayMove × ArrayMove."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_container(left, right):
            return NOTHING
        _check_same_list(left, right)
        for one, other in ((left, right), (right, left)):
            _check_inside(one, other)
            if one.target >= one.prior_size:
                _fail("the target is beyond the end of the list", one, other)
        if left.index == right.index:
            return self._same_element(left, right)
        left_index, left_target, right_index, right_target = left.index, left.target, right.index, right.target
        reason = self._different_elements(left, right)
        left.changed |= left.index != left_index or left.target != left_target
        right.changed |= right.index != right_index or right.target != right_target
        return reason

    def _same_element(self, left: Operand, right: Operand) -> i64:
        loser, winner = (left, right) if left.rank < right.rank else (right, left)
        loser.discarded = True
        winner.index = loser.target
        winner.changed = True
        if winner.index == winner.target:
            winner.discarded = True
        return LATER_MOVE

    def _different_elements(self, left: Operand, right: Operand) -> i64:
        if left.index < right.index:
            right.index -= 1
        else:
            left.index -= 1
        if left.target > right.index:
            left.target -= 1
        else:
            right.index += 1
        if left.index < right.target:
            right.target -= 1
        else:
            left.index += 1
        reason: i64 = SHIFTED
        if left.target < right.target:
            right.target += 1
        elif left.target > right.target:
            left.target += 1
        else:
            reason = SAME_TARGET
            if left.rank < right.rank:
                right.target += 1
            else:
                left.target += 1
        left.discarded = left.index == left.target
        right.discarded = right.index == right.target
        return reason


class EraseAgainstMove(Rule):
    """ArrayErase × ArrayMove."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_container(left, right):
            return NOTHING
        _check_same_list(left, right)
        _check_inside(left, right)
        _check_inside(right, left)
        right.prior_size -= 1
        right.changed = True
        index = left.index
        reason: i64 = SHIFTED
        if index == right.index:
            index = right.target
            right.discarded = True
            reason = ELEMENT_ERASED
        else:
            if index > right.index:
                index -= 1
            else:
                right.index -= 1
            if index >= right.target:
                index += 1
            else:
                right.target -= 1
            right.discarded = right.index == right.target
        if index != left.index:
            left.index = index
            left.changed = True
        return reason


class EraseTwice(Rule):
    """ArrayErase × ArrayErase."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_container(left, right):
            return NOTHING
        _check_same_list(left, right)
        _check_inside(left, right)
        _check_inside(right, left)
        left.prior_size -= 1
        right.prior_size -= 1
        left.changed = right.changed = True
        if left.index > right.index:
            left.index -= 1
        elif left.index < right.index:
            right.index -= 1
        else:
            left.discarded = right.discarded = True
            return ELEMENT_ERASED
        return SHIFTED


# --- changes inside an element (nested rules; left is the outer one) --------------------------------------------------


class InsertShiftsInner(Rule):
    """ArrayInsert against a change inside an element of the same list."""

    def meet(self, left: Operand, right: Operand) -> i64:
        index = index_within(left, right)
        if index < left.index or index < 0:
            return NOTHING
        set_index_within(left, right, index + 1)
        return SHIFTED


class MoveCarriesInner(Rule):
    """ArrayMove against a change inside an element of the same list (trap 1: the intended rule)."""

    def meet(self, left: Operand, right: Operand) -> i64:
        index = index_within(left, right)
        if index < 0:
            return NOTHING
        moved = via_move(index, left.index, left.target)
        if moved == index:
            return NOTHING
        set_index_within(left, right, moved)
        return FOLLOWS_MOVE


class EraseDropsInner(Rule):
    """ArrayErase against a change inside an element of the same list."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if below(left, right) != NOT_BELOW:
            right.discarded = True
            return ELEMENT_ERASED
        index = index_within(left, right)
        if index <= left.index:
            return NOTHING
        set_index_within(left, right, index - 1)
        return SHIFTED


# --- Clear of a collection that is an element of the list -------------------------------------------------------------


class ClearFollowsInsert(Rule):
    """Clear of a list element × ArrayInsert beside it."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if left.index < right.index or right.index < 0 or not same_container(left, right):
            return NOTHING
        left.index += 1
        left.changed = True
        return SHIFTED


class ClearFollowsMove(Rule):
    """Clear of a list element × ArrayMove of or beside it."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if left.index < 0 or right.index < 0 or not same_container(left, right):
            return NOTHING
        index = via_move(left.index, right.index, right.target)
        if index == left.index:
            return NOTHING
        left.index = index
        left.changed = True
        return FOLLOWS_MOVE


class ClearFollowsErase(Rule):
    """Clear of a list element × ArrayErase of or beside it."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if left.index < right.index or right.index < 0 or not same_container(left, right):
            return NOTHING
        if left.index == right.index:
            left.discarded = True
            return ELEMENT_ERASED
        left.index -= 1
        left.changed = True
        return SHIFTED
