"""Why a value is what it is: the competing changes, their authors and times, and the rule that decided, in words.

::

    for explanation in explain(ours, theirs, "Person", 7, "age"):
        print(explanation)

    Client file 2 wanted to set age to 7 (2024-05-01 12:00:00.000 UTC), client file 3 wanted to set age to 9
    (2024-05-01 12:00:05.000 UTC). The later change wins: the change of client file 3 stands, that of client file 2 is
    dropped. (Rule 5.6 Update × Update)

It is the ordinary merge (``transform``) of copies, watched by an observer. ``merge/story.py`` tells a whole history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import (
    AddColumn,
    EraseColumn,
    Instruction,
    ObjectInstruction,
    Path,
    PathInstruction,
    fields_of,
)
from syncline.merge.observer import LEFT_DISCARDED, RIGHT_DISCARDED
from syncline.merge.reasons import (
    BOTH_MADE,
    EXPLICIT_WINS,
    FOLLOWS_MOVE,
    LATER_MOVE,
    LATER_WINS,
    SAME_TARGET,
    SHIFTED,
    WORDS,
)
from syncline.merge.resets import reset_of
from syncline.merge.schema import Schema
from syncline.merge.transform import transform
from syncline.merge.wording import object_text, time_text, words
from syncline.values import Key

__all__ = ["ANY_KEY", "AnyKey", "Change", "Explanation", "Recorder", "Subject", "explain"]

#: The server's own ident (spec/merge.md §8.4).
_SERVER_IDENT: Final = 1

#: Of decisions that only move a place in a list along with the other side's change.
_SHIFTS: Final = frozenset({WORDS[SHIFTED], WORDS[FOLLOWS_MOVE]})
#: Of decisions that go by time (spec/merge.md §2.2).
_BY_TIME: Final = frozenset({WORDS[LATER_WINS], WORDS[LATER_MOVE], WORDS[SAME_TARGET]})
#: Of decisions that one of two values wins.
_BY_STRENGTH: Final = frozenset({WORDS[LATER_WINS], WORDS[EXPLICIT_WINS]})

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"


class AnyKey:
    """The type of :data:`ANY_KEY`."""

    __slots__ = ()


#: Stands for every object of a class, and the class itself; None is a key like any other.
ANY_KEY: Final = AnyKey()


class Subject:
    """What is to be explained: an object, one of its properties, or a place inside one.

    ``path`` leads to the place as the authors of the changes saw it.
    """

    __slots__ = ("field", "key", "path", "table")

    def __init__(self, table: str, key: Key | AnyKey = ANY_KEY, field: str | None = None, path: Path = ()) -> None:
        self.table = table
        self.key = key
        self.field = field
        self.path = path

    def holds(self, instruction: Instruction) -> bool:
        """Whether a change of an object, class or property concerns the subject."""
        if instruction.table != self.table:
            return False
        if isinstance(instruction, ObjectInstruction):
            if not (isinstance(self.key, AnyKey) or instruction.key == self.key):
                return False
            if self.field is None or not isinstance(instruction, PathInstruction):
                return True
            return instruction.field == self.field and _leads_along(instruction.path, self.path)
        if isinstance(instruction, (AddColumn, EraseColumn)):
            return self.field is None or instruction.field == self.field
        return True

    def is_decided_by(self, left: Instruction, right: Instruction, reason: str) -> bool:
        """Whether what a rule decided about the two concerns the subject."""
        objects = [side for side in (left, right) if isinstance(side, ObjectInstruction)]
        if objects:
            return all(self.holds(side) for side in objects)
        if reason == WORDS[BOTH_MADE] and not isinstance(self.key, AnyKey):
            return False  # the schema that every client brings along says nothing about an object
        return self.holds(left) or self.holds(right)


def _leads_along(one: Path, other: Path) -> bool:
    """Whether one of the places is inside the other, or both are the same."""
    size = min(len(one), len(other))
    return one[:size] == other[:size]


class Change:
    """One change as its author made it.

    ``author`` is the ident of the client file it was made in; ``timestamp`` its origin timestamp in milliseconds since
    2015-01-01T00:00:00Z; ``version`` that of its changeset, where it was taken from.
    """

    __slots__ = ("author", "instruction", "timestamp", "version")

    def __init__(self, instruction: Instruction, version: int, author: int, timestamp: int) -> None:
        self.instruction = instruction
        self.version = version
        self.author = author
        self.timestamp = timestamp

    @property
    def text(self) -> str:
        """What it does: ``set age to 7``."""
        return words(self.instruction)

    @property
    def object(self) -> str:
        """The object it concerns, ``Person[7]``; for changes of the schema the class."""
        instruction = self.instruction
        if isinstance(instruction, ObjectInstruction):
            return object_text(instruction.table, instruction.key)
        return instruction.table

    @property
    def when(self) -> str:
        """When it was made, by its author's clock: ``2024-05-01 12:00:05.000 UTC``."""
        return time_text(self.timestamp)

    def to_json(self) -> dict[str, Json]:
        """As JSON values."""
        return {
            "object": self.object,
            "text": self.text,
            "author": self.author,
            "at": self.when,
            "version": self.version,
        }


