"""Our client against realm-core's reference server, as it was recorded (tests/vectors/README.md, *transcripts*).

Not the machine alone: a manager, Realms and sockets. The server's half of a recording is played to them over TCP; what
the application did then is done again with Realms, and what the client says is compared with what was recorded. Only
what differs between any two clients is translated: numbers of sessions and marks, and local version numbers (the
original makes a version for things that write nothing). Empty UPLOADs, which only move a cursor, may come at other
moments. No HTTP is spoken, nothing but the one socket is asked for.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from syncline import (
    ClientResetMode,
    Realm,
    SyncConfiguration,
    SyncCredentials,
    SyncError,
    SyncManager,
    SyncSession,
    SyncTimeoutOptions,
)
from syncline import errors as kinds_of_error
from syncline.changesets.changeset import DownloadChangeset, DownloadCursor, SyncProgress, UploadCursor
from syncline.changesets.codec import decode
from syncline.changesets.json_form import instruction_to_json
from syncline.protocol.bodies import encode_download_entries
from syncline.protocol.from_client import parse_client_message
from syncline.protocol.from_server import build_download, build_error, build_pong, build_server_ident, build_unbound
from syncline.protocol.messages import (
    Bind,
    ClientFileIdent,
    ClientMessage,
    Download,
    Error,
    Ident,
    LogMessage,
    Mark,
    Ping,
    Pong,
    ServerIdent,
    Unbind,
    Unbound,
    Upload,
)
from syncline.protocol.settings import ClientSettings, Limits, SyncMode
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.sync.states import ConnectionState
from syncline.testing.operations import execute_all
from syncline.testing.recordings import RecordedEvent, read_transcript

TRANSCRIPTS = Path(__file__).parents[1] / "vectors" / "transcripts"
WITH_A_CLIENT = sorted(path.name for path in TRANSCRIPTS.glob("*.jsonl") if path.name[:2] not in ("15", "16"))
PATIENCE_S = 10.0


class Planned(NamedTuple):
    """A transaction of the original application."""

    version: int
    base: int
    instructions: list[dict[str, Any]]


class File:
    """One local file: its Realm while it is open, and its version numbers here and in the recording."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.identity = ""
        self.realm: Realm | None = None
        self.ident = ClientFileIdent()
        self.planned: deque[Planned] = deque()
        self.versions = {0: 0}

    @property
    def session(self) -> SyncSession:
        assert self.realm is not None
        session = self.realm.sync_session
        assert session is not None
        return session

    def ours(self, recorded: int) -> int:
        """Our number of a recorded version: of the newest up to it that both sides have spoken of."""
        return self.versions[max(version for version in self.versions if version <= recorded)]

    def commit(self, planned: Planned) -> None:
        """Do what the original application did."""
        operations = [operation for one in planned.instructions for operation in operations_of(one)]
        if self.realm is None:
            file = RealmFile.open(self.path)
            with file.write() as tx:
                execute_all(tx, operations)
            file.close()
        else:
            with self.realm.write():
                execute_all(self.realm._context.writing(), operations)

    def claim(self, ident: ClientFileIdent) -> None:
        """Be a file that the server knows under ``ident``."""
        file = RealmFile.open(self.path)
        ClientHistory(file).set_file_ident(ident.ident, ident.salt)
        file.close()

    def dump(self) -> Any:
        file = RealmFile.open(self.path)
        try:
            with file.snapshot() as snapshot, snapshot.lock:
                return dump(snapshot.reader)
        finally:
            file.close()


