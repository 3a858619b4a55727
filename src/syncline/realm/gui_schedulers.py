"""Schedulers of windows: Realms that belong to the event loop of Tk or of Qt (spec/sdk.md §4.3).

::

    realm = Realm.open(config, scheduler=TkScheduler(root))
    realm = Realm.open(config, scheduler=QtScheduler())         # PySide6, PyQt6, PySide2 or PyQt5

Observers are then called on the thread of the windows, between its events, and may touch widgets.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import Any, Final

__all__ = ["QtScheduler", "TkScheduler"]

_QT_MODULES: Final = ("PySide6.QtCore", "PyQt6.QtCore", "PySide2.QtCore", "PyQt5.QtCore")


class TkScheduler:
    """The loop of a Tk application. Make it on the thread that runs ``mainloop``.

    Tk's own calls are for its thread only, so what others ask for waits in a queue at which the loop looks often.
    """

    def __init__(self, widget: Any, *, interval: float = 0.02) -> None:
        """``widget``: the root window, or any that lives as long. ``interval``: seconds between two looks."""
        self._widget = widget
        self._pause = max(1, round(interval * 1000))
        self._thread = get_ident()
        self._queue: deque[Callable[[], object]] = deque()
        self._timer: Any = widget.after(self._pause, self._look)

    def is_on_thread(self) -> bool:
        """Whether the caller runs on the thread of the windows."""
        return get_ident() == self._thread

    def can_invoke(self) -> bool:
        """Tk's loop calls by itself."""
        return True

    def invoke(self, function: Callable[[], object]) -> None:
        """Run ``function`` at the next look. May be called on any thread. Raises RuntimeError after :meth:`close`."""
        if self._widget is None:
            raise RuntimeError("this scheduler was closed")
        self._queue.append(function)

    def _look(self) -> None:
        self._timer = self._widget.after(self._pause, self._look)
        for _ in range(len(self._queue)):
            self._queue.popleft()()

    def close(self) -> None:
        """Look no more, and let go of the window: before it goes, since Tk's objects must end on their own thread."""
        widget, self._widget = self._widget, None
        if widget is not None:
            widget.after_cancel(self._timer)


class QtScheduler:
    """The loop of a Qt application. Make it on the thread that runs it, once there is a ``QApplication``."""

    def __init__(self, core: Any = None) -> None:
        """``core``: the module QtCore; by default that of whichever binding the program has imported.

        Raises RuntimeError if none is.
        """
        if core is None:
            core = next((sys.modules[name] for name in _QT_MODULES if name in sys.modules), None)
        if core is None:
            raise RuntimeError(f"no Qt is loaded; import one of {', '.join(_QT_MODULES)} first, or give QtCore")
        self._core = core
        self._thread = get_ident()
        self._queue: deque[Callable[[], object]] = deque()
        self._receiver = _receiver(core, self._run)

    def is_on_thread(self) -> bool:
        """Whether the caller runs on the thread of the windows."""
        return get_ident() == self._thread

    def can_invoke(self) -> bool:
        """Qt's loop calls by itself."""
        return True

    def invoke(self, function: Callable[[], object]) -> None:
        """Run ``function`` as an event. May be called on any thread."""
        self._queue.append(function)
        self._core.QCoreApplication.postEvent(self._receiver, self._core.QEvent(self._core.QEvent.Type.User))

    def _run(self) -> None:
        for _ in range(len(self._queue)):
            self._queue.popleft()()


def _receiver(core: Any, run: Callable[[], None]) -> Any:
    """An object of Qt that calls ``run`` for each event posted to it."""

    class Receiver(core.QObject):  # type: ignore[misc]
        def event(self, event: Any) -> bool:
            if event.type() != core.QEvent.Type.User:
                return bool(super().event(event))
            run()
            return True

    return Receiver()
