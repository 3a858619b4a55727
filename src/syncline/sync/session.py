"""SyncSession: what the application holds of a session (spec/sessions.md §19.1, §19.2).

A handle refers to its session weakly: keeping it keeps nothing alive or active, and once the session is gone the handle
is INVALID for ever. Handles of one session are equal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Final, TextIO

from syncline.errors import ClosedRealmError, InvalidSessionError
from syncline.progress_bar import ProgressBar
from syncline.realm.tokens import NotificationToken
from syncline.storage.sync_state import SyncCounters
from syncline.sync.delivery import Courier, call_on, courier, guarded
from syncline.sync.diagnostics import SessionDiagnostics, lost_session, session_diagnostics
from syncline.sync.file_actions import ErrorActionToken
from syncline.sync.progress import ProgressNotifier, ProgressRegistration
from syncline.sync.states import (
    ConnectionState,
    ProgressDirection,
    ProgressMode,
    SyncProgress,
    SyncSessionState,
    Trigger,
)
from syncline.sync.waits import Wait, WaitKind, at_once

if TYPE_CHECKING:
    from syncline.errors import SyncError
    from syncline.sync.configuration import SyncConfiguration
    from syncline.sync.session_core import SessionCore
    from syncline.sync.user import SyncUser

__all__ = ["ProgressNotificationToken", "SyncSession", "session_for_realm"]

_MAKER: Final = object()


class ProgressNotificationToken(NotificationToken):
    """Keeps a progress callback; valid until invalidated, or until the registration has heard all there is to hear."""

    def __init__(self, notifier: ProgressNotifier, number: int, registration: ProgressRegistration) -> None:
        super().__init__(lambda: notifier.unregister(number, registration))
        self._notifier = notifier
        self._number = number

    @property
    def is_valid(self) -> bool:
        """Whether the callback can still be called."""
        return self._valid and self._notifier.is_registered(self._number)

    def __del__(self) -> None:
        if getattr(self, "_valid", False) and not self.is_valid:
            self._valid = False  # it has expired: nothing is lost with it
        super().__del__()


class SyncSession:
    """The session of one local file with the Realm on the server. Handed out by :attr:`Realm.sync_session` and by the
    look-ups of users and managers; never constructed. Every method may be called on any thread."""

    def __init__(self, maker: object, core: SessionCore) -> None:
        if maker is not _MAKER:
            raise TypeError("a SyncSession is made by opening a synced Realm; use realm.sync_session")
        self._core_ref = weakref.ref(core)
        self._number = core.number
        self._path = core.path
        self._manager = core.manager

    # --- look-ups -----------------------------------------------------------------------------------------------------

    @staticmethod
    def for_realm(realm: Any) -> SyncSession | None:
        """The session of an open Realm, None if it is a local one. Raises ClosedRealmError and WrongThreadError."""
        session = realm.sync_session
        return session if isinstance(session, SyncSession) else None

    @staticmethod
    def immediately_handle_error(token: ErrorActionToken) -> bool:
        """Do the file action of an error now instead of at the next start; whether it was done.

        See spec/sessions.md §11.3. A token is good for one use. Raises RealmInUseError, without using the token, while
        a Realm of the file is open, and InvalidSessionError once the token's manager is closed.
        """
        if not isinstance(token, ErrorActionToken):
            raise TypeError(f"an ErrorActionToken is wanted, from error.action_token, not {type(token).__name__}")
        return token.spend()

    # --- facts --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> SyncSessionState:
        """Active, inactive, or invalid; a snapshot, not observable."""
        core = self._core_ref()
        return SyncSessionState.INVALID if core is None else core.state

    @property
    def connection_state(self) -> ConnectionState:
        """Whether this session is connected to the server; observable by :meth:`observe_connection_state`."""
        core = self._core()
        return ConnectionState.DISCONNECTED if core is None else core.connection_state

    @property
    def path(self) -> str:
        """The local file, also once the session is invalid."""
        return self._path

    @property
    def realm_url(self) -> str | None:
        """Where on the server the Realm is, ``~`` resolved; None once invalid."""
        core = self._core()
        return None if core is None else core.configuration.resolved_url

    def parent_user(self) -> SyncUser | None:
        """The user who owns the session; None once invalid."""
        core = self._core()
        return None if core is None else core.configuration.user

    @property
    def user(self) -> SyncUser | None:
        """The same as :meth:`parent_user`."""
        return self.parent_user()

    def configuration(self) -> SyncConfiguration | None:
        """A configuration that opens the same Realm at the same path; None once invalid."""
        core = self._core()
        return None if core is None else core.configuration.at(core.path)

    @property
    def last_error(self) -> SyncError | None:
        """The latest error of the session, reported or not; None if there was none or the session is gone."""
        core = self._core_ref()
        return None if core is None else core.last_error

    def diagnostics(self) -> SessionDiagnostics:
        """Everything there is to see of the session, now: states, connection, cursors, what is pending, errors.

        Looks into the file, but makes nobody wait. Of a session that is gone only its path is known.
        """
        core = self._core_ref()
        return lost_session(self._path) if core is None else session_diagnostics(core)

    # --- stop and go --------------------------------------------------------------------------------------------------

    def suspend(self) -> None:
        """Stop syncing and disconnect; local reads and writes go on.

        Lasts until :meth:`resume`, or until all Realms of the file are closed and one is opened again
        (spec/sessions.md §5.1). Does nothing if suspended or invalid.
        """
        self._trigger(Trigger.SUSPEND)

    def resume(self) -> None:
        """Sync again. Does nothing if active or invalid; while the user is logged out, the login starts the session."""
        self._trigger(Trigger.RESUME)

    pause = suspend
    unpause = resume

    @contextlib.contextmanager
    def suspended(self) -> Iterator[SyncSession]:
        """Suspend for the length of a ``with`` block."""
        self.suspend()
        try:
            yield self
        finally:
            self.resume()

    def reconnect(self) -> None:
        """Skip the reconnect delay; if connected, check the connection. Effective only while active; asynchronous."""
        core = self._core()
        if core is not None:
            core.reconnect()

    def shutdown_and_wait(self, timeout: float | None = None) -> bool:
        """Stop now, without finishing uploads, and wait until nothing of the session touches its file (spec/sessions.md
        §3.6); False if that takes longer than ``timeout`` seconds.

        Waits are aborted, like those of a session that becomes inactive; what is not uploaded stays in the file. If no
        Realm of the file is open the session is over then, and the file may be deleted. Else it is inactive until
        :meth:`resume`, or until the file is opened once more. In callbacks that a client reset waits for it does not
        wait, and answers False. Nothing happens to a session that is over.
        """
        self._manager.check_process()
        core = self._core_ref()
        if core is None:
            return True
        core.trigger(Trigger.SHUT_DOWN)
        return core.wait_until_idle(timeout)

    # --- connection state ---------------------------------------------------------------------------------------------

    def observe_connection_state(
        self,
        callback: Callable[[ConnectionState, ConnectionState], Any],
        *,
        executor: Executor | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> NotificationToken:
        """Call ``callback(old, new)`` at each change from now on, on the notifier thread or where asked.

        No initial call. Survives suspension, logout and reconnects; ends with the token or the session. Raises
        InvalidSessionError.
        """
        core = self._valid_core()
        deliver = _notify_courier(core, callback, executor, loop)
        number = core.observe(callback, deliver)
        ref = self._core_ref

        def stop() -> None:
            if (live := ref()) is not None:
                live.stop_observing(number)

        return NotificationToken(stop)

    async def connection_states(self) -> AsyncIterator[tuple[ConnectionState, ConnectionState]]:
        """``async for old, new in session.connection_states()``: every change while the loop runs.

        Ends when the session becomes invalid. Raises InvalidSessionError if it is.
        """
        core = self._valid_core()
        queue: asyncio.Queue[tuple[ConnectionState, ConnectionState] | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        with (
            self.observe_connection_state(lambda old, new: queue.put_nowait((old, new)), loop=loop),
            _told_of_the_end(core, loop, lambda: queue.put_nowait(None)),
        ):
            while (change := await queue.get()) is not None:
                yield change

    async def wait_for_connection_state(self, state: ConnectionState, timeout: float | None = None) -> None:
        """Wait until the connection is in ``state``.

        Raises TimeoutError after ``timeout`` seconds, and InvalidSessionError if the session has ended or ends before.
        """
        core = self._valid_core()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[bool] = loop.create_future()

        def settle(is_reached: bool) -> None:
            if not outcome.done():
                outcome.set_result(is_reached)

        def changed(old: ConnectionState, new: ConnectionState) -> None:
            if new is state:
                settle(True)

        with (
            self.observe_connection_state(changed, loop=loop),
            _told_of_the_end(core, loop, lambda: settle(False)),
        ):
            if self.connection_state is state:
                return
            async with asyncio.timeout(timeout):
                if not await outcome:
                    raise InvalidSessionError(f"the session of {self._path} ended before it was {state.name.lower()}")

    # --- progress -----------------------------------------------------------------------------------------------------

    def add_progress_notification(
        self,
        direction: ProgressDirection,
        mode: ProgressMode,
        callback: Callable[..., Any],
        *,
        executor: Executor | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> ProgressNotificationToken | None:
        """Call ``callback(transferred_bytes, transferrable_bytes)`` as data travel (spec/sessions.md §9).

        With known numbers the first call is on its way before this returns; otherwise it comes with the first ones. A
        callback with an attribute ``with_estimate`` that is true gets one :class:`SyncProgress` instead. Runs on the
        progress thread or where asked. Keep the token: dropping it ends the calls.

        None means that no call will follow, except one that may be on its way: the outstanding work is done already, or
        the session is invalid.
        """
        core = self._core()
        if core is None:
            return None
        where = f"progress of {self._path}"
        deliver = courier(core.manager.progress_thread, callback, executor, loop, where)
        try:
            number, registration = self._register_progress(core, direction, mode, progress_callback(callback), deliver)
        except ClosedRealmError:  # the session has just ended
            return None
        return ProgressNotificationToken(core.progress, number, registration) if number else None

    @contextlib.contextmanager
    def progress_notification(
        self,
        direction: ProgressDirection,
        mode: ProgressMode,
        callback: Callable[..., Any],
        *,
        executor: Executor | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> Iterator[ProgressNotificationToken | None]:
        """:meth:`add_progress_notification` for the length of a ``with`` block; yields the token or None."""
        token = self.add_progress_notification(direction, mode, callback, executor=executor, loop=loop)
        try:
            yield token
        finally:
            if token is not None:
                token.invalidate()

    @contextlib.contextmanager
    def progress_bar(
        self,
        direction: ProgressDirection,
        mode: ProgressMode = ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK,
        *,
        title: str | None = None,
        library: str | None = None,
        file: TextIO | None = None,
    ) -> Iterator[ProgressBar]:
        """A progress bar on the screen for the length of a ``with`` block, drawn by ``rich`` or ``tqdm``::

            with session.progress_bar(ProgressDirection.DOWNLOAD):
                session.wait_for_download()

        It begins at 0 when the block does, and shows 100 % only when nothing of its total is left; while the session
        is not connected it says so. Of a session that has ended nothing is drawn but the title. ``title``: the
        direction and the name of the file by default. ``library``: ``"rich"`` or ``"tqdm"``; by default the first that
        is installed, and plain lines if ``file`` (standard error) is no terminal. Raises ImportError if neither is
        installed.
        """
        what = title or f"{ProgressDirection(direction).name.lower()} of {os.path.basename(self._path)}"
        with ProgressBar.open(what, library=library, file=file) as bar:
            bar.begin_at(self._transferred(direction))
            with self._noting_connection(bar), self.progress_notification(direction, mode, bar.update):
                yield bar

    def _transferred(self, direction: ProgressDirection) -> int:
        core = self._core()
        try:
            counters = SyncCounters() if core is None else core.history.status().counters
        except ClosedRealmError:  # the session has just ended
            return 0
        return counters.uploaded if direction is ProgressDirection.UPLOAD else counters.downloaded

    @contextlib.contextmanager
    def _noting_connection(self, bar: ProgressBar) -> Iterator[None]:
        lock = threading.Lock()

        def note(*_: ConnectionState) -> None:
            with lock:  # whoever comes last tells the newest state
                state = self.connection_state
                bar.note("" if state is ConnectionState.CONNECTED else state.name.lower())

        try:
            token = self.observe_connection_state(note)
        except InvalidSessionError:
            yield
            return
        with token:
            note()
            yield

    async def progress(self, direction: ProgressDirection, mode: ProgressMode) -> AsyncIterator[SyncProgress]:
        """``async for p in session.progress(direction, mode)``: the reports while the loop runs.

        Ends when the outstanding work is done (in that mode) or the session becomes invalid; leaving the loop ends the
        registration. A loop that is late gets the newest report only, if it watches indefinitely.
        """
        core = self._core()
        if core is None:
            return
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        ended = asyncio.Event()
        try:
            number, registration = self._register_progress(
                core, direction, mode, lambda _: None, lambda _: call_on(loop, news.set)
            )
        except ClosedRealmError:  # the session has just ended
            return

        def end() -> None:
            ended.set()
            news.set()

        end_number = core.at_end(lambda: call_on(loop, end))
        try:
            is_over = False
            while not is_over:
                news.clear()
                is_over = ended.is_set() or not core.progress.is_registered(number)  # before taking: nothing is missed
                while (report := registration.take()) is not None:
                    yield report
                if not is_over:
                    await news.wait()
        finally:
            core.progress.unregister(number, registration)
            core.forget_end(end_number)

    @staticmethod
    def _register_progress(
        core: SessionCore,
        direction: ProgressDirection,
        mode: ProgressMode,
        callback: Callable[[SyncProgress], Any],
        deliver: Courier,
    ) -> tuple[int, ProgressRegistration]:
        return core.progress.register(
            ProgressDirection(direction), ProgressMode(mode), callback, deliver, core.file.version
        )

    # --- waits --------------------------------------------------------------------------------------------------------

    def wait_for_upload(self, timeout: float | None = None) -> None:
        """Block until the server has acknowledged every commit made so far.

        Also while offline or suspended: then it ends once there was a connection. Raises TimeoutError after ``timeout``
        seconds, the session's error if it fails, OperationAbortedError if it becomes inactive, InvalidSessionError.
        """
        self._wait(WaitKind.UPLOAD, timeout)

    def wait_for_download(self, timeout: float | None = None) -> None:
        """Block until everything that the server had when it was asked is here; raises like :meth:`wait_for_upload`."""
        self._wait(WaitKind.DOWNLOAD, timeout)

    async def wait_for_upload_async(self) -> None:
        """:meth:`wait_for_upload` for event loops; cancelling forgets the wait."""
        await self._wait_async(WaitKind.UPLOAD)

    async def wait_for_download_async(self) -> None:
        """:meth:`wait_for_download` for event loops; cancelling forgets the wait."""
        await self._wait_async(WaitKind.DOWNLOAD)

    def on_upload_complete(
        self,
        callback: Callable[[Exception | None], Any],
        *,
        executor: Executor | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Call ``callback(error)`` once, with None for success, when :meth:`wait_for_upload` would return."""
        self._call_when(WaitKind.UPLOAD, callback, executor, loop)

    def on_download_complete(
        self,
        callback: Callable[[Exception | None], Any],
        *,
        executor: Executor | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Call ``callback(error)`` once, with None for success, when :meth:`wait_for_download` would return."""
        self._call_when(WaitKind.DOWNLOAD, callback, executor, loop)

    def _wait(self, kind: WaitKind, timeout: float | None) -> None:
        core = self._valid_core()
        core.check_may_wait()
        ended = threading.Event()
        outcome: list[Exception | None] = []

        def end(error: Exception | None) -> None:
            outcome.append(error)
            ended.set()

        wait = Wait(kind, end)
        core.add_wait(wait)
        if not ended.wait(timeout):
            core.forget_wait(wait)
            raise TimeoutError(f"the {kind.value} of {self._path} was not complete within {timeout:g} s")
        if outcome[0] is not None:
            raise outcome[0]

    async def _wait_async(self, kind: WaitKind) -> None:
        core = self._valid_core()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def end(error: Exception | None) -> None:
            if not future.done():
                future.set_result(None) if error is None else future.set_exception(error)

        wait = Wait(kind, lambda error: call_on(loop, end, error))
        core.add_wait(wait)
        try:
            await future
        finally:
            core.forget_wait(wait)

    def _call_when(
        self,
        kind: WaitKind,
        callback: Callable[[Exception | None], Any],
        executor: Executor | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        core = self._valid_core()
        core.add_wait(Wait(kind, callback, courier(core.manager.notify_thread, callback, executor, loop)))

    # --- handles ------------------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SyncSession) and self._number == other._number

    def __hash__(self) -> int:
        return hash(self._number)

    def __repr__(self) -> str:
        return f"<SyncSession {self._path}, {self.state.name.lower()}, {self.connection_state.name.lower()}>"

    def _core(self) -> SessionCore | None:
        """The session, if it has not ended."""
        self._manager.check_process()
        core = self._core_ref()
        return None if core is None or core.is_invalid else core

    def _valid_core(self) -> SessionCore:
        core = self._core()
        if core is None:
            raise InvalidSessionError(f"the session of {self._path} has ended; open the Realm again for a new one")
        return core

    def _trigger(self, trigger: Trigger) -> None:
        core = self._core()
        if core is not None:
            core.trigger(trigger)
            if trigger is Trigger.RESUME:
                self._manager.registry.close_unreferenced(core)


def session_for_realm(realm: Any) -> SyncSession | None:
    """The same as :meth:`SyncSession.for_realm`."""
    return SyncSession.for_realm(realm)


def make_session(core: SessionCore) -> SyncSession:
    """A handle of a session."""
    return SyncSession(_MAKER, core)


def progress_callback(callback: Callable[..., Any]) -> Callable[[SyncProgress], Any]:
    """What is called with a report, from what the application gave."""
    if getattr(callback, "with_estimate", False):
        return callback
    return lambda report: callback(report.transferred_bytes, report.transferrable_bytes)


@contextlib.contextmanager
def _told_of_the_end(core: SessionCore, loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> Iterator[None]:
    """``call()`` on the loop if the session ends meanwhile, after the last change of its connection was told."""
    number = core.at_end(lambda: core.manager.notify_thread.submit(lambda: call_on(loop, call)))
    try:
        yield
    finally:
        core.forget_end(number)


def _notify_courier(
    core: SessionCore,
    callback: Callable[..., Any],
    executor: Executor | None,
    loop: asyncio.AbstractEventLoop | None,
) -> Courier:
    """Observers are called from the notifier thread already: without other wishes they run where they are."""
    chosen = courier(core.manager.notify_thread, callback, executor, loop)
    return _guarded_at_once if chosen == core.manager.notify_thread.submit else chosen


def _guarded_at_once(thunk: Callable[[], Any]) -> None:
    at_once(lambda: guarded(thunk, "syncline-notify"))
