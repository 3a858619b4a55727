"""How two instructions meet: which rule of which table, in which order (spec/merge.md §3.1).

First the nested rule where one place is inside the other's, then the regular one. The three functions differ only in
what the caller knows already: the finer the partition, the less is compared.
"""

from __future__ import annotations

from mypy_extensions import i64

from syncline.changesets.instructions import (
    ADD_COLUMN,
    ERASE_COLUMN,
    ERASE_OBJECT,
    ERASE_TABLE,
)
from syncline.merge.observer import (
    LEFT_CHANGED,
    LEFT_DISCARDED,
    PREPENDED,
    RIGHT_CHANGED,
    RIGHT_DISCARDED,
    MergeObserver,
)
from syncline.merge.operands import Operand
from syncline.merge.reasons import NOTHING, WORDS
from syncline.merge.rule import Rule
from syncline.merge.rules import NESTED, OPCODES, REGULAR

__all__ = ["meet", "meet_in_field", "meet_in_object"]


def meet(major: Operand, minor: Operand, observer: MergeObserver | None) -> None:
    """Resolve any pair."""
    if not (_is_schema(major) or _is_schema(minor)):
        if major.table == minor.table and major.key == minor.key:
            meet_in_object(major, minor, observer)
        return
    if major.depth < minor.depth:
        _nested(major, minor, observer)
    elif minor.depth < major.depth:
        _nested(minor, major, observer)
    if not major.discarded and not minor.discarded:
        _regular(major, minor, observer)


def meet_in_object(major: Operand, minor: Operand, observer: MergeObserver | None) -> None:
    """Resolve a pair of instructions on one object."""
    if major.opcode <= ERASE_OBJECT and minor.opcode <= ERASE_OBJECT:
        _regular(major, minor, observer)
    elif major.opcode <= ERASE_OBJECT:
        _nested(major, minor, observer)
    elif minor.opcode <= ERASE_OBJECT:
        _nested(minor, major, observer)
    elif major.field == minor.field:
        meet_in_field(major, minor, observer)


def meet_in_field(major: Operand, minor: Operand, observer: MergeObserver | None) -> None:
    """Resolve a pair of changes of one field."""
    if major.depth == minor.depth:
        _regular(major, minor, observer)
    elif major.depth < minor.depth:
        _nested(major, minor, observer)
    else:
        _nested(minor, major, observer)


def _is_schema(operand: Operand) -> bool:
    opcode = operand.opcode
    return opcode <= ERASE_TABLE or opcode in (ADD_COLUMN, ERASE_COLUMN)


def _regular(major: Operand, minor: Operand, observer: MergeObserver | None) -> None:
    if major.opcode >= minor.opcode:
        left, right = major, minor
    else:
        left, right = minor, major
    rule = REGULAR[left.opcode * OPCODES + right.opcode]
    if rule is not None:
        if observer is None:
            rule.meet(left, right)
        else:
            _watched(rule, left, right, observer)


def _nested(outer: Operand, inner: Operand, observer: MergeObserver | None) -> None:
    rule = NESTED[outer.opcode]
    if rule is not None:
        if observer is None:
            rule.meet(outer, inner)
        else:
            _watched(rule, outer, inner, observer)


def _watched(rule: Rule, left: Operand, right: Operand, observer: MergeObserver) -> None:
    """Apply a rule and tell the observer what it did."""
    left_changed, right_changed = left.changed, right.changed
    left.changed = right.changed = False
    reason: i64 = rule.meet(left, right)
    if reason != NOTHING:
        left.write_back()
        right.write_back()
        effect = (
            (LEFT_CHANGED if left.changed else 0)
            | (RIGHT_CHANGED if right.changed else 0)
            | (LEFT_DISCARDED if left.discarded else 0)
            | (RIGHT_DISCARDED if right.discarded else 0)
            | (PREPENDED if left.pending is not None or right.pending is not None else 0)
        )
        observer.rule_fired(
            rule.number, WORDS[reason], left.instruction, left.changeset, right.instruction, right.changeset, effect
        )
    left.changed |= left_changed
    right.changed |= right_changed
