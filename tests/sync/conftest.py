"""A WebSocket server whose every byte a test decides, a Realm server in a few lines, devices that sync with them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.changesets.changeset import DownloadChangeset, DownloadCursor, SaltedVersion, SyncProgress, UploadCursor
from syncline.protocol import messages
from syncline.protocol.bodies import encode_download_entries
from syncline.protocol.from_client import parse_client_message
from syncline.protocol.from_server import (
    build_download,
    build_error,
    build_json_error,
    build_pong,
    build_server_ident,
    build_unbound,
)
from syncline.protocol.messages import ClientFileIdent
from syncline.protocol.settings import Limits, SyncMode
from syncline.storage.file import FileLease, RealmFile
from syncline.sync import (
    ClientResetMode,
    ConnectionState,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncSession,
    SyncTimeoutOptions,
    SyncUser,
)
from syncline.sync.backend import Backend
from syncline.values.kinds import INT, STRING

Script = Callable[["Peer"], Awaitable[None]]

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE = 2, 8


class Peer:
    """The server's end of one TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.request = b""
        self.received: list[bytes] = []

    @property
    def target(self) -> str:
        return self.request.split(b" ")[1].decode()

    def header(self, name: str) -> str | None:
        for line in self.request.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    async def read_request(self) -> None:
        self.request = await self._reader.readuntil(b"\r\n\r\n")

    async def accept(self, subprotocol: str | None = "com.mongodb.realm-sync#14") -> None:
        """Answer 101."""
        key = self.header("Sec-WebSocket-Key")
        assert key is not None
        digest = base64.b64encode(hashlib.sha1(key.encode() + _MAGIC).digest()).decode()
        chosen = "" if subprotocol is None else f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
        await self.write(
            f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Accept: {digest}\r\n{chosen}\r\n".encode()
        )

    async def answer(self, status: int, body: str = "", headers: str = "") -> None:
        """Answer plain HTTP."""
        await self.write(
            f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
        )

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send(self, message: bytes | str, opcode: int = _BINARY) -> None:
        """One unfragmented frame."""
        payload = message.encode() if isinstance(message, str) else message
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 127, size)
        await self.write(head + payload)

    async def close(self, code: int, reason: str = "") -> None:
        """A close frame, and soon the end of TCP: at once, unread data would turn it into a reset that overtakes."""
        await self.send(struct.pack("!H", code) + reason.encode(), _CLOSE)
        await asyncio.sleep(0.1)
        self.writer.close()

    async def receive(self) -> bytes:
        """The next message of the client. Raises asyncio.IncompleteReadError at its end."""
        while True:
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", await self._reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
            mask = await self._reader.readexactly(4)
            data = await self._reader.readexactly(size)
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
            if first & 0x0F == _BINARY:
                self.received.append(payload)
                return payload
            if first & 0x0F == _CLOSE:
                raise asyncio.IncompleteReadError(payload, None)

    async def expect(self, kind: str) -> list[str]:
        """The fields of the client's next message of this kind; others are passed over."""
        while True:
            message = await self.receive()
            head = message.split(b"\n", 1)[0].decode().split(" ")
            if head[0] == kind:
                return head[1:]