def operations_of(instruction: dict[str, Any]) -> list[dict[str, Any]]:
    """The operation that recorded an instruction, for those that occur in the recordings."""
    kind, table, field = instruction["type"], instruction["table"], instruction.get("field")
    if kind == "AddTable":
        key = None
        if instruction.get("pk_field"):
            key = {"name": instruction["pk_field"], "type": instruction["pk_type"].lower(), "nullable": False}
        return [{"op": "schema", "classes": [{"name": table, **({} if key is None else {"pk": key}), "props": []}]}]
    if kind == "AddColumn":
        prop = {"name": field, "type": instruction["value_type"].lower(), "nullable": instruction["nullable"]}
        if instruction.get("collection") == "List":
            prop["collection"] = "list"
        if instruction.get("link_target_table"):
            prop["target"] = instruction["link_target_table"]
        return [{"op": "schema", "classes": [{"name": table, "props": [prop]}]}]
    if kind == "EraseColumn":
        return [{"op": "erase_prop", "class": table, "prop": field}]
    if "gk" in instruction["object"]:  # made before the file had an ident
        instruction = {**instruction, "object": {"gk": [0, instruction["object"]["gk"][1]]}}
        if kind == "CreateObject":
            return [{"op": "create", "class": table}]
    place = {"class": table, "obj": instruction["object"], "path": [field, *instruction.get("path", [])]}
    if kind == "CreateObject":
        return [{"op": "create", "class": table, "pk": instruction["object"]}]
    if kind == "Update":
        return [{"op": "set", **place, "value": instruction["value"]}]
    index = place["path"].pop()
    match kind:
        case "ArrayInsert":
            value = instruction["value"]
            value = {"dict": {}} if value == {"special": "Dictionary"} else value
            return [{"op": "list_insert", **place, "index": index, "value": value}]
        case "ArrayErase":
            return [{"op": "list_erase", **place, "index": index}]
        case "ArrayMove":
            return [{"op": "list_move", **place, "from": index, "to": instruction["ndx_2"]}]
        case "Clear":
            return [{"op": "dict_clear", **place, "path": [*place["path"], index]}]
    raise AssertionError(f"no operation for {instruction}")


class Live(NamedTuple):
    """A session of ours, and its number."""

    file: File
    number: int
    peer: Any


