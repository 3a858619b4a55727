"""The session of one file of a peer: what it is told, what it reports, waiting for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from syncline.errors import SyncError
from syncline.realm.tokens import NotificationToken
from syncline.storage.file import FileLease
from syncline.sync.backend import Backend
from syncline.sync.configuration import SyncConfiguration
from syncline.sync.credentials import SyncCredentials
from syncline.sync.manager import SyncManager
from syncline.sync.session import SyncSession
from syncline.sync.states import ClientResetMode, ConnectionState, SyncStopPolicy
from syncline.sync.waits import Wait, WaitKind
from syncline.testing.peer.commands import CommandError

__all__ = ["Link", "Target", "WaitTimeoutError"]

Json: TypeAlias = Any

DEFAULT_SERVICE: Final = "/realm-sync"

#: A wait looks this often whether the connection is down, and skips the delay before the next attempt.
_POKE_S: Final = 0.25
_END_S: Final = 30.0
#: So many errors and states are remembered, the latest ones.
_REMEMBERED: Final = 10_000


class WaitTimeoutError(TimeoutError):
    """A wait was not over in its time."""


class Target(NamedTuple):
    """Where a session goes: the address of the sync socket, the path that BIND carries, the access token."""

    address: str
    path: str
    token: str

    @classmethod
    def of(cls, fields: dict[str, Json]) -> Target:
        """From the fields of ``connect``. Raises CommandError if they name no server, or two."""
        service = fields.get("service", DEFAULT_SERVICE)
        if not service.startswith("/"):
            service = "/" + service
        if "url" in fields:
            if "host" in fields or "port" in fields:
                raise CommandError("connect: give either 'url' or 'host' and 'port'")
            origin = _origin(fields["url"])
        elif "host" in fields and "port" in fields:
            host = fields["host"]
            origin = f"ws://{f'[{host}]' if ':' in host else host}:{fields['port']}"
        else:
            raise CommandError("connect needs 'url', or 'host' and 'port'")
        return cls(origin + service, fields["path"], fields.get("token", ""))


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise CommandError(f"connect: 'url' is no address: {error}") from error
    if not usable or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise CommandError(f"connect: 'url' must be ws://host:port, the path of the socket is 'service', not {url!r}")
    return f"{parts.scheme}://{parts.netloc}"


class Link:
    """A session, bound as long as it is not closed."""

    def __init__(self, manager: SyncManager, name: str, lease: FileLease, target: Target) -> None:
        """Bind the session of the file; returns at once, no server is asked.

        Raises MultipleSyncAgentsError if another process syncs the file, MismatchedConfigError if this one does,
        with something else.
        """
        self.errors: deque[dict[str, Json]] = deque(maxlen=_REMEMBERED)
        self.states: deque[str] = deque(maxlen=_REMEMBERED)
        self._manager = manager
        self._path = lease.file.path
        self._fatal: SyncError | None = None
        user = manager.log_in(SyncCredentials.access_token(target.token, f"peer of {name}"), target.address)
        configuration = SyncConfiguration(
            user,
            target.path,
            path=self._path,
            stop_policy=SyncStopPolicy.IMMEDIATELY,
            client_reset_mode=ClientResetMode.MANUAL,
            manual_client_reset_handler=self.failed,
        )
        self._handle = Backend().attach(configuration, lease)
        core = manager.registry.core_at(self._path)
        assert core is not None  # it was attached just now
        self._core = core
        self.session: SyncSession = manager.session_of(core)
        self._observer: NotificationToken | None = None
        if not core.is_invalid:
            self._observer = self.session.observe_connection_state(self._state_changed)
            self._note_state(core.connection_state)

    def close(self) -> None:
        """End the session; the file can be bound again at once."""
        if self._observer is not None:
            self._observer.invalidate()
        self._handle.close()
        self._manager.registry.wait_for_release(self._path, _END_S)

    # --- what it is told ----------------------------------------------------------------------------------------------

    def announce(self, announced: bool) -> None:
        """Whether the session hears of commits from now on."""
        self._core.hears_commits = announced

    def committed(self, version: int) -> None:
        """Tell the session of everything up to ``version``."""
        self._core.local_commit(version)

    def suspend(self) -> None:
        """Disconnect until :meth:`resume`."""
        self.session.suspend()

    def resume(self) -> None:
        """Go on."""
        self._fatal = None
        self.session.resume()

    # --- what it says -------------------------------------------------------------------------------------------------

    def failed(self, error: SyncError, _session: SyncSession | None) -> None:
        """The session reported an error (notifier thread)."""
        self.errors.append(
            {
                "type": type(error).__name__,
                "message": str(error),
                "status": error.status,
                "code": error.server_code,
                "action": error.action,
                "is_fatal": error.is_fatal,
            }
        )
        if error.is_fatal:
            self._fatal = error

    def progress(self) -> dict[str, int] | None:
        """The last numbers reported, in bytes of changesets; None before the first."""
        values = self._core.progress.current
        if values is None:
            return None
        return {
            "uploaded": values.uploaded,
            "uploadable": values.uploadable,
            "downloaded": values.downloaded,
            "downloadable": values.downloadable,
        }

    def _state_changed(self, old: ConnectionState, new: ConnectionState) -> None:
        self._note_state(old)
        self._note_state(new)

    def _note_state(self, state: ConnectionState) -> None:
        """The observer may come a little late: what it missed is known from what it sees."""
        if state is ConnectionState.CONNECTED and self._last_state() == "disconnected":
            self.states.append("connecting")
        name = state.name.lower()
        if name != self._last_state():
            self.states.append(name)

    def _last_state(self) -> str:
        return self.states[-1] if self.states else "disconnected"

    # --- waiting ------------------------------------------------------------------------------------------------------

    def wait(self, kind: WaitKind, deadline: float, *, stop_on_error: bool) -> None:
        """Wait until everything is uploaded or downloaded, at most until ``deadline`` (of the monotonic clock).

        Raises WaitTimeoutError, and what ended the session; with ``stop_on_error`` also a fatal error that it only
        reported.
        """
        while True:
            error = self._wait_once(kind, deadline, stop_on_error)
            if error is None:
                return
            if stop_on_error:
                raise error
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._timed_out(kind) from error
            time.sleep(min(_POKE_S, left))

    def _wait_once(self, kind: WaitKind, deadline: float, stop_on_error: bool) -> Exception | None:
        """Wait until it is over, well or not: what ended it otherwise, None for success. Raises WaitTimeoutError."""
        ended = threading.Event()
        outcome: list[Exception | None] = []

        def end(error: Exception | None) -> None:
            outcome.append(error)
            ended.set()

        wait = Wait(kind, end)
        self._core.add_wait(wait)
        try:
            while not ended.is_set():
                if stop_on_error and self._fatal is not None:
                    return self._fatal
                if self._core.connection_state is ConnectionState.DISCONNECTED:
                    self._core.reconnect()
                left = deadline - time.monotonic()
                if not ended.wait(max(0.0, min(_POKE_S, left))) and left <= 0:
                    raise self._timed_out(kind)
        finally:
            self._core.forget_wait(wait)
        return outcome[0]

    def _timed_out(self, kind: WaitKind) -> WaitTimeoutError:
        return WaitTimeoutError(f"the {kind.value} of {self._path} was not complete in time")
