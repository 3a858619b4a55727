"""A to-do list in a terminal: textual and Syncline on one event loop. Open it in two terminals: each follows the other.

    pip install 'syncline[examples]'
    python examples/todo.py                                     # todo.realm in this folder
    python examples/todo.py --file work.realm
    python examples/todo.py --server http://localhost:9080      # the same, shared with everybody on that server

Keys write to the Realm and never touch the list. The list is changed in one place, `TaskList.apply`, by the indexes
that the change set names: it makes no difference who wrote, this program, another one, or another device.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Footer, Header, Input, ListItem, ListView, Static

from syncline import (
    CollectionChange,
    ConnectionState,
    Field,
    Model,
    ObjectId,
    Realm,
    RealmConfiguration,
    RealmError,
    SyncConfiguration,
    SyncCredentials,
    SynclineError,
    SyncUser,
    UpdateMode,
)


class Task(Model):
    id: ObjectId = Field(primary_key=True, name="_id", default_factory=ObjectId)
    title: str
    done: bool = False
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))


FILTERS = {"all": "TRUEPREDICATE", "open": "done == false", "done": "done == true"}
SORTS = {
    "oldest": [Task.created],
    "newest": [Task.created.desc()],
    "by title": [Task.title, Task.created],
}


def following(choice: str, choices: dict[str, Any]) -> str:
    """The choice after this one, round and round."""
    names = list(choices)
    return names[(names.index(choice) + 1) % len(names)]


class Row(ListItem):
    """A line of the list."""

    def __init__(self, task: Task) -> None:
        self.line = Static()
        super().__init__(self.line)
        self.show(task)

    def show(self, task: Task) -> None:
        self.task_id = task.id
        mark, style = ("✓", "dim strike") if task.done else ("·", "")
        self.line.update(Text.assemble(f" {mark}  ", (task.title, style)))


class TaskList(ListView):
    """A list that a change set brings up to date. The cursor stays on its task, wherever that goes."""

    wanted: ObjectId | None = None  # where the cursor shall go when it comes

    async def apply(self, change: CollectionChange) -> None:
        tasks, index, row = change.collection, self.index or 0, self.highlighted_child
        wanted, self.wanted = self.wanted or (row and row.task_id), None
        self.index = None
        if change.initial:
            await self.clear()
            await self.extend(map(Row, tasks))
        else:
            await self.remove_items(change.deletions)
            for new in change.insertions:
                await self.mount(Row(tasks[new]), before=new if new < len(self) else None)
            for new in change.modifications_new:
                self.children[new].show(tasks[new])
        self.index = next((place for place, row in enumerate(self.children) if row.task_id == wanted), index)


class Todo(App[None]):
    """The application."""

    TITLE = "To do"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    TaskList { height: 1fr; }
    #input { display: none; }
    #error { display: none; background: $error; color: $text; padding: 0 1; }
    #status { height: 1; padding: 0 1; color: $text-muted; }
    """
    BINDINGS: ClassVar = [
        Binding("a", "add", "Add"),
        Binding("space", "tick", "Tick"),
        Binding("r", "rename", "Rename"),
        Binding("d", "delete", "Delete"),
        Binding("u", "undo", "Undo"),
        Binding("f", "filter", "Filter"),
        Binding("slash", "search", "Find"),
        Binding("s", "sort", "Sort"),
        Binding("escape", "dismiss", show=False),
        Binding("q", "quit", "Quit"),
    ]

    class Trouble(Message):
        """Something went wrong. Messages may be posted on any thread."""

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.text = str(error)

    def __init__(self, realm: Realm) -> None:
        super().__init__()
        self.realm = realm
        self.filter, self.order, self.search = "all", "oldest", ""
        self.undos: list[Callable[[], object]] = []
        self.asked: Callable[[str], None] | None = None

    def compose(self) -> ComposeResult:
        yield Header(icon="")
        yield TaskList()
        yield Static(id="error", markup=False)
        yield Input(id="input", select_on_focus=False)
        yield Static(id="status", markup=False)
        yield Footer()

    # --- following ------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.query_one(TaskList).focus()
        self.status_token = self.realm.observe(lambda realm, event: self.show_status())
        self.follow()
        if sync := self.realm.config.sync:
            sync.user.manager.error_handler = lambda error, session: self.post_message(self.Trouble(error))
            self.follow_connection()

    def on_unmount(self) -> None:
        self.status_token.invalidate()

    @work(exclusive=True, group="tasks")
    async def follow(self) -> None:
        """Show the tasks that are asked for, for as long as nothing else is."""
        self.show_status()
        tasks = self.realm.objects(Task).filter(FILTERS[self.filter]).where(Task.title.contains(self.search, ci=True))
        async for change in tasks.sort(*SORTS[self.order]).changes():
            await self.query_one(TaskList).apply(change)

    @work
    async def follow_connection(self) -> None:
        session = self.realm.sync_session
        self.sub_title = session.connection_state.name.lower()
        async for _, state in session.connection_states():
            self.sub_title = state.name.lower()
            if state is ConnectionState.CONNECTED:
                self.query_one("#error").display = False

    def show_status(self) -> None:
        tasks = self.realm.objects(Task)
        parts = [f"{len(tasks.filter(FILTERS['open']))} of {len(tasks)} open", self.filter, self.order]
        parts += [f"with “{self.search}”"] if self.search else []
        self.query_one("#status", Static).update(" · ".join(parts))

    # --- writing --------------------------------------------------------------------------------------------------

    def write(self, change: Callable[[], object]) -> None:
        try:
            with self.realm.write():
                change()
        except RealmError as error:
            self.post_message(self.Trouble(error))

    def change(self, task: Task, **values: Any) -> None:
        """Write values, and remember what they were."""
        old = {name: getattr(task, name) for name in values}
        self.undos.append(partial(self.assign, task.id, old))
        self.write(partial(self.assign, task.id, values))

    def assign(self, id: ObjectId, values: dict[str, Any]) -> None:
        if task := self.realm.get(Task, id):  # it may have been deleted meanwhile, somewhere else
            for name, value in values.items():
                setattr(task, name, value)

    def remove(self, id: ObjectId) -> None:
        if task := self.realm.get(Task, id):
            self.realm.delete(task)

    def add(self, title: str) -> None:
        if title.strip():
            task = Task(title=title.strip())
            self.query_one(TaskList).wanted = task.id
            self.undos.append(partial(self.remove, task.id))
            self.write(lambda: self.realm.add(task))

    def selected(self) -> Task | None:
        """The task under the cursor. Another device may have deleted it a moment ago."""
        row = self.query_one(TaskList).highlighted_child
        return self.realm.get(Task, row.task_id) if isinstance(row, Row) else None

    # --- keys -----------------------------------------------------------------------------------------------------

    def action_add(self) -> None:
        self.ask("What is to be done?", self.add)

    def action_tick(self) -> None:
        if task := self.selected():
            self.change(task, done=not task.done)

    def action_rename(self) -> None:
        if task := self.selected():
            self.ask("Title", lambda title: task.is_valid and self.change(task, title=title), task.title)

    def action_delete(self) -> None:
        if task := self.selected():
            copy = task.detach()
            self.undos.append(lambda: self.realm.add(copy.detach(), update=UpdateMode.MODIFIED))
            self.write(partial(self.remove, task.id))

    def action_undo(self) -> None:
        if self.undos:
            self.write(self.undos.pop())

    def action_filter(self) -> None:
        self.filter = following(self.filter, FILTERS)
        self.follow()

    def action_sort(self) -> None:
        self.order = following(self.order, SORTS)
        self.follow()

    def action_search(self) -> None:
        self.ask("Titles that contain …", self.search_for, self.search)

    def search_for(self, text: str) -> None:
        self.search = text
        self.follow()

    def action_dismiss(self) -> None:
        """Leave the line of input; without one, forget the error."""
        line, error = self.query_one("#input"), self.query_one("#error")
        (line if line.display else error).display = False
        self.query_one(TaskList).focus()

    # --- the line of input, the error -------------------------------------------------------------------------------

    def ask(self, what: str, then: Callable[[str], Any], text: str = "") -> None:
        line = self.query_one("#input", Input)
        line.placeholder, line.value, line.display, self.asked = what, text, True, then
        line.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.action_dismiss()
        if self.asked is not None:
            self.asked(event.value)

    def on_todo_trouble(self, trouble: Trouble) -> None:
        bar = self.query_one("#error", Static)
        bar.update(trouble.text)
        bar.display = True


def configuration(file: str, server: str | None) -> RealmConfiguration:
    """With a server the Realm is synced; nothing else changes."""
    if server is None:
        return RealmConfiguration(file, schema=[Task])
    known = [user for user in SyncUser.all().values() if user.authentication_server == server]
    user = known[0] if known else SyncUser.log_in(SyncCredentials.anonymous(), server)
    return RealmConfiguration(schema=[Task], sync=SyncConfiguration(user, "/todo", path=file))


async def run(file: str, server: str | None) -> None:
    """The Realm belongs to the event loop on which it is opened, and this is the application's."""
    with Realm.open(configuration(file, server)) as realm:
        await Todo(realm).run_async()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="A to-do list.")
    parser.add_argument("--file", default="todo.realm", help="where the tasks are (todo.realm)")
    parser.add_argument("--server", help="share them by this server, such as http://localhost:9080")
    try:
        asyncio.run(run(**vars(parser.parse_args())))
    except SynclineError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
