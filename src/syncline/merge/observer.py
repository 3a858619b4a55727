"""Watching a merge: which rule decided what, for explanations and failure traces (costs nothing when absent)."""

from __future__ import annotations

from typing import Protocol

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import Instruction

__all__ = ["LEFT_CHANGED", "LEFT_DISCARDED", "PREPENDED", "RIGHT_CHANGED", "RIGHT_DISCARDED", "MergeObserver"]

# What a rule did; a sum of these.
LEFT_CHANGED = 1
RIGHT_CHANGED = 2
LEFT_DISCARDED = 4
RIGHT_DISCARDED = 8
PREPENDED = 16


class MergeObserver(Protocol):
    """Told each time a rule decides something about two instructions."""

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
        """``left`` and ``right`` are as the rule left them.

        ``rule`` is the rule's number ("5.7 ArrayErase × Update"), ``reason`` says in words why it decided so,
        ``effect`` is a sum of LEFT_CHANGED … PREPENDED, 0 where the rule decided to keep both as they are.
        """
