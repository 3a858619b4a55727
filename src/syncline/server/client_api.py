"""The HTTP routes that clients use before and beside syncing (spec/http-api.md §2.6: rows 1 to 3, 5 to 7, 9)."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from syncline.protocol.errors import CloseCode
from syncline.server.api_errors import ApiError, bad_request
from syncline.server.http_support import bearer_token, empty, json_answer, read_object
from syncline.server.login import ANONYMOUS, PASSWORD, LoginAnswer
from syncline.server.object_server import ObjectServer
from syncline.server.rate_limits import client_address

__all__ = ["client_routes"]

_BASE: Final = "/api/client/v2.0"
_APP: Final = _BASE + "/app/{app}"


def client_routes(server: ObjectServer) -> list[Route]:
    """The routes of family A."""
    api = _ClientApi(server)
    return [
        Route(_APP + "/location", api.location, methods=["GET"]),
        Route(_APP + "/auth/providers/{provider}/login", api.log_in, methods=["POST"]),
        Route(_APP + f"/auth/providers/{PASSWORD}/register", api.register, methods=["POST"]),
        Route(_BASE + "/auth/session", api.refresh, methods=["POST"]),
        Route(_BASE + "/auth/session", api.log_out, methods=["DELETE"]),
        Route(_BASE + "/auth/profile", api.profile, methods=["GET"]),
        Route("/.well-known/jwks.json", api.public_keys, methods=["GET"]),
    ]


class _ClientApi:
    def __init__(self, server: ObjectServer) -> None:
        self._server = server
        self._run = server.hubs.resources.run
        self._at_the_door = server.at_the_door

    async def location(self, request: Request) -> Response:
        """Where this server is, from its configuration, never from what the request says (§3)."""
        self._app(request)
        url = self._server.location
        answer = {
            "deployment_model": "GLOBAL",
            "location": "LOCAL",
            "hostname": url,
            "ws_hostname": url.replace("http", "ws", 1),
        }
        response = json_answer(answer)
        response.headers["Cache-Control"] = "no-store"
        return response

    async def log_in(self, request: Request) -> Response:
        app_id = self._app(request)
        provider = request.path_params["provider"]
        body = await self._body(request)
        if body.get("provider", provider) != provider:
            raise ApiError(400, "InvalidParameter", "provider in the body differs from the one in the URL")
        if request.query_params.get("link") == "true":
            return _tokens(await self._link(request, app_id, provider, body))
        address = self._address(request)
        device = _device(body)
        login = self._server.login
        if provider == ANONYMOUS:
            return _tokens(await self._at_the_door(login.log_in_anonymously, app_id, device, address))
        if provider == PASSWORD:
            name, password = _text(body, "username"), _text(body, "password")
            return _tokens(await self._at_the_door(login.log_in_with_password, app_id, name, password, device, address))
        raise _no_provider(provider)

    async def _link(self, request: Request, app_id: str, provider: str, body: dict[str, Any]) -> LoginAnswer:
        access = self._server.access
        user, claims = await self._run(_signed_in, access.authenticate, bearer_token(request), app_id)
        if provider == ANONYMOUS:
            raise bad_request("an anonymous identity cannot be linked")
        if provider != PASSWORD:
            raise _no_provider(provider)
        session = await self._run(self._server.accounts.session, claims.session_id)
        name, password = _text(body, "username"), _text(body, "password")
        link = self._server.login.link_password
        return await self._at_the_door(link, user, session, name, password, self._address(request))

    async def register(self, request: Request) -> Response:
        app_id = self._app(request)
        body = await self._body(request)
        name, password = _text(body, "email"), _text(body, "password")
        await self._at_the_door(self._server.login.register, app_id, name, password, self._address(request))
        return empty(201)

    async def refresh(self, request: Request) -> Response:
        token = await self._run(self._server.login.refresh, bearer_token(request))
        return json_answer({"access_token": token}, 201)

    async def log_out(self, request: Request) -> Response:
        session = await self._run(self._server.login.log_out, bearer_token(request))
        self._server.close_connections(
            lambda connection: connection.principal.login_session == session, CloseCode.UNAUTHORIZED, "logged out"
        )
        return empty(204)

    async def profile(self, request: Request) -> Response:
        access = self._server.access
        user, _ = await self._run(_signed_in, access.authenticate, bearer_token(request), None)
        return json_answer(await self._run(self._server.login.profile, user))

    async def public_keys(self, request: Request) -> Response:
        return json_answer(self._server.keys.public())

    def _address(self, request: Request) -> str:
        host = request.client.host if request.client else None
        forwarded = request.headers.get("x-forwarded-for", "")
        return client_address(host, forwarded, self._server.settings.trusted_proxies)

    def _app(self, request: Request) -> str:
        app_id = str(request.path_params["app"])
        if not self._server.settings.serves_app(app_id):
            raise ApiError(404, "AppNotFound", f"cannot find app using Client App ID '{app_id[:64]}'")
        return app_id

    async def _body(self, request: Request) -> dict[str, Any]:
        return await read_object(request, self._server.settings.max_request_bytes)


def _signed_in(authenticate: Any, token: str, app_id: str | None) -> Any:
    """Authentication for HTTP: a disabled user is told what logs the user out, 401 (§2.5)."""
    try:
        return authenticate(token, app_id)
    except ApiError as error:
        if error.status == 403:
            raise ApiError(401, "InvalidSession", error.message) from None
        raise


def _tokens(answer: LoginAnswer) -> Response:
    return json_answer(answer._asdict())


def _no_provider(provider: str) -> ApiError:
    return ApiError(404, "AuthProviderNotFound", f"authentication provider '{provider[:64]}' is not enabled")


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        raise ApiError(400, "MissingParameter", f"missing parameter '{name}'")
    if not isinstance(value, str):
        raise ApiError(400, "InvalidParameter", f"parameter '{name}' must be a string")
    return value


def _device(body: dict[str, Any]) -> str | None:
    options = body.get("options")
    device = options.get("device") if isinstance(options, dict) else None
    found = device.get("deviceId") if isinstance(device, dict) else None
    if isinstance(found, dict):
        found = found.get("$oid")
    return found if isinstance(found, str) else None
