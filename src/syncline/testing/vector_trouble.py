"""Vectors on which realm-core fails: two or three real Syncline peers must converge on them (tests/vectors/NOTES.md).

    python -m syncline.testing.vector_trouble FILE [--fixtures FILE] [--page FILE]

replays every case with real client files and a real server, in either order of integration where there are two clients,
and prints a line of JSON per case: its id, what became of it in realm-core, and in which ways ours differs.
docs/reference/merge-differences.md says for each of these ways what survives, and why; with ``--page`` the command
compares that page with what it sees instead: every case must be named exactly once, under its main difference.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeAlias

from syncline.changesets.changeset import Changeset
from syncline.changesets.instructions import EraseColumn, Instruction, Update
from syncline.merge.resets import reset_of
from syncline.merge.transform import transform
from syncline.testing.vector_files import Kind as CaseKind
from syncline.testing.vector_files import NotRunnableError, VectorFileError, compare, kind_of, read_cases, read_fixtures
from syncline.testing.vector_histories import replaying
from syncline.testing.vector_merge import read_side
from syncline.testing.vector_states import Fixtures, both_states, is_default_null
from syncline.values.kinds import OBJECT

__all__ = ["Difference", "Trouble", "check_troubled_merge", "examine", "main", "named_on"]

Json: TypeAlias = Any


class Difference(Enum):
    """The ways in which ours differs from realm-core; where a case has several, the first is its main one."""

    NOT_RECORDED = "not-recorded"
    ERASED_EMBEDDED_PROPERTY = "erased-embedded-property"
    ERASED_PROPERTY = "erased-property"
    ERASED_CLASS = "erased-class"
    REPLACED_ENTRY = "replaced-entry"
    PLAIN_AGAINST_COLLECTION = "plain-against-collection"
    CLEARED_ELEMENT = "cleared-element"
    NESTED_MOVE = "nested-move"
    DEFAULT_NULL = "default-null"
    MOVED_COLLECTION = "moved-collection"


class Trouble(NamedTuple):
    """A case: its id, what became of it in realm-core, and the ways in which ours differs, the main one first."""

    name: str
    status: str
    differences: tuple[Difference, ...]


def check_troubled_merge(case: Mapping[str, Json], fixtures: Fixtures) -> None:
    """Our peers must converge, without a refusal, and for a known reason. Raises Mismatch and what the peers raise."""
    trouble = examine(case, fixtures)
    if not trouble.differences:
        raise NotRunnableError("nothing in the case tells why realm-core failed")


def examine(case: Mapping[str, Json], fixtures: Fixtures) -> Trouble:
    """Replay a case; all peers must end with the same state, in every order.

    Raises Mismatch where they do not, BadChangesetError where one refuses what another one sent.
    """
    name, status = str(case["id"]), str(case["status"])
    if kind_of(case) is CaseKind.CRASH_NOTE:
        return Trouble(name, status, (Difference.NOT_RECORDED,))
    if "left" in case:
        _check_recorded(case, fixtures)
    watch = _Watch()
    for history in _histories(case):
        with replaying(history, fixtures, watch) as replay:
            replay.run(leave_out_errors=True)
            replay.compare_states(None)
    found = watch.found | set(_seen_in_operations(case, fixtures))
    return Trouble(name, status, tuple(difference for difference in Difference if difference in found))


def _check_recorded(case: Mapping[str, Json], fixtures: Fixtures) -> None:
    """The changesets as realm-core recorded them, merged and applied in either order. Raises Mismatch."""
    sides = {side: read_side(case[side]) for side in ("left", "right")}
    with fixtures.file(case["fixture"]).snapshot() as snapshot, snapshot.lock:
        schema = snapshot.reader.catalogue
    transform(sides["left"], sides["right"], schema=schema)
    left, right = both_states(case, sides, fixtures)
    compare("state of the right client", left, right)


def _histories(case: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    """The case as a history; a merge of two sides as one for each order in which they may arrive at the server."""
    if "events" in case:
        yield case
        return
    events: list[Json] = []
    idents: dict[str, int] = {}
    for number, side in enumerate(("left", "right"), 2):
        changesets = case[side]
        idents[side] = changesets[0]["origin_file_ident"] if changesets else number
        for place, operations in enumerate(case[f"{side}_ops"]):
            timestamp = changesets[min(place, len(changesets) - 1)]["origin_timestamp"] if changesets else number
            events.append({"event": "commit", "client": side, "ts": timestamp, "ops": operations})
    for order in (("left", "right"), ("right", "left")):
        syncs = [{"event": "sync", "client": side} for side in order]
        yield {**case, "idents": idents, "events": events + syncs}


class _Watch:
    """Notes which of the rules that are not realm-core's decided something."""

    def __init__(self) -> None:
        self.found: set[Difference] = set()

    def rule_fired(
        self,
        rule: str,
        reason: str,
        left: Instruction,
        left_changeset: Changeset,
        right: Instruction,
        right_changeset: Changeset,
        effect: int,
    ) -> None:
        """See :class:`syncline.merge.MergeObserver`."""
        if not effect:
            return
        pair = rule.partition(" ")[2]
        if reset_of(left) is not None or reset_of(right) is not None:
            self.found.add(Difference.PLAIN_AGAINST_COLLECTION)
        elif pair.startswith("ArrayMove ⊃"):
            self.found.add(Difference.NESTED_MOVE)
        elif pair.startswith("EraseColumn × any"):
            self._in_erased_column(left, right)
        elif pair.startswith("EraseTable × value"):
            self.found.add(Difference.ERASED_CLASS)
        elif pair.startswith("Clear of an element"):
            self.found.add(Difference.CLEARED_ELEMENT)
        elif pair.startswith("Update ⊃") and isinstance(left, Update) and left.kind == OBJECT:
            self.found.add(Difference.REPLACED_ENTRY)

    def _in_erased_column(self, left: Instruction, right: Instruction) -> None:
        erase, change = (left, right) if isinstance(left, EraseColumn) else (right, left)
        if erase.table != change.table:
            self.found.add(Difference.ERASED_EMBEDDED_PROPERTY)
        elif not isinstance(change, Update):
            self.found.add(Difference.ERASED_PROPERTY)


