"""Run test vectors through the real packages.

    python -m syncline.testing.vectors [--fixtures FILE] [--differences N] [--id ID] FILE…

A file is in one of the formats of tests/vectors/README.md, plain or compressed with gzip; what each line is follows
from its fields. Prints a line per file, ``FILE: N passed, N failed, N not supported``, and the first differences. Exit
status: 0 if nothing failed, 1 if something did, 2 for a file that cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from syncline.testing.vector_codec import check_changeset, check_invalid_changeset
from syncline.testing.vector_files import (
    Case,
    Kind,
    Mismatch,
    NotRunnableError,
    VectorFileError,
    first_difference,
    read_cases,
    read_fixtures,
)
from syncline.testing.vector_histories import check_long_merge
from syncline.testing.vector_merge import check_merge_rule
from syncline.testing.vector_states import (
    Fixtures,
    check_fixture,
    check_merge,
    check_operations,
)
from syncline.testing.vector_trouble import check_troubled_merge

__all__ = ["FileReport", "Problem", "main", "run_case", "run_cases", "run_file"]


class Problem(NamedTuple):
    """A case that did not pass: its name, and the exception that tells why."""

    name: str
    error: Exception


class FileReport(NamedTuple):
    """What became of the cases of one file."""

    path: Path
    passed: int
    failed: list[Problem]
    not_supported: list[Problem]

    def __str__(self) -> str:
        return f"{self.path}: {self.passed} passed, {len(self.failed)} failed, {len(self.not_supported)} not supported"


_Check = Callable[[Mapping[str, Any], Fixtures], None]

_CHECKS: Final[dict[Kind, _Check]] = {
    Kind.CHANGESET: lambda fields, fixtures: check_changeset(fields),
    Kind.INVALID_CHANGESET: lambda fields, fixtures: check_invalid_changeset(fields),
    Kind.MERGE_RULE: lambda fields, fixtures: check_merge_rule(fields),
    Kind.OPERATIONS: check_operations,
    Kind.MERGE: check_merge,
    Kind.TROUBLED_MERGE: check_troubled_merge,
    Kind.CRASH_NOTE: check_troubled_merge,
    Kind.LONG_MERGE: check_long_merge,
    Kind.TROUBLED_LONG_MERGE: check_troubled_merge,
    Kind.FIXTURE: check_fixture,
}


def run_case(case: Case, fixtures: Fixtures) -> None:
    """Run one case.

    Raises Mismatch for a wrong result, NotRunnableError for what cannot be run, VectorFileError for a missing fixture,
    and whatever the code under test raises.
    """
    check = _CHECKS.get(case.kind)
    if check is None:
        raise NotRunnableError("not a vector of a known kind")
    check(case.fields, fixtures)


def run_file(path: Path, fixtures_path: Path | None = None, only: str | None = None) -> FileReport:
    """Run all cases of a file, or those with the id ``only``.

    The fixtures are read from ``fixtures_path``, else from ``fixtures.json`` beside the file, when first needed. Raises
    VectorFileError for a file that cannot be read, or without a case of that id.
    """
    cases: Iterable[Case] = read_cases(path)
    if only is not None:
        cases = [case for case in cases if case.name == only]
        if not cases:
            raise VectorFileError(f"{path} has no case {only!r}")
    beside = path.parent / "fixtures.json"
    source = fixtures_path if fixtures_path is not None else beside if beside.exists() else None
    with Fixtures(read_fixtures(source) if source is not None else None) as fixtures:
        return run_cases(path, cases, fixtures)


def run_cases(path: Path, cases: Iterable[Case], fixtures: Fixtures) -> FileReport:
    """Run ``cases``, which are from ``path``. Raises VectorFileError for a missing fixture or a broken line."""
    passed = 0
    failed: list[Problem] = []
    not_supported: list[Problem] = []
    for case in cases:
        try:
            run_case(case, fixtures)
            passed += 1
        except NotRunnableError as error:
            not_supported.append(Problem(case.name, error))
        except VectorFileError:
            raise
        except Exception as error:  # noqa: BLE001 - one broken case must not hide the others
            failed.append(Problem(case.name, error))
    return FileReport(path, passed, failed, not_supported)


def main(arguments: Sequence[str] | None = None, out: TextIO | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m syncline.testing.vectors", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="test vectors, plain or gzip")
    parser.add_argument("--fixtures", type=Path, help="the fixtures (default: fixtures.json beside each file)")
    parser.add_argument("--differences", type=int, default=3, metavar="N", help="cases shown per file (default: 3)")
    parser.add_argument("--id", dest="only", metavar="ID", help="run this case only, and show everything about it")
    options = parser.parse_args(arguments)
    out = out if out is not None else sys.stdout
    status = 0
    for path in options.files:
        try:
            report = run_file(path, options.fixtures, options.only)
        except VectorFileError as error:
            sys.stderr.write(f"{error}\n")
            status = 2
            continue
        out.write(f"{report}\n")
        _show(report, options.differences, options.only is not None, out)
        out.flush()
        if report.failed and status == 0:
            status = 1
    return status


def _show(report: FileReport, limit: int, verbose: bool, out: TextIO) -> None:
    """The first problems; in full if ``verbose``."""
    for title, problems in (("failed", report.failed), ("not supported", report.not_supported)):
        for problem in problems[: len(problems) if verbose else max(limit, 0)]:
            out.write(f"  {problem.name} {title}: {_describe(problem.error)}\n")
            if verbose:
                _show_all(problem.error, out)


def _describe(error: Exception) -> str:
    if isinstance(error, Mismatch):
        place, expected, actual = first_difference(error.expected, error.actual)
        at = f" at {place}" if place else ""
        return f"{error.what}{at}: expected {_cut(expected)}, got {_cut(actual)}"
    if isinstance(error, NotRunnableError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _show_all(error: Exception, out: TextIO) -> None:
    if isinstance(error, Mismatch):
        for title, value in (("expected", error.expected), ("got", error.actual)):
            out.write(f"    {title}: {json.dumps(value, ensure_ascii=False, default=repr)}\n")
    else:
        out.write("".join(traceback.format_exception(error)))


def _cut(value: object, limit: int = 300) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= limit else f"{text[:limit]}…"


if __name__ == "__main__":
    sys.exit(main())
