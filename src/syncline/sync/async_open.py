"""Download: what an async open asks of sync, until its Realm is handed over (spec/sessions.md §16).

It is a part of the session of the file as an open Realm is, and waits for one complete download. Progress callbacks may
come before there is a session; they go to it when there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TextIO

from syncline.errors import OperationCancelledError
from syncline.progress_bar import ProgressBar
from syncline.realm.tokens import NotificationToken
from syncline.sync.delivery import Courier, courier, guarded
from syncline.sync.progress import ProgressRegistration
from syncline.sync.session import progress_callback
from syncline.sync.states import ProgressDirection, ProgressMode, SyncProgress
from syncline.sync.waits import Wait, WaitKind

if TYPE_CHECKING:
    from syncline.storage.file import FileLease
    from syncline.sync.configuration import SyncConfiguration
    from syncline.sync.session_core import SessionCore

__all__ = ["Download"]

_COMPLETION_DELAY_SECONDS: Final = 1.0
"""The end waits this long at most for the last progress report."""


class Download:
    """One async open's part in a session; see :class:`~syncline.realm.backend.SyncDownload`."""

    def __init__(self, configuration: SyncConfiguration) -> None:
        self._configuration = configuration
        self._manager = configuration.user.manager
        self._lock = threading.Lock()
        self._core: SessionCore | None = None
        self._wait: Wait | None = None
        self._watchers: list[_Watcher] = []
        self._is_over = False
        self._done: Callable[[Exception | None], object] = _ignore

    def attach(self, lease: FileLease, realm: Any) -> None:
        """Take part in the session of the file; see :class:`~syncline.realm.backend.SyncDownload`."""
        registry = self._manager.registry
        core = registry.attach(self._configuration, lease.file.path, lease, is_realm=False)
        if core.realm_configuration is None:
            core.realm_configuration = realm
        with self._lock:
            is_over, watchers = self._is_over, list(self._watchers)
            if not is_over:
                self._core = core
        if is_over:
            registry.abandon(core.path)
            raise OperationCancelledError("the open was given up")
        for watcher in watchers:
            watcher.watch(core)

    def start(self, done: Callable[[Exception | None], object]) -> None:
        """Call ``done(error)`` at the end of the download, after the last progress report."""
        with self._lock:
            core = self._core
            self._done = done
            self._wait = wait = Wait(WaitKind.DOWNLOAD, self._ended)
        if core is not None:
            core.add_wait(wait)

    def _ended(self, error: Exception | None) -> None:
        """The wait is over, on the thread of whoever ended it."""
        if error is not None:
            self._stop_watching()
            self._done(error)
            return
        with self._lock:
            core, watchers = self._core, list(self._watchers)
        if core is None:
            return
        done = _Once(partial(self._done, None))
        told = [watcher.complete(core) for watcher in watchers]
        if any(told):
            self._manager.progress_thread.submit(done)
            self._manager.client.post(self._manager.client.loop.call_later, _COMPLETION_DELAY_SECONDS, done)
        else:
            done()

    # --- progress -----------------------------------------------------------------------------------------------------

    def add_progress_notification(
        self,
        callback: Callable[..., Any],
        executor: Executor | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> NotificationToken:
        """Report what is downloaded; see :meth:`AsyncOpenTask.add_progress_notification`."""
        where = "progress of an async open"
        deliver = courier(self._manager.progress_thread, callback, executor, loop, where)
        watcher = _Watcher(progress_callback(callback), deliver)
        with self._lock:
            core, is_over = self._core, self._is_over
            self._watchers.append(watcher)
        if is_over:
            watcher.stop()
        elif core is not None:
            watcher.watch(core)
        return _WatcherToken(watcher)

    @contextlib.contextmanager
    def progress_bar(self, title: str | None, library: str | None, file: TextIO | None) -> Iterator[ProgressBar]:
        """A bar on the screen; see :meth:`AsyncOpenTask.progress_bar`."""
        name = self._configuration.realm_url or self._configuration.partition_name
        with ProgressBar.open(title or f"download of {os.path.basename(name)}", library=library, file=file) as bar:
            bar.begin_at(0)
            with self.add_progress_notification(bar.update):
                yield bar

    def _stop_watching(self) -> None:
        with self._lock:
            watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.stop()

    # --- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """No part in the session any more, as when a Realm is closed."""
        core = self._leave()
        if core is not None:
            self._manager.registry.release(core.path, is_realm=False)

    def cancel(self) -> None:
        """No part in the session any more; it stops if nobody else has one."""
        core = self._leave()
        if core is not None:
            self._manager.registry.abandon(core.path)

    def forget(self) -> None:
        """The open was garbage-collected; takes no lock."""
        self._is_over = True
        core, self._core = self._core, None
        if core is not None:
            self._manager.registry.forget(core.path, is_realm=False)

    def _leave(self) -> SessionCore | None:
        with self._lock:
            self._is_over = True
            core, self._core = self._core, None
            wait, self._wait = self._wait, None
        if core is not None and wait is not None:
            core.forget_wait(wait)
        self._stop_watching()
        return core


class _Watcher:
    """One progress callback; what it was told last decides whether the end has to be told."""

    def __init__(self, callback: Callable[[SyncProgress], Any], deliver: Courier) -> None:
        self._callback = callback
        self._deliver = deliver
        self._lock = threading.Lock()
        self._last: SyncProgress | None = None
        self._core: SessionCore | None = None
        self._number = 0
        self._registration: ProgressRegistration | None = None
        self.is_over = False

    def watch(self, core: SessionCore) -> None:
        """There is a session now."""
        number, registration = core.progress.register(
            ProgressDirection.DOWNLOAD, ProgressMode.REPORT_INDEFINITELY, self._tell, self._deliver, 0
        )
        with self._lock:
            if not self.is_over:
                self._core, self._number, self._registration = core, number, registration
                return
        core.progress.unregister(number, registration)

    def _tell(self, progress: SyncProgress) -> Any:
        self._last = progress
        return self._callback(progress)

    def complete(self, core: SessionCore) -> bool:
        """All is here: the last report must say so. Whether one is on its way."""
        with self._lock:
            if self.is_over:
                return False
        self.stop()
        if self._last is not None and self._last.is_complete:
            return False
        downloaded = core.history.status().counters.downloaded
        report = SyncProgress(downloaded, downloaded, 1.0)
        self._deliver(lambda: guarded(lambda: self._callback(report), "progress of an async open"))
        return True

    def stop(self) -> None:
        """No call starts any more."""
        with self._lock:
            self.is_over = True
            core, self._core = self._core, None
        if core is not None:
            core.progress.unregister(self._number, self._registration)


class _WatcherToken(NotificationToken):
    """Valid until invalidated, or until the open has its outcome."""

    def __init__(self, watcher: _Watcher) -> None:
        super().__init__(watcher.stop)
        self._watcher = watcher

    @property
    def is_valid(self) -> bool:
        """Whether the callback can still be called."""
        return self._valid and not self._watcher.is_over

    def __del__(self) -> None:
        if getattr(self, "_valid", False) and not self.is_valid:
            self._valid = False  # it has expired: nothing is lost with it
        super().__del__()


class _Once:
    """A call that is made at most once, by whoever comes first."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._calls = [call]

    def __call__(self) -> None:
        try:
            call = self._calls.pop()
        except IndexError:
            return
        call()


def _ignore(error: Exception | None) -> None:
    """Nobody waits yet."""
