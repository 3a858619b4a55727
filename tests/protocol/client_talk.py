"""A client machine that tests can talk to."""

from __future__ import annotations

from random import Random
from typing import TypeVar

from syncline.changesets.changeset import (
    DownloadChangeset,
    DownloadCursor,
    SaltedVersion,
    SyncProgress,
    UploadChangeset,
    UploadCursor,
)
from syncline.protocol import (
    ClientConnection,
    ClientEvent,
    ClientFileIdent,
    ClientSession,
    ClientSettings,
    DisconnectWanted,
    Error,
    ErrorAction,
    Limits,
    SessionConfig,
    SyncMode,
    TerminationReason,
    UploadWanted,
    encode_download_entries,
)
from syncline.protocol.from_client import parse_client_message
from syncline.protocol.from_server import (
    build_download,
    build_json_error,
    build_unbound,
)
from syncline.protocol.messages import Bind, ClientMessage, Ident

IDENT = ClientFileIdent(2, 777)
STAND = SyncProgress(SaltedVersion(5, 55), DownloadCursor(5, 3), UploadCursor(3, 5))
Event = TypeVar("Event")


class Talk:
    """A client machine with its ears and mouth on the outside."""

    def __init__(self, mode: SyncMode = SyncMode.PBS, version: int = 14, **settings: object) -> None:
        self.now = 0
        self.machine = ClientConnection(mode, Random(1), ClientSettings(**settings))  # type: ignore[arg-type]
        self.version = version
        self.heard: list[ClientEvent] = []

    def connect(self) -> None:
        self.machine.connected(self.version, self.now)

    def bind(self, ident: int = 1, **changes: object) -> ClientSession:
        config = SessionConfig("/a", IDENT, STAND, local_version=5)
        return self.machine.bind(ident, config._replace(**changes))  # type: ignore[arg-type]

    def said(self) -> list[ClientMessage]:
        found: list[ClientMessage] = []
        while (data := self.machine.next_message(self.now)) is not None:
            found.append(parse_client_message(data, self.machine.mode, Limits()))
        return found

    def hear(self, data: bytes) -> None:
        self.machine.receive(data, self.now)

    def download(self, progress: SyncProgress, *entries: DownloadChangeset, session: int = 1, **flx: object) -> None:
        body = encode_download_entries(entries)
        mode, version = self.machine.mode, self.version
        self.hear(build_download(session, progress, body, mode=mode, version=version, **flx))  # type: ignore[arg-type]

    def error(self, code: int, session: int = 1, **details: object) -> None:
        values = {"message": "m", "try_again": False, "action": ErrorAction.APPLICATION_BUG} | details
        self.hear(build_json_error(Error(session, code, **values)))  # type: ignore[arg-type]

    def one(self, kind: type[Event]) -> Event:
        events = self.machine.events()
        assert [type(event) for event in events] == [kind], events
        return events[0]  # type: ignore[return-value]

    def violated(self) -> str:
        """The complaint of a violation; the connection must end."""
        event = self.one(DisconnectWanted)
        assert event.reaction.reason is TerminationReason.PROTOCOL_VIOLATION
        assert event.reaction.is_fatal
        assert self.said() == []
        self.hear(build_unbound(1))
        assert self.machine.events() == []
        return event.message


def ready(**settings: object) -> tuple[Talk, ClientSession]:
    """A session of a known file that has said everything, uploads active."""
    talk = Talk(upload_activation_delay=False, **settings)  # type: ignore[arg-type]
    session = talk.bind()
    talk.connect()
    assert [type(message) for message in talk.said()] == [Bind, Ident]
    answer_upload(talk, [], UploadCursor(5, 5))
    assert talk.said() == []
    return talk, session


def answer_upload(talk: Talk, entries: list[UploadChangeset], cursor: UploadCursor) -> UploadWanted:
    wanted = talk.one(UploadWanted)
    wanted.session.supply_upload(wanted, entries, cursor)
    return wanted


def stand(version: int, client: int = 3, upload: tuple[int, int] = (3, 5)) -> SyncProgress:
    return SyncProgress(SaltedVersion(version, 55), DownloadCursor(version, client), UploadCursor(*upload))


def entry(version: int, client: int = 3, origin: int = 9) -> DownloadChangeset:
    return DownloadChangeset(version, client, 1000, origin, 3, b"abc")
