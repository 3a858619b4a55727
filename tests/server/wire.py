"""A bare client of the wire protocol for tests: hand-written messages, read as the original would read them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from syncline.changesets.changeset import Changeset, DownloadChangeset
from syncline.changesets.codec import decode, encode
from syncline.changesets.instructions import AddColumn, AddTable, CreateObject, Instruction, Update
from syncline.protocol.from_server import parse_server_message
from syncline.protocol.messages import Download, Error, LogMessage, Mark, Pong, ServerIdent, ServerMessage
from syncline.protocol.settings import Limits, SyncMode
from syncline.values import kinds

__all__ = ["DOG", "OFFERS", "RAW", "Wire", "dogs", "name_of", "packed", "rename"]

RAW = "ws://localhost/realm-sync"
OFFERS = [f"com.mongodb.realm-sync#{version}" for version in range(14, 1, -1)]

#: The class every test uses: an int key and a name.
DOG: list[Instruction] = [
    AddTable("Dog", kinds.TOP_LEVEL, "_id", kinds.INT, False),
    AddColumn("Dog", "name", kinds.STRING, False, kinds.SINGLE_COLLECTION, "", kinds.GLOBAL_KEY),
]

TIMESTAMP = 375_338_707_719


def packed(instructions: Sequence[Instruction]) -> bytes:
    """One changeset."""
    return encode(Changeset(list(instructions), []))


def dogs(*keys: int) -> bytes:
    """A changeset that makes the class, and dogs with these keys."""
    return packed([*DOG, *(CreateObject("Dog", key) for key in keys)])


def rename(key: int, name: str) -> bytes:
    """A changeset that gives a dog a name."""
    return packed([Update("Dog", key, "name", (), kinds.STRING, name)])


def name_of(entry: DownloadChangeset) -> Any:
    """The name that such a changeset gives."""
    (instruction,) = decode(entry.changeset).instructions
    assert isinstance(instruction, Update)
    return instruction.value


class _Known(NamedTuple):
    """A client file as the client knows it."""

    ident: int
    salt: int


class Wire:
    """One session on one connection. ``send`` and ``receive`` move WebSocket messages."""

    def __init__(self, send: Callable[[bytes], Any], receive: Callable[[], bytes], version: int = 14) -> None:
        self._send = send
        self._receive = receive
        self.version = version
        self.session = 1
        self.file = _Known(0, 0)
        self.client_version = 2
        self.downloaded: list[DownloadChangeset] = []
        #: server version, last integrated client version, latest server version and its salt
        self.position = (0, 0, 0, 0)
        self.acknowledged = 0

    # --- bytes --------------------------------------------------------------------------------------------------------

    def raw(self, data: bytes) -> None:
        """Send a message as it is."""
        self._send(data)

    def raw_answer(self) -> bytes:
        """The next message as it is, log messages left out."""
        while True:
            data = self._receive()
            if not data.startswith(b"log_message "):
                return data

    def read(self) -> ServerMessage:
        """The next message that is no log message."""
        while True:
            message = parse_server_message(self._receive(), SyncMode.PBS, self.version, Limits())
            if not isinstance(message, LogMessage):
                return message

    # --- messages -----------------------------------------------------------------------------------------------------

    def bind(self, path: str, *, token: str = "") -> None:
        """BIND, and IDENT of the server if this file is new."""
        need = int(self.file.ident == 0)
        text = path.encode() + token.encode()
        self.raw(f"bind {self.session} {len(path.encode())} {len(token)} {need} 0\n".encode() + text)
        if need:
            answer = self.read()
            assert isinstance(answer, ServerIdent), answer
            self.file = _Known(*answer.file_ident)

    def identify(self) -> Download:
        """IDENT, and the first DOWNLOAD."""
        numbers = " ".join(map(str, (*self.file, *self.position)))
        self.raw(f"ident {self.session} {numbers}\n".encode())
        return self.download()

    def start(self, path: str) -> Download:
        """BIND and IDENT."""
        self.bind(path)
        return self.identify()

    def upload(self, *changesets: bytes, base: int | None = None, compress: bool = False) -> int:
        """UPLOAD of changesets, each of one more client version; returns the last version."""
        base = self.position[0] if base is None else base
        body = b""
        for changeset in changesets:
            head = f"{self.client_version} {base} {TIMESTAMP + self.client_version} 0 {len(changeset)} "
            body += head.encode() + changeset
            self.client_version += 1
        last = self.client_version - 1
        inflated = len(body)
        deflated = 0
        if compress:
            body = zlib.compress(body, 1)
            deflated = len(body)
        numbers = f"{int(compress)} {inflated} {deflated} {last} {base} {self.position[0]}"
        self.raw(f"upload {self.session} {numbers}\n".encode() + body)
        return last

    def report(self) -> None:
        """UPLOAD without changesets: where this client stands."""
        version = self.client_version
        self.client_version += 1
        self.raw(f"upload {self.session} 0 0 0 {version} {self.position[0]} {self.position[0]}\n".encode())

    def download(self) -> Download:
        """The next message, which must be a DOWNLOAD."""
        message = self.read()
        assert isinstance(message, Download), message
        progress = message.progress
        self.position = (*progress.download, *progress.latest_server_version)
        self.acknowledged = progress.upload.client_version
        self.downloaded += message.entries
        return message

    def until_acknowledged(self, version: int) -> None:
        """Read DOWNLOADs until an upload is acknowledged."""
        while self.acknowledged < version:
            self.download()

    def until_complete(self, number: int = 1) -> None:
        """MARK, and everything up to its answer."""
        self.raw(f"mark {self.session} {number}\n".encode())
        while True:
            message = self.read()
            if isinstance(message, Mark):
                assert message.request_ident == number
                return
            assert isinstance(message, Download), message
            progress = message.progress
            self.position = (*progress.download, *progress.latest_server_version)
            self.acknowledged = progress.upload.client_version
            self.downloaded += message.entries

    def error(self) -> Error:
        """The next message, which must be an error; DOWNLOADs on their way before it are read."""
        while True:
            message = self.read()
            if isinstance(message, Error):
                return message
            assert isinstance(message, Download), message

    def ping(self, timestamp: int = 1) -> None:
        """PING and its PONG, which overtakes everything."""
        self.raw(f"ping {timestamp} 0\n".encode())
        while True:
            message = self.read()
            if isinstance(message, Pong):
                assert message.timestamp == timestamp
                return
