"""Replaying a recorded conversation against our client machine (vectors/README.md, *How to use the transcripts*)."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from random import Random

from syncline.protocol import (
    ClientConnection,
    ClientFileIdent,
    ClientSession,
    ClientSettings,
    DisconnectWanted,
    DownloadReceived,
    IdentReceived,
    Limits,
    SyncMode,
    UploadWanted,
)
from syncline.protocol.from_client import parse_client_message
from syncline.protocol.messages import Bind, ClientMessage, Ident, Mark, Ping, Unbind, Upload
from syncline.testing.recordings import Difference, RecordedEvent, layout_of, short_form
from syncline.testing.wire_peers import MemoryFile

__all__ = ["replay_client"]


def _realm_core_connections(events: Sequence[RecordedEvent]) -> set[int]:
    """Connections of the original client; a bare client of the recording offers no list of versions."""
    found: set[int] = set()
    for event in events:
        offered = event.headers.get("sec-websocket-protocol", "")
        if event.kind == "http_request" and offered.count(",") >= 2:
            found.add(event.connection)
    return found


class _ScriptedFile(MemoryFile):
    """A client's file that commits and integrates when the recording shows that the original had."""

    def __init__(self, path: str, file_ident: ClientFileIdent) -> None:
        super().__init__(path, file_ident)
        self.planned: dict[int, tuple[bytes, int]] = {}
        self.waiting: deque[DownloadReceived] = deque()

    def settle(self) -> None:
        """Commit what the application committed before the file's next version of another kind."""
        while self.version + 1 in self.planned:
            self.commit(*self.planned[self.version + 1])

    def reach(self, version: int) -> None:
        """Commit and integrate until the file has ``version``."""
        while self.version < version:
            self.settle()
            if self.version < version:
                if not self.waiting:
                    return
                download = self.waiting.popleft()
                download.session.integrated(download.progress, self.integrate(download))


