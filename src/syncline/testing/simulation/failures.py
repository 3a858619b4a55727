"""What a simulation finds."""

from __future__ import annotations

__all__ = ["SimulationError"]


class SimulationError(AssertionError):
    """A promise was broken. ``kind`` names which: two failures of one kind count as the same when traces are shrunk."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
