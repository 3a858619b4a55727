"""Try all short histories of two and three peers, or some of them.

    python -m syncline.testing.exhaustive [--count] [--plan NAME…] [--sample N] [--seed S] [--jobs N] [--case NAME]

Exit status: 0 if everything holds, 1 if something does not, 2 for a name that is none. A case that fails is told in
full: what each peer does, sends and receives, the rules that fired, and where the states differ. ``--case`` runs and
tells one case alone; its name is in every report.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TextIO

from syncline.testing.exhaustive.cases import Plan, parse
from syncline.testing.exhaustive.check import check
from syncline.testing.exhaustive.domain import DomainError
from syncline.testing.exhaustive.known import KNOWN, known
from syncline.testing.exhaustive.report import report
from syncline.testing.exhaustive.running import Tally, count, run
from syncline.testing.exhaustive.standard import STANDARD, standard_plans

__all__ = ["main"]

#: Without a terminal a line is printed each time so many percent were passed.
_STEP_PERCENT: Final = 10


def main(arguments: Sequence[str] | None = None, out: TextIO | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m syncline.testing.exhaustive", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--case", metavar="NAME", help="run this case only, and tell everything about it")
    parser.add_argument("--count", action="store_true", help="how many cases there are, without trying them")
    parser.add_argument("--plan", action="append", metavar="NAME", help="only this plan (may be given several times)")
    parser.add_argument("--sample", type=int, metavar="N", help="only N cases, of every combination of operations")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which sample (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--reports", type=int, default=3, metavar="N", help="failed cases told in full (default: 3)")
    options = parser.parse_args(arguments)
    out = out if out is not None else sys.stdout
    try:
        if options.case is not None:
            return _one(options.case, out)
        plans = _plans(options.plan)
    except DomainError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.count:
        return _count(plans, out)
    started = time.monotonic()
    with _progress(out) as progress:
        tally = run(plans, size=options.sample, seed=options.seed, jobs=max(options.jobs, 1), progress=progress)
    _show(tally, time.monotonic() - started, options.reports, out)
    return 1 if tally.failed else 0


def _plans(names: Sequence[str] | None) -> list[Plan]:
    plans = standard_plans()
    unknown = set(names or ()) - {plan.name for plan in plans}
    if unknown:
        raise DomainError(f"no plan {', '.join(sorted(unknown))}; there are {', '.join(plan.name for plan in plans)}")
    return [plan for plan in plans if names is None or plan.name in names]


def _one(name: str, out: TextIO) -> int:
    case = parse(name, [STANDARD])
    problems = check(case)
    out.write(report(case, problems) + "\n")
    if not problems:
        out.write("  everything holds\n")
    return 1 if any(known(problem) is None for problem in problems) else 0


def _count(plans: Sequence[Plan], out: TextIO) -> int:
    counts = count(plans)
    for name, number in counts.items():
        out.write(f"{number:>9,}  {name}\n")
    out.write(f"{sum(counts.values()):>9,}  in all\n")
    return 0


def _show(tally: Tally, seconds: float, reports: int, out: TextIO) -> None:
    each = seconds / max(tally.tried, 1) * 1000
    out.write(f"{tally.tried:,} cases in {seconds:,.0f} s ({each:.2f} ms each): {tally.failed:,} failed\n")
    for entry in KNOWN:
        if tally.known[entry.name]:
            out.write(f"  {tally.known[entry.name]:,} × known: {entry.name}. {entry.reason}\n")
    for failure in tally.failures[:reports]:
        out.write("\n" + report(parse(failure.name, [STANDARD]), failure.problems) + "\n")
    for failure in tally.failures[reports:]:
        out.write(f"\n{failure.name}\n  {failure.problems[0]}\n")
    if tally.failed:
        name = tally.failures[0].name
        out.write(f"\nOne case alone: python -m syncline.testing.exhaustive --case '{name}'\n")


# --- progress ---------------------------------------------------------------------------------------------------------


@contextmanager
def _progress(out: TextIO) -> Iterator[Callable[[Tally, int], None]]:
    """What shows the tally so far: a bar on a terminal if rich is installed, lines everywhere else."""
    if not out.isatty() or importlib.util.find_spec("rich") is None:
        yield _Lines(out)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(file=out)) as bar:
        task = bar.add_task("cases", total=None)
        yield lambda tally, total: bar.update(
            task, completed=tally.tried, total=total, description=f"cases, {tally.failed} failed"
        )


class _Lines:
    """A line for every step."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._step = 0

    def __call__(self, tally: Tally, total: int) -> None:
        step = 100 * tally.tried // max(total, 1) // _STEP_PERCENT
        if step > self._step:
            self._step = step
            self._out.write(f"{step * _STEP_PERCENT:3} %  {tally.tried:,} of {total:,} cases, {tally.failed} failed\n")
            self._out.flush()


if __name__ == "__main__":
    sys.exit(main())
