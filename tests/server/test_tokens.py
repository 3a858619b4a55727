import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from syncline.server.api_errors import ApiError
from syncline.server.settings import Settings, SettingsError
from syncline.server.tokens import SigningKeys, Tokens

MakeSettings = Callable[..., Settings]


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    return SigningKeys(tmp_path / "keys.json")


def issue(tokens: Tokens, purpose: Any = "access", app: str = "default", **more: Any) -> str:
    return tokens.issue(purpose, user_id="u" * 24, app_id=app, session_id="s" * 24, device_id="d" * 24, **more)


def payload(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    loaded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return loaded


def test_a_token_says_who_and_how_long(keys: SigningKeys, settings: MakeSettings) -> None:
    clock = Clock()
    tokens = Tokens(keys, "https://sync.example.org", settings(), clock)
    token = issue(tokens, user_data={"team": "blue"})
    claims = tokens.verify(token, "access", "default")
    assert (claims.user_id, claims.app_id, claims.session_id) == ("u" * 24, "default", "s" * 24)
    assert claims.expires == int(clock.now) + 1800
    said = payload(token)
    assert isinstance(said["exp"], int)
    assert isinstance(said["iat"], int)
    assert said["user_data"] == {"team": "blue"}
    assert "user_data" not in payload(issue(tokens))
    assert None not in said.values()
    assert len(token) < 4096


def test_a_token_is_for_one_use_one_app_one_server_and_some_time(keys: SigningKeys, settings: MakeSettings) -> None:
    clock = Clock()
    tokens = Tokens(keys, "urn:a", settings(), clock)
    access, refresh = issue(tokens), issue(tokens, "refresh")
    with pytest.raises(ApiError, match="not for this use"):
        tokens.verify(refresh, "access")
    with pytest.raises(ApiError, match="not for this use"):
        tokens.verify(access, "refresh")
    with pytest.raises(ApiError) as refused:
        tokens.verify(access, "access", "other")
    assert refused.value.error_code == "UserAppDomainMismatch"
    with pytest.raises(ApiError):
        Tokens(keys, "urn:b", settings(), clock).verify(access, "access")
    clock.now += 1800 + 29
    tokens.verify(access, "access")
    clock.now += 2
    with pytest.raises(ApiError, match="expired") as expired:
        tokens.verify(access, "access")
    assert (expired.value.status, expired.value.error_code) == (401, "InvalidSession")


def test_a_token_from_the_future_is_refused(keys: SigningKeys, settings: MakeSettings) -> None:
    clock = Clock()
    tokens = Tokens(keys, "urn:a", settings(), clock)
    token = issue(tokens)
    clock.now -= 301
    with pytest.raises(ApiError, match="clocks"):
        tokens.verify(token, "access")


def test_forgeries_do_not_verify(keys: SigningKeys, settings: MakeSettings) -> None:
    tokens = Tokens(keys, "urn:a", settings())
    token = issue(tokens)
    head, body, signature = token.split(".")
    changed = json.dumps({**payload(token), "sub": "somebody else"}).encode()
    other_body = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
    none_head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    public = json.dumps(keys.public()["keys"][0])
    confused = jwt.encode(
        {"alg": "HS256", "kid": keys.newest.kid}, payload(token), OctKey.import_key(public), algorithms=["HS256"]
    )
    foreign = ECKey.generate_key("P-256", {"kid": "x"})
    unknown = jwt.encode({"alg": "ES256", "kid": "x"}, payload(token), foreign)
    stolen_name = jwt.encode({"alg": "ES256", "kid": keys.newest.kid}, payload(token), foreign)
    embedded = jwt.encode({"alg": "ES256", "jwk": foreign.as_dict(private=False)}, payload(token), foreign)
    for forgery in (
        f"{head}.{other_body}.{signature}",
        f"{none_head}.{body}.",
        f"{none_head}.{body}.{signature}",
        confused,
        unknown,
        stolen_name,
        embedded,
        "",
        "a.b",
        "a.b.c",
        "x" * 5000,
        f"{token}.x",
    ):
        with pytest.raises(ApiError) as refused:
            tokens.verify(forgery, "access")
        assert refused.value.status == 401


def test_keys_outlive_the_process_and_are_private(tmp_path: Path, settings: MakeSettings) -> None:
    path = tmp_path / "keys.json"
    token = issue(Tokens(SigningKeys(path), "urn:a", settings()))
    assert path.stat().st_mode & 0o777 == 0o600
    again = SigningKeys(path)
    assert Tokens(again, "urn:a", settings()).verify(token, "access").user_id == "u" * 24
    assert "d" not in again.public()["keys"][0]
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        SigningKeys(path)
    path.chmod(0o600)
    path.write_text("{}")
    with pytest.raises(SettingsError, match="not a key file"):
        SigningKeys(path)
