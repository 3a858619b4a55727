"""docs/reference/features.md has every row of the table of spec/sdk.md §14, and every test it names exists."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
SPEC = (DOCS / "spec" / "sdk.md").read_text(encoding="utf-8")
PAGE = (DOCS / "reference" / "features.md").read_text(encoding="utf-8")


def test_every_row_of_the_specification_is_there() -> None:
    table = SPEC[SPEC.index("## 14. Features") : SPEC.index("## 15. Traps")]
    wanted = re.findall(r"^\| (\d+) \| ([^|]+?) \|.*\| ([^|]+?) \|$", table, re.MULTILINE)
    assert len(wanted) == 73
    assert re.findall(r"^\| (\d+) \| ([^|]+?) \| ([^|]+?) \| [^|]+ \|$", PAGE, re.MULTILINE) == wanted


def test_every_test_exists() -> None:
    named = re.findall(r"\| `([^`]+)` \|$", PAGE, re.MULTILINE)
    assert len(named) > 60
    for test in named:
        file, _, name = test.partition("::")
        text = (TESTS / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), test
