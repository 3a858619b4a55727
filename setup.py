"""Builds the kernel with mypyc where a C compiler is present; installs pure Python where it is not.

``SYNCLINE_PURE=1`` skips the compilation. Everything else is in pyproject.toml.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

#: The kernel: strictly typed modules that are compiled (docs/explanation/architecture.md). Packages are taken whole.
COMPILED = [
    "changesets",
    "merge",
]


def kernel_sources() -> list[str]:
    """The source files of COMPILED, packages in full but for their ``__init__`` (compiling it would gain nothing)."""
    root = Path("src/syncline")
    sources: list[Path] = []
    for name in COMPILED:
        path = root / name
        sources += [path] if path.suffix == ".py" else sorted(p for p in path.glob("*.py") if p.name != "__init__.py")
    return [source.as_posix() for source in sources]


def extensions() -> list[Extension]:
    """One optional extension: a failing C compiler leaves a working pure installation, with a warning."""
    if os.environ.get("SYNCLINE_PURE") == "1":
        return []
    from mypyc.build import mypycify

    # silent: only errors in the kernel itself may stop its compilation
    sources = ["--follow-imports=silent", *kernel_sources()]
    modules: list[Extension] = mypycify(sources, opt_level="3", debug_level="0")
    for module in modules:
        module.optional = True
    return modules


setup(ext_modules=extensions())
