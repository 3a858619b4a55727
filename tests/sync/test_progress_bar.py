"""Progress bars: what is drawn, by which library, and what happens without one."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import pytest

from syncline.progress_bar import ProgressBar, percent_done
from syncline.sync.states import ProgressDirection, ProgressMode, SyncSessionState

UP = ProgressDirection.UPLOAD


class Screen(io.StringIO):
    """A terminal in memory."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")


def shown(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize(
    ("transferred", "total", "percent"),
    [(0, 0, 100), (0, 7, 0), (999, 1000, 99), (10**18 - 1, 10**18, 99), (7, 7, 100), (8, 7, 100), (-1, 7, 0)],
)
def test_percent_are_never_100_while_something_is_left(transferred: int, total: int, percent: int) -> None:
    assert percent_done(transferred, total) == percent


@pytest.mark.parametrize("library", [None, "rich", "tqdm"])
def test_a_bar_on_a_terminal(library: str | None) -> None:
    screen = Screen()
    with ProgressBar.open("upload [of] dogs", library=library, file=screen) as bar:
        bar.update(5_000, 15_000)
        bar.update(14_999, 15_000)
    text = shown(screen.getvalue())
    assert "upload [of] dogs" in text
    assert "99 %" in text
    assert "100" not in text
    with ProgressBar.open("upload", library=library, file=screen) as bar:
        bar.update(5_000, 15_000)
        bar.update(15_000, 15_000)
    text = shown(screen.getvalue())
    assert "100 %" in text
    assert re.search(r"10\.0(/10\.0 kB|k/10\.0k)", text)


@pytest.mark.parametrize("library", ["rich", "tqdm"])
def test_remarks_stand_beside_the_title(library: str) -> None:
    screen = Screen()
    with ProgressBar.open("upload", library=library, file=screen) as bar:
        bar.note("disconnected")
        bar.update(1, 2)
    bar.note("too late")
    text = shown(screen.getvalue())
    assert "upload (disconnected)" in text
    assert "too late" not in text


@pytest.mark.parametrize("library", ["rich", "tqdm"])
def test_a_bar_of_nothing_is_complete(library: str) -> None:
    screen = Screen()
    with ProgressBar.open("upload", library=library, file=screen) as bar:
        bar.update(70, 70)
    assert "100 %" in shown(screen.getvalue())


def test_lines_where_there_is_no_terminal() -> None:
    log = io.StringIO()
    with ProgressBar.open("upload", file=log) as bar:
        for transferred in (100, 110, 160, 160, 199, 200):
            bar.update(transferred, 200)
    assert log.getvalue().splitlines() == [
        "upload:   0 %  0 of 100 bytes",
        "upload:  60 %  60 of 100 bytes",
        "upload:  99 %  99 of 100 bytes",
        "upload: 100 %  100 of 100 bytes",
    ]


def test_after_a_client_reset_the_bar_begins_anew() -> None:
    log = io.StringIO()
    bar = ProgressBar.open("upload", file=log)
    bar.update(100, 100)
    bar.update(0, 50)
    bar.close()
    bar.close()
    bar.update(50, 50)
    assert log.getvalue().splitlines() == ["upload: 100 %  0 of 0 bytes", "upload:   0 %  0 of 50 bytes"]


def test_without_a_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    assert "tqdm" in type(ProgressBar.open("upload", file=Screen())._display).__name__.lower()
    with pytest.raises(ImportError, match="pip install rich"):
        ProgressBar.open("upload", library="rich")
    monkeypatch.setitem(sys.modules, "tqdm", None)
    for file in (Screen(), io.StringIO()):
        with pytest.raises(ImportError, match="pip install rich, or pip install tqdm"):
            ProgressBar.open("upload", file=file)


def test_another_library_is_refused() -> None:
    with pytest.raises(ValueError, match="rich, tqdm"):
        ProgressBar.open("upload", library="curses")


@pytest.mark.parametrize("mode", list(ProgressMode))
def test_the_bar_of_a_session_ends_at_100_percent_before_the_wait_returns(
    world: Any, server: Any, realm: Any, mode: ProgressMode
) -> None:
    device = world.device(world.user(server.url))
    device.session.suspend()
    device.write(*("x" * 100 for _ in range(50)))
    log = io.StringIO()
    with device.session.progress_bar(UP, mode, file=log):
        device.session.resume()
        device.session.wait_for_upload(5)
        lines = log.getvalue().splitlines()
    assert lines[0].startswith("upload of a.realm:   0 %")
    assert lines[-1].startswith("upload of a.realm: 100 %")
    assert log.getvalue().splitlines() == lines


def test_the_bar_of_a_session_says_whether_it_is_connected(
    world: Any, server: Any, realm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    monkeypatch.setattr(ProgressBar, "note", lambda bar, text: notes.append(text))
    device = world.device(world.user(server.url))
    device.session.suspend()
    with device.session.progress_bar(UP, file=io.StringIO()):
        device.session.resume()
        world.eventually(lambda: notes and notes[-1] == "")
    assert notes[0] == "disconnected"
    assert set(notes) <= {"disconnected", "connecting", ""}
    notes.clear()
    with device.session.progress_bar(UP, file=io.StringIO()):
        pass
    assert notes == [""]


def test_the_bar_of_a_download_counts_from_where_it_was_opened(world: Any, server: Any, realm: Any) -> None:
    writer = world.device(world.user(server.url))
    writer.write(*("x" * 100 for _ in range(50)))
    writer.session.wait_for_upload(5)
    reader = world.device(world.user(server.url, "other"), "b")
    reader.session.suspend()
    before = reader.core.history.status().counters.downloaded
    log = io.StringIO()
    with reader.session.progress_bar(ProgressDirection.DOWNLOAD, file=log):
        reader.session.resume()
        reader.session.wait_for_download(5)
    size = reader.core.history.status().counters.downloaded - before
    assert log.getvalue().splitlines()[-1] == f"download of b.realm: 100 %  {size:,} of {size:,} bytes"


def test_of_a_session_that_has_ended_there_is_nothing_to_draw(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    session = device.session
    device.close()
    log = io.StringIO()
    world.eventually(lambda: session.state is SyncSessionState.INVALID)
    with session.progress_bar(UP, file=log):
        pass
    assert log.getvalue() == ""
