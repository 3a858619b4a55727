"""Recorded histories of three realm-core clients, their uploads sent to a real server over real sockets.

What each client is sent must be what realm-core's server sent to it, byte for byte, and the server's state at the end
what realm-core's clients held (tests/vectors/merges_long.jsonl.gz, mode ``turns``).

``SYNCLINE_HISTORIES=all`` plays all of them instead of some.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.wire import Wire
from tests.whole.bare_socket import BareSocket

from syncline.changesets.changeset import UploadChangeset, UploadCursor
from syncline.protocol import encode_upload_entries
from syncline.protocol.from_client import build_upload
from syncline.testing.processes import ServerProcess
from syncline.testing.vector_files import read_cases, read_fixtures

VECTORS = Path(__file__).parents[1] / "vectors"
EVERY = 1 if os.environ.get("SYNCLINE_HISTORIES") == "all" else 5
#: Versions that the fixture takes at the server.
FIXTURE_VERSIONS = 2


def histories() -> list[Any]:
    """Those that are determined by their events, and in which realm-core loses nothing (vectors/NOTES.md)."""
    cases = [case.fields for case in read_cases(VECTORS / "merges_long.jsonl.gz")]
    return [case for case in cases if case["mode"] == "turns" and not case.get("mixed_list_move")][::EVERY]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    yield process
    process.stop()


@pytest.fixture(scope="module")
def bases() -> dict[int, list[Any]]:
    return {number: fixture["base"] for number, fixture in read_fixtures(VECTORS / "fixtures.json").items()}


class Client:
    """One client file of one Realm: connects, sends what it is given, takes what it gets, and disconnects."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._path = path
        self.wire: Any = None
        self.received: list[Any] = []

    def sync(self, uploads: list[UploadChangeset]) -> None:
        """Send changesets, and read everything that the server has."""
        bare = BareSocket(self._port)
        assert bare.upgrade("/realm-sync?baas_at=token").status == 101

        def receive() -> bytes:
            frame = bare.receive()
            assert frame is not None, "the server closed the connection"
            return frame.data

        wire = Wire(bare.send, receive)
        if self.wire is not None:
            wire.file, wire.position = self.wire.file, self.wire.position
        wire.start(self._path)
        wire.until_complete()
        if uploads:
            last = uploads[-1]
            cursor = UploadCursor(last.client_version, last.last_integrated_server_version)
            bare.send(build_upload(1, cursor, wire.position[0], encode_upload_entries(uploads)))
            wire.until_acknowledged(last.client_version)
        wire.until_complete(2)
        bare.close()
        self.received += wire.downloaded
        self.wire = wire


@pytest.mark.parametrize("case", histories(), ids=lambda case: case["id"])
def test_clients_are_sent_what_realm_core_sent_them(
    server: ServerProcess, bases: dict[int, list[Any]], case: Any
) -> None:
    path = f"/histories/{case['id']}"
    clients = {name: Client(server.port, path) for name in case["idents"]}
    for name, client in clients.items():
        client.sync([])
        assert client.wire.file.ident == case["idents"][name]
    author = Client(server.port, path)
    author.sync([upload(form, number, 0) for number, form in enumerate(bases[case["fixture"]], 1)])
    for client in clients.values():
        client.sync([])
        client.received.clear()
    play(case, clients)
    for name, client in clients.items():
        sent = [form["client_version"] for form in case["uploaded"][name]]
        theirs = [comparable(form, form["client_version"], sent) for form in case["received"][name]]
        ours = [
            comparable(
                entry._asdict() | {"changeset": entry.changeset.hex()}, entry.last_integrated_client_version, sent
            )
            for entry in client.received
        ]
        assert ours == theirs, f"client {name}"
    assert server.content_hash(path) == hash_of(case["final"])


def hash_of(state: Any) -> str:
    text = json.dumps(state, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def play(case: Any, clients: dict[str, Client]) -> None:
    """The events in their order; at the end everybody syncs, and takes what that brought."""
    waiting = {name: list(case["uploaded"][name]) for name in clients}
    committed = dict.fromkeys(clients, 0)
    events = [*case["events"], *({"event": "sync", "client": name} for name in [*clients, *clients])]
    for event in events:
        name = event["client"]
        if event["event"] == "commit":
            committed[name] = event["version"]
            continue
        forms = [form for form in waiting[name] if form["client_version"] <= committed[name]]
        del waiting[name][: len(forms)]
        clients[name].sync([upload(form, form["client_version"], form["server_version"]) for form in forms])
    assert not any(waiting.values())


def upload(form: Any, client_version: int, server_version: int) -> UploadChangeset:
    data = bytes.fromhex(form["changeset"])
    return UploadChangeset(client_version, server_version, form["origin_timestamp"], 0, data)


def comparable(entry: Any, integrated: int, sent: list[int]) -> object:
    """What must be equal of a received changeset; ``integrated`` counts as the number of own uploads it covers.

    The fixture took other client versions here than in the recording.
    """
    covered = sum(version <= integrated for version in sent)
    return (entry["server_version"], entry["origin_timestamp"], entry["origin_file_ident"], covered, entry["changeset"])
