"""``python -m syncline.testing.soak``: see the package."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from syncline.testing.processes import ProcessFailed
from syncline.testing.soak.faults import Course
from syncline.testing.soak.plan import Plan
from syncline.testing.soak.report import Report
from syncline.testing.soak.running import soak

__all__ = ["main"]

_NUMBERS: Final = {
    "clients": "client processes; every second one goes by TLS",
    "cuts": "connections cut, most of them at a random byte",
    "kills": "processes ended by signal 9, one in five of them the server",
    "suspensions": "times that threads suspend and resume a session",
    "clock-jumps": "clocks set, one in five of them the server's",
    "corruptions": "frames corrupted",
    "half-open": "connections that stop carrying without ending",
    "slow": "times that a network carries slowly, in drips",
}
_MAX_SHOWN: Final = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 if nothing was found, 1 if something was, 2 if the stage cannot be set up."""
    options = _parser().parse_args(arguments)
    plan = _plan(options)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="syncline-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    console.print(f"seed {plan.seed}: the same faults again with --seed {plan.seed}", highlight=False)
    try:
        report = _soak(folder.resolve(), plan, console)
    except ProcessFailed as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        return 2
    console.print(report.faults())
    console.print(report.figures())
    for finding in report.findings[:_MAX_SHOWN]:
        console.print(finding, style="red", highlight=False, markup=False)
    if report.findings:
        console.print(f"the files are kept in {folder}", highlight=False)
    elif options.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if report.findings else 0


def _parser() -> argparse.ArgumentParser:
    defaults = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m syncline.testing.soak",
        description="Real clients and a real server while everything goes wrong that goes wrong in the field.",
    )
    parser.add_argument("--seed", type=int, help="decides what happens (default: one by chance, which is printed)")
    parser.add_argument("--scale", type=float, default=1.0, help="this share of every number of faults (default: 1)")
    for name, meaning in _NUMBERS.items():
        default = getattr(defaults, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{meaning} (default: {default})")
    parser.add_argument("--pace", type=float, default=defaults.pace, help="commits per second of each client")
    parser.add_argument("--seconds", type=float, default=0.0, help="no new faults after so long (default: no limit)")
    parser.add_argument("--patience", type=float, default=defaults.patience_s, help="seconds to recover in, at most")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="an empty folder where everything is kept")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    numbers = {name.replace("-", "_"): getattr(options, name.replace("-", "_")) for name in _NUMBERS}
    plan = Plan(
        seed=secrets.randbelow(1_000_000) if options.seed is None else options.seed,
        pace=options.pace,
        seconds=options.seconds,
        patience_s=options.patience,
        **numbers,
    )
    return plan if options.scale == 1 else plan.scaled(options.scale)


def _soak(folder: Path, plan: Plan, console: Console) -> Report:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("faults", total=None)

        def tick(course: Course) -> None:
            acknowledged = sum(member.acknowledged for member in course.stage.members)
            found = len(course.stage.findings) + sum(len(member.faults) for member in course.stage.members)
            progress.update(
                task,
                total=course.total,
                completed=course.number_done,
                description=f"{acknowledged:,} commits, {found} found",
            )

        return soak(folder, plan, tick)


if __name__ == "__main__":
    sys.exit(main())
