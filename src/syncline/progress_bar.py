"""Progress on a screen: a bar drawn by ``rich`` or ``tqdm``, or by a notebook; plain lines where there is no screen.

What is drawn never says more than the reports do: the bar of a session begins at what had been transferred when it was
opened, so it shows the work that lies ahead, and percent are rounded down, so 100 % means that nothing is left. Neither
library is needed to sync or to import; they are imported when a bar is wanted.
"""

from __future__ import annotations

import importlib
import sys
import threading
from html import escape
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TextIO

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "LinesDisplay",
    "NotebookDisplay",
    "ProgressBar",
    "ProgressDisplay",
    "RichDisplay",
    "TqdmDisplay",
    "percent_done",
]

LIBRARIES: Final = ("rich", "tqdm")
"""What can draw a bar, the preferred one first."""

STEP_PERCENT: Final = 20
"""Without a terminal a line is written each time this many percent were passed."""

BYTES: Final = "bytes"
"""The unit that is shown with prefixes, and as a speed; all others are counted."""

_TQDM_FORMAT: Final = "{desc}: {postfix[0]:3} %|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]"


def percent_done(transferred: int, total: int) -> int:
    """Whole percent, rounded down: 100 only if nothing is left, also of nothing."""
    return 100 if transferred >= total else max(0, 100 * transferred // total)


class ProgressDisplay(Protocol):
    """Something that shows how much of a total was transferred."""

    def show(self, transferred: int, total: int | None) -> None:
        """``transferred`` of ``total`` (None: nobody knows) are done; called by one thread at a time."""

    def note(self, text: str) -> None:
        """Show a remark beside the title; empty: none."""

    def close(self) -> None:
        """Leave what was shown last, and free the screen."""


class RichDisplay:
    """A bar on a terminal, drawn by ``rich``."""

    def __init__(self, title: str, console: Console, unit: str = BYTES) -> None:
        from rich import progress

        amounts: list[progress.ProgressColumn] = (
            [progress.DownloadColumn(), progress.TransferSpeedColumn()]
            if unit == BYTES
            else [progress.TextColumn("{task.fields[amount]}")]
        )
        self._unit = unit
        self._progress = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[percent]}", justify="right"),
            *amounts,
            progress.TimeElapsedColumn(),
            console=console,
        )
        self._progress.start()
        self._title = title
        self._task = self._progress.add_task(title, total=None, percent="", amount="")

    def show(self, transferred: int, total: int | None) -> None:
        """See :class:`ProgressDisplay`."""
        percent = "" if total is None else f"{percent_done(transferred, total)} %"
        amount = _amount(transferred, total, self._unit)
        self._progress.update(self._task, completed=transferred, total=total, percent=percent, amount=amount)

    def note(self, text: str) -> None:
        """See :class:`ProgressDisplay`."""
        self._progress.update(self._task, description=_titled(self._title, text))

    def close(self) -> None:
        """See :class:`ProgressDisplay`."""
        self._progress.stop()


class TqdmDisplay:
    """A bar drawn by ``tqdm``."""

    def __init__(self, title: str, file: TextIO, unit: str = BYTES) -> None:
        tqdm: Any = importlib.import_module("tqdm").tqdm
        self._title = title
        self._percent: list[int | str] = [""]
        self._bar = tqdm(
            desc=title, file=file, unit="B" if unit == BYTES else f" {unit}", unit_scale=unit == BYTES,
            bar_format=_TQDM_FORMAT, postfix=self._percent,
        )  # fmt: skip

    def show(self, transferred: int, total: int | None) -> None:
        """See :class:`ProgressDisplay`."""
        self._percent[0] = "?" if total is None else percent_done(transferred, total)
        self._bar.total = total
        self._bar.n = transferred
        self._bar.refresh()

    def note(self, text: str) -> None:
        """See :class:`ProgressDisplay`."""
        self._bar.set_description(_titled(self._title, text))

    def close(self) -> None:
        """See :class:`ProgressDisplay`."""
        self._bar.close()


class NotebookDisplay:
    """A bar below a cell of a notebook, which needs no library: redrawn when another percent is done."""

    def __init__(self, title: str, unit: str = BYTES) -> None:
        self._display: Any = importlib.import_module("IPython.display").display
        self._title = title
        self._unit = unit
        self._note = ""
        self._handle: Any = None
        self._shown: tuple[int, int | None] | None = None

    def show(self, transferred: int, total: int | None) -> None:
        """See :class:`ProgressDisplay`."""
        percent = None if total is None else percent_done(transferred, total)
        if self._shown is None or percent is None or (percent, total) != self._shown:
            self._shown = (transferred if percent is None else percent, total)
            self._draw(transferred, total, percent)

    def _draw(self, transferred: int, total: int | None, percent: int | None) -> None:
        text = f"{'' if percent is None else f'{percent} %  '}{_amount(transferred, total, self._unit)}"
        title = _titled(self._title, self._note)
        value = "" if percent is None else f' value="{percent}" max="100"'
        bundle = {
            "text/plain": f"{title}: {text}",
            "text/html": f"{escape(title)} <progress{value}></progress> {text}",
        }
        if self._handle is None:
            self._handle = self._display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def note(self, text: str) -> None:
        """See :class:`ProgressDisplay`; shown with the next report."""
        self._note, self._shown = text, None

    def close(self) -> None:
        """See :class:`ProgressDisplay`."""


