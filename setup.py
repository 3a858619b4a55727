"""Builds the kernel with mypyc where a C compiler is present; installs pure Python where it is not.

``SYNCLINE_PURE=1`` skips the compilation. Everything else is in pyproject.toml.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

#: The kernel: strictly typed modules that are compiled (docs/explanation/architecture.md): package → its modules, or
#: "*" for all of them. What opens files, waits and locks stays interpreted: compiling it gains nothing.
COMPILED = {
    "changesets": "*",
    "merge": "*",
    "protocol": "head bodies from_client from_server checks turns server_outbox client_session server_session "
    "client server",
    "storage": "apply backlinks buffers bulk catalogue changes collection_writer columns deletion evolution full_text "
    "layout links lists members places reader recording refs resetting rows schema tables transaction workspace",
}


def kernel_sources() -> list[str]:
    """The source files of COMPILED; never an ``__init__``, which only imports."""
    sources: list[Path] = []
    for package, modules in COMPILED.items():
        folder = Path("src/syncline", package)
        every = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
        sources += every if modules == "*" else [folder / f"{module}.py" for module in modules.split()]
    return [source.as_posix() for source in sources]


def extensions() -> list[Extension]:
    """One optional extension: a failing C compiler leaves a working pure installation, with a warning."""
    if os.environ.get("SYNCLINE_PURE") == "1":
        return []
    from mypyc.build import mypycify

    # pyproject.toml names a plugin of mypy that is in the package itself, which is not installed yet
    sys.path.insert(0, str(Path("src").resolve()))
    # silent: only errors in the kernel itself may stop its compilation
    sources = ["--follow-imports=silent", *kernel_sources()]
    modules: list[Extension] = mypycify(sources, opt_level="3", debug_level="0")
    for module in modules:
        module.optional = True
    return modules


setup(ext_modules=extensions())
