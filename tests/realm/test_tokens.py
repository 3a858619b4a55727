"""Tokens keep callbacks alive (spec/sdk.md §9.4.1)."""

from __future__ import annotations

import gc
import warnings

import pytest

from syncline import NotificationToken


def drop(*_: object) -> None:
    """Forget the arguments."""
    gc.collect()


def test_it_stops_once() -> None:
    calls: list[int] = []
    token = NotificationToken(lambda: calls.append(1))
    assert token.is_valid
    token.invalidate()
    token.invalidate()
    assert not token.is_valid
    assert calls == [1]


def test_as_a_context_manager() -> None:
    calls: list[int] = []
    with NotificationToken(lambda: calls.append(1)) as token:
        assert token.is_valid
    assert calls == [1]


def test_dropping_one_warns() -> None:
    calls: list[int] = []
    with pytest.warns(ResourceWarning, match=r"keep the token, or call invalidate"):
        drop(NotificationToken(lambda: calls.append(1)))
    assert calls == [1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NotificationToken().invalidate()
        gc.collect()
