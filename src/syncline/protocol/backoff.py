"""The delay before the next attempt: exponential, with jitter, keyed by the reason (spec/wire-protocol.md §9.2, §9.3).

Used for a connection (keyed by why it ended) and for a session (keyed by the error code). Pure: randomness is passed in
and time is the caller's.
"""

from __future__ import annotations

from random import Random
from typing import Final, Generic, NamedTuple, TypeVar

__all__ = ["DEFAULT_BACKOFF", "Backoff", "BackoffParameters"]

Reason = TypeVar("Reason")


class BackoffParameters(NamedTuple):
    """One sequence of delays, in milliseconds. A ``jitter_divisor`` of 0 means no jitter."""

    initial_ms: int = 1_000
    maximum_ms: int = 300_000
    multiplier: int = 2
    jitter_divisor: int = 4


DEFAULT_BACKOFF: Final = BackoffParameters()


class Backoff(Generic[Reason]):
    """State of one back-off.

    A further failure for the *same* reason multiplies the delay; another reason starts again, with its own parameters.
    Success does not reset it: only :meth:`reset` does (spec/sessions.md §7.4).
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._reason: Reason | None = None
        self._delay_ms = -1  # of the latest failure, before jitter; -1: no failure yet
        self._parameters = DEFAULT_BACKOFF

    def failed(self, reason: Reason, parameters: BackoffParameters | None = None) -> int:
        """Milliseconds to wait after a failure; ``parameters`` count only where the reason is a new one."""
        if self._delay_ms < 0 or reason != self._reason:
            self._reason = reason
            self._parameters = parameters or DEFAULT_BACKOFF
            delay = self._parameters.initial_ms
        else:
            delay = self._delay_ms * self._parameters.multiplier
        self._delay_ms = max(0, min(delay, self._parameters.maximum_ms))
        divisor = self._parameters.jitter_divisor
        jitter = self._random.randint(0, self._delay_ms // divisor) if divisor > 0 else 0
        return self._delay_ms - jitter

    @property
    def is_clean(self) -> bool:
        """Whether there is no failure that it remembers."""
        return self._delay_ms < 0

    def reset(self) -> None:
        """Forget all failures: the next one starts with the initial delay."""
        self._reason = None
        self._delay_ms = -1
