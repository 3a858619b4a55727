"""SyncUser: who syncs, with which tokens (spec/sessions.md §13, §19.5).

A user belongs to one manager and is the same object for as long as it is known there. Its tokens are read by sessions
when they become active and by connections when they connect; a renewed access token reaches all sessions of the user.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from syncline.errors import ClientUserError, ConfigurationError, SyncAuthError, SyncAuthErrorCode, SyncError
from syncline.sync.credentials import IdentityProvider, SyncCredentials
from syncline.sync.location import SOCKET_SCHEMES, ServerLocation
from syncline.sync.metadata import UserRecord
from syncline.sync.states import SyncUserState
from syncline.sync.tokens import parse_token

if TYPE_CHECKING:
    from syncline.sync.configuration import SyncConfiguration
    from syncline.sync.manager import SyncManager
    from syncline.sync.session import SyncSession

__all__ = ["SyncUser"]

logger = logging.getLogger("syncline.sync")

DEFAULT_SOCKET_PATH: Final = "/realm-sync"
_MAKER: Final = object()


class SyncUser:
    """A user of a server. Made by :meth:`log_in`; every method may be called on any thread.

    ``error_handler(user, error)`` is told when the server does not renew the access token any more; the user is logged
    out then.
    """

    error_handler: Callable[[SyncUser, SyncAuthError], None] | None

    def __init__(self, maker: object, manager: SyncManager, record: UserRecord) -> None:
        if maker is not _MAKER:
            raise TypeError("a SyncUser is made by SyncUser.log_in()")
        self.manager = manager
        self.error_handler = None
        self._record = record
        self._lock = threading.Lock()
        self._location = ServerLocation.guessed(record.auth_server_url)
        self._refreshing: asyncio.Task[None] | None = None  # touched on the event loop only
        self.is_route_verified = False
        """A WebSocket handshake has succeeded at the present route (spec/wire-protocol.md §2.1)."""

    # --- logging in ---------------------------------------------------------------------------------------------------

    @staticmethod
    def log_in(
        credentials: SyncCredentials, auth_server_url: str, *, app_id: str | None = None, timeout: float = 30
    ) -> SyncUser:
        """Log in and return the user; a user who is known already becomes active again.

        Args:
            credentials: see :class:`SyncCredentials`; those of a ready-made token do not touch the network.
            auth_server_url: ``http://host[:port]`` or ``https://…``; for ``access_token`` also ``ws://…``.
            app_id: tenant on the server, by default :attr:`SyncManager.app_id`.
            timeout: seconds for each exchange with the server.

        Raises SyncAuthError (refused, wrong address, senseless answer), ConnectionFailedError (ConnectTimeoutError) and
        TlsHandshakeFailedError.
        """
        from syncline.sync.manager import SyncManager

        return SyncManager.shared().log_in(credentials, auth_server_url, app_id=app_id, timeout=timeout)

    @staticmethod
    async def log_in_async(
        credentials: SyncCredentials, auth_server_url: str, *, app_id: str | None = None, timeout: float = 30
    ) -> SyncUser:
        """:meth:`log_in` for event loops."""
        from syncline.sync.manager import SyncManager

        manager = SyncManager.shared()
        return await manager.log_in_async(credentials, auth_server_url, app_id=app_id, timeout=timeout)

    @staticmethod
    def all() -> dict[str, SyncUser]:
        """The logged-in users of the shared manager by identity."""
        from syncline.sync.manager import SyncManager

        return SyncManager.shared().all_users()

    @staticmethod
    def current() -> SyncUser | None:
        """The one logged-in user of the shared manager. Raises ConfigurationError if there are several."""
        from syncline.sync.manager import SyncManager

        return SyncManager.shared().current_user()

    # --- facts --------------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> str:
        """The user's name on the server, 24 hexadecimal digits."""
        return self._record.identity

    @property
    def authentication_server(self) -> str:
        """The address the user logged in at."""
        return self._record.auth_server_url

    @property
    def app_id(self) -> str:
        """The tenant on the server."""
        return self._record.app_id

    @property
    def provider(self) -> str:
        """How the user logged in: a value of :class:`IdentityProvider`."""
        return self._record.provider

    @property
    def is_admin(self) -> bool:
        """Whether the server calls the user an administrator."""
        return self._record.user_is_admin

    @property
    def is_anonymous(self) -> bool:
        """Whether the user has no account."""
        return self._record.provider == IdentityProvider.ANONYMOUS

    @property
    def refresh_token(self) -> str | None:
        """What renews the access token; None for a ready-made access token, and once logged out."""
        return self._record.user_token or None

    @property
    def access_token(self) -> str | None:
        """What opens connections; None before the first refresh and once logged out."""
        return self._record.access_token or None

    @property
    def state(self) -> SyncUserState:
        """Whether the user is logged in."""
        return SyncUserState(self._record.state)

    @property
    def is_direct(self) -> bool:
        """Whether the address is that of a sync socket, without accounts (spec/sessions.md §19.5, ``access_token``)."""
        return urlsplit(self._record.auth_server_url).scheme in SOCKET_SCHEMES

    @property
    def is_persistent(self) -> bool:
        """Whether the user is stored; one with a ready-made access token is not, and is never logged out."""
        return self._record.provider != IdentityProvider.ACCESS_TOKEN

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes a user the same one: identity, server, app (spec/sessions.md §13.4)."""
        return self._record.key

    @property
    def directory(self) -> str:
        """Name of the user's directory below the sync root, not yet percent-encoded (§13.4, §15.1)."""
        return self._record.local_uuid

    @property
    def sync_route(self) -> str:
        """The address of the sync socket, as far as known; guessed until the server has said it."""
        if self.is_direct:
            parts = urlsplit(self._record.auth_server_url)
            scheme = "wss" if parts.scheme in ("wss", "realms") else "ws"
            return f"{scheme}://{parts.netloc}{parts.path or DEFAULT_SOCKET_PATH}"
        return self._location.route(self.app_id)

    def socket_url(self, configuration: SyncConfiguration) -> str:
        """The address that a session with ``configuration`` connects to."""
        if self.is_direct and configuration.url_prefix:
            parts = urlsplit(self.sync_route)
            return f"{parts.scheme}://{parts.netloc}/{configuration.url_prefix.strip('/')}"
        return self.sync_route

    def __repr__(self) -> str:
        return f"<SyncUser {self.identity} at {self.authentication_server}, {self.state.name.lower()}>"

    # --- what a user can do -------------------------------------------------------------------------------------------

    def configuration(
        self,
        url: str | None = None,
        *,
        full_synchronization: bool = True,
        enable_ssl_validation: bool = True,
        url_prefix: str | None = None,
    ) -> SyncConfiguration:
        """A configuration for one of the user's Realms, by default ``/default``."""
        from syncline.sync.configuration import SyncConfiguration

        return SyncConfiguration(
            self,
            url or "/default",
            full_synchronization=full_synchronization,
            enable_ssl_validation=enable_ssl_validation,
            url_prefix=url_prefix,
        )

    def all_sessions(self) -> list[SyncSession]:
        """The sessions of the user's open Realms, also while logged out; none in the state ERROR."""
        return [] if self.state is SyncUserState.ERROR else self.manager.all_sessions_for(self)

    def session_for_url(self, url: str) -> SyncSession | None:
        """The session of the default local file of this *unresolved* URL, if it is open (spec/sessions.md §17.3)."""
        if self.state is SyncUserState.ERROR:
            return None
        return self.manager.session_at(self.manager.default_url_path(self, url))

    def log_out(self, *, delete_data: bool = False) -> None:
        """Stop syncing as this user and forget the tokens; local files stay and can be read and written.

        ``delete_data``: the user's files are deleted at the next start, unless the user logs in again before; those of
        an anonymous user, who cannot log in again, always are. The server is told, but not waited for. Does nothing for
        a user with a ready-made access token.
        """
        self.end_login(delete_data=delete_data)

    def end_login(self, *, delete_data: bool = False, error: SyncError | None = None) -> None:
        """Log out; pending waits of the sessions fail with ``error``, in which case no data are deleted."""
        self.manager.check_process()
        if not self.is_persistent:
            return
        with self._lock:
            token = self.refresh_token
            was_active = self.state is SyncUserState.ACTIVE
            self._update(
                user_token="",
                access_token="",
                state=int(SyncUserState.LOGGED_OUT),
                marked_for_removal=error is None and (delete_data or self.is_anonymous),
            )
        self.manager.user_logged_out(self, token if was_active else None, error)

    def invalidate(self) -> None:
        """A server of the first generation does not accept the user any more: in the state ERROR until the next login
        (spec/sessions.md §13.3)."""
        with self._lock:
            self._update(state=int(SyncUserState.ERROR))

    def remove(self) -> None:
        """Log out and have all local files of the user deleted at the next start."""
        self.log_out(delete_data=True)

    @property
    def is_removed(self) -> bool:
        """Whether the user was removed: the files go at the next start, unless the user logs in again before."""
        return self._record.marked_for_removal

    # --- for sessions and the manager ---------------------------------------------------------------------------------

    def check_not_removed(self) -> None:
        """No Realm can be opened as a removed user (spec/sessions.md §3.2). Raises ClientUserError."""
        if self.is_removed:
            raise ClientUserError(
                f"client user not found: {self.identity} was removed; log in again first", status="ClientUserNotFound"
            )

    def needs_refresh(self) -> bool:
        """Whether a new access token must be fetched before connecting (spec/sessions.md §6.2)."""
        if self.refresh_token is None:
            return False
        token = self.access_token
        claims = None if token is None else parse_token(token)
        return claims is None or claims.needs_refresh(time.time())

    def logged_in(self, record: UserRecord) -> None:
        """The user has logged in (again): new tokens."""
        with self._lock:
            self._record = record._replace(local_uuid=self._record.local_uuid)
            self._store()

    def located(self, location: ServerLocation) -> None:
        """The server said where it is to be spoken to."""
        if location != self._location:
            self._location = location
            self.is_route_verified = False

    def refresh(self, *, relocate: bool = False) -> asyncio.Task[None]:
        """Renew the access token, after asking for the location if ``relocate``; one renewal at a time. Loop only."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._renew(relocate))
        return self._refreshing

    @property
    def is_refreshing(self) -> bool:
        """Whether a renewal is under way. Loop only."""
        return self._refreshing is not None and not self._refreshing.done()

    async def _renew(self, relocate: bool) -> None:
        token = self.refresh_token
        if token is None:
            raise SyncAuthError(
                "the access token was refused and there is nothing to renew it with: log in again",
                code=SyncAuthErrorCode.EXPIRED_TOKEN,
                http_status=401,
            )
        client = self.manager.auth_client(self.authentication_server, self.app_id)
        timeout = self.manager.client.connect_timeout_ms / 1000
        if relocate:
            self.located(await client.location(timeout, again=True))
        access_token = await client.refresh(token, timeout)
        with self._lock:
            if self.refresh_token == token:  # not logged out meanwhile
                self._update(access_token=access_token)

    def _update(self, **changes: Any) -> None:
        self._record = self._record._replace(**changes)
        self._store()

    def _store(self) -> None:
        if self.is_persistent:
            self.manager.metadata.save_user(self._record)


def make_user(manager: SyncManager, record: UserRecord) -> SyncUser:
    """A user object for the manager's map."""
    return SyncUser(_MAKER, manager, record)


