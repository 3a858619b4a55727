"""docs/reference/sdk-checklist.md has every line of the checklist of spec/sdk.md §16, and every test it names exists.

A row is ``| line of the specification, letter for letter | `file::test`, `file::test` |``, files relative to tests/.
"""

from __future__ import annotations

import re

import pytest
from tests.docs.named_tests import DOCS, exists, named

PAGE = (DOCS / "reference" / "sdk-checklist.md").read_text(encoding="utf-8")
SPEC = (DOCS / "spec" / "sdk.md").read_text(encoding="utf-8").partition("\n## 16. Checklist\n")[2]

SECTIONS = ["Schema and life cycle", "Transactions and threads", "CRUD", "Queries", "Notifications"]


def rows(heading: str) -> list[tuple[str, str]]:
    """The lines of a section of the page, and the cell with the tests of each."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (.+) \| ([^|]+) \|$", section, re.MULTILINE)[1:]  # without the heading of the table


def test_sections() -> None:
    assert re.findall(r"^([A-Z].*)\n- \[ \]", SPEC, re.MULTILINE) == SECTIONS


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_line_of_the_specification_is_there(heading: str) -> None:
    found = re.search(rf"^{heading}\n((?:- \[ \] .+\n?)+)", SPEC, re.MULTILINE)
    assert found
    lines = re.findall(r"^- \[ \] (.+)$", found[1], re.MULTILINE)
    assert [line for line, _ in rows(heading)] == lines


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_line_names_tests_that_exist(heading: str) -> None:
    for line, cell in rows(heading):
        assert named(cell), line
        assert [test for test in named(cell) if not exists(test)] == [], line
