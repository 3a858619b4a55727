"""The HTTP half of a login: location, register, login, profile, refresh, log out (spec/http-api.md §2–§5, family A).

Answers are hostile: their size is bounded, every field is checked, and whatever a server says becomes one of few
errors:

* unreachable, refused, too slow: :class:`ConnectionFailedError` (:class:`ConnectTimeoutError` for the last);
* TLS: :class:`TlsHandshakeFailedError`;
* an answer that is no answer (not HTTP, not JSON, a field missing): :class:`SyncAuthError` ``BAD_RESPONSE``;
* a refusal: :class:`SyncAuthError` with the code of spec/README.md, the server's word and the HTTP status.

Runs on the manager's event loop. Redirects are never followed: a token must not travel to where a stranger points.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import httpx

from syncline.errors import (
    ConnectionFailedError,
    ConnectTimeoutError,
    SyncAuthError,
    SyncAuthErrorCode,
    TlsHandshakeFailedError,
)
from syncline.sync.credentials import SyncCredentials
from syncline.sync.location import API, ServerLocation, wrong_url
from syncline.sync.proxy import ProxyFailed
from syncline.sync.routes import Routes
from syncline.sync.tokens import parse_token
from syncline.sync.trust import is_tls_error
from syncline.version import __version__

__all__ = ["AuthClient", "LoginAnswer", "UserProfile"]

MAX_ANSWER_BYTES: Final = 1 << 20

_CODES: Final[Mapping[str, SyncAuthErrorCode]] = {
    "InvalidPassword": SyncAuthErrorCode.INVALID_CREDENTIALS,
    "AuthError": SyncAuthErrorCode.INVALID_CREDENTIALS,
    "UserDisabled": SyncAuthErrorCode.INVALID_CREDENTIALS,
    "APIKeyNotFound": SyncAuthErrorCode.INVALID_CREDENTIALS,
    "UserNotFound": SyncAuthErrorCode.UNKNOWN_ACCOUNT,
    "AccountNameInUse": SyncAuthErrorCode.EXISTING_ACCOUNT,
    "NoMatchingRuleFound": SyncAuthErrorCode.ACCESS_DENIED,
    "InvalidSession": SyncAuthErrorCode.EXPIRED_TOKEN,
    "MissingAuthReq": SyncAuthErrorCode.EXPIRED_TOKEN,
    "InvalidParameter": SyncAuthErrorCode.INVALID_PARAMETERS,
    "BadRequest": SyncAuthErrorCode.INVALID_PARAMETERS,
    "MissingParameter": SyncAuthErrorCode.MISSING_PARAMETER,
}
"""The server's word → our code (spec/README.md, *Public names*)."""


class LoginAnswer(NamedTuple):
    """The four fields of a login (spec/http-api.md §5.2)."""

    user_id: str
    access_token: str
    refresh_token: str
    device_id: str


class UserProfile(NamedTuple):
    """What the server says about a user; ``identities`` are pairs of id and provider (spec/http-api.md §5.4)."""

    identities: tuple[tuple[str, str], ...]
    data: Mapping[str, Any]
    is_admin: bool


