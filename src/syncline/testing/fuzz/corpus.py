"""Inputs that are kept, one file each; the name of the file tells what it is about ("index-2e32")."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from syncline.testing.fuzz import parser
from syncline.testing.fuzz.apply import Stage
from syncline.testing.fuzz.outcome import Outcome

__all__ = ["TARGETS", "Target", "load", "open_target"]

#: What is fuzzed.
TARGETS: Final = ("parser", "apply")
Target: TypeAlias = "Callable[[bytes], Outcome]"


def load(folder: Path) -> dict[str, bytes]:
    """All inputs of a folder by name. Raises OSError."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def open_target(name: str) -> Target:
    """The check of a target. Raises ValueError for a name that is none."""
    if name == "parser":
        return parser.check
    if name == "apply":
        return Stage().check
    raise ValueError(f"there is no target {name!r}, only {' and '.join(TARGETS)}")
