"""What ``syncline status`` shows: one table for each process, one for the files of none; or JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from syncline.cli.status_sources import look
from syncline.sync.files import default_base_directory, percent_decode
from syncline.version import __version__

__all__ = ["run"]

_BAR_CELLS: Final = 12
_SHOWN_ERRORS: Final = 3
_NONE: Final = (
    "No running program shows its sessions here. A program does with SYNCLINE_STATUS=1 in its environment,\n"
    "or if it calls SyncManager.expose_status(). Another base directory: --directory."
)
_DOTS: Final = {"connected": "[green]●[/]", "connecting": "[yellow]◐[/]", "disconnected": "[red]○[/]"}


def run(
    directory: Path | None,
    files: Sequence[Path],
    *,
    watch: bool,
    interval: float,
    as_json: bool,
    encryption_key: str | None = None,
) -> int:
    """Show it, once or until interrupted; the exit status: 0, 1 if there is nothing to show, 2 if it cannot be."""
    if directory is not None and not directory.is_dir():
        sys.stderr.write(f"syncline status: there is no directory {directory}\n")
        return 2
    try:
        key = bytes.fromhex(encryption_key) if encryption_key else None
    except ValueError:
        sys.stderr.write("syncline status: the encryption key is not hexadecimal: give 128 digits\n")
        return 2
    base = (directory or default_base_directory()).absolute()
    seen = look(base, files, key)
    if not watch:
        _show(seen, as_json)
        return 0 if seen["processes"] or seen["unanswered"] or seen["files"] else 1
    try:
        _watch(base, files, key, seen, interval, as_json)
    except KeyboardInterrupt:
        return 0
    return 0


def _show(seen: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(seen, indent=2) + "\n")
    else:
        Console(file=sys.stdout, highlight=False).print(_view(seen))


def _watch(
    base: Path, files: Sequence[Path], key: bytes | None, seen: dict[str, Any], interval: float, as_json: bool
) -> None:
    """Look again and again until interrupted."""
    if as_json:
        while True:
            sys.stdout.write(json.dumps(seen) + "\n")
            sys.stdout.flush()
            time.sleep(interval)
            seen = look(base, files, key)
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        while True:
            console.print(_view(seen))
            sys.stdout.flush()
            time.sleep(interval)
            seen = look(base, files, key)
    with Live(_view(seen), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            live.update(_view(look(base, files, key)), refresh=True)


# --- tables -----------------------------------------------------------------------------------------------------------


def _view(seen: dict[str, Any]) -> RenderableType:
    now = datetime.fromisoformat(seen["time"])
    parts: list[RenderableType] = []
    for process in seen["processes"]:
        if process.get("syncline_version") == __version__:
            parts += [_process(process, now), *_errors(process), ""]
        else:
            parts.append(f"process {process.get('pid')} has another version of Syncline: --json shows what it says")
    parts += [
        f"[yellow]a program does not answer[/] ({escape(one['socket'])}): {escape(one['problem'])}"
        for one in seen["unanswered"]
    ]
    if not seen["processes"]:
        parts.append(_NONE)
    if seen["files"]:
        parts += ["", _files(seen["files"], Path(seen["directory"]))]
    elif not seen["processes"]:
        parts.append(f"There are no files of synced Realms below {escape(seen['directory'])} either.")
    return Group(*parts)


def _process(process: dict[str, Any], now: datetime) -> RenderableType:
    sent, received = _size(process["bytes_sent"]), _size(process["bytes_received"])
    title = f"{process['program'] or 'python'}, process {process['pid']}: {sent} sent, {received} received"
    if not process["sessions"]:
        return Group(Text(title, "bold"), Text("No Realm is synced.", "dim"))
    table = Table(title=Text(title, "bold"), title_justify="left", show_lines=True)
    for column in ("Realm", "Connection", "Progress", "Cursors"):
        table.add_column(column, overflow="fold")
    for session in process["sessions"]:
        table.add_row(
            _lines(_realm(session, now)),
            _lines(_connection(session, now)),
            _lines(_progress(session)),
            _cursors(session["file"]),
        )
    return table


def _lines(lines: Iterator[str]) -> str:
    return "\n".join(lines)


def _realm(session: dict[str, Any], now: datetime) -> Iterator[str]:
    yield f"[bold]{escape(_name(session))}[/]"
    yield f"[dim]{escape(session['user_identity'] or '')}[/]"
    yield session["activity"]
    reset = session.get("client_reset")
    if reset is not None:
        yield f"[yellow]client reset {_duration((now - datetime.fromisoformat(reset['since'])).total_seconds())}[/]"
        yield escape(reset["step"])
        if reset["downloaded"] is not None:
            yield f"↓ {_bar(reset['downloaded'])} {_size(reset['downloaded']['transferrable_bytes'])}"


def _connection(session: dict[str, Any], now: datetime) -> Iterator[str]:
    connection = session["connection"]
    if connection is None:
        yield "–"
        return
    state = connection["state"]
    yield f"{_DOTS[state]} {state} {_duration((now - datetime.fromisoformat(connection['since'])).total_seconds())}"
    if connection["retry_delay"] is not None:
        yield f"next attempt in {_duration(connection['retry_delay'])}"
    if connection["is_waiting_to_be_told"]:
        yield "waits for reconnect()"
    if connection["round_trip_ms"] is not None:
        yield f"round trip {connection['round_trip_ms']} ms (∅ {connection['smoothed_round_trip_ms']:.0f} ms)"
    if connection["server_url"] is not None:
        yield f"[dim]{escape(urlsplit(connection['server_url']).netloc)}[/]"


def _progress(session: dict[str, Any]) -> Iterator[str]:
    for arrow, direction in (("↑", "upload"), ("↓", "download")):
        progress = session[direction]
        if progress is not None:
            yield f"{arrow} {_bar(progress)} {_size(progress['transferrable_bytes'])}"
    if session["file"] is not None:
        yield _pending(session["file"])


def _pending(file: dict[str, Any]) -> str:
    count = file["pending_changes"]
    if not count:
        return "nothing pending"
    return f"[yellow]{count} change{'s' if count != 1 else ''} pending[/] ({_size(file['pending_bytes'])})"


def _size(count: int) -> str:
    return f"{count} B" if count < 1000 else decimal(count)


def _bar(progress: dict[str, Any]) -> str:
    """Full, and 100 %, only when nothing is left."""
    is_complete = progress["transferred_bytes"] >= progress["transferrable_bytes"]
    share = 1.0 if is_complete else min(progress["progress_estimate"], 0.99)
    full = int(share * _BAR_CELLS)
    return f"[cyan]{'█' * full}[/][dim]{'░' * (_BAR_CELLS - full)}[/] {int(share * 100):3} %"


def _cursors(file: dict[str, Any] | None) -> str:
    if file is None:
        return "–"
    return (
        f"↓ server {file['download_server_version']}, ours {file['download_client_version']}\n"
        f"↑ ours {file['upload_client_version']}, server {file['upload_server_version']}\n"
        f"newest: ours {file['local_version']}, server {file['latest_server_version']}\n"
        f"[dim]file ident {file['file_ident'] or 'none yet'}[/]"
    )


def _errors(process: dict[str, Any]) -> Iterator[RenderableType]:
    for session in process["sessions"]:
        for error in session["errors"][-_SHOWN_ERRORS:]:
            when = datetime.fromisoformat(error["time"]).astimezone().strftime("%H:%M:%S")
            colour = "red" if error["is_fatal"] else "yellow"
            code = error["code"] if error["server_code"] is None else f"{error['code']} {error['server_code']}"
            times = f" ×{error['count']}" if error["count"] > 1 else ""
            yield f"{when} [{colour}]{code}[/]{times} {escape(_name(session))}: {escape(error['text'])}"


def _files(files: list[dict[str, Any]], directory: Path) -> RenderableType:
    table = Table(title=Text("Files whose sessions are not seen", "bold"), title_justify="left", show_lines=True)
    for column in ("Realm", "Pending", "Cursors"):
        table.add_column(column, overflow="fold")
    for file in files:
        name = f"[bold]{escape(_file_name(file['path']))}[/]\n[dim]{escape(_relative(file['path'], directory))}[/]"
        if "problem" in file:
            table.add_row(name, f"[red]{escape(file['problem'])}[/]", "–")
            continue
        synced = "\n[dim]synced by a program that does not show it[/]" if file["is_synced"] else ""
        table.add_row(name, _pending(file) + synced, _cursors(file))
    return table


def _name(session: dict[str, Any]) -> str:
    url, identity = session["realm_url"], session["user_identity"]
    if not url:
        return _file_name(session["path"])
    path = urlsplit(url).path
    return f"/~{path.removeprefix(f'/{identity}')}" if path.startswith(f"/{identity}/") else path


def _file_name(path: str) -> str:
    """The Realm that a file is named after, if it is named after one."""
    name = percent_decode(Path(path).name)
    return urlsplit(name).path if "://" in name else name


def _relative(path: str, directory: Path) -> str:
    return str(Path(path).relative_to(directory)) if Path(path).is_relative_to(directory) else path


def _duration(seconds: float) -> str:
    """``seconds`` in its two largest units."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
