"""Every program in ``examples/`` runs, with warnings as errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

EXPECTED = {
    "dogs.py": "puppies changed: 1 new, 1 gone",
    "shared_tasks.py": "equal: True",
    "follow.py": "reading 4: 22.0 °C",
}

#: Those that wait for somebody at the keyboard or live in a kernel, and the test that is one.
TESTED_BY = {
    "todo.py": "docs/test_todo.py",
    "explore.ipynb": "docs/test_notebook.py",
    "tk_list.py": "display/test_tk_list.py",
    "qt_list.py": "display/test_qt_list.py",
}


def test_every_example_is_listed_and_tested() -> None:
    programs = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    listed = {name for name in programs if f"`{name}`" in (EXAMPLES / "README.md").read_text(encoding="utf-8")}
    assert programs == listed == {*EXPECTED, *TESTED_BY}
    assert all((Path(__file__).parents[1] / test).exists() for test in TESTED_BY.values())


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert EXPECTED[name] in result.stdout
    assert "Exception ignored" not in result.stderr, result.stderr
