"""One soak from its beginning to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from syncline.testing.soak import nursery
from syncline.testing.soak.content import settle
from syncline.testing.soak.faults import Course
from syncline.testing.soak.leftovers import find_leftovers
from syncline.testing.soak.legality import judge
from syncline.testing.soak.plan import Plan
from syncline.testing.soak.report import Report
from syncline.testing.soak.stage import Stage

__all__ = ["soak"]


def soak(folder: Path, plan: Plan, tick: Callable[[Course], None] = lambda course: None) -> Report:
    """Everything of ``plan``, in ``folder``; ``tick`` is called ten times a second. Raises ProcessFailed if the stage
    cannot even be set up."""
    report = Report(plan.seed, plan.clients)
    with Stage(folder, plan) as stage:
        course = Course(stage)
        began = time.monotonic()
        course.run(lambda: tick(course))
        report.seconds = time.monotonic() - began
        settled = settle(stage)
        report.server_peak_memory = nursery.peak_memory(stage.server.pid)
        find_leftovers(stage)
    report.settling_seconds = settled.seconds
    report.commits = settled.commits
    report.peak_memory = settled.peak_memory
    report.longest_log = settled.longest_log
    report.done = dict(course.done)
    report.recoveries = dict(course.recoveries)
    report.suspensions = course.suspensions
    for member in stage.members:
        _add_member(report, stage, member.name)
    report.findings = stage.findings
    return report


def _add_member(report: Report, stage: Stage, name: str) -> None:
    member = next(member for member in stage.members if member.name == name)
    for text in member.faults:
        stage.find(name, text)
    tally = member.relay.tally
    report.runs += member.runs
    report.acknowledged += member.acknowledged
    report.cuts += tally.cuts
    report.cuts_in_frames += tally.cuts_in_frames
    report.frames += tally.frames
    report.bytes += tally.bytes
    report.corrupted += tally.corrupted
    notes = [member.folder / f"notes-{run}.jsonl" for run in range(1, member.runs + 1)]
    judgement = judge([path for path in notes if path.exists()], is_corrupted=bool(tally.corrupted))
    report.seen += judgement.seen
    report.errors += judgement.errors
    for problem in judgement.problems:
        stage.find(name, problem)
