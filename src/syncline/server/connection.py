"""One sync connection: moves bytes and events between a WebSocket, the protocol machine and the hubs.

The machine (:class:`syncline.protocol.server.ServerConnection`) knows the conversation, the hubs know the Realms; this
class answers the one's questions with the other's knowledge. Everything runs on the event loop; what blocks goes to
worker threads. Reading stops while the machine or a hub has too much to do.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Final

from syncline.errors import ProtocolViolationError, SynclineError
from syncline.protocol.errors import CloseCode, ErrorCode
from syncline.protocol.events import (
    BindRequested,
    ClientErrorReceived,
    CloseWanted,
    DownloadWanted,
    IdentRequested,
    MarkRequested,
    QueryReceived,
    ServerEvent,
    SessionEnded,
    TokenRefreshed,
    UploadReceived,
)
from syncline.protocol.messages import ClientFileIdent
from syncline.protocol.negotiation import Subprotocol
from syncline.protocol.server import ServerConnection
from syncline.protocol.server_session import ServerSession
from syncline.protocol.settings import ServerSettings
from syncline.server.access import Access, AccessDeniedError, Principal
from syncline.server.api_errors import ApiError
from syncline.server.hub import Hub
from syncline.server.hubs import Hubs
from syncline.server.identifiers import new_id
from syncline.server.integrator import Refusal
from syncline.server.permissions import Level
from syncline.server.realm_directory import RealmRecord
from syncline.server.realm_keys import IllegalRealmPathError
from syncline.server.settings import Settings

__all__ = ["SyncConnection", "protocol_settings"]

_log = logging.getLogger("syncline.server")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Messages of at least so many bytes are decoded on a worker thread: they may inflate to a thousand times as much.
_DECODE_INLINE: Final = 8 * 1024
#: After so many messages in a row the writer lets others have the event loop.
_TURN: Final = 16


def protocol_settings(settings: Settings) -> ServerSettings:
    """The machine's settings from the server's."""
    limits = ServerSettings().limits._replace(message=settings.max_message_bytes, inflated=settings.max_inflated_bytes)
    return ServerSettings(
        sessions=settings.max_sessions_per_connection, idle_timeout_ms=settings.idle_timeout * 1000, limits=limits
    )


class _BoundSession:
    """One session of a connection, between the machine's session and the Realm's hub: the hub's *member*."""

    def __init__(self, connection: SyncConnection, session: ServerSession, is_subserver: bool) -> None:
        self._connection = connection
        self.session = session
        self.is_subserver = is_subserver
        self.file_ident = 0
        self.is_over = False
        self.has_ended = False
        self.hub: Hub | None = None

    def level(self) -> Level:
        assert self.hub is not None
        return self._connection.level(self.hub.realm)

    def advance(self, version: int) -> None:
        self.session.advance(version)
        self._connection.wake()

    def refuse(self, refusal: Refusal) -> None:
        _log.warning("connection %s: error %d: %s", self._connection.id, refusal.code, refusal.message)
        self.session.fail(refusal.code, refusal.message, action=refusal.action)
        self._connection.wake()

    def supersede(self) -> None:
        self._connection.close(CloseCode.INTERNAL_ERROR, "superseded by a newer connection of the same client file")


