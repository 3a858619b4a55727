"""SyncManager: the users, sessions and settings of an application (spec/sessions.md §14).

One manager is shared by everything that does not name another: :meth:`SyncManager.shared`. It owns the store of users,
the event loop of the client (made with the first login or session) and the two threads that callbacks run on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from functools import partial
from os import PathLike
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from syncline.errors import (
    ClientResetError,
    ConfigurationError,
    InvalidSessionError,
    OperationAbortedError,
    SyncError,
    SynclineError,
)
from syncline.sync.client import SyncClient
from syncline.sync.credentials import SyncCredentials
from syncline.sync.delivery import SerialThread, guarded
from syncline.sync.diagnostics import ManagerDiagnostics, manager_diagnostics
from syncline.sync.file_actions import carry_out_all, delete_file
from syncline.sync.files import FileLayout, default_base_directory, delete_tree
from syncline.sync.location import ServerLocation, check_server_url
from syncline.sync.log import set_default_level
from syncline.sync.metadata import MetadataStore, UserRecord, new_local_uuid
from syncline.sync.registry import AgentLocks, SessionRegistry
from syncline.sync.renewal import TokenRenewal
from syncline.sync.session import SyncSession, make_session
from syncline.sync.session_core import SessionCore
from syncline.sync.settings import ManagerSettings
from syncline.sync.shutdown import EXIT_SECONDS, close_at_exit, warn_of_unsent
from syncline.sync.states import SyncUserState, Trigger
from syncline.sync.status_server import StatusServer
from syncline.sync.transport import Traffic
from syncline.sync.user import SyncUser, authenticate, make_user, ready_made

if TYPE_CHECKING:
    from syncline.sync.auth import AuthClient

__all__ = ["SyncManager"]

logger = logging.getLogger("syncline.sync")

_LOGOUT_SECONDS: Final = 10.0
_LAST_LOGOUT_SECONDS: Final = 1.0
"""A server that is being told of a logout is waited for so long when the manager is closed."""
_CLOSED_MEANWHILE: Final = "the SyncManager was closed before the login was over"
_STATUS_VARIABLE: Final = "SYNCLINE_STATUS"


class SyncManager(ManagerSettings):
    """Users, sessions and settings; every method may be called on any thread.

    Settings are attributes: those of :class:`~syncline.sync.settings.ManagerSettings` (docs/reference/settings.md).
    Constructing one carries out what an earlier run left to be done: file actions of errors, deletion of the data of
    removed users; not while another manager of the same directory runs, here or in another process (spec/sessions.md
    §11.4).

    Args:
        base_directory: where users, synced Realms and backups live; by default the platform's place for application
            data.
        encryption_key: 64 bytes for the store of users; without it the store is plain, readable by its owner only.
        persist_users: False keeps users and tokens in memory only.
        random: source of jitter.
    """

    _shared: SyncManager | None = None
    _shared_lock = threading.Lock()
    _inherited_directory: Path | None = None

    def __init__(
        self,
        base_directory: str | PathLike[str] | None = None,
        *,
        encryption_key: bytes | None = None,
        persist_users: bool = True,
        random: Random | None = None,
    ) -> None:
        super().__init__()
        set_default_level()
        self.random = random or Random()
        self.layout = FileLayout(Path(base_directory) if base_directory is not None else default_base_directory())
        self.notify_thread = SerialThread("syncline-notify")
        self.progress_thread = SerialThread("syncline-progress")
        self.registry = SessionRegistry(self)
        self.agent_locks = AgentLocks()
        self._lock = threading.Lock()
        self._client: SyncClient | None = None
        self._is_closed = False
        self._closed = threading.Event()
        self._process = os.getpid()
        self._handles: weakref.WeakValueDictionary[int, SyncSession] = weakref.WeakValueDictionary()
        self._status: StatusServer | None = None
        self._auth_clients: dict[tuple[str, str], AuthClient] = {}  # touched on the event loop only
        self._users: dict[tuple[str, str, str], SyncUser] = {}
        self._logouts: set[Future[None]] = set()
        self._tracked: set[str] = set()  # paths that the store of users has
        self.renewal = TokenRenewal(self)
        self.metadata = MetadataStore(self.layout.metadata_path if persist_users else None, encryption_key)
        if self.metadata.is_first:
            carry_out_all(self.metadata)
        self._load_users()
        close_at_exit(self)
        if os.environ.get(_STATUS_VARIABLE) == "1":
            self._expose_status_if_possible()

    @classmethod
    def shared(cls, base_directory: str | PathLike[str] | None = None) -> SyncManager:
        """The manager that logins and configurations use by default, made at the first call.

        In a forked child it is a new one, which needs a directory of its own: the parent's is in use. Raises
        ConfigurationError if it exists already with another ``base_directory``, IllegalOperationError for the directory
        of the parent.
        """
        with cls._shared_lock:
            manager = cls._shared
            if manager is None or manager._is_closed:
                manager = cls._shared = cls(base_directory or cls._inherited_directory)
            elif base_directory is not None and manager.layout.base != Path(base_directory):
                raise ConfigurationError(f"the shared SyncManager exists already, with {manager.layout.base}")
            return manager

    @property
    def base_directory(self) -> Path:
        """Where users, synced Realms and backups live."""
        return self.layout.base

    def _has_client(self) -> bool:
        return self._client is not None

    def _headers_changed(self, *, with_sockets: bool) -> None:
        self.post_if_running(partial(self._use_headers, with_sockets))
        if with_sockets:
            for core in self.registry.all():
                core.update_configuration(core.configuration)

    # --- users --------------------------------------------------------------------------------------------------------

    def log_in(
        self, credentials: SyncCredentials, auth_server_url: str, *, app_id: str | None = None, timeout: float = 30
    ) -> SyncUser:
        """See :meth:`SyncUser.log_in`."""
        ready = self._ready_made(credentials, auth_server_url, app_id)
        if ready is not None:
            return ready
        try:
            return self._start_login(credentials, auth_server_url, app_id, timeout).result()
        except CancelledError:
            raise OperationAbortedError(_CLOSED_MEANWHILE) from None

    async def log_in_async(
        self, credentials: SyncCredentials, auth_server_url: str, *, app_id: str | None = None, timeout: float = 30
    ) -> SyncUser:
        """See :meth:`SyncUser.log_in`."""
        ready = self._ready_made(credentials, auth_server_url, app_id)
        if ready is not None:
            return ready
        try:
            return await asyncio.wrap_future(self._start_login(credentials, auth_server_url, app_id, timeout))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise OperationAbortedError(_CLOSED_MEANWHILE) from None

    def all_users(self) -> dict[str, SyncUser]:
        """The logged-in users by identity."""
        self.check_process()
        with self._lock:
            users = list(self._users.values())
        return {user.identity: user for user in users if user.state is SyncUserState.ACTIVE}

    def current_user(self) -> SyncUser | None:
        """The one logged-in user. Raises ConfigurationError if there are several."""
        self.check_process()
        with self._lock:
            users = [user for user in self._users.values() if user.state is SyncUserState.ACTIVE]
        if len(users) > 1:
            raise ConfigurationError(f"{len(users)} users are logged in: say which one you mean")
        return users[0] if users else None

    def user_logged_out(self, user: SyncUser, refresh_token: str | None, error: SyncError | None) -> None:
        """Stop the user's sessions and tell the server, without waiting for it; waits fail with ``error``."""
        for core in self.registry.all(user):
            core.trigger(Trigger.LOG_OUT, error)
        if refresh_token is not None:
            logout = self.client.submit(self._end_login_session(user, refresh_token))
            self._logouts.add(logout)
            logout.add_done_callback(self._logouts.discard)

    def _ready_made(self, credentials: SyncCredentials, server: str, app_id: str | None) -> SyncUser | None:
        self.check_process()
        if credentials.needs_network:
            return None
        server = check_server_url(server, sockets=True)
        return self._logged_in(ready_made(credentials, server, app_id or self.app_id), None)

    def _start_login(
        self, credentials: SyncCredentials, server: str, app_id: str | None, timeout: float
    ) -> Future[SyncUser]:
        server = check_server_url(server)
        credentials.login_body()  # refuses providers that no server of this kind has
        return self.client.submit(self._log_in(credentials, server, app_id or self.app_id, timeout))

    async def _log_in(self, credentials: SyncCredentials, server: str, app_id: str, timeout: float) -> SyncUser:
        try:
            record, location = await authenticate(self, credentials, server, app_id, timeout)
        except SyncError:
            if self._is_closed:  # its connection was closed, too
                raise OperationAbortedError(_CLOSED_MEANWHILE) from None
            raise
        return self._logged_in(record, location)

    def _logged_in(self, record: UserRecord, location: ServerLocation | None) -> SyncUser:
        with self._lock:
            user = self._users.get(record.key)
            was_out = user is None or user.state is SyncUserState.LOGGED_OUT
            if user is None:
                record = record._replace(local_uuid=record.local_uuid or self._new_directory(record))
                user = self._users[record.key] = make_user(self, record)
        user.logged_in(record)
        if location is not None:
            user.located(location)
        has_come = Trigger.LOG_IN if was_out or user.needs_refresh() else Trigger.TOKEN
        for core in self.registry.all(user):
            self.trigger_quietly(core, has_come)
        return user

    def _new_directory(self, record: UserRecord) -> str:
        """A name for a new user's directory; where nothing is stored it must be the same in the next run (§13.4)."""
        return new_local_uuid() if self.metadata.is_stored else record.identity

    async def _end_login_session(self, user: SyncUser, refresh_token: str) -> None:
        try:
            client = self.auth_client(user.authentication_server, user.app_id)
            await client.log_out(refresh_token, _LOGOUT_SECONDS)
        except SynclineError as error:  # the user is logged out here, whatever the server says
            logger.info("the server was not told that %s logged out: %s", user.identity, error)

    def _load_users(self) -> None:
        for record in self.metadata.users():
            if record.marked_for_removal and self.metadata.is_first:
                self._remove_data(record)
            else:
                self._users[record.key] = make_user(self, record)

    def _remove_data(self, record: UserRecord) -> None:
        """Delete the files of a removed user, then the user; what is in use or cannot be deleted: at the next start."""
        for path in self.metadata.files_of(record.key):
            try:
                delete_file(path)
            except OSError as error:
                logger.warning("%s and user %s stay for now: %s", path, record.identity, error)
                return
        directories = self.layout.user_directories(record.local_uuid, record.app_id, record.identity)
        for directory in directories:
            delete_tree(directory)
        if not any(directory.exists() for directory in directories):
            self.metadata.remove_user(record.key)

    def track_file(self, user: SyncUser, path: str) -> None:
        """The file at ``path`` is the user's by its name, wherever it lies (spec/sessions.md §15.2)."""
        if not user.is_persistent or path in self._tracked:
            return
        try:
            if not self.metadata.is_tracked(path, user.key):
                self.metadata.track_file(path, user.key)
        except OSError as error:
            logger.warning("%s stays if %s is removed, for it cannot be noted: %s", path, user.identity, error)
        else:
            self._tracked.add(path)

    # --- sessions -----------------------------------------------------------------------------------------------------

    def all_sessions(self) -> list[SyncSession]:
        """The sessions of all open Realms."""
        self.check_process()
        return [self.session_of(core) for core in self.registry.referenced()]

    def all_sessions_for(self, user: SyncUser) -> list[SyncSession]:
        """The sessions of a user's open Realms, also while the user is logged out."""
        self.check_process()
        return [self.session_of(core) for core in self.registry.referenced(user)]

    def session_at(self, path: str) -> SyncSession | None:
        """The session of the local file at ``path``, if there is one."""
        self.check_process()
        core = self.registry.core_at(path)
        return None if core is None or core.is_invalid else self.session_of(core)

    def has_existing_sessions(self) -> bool:
        """Whether a synced Realm is open."""
        self.check_process()
        return bool(self.registry.referenced())

    def session_of(self, core: SessionCore) -> SyncSession:
        """The handle of a session; the same object as long as somebody keeps it."""
        with self._lock:
            handle = self._handles.get(core.number)
            if handle is None:
                handle = self._handles[core.number] = make_session(core)
            return handle

    def diagnostics(self) -> ManagerDiagnostics:
        """Everything there is to see of all sessions, now; see :meth:`SyncSession.diagnostics`."""
        self.check_process()
        return manager_diagnostics(self)

    def expose_status(self) -> None:
        """Show :meth:`diagnostics` to the command ``syncline status`` of the same user, until the manager is closed.

        Off by default; the environment variable ``SYNCLINE_STATUS=1`` asks every manager for it. Costs a sleeping
        thread and a socket that only the owner can open. Raises OSError if that cannot be made, InvalidSessionError
        once closed. Does nothing the second time.
        """
        self.check_process()
        with self._lock:
            if self._is_closed:
                raise InvalidSessionError("the SyncManager is closed")
            if self._status is None:
                ref = weakref.ref(self)
                self._status = StatusServer(self.layout.status_directory, lambda: _status_of(ref))
                weakref.finalize(self, self._status.close)

    def _expose_status_if_possible(self) -> None:
        try:
            self.expose_status()
        except OSError as error:
            logger.warning("%s is set, but the status cannot be shown: %s", _STATUS_VARIABLE, error)

    def default_url_path(self, user: SyncUser, url: str) -> str:
        """The local file of a Realm of ``user`` named by its unresolved URL (spec/sessions.md §15.1)."""
        return str(self.layout.url_path(user.directory, url))

    def reconnect(self) -> None:
        """Skip all reconnect delays."""
        self.check_process()
        for core in self.registry.all():
            core.reconnect()

    def network_reachability_changed(self, reachable: bool) -> None:
        """The application saw the network come or go; when it comes, all sessions reconnect at once."""
        if reachable:
            self.reconnect()

    def wait_for_sessions_to_terminate(self, timeout: float | None = None) -> bool:
        """Wait until every session whose Realms are all closed has given its file back; False on time-out."""
        self.check_process()
        return self.registry.wait_for_release(None, timeout)

    def close(self, timeout: float = EXIT_SECONDS) -> None:
        """Shut down: all sessions become invalid, waits are aborted, connections end; what is not uploaded is logged.

        Waits ``timeout`` seconds at most; so does who calls it while another thread does. Nothing is lost: what was not
        uploaded is in the files. Called at the exit of the program, where all managers together take five seconds at
        most. Does nothing in a forked child.
        """
        if self._process != os.getpid():
            return
        deadline = time.monotonic() + timeout
        with self._lock:
            is_first, self._is_closed = not self._is_closed, True
            status, self._status = self._status, None
        if not is_first:
            self._closed.wait(timeout)
            return
        try:
            if status is not None:
                status.close()
            for core in self._end_sessions(deadline):
                core.released.wait(max(0.0, deadline - time.monotonic()))
            client = self._client
            if client is not None:
                wait(list(self._logouts), min(_LAST_LOGOUT_SECONDS, max(0.0, deadline - time.monotonic())))
                client.cancel_submitted()  # logins, which would fail for want of their sockets
                with contextlib.suppress(TimeoutError):
                    client.submit(self._close_auth_clients()).result(max(0.0, deadline - time.monotonic()))
                client.close(max(0.0, deadline - time.monotonic()))
            self.metadata.close()
        finally:
            self._closed.set()

    def _end_sessions(self, deadline: float) -> list[SessionCore]:
        """End all sessions; those that have not given their files back. On the event loop, which nobody waits for too
        long: a session's lock may be held, a disk may hang."""
        ended: list[SessionCore] = []
        done = threading.Event()

        def end() -> None:
            try:
                warn_of_unsent(self.registry.all())
                ended.extend(self.registry.end_all())
            finally:
                done.set()

        client = self._client
        if client is None or client.is_loop_thread():
            end()
        else:
            client.post(end)
            done.wait(max(0.0, deadline - time.monotonic()))
        return list(ended)

    @property
    def traffic(self) -> Traffic:
        """Bytes that went over the wire in both directions since the manager was made."""
        return self.client.traffic

    @property
    def known_traffic(self) -> Traffic:
        """The same, without making the client for it."""
        client = self._client
        return Traffic() if client is None else client.traffic

    # --- for sessions -------------------------------------------------------------------------------------------------

    @property
    def client(self) -> SyncClient:
        """The event loop with its connections, made when first needed. Raises InvalidSessionError once closed."""
        self.check_process()
        with self._lock:
            if self._is_closed and (self._client is None or self._client.is_closed):
                raise InvalidSessionError("the SyncManager is closed")
            if self._client is None:
                self._client = SyncClient(
                    self.timeout_options.settings(),
                    connect_timeout_ms=self.timeout_options.effective().connect_timeout,
                    multiplexing=self._session_multiplexing,
                    user_agent=self.user_agent_header,
                    random=self.random,
                )
            return self._client

    def is_own_thread(self) -> bool:
        """Whether the caller runs on a thread of the client; see :meth:`SyncClient.is_own_thread`."""
        client = self._client
        return client is not None and client.is_own_thread()

    def post_if_running(self, call: Callable[[], object]) -> None:
        """Run ``call`` on the event loop, if there is one. Takes no lock: for finalizers."""
        client = self._client
        if client is not None and self._process == os.getpid():  # a forked child has the parent's, not its thread
            client.post(call)

    def auth_client(self, server: str, app_id: str) -> AuthClient:
        """The HTTP client for an app of a server. On the event loop only."""
        client = self._auth_clients.get((server, app_id))
        if client is None:
            # both load httpx, which who never logs in need not wait for
            from syncline.sync.auth import AuthClient
            from syncline.sync.routes import Routes

            client = self._auth_clients[server, app_id] = AuthClient(
                server,
                app_id,
                headers=self._custom_request_headers,
                authorization_header=self._authorization_header_name,
                user_agent=self.client.user_agent,
                transport=Routes(lambda: self._proxy, self.pinned_certificate_for),
            )
        return client

    def trigger_quietly(self, core: SessionCore, trigger: Trigger) -> None:
        """Trigger a session where nobody could catch what it raises: it is reported instead."""
        try:
            core.trigger(trigger)
            self.registry.close_unreferenced(core)
        except (SynclineError, OSError) as error:  # another process syncs the file, or it cannot be read
            core.could_not_start(error)

    def report(self, error: SyncError, core: SessionCore | None) -> None:
        """Log an error and tell the application, on the notifier thread (spec/sessions.md §10.2)."""
        where = "sync" if core is None else core.path
        logger.log(logging.ERROR if error.is_fatal else logging.WARNING, "%s: %s", where, error)
        session = None if core is None else self.session_of(core)
        own = None if core is None else core.configuration.manual_client_reset_handler
        handler = own if own is not None and isinstance(error, ClientResetError) else self.error_handler
        if handler is not None:
            self.notify_thread.submit(lambda: guarded(lambda: handler(error, session), where))

    def _use_headers(self, with_sockets: bool) -> None:
        """The headers have changed: for requests from now on, and for the sockets of sessions that connect anew."""
        for client in self._auth_clients.values():
            client.use_headers(self._custom_request_headers, self._authorization_header_name)
        if self._client is not None and with_sockets:
            self._client.retire_connections()

    def check_process(self) -> None:
        """A manager with its users and sessions does not survive a fork. Raises InvalidSessionError in the child."""
        if os.getpid() != self._process:
            raise InvalidSessionError(
                f"this SyncManager, its users and its sessions belong to the parent process {self._process}: "
                "after fork, make a SyncManager in a directory of its own, or start processes with 'spawn'"
            )

    async def _close_auth_clients(self) -> None:
        for client in self._auth_clients.values():
            await client.aclose()


def _forget_inherited() -> None:
    """After fork: the parent's manager is not the child's, and a lock may be held by a thread that is not here."""
    SyncManager._shared_lock = threading.Lock()
    manager, SyncManager._shared = SyncManager._shared, None
    if manager is not None:
        SyncManager._inherited_directory = manager.layout.base


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)


def _status_of(ref: weakref.ref[SyncManager]) -> dict[str, Any]:
    manager = ref()
    return {} if manager is None else manager.diagnostics().to_dict()
