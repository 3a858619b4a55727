"""Which merge rules decided something, and which was the last: observers of every merge of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import Instruction

__all__ = ["Place", "RuleLog"]


class RuleLog:
    """Counts rules by their number (spec/merge.md §5), wherever they fire."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        #: the rule that fired last, in words, with its two instructions
        self.last = "none"

    def at(self, name: str) -> Place:
        """The observer for the merges of one participant."""
        return Place(self, name)


@dataclass(frozen=True)
class Place:
    """Where merges happen: "device 1", "the server"."""

    log: RuleLog
    name: str

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
        """See :class:`~syncline.merge.observer.MergeObserver`."""
        self.log.counts[rule] += 1
        self.log.last = f"{rule}, at {self.name}: {reason}\n    {left!r}\n    {right!r}"
