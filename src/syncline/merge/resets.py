"""What is left of a plain value that gave way to a list or dictionary (vectors/NOTES.md 12; ours).

One side puts a plain value into a Mixed, the other one, later, makes it a list (``Update`` with List). The later wins.
But that Update keeps the elements of a list that is there already, and the plain value has destroyed them: the sides
would end with different elements, and list instructions of the one would not fit the other. So the loser is not
dropped. It becomes a *reset*: "remove what was in the collection before the other side wrote to it":

* against the other side's first list instruction, whose ``prior_size`` tells how many elements that are, it becomes
  that many ArrayErase, and the rules of lists do the rest (none for 0: the list was new);
* against changes of a dictionary's entries it notes which keys the other side has written (:class:`Reset`), and
  discards changes deeper inside other entries;
* what remains of it at the end is carried out by the database, which knows what is there (``storage/resetting.py``),
  and noted as the instructions that do the same: those are what other peers get.

In memory a reset is an Update of kind SET, which no database records, with a :class:`Reset` as its value. Merging makes
resets only if it knows the schema, that is, for a database.
"""

from __future__ import annotations

from typing import Final

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode
from syncline.changesets.instructions import (
    NOT_AN_ARRAY_UPDATE,
    ArrayErase,
    Clear,
    Instruction,
    Path,
    Update,
)
from syncline.values.kinds import DICTIONARY, LIST, LIST_COLLECTION, SET

__all__ = [
    "Reset",
    "erasures",
    "read_reciprocal",
    "reset_of",
    "spell_out",
    "without_resets",
    "write_reciprocal",
]

#: A longer list is cleared: one instruction, but what the other side put into it goes too.
_MOST_ERASURES: Final = 10_000

# The form in which resets are stored: an Update of kind SET one step below the place, whose prior_size is that of the
# place; then one for each written key.
_STORED_LIST: Final = 0
_STORED_DICTIONARY: Final = 1


class Reset:
    """The value of an Update that is a reset.

    ``kind`` is LIST or DICTIONARY, the kind of collection that won. ``keys`` are those that the other side has written
    (the values mean nothing). ``steps`` are the instructions that did the same, once it is carried out.
    """

    __slots__ = ("keys", "kind", "steps")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.keys: dict[str, None] = {}
        self.steps: list[Instruction] = []


def reset_of(instruction: Instruction) -> Reset | None:
    """The reset that an instruction is; None for any other instruction."""
    if isinstance(instruction, Update) and instruction.kind == SET and isinstance(instruction.value, Reset):
        return instruction.value
    return None


def erasures(update: Update, path: Path, size: int) -> list[Instruction]:
    """The instructions that remove all ``size`` elements of the list at ``path`` in the object of ``update``."""
    table, key, field = update.table, update.key, update.field
    if size > _MOST_ERASURES:
        return [Clear(table, key, field, path, LIST_COLLECTION)]
    return [ArrayErase(table, key, field, (*path, 0), left) for left in range(size, 0, -1)]


def spell_out(changeset: Changeset) -> None:
    """Put in place of every reset the instructions that carried it out. Nobody else understands resets."""
    spelled: list[Instruction] = []
    for instruction in changeset.instructions:
        reset = reset_of(instruction)
        if reset is None:
            spelled.append(instruction)
        else:
            spelled += reset.steps
    changeset.instructions = spelled


def write_reciprocal(changeset: Changeset) -> bytes:
    """Encode a reciprocal, resets included; only this side ever reads it."""
    instructions: list[Instruction] = []
    for instruction in changeset.instructions:
        reset = reset_of(instruction)
        if reset is None:
            instructions.append(instruction)
        else:
            assert isinstance(instruction, Update)
            instructions += _stored(instruction, reset)
    return encode(Changeset(instructions, changeset.strings))


def read_reciprocal(data: bytes) -> Changeset:
    """The counterpart of :func:`write_reciprocal`. Raises BadChangesetError."""
    changeset = decode(data)
    instructions: list[Instruction] = []
    reset: Reset | None = None
    for instruction in changeset.instructions:
        if not (isinstance(instruction, Update) and instruction.kind == SET and instruction.path):
            instructions.append(instruction)
            continue
        step = instruction.path[-1]
        if isinstance(step, str):
            if reset is not None:
                reset.keys[step] = None
            continue
        reset = Reset(LIST if step == _STORED_LIST else DICTIONARY)
        path = instruction.path[:-1]
        size = instruction.prior_size if path and isinstance(path[-1], int) else NOT_AN_ARRAY_UPDATE
        instructions.append(
            Update(instruction.table, instruction.key, instruction.field, path, SET, reset, prior_size=size)
        )
    changeset.instructions = instructions
    return changeset


def without_resets(data: bytes) -> bytes:
    """A stored reciprocal as a changeset that everybody understands: what became a reset has lost, and is left out.

    Raises BadChangesetError.
    """
    changeset = read_reciprocal(data)
    changeset.instructions = [i for i in changeset.instructions if reset_of(i) is None]
    return encode(changeset)


def _stored(update: Update, reset: Reset) -> list[Instruction]:
    table, key, field, path = update.table, update.key, update.field, update.path
    mark = _STORED_LIST if reset.kind == LIST else _STORED_DICTIONARY
    size = max(update.prior_size, 0)
    stored: list[Instruction] = [Update(table, key, field, (*path, mark), SET, None, prior_size=size)]
    stored += [Update(table, key, field, (*path, name), SET, None) for name in reset.keys]
    return stored
