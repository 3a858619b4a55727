"""The worked examples of spec/merge.md §12, explained: the text that ``explanations.txt`` holds.

After a change of wording: ``python -m tests.merge.explanations > tests/merge/explanations.txt``; read the difference.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.merge.notation import side
from tests.merge.test_examples import _EXAMPLES, _SCHEMA

from syncline.changesets.changeset import Changeset
from syncline.errors import TransformError
from syncline.merge.explain import Explanation, explain

#: The times of the examples begin here: 2026-11-26T00:00:00Z in milliseconds since 2015.
_START = 375_580_800_000


def examples() -> Iterator[tuple[str, list[Changeset], list[Changeset]]]:
    """Name and both sides of every example for two clients that merges."""
    for example in _EXAMPLES:
        yield example.name, side(example.ours, 2), side(example.theirs, 3)
    for name, (ours, theirs, result, _) in _SCHEMA.items():
        if result is not None:
            yield name, side(f"@1 {ours}", 2), side(f"@2 {theirs}", 3)


def explained(ours: list[Changeset], theirs: list[Changeset]) -> list[Explanation]:
    """Everything that is decided about the classes of the examples, shifts included."""
    for changeset in ours + theirs:
        changeset.origin_timestamp += _START
    tables = sorted({i.table for changeset in ours + theirs for i in changeset.instructions})
    found: dict[str, Explanation] = {}
    for table in tables:
        for explanation in explain(ours, theirs, table, shifts=True):
            found.setdefault(str(explanation), explanation)
    return list(found.values())


def snapshot() -> str:
    """All explanations of all examples."""
    lines = []
    for name, ours, theirs in examples():
        try:
            texts = [str(explanation) for explanation in explained(ours, theirs)]
        except TransformError as error:
            texts = [f"error: {error}"]
        lines += [f"{name}:", *(f"  {text}" for text in texts), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(snapshot())
