"""Rules for single values: Update, AddInteger, Clear of a collection in a Mixed (spec/merge.md §5.2, §5.6).

Both operands are on the same field.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from syncline.changesets.instructions import AddInteger, Clear, Instruction, Update
from syncline.errors import TransformError
from syncline.merge.messages import describe
from syncline.merge.operands import PATHLESS, Operand
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
    RESET_ENTRY,
    RESET_LIST,
    RESET_NEEDLESS,
    SAME_COLLECTION,
)
from syncline.merge.resets import Reset, erasures, reset_of
from syncline.merge.rule import Rule
from syncline.values.kinds import (
    DICTIONARY,
    DICTIONARY_COLLECTION,
    INT,
    LIST,
    LIST_COLLECTION,
    NULL,
    OBJECT,
    SET,
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


def _give_way(loser: Operand, winner: Operand) -> None:
    """Discard an Update that lost to another; to a collection, make it a reset (``merge/resets.py``)."""
    update, other = loser.instruction, winner.instruction
    assert isinstance(update, Update)
    assert isinstance(other, Update)
    if loser.resettable and other.kind in (LIST, DICTIONARY):
        update.kind = SET
        update.value = Reset(other.kind)
        update.is_default = False
        loser.changed = True
    else:
        loser.discarded = True


def _meet_reset(reset: Operand, value: Reset, other: Operand) -> i64:
    """A reset against another Update of its place: only what is no collection of that kind makes it needless."""
    update = other.instruction
    assert isinstance(update, Update)
    if update.kind == value.kind or update.kind == SET:
        return NOTHING
    reset.discarded = True
    return RESET_NEEDLESS


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
        if isinstance(ours.value, Reset):
            return _meet_reset(left, ours.value, right)
        if isinstance(theirs.value, Reset):
            return _meet_reset(right, theirs.value, left)
        if ours.kind != theirs.kind:
            if ours.kind == OBJECT:
                left.discarded = True
                return OBJECT_YIELDS
            if theirs.kind == OBJECT:
                right.discarded = True
                return OBJECT_YIELDS
        elif ours.kind == LIST or ours.kind == DICTIONARY:
            return SAME_COLLECTION
        loser, winner = (left, right) if left.rank < right.rank else (right, left)
        reason: i64 = LATER_WINS
        if _is_default(left) != _is_default(right):
            loser, winner = (left, right) if _is_default(left) else (right, left)
            reason = EXPLICIT_WINS
        _give_way(loser, winner)
        return reason


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
        if isinstance(update.value, Reset):
            return NOTHING
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
        if isinstance(update.value, Reset):
            right.discarded = True
            return CLEARED
        if (clear.collection == LIST_COLLECTION and update.kind == LIST) or (
            clear.collection == DICTIONARY_COLLECTION and update.kind == DICTIONARY
        ):
            return SAME_COLLECTION
        if left.rank < right.rank and right.resettable and update.kind in (LIST, DICTIONARY):
            # what it cleared is gone, like what a plain value replaced: it gives way like one (merge/resets.py)
            left.discarded = left.changed = True
            left.replacement = [_beside(left, _reset_in_place_of(left, right, update.kind))]
            return LATER_WINS
        return keep_later(left, right)


def _reset_in_place_of(clear: Operand, winner: Operand, kind: int) -> Update:
    """The reset that a Clear becomes; the size of the list around it, which a Clear does not carry, is the winner's."""
    size = winner.prior_size
    return Update(clear.table, clear.key, clear.field, clear.path, SET, Reset(kind), prior_size=size)


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
        if isinstance(update.value, Reset):
            return _reset_collection(left, update, update.value, right)
        if (update.kind == LIST and next_step == BELOW_INDEX) or (
            update.kind == DICTIONARY and next_step == BELOW_NAME
        ):
            return SAME_COLLECTION
        right.discarded = True
        return OUTER_WINS


def _reset_collection(left: Operand, update: Update, reset: Reset, right: Operand) -> i64:
    """A reset against what the other side did in the collection after it won."""
    is_member = right.depth == left.depth + 1
    if reset.kind == LIST:
        if is_member and right.prior_size >= 0:
            left.discarded = left.changed = True
            if right.prior_size == 0:
                return RESET_NEEDLESS
            left.replacement = [_beside(left, step) for step in erasures(update, left.path, right.prior_size)]
            return RESET_LIST
    else:
        step = right.name if is_member else right.container[left.depth - PATHLESS]
        if isinstance(step, str) and (not is_member or right.index < 0):
            if step in reset.keys:
                return NOTHING
            change = right.instruction
            if is_member and isinstance(change, (Update, Clear)) and reset_of(change) is None:
                reset.keys[step] = None
                left.changed = True
                if isinstance(change, Update) and change.kind in (LIST, DICTIONARY):
                    inner = Reset(change.kind)
                    place = (*left.path, step)
                    left.pending = _beside(left, Update(update.table, update.key, update.field, place, SET, inner))
                return RESET_ENTRY
    right.discarded = True
    return OUTER_WINS


def _beside(operand: Operand, instruction: Instruction) -> Operand:
    """A new operand of the same changeset at the same place in it."""
    new = Operand(instruction, operand.changeset, operand.position)
    new.rank = operand.rank
    new.resettable = True
    return new


class DropsInner(Rule):
    """AddInteger and Clear against a change below their place (nested rule)."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if below(left, right) == NOT_BELOW:
            return NOTHING
        right.discarded = True
        return OUTER_WINS