def _seen_in_operations(case: Mapping[str, Json], fixtures: Fixtures) -> Iterator[Difference]:
    """What realm-core does wrong already when it executes the operations."""
    mixed = {
        name
        for info in fixtures.form(case["fixture"])["dump"]["schema"].values()
        for name, kind in info["props"].items()
        if kind.startswith("mixed")
    }
    for operation in _operations(case):
        if operation["op"] == "list_move" and not mixed.isdisjoint(map(str, operation["path"])):
            yield Difference.MOVED_COLLECTION
        elif operation["op"] == "erase_class" and case["status"] == "crash":
            yield Difference.ERASED_CLASS
        elif is_default_null(operation):
            yield Difference.DEFAULT_NULL


def _operations(case: Mapping[str, Json]) -> Iterable[Mapping[str, Json]]:
    if "events" in case:
        return [operation for event in case["events"] for operation in event.get("ops", ())]
    return [operation for side in ("left", "right") for part in case[f"{side}_ops"] for operation in part]


def named_on(page: str) -> dict[str, Difference]:
    """The cases that a page names, each with the difference under whose heading (``{ #difference }``) it stands.

    Raises VectorFileError for a case that is named twice.
    """
    named: dict[str, Difference] = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        anchor = re.search(r"\{ #([a-z-]+) \}", title)
        cases = re.search(r"^Cases \(\d+\):\n((?:`.*\n?)+)", body, flags=re.MULTILINE)
        if anchor is None or cases is None:
            continue
        for name in re.findall(r"`([^`]+)`", cases[1]):
            if name in named:
                raise VectorFileError(f"the page names case {name} twice")
            named[name] = Difference(anchor[1])
    return named


def main(arguments: Sequence[str] | None = None, out: TextIO | None = None) -> int:
    """The command; returns its exit status: 0, 1 if the page is wrong, 2 for a file that cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m syncline.testing.vector_trouble", description=__doc__.split("\n")[0]
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="cases with a status, plain or gzip")
    parser.add_argument("--fixtures", type=Path, help="the fixtures (default: fixtures.json beside the file)")
    parser.add_argument("--page", type=Path, help="compare with docs/reference/merge-differences.md")
    options = parser.parse_args(arguments)
    out = out if out is not None else sys.stdout
    try:
        forms = read_fixtures(options.fixtures or options.file.parent / "fixtures.json")
        with Fixtures(forms) as fixtures:
            troubles = (examine(case.fields, fixtures) for case in read_cases(options.file))
            if options.page is not None:
                return _compare_page(named_on(options.page.read_text(encoding="utf-8")), troubles, out)
            for trouble in troubles:
                names = [difference.value for difference in trouble.differences]
                out.write(json.dumps({"id": trouble.name, "status": trouble.status, "differences": names}) + "\n")
    except (VectorFileError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _compare_page(named: dict[str, Difference], troubles: Iterable[Trouble], out: TextIO) -> int:
    seen = 0
    wrong: list[str] = []
    for trouble in troubles:
        seen += 1
        main_one = trouble.differences[0].value if trouble.differences else "unknown"
        place = named.pop(trouble.name, None)
        if place is None or place.value != main_one:
            wrong.append(f"{trouble.name} belongs under {main_one}, not {place.value if place else 'nowhere'}")
    wrong += [f"{name} is named, but there is no such case" for name in named]
    out.write("".join(f"{line}\n" for line in wrong))
    out.write(f"{seen} cases, {len(wrong)} wrong on the page\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
