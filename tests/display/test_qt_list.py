"""``examples/qt_list.py``: a window of Qt, used with the keyboard and the mouse while somebody else writes too."""

from __future__ import annotations

import time
from typing import Any

from PySide6 import QtCore, QtTest, QtWidgets
from tests.display.conftest import Example, elsewhere

from syncline import QtScheduler, Realm


def shows(application: Any, window: Any, *lines: str) -> None:
    """Let the loop run until the list shows this."""
    deadline = time.monotonic() + 20
    while (found := [window.view.item(row).text() for row in range(window.view.count())]) != list(lines):
        assert time.monotonic() < deadline, found
        application.processEvents()
        time.sleep(0.005)


def test_window(example: Example) -> None:
    qt_list = example("qt_list")
    application = QtWidgets.QApplication([])
    elsewhere(qt_list.CONFIG, lambda realm: realm.create(qt_list.Task, title="write"))
    with Realm.open(qt_list.CONFIG, scheduler=QtScheduler(QtCore)) as realm:
        window = qt_list.Window(realm)
        window.show()
        shows(application, window, "☐  write")

        QtTest.QTest.keyClicks(window.entry, "read ")
        QtTest.QTest.keyClick(window.entry, QtCore.Qt.Key.Key_Return)
        shows(application, window, "☐  read", "☐  write")
        assert window.entry.text() == ""

        left, place = QtCore.Qt.MouseButton.LeftButton, window.view.visualItemRect(window.view.item(1)).center()
        QtTest.QTest.mouseClick(window.view.viewport(), left, pos=place)
        QtTest.QTest.mouseDClick(window.view.viewport(), left, pos=place)
        shows(application, window, "☐  read", "☑  write")

        elsewhere(qt_list.CONFIG, lambda realm: realm.create(qt_list.Task, title="answer", done=True))
        shows(application, window, "☑  answer", "☐  read", "☑  write")

        window.activateWindow()
        window.view.setFocus()
        QtTest.QTest.keyClick(window.view, QtCore.Qt.Key.Key_Delete)
        shows(application, window, "☑  answer", "☐  read")
        window.token.invalidate()
        window.close()
