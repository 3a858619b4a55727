"""Why a connection ends, row by row: what is told, what becomes of the session, what else is done, and the reason that
its delay is kept under (spec/sessions.md §7.9, spec/wire-protocol.md §2.6, §3.3)."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from syncline import errors
from syncline.protocol.errors import TerminationReason as Reason
from syncline.sync import ConnectionState, SyncCredentials, SyncSessionState, SyncUserState
from syncline.sync.connection import Attempts

ACTIVE, INACTIVE, INVALID = SyncSessionState
ACCOUNT = SyncCredentials.username_password("me@x.example", "secret-1")

REFRESH, RELOCATE, LOG_OUT, NOTHING = "another token", "another location", "logged out", "nothing"

Act = Callable[[Any], Awaitable[None]]


def closes(code: int) -> Act:
    async def act(peer: Any) -> None:
        await peer.accept()
        await peer.send(struct.pack("!H", code) + b"why", 8)
        await asyncio.sleep(5)

    return act


def answers(status: int) -> Act:
    async def act(peer: Any) -> None:
        await peer.answer(status, "why", "Location: http://127.0.0.1:1/\r\n")

    return act


async def goes_away(peer: Any) -> None:
    await peer.accept()


async def is_silent(peer: Any) -> None:
    await asyncio.sleep(5)


async def speaks_another_version(peer: Any) -> None:
    await peer.accept("com.mongodb.realm-sync#99")
    await asyncio.sleep(5)


async def names_no_version(peer: Any) -> None:
    await peer.accept(None)
    await asyncio.sleep(5)


async def sends_nonsense(peer: Any) -> None:
    await peer.accept()
    await peer.send(b"what is this\n")
    await asyncio.sleep(5)


async def breaks_frames(peer: Any) -> None:
    await peer.accept()
    await peer.write(b"\xff" * 64)
    await asyncio.sleep(5)


class Row(NamedTuple):
    """``status`` None: nobody is told."""

    act: Act
    reason: Reason
    kind: type[errors.SyncError] | None = None
    status: str | None = None
    is_fatal: bool = False
    state: SyncSessionState = ACTIVE
    effect: str = NOTHING
    is_verified: bool = True


VIOLATION = (Reason.WEBSOCKET_VIOLATION, errors.ClientSessionError, "SyncProtocolInvariantFailed")
CONNECT = (errors.ConnectionFailedError, "SyncConnectFailed")
NEGOTIATION = (errors.ClientSessionError, "SyncProtocolNegotiationFailed", True)
LOGGED_OUT = (errors.ClientUserError, "AuthError", True, INACTIVE, LOG_OUT)
TLS = (errors.TlsHandshakeFailedError, "TlsHandshakeFailed")

ROWS = {
    "normal close": Row(closes(1000), Reason.READ_OR_WRITE_ERROR),
    "going away": Row(closes(1001), *VIOLATION),
    "protocol error": Row(closes(1002), *VIOLATION),
    "unsupported data": Row(closes(1003), *VIOLATION),
    "reserved": Row(closes(1004), *VIOLATION),
    "no status": Row(closes(1005), *VIOLATION),
    "invalid data": Row(closes(1007), *VIOLATION),
    "policy violation": Row(closes(1008), *VIOLATION),
    "invalid extension": Row(closes(1010), *VIOLATION),
    "a code of somebody's own": Row(closes(4009), *VIOLATION),
    "broken frames": Row(breaks_frames, *VIOLATION),
    "abnormal closure": Row(closes(1006), Reason.HTTP_NONFATAL, effect=REFRESH),
    "message too big": Row(
        closes(1009), Reason.WEBSOCKET_VIOLATION, errors.ClientResetError, "LimitExceeded", False, INVALID
    ),
    "server error": Row(closes(1011), Reason.HTTP_NONFATAL),
    "TLS handshake failed": Row(closes(1015), Reason.TLS_REJECTED, *TLS),
    "unauthorized": Row(closes(4001), Reason.HTTP_NONFATAL, effect=REFRESH),
    "forbidden": Row(closes(4002), Reason.HTTP_FATAL, *LOGGED_OUT),
    "moved": Row(closes(4003), Reason.HTTP_NONFATAL, effect=RELOCATE),
    "read error": Row(goes_away, Reason.READ_OR_WRITE_ERROR),
    "connect timeout": Row(is_silent, Reason.CONNECT_TIMEOUT, errors.ConnectTimeoutError, "SyncConnectTimeout"),
    "connect timeout, unverified": Row(is_silent, Reason.CONNECT_TIMEOUT, effect=RELOCATE, is_verified=False),
    "HTTP 200": Row(answers(200), Reason.HTTP_FATAL, *CONNECT, True),
    "HTTP 404": Row(answers(404), Reason.HTTP_FATAL, *CONNECT, True),
    "HTTP 429": Row(answers(429), Reason.HTTP_FATAL, *CONNECT, True),
    "HTTP 404, unverified": Row(answers(404), Reason.CONNECT_FAILED, effect=RELOCATE, is_verified=False),
    "HTTP 401": Row(answers(401), Reason.HTTP_NONFATAL, effect=REFRESH),
    "HTTP 403": Row(answers(403), Reason.HTTP_FATAL, *LOGGED_OUT),
    "HTTP 301": Row(answers(301), Reason.HTTP_NONFATAL, effect=RELOCATE),
    "HTTP 308": Row(answers(308), Reason.HTTP_NONFATAL, effect=RELOCATE),
    "HTTP 302": Row(answers(302), Reason.HTTP_NONFATAL),
    "HTTP 500": Row(answers(500), Reason.HTTP_NONFATAL),
    "HTTP 503": Row(answers(503), Reason.HTTP_NONFATAL),
    "unsupported version": Row(speaks_another_version, Reason.BAD_HEADERS, *NEGOTIATION),
    "no version": Row(names_no_version, Reason.BAD_HEADERS, *NEGOTIATION),
    "a message that is none": Row(
        sends_nonsense,
        Reason.PROTOCOL_VIOLATION,
        errors.ClientSessionError,
        "SyncProtocolInvariantFailed",
        True,
        INVALID,
    ),
}


def meet(app: Any, act: Act, turn: int) -> None:
    """The socket whose turn it is meets ``act``, all others the Realm."""
    well, count = app._socket, itertools.count(1)

    async def socket(peer: Any, query: str) -> None:
        await (act(peer) if next(count) == turn else well(peer, query))

    app._socket = socket


@pytest.fixture
def reasons(monkeypatch: pytest.MonkeyPatch) -> list[Reason]:
    """Why connections ended, as their back-offs hear it."""
    told: list[Reason] = []
    init = Attempts.__init__

    def watched(attempts: Attempts, *arguments: Any) -> None:
        init(attempts, *arguments)
        failed = attempts.backoff.failed

        def told_too(reason: Reason, parameters: Any = None) -> int:
            told.append(reason)
            return failed(reason, parameters)

        monkeypatch.setattr(attempts.backoff, "failed", told_too)

    monkeypatch.setattr(Attempts, "__init__", watched)
    return told


@pytest.mark.parametrize("name", list(ROWS))
def test_7_9(world: Any, app: Any, server: Any, reasons: list[Reason], name: str) -> None:
    row = ROWS[name]
    world.manager.timeout_options.connect_timeout = 1_000
    meet(app, row.act, 2 if row.is_verified else 1)
    user = world.manager.log_in(ACCOUNT, app.url)
    device = world.device(user)
    session = device.session
    if row.is_verified:
        session.wait_for_download(5)
        server.run(app.realm.cut())
        world.eventually(lambda: reasons)
        reasons.clear()
        session.reconnect()
    before = len(app.requests)

    def asked() -> list[str]:
        return [f"{method} {path.rsplit('/', 1)[1]}" for method, path in app.requests[before:]]

    world.eventually(lambda: reasons)
    assert reasons[0] is row.reason
    match row.effect:
        case "another token":
            world.eventually(lambda: asked() == ["POST session"])
        case "another location":
            world.eventually(lambda: asked() == ["GET location", "POST session"])
        case "logged out":
            world.eventually(lambda: user.state is SyncUserState.LOGGED_OUT)
        case _:
            assert asked() == []
    if row.kind is None:
        if row.effect == NOTHING:
            session.reconnect()
        world.eventually(lambda: session.connection_state is ConnectionState.CONNECTED)
        world.manager.notify_thread.drain(5)
        assert world.errors == []
        session.wait_for_download(5)
        return
    world.eventually(lambda: world.errors)
    ((error, told),) = world.errors
    assert type(error) is row.kind
    assert (error.status, error.is_fatal, told) == (row.status, row.is_fatal, session)
    world.eventually(lambda: session.state is row.state)
    if row.state is ACTIVE:
        session.reconnect()
        session.wait_for_download(5)


@pytest.mark.parametrize("host", ["127.0.0.1:9", "nowhere.invalid"])
def test_7_9_resolve_or_connect_failed(world: Any, app: Any, server: Any, reasons: list[Reason], host: str) -> None:
    """A route that never worked is asked for again, and nobody is told; one that worked is told of once."""
    right, app.ws_url = app.ws_url, f"ws://{host}"
    user = world.manager.log_in(ACCOUNT, app.url)
    device = world.device(user)
    before = len(app.requests)
    world.eventually(lambda: ("GET", "/api/client/v2.0/app/default/location") in app.requests[before:])
    assert reasons[0] is Reason.CONNECT_FAILED
    app.ws_url = right
    device.session.reconnect()
    world.eventually(lambda: device.session.connection_state is ConnectionState.CONNECTED)
    device.session.wait_for_download(5)
    world.manager.notify_thread.drain(5)
    assert world.errors == []


def test_7_9_connect_failed_on_a_verified_route(world: Any, server: Any, realm: Any, reasons: list[Reason]) -> None:
    device = world.device(world.user("ws://127.0.0.1:9"))
    world.eventually(lambda: len(reasons) >= 2)
    world.manager.notify_thread.drain(5)
    ((error, session),) = world.errors
    assert type(error) is errors.ConnectionFailedError
    assert (error.status, error.is_fatal, session) == ("SyncConnectFailed", False, device.session)
    assert set(reasons) == {Reason.CONNECT_FAILED}
    assert session.state is ACTIVE
