"""Builds the kernel with mypyc where a C compiler is present; installs pure Python where it is not.

``SYNCLINE_PURE=1`` skips the compilation. Everything else is in pyproject.toml.
"""

import os
import re
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
    "realm": "identity_map live_object objects",
    "storage": "apply backlinks buffers bulk catalogue changes collection_writer columns deletion evolution full_text "
    "layout links lists members places reader recording refs resetting row_shape rows schema tables transaction "
    "workspace",
}


def kernel_sources() -> list[str]:
    """The source files of COMPILED; never an ``__init__``, which only imports."""
    sources: list[Path] = []
    for package, modules in COMPILED.items():
        folder = Path("src/syncline", package)
        every = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
        sources += every if modules == "*" else [folder / f"{module}.py" for module in modules.split()]
    return [source.as_posix() for source in sources]


def count_references(source: Path) -> None:
    """Make what mypyc generated for the base of models count the references that objects have on their classes.

    Every object of a class made at run time holds a reference on the class, which the base's deallocator has to give
    back and its traversal to visit (CPython, "What's new" in 3.8 and 3.9); mypyc's do neither, so that no model class
    that had an object would ever be freed. tests/realm/test_objects.py notices if this does not fit any more.
    """
    text = source.read_text(encoding="utf-8")
    text = re.sub(
        r"(LiveObject_dealloc\(\w+ \*self\)\s*\{.*?)Py_TYPE\(self\)->tp_free\(\(PyObject \*\)self\);",
        r"\1PyTypeObject *type = Py_TYPE(self); type->tp_free((PyObject *)self); Py_DECREF(type);",
        text,
        count=1,
        flags=re.DOTALL,
    )
    text = re.sub(r"(LiveObject_traverse\([^)]*\)\s*\{)", r"\1 Py_VISIT(Py_TYPE(self));", text, count=1)
    source.write_text(text, encoding="utf-8")


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
    for source in {source for module in modules for source in module.sources}:
        count_references(Path(source))
    return modules


setup(ext_modules=extensions())
