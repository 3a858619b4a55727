"""Tokens: what keeps an observer's callback alive (spec/sdk.md §9.4.1)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["NotificationToken"]


class NotificationToken:
    """Returned by every ``observe``: the callback is called as long as this object is kept and valid.

    Keep it in a variable or use it in a ``with`` block; :meth:`invalidate` stops the callback at once, also in the
    middle of a round of notifications. A token that is dropped without that warns with ResourceWarning.
    """

    _warns = True

    def __init__(self, stop: Callable[[], None] | None = None) -> None:
        """``stop`` is called once when the token becomes invalid, on whatever thread that happens."""
        self._stop = stop
        self._valid = True

    @property
    def is_valid(self) -> bool:
        """Whether the callback can still be called."""
        return self._valid

    def invalidate(self) -> None:
        """Stop the callback. Calling it again does nothing."""
        if self._valid:
            self._valid = False
            stop, self._stop = self._stop, None
            if stop is not None:
                stop()

    def end_quietly(self) -> None:
        """No warning if it is dropped: whoever holds it means to end the observer by that."""
        self._warns = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.invalidate()

    def __del__(self) -> None:
        if not getattr(self, "_valid", False):
            return
        try:
            if self._warns:
                warnings.warn(
                    "a NotificationToken was dropped and its observer stopped; keep the token, or call invalidate()",
                    ResourceWarning,
                    source=self,
                    stacklevel=2,
                )
        finally:  # warnings may be exceptions
            self.invalidate()
