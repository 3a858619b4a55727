"""The server process: ``syncline serve --dev`` with a clock that can be set, behind relays it knows nothing of."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from syncline.testing.processes import PATIENCE_S, ProcessFailed, free_port
from syncline.testing.soak import clock, nursery

__all__ = ["SETTINGS", "Server", "run_server"]

#: Tokens that end while the soak runs, and no limits on how often everybody may come back.
SETTINGS: Final[Mapping[str, Any]] = {
    "dev": True,
    "host": "127.0.0.1",
    "access_token_lifetime": 60,
    "token_grace": 20,
    "logins_per_minute": 100_000,
    "registrations_per_hour": 100_000,
    "refreshes_per_minute": 100_000,
    "upgrades_per_minute": 1_000_000,
    "user_upgrades_per_minute": 1_000_000,
    "login_failures": 100_000,
    "argon2_memory": 1024,
    "argon2_passes": 1,
}


def run_server(data: Path, port: int, clock_path: Path, log: Path) -> None:
    """What the process does."""
    _log_to(log)
    clock.install()
    clock.follow(clock_path)
    from syncline.server import serve
    from syncline.server.settings import Settings

    serve._url = lambda settings, port: ""  # clients stay with the address they came by
    sys.exit(serve.main(Settings(data=data, port=port, **SETTINGS)))


def _log_to(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


class Server:
    """The server, as the stage sees it: killed, started again on the same port and data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.clock = clock.Clock(folder / "server.clock")
        self.log = folder / "server.log"
        self._process: BaseProcess | None = None
        self.start()
        time.sleep(0.1)  # the connection that asked whether it answers goes
        #: sockets that are open though nobody is connected, where the system tells
        self.own_sockets = self.sockets()

    def start(self) -> None:
        """Start it and return when it answers. Raises ProcessFailed."""
        data = self.folder / "server"
        process = nursery.start(run_server, "server", data, self.port, self.clock.path, self.log)
        self._process = process
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            if not process.is_alive() or time.monotonic() > deadline:
                raise ProcessFailed(f"the server did not start; see {self.log}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            self.health()
        except (OSError, http.client.HTTPException):
            return False
        return True

    def health(self) -> dict[str, Any]:
        """What it says of itself."""
        return self._get("/health")

    def content_hash(self, path: str) -> str:
        """The content hash of the Realm at ``path``, by the server's own state."""
        return str(self._get(f"/dev/realms{path}/hash")["hash"])

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return dict(answer)

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def sockets(self) -> int:
        """How many sockets it has, where the system tells."""
        return len([name for name in nursery.descriptors(self.pid).values() if name.startswith("socket:")])

    def kill(self) -> None:
        """End it with signal 9."""
        assert self._process is not None
        self._process.kill()
        nursery.ended(self._process, PATIENCE_S)

    def stop(self) -> int | None:
        """End it as an operator would; the exit status, None if it does not end."""
        assert self._process is not None
        if self._process.is_alive():
            os.kill(self.pid, signal.SIGTERM)
        status = nursery.ended(self._process, 30)
        if status is None:
            self.kill()
        return status