class Explanation:
    """What one rule decided about two concurrent changes.

    ``left_result`` and ``right_result`` say what became of each: None if it was dropped, otherwise its words
    afterwards. ``rule`` is the rule's number (its section in spec/merge.md and the pair), ``reason`` says it in words.
    ``yielded``: the one that lost although something of it is left, the removal of what it had replaced
    (``merge/resets.py``).
    """

    __slots__ = ("left", "left_result", "reason", "right", "right_result", "rule", "yielded")

    def __init__(
        self,
        rule: str,
        reason: str,
        left: Change,
        right: Change,
        left_result: str | None,
        right_result: str | None,
        yielded: Change | None = None,
    ) -> None:
        self.rule = rule
        self.reason = reason
        self.left = left
        self.right = right
        self.left_result = left_result
        self.right_result = right_result
        self.yielded = yielded

    @property
    def winner(self) -> Change | None:
        """The change that stands although the other lost; None if both stand, or neither."""
        loser = self.loser
        if loser is None:
            return None
        return self.right if loser is self.left else self.left

    @property
    def loser(self) -> Change | None:
        """The change that is dropped, or yields, although the other stands; None if both stand, or neither."""
        if self.yielded is not None:
            return self.yielded
        if (self.left_result is None) == (self.right_result is None):
            return None
        return self.left if self.left_result is None else self.right

    @property
    def is_shift(self) -> bool:
        """Whether it only moves a place in a list along with the other side's change, and nothing is lost."""
        return self.reason in _SHIFTS and self.left_result is not None and self.right_result is not None

    def describe(self, names: Mapping[int, str]) -> str:
        """A paragraph; ``names`` says who the authors are, by the idents of their client files."""
        return f"{self.wishes(names)} {self.verdict(names)}"

    def wishes(self, names: Mapping[int, str]) -> str:
        """Its first sentence: who wanted what, and when; the earlier one first."""
        first, second = self.left, self.right
        if (second.timestamp, second.author) < (first.timestamp, first.author):
            first, second = second, first
        one, other = _name(first.author, names), _name(second.author, names)
        return (
            f"{one[:1].upper()}{one[1:]} wanted to {first.text} ({first.when}), "
            f"{other} wanted to {second.text} ({second.when})."
        )

    def verdict(self, names: Mapping[int, str]) -> str:
        """The rest: why it was decided so, what became of both, and the rule."""
        reason = self.reason[:1].upper() + self.reason[1:]
        if self.left.timestamp == self.right.timestamp and self.reason in _BY_TIME:
            reason += " (of equal times, that of the client file with the greater number)"
        return f"{reason}: {self._fates(names)}. (Rule {self.rule})"

    def _fates(self, names: Mapping[int, str]) -> str:
        winner, loser = self.winner, self.loser
        if winner is not None and loser is not None:
            result = self.left_result if winner is self.left else self.right_result
            now = "" if result == winner.text else f", now as: {result}"
            stands = f"the change of {_name(winner.author, names)} stands{now}"
            left_over = self.left_result if loser is self.left else self.right_result
            fate = "is dropped" if left_over is None else f"gives way, now as: {left_over}"
            return f"{stands}; that of {_name(loser.author, names)} {fate}"
        if self.left_result is None or self.right_result is None:
            return "nothing is left to do of either"
        changed = [
            f"that of {_name(change.author, names)} now as: {result}"
            for change, result in ((self.left, self.left_result), (self.right, self.right_result))
            if result != change.text
        ]
        return ", ".join(["both stand", *changed])

    def __str__(self) -> str:
        return self.describe({})

    def to_json(self) -> dict[str, Json]:
        """As JSON values."""
        winner = self.winner
        return {
            "rule": self.rule,
            "reason": self.reason,
            "changes": [
                {**self.left.to_json(), "result": self.left_result},
                {**self.right.to_json(), "result": self.right_result},
            ],
            "winner": None if winner is None else winner.author,
        }


