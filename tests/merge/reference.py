"""The merge as spec/merge.md §3.1 writes it: a plain double loop over everything, without partitions.

It shares the rules with the merge under test and nothing of its driver.
"""

from __future__ import annotations

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import Instruction
from syncline.merge.meeting import meet
from syncline.merge.operands import Operand


def plain_transform(ours: list[Changeset], theirs: list[Changeset]) -> None:
    """Merge in place, like ``syncline.merge.transform``."""
    ranks = sorted({(c.origin_timestamp, c.origin_file_ident) for c in ours + theirs})
    majors = [_operands(changeset, ranks) for changeset in ours]
    minor = [o for c in sorted(theirs, key=lambda c: (c.version, c.sequence)) for o in _operands(c, ranks)]
    changed: set[int] = set()

    def run(major: list[Operand], k: int, j: int) -> int:
        while j < len(minor):
            left, right = major[k], minor[j]
            meet(left, right, None)
            for operand in (left, right):
                if operand.changed or operand.discarded or operand.pending:
                    changed.add(id(operand.changeset))
            if right.pending is not None:
                pending, right.pending = right.pending, None
                minor.insert(j, pending)
                j += 1
            elif left.pending is not None:
                pending, left.pending = left.pending, None
                major.insert(k, pending)
                k = run(major, k, j + 1)
            if right.discarded:
                del minor[j]
            else:
                j += 1
            if left.discarded:
                del major[k]
                return k
        return k + 1

    for major in majors:
        k = 0
        while k < len(major):
            k = run(major, k, 0)
    survivors = [operand for major in majors for operand in major] + minor
    for changeset in ours + theirs:
        changeset.instructions = _written([o for o in survivors if o.changeset is changeset])
        changeset.dirty = id(changeset) in changed


def _operands(changeset: Changeset, ranks: list[tuple[int, int]]) -> list[Operand]:
    operands = [Operand(instruction, changeset, n) for n, instruction in enumerate(changeset.instructions)]
    for operand in operands:
        operand.rank = ranks.index((changeset.origin_timestamp, changeset.origin_file_ident))
    return operands


def _written(operands: list[Operand]) -> list[Instruction]:
    for operand in operands:
        operand.write_back()
    return [operand.instruction for operand in operands]
