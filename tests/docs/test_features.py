"""docs/reference/features.md has every row of the table of spec/sdk.md §14, and every test it names exists."""

from __future__ import annotations

import re

from tests.docs.named_tests import DOCS, TESTS, exists, named

SPEC = (DOCS / "spec" / "sdk.md").read_text(encoding="utf-8")
PAGE = (DOCS / "reference" / "features.md").read_text(encoding="utf-8")


def test_every_row_of_the_specification_is_there() -> None:
    table = SPEC[SPEC.index("## 14. Features") : SPEC.index("## 15. Traps")]
    wanted = re.findall(r"^\| (\d+) \| ([^|]+?) \|.*\| ([^|]+?) \|$", table, re.MULTILINE)
    assert len(wanted) == 73
    assert re.findall(r"^\| (\d+) \| ([^|]+?) \| ([^|]+?) \| [^|]+ \|$", PAGE, re.MULTILINE) == wanted


def test_every_test_exists() -> None:
    cells = re.findall(r"\| (`[^|]+`) \|$", PAGE, re.MULTILINE)
    assert len(cells) == 73
    tests = [test for cell in cells for test in named(cell)]
    assert [test for test in tests if not (exists(test) if "::" in test else (TESTS / test).is_file())] == []
