"""``syncline doctor``: what this installation is made of, and what is wrong with it on this machine."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from syncline import compilation
from syncline.version import __version__

__all__ = ["Finding", "examine", "render"]

#: Distribution → the extra that needs it ("" = always needed).
REQUIREMENTS = {
    "apsw-sqlite3mc": "",
    "httpx": "",
    "lark": "",
    "websockets": "",
    "mypy-extensions": "",
    "argon2-cffi": "server",
    "joserfc": "server",
    "starlette": "server",
    "uvicorn": "server",
    "uvloop": "server",
    "wsproto": "server",
    "rich": "cli",
    "typer": "cli",
    "airportsdata": "demo",
}

#: Free space below which a warning is due, in bytes.
LOW_DISK_BYTES = 500 * 1024 * 1024


class Finding(NamedTuple):
    """One line of the report; ``problem`` says what to do, "" if all is well; ``fatal`` if Syncline cannot work so."""

    topic: str
    value: str
    problem: str = ""
    fatal: bool = False


def examine() -> list[Finding]:
    """Every check, in the order in which they are shown."""
    return [*_versions(), *_kernel(), *_storage(), *_places()]


def _versions() -> Iterator[Finding]:
    yield Finding("syncline", __version__)
    python = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    too_old = sys.version_info < (3, 11)
    yield Finding("python", python, "Python 3.11 or newer is needed" if too_old else "", too_old)
    yield Finding("platform", platform.platform(), "" if os.name == "posix" else "only Linux and macOS are supported")
    for name, extra in REQUIREMENTS.items():
        try:
            yield Finding(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            wanted = f"syncline[{extra}]" if extra else "syncline"
            purpose = f"needed by {wanted}" if extra else "needed always"
            yield Finding(name, "not installed", f"{purpose}: pip install '{wanted}'", fatal=not extra)


def _kernel() -> Iterator[Finding]:
    states = compilation.module_states()
    built = [state for state in states if state.compiled]
    forced = os.environ.get(compilation.PURE_VARIABLE) == "1"
    if compilation.is_compiled():
        value, problem = f"compiled ({len(built)} modules)", ""
    elif forced:
        value, problem = f"interpreted ({compilation.PURE_VARIABLE}=1)", ""
    else:
        compiler = shutil.which(os.environ.get("CC", "cc"))
        cure = "reinstall to compile it" if compiler else "install a C compiler, then reinstall, to make it faster"
        value, problem = "interpreted", f"correct, but slower: {cure}"
    yield Finding("kernel", value, problem)
    stale = [state.name for state in built if state.stale]
    if stale:
        yield Finding(
            "stale modules",
            ", ".join(stale),
            f"the compiled file is older than its source, and hides it: reinstall or set {compilation.PURE_VARIABLE}=1",
        )


def _storage() -> Iterator[Finding]:
    if importlib.util.find_spec("apsw") is None:
        return
    import apsw

    yield Finding("sqlite", apsw.sqlite_lib_version())
    encrypts = getattr(apsw, "mc_version", "")
    yield Finding(
        "encryption",
        str(encrypts or "missing"),
        "" if encrypts else "plain apsw shadows apsw-sqlite3mc: pip uninstall apsw, then reinstall apsw-sqlite3mc",
        fatal=not encrypts,
    )
    with tempfile.TemporaryDirectory() as folder:
        connection = apsw.Connection(str(Path(folder, "probe")))
        mode = connection.execute("PRAGMA journal_mode=WAL").get
        connection.close()
        yield Finding(
            "write-ahead log",
            str(mode),
            "" if mode == "wal" else f"the file system of {tempfile.gettempdir()} does not support it",
        )


def _places() -> Iterator[Finding]:
    yield Finding("package", str(Path(__file__).parent.parent))
    for topic, folder in (("working folder", Path.cwd()), ("temporary folder", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        problems = []
        if not os.access(folder, os.W_OK):
            problems.append("not writable")
        if free < LOW_DISK_BYTES:
            problems.append("little space left")
        yield Finding(topic, f"{folder} ({free // (1024 * 1024)} MiB free)", ", ".join(problems))


def render(findings: list[Finding], *, as_json: bool = False) -> str:
    """The report as aligned lines, or as JSON."""
    if as_json:
        return json.dumps([finding._asdict() for finding in findings], indent=2)
    width = max(len(finding.topic) for finding in findings)
    lines = []
    for finding in findings:
        mark = "✗" if finding.fatal else "!" if finding.problem else "✓"
        lines.append(f"{mark} {finding.topic:<{width}}  {finding.value}")
        if finding.problem:
            lines.append(f"  {'':<{width}}  → {finding.problem}")
    problems = sum(bool(finding.problem) for finding in findings)
    lines.append("nothing is wrong" if not problems else f"{problems} thing(s) to look at")
    return "\n".join(lines)
