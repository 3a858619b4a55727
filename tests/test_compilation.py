"""The suite runs both ways: each run uses the modules that it means to use, and both give the same.

``make test-pure`` and ``make test-compiled`` say in ``SYNCLINE_TESTS`` what they mean to use. A run by hand may use
either, but not some modules of one kind and some of the other.
"""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from tests.digest import SEEDS, digest_of_histories, history

from syncline.compilation import PURE_VARIABLE, is_compiled

ROOT = Path(__file__).parents[1]


def kernel() -> list[str]:
    """The modules that ``setup.py`` compiles."""
    for statement in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "COMPILED":
            packages: dict[str, str] = ast.literal_eval(statement.value)
    names = []
    for package, modules in packages.items():
        every = [path.stem for path in (ROOT / "src" / "syncline" / package).glob("*.py") if path.stem != "__init__"]
        names += [f"syncline.{package}.{name}" for name in (every if modules == "*" else modules.split())]
    return sorted(names)


def is_extension(name: str) -> bool:
    file = importlib.import_module(name).__file__
    return file is not None and file.endswith(tuple(EXTENSION_SUFFIXES))


def test_the_kernel_has_modules() -> None:
    assert {"syncline.changesets.decoder", "syncline.merge.driver", "syncline.storage.apply"} <= set(kernel())


@pytest.mark.parametrize("name", kernel())
def test_a_module_of_the_kernel_is_of_the_kind_that_is_tested(name: str) -> None:
    """Fails where a module could not be compiled, is missing, or ``SYNCLINE_PURE`` leaked into a compiled run."""
    meant = os.environ.get("SYNCLINE_TESTS", "compiled" if is_compiled() else "interpreted")
    assert meant in ("compiled", "interpreted")
    assert is_extension(name) == (meant == "compiled")
    if meant == "compiled":
        assert os.environ.get(PURE_VARIABLE) != "1"


def test_random_histories_are_the_same_compiled_and_interpreted() -> None:
    """Recording, codec, merge on both sides, applying; the sources answer for themselves in a process of their own."""
    assert _other_digest() == f"False {digest_of_histories()}"


def test_the_histories_are_worth_comparing() -> None:
    facts = [len(history(seed)) for seed in list(SEEDS)[:5]]
    assert max(facts) > 12


def _other_digest() -> str:
    result = subprocess.run(
        [sys.executable, "-m", "tests.digest"],
        cwd=ROOT,
        env={**os.environ, PURE_VARIABLE: "1"},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return result.stdout
