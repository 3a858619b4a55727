"""The delay before the next attempt (spec/wire-protocol.md §9.2)."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from syncline.protocol import Backoff, BackoffParameters

NO_JITTER = BackoffParameters(jitter_divisor=0)


def test_the_reference_sequence() -> None:
    backoff: Backoff[str] = Backoff(Random(1))
    delays = [backoff.failed("read", NO_JITTER) // 1000 for _ in range(12)]
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_another_reason_starts_again_with_its_own_parameters() -> None:
    backoff: Backoff[str] = Backoff(Random(1))
    backoff.failed("read", NO_JITTER)
    assert backoff.failed("read", BackoffParameters(7, 7, 7, 0)) == 2000  # parameters only count for a new reason
    assert backoff.failed("http", BackoffParameters(500, 1000, 3, 0)) == 500
    assert backoff.failed("http") == 1000
    assert backoff.failed("read", NO_JITTER) == 1000


def test_reset() -> None:
    backoff: Backoff[int] = Backoff(Random(1))
    for _ in range(5):
        backoff.failed(1, NO_JITTER)
    backoff.reset()
    assert backoff.failed(1, NO_JITTER) == 1000


@given(st.integers(), st.integers(1, 20))
def test_jitter_takes_away_a_quarter_at_most(seed: int, failures: int) -> None:
    plain: Backoff[int] = Backoff(Random(seed))
    jittered: Backoff[int] = Backoff(Random(seed))
    for _ in range(failures):
        full = plain.failed(1, NO_JITTER)
        assert full - full // 4 <= jittered.failed(1) <= full
