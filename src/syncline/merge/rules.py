"""Which rule resolves which pair: the matrix of spec/merge.md §5.1 as two tables.

:data:`REGULAR` is for two instructions by (higher opcode, lower opcode), :data:`NESTED` for an outer instruction and a
change inside its place. The rules of values, lists and sets are for two changes of one field, those of objects for
changes of one object; those of the schema compare names themselves.
"""

from __future__ import annotations

from typing import Final

from syncline.changesets.instructions import (
    ADD_COLUMN,
    ADD_INTEGER,
    ADD_TABLE,
    ARRAY_ERASE,
    ARRAY_INSERT,
    ARRAY_MOVE,
    CLEAR,
    CREATE_OBJECT,
    ERASE_COLUMN,
    ERASE_OBJECT,
    ERASE_TABLE,
    SET_ERASE,
    SET_INSERT,
    UPDATE,
)
from syncline.merge.rule import Rule
from syncline.merge.rules_lists import (
    ClearFollowsErase,
    ClearFollowsInsert,
    ClearFollowsMove,
    EraseAgainstInsert,
    EraseAgainstMove,
    EraseAgainstUpdate,
    EraseDropsInner,
    EraseTwice,
    InsertAgainstUpdate,
    InsertShiftsInner,
    InsertTwice,
    MoveAgainstInsert,
    MoveAgainstUpdate,
    MoveCarriesInner,
    MoveTwice,
)
from syncline.merge.rules_objects import EraseObjectDrops, EraseObjectTwice
from syncline.merge.rules_schema import (
    AddColumnTwice,
    AddLinkToErasedTable,
    AddTableTwice,
    ChangeInErasedColumn,
    EraseColumnDropsAddColumn,
    EraseColumnTwice,
    EraseTableDropsAddTable,
    EraseTableDropsAll,
    EraseTableTwice,
    LinkToErasedTable,
)
from syncline.merge.rules_sets import ClearDropsMember, SameMember
from syncline.merge.rules_values import (
    AddToUpdate,
    ClearAgainstUpdate,
    ClearDropsAdd,
    DropsInner,
    KeepLater,
    UpdateDropsInner,
    UpdateTwice,
)

#: Number of opcodes: a pair's place in :data:`REGULAR` is ``left * OPCODES + right``.
OPCODES: Final = 14


