"""Cases on which realm-core fails: ours converge, and docs/reference/merge-differences.md names each exactly once.

The whole file is replayed by ``make vectors``; here every eighth case.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from syncline.testing.vector_files import Mismatch, NotRunnableError, VectorFileError, read_cases, read_fixtures
from syncline.testing.vector_states import Fixtures
from syncline.testing.vector_trouble import Difference, check_troubled_merge, examine, main, named_on

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors"
TROUBLE = VECTORS / "merges_trouble.jsonl.gz"
PAGE = ROOT / "docs" / "reference" / "merge-differences.md"
EVERY = 8


def test_the_page_names_each_case_exactly_once() -> None:
    named = named_on(PAGE.read_text(encoding="utf-8"))
    assert sorted(named) == sorted(case.name for case in read_cases(TROUBLE))
    assert set(named.values()) == set(Difference)


@pytest.mark.parametrize("part", range(2))
def test_our_peers_converge_and_the_page_says_why(part: int) -> None:
    named = named_on(PAGE.read_text(encoding="utf-8"))
    with Fixtures(read_fixtures(VECTORS / "fixtures.json")) as fixtures:
        for case in read_cases(TROUBLE, part * EVERY, 2 * EVERY):
            trouble = examine(case.fields, fixtures)
            assert trouble.differences[0] is named[case.name], case.name


@pytest.mark.parametrize(
    "name", ["td-24", "td-465", "td-497", "td-704", "tl-120", "p-EraseColumn-CreateObject-different-3"]
)
def test_the_hardest_ones(name: str) -> None:
    case = next(case for case in read_cases(TROUBLE) if case.name == name)
    with Fixtures(read_fixtures(VECTORS / "fixtures.json")) as fixtures:
        check_troubled_merge(case.fields, fixtures)


def test_a_case_without_a_known_reason_does_not_pass() -> None:
    case = next(case for case in read_cases(VECTORS / "merges_long.jsonl.gz")).fields
    with Fixtures(read_fixtures(VECTORS / "fixtures.json")) as fixtures, pytest.raises((NotRunnableError, Mismatch)):
        check_troubled_merge({**case, "status": "diverged", "events": case["events"][:1]}, fixtures)


def test_the_command_prints_and_compares(tmp_path: Path) -> None:
    cases = [case.fields for case in read_cases(TROUBLE) if case.name in ("td-465", "p-UpdateDefault-ClearSet-same-3")]
    some = tmp_path / "some.jsonl"
    some.write_text("".join(json.dumps(case) + "\n" for case in cases))
    arguments = [str(some), "--fixtures", str(VECTORS / "fixtures.json")]
    out = io.StringIO()
    assert main(arguments, out) == 0
    assert [json.loads(line)["differences"] for line in out.getvalue().splitlines()] == [
        ["not-recorded"],
        ["default-null"],
    ]
    page = tmp_path / "page.md"
    page.write_text("## A { #not-recorded }\n\nCases (1):\n`td-465`\n`gone`\n\n## B\n\n`td-465`\n")
    out = io.StringIO()
    assert main([*arguments, "--page", str(page)], out) == 1
    assert out.getvalue().splitlines() == [
        "p-UpdateDefault-ClearSet-same-3 belongs under default-null, not nowhere",
        "gone is named, but there is no such case",
        "2 cases, 2 wrong on the page",
    ]
    page.write_text("## A { #not-recorded }\n\nCases (1):\n`td-465` `td-465`\n")
    with pytest.raises(VectorFileError, match="twice"):
        named_on(page.read_text())
    assert main([*arguments, "--page", str(tmp_path / "none.md")], out) == 2
