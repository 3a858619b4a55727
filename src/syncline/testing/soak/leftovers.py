"""What is left at the end: logs without surprises, no files of unfinished work, no sockets of the server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from syncline.testing.soak.stage import Stage

__all__ = ["find_leftovers", "surprises"]

_ALARMING: Final = re.compile(
    r" (ERROR|CRITICAL) |^Traceback|Exception ignored|ResourceWarning|was never (awaited|retrieved)|was destroyed but"
)
#: What the application was told of, and is judged there.
_KNOWN: Final = re.compile(r" ERROR syncline\.sync (syncline-\S+|MainThread): ")
#: Of a client: its Realm, what synced Realms keep beside them, what the soak itself wrote.
_FILES: Final = re.compile(
    r"all\.realm(\.lock|-wal|-shm)?|journal|client\.log|notes-\d+\.jsonl"
    r"|sync/realm-object-server/io\.realm\.object-server-utility/metadata/sync_metadata\.realm(\.joining)?(\.lock)?"
)
_SHOWN: Final = 5
_PATIENCE_S: Final = 10.0


def find_leftovers(stage: Stage) -> None:
    """Note everything that is there and should not be. The clients have ended; the server is ended here."""
    server = stage.server
    _wait(lambda: not server.health()["open_realms"])
    if left := server.health()["open_realms"]:
        stage.find("the server", f"{left} Realms bound, though nobody is there")
    _wait(lambda: server.sockets() <= server.own_sockets)
    if (left := server.sockets() - server.own_sockets) > 0:
        stage.find("the server", f"{left} connections left, though nobody is there")
    status = server.stop()
    if status != 0:
        stage.find("the server", f"ended with status {status} when it was asked to stop")
    if (server.folder / "server" / "server.json").exists():
        stage.find("the server", "left its server.json behind")
    for line in surprises(server.log):
        stage.find("log of the server", line)
    for member in stage.members:
        for line in surprises(member.log):
            stage.find(f"log of {member.name}", line)
        for name in _unknown_files(member.folder):
            stage.find(member.name, f"left the file {name} behind")


def _wait(condition: Callable[[], bool]) -> None:
    """Until ``condition`` holds, or it has had its time."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def surprises(log: Path) -> list[str]:
    """Lines of a log that should not be there, the first ones."""
    found = []
    with log.open(errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if _ALARMING.search(line) and not _KNOWN.search(line):
                found.append(f"line {number}: {line.rstrip()[:300]}")
    return found[:_SHOWN] + ([f"… and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else [])


def _unknown_files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not _FILES.fullmatch(name):
            yield name