class _ClientReplay:
    def __init__(self, events: Sequence[RecordedEvent]) -> None:
        self.differences: list[Difference] = []
        self._connections: dict[int, ClientConnection] = {}
        self._owners: dict[int, ClientConnection] = {}  # by session
        self._sessions: dict[int, ClientSession] = {}
        self._files: dict[int, _ScriptedFile] = {}  # by session
        self._marks: dict[int, int] = defaultdict(int)
        self._said: dict[tuple[int, int], deque[tuple[ClientMessage, bytes]]] = defaultdict(deque)
        self._now = 0
        genuine = _realm_core_connections(events)
        self._events = [event for event in events if event.connection in genuine]
        self._plan_files()

    def _plan_files(self) -> None:
        """Which file each session is of, and what the application commits to it."""
        paths: dict[int, str] = {}
        known: dict[tuple[str, ClientFileIdent], _ScriptedFile] = {}
        for event in self._events:
            message = event.message
            if not event.is_from_client:
                continue
            if isinstance(message, Bind):
                paths[message.session] = message.path
                if message.need_client_file_ident:
                    self._files[message.session] = _ScriptedFile(message.path, ClientFileIdent())
            elif isinstance(message, Ident):
                path = paths[message.session]
                key = (path, message.file_ident)
                file = known.get(key) or self._files.get(message.session) or _ScriptedFile(path, message.file_ident)
                known[key] = self._files[message.session] = file
            elif isinstance(message, Upload):
                for entry in message.entries:
                    planned = (entry.changeset, entry.origin_timestamp)
                    self._files[message.session].planned[entry.client_version] = planned

    def run(self) -> list[Difference]:
        for event in self._events:
            if event.kind == "http_response" and event.line.split()[1] == "101":
                self._connect(event)
            elif event.is_from_server:
                self._connections[event.connection].receive(event.data, self._now)
                self._handle_events(event.connection)
            elif event.is_from_client and isinstance(event.message, ClientMessage):
                self._expect(event, event.message)
            elif event.kind == "eof" and event.direction == "c>s" and event.connection in self._connections:
                self._connections[event.connection].disconnected(self._now)
        self._find_surplus()
        return self.differences

    def _connect(self, event: RecordedEvent) -> None:
        version = int(event.headers["sec-websocket-protocol"].rpartition("#")[2])
        machine = self._earlier(event.connection)
        if machine is None:
            settings = ClientSettings(upload_activation_delay=False, ping_period_ms=400)
            machine = ClientConnection(SyncMode.PBS, Random(1), settings)
        self._connections[event.connection] = machine
        machine.connected(version, self._now)

    def _earlier(self, connection: int) -> ClientConnection | None:
        """The machine of an earlier connection whose sessions go on in this one."""
        for event in self._events:
            if event.connection == connection and event.is_from_client and isinstance(event.message, Bind):
                return self._owners.get(event.message.session)
        return None

    def _expect(self, event: RecordedEvent, expected: ClientMessage) -> None:
        self._prepare(event, expected)
        session = 0 if isinstance(expected, Ping) else expected.session
        said = self._said[event.connection, session]
        self._listen(event.connection, session)
        if not said:
            self._differ(event.connection, f"expected {short_form(expected)}, nothing was said")
            return
        message, data = said.popleft()
        if message != expected:
            self._differ(event.connection, f"expected {short_form(expected)}, said {short_form(message)}")
        elif layout_of(message, data) != layout_of(expected, event.data):
            self._differ(event.connection, f"another encoding of {short_form(expected)}")

    def _prepare(self, event: RecordedEvent, expected: ClientMessage) -> None:
        """Make happen what must have happened at the original before it said this."""
        machine = self._connections[event.connection]
        if isinstance(expected, Ping):
            self._now = expected.timestamp
            machine.tick(machine.next_timer() or self._now)
            return
        file = self._files.get(expected.session)
        if isinstance(expected, Bind) and expected.session not in self._sessions:
            file = file or _ScriptedFile(expected.path, ClientFileIdent())
            self._files[expected.session] = file
            file.settle()
            self._sessions[expected.session] = machine.bind(expected.session, file.config())
            self._owners[expected.session] = machine
        session = self._sessions[expected.session]
        if isinstance(expected, Upload) and file is not None:
            file.reach(expected.progress.client_version)
            session.committed(file.version)
        elif isinstance(expected, Mark):
            while self._marks[expected.session] < expected.request_ident:
                self._marks[expected.session] = session.request_mark()
        elif isinstance(expected, Unbind):
            session.unbind()

    def _listen(self, connection: int, session: int) -> None:
        """Take messages until one of ``session`` was among them, or nothing more is said."""
        machine = self._connections[connection]
        while not self._said[connection, session]:
            data = machine.next_message(self._now)
            if data is not None:
                message = parse_client_message(data, SyncMode.PBS, Limits())
                ident = 0 if isinstance(message, Ping) else message.session
                self._said[connection, ident].append((message, data))
            if not self._handle_events(connection) and data is None:
                return

    def _handle_events(self, connection: int) -> bool:
        events = self._connections[connection].events()
        for event in events:
            if isinstance(event, IdentReceived):
                file = self._files[event.session.ident]
                file.settle()
                event.session.ident_stored(file.store_ident(event.file_ident))
            elif isinstance(event, UploadWanted):
                file = self._files[event.session.ident]
                event.session.supply_upload(event, *file.uploadable(event.cursor, event.up_to))
            elif isinstance(event, DownloadReceived):
                self._files[event.session.ident].waiting.append(event)
            elif isinstance(event, DisconnectWanted):
                self._differ(connection, f"wants to disconnect: {event.message}")
        return bool(events)

    def _find_surplus(self) -> None:
        for (connection, _), said in self._said.items():
            for message, _ in said:
                self._differ(connection, f"said {short_form(message)}, which is not recorded")

    def _differ(self, connection: int, what: str) -> None:
        self.differences.append(Difference("client", connection, what))


def replay_client(events: Sequence[RecordedEvent]) -> list[Difference]:
    """Drive the client machine with the server's messages, for all connections of the original client."""
    return _ClientReplay(events).run()
