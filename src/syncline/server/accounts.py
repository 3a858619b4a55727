"""Users, the identities they log in with, and their login sessions, as rows (spec/http-api.md §4.5, §5, §10.1).

Registering makes an identity without a user; the first login makes the user, or linking attaches the identity to one
(§11.1). Ids are never used again. Every method blocks; call it on a worker thread.
"""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Callable
from typing import Any, NamedTuple

from syncline.server.database import Database, Row
from syncline.server.identifiers import new_id

__all__ = ["Accounts", "Identity", "LoginSession", "User"]

_USER = "id, app, type, state, is_admin, custom_data"
_IDENTITY = "id, app, user, provider, name, secret"


class User(NamedTuple):
    """A user of one app; ``state`` is active, disabled or deleted."""

    id: str
    app_id: str
    type: str
    state: str
    is_admin: bool
    custom_data: dict[str, Any]

    @property
    def is_active(self) -> bool:
        return self.state == "active"


class Identity(NamedTuple):
    """A way to log in: ``provider`` is a provider id of §5.1; ``user_id`` None until the first login."""

    id: str
    app_id: str
    user_id: str | None
    provider: str
    name: str
    secret: str | None


class LoginSession(NamedTuple):
    """A login on one device, which its refresh token continues until it expires or is revoked."""

    id: str
    user_id: str
    app_id: str
    device_id: str
    revoked: bool


class Accounts:
    """The rows. ``clock`` gives Unix seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    # --- users and identities ---------------------------------------------------------------------------------------

    def user(self, app_id: str, user_id: str) -> User | None:
        row = self._database.row(f"SELECT {_USER} FROM user WHERE id = ? AND app = ?", (user_id, app_id))
        return _user(row) if row else None

    def identity(self, app_id: str, provider: str, name: str) -> Identity | None:
        """The identity of that name; names are compared without regard to case and form of Unicode (§5.3)."""
        row = self._database.row(
            f"SELECT {_IDENTITY} FROM identity WHERE app = ? AND provider = ? AND name_key = ?",
            (app_id, provider, _name_key(name)),
        )
        return Identity(*row) if row else None

    def identities(self, user_id: str) -> list[Identity]:
        """The user's identities, oldest first."""
        rows = self._database.rows(f"SELECT {_IDENTITY} FROM identity WHERE user = ? ORDER BY rowid", (user_id,))
        return [Identity(*row) for row in rows]

    def register(self, app_id: str, provider: str, name: str, secret: str) -> bool:
        """A new identity without a user; False if the name is taken."""
        self._database.execute(
            "INSERT OR IGNORE INTO identity (id, app, user, provider, name, name_key, secret, created)"
            " VALUES (?, ?, NULL, ?, ?, ?, ?, ?)",
            (new_id(), app_id, provider, name, _name_key(name), secret, self._now()),
        )
        found = self.identity(app_id, provider, name)
        return found is not None and found.secret == secret

    def replace_secret(self, identity_id: str, secret: str) -> None:
        self._database.execute("UPDATE identity SET secret = ? WHERE id = ?", (secret, identity_id))

    def create_anonymous(self, app_id: str) -> User:
        """A new user with one identity of the provider ``anon-user``."""
        with self._database.transaction():
            user = self._create_user(app_id)
            self._database.execute(
                "INSERT INTO identity (id, app, user, provider, name, name_key, secret, created)"
                " VALUES (?, ?, ?, 'anon-user', ?, ?, NULL, ?)",
                (new_id(), app_id, user.id, user.id, user.id, self._now()),
            )
        return user

    def user_of(self, identity: Identity) -> User:
        """The identity's user, made now if this is the first login."""
        with self._database.transaction():
            row = self._database.row("SELECT user FROM identity WHERE id = ?", (identity.id,))
            if row is not None and row[0] is not None:
                found = self.user(identity.app_id, row[0])
                if found is not None:
                    return found
            user = self._create_user(identity.app_id)
            self._database.execute("UPDATE identity SET user = ? WHERE id = ?", (user.id, identity.id))
        return user

    def link(self, identity: Identity, user_id: str) -> bool:
        """Attach the identity to the user; False if it belongs to another."""
        with self._database.transaction():
            row = self._database.row("SELECT user FROM identity WHERE id = ?", (identity.id,))
            if row is None or row[0] not in (None, user_id):
                return False
            self._database.execute("UPDATE identity SET user = ? WHERE id = ?", (user_id, identity.id))
        return True

    def set_user(self, user_id: str, *, state: str | None = None, is_admin: bool | None = None) -> None:
        """Change what an operator may change of a user."""
        if state is not None:
            self._database.execute("UPDATE user SET state = ? WHERE id = ?", (state, user_id))
        if is_admin is not None:
            self._database.execute("UPDATE user SET is_admin = ? WHERE id = ?", (int(is_admin), user_id))

    def _create_user(self, app_id: str) -> User:
        user = User(new_id(), app_id, "normal", "active", False, {})
        self._database.execute(
            "INSERT INTO user (id, app, type, state, is_admin, created) VALUES (?, ?, 'normal', 'active', 0, ?)",
            (user.id, app_id, self._now()),
        )
        return user

    # --- login sessions ---------------------------------------------------------------------------------------------

    def start_session(self, user: User, wanted_device: str | None, lifetime: int) -> LoginSession:
        """Begin a login session. ``wanted_device`` is used again if earlier sessions of this user had it (§5.2)."""
        device = new_id()
        if wanted_device is not None and self._database.row(
            "SELECT 1 FROM login_session WHERE user = ? AND device = ? LIMIT 1", (user.id, wanted_device)
        ):
            device = wanted_device
        session = LoginSession(new_id(), user.id, user.app_id, device, False)
        now = self._now()
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO login_session (sid, user, app, device, created, last_used, expires)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (session.id, user.id, user.app_id, device, now, now, now + lifetime),
            )
            self._database.execute("UPDATE user SET last_login = ? WHERE id = ?", (now, user.id))
        return session

    def session(self, session_id: str) -> LoginSession | None:
        row = self._database.row(
            "SELECT sid, user, app, device, revoked IS NOT NULL FROM login_session WHERE sid = ?", (session_id,)
        )
        return LoginSession(row[0], row[1], row[2], row[3], bool(row[4])) if row else None

    def touch_session(self, session_id: str) -> None:
        self._database.execute("UPDATE login_session SET last_used = ? WHERE sid = ?", (self._now(), session_id))

    def revoke_session(self, session_id: str, reason: str) -> bool:
        """End one login session; False if it had ended already."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE login_session SET revoked = ?, reason = ? WHERE sid = ? AND revoked IS NULL",
                (self._now(), reason, session_id),
            )
            return self._database.changes() == 1

    def _now(self) -> int:
        return int(self._clock())


def _user(row: Row) -> User:
    user_id, app_id, kind, state, is_admin, custom_data = row
    return User(user_id, app_id, kind, state, bool(is_admin), json.loads(custom_data) if custom_data else {})


def _name_key(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()
