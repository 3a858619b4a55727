"""Telling what happened in one case, for whoever has to find out why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from syncline.changesets.changeset import DownloadChangeset, UploadChangeset
from syncline.changesets.codec import decode
from syncline.changesets.json_form import instruction_to_json
from syncline.testing.exhaustive.cases import Case
from syncline.testing.exhaustive.check import Checker, Problem, Run
from syncline.testing.exhaustive.known import known
from syncline.testing.exhaustive.world import LETTERS

__all__ = ["report"]


def report(case: Case, problems: Sequence[Problem]) -> str:
    """The case carried out once more, in words: edits, what was sent and received, what differs, which rules fired."""
    with Checker() as checker:
        outcome = checker.run(case)
    return "\n".join(_lines(case, problems, outcome))


def _lines(case: Case, problems: Sequence[Problem], outcome: Run) -> Iterator[str]:
    yield case.name
    for problem in problems:
        entry = known(problem)
        yield f"  {problem}" + ("" if entry is None else f"  (known: {entry.name})")
    yield f"  base: domain {case.domain.name!r}"
    for operation in case.domain.objects:
        yield f"    {_json(operation)}"
    for letter, history, times in zip(LETTERS, case.histories, case.times, strict=False):
        for transaction, time in zip(history, times, strict=True):
            yield f"  {letter} does at {time}:"
            for edit in transaction:
                yield from (f"    {_json(operation)}" for operation in edit.operations)
    for letter, uploads in outcome.uploads.items():
        yield f"  {letter} sends:"
        yield from _instructions(uploads)
    for letter, downloads in outcome.downloads.items():
        yield f"  {letter} receives:"
        yield from _instructions(downloads)
    yield "  the rules that fired, the last one last:"
    yield from (f"    {rule}" for rule in outcome.rules or ["none"])
    for name, state in outcome.states.items():
        if state != outcome.states["S"] or name == "S":
            yield f"  {'the server' if name == 'S' else name} ends with:"
            yield f"    {_json(state['objects'])}"


def _instructions(entries: Iterable[UploadChangeset | DownloadChangeset]) -> Iterator[str]:
    for entry in entries:
        for instruction in decode(entry.changeset).instructions:
            yield f"    {_json(instruction_to_json(instruction))}"
        yield f"      (time {entry.origin_timestamp})"


def _json(form: Any) -> str:
    return json.dumps(form, ensure_ascii=False)
