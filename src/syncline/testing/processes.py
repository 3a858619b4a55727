"""Real processes to test with: an object server that can be killed, and devices that take orders."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

__all__ = ["DeviceProcess", "ProcessFailed", "ServerProcess", "free_port"]

#: How long a process may take to start or to answer, in seconds.
PATIENCE_S = 180.0


class ProcessFailed(Exception):
    """A process did not do what it was told; the message has its last words."""


def free_port() -> int:
    """A loopback TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """``syncline serve --dev`` on a loopback port with a data folder; may be killed and started again."""

    def __init__(self, folder: Path, port: int | None = None, environment: Mapping[str, str] | None = None) -> None:
        """``environment``: of the process, by default that of this one."""
        self.folder = folder
        self._environment = environment
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.peak_memory = 0
        self._log = folder.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and return when it answers."""
        command = [sys.executable, "-m", "syncline.cli.main", "serve", "--dev", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--data", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                httpx.get(f"{self.url}/health", timeout=5).raise_for_status()
                return
            except httpx.HTTPError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise ProcessFailed(f"the server did not start:\n{self._log.read_text()[-2000:]}") from None
                time.sleep(0.05)

    def kill(self) -> None:
        """End the server with signal 9, in the middle of whatever it does, and wait until it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def wait_killed(self) -> int:
        """Wait for the end of the process; its exit status (minus the signal's number, if a signal ended it)."""
        assert self._process is not None
        return self._process.wait(PATIENCE_S)

    def note_memory(self) -> None:
        """Read the largest amount of memory the process has used so far, in bytes (Linux; elsewhere it stays 0)."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                self.peak_memory = max(self.peak_memory, int(line.split()[1]) * 1024)

    def content_hash(self, path: str) -> str:
        """The content hash of the server's state of the Realm at ``path``."""
        answer = httpx.get(f"{self.url}/dev/realms{path}/hash", timeout=PATIENCE_S)
        answer.raise_for_status()
        return str(answer.json()["hash"])

    def stop(self) -> None:
        """End the server as an operator would: SIGTERM, then wait."""
        if self._process is not None and self._process.poll() is None:
            self.note_memory()
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class DeviceProcess:
    """A child process that speaks JSON lines (``demo_device``): one command, perhaps progress, one answer."""

    def __init__(self, command: list[str], name: str) -> None:
        self.name = name
        environment = dict(os.environ, PYTHONUNBUFFERED="1")
        self._process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.finish()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put({"failed": f"the process ended with status {self._process.wait()}"})

    def begin(self, do: str, **arguments: Any) -> None:
        """Send a command without waiting for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def wait_for_progress(self) -> dict[str, Any]:
        """The next progress line of the running command."""
        line = self._lines.get(timeout=PATIENCE_S)
        if "progress" not in line:
            raise ProcessFailed(f"device {self.name}: expected progress, got {line}")
        return line

    def finish(self, on_progress: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
        """Wait for the answer of the running command. Raises ProcessFailed if the command failed."""
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE_S)
            except queue.Empty:
                raise ProcessFailed(f"device {self.name} gave no answer in {PATIENCE_S:.0f} s") from None
            if "done" in line:
                return dict(line["done"])
            if "failed" in line:
                raise ProcessFailed(f"device {self.name}: {line['failed']}")
            if on_progress is not None:
                on_progress(line)

    def do(
        self, do: str, on_progress: Callable[[dict[str, Any]], None] | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Run a command and return its answer."""
        self.begin(do, **arguments)
        return self.finish(on_progress)

    def kill(self) -> None:
        """End the process with signal 9, in the middle of whatever it does, and wait until it is gone."""
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def stop(self) -> None:
        """Close the command stream and wait for the process to end by itself."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
