"""``examples/todo.py``, driven by textual's own pilot: keys in, rows out."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from syncline import Realm, RealmConfiguration, SyncManager
from syncline.testing.processes import ServerProcess

FILE = Path(__file__).parents[2] / "examples" / "todo.py"


@pytest.fixture(scope="module")
def todo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("todo", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["todo"] = module  # textual looks up the annotations of handlers there
    spec.loader.exec_module(module)
    return module


class Screen:
    """What somebody at the keyboard does and sees."""

    def __init__(self, pilot: Any) -> None:
        self.pilot = pilot
        self.app = pilot.app

    @property
    def lines(self) -> list[str]:
        """The rows of the list; ``>`` is the cursor."""
        rows = self.app.query("Row")
        return [f"{'>' if row.highlighted else ' '}{row.line.render()}" for row in rows]

    @property
    def status(self) -> str:
        return str(self.app.query_one("#status").render())

    async def press(self, *keys: str) -> None:
        """Keys by their names; other words as they are typed."""
        names = {"enter", "escape", "up", "down", "space"}
        for key in keys:
            await self.pilot.press(*([key] if key in names else key))

    async def shows(self, *lines: str) -> None:
        await self.until(lambda: self.lines == list(lines), lambda: self.lines)

    async def until(self, condition: Callable[[], bool], found: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, f"found {found()}"
            await self.pilot.pause(0.01)


def session(todo: ModuleType, config: RealmConfiguration, story: Callable[[Screen, Realm], Any]) -> None:
    """Run the application while ``story`` is told."""

    async def main() -> None:
        with Realm.open(config) as realm:
            app = todo.Todo(realm)
            app.animation_level = "none"
            async with app.run_test() as pilot:
                await story(Screen(pilot), realm)

    asyncio.run(main())


def test_keys(todo: ModuleType, tmp_path: Path) -> None:
    async def story(screen: Screen, realm: Realm) -> None:
        await screen.press("a", "milk", "enter")
        await screen.shows("> ·  milk")
        await screen.press("a", "bread", "enter")
        await screen.shows("  ·  milk", "> ·  bread")
        await screen.press("up", "space")
        await screen.shows("> ✓  milk", "  ·  bread")
        assert screen.status == "1 of 2 open · all · oldest"
        await screen.press("s", "s")
        await screen.shows("  ·  bread", "> ✓  milk")
        await screen.press("r", "!", "enter")
        await screen.shows("  ·  bread", "> ✓  milk!")
        await screen.press("u", "r", "x", "escape")
        await screen.shows("  ·  bread", "> ✓  milk")
        await screen.press("f")
        await screen.shows("> ·  bread")
        await screen.press("d")
        await screen.shows()
        assert screen.status == "0 of 1 open · open · by title"
        await screen.press("u", "f", "f", "/", "RE", "enter")
        await screen.shows("> ·  bread")
        assert screen.status == "1 of 2 open · all · by title · with “RE”"
        await screen.press("u", "u", "u")
        await screen.until(lambda: realm.is_empty, lambda: realm.objects("Task").to_dicts())

    session(todo, RealmConfiguration(tmp_path / "todo.realm", schema=[todo.Task]), story)


def test_another_program_writes(todo: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "todo.realm"
    program = f"""
from syncline import ObjectId, Realm
with Realm.open({str(path)!r}) as realm:
    a, b, c = realm.objects("Task").sort("title")
    with realm.write():
        b.title, c.done = "z", True
        realm.delete(a)
        realm.create("Task", {{"_id": ObjectId(), "title": "new", "created": b.created, "done": False}})
"""

    async def story(screen: Screen, realm: Realm) -> None:
        for title in "abc":
            await screen.press("a", title, "enter")
        await screen.press("up", "s", "s")
        await screen.shows("  ·  a", "> ·  b", "  ·  c")
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stderr=subprocess.PIPE)
        _, errors = await other.communicate()
        assert other.returncode == 0, errors.decode()
        await screen.shows("  ✓  c", "  ·  new", "> ·  z")
        assert screen.status == "2 of 3 open · all · by title"

    session(todo, RealmConfiguration(path, schema=[todo.Task]), story)


def test_synced(todo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    server = ServerProcess(tmp_path / "server")
    try:
        config = todo.configuration("mine.realm", server.url)
        theirs = todo.configuration("theirs.realm", server.url)
        assert theirs.sync.user is config.sync.user

        async def story(screen: Screen, realm: Realm) -> None:
            await screen.press("a", "milk", "enter")
            with Realm.open(theirs) as other:
                tasks = other.objects(todo.Task)
                await screen.until(lambda: len(tasks) == 1, lambda: tasks)
                with other.write():
                    tasks[0].done = True
                await screen.shows("> ✓  milk")
            assert screen.app.sub_title == "connected"
            await asyncio.to_thread(server.stop)
            error = screen.app.query_one("#error")
            await screen.until(lambda: bool(error.display), lambda: screen.app.sub_title)
            await screen.press("escape")
            assert not error.display

        session(todo, config, story)
    finally:
        SyncManager.shared().close()
        server.stop()
