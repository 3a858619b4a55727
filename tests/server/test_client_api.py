"""The HTTP routes, through the whole application (spec/http-api.md §14, *Transport A*, *Tokens A*, *Providers*)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from syncline.server.object_server import ObjectServer

Start = Callable[..., TestClient]

APP = "/api/client/v2.0/app/default"
AUTH = "/api/client/v2.0/auth"
ANN = {"email": "Ann@Example.org", "password": "correct horse"}


def server_of(client: TestClient) -> ObjectServer:
    server = client.app.state.syncline  # type: ignore[attr-defined]
    assert isinstance(server, ObjectServer)
    return server


def log_in(client: TestClient, provider: str = "anon-user", **body: Any) -> dict[str, str]:
    answer = client.post(f"{APP}/auth/providers/{provider}/login", json={"provider": provider, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


def log_in_ann(client: TestClient) -> dict[str, str]:
    return log_in(client, "local-userpass", username=ANN["email"], password=ANN["password"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def assert_error(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["error_code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert isinstance(answer.json()["error"], str)


# --- transport --------------------------------------------------------------------------------------------------------


def test_location_is_what_the_configuration_says(client: Start) -> None:
    http = client(public_url="https://sync.example.org", allowed_hosts=("localhost",))
    answer = http.get(f"{APP}/location")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "deployment_model": "GLOBAL",
        "location": "LOCAL",
        "hostname": "https://sync.example.org",
        "ws_hostname": "wss://sync.example.org",
    }
    evil = http.get(f"{APP}/location", headers={"Host": "evil.example"})
    assert evil.status_code == 400
    assert "evil" not in evil.text


def test_development_mode_answers_to_loopback_names_only(client: Start) -> None:
    http = client(dev=True)
    assert http.get("/health", headers={"Host": "127.0.0.1:9080"}).status_code == 200
    assert http.get("/health", headers={"Host": "[::1]:9080"}).status_code == 200
    assert http.get("/health", headers={"Host": "rebound.example"}).status_code == 400


def test_unknown_apps_and_routes(client: Start) -> None:
    http = client()
    assert_error(http.get("/api/client/v2.0/app/other/location"), 404, "AppNotFound")
    assert http.get("/nothing/here").status_code == 404
    assert http.get("/nothing/here").headers["content-type"] == "application/json"
    assert http.put(f"{APP}/location").status_code == 405


def test_empty_answers_have_no_content_type(client: Start) -> None:
    http = client(dev=True)
    registered = http.post(f"{APP}/auth/providers/local-userpass/register", json=ANN)
    assert registered.status_code == 201
    assert registered.content == b""
    assert "content-type" not in registered.headers
    tokens = log_in_ann(http)
    gone = http.delete(f"{AUTH}/session", headers=bearer(tokens["refresh_token"]))
    assert gone.status_code == 204
    assert "content-type" not in gone.headers


def test_bodies_are_bounded_and_extended_json(client: Start) -> None:
    http = client(dev=True)
    url = f"{APP}/auth/providers/anon-user/login"
    headers = {"Content-Type": "application/json;charset=utf-8"}
    numbers = b'{"options": {"device": {"n": {"$numberInt": "1"}, "deviceId": {"$oid": "000000000000000000000000"}}}}'
    assert http.post(url, content=numbers, headers=headers).status_code == 200
    assert http.post(url, content=b"", headers=headers).status_code == 200
    assert_error(http.post(url, content=b"{" + b" " * 102_400), 413, "ReadSizeLimitExceeded")
    assert_error(http.post(url, content=b"[]"), 400, "BadRequest")
    assert_error(http.post(url, content=b"{"), 400, "BadRequest")
    assert_error(http.post(url, content=b'{"a":' * 70 + b"1" + b"}" * 70), 400, "BadRequest")
    assert_error(http.post(url, content=b"x", headers={"Content-Encoding": "gzip"}), 415, "BadRequest")


def test_browsers_are_answered_by_the_list(client: Start) -> None:
    http = client(allowed_origins=("https://app.example.org",))
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    good = http.options(f"{AUTH}/session", headers={"Origin": "https://app.example.org", **asked})
    assert good.status_code == 200
    assert good.headers["access-control-allow-origin"] == "https://app.example.org"
    bad = http.options(f"{AUTH}/session", headers={"Origin": "https://evil.example", **asked})
    assert bad.status_code == 400
    assert "access-control-allow-origin" not in bad.headers


def test_health_and_public_keys(client: Start) -> None:
    http = client()
    assert http.get("/health").json()["status"] == "ok"
    keys = http.get("/.well-known/jwks.json").json()["keys"]
    assert keys
    assert all("d" not in key for key in keys)


# --- providers --------------------------------------------------------------------------------------------------------


def test_a_fresh_installation_is_closed(client: Start) -> None:
    http = client()
    assert_error(http.post(f"{APP}/auth/providers/anon-user/login", json={}), 404, "AuthProviderNotFound")
    assert_error(http.post(f"{APP}/auth/providers/local-userpass/register", json=ANN), 403, "NoMatchingRuleFound")
    assert_error(http.post(f"{APP}/auth/providers/oauth2-google/login", json={}), 404, "AuthProviderNotFound")
    assert http.get("/dev/realms/x/hash").status_code == 404


def test_anonymous_login_then_profile(client: Start) -> None:
    http = client(anonymous_login=True)
    tokens = log_in(http)
    assert set(tokens) == {"access_token", "refresh_token", "user_id", "device_id"}
    profile = http.get(f"{AUTH}/profile", headers=bearer(tokens["access_token"])).json()
    assert profile["user_id"] == tokens["user_id"]
    assert [identity["provider_type"] for identity in profile["identities"]] == ["anon-user"]
    assert profile["data"] == {}
    assert profile["type"] == "normal"
    assert log_in(http)["user_id"] != tokens["user_id"]


def test_register_and_log_in_with_a_password(client: Start) -> None:
    http = client(open_registration=True)
    register = f"{APP}/auth/providers/local-userpass/register"
    login = f"{APP}/auth/providers/local-userpass/login"
    assert http.post(register, json=ANN, headers=bearer("stale")).status_code == 201
    assert_error(http.post(register, json={**ANN, "email": " ann@example.ORG"}), 409, "AccountNameInUse")
    assert_error(http.post(register, json={"email": "b@x", "password": "short"}), 400, "BadRequest")
    assert_error(http.post(register, json={"email": " ", "password": "long enough"}), 400, "BadRequest")
    assert_error(http.post(register, json={"email": "b@x"}), 400, "MissingParameter")
    assert_error(http.post(register, json={"email": 1, "password": "long enough"}), 400, "InvalidParameter")
    first = log_in(http, "local-userpass", username="ann@example.org", password=ANN["password"])
    again = log_in(http, "local-userpass", username="ANN@example.org", password=ANN["password"])
    assert first["user_id"] == again["user_id"]
    assert first["device_id"] != again["device_id"]
    profile = http.get(f"{AUTH}/profile", headers=bearer(first["access_token"])).json()
    assert profile["data"] == {"email": ANN["email"]}
    for wrong in ({"username": "ann@example.org", "password": "wrong"}, {"username": "nobody", "password": "wrong"}):
        assert_error(http.post(login, json=wrong), 401, "InvalidPassword")
    assert_error(http.post(login, json={"provider": "anon-user"}), 400, "InvalidParameter")


def test_a_known_device_is_recognised(client: Start) -> None:
    http = client(dev=True)
    http.post(f"{APP}/auth/providers/local-userpass/register", json=ANN)
    device = log_in_ann(http)["device_id"]
    credentials = {"username": ANN["email"], "password": ANN["password"]}
    again = log_in(http, "local-userpass", **credentials, options={"device": {"deviceId": {"$oid": device}}})
    assert again["device_id"] == device
    other = log_in(http, "local-userpass", **credentials, options={"device": {"deviceId": "0" * 24}})
    assert other["device_id"] not in (device, "0" * 24)


def test_linking_keeps_the_user_and_puts_the_new_identity_last(client: Start) -> None:
    http = client(dev=True)
    anonymous = log_in(http)
    http.post(f"{APP}/auth/providers/local-userpass/register", json=ANN)
    link = f"{APP}/auth/providers/local-userpass/login?link=true"
    credentials = {"username": ANN["email"], "password": ANN["password"]}
    linked = http.post(link, json=credentials, headers=bearer(anonymous["access_token"]))
    assert linked.status_code == 200
    assert set(linked.json()) == {"access_token", "refresh_token", "user_id", "device_id"}
    assert linked.json()["user_id"] == anonymous["user_id"]
    profile = http.get(f"{AUTH}/profile", headers=bearer(linked.json()["access_token"])).json()
    assert [identity["provider_type"] for identity in profile["identities"]] == ["anon-user", "local-userpass"]
    assert log_in_ann(http)["user_id"] == anonymous["user_id"]
    assert http.post(f"{AUTH}/session", headers=bearer(anonymous["refresh_token"])).status_code == 201
    other = log_in(http)
    assert_error(http.post(link, json=credentials, headers=bearer(other["access_token"])), 400, "BadRequest")
    as_anonymous = f"{APP}/auth/providers/anon-user/login?link=true"
    assert_error(http.post(as_anonymous, json={}, headers=bearer(other["access_token"])), 400, "BadRequest")
    assert_error(http.post(link, json=credentials), 401, "MissingAuthReq")


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_refresh_gives_access_tokens_until_logout(client: Start) -> None:
    http = client(dev=True)
    tokens = log_in(http)
    refresh = bearer(tokens["refresh_token"])
    for _ in range(2):
        renewed = http.post(f"{AUTH}/session", headers=refresh)
        assert renewed.status_code == 201
        assert set(renewed.json()) == {"access_token"}
    assert http.get(f"{AUTH}/profile", headers=bearer(renewed.json()["access_token"])).status_code == 200
    assert http.delete(f"{AUTH}/session", headers=refresh).status_code == 204
    assert_error(http.post(f"{AUTH}/session", headers=refresh), 401, "InvalidSession")
    assert_error(http.get(f"{AUTH}/profile", headers=bearer(tokens["access_token"])), 401, "InvalidSession")
    again = http.delete(f"{AUTH}/session", headers=refresh)
    assert_error(again, 401, "InvalidSession")
    assert "failed to find refresh token" in again.json()["error"]


def test_tokens_do_what_they_are_for_and_nothing_else(client: Start) -> None:
    http = client(dev=True)
    tokens = log_in(http)
    access, refresh = bearer(tokens["access_token"]), bearer(tokens["refresh_token"])
    assert_error(http.post(f"{AUTH}/session", headers=access), 401, "InvalidSession")
    assert_error(http.get(f"{AUTH}/profile", headers=refresh), 401, "InvalidSession")
    assert_error(http.get(f"{AUTH}/profile"), 401, "MissingAuthReq")
    assert_error(http.get(f"{AUTH}/profile", headers={"Authorization": "Basic x"}), 401, "MissingAuthReq")
    assert_error(http.get(f"{AUTH}/profile", headers=bearer("garbage")), 401, "InvalidSession")
    link = "/api/client/v2.0/app/other/auth/providers/local-userpass/login?link=true"
    body = {"username": "x", "password": "y"}
    assert_error(http.post(link, json=body, headers=access), 401, "UserAppDomainMismatch")


def test_a_disabled_user_is_out_and_comes_back(client: Start) -> None:
    http = client(dev=True)
    http.post(f"{APP}/auth/providers/local-userpass/register", json=ANN)
    tokens = log_in_ann(http)
    accounts = server_of(http).accounts
    accounts.set_user(tokens["user_id"], state="disabled")
    credentials = {"username": ANN["email"], "password": ANN["password"]}
    login = f"{APP}/auth/providers/local-userpass/login"
    assert_error(http.post(login, json=credentials), 401, "UserDisabled")
    assert_error(http.post(f"{AUTH}/session", headers=bearer(tokens["refresh_token"])), 401, "InvalidSession")
    assert_error(http.get(f"{AUTH}/profile", headers=bearer(tokens["access_token"])), 401, "InvalidSession")
    accounts.set_user(tokens["user_id"], state="active")
    assert log_in_ann(http)["user_id"] == tokens["user_id"]


def test_accounts_and_keys_survive_a_restart(client: Start) -> None:
    first = client(dev=True)
    first.post(f"{APP}/auth/providers/local-userpass/register", json=ANN)
    tokens = log_in_ann(first)
    first.__exit__(None, None, None)
    second = client(dev=True)
    assert second.post(f"{AUTH}/session", headers=bearer(tokens["refresh_token"])).status_code == 201
    assert log_in_ann(second)["user_id"] == tokens["user_id"]


# --- limits -----------------------------------------------------------------------------------------------------------


def test_too_many_are_told_to_wait_never_that_they_are_unknown(client: Start) -> None:
    http = client(
        anonymous_login=True,
        open_registration=True,
        anonymous_per_hour=1,
        registrations_per_hour=1,
        refreshes_per_minute=1,
    )
    login = f"{APP}/auth/providers/anon-user/login"
    tokens = http.post(login, json={}).json()
    refused = http.post(login, json={})
    assert_error(refused, 429, "LimitExceeded")
    assert int(refused.headers["retry-after"]) > 0
    register = f"{APP}/auth/providers/local-userpass/register"
    assert http.post(register, json=ANN).status_code == 201
    assert_error(http.post(register, json=ANN), 429, "LimitExceeded")
    statuses = [http.post(f"{AUTH}/session", headers=bearer(tokens["refresh_token"])).status_code for _ in range(3)]
    assert statuses == [201, 201, 429]


def test_failed_logins_make_the_next_ones_wait(client: Start) -> None:
    http = client(open_registration=True, login_failures=2)
    http.post(f"{APP}/auth/providers/local-userpass/register", json=ANN)
    login = f"{APP}/auth/providers/local-userpass/login"
    for name in (ANN["email"], "nobody@example.org"):
        for _ in range(2):
            assert_error(http.post(login, json={"username": name, "password": "wrong"}), 401, "InvalidPassword")
        assert_error(http.post(login, json={"username": name, "password": "wrong"}), 429, "LimitExceeded")
    assert_error(http.post(login, json={"username": ANN["email"], "password": ANN["password"]}), 429, "LimitExceeded")


def test_nothing_is_limited_in_development_mode(client: Start) -> None:
    http = client(dev=True, anonymous_per_hour=1)
    assert len({log_in(http)["user_id"] for _ in range(5)}) == 5


@pytest.mark.parametrize("field", ["access_token", "refresh_token"])
def test_a_token_has_three_parts_and_whole_seconds(client: Start, field: str) -> None:
    token = log_in(client(dev=True))[field]
    assert len(token.split(".")) == 3
    assert len(token) < 4096


def test_logins_that_wait_for_a_processor_hold_up_nothing_else(client: Start) -> None:
    http = client(open_registration=True, anonymous_login=True, worker_threads=1)
    assert http.post(f"{APP}/auth/providers/local-userpass/register", json=ANN).status_code == 201
    token = log_in(http)["access_token"]
    processors = server_of(http).login._passwords._processors
    for _ in range(os.cpu_count() or 1):
        processors.acquire()
    logins = [threading.Thread(target=log_in_ann, args=(http,), daemon=True) for _ in range(3)]
    others: list[Any] = []
    other = threading.Thread(
        target=lambda: others.append(http.get(f"{AUTH}/profile", headers=bearer(token))), daemon=True
    )
    for thread in logins:
        thread.start()
    other.start()
    other.join(5)
    for _ in range(os.cpu_count() or 1):
        processors.release()
    for thread in logins:
        thread.join(5)
    assert [answer.status_code for answer in others] == [200]
