"""Where the rules themselves do not promise agreement: the explicit table of what the check leaves alone, and why.

An entry matches by what went wrong and by the instructions that the peers sent; the command counts its cases under its
name. Anything else that goes wrong is a failure.

All but the first are of three peers. Two sides always merge alike, but merging is proven for two (spec/merge.md §1):
whether the server merges A with B and then with C, or B with C and then with A, may give different states where the
rules forget something on the way. The peers still all converge, to what the server's order gave: no user sees two
states, only one of two possible ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from syncline.changesets.codec import decode
from syncline.changesets.instructions import (
    AddInteger,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Instruction,
    PathInstruction,
    Update,
)
from syncline.testing.exhaustive.check import Problem
from syncline.values import Key
from syncline.values.kinds import DICTIONARY, INT, LIST

__all__ = ["KNOWN", "Known", "known"]

#: A property of an object.
_Field: TypeAlias = "tuple[str, Key, str]"
#: What each peer sent.
_Sides: TypeAlias = "Sequence[Sequence[PathInstruction]]"


class Known(NamedTuple):
    """A gap that is known: its name, why it is there, and which problems it explains, given what each peer sent."""

    name: str
    reason: str
    explains: Callable[[Problem, _Sides], bool]


def known(problem: Problem) -> Known | None:
    """The entry that explains a problem; None for one that nobody knows."""
    sides = [[change for data in sent for change in _path_instructions(data)] for sent in problem.sent]
    return next((entry for entry in KNOWN if entry.explains(problem, sides)), None)


def _path_instructions(data: bytes) -> list[PathInstruction]:
    return [instruction for instruction in decode(data).instructions if isinstance(instruction, PathInstruction)]


def _field(change: PathInstruction) -> _Field:
    return change.table, change.key, change.field


def _met_by_all(sides: _Sides) -> set[_Field]:
    """The properties that every one of three peers changed."""
    return set.intersection(*({_field(change) for change in side} for side in sides)) if len(sides) == 3 else set()


def _is_schema_mismatch(problem: Problem, sides: _Sides) -> bool:
    return problem.kind == "refused" and "Schema mismatch" in problem.text


def _is_list_order(problem: Problem, sides: _Sides) -> bool:
    """All three change positions in one list; there is an insertion, and something that is none. Only order differs."""
    positional = [
        [change for change in side if isinstance(change, (ArrayInsert, ArrayErase, ArrayMove))] for side in sides
    ]
    return problem.kind == "list order" and any(
        {ArrayInsert} < {type(change) for side in positional for change in side if _field(change) == field}
        for field in _met_by_all(positional)
    )


def _is_mixed_collection_order(problem: Problem, sides: _Sides) -> bool:
    """All three change one Mixed property, and somebody makes a collection in it."""
    fields = _met_by_all(sides)
    return problem.kind in ("agreement", "list order") and any(
        _makes_collection(change) and _field(change) in fields for side in sides for change in side
    )


def _makes_collection(change: Instruction) -> bool:
    return isinstance(change, (Update, ArrayInsert)) and change.kind in (LIST, DICTIONARY)


def _is_increment_order(problem: Problem, sides: _Sides) -> bool:
    """All three change one Mixed property: an increment, an integer, and a value that is no integer."""
    return problem.kind == "agreement" and any(
        {"increment", "integer", "other"}
        <= {_single_change(change) for side in sides for change in side if _field(change) == field}
        for field in _met_by_all(sides)
    )


def _single_change(change: PathInstruction) -> str:
    if isinstance(change, AddInteger):
        return "increment"
    return "integer" if isinstance(change, Update) and change.kind == INT else "other"


KNOWN: Final[tuple[Known, ...]] = (
    Known(
        "schema-mismatch",
        "Two peers add one class or property with different definitions. Nobody can merge that: the later upload is"
        " refused (spec/merge.md §6).",
        _is_schema_mismatch,
    ),
    Known(
        "list-order-of-three",
        "Three peers change positions in one list, an insertion among them. An insertion knows only its index: when"
        " what is between two of them is removed or moved, both are at one index, and from then on times decide which"
        " comes first, where before their indexes did (spec/merge.md §5.7). So it matters whether removal or move is"
        " merged between them. All elements are there in every order.",
        _is_list_order,
    ),
    Known(
        "mixed-collection-of-three",
        "Three peers set one Mixed, at least one of them to a list or dictionary. Two collections of a kind are merged,"
        " whatever their times, but a plain value, or one of the other kind, between them removes what is in the"
        " earlier one (spec/merge.md §5.6). So it matters whether that value is merged before or after the second one.",
        _is_mixed_collection_order,
    ),
    Known(
        "increment-of-three",
        "Three peers change one Mixed: one sets an integer, one another value, and the last in time adds to it."
        " The increment is lost where it meets the other value, although the integer was set after that (spec/merge.md"
        " §5.6, E10). So it matters whether the integer has replaced the other value before the increment is merged.",
        _is_increment_order,
    ),
)
