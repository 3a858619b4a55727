"""Who meets whom, and in which order (spec/merge.md §3).

The specification's order is: each major instruction, in its order, meets every minor instruction that is left. Both
sides are first divided into partitions that cannot interact (``merge/partitions.py``), and the order is kept within
each, so that the result is the same.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import Instruction
from syncline.errors import TransformError
from syncline.merge.footprint import Footprint
from syncline.merge.meeting import meet, meet_in_field, meet_in_object
from syncline.merge.observer import MergeObserver
from syncline.merge.operands import Operand
from syncline.merge.pace import Pace
from syncline.merge.partitions import FIELD, OBJECT, Partition, Partitions
from syncline.merge.schema import Schema
from syncline.turns import let_others_run

__all__ = ["MOST_INSERTED", "merge"]

#: Changes that rules may insert into one property of one object (or one component of classes) in one merge.
MOST_INSERTED: Final = 100_000


def merge(
    ours: list[Changeset],
    theirs: list[Changeset],
    our_footprint: Footprint,
    their_footprint: Footprint,
    observer: MergeObserver | None,
    schema: Schema | None,
) -> None:
    """Merge two sides in place; ``theirs`` is in the order in which it takes part.

    Raises:
        TransformError: the two sides contradict each other.
    """
    partitions = Partitions(ours, theirs, our_footprint, their_footprint, schema)
    _rank(partitions.operands)
    pace = Pace()
    for partition in partitions.all:
        if partition.inserts:
            _run_inserting(partition, observer)
        else:
            _run(partition, observer, pace)
    _settle(partitions.operands)


def _rank(operands: list[Operand]) -> None:
    """Order the changesets by discriminant (timestamp, ident), a smaller rank being earlier (spec/merge.md §2.2)."""
    discriminants: set[tuple[int, int]] = set()
    current: Changeset | None = None
    for operand in operands:
        if operand.changeset is not current:
            current = operand.changeset
            discriminants.add((current.origin_timestamp, current.origin_file_ident))
    ranks = {discriminant: rank for rank, discriminant in enumerate(sorted(discriminants))}
    rank: i64 = 0
    current = None
    pace = Pace()
    for operand in operands:
        pace.spend(1)
        if operand.changeset is not current:
            current = operand.changeset
            rank = ranks[(current.origin_timestamp, current.origin_file_ident)]
        operand.rank = rank


def _run(partition: Partition, observer: MergeObserver | None, pace: Pace) -> None:
    """Let all pairs of a partition meet where no operands are ever added."""
    scope = partition.scope
    minors = partition.minors
    for major in partition.majors:
        if not minors:
            return
        pace.spend(len(minors))
        lost = False
        for minor in minors:
            if scope == FIELD:
                meet_in_field(major, minor, observer)
            elif scope == OBJECT:
                meet_in_object(major, minor, observer)
            else:
                meet(major, minor, observer)
            if minor.discarded:
                lost = True
            if major.discarded:
                break
        if lost:
            minors = [minor for minor in minors if not minor.discarded]


def _run_inserting(partition: Partition, observer: MergeObserver | None) -> None:
    """Let all pairs meet where rules add operands, as the specification writes it (§3.1, §3.3)."""
    position: i64 = 0
    while position < len(partition.majors):
        let_others_run()
        position = _run_major(partition, position, 0, observer)
        if partition.lost:
            partition.lost = False
            partition.minors = [minor for minor in partition.minors if not minor.discarded]


def _run_major(partition: Partition, position: i64, start: i64, observer: MergeObserver | None) -> i64:
    """Let one major operand meet the minor ones from ``start`` on; return the position of the next major one.

    Discarded operands stay in the lists: taking them out one by one would cost the square of their number.
    """
    majors, minors = partition.majors, partition.minors
    j = start
    while j < len(minors):
        if minors[j].discarded:
            j += 1
            continue
        major, minor = majors[position], minors[j]
        meet(major, minor, observer)
        if minor.pending is not None:
            _count(partition, 1)
            minors.insert(j, _prepend(minor, minor.pending))
            j += 1
        elif major.pending is not None:
            _count(partition, 1)
            majors.insert(position, _prepend(major, major.pending))
            position = _run_major(partition, position, j + 1, observer)
        if minor.replacement is not None:
            _count(partition, len(minor.replacement))
            minors[j : j + 1] = _replace(minor, minor.replacement)
            continue
        if major.replacement is not None:
            _count(partition, len(major.replacement))
            replacement = _replace(major, major.replacement)
            majors[position : position + 1] = replacement
            for _ in replacement:
                position = _run_major(partition, position, j, observer)
            return position
        if minor.discarded:
            partition.lost = True
        j += 1
        if major.discarded:
            break
    return position + 1


def _count(partition: Partition, inserted: int) -> None:
    """Bound what rules insert: values that lost to collections inside collections multiply (``merge/resets.py``)."""
    partition.inserted += inserted
    if partition.inserted > MOST_INSERTED:
        raise TransformError(
            f"Merge error: more than {MOST_INSERTED:,} changes would be needed to merge {partition.majors[0].table}: "
            "one property was replaced, and filled with collections, too often on both sides"
        )


def _prepend(operand: Operand, pending: Operand) -> Operand:
    """Put the pending operand in front of ``operand`` for good."""
    operand.pending = None
    if operand.prepended is None:
        operand.prepended = []
    operand.prepended.append(pending)
    return pending


def _replace(operand: Operand, replacement: list[Operand]) -> list[Operand]:
    """Put other operands in the place of ``operand``, which is discarded, for good."""
    operand.replacement = None
    operand.prepended = replacement[:]
    return replacement


def _settle(operands: list[Operand]) -> None:
    """Write all changes back into the instructions and their changesets. The operands come changeset by changeset."""
    edits: dict[int, list[Instruction]] = {}
    current: Changeset | None = None
    pace = Pace()
    for operand in operands:
        pace.spend(1)
        if not (operand.changed or operand.discarded or operand.prepended):
            continue
        changeset = operand.changeset
        if changeset is not current:
            if current is not None and edits:
                _rebuild(current, edits)
                edits = {}
            current = changeset
        changeset.dirty = True
        if operand.discarded or operand.prepended is not None:
            instructions: list[Instruction] = []
            _collect(operand, instructions)
            edits[operand.position] = instructions
        operand.write_back()
    if current is not None and edits:
        _rebuild(current, edits)


def _collect(operand: Operand, instructions: list[Instruction]) -> None:
    """What stands in the changeset instead of an operand that was discarded, replaced or prepended to."""
    if operand.prepended is not None:
        for before in operand.prepended:
            _collect(before, instructions)
    if not operand.discarded:
        operand.write_back()
        instructions.append(operand.instruction)


def _rebuild(changeset: Changeset, edits: dict[int, list[Instruction]]) -> None:
    instructions: list[Instruction] = []
    pace = Pace()
    for position, instruction in enumerate(changeset.instructions):
        pace.spend(1)
        replacement = edits.get(position)
        if replacement is None:
            instructions.append(instruction)
        else:
            instructions.extend(replacement)
    changeset.instructions = instructions
