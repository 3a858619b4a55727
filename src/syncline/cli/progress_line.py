"""Progress on the screen: a live bar on a terminal, plain lines everywhere else."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

__all__ = ["ProgressLine"]

#: Without a terminal a line is printed each time this many percent were passed.
STEP_PERCENT = 20


class ProgressLine:
    """A titled progress bar over bytes, used as a context manager::

    with ProgressLine("upload") as line:
        line.update(transferred, transferrable)
    """

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._title = title
        self._console = console or Console(file=sys.stdout)
        self._last_step = -1
        self._task: TaskID | None = None
        self._bar: Progress | None = None
        if self._console.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
            self._bar = Progress(*columns, TimeElapsedColumn(), console=self._console)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, transferred: int, transferrable: int) -> None:
        """Show that ``transferred`` of ``transferrable`` bytes have arrived."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=transferred, total=transferrable or None)
            return
        percent = 100 * transferred // transferrable if transferrable else 0
        if percent // STEP_PERCENT != self._last_step:
            self._last_step = percent // STEP_PERCENT
            self._console.print(
                f"{self._title}: {percent:3} %  {transferred:,} of {transferrable:,} bytes", highlight=False
            )
