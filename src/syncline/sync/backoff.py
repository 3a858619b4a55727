"""The delay before the next attempt: exponential, with jitter, keyed by the reason (spec/sessions.md §7.4).

Used twice: by a connection (keyed by the reason for its end) and by a protocol session (keyed by the error code). Pure:
randomness is passed in, time is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Generic, TypeVar

__all__ = ["DEFAULT_PARAMETERS", "Backoff", "BackoffParameters"]

Reason = TypeVar("Reason")


@dataclass(frozen=True)
class BackoffParameters:
    """Numbers of one back-off sequence; delays in milliseconds (spec/wire-protocol.md §9.2).

    A ``jitter_divisor`` of 0 means no jitter. Raises :class:`ValueError` for a multiplier below 1 or a negative delay.
    """

    initial_ms: int = 1_000
    maximum_ms: int = 300_000
    multiplier: int = 2
    jitter_divisor: int = 4

    def __post_init__(self) -> None:
        if self.multiplier < 1:
            raise ValueError(f"a back-off multiplier must be at least 1, not {self.multiplier}")
        if self.initial_ms < 0 or self.maximum_ms < 0 or self.jitter_divisor < 0:
            raise ValueError("back-off delays and the jitter divisor must not be negative")


DEFAULT_PARAMETERS: Final = BackoffParameters()


class Backoff(Generic[Reason]):
    """State of one back-off sequence.

    ``failed(reason)`` returns the delay before the next attempt. A further failure for the *same* reason multiplies the
    delay; another reason starts again with its own parameters. Success does not reset it (spec/sessions.md trap 14):
    only :meth:`reset` does.
    """

    def __init__(self, random: Random | None = None) -> None:
        self._randint: Callable[[int, int], int] = (random or Random()).randint
        self._reason: Reason | None = None
        self._delay_ms: int | None = None  # of the latest failure, before jitter; None: no failure yet
        self._parameters = DEFAULT_PARAMETERS

    def failed(self, reason: Reason, parameters: BackoffParameters | None = None) -> int:
        """Milliseconds to wait after a failure; ``parameters`` count only where the reason is a new one."""
        if self._delay_ms is None or reason != self._reason:
            self._reason = reason
            self._parameters = parameters or DEFAULT_PARAMETERS
            self._delay_ms = min(self._parameters.initial_ms, self._parameters.maximum_ms)
        else:
            self._delay_ms = min(self._delay_ms * self._parameters.multiplier, self._parameters.maximum_ms)
        divisor = self._parameters.jitter_divisor
        jitter = self._randint(0, self._delay_ms // divisor) if divisor else 0
        return self._delay_ms - jitter

    def reset(self) -> None:
        """Forget all failures: the next one starts with the initial delay."""
        self._reason = None
        self._delay_ms = None
