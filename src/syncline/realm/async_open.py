"""AsyncOpenTask: a Realm that is opened once everything the server has is here (spec/sessions.md §16, sdk.md §3.2).

::

    Realm.open_async   caller's thread    nothing but this object
    _prepare           a worker           open or make the file, no schema; take part in its session; wait
    _downloaded        sync's threads     the server's state is complete, or never will be
    _complete          a worker           write what the file lacks of the schema
    _hand_over         loop or executor   open the Realm, end the part in the session, tell

Only the first outcome counts: a Realm, an error, a cancellation or the end of the time. What was downloaded stays.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO

from syncline.errors import OperationAbortedError, OperationCancelledError
from syncline.realm.backend import SyncDownload, sync_backend
from syncline.realm.callbacks import Workers, call_on, courier_to, guarded
from syncline.realm.configuration import RealmConfiguration
from syncline.realm.migration import MakeRealm
from syncline.realm.opening import Admission, admit, open_file
from syncline.realm.schema_update import fit, models_by_name
from syncline.realm.tokens import NotificationToken
from syncline.storage.file import FileLease

if TYPE_CHECKING:
    from syncline.realm.realm import Realm

__all__ = ["AsyncOpenTask"]

_WORKERS: Final = 4

_workers = Workers("syncline-open", _WORKERS)


class AsyncOpenTask:
    """An open that is under way: ``realm = await task``, or ``async with task as realm:``, which closes it at the end.

    Made by :meth:`Realm.open_async`, running from then on, kept or not. Cancelling whoever awaits it cancels it, so
    :func:`asyncio.timeout` works as usual. Its methods may be called on any thread.
    """

    def __init__(
        self,
        configuration: RealmConfiguration,
        open_realm: Callable[[RealmConfiguration], Realm],
        make_realm: MakeRealm,
        *,
        timeout: float | None = None,
        on_complete: Callable[[Realm | None, Exception | None], Any] | None = None,
        executor: Executor | None = None,
    ) -> None:
        """For :meth:`Realm.open_async`. Raises TypeError if there is nobody to give the Realm to."""
        loop = _running_loop() if executor is None else None
        if on_complete is None and loop is None:
            raise TypeError("nobody would get the Realm: call open_async in an event loop, or give it on_complete=")
        if loop is None and inspect.iscoroutinefunction(on_complete):
            raise TypeError("a coroutine function as on_complete needs an event loop")
        self._configuration = configuration
        self._open_realm = open_realm
        self._make_realm = make_realm
        self._timeout = timeout
        self._on_complete = on_complete
        self._loop = loop
        self._deliver = courier_to(executor, loop, "an async open") or _on_a_thread
        self._lock = threading.Lock()
        self._is_over = False
        self._is_cancelled = False
        self._name = "a Realm"
        self._end_calls: list[Callable[[], object]] = []
        self._lease: FileLease | None = None
        self._admission: Admission | None = None
        self._future: asyncio.Future[Realm] | None = None
        self._download: SyncDownload | None = None
        if configuration.sync is not None:
            self._download = sync_backend().download(configuration.sync)
        if loop is not None:
            self._future = loop.create_future()
            self._future.add_done_callback(self._future_ended)
        self._timer: asyncio.TimerHandle | threading.Timer | None = None  # a short time may be up before it is known
        if timeout is not None:
            self._timer = _call_later(loop, timeout, self._time_is_up)
        _workers.submit(self._prepare)

    # --- for the application ------------------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, Realm]:
        if self._future is None:
            raise TypeError("this open gives its Realm to on_complete, on another thread; it cannot be awaited")
        return (yield from self._future.__await__())

    async def __aenter__(self) -> Realm:
        return await self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        (await self).close()

    @property
    def is_done(self) -> bool:
        """Whether there is an outcome: a Realm, an error or a cancellation."""
        return self._is_over

    def cancel(self) -> None:
        """Give up: awaiting raises CancelledError, ``on_complete`` gets OperationCancelledError.

        The session stops if nobody else needs it, neither an open Realm nor another open; what was downloaded stays in
        the file. Does nothing once there is an outcome.
        """
        self._finish(None, OperationCancelledError(f"the open of {self._name} was cancelled"), gives_up=True)

    def add_progress_notification(
        self,
        callback: Callable[..., Any],
        *,
        executor: Executor | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> NotificationToken:
        """Call ``callback(transferred_bytes, transferrable_bytes)`` as the download goes on (spec/sessions.md §16.3).

        Numbers and threads are those of :meth:`SyncSession.add_progress_notification`. Before the Realm is handed over
        there is at least one report with both numbers equal; none follows. Keep the token. A Realm that is not synced
        reports nothing.
        """
        if self._download is None:
            token = NotificationToken()
            token.invalidate()
            return token
        return self._download.add_progress_notification(callback, executor, loop)

    async def progress(self) -> AsyncIterator[Any]:
        """``async for p in task.progress()``: the reports as :class:`~syncline.SyncProgress`, until the outcome.

        A loop that is late gets the newest report only. Leaving it does not cancel the open.
        """
        loop = asyncio.get_running_loop()
        watch = _Watch()
        with self.add_progress_notification(watch, loop=loop):
            self._at_end(lambda: call_on(loop, watch.end))
            async for report in watch.reports():
                yield report

    def progress_bar(
        self, *, title: str | None = None, library: str | None = None, file: TextIO | None = None
    ) -> AbstractContextManager[Any]:
        """A progress bar on the screen for the length of a ``with`` block::

            task = Realm.open_async(config)
            with task.progress_bar():
                realm = await task

        See :meth:`SyncSession.progress_bar`. Of a Realm that is not synced nothing is drawn.
        """
        if self._download is None:
            return nullcontext()
        return self._download.progress_bar(title, library, file)

    def __repr__(self) -> str:
        state = "cancelled" if self._is_cancelled else "done" if self._is_over else "running"
        return f"<AsyncOpenTask of {self._name}, {state}>"

    # --- steps --------------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        config = self._configuration
        try:
            if config.schema is not None:
                models_by_name(config.schema, config.rules)  # what is wrong with them is wrong before the download, too
            if not config.in_memory:
                self._name = config.file_path
            lease = self._open_file()
            if lease is None:
                return
            if self._download is None:
                self._complete(None)
            else:
                self._download.attach(lease, config)
                self._download.start(self._downloaded)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
            self._finish(None, error)

    def _open_file(self) -> FileLease | None:
        """The file, open until there is an outcome; None if there is one already."""
        admission = admit(self._configuration)
        with self._lock:
            if self._is_over:
                admission.end()
                return None
            self._admission = admission
        return self._keep(FileLease(open_file(self._configuration)))

    def _keep(self, lease: FileLease) -> FileLease | None:
        with self._lock:
            if not self._is_over:
                self._lease = lease
                return lease
        lease.close()
        return None

    def _downloaded(self, error: Exception | None) -> None:
        _workers.submit(lambda: self._complete(error))

    def _complete(self, error: Exception | None) -> None:
        if error is not None:
            self._finish(None, error)
            return
        try:
            self._write_schema()
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is the outcome
            self._finish(None, failure)
            return
        self._deliver(self._hand_over)
        if self._loop is not None and self._loop.is_closed():
            self._finish(None, OperationAbortedError("the event loop that waited for the Realm was closed"))

    def _write_schema(self) -> None:
        """Here rather than at the hand-over: the event loop need not wait for the disk."""
        config = self._configuration
        with self._lock:
            lease = None if self._lease is None else self._lease.share()
        if lease is None:
            return
        try:
            if config.schema is not None:
                fit(lease.file, models_by_name(config.schema, config.rules), config, self._make_realm)
        finally:
            lease.close()

    def _hand_over(self) -> Any:
        if self._is_over:
            return None
        try:
            realm = self._open_realm(self._configuration)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
            self._finish(None, error)
            return None
        if not self._finish(realm, None):
            realm.close()
            return None
        return self._tell(realm, None)

    # --- the outcome --------------------------------------------------------------------------------------------------

    def _finish(self, realm: Realm | None, error: Exception | None, *, gives_up: bool = False) -> bool:
        """Settle the outcome, if there is none yet; an error is told where it is wanted, a Realm by the caller.

        ``gives_up``: nobody wants what is downloaded for it any more.
        """
        with self._lock:
            if self._is_over:
                return False
            self._is_over = True
            self._is_cancelled = gives_up and isinstance(error, OperationCancelledError)
            lease, self._lease = self._lease, None
            admission, self._admission = self._admission, None
            calls, self._end_calls = self._end_calls, []
        if self._download is not None:
            (self._download.cancel if gives_up else self._download.close)()
        if lease is not None:
            lease.close()
        if admission is not None:
            admission.end()
        for call in calls:
            call()
        if error is not None and not (self._loop is not None and self._loop.is_closed()):
            self._deliver(partial(self._tell, None, error))
        return True

    def _tell(self, realm: Realm | None, error: Exception | None) -> Any:
        if self._timer is not None:
            self._timer.cancel()
        future = self._future
        if future is not None and not future.done():
            if realm is not None:
                future.set_result(realm)
            elif self._is_cancelled or error is None:
                future.cancel()
            else:
                future.set_exception(error)
                if self._on_complete is not None:
                    future.exception()  # it is told: nobody has to await it
        return None if self._on_complete is None else self._on_complete(realm, error)

    def _future_ended(self, future: asyncio.Future[Realm]) -> None:
        if future.cancelled():
            self.cancel()

    def _time_is_up(self) -> None:
        message = f"{self._name} was not downloaded within {self._timeout:g} s; what has arrived is kept"
        self._finish(None, TimeoutError(message), gives_up=True)

    def __del__(self) -> None:
        """Whoever was to hand the Realm over has dropped it: a loop that ended, an executor that was shut down."""
        if getattr(self, "_is_over", True):
            return
        self._is_over = True
        if self._download is not None:
            self._download.forget()
        if self._lease is not None:
            self._lease.close()
        if self._admission is not None:
            self._admission.end()

    def _at_end(self, call: Callable[[], object]) -> None:
        with self._lock:
            if not self._is_over:
                self._end_calls.append(call)
                return
        call()


class _Watch:
    """A progress callback that keeps the newest report for a loop to take."""

    with_estimate = True

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._report: Any = None
        self._is_over = False

    def __call__(self, report: Any) -> None:
        self._report = report
        self._news.set()

    def end(self) -> None:
        self._is_over = True
        self._news.set()

    async def reports(self) -> AsyncIterator[Any]:
        while True:
            await self._news.wait()
            self._news.clear()
            report, self._report = self._report, None
            if report is not None:
                yield report
            if self._is_over and self._report is None:
                return


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _call_later(
    loop: asyncio.AbstractEventLoop | None, seconds: float, call: Callable[[], object]
) -> asyncio.TimerHandle | threading.Timer:
    if loop is not None:
        return loop.call_later(seconds, call)
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    return timer


def _on_a_thread(thunk: Callable[[], object]) -> None:
    """A thread of its own: the Realm belongs to it, and what is done with it takes as long as it takes."""
    threading.Thread(target=guarded, args=(thunk, "an async open"), name="syncline-opened", daemon=True).start()


def _forget_inherited() -> None:
    """A forked child has the parent's workers, but not their threads."""
    global _workers
    _workers = Workers("syncline-open", _WORKERS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
