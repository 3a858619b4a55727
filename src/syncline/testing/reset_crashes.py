"""Programs that die in the middle of a client reset, anywhere in it, and what the next start makes of it.

    python -m syncline.testing.reset_crashes                          every line, both modes: minutes
    python -m syncline.testing.reset_crashes --every 10 --mode recover

A device is a process of its own, forked from one that has everything imported, and syncs with a real server that does
not know its file: so it is reset. It kills itself with signal 9 where it is told to: at the n-th line of the modules of
the reset that it executes, or when it calls a function of them. Nothing in the product knows of that: Python's trace
function does it. Then another process opens the same file, without dying, and has to finish what the first one began
(spec/sessions.md §21.7: "interrupted between every two steps of 12.3 → next start completes").
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from contextlib import closing, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple

from syncline import (
    ClientResetError,
    ClientResetMode,
    Field,
    Model,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    session_for_realm,
)
from syncline.errors import InvalidSessionError
from syncline.storage import history
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.sync import client_reset, fresh_copy, reset_report, reset_tracking, session_core
from syncline.sync.fresh_copy import has_leftover
from syncline.sync.reset_tracking import has_record
from syncline.testing.processes import PATIENCE_S, ServerProcess

__all__ = ["STEPS", "Devices", "Outcome", "every_line", "main"]

_REALM: Final = "/reset-crashes"
_UNKNOWN_IDENT: Final = 999_999
_FILES: Final = {module.__file__ for module in (client_reset, fresh_copy, reset_report, reset_tracking)}
_WAIT_S: Final = 60.0

#: The functions whose calls divide a reset into its steps, in order; ``ClientReset._tell`` only when recovering.
STEPS: Final = (
    "ClientReset.start",  # the server refused the file
    "FreshCopy._open",
    "FreshCopy._download",  # the fresh copy is there, empty
    "FreshCopy._end",  # … and complete
    "ClientReset._perform",
    "_Callbacks.before",
    "ClientReset._note_attempt",
    "ClientReset._take_over",  # after commit 1
    "ClientHistory.rewrite_in",  # the transfer is done
    "ClientReset._tell",
    "_Callbacks.after",  # after commit 2
    "FreshCopy.close",
    "SessionCore.reset_ended",
    "_forget",  # the server has everything
    "forget_in",
    "Acknowledgement._forgotten",
)
_ELSEWHERE: Final = {"SessionCore.reset_ended": session_core.__file__, "ClientHistory.rewrite_in": history.__file__}


class Item(Model):
    """What the devices write."""

    id: int = Field(primary_key=True)
    text: str


class Outcome(NamedTuple):
    """What a device found at its end. ``is_marked``: an attempt is noted still; ``resets``: begun in this process."""

    items: dict[int, str]
    errors: list[str]
    is_marked: bool
    has_fresh_copy: bool
    resets: int
    lines: int


class Devices:
    """A server, a file that it once knew, and the process that devices are forked from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.server = ServerProcess(folder / "server")
        self._count = 0
        self._source = subprocess.Popen(
            [sys.executable, "-m", "syncline.testing.reset_crashes", "--fork-devices"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        template = self._folder("template")
        self.run(template, ClientResetMode.MANUAL)
        self._template = template

    def __enter__(self) -> Devices:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._source.stdin is not None
        self._source.stdin.close()
        self._source.wait(PATIENCE_S)
        self.server.stop()

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def refused(self) -> tuple[Path, int]:
        """A folder with a file that has an item nobody else has seen, and that the server does not know; its id."""
        self._count += 1
        number = 1000 + self._count
        folder = self.folder / f"device-{number}"
        shutil.copytree(self._template, folder)
        path = str(folder / "a.realm")
        with Realm.open(RealmConfiguration(path=path, schema=[Item])) as realm, realm.write():
            realm.create(Item, {"id": number, "text": "unsynced"})
        with closing(RealmFile.open(path)) as file:
            ClientHistory(file).set_file_ident(_UNKNOWN_IDENT, 1)
        return folder, number

    def run(
        self, folder: Path, mode: ClientResetMode, *, line: int = 0, call: str | None = None
    ) -> tuple[int, Outcome | None]:
        """Have a device open the file and sync until all is well, or die at ``line``, or at the first ``call``.

        Its exit status (−9: killed), and what it found at the end, unless it was killed.
        """
        order = {"folder": str(folder), "url": self.server.url, "mode": mode.name, "line": line, "call": call}
        assert self._source.stdin is not None
        assert self._source.stdout is not None
        self._source.stdin.write(json.dumps(order) + "\n")
        self._source.stdin.flush()
        status = int(self._source.stdout.readline())
        found = folder / "outcome.json"
        if not found.exists():
            return status, None
        told = json.loads(found.read_text())
        found.unlink()
        told["items"] = {int(number): text for number, text in told["items"].items()}
        return status, Outcome(**told)

    def check(self, mode: ClientResetMode, *, line: int = 0, call: str | None = None) -> list[str]:
        """Kill one device in its reset and start it again; what is wrong then."""
        folder, number = self.refused()
        status, killed = self.run(folder, mode, line=line, call=call)
        if killed is not None:
            return [f"was not killed, but ended with {status}"] if call is not None else []
        status, then = self.run(folder, mode)
        if then is None:
            return [f"the next start ended with {status}"]
        is_there = number in then.items
        wrong = {
            f"errors: {then.errors}": bool(then.errors),
            "an unsynced item is lost": mode is ClientResetMode.RECOVER_UNSYNCED_CHANGES and not is_there,
            "an unsynced item is still there": mode is ClientResetMode.DISCARD_UNSYNCED_CHANGES and is_there,
            "the item of the server is missing": 1 not in then.items,
            "an attempt is noted still": then.is_marked,
            "the fresh copy is still there": then.has_fresh_copy,
            f"{then.resets} resets": then.resets > 1,
        }
        shutil.rmtree(folder)
        return [what for what, is_so in wrong.items() if is_so]


# --- a device ---------------------------------------------------------------------------------------------------------


class _Trap:
    """Kills the process at a line or a call; counts the lines."""

    def __init__(self, line: int, call: str | None) -> None:
        self.lines = 0
        self._line = line
        self._call = call
        self._files = set(_FILES)
        if call in _ELSEWHERE:
            self._files.add(_ELSEWHERE[call])

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        if frame.f_code.co_qualname == self._call:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._trace if frame.f_code.co_filename in _FILES else None

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self.lines += 1
            if self.lines == self._line:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._trace


class _CountResets(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += ": client reset: " in record.getMessage()


def _device(order: dict[str, Any]) -> None:
    """Open the file and sync it until the server has everything and no reset is noted any more."""
    folder = Path(order["folder"])
    resets = _CountResets()
    logging.getLogger("syncline.sync.reset").addHandler(resets)
    trap = _Trap(order["line"], order["call"])
    threading.settrace(trap)  # for the threads to come
    sys.settrace(trap)
    manager = SyncManager(folder / "sync")
    errors: list[str] = []
    manager.error_handler = lambda error, session: errors.append(str(error))
    user = manager.log_in(SyncCredentials.access_token("t", "dev"), order["url"].replace("http", "ws", 1))
    mode = ClientResetMode[order["mode"]]
    is_reset = mode is not ClientResetMode.MANUAL
    sync = SyncConfiguration(
        user,
        _REALM,
        path=str(folder / "a.realm"),
        client_reset_mode=mode,
        before_client_reset=(lambda frozen: len(frozen.objects(Item))) if is_reset else None,
        after_client_reset=(lambda frozen, live, did_recover: len(live.objects(Item))) if is_reset else None,
    )
    with Realm.open(RealmConfiguration(schema=[Item], sync=sync)) as realm:
        if not is_reset:
            with realm.write():
                realm.create(Item, {"id": 1, "text": "synced"})
        session = session_for_realm(realm)
        assert session is not None
        with closing(RealmFile.open(realm.path)) as file:
            standing = ClientHistory(file)
            deadline = time.monotonic() + _WAIT_S
            while not errors:
                with suppress(ClientResetError, InvalidSessionError):  # the handler is told
                    session.wait_for_upload(_WAIT_S)
                    session.wait_for_download(_WAIT_S)
                if not (has_record(standing) or has_leftover(realm.path)) or time.monotonic() > deadline:
                    break
                time.sleep(0.005)
            realm.refresh()
            items = {item.id: item.text for item in realm.objects(Item)}
            found = Outcome(items, errors, has_record(standing), has_leftover(realm.path), resets.count, trap.lines)
    manager.close()
    (folder / "outcome.json").write_text(json.dumps(found._asdict()))


def _fork_devices() -> None:
    """Fork a device for each line of the standard input, and say how it ended."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _device(json.loads(line))
            except BaseException:  # noqa: BLE001 - the parent is told that it failed
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


# --- the command ------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Kill devices at every line; the exit status: 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m syncline.testing.reset_crashes", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only every so many lines")
    parser.add_argument("--mode", choices=["recover", "discard", "both"], default="both")
    parser.add_argument("--fork-devices", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.fork_devices:
        _fork_devices()
        return 0
    modes = [ClientResetMode.RECOVER_UNSYNCED_CHANGES, ClientResetMode.DISCARD_UNSYNCED_CHANGES]
    wanted = [mode for mode in modes if chosen.mode in ("both", mode.name.split("_")[0].lower())]
    failures = 0
    with tempfile.TemporaryDirectory() as folder, Devices(Path(folder) / "devices") as devices:
        for mode in wanted:
            failures += every_line(devices, mode, chosen.every)
    return 1 if failures else 0


def every_line(devices: Devices, mode: ClientResetMode, every: int) -> int:
    """Kill a device at ``every``-th line of its reset; how much was wrong. Reports to the standard output."""
    _, whole = devices.run(devices.refused()[0], mode)
    assert whole is not None
    failures = 0
    for line in range(1, whole.lines + 1, every):
        for wrong in devices.check(mode, line=line):
            failures += 1
            sys.stdout.write(f"{mode.name}, killed at line {line}: {wrong}\n")
    count = len(range(1, whole.lines + 1, every))
    sys.stdout.write(f"{mode.name}: killed at {count} of {whole.lines} lines, {failures} failures\n")
    return failures


if __name__ == "__main__":
    sys.exit(main())