class ScriptedServer:
    """Runs one script per connection: the first for the first, …, the last for all that follow."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.peers: list[Peer] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = self.run(self._listen(None))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def script(self, *scripts: Script) -> ScriptedServer:
        self.scripts = list(scripts)
        return self

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(5)

    def close(self) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _listen(self, tls: ssl.SSLContext | None) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 26, ssl=tls)

    def listen_with_tls(self, tls: ssl.SSLContext) -> int:
        """Another port, with TLS."""
        port: int = self.run(self._listen(tls)).sockets[0].getsockname()[1]
        return port

    async def _stop(self) -> None:
        self._server.close()
        while self._tasks:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer)
        self.peers.append(peer)
        script = self.scripts[min(len(self.peers), len(self.scripts)) - 1]
        try:
            await peer.read_request()
            await script(peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)


class FakeRealm:
    """A Realm server for well-behaved clients: one Realm per path, no merging, everything acknowledged at once.

    ``script`` serves a connection. What a test changes on the way: ``before`` is awaited with (peer, message) for each
    message and may return True to swallow it; :meth:`fail_once` has an error sent in place of an answer.
    """

    def __init__(self) -> None:
        self.log: list[tuple[int, messages.ClientMessage]] = []  # (number of the connection, message)
        self.history: dict[str, list[tuple[int, messages.UploadChangeset]]] = {}
        self.acknowledge = True
        self.before: Callable[[Peer, messages.ClientMessage], Awaitable[bool | None]] | None = None
        self.remaining = 0  # reported as downloadable
        self.salt = 4711
        self._sessions: dict[tuple[int, int], dict[str, Any]] = {}
        self._failures: list[tuple[type, messages.Error, str | None]] = []
        self._next_ident = 2
        self._peers: list[Peer | None] = []

    def kinds(self, connection: int | None = None) -> list[str]:
        return [type(m).__name__ for c, m in self.log if connection in (None, c)]

    def uploads(self) -> list[messages.UploadChangeset]:
        return [entry for _, m in self.log if isinstance(m, messages.Upload) for entry in m.entries]

    async def script(self, peer: Peer) -> None:
        await peer.accept()
        await self.serve(peer)

    async def serve(self, peer: Peer) -> None:
        self._peers.append(peer)
        number = len(self._peers)
        try:
            while True:
                message = parse_client_message(await peer.receive(), SyncMode.PBS, Limits())
                self.log.append((number, message))
                if self.before is not None and await self.before(peer, message):
                    continue
                await self._answer(number, peer, message)
        finally:
            self._peers[number - 1] = None
            for key in [key for key in self._sessions if key[0] == number]:
                del self._sessions[key]

    def fail_once(self, kind: type, error: messages.Error, path: str | None = None) -> None:
        """Answer the next message of this kind (for this Realm) with an error, whose session 0 stands for its own."""
        self._failures.append((kind, error, path))

    async def _fails(self, key: tuple[int, int], peer: Peer, message: messages.ClientMessage) -> bool:
        """Whether the session has failed, or does so now."""
        session = self._sessions.get(key, {})
        if session.get("failed"):
            if isinstance(message, messages.Unbind):
                del self._sessions[key]
            return True
        path = message.path if isinstance(message, messages.Bind) else session.get("path")
        for failure in self._failures:
            kind, error, wanted = failure
            if isinstance(message, kind) and wanted in (None, path):
                self._failures.remove(failure)
                self._sessions.setdefault(key, {"path": path})["failed"] = True
                await self.fail(peer, error._replace(session=error.session or key[1]))
                return True
        return False

    async def _answer(self, number: int, peer: Peer, message: messages.ClientMessage) -> None:
        if not isinstance(message, messages.Ping) and await self._fails((number, message.session), peer, message):
            return
        match message:
            case messages.Ping():
                await peer.send(build_pong(message.timestamp))
            case messages.Bind():
                self._sessions[number, message.session] = {"path": message.path, "peer": peer, "sent": 0}
                if message.need_client_file_ident:
                    await peer.send(build_server_ident(message.session, ClientFileIdent(self._next_ident, self.salt)))
                    self._next_ident += 1
            case messages.Ident():
                session = self._sessions[number, message.session]
                session.update(ident=message.file_ident.ident, sent=message.download.server_version, cursor=0)
                await self._download(number, message.session, always=True)
            case messages.Mark():
                await peer.send(f"mark {message.session} {message.request_ident}\n")
            case messages.Unbind():
                self._sessions.pop((number, message.session), None)
                await peer.send(build_unbound(message.session))
            case messages.Upload():
                session = self._sessions[number, message.session]
                log = self.history.setdefault(session["path"], [])
                known = {(ident, entry.client_version) for ident, entry in log}
                log += [
                    (session["ident"], entry)
                    for entry in message.entries
                    if (session["ident"], entry.client_version) not in known
                ]
                if message.entries and self.acknowledge:
                    for other in [key for key, one in self._sessions.items() if "ident" in one and "failed" not in one]:
                        await self._download(*other)

    async def _download(self, number: int, ident: int, always: bool = False) -> None:
        session = self._sessions[number, ident]
        log = self.history.setdefault(session["path"], [])
        mine = [entry.client_version for origin, entry in log if origin == session["ident"]]
        entries = []
        integrated = 0
        for version, (origin, entry) in enumerate(log, 1):
            if origin == session["ident"]:
                integrated = entry.client_version
            elif version > session["sent"]:
                size = len(entry.changeset)
                entries.append(
                    DownloadChangeset(version, integrated, entry.origin_timestamp, origin, size, entry.changeset)
                )
        if not always and len(log) == session["sent"]:
            return
        session["sent"] = len(log)
        progress = SyncProgress(
            SaltedVersion(len(log), 99 if log else 0),
            DownloadCursor(len(log), integrated),
            UploadCursor(max(mine, default=0), 0),
        )
        body = encode_download_entries(entries)
        await session["peer"].send(
            build_download(ident, progress, body, mode=SyncMode.PBS, version=14, downloadable_bytes=self.remaining)
        )

    async def spoil(self, key: tuple[int, int], entry: bytes) -> None:
        """Send a download with one made-up entry, which takes the next server version."""
        session = self._sessions[key]
        version = session["sent"] + 1
        head = f"download {key[1]} {version} 0 {version} 99 0 0 0 0 {len(entry)} 0\n"
        await session["peer"].send(head.encode() + entry)

    async def fail(self, peer: Peer, error: messages.Error) -> None:
        """Send an error; the session is forgotten once the client unbinds."""
        await peer.send(build_error(error) if error.action is None else build_json_error(error))

    async def cut(self) -> None:
        """End every connection."""
        for peer in self._peers:
            if peer is not None:
                peer.writer.close()


class Device:
    """A local file with a class ``Dog(id: int, name: string)`` and its session."""

    def __init__(self, configuration: SyncConfiguration) -> None:
        backend = Backend()
        self.configuration = configuration
        self.path = backend.resolve_path(configuration, None)
        self._lease = FileLease(RealmFile.open(self.path))
        self.file = self._lease.file
        try:
            self._handle = backend.attach(configuration, self._lease)
        except BaseException:
            self._lease.close()
            raise

    @property
    def session(self) -> SyncSession:
        session = self._handle.session
        assert session is not None
        return session

    @property
    def core(self) -> Any:
        return self.session._core_ref()

    def write(self, *names: str, first: int = 1) -> None:
        """One transaction with a dog for each name."""
        with self.file.write() as tx:
            dog = tx.add_class("Dog", primary_key="id", key_type=INT)
            tx.add_property(dog, "name", STRING)
            dog = tx.catalogue.find("Dog")
            assert dog is not None
            for number, name in enumerate(names, first):
                k, _ = tx.create(dog, number)
                tx.set(dog, k, dog.properties["name"], name)

    def names(self) -> dict[int, str]:
        with self.file.snapshot() as snapshot, snapshot.lock:
            dog = snapshot.catalogue.find("Dog")
            if dog is None:
                return {}
            rows = snapshot.reader.page(dog, limit=-1)
            return {
                row[dog.singles.index(dog.properties["id"])]: row[dog.singles.index(dog.properties["name"])]
                for _, row in rows
            }

    def close(self) -> None:
        self._handle.close()
        self._lease.close()


class World:
    """A manager with short delays, and devices that are closed at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager = self.new_manager()
        self.errors: list[tuple[Any, Any]] = []
        self._devices: list[Device] = []

    def new_manager(self) -> SyncManager:
        manager = SyncManager(self.folder / "sync")
        manager.default_client_reset_mode = ClientResetMode.MANUAL  # the others: test_client_reset.py
        manager.timeout_options = SyncTimeoutOptions(connect_timeout=2_000, connection_linger_time=600)
        manager.error_handler = lambda error, session: self.errors.append((error, session))
        return manager

    def user(self, url: str, identity: str = "me") -> SyncUser:
        return self.manager.log_in(SyncCredentials.access_token("token", identity), url)

    def device(self, user: SyncUser, name: str = "a", path: str = "/dogs", **settings: Any) -> Device:
        device = Device(SyncConfiguration(user, path, path=str(self.folder / f"{name}.realm"), **settings))
        self._devices.append(device)
        return device

    def device_at_default_path(self, configuration: SyncConfiguration) -> Device:
        device = Device(configuration)
        self._devices.append(device)
        return device

    @staticmethod
    def eventually(condition: Callable[[], Any], seconds: float = 5.0) -> Any:
        """Wait until ``condition()`` is true; its value."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.005)
        return value

    def connected(self, device: Device) -> None:
        """Wait until the device is connected."""
        self.eventually(lambda: device.session.connection_state is ConnectionState.CONNECTED)

    def close(self) -> None:
        for device in self._devices:
            with contextlib.suppress(Exception):
                device.close()
        self.manager.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.close()


@pytest.fixture
def realm(server: ScriptedServer) -> FakeRealm:
    fake = FakeRealm()
    server.script(fake.script)
    return fake


@pytest.fixture
def world(tmp_path: Path, server: ScriptedServer) -> Iterator[World]:
    """Depends on the server, so that its clients end first."""
    made = World(tmp_path)
    yield made
    made.close()


class FakeApp:
    """The HTTP half of a server, before the sockets of a :class:`FakeRealm`; tokens last ``lifetime`` seconds."""

    def __init__(self, server: ScriptedServer, realm: FakeRealm) -> None:
        self.realm = realm
        self.url = f"http://127.0.0.1:{server.port}"
        self.ws_url = f"ws://127.0.0.1:{server.port}"
        self.lifetime = 1800
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.refusals: dict[str, tuple[int, str]] = {}
        """Path's last part → status and error_code."""
        self.valid_tokens: set[str] = set()
        self.sockets: list[str] = []
        self.authorization_header = "Authorization"
        self._count = 0

    def token(self, kind: str) -> str:
        self._count += 1
        now = int(time.time())
        claims = {"exp": now + (self.lifetime if kind == "access" else 9999), "iat": now, "typ": kind, "n": self._count}
        text = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        token = f"e30.{text}.c2ln"
        self.valid_tokens.add(token)
        return token

    async def script(self, peer: Peer) -> None:
        method, target, _ = peer.request.split(b"\r\n")[0].decode().split(" ")
        path, _, query = target.partition("?")
        if path.endswith("/realm-sync"):
            await self._socket(peer, query)
            return
        length = int(peer.header("Content-Length") or 0)
        body = await peer._reader.readexactly(length)
        self.requests.append((method, path))
        self.bodies.append(json.loads(body) if body else None)
        status, answer = self._answer(method, path.rsplit("/", 1)[1], peer.header(self.authorization_header))
        text = "" if answer is None else json.dumps(answer)
        await peer.answer(status, text, "Content-Type: application/json\r\n" if text else "")

    async def _socket(self, peer: Peer, query: str) -> None:
        self.sockets.append(query)
        if query.removeprefix("baas_at=") not in self.valid_tokens:
            await peer.answer(401)
            return
        await self.realm.script(peer)

    def _answer(self, method: str, what: str, authorization: str | None) -> tuple[int, Any]:
        if what in self.refusals:
            status, word = self.refusals[what]
            return status, {"error": f"refused: {word}", "error_code": word}
        if what in ("profile", "session") and (authorization or "").removeprefix("Bearer ") not in self.valid_tokens:
            return 401, {"error": "invalid session", "error_code": "InvalidSession"}
        if what == "location":
            return 200, {
                "hostname": self.url,
                "ws_hostname": self.ws_url,
                "deployment_model": "GLOBAL",
                "location": "X",
            }
        if what == "login":
            self._count += 1
            return 200, {
                "user_id": f"{self._count:024x}",
                "access_token": self.token("access"),
                "refresh_token": self.token("refresh"),
                "device_id": "0" * 24,
            }
        if what == "profile":
            identity = {"id": "1", "provider_type": "anon-user"}
            return 200, {"identities": [identity], "data": {}, "type": "normal", "is_admin": False}
        if what == "session" and method == "POST":
            return 201, {"access_token": self.token("access")}
        return (201 if what == "register" else 204), None


@pytest.fixture
def app(server: ScriptedServer, realm: FakeRealm) -> FakeApp:
    fake = FakeApp(server, realm)
    server.script(fake.script)
    return fake