class Replay:
    """Plays the server's half of a recording; see the module."""

    def __init__(self, server: Any, folder: Path, events: list[RecordedEvent]) -> None:
        self.errors: list[SyncError] = []
        self._server = server
        self._folder = folder
        genuine = {
            event.connection
            for event in events
            if event.kind == "http_request" and event.headers.get("sec-websocket-protocol", "").count(",") >= 2
        }
        self._events = [event for event in events if event.connection in genuine]
        self.manager = SyncManager(folder / "sync")
        self.manager.timeout_options = SyncTimeoutOptions(connection_linger_time=100)
        self.manager.error_handler = lambda error, session: self.errors.append(error)
        self.files: list[File] = []
        self._file_of: dict[int, File] = {}  # by the recorded number of the session
        self._live: dict[int, Live] = {}
        self._peers: dict[int, Any] = {}
        self._heard: dict[tuple[int, int], deque[ClientMessage]] = defaultdict(deque)
        self._versions: dict[int, int] = {}
        self._refusals = 0
        self._pings = 0
        self._plan()
        server.script(self._serve)

    async def _serve(self, peer: Any) -> None:
        """Every connection waits here for what the recording says."""
        await asyncio.sleep(3600)

    def _plan(self) -> None:
        """Which file each session is of, and what is committed to it."""
        known: dict[tuple[str, ClientFileIdent], File] = {}
        names: dict[int, str] = {}
        for event in self._events:
            message = event.message
            if not event.is_from_client:
                continue
            if isinstance(message, Bind):
                names[message.session] = message.path
                if message.need_client_file_ident:
                    self._file_of[message.session] = self._new_file(message.path)
            elif isinstance(message, Ident):
                key = (names[message.session], message.file_ident)
                file = known.get(key) or self._file_of.get(message.session) or self._new_file(key[0])
                file.ident = message.file_ident
                known[key] = self._file_of[message.session] = file
            elif isinstance(message, Upload):
                for entry in message.entries:
                    instructions = [instruction_to_json(one) for one in decode(entry.changeset).instructions]
                    planned = Planned(entry.client_version, entry.last_integrated_server_version, instructions)
                    self._file_of[message.session].planned.append(planned)
        for event in self._events:  # one that was refused before it identified itself
            if event.is_from_client and isinstance(event.message, Bind) and event.message.session not in self._file_of:
                self._file_of[event.message.session] = self._new_file(event.message.path)

    def _new_file(self, name: str) -> File:
        file = File(self._folder / f"{len(self.files)}.realm", name)
        self.files.append(file)
        return file

    # --- the recording, event by event --------------------------------------------------------------------------------

    def run(self) -> None:
        for number, event in enumerate(self._events):
            if event.kind == "http_request":
                self._connect(event, number)
            elif event.kind == "http_response":
                token = event.headers["sec-websocket-protocol"]
                self._versions[event.connection] = int(token.rpartition("#")[2])
                self._server.run(self._peers[event.connection].accept(token))
            elif event.is_from_server:
                self._say(event)
            elif event.is_from_client:
                self._hear(event, number)
            elif event.kind == "eof" and event.direction == "c>s":
                self._end(event, number)

    def _connect(self, event: RecordedEvent, number: int) -> None:
        """The client connects: because a Realm is opened, or because its connection was cut."""
        before = len(self._peers)
        bind = next(
            later.message
            for later in self._events[number:]
            if later.connection == event.connection and isinstance(later.message, Bind)
        )
        file = self._file_of[bind.session]
        if file.realm is None:
            self._open(bind.session, event)
        else:
            file.session.reconnect()
        self._eventually(lambda: len(self._server.peers) > before and self._server.peers[before].request)
        peer = self._peers[event.connection] = self._server.peers[before]
        assert peer.target == event.line.split(" ")[1]

    def _open(self, session: int, event: RecordedEvent) -> None:
        """Commit what was committed offline, then open the Realm."""
        file = self._file_of[session]
        bind, _ = self._opening(session)
        if not bind.need_client_file_ident and not file.path.exists():
            file.claim(file.ident)
        first = self._first_upload(session)
        while file.planned and first is not None and file.planned[0].version <= first and self._is_offline(session):
            file.commit(file.planned.popleft())
        token = event.line.partition("baas_at=")[2].split(" ")[0]
        if not file.identity:  # the recorded clients were programs of their own
            file.identity = f"client {event.connection}"
        credentials = SyncCredentials.access_token(token, file.identity)
        user = self.manager.log_in(credentials, f"ws://127.0.0.1:{self._server.port}")
        sync = SyncConfiguration(user, file.name, path=str(file.path), client_reset_mode=ClientResetMode.MANUAL)
        file.realm = Realm.open(sync)

    def _request(self, connection: int) -> RecordedEvent:
        return next(event for event in self._events if event.kind == "http_request" and event.connection == connection)

    def _opening(self, session: int) -> tuple[Bind, Ident | None]:
        mine = [event.message for event in self._events if getattr(event.message, "session", None) == session]
        bind = next(message for message in mine if isinstance(message, Bind))
        return bind, next((message for message in mine if isinstance(message, Ident)), None)

    def _uploads(self, session: int) -> Iterator[tuple[int, Upload]]:
        for number, event in enumerate(self._events):
            message = event.message
            if event.is_from_client and isinstance(message, Upload) and message.session == session and message.entries:
                yield number, message

    def _first_upload(self, session: int) -> int | None:
        """The last version of the first upload, which was made before the session began, or soon after."""
        return next((message.entries[-1].client_version for _, message in self._uploads(session)), None)

    def _is_offline(self, session: int) -> bool:
        """Whether that was uploaded on the base that the session began with: it need not have been made later."""
        _, ident = self._opening(session)
        _, first = next(self._uploads(session))
        base = 0 if ident is None else ident.download.server_version
        return first.entries[-1].last_integrated_server_version == base

    def _hear(self, event: RecordedEvent, number: int) -> None:
        expected = event.message
        assert isinstance(expected, ClientMessage)
        if isinstance(expected, Ping):
            self._hear_ping(event.connection)
            return
        if isinstance(expected, Upload) and not expected.entries:
            return  # not at the same moment
        if isinstance(expected, Bind) and self._file_of[expected.session].realm is None:
            self._open(expected.session, self._request(event.connection))
        file = self._file_of[expected.session]
        peer = self._peers[event.connection]
        if isinstance(expected, Bind):
            heard = self._next(peer, Bind)
            assert (heard.path, heard.token) == (expected.path, expected.token)
            assert heard.need_client_file_ident == expected.need_client_file_ident
            self._live[expected.session] = Live(file, heard.session, peer)
            return
        live = self._live[expected.session]
        if isinstance(expected, Mark):
            file.session.on_download_complete(lambda error: None)
        elif isinstance(expected, Unbind):
            self._close(file)
        elif isinstance(expected, Upload):
            for _ in expected.entries:
                if file.planned and file.planned[0].version <= expected.entries[-1].client_version:
                    self._integrated(file, file.planned[0].base)
                    file.commit(file.planned.popleft())
        heard = self._next(peer, type(expected), live.number)
        if isinstance(expected, Ident):
            self._compare_ident(file, heard, expected)
        elif isinstance(expected, Upload):
            self._compare_upload(peer, live, heard, expected)
        elif isinstance(expected, Mark):
            assert heard.request_ident >= expected.request_ident
            self._heard[event.connection, -expected.session].append(heard)

    def _hear_ping(self, connection: int) -> None:
        """Another one, which is answered when it comes."""
        peer, before = self._peers[connection], self._pings
        while self._pings == before:
            self._server.run(asyncio.wait_for(self._receive(peer, self._heard[id(peer), 0]), PATIENCE_S))

    def _compare_ident(self, file: File, heard: Ident, expected: Ident) -> None:
        assert heard.file_ident == expected.file_ident
        assert heard.latest_server_version == expected.latest_server_version
        assert heard.download == DownloadCursor(
            expected.download.server_version, file.ours(expected.download.last_integrated_client_version)
        )

    def _compare_upload(self, peer: Any, live: Live, heard: Upload, expected: Upload) -> None:
        entries = list(heard.entries)
        while len(entries) < len(expected.entries):
            entries += self._next(peer, Upload, live.number).entries
        assert len(entries) == len(expected.entries)
        for ours, theirs in zip(entries, expected.entries, strict=True):
            live.file.versions[theirs.client_version] = ours.client_version
            assert ours.last_integrated_server_version == theirs.last_integrated_server_version
            assert ours.origin_file_ident == theirs.origin_file_ident
            assert instructions(ours.changeset) == instructions(theirs.changeset)

    def _say(self, event: RecordedEvent) -> None:
        message, peer = event.message, self._peers[event.connection]
        if isinstance(message, Pong):
            return
        session = getattr(message, "session", 0)
        number = self._live[session].number if session in self._live else 0
        if session and not number:
            return  # about a session that is over
        match message:
            case LogMessage():
                head, _, rest = event.data.partition(b"\n")
                fields = head.split(b" ")
                data = b" ".join([fields[0], b"%d" % number, *fields[2:]]) + b"\n" + rest
            case ServerIdent():
                data = build_server_ident(number, message.file_ident)
            case Mark():
                data = b"mark %d %d\n" % (number, self._heard[event.connection, -session].popleft().request_ident)
            case Unbound():
                data = build_unbound(number)
            case Error():
                data = build_error(message._replace(session=number))
            case Download():
                data = self._download(self._live[session], message, self._versions[event.connection])
            case _:
                raise AssertionError(f"{message} is not said by a server")
        self._server.run(peer.send(data))

    def _download(self, live: Live, message: Download, version: int) -> bytes:
        ours = live.file.ours
        progress = SyncProgress(
            message.progress.latest_server_version,
            DownloadCursor(
                message.progress.download.server_version,
                ours(message.progress.download.last_integrated_client_version),
            ),
            UploadCursor(
                ours(message.progress.upload.client_version), message.progress.upload.last_integrated_server_version
            ),
        )
        entries = [
            DownloadChangeset(
                entry.server_version,
                ours(entry.last_integrated_client_version),
                entry.origin_timestamp,
                entry.origin_file_ident,
                entry.original_size,
                entry.changeset,
            )
            for entry in message.entries
        ]
        return build_download(
            live.number,
            progress,
            encode_download_entries(entries),
            mode=SyncMode.PBS,
            version=version,
            downloadable_bytes=message.downloadable_bytes,
        )

    def _end(self, event: RecordedEvent, number: int) -> None:
        """The connection ends: cut, or because its Realms are closed."""
        binds = [one for one in self._events if isinstance(one.message, Bind)]
        mine = [one.message.session for one in binds if one.connection == event.connection]
        later = [one.message.session for one in self._events[number:] if isinstance(one.message, Bind)]
        for session in mine:
            if session not in later and self._file_of[session].realm is not None:
                self._settle(session)
                self._close(self._file_of[session])
        peer = self._peers[event.connection]
        cut = [self._file_of[session] for session in mine if self._file_of[session].realm is not None]
        if cut:
            self._server.run(self._cut(peer))
            for file in cut:
                self._eventually(lambda file=file: file.session.connection_state is ConnectionState.DISCONNECTED)
        else:
            self._server.run(asyncio.wait_for(self._closed(peer), PATIENCE_S))

    async def _cut(self, peer: Any) -> None:
        peer.writer.close()

    async def _closed(self, peer: Any) -> None:
        """The client closes the connection, which it does not use any more."""
        try:
            while True:
                await self._receive(peer, deque())
        except asyncio.IncompleteReadError:
            peer.writer.close()

    def _settle(self, session: int) -> None:
        """Everything that was said has arrived; an error, in the application."""
        file = self._file_of[session]
        said = [
            one.message for one in self._events if one.is_from_server and getattr(one.message, "session", 0) == session
        ]
        if any(isinstance(message, Error) for message in said):
            self._refusals += 1
            self._eventually(lambda: len(self.errors) == self._refusals)
            return
        downloads = [message for message in said if isinstance(message, Download)]
        if downloads:
            self._integrated(file, downloads[-1].progress.download.server_version)

    def _integrated(self, file: File, version: int) -> None:
        """Wait until the file has the server's ``version``."""
        assert file.realm is not None

        def cursor() -> int:
            core = file.session._core_ref()
            assert core is not None
            return int(core.history.status().progress.download.server_version)

        self._eventually(lambda: cursor() >= version)

    def _close(self, file: File) -> None:
        if file.realm is not None:
            file.realm.close()
            file.realm = None
            assert self.manager.wait_for_sessions_to_terminate(PATIENCE_S)

    # --- listening ----------------------------------------------------------------------------------------------------

    def _next(self, peer: Any, kind: type, session: int | None = None) -> Any:
        """The client's next message of this kind and session; those of others wait for their turn."""
        heard = self._heard[id(peer), 0]
        while True:
            for message in heard:
                if isinstance(message, kind) and session in (None, getattr(message, "session", 0)):
                    heard.remove(message)
                    return message
            self._server.run(asyncio.wait_for(self._receive(peer, heard), PATIENCE_S))

    async def _receive(self, peer: Any, heard: deque[ClientMessage]) -> None:
        message = parse_client_message(await peer.receive(), SyncMode.PBS, Limits())
        if isinstance(message, Ping):
            self._pings += 1
            await peer.send(build_pong(message.timestamp))
        elif not (isinstance(message, Upload) and not message.entries):
            heard.append(message)

    @staticmethod
    def _eventually(condition: Any) -> None:
        from tests.sync.conftest import World

        World.eventually(condition, PATIENCE_S)

    def close(self) -> None:
        for file in self.files:
            self._close(file)
        self.manager.close()


