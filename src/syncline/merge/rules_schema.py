"""Rules for classes and properties (spec/merge.md §5.2 EraseTable, §5.3, §5.4). They compare names only.

In two places ours does more than realm-core, whose survivors cannot be applied anywhere and stop both sides for good
(vectors/NOTES.md defects 2 and 3; spec/merge.md traps 6 and 7): an erased property discards every change in it, not
only Updates; and a value that links to an erased class becomes null, which is what erasing makes of such values
elsewhere.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64

from syncline.changesets.describe import name_text
from syncline.changesets.instructions import (
    AddColumn,
    AddTable,
    ArrayInsert,
    EraseColumn,
    SetErase,
    SetInsert,
    Update,
)
from syncline.errors import TransformError
from syncline.merge.messages import kind_name, source
from syncline.merge.operands import Operand
from syncline.merge.reasons import BOTH_MADE, ERASED_CLASS, ERASED_COLUMN, ERASED_TARGET, LINK_LOST, NOTHING
from syncline.merge.rule import Rule
from syncline.values import Link
from syncline.values.kinds import ASYMMETRIC, EMBEDDED, GLOBAL_KEY, LINK, NULL

_COLLECTION_NAMES: Final = ("single", "list", "dictionary", "set")


class AddTableTwice(Rule):
    """AddTable × AddTable: both must describe the same class."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if left.table != right.table:
            return NOTHING
        ours, theirs = left.instruction, right.instruction
        assert isinstance(ours, AddTable)
        assert isinstance(theirs, AddTable)
        problem = _class_difference(ours, theirs)
        if problem:
            raise TransformError(
                f"Schema mismatch: class '{name_text(ours.table)}' {problem}: "
                f"{_class_text(ours)} in {source(left)}, {_class_text(theirs)} in {source(right)}"
            )
        left.discarded = right.discarded = True
        return BOTH_MADE


def _class_difference(ours: AddTable, theirs: AddTable) -> str:
    if (ours.table_type == EMBEDDED) != (theirs.table_type == EMBEDDED):
        return "is embedded on one side only"
    if ours.table_type == EMBEDDED:
        return ""
    if ours.pk_field != theirs.pk_field:
        return "has different primary keys"
    if ours.pk_type != theirs.pk_type:
        return "has primary keys of different types"
    if ours.pk_nullable != theirs.pk_nullable:
        return "has a primary key that is nullable on one side only"
    if ours.table_type != theirs.table_type:
        return "is asymmetric on one side only"
    return ""


def _class_text(definition: AddTable) -> str:
    if definition.table_type == EMBEDDED:
        return "embedded"
    text = "asymmetric, " if definition.table_type == ASYMMETRIC else ""
    if definition.pk_type == GLOBAL_KEY:
        return text + "no primary key"
    nullable = ", nullable" if definition.pk_nullable else ""
    return f"{text}primary key '{name_text(definition.pk_field)}' ({kind_name(definition.pk_type)}{nullable})"


class EraseTableDropsAddTable(Rule):
    """EraseTable × AddTable of the same class."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if left.table != right.table:
            return NOTHING
        right.discarded = True
        return ERASED_CLASS


class EraseTableTwice(Rule):
    """EraseTable × EraseTable of the same class."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if left.table != right.table:
            return NOTHING
        left.discarded = right.discarded = True
        return BOTH_MADE


class EraseTableDropsAll(Rule):
    """EraseTable against whatever is done in that class (nested rule)."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if left.table != right.table:
            return NOTHING
        right.discarded = True
        return ERASED_CLASS


class AddLinkToErasedTable(Rule):
    """AddColumn of a link × EraseTable of its target: the other side erases the property first, then the class."""

    def meet(self, left: Operand, right: Operand) -> i64:
        column = left.instruction
        assert isinstance(column, AddColumn)
        if column.value_type != LINK or column.link_target != right.table:
            return NOTHING
        erase = EraseColumn(column.table, column.field)
        right.pending = Operand(erase, right.changeset, right.position)
        left.discarded = True
        return ERASED_TARGET


class LinkToErasedTable(Rule):
    """A value that links × EraseTable of its target: the value becomes null; a set loses or never gets it."""

    def meet(self, left: Operand, right: Operand) -> i64:
        change = left.instruction
        assert isinstance(change, (Update, ArrayInsert, SetInsert, SetErase))
        if change.kind != LINK or cast(Link, change.value).table != right.table:
            return NOTHING
        if isinstance(change, (SetInsert, SetErase)):
            left.discarded = True
        else:
            change.kind = NULL
            change.value = None
            left.changed = True
        return LINK_LOST


class AddColumnTwice(Rule):
    """AddColumn × AddColumn: both must describe the same property."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if left.field != right.field or left.table != right.table:
            return NOTHING
        ours, theirs = left.instruction, right.instruction
        assert isinstance(ours, AddColumn)
        assert isinstance(theirs, AddColumn)
        problem = _property_difference(ours, theirs)
        if problem:
            raise TransformError(
                f"Schema mismatch: property '{name_text(ours.table)}.{name_text(ours.field)}' {problem}: "
                f"{_property_text(ours)} in {source(left)}, {_property_text(theirs)} in {source(right)}"
            )
        left.discarded = right.discarded = True
        return BOTH_MADE


def _property_difference(ours: AddColumn, theirs: AddColumn) -> str:
    if ours.value_type != theirs.value_type:
        return "has different types"
    if ours.nullable != theirs.nullable:
        return "is nullable on one side only"
    if ours.collection != theirs.collection:
        return "has different collection types"
    if ours.value_type == LINK and ours.link_target != theirs.link_target:
        return "links to different classes"
    return ""


def _property_text(definition: AddColumn) -> str:
    text = _COLLECTION_NAMES[definition.collection] if 0 <= definition.collection <= 3 else "unknown collection"
    nullable = "nullable " if definition.nullable else ""
    target = f" to '{name_text(definition.link_target)}'" if definition.value_type == LINK else ""
    return f"{text} {nullable}{kind_name(definition.value_type)}{target}"


class EraseColumnDropsAddColumn(Rule):
    """EraseColumn × AddColumn of the same property."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if left.field != right.field or left.table != right.table:
            return NOTHING
        right.discarded = True
        return ERASED_COLUMN


class EraseColumnTwice(Rule):
    """EraseColumn × EraseColumn of the same property."""

    def meet(self, left: Operand, right: Operand) -> i64:
        if left.field != right.field or left.table != right.table:
            return NOTHING
        left.discarded = right.discarded = True
        return BOTH_MADE


class ChangeInErasedColumn(Rule):
    """A change of any object, at any depth below the property × EraseColumn of that property: the change goes."""

    def meet(self, left: Operand, right: Operand) -> i64:
        erase, change = (left, right) if isinstance(left.instruction, EraseColumn) else (right, left)
        if not (
            (erase.field == change.field and erase.table == change.table)
            or (change.columns is not None and (erase.table, erase.field) in change.columns)
        ):
            return NOTHING
        change.discarded = True
        return ERASED_COLUMN
