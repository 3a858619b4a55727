"""Trying many cases: all of some plans or a sample, in this process or several, with a tally of what came of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from typing import Final, NamedTuple, TypeAlias

from syncline.testing.exhaustive.cases import Case, History, Plan
from syncline.testing.exhaustive.check import Checker, Problem
from syncline.testing.exhaustive.known import known

__all__ = ["Failure", "Tally", "count", "run", "sample"]

#: Groups of cases that one process takes at a time.
_CHUNK: Final = 40
#: Failures that are kept; more are only counted.
FAILURES_KEPT: Final = 200

#: The number of a plan, and from it (number of the group, number of the variant) pairs.
_Work: TypeAlias = "tuple[int, list[tuple[int, int]]]"


class Failure(NamedTuple):
    """A case that went wrong in a way that nobody knows."""

    name: str
    problems: list[Problem]


class Tally(NamedTuple):
    """What came of the cases: how many were tried, how often each known gap showed, and what failed."""

    tried: int
    known: Counter[str]
    failed: int
    failures: list[Failure]

    def __add__(self, other: object) -> Tally:
        if not isinstance(other, Tally):
            return NotImplemented
        failures = (self.failures + other.failures)[:FAILURES_KEPT]
        return Tally(self.tried + other.tried, self.known + other.known, self.failed + other.failed, failures)


def count(plans: Sequence[Plan]) -> dict[str, int]:
    """How many cases each plan has."""
    return {plan.name: sum(1 for _ in plan.groups()) * plan.variants for plan in plans}


def run(
    plans: Sequence[Plan],
    *,
    size: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    progress: Callable[[Tally, int], None] | None = None,
) -> Tally:
    """Try all cases, or a :func:`sample` of ``size``.

    Parameters:
        plans: what to try.
        jobs: processes.
        progress: called now and then with the tally so far and the number of cases in all.
    """
    work = _everything(plans) if size is None else _sampled(plans, size, seed)
    total = sum(len(part) for _, part in work)
    tally = Tally(0, Counter(), 0, [])
    for result in _results(plans, work, jobs):
        tally += result
        if progress is not None:
            progress(tally, total)
    return tally


def _results(plans: Sequence[Plan], work: Sequence[_Work], jobs: int) -> Iterator[Tally]:
    if jobs == 1:
        with Checker() as checker:
            for number, part in work:
                yield _try(checker, _chosen(plans[number], part))
        return
    with ProcessPoolExecutor(jobs, initializer=_prepare, initargs=(plans,)) as pool:
        for future in as_completed([pool.submit(_try_in_process, item) for item in work]):
            yield future.result()


def _try(checker: Checker, cases: Iterable[Case]) -> Tally:
    tried = failed = 0
    seen: Counter[str] = Counter()
    failures: list[Failure] = []
    for case in cases:
        tried += 1
        problems = checker.check(case)
        gaps = [known(problem) for problem in problems]
        seen.update({gap.name for gap in gaps if gap is not None})
        if None in gaps:
            failed += 1
            if len(failures) < FAILURES_KEPT:
                failures.append(Failure(case.name, problems))
    return Tally(tried, seen, failed, failures)


# --- in other processes -----------------------------------------------------------------------------------------------

_process_plans: Sequence[Plan] = ()
_process_checker: Checker | None = None


def _prepare(plans: Sequence[Plan]) -> None:
    global _process_plans, _process_checker
    _process_plans = plans
    _process_checker = Checker()


def _try_in_process(item: _Work) -> Tally:
    number, part = item
    assert _process_checker is not None
    return _try(_process_checker, _chosen(_process_plans[number], part))


# --- which cases ------------------------------------------------------------------------------------------------------


@cache
def _groups(plan: Plan) -> list[tuple[History, ...]]:
    return list(plan.groups())


def _chosen(plan: Plan, part: Iterable[tuple[int, int]]) -> Iterator[Case]:
    groups = _groups(plan)
    return (plan.variant(groups[group], variant) for group, variant in part)


def _everything(plans: Sequence[Plan]) -> list[_Work]:
    work: list[_Work] = []
    for number, plan in enumerate(plans):
        size = len(_groups(plan))
        for start in range(0, size, _CHUNK):
            groups = range(start, min(start + _CHUNK, size))
            work.append((number, [(group, variant) for group in groups for variant in range(plan.variants)]))
    return work


def _sampled(plans: Sequence[Plan], size: int, seed: int) -> list[_Work]:
    chosen = sorted(sample(plans, size, seed))
    work: list[_Work] = []
    for number in range(len(plans)):
        mine = [(group, variant) for plan, group, variant in chosen if plan == number]
        work += [(number, mine[start : start + _CHUNK]) for start in range(0, len(mine), _CHUNK)]
    return work


def sample(plans: Sequence[Plan], size: int, seed: int) -> list[tuple[int, int, int]]:
    """``size`` cases as (number of the plan, of the group, of the variant), the same for the same seed.

    Every combination of operations (not of edits) that a plan has is there once before any is there twice, those of the
    first plan before all others: so every pair of operations is covered as soon as ``size`` allows it. Of each choice
    of edits one variant is taken.
    """
    chance = random.Random(seed)
    strata: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for number, plan in enumerate(plans):
        for position, group in enumerate(_groups(plan)):
            strata.setdefault((number, _kinds(group)), []).append(position)
    queues = [(number, chance.sample(groups, len(groups))) for (number, _), groups in strata.items()]
    first = [queue for queue in queues if queue[0] == 0]
    others = queues[len(first) :]
    queues = [*first, *chance.sample(others, len(others))]
    chosen: list[tuple[int, int, int]] = []
    while queues and len(chosen) < size:
        for number, groups in queues[: size - len(chosen)]:
            chosen.append((number, groups.pop(), chance.randrange(plans[number].variants)))
        queues = [(number, groups) for number, groups in queues if groups]
    return chosen


def _kinds(group: tuple[History, ...]) -> tuple[str, ...]:
    return tuple(sorted({edit.kind for history in group for transaction in history for edit in transaction}))
