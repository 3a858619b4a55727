"""Stage: a server and peers, kept over many histories; every step of a history is carried out here, and logged.

A step is a JSON object, so that a log of steps is a history that can be played again::

    {"do": "command", "peer": "a", "command": {"cmd": "tx", …}}       a command of tests/vectors/PEER.md
    {"do": "kill" | "start", "peer": "a"}                            signal 9, and the process again
    {"do": "cut" | "cut_after" | "delay", "peer": "a", …}            the peer's connections
    {"do": "kill_server"} {"do": "start_server"} {"do": "sleep", "s": 0.1}
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias
from urllib.parse import urlsplit

from syncline.testing.live.peer_process import OURS, PeerProcess, Reply
from syncline.testing.live.proxy import Proxies, Proxy
from syncline.testing.processes import ServerProcess

__all__ = ["Stage", "Step"]

Json: TypeAlias = Any
Step: TypeAlias = "dict[str, Json]"

_NAMES: Final = "abcdefghijklmnopqrstuvwxyz"


class Stage:
    """Used as a context manager. ``peers`` by name; the names are those of their databases too."""

    def __init__(
        self, folder: Path, commands: Sequence[Sequence[str]] = (OURS,) * 3, server_url: str | None = None
    ) -> None:
        """Start a server of our own (unless ``server_url`` is given: ws://host:port) and one peer per command."""
        self.folder = folder
        self.own_server: ServerProcess | None = None
        if server_url is None:
            # Classes and properties are erased too; only an administrator may do that outside of development.
            environment = dict(os.environ, SYNCLINE_SCHEMA_CHANGES="admin")
            self.own_server = ServerProcess(folder / "server", environment=environment)
            server_url = f"ws://127.0.0.1:{self.own_server.port}"
        parts = urlsplit(server_url)
        self._proxies = Proxies(parts.hostname or "127.0.0.1", parts.port or 80)
        self.peers = {name: PeerProcess(name, folder, command) for name, command in zip(_NAMES, commands, strict=False)}
        self._relays: dict[str, Proxy] = {name: self._proxies.open() for name in self.peers}
        #: the history that is being played: its files are in the folder of that name, its Realm has it as its path
        self.name = ""
        #: the steps carried out since :meth:`begin`
        self.log: list[Step] = []
        # On a server that others use too, every run has Realms of its own.
        self._prefix = "" if self.own_server is not None else f"/live-{secrets.token_hex(6)}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        for peer in self.peers.values():
            peer.kill()
        self._proxies.close()
        if self.own_server is not None:
            self.own_server.stop()

    # --- steps --------------------------------------------------------------------------------------------------------

    def begin(self, name: str) -> None:
        """Begin a history in a folder of its own, with an empty log."""
        self.name = name
        self.log = []
        self.calm()
        shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / name).mkdir()

    def forget(self) -> None:
        """The history ended well: nobody will look at its files."""
        shutil.rmtree(self.folder / self.name, ignore_errors=True)

    def carry_out(self, step: Step) -> Reply:
        """Do one step; the reply of a command. Raises PeerFailed for a peer that does not answer."""
        logged = dict(step)
        self.log.append(logged)
        reply = _STEPS[step["do"]](self, step)
        if reply is not None and step["command"]["cmd"] not in ("dump", "hash", "history"):
            logged["reply"] = reply
        return reply or {}

    def command(self, peer: str, cmd: str, **fields: Json) -> Reply:
        """A command for one peer, and its reply."""
        return self.carry_out({"do": "command", "peer": peer, "command": {"cmd": cmd, "db": peer, **fields}})

    def command_all(self, peers: Sequence[str], cmd: str, **fields: Json) -> dict[str, Reply]:
        """One command for several peers at the same time; their replies."""
        for name in peers:
            self.peers[name].send(cmd, db=name, **fields)
        replies: dict[str, Reply] = {}
        for name in peers:
            replies[name] = self.peers[name].receive()
            step = {"do": "command", "peer": name, "command": {"cmd": cmd, "db": name, **fields}}
            self.log.append(step if cmd in ("dump", "hash", "history") else {**step, "reply": replies[name]})
        return replies

    def _command(self, step: Step) -> Reply:
        command = dict(step["command"])
        if command["cmd"] == "connect":  # through the relay, wherever that is today
            command["url"] = f"ws://127.0.0.1:{self._relays[step['peer']].port}"
            command["path"] = self._prefix + command["path"]
        return self.peers[step["peer"]].ask(**command)

    def _kill(self, step: Step) -> None:
        self.peers[step["peer"]].kill()

    def _start(self, step: Step) -> None:
        self.peers[step["peer"]].start()

    def _cut(self, step: Step) -> None:
        self._relays[step["peer"]].cut()

    def _cut_after(self, step: Step) -> None:
        self._relays[step["peer"]].cut_after(step["bytes"])

    def _delay(self, step: Step) -> None:
        self._relays[step["peer"]].delay(step["s"])

    def _kill_server(self, step: Step) -> None:
        assert self.own_server is not None
        self.own_server.kill()

    def _start_server(self, step: Step) -> None:
        assert self.own_server is not None
        self.own_server.start()

    def _sleep(self, step: Step) -> None:
        time.sleep(step["s"])

    def calm(self) -> None:
        """No delays and no cuts any more."""
        for relay in self._relays.values():
            relay.reset()


_STEPS: Final[Mapping[str, Callable[[Stage, Step], Reply | None]]] = {
    "command": Stage._command,
    "kill": Stage._kill,
    "start": Stage._start,
    "cut": Stage._cut,
    "cut_after": Stage._cut_after,
    "delay": Stage._delay,
    "kill_server": Stage._kill_server,
    "start_server": Stage._start_server,
    "sleep": Stage._sleep,
}
