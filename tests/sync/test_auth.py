"""The HTTP half of a login against a scripted server (spec/http-api.md §2–§5)."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from syncline.errors import (
    ConnectionFailedError,
    ConnectTimeoutError,
    SyncAuthError,
    SyncAuthErrorCode,
    TlsHandshakeFailedError,
)
from syncline.sync.auth import AuthClient, UserProfile
from syncline.sync.credentials import SyncCredentials
from syncline.sync.location import ServerLocation, check_server_url

BASE = "http://sync.test:9080"
API = "/api/client/v2.0"
LOCATION = {"deployment_model": "GLOBAL", "location": "US", "hostname": BASE, "ws_hostname": "ws://sync.test:9080"}

Handler = Callable[[httpx.Request], httpx.Response]


def token(expires_in: int = 1800) -> str:
    now = int(time.time())
    payload = base64.urlsafe_b64encode(json.dumps({"exp": now + expires_in, "iat": now}).encode()).decode()
    return f"e30.{payload.rstrip('=')}.c2ln"


class Script:
    """Answers by method and path, and remembers the requests."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            f"GET {API}/app/default/location": LOCATION,
            f"GET {API}/auth/profile": {
                "user_id": "u",
                "identities": [{"id": "i", "provider_type": "anon-user"}],
                "data": {"email": "a@b"},
                "is_admin": True,
            },
        }
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers[f"{request.method} {request.url.path}"]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, json=answer)


LOGIN = f"POST {API}/app/default/auth/providers/anon-user/login"
SESSION = f"POST {API}/auth/session"


def login_answer() -> dict[str, str]:
    return {"user_id": "5f0c", "access_token": token(), "refresh_token": token(9999), "device_id": "d"}


def run(script: Handler, call: Callable[[AuthClient], Coroutine[Any, Any, Any]], base: str = BASE) -> Any:
    async def main() -> Any:
        client = AuthClient(base, "default", transport=httpx.MockTransport(script))
        try:
            return await call(client)
        finally:
            await client.aclose()

    return asyncio.run(main())


def test_location_comes_first_and_once() -> None:
    script = Script()
    script.answers[LOGIN] = login_answer()

    async def call(client: AuthClient) -> None:
        login = await client.log_in(SyncCredentials.anonymous(), 5)
        assert login.user_id == "5f0c"
        await client.profile(login.access_token, 5)

    run(script, call)
    assert [request.url.path for request in script.requests] == [
        f"{API}/app/default/location",
        f"{API}/app/default/auth/providers/anon-user/login",
        f"{API}/auth/profile",
    ]
    assert script.requests[2].headers["authorization"].startswith("Bearer e30.")
    body = json.loads(script.requests[1].content)
    assert body["provider"] == "anon-user"
    assert body["options"]["device"]["sdk"] == "Syncline"


def test_requests_go_to_the_host_that_the_location_names() -> None:
    script = Script()
    script.answers[f"GET {API}/app/default/location"] = {
        **LOCATION,
        "hostname": "http://other.test:1",
        "ws_hostname": "",
    }
    script.answers[SESSION] = {"access_token": token()}

    async def call(client: AuthClient) -> ServerLocation:
        await client.refresh(token(), 5)
        return await client.location(5)

    location = run(script, call)
    assert script.requests[1].url.host == "other.test"
    assert location.route("app") == "ws://other.test:1/api/client/v2.0/app/app/realm-sync"


def test_a_sync_route_is_used_verbatim() -> None:
    script = Script()
    script.answers[f"GET {API}/app/default/location"] = {**LOCATION, "sync_route": "wss://x.test/sync"}
    assert run(script, lambda client: client.location(5)).route("any") == "wss://x.test/sync"


def test_register_goes_before_login() -> None:
    script = Script()
    provider = f"{API}/app/default/auth/providers/local-userpass"
    script.answers[f"POST {provider}/register"] = httpx.Response(201)
    script.answers[f"POST {provider}/login"] = login_answer()
    credentials = SyncCredentials.username_password("ann", "secret", register=True)
    run(script, lambda client: client.log_in(credentials, 5))
    assert [request.url.path for request in script.requests[1:]] == [f"{provider}/register", f"{provider}/login"]
    assert json.loads(script.requests[1].content) == {"email": "ann", "password": "secret"}


def test_the_profile() -> None:
    profile = run(Script(), lambda client: client.profile("t", 5))
    assert profile == UserProfile((("i", "anon-user"),), {"email": "a@b"}, True)


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        ("InvalidPassword", 401, SyncAuthErrorCode.INVALID_CREDENTIALS),
        ("AuthError", 401, SyncAuthErrorCode.INVALID_CREDENTIALS),
        ("UserDisabled", 401, SyncAuthErrorCode.INVALID_CREDENTIALS),
        ("APIKeyNotFound", 404, SyncAuthErrorCode.INVALID_CREDENTIALS),
        ("UserNotFound", 404, SyncAuthErrorCode.UNKNOWN_ACCOUNT),
        ("AccountNameInUse", 409, SyncAuthErrorCode.EXISTING_ACCOUNT),
        ("NoMatchingRuleFound", 403, SyncAuthErrorCode.ACCESS_DENIED),
        ("InvalidSession", 401, SyncAuthErrorCode.EXPIRED_TOKEN),
        ("MissingAuthReq", 401, SyncAuthErrorCode.EXPIRED_TOKEN),
        ("InvalidParameter", 400, SyncAuthErrorCode.INVALID_PARAMETERS),
        ("BadRequest", 400, SyncAuthErrorCode.INVALID_PARAMETERS),
        ("MissingParameter", 400, SyncAuthErrorCode.MISSING_PARAMETER),
        ("LimitExceeded", 429, SyncAuthErrorCode.UNKNOWN),
    ],
)
def test_refusals(word: str, status: int, code: SyncAuthErrorCode) -> None:
    script = Script()
    script.answers[LOGIN] = httpx.Response(status, json={"error": "said so", "error_code": word})
    with pytest.raises(SyncAuthError, match="said so") as caught:
        run(script, lambda client: client.log_in(SyncCredentials.anonymous(), 5))
    assert (caught.value.code, caught.value.error_code, caught.value.http_status) == (code, word, status)


