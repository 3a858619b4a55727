"""A window with a list that follows the data: Tk and Syncline in one thread (docs/how-to/threads-and-asyncio.md).

    python examples/tk_list.py            # a window; "Add" writes, and so may any other program
    python examples/tk_list.py --check    # without a display: what the list would show

The Realm belongs to Tk's event loop, so observers are called between its events and may touch widgets. A worker thread
writes through a Realm of its own; the list changes only where the change set says so.
"""

from __future__ import annotations

import sys
import threading
import tkinter
from typing import Any

from syncline import Field, Model, Realm, RealmConfiguration, TkScheduler


class Task(Model):
    title: str = Field(primary_key=True)
    done: bool = False


CONFIG = RealmConfiguration("tasks.realm", schema=[Task])


def follow(listbox: Any, tasks: Any) -> Any:
    """Keep ``listbox`` (anything with ``insert`` and ``delete``) equal to the titles of ``tasks``."""

    def show(tasks: Any, change: Any) -> None:
        if change.initial:
            for index, task in enumerate(tasks):
                listbox.insert(index, task.title)
            return
        for index in reversed(change.deletions):
            listbox.delete(index)
        for index in change.insertions:
            listbox.insert(index, tasks[index].title)

    return tasks.observe(show)


def add_elsewhere(titles: list[str]) -> None:
    """What another thread, or another program, does."""
    with Realm.open(CONFIG) as realm:
        for title in titles:
            with realm.write():
                realm.create(Task, title=title)


def main() -> None:
    """The window."""
    root = tkinter.Tk()
    root.title("Tasks")
    listbox, entry = tkinter.Listbox(root, width=40), tkinter.Entry(root)
    scheduler = TkScheduler(root)
    with Realm.open(CONFIG, scheduler=scheduler) as realm:
        token = follow(listbox, realm.objects(Task).sort("title"))

        def add() -> None:
            realm.write_soon(lambda: realm.create(Task, title=entry.get()))

        tkinter.Button(root, text="Add", command=add).pack(side="bottom")
        entry.pack(side="bottom", fill="x")
        listbox.pack(fill="both", expand=True)
        root.protocol("WM_DELETE_WINDOW", root.quit)
        root.mainloop()
        token.invalidate()
    scheduler.close()
    root.destroy()


class Lines(list[str]):
    """A list box that nobody sees."""

    def delete(self, index: int) -> None:
        """Remove a line."""
        del self[index]


def check() -> None:
    """The same without a display: Tcl's event loop is the real one, the list box is a list."""
    loop, lines = tkinter.Tcl(), Lines()
    scheduler = TkScheduler(loop)
    with Realm.open(CONFIG, scheduler=scheduler) as realm:
        token = follow(lines, realm.objects(Task).sort("title"))
        thread = threading.Thread(target=add_elsewhere, args=(["write", "read", "sync"],))
        thread.start()
        while lines != ["read", "sync", "write"]:
            loop.dooneevent()
        thread.join()
        realm.write_soon(lambda: realm.delete(realm.objects(Task).where(Task.title == "sync")))
        while lines != ["read", "write"]:
            loop.dooneevent()
        token.invalidate()
    scheduler.close()
    print("the list shows:", ", ".join(lines))


if __name__ == "__main__":
    check() if "--check" in sys.argv else main()
