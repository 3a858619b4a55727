"""Tables for people: rich, HTML, live in a notebook (spec/sdk.md §12.7)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from syncline import Field, List, Model, Realm, RealmConfiguration


class Room(Model):
    number: int = Field(primary_key=True)
    name: str
    tags: List[str]
    next: Room | None = None


@pytest.fixture
def realm(tmp_path: Path) -> Iterator[Realm]:
    with Realm.open(RealmConfiguration(tmp_path / "rooms.realm", schema=[Room])) as realm:
        with realm.write():
            realm.create_many(
                Room, ({"number": n, "name": f"<b>{n}</b> [red]" + "x" * 60 * (n == 2)} for n in range(25))
            )
            room = realm.get(Room, 1)
            assert room is not None
            room.next = realm.get(Room, 7)
            room.tags = ["a", "b"]
        yield realm


def test_html(realm: Realm) -> None:
    rooms = realm.objects(Room)
    html = rooms._repr_html_()
    assert html.count("<tr>") == 21
    assert "Room: 20 of 25 objects" in html
    assert "&lt;b&gt;1&lt;/b&gt;" in html
    assert "<b>" not in html
    assert '<td style="text-align:right">1</td>' in html
    assert '<td style="text-align:left">[2 items]</td><td style="text-align:left">7</td>' in html
    assert "x…</td>" in html
    assert "1 object</caption>" in rooms.where(Room.number == 3)._repr_html_()
    assert "0 objects</caption>" in rooms.where(Room.number == 99)._repr_html_()
    realm.close()
    assert "(closed)" in rooms._repr_html_()


def test_rich(realm: Realm) -> None:
    console = Console(width=100, record=True, file=StringIO())
    rooms = realm.objects(Room)
    console.print(rooms)
    text = console.export_text()
    assert "20 of 25 objects" in text
    assert "<b>1</b> [red]" in text
    realm.close()
    assert "(closed)" in rooms.__rich__()


class Notebook(ModuleType):
    """What is used of IPython."""

    shown: list[str]

    def display(self, shown: dict[str, str], raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        self.shown = [shown["text/html"]]
        return Handle(self.shown)


class Handle:
    """What is displayed."""

    def __init__(self, shown: list[str]) -> None:
        self.shown = shown

    def display(self, shown: dict[str, str], raw: bool) -> None:
        assert raw
        self.shown.append(shown.get("text/html", shown["text/plain"]))

    update = display


def test_live(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook("IPython.display")
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    rooms = realm.objects(Room).where(Room.number < 3)
    with rooms.live_table() as table:
        table._ipython_display_()
        realm.refresh()
        assert len(notebook.shown) == 1
        with realm.write():
            realm.delete(rooms[0])
        realm.refresh()
        assert "2 objects" in notebook.shown[-1]
        number = len(notebook.shown)
    table.invalidate()
    with realm.write():
        realm.delete(rooms[0])
    realm.refresh()
    assert len(notebook.shown) == number
    table._ipython_display_()
    assert "1 object" in notebook.shown[-1]
    realm.close()
    table._ipython_display_()
    assert "(closed)" in notebook.shown[-1]


def test_no_notebook(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(ImportError, match="notebook"):
        realm.objects(Room).live_table()
