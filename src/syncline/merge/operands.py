"""The form in which an instruction takes part in a merge: what the rules read and rewrite.

Made only for instructions that may meet one of the other side. A rule rewrites an operand; when the merge is over the
operand writes its changes back into the instruction.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64, mypyc_attr

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    AddColumn,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    EraseColumn,
    Instruction,
    ObjectInstruction,
    Path,
    PathInstruction,
    Update,
)
from syncline.merge.schema import Column
from syncline.values import Key

__all__ = ["PATHLESS", "Operand"]

#: ``depth`` of a change of a property itself; longer paths lead into it.
PATHLESS: Final = 3


@mypyc_attr(acyclic=True)
class Operand:
    """One instruction of one side.

    A path is held in two parts: ``container`` is all but its last element; the last element is ``index`` (>= 0) or, if
    ``index`` is -1, ``name``. ``depth`` is the path length of spec/merge.md §4.1. ``rank`` orders the changesets by
    (timestamp, ident): a smaller rank is earlier. ``prior_size`` is -1 where there is none, ``target`` is where an
    ArrayMove moves to. ``field`` is the column of a schema instruction, too. ``pending`` is an instruction that a rule
    wants in front of this one, ``prepended`` are those that the driver has put there.

    Where the schema is known: ``replaces`` is set for an Update that puts a new embedded object under a key of a
    dictionary; ``columns`` are the properties of embedded objects that the path leads through, if a property is erased;
    ``resettable`` is set for an Update, which may become a reset (``merge/resets.py``). ``replacement`` are operands
    that a rule puts in the place of this one, which is discarded.
    """

    __slots__ = (
        "changed",
        "changeset",
        "columns",
        "container",
        "depth",
        "discarded",
        "field",
        "index",
        "instruction",
        "key",
        "name",
        "opcode",
        "pending",
        "position",
        "prepended",
        "prior_size",
        "rank",
        "replacement",
        "replaces",
        "resettable",
        "table",
        "target",
    )

    def __init__(self, instruction: Instruction, changeset: Changeset, position: int) -> None:
        self.instruction = instruction
        self.changeset = changeset
        self.position = position
        self.rank: i64 = 0
        self.opcode: i64 = instruction.opcode
        self.table = instruction.table
        self.key: Key = None
        self.field = ""
        self.container: Path = ()
        self.index: i64 = -1
        self.name = ""
        self.target: i64 = 0
        self.prior_size: i64 = -1
        self.depth: i64 = 1
        self.changed = False
        self.discarded = False
        self.pending: Operand | None = None
        self.prepended: list[Operand] | None = None
        self.replacement: list[Operand] | None = None
        self.resettable = False
        self.replaces = False
        self.columns: list[Column] | None = None
        if isinstance(instruction, PathInstruction):
            self._read_place(instruction)
        elif isinstance(instruction, ObjectInstruction):
            self.key = instruction.key
            self.depth = 2
        elif isinstance(instruction, (AddColumn, EraseColumn)):
            self.field = instruction.field
            self.depth = 2

    def _read_place(self, instruction: PathInstruction) -> None:
        self.key = instruction.key
        self.field = instruction.field
        path = instruction.path
        size: i64 = len(path)
        self.depth = 3 + size
        if size > 0:
            last = path[size - 1]
            if isinstance(last, int):
                self.index = last
            else:
                self.name = last
            if size > 1:
                self.container = path[: size - 1]
        if isinstance(instruction, (ArrayInsert, ArrayErase, Update)):
            self.prior_size = instruction.prior_size
        elif isinstance(instruction, ArrayMove):
            self.prior_size = instruction.prior_size
            self.target = instruction.ndx_2

    @property
    def path(self) -> Path:
        """The whole path, as it is now."""
        if self.index >= 0:
            return (*self.container, self.index)
        return (*self.container, self.name) if self.depth > 3 else ()

    def write_back(self) -> None:
        """Bring the instruction up to date, if a rule changed anything; only changes inside an object ever are."""
        if not self.changed:
            return
        instruction = self.instruction
        cast(PathInstruction, instruction).path = self.path
        if isinstance(instruction, (ArrayInsert, ArrayErase, Update)):
            instruction.prior_size = self.prior_size
        elif isinstance(instruction, ArrayMove):
            instruction.prior_size = self.prior_size
            instruction.ndx_2 = self.target