def instructions(changeset: bytes) -> list[Any]:
    return [instruction_to_json(instruction) for instruction in decode(changeset).instructions]


@pytest.fixture
def replay(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes replays. The original was recorded without the upload activation delay, and with fast pings."""
    as_it_is = SyncTimeoutOptions.settings

    def settings(options: SyncTimeoutOptions) -> ClientSettings:
        return as_it_is(options)._replace(upload_activation_delay=False, ping_period_ms=400)

    monkeypatch.setattr(SyncTimeoutOptions, "settings", settings)
    made: list[Replay] = []

    def make(name: str) -> Replay:
        made.append(Replay(server, tmp_path, read_transcript(TRANSCRIPTS / name)))
        return made[-1]

    yield make
    for one in made:
        one.close()


REPORTED: dict[str, list[tuple[type[SyncError], int]]] = {
    "09": [(kinds_of_error.ClientSessionError, 204)] * 2,
    "10": [(kinds_of_error.ClientResetError, code) for code in (209, 211, 209)],
    "17": [(kinds_of_error.ClientSessionError, 212)],
}


@pytest.mark.parametrize("name", WITH_A_CLIENT)
def test_the_client_does_with_the_recorded_server_what_the_original_did(replay: Any, server: Any, name: str) -> None:
    """Everything that was recorded of a client."""
    replayed = replay(name)
    replayed.run()
    assert [(type(error), error.server_code) for error in replayed.errors] == REPORTED.get(name[:2], [])
    assert all(error.is_fatal for error in replayed.errors)
    assert {peer.target.partition("?")[0] for peer in server.peers} == {"/realm-sync"}, "nothing else is asked for"
    replayed.close()
    assert all(not file.planned for file in replayed.files)
    if not replayed.errors:
        path = replayed.files[0].name
        states = [file.dump() for file in replayed.files if file.name == path]
        assert all(state == states[0] for state in states)
        assert noted_state(name) in (None, states[0]["objects"])


def noted_state(name: str) -> Any:
    """The objects that the recording says the clients held at the end, if it does."""
    lines = [json.loads(line) for line in (TRANSCRIPTS / name).read_text(encoding="utf-8").splitlines()]
    notes = [line["note"] for line in lines if line.get("note", "").startswith(("both clients now hold: ", "now: "))]
    return json.loads(notes[-1].partition(": ")[2]) if notes else None
