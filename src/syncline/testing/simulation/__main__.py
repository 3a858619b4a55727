"""The command ``python -m syncline.testing.simulation``: many runs, or one told event by event."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from typing import Final

from syncline.testing.simulation.events import Event, describe
from syncline.testing.simulation.images import DEVICES
from syncline.testing.simulation.report import coverage, failure_report
from syncline.testing.simulation.running import Failure, Outcome, run_seeds, simulate
from syncline.testing.simulation.shrinking import shrink
from syncline.testing.simulation.starts import Options

__all__ = ["main"]

#: Seeds that a process is given at a time.
_CHUNK: Final = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; the exit status: 1 if a promise was broken."""
    asked = _parser().parse_args(arguments)
    fewest, most = asked.clients
    options = Options(fewest, most, backwards=asked.backwards_clocks, faults=not asked.no_faults)
    if asked.seed is not None:
        return _run_one(asked.seed, options, asked.trace, asked.shrink_attempts)
    return _run_many(asked.seeds, options, asked.jobs, asked.most_failures, asked.shrink_attempts)


def _run_one(seed: int, options: Options, trace: bool, shrink_attempts: int) -> int:
    def narrate(event: Event) -> None:
        sys.stdout.write(describe(event) + "\n")

    result = simulate(seed, options, narrate if trace else None)
    if isinstance(result, Failure):
        sys.stdout.write("\n" + failure_report(shrink(result, shrink_attempts)) + "\n")
        return 1
    sys.stdout.write("\n".join([f"seed {seed}: every promise was kept", *coverage(*result)]) + "\n")
    return 0


def _run_many(seeds: range, options: Options, jobs: int, most_failures: int, shrink_attempts: int) -> int:
    total = Outcome(Counter(), Counter())
    failures: list[Failure] = []
    with _progress(len(seeds)) as show:
        for (counts, rules), failed in _results(seeds, options, jobs):
            total.counts.update(counts)
            total.rules.update(rules)
            failures += failed
            show(total.counts["runs"] + len(failures))
            if len(failures) >= most_failures:
                break
    for failure in failures[:most_failures]:
        sys.stdout.write(failure_report(shrink(failure, shrink_attempts)) + "\n\n")
    sys.stdout.write("\n".join(coverage(*total)) + "\n")
    sys.stdout.write(f"{len(failures):,} failures\n")
    return 1 if failures else 0


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal, if there is one; what it gives is told how many runs are done."""
    if not sys.stderr.isatty() or importlib.util.find_spec("rich") is None:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("runs", total=total)
        yield lambda done: bar.update(task, completed=done)


def _results(seeds: range, options: Options, jobs: int) -> Iterator[tuple[Outcome, list[Failure]]]:
    """The results of chunks, as they come."""
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    work = partial(_run_chunk, options)
    if jobs == 1:
        yield from map(work, chunks)
        return
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(work, chunk) for chunk in chunks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _run_chunk(options: Options, seeds: Sequence[int]) -> tuple[Outcome, list[Failure]]:
    return run_seeds(seeds, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m syncline.testing.simulation",
        description="Devices and a server on virtual time, with everything that can go wrong; all from integer seeds.",
    )
    parser.add_argument("--seeds", type=_range, default=range(1000), metavar="FROM:TO", help="default 0:1000")
    parser.add_argument("--seed", type=int, help="one run only")
    parser.add_argument("--trace", action="store_true", help="with --seed: tell every event")
    parser.add_argument("--clients", type=_clients, default=(2, DEVICES), metavar="N..M", help=f"default 2..{DEVICES}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes")
    parser.add_argument("--most-failures", type=int, default=3, metavar="N", help="stop after so many (default 3)")
    parser.add_argument("--shrink-attempts", type=int, default=5_000, metavar="N", help="tries per failure")
    parser.add_argument("--no-faults", action="store_true", help="nothing breaks and nobody dies")
    parser.add_argument("--backwards-clocks", action="store_true", help="clocks are also set back")
    return parser


def _range(text: str) -> range:
    start, _, end = text.partition(":")
    return range(int(start), int(end))


def _clients(text: str) -> tuple[int, int]:
    fewest, _, most = text.partition("..")
    numbers = (int(fewest), int(most or fewest))
    if not 1 <= numbers[0] <= numbers[1] <= DEVICES:
        raise ValueError(f"from 1 to {DEVICES} devices")
    return numbers


if __name__ == "__main__":
    sys.exit(main())
