"""A server machine that tests can talk to."""

from __future__ import annotations

from typing import TypeVar

from syncline.changesets.changeset import (
    DownloadChangeset,
    DownloadCursor,
    SaltedVersion,
    UploadChangeset,
    UploadCursor,
)
from syncline.protocol import (
    BindRequested,
    CloseWanted,
    DownloadBatch,
    DownloadWanted,
    Error,
    IdentFacts,
    IdentRequested,
    Limits,
    ServerConnection,
    ServerEvent,
    ServerSession,
    ServerSettings,
    SessionEnded,
    SyncMode,
    encode_download_entries,
    encode_upload_entries,
)
from syncline.protocol.from_client import build_upload
from syncline.protocol.from_server import parse_server_message
from syncline.protocol.messages import LogMessage, ServerMessage

__all__ = ["FACTS", "Talk", "batch"]

Event = TypeVar("Event")

#: Client file 2 of a Realm at version 5; its uploads up to client version 3, made on server version 1, are integrated.
FACTS = IdentFacts(5, 55, True, salt=7, upload=UploadCursor(3, 1), locked_version=1)


def batch(
    version: int, client: int = 3, latest: int | None = None, entries: tuple[DownloadChangeset, ...] = (), **flx: object
) -> DownloadBatch:
    """A DOWNLOAD up to ``version``."""
    end = version if latest is None else latest
    cursor = DownloadCursor(version, client)
    body = encode_download_entries(entries)
    return DownloadBatch(cursor, SaltedVersion(end, 55), UploadCursor(3, 1), 0, body, **flx)  # type: ignore[arg-type]


class Talk:
    """A server machine with its ears and mouth on the outside."""

    def __init__(self, mode: SyncMode = SyncMode.PBS, version: int = 14, **settings: object) -> None:
        self.machine = ServerConnection(version, mode, "c0", 0, ServerSettings(**settings))  # type: ignore[arg-type]
        self.now = 0

    def hear(self, data: bytes) -> None:
        self.machine.receive(data, self.now)

    def events(self) -> list[ServerEvent]:
        return self.machine.events()

    def one(self, kind: type[Event]) -> Event:
        events = self.machine.events()
        assert [type(event) for event in events] == [kind], events
        return events[0]  # type: ignore[return-value]

    def said(self, logs: bool = False) -> list[ServerMessage]:
        found: list[ServerMessage] = []
        while (data := self.machine.next_message()) is not None:
            message = parse_server_message(data, self.machine.mode, self.machine.version, Limits())
            if logs or not isinstance(message, LogMessage):
                found.append(message)
        return found

    def bound(self, ident: int = 1, realm: str = "/a") -> ServerSession:
        """A session of client file 2 whose BIND was accepted."""
        self.hear(b"bind %d 2 0 0 0\n/a" % ident)
        session = self.one(BindRequested).session
        session.accept_bind(realm)
        return session

    def identified(self, ident: int = 1, realm: str = "/a", facts: IdentFacts = FACTS) -> ServerSession:
        """The same, identified at server version 5."""
        session = self.bound(ident, realm)
        self.hear(b"ident %d 2 7 5 3 5 55\n" % ident)
        self.one(IdentRequested)
        assert session.identify(facts) == 0
        return session

    def ready(self, ident: int = 1, realm: str = "/a") -> ServerSession:
        """The same, with its first DOWNLOAD sent."""
        session = self.identified(ident, realm)
        assert self.said() == []
        self.one(DownloadWanted)
        session.supply_download(batch(5))
        assert len(self.said()) == 1
        return session

    def upload(self, progress: tuple[int, int], locked: int, *entries: tuple[int, int], session: int = 1) -> None:
        """UPLOAD with entries (client version, server version)."""
        changesets = [UploadChangeset(version, base, 0, 0, b"x") for version, base in entries]
        self.hear(build_upload(session, UploadCursor(*progress), locked, encode_upload_entries(changesets)))

    def session_error(self) -> Error:
        """The session has ended, and said so."""
        self.one(SessionEnded)
        (message,) = self.said()
        assert isinstance(message, Error)
        assert message.session != 0
        return message

    def failed(self) -> int:
        """The connection has failed: the code it told the client."""
        (message,) = self.said()
        assert isinstance(message, Error)
        assert (message.session, message.try_again) == (0, False)
        events = [event for event in self.events() if not isinstance(event, SessionEnded)]
        assert [type(event) for event in events] == [CloseWanted], events
        self.hear(b"bind 9 2 0 1 0\n/a")
        assert (self.said(), self.events()) == ([], [])
        return message.code
