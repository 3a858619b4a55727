"""A small sample of ``python -m syncline.testing.process_stress``: 3 processes with 3 threads, killed with signal 9."""

from __future__ import annotations

import os
from pathlib import Path

from syncline.testing.process_stress import stress


def test_nothing_is_lost_when_processes_are_killed(tmp_path: Path) -> None:
    outcome = stress(tmp_path, float(os.environ.get("SYNCLINE_STRESS_SECONDS", "3")), seed=1)
    assert outcome.problems == []
    assert outcome.kills > 0
    assert outcome.pairs >= outcome.noted > 0
