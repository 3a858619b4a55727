"""A wall clock that can be set while a process runs, from outside of it.

The machine's own clock cannot be touched, so every process of a soak reads the time through this module: ``time.time``
and ``time.time_ns`` are replaced before anything of the product is imported, by the real time plus an offset that lives
in a file both sides map. Monotonic time is left alone, as a machine's is when its clock is set.
"""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path
from typing import Final

__all__ = ["Clock", "follow", "install"]

_OFFSET: Final = struct.Struct("<q")
_SECOND_NS: Final = 1_000_000_000

_real_time_ns = time.time_ns
_mapped: memoryview | mmap.mmap = memoryview(bytes(_OFFSET.size))


def install() -> None:
    """Replace the wall clock of this process; until :func:`follow` it shows the real time."""
    time.time_ns = _time_ns
    time.time = _time


def follow(path: Path) -> None:
    """Show the time that the :class:`Clock` at ``path`` says, from now on."""
    global _mapped
    with path.open("rb") as file:
        _mapped = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)


def _time_ns() -> int:
    return _real_time_ns() + int(_OFFSET.unpack_from(_mapped)[0])


def _time() -> float:
    return _time_ns() / _SECOND_NS


class Clock:
    """The offset of somebody's clock, in a file."""

    def __init__(self, path: Path) -> None:
        """Make the file; the clock is right."""
        self.path = path
        path.write_bytes(bytes(_OFFSET.size))

    @property
    def offset(self) -> float:
        """By how many seconds the clock is fast."""
        return float(_OFFSET.unpack(self.path.read_bytes())[0]) / _SECOND_NS

    def set(self, offset: float) -> None:
        """Set it, at once, for everybody who follows it."""
        with self.path.open("r+b") as file, mmap.mmap(file.fileno(), _OFFSET.size) as mapped:
            _OFFSET.pack_into(mapped, 0, int(offset * _SECOND_NS))
