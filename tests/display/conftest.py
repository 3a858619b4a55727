"""Windows that are really drawn, by ``make test-display``. Other runs leave these tests out: they need a display."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest

from syncline import Realm

EXAMPLES = Path(__file__).parents[2] / "examples"

if os.environ.get("SYNCLINE_TESTS") != "display":
    collect_ignore_glob = ["test_*.py"]

Example: TypeAlias = Callable[[str], ModuleType]
Elsewhere: TypeAlias = Callable[[Callable[[Realm], Any]], None]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Example:
    """A program of ``examples/`` as a module; its files are in the folder of the test."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.chdir(tmp_path)
        return module

    return load


def elsewhere(config: Any, write: Callable[[Realm], Any]) -> None:
    """Write on another thread, as any other program might."""

    def run() -> None:
        with Realm.open(config) as realm, realm.write():
            write(realm)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
