"""Processes that start quickly: forked from one that has imported everything, and runs no threads.

A soak starts hundreds of processes; importing the product each time would take most of its time.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from syncline.testing.soak import clock

__all__ = ["descriptors", "ended", "peak_memory", "pipe", "preload", "start"]

_PRELOADED: Final = (
    "httpx",
    "syncline.server.serve",
    "syncline.realm.realm",
    "syncline.sync.manager",
    "syncline.sync.auth",
    "syncline.sync.backend",
    "syncline.testing.soak.client",
    "syncline.testing.soak.server",
)

_context = multiprocessing.get_context("forkserver")


def preload() -> None:
    """Import what the processes need; the clock first, since modules keep the functions they find."""
    clock.install()
    for name in _PRELOADED:
        importlib.import_module(name)


def start(run: Callable[..., None], name: str, *arguments: Any) -> BaseProcess:
    """A process that runs ``run(*arguments)``."""
    _context.set_forkserver_preload(["syncline.testing.soak.preloaded"])
    process = _context.Process(target=run, args=arguments, name=name, daemon=True)
    process.start()
    return process


def pipe() -> tuple[Connection, Connection]:
    """Two ends of a pipe: one for here, one to hand to a process."""
    return _context.Pipe()


def ended(process: BaseProcess, patience_s: float) -> int | None:
    """The exit status once it has ended (minus the signal's number if one ended it); None if it does not end."""
    process.join(patience_s)
    return process.exitcode


def descriptors(process: int | str = "self") -> dict[str, str]:
    """The open descriptors of a process, and what each is; empty where the system does not tell."""
    folder = f"/proc/{process}/fd"
    found: dict[str, str] = {}
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        try:
            found[name] = os.readlink(f"{folder}/{name}")
        except OSError:  # it was closed meanwhile
            continue
    return found


def peak_memory(process: int | str = "self") -> int:
    """The most memory a process has used, in bytes; 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