def _name(author: int, names: Mapping[int, str]) -> str:
    name = names.get(author)
    if name is not None:
        return name
    return "the server" if author == _SERVER_IDENT else f"client file {author}"


class Recorder:
    """The observer that notes the decisions about a subject. It sees only changes that were given to :meth:`copy`."""

    def __init__(self, subject: Subject) -> None:
        self.found: list[Explanation] = []
        self._subject = subject
        # by id; the instructions are kept, so that no id is used again
        self._changes: dict[int, Change] = {}
        self._kept: list[Instruction] = []

    def copy(self, changeset: Changeset, changes: Sequence[Change] | None = None) -> Changeset:
        """A copy to be merged. ``changes``: what its instructions were when they were made, if not what they are."""
        instructions: list[Instruction] = []
        for position, instruction in enumerate(changeset.instructions):
            copied = _copied(instruction)
            instructions.append(copied)
            self._note(copied, _made(instruction, changeset) if changes is None else changes[position])
        return Changeset(
            instructions,
            changeset.strings,
            changeset.version,
            changeset.last_integrated_remote_version,
            changeset.origin_timestamp,
            changeset.origin_file_ident,
            changeset.sequence,
        )

    def _note(self, instruction: Instruction, change: Change) -> None:
        self._kept.append(instruction)
        self._changes[id(instruction)] = change

    def change_of(self, instruction: Instruction, changeset: Changeset) -> Change:
        """What an instruction of a copied changeset was when it was made."""
        change = self._changes.get(id(instruction))
        if change is None:  # put in by a rule (spec/merge.md §3.3)
            change = _made(instruction, changeset)
            self._note(instruction, change)
        return change

    def rule_fired(
        self,
        rule: str,
        reason: str,
        left: Instruction,
        left_changeset: Changeset,
        right: Instruction,
        right_changeset: Changeset,
        effect: int,
    ) -> None:
        """See :class:`syncline.merge.observer.MergeObserver`."""
        one, other = self.change_of(left, left_changeset), self.change_of(right, right_changeset)
        if self._subject.is_decided_by(one.instruction, other.instruction, reason):
            left_result = None if effect & LEFT_DISCARDED else words(left)
            right_result = None if effect & RIGHT_DISCARDED else words(right)
            yielded: Change | None = None
            if reason in _BY_STRENGTH:
                yielded = one if reset_of(left) is not None else other if reset_of(right) is not None else None
            self.found.append(Explanation(rule, reason, one, other, left_result, right_result, yielded))


def _made(instruction: Instruction, changeset: Changeset) -> Change:
    return Change(_copied(instruction), changeset.version, changeset.origin_file_ident, changeset.origin_timestamp)


def _copied(instruction: Instruction) -> Instruction:
    kind: type[Instruction] = type(instruction)
    values: list[object] = list(fields_of(instruction)[1:])
    made: Instruction = kind(*values)  # the constructor takes the fields in their order
    return made


def explain(
    ours: Sequence[Changeset],
    theirs: Sequence[Changeset],
    table: str,
    key: Key | AnyKey = ANY_KEY,
    field: str | None = None,
    path: Path = (),
    *,
    shifts: bool = False,
    schema: Schema | None = None,
) -> list[Explanation]:
    """What the merge of two sides decides about an object, and why; neither side is changed.

    Parameters:
        ours, theirs, schema: as for :func:`syncline.merge.transform`.
        table, key: the object; :data:`ANY_KEY`: every object of the class, and the class itself.
        field, path: only one property, or a place inside it. Indices are those that the authors saw.
        shifts: also decisions that only move a place in a list along with the other side's change.

    Returns:
        The decisions, by the times of the changes.

    Raises:
        TransformError: the two sides contradict each other (spec/merge.md §6).
    """
    recorder = Recorder(Subject(table, key, field, path))
    transform(
        [recorder.copy(changeset) for changeset in ours],
        [recorder.copy(changeset) for changeset in theirs],
        recorder,
        schema,
    )
    return sorted([found for found in recorder.found if shifts or not found.is_shift], key=_times)


def _times(explanation: Explanation) -> tuple[int, int]:
    times = (explanation.left.timestamp, explanation.right.timestamp)
    return max(times), min(times)
