"""A real server process on loopback: its command line, its signals, what it survives."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.server.wire import OFFERS, Wire, dogs, name_of, rename
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from syncline.server.object_server import ObjectServer
from syncline.server.serve import main
from syncline.server.settings import Settings


def _has_ipv6_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


IPV6_LOOPBACK = ["::1"] if _has_ipv6_loopback() else []


class Server:
    """One server process; ``url`` is ws://localhost:PORT."""

    def __init__(self, data: Path, *options: str, **environment: str) -> None:
        self.data = data
        self.sockets = ExitStack()
        self.log = data.parent / "server.log"
        command = [sys.executable, "-m", "syncline.cli.main", "serve", "--port", "0", "--data", str(data), *options]
        quick = {"SYNCLINE_ARGON2_MEMORY": "64", "SYNCLINE_ARGON2_PASSES": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **quick, **environment}
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.ready: dict[str, Any] = json.loads(line)
        self.port = int(self.ready["port"])
        self.url = f"ws://localhost:{self.port}"

    def open(self, path: str = "/realm-sync?baas_at=any-token", **more: Any) -> ClientConnection:
        offers = [Subprotocol(offer) for offer in more.pop("subprotocols", OFFERS)]
        opened = connect(
            self.url + path,
            subprotocols=offers,
            compression=None,
            ping_interval=None,
            max_size=None,
            proxy=None,
            close_timeout=0.5,  # some are closed with much unread, after the server was killed
            **more,
        )
        found: ClientConnection = self.sockets.enter_context(opened)
        return found

    def wire(self) -> Wire:
        socket = self.open()
        return Wire(socket.send, lambda: bytes(socket.recv(timeout=20)))  # type: ignore[arg-type]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://localhost:{self.port}{path}", timeout=20) as answer:
            return json.load(answer)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers in development mode, which end with the test."""
    started: list[Server] = []

    def start(*options: str, **environment: str) -> Server:
        server = Server(tmp_path / "data", *(options or ("--dev",)), **environment)
        started.append(server)
        return server

    yield start
    for server in started:
        server.process.kill()
        server.process.wait(20)
        server.sockets.close()
        assert server.process.stdout is not None
        server.process.stdout.close()


def close_code(socket: ClientConnection) -> int | None:
    """Read to the end; the code of the server's close frame."""
    try:
        while True:
            socket.recv(timeout=20)
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code


def test_it_says_where_it_is_and_that_it_is_open_to_everyone(serve: Callable[..., Server]) -> None:
    server = serve()
    assert server.ready["event"] == "ready"
    assert server.ready["pid"] == server.process.pid
    assert json.loads((server.data / "server.json").read_text())["port"] == server.port
    assert server.get("/health") == {"status": "ok", "version": server.ready["version"], "open_realms": 0}
    location = server.get("/api/client/v2.0/app/default/location")
    assert location["ws_hostname"] == f"ws://localhost:{server.port}"
    assert "DEVELOPMENT MODE" in server.log.read_text()
    for address in ("127.0.0.1", "localhost", *IPV6_LOOPBACK):
        socket.create_connection((address, server.port), timeout=5).close()
    assert server.stop() == 0
    assert not (server.data / "server.json").exists()


def test_unsafe_or_impossible_ways_to_serve_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncline.server.serve.configure_logging", lambda level, as_json: None)
    monkeypatch.setattr("syncline.server.serve._Server.run", lambda *arguments, **named: None)
    data = tmp_path / "data"
    in_use = ObjectServer(Settings(data=tmp_path / "in use", dev=True, argon2_memory=64))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for settings, word in (
            (Settings(data=data, dev=True, host="0.0.0.0"), "development mode"),
            (Settings(data=data, host="0.0.0.0"), "TLS"),
            (Settings(data=tmp_path / "in use", dev=True, port=0), "another server"),
            (Settings(data=data, host="127.0.0.1", port=taken.getsockname()[1]), "cannot listen"),
            (Settings(data=data, port=taken.getsockname()[1]), "cannot listen"),
            (Settings(data=data, host="no.such.host.invalid"), "no.such.host.invalid"),
        ):
            assert main(settings) == 2, word
            assert word in capsys.readouterr().err
    asyncio.run(in_use.stop())
    assert main(Settings(data=data, dev=True, port=0, argon2_memory=64)) == 0


def test_two_clients_and_a_restart(serve: Callable[..., Server]) -> None:
    server = serve()
    one, two = server.wire(), server.wire()
    one.start("/demo/dogs")
    one.until_acknowledged(one.upload(dogs(1, 2), rename(1, "Rex")))
    two.start("/demo/dogs")
    two.until_complete()
    two.until_acknowledged(two.upload(rename(2, "Ada")))
    one.until_complete()
    assert name_of(one.downloaded[-1]) == "Ada"
    before = server.get("/dev/realms/demo/dogs/hash")
    assert server.stop() == 0
    server = serve()
    assert server.get("/dev/realms/demo/dogs/hash") == before
    again = server.wire()
    again.file, again.position, again.client_version = one.file, one.position, one.client_version
    first = again.start("/demo/dogs")
    assert first.progress.upload.client_version == 3
    again.until_acknowledged(again.upload(rename(1, "Max")))
    salts = {before["version"]: one.position[3], again.position[0]: again.position[3]}
    assert len(set(salts.values())) == 2, "each group of commits has a salt of its own"


