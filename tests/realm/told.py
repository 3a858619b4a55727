"""What observers are told, kept for the test to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Log:
    """Collects the changes that one observer is told; ``then`` is called with each of them."""

    def __init__(self, then: Callable[[Any], object] = lambda change: None) -> None:
        self.changes: list[Any] = []
        self.then = then

    def __call__(self, observed: Any, change: Any) -> None:
        self.changes.append(change)
        self.then(change)

    def take(self) -> list[Any]:
        """Those since the last look."""
        changes, self.changes = self.changes, []
        return changes