def _regular() -> list[Rule | None]:
    changes = (UPDATE, ADD_INTEGER, ARRAY_INSERT, ARRAY_MOVE, ARRAY_ERASE, CLEAR, SET_INSERT, SET_ERASE)
    table: list[Rule | None] = [None] * (OPCODES * OPCODES)
    for left, right, rule in (
        (ADD_TABLE, ADD_TABLE, AddTableTwice("5.3 AddTable × AddTable")),
        (ERASE_TABLE, ADD_TABLE, EraseTableDropsAddTable("5.3 EraseTable × AddTable")),
        (ERASE_TABLE, ERASE_TABLE, EraseTableTwice("5.3 EraseTable × EraseTable")),
        (ADD_COLUMN, ERASE_TABLE, AddLinkToErasedTable("5.3 AddColumn × EraseTable")),
        (ADD_COLUMN, ADD_COLUMN, AddColumnTwice("5.4 AddColumn × AddColumn")),
        (ERASE_COLUMN, ADD_COLUMN, EraseColumnDropsAddColumn("5.4 EraseColumn × AddColumn")),
        (ERASE_COLUMN, ERASE_COLUMN, EraseColumnTwice("5.4 EraseColumn × EraseColumn")),
        (ERASE_OBJECT, CREATE_OBJECT, EraseObjectDrops("5.5 EraseObject × CreateObject")),
        (ERASE_OBJECT, ERASE_OBJECT, EraseObjectTwice("5.5 EraseObject × EraseObject")),
        (UPDATE, UPDATE, UpdateTwice("5.6 Update × Update")),
        (ADD_INTEGER, UPDATE, AddToUpdate("5.6 AddInteger × Update")),
        (CLEAR, ADD_INTEGER, ClearDropsAdd("5.6 Clear × AddInteger")),
        (CLEAR, UPDATE, ClearAgainstUpdate("5.6 Clear × Update")),
        (ARRAY_INSERT, UPDATE, InsertAgainstUpdate("5.7 ArrayInsert × Update")),
        (ARRAY_MOVE, UPDATE, MoveAgainstUpdate("5.7 ArrayMove × Update")),
        (ARRAY_ERASE, UPDATE, EraseAgainstUpdate("5.7 ArrayErase × Update")),
        (ARRAY_INSERT, ARRAY_INSERT, InsertTwice("5.7 ArrayInsert × ArrayInsert")),
        (ARRAY_MOVE, ARRAY_INSERT, MoveAgainstInsert("5.7 ArrayMove × ArrayInsert")),
        (ARRAY_ERASE, ARRAY_INSERT, EraseAgainstInsert("5.7 ArrayErase × ArrayInsert")),
        (ARRAY_MOVE, ARRAY_MOVE, MoveTwice("5.7 ArrayMove × ArrayMove")),
        (ARRAY_ERASE, ARRAY_MOVE, EraseAgainstMove("5.7 ArrayErase × ArrayMove")),
        (ARRAY_ERASE, ARRAY_ERASE, EraseTwice("5.7 ArrayErase × ArrayErase")),
        (CLEAR, ARRAY_INSERT, ClearFollowsInsert("5.7 Clear of an element × ArrayInsert")),
        (CLEAR, ARRAY_MOVE, ClearFollowsMove("5.7 Clear of an element × ArrayMove")),
        (CLEAR, ARRAY_ERASE, ClearFollowsErase("5.7 Clear of an element × ArrayErase")),
        (CLEAR, CLEAR, KeepLater("5.8 Clear × Clear")),
        (SET_INSERT, CLEAR, ClearDropsMember("5.8 SetInsert × Clear")),
        (SET_ERASE, CLEAR, ClearDropsMember("5.8 SetErase × Clear")),
        (SET_INSERT, SET_INSERT, SameMember("5.8 SetInsert × SetInsert")),
        (SET_ERASE, SET_INSERT, SameMember("5.8 SetErase × SetInsert")),
        (SET_ERASE, SET_ERASE, SameMember("5.8 SetErase × SetErase")),
    ):
        table[left * OPCODES + right] = rule
    erased = ChangeInErasedColumn("5.4 EraseColumn × any change of the property")
    unlinked = LinkToErasedTable("5.3 EraseTable × value that links to it")
    for change in (UPDATE, ARRAY_INSERT, SET_INSERT, SET_ERASE):
        table[change * OPCODES + ERASE_TABLE] = unlinked
    for change in changes:
        table[max(change, ERASE_COLUMN) * OPCODES + min(change, ERASE_COLUMN)] = erased
    return table


def _nested() -> list[Rule | None]:
    table: list[Rule | None] = [None] * OPCODES
    table[ERASE_TABLE] = EraseTableDropsAll("5.2 EraseTable ⊃ any")
    table[ERASE_OBJECT] = EraseObjectDrops("5.2 EraseObject ⊃ any")
    table[UPDATE] = UpdateDropsInner("5.2 Update ⊃ any")
    table[ADD_INTEGER] = DropsInner("5.2 AddInteger ⊃ any")
    table[CLEAR] = DropsInner("5.2 Clear ⊃ any")
    table[ARRAY_INSERT] = InsertShiftsInner("5.2 ArrayInsert ⊃ any")
    table[ARRAY_MOVE] = MoveCarriesInner("5.2 ArrayMove ⊃ any")
    table[ARRAY_ERASE] = EraseDropsInner("5.2 ArrayErase ⊃ any")
    return table


REGULAR: Final[list[Rule | None]] = _regular()
NESTED: Final[list[Rule | None]] = _nested()
