"""What realm-core's client notices of a live ``syncline serve --dev``, beyond the recorded conversations.

Handshakes of every kind, frames in every form, messages of every size (spec/wire-protocol.md §2, §3).
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.wire import Wire, dogs, name_of, packed, rename
from tests.whole.bare_socket import BINARY, CLOSE, PING, PONG, TEXT, BareSocket, Frame

from syncline.changesets.instructions import AddColumn, AddTable, CreateObject, Instruction, Update
from syncline.protocol.messages import Error, Unbound
from syncline.testing.processes import ServerProcess, free_port
from syncline.values import kinds

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    yield process
    process.stop()


Open = Callable[..., BareSocket]


@pytest.fixture
def upgraded(server: ServerProcess) -> Iterator[Open]:
    """Opens WebSockets that have been accepted; they end with the test."""
    opened: list[BareSocket] = []

    def open_one(target: str = "/realm-sync?baas_at=anything", address: str = "127.0.0.1", **more: Any) -> BareSocket:
        bare = BareSocket(server.port, address)
        opened.append(bare)
        more.setdefault("host", f"localhost:{server.port}")
        assert bare.upgrade(target, **more).status == 101
        return bare

    yield open_one
    for bare in opened:
        bare.close()


def binary(bare: BareSocket) -> bytes:
    frame = bare.receive()
    assert frame is not None
    assert frame.opcode == BINARY, frame
    return frame.data


def wire(bare: BareSocket, version: int = 14) -> Wire:
    return Wire(bare.send, lambda: binary(bare), version)


def alive(bare: BareSocket) -> bool:
    wire(bare).ping(7)
    return True


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


ADDRESSES = ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_of_the_readme_serves_a_client_at_once(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("syncline")
    port = free_port()
    line = [str(command), "serve", "--dev", "--port", str(port), "--data", str(tmp_path / "DIR")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["url"] == f"http://localhost:{port}"
            client = BareSocket(port)
            assert client.upgrade("/realm-sync?baas_at=token", host=f"localhost:{port}").status == 101
            session = wire(client)
            session.start("/any/path")
            session.until_acknowledged(session.upload(dogs(1)))
            client.close()
        finally:
            process.terminate()


# --- the handshake ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "localhost"])
def test_every_name_of_this_machine_is_served(server: ServerProcess, upgraded: Open, address: str, host: str) -> None:
    assert alive(upgraded(address=address, host=host.format(port=server.port)))


@pytest.mark.parametrize(
    "target",
    [
        "/realm-sync",
        "/realm-sync?baas_at=",
        "/realm-sync?baas_at=a.b.c",
        "/realm-sync?baas_at=eyJhbGci/+OiJIUzI1NiJ9==",
        "/realm-sync/%2Fexample?baas_at=x",
        "/realm-sync/%2Fuser%2F%7E%2Flist",
        "/realm-sync?other=1&baas_at=x&more=2",
    ],
)
def test_any_token_or_none_will_do(upgraded: Open, target: str) -> None:
    bare = upgraded(target)
    assert binary(bare).startswith(b'log_message 0 101\n{"co_id":"')
    wire(bare).start("/tokens")


def test_a_token_in_a_header_will_do(upgraded: Open) -> None:
    assert alive(upgraded("/realm-sync", more=[("Authorization", "Bearer whatever")]))


def test_a_very_long_token_will_do(upgraded: Open) -> None:
    assert alive(upgraded("/realm-sync?baas_at=" + "x" * 20_000))


def test_headers_of_the_application_do_no_harm(upgraded: Open) -> None:
    assert alive(upgraded(more=[("X-Custom", "ä".encode().decode("latin-1")), ("X-Empty", "")]))


def test_the_long_url_takes_the_tokens_it_gave_out(server: ServerProcess, upgraded: Open) -> None:
    app = "/api/client/v2.0/app/myapp-abcde"
    location = httpx.get(f"{server.url}{app}/location").json()
    assert location["ws_hostname"] == f"ws://localhost:{server.port}"
    credentials = {"provider": "anon-user"}
    token = httpx.post(f"{server.url}{app}/auth/providers/anon-user/login", json=credentials).json()["access_token"]
    assert alive(upgraded(f"{app}/realm-sync?baas_at={token}"))
    assert alive(upgraded(f"{app}/realm-sync", more=[("Authorization", f"Bearer {token}")]))
    stranger = upgraded(f"{app}/realm-sync?baas_at=nonsense")
    assert stranger.ended_with() == 4001  # get a new access token, and come back


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("com.mongodb.realm-sync#14,com.mongodb.realm-sync#13", "com.mongodb.realm-sync#14"),  # the browser build
        ("com.mongodb.realm-sync#2, com.mongodb.realm-sync#9, com.mongodb.realm-sync#5", "com.mongodb.realm-sync#9"),
        ("com.mongodb.realm-sync/7, com.mongodb.realm-sync/6, com.mongodb.realm-sync/2", "com.mongodb.realm-sync/7"),
        ("com.mongodb.realm-sync#15, com.mongodb.realm-sync#14", "com.mongodb.realm-sync#14"),
    ],
)
def test_the_answer_names_one_offer(server: ServerProcess, offers: str, answer: str) -> None:
    bare = BareSocket(server.port)
    response = bare.upgrade("/realm-sync", offers)
    assert response.headers["sec-websocket-protocol"] == answer
    # From version 10 on, the first message names the connection; before, a header does (§3.3).
    assert ("x-appservices-request-id" in response.headers) == (int(answer[-2:].strip("#/")) < 10)
    assert alive(bare)
    bare.close()


def test_the_oldest_client_is_answered_in_its_own_words(upgraded: Open) -> None:
    bare = upgraded("/realm-sync", offers="com.mongodb.realm-sync/2", more=[("Authorization", "Bearer x")])
    session = wire(bare, version=2)
    session.bind("/old", token="a token in bind")
    session.identify()
    session.until_acknowledged(session.upload(dogs(1)))
    session.raw(b"unknown 1\n")
    answer = session.raw_answer()
    assert answer.startswith(b"error 103 ")
    assert bare.ended_with() == 1011


# --- frames -----------------------------------------------------------------------------------------------------------


def test_messages_in_fragments_are_put_together(upgraded: Open) -> None:
    bare = upgraded()
    session = Wire(lambda data: bare.send_in_parts(data, 7), lambda: binary(bare))
    session.start("/fragments")
    session.until_acknowledged(session.upload(dogs(*range(20))))


def test_a_frame_without_mask_ends_the_connection(upgraded: Open) -> None:
    bare = upgraded()
    bare.send(b"ping 1 0\n", mask=None)
    assert bare.ended_with() in (None, 1002)


def test_a_mask_of_zeros_is_a_mask(upgraded: Open) -> None:
    bare = upgraded()
    bare.send(b"ping 5 0\n", mask=bytes(4))
    assert wire(bare).raw_answer() == b"pong 5\n"


def test_text_frames_are_ignored_and_websocket_pings_answered(upgraded: Open) -> None:
    bare = upgraded()
    binary(bare)
    bare.send(b"hello", TEXT)
    bare.send(b"are you there", PING)
    assert bare.receive() == Frame(PONG, b"are you there")
    bare.send(b"", PONG)
    assert alive(bare)


def test_a_close_frame_is_answered_and_tcp_ended(upgraded: Open) -> None:
    bare = upgraded()
    binary(bare)
    bare.send((1000).to_bytes(2), CLOSE)
    assert bare.ended_with() == 1000


def test_messages_of_nearly_64_mib_travel_both_ways(server: ServerProcess, upgraded: Open) -> None:
    schema: list[Instruction] = [
        AddTable("Blob", kinds.TOP_LEVEL, "_id", kinds.INT, False),
        AddColumn("Blob", "data", kinds.BINARY, False, kinds.SINGLE_COLLECTION, "", kinds.GLOBAL_KEY),
    ]
    for key in range(4):
        data = bytes([key]) * (15 * MIB + 900_000)
        schema += [CreateObject("Blob", key), Update("Blob", key, "data", (), kinds.BINARY, data)]
    changeset = packed(schema)
    assert 63 * MIB < len(changeset) < 64 * MIB
    writer = wire(upgraded())
    writer.start("/large")
    writer.until_acknowledged(writer.upload(changeset))
    reader = wire(upgraded())
    reader.start("/large")
    reader.until_complete()
    (entry,) = reader.downloaded
    assert entry.changeset == changeset


def test_a_message_beyond_64_mib_is_refused_by_name(upgraded: Open) -> None:
    bare = upgraded()
    bare.send_frame(b"x" * MIB, 0x02, b"abcd")
    for _ in range(63):
        bare.send_frame(b"x" * MIB, 0x00, b"abcd")
    try:
        bare.send_frame(b"x", 0x80, b"abcd")
    except OSError:
        pass  # it has heard enough
    assert bare.ended_with() == 1009


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_sessions_come_and_go_on_one_connection(upgraded: Open) -> None:
    bare = upgraded()
    sessions = []
    for ident in (1, 2, 3):
        session = wire(bare)
        session.session = ident
        session.start(f"/shared/{ident}")
        session.until_acknowledged(session.upload(dogs(ident)))
        sessions.append(session)
    refused = wire(bare)
    refused.session = 9
    refused.raw(b"bind 9 5 0 1 0\n/../x")
    error = refused.error()
    assert (error.code, error.session, error.try_again) == (204, 9, False)
    first, second, third = sessions
    first.raw(b"unbind 1\n")
    assert first.read() == Unbound(1)
    second.until_acknowledged(second.upload(rename(2, "Rex")))
    again = wire(bare)  # the same file under a new session ident, as realm-core does it
    again.session, again.file, again.position = 4, first.file, first.position
    again.client_version = first.client_version
    again.start("/shared/1")
    again.until_acknowledged(again.upload(rename(1, "Ada")))
    third.until_complete()
    other = wire(upgraded())
    other.start("/shared/1")
    other.until_complete()
    assert name_of(other.downloaded[-1]) == "Ada"


def test_unbinding_at_once_is_confirmed_and_nothing_follows(upgraded: Open) -> None:
    bare = upgraded()
    session = wire(bare)
    session.raw(b"bind 1 5 0 1 0\n/fast")
    session.raw(b"unbind 1\n")
    while not isinstance(message := session.read(), Unbound):
        assert not isinstance(message, Error)
    assert alive(bare)


def test_a_reconnecting_client_does_not_wait_for_its_old_connection(upgraded: Open) -> None:
    """The old TCP connection may look alive to the server long after the client has lost it."""
    old = upgraded()
    lost = wire(old)
    lost.start("/moved")
    lost.until_acknowledged(lost.upload(dogs(1)))
    new = wire(upgraded())
    new.file, new.position, new.client_version = lost.file, lost.position, lost.client_version
    new.start("/moved")
    new.until_acknowledged(new.upload(rename(1, "Rex")))
    assert old.ended_with() == 1011
