"""The WebSocket endpoint: negotiates, authenticates, and hands the connection over (spec/wire-protocol.md §2).

Refusals take the form each client understands: protocol 8 and later see a close code after the upgrade, older ones an
HTTP status (§3.3, spec/http-api.md §6.2). The framework's own 403 is never sent, because it logs users out.
"""

from __future__ import annotations

import logging
from typing import Final

from starlette.types import Receive, Scope, Send

from syncline.protocol.errors import CloseCode
from syncline.protocol.negotiation import NegotiationError, Subprotocol, choose, parse_target
from syncline.server.access import DEVELOPER, Principal
from syncline.server.api_errors import ApiError
from syncline.server.connection import SyncConnection
from syncline.server.object_server import ObjectServer
from syncline.server.rate_limits import RateLimit, client_address

__all__ = ["SyncEndpoint"]

_log = logging.getLogger("syncline.server")

#: First version that understands close codes 4001 to 4003.
_CLOSE_CODES_SINCE: Final = 8
_CLOSE_CODES: Final = {401: CloseCode.UNAUTHORIZED, 403: CloseCode.FORBIDDEN}


class SyncEndpoint:
    """An ASGI application for the sync routes of both URL families, and for every other WebSocket path (404)."""

    def __init__(self, server: ObjectServer) -> None:
        self._server = server
        settings = server.settings
        self._upgrades = RateLimit(settings.upgrades_per_minute, 60)
        self._user_upgrades = RateLimit(settings.user_upgrades_per_minute, 60)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        target = parse_target(_route_path(scope), scope["query_string"].decode("latin-1"))
        if target is None:
            await _answer(send, 404, "Realm sync server\n\nPage not found\n")
            return
        try:
            subprotocol = choose(scope["subprotocols"])
        except NegotiationError as error:
            await _answer(send, 400, f"Realm sync server\n\n{error}\n")
            return
        try:
            token = target.token or _bearer(headers.get(b"authorization", ""))
            principal = await self._admit(scope, token, target.app_id)
        except ApiError as error:
            await _refuse(send, subprotocol, error)
            return
        await self._serve(subprotocol, principal, receive, send)

    async def _admit(self, scope: Scope, token: str | None, app_id: str | None) -> Principal:
        """The user, if there is room for another connection of theirs.

        Raises:
            ApiError: 401, 403 or 503, never 429 (spec/http-api.md §6.2).
        """
        client = scope.get("client")
        forwarded = ",".join(v.decode("latin-1") for name, v in scope["headers"] if name == b"x-forwarded-for")
        address = client_address(client[0] if client else None, forwarded, self._server.settings.trusted_proxies)
        if self._server.is_stopping:
            raise ApiError(503, "LimitExceeded", "the server is shutting down")
        if not self._server.settings.dev and self._upgrades.take(address):
            raise ApiError(503, "LimitExceeded", "too many connections")
        access = self._server.access
        principal = await self._server.hubs.resources.run(access.connection_principal, token, app_id)
        if principal is not DEVELOPER and not self._server.settings.dev and self._user_upgrades.take(principal.user_id):
            raise ApiError(503, "LimitExceeded", "too many connections")
        return principal

    async def _serve(self, subprotocol: Subprotocol, principal: Principal, receive: Receive, send: Send) -> None:
        server = self._server
        connection = SyncConnection(
            subprotocol=subprotocol,
            principal=principal,
            access=server.access,
            hubs=server.hubs,
            settings=server.settings,
            receive=receive,
            send=send,
        )
        headers = [(b"x-appservices-request-id", connection.id.encode())] if subprotocol.version < 10 else []
        await send({"type": "websocket.accept", "subprotocol": subprotocol.token, "headers": headers})
        server.connections.add(connection)
        try:
            await connection.run()
        finally:
            server.connections.discard(connection)


def _route_path(scope: Scope) -> str:
    """The path below the place where the application is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(root) else path


def _bearer(header: str) -> str | None:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def _refuse(send: Send, subprotocol: Subprotocol, error: ApiError) -> None:
    _log.info("sync connection refused: %d %s", error.status, error.message)
    if subprotocol.version < _CLOSE_CODES_SINCE:
        await _answer(send, error.status, f"Realm sync server\n\n{error.message}\n")
        return
    code = _CLOSE_CODES.get(error.status, CloseCode.INTERNAL_ERROR)
    await send({"type": "websocket.accept", "subprotocol": subprotocol.token})
    await send({"type": "websocket.close", "code": int(code), "reason": error.message[:100]})


async def _answer(send: Send, status: int, text: str) -> None:
    """A plain HTTP answer instead of the upgrade."""
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
