"""Long merges: three clients with their histories and a server, replayed (tests/vectors/README.md).

Mode ``turns``: a sync takes in everything, then gives everything. Mode ``live``: when the clients exchanged what is not
in the events but follows from the vector: what a client had integrated when it committed stands in its upload, and the
order in which the server took the uploads in what the others received.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from syncline.changesets.codec import decode
from syncline.merge.observer import MergeObserver
from syncline.testing.vector_codec import instruction_list
from syncline.testing.vector_files import Mismatch, compare, normal_state
from syncline.testing.vector_keys import KeyNames
from syncline.testing.vector_peers import Client, Server
from syncline.testing.vector_states import Fixtures

__all__ = ["Replay", "check_long_merge", "replaying"]

Json: TypeAlias = Any

_IDENTS: Final = {"a": 2, "b": 3, "c": 4}
#: Versions that the fixture takes at the server.
_FIXTURE_VERSIONS: Final = 2


def check_long_merge(case: Mapping[str, Json], fixtures: Fixtures) -> None:
    """Uploads, downloads and the final state of all clients must be those of the vector."""
    with replaying(case, fixtures) as replay:
        replay.run()
        # the original loses content that stands in a moved element, so only convergence can be compared then
        exact = not case.get("mixed_list_move")
        if exact:
            replay.compare_uploads()
            replay.compare_downloads()
        replay.compare_states(case["final"] if exact else None)


@contextmanager
def replaying(case: Mapping[str, Json], fixtures: Fixtures, observer: MergeObserver | None = None) -> Iterator[Replay]:
    """The peers of a case, at the fixture's state; ``observer`` is told what the clients' merges decide."""
    idents: Mapping[str, int] = case.get("idents", _IDENTS)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncline-vectors-")))
        server = Server(folder / "server.realm", idents, fixtures.form(case["fixture"])["base"])
        stack.callback(server.close)
        clients: dict[str, Client] = {}
        for name, ident in idents.items():
            client = clients[name] = Client(ident, observer)
            stack.callback(client.close)
            client.download(server)
            client.received.clear()
        yield Replay(case, server, clients)


class Replay:
    """One case with its peers."""

    def __init__(self, case: Mapping[str, Json], server: Server, clients: Mapping[str, Client]) -> None:
        self._case = case
        self._server = server
        self._clients = clients
        self._names = KeyNames()
        self._leave_out_errors = False

    # --- running ----------------------------------------------------------------------------------------------------

    def run(self, leave_out_errors: bool = False) -> None:
        """Replay the events, then let everybody exchange everything. Raises BadChangesetError for a refusal.

        ``leave_out_errors``: skip operations that the original could do in the state it had, but nobody can in ours.
        """
        self._leave_out_errors = leave_out_errors
        if any(event["event"] == "sync" for event in self._case["events"]):
            self._run_turns()
        else:
            self._run_live()
        for client in self._clients.values():
            self._sync(client)
        for client in self._clients.values():
            client.download(self._server)

    def _sync(self, client: Client) -> None:
        client.download(self._server)
        while client.has_upload():
            client.upload(self._server)
        client.download(self._server)

    def _run_turns(self) -> None:
        for event in self._case["events"]:
            client = self._clients[event["client"]]
            if event["event"] == "commit":
                client.commit(event["ts"], event["ops"], self._leave_out_errors)
            elif event["event"] == "sync":
                self._sync(client)

    def _run_live(self) -> None:
        order = self._upload_order()
        for event in self._case["events"]:
            if event["event"] != "commit":
                continue
            name = event["client"]
            recorded = [form for form in self._case["uploaded"][name] if form["client_version"] == event.get("version")]
            if recorded:
                version = recorded[0]["server_version"]
                self._advance(order, version)
                self._clients[name].download(self._server, version)
            self._clients[name].commit(event["ts"], event["ops"], self._leave_out_errors)
        self._advance(order, _FIXTURE_VERSIONS + len(order))

    def _advance(self, order: Sequence[str], version: int) -> None:
        """Let the server take uploads, in the recorded order, up to ``version``."""
        while self._server.version < version:
            place = self._server.version - _FIXTURE_VERSIONS
            if place >= len(order) or not self._clients[order[place]].has_upload():
                return
            self._clients[order[place]].upload(self._server)

    def _upload_order(self) -> list[str]:
        """Whose upload made each server version after the fixture."""
        uploaded: Mapping[str, Sequence[Json]] = self._case["uploaded"]
        received: Mapping[str, Sequence[Json]] = self._case["received"]
        names = {client.ident: name for name, client in self._clients.items()}
        makers = {f["server_version"]: names[f["origin_file_ident"]] for forms in received.values() for f in forms}
        total = sum(len(forms) for forms in uploaded.values())
        remaining = {name: len(forms) for name, forms in uploaded.items()}
        for maker in makers.values():
            remaining[maker] -= 1
        order: list[str] = []
        for version in range(_FIXTURE_VERSIONS + 1, _FIXTURE_VERSIONS + total + 1):
            if version in makers:
                order.append(makers[version])
                continue
            # nothing was left of it, so nobody received it
            fitting = [name for name in remaining if remaining[name] and self._may_have_made(name, version, order)]
            if not fitting:
                return order
            remaining[fitting[0]] -= 1
            order.append(fitting[0])
        return order

    def _may_have_made(self, name: str, version: int, order: Sequence[str]) -> bool:
        """Does the next upload of a client fit between what it received before and after?"""
        number = sum(maker == name for maker in order)
        client_version = self._case["uploaded"][name][number]["client_version"]
        for form in self._case["received"][name]:
            if form["server_version"] < version and form["client_version"] >= client_version:
                return False
            if form["server_version"] > version and form["client_version"] < client_version:
                return False
        return True

    # --- comparing --------------------------------------------------------------------------------------------------

    def compare_uploads(self) -> None:
        """Every changeset as it was sent."""
        for name, client in self._clients.items():
            expected = self._case["uploaded"].get(name, [])
            compare(f"number of uploads of {name}", len(expected), len(client.uploaded))
            for number, (form, entry) in enumerate(zip(expected, client.uploaded, strict=True)):
                what = f"upload {number} of {name}"
                changeset = decode(bytes.fromhex(form["changeset"]))
                self._names.learn(changeset.instructions, decode(entry.changeset).instructions)
                self._compare_changesets(what, form["changeset"], entry.changeset)
                compare(f"{what}: server_version", form["server_version"], entry.last_integrated_server_version)
                compare(f"{what}: origin_timestamp", form["origin_timestamp"], entry.origin_timestamp)

    def compare_downloads(self) -> None:
        """Every changeset as it was received."""
        for name, client in self._clients.items():
            expected = _first_of_each(self._case["received"].get(name, []))
            compare(f"number of downloads of {name}", len(expected), len(client.received))
            theirs = [form["client_version"] for form in self._case["uploaded"].get(name, [])]
            ours = [entry.client_version for entry in client.uploaded]
            for number, (form, entry) in enumerate(zip(expected, client.received, strict=True)):
                what = f"download {number} of {name}"
                self._compare_changesets(what, form["changeset"], entry.changeset)
                for field in ("server_version", "origin_timestamp", "origin_file_ident"):
                    compare(f"{what}: {field}", form[field], getattr(entry, field))
                integrated = sum(version <= form["client_version"] for version in theirs)
                actual = sum(version <= entry.last_integrated_client_version for version in ours)
                compare(f"{what}: integrated uploads", integrated, actual)

    def compare_states(self, final: Mapping[str, Json] | None) -> None:
        """All clients alike, and like ``final`` if given."""
        states = {name: normal_state(self._names.rename_state(c.state())) for name, c in self._clients.items()}
        first = next(iter(states))
        for name, state in states.items():
            if name != first and state != states[first]:
                raise Mismatch(f"state of {name} against that of {first}", states[first], state)
        if final is not None:
            compare("final", normal_state(final), states[first])

    def _compare_changesets(self, what: str, expected: str, actual: bytes) -> None:
        """Byte by byte; by instruction where keys of the replay stand for other ones of the vector."""
        if not self._names:
            compare(what, expected, actual.hex())
            return
        instructions = decode(actual).instructions
        self._names.rename(instructions)
        wanted = decode(bytes.fromhex(expected)).instructions
        compare(what, instruction_list(wanted), instruction_list(instructions))


def _first_of_each(received: Sequence[Json]) -> list[Json]:
    """Without what was sent again because a connection ended before the client had integrated it."""
    found: list[Json] = []
    for form in received:
        if not found or form["server_version"] > found[-1]["server_version"]:
            found.append(form)
    return found
