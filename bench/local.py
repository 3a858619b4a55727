"""The object database beside others, on one machine, in one run (``make bench-local``).

100,000 and 1,000,000 objects of four properties (int key, string, indexed int, float). Every measurement has a process
of its own, and is taken of all databases one after the other, so that whatever else the machine does concerns them all.
Every transaction is durable (WAL and ``synchronous = FULL`` where the database is SQLite). All of them start from the
same tuples and must find the same objects, or it ends with an error.

``python bench/local.py --quick`` takes a minute or two; ``--page`` writes the tables into a page of the documentation,
between ``<!-- bench-local -->`` and ``<!-- /bench-local -->``. Databases that are not installed are named as absent;
``bench/requirements.txt`` lists them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from databases import DATABASES, load
from databases.measure import WRITING, Measured, Task
from databases.report import LINES, Run, aims, figures_for_page, show
from rich.console import Console

_HERE: Final = Path(__file__).resolve().parent
_START, _END = "<!-- bench-local -->", "<!-- /bench-local -->"


class Comparison:
    """Measures databases of one size."""

    def __init__(self, folder: Path, options: argparse.Namespace, console: Console) -> None:
        self.folder = folder
        self.options = options
        self.console = console
        #: what databases of that size found differently from the first
        self.trouble: list[str] = []
        self._found: dict[tuple[int, str], tuple[str, object]] = {}

    def run(self, objects: int, names: Iterable[str]) -> Run:
        """All measurements of the databases of these names."""
        run = Run(objects)
        for name in names:
            largest = load(name).largest
            if largest is not None and largest < objects:
                run.sizes[name] = largest
            run.figures[name] = {}
        for measure in LINES:
            for name in run.figures:
                self._take(run, name, measure)
        shutil.rmtree(self.folder / str(objects))
        return run

    def _take(self, run: Run, name: str, measure: str) -> None:
        """One measurement of one database."""
        if measure == "notify" and not load(name).notifies:
            return
        home = self.folder / str(run.objects) / name
        filled = home / "filled"
        is_insertion = measure.startswith("insert")
        if not is_insertion and not isinstance(run.figures[name].get("insert_bulk"), Measured):
            return
        place = filled
        if measure == "insert_single":
            place = home / "single"
        elif measure in WRITING:
            place = home / "copy"
            shutil.copytree(filled, place)
        objects = run.objects_of(name)
        task = Task(name, measure, str(place), objects, self.options.repetitions, self.options.budget)
        with self.console.status(f"{run.objects:,} objects, {LINES[measure][0]}: {name}"):
            measured = run.figures[name][measure] = self._in_process(task)
        if place is not filled:
            shutil.rmtree(place, ignore_errors=True)
        if isinstance(measured, Measured):
            self._compare(objects, name, "insert" if is_insertion else measure, measured.found)

    def _in_process(self, task: Task) -> Measured | str:
        """What was measured; the time limit, if it is over."""
        try:
            process = subprocess.run(
                [sys.executable, "-m", "databases.measure"],
                input=json.dumps(dataclasses.asdict(task)),
                capture_output=True,
                text=True,
                timeout=self.options.limit,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_HERE), *sys.path[1:]])},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"> {self.options.limit:.0f} s"
        if process.returncode:
            self.trouble.append(f"{task.database}, {task.measure}: {process.stderr.strip()[-500:]}")
            return "failed"
        return Measured(**json.loads(process.stdout))

    def _compare(self, objects: int, name: str, measure: str, found: object) -> None:
        """Whether it did the same as the first one."""
        first, same = self._found.setdefault((objects, measure), (name, found))
        if found != same:
            self.trouble.append(f"{measure} of {objects:,}: {name} found {found}, {first} found {same}")


def installed(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """The databases that are there; those that are not, and why."""
    present, absent = [], {}
    for name in names:
        try:
            load(name)
        except ImportError as error:
            absent[name] = str(error)
        else:
            present.append(name)
    return present, absent


def around_tables(page: Path) -> tuple[str, str]:
    """What stands in a page before and after the tables."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_START)
    _, mark, after = rest.partition(_END)
    if not mark:
        raise SystemExit(f"{page} has no {_START} … {_END}")
    return before, after


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="+", default=[100_000, 1_000_000], help="how many; several sizes")
    parser.add_argument("--only", nargs="+", choices=list(DATABASES), default=list(DATABASES), help="these databases")
    parser.add_argument("--quick", action="store_true", help="10,000 objects, no repetitions")
    parser.add_argument("--repetitions", type=int, default=5, help="at most so many of each measurement")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds after which none is repeated")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds after which a measurement is given up")
    parser.add_argument("--page", type=Path, help="write the tables into this page")
    parser.add_argument("--folder", type=Path, help="where the databases are made (a disk, not memory)")
    chosen = parser.parse_args()
    if min(chosen.objects) < 100:
        parser.error("fewer than 100 objects have no 1 %")
    if chosen.quick:
        chosen.objects, chosen.repetitions = [10_000], 1
    return chosen


def main() -> int:
    """Measure, show, compare."""
    chosen = options()
    if chosen.page is not None:
        around_tables(chosen.page)
    console = Console(width=None if sys.stdout.isatty() else 240)
    present, absent = installed(chosen.only)
    for name, why in absent.items():
        console.print(f"absent: {name}: {why}")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="syncline-bench-", dir=chosen.folder) as folder:
        comparison = Comparison(Path(folder), chosen, console)
        runs = []
        for objects in chosen.objects:
            runs.append(comparison.run(objects, present))
            show(runs[-1], console)
    text = figures_for_page(runs, absent, time.perf_counter() - began)
    for line in [text.splitlines()[0], *aims(runs)]:
        console.print(line)
    if comparison.trouble:
        console.print("\n".join(["Not all did the same:", *comparison.trouble]))
        return 1
    if chosen.page is not None:
        before, after = around_tables(chosen.page)
        chosen.page.write_text(f"{before}{_START}\n\n{text}\n\n{_END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
