"""Progress reports tell the truth: 1,000 sessions of simulated devices, with everything that can go wrong.

At every notification the reported remainder is within 2 % of the real one, which is counted in the device's history and
in the server's log; nothing goes backwards, nothing is complete while something is left.
"""

from __future__ import annotations

from itertools import count

import pytest

from syncline.compilation import is_compiled
from syncline.sync.progress import ProgressFeed
from syncline.testing.simulation.progress import ProgressWatch
from syncline.testing.simulation.running import Failure, simulate
from syncline.testing.simulation.starts import Options

PARTS = 4
#: Interpreted, a part of them is enough: the same seeds run compiled.
SESSIONS = 1_000 if is_compiled() else 200


def sessions_from(first_seed: int, sessions: int) -> ProgressWatch:
    """So many sessions, of one seed after the other; what was counted in all. Fails for a report that is not true."""
    total = ProgressWatch(0)
    for seed in count(first_seed, PARTS):
        watch = ProgressWatch(seed)
        result = simulate(seed, Options(), prepare=watch)
        assert not isinstance(result, Failure), f"seed {seed}: {result.kind}: {result.message}"
        total.counts.update(watch.counts)
        if total.counts["sessions"] >= sessions:
            return total
    raise AssertionError("unreachable")


@pytest.mark.parametrize("part", range(PARTS))
def test_reports_are_true_at_every_notification(part: int) -> None:
    counts = sessions_from(part, SESSIONS // PARTS).counts
    for direction in ("upload", "download"):
        assert counts[f"reports, {direction}, streaming"] > SESSIONS // 10
        assert counts[f"reports, {direction}, outstanding work"] > SESSIONS // 10
    assert counts["reports while work was left"] > SESSIONS // 10


def test_reports_that_come_too_early_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    push = ProgressFeed.push

    def too_early(feed: ProgressFeed, status: object) -> None:
        feed.has_downloaded = True  # as if the numbers of the last connection were still true
        push(feed, status._replace(counters=status.counters._replace(uploaded=status.counters.uploadable)))  # type: ignore[attr-defined]

    monkeypatch.setattr(ProgressFeed, "push", too_early)
    results = [simulate(seed, Options(), prepare=ProgressWatch(seed)) for seed in range(5)]
    kinds = {result.kind for result in results if isinstance(result, Failure)}
    assert kinds == {"progress"}
