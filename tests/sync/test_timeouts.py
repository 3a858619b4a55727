"""Delays out of range are ignored (spec/sessions.md §7.5)."""

from __future__ import annotations

from syncline.sync import SyncTimeoutOptions


def test_defaults() -> None:
    settings = SyncTimeoutOptions().settings()
    assert settings.linger_ms == 30_000
    assert settings.ping_period_ms == 60_000
    assert settings.pong_timeout_ms == 120_000
    assert settings.fast_reconnect_limit_ms == 60_000
    assert SyncTimeoutOptions().effective().connect_timeout == 120_000


def test_values_out_of_range_are_ignored() -> None:
    options = SyncTimeoutOptions(
        connect_timeout=999,
        connection_linger_time=0,
        ping_keepalive_period=5_000,
        pong_keepalive_timeout=-1,
        fast_reconnect_limit=1_000,
    )
    assert options.effective() == SyncTimeoutOptions()


def test_values_at_the_border_count() -> None:
    options = SyncTimeoutOptions(1_000, 1, 5_001, 5_001, 1_001)
    assert options.effective() == options
