"""HTTP the way the clients need it: bodies, answers, errors (spec/http-api.md §2.2 to §2.4)."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from syncline.server.api_errors import ApiError, missing_auth
from syncline.server.settings import Settings, is_loopback

__all__ = ["HostGuard", "bearer_token", "empty", "error_response", "handle_api_error", "json_answer", "read_object"]

_log = logging.getLogger("syncline.server")

_MAX_DEPTH: Final = 64
_NUMBERS: Final = {"$numberInt": int, "$numberLong": int, "$numberDouble": float}


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """The JSON object in the body, extended JSON numbers included; {} for an empty body.

    Raises:
        ApiError: 413 too large, 415 compressed, 400 not a JSON object.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ApiError(415, "BadRequest", "compressed bodies are not accepted")
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > limit:
            raise ApiError(413, "ReadSizeLimitExceeded", f"the body has more than {limit} bytes")
    if not data.strip():
        return {}
    if max(data.count(b"{"), data.count(b"[")) > 10_000 or _depth(data) > _MAX_DEPTH:
        raise ApiError(400, "BadRequest", "the body is nested too deeply")
    try:
        value = json.loads(bytes(data), object_hook=_plain_number)
    except (ValueError, RecursionError):
        raise ApiError(400, "BadRequest", "the body is not JSON") from None
    if not isinstance(value, dict):
        raise ApiError(400, "BadRequest", "the body is not a JSON object")
    return value


def _depth(data: bytearray) -> int:
    """An upper bound of the nesting: brackets in strings count too."""
    depth = deepest = 0
    for byte in data:
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _plain_number(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        ((name, text),) = value.items()
        if name in _NUMBERS and isinstance(text, str) and len(text) <= 400:
            return _NUMBERS[name](text)
    return value


def bearer_token(request: Request) -> str:
    """The token of ``Authorization: Bearer …``.

    Raises:
        ApiError: 401 ``MissingAuthReq``.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise missing_auth()
    return token.strip()


def json_answer(value: Any, status: int = 200) -> Response:
    """A JSON answer with exactly the content type that clients compare with."""
    return JSONResponse(value, status)


def empty(status: int) -> Response:
    """An answer without body, and so without content type."""
    return Response(status_code=status)


def error_response(error: ApiError) -> Response:
    response = JSONResponse({"error": error.message, "error_code": error.error_code}, error.status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


async def handle_api_error(request: Request, error: Exception) -> Response:
    """The handler for everything a route may raise."""
    if isinstance(error, ApiError):
        return error_response(error)
    if isinstance(error, HTTPException):
        return error_response(ApiError(error.status_code, "BadRequest", str(error.detail)))
    _log.error("an HTTP request failed in an unexpected way", exc_info=error)
    return error_response(ApiError(500, "InternalServerError", "internal error"))


class HostGuard:
    """Refuses requests that name a host which is not this server's (spec/http-api.md §12, threats 19 and 28).

    In development mode only loopback names are served: a web page elsewhere cannot reach the server through a name that
    it controls. Sync connections from browsers must come from an allowed origin.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._dev = settings.dev
        self._origins = frozenset(settings.allowed_origins)
        hosts = set(settings.allowed_hosts)
        if settings.public_url is not None and (hosts or not settings.dev):
            hosts.add(urlsplit(settings.public_url).hostname or "")
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self._is_welcome(scope):
            await _refuse(scope, send)
            return
        await self._app(scope, receive, send)

    def _is_welcome(self, scope: Scope) -> bool:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in (b"host", b"origin")}
        host = _host_name(headers.get(b"host", ""))
        if self._hosts and host not in self._hosts:
            return False
        if self._dev and not self._hosts and not is_loopback(host):
            return False
        origin = headers.get(b"origin")
        if scope["type"] != "websocket" or origin is None or origin in self._origins:
            return True
        return self._dev and is_loopback(urlsplit(origin).hostname or "")


def _host_name(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


async def _refuse(scope: Scope, send: Send) -> None:
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    body = b'{"error":"this host is not served here","error_code":"BadRequest"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": f"{kind}.start", "status": 400, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


Handler = Callable[[Request], Awaitable[Response]]