@pytest.mark.parametrize("body", [b"<html>not here</html>", b"[1]", b'{"error": 5}', b"", b"{" * 100_000])
def test_a_refusal_without_reason_names_the_status(body: bytes) -> None:
    script = Script()
    script.answers[LOGIN] = httpx.Response(404, content=body)
    with pytest.raises(SyncAuthError, match="404") as caught:
        run(script, lambda client: client.log_in(SyncCredentials.anonymous(), 5))
    assert caught.value.code is SyncAuthErrorCode.UNKNOWN
    assert caught.value.http_status == 404


def test_redirects_are_not_followed() -> None:
    script = Script()
    script.answers[LOGIN] = httpx.Response(308, headers={"Location": "http://evil.test/"})
    with pytest.raises(SyncAuthError) as caught:
        run(script, lambda client: client.log_in(SyncCredentials.anonymous(), 5))
    assert caught.value.http_status == 308
    assert all(request.url.host == "sync.test" for request in script.requests)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"\xff\xfe garbage"),
        httpx.Response(200, json=[1, 2]),
        httpx.Response(200, json={}),
        httpx.Response(200, json={**login_answer(), "user_id": ""}),
        httpx.Response(200, json={**login_answer(), "user_id": 5}),
        httpx.Response(200, json={**login_answer(), "access_token": "no jwt"}),
        httpx.Response(200, json={**login_answer(), "refresh_token": "a.b.c"}),
        httpx.Response(200, content=b"x" * 2_000_000),
        httpx.RemoteProtocolError("illegal status line"),
    ],
)
def test_senseless_answers_are_bad_responses(answer: Any) -> None:
    script = Script()
    script.answers[LOGIN] = answer
    with pytest.raises(SyncAuthError) as caught:
        run(script, lambda client: client.log_in(SyncCredentials.anonymous(), 5))
    assert caught.value.code is SyncAuthErrorCode.BAD_RESPONSE


@pytest.mark.parametrize(
    "profile", [{}, {"identities": 1, "data": {}}, {"identities": [1], "data": {}}, {"identities": [{}], "data": {}}]
)
def test_senseless_profiles_are_bad_responses(profile: Any) -> None:
    script = Script()
    script.answers[f"GET {API}/auth/profile"] = profile
    with pytest.raises(SyncAuthError) as caught:
        run(script, lambda client: client.profile("t", 5))
    assert caught.value.code is SyncAuthErrorCode.BAD_RESPONSE


def test_a_renewed_token_that_is_no_jwt_is_a_bad_response() -> None:
    script = Script()
    script.answers[SESSION] = {"access_token": "opaque"}
    with pytest.raises(SyncAuthError) as caught:
        run(script, lambda client: client.refresh("r", 5))
    assert caught.value.code is SyncAuthErrorCode.BAD_RESPONSE


def test_unreachable_slow_and_insecure_servers() -> None:
    script = Script()
    location = f"GET {API}/app/default/location"
    script.answers[location] = httpx.ConnectError("connection refused")
    with pytest.raises(ConnectionFailedError, match=r"sync\.test"):
        run(script, lambda client: client.location(5))
    script.answers[location] = httpx.ReadTimeout("slow")
    with pytest.raises(ConnectTimeoutError, match="5 s") as caught:
        run(script, lambda client: client.location(5))
    assert isinstance(caught.value, TimeoutError)
    error = httpx.ConnectError("handshake")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")
    script.answers[location] = error
    with pytest.raises(TlsHandshakeFailedError):
        run(script, lambda client: client.location(5))


def test_a_real_refused_connection() -> None:
    async def main() -> None:
        client = AuthClient("http://127.0.0.1:9", "default")
        try:
            await client.location(5)
        finally:
            await client.aclose()

    with pytest.raises(ConnectionFailedError):
        asyncio.run(main())


@pytest.mark.parametrize(
    "url", ["", "localhost:9080", "ftp://x", "http://", "http://x:0", "http://x:99999", "http://u@x"]
)
@pytest.mark.parametrize("sockets", [False, True])
def test_wrong_addresses(url: str, sockets: bool) -> None:
    with pytest.raises(SyncAuthError) as caught:
        check_server_url(url, sockets=sockets)
    assert caught.value.code is SyncAuthErrorCode.INVALID_PARAMETERS


def test_addresses() -> None:
    assert check_server_url("https://x.test:1///") == "https://x.test:1"
    assert check_server_url("ws://x.test:1/realm-sync", sockets=True) == "ws://x.test:1/realm-sync"
    with pytest.raises(SyncAuthError):
        check_server_url("ws://x.test")
    assert ServerLocation.guessed("https://x.test").socket_url == "wss://x.test"
