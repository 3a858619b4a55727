"""A window with a list that follows the data: Tk and Syncline in one thread (docs/how-to/threads-and-asyncio.md).

    python examples/tk_list.py      # start it twice, and each shows what the other does

Return adds what was typed, a double click ticks, the delete key deletes. All of that only writes; the list changes
where the change set says so, whoever wrote. The Realm belongs to Tk's event loop, so observers may touch widgets.
"""

from __future__ import annotations

import tkinter
from tkinter import ttk
from typing import Any

from syncline import Field, Model, Realm, RealmConfiguration, TkScheduler, UpdateMode


class Task(Model):
    title: str = Field(primary_key=True)
    done: bool = False


CONFIG = RealmConfiguration("tasks.realm", schema=[Task])


def line(task: Task) -> str:
    """How a task is shown."""
    return f"{'☑' if task.done else '☐'}  {task.title}"


def follow(tree: ttk.Treeview, tasks: Any) -> Any:
    """Keep the rows of ``tree`` equal to ``tasks``."""

    def show(tasks: Any, change: Any) -> None:
        if change.initial:
            for task in tasks:
                tree.insert("", "end", text=line(task))
            return
        rows = tree.get_children()
        tree.delete(*(rows[index] for index in change.deletions))
        for index in change.insertions:
            tree.insert("", index, text=line(tasks[index]))
        for index in change.modifications_new:
            tree.item(tree.get_children()[index], text=line(tasks[index]))

    return tasks.observe(show)


class Window:
    """What is in the window, and what happens when somebody uses it."""

    def __init__(self, root: tkinter.Tk, realm: Realm) -> None:
        self.realm = realm
        self.tasks = realm.objects(Task).sort("title")
        root.title("Tasks")
        self.entry, self.tree = ttk.Entry(root, width=40), ttk.Treeview(root, show="tree", selectmode="browse")
        self.entry.pack(fill="x", padx=8, pady=8)
        self.tree.pack(fill="both", expand=True, padx=8, pady=(0, 8))
        self.entry.bind("<Return>", self.add)
        self.tree.bind("<Double-Button-1>", self.tick)
        self.tree.bind("<Delete>", self.delete)
        self.entry.focus()
        self.token = follow(self.tree, self.tasks)

    def selected(self) -> Task | None:
        """The task that is marked."""
        marked = self.tree.selection()
        return self.tasks[self.tree.index(marked[0])] if marked else None

    def add(self, event: Any) -> None:
        title = self.entry.get().strip()
        self.entry.delete(0, "end")
        if title:
            with self.realm.write():
                self.realm.create(Task, title=title, update=UpdateMode.MODIFIED)

    def tick(self, event: Any) -> None:
        if task := self.selected():
            with self.realm.write():
                task.done = not task.done

    def delete(self, event: Any) -> None:
        if task := self.selected():
            with self.realm.write():
                self.realm.delete(task)


def main() -> None:
    """The program. A window that is gone can run nothing any more, so it goes last."""
    root = tkinter.Tk()
    scheduler = TkScheduler(root)
    with Realm.open(CONFIG, scheduler=scheduler) as realm:
        window = Window(root, realm)
        root.protocol("WM_DELETE_WINDOW", root.quit)
        root.mainloop()
        window.token.invalidate()
    scheduler.close()
    root.destroy()


if __name__ == "__main__":
    main()
