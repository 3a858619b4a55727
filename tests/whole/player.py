"""Plays the client side of a recorded conversation to a live server, and compares what the server says.

Every byte is the recorded one, except what the server makes up: host and port, client file idents and their salts, and
salts of server versions are replaced by those that this server gave out. The order of a recording is kept: a message
of the client is sent once everything that the original server had said before it has arrived here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

from tests.whole.bare_socket import BINARY, CLOSE, BareSocket

from syncline.changesets.changeset import SaltedVersion
from syncline.protocol import ClientFileIdent, Limits, SyncMode
from syncline.protocol.from_server import parse_server_message
from syncline.protocol.messages import (
    Download,
    Error,
    Ident,
    LogMessage,
    Mark,
    Pong,
    ServerIdent,
    ServerMessage,
)
from syncline.testing.recordings import Difference, RecordedEvent, layout_of, short_form
from syncline.testing.server_replay import comparable

__all__ = ["play"]

#: How long a connection is listened to after its last recorded message, in seconds.
QUIET_S: Final = 0.05


class _Said(NamedTuple):
    message: ServerMessage
    data: bytes


class _Talk:
    """One connection: its socket, and what both servers said, by session."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.socket: BareSocket | None = None
        self.version = 14
        self.is_over = False
        self.was_refused = False
        self.theirs: dict[int, list[_Said]] = defaultdict(list)
        self.ours: dict[int, list[_Said]] = defaultdict(list)

    def listen(self, timeout: float) -> bool:
        """Take one frame of the server; False if it has closed the connection, or says nothing."""
        assert self.socket is not None
        try:
            frame = self.socket.receive(timeout)
        except TimeoutError:
            return False
        if frame is None or frame.opcode == CLOSE:
            self.is_over = True
            return False
        assert frame.opcode == BINARY, f"the server sent a frame of type {frame.opcode}"
        message = parse_server_message(frame.data, SyncMode.PBS, self.version, Limits())
        if not isinstance(message, LogMessage):
            self.ours[_session_of(message)].append(_Said(message, frame.data))
        return True


