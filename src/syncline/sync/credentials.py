"""What a user logs in with (spec/sessions.md §19.5, spec/http-api.md §5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from syncline.errors import SyncAuthError, SyncAuthErrorCode

__all__ = ["IdentityProvider", "SyncCredentials"]


class IdentityProvider:
    """Ids of the ways to log in; those of the app-services interface are the path segments of its URLs."""

    ANONYMOUS: Final = "anon-user"
    USERNAME_PASSWORD: Final = "local-userpass"
    JWT: Final = "custom-token"
    API_KEY: Final = "api-key"
    FUNCTION: Final = "custom-function"
    GOOGLE: Final = "oauth2-google"
    FACEBOOK: Final = "oauth2-facebook"
    APPLE: Final = "oauth2-apple"
    ACCESS_TOKEN: Final = "_access_token"
    """Not a provider of the server: the token is used as it is."""
    REFRESH_TOKEN: Final = "_custom_refresh_token"
    """Not a provider of the server: access tokens are fetched with the given refresh token."""
    NICKNAME: Final = "nickname"
    CLOUDKIT: Final = "cloudkit"


_TOKEN_FIELDS: Final[Mapping[str, str]] = {
    IdentityProvider.JWT: "token",
    IdentityProvider.API_KEY: "key",
    IdentityProvider.GOOGLE: "id_token",
    IdentityProvider.FACEBOOK: "accessToken",
    IdentityProvider.APPLE: "id_token",
}
"""Providers whose login is one token, and the name of its field in the body."""


@dataclass(frozen=True)
class SyncCredentials:
    """Credentials for :meth:`SyncUser.log_in`: a token, its provider and details.

    ``repr`` shows neither the token nor the details. Use the named constructors; the plain one is for providers that
    have none.
    """

    token: str = field(repr=False)
    provider: str
    user_info: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def username_password(cls, username: str, password: str, register: bool = False) -> SyncCredentials:
        """An account of the server; ``register=True`` creates it first."""
        return cls(username, IdentityProvider.USERNAME_PASSWORD, {"password": password, "register": register})

    @classmethod
    def anonymous(cls) -> SyncCredentials:
        """A new user without an account."""
        return cls("", IdentityProvider.ANONYMOUS)

    @classmethod
    def jwt(cls, token: str) -> SyncCredentials:
        """A token of an issuer that the server trusts."""
        return cls(token, IdentityProvider.JWT)

    @classmethod
    def api_key(cls, key: str) -> SyncCredentials:
        """The secret of an API key."""
        return cls(key, IdentityProvider.API_KEY)

    @classmethod
    def function(cls, payload: Mapping[str, Any]) -> SyncCredentials:
        """A document for the server's authentication function."""
        return cls("", IdentityProvider.FUNCTION, payload)

    @classmethod
    def google(cls, id_token: str) -> SyncCredentials:
        """An OpenID Connect token of Google."""
        return cls(id_token, IdentityProvider.GOOGLE)

    @classmethod
    def facebook(cls, access_token: str) -> SyncCredentials:
        """An access token of Facebook."""
        return cls(access_token, IdentityProvider.FACEBOOK)

    @classmethod
    def apple(cls, id_token: str) -> SyncCredentials:
        """An identity token of Apple."""
        return cls(id_token, IdentityProvider.APPLE)

    @classmethod
    def access_token(cls, token: str, identity: str) -> SyncCredentials:
        """A token that is used as it is: no login, no refresh, nothing stored (spec/sessions.md §19.5).

        With a ``ws://``, ``wss://``, ``realm://`` or ``realms://`` address in place of the authentication server the
        socket address is used directly: this is how a realm-core server without accounts is reached.
        """
        return cls(token, IdentityProvider.ACCESS_TOKEN, {"identity": identity})

    @classmethod
    def custom_refresh_token(cls, token: str, identity: str, is_admin: bool = False) -> SyncCredentials:
        """A refresh token from elsewhere; logging in with it does not touch the network."""
        return cls(token, IdentityProvider.REFRESH_TOKEN, {"identity": identity, "is_admin": is_admin})

    @classmethod
    def nickname(cls, name: str, is_admin: bool = False) -> SyncCredentials:
        """Deprecated provider of older servers; the present interface has no counterpart and refuses it."""
        return cls(name, IdentityProvider.NICKNAME, {"is_admin": is_admin})

    @classmethod
    def cloudkit(cls, token: str) -> SyncCredentials:
        """Provider of older servers; the present interface has no counterpart and refuses it."""
        return cls(token, IdentityProvider.CLOUDKIT)

    @property
    def needs_network(self) -> bool:
        """Whether logging in talks to a server."""
        return self.provider not in (IdentityProvider.ACCESS_TOKEN, IdentityProvider.REFRESH_TOKEN)

    def login_body(self) -> dict[str, Any]:
        """The provider's fields of a login request (spec/http-api.md §5.1), without ``options``.

        Raises SyncAuthError 601 for a provider that the app-services interface does not have.
        """
        if self.provider == IdentityProvider.ANONYMOUS:
            return {"provider": self.provider}
        if self.provider == IdentityProvider.USERNAME_PASSWORD:
            return {"provider": self.provider, "username": self.token, "password": self.user_info["password"]}
        if self.provider == IdentityProvider.FUNCTION:
            return dict(self.user_info)
        if self.provider in _TOKEN_FIELDS:
            return {"provider": self.provider, _TOKEN_FIELDS[self.provider]: self.token}
        raise SyncAuthError(
            f"the server has no login provider {self.provider!r}; use one of the named constructors of SyncCredentials",
            code=SyncAuthErrorCode.INVALID_PARAMETERS,
        )

    def registration_body(self) -> dict[str, Any] | None:
        """The body of the registration that precedes the login, or None if none was asked for."""
        if self.provider == IdentityProvider.USERNAME_PASSWORD and self.user_info.get("register"):
            return {"email": self.token, "password": self.user_info["password"]}
        return None
