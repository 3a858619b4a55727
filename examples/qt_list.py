"""A window with a list that follows the data: Qt and Syncline in one thread (docs/how-to/threads-and-asyncio.md).

    pip install PySide6
    python examples/qt_list.py
    QT_QPA_PLATFORM=offscreen python examples/qt_list.py --check    # without a display; ends by itself

The Realm belongs to Qt's event loop, so observers are called between its events and may touch widgets.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from syncline import Field, Model, QtScheduler, Realm, RealmConfiguration


class Task(Model):
    title: str = Field(primary_key=True)
    done: bool = False


CONFIG = RealmConfiguration("tasks.realm", schema=[Task])


def follow(widget: Any, tasks: Any) -> Any:
    """Keep a ``QListWidget`` equal to the titles of ``tasks``."""

    def show(tasks: Any, change: Any) -> None:
        if change.initial:
            widget.addItems([task.title for task in tasks])
            return
        for index in reversed(change.deletions):
            widget.takeItem(index)
        for index in change.insertions:
            widget.insertItem(index, tasks[index].title)

    return tasks.observe(show)


def add_elsewhere(titles: list[str]) -> None:
    """What another thread, or another program, does."""
    with Realm.open(CONFIG) as realm:
        for title in titles:
            with realm.write():
                realm.create(Task, title=title)


def main() -> None:
    """The window; with ``--check`` a moment of it."""
    from PySide6 import QtCore, QtWidgets

    application = QtWidgets.QApplication(sys.argv)
    widget = QtWidgets.QListWidget()
    with Realm.open(CONFIG, scheduler=QtScheduler(QtCore)) as realm:
        token = follow(widget, realm.objects(Task).sort("title"))
        widget.setWindowTitle("Tasks")
        widget.show()
        thread = threading.Thread(target=add_elsewhere, args=(["write", "read", "sync"],))
        if "--check" in sys.argv:
            thread.start()
            while widget.count() < 3:
                application.processEvents()
            thread.join()
            print("the list shows:", ", ".join(widget.item(row).text() for row in range(widget.count())))
        else:
            application.exec()
        token.invalidate()


if __name__ == "__main__":
    main()