class SyncConnection:
    """One accepted WebSocket. :meth:`run` returns when it is closed and nothing of it is left."""

    def __init__(
        self,
        *,
        subprotocol: Subprotocol,
        principal: Principal,
        access: Access,
        hubs: Hubs,
        settings: Settings,
        receive: Receive,
        send: Send,
    ) -> None:
        self.id = new_id()
        self.principal = principal
        self._access = access
        self._hubs = hubs
        self._settings = settings
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._machine = ServerConnection(
            subprotocol.version, subprotocol.mode, self.id, self._now(), protocol_settings(settings)
        )
        self._sessions: dict[ServerSession, _BoundSession] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._work_to_do = asyncio.Event()
        self._may_read = asyncio.Event()
        self._close: tuple[int, str] | None = None
        self._timers: list[asyncio.TimerHandle] = []

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the connection until either side ends it."""
        _log.info("connection %s opened by user %s", self.id, self.principal.user_id)
        self._set_timer()
        self._set_expiry()
        reader = self._loop.create_task(self._read())
        writer = self._loop.create_task(self._write())
        self._tasks |= {reader, writer}
        try:
            done, _ = await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._end()
            _log.info("connection %s ended", self.id)
            await asyncio.wait(self._tasks)

    def _end(self) -> None:
        """Leave nothing behind; does not wait, so that it is done even where waiting is cancelled."""
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._machine.disconnected()
        self._handle_events()
        for bound in list(self._sessions.values()):
            self._leave(bound)

    def wake(self) -> None:
        """There may be something to write, or reading may go on."""
        self._work_to_do.set()
        self._may_read.set()

    def close(self, code: int, reason: str) -> None:
        """End the connection with a close frame, after what is being written now."""
        self._machine.close(code, reason)
        self._handle_events()
        self.wake()

    def shut_down(self) -> None:
        """The server stops: say so, then close (spec/wire-protocol.md §11)."""
        self._machine.shut_down()
        self.wake()

    def level(self, realm: RealmRecord) -> Level:
        """What the connection's user may do to the Realm, as of now. Blocks: called on worker threads."""
        return self._access.level(self.principal, realm)

    def _now(self) -> int:
        return int(self._loop.time() * 1000)

    def _set_timer(self) -> None:
        due = self._machine.next_timer()
        if due is not None:
            self._timers[:1] = [self._loop.call_later(max(0, due - self._now()) / 1000, self._tick)]

    def _tick(self) -> None:
        self._machine.tick(self._now())
        self._handle_events()
        self.wake()
        if self._close is None:
            self._set_timer()

    def _set_expiry(self) -> None:
        if self.principal.expires is not None:
            left = self.principal.expires + self._settings.token_grace - time.time()
            self._timers.append(self._loop.call_later(max(0.0, left), self._expire))

    def _expire(self) -> None:
        expires = self.principal.expires
        if expires is not None and expires + self._settings.token_grace <= time.time():
            self.close(CloseCode.UNAUTHORIZED, "access token expired")
        else:
            self._set_expiry()

    # --- reading ----------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            if data is None:
                continue  # text frames are ignored (spec/wire-protocol.md §3.1)
            if len(data) < _DECODE_INLINE:
                self._machine.receive(data, self._now())
            else:
                await self._receive_large(data)
            self._handle_events()
            self.wake()
            await self._until_readable()

    async def _receive_large(self, data: bytes) -> None:
        """Inflating and taking apart a large message would hold up everybody else."""
        try:
            message = await self._hubs.resources.run(self._machine.decode, data)
        except ProtocolViolationError as error:
            self._machine.reject(error)
        else:
            self._machine.receive_message(message, len(data), self._now())

    async def _until_readable(self) -> None:
        """Back-pressure: leave the socket unread while the machine or a hub has too much to do."""
        while self._machine.read_paused:
            self._may_read.clear()
            await self._may_read.wait()
        for bound in list(self._sessions.values()):
            if bound.hub is not None and bound.hub.is_congested:
                await bound.hub.room()

    # --- writing ----------------------------------------------------------------------------------------------------

    async def _write(self) -> None:
        in_a_row = 0
        while self._close is None:
            message = self._machine.next_message()
            was_asked = self._handle_events()
            if message is not None:
                await self._send({"type": "websocket.send", "bytes": message})
                in_a_row += 1
                if in_a_row % _TURN == 0:
                    await asyncio.sleep(0)
            elif not was_asked:
                await self._work_to_do.wait()
                self._work_to_do.clear()
        code, reason = self._close
        await self._send({"type": "websocket.close", "code": code, "reason": reason[:100]})

    # --- events of the machine --------------------------------------------------------------------------------------

    def _handle_events(self) -> bool:
        """Whether there were any, so that there may be something to write."""
        had_some = False
        while events := self._machine.events():
            had_some = True
            for event in events:
                self._handle(event)
        return had_some

    def _handle(self, event: ServerEvent) -> None:
        match event:
            case UploadReceived():
                self._upload(event)
            case DownloadWanted():
                self._download(event)
            case MarkRequested(session=session):
                self._with_hub(session, lambda hub: session.confirm_mark(hub.head.version))
            case BindRequested():
                self._bind(event)
            case IdentRequested(session=session):
                bound = self._sessions.get(session)
                if bound is not None:
                    self._start(self._identify(bound, event), bound)
            case SessionEnded(session=session):
                bound = self._sessions.pop(session, None)
                if bound is not None:
                    self._leave(bound)
            case CloseWanted(code=code, message=message):
                self._close = (code, message)
                self.wake()
            case TokenRefreshed(session=session, token=token):
                self._start(self._check_token(token), self._sessions.get(session))
            case QueryReceived(session=session, query_version=query_version):
                session.reject_query(query_version, ErrorCode.BAD_QUERY, "this server does not serve queries")
            case ClientErrorReceived(session=session, code=code, message=message):
                _log.warning("connection %s: the client reports error %d: %s", self.id, code, message)
            case _:
                pass

    def _with_hub(self, session: ServerSession, action: Callable[[Hub], None]) -> None:
        bound = self._sessions.get(session)
        if bound is not None and bound.hub is not None:
            action(bound.hub)

    def _start(self, work: Coroutine[Any, Any, None], bound: _BoundSession | None) -> None:
        """Do the work of one session beside everything else; if it fails, the session does."""
        task = self._loop.create_task(self._guard(work, bound))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # cancelled at once, it has never begun

    async def _guard(self, work: Coroutine[Any, Any, None], bound: _BoundSession | None) -> None:
        try:
            await work
        except (SynclineError, OSError) as error:
            _log.error("connection %s: %s", self.id, error)
            if bound is not None:
                bound.session.fail(ErrorCode.OTHER_SESSION_ERROR, "the server cannot serve this Realm now")
        except Exception:  # noqa: BLE001 - a defect of ours ends this connection, and no other
            _log.exception("connection %s failed in an unexpected way", self.id)
            self.close(CloseCode.INTERNAL_ERROR, "internal error")
        finally:
            self._handle_events()
            self.wake()

    # --- sessions ---------------------------------------------------------------------------------------------------

    def _bind(self, event: BindRequested) -> None:
        bound = self._sessions[event.session] = _BoundSession(self, event.session, event.is_subserver)
        if event.flexible is not None:
            self._machine.fail(ErrorCode.SWITCH_TO_PBS, "this server syncs Realms by path or partition value")
            return
        self._start(self._open(bound, event), bound)

    async def _open(self, bound: _BoundSession, event: BindRequested) -> None:
        if event.token:
            await self._check_token(event.token)
        run = self._hubs.resources.run
        try:
            realm = await run(self._access.open_realm, self.principal, event.path)
        except IllegalRealmPathError as error:
            bound.session.fail(ErrorCode.ILLEGAL_REALM_PATH, f"Illegal Realm path (BIND): {error}")
            return
        except AccessDeniedError as error:
            bound.session.fail(ErrorCode.PERMISSION_DENIED, str(error))
            return
        hub = await self._hubs.acquire(realm)
        if bound.has_ended:
            self._hubs.release(hub)
            return
        bound.hub = hub
        file_ident = None
        if event.need_client_file_ident:
            file = await hub.new_client_file(self.principal.user_id, self.principal.login_session, event.is_subserver)
            file_ident = ClientFileIdent(file.ident, file.salt)
        bound.session.accept_bind(realm.storage_id, file_ident)

    async def _check_token(self, token: str) -> None:
        """A token inside the connection must be of the connection's user (spec/http-api.md §6.1)."""
        try:
            self.principal = await self._hubs.resources.run(self._access.same_user, self.principal, token)
        except ApiError:
            self.close(CloseCode.UNAUTHORIZED, "the token does not hold for this connection")

    async def _identify(self, bound: _BoundSession, event: IdentRequested) -> None:
        hub = bound.hub
        if hub is None:
            return
        facts = await hub.identify(event.request, self.principal.user_id, bound.is_subserver)
        if bound.has_ended or bound.session.identify(facts) != 0:
            return
        bound.file_ident = event.request.file_ident.ident
        hub.join(bound, facts.upload, event.request.download)
        bound.session.advance(hub.head.version)

    def _upload(self, event: UploadReceived) -> None:
        bound = self._sessions.get(event.session)
        if bound is not None and bound.hub is not None and not bound.is_over:
            bound.hub.upload(bound, event.entries, event.progress, event.locked_server_version)

    def _download(self, event: DownloadWanted) -> None:
        bound = self._sessions.get(event.session)
        if bound is None or bound.hub is None:
            event.session.supply_download(None)
            return
        batch = bound.hub.download_now(bound.file_ident, event.cursor)
        if batch is not None:
            bound.session.supply_download(batch)
        else:
            self._start(self._fetch(bound, bound.hub, event), bound)

    async def _fetch(self, bound: _BoundSession, hub: Hub, event: DownloadWanted) -> None:
        bound.session.supply_download(await hub.download(bound.file_ident, event.cursor))

    def _leave(self, bound: _BoundSession) -> None:
        if bound.has_ended:
            return
        bound.has_ended = True
        if bound.hub is not None:
            bound.hub.leave(bound)
            self._hubs.release(bound.hub)
