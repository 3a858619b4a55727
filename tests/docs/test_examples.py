"""Every program in ``examples/`` runs, with warnings as errors."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

EXPECTED = {
    "dogs.py": "puppies changed: 1 new, 1 gone",
    "shared_tasks.py": "equal: True",
    "follow.py": "reading 4: 22.0 °C",
    "tk_list.py": "the list shows: read, write",
    "qt_list.py": "the list shows: read, sync, write",
}

#: Those that wait for somebody at the keyboard, and the test that is one.
TESTED_BY = {"todo.py": "test_todo.py"}

#: Windows are not drawn: there may be no display.
ARGUMENTS = {"tk_list.py": ["--check"], "qt_list.py": ["--check"]}
HAS_QT = find_spec("PySide6") is not None
RUNNABLE = [name for name in EXPECTED if name != "qt_list.py" or HAS_QT]


def test_every_example_is_listed_and_tested() -> None:
    programs = {path.name for path in EXAMPLES.glob("*.py")}
    listed = {name for name in programs if f"`{name}`" in (EXAMPLES / "README.md").read_text(encoding="utf-8")}
    assert programs == listed == {*EXPECTED, *TESTED_BY}
    assert all((Path(__file__).parent / test).exists() for test in TESTED_BY.values())


@pytest.mark.parametrize("name", RUNNABLE)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *ARGUMENTS.get(name, [])],
        cwd=tmp_path, env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert EXPECTED[name] in result.stdout
    assert "Exception ignored" not in result.stderr, result.stderr
