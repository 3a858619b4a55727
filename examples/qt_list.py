"""A window with a list that follows the data: Qt and Syncline in one thread (docs/how-to/threads-and-asyncio.md).

    pip install 'PySide6-Essentials<6.12'     # 6.12.0 loses references to None on Python 3.11
    python examples/qt_list.py                # start it twice, and each shows what the other does

Return adds what was typed, a double click ticks, the delete key deletes. All of that only writes; the list changes
where the change set says so, whoever wrote. The Realm belongs to Qt's event loop, so observers may touch widgets.
"""

from __future__ import annotations

import sys
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from syncline import Field, Model, QtScheduler, Realm, RealmConfiguration, UpdateMode


class Task(Model):
    title: str = Field(primary_key=True)
    done: bool = False


CONFIG = RealmConfiguration("tasks.realm", schema=[Task])


def line(task: Task) -> str:
    """How a task is shown."""
    return f"{'☑' if task.done else '☐'}  {task.title}"


def follow(view: QtWidgets.QListWidget, tasks: Any) -> Any:
    """Keep ``view`` equal to ``tasks``."""

    def show(tasks: Any, change: Any) -> None:
        if change.initial:
            view.addItems([line(task) for task in tasks])
            return
        for index in reversed(change.deletions):
            view.takeItem(index)
        for index in change.insertions:
            view.insertItem(index, line(tasks[index]))
        for index in change.modifications_new:
            view.item(index).setText(line(tasks[index]))

    return tasks.observe(show)


class Window(QtWidgets.QWidget):
    """What is in the window, and what happens when somebody uses it."""

    def __init__(self, realm: Realm) -> None:
        super().__init__()
        self.realm = realm
        self.tasks = realm.objects(Task).sort("title")
        self.setWindowTitle("Tasks")
        self.entry, self.view = QtWidgets.QLineEdit(placeholderText="What is to be done?"), QtWidgets.QListWidget()
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.entry)
        layout.addWidget(self.view)
        self.entry.returnPressed.connect(self.add)
        self.view.itemDoubleClicked.connect(self.tick)
        QtGui.QShortcut(QtGui.QKeySequence.StandardKey.Delete, self.view, self.delete)
        self.token = follow(self.view, self.tasks)

    def add(self) -> None:
        title = self.entry.text().strip()
        self.entry.clear()
        if title:
            with self.realm.write():
                self.realm.create(Task, title=title, update=UpdateMode.MODIFIED)

    def tick(self, item: QtWidgets.QListWidgetItem) -> None:
        task = self.tasks[self.view.row(item)]
        with self.realm.write():
            task.done = not task.done

    def delete(self) -> None:
        if self.view.selectedItems():
            with self.realm.write():
                self.realm.delete(self.tasks[self.view.currentRow()])


def main() -> None:
    """The program."""
    application = QtWidgets.QApplication(sys.argv)
    with Realm.open(CONFIG, scheduler=QtScheduler(QtCore)) as realm:
        window = Window(realm)
        window.show()
        application.exec()
        window.token.invalidate()


if __name__ == "__main__":
    main()
