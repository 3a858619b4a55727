"""An asyncio event loop on virtual time, in which nothing happens by itself.

The object server's own coroutines (connections, hubs) run on it. What they hand to worker threads waits in
:attr:`VirtualLoop.jobs` until the simulator has it done, in any order; timers wait for :meth:`VirtualLoop.advance`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

__all__ = ["Job", "VirtualLoop"]

#: Callbacks run in one go; more are an endless loop.
_MOST_CALLBACKS: Final = 100_000
#: Rounds of cancelling after which whoever is still there is left alone.
_ROUNDS: Final = 10


class Job(NamedTuple):
    """A call for a worker thread, and where its outcome goes."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any]


class VirtualLoop(asyncio.BaseEventLoop):
    """The standard loop without its waiting: no sockets, no threads. Everything happens inside :meth:`run_ready`."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, now_ms: int) -> None:
        super().__init__()
        self.now_ms = now_ms
        self.jobs: list[Job] = []
        #: what nobody handled: each is a defect
        self.failures: list[str] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.set_exception_handler(self._note_failure)
        self.set_task_factory(self._new_task)

    # --- what the simulator calls -----------------------------------------------------------------------------------

    def run_ready(self) -> None:
        """Run until everybody waits."""
        asyncio._set_running_loop(self)
        try:
            for _ in range(_MOST_CALLBACKS):
                if not self._ready:
                    return
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            asyncio._set_running_loop(None)
        raise RuntimeError("the server does not come to rest")

    def do_job(self, number: int) -> None:
        """Carry out one of the jobs that wait, as a worker thread would, and tell who asked for it."""
        job = self.jobs.pop(number)
        if job.future.done():
            return
        try:
            result = job.function(*job.arguments)
        except Exception as error:  # noqa: BLE001 - a worker thread hands it on, whatever it is
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def advance(self, now_ms: int) -> None:
        """Let time pass until ``now_ms``; what is due then runs with the next :meth:`run_ready`."""
        self.now_ms = now_ms
        while self._scheduled and self._scheduled[0].when() <= self.time():
            self._ready.append(heapq.heappop(self._scheduled))

    def stop_everything(self) -> None:
        """The process dies: end every task, drop every job and timer."""
        for _ in range(_ROUNDS):
            for job in self.jobs:
                job.future.cancel()
            self.jobs.clear()
            for task in list(self._tasks):
                task.cancel()
            self.run_ready()
            if not self._tasks:
                break
        self.close()

    # --- what the loop is asked for ---------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds."""
        return self.now_ms / 1000

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Keep the call until :meth:`do_job`."""
        future = self.create_future()
        self.jobs.append(Job(func, args, future))
        return future

    def _new_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=loop, name="simulated", **options)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _note_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")