def test_everybody_is_told_when_it_stops(serve: Callable[..., Server]) -> None:
    server = serve()
    socket = server.open()
    wire = Wire(socket.send, lambda: bytes(socket.recv(timeout=20)))  # type: ignore[arg-type]
    wire.start("/demo")
    version = wire.upload(dogs(1))
    wire.until_acknowledged(version)
    server.process.send_signal(signal.SIGTERM)
    error = wire.error()
    assert (error.code, error.session, error.try_again, error.action) == (100, 0, True, "Transient")
    assert close_code(socket) == 1011
    assert server.process.wait(20) == 0


def test_what_was_acknowledged_survives_kill_9(serve: Callable[..., Server]) -> None:
    """Three clients write as fast as they can; the server is killed in the middle; three times over."""
    server = serve()
    clients = [server.wire() for _ in range(3)]
    clients[0].start("/demo")
    clients[0].until_acknowledged(clients[0].upload(dogs(*range(3))))
    for client in clients[1:]:
        client.start("/demo")
    for round_number in range(3):
        _write_until_killed(server, clients)
        server.kill()
        server = serve()
        for number, old in enumerate(clients):
            fresh = server.wire()
            fresh.file, fresh.position, fresh.client_version = old.file, old.position, old.client_version
            stored = fresh.start("/demo").progress.upload.client_version
            assert stored >= old.acknowledged, f"round {round_number}: client {number} lost changes"
            fresh.client_version = stored + 1
            fresh.until_complete()
            clients[number] = fresh
        reader = server.wire()
        reader.start("/demo")
        reader.until_complete()
        versions = [entry.server_version for entry in reader.downloaded]
        assert versions == sorted(set(versions))
        assert reader.position[0] == server.get("/dev/realms/demo/hash")["version"]


def _write_until_killed(server: Server, clients: list[Wire]) -> None:
    enough = threading.Event()

    def write(number: int, client: Wire) -> None:
        for count in range(100_000):
            try:
                client.until_acknowledged(client.upload(rename(number, f"name {count}")))
            except (ConnectionClosed, OSError):
                return
            if count == 40:
                enough.set()

    threads = [threading.Thread(target=write, args=pair) for pair in enumerate(clients)]
    for thread in threads:
        thread.start()
    assert enough.wait(30)
    server.process.kill()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_it_serves_tls(serve: Callable[..., Server], tmp_path: Path) -> None:
    certificate, key = certificate_for("localhost", tmp_path)
    server = serve("--anonymous", "--tls-certificate", str(certificate), "--tls-key", str(key))
    trust = ssl.create_default_context(cafile=str(certificate))
    with urllib.request.urlopen(f"https://localhost:{server.port}/health", timeout=20, context=trust) as answer:
        assert json.load(answer)["status"] == "ok"
    login = urllib.request.Request(
        f"https://localhost:{server.port}/api/client/v2.0/app/default/auth/providers/anon-user/login",
        data=b"{}",
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(login, timeout=20, context=trust) as answer:
        tokens = json.load(answer)
    server.url = f"wss://localhost:{server.port}"
    path = f"/api/client/v2.0/app/default/realm-sync?baas_at={tokens['access_token']}"
    socket = server.open(path, ssl=trust)
    wire = Wire(socket.send, lambda: bytes(socket.recv(timeout=20)))  # type: ignore[arg-type]
    wire.start("/~/mine")
    wire.until_acknowledged(wire.upload(dogs(1)))


def certificate_for(host: str, folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_messages_beyond_the_limit_end_the_connection(serve: Callable[..., Server]) -> None:
    server = serve("--dev", SYNCLINE_MAX_MESSAGE_BYTES="100000")
    socket = server.open()
    socket.send(b"x" * 100_001)
    assert close_code(socket) == 1009
    server.wire().ping()


def test_garbage_on_the_socket_harms_nobody(serve: Callable[..., Server]) -> None:
    server = serve()
    for data in (b"\x00" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 200_000, b"\x16\x03\x01\x02\x00\x01\x00"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            raw.settimeout(5)
            try:
                while raw.recv(4096):
                    pass
            except ConnectionError:
                pass
    unmasked = server.open()
    unmasked.socket.sendall(b"\x82\x05hello")
    assert close_code(unmasked) in (None, 1002)
    server.wire().ping()


def test_long_tokens_are_accepted_and_never_logged(serve: Callable[..., Server]) -> None:
    server = serve("--dev", "--log-level", "debug", "--log-json")
    secret = "opaque-secret-" + "x" * 12_000
    server.open(f"/realm-sync?baas_at={secret}").close()
    server.wire().ping()
    server.stop()
    text = server.log.read_text()
    assert "opaque-secret" not in text
    lines = [line for line in text.splitlines() if line.startswith("{")]
    assert any(json.loads(line)["message"].startswith("connection") for line in lines)