class LinesDisplay:
    """Plain lines, each time the percentage has passed a step, or of an unknown total twice as much is done: for logs
    and pipes."""

    def __init__(self, title: str, file: TextIO, unit: str = BYTES) -> None:
        self._title = title
        self._file = file
        self._unit = unit
        self._step = -1

    def show(self, transferred: int, total: int | None) -> None:
        """See :class:`ProgressDisplay`."""
        if total is None:
            step, percent = transferred.bit_length(), ""
        else:
            done = percent_done(transferred, total)
            step, percent = done // STEP_PERCENT, f"{done:3} %  "
        if step != self._step:
            self._step = step
            self._file.write(f"{self._title}: {percent}{_amount(transferred, total, self._unit)}\n")
            self._file.flush()

    def note(self, text: str) -> None:
        """Nothing: whoever keeps lines keeps a log of the connection too."""

    def close(self) -> None:
        """See :class:`ProgressDisplay`."""


class ProgressBar:
    """A bar over bytes or objects, used as a context manager. :meth:`SyncSession.progress_bar` makes one and keeps it
    up to date; :meth:`update` has the form of a progress callback, so that any other source can."""

    def __init__(self, display: ProgressDisplay) -> None:
        self._display = display
        self._lock = threading.Lock()
        self._origin: int | None = None
        self._is_closed = False

    @classmethod
    def open(
        cls, title: str, *, library: str | None = None, file: TextIO | None = None, unit: str = BYTES
    ) -> ProgressBar:
        """A bar on ``file`` (standard error by default), over so many of ``unit``.

        ``library``: ``"rich"`` or ``"tqdm"``; None takes the first of them that is installed, but in a notebook an
        element of the page, and writes plain lines where ``file`` is no terminal. Raises ImportError if there is none,
        ValueError for another name.
        """
        stream = sys.stderr if file is None else file
        if library is None and _is_notebook(stream):
            return cls(NotebookDisplay(title, unit))
        if library is None:
            library = next((name for name in LIBRARIES if _is_installed(name)), None)
            if library is None:
                raise ImportError(
                    "a progress bar is drawn by rich or tqdm, and neither is installed: pip install rich, or pip"
                    " install tqdm. A callback for progress needs neither"
                )
            if not _is_screen(stream):
                return cls(LinesDisplay(title, stream, unit))
        if library not in LIBRARIES:
            raise ValueError(f"a progress bar is drawn by one of {', '.join(LIBRARIES)}, not by {library!r}")
        if not _is_installed(library):
            raise ImportError(f"{library} is not installed: pip install {library}")
        if library == "tqdm":
            return cls(TqdmDisplay(title, stream, unit))
        from rich.console import Console

        return cls(RichDisplay(title, Console(file=stream), unit))

    def begin_at(self, transferred_bytes: int) -> None:
        """What had been transferred before is not the bar's; without this, what the first report says."""
        with self._lock:
            self._origin = transferred_bytes

    def update(self, transferred_bytes: int, transferrable_bytes: int | None) -> None:
        """Show one report; None where nobody knows the total. Any thread; after :meth:`close` nothing happens."""
        with self._lock:
            if self._is_closed:
                return
            # After a client reset the counters begin again.
            origin = transferred_bytes if self._origin is None else min(self._origin, transferred_bytes)
            self._origin = origin
            total = None if transferrable_bytes is None else max(transferrable_bytes - origin, 0)
            self._display.show(transferred_bytes - origin, total)

    def note(self, text: str) -> None:
        """Show a remark beside the title, as *disconnected*; empty: none. Any thread."""
        with self._lock:
            if not self._is_closed:
                self._display.note(text)

    def close(self) -> None:
        """Leave the last state on the screen. Again does nothing."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._display.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _amount(transferred: int, total: int | None, unit: str) -> str:
    return f"{transferred:,} {unit}" if total is None else f"{transferred:,} of {total:,} {unit}"


def _titled(title: str, note: str) -> str:
    return f"{title} ({note})" if note else title


def _is_installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ValueError:  # put into sys.modules by hand, or hidden there
        return sys.modules[library] is not None


def _is_screen(stream: TextIO) -> bool:
    """Whether a bar can move there."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # not quite a file, or closed
        return False


def _is_notebook(stream: TextIO) -> bool:
    """Whether what is written there goes below a cell of a notebook."""
    streams = sys.modules.get("ipykernel.iostream")
    return streams is not None and isinstance(stream, streams.OutStream)
