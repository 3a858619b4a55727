"""One WebSocket: handshake, negotiation, ends and what they mean (spec/wire-protocol.md §2, §3)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from syncline.protocol.errors import ErrorAction, Reaction, Status, TerminationReason
from syncline.protocol.settings import SyncMode
from syncline.sync.transport import ConnectionEnded, Endpoint, Socket, SocketOptions, open_socket

USER = ("me", "ws://x", "default")
OPTIONS = SocketOptions(
    "tok.en-1", "Syncline/test", {"X-Mine": "yes"}, connect_timeout_ms=2_000, max_message_bytes=70_000
)


def connect(
    server: Any,
    use: Callable[[Socket], Awaitable[Any]],
    *,
    options: SocketOptions = OPTIONS,
    is_verified: bool = False,
    mode: SyncMode = SyncMode.PBS,
    path: str = "/realm-sync",
) -> Any:
    async def main() -> Any:
        socket = await open_socket(Endpoint(mode, server.url + path, USER), options, is_verified=is_verified)
        try:
            return await use(socket)
        finally:
            socket.close()

    return asyncio.run(main())


def ended(server: Any, **arguments: Any) -> Reaction:
    """How the connection ends for a client that only receives."""

    async def use(socket: Socket) -> None:
        while True:
            await socket.receive()

    with pytest.raises(ConnectionEnded) as caught:
        connect(server, use, **arguments)
    return caught.value.reaction


def test_the_upgrade_request(server: Any) -> None:
    async def script(peer: Any) -> None:
        await peer.accept()
        await peer.receive()

    async def use(socket: Socket) -> int:
        await socket.send(b"ping 1 0\n")
        return socket.version

    assert connect(server.script(script), use) == 14
    peer = server.peers[0]
    assert peer.target == "/realm-sync?baas_at=tok.en-1"
    offered = peer.header("Sec-WebSocket-Protocol").split(", ")
    assert offered == [f"com.mongodb.realm-sync#{version}" for version in range(14, 1, -1)]
    assert peer.header("Sec-WebSocket-Extensions") is None
    assert peer.header("Authorization") is None
    assert peer.header("User-Agent") == "Syncline/test"
    assert peer.header("X-Mine") == "yes"


def test_an_existing_query_and_an_odd_token(server: Any) -> None:
    async def script(peer: Any) -> None:
        await peer.accept()

    async def use(socket: Socket) -> None: ...

    connect(server.script(script), use, options=SocketOptions("a b\r\nX: y#"), path="/realm-sync")
    assert server.peers[0].target == "/realm-sync?baas_at=a%20b%0D%0AX:%20y%23"


@pytest.mark.parametrize(
    ("answer", "version"),
    [("com.mongodb.realm-sync#9", 9), ("com.mongodb.realm-sync/7", 7), ("com.mongodb.realm-sync#2", 2)],
)
def test_lower_versions_in_either_spelling(server: Any, answer: str, version: int) -> None:
    async def script(peer: Any) -> None:
        await peer.accept(answer)

    async def use(socket: Socket) -> int:
        return socket.version

    assert connect(server.script(script), use) == version


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "com.mongodb.realm-sync#15",
        "com.mongodb.realm-sync#1",
        "com.mongodb.realm-query-sync#14",
        "other#14",
        "com.mongodb.realm-sync#14\r\nSec-WebSocket-Protocol: com.mongodb.realm-sync#13",
    ],
)
def test_answers_that_were_not_offered_are_fatal(server: Any, answer: str | None) -> None:
    async def script(peer: Any) -> None:
        await peer.accept(answer)
        await asyncio.sleep(5)

    reaction = ended(server.script(script))
    assert reaction.status is Status.PROTOCOL_NEGOTIATION_FAILED
    assert reaction.is_fatal
    assert reaction.reason is TerminationReason.BAD_HEADERS


def test_flexible_sync_has_its_own_names(server: Any) -> None:
    async def script(peer: Any) -> None:
        await peer.accept("com.mongodb.realm-query-sync#14")

    async def use(socket: Socket) -> int:
        return socket.version

    assert connect(server.script(script), use, mode=SyncMode.FLX) == 14
    assert "com.mongodb.realm-query-sync#14" in server.peers[0].header("Sec-WebSocket-Protocol")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, (Status.CONNECTION_CLOSED, False, ErrorAction.REFRESH_LOCATION)),
        (308, (Status.CONNECTION_CLOSED, False, ErrorAction.REFRESH_LOCATION)),
        (302, (Status.CONNECTION_CLOSED, False, None)),
        (401, (Status.AUTH_ERROR, False, ErrorAction.REFRESH_USER)),
        (403, (Status.AUTH_ERROR, True, ErrorAction.LOG_OUT_USER)),
        (503, (Status.CONNECTION_CLOSED, False, None)),
        (404, (Status.CONNECT_FAILED, True, None)),
        (429, (Status.CONNECT_FAILED, True, None)),
        (200, (Status.CONNECT_FAILED, True, None)),
    ],
)
def test_http_answers(server: Any, status: int, expected: tuple[Status, bool, ErrorAction | None]) -> None:
    async def script(peer: Any) -> None:
        await peer.answer(status, "why", "Location: http://127.0.0.1:1/\r\n")

    reaction = ended(server.script(script), is_verified=True)
    assert (reaction.status, reaction.is_fatal, reaction.action) == expected
    assert len(server.peers) == 1  # a redirect is not followed


def test_an_unverified_endpoint_makes_the_client_ask_for_the_location(server: Any) -> None:
    async def script(peer: Any) -> None:
        await peer.answer(404)

    reaction = ended(server.script(script))
    assert (reaction.is_fatal, reaction.action) == (False, ErrorAction.REFRESH_LOCATION)


@pytest.mark.parametrize(
    ("code", "status", "action"),
    [
        (1001, Status.PROTOCOL_INVARIANT_FAILED, None),
        (1008, Status.PROTOCOL_INVARIANT_FAILED, None),
        (3000, Status.PROTOCOL_INVARIANT_FAILED, None),
        (4009, Status.PROTOCOL_INVARIANT_FAILED, None),
        (1009, Status.LIMIT_EXCEEDED, ErrorAction.CLIENT_RESET),
        (1011, Status.CONNECTION_CLOSED, None),
        (4001, Status.AUTH_ERROR, ErrorAction.REFRESH_USER),
        (4002, Status.AUTH_ERROR, ErrorAction.LOG_OUT_USER),
        (4003, Status.CONNECTION_CLOSED, ErrorAction.REFRESH_LOCATION),
        (1000, Status.CONNECTION_CLOSED, ErrorAction.TRANSIENT),
        (1002, Status.PROTOCOL_INVARIANT_FAILED, None),
        (1003, Status.PROTOCOL_INVARIANT_FAILED, None),
        (1004, Status.PROTOCOL_INVARIANT_FAILED, None),
        (1005, Status.PROTOCOL_INVARIANT_FAILED, None),
        (1006, Status.CONNECTION_CLOSED, ErrorAction.REFRESH_USER),
        (1007, Status.PROTOCOL_INVARIANT_FAILED, None),
        (1010, Status.PROTOCOL_INVARIANT_FAILED, None),
        (1012, Status.PROTOCOL_INVARIANT_FAILED, None),
        (1013, Status.PROTOCOL_INVARIANT_FAILED, None),
        (1015, Status.TLS_HANDSHAKE_FAILED, None),
        (0, Status.PROTOCOL_INVARIANT_FAILED, None),
        (2000, Status.PROTOCOL_INVARIANT_FAILED, None),
        (4004, Status.PROTOCOL_INVARIANT_FAILED, None),
        (65535, Status.PROTOCOL_INVARIANT_FAILED, None),
    ],
)
def test_close_codes(server: Any, code: int, status: Status, action: ErrorAction | None) -> None:
    async def script(peer: Any) -> None:
        await peer.accept()
        await peer.send(struct.pack("!H", code) + b"reason that is no text: \xff", 8)
        await asyncio.sleep(5)  # the client does not wait for our end of TCP

    reaction = ended(server.script(script))
    assert (reaction.status, reaction.action) == (status, action)
    assert reaction.is_fatal == (code == 4002)


@pytest.mark.parametrize("payload", [b"", b"\x03"])
def test_a_close_frame_without_a_code_counts_as_1005(server: Any, payload: bytes) -> None:
    async def script(peer: Any) -> None:
        await peer.accept()
        await peer.send(payload, 8)
        await asyncio.sleep(5)

    reaction = ended(server.script(script))
    assert (reaction.status, reaction.is_fatal) == (Status.PROTOCOL_INVARIANT_FAILED, False)


def test_the_loss_of_the_socket_is_transient(server: Any) -> None:
    async def script(peer: Any) -> None:
        await peer.accept()

    reaction = ended(server.script(script))
    assert (reaction.action, reaction.reason) == (ErrorAction.TRANSIENT, TerminationReason.READ_OR_WRITE_ERROR)


def test_bad_input_oversize_messages_are_refused_before_they_are_read(server: Any) -> None:
    async def script(peer: Any) -> None:
        await peer.accept()
        await peer.write(struct.pack("!BBQ", 0x82, 127, 1 << 40))
        await asyncio.sleep(5)

    reaction = ended(server.script(script))
    assert reaction.status is Status.PROTOCOL_INVARIANT_FAILED
    assert reaction.is_fatal


@pytest.mark.parametrize("garbage", [b"\xff" * 64, b"\x82\x85abcdefghi", b"\xc2\x00", b"\x83\x00"])
def test_bad_input_frames_that_are_no_frames(server: Any, garbage: bytes) -> None:
    async def script(peer: Any) -> None:
        await peer.accept()
        await peer.write(garbage)
        await asyncio.sleep(5)

    reaction = ended(server.script(script))  # as close code 1002
    assert reaction.status is Status.PROTOCOL_INVARIANT_FAILED
    assert (reaction.is_fatal, reaction.action) == (False, None)
    assert reaction.reason is TerminationReason.WEBSOCKET_VIOLATION


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH_9\r\n\r\n", b"\x00" * 100 + b"\r\n\r\n", b"HTTP/1.1 999999 X\r\n\r\n"]
)
def test_bad_input_a_server_that_does_not_speak_http(server: Any, garbage: bytes) -> None:
    async def script(peer: Any) -> None:
        await peer.write(garbage)
        await asyncio.sleep(5)

    assert ended(server.script(script)).status is Status.CONNECT_FAILED


def test_bad_input_an_endless_header(server: Any) -> None:
    async def script(peer: Any) -> None:
        await peer.write(b"HTTP/1.1 101 X\r\n")
        while True:
            await peer.write(b"X: " + b"y" * 4096 + b"\r\n")

    assert ended(server.script(script)).status is Status.CONNECT_FAILED


def test_no_answer_at_all(server: Any) -> None:
    async def hang_up(peer: Any) -> None: ...

    async def silence(peer: Any) -> None:
        await asyncio.sleep(5)

    reaction = ended(server.script(hang_up), is_verified=True)
    assert (reaction.status, reaction.is_fatal) == (Status.CONNECT_FAILED, False)
    options = SocketOptions("t", connect_timeout_ms=200)
    reaction = ended(server.script(silence), is_verified=True, options=options)
    assert reaction.reason is TerminationReason.CONNECT_TIMEOUT


def test_bad_input_a_refused_connection(server: Any) -> None:
    server.url_of_nothing = "ws://127.0.0.1:9"

    async def main() -> None:
        await open_socket(Endpoint(SyncMode.PBS, "ws://127.0.0.1:9/realm-sync", USER), OPTIONS, is_verified=True)

    with pytest.raises(ConnectionEnded, match="cannot connect") as caught:
        asyncio.run(main())
    assert caught.value.reaction.status is Status.CONNECT_FAILED


def test_text_messages_are_ignored_and_large_ones_arrive_whole(server: Any) -> None:
    async def script(peer: Any) -> None:
        await peer.accept()
        await peer.send("text", opcode=1)
        await peer.send(b"x" * 65_537)
        assert await peer.receive() == b"y" * 65_537

    async def use(socket: Socket) -> bytes:
        message = await socket.receive()
        await socket.send(b"y" * 65_537)
        with pytest.raises(ConnectionEnded):
            await socket.receive()
        return message

    assert connect(server.script(script), use) == b"x" * 65_537


def test_no_token_reaches_the_log_at_any_level(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: Any) -> None:
        await peer.answer(401, "no")

    caplog.set_level(1)
    caplog.set_level(1, "syncline.sync")
    options = SocketOptions("a-secret", headers={"Authorization": "Bearer another-secret"})
    server.script(script)
    assert ended(server, options=options).status is Status.AUTH_ERROR
    assert "secret" not in caplog.text
