"""Replaying a recorded conversation against our server machine (vectors/README.md, *How to use the transcripts*)."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Final

from syncline.changesets.codec import decode
from syncline.changesets.json_form import instruction_to_json
from syncline.errors import BadChangesetError
from syncline.protocol import (
    BindRequested,
    ClientFileIdent,
    DownloadWanted,
    ErrorCode,
    IdentRequested,
    Limits,
    MarkRequested,
    ServerConnection,
    ServerSession,
    SyncMode,
    UploadReceived,
)
from syncline.protocol.from_server import parse_server_message
from syncline.protocol.messages import Download, Error, LogMessage, Pong, ServerIdent, ServerMessage
from syncline.testing.recordings import Difference, RecordedEvent, layout_of, short_form
from syncline.testing.wire_peers import MemoryRealm

__all__ = ["comparable", "replay_server"]

_SALT: Final = 1  # of what the recording does not tell


class _ServerReplay:
    def __init__(
        self, events: Sequence[RecordedEvent], download_limit: int, losses: Mapping[int, tuple[str, int]]
    ) -> None:
        self.differences: list[Difference] = []
        self._events = events
        self._limit = download_limit
        self._losses = losses
        self._connections: dict[int, ServerConnection] = {}
        self._realms: dict[str, MemoryRealm] = {}
        self._idents: dict[tuple[int, int], ClientFileIdent] = {}  # given out, by connection and session
        self._position = 0
        self._published: int | None = None  # newest version that the original's next message knows of
        self._said: dict[tuple[int, int], deque[tuple[ServerMessage, bytes]]] = defaultdict(deque)
        self._live: set[ServerSession] = set()
        for event in events:
            if isinstance(event.message, ServerIdent):
                self._idents[event.connection, event.message.session] = event.message.file_ident

    def run(self) -> list[Difference]:
        for position, event in enumerate(self._events):
            self._position = position
            if event.kind == "open":
                self._lose_data(event.connection)
            elif event.kind == "http_response" and event.line.split()[1] == "101":
                self._accept(event)
            elif event.is_from_client and event.connection in self._connections:
                self._connections[event.connection].receive(event.data, event.time_ms)
                self._handle_events(event.connection)
            elif event.is_from_server and isinstance(event.message, ServerMessage):
                self._expect(event, event.message)
            elif event.kind == "eof" and event.direction == "c>s" and event.connection in self._connections:
                self._connections[event.connection].disconnected()
                self._handle_events(event.connection)
        self._find_surplus()
        return self.differences

    def _lose_data(self, connection: int) -> None:
        if connection in self._losses:
            path, version = self._losses[connection]
            if version:
                self._realms[path].set_back(version)
            else:
                del self._realms[path]

    def _accept(self, event: RecordedEvent) -> None:
        version = int(event.headers["sec-websocket-protocol"].replace("/", "#").rpartition("#")[2])
        self._connections[event.connection] = ServerConnection(version, SyncMode.PBS, "0" * 24, event.time_ms)

    def _expect(self, event: RecordedEvent, expected: ServerMessage) -> None:
        if isinstance(expected, LogMessage):
            return
        session = 0 if isinstance(expected, Pong) else expected.session
        self._prepare(expected)
        said = self._said[event.connection, session]
        self._listen(event.connection, session)
        if not said:
            self._differ(event.connection, f"expected {short_form(expected)}, nothing was said")
            return
        message, data = said.popleft()
        if isinstance(expected, Error) and isinstance(message, Error) and message.code == expected.code:
            return
        if comparable(message) != comparable(expected):
            self._differ(event.connection, f"expected {short_form(expected)}, said {short_form(message)}")
        elif layout_of(message, data) != layout_of(expected, event.data):
            self._differ(event.connection, f"another encoding of {short_form(expected)}")

    def _prepare(self, expected: ServerMessage) -> None:
        """Integrate what the original had integrated before it said this."""
        self._published = None
        session = next((live for live in self._live if live.ident == getattr(expected, "session", 0)), None)
        if session is None:
            return
        realm = self._realms[str(session.realm)] if session.realm is not None else None
        if isinstance(expected, Error) and expected.code == ErrorCode.BAD_CHANGESET:
            # What cannot be merged or applied is found by the hub; here the recording knows it.
            session.fail(expected.code)
            if realm is not None:
                realm.queue = deque(queued for queued in realm.queue if queued.session is not session)
        elif isinstance(expected, Download) and realm is not None:
            # The original integrates on another thread, and a message may be made after that but before the new
            # version is published: its upload cursor and its remaining bytes are then ahead of the rest.
            progress = expected.progress
            self._published = progress.latest_server_version.version
            while realm.queue and (
                realm.version < progress.latest_server_version.version
                or realm.upload_cursor(session.file_ident).client_version < progress.upload.client_version
            ):
                realm.integrate_next()
            for live in self._live:
                if live.realm == session.realm:
                    live.advance(realm.version)

    def _listen(self, connection: int, session: int) -> None:
        machine = self._connections[connection]
        while not self._said[connection, session]:
            data = machine.next_message()
            if data is not None:
                message = parse_server_message(data, SyncMode.PBS, machine.version, Limits())
                ident = 0 if isinstance(message, Pong) else message.session
                if not isinstance(message, LogMessage):
                    self._said[connection, ident].append((message, data))
            if not self._handle_events(connection) and data is None:
                return

    def _handle_events(self, connection: int) -> bool:
        events = self._connections[connection].events()
        for event in events:
            if isinstance(event, BindRequested):
                self._bind(connection, event)
            elif isinstance(event, IdentRequested):
                session = event.session
                if session.identify(self._realms[str(session.realm)].facts(event.request)) == 0:
                    self._live.add(session)
            elif isinstance(event, UploadReceived):
                self._realms[str(event.session.realm)].enqueue(event)
            elif isinstance(event, DownloadWanted):
                realm = self._realms[str(event.session.realm)]
                event.session.supply_download(
                    realm.download(event.session.file_ident, event.cursor, self._limit, self._published)
                )
            elif isinstance(event, MarkRequested):
                event.session.confirm_mark(self._realms[str(event.session.realm)].version)
        self._live = {session for session in self._live if session.is_attached}
        return bool(events)

    def _bind(self, connection: int, event: BindRequested) -> None:
        if not _is_legal_path(event.path):
            event.session.fail(ErrorCode.ILLEGAL_REALM_PATH)
            return
        realm = self._realms.get(event.path)
        if realm is None:
            realm = self._realms[event.path] = MemoryRealm(self._salt_of, merges=True)
        ident = None
        if event.need_client_file_ident:
            recorded = self._idents.get((connection, event.session.ident), ClientFileIdent(0, _SALT))
            ident = realm.allocate(recorded.salt)
            while ident.ident < recorded.ident:  # the original gave one to a BIND that we refuse
                ident = realm.allocate(recorded.salt)
        event.session.accept_bind(event.path, ident)

    def _salt_of(self, version: int) -> int:
        """The salt of a new version: the one that the next DOWNLOAD with this latest version tells."""
        for event in self._events[self._position :]:
            if isinstance(event.message, Download) and event.message.progress.latest_server_version.version == version:
                return event.message.progress.latest_server_version.salt
        return _SALT

    def _find_surplus(self) -> None:
        for connection in self._connections:
            self._listen(connection, -1)
        for (connection, _), said in self._said.items():
            for message, _ in said:
                self._differ(connection, f"said {short_form(message)}, which is not recorded")

    def _differ(self, connection: int, what: str) -> None:
        self.differences.append(Difference("server", connection, what))


def comparable(message: ServerMessage) -> object:
    """A message with its changesets decoded: a merge may write the same instructions in other bytes."""
    if not isinstance(message, Download):
        return (type(message), message)
    entries = [(*entry[:4], _instructions(entry.changeset)) for entry in message.entries]
    return (message._replace(entries=[]), entries)


def _instructions(data: bytes) -> object:
    try:
        changeset = decode(data)
    except BadChangesetError:
        return data
    return [instruction_to_json(instruction) for instruction in changeset.instructions]


def _is_legal_path(path: str) -> bool:
    """The rule of the original server (spec/wire-protocol.md §13.3)."""
    for segment in path.removeprefix("/").replace('"', "").split("/"):
        plain = segment.replace("_", "").replace("-", "").replace(".", "")
        if not segment or segment.startswith(".") or not (plain.isascii() and plain.isalnum()):
            return False
        if segment.endswith((".realm", ".realm.lock", ".realm.management")):
            return False
    return True


def replay_server(
    events: Sequence[RecordedEvent],
    *,
    download_limit: int = 16 << 20,
    losses: Mapping[int, tuple[str, int]] | None = None,
) -> list[Difference]:
    """Drive the server machine, and a Realm in memory that really merges, with the client's messages.

    Args:
        download_limit: soft limit of one DOWNLOAD in bytes, as the recorded server had it.
        losses: by connection, the Realm that loses its data before it opens, and the version it is set back to (0: all
            is lost).
    """
    return _ServerReplay(events, download_limit, losses or {}).run()
