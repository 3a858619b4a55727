"""Merges recorded from realm-core (tests/vectors): both sides, every byte, with either side as ours."""

from __future__ import annotations

from pathlib import Path

from syncline.errors import TransformError
from syncline.testing.vector_files import read_cases
from syncline.testing.vector_merge import check_merge_rule, check_transformed, transformed

_VECTORS = Path(__file__).parents[1] / "vectors"


def test_merges() -> None:
    seen = 0
    for case in read_cases(_VECTORS / "merges.jsonl.gz"):
        check_transformed(case.fields)
        seen += 1
    assert seen == 4435


def test_single_instructions() -> None:
    seen = 0
    for case in read_cases(_VECTORS / "merge_errors.jsonl"):
        check_merge_rule(case.fields)
        seen += 1
    assert seen == 274


def test_merges_on_which_realm_core_fails() -> None:
    """Ours either merges or says what contradicts what; and the same, whichever side is ours."""
    for case in read_cases(_VECTORS / "merges_trouble.jsonl.gz"):
        if "left" in case.fields:
            outcomes = [_outcome(case.fields, ours) for ours in ("left", "right")]
            assert outcomes[0] == outcomes[1], case.name


def _outcome(fields: dict[str, object], ours: str) -> object:
    try:
        sides = transformed(fields, ours)
    except TransformError:
        return "error"
    return {side: [[repr(i) for i in changeset.instructions] for changeset in part] for side, part in sides.items()}
