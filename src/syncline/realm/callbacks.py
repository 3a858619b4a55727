"""Where callbacks run: serial daemon threads, an executor or an event loop (spec/sessions.md §18).

Two threads exist per manager: ``syncline-notify`` (observers, waits, errors) and ``syncline-progress``. Each is a FIFO,
so what was enqueued in order arrives in order; a slow callback delays others of its thread, never the sync client. No
lock of ours is held while user code runs. An exception in a callback is logged and handed to
:func:`threading.excepthook`; it never reaches another callback.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

__all__ = ["Courier", "SerialThread", "Workers", "call_on", "courier", "courier_to", "guarded"]

logger = logging.getLogger("syncline.sync")

Courier = Callable[[Callable[[], object]], None]
"""Takes a thunk and has it run, some time later, where its registrar wanted it."""


class SerialThread:
    """A daemon thread that runs what it is given, one after the other; started by the first :meth:`submit`.

    It ends by itself after ``idle_seconds`` without work and is started again when needed, so that an idle program has
    no threads of ours. :meth:`drain` waits until everything submitted before it has run.
    """

    def __init__(self, name: str, *, idle_seconds: float = 30.0) -> None:
        self.name = name
        self._idle_seconds = idle_seconds
        self._queue: deque[Callable[[], object]] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, thunk: Callable[[], object]) -> None:
        """Run ``thunk`` after everything submitted before. Never blocks."""
        with self._wake:
            self._queue.append(thunk)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                self._thread.start()
            else:
                self._wake.notify()

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until all that was submitted so far has run. False on time-out, or when called from this thread."""
        if self.is_current():
            return False
        done = threading.Event()
        self.submit(done.set)
        return done.wait(timeout)

    def is_current(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._queue and not self._wake.wait_for(lambda: bool(self._queue), self._idle_seconds):
                    self._thread = None
                    return
                thunk = self._queue.popleft()
            guarded(thunk, self.name)
            del thunk  # or it lives until the next one


class Workers:
    """A few daemon threads for what takes long, started when needed.

    Unlike those of :mod:`concurrent.futures` they do not keep the interpreter from ending; what they were doing to a
    file then is rolled back by the next opener.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._idle = 0

    def submit(self, job: Callable[[], object]) -> None:
        """Have ``job`` run; it must not raise."""
        with self._lock:
            self._jobs.put(job)
            self._idle -= 1
            if self._idle < 0 and self._started < self._count:
                self._started += 1
                self._idle += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()

    def close(self) -> None:
        """The threads end after what was submitted before."""
        with self._lock:
            for _ in range(self._started):
                self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # or it lives until the next one
            with self._lock:
                self._idle += 1


def guarded(thunk: Callable[[], Any], where: str) -> Any:
    """Run user code and return what it returns; an exception is logged with ``where``, given to
    :func:`threading.excepthook`, and goes no further."""
    try:
        return thunk()
    except Exception:  # user code may raise anything; others must not suffer from it
        logger.exception("a callback failed (%s)", where)
        kind, value, trace = sys.exc_info()
        assert kind is not None
        threading.excepthook(threading.ExceptHookArgs((kind, value, trace, threading.current_thread())))
        return None


def courier(
    default: SerialThread,
    callback: Callable[..., Any],
    executor: Executor | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
    where: str = "event loop",
) -> Courier:
    """The way to ``callback``: ``loop`` or ``executor`` if given, else ``default`` (spec/sessions.md §18.3, §19.2).

    A coroutine function runs on ``loop``, or on the loop that is running at registration; without one it is refused
    with :class:`TypeError`. ``where`` goes into the log when a coroutine fails.
    """
    if executor is not None and loop is not None:
        raise TypeError("give an executor or a loop, not both")
    if loop is None and inspect.iscoroutinefunction(callback):
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise TypeError("a coroutine callback needs loop=, or must be registered inside a running loop") from error
    return courier_to(executor, loop, where) or default.submit


def courier_to(executor: Executor | None, loop: asyncio.AbstractEventLoop | None, where: str) -> Courier | None:
    """The way to ``loop`` or else to ``executor``; None without either."""
    if loop is not None:
        return _LoopCourier(loop, where)
    return None if executor is None else _ExecutorCourier(executor)


def call_on(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: object) -> None:
    """Run ``call(*args)`` on somebody's loop; if that was closed, nobody is there to be told."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        logger.warning("a callback was dropped: its event loop is closed")


class _LoopCourier:
    """Runs thunks on an event loop; a coroutine that a callback returned becomes a task."""

    def __init__(self, loop: asyncio.AbstractEventLoop, where: str) -> None:
        self._loop = loop
        self._where = where
        self._tasks: set[asyncio.Task[Any]] = set()

    def __call__(self, thunk: Callable[[], Any]) -> None:
        call_on(self._loop, self._run, thunk)

    def _run(self, thunk: Callable[[], Any]) -> None:
        guarded(lambda: self._schedule(thunk()), self._where)

    def _schedule(self, result: Any) -> None:
        if inspect.iscoroutine(result):
            task = self._loop.create_task(result)
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a callback failed (%s)", self._where, exc_info=error)
            self._loop.call_exception_handler({"message": "a Syncline callback failed", "exception": error})


class _ExecutorCourier:
    """Runs thunks in the application's executor, which decides about their order."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def __call__(self, thunk: Callable[[], Any]) -> None:
        try:
            self._executor.submit(guarded, thunk, "executor")
        except RuntimeError:  # the executor was shut down
            logger.warning("a callback was dropped: its executor was shut down")
