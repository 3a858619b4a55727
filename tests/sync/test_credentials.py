"""Credentials and the bodies they become (spec/sessions.md §19.5, spec/http-api.md §5.1)."""

from __future__ import annotations

import pytest

from syncline.errors import SyncAuthError, SyncAuthErrorCode
from syncline.sync import IdentityProvider, SyncCredentials


def test_username_and_password() -> None:
    credentials = SyncCredentials.username_password("ann@example.org", "secret", register=True)
    assert credentials.login_body() == {
        "provider": "local-userpass",
        "username": "ann@example.org",
        "password": "secret",
    }
    assert credentials.registration_body() == {"email": "ann@example.org", "password": "secret"}
    assert SyncCredentials.username_password("ann", "secret").registration_body() is None


@pytest.mark.parametrize(
    ("credentials", "body"),
    [
        (SyncCredentials.anonymous(), {"provider": "anon-user"}),
        (SyncCredentials.jwt("t"), {"provider": "custom-token", "token": "t"}),
        (SyncCredentials.api_key("k"), {"provider": "api-key", "key": "k"}),
        (SyncCredentials.google("g"), {"provider": "oauth2-google", "id_token": "g"}),
        (SyncCredentials.facebook("f"), {"provider": "oauth2-facebook", "accessToken": "f"}),
        (SyncCredentials.apple("a"), {"provider": "oauth2-apple", "id_token": "a"}),
        (SyncCredentials.function({"x": 1}), {"x": 1}),
    ],
)
def test_bodies(credentials: SyncCredentials, body: dict[str, object]) -> None:
    assert credentials.login_body() == body
    assert credentials.needs_network


@pytest.mark.parametrize(
    "credentials",
    [
        SyncCredentials.nickname("nick"),
        SyncCredentials.cloudkit("c"),
        SyncCredentials("t", "something-else"),
        SyncCredentials.access_token("t", "me"),
    ],
)
def test_providers_without_counterpart_are_refused_with_601(credentials: SyncCredentials) -> None:
    with pytest.raises(SyncAuthError) as caught:
        credentials.login_body()
    assert caught.value.code is SyncAuthErrorCode.INVALID_PARAMETERS


def test_ready_made_tokens_need_no_network() -> None:
    assert not SyncCredentials.access_token("t", "me").needs_network
    refresh = SyncCredentials.custom_refresh_token("t", "me", is_admin=True)
    assert not refresh.needs_network
    assert refresh.provider == IdentityProvider.REFRESH_TOKEN
    assert refresh.user_info == {"identity": "me", "is_admin": True}


def test_nothing_secret_is_shown() -> None:
    shown = repr(SyncCredentials.username_password("ann", "secret"))
    assert "secret" not in shown
    assert "ann" not in shown
