"""Plays recorded histories of three realm-core clients with three peer processes and a real server.

The events are the recorded ones; what the clients do follows from them alone (tests/vectors/merges_long.jsonl.gz).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from tests.server.wire import Wire
from tests.whole.bare_socket import BareSocket

from syncline.changesets.changeset import UploadChangeset, UploadCursor
from syncline.changesets.codec import decode
from syncline.protocol import encode_upload_entries
from syncline.protocol.from_client import build_upload
from syncline.testing.live.peer_process import PeerProcess
from syncline.testing.vector_keys import KeyNames

__all__ = ["Ending", "play_recorded"]

Json: TypeAlias = Any

_WAIT_S: Final = 60
#: How long a commit waits for what its client had integrated when it was recorded, in seconds.
_PATIENCE_S: Final = 0.5


class Ending(NamedTuple):
    """How a history ended: the dump of one client in the recording's keys, the hashes of all, and whether every commit
    was made on what it was made on then, and the server took them in the same order."""

    dump: Json
    hashes: dict[str, str]
    is_as_recorded: bool


def play_recorded(case: Json, base: Sequence[Json], peers: Mapping[str, PeerProcess], port: int) -> Ending:
    """Play ``case`` from its fixture's state, which ``base`` leads to, in a Realm of its own."""
    return _Recorded(case, peers, port).run(base)


class _Recorded:
    def __init__(self, case: Json, peers: Mapping[str, PeerProcess], port: int) -> None:
        self._case = case
        self._peers = peers
        self._port = port
        self._db = case["id"].replace("/", "_")
        self._path = f"/recorded/{case['id']}"
        self._connected: set[str] = set()
        self._bases: dict[str, list[int]] = {name: [] for name in case["idents"]}
        self._committed = dict.fromkeys(case["idents"], 0)

    def run(self, base: Sequence[Json]) -> Ending:
        for name in self._case["idents"]:
            self._do(name, "open", file=f"{self._db}-{name}.realm")
            self._sync(name)
            assert self._do(name, "history")["ident"] == self._case["idents"][name]
        self._upload(base)
        for name in self._case["idents"]:
            self._sync(name)
        for event in self._case["events"]:
            getattr(self, f"_{event['event']}_event")(event["client"], event)
        return self._end()

    # --- events -------------------------------------------------------------------------------------------------------

    def _commit_event(self, name: str, event: Json) -> None:
        """A transaction; what does not fit the state, which may be another than the recorded one, is left out."""
        self._await_recorded_base(name)
        self._do(name, "begin")
        before = self._do(name, "history")
        results = [self._peers[name].ask(op["op"], db=self._db, **_operands(op)) for op in event["ops"]]
        self._do(name, "commit", ts=event["ts"])
        if self._case["mode"] == "turns":
            assert all(result["ok"] for result in results), results
        if len(self._do(name, "history")["changesets"]) != len(before["changesets"]) or name in self._connected:
            self._bases[name].append(before["progress"]["download"]["server_version"])
        self._committed[name] += 1

    def _sync_event(self, name: str, _event: Json) -> None:
        self._sync(name)

    def _connect_event(self, name: str, _event: Json) -> None:
        """The recorded driver connected who was connected, and waited for who was not, without effect."""
        if name in self._connected:
            return
        self._do(name, "connect", host="127.0.0.1", port=self._port, path=self._path)
        self._connected.add(name)

    def _flush_event(self, name: str, _event: Json) -> None:
        if name in self._connected:
            self._do(name, "wait_sync", timeout_s=_WAIT_S)

    def _disconnect_event(self, name: str, _event: Json) -> None:
        if name in self._connected:
            self._do(name, "disconnect")
            self._connected.discard(name)

    def _await_recorded_base(self, name: str) -> None:
        """What the client had integrated when it was recorded; more of it cannot be helped."""
        uploads = self._case["uploaded"][name]
        number = len(self._bases[name])
        if name not in self._connected or number >= len(uploads):
            return
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            if self._integrated(name) >= uploads[number]["server_version"]:
                return
            time.sleep(0.005)

    def _integrated(self, name: str) -> int:
        return int(self._do(name, "history")["progress"]["download"]["server_version"])

    # --- beginning and end --------------------------------------------------------------------------------------------

    def _upload(self, base: Sequence[Json]) -> None:
        """Somebody else brings the fixture's state to the server."""
        bare, wire = self._observer()
        entries = [
            UploadChangeset(number, 0, form["origin_timestamp"], 0, bytes.fromhex(form["changeset"]))
            for number, form in enumerate(base, 1)
        ]
        bare.send(build_upload(1, UploadCursor(len(base), 0), wire.position[0], encode_upload_entries(entries)))
        wire.until_acknowledged(len(base))
        bare.close()

    def _observer(self) -> tuple[BareSocket, Wire]:
        bare = BareSocket(self._port)
        assert bare.upgrade("/realm-sync?baas_at=token").status == 101

        def receive() -> bytes:
            frame = bare.receive()
            assert frame is not None, "the server closed the connection"
            return frame.data

        wire = Wire(bare.send, receive)
        wire.start(self._path)
        wire.until_complete()
        return bare, wire

    def _end(self) -> Ending:
        """Everybody uploads everything, then downloads everything."""
        names = list(self._peers)
        for name in names:
            if name not in self._connected:
                self._connect_event(name, None)
        for cmd in ("wait_upload", "wait_download"):
            for name in names:
                self._do(name, cmd, timeout_s=_WAIT_S)
        dump = self._do(names[0], "dump")["dump"]
        hashes = {name: self._do(name, "hash")["hash"] for name in names}
        for name in names:
            assert self._do(name, "history")["changesets"] == []
            assert self._do(name, "errors")["errors"] == []
            self._do(name, "close")
        theirs = {form["server_version"]: form for forms in self._case["received"].values() for form in forms}
        bare, wire = self._observer()
        bare.close()
        ours = {entry.server_version: entry for entry in wire.downloaded}
        is_as_recorded = self._has_recorded_bases() and all(
            version in ours and _origin_of(ours[version]._asdict()) == _origin_of(form)
            for version, form in theirs.items()
        )
        names_of_keys = KeyNames()
        if is_as_recorded:
            for version, form in theirs.items():
                recorded = decode(bytes.fromhex(form["changeset"]))
                names_of_keys.learn(recorded.instructions, decode(ours[version].changeset).instructions)
        return Ending(names_of_keys.rename_state(dump), hashes, is_as_recorded)

    def _has_recorded_bases(self) -> bool:
        return all(
            [form["server_version"] for form in uploads] == self._bases[name]
            for name, uploads in self._case["uploaded"].items()
        )

    def _sync(self, name: str) -> None:
        self._connect_event(name, None)
        self._do(name, "wait_sync", timeout_s=_WAIT_S)
        self._disconnect_event(name, None)

    def _do(self, name: str, cmd: str, **fields: Json) -> Json:
        return self._peers[name].do(cmd, db=self._db, **fields)


def _origin_of(entry: Mapping[str, Json]) -> tuple[int, int]:
    return entry["origin_file_ident"], entry["origin_timestamp"]


def _operands(operation: Json) -> dict[str, Json]:
    return {key: value for key, value in operation.items() if key != "op"}
