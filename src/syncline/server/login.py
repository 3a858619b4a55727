"""Logging in, registering, refreshing, logging out: the rules behind the HTTP routes (spec/http-api.md §4.4, §5).

Every method blocks; call it on a worker thread. What a client must not learn (whether a name exists) it does not learn
from the error, the status or the time an answer takes.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from syncline.server.accounts import Accounts, Identity, LoginSession, User
from syncline.server.api_errors import ApiError, bad_request, invalid_session, too_many_requests
from syncline.server.passwords import Passwords
from syncline.server.rate_limits import FailureDelays, RateLimit
from syncline.server.realm_directory import RealmDirectory
from syncline.server.settings import Settings
from syncline.server.tokens import Tokens

__all__ = ["ANONYMOUS", "PASSWORD", "Login", "LoginAnswer"]

ANONYMOUS: Final = "anon-user"
PASSWORD: Final = "local-userpass"

_MAX_NAME: Final = 320
_MAX_USER_DATA: Final = 2048
_DEVICE: Final = re.compile(r"[0-9a-f]{24}")


class LoginAnswer(NamedTuple):
    """The four fields of a successful login (§5.2)."""

    access_token: str
    refresh_token: str
    user_id: str
    device_id: str


class Login:
    """Accounts as clients see them. In development mode nothing is limited."""

    def __init__(
        self, accounts: Accounts, directory: RealmDirectory, tokens: Tokens, passwords: Passwords, settings: Settings
    ) -> None:
        self._accounts = accounts
        self._directory = directory
        self._tokens = tokens
        self._passwords = passwords
        self._settings = settings
        self._logins = RateLimit(settings.logins_per_minute, 60)
        self._registrations = RateLimit(settings.registrations_per_hour, 3600)
        self._anonymous = RateLimit(settings.anonymous_per_hour, 3600)
        self._refreshes = RateLimit(settings.refreshes_per_minute, 60, burst=2 * settings.refreshes_per_minute)
        self._failures = FailureDelays(settings.login_failures)

    # --- providers --------------------------------------------------------------------------------------------------

    def register(self, app_id: str, name: str, password: str, address: str) -> None:
        """A new account with a password, confirmed at once; its user comes with the first login (§11.1).

        Raises:
            ApiError: 403 registration is closed, 400 unfit name or password, 409 ``AccountNameInUse``, 429.
        """
        if not self._settings.registration_allowed:
            raise ApiError(403, "NoMatchingRuleFound", "registration is closed on this server")
        self._limit(self._registrations, address)
        _check_name(name)
        self._passwords.check_new(password)
        if not self._accounts.register(app_id, PASSWORD, name, self._passwords.hash(password)):
            raise ApiError(409, "AccountNameInUse", "name already in use")

    def log_in_anonymously(self, app_id: str, device: str | None, address: str) -> LoginAnswer:
        """A new anonymous user.

        Raises:
            ApiError: 404 ``AuthProviderNotFound``, 429.
        """
        if not self._settings.anonymous_allowed:
            raise ApiError(404, "AuthProviderNotFound", f"authentication provider '{ANONYMOUS}' is not enabled")
        self._limit(self._anonymous, address)
        return self._start_session(self._accounts.create_anonymous(app_id), device)

    def log_in_with_password(
        self, app_id: str, name: str, password: str, device: str | None, address: str
    ) -> LoginAnswer:
        """The account's user, made at the first login.

        Raises:
            ApiError: 401 ``InvalidPassword`` (wrong, unknown and deleted alike) or ``UserDisabled``, 429, 503.
        """
        identity = self._check_password(app_id, name, password, address)
        user = self._accounts.user_of(identity)
        if user.state == "disabled":
            raise ApiError(401, "UserDisabled", "user disabled")
        return self._start_session(user, device)

    def link_password(self, user: User, session: LoginSession, name: str, password: str, address: str) -> LoginAnswer:
        """Attach an account to the user who is logged in (§5.4).

        Raises:
            ApiError: as for logging in; 400 if the account is another user's.
        """
        identity = self._check_password(user.app_id, name, password, address)
        if not self._accounts.link(identity, user.id):
            raise bad_request("identity already linked")
        return self._answer(user, session)

    def _check_password(self, app_id: str, name: str, password: str, address: str) -> Identity:
        self._limit(self._logins, address)
        wait = 0.0 if self._settings.dev else self._failures.wait(name, address)
        if wait:
            raise too_many_requests(wait)
        identity = self._accounts.identity(app_id, PASSWORD, name) if len(name) <= _MAX_NAME else None
        stored = None if identity is None else identity.secret
        if not self._passwords.verify(password, stored) or identity is None or stored is None:
            self._failures.failed(name, address)
            raise ApiError(401, "InvalidPassword", "invalid username/password")
        self._failures.succeeded(name, address)
        if self._passwords.is_outdated(stored):
            self._accounts.replace_secret(identity.id, self._passwords.hash(password))
        return identity

    # --- sessions ---------------------------------------------------------------------------------------------------

    def refresh(self, token: str) -> str:
        """A new access token; the refresh token stays as it is (§4.3, §4.4).

        Raises:
            ApiError: 401 ``InvalidSession``, 429.
        """
        session = self._refresh_session(token)
        self._limit(self._refreshes, session.id)
        user = self._accounts.user(session.app_id, session.user_id)
        if user is None or not user.is_active:
            raise invalid_session("user disabled")
        self._accounts.touch_session(session.id)
        return self._access_token(user, session)

    def log_out(self, token: str) -> str:
        """End the login session of a refresh token; its id.

        Raises:
            ApiError: 401 ``InvalidSession``; a second log-out says ``failed to find refresh token`` (§4.5).
        """
        session = self._refresh_session(token)
        self._accounts.revoke_session(session.id, "logout")
        return session.id

    def _refresh_session(self, token: str) -> LoginSession:
        claims = self._tokens.verify(token, "refresh")
        session = self._accounts.session(claims.session_id)
        if session is None or session.revoked or session.user_id != claims.user_id:
            raise invalid_session("failed to find refresh token")
        return session

    def profile(self, user: User) -> dict[str, Any]:
        """What ``GET /auth/profile`` answers (§5.2, §5.4)."""
        identities = self._accounts.identities(user.id)
        names = [identity.name for identity in identities if identity.provider == PASSWORD]
        return {
            "user_id": user.id,
            "domain_id": self._directory.app_uuid(user.app_id)[:24],
            "type": user.type,
            "identities": [
                {"id": identity.id, "provider_type": identity.provider, "provider_id": identity.provider}
                for identity in identities
            ],
            "data": {"email": names[0]} if names else {},
            "is_admin": user.is_admin,
        }

    def _start_session(self, user: User, device: str | None) -> LoginAnswer:
        known = device if device is not None and _DEVICE.fullmatch(device) else None
        return self._answer(user, self._accounts.start_session(user, known, self._tokens.lifetime("refresh")))

    def _answer(self, user: User, session: LoginSession) -> LoginAnswer:
        refresh = self._tokens.issue(
            "refresh", user_id=user.id, app_id=user.app_id, session_id=session.id, device_id=session.device_id
        )
        return LoginAnswer(self._access_token(user, session), refresh, user.id, session.device_id)

    def _access_token(self, user: User, session: LoginSession) -> str:
        fits = len(repr(user.custom_data)) <= _MAX_USER_DATA
        return self._tokens.issue(
            "access",
            user_id=user.id,
            app_id=user.app_id,
            session_id=session.id,
            device_id=session.device_id,
            user_data=user.custom_data if fits else None,
        )

    def _limit(self, limit: RateLimit, key: str) -> None:
        wait = 0.0 if self._settings.dev else limit.take(key)
        if wait:
            raise too_many_requests(wait)


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > _MAX_NAME or any(ord(character) < 32 for character in name):
        raise bad_request(f"email must have 1 to {_MAX_NAME} printable characters")
