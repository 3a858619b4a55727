"""Who is at the other end, and which Realms are open to them (spec/http-api.md §6.1, §10.5, §10.6).

Authentication happens when a connection is made; every BIND and every UPLOAD asks again what the user may do, as of
then. Everything here blocks: call it on a worker thread.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from syncline.errors import SynclineError
from syncline.server.accounts import Accounts, User
from syncline.server.api_errors import ApiError, invalid_session
from syncline.server.permissions import Level, Subject, level
from syncline.server.realm_directory import RealmDirectory, RealmRecord
from syncline.server.realm_keys import realm_key
from syncline.server.settings import Settings
from syncline.server.tokens import Claims, Tokens

__all__ = ["DEVELOPER", "Access", "AccessDeniedError", "Principal"]


class Principal(NamedTuple):
    """The authenticated user of one connection. ``expires`` is when the token does, in Unix seconds; None: never."""

    user_id: str
    app_id: str
    login_session: str
    expires: int | None


#: Everyone who comes to ``/realm-sync`` in development mode.
DEVELOPER: Final = Principal("0" * 23 + "1", "default", "", None)


class AccessDeniedError(SynclineError):
    """The user may not open this Realm, or it does not exist: nobody is told which (wire error 206)."""


class Access:
    """Answers for one server."""

    def __init__(self, accounts: Accounts, directory: RealmDirectory, tokens: Tokens, settings: Settings) -> None:
        self._accounts = accounts
        self._directory = directory
        self._tokens = tokens
        self._settings = settings

    # --- who --------------------------------------------------------------------------------------------------------

    def authenticate(self, token: str | None, app_id: str | None) -> tuple[User, Claims]:
        """The user whose access token this is.

        ``app_id`` None takes the app from the token.

        Raises:
            ApiError: 401 for a token that does not hold, 403 for a disabled or deleted user.
        """
        if not token:
            raise ApiError(401, "MissingAuthReq", "must authenticate first")
        claims = self._tokens.verify(token, "access", app_id)
        session = self._accounts.session(claims.session_id)
        if session is None or session.revoked or session.user_id != claims.user_id:
            raise invalid_session("session was revoked")
        user = self._accounts.user(claims.app_id, claims.user_id)
        if user is None or not user.is_active:
            raise ApiError(403, "UserDisabled", "user disabled")
        return user, claims

    def connection_principal(self, token: str | None, app_id: str | None) -> Principal:
        """Whose sync connection this is; ``app_id`` None stands for the bare ``/realm-sync``.

        Raises:
            ApiError: 401, 403, or 503 for an app that this server does not know (spec/http-api.md §6.2).
        """
        if app_id is None and self._settings.dev:
            return DEVELOPER
        if app_id is not None and not self._settings.serves_app(app_id):
            raise ApiError(503, "AppNotFound", f"cannot find app using Client App ID '{app_id}'")
        user, claims = self.authenticate(token, app_id)
        return Principal(user.id, user.app_id, claims.session_id, claims.expires)

    def same_user(self, principal: Principal, token: str) -> Principal:
        """The principal with the expiry of another token of the same user (BIND and REFRESH of old clients).

        Raises:
            ApiError: the token does not hold, or is somebody else's.
        """
        if principal is DEVELOPER:
            return principal
        user, claims = self.authenticate(token, principal.app_id)
        if user.id != principal.user_id:
            raise invalid_session("token is of another user")
        return principal._replace(expires=claims.expires)

    # --- what -------------------------------------------------------------------------------------------------------

    def level(self, principal: Principal, realm: RealmRecord) -> Level:
        """What the user may do to the Realm, as of now."""
        return level(self._subject(principal), realm.app_id, realm.key, realm.owner)

    def open_realm(self, principal: Principal, text: str) -> RealmRecord:
        """The Realm that BIND names, made if it does not exist and the user may make it (§10.5, §10.6).

        Raises:
            IllegalRealmPathError: the text names no Realm.
            AccessDeniedError: the user has no access to it.
        """
        key = realm_key(text, principal.user_id)
        subject = self._subject(principal)
        realm = self._directory.find(principal.app_id, key)
        if realm is not None:
            if level(subject, realm.app_id, key, realm.owner) < Level.READ:
                raise AccessDeniedError("no access to this Realm")
            return realm
        if level(subject, principal.app_id, key, None) < Level.WRITE:
            raise AccessDeniedError("no access to this Realm")
        return self._directory.create(principal.app_id, key, principal.user_id)

    def find_realm(self, app_id: str, text: str) -> RealmRecord | None:
        """The Realm of that path or partition value, without asking for anybody's permission (development mode).

        Raises:
            IllegalRealmPathError: the text names no Realm.
        """
        return self._directory.find(app_id, realm_key(text, DEVELOPER.user_id))

    def _subject(self, principal: Principal) -> Subject:
        if principal is DEVELOPER:
            return Subject(principal.user_id, principal.app_id, is_developer=True)
        user = self._accounts.user(principal.app_id, principal.user_id)
        if user is None:
            return Subject(principal.user_id, principal.app_id, is_active=False)
        return Subject(user.id, user.app_id, user.is_active, user.is_admin, is_developer=self._settings.dev)
