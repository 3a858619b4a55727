"""PeerProcess: a peer of any implementation, driven over its standard input and output (tests/vectors/PEER.md)."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

__all__ = ["OURS", "PeerFailed", "PeerProcess"]

Json: TypeAlias = Any
Reply: TypeAlias = "dict[str, Json]"

#: The command that starts our own peer.
OURS: Final = (sys.executable, "-m", "syncline.testing.peer")

#: How long a reply may take beyond the time-out that the command itself has, in seconds.
_PATIENCE_S: Final = 120.0


class PeerFailed(Exception):
    """A peer refused a command, did not answer, or ended; ``reply`` is what it said, if anything."""

    def __init__(self, message: str, reply: Reply | None = None) -> None:
        super().__init__(message)
        self.reply = reply


class PeerProcess:
    """One process; ``start()`` runs it again after a kill."""

    def __init__(self, name: str, folder: Path, command: Sequence[str] = OURS) -> None:
        """``folder``: where it runs, so that file names are relative to it; its log goes to ``NAME.log`` there."""
        self.name = name
        self.command = tuple(command)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: queue.Queue[Reply | None] = queue.Queue()
        self.start()

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Run the process."""
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(os.environ, PYTHONUNBUFFERED="1"),
            )
        self._replies = queue.Queue()
        threading.Thread(target=_read, args=(self._process, self._replies), daemon=True).start()

    def send(self, cmd: str, **fields: Json) -> None:
        """Send a command without waiting for the reply. Raises PeerFailed if the process is not there."""
        self.send_line(json.dumps({"cmd": cmd, **fields}).encode())

    def send_line(self, line: bytes) -> None:
        """Send any line."""
        process = self._process
        if process is None or process.stdin is None:
            raise PeerFailed(f"peer {self.name} does not run")
        try:
            process.stdin.write(line + b"\n")
            process.stdin.flush()
        except OSError as error:
            raise PeerFailed(f"peer {self.name} has ended: {error}; see its log {self.name}.log") from error

    def receive(self, timeout: float = _PATIENCE_S) -> Reply:
        """The next reply, whatever it says. Raises PeerFailed if none comes."""
        try:
            reply = self._replies.get(timeout=timeout)
        except queue.Empty:
            raise PeerFailed(f"peer {self.name} gave no reply within {timeout:.0f} s") from None
        if reply is None:
            raise PeerFailed(f"peer {self.name} has ended; see its log {self.name}.log")
        return reply

    def ask(self, cmd: str, **fields: Json) -> Reply:
        """Send a command and return the reply, whatever it says."""
        self.send(cmd, **fields)
        return self.receive(_PATIENCE_S + fields.get("timeout_s", 0))

    def do(self, cmd: str, **fields: Json) -> Reply:
        """Send a command that must succeed. Raises PeerFailed."""
        reply = self.ask(cmd, **fields)
        if not reply.get("ok"):
            raise PeerFailed(f"peer {self.name}: {cmd}: {reply.get('type')}: {reply.get('error')}", reply)
        return reply

    def kill(self) -> None:
        """End the process with signal 9, in the middle of whatever it does, and wait until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(_PATIENCE_S)
            _close(process)

    def stop(self, patience_s: float = 60.0) -> int:
        """Close its input and wait for the process to end by itself; its exit status. Raises PeerFailed."""
        process, self._process = self._process, None
        if process is None:
            return 0
        _close(process)
        try:
            return process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_PATIENCE_S)
            raise PeerFailed(f"peer {self.name} did not end when its input was closed") from None


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.close()
    except OSError:  # it ended with unread input
        return


def _read(process: subprocess.Popen[bytes], replies: queue.Queue[Reply | None]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            try:
                reply = json.loads(line)
            except ValueError:
                reply = {"ok": False, "type": "NotAReply", "error": f"not a line of JSON: {line[:200]!r}"}
            replies.put(reply)
    replies.put(None)
