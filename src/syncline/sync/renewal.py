"""Renewing access tokens, and what its outcome does to the sessions of the user (spec/sessions.md §6.2, §6.3)."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from syncline.errors import SyncAuthError, SyncError
from syncline.protocol.errors import Status
from syncline.sync.delivery import guarded
from syncline.sync.session_errors import Effect, Failure, sync_error
from syncline.sync.states import InternalState, SyncUserState, Trigger

if TYPE_CHECKING:
    from syncline.sync.manager import SyncManager
    from syncline.sync.session_core import SessionCore
    from syncline.sync.user import SyncUser

__all__ = ["TokenRenewal"]

logger = logging.getLogger("syncline.sync")

_PAUSE_SECONDS: Final = 10.0
"""A token that the server refuses this soon after its renewal is not renewed again: the back-off goes on instead."""

_REFUSALS: Final = frozenset({301, 308, 401, 403})


class TokenRenewal:
    """Renews the tokens of a manager's users, one renewal per user at a time."""

    def __init__(self, manager: SyncManager) -> None:
        self._manager = manager
        self._renewed_at: dict[tuple[str, str, str], float] = {}
        self._tried_at: dict[tuple[str, str, str], float] = {}

    def request(self, user: SyncUser, *, is_refused: bool = False) -> None:
        """A session waits for a token; ``is_refused``: because the server does not take the present one. Any thread."""
        self._manager.client.post(self._renew_refused if is_refused else self._renew, user)

    def _renew_refused(self, user: SyncUser) -> None:
        """At once, or after a pause where the refusal follows the last renewal too closely."""
        pause = self._tried_at.get(user.key, -_PAUSE_SECONDS) + _PAUSE_SECONDS - time.monotonic()
        if pause > 0:
            self._manager.client.loop.call_later(pause, self._renew_if_waited_for, user)
        else:
            self._renew(user)

    def _renew_if_waited_for(self, user: SyncUser) -> None:
        states = {core.internal_state for core in self._manager.registry.all(user)}
        if InternalState.WAITING_FOR_ACCESS_TOKEN in states:
            self._renew(user)

    def take_effect(self, core: SessionCore, effect: Effect) -> None:
        """What an error asks for besides its report. Event loop."""
        user = core.configuration.user
        if effect is Effect.LOG_OUT:
            user.end_login(error=core.last_error)
        elif effect is Effect.INVALIDATE_USER:
            user.invalidate()
        elif effect is Effect.REFRESH_LOCATION:
            if not user.is_direct:
                self._renew(user, relocate=True)
        elif time.monotonic() - self._renewed_at.get(user.key, -_PAUSE_SECONDS) >= _PAUSE_SECONDS:
            self._renew(user)

    def _renew(self, user: SyncUser, *, relocate: bool = False) -> None:
        if user.state is not SyncUserState.ACTIVE or user.is_refreshing:
            return
        task = user.refresh(relocate=relocate)
        task.add_done_callback(lambda task: self._done(user, task, relocate))

    def _done(self, user: SyncUser, task: asyncio.Task[None], relocate: bool) -> None:
        if task.cancelled():
            return
        error = task.exception()
        self._tried_at[user.key] = time.monotonic()
        if error is None:
            self._renewed_at[user.key] = time.monotonic()
        elif _is_refusal(error):
            self._refused(user, error)
            return
        else:
            logger.warning("the access token of %s was not renewed: %s", user.identity, error)
            self._failed(user, error if isinstance(error, SyncError) else _unreachable(error), relocate)
        for core in self._manager.registry.all(user):
            if error is None and relocate and core.internal_state is InternalState.ACTIVE:
                core.restart()
            elif error is None or core.internal_state is InternalState.WAITING_FOR_ACCESS_TOKEN:
                # without a new token let the server judge the old one; the connection's back-off retries
                self._manager.trigger_quietly(core, Trigger.TOKEN)

    def _failed(self, user: SyncUser, error: SyncError, relocate: bool) -> None:
        """No answer, or none that decides anything."""
        for core in self._manager.registry.all(user):
            core.not_renewed(error, is_unreachable=relocate)

    def _refused(self, user: SyncUser, cause: BaseException) -> None:
        """The server does not renew the token any more: log out, and tell everyone."""
        failure = Failure(
            Status.AUTH_ERROR, f"unable to refresh the user access token: {cause}", is_fatal=True, cause=cause
        )
        error = sync_error(failure)
        cores = [core for core in self._manager.registry.all(user) if core.was_refused(error)]
        user.end_login(error=error)
        handler = user.error_handler
        if handler is not None and isinstance(cause, SyncAuthError):
            refusal = cause
            self._manager.notify_thread.submit(
                lambda: guarded(lambda: handler(user, refusal), "error handler of a user")
            )
        for core in cores:
            self._manager.report(error, core)


def _unreachable(cause: BaseException) -> SyncError:
    return sync_error(Failure(Status.CONNECT_FAILED, f"cannot find the sync server: {cause}", False, cause=cause))


def _is_refusal(error: BaseException) -> bool:
    """Whether the server said no, rather than nothing (spec/sessions.md §6.3)."""
    return isinstance(error, SyncAuthError) and error.http_status in _REFUSALS
