"""``examples/tk_list.py``: a window of Tk, used with the keyboard and the mouse while somebody else writes too."""

from __future__ import annotations

import time
import tkinter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.display.conftest import Example, elsewhere

from syncline import Realm, TkScheduler


@pytest.fixture
def root() -> Iterator[tkinter.Tk]:
    root = tkinter.Tk()
    raised: list[BaseException] = []
    root.report_callback_exception = lambda kind, error, trace: raised.append(error)  # type: ignore[method-assign]
    yield root
    root.destroy()
    assert not raised


def shows(root: tkinter.Tk, window: Any, *lines: str) -> None:
    """Let the loop run until the list shows this."""
    deadline = time.monotonic() + 20
    while (found := [window.tree.item(row, "text") for row in window.tree.get_children()]) != list(lines):
        assert time.monotonic() < deadline, found
        root.update()
        time.sleep(0.005)


def test_window(root: tkinter.Tk, example: Example) -> None:
    tk_list = example("tk_list")
    scheduler = TkScheduler(root)
    elsewhere(tk_list.CONFIG, lambda realm: realm.create(tk_list.Task, title="write"))
    with Realm.open(tk_list.CONFIG, scheduler=scheduler) as realm:
        window = tk_list.Window(root, realm)
        shows(root, window, "☐  write")
        assert root.winfo_viewable()

        window.entry.focus_force()
        window.entry.insert(0, "read ")
        window.entry.event_generate("<Return>")
        shows(root, window, "☐  read", "☐  write")
        assert window.entry.get() == ""

        x, y, *_ = window.tree.bbox(window.tree.get_children()[1])
        for event in ("<Button-1>", "<ButtonRelease-1>") * 2:
            window.tree.event_generate(event, x=x + 4, y=y + 4)
        shows(root, window, "☐  read", "☑  write")

        elsewhere(tk_list.CONFIG, lambda realm: realm.create(tk_list.Task, title="answer", done=True))
        shows(root, window, "☑  answer", "☐  read", "☑  write")

        window.tree.focus_force()  # on what was ticked, wherever it stands now
        window.tree.event_generate("<Delete>")
        shows(root, window, "☑  answer", "☐  read")
        window.token.invalidate()
    scheduler.close()
