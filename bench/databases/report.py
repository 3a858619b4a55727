"""The figures as tables: for a terminal, and in Markdown for ``docs/explanation/performance.md``."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, TypeAlias

from rich.console import Console
from rich.table import Table

from databases import DATABASES, load
from databases.measure import Measured, affected

__all__ = ["LINES", "Figures", "aims", "figures_for_page", "show"]

_ALL, _SOME, _ONE = "all", "some", "one"

#: What is measured, in this order: name → what the table calls it, and of how many objects the time is per object.
LINES: Final = {
    "insert_single": ("insert, one call each", _ALL),
    "insert_bulk": ("insert, many at once", _ALL),
    "get": ("read by key", _SOME),
    "objects_one": ("one property of every object", _ALL),
    "objects_all": ("all properties of every object", _ALL),
    "values_one": ("the same one, values alone", _ALL),
    "values_all": ("the same all, values alone", _ALL),
    "update": ("update by key", _SOME),
    "delete": ("delete", _SOME),
    "filter_indexed": ("filter 1 %, indexed", _ONE),
    "filter_plain": ("filter 1 %, not indexed", _ONE),
    "sort": ("sort by name, take 100", _ONE),
    "count": ("count all", _ONE),
    "commit": ("change one object, durable", _ONE),
    "notify": ("the same, until an observer knows", _ONE),
    "open": ("open the file, read one object", _ONE),
}

#: What is compared: the times of two databases divided, and what is aimed at.
_AIMS: Final = (
    ("bulk insert with history ÷ apsw's", ("Syncline, history", "insert_bulk"), ("apsw", "insert_bulk"), "≤ 2.5"),
    ("read by key of SQLAlchemy ÷ Syncline's", ("SQLAlchemy", "get"), ("Syncline", "get"), "≥ 2"),
    ("values alone, all properties ÷ rows of apsw", ("Syncline", "values_all"), ("apsw", "values_all"), "≤ 3"),
    ("iterating, one property ÷ rows of apsw", ("Syncline", "objects_one"), ("apsw", "values_one"), "≤ 3"),
    ("iterating, all properties ÷ rows of apsw", ("Syncline", "objects_all"), ("apsw", "values_all"), "≤ 3"),
)

#: Database → measurement → what came out, or why nothing did.
Figures: TypeAlias = dict[str, dict[str, Measured | str]]


@dataclass
class Run:
    """Figures of one size. ``sizes``: databases that had fewer objects → how many."""

    objects: int
    figures: Figures = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def objects_of(self, database: str) -> int:
        """How many objects it had."""
        return self.sizes.get(database, self.objects)

    def seconds(self, database: str, measure: str) -> float | None:
        """The median of a time per object, or of a whole one, in seconds; None where there is none."""
        measured = self.figures.get(database, {}).get(measure)
        if not isinstance(measured, Measured) or not measured.seconds:
            return None
        return statistics.median(measured.seconds) / self.divisor(database, measure)

    def divisor(self, database: str, measure: str) -> int:
        """How many objects a time is for."""
        objects = self.objects_of(database)
        return {_ALL: objects, _SOME: affected(objects), _ONE: 1}[LINES[measure][1]]


def _number(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 10 else f"{value:.1f}"


def _cell(run: Run, database: str, measure: str) -> str:
    """Minimum and median."""
    measured = run.figures.get(database, {}).get(measure, "–")
    if isinstance(measured, str):
        return measured
    scale = (1e3 if LINES[measure][1] == _ONE else 1e6) / run.divisor(database, measure)
    low, middle = min(measured.seconds) * scale, statistics.median(measured.seconds) * scale
    return _number(low) if _number(low) == _number(middle) else f"{_number(low)} · {_number(middle)}"


def _other(run: Run, database: str, measure: str, attribute: str, scale: float) -> str:
    measured = run.figures.get(database, {}).get(measure)
    value = getattr(measured, attribute, None)
    return "–" if value is None else _number(value * scale)


def _rows(run: Run) -> Iterable[list[str]]:
    """The lines of a table, without its head."""
    databases = list(run.figures)
    for measure, (title, per) in LINES.items():
        unit = "ms" if per == _ONE else "µs/object"
        yield [f"{title}, {unit}", *(_cell(run, database, measure) for database in databases)]
    per_object = (_other(run, each, "insert_bulk", "size", 1 / run.objects_of(each)) for each in databases)
    yield ["size on disk, bytes/object", *per_object]
    for measure, title in (("insert_bulk", "inserting many at once"), ("objects_all", "reading all properties")):
        yield [f"peak memory, {title}, MiB", *(_other(run, each, measure, "memory", 2**-20) for each in databases)]


def _heads(run: Run) -> list[str]:
    return [f"{database} ({run.sizes[database]:,})" if database in run.sizes else database for database in run.figures]


def show(run: Run, console: Console) -> None:
    """The table in a terminal."""
    table = Table(title=f"{run.objects:,} objects (minimum · median)", title_justify="left")
    table.add_column("")
    for head in _heads(run):
        table.add_column(head, justify="right")
    for row in _rows(run):
        table.add_row(*row)
    console.print(table)


def _markdown(run: Run) -> str:
    heads = _heads(run)
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in _rows(run))])


def aims(runs: list[Run]) -> list[str]:
    """What was aimed at, and what came out."""
    lines = []
    for run in runs:
        for what, ours, theirs, aim in _AIMS:
            above, below = run.seconds(*ours), run.seconds(*theirs)
            if above and below:
                lines.append(f"{run.objects:,} objects: {what}: {above / below:.2f} (aim {aim})")
    if len(runs) > 1:
        lines += _growth(runs[0], runs[-1])
    return lines


def _growth(small: Run, large: Run) -> Iterable[str]:
    """How much dearer an object gets where there are more of them."""
    for database in ("Syncline", "Syncline, history"):
        shown = []
        for measure, (title, per) in LINES.items():
            before, after = small.seconds(database, measure), large.seconds(database, measure)
            if per != _ONE and before and after:
                shown.append(f"{title} {after / before:.2f}")
        if shown:
            times = large.objects // small.objects
            yield f"{database}: an object among {times} times as many costs so many times more: {', '.join(shown)}"


def figures_for_page(runs: list[Run], absent: Mapping[str, str], seconds: float) -> str:
    """Everything as Markdown."""
    parts = [f"{_machine()} {_versions({name for run in runs for name in run.figures})}"]
    if absent:
        parts.append("Not installed: " + ", ".join(f"{name} ({why})" for name, why in absent.items()) + ".")
    for run in runs:
        parts += [f"**{run.objects:,} objects**, minimum · median:", _markdown(run)]
    parts.append("\n".join(f"- {line}" for line in aims(runs)))
    parts.append(f"Measured on {datetime.now(UTC):%Y-%m-%d} within {seconds / 60:.1f} minutes.")
    return "\n\n".join(part for part in parts if part)


def _machine() -> str:
    """Processor, memory, system, and what being durable costs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{processor or platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, {platform.system()} "
        f"{platform.release()}, {_file_system()} ({_fsync() * 1e3:.2f} ms for 4 KiB and `fsync`)."
    )


def _file_system() -> str:
    answer = subprocess.run(
        ["stat", "--file-system", "--format=%T", tempfile.gettempdir()], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "file system unknown"


def _fsync() -> float:
    """The median time to append 4 KiB durably."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(50):
            start = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def _versions(databases: Container[str]) -> str:
    """All packages that took part."""
    names = [name for name in DATABASES if name in databases]
    found = {f"Python {platform.python_version()}": None}
    for adapter in map(load, names):
        parts = [f"{package} {_version(package)}" for package in adapter.packages]
        found |= dict.fromkeys([*parts, *([adapter.version()] if adapter.version() else [])])
    return ", ".join(found) + "."


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(version unknown)"
