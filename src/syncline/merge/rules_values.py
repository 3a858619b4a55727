"""Rules for single values: Update, AddInteger, Clear of a collection in a Mixed (spec/merge.md §5.2, §5.6).

Both operands are on the same field.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from syncline.changesets.instructions import AddInteger, Clear, Update
from syncline.errors import TransformError
from syncline.merge.messages import describe
from syncline.merge.operands import Operand
from syncline.merge.paths import BELOW_INDEX, BELOW_NAME, NOT_BELOW, below, same_place
from syncline.merge.reasons import (
    CLEARED,
    EXPLICIT_WINS,
    INCREMENT_ADDED,
    INCREMENT_KEPT,
    INCREMENT_LOST,
    LATER_WINS,
    NOTHING,
    OBJECT_YIELDS,
    OUTER_WINS,
    SAME_COLLECTION,
)
from syncline.merge.rule import Rule
from syncline.values.kinds import (
    DICTIONARY,
    DICTIONARY_COLLECTION,
    INT,
    LIST,
    LIST_COLLECTION,
    NULL,
    OBJECT,
)

_INT64_RANGE: Final = 1 << 64
_INT64_LIMIT: Final = 1 << 63


def keep_later(left: Operand, right: Operand) -> i64:
    """Discard the earlier one; among equals, which must not occur, the right one."""
    if left.rank < right.rank:
        left.discarded = True
    else:
        right.discarded = True
    return LATER_WINS


class KeepLater(Rule):
    """Clear × Clear: the later wins, whatever kinds of collections they saw."""

    def meet(self, left: Operand, right: Operand) -> i64:
        return keep_later(left, right) if same_place(left, right) else NOTHING


class UpdateTwice(Rule):
    """Update × Update of one place."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_place(left, right):
            return NOTHING
        ours, theirs = left.instruction, right.instruction
        assert isinstance(ours, Update)
        assert isinstance(theirs, Update)
        if left.index >= 0 and left.prior_size != right.prior_size:
            raise TransformError(f"Merge error: lists of different sizes: {describe(left)} against {describe(right)}")
        if ours.kind != theirs.kind:
            if ours.kind == OBJECT:
                left.discarded = True
                return OBJECT_YIELDS
            if theirs.kind == OBJECT:
                right.discarded = True
                return OBJECT_YIELDS
        elif ours.kind == LIST or ours.kind == DICTIONARY:
            return SAME_COLLECTION
        if _is_default(left) != _is_default(right):
            if _is_default(left):
                left.discarded = True
            else:
                right.discarded = True
            return EXPLICIT_WINS
        return keep_later(left, right)


def _is_default(operand: Operand) -> bool:
    """The Update sets a default value; array updates never do."""
    update = operand.instruction
    return isinstance(update, Update) and update.is_default and operand.index < 0


class AddToUpdate(Rule):
    """AddInteger × Update of one place."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_place(left, right):
            return NOTHING
        increment, update = left.instruction, right.instruction
        assert isinstance(increment, AddInteger)
        assert isinstance(update, Update)
        if right.rank < left.rank or _is_default(right):
            if update.kind == NULL:
                return INCREMENT_KEPT
            value = update.value
            if update.kind == INT and isinstance(value, int):
                update.value = (value + increment.value + _INT64_LIMIT) % _INT64_RANGE - _INT64_LIMIT
                right.changed = True
                return INCREMENT_ADDED
        left.discarded = True
        return INCREMENT_LOST


class ClearDropsAdd(Rule):
    """Clear × AddInteger of one place."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_place(left, right):
            return NOTHING
        right.discarded = True
        return CLEARED


class ClearAgainstUpdate(Rule):
    """Clear × Update of one place: the collection is in a Mixed."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if not same_place(left, right):
            return NOTHING
        clear, update = left.instruction, right.instruction
        assert isinstance(clear, Clear)
        assert isinstance(update, Update)
        if (clear.collection == LIST_COLLECTION and update.kind == LIST) or (
            clear.collection == DICTIONARY_COLLECTION and update.kind == DICTIONARY
        ):
            return SAME_COLLECTION
        return keep_later(left, right)


class UpdateDropsInner(Rule):
    """Update against a change below the place it sets (nested rule)."""

    def meet(self, left: Operand, right: Operand) -> i64:
        update = left.instruction
        assert isinstance(update, Update)
        if update.kind == OBJECT and not left.replaces:
            return NOTHING
        next_step = below(left, right)
        if next_step == NOT_BELOW:
            return NOTHING
        if (update.kind == LIST and next_step == BELOW_INDEX) or (
            update.kind == DICTIONARY and next_step == BELOW_NAME
        ):
            return SAME_COLLECTION
        right.discarded = True
        return OUTER_WINS


class DropsInner(Rule):
    """AddInteger and Clear against a change below their place (nested rule)."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if below(left, right) == NOT_BELOW:
            return NOTHING
        right.discarded = True
        return OUTER_WINS
