"""docs/reference/session-checklist.md has every line of the checklist of spec/sessions.md §21, and every test it names
exists.

A row is ``| line of the specification, letter for letter | `file::test`, `file::test` |``, files relative to tests/.
"""

from __future__ import annotations

import re

import pytest
from tests.docs.named_tests import DOCS, exists, named

PAGE = DOCS / "reference" / "session-checklist.md"
SPEC = DOCS / "spec" / "sessions.md"

SECTIONS = [f"21.{number}" for number in range(1, 9)]
ROW = re.compile(r"^\| (.+) \| (`[^|]+`) \|$", re.MULTILINE)


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    found = re.search(rf"^##+ {re.escape(heading)}[. ].*\n((?:(?!##).*\n)*)", text, re.MULTILINE)
    assert found, heading
    return found[1]


def rows(number: str) -> list[tuple[str, list[str]]]:
    """The lines of a section of the page and the tests that each names."""
    found = ROW.findall(section(PAGE.read_text(encoding="utf-8"), number))
    return [(line, named(tests)) for line, tests in found]


@pytest.mark.parametrize("number", SECTIONS)
def test_every_line_of_the_specification_is_there(number: str) -> None:
    lines = re.findall(r"^- \[ \] (.+)$", section(SPEC.read_text(encoding="utf-8"), number), re.MULTILINE)
    assert lines
    assert [line for line, _ in rows(number)] == lines


@pytest.mark.parametrize("number", SECTIONS)
def test_every_line_names_tests_that_exist(number: str) -> None:
    for line, tests in rows(number):
        assert tests, line
        assert [test for test in tests if not exists(test)] == [], line


def test_every_section_is_spoken_of() -> None:
    """Those of 3 to 11 and 13 to 18, by tests that exist; 6.1 is how the first SDKs did it."""
    headings = re.findall(r"^### (?:[3-9]|1[01345678])\.\d+", SPEC.read_text(encoding="utf-8"), re.MULTILINE)
    spoken = re.findall(r"^\| ([\d.]+) \| .+? \| (`.+`) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {number for number, _ in spoken} == {heading.removeprefix("### ") for heading in headings} - {"6.1"}
    spoken_of = {test for _, tests in spoken for test in named(tests)}
    assert sorted(test for test in spoken_of if not exists(test)) == []
