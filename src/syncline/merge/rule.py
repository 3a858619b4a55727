"""What a rule is: how one pair of concurrent instructions is resolved (spec/merge.md §5)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mypy_extensions import i64

from syncline.merge.operands import Operand

__all__ = ["Rule"]


class Rule(ABC):
    """Resolves one kind of pair by rewriting or discarding either operand.

    ``number`` names the rule: its section in spec/merge.md and the pair. Who is major and who is minor means nothing to
    a rule: it decides by what is in the operands and by their ``rank``.
    """

    def __init__(self, number: str) -> None:
        self.number = number

    @abstractmethod
    def meet(self, left: Operand, right: Operand) -> i64:
        """Resolve the pair in place. For a nested rule ``left`` is the outer one, otherwise the higher opcode.

        Returns:
            Why it decided so (``merge/reasons.py``); NOTHING if the rule does not concern this pair.

        Raises:
            TransformError: the two contradict each other.
        """