class AuthClient:
    """Account calls to one app of one server. Not thread-safe: every call belongs to the manager's event loop.

    ``transport``: how requests travel (:class:`~syncline.sync.routes.Routes` by default). Timeouts are given per call,
    in seconds for the whole call.
    """

    def __init__(
        self,
        base_url: str,
        app_id: str,
        *,
        headers: Mapping[str, str] | None = None,
        authorization_header: str | None = None,
        user_agent: str = f"Syncline/{__version__}",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base_url = base_url
        self._app_id = app_id
        self._user_agent = user_agent
        self._location: ServerLocation | None = None
        self._http = httpx.AsyncClient(transport=transport or Routes(), trust_env=False, follow_redirects=False)
        self.use_headers(headers, authorization_header)

    def use_headers(self, headers: Mapping[str, str] | None, authorization_header: str | None) -> None:
        """Send these with every request from now on, besides our own, and the token in that one (``Authorization``)."""
        self._http.headers = httpx.Headers({"Accept": "application/json", "User-Agent": self._user_agent})
        self._http.headers.update(headers or {})
        self._authorization_header = authorization_header or "Authorization"

    async def aclose(self) -> None:
        """Give the sockets back."""
        await self._http.aclose()

    async def location(self, timeout: float, *, again: bool = False) -> ServerLocation:
        """Where to speak to the server; asked once and remembered, or ``again``."""
        if self._location is None or again:
            answer = await self._json("GET", f"{self._base_url}{API}/app/{self._app_id}/location", timeout)
            guessed = ServerLocation.guessed(self._base_url)
            http_url = _text(answer, "hostname") or guessed.http_url
            socket_url = _text(answer, "ws_hostname") or ServerLocation.guessed(http_url).socket_url
            route = answer.get("sync_route")
            self._location = ServerLocation(
                http_url.rstrip("/"), socket_url.rstrip("/"), route if isinstance(route, str) and route else None
            )
        return self._location

    async def register(self, body: Mapping[str, Any], timeout: float) -> None:
        """Create an account of the username and password provider."""
        url = await self._app_route("auth/providers/local-userpass/register", timeout)
        await self._send("POST", url, timeout, body)

    async def log_in(self, credentials: SyncCredentials, timeout: float) -> LoginAnswer:
        """Exchange credentials for tokens; registers first where they ask for it."""
        body = credentials.login_body()
        registration = credentials.registration_body()
        if registration is not None:
            await self.register(registration, timeout)
        body["options"] = {"device": self._device()}
        url = await self._app_route(f"auth/providers/{credentials.provider}/login", timeout)
        answer = await self._json("POST", url, timeout, body)
        login = LoginAnswer(
            _text(answer, "user_id"),
            _text(answer, "access_token"),
            _text(answer, "refresh_token"),
            _text(answer, "device_id"),
        )
        if not login.user_id or parse_token(login.access_token) is None or parse_token(login.refresh_token) is None:
            raise _bad_response(url, "could not log in: the server sent no user id, or tokens that are no JWTs")
        return login

    async def profile(self, access_token: str, timeout: float) -> UserProfile:
        """What the server says about the user of ``access_token``."""
        url = await self._server_route("auth/profile", timeout)
        answer = await self._json("GET", url, timeout, token=access_token)
        identities, data = answer.get("identities"), answer.get("data")
        if not isinstance(identities, list) or not isinstance(data, dict):
            raise _bad_response(url, "the profile has no identities or no data")
        pairs: list[tuple[str, str]] = []
        for identity in identities:
            if not isinstance(identity, dict):
                raise _bad_response(url, "an identity of the profile is not an object")
            pairs.append((_text(identity, "id"), _text(identity, "provider_type")))
        return UserProfile(tuple(pairs), data, answer.get("is_admin") is True)

    async def refresh(self, refresh_token: str, timeout: float) -> str:
        """A new access token; the refresh token stays as it is (spec/http-api.md §4.3)."""
        url = await self._server_route("auth/session", timeout)
        answer = await self._json("POST", url, timeout, token=refresh_token)
        access_token = _text(answer, "access_token")
        if parse_token(access_token) is None:
            raise _bad_response(url, "the new access token is no JWT")
        return access_token

    async def log_out(self, refresh_token: str, timeout: float) -> None:
        """End the login session on the server."""
        await self._send("DELETE", await self._server_route("auth/session", timeout), timeout, token=refresh_token)

    async def _server_route(self, path: str, timeout: float) -> str:
        return f"{(await self.location(timeout)).http_url}{API}/{path}"

    async def _app_route(self, path: str, timeout: float) -> str:
        return f"{(await self.location(timeout)).http_url}{API}/app/{self._app_id}/{path}"

    async def _json(
        self, method: str, url: str, timeout: float, body: Mapping[str, Any] | None = None, token: str | None = None
    ) -> dict[str, Any]:
        """Like :meth:`_send`, for answers that must be a JSON object."""
        content = await self._send(method, url, timeout, body, token)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _bad_response(url, "the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise _bad_response(url, "the answer is not a JSON object")
        return answer

    async def _send(
        self, method: str, url: str, timeout: float, body: Mapping[str, Any] | None = None, token: str | None = None
    ) -> bytes:
        """One exchange; the body of a 2xx answer. Raises the errors that the module's head lists."""
        headers = {} if token is None else {self._authorization_header: f"Bearer {token}"}
        try:
            request = self._http.build_request(method, url, json=body, headers=headers, timeout=httpx.Timeout(timeout))
            response = await self._http.send(request, stream=True)
            try:
                content = await _bounded(response, url)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            raise _transport_error(url, timeout, error) from error
        if not response.is_success:
            raise _refusal(url, response.status_code, content)
        return content

    def _device(self) -> dict[str, str]:
        return {
            "appId": self._app_id,
            "platform": platform.system(),
            "platformVersion": platform.release(),
            "sdk": "Syncline",
            "sdkVersion": __version__,
            "coreVersion": __version__,
        }


async def _bounded(response: httpx.Response, url: str) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise _bad_response(url, f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(content)


def _text(answer: Mapping[str, Any], key: str) -> str:
    """A string of the answer; a missing one is a bad response, an empty one the caller's affair."""
    value = answer.get(key)
    if not isinstance(value, str):
        raise SyncAuthError(
            f"the server's answer has no text {key!r}: is this a Syncline or Realm app server?",
            code=SyncAuthErrorCode.BAD_RESPONSE,
        )
    return value


def _bad_response(url: str, what: str) -> SyncAuthError:
    return SyncAuthError(f"{what} (asked {_without_query(url)})", code=SyncAuthErrorCode.BAD_RESPONSE)


def _without_query(url: str) -> str:
    return url.partition("?")[0]


def _refusal(url: str, status: int, content: bytes) -> SyncAuthError:
    """The error of a non-2xx answer (spec/http-api.md §2.4)."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    message = word = None
    if isinstance(answer, dict):
        message = answer.get("error") if isinstance(answer.get("error"), str) else None
        word = answer.get("error_code") if isinstance(answer.get("error_code"), str) else None
    if word is None and message is None:
        message = f"the server answered HTTP {status} without saying why; is {_without_query(url)} the right address?"
    code = _CODES.get(word or "", SyncAuthErrorCode.UNKNOWN)
    return SyncAuthError(message or str(word), code=code, error_code=word, http_status=status)


def _transport_error(url: str, timeout: float, error: Exception) -> Exception:
    """What a failure below HTTP is to the application."""
    where = _without_query(url)
    if isinstance(error, httpx.TimeoutException):
        return ConnectTimeoutError(f"no answer from {where} within {timeout:g} s")
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return wrong_url(where, str(error))
    if isinstance(error, httpx.RemoteProtocolError) and "without sending a response" in str(error):
        return ConnectionFailedError(f"{where} closed the connection without an answer")
    if isinstance(error, httpx.RemoteProtocolError | httpx.DecodingError | httpx.StreamError):
        return _bad_response(url, f"the server does not speak HTTP as expected: {error}")
    if not isinstance(error, ProxyFailed) and is_tls_error(error):
        return TlsHandshakeFailedError(f"no secure connection to {where}: {error}", is_fatal=False)
    return ConnectionFailedError(f"cannot reach {where}: {error or type(error).__name__}")
