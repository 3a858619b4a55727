"""Three clients and a server: the traces of spec/merge.md §12.3, step by step, and recorded histories."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.merge.model import State
from tests.merge.notation import contents, expected, instructions, state
from tests.merge.peers import Client, Entry, Server

from syncline.changesets.changeset import DownloadCursor, UploadChangeset, UploadCursor
from syncline.changesets.codec import decode
from syncline.changesets.instructions import CreateObject, Instruction
from syncline.testing.vector_files import read_cases

_ROOT = Path(__file__).parents[2]


# --- the traces of the specification ----------------------------------------------------------------------------------


def _traces() -> dict[str, str]:
    """The text of each trace by its name."""
    text = (_ROOT / "docs" / "spec" / "merge.md").read_text()
    parts = re.split(r"^#### (E\d+)\.", text.partition("### 12.3")[2].partition("## 13.")[0], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


_TRACES = _traces()


class _Stage:
    """The peers of one trace, after the base was uploaded by client 2 and integrated by all."""

    def __init__(self, base: str) -> None:
        self.server = Server(State())
        self.clients = {ident: Client(ident) for ident in (2, 3, 4)}
        self.clients[2].commit(1, _making(base))
        self.clients[2].send(self.server)
        for client in self.clients.values():
            client.receive(self.server)
            client.upload = UploadCursor(client.version, 1)

    def play(self, step: str, where: str, what: str) -> None:
        """Do one line of the trace and compare what it tells."""
        numbers = [int(number) for number in re.findall(r"\d+", where)]
        ident = int(re.search(r"(?:client|from) (\d+)", step)[1])
        client = self.clients[ident]
        if "commits" in step:
            client.commit(int(re.search(r"ts (\d+)", step)[1]), instructions(what))
            assert numbers == [client.version, client.history.entries[-1].other_version]
        elif "server integrates" in step:
            upload, _ = client.uploadable()
            client.send(self.server, 1)
            assert numbers == [upload[0].client_version, upload[0].last_integrated_server_version, self.server.version]
            assert _decoded(self.server.log[-1].changeset) == expected(what)
        elif "kept for client" in step:
            reciprocals = self.server.files[ident].history.reciprocals
            assert _decoded(reciprocals[numbers[0]]) == expected(what)
        elif "downloads" in step:
            (sent,) = client.receive(self.server, 1)
            shown = [sent.server_version, sent.last_integrated_client_version, sent.origin_timestamp]
            assert numbers == [*shown, sent.origin_file_ident]
            sent_text, applied_text = what.removeprefix("sent: ").split("<br>applied: ")
            assert _decoded(sent.changeset) == expected(sent_text)
            assert contents(client.applied) == expected(applied_text)
        else:
            assert "kept at client" in step
            assert _decoded(client.history.reciprocals[numbers[0]]) == expected(what)


def _making(base: str) -> list[Instruction]:
    """Instructions that make the base state of a trace."""
    made: list[Instruction] = []
    for key, fields in state(base).items():
        made.append(CreateObject("T", key))
        for name, value in fields.items():
            if isinstance(value, list):
                made += instructions("; ".join(f"Ins {key}.{name}[{n}]={v} ⟨{n}⟩" for n, v in enumerate(value)))
            elif isinstance(value, int):
                made += instructions(f"Set {key}.{name}={value}")
    return made


def _decoded(data: bytes) -> list[list[tuple[Any, ...]]]:
    return contents([decode(data)])


@pytest.mark.parametrize("name", _TRACES)
def test_trace(name: str) -> None:
    text = _TRACES[name]
    stage = _Stage(re.search(r"^Base \(.*?\): (.*)\.$", text, re.MULTILINE)[1])
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| step"):
            step, where, what = [cell.strip() for cell in line.strip("|").split("|")]
            stage.play(step.removeprefix("&nbsp;&nbsp;"), where, what)
    final = state(re.search(r"^Final on server and all clients: (.*)\.$", text, re.MULTILINE)[1])
    for peer in (stage.server, *stage.clients.values()):
        assert peer.state is not None
        shown = {
            key: {name: peer.state.objects[key][name] for name in fields}
            for key, fields in final.items()
            if key in peer.state.objects
        }
        assert shown == final


def test_the_specification_has_all_traces() -> None:
    assert list(_TRACES) == [f"E{n}" for n in range(60, 67)]


# --- recorded histories (tests/vectors/merges_long.jsonl.gz) ----------------------------------------------------------

#: Server version, origin timestamp, origin ident, changeset.
_Sent = tuple[int, int, int, str]


def _replay(case: Mapping[str, Any]) -> dict[str, list[_Sent]]:
    """What our server sends to each client, given what the clients uploaded."""
    server = Server()
    server.log += [Entry(0, 0, 0, b""), Entry(0, 0, 0, b"")]  # versions 1 and 2 are the fixture
    idents: dict[str, int] = case["idents"]
    cursors = dict.fromkeys(idents, DownloadCursor(2, 0))
    committed = dict.fromkeys(idents, 0)
    sent: dict[str, list[_Sent]] = {name: [] for name in idents}
    for event in case["events"]:
        name = event["client"]
        if event["event"] == "commit":
            committed[name] = event.get("version", committed[name])
            continue
        uploads = [_upload(entry) for entry in case["uploaded"][name] if entry["client_version"] <= committed[name]]
        server.integrate(idents[name], uploads, UploadCursor(committed[name], cursors[name].server_version))
        found, cursors[name] = server.scan(idents[name], cursors[name])
        sent[name] += [(e.server_version, e.origin_timestamp, e.origin_file_ident, e.changeset.hex()) for e in found]
    return sent


def _upload(entry: Mapping[str, Any]) -> UploadChangeset:
    data = bytes.fromhex(entry["changeset"])
    return UploadChangeset(entry["client_version"], entry["server_version"], entry["origin_timestamp"], 0, data)


def _received(entry: Mapping[str, Any]) -> _Sent:
    return entry["server_version"], entry["origin_timestamp"], entry["origin_file_ident"], entry["changeset"]


def test_recorded_histories() -> None:
    """One client at a time is connected: what each receives is determined by what was sent."""
    seen = 0
    for case in read_cases(_ROOT / "tests" / "vectors" / "merges_long.jsonl.gz"):
        if case.fields["mode"] == "turns":
            received = {name: [_received(entry) for entry in part] for name, part in case.fields["received"].items()}
            assert _replay(case.fields) == received, case.name
            seen += 1
    assert seen > 200
