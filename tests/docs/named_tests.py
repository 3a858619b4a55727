"""Tables of documentation whose last column names tests: `` `file::test`, `file::test` ``, files relative to tests/."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["DOCS", "TESTS", "exists", "named"]

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"


def exists(test: str) -> bool:
    """Whether there is a function of that name in that file."""
    file, _, name = test.partition("::")
    path = TESTS / file
    return path.is_file() and re.search(rf"^(async )?def {name}\(", path.read_text(encoding="utf-8"), re.M) is not None


def named(cell: str) -> list[str]:
    """The tests in a cell."""
    return re.findall(r"`([^`]+)`", cell)
