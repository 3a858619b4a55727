"""The convergence simulator over 10,000 seeds: everything from disks to merging, with everything that can go wrong.

A failure prints what to do to see it again: ``python -m syncline.testing.simulation --seed N --trace``.
"""

from __future__ import annotations

import pytest

from syncline.testing.simulation import Options, failure_report, run_seeds, shrink

SEEDS = 10_000
CHUNK = 500


@pytest.mark.parametrize("start", range(0, SEEDS, CHUNK))
def test_every_promise_is_kept(start: int) -> None:
    total, failures = run_seeds(range(start, start + CHUNK), Options())
    assert [failure_report(shrink(failure, 1_500)) for failure in failures[:1]] == []
    assert total.counts["runs"] == CHUNK
    for what in ("runs with conflicts", "changesets sent again", "device crashes", "server crashes"):
        assert total.counts[what] > CHUNK // 20, what
