"""What comes of one input."""

from __future__ import annotations

from enum import Enum

__all__ = ["FuzzFailureError", "Outcome"]


class FuzzFailureError(AssertionError):
    """Something that must hold for every input does not."""


class Outcome(Enum):
    """How far an input got: the bytes are no changeset; they can be read; they do not fit the Realm; they were applied.

    The parser target ends with READ, the apply target with REFUSED or APPLIED.
    """

    MALFORMED = "malformed"
    READ = "read"
    REFUSED = "refused"
    APPLIED = "applied"
