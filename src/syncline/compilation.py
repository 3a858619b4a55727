"""Are the compiled modules in use, and if not, which? Asked and answered here only.

The kernel is ordinary Python that mypyc compiles where a C compiler was present at installation (``setup.py``). A
compiled module stands beside its source and wins at import. ``SYNCLINE_PURE=1`` makes this process use the sources.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

__all__ = ["PURE_VARIABLE", "ModuleState", "is_compiled", "module_states", "prefer_sources_if_asked"]

#: Environment variable: "1" forces the interpreted modules, at installation and at run time.
PURE_VARIABLE = "SYNCLINE_PURE"

#: The files of one installation are written within so many seconds, in any order.
INSTALLATION_S = 60.0


class ModuleState(NamedTuple):
    """One module of the kernel on disk: ``compiled`` extension or None, and whether it is older than its source."""

    name: str
    source: Path
    compiled: Path | None
    stale: bool


class _SourceFinder:
    """Finds the modules of this package by their sources, never by a compiled file beside them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("syncline.") or path is None:
            return None
        for entry in path:
            finder = importlib.machinery.FileFinder(entry, (SourceFileLoader, SOURCE_SUFFIXES))
            spec = finder.find_spec(fullname)
            if spec is not None:
                return spec
        return None


def prefer_sources_if_asked() -> None:
    """Install the source finder if ``SYNCLINE_PURE=1``. Called once, before any other module of ours is imported."""
    if os.environ.get(PURE_VARIABLE) == "1" and not any(isinstance(f, _SourceFinder) for f in sys.meta_path):
        sys.meta_path.insert(0, _SourceFinder())


def is_compiled() -> bool:
    """True if this process runs the compiled codec and merge."""
    from syncline.changesets import instructions

    return not str(instructions.__file__).endswith(".py")


def module_states() -> list[ModuleState]:
    """Every module of the installation, with the compiled file beside it, if any."""
    root = Path(__file__).parent
    states = []
    for source in sorted(root.rglob("*.py")):
        compiled = next(
            (c for suffix in EXTENSION_SUFFIXES if (c := source.with_name(source.stem + suffix)).exists()), None
        )
        stale = compiled is not None and compiled.stat().st_mtime + INSTALLATION_S < source.stat().st_mtime
        name = ".".join(["syncline", *source.relative_to(root).with_suffix("").parts])
        states.append(ModuleState(name.removesuffix(".__init__"), source, compiled, stale))
    return states
