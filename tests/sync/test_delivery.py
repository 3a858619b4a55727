"""Where callbacks run (spec/sessions.md §18.3)."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from syncline.sync.delivery import SerialThread, Workers, courier


def test_a_serial_thread_keeps_the_order_and_its_name() -> None:
    thread = SerialThread("test-serial")
    seen: list[int] = []
    names: set[str] = set()
    for number in range(100):
        thread.submit(lambda n=number: (seen.append(n), names.add(threading.current_thread().name)))
    assert thread.drain(5)
    assert seen == list(range(100))
    assert names == {"test-serial"}


def test_a_serial_thread_ends_when_idle_and_starts_again() -> None:
    thread = SerialThread("test-idle", idle_seconds=0.01)
    ran = threading.Event()
    thread.submit(ran.set)
    assert ran.wait(5)
    for candidate in threading.enumerate():
        if candidate.name == "test-idle":
            candidate.join(5)
    again = threading.Event()
    thread.submit(again.set)
    assert again.wait(5)


def test_drain_on_the_thread_itself_does_not_deadlock() -> None:
    thread = SerialThread("test-drain")
    results: list[bool] = []
    thread.submit(lambda: results.append(thread.drain(5)))
    assert thread.drain(5)
    assert results == [False]


def test_s10_s21_an_executor_runs_callbacks_where_it_wants() -> None:
    thread = SerialThread("test-default")
    names: list[str] = []
    done = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        deliver = courier(thread, print, executor=executor)
        deliver(lambda: (names.append(threading.current_thread().name), done.set()))
        assert done.wait(5)
    assert names[0].startswith("mine")
    deliver(lambda: names.append("never"))  # after shutdown: dropped, not raised
    assert len(names) == 1


def test_coroutine_functions_run_on_the_loop_of_their_registration() -> None:
    thread = SerialThread("test-default")
    seen: list[tuple[int, bool]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        async def callback(value: int) -> None:
            await asyncio.sleep(0)
            seen.append((value, asyncio.get_running_loop() is loop))
            done.set()

        deliver = courier(thread, callback)
        await asyncio.to_thread(deliver, lambda: callback(7))
        await asyncio.wait_for(done.wait(), 5)

    asyncio.run(main())
    assert seen == [(7, True)]


def test_a_coroutine_callback_that_fails_reaches_the_loop_s_handler() -> None:
    thread = SerialThread("test-default")
    contexts: list[dict[str, object]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        failed = asyncio.Event()
        loop.set_exception_handler(lambda _, context: (contexts.append(context), failed.set()))

        async def callback() -> None:
            raise ValueError("broken")

        courier(thread, callback)(callback)
        await asyncio.wait_for(failed.wait(), 5)

    asyncio.run(main())
    assert isinstance(contexts[0]["exception"], ValueError)


def test_a_coroutine_callback_without_loop_is_refused() -> None:
    async def callback() -> None: ...

    with pytest.raises(TypeError, match="loop="):
        courier(SerialThread("test-default"), callback)


def test_executor_and_loop_exclude_each_other() -> None:
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as executor, pytest.raises(TypeError):
        courier(SerialThread("test-default"), print, executor=executor, loop=loop)
    loop.close()


def test_a_closed_loop_drops_callbacks() -> None:
    loop = asyncio.new_event_loop()
    deliver = courier(SerialThread("test-default"), print, loop=loop)
    loop.close()
    deliver(lambda: pytest.fail("called"))


def test_workers_run_jobs_side_by_side_and_end() -> None:
    workers = Workers("test-work", 2)
    together = threading.Barrier(2, timeout=5)
    names: set[str] = set()
    done = threading.Semaphore(0)

    def job() -> None:
        together.wait()
        names.add(threading.current_thread().name)
        done.release()

    for _ in range(6):
        workers.submit(job)
    for _ in range(6):
        assert done.acquire(timeout=5)
    assert names == {"test-work-1", "test-work-2"}
    workers.close()
    for thread in threading.enumerate():
        if thread.name.startswith("test-work"):
            thread.join(5)
            assert not thread.is_alive()


def test_workers_start_only_the_threads_they_need() -> None:
    workers = Workers("test-lazy", 2)
    for _ in range(3):
        done = threading.Event()
        workers.submit(done.set)
        assert done.wait(5)
        while workers._idle == 0:
            threading.Event().wait(0.001)
    assert workers._started == 1
    workers.close()
