"""A turn for other threads in the middle of long calls into the kernel.

Must not be compiled: it is the interpreter that looks, whenever it begins to run a function, whether another thread
has waited for it long enough (5 ms, :func:`sys.getswitchinterval`). Compiled code never looks by itself, so that one
long call would hold up everybody: an event loop, its heartbeats.
"""

from __future__ import annotations

__all__ = ["let_others_run"]


def let_others_run() -> None:
    """Let another thread have the interpreter if one has waited for it; otherwise this costs some 50 ns."""
