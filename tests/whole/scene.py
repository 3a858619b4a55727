"""A server and its clients as real processes, each in a folder of its own, and what to ask of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.whole.writer import SIZE

from syncline.testing.processes import DeviceProcess, ServerProcess

__all__ = ["PATH", "Scene", "numbers", "torn"]

WRITER = str(Path(__file__).with_name("writer.py"))
PATH = "/restart/records"


class Scene:
    """A server and its clients, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = ServerProcess(folder / "server")
        self.clients: list[DeviceProcess] = []
        self._others: list[ServerProcess] = []

    def client(self, author: int) -> DeviceProcess:
        """Start the client of that number, for the first time or again."""
        home = self.folder / f"client-{author}"
        home.mkdir(exist_ok=True)
        process = DeviceProcess([WRITER, str(home), self.server.url, PATH, str(author)], str(author))
        self.clients.append(process)
        return process

    def another_server(self, folder: Path) -> ServerProcess:
        """A second server, on a folder of its own."""
        self._others.append(ServerProcess(folder))
        return self._others[-1]

    def settle(self, *clients: DeviceProcess) -> dict[str, Any]:
        """Wait until all clients have sent and received everything; compare with the server; the common state."""
        for direction in ("upload", "download"):
            for client in clients:
                client.do("sync", direction=direction)
        states = [client.do("state") for client in clients]
        assert {state["hash"] for state in states} == {self.server.content_hash(PATH)}
        assert torn(states[0]) == {}
        return dict(states[0])

    def stop(self) -> None:
        for client in self.clients:
            client.stop()
        for server in [self.server, *self._others]:
            server.stop()


def torn(state: dict[str, Any]) -> dict[str, int]:
    """Transactions of which only a part is there."""
    return {name: count for name, count in state["transactions"].items() if count != SIZE}


def numbers(state: dict[str, Any], author: int) -> list[int]:
    """The transactions of one author that are there."""
    names = (name.split("/") for name in state["transactions"])
    return sorted(int(number) for name, number in names if int(name) == author)
