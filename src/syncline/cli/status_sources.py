"""Where ``syncline status`` takes what it shows from: sockets of running processes, and Realm files on disk.

Sessions live in the processes of applications; those that show them are found by their sockets
(:mod:`syncline.sync.status_server`). Of every other file below the directory the cursors are read, and what is not
uploaded; that works while no process runs. Nothing is written to, and nobody is made to wait.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from syncline.errors import DecryptionFailedError, RealmError
from syncline.storage.file import RealmFile
from syncline.storage.locks import side_files
from syncline.sync.diagnostics import file_diagnostics
from syncline.sync.files import FileLayout
from syncline.sync.status_server import ask, status_sockets

__all__ = ["look"]

_MAX_FILES: Final = 1000
_SIDE_ENDINGS: Final = tuple(side_files(""))


def look(directory: Path, files: Sequence[Path], encryption_key: bytes | None) -> dict[str, Any]:
    """Everything there is to see now, as JSON can hold it.

    ``processes``: the diagnostics of managers; ``unanswered``: sockets of processes that did not answer; ``files``: the
    diagnostics of files that no session of those processes is for, or what is wrong with them. ``is_synced``: whether
    another process syncs the file all the same, None where that cannot be known.
    """
    processes, unanswered = _processes(FileLayout(directory))
    shown = {os.path.realpath(session["path"]) for process in processes for session in process.get("sessions", [])}
    found = [
        _file(path, encryption_key) for path in _candidates(directory, files) if os.path.realpath(path) not in shown
    ]
    return {
        "time": datetime.now(UTC).isoformat(),
        "directory": str(directory),
        "processes": processes,
        "unanswered": unanswered,
        "files": [file for file in found if file is not None],
    }


def _processes(layout: FileLayout) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """What processes answer, and those that live but do not answer."""
    answers: list[dict[str, Any]] = []
    unanswered: list[dict[str, str]] = []
    for path in status_sockets(layout.status_directory):
        try:
            answer = ask(path)
        except (ConnectionRefusedError, FileNotFoundError):
            continue  # was killed: the next manager tidies up
        except (OSError, ValueError) as error:
            unanswered.append({"socket": str(path), "problem": str(error) or type(error).__name__})
        else:
            if answer:
                answers.append(answer)
    return answers, unanswered


def _candidates(directory: Path, files: Sequence[Path]) -> Iterator[Path]:
    yield from files
    root = FileLayout(directory).root
    places = [
        *(path for path in sorted(root.glob("*/*")) if not path.parent.name.startswith("io.realm.")),
        *sorted(directory.glob("mongodb-realm/*/*.realm")),
        *sorted(directory.glob("mongodb-realm/*/*/*.realm")),
    ]
    found = (path for path in places if path.is_file() and not path.name.endswith(_SIDE_ENDINGS))
    yield from islice(found, _MAX_FILES)


def _file(path: Path, encryption_key: bytes | None) -> dict[str, Any] | None:
    """What a file tells; None if it is no synced Realm."""
    try:
        file = RealmFile.open(path, encryption_key=encryption_key, read_only=True, create=False)
    except DecryptionFailedError:
        return {"path": str(path), "problem": "encrypted with another key: give it as SYNCLINE_ENCRYPTION_KEY"}
    except RealmError as error:
        return {"path": str(path), "problem": str(error)}
    try:
        if not file.keeps_history:
            return None
        return {**file_diagnostics(file).to_dict(), "is_synced": file.has_sync_agent}
    except RealmError as error:
        return {"path": str(path), "problem": str(error)}
    finally:
        file.close()