async def authenticate(
    manager: SyncManager, credentials: SyncCredentials, server: str, app_id: str, timeout: float
) -> tuple[UserRecord, ServerLocation]:
    """Log in at the server: the record of the user, and where the server wants to be spoken to."""
    client = manager.auth_client(server, app_id)
    login = await client.log_in(credentials, timeout)
    profile = await client.profile(login.access_token, timeout)
    record = UserRecord(
        identity=login.user_id,
        auth_server_url=server,
        app_id=app_id,
        local_uuid="",
        user_token=login.refresh_token,
        access_token=login.access_token,
        provider=credentials.provider,
        device_id=login.device_id,
        user_is_admin=profile.is_admin,
        state=int(SyncUserState.ACTIVE),
    )
    return record, await client.location(timeout)


def ready_made(credentials: SyncCredentials, server: str, app_id: str) -> UserRecord:
    """The record of a user whose token was given: no server is asked."""
    identity = credentials.user_info.get("identity")
    if not isinstance(identity, str) or not identity:
        raise ConfigurationError("credentials with a ready-made token need the user's identity")
    is_access = credentials.provider == IdentityProvider.ACCESS_TOKEN
    return UserRecord(
        identity=identity,
        auth_server_url=server,
        app_id=app_id,
        local_uuid=f"__auth{server}" if is_access else "",
        user_token="" if is_access else credentials.token,
        access_token=credentials.token if is_access else "",
        provider=credentials.provider,
        device_id="",
        user_is_admin=credentials.user_info.get("is_admin") is True,
        state=int(SyncUserState.ACTIVE),
    )