class _Player:
    def __init__(
        self,
        port: int,
        events: Sequence[RecordedEvent],
        joined: Collection[int],
        before: Mapping[int, Callable[[], None]],
        patience_s: float,
    ) -> None:
        self.differences: list[Difference] = []
        self._port = port
        self._events = events
        self._joined = joined
        self._before = before
        self._patience_s = patience_s
        self._talks: dict[int, _Talk] = {}
        self._idents: dict[ClientFileIdent, ClientFileIdent] = {}
        self._versions: dict[SaltedVersion, SaltedVersion] = {}

    def run(self) -> list[Difference]:
        try:
            for event in self._events:
                self._play(event)
        finally:
            for talk in self._talks.values():
                if talk.socket is not None:
                    talk.socket.close()
        return self.differences

    def _play(self, event: RecordedEvent) -> None:
        talk = self._talks.setdefault(event.connection, _Talk(event.connection))
        if event.kind == "open" and event.connection in self._before:
            self._before[event.connection]()
        elif event.kind == "http_request":
            self._request(talk, event)
        elif event.is_from_client:
            self._send(talk, event)
        elif event.is_from_server and isinstance(event.message, ServerMessage):
            self._await(talk, event.message, event.data)
        elif event.kind == "eof" and event.direction == "s>c":
            self._await_end(talk)
        elif event.kind == "eof":
            self._close(talk)

    # --- one event --------------------------------------------------------------------------------------------------

    def _request(self, talk: _Talk, event: RecordedEvent) -> None:
        talk.socket = BareSocket(self._port)
        lines = [(name, f"localhost:{self._port}" if name == "Host" else text) for name, text in event.header_lines]
        response = talk.socket.request(event.line, lines)
        recorded = next(
            other for other in self._events if other.kind == "http_response" and other.connection == talk.number
        )
        theirs = _outcome(int(recorded.line.split()[1]), recorded.headers)
        ours = _outcome(response.status, response.headers)
        if ours != theirs:
            self._differ(talk, f"expected {theirs}, said {ours}")
        talk.was_refused = recorded.line.split()[1] != "101"
        if response.status == 101:
            talk.version = int(response.headers["sec-websocket-protocol"].replace("/", "#").rpartition("#")[2])
        else:
            talk.is_over = True

    def _send(self, talk: _Talk, event: RecordedEvent) -> None:
        data = self._translate(event.message) if isinstance(event.message, Ident) else event.data
        assert talk.socket is not None
        try:
            talk.socket.send(data)
        except OSError:
            talk.is_over = True

    def _translate(self, ident: Ident) -> bytes:
        file, latest = ident.file_ident, ident.latest_server_version
        numbers = (
            ident.session,
            *self._idents.get(file, file),
            *ident.download,
            *self._versions.get(latest, latest),
        )
        return f"ident {' '.join(map(str, numbers))}\n".encode()

    def _await(self, talk: _Talk, expected: ServerMessage, data: bytes) -> None:
        """Wait until this server has said as much as the original had."""
        if isinstance(expected, LogMessage):
            return
        session = _session_of(expected)
        theirs, ours = talk.theirs[session], talk.ours[session]
        theirs.append(_Said(expected, data))
        while not self._has_come(talk, expected) and talk.listen(self._patience_s):
            pass
        if isinstance(expected, ServerIdent):
            given = next((said.message for said in ours if isinstance(said.message, ServerIdent)), None)
            if given is not None:
                self._idents[expected.file_ident] = given.file_ident
        elif isinstance(expected, Download):
            for said in ours:
                self._learn_salt(said.message, expected)

    def _has_come(self, talk: _Talk, expected: ServerMessage) -> bool:
        session = _session_of(expected)
        ours = [said.message for said in talk.ours[session]]
        if talk.number not in self._joined:
            return len(ours) >= len(talk.theirs[session])
        return any(_covers(message, expected) for message in ours)

    def _learn_salt(self, message: ServerMessage, expected: Download) -> None:
        theirs = expected.progress.latest_server_version
        if isinstance(message, Download) and message.progress.latest_server_version.version == theirs.version:
            self._versions[theirs] = message.progress.latest_server_version

    def _await_end(self, talk: _Talk) -> None:
        while not talk.is_over and not talk.was_refused:
            if not talk.listen(self._patience_s) and not talk.is_over:
                self._differ(talk, "expected the end of the connection, said nothing")
                return

    def _close(self, talk: _Talk) -> None:
        while not talk.is_over and talk.listen(QUIET_S):
            pass
        if talk.socket is not None:
            talk.socket.close()
        talk.is_over = True
        for session in sorted(talk.theirs.keys() | talk.ours.keys()):
            self._compare(talk, session)

    # --- comparing --------------------------------------------------------------------------------------------------

    def _compare(self, talk: _Talk, session: int) -> None:
        theirs, ours = talk.theirs[session], talk.ours[session]
        if talk.number in self._joined:
            theirs, ours = _joined(theirs), _joined(ours)
        for expected, said in zip_longest(theirs, ours):
            if expected is None:
                self._differ(talk, f"said {short_form(said.message)}, which is not recorded")
            elif said is None:
                self._differ(talk, f"expected {short_form(expected.message)}, said nothing")
            elif not self._is_equal(expected.message, said.message):
                self._differ(talk, f"expected {short_form(expected.message)}, said {short_form(said.message)}")
            elif talk.number not in self._joined and layout_of(*expected) != layout_of(*said):
                self._differ(talk, f"another encoding of {short_form(expected.message)}")

    def _is_equal(self, expected: ServerMessage, said: ServerMessage) -> bool:
        if isinstance(expected, Error) and isinstance(said, Error):
            return (expected.code, expected.session) == (said.code, said.session)
        if isinstance(expected, ServerIdent) and isinstance(said, ServerIdent):
            return said.file_ident == self._idents[expected.file_ident]
        if isinstance(expected, Download):
            latest = expected.progress.latest_server_version
            progress = expected.progress._replace(latest_server_version=self._versions.get(latest, latest))
            expected = expected._replace(progress=progress)
        return comparable(expected) == comparable(said)

    def _differ(self, talk: _Talk, what: str) -> None:
        self.differences.append(Difference("live", talk.number, what))


def _session_of(message: ServerMessage) -> int:
    return 0 if isinstance(message, Pong) else message.session


def _outcome(status: int, headers: Mapping[str, str]) -> object:
    """What must be equal of an HTTP answer."""
    if status != 101:
        return status
    names = ("connection", "sec-websocket-accept", "sec-websocket-protocol", "upgrade")
    return [status, *(headers.get(name) for name in names)]


def _covers(message: ServerMessage, expected: ServerMessage) -> bool:
    """Whether a message tells at least what the original told."""
    if isinstance(message, Download) and isinstance(expected, Download):
        ours, theirs = message.progress, expected.progress
        return (
            ours.download.server_version >= theirs.download.server_version
            and ours.upload.client_version >= theirs.upload.client_version
        )
    if isinstance(message, Mark) and isinstance(expected, Mark):
        return message.request_ident == expected.request_ident
    return type(message) is type(expected)


def _joined(said: list[_Said]) -> list[_Said]:
    """DOWNLOADs that follow each other as one: the changesets of all, the progress of the last."""
    result: list[_Said] = []
    for item in said:
        before = result[-1].message if result else None
        if isinstance(item.message, Download) and isinstance(before, Download):
            entries = before.entries + item.message.entries
            result[-1] = _Said(item.message._replace(entries=entries), item.data)
        else:
            result.append(item)
    return result


def play(
    port: int,
    events: Sequence[RecordedEvent],
    *,
    joined: Collection[int] = (),
    before: Mapping[int, Callable[[], None]] | None = None,
    patience_s: float = 10.0,
) -> list[Difference]:
    """Play a recording to the server at ``port`` of this machine.

    Args:
        joined: connections on which this server may say with one DOWNLOAD what the original said with two, or the
            other way round.
        before: by connection, what happens to the server before it opens.
        patience_s: how long the server may take for one message, in seconds.
    """
    return _Player(port, events, joined, before or {}, patience_s).run()
