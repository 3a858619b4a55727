"""Which merge rules decided something, and which was the last: an observer of every merge of a run."""

from __future__ import annotations

from collections import Counter

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import Instruction

__all__ = ["RuleLog"]


class RuleLog:
    """Counts rules by their number (spec/merge.md §5)."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._last: tuple[str, str, Instruction, Instruction] | None = None

    @property
    def last(self) -> str:
        """The rule that fired last, in words, with its two instructions."""
        if self._last is None:
            return "none"
        rule, reason, left, right = self._last
        return f"{rule}: {reason}\n    {left!r}\n    {right!r}"

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
        self.counts[rule] += 1
        self._last = (rule, reason, left, right)
