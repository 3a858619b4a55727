"""SessionCore: the session behind the handles, one per local file (spec/sessions.md §3, §4).

It holds what outlives connections: the state, the waits, the progress registrations, the observers, a reference to the
open file. Where it goes is looked up in :data:`~syncline.sync.states.TRANSITIONS`; what a move does is here. Every
method may be called on any thread. Nothing of the application runs under the lock: a move returns what is to be called
once the lock is free.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from syncline.errors import AutomaticResetError, OperationAbortedError, SyncError, SynclineError, WrongThreadError
from syncline.protocol.backoff import Backoff
from syncline.protocol.client_session import UploadPolicy
from syncline.protocol.errors import Status
from syncline.storage.history import ClientHistory
from syncline.sync.client_reset import Acknowledgement, ClientReset, is_automatic
from syncline.sync.connection_watch import ConnectionWatch, StateObserver
from syncline.sync.delivery import Courier
from syncline.sync.diagnostics import ErrorLog
from syncline.sync.file_actions import flag_file
from syncline.sync.progress import ProgressNotifier
from syncline.sync.protocol_session import ProtocolSession
from syncline.sync.session_errors import Consequence, Effect, Failure, KnownFailure, Next, consequence, sync_error
from syncline.sync.states import (
    PUBLIC_STATES,
    TRANSITIONS,
    ConnectionState,
    InternalState,
    Move,
    SyncSessionState,
    SyncUserState,
    Trigger,
    close_move,
)
from syncline.sync.telemetry import process_telemetry
from syncline.sync.waits import Wait, WaitKind

if TYPE_CHECKING:
    from syncline.storage.file import FileLease
    from syncline.sync.configuration import SyncConfiguration
    from syncline.sync.manager import SyncManager

__all__ = ["SessionCore"]

logger = logging.getLogger("syncline.sync.session")

Later = list[Callable[[], object]]  # to be called after the lock was released, in order

_WITH_PROTOCOL: Final = (InternalState.ACTIVE, InternalState.DYING)
_COMPLETION_DELAY_SECONDS: Final = 1.0  # a completion waits for its progress report this long at most (§8.2)

_numbers = itertools.count(1)


class SessionCore:
    """See the module. Made by the manager, which registers it under ``path`` and counts the external references."""

    def __init__(self, manager: SyncManager, configuration: SyncConfiguration, path: str, lease: FileLease) -> None:
        self.manager = manager
        self.number = next(_numbers)
        self.path = path
        self.configuration = configuration
        self.progress = ProgressNotifier(path)
        self.last_error: SyncError | None = None
        self.errors = ErrorLog()
        self.released = threading.Event()  # set once the session has ended and given its file back
        #: while False, commits are made in silence: uploaded with what is announced later (tests/vectors/PEER.md)
        self.hears_commits = True
        self._lease = lease.share()
        self.file = self._lease.file
        self.history = ClientHistory(self.file, keep_bytes=configuration.kept_conflict_bytes)
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._state = InternalState.INACTIVE
        self._watch = ConnectionWatch(manager.notify_thread)
        #: of a Realm of this file, for those that callbacks of a client reset get
        self.realm_configuration: Any = None
        #: whether a Realm of the file was opened, rather than only begun to be opened asynchronously
        self.had_realm = False
        self._reset: ClientReset | None = None  # in place of a protocol session
        self._resets: list[ClientReset] = []  # not yet ended, the present one included
        self._acknowledgement = Acknowledgement(self)
        self._protocol: ProtocolSession | None = None
        self._running_protocols = 0  # not yet finished, the present one included
        self._death_count = 0
        self._is_errored = False
        self._is_ended = False
        self._holds_agent_lock = False
        self._waits: list[Wait] = []
        self._known_failure = KnownFailure()
        self._faults: Backoff[str] = Backoff(manager.random)

    # --- facts --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> SyncSessionState:
        """The public state (spec/sessions.md §4.1)."""
        with self._lock:
            return SyncSessionState.INVALID if self.is_invalid else PUBLIC_STATES[self._state]

    @property
    def internal_state(self) -> InternalState:
        """The state of the machine (spec/sessions.md §4.2)."""
        return self._state

    @property
    def is_invalid(self) -> bool:
        """Whether it ended for good: by a fatal error, or because nobody refers to it any more."""
        return self._is_ended or self._is_errored

    @property
    def is_errored(self) -> bool:
        """Whether a fatal error ended it: the next open of the file makes a new session."""
        return self._is_errored

    @property
    def connection_state(self) -> ConnectionState:
        """The session's own view of the connection (spec/sessions.md §7.1)."""
        return self._watch.state

    @property
    def connection_since(self) -> float:
        """When that last changed, in seconds of Unix time."""
        return self._watch.since

    @property
    def protocol(self) -> ProtocolSession | None:
        """The present protocol session."""
        return self._protocol

    @property
    def reset(self) -> ClientReset | None:
        """The client reset that runs in place of a protocol session."""
        return self._reset

    # --- the state machine --------------------------------------------------------------------------------------------

    def trigger(self, trigger: Trigger, error: Exception | None = None) -> None:
        """Something happened: make the move that the table says.

        Raises MultipleSyncAgentsError if the session was to become active and another process syncs the file.
        """
        with self._lock:
            later = self._apply(trigger, error)
        _call_all(later)

    def _apply(self, trigger: Trigger, error: Exception | None) -> Later:
        if self._is_ended or (self._is_errored and trigger is not Trigger.CLOSE):
            return []
        move = TRANSITIONS[trigger][self._state]
        if move is Move.BY_POLICY:
            move = close_move(self.configuration.stop_policy)
        if move is Move.REVIVE:
            move = self._revival()
        later = self._perform(move, error)
        if move is Move.ACTIVATE and trigger in (Trigger.LOG_IN, Trigger.TOKEN):
            later += self._perform(Move.REFRESH, None)  # the new token ends the delays of what was just begun
        return later

    def _revival(self) -> Move:
        """What reviving comes to: nothing while the user is logged out, a token first if there is no usable one."""
        user = self.configuration.user
        if user.state is not SyncUserState.ACTIVE:
            if self._state is InternalState.PAUSED:
                self._state = InternalState.INACTIVE  # resume() ends the pause; login will start it (§5.2)
            return Move.STAY
        if self._state is not InternalState.DYING and user.needs_refresh():
            return Move.REVIVE
        return Move.ACTIVATE

    def _perform(self, move: Move, error: Exception | None) -> Later:
        match move:
            case Move.ACTIVATE:
                return self._activate()
            case Move.REVIVE:
                self._state = InternalState.WAITING_FOR_ACCESS_TOKEN
                return [lambda: self.manager.renewal.request(self.configuration.user)]
            case Move.DIE:
                return self._die()
            case Move.DEACTIVATE:
                return self._become_inactive(InternalState.INACTIVE, error)
            case Move.PAUSE if self._state is InternalState.INACTIVE:
                self._state = InternalState.PAUSED  # waits for a login stay (§4.4)
            case Move.PAUSE:
                return self._become_inactive(InternalState.PAUSED, error)
            case Move.UNREGISTER:
                return [lambda: self.manager.registry.unregister(self)]
            case Move.REFRESH:
                present = self._protocol or self._reset
                assert present is not None
                return [lambda: self._post(present.token_renewed)]
        return []

    def _activate(self) -> Later:
        if not self._holds_agent_lock:
            self.manager.agent_locks.take(self.file)
            self._holds_agent_lock = True
        has_new_token = self._state is InternalState.WAITING_FOR_ACCESS_TOKEN
        self._state = InternalState.ACTIVE
        if self._protocol is not None:  # it was dying
            return []
        return self._new_protocol(has_new_token=has_new_token)

    def _new_protocol(self, uploads: UploadPolicy = UploadPolicy.DELAYED, *, has_new_token: bool = False) -> Later:
        """A new protocol session, which takes over all waits (spec/sessions.md §4.4)."""
        protocol = self._protocol = ProtocolSession(self, self.manager.client, self.number, uploads=uploads)
        self._running_protocols += 1
        self._post(self.start_protocol, protocol)
        if has_new_token:
            self._post(protocol.token_renewed)  # it ends a reconnect delay, also one without end (§7.4)
        for wait in self._waits:
            self._post(protocol.add_wait, wait)
        return []

    def start_protocol(self, protocol: ProtocolSession) -> None:
        """Start it, on the event loop."""
        try:
            protocol.start()
            self._acknowledgement.expect()
        except (SynclineError, OSError) as error:
            self.local_fault(protocol, error)

    def _die(self) -> Later:
        """Finish uploads first (spec/sessions.md §3.5); the count tells this death from a later one."""
        if self._protocol is None or self._protocol.delay() == math.inf:  # or what is fatal to the dying has happened
            return self._become_inactive(InternalState.INACTIVE, None)
        self._state = InternalState.DYING
        self._death_count += 1
        count = self._death_count
        wait = Wait(WaitKind.UPLOAD, lambda error: self._uploaded_all(count))
        wait.is_internal = True
        self._waits.append(wait)
        self._post(self._protocol.add_wait, wait)
        return []

    def _uploaded_all(self, count: int) -> None:
        with self._lock:
            over = self._state is InternalState.DYING and self._death_count == count
            later = self._become_inactive(InternalState.INACTIVE, None) if over else []
        _call_all(later)

    def _become_inactive(self, state: InternalState, error: Exception | None) -> Later:
        """Leave the connection, and the manager if no Realm is open (spec/sessions.md §4.4, in its order)."""
        self._state = state
        later = self._leave_connection(error)
        return [lambda: self.manager.registry.unregister(self), *later]

    def _leave_connection(self, error: Exception | None) -> Later:
        """No protocol session any more, and no waits."""
        self._stop_protocol()
        waits, self._waits = self._waits, []
        reset, self._reset = self._reset, None
        if reset is not None:
            self._post(reset.stop)
        outcome = error or OperationAbortedError("the session became inactive")
        return [partial(wait.finish, outcome) for wait in waits]

    def _stop_protocol(self) -> None:
        """No protocol session any more, or none until there is another."""
        self._set_connection_state(ConnectionState.DISCONNECTED)
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.retire()
            self._post(protocol.stop)

    def restart(self) -> None:
        """A new protocol session with the latest configuration and route; waits go on (spec/sessions.md §4.5)."""
        with self._lock:
            if self._state is InternalState.ACTIVE and self._reset is not None:
                self._post(self._reset.restart)
            if self._state is not InternalState.ACTIVE or self._protocol is None:
                return
            self._set_connection_state(ConnectionState.DISCONNECTED)
            self._post(self._protocol.stop)
            self._new_protocol()

    def close(self, is_unreferenced: Callable[[], bool], *, for_good: bool = False) -> None:
        """The last Realm was closed, unless one was opened meanwhile; ``for_good``: it lives on under no policy."""
        with self._lock:
            later = self._apply(Trigger.CLOSE, None) if is_unreferenced() else []
            if for_good and is_unreferenced() and self._state is InternalState.ACTIVE:
                later += self._die()
        _call_all(later)

    def update_configuration(self, configuration: SyncConfiguration) -> None:
        """Replace the configuration: who is connected disconnects and connects anew, the waits are aborted (§4.5).

        At one go, so that no callback comes between, and nobody lets go of a session that lives on without a Realm.
        """
        with self._lock:
            self.configuration = configuration
            state = self._state
            if state in (InternalState.INACTIVE, InternalState.PAUSED):
                return
            self._state = InternalState.INACTIVE
            later = self._leave_connection(None)
            if state is InternalState.DYING:
                later += self._activate() + self._die()
            else:
                later += self._perform(self._revival(), None)
        _call_all(later)

    def end(self) -> Later | None:
        """Nobody refers to it any more and it is not active: give the file back.

        Returns what is to be called when the caller holds no lock; None if it is active after all.
        """
        with self._lock:
            if self._state not in (InternalState.INACTIVE, InternalState.PAUSED):
                return None
            self._is_ended = True
            self._give_back_file()
            return self._leave_connection(None) + self._watch.end()

    def at_end(self, call: Callable[[], object]) -> int:
        """Call once, briefly, when the session becomes invalid; a number for :meth:`forget_end`."""
        with self._lock:
            if not self.is_invalid:
                return self._watch.at_end(call)
        call()
        return 0

    def forget_end(self, number: int) -> None:
        """Do not call."""
        with self._lock:
            self._watch.forget_end(number)

    def protocol_finished(self, protocol: ProtocolSession) -> None:
        """A protocol session does not touch the file any more."""
        with self._lock:
            self._running_protocols -= 1
            if self._is_ended or self._is_errored:
                self._give_back_file()
            self._idle.notify_all()

    def wait_until_idle(self, timeout: float | None) -> bool:
        """Wait until nothing of it touches the file; False on time-out. On our own threads, which would wait for
        themselves, it only looks."""
        if self.manager.is_own_thread() or self._is_in_reset():
            timeout = 0.0
        with self._idle:
            return self._idle.wait_for(lambda: not (self._running_protocols or self._resets), timeout)

    def _give_back_file(self) -> None:
        if self._running_protocols or self._resets or self.released.is_set():
            return
        if self._holds_agent_lock:
            self._holds_agent_lock = False
            self.manager.agent_locks.give_back(self.file)
        self._lease.close()
        self.released.set()

    def _post(self, call: Callable[..., object], *args: Any) -> None:
        self.manager.client.post(call, *args)

    # --- what the protocol session says (event loop) ------------------------------------------------------------------

    def connection_changed(self, protocol: ProtocolSession, state: ConnectionState, failure: Failure | None) -> None:
        """The connection of the present protocol session went to ``state``."""
        with self._lock:
            if protocol is not self._protocol:
                return
            self._set_connection_state(state)
            if state is ConnectionState.CONNECTED:
                self._known_failure.forget()
        if failure is not None:
            self.failed(protocol, failure, disconnected=True)

    def failed(self, protocol: ProtocolSession | None, failure: Failure, *, disconnected: bool) -> None:
        """Something went wrong; the order of what follows is that of spec/sessions.md §10.6.

        ``protocol`` None: in an automatic client reset, which has taken the place of the protocol session.
        """
        row = consequence(failure)
        with self._lock:
            if protocol is not self._protocol or self._state not in _WITH_PROTOCOL:
                return
            if row.next is Next.WAITING and self._state is InternalState.DYING:
                row = row._replace(next=Next.NONE)
            if self._state is InternalState.ACTIVE and is_automatic(failure, self.configuration):
                self._begin_reset(failure)
                return
            if disconnected:
                self._set_connection_state(ConnectionState.DISCONNECTED)
            if self._state is InternalState.DYING and (failure.is_fatal or row.next is Next.INACTIVE):
                error = sync_error(failure)
                later: Later = [partial(self._log_death, error)]
                later += self._become_inactive(InternalState.INACTIVE, error)
                report = None
            else:
                error, later = self._error(failure, row)
                self._note(error)
                later += self._consequences(row, error)
                report = error if row.report and self._known_failure.is_to_be_told(failure) else None
        _call_all(later)
        if row.effect is not None and row.next is not Next.WAITING:
            self.manager.renewal.take_effect(self, row.effect)
        if report is not None:
            self.manager.report(report, self)
        elif failure.server_code is not None and not row.report:  # always in the log (§10.2)
            logger.warning("%s: %s", self.path, failure.message)

    def _begin_reset(self, failure: Failure) -> None:
        """A client reset takes the place of the protocol session; waits go on (spec/sessions.md §12.3)."""
        self._stop_protocol()
        self._reset = ClientReset(self, failure, next(_numbers))
        self._resets.append(self._reset)
        self._post(self._reset.start)

    def reset_ended(self, reset: ClientReset, error: Exception | None) -> None:
        """A client reset does not touch the file any more; on the event loop."""
        with self._lock:
            self._resets.remove(reset)
            is_present = reset is self._reset
            if is_present:
                self._reset = None
                if error is None:
                    self._new_protocol(UploadPolicy.AT_ONCE)  # everything there is was just downloaded
        if is_present and error is not None:
            self.failed(None, reset.failed(error), disconnected=True)
        with self._lock:
            if self._is_ended or self._is_errored:
                self._give_back_file()
            self._idle.notify_all()

    def _error(self, failure: Failure, row: Consequence) -> tuple[SyncError, Later]:
        """The error of a failure, and what is to be logged; its file action is stored before anybody hears of it."""
        if row.file_action is None:
            return sync_error(failure), []
        token, complaint = flag_file(self, row.file_action, is_stored=row.is_stored)
        error = sync_error(failure, token.user_info())
        return error, [] if complaint is None else [partial(logger.error, complaint)]

    def _log_death(self, error: SyncError) -> None:
        """An error ended the session while it finished its uploads: nobody is told (spec/sessions.md §3.5)."""
        text = "%s: ended before everything was uploaded, the rest goes at the next open: %s"
        logger.log(logging.ERROR if error.is_fatal else logging.WARNING, text, self.path, error)

    def _note(self, error: SyncError) -> None:
        self.last_error = error
        self.errors.add(error)
        process_telemetry().error(error)

    def _consequences(self, row: Consequence, error: SyncError) -> Later:
        if row.next is Next.INACTIVE:
            later = self._become_inactive(InternalState.INACTIVE, error)
            if row.effect is Effect.LOG_OUT:
                return later
            self._is_errored = True
            return later + self._watch.end()
        if row.next is Next.WAITING:
            return self._wait_for_token()
        if row.next is Next.ERROR or (row.report and self._waits_end_with_non_fatal_errors):
            return self._fail_waits(error)
        return []

    @property
    def _waits_end_with_non_fatal_errors(self) -> bool:
        return self.configuration.cancel_async_open_on_non_fatal_errors

    def _wait_for_token(self) -> Later:
        """The server refused the token: no protocol session until there is another; waits go on (§10.4)."""
        self._state = InternalState.WAITING_FOR_ACCESS_TOKEN
        self._stop_protocol()
        return [lambda: self.manager.renewal.request(self.configuration.user, is_refused=True)]

    def _fail_waits(self, error: Exception) -> Later:
        waits = [wait for wait in self._waits if not wait.is_internal]
        self._waits = [wait for wait in self._waits if wait.is_internal]
        return [partial(wait.finish, error) for wait in waits]

    def local_fault(self, protocol: ProtocolSession, error: Exception | None) -> None:
        """Our own file failed (a full disk, a lock): report it, and start anew after a growing delay."""
        with self._lock:
            if protocol is not self._protocol:
                return
            delay = self._faults.failed(type(error).__name__) / 1000
        self.failed(protocol, Failure.of_file(self.path, error), disconnected=True)
        self._post(protocol.stop)
        self.manager.client.loop.call_later(delay, self._restart_instead_of, protocol)

    def _restart_instead_of(self, protocol: ProtocolSession) -> None:
        with self._lock:
            if protocol is self._protocol and self._state in _WITH_PROTOCOL:
                self._new_protocol()

    def wait_completed(self, wait: Wait) -> None:
        """A wait is over, well; the progress report of the same moment goes first (spec/sessions.md §8.2)."""
        with self._lock:
            if wait in self._waits:
                self._waits.remove(wait)
        if not self.progress.has_listeners:
            wait.finish(None)
            return
        self.manager.progress_thread.submit(lambda: wait.finish(None))
        self.manager.client.loop.call_later(_COMPLETION_DELAY_SECONDS, wait.finish, None)

    # --- waits and observers ------------------------------------------------------------------------------------------

    def add_wait(self, wait: Wait) -> None:
        """Register a wait; without a protocol session it is kept until there is one (spec/sessions.md §8.1)."""
        with self._lock:
            if not self.is_invalid:
                self._waits.append(wait)
                if self._protocol is not None:
                    self._post(self._protocol.add_wait, wait)
                return
        wait.finish(self.last_error or OperationAbortedError("the session has ended"))

    def check_may_wait(self) -> None:
        """Raises WrongThreadError in log functions that run on the client's own threads, and AutomaticResetError in the
        callbacks of a client reset: they would wait for themselves (§20.39)."""
        if self.manager.is_own_thread() and not self._is_in_reset():
            raise WrongThreadError("the sync client's own thread would wait for itself: do it on another thread")
        if self._is_in_reset():
            raise AutomaticResetError(
                "a callback of a client reset waits for sync, which goes on when the callback has returned: do it later"
            )

    def _is_in_reset(self) -> bool:
        return any(reset.is_own_thread() for reset in self._resets)

    def forget_wait(self, wait: Wait) -> None:
        """The application does not wait any more."""
        wait.forget()
        with self._lock:
            if wait in self._waits:
                self._waits.remove(wait)

    def observe(self, callback: StateObserver, deliver: Courier) -> int:
        """Call back at each change of the connection state from now on; a number for :meth:`stop_observing`."""
        with self._lock:
            return self._watch.observe(callback, deliver)

    def stop_observing(self, number: int) -> None:
        """No more calls; unknown numbers are ignored. Takes no lock: finalizers of tokens call it."""
        self._watch.stop_observing(number)

    def _set_connection_state(self, new: ConnectionState) -> None:
        self._watch.change(new)

    # --- commands -----------------------------------------------------------------------------------------------------

    def reconnect(self) -> None:
        """Skip delays; effective only while active (spec/sessions.md §5.4)."""
        with self._lock:
            present = (self._protocol or self._reset) if self._state is InternalState.ACTIVE else None
        if present is not None:
            self._post(present.reconnect)

    def local_commit(self, version: int) -> None:
        """The application made ``version``."""
        protocol = self._protocol
        if protocol is not None:
            protocol.committed(version)

    def could_not_start(self, error: Exception) -> None:
        """It was to become active outside of an open, and could not (another process syncs the file)."""
        failure = sync_error(Failure(Status.RUNTIME_ERROR, str(error), True, cause=error))
        self._note(failure)
        self.manager.report(failure, self)

    def was_refused(self, error: SyncError) -> bool:
        """The access token is not renewed any more: the waits fail. Whether the application is to be told."""
        with self._lock:
            if self._state in (InternalState.INACTIVE, InternalState.PAUSED) or self.is_invalid:
                return False
            is_news = self._known_failure.is_news(Status.AUTH_ERROR) and self._state is not InternalState.DYING
            self._note(error)
            later = self._fail_waits(error)
        _call_all(later)
        return is_news

    def not_renewed(self, error: SyncError, *, is_unreachable: bool) -> None:
        """The access token could not be renewed now (§6.3); ``is_unreachable``: not even the server's location could be
        asked for, which is told once."""
        with self._lock:
            is_live = self._state in _WITH_PROTOCOL
            later = self._fail_waits(error) if is_live and self._waits_end_with_non_fatal_errors else []
            is_active = self._state is InternalState.ACTIVE
            is_news = is_unreachable and is_active and self._known_failure.is_news(Status.CONNECT_FAILED)
            if is_news:
                self._note(error)
        _call_all(later)
        if is_news:
            self.manager.report(error, self)


def _call_all(later: Later) -> None:
    for call in later:
        call()
