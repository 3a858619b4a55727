"""Progress of sessions over sockets: restarts, suspension, tokens, loops (spec/sessions.md §21.5)."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from syncline.sync.states import ConnectionState, ProgressDirection, ProgressMode, SyncProgress

UP, DOWN = ProgressDirection.UPLOAD, ProgressDirection.DOWNLOAD
STREAM, OUTSTANDING = ProgressMode.REPORT_INDEFINITELY, ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK


def test_the_numbers_go_on_after_a_restart(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    device.write(*("x" * 100 for _ in range(50)))
    device.session.wait_for_upload(5)
    before = device.core.history.status().counters.uploaded
    assert before > 5_000
    device.close()
    world.manager.close()
    world.manager = world.new_manager()
    device = world.device(world.user(server.url))
    calls: list[tuple[int, int]] = []
    with device.session.progress_notification(UP, STREAM, lambda x, t: calls.append((x, t))):
        device.write("Rex", first=100)
        device.session.wait_for_upload(5)
    assert calls[0][0] == before
    assert calls[-1][0] == calls[-1][1] > before
    assert calls == sorted(calls)


def test_both_modes_on_a_suspended_session_that_is_resumed(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    session = device.session
    session.wait_for_download(5)
    session.suspend()
    device.write(*("x" * 100 for _ in range(20)))
    streaming: list[tuple[int, int]] = []
    outstanding: list[tuple[int, int]] = []
    tokens = [
        session.add_progress_notification(UP, STREAM, lambda x, t: streaming.append((x, t))),
        session.add_progress_notification(UP, OUTSTANDING, lambda x, t: outstanding.append((x, t))),
    ]
    world.manager.progress_thread.drain(5)
    assert streaming == [(0, 0)]  # as it was before the suspension
    assert outstanding == []  # the writes are not in those numbers
    total = device.core.history.status().counters.uploadable
    session.resume()
    session.wait_for_upload(5)
    assert outstanding[0] == (0, total)
    assert outstanding[-1] == streaming[-1] == (total, total)
    assert [token.is_valid for token in tokens] == [True, False]
    for token in tokens:
        token.invalidate()


def test_while_merely_disconnected_each_commit_is_told_and_while_suspended_none(
    world: Any, server: Any, realm: Any
) -> None:
    device = world.device(world.user(server.url))
    session = device.session
    device.write("Rex")
    session.wait_for_upload(5)
    calls: list[tuple[int, int]] = []

    async def refuse(peer: Any) -> None:
        await peer.answer(503)

    server.script(refuse)
    server.run(realm.cut())
    world.eventually(lambda: session.connection_state is ConnectionState.DISCONNECTED)
    with session.progress_notification(UP, STREAM, lambda x, t: calls.append((x, t))):
        world.eventually(lambda: calls)
        for number in (2, 3):
            device.write("Rex", first=number)
            total = device.core.history.status().counters.uploadable
            world.eventually(lambda total=total: calls[-1][1] == total)
        session.suspend()
        device.write("Rex", first=4)
        world.manager.progress_thread.drain(5)
        assert calls[-1][1] == total
        assert len({x for x, _ in calls}) == 1
        server.script(realm.script)
        session.resume()
        session.wait_for_upload(5)
        world.manager.progress_thread.drain(5)
        final = device.core.history.status().counters.uploadable
        assert calls[-1] == (final, final)


def test_invalidating_inside_the_callback_and_after_the_session_has_ended(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    session = device.session
    session.wait_for_download(5)
    calls: list[int] = []
    registered = threading.Event()

    def once(transferred: int, transferrable: int) -> None:
        registered.wait(5)
        calls.append(transferrable)
        token.invalidate()

    token = session.add_progress_notification(UP, STREAM, once)
    other = session.add_progress_notification(UP, STREAM, lambda x, t: None)
    registered.set()
    device.write("Rex")
    session.wait_for_upload(5)
    assert len(calls) == 1
    assert not token.is_valid
    device.close()
    for one in (token, other):
        one.invalidate()
        one.invalidate()


def test_a_slow_callback_does_not_hold_up_downloads(world: Any, server: Any, realm: Any) -> None:
    writer = world.device(world.user(server.url), "a")
    reader = world.device(world.user(server.url, "other"), "b")
    reader.session.wait_for_download(5)
    release = threading.Event()
    with reader.session.progress_notification(DOWN, STREAM, lambda x, t: release.wait(20)):
        for number in (1, 2, 3):
            writer.write("Rex", first=number)
            writer.session.wait_for_upload(5)
        world.eventually(lambda: len(reader.names()) == 3)
        release.set()


def test_leaving_a_loop_ends_its_registration_and_a_late_loop_gets_the_newest(
    world: Any, server: Any, realm: Any
) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)

    async def main() -> list[SyncProgress]:
        reports = []
        loop = device.session.progress(UP, STREAM)
        async for report in loop:
            reports.append(report)
            if len(reports) == 2:
                break
            for number in range(10):
                device.write("Rex", first=number)
            await asyncio.to_thread(device.session.wait_for_upload, 5)
        await loop.aclose()
        return reports

    reports = asyncio.run(asyncio.wait_for(main(), 20))
    assert reports[1].is_complete
    assert reports[1].transferred_bytes == device.core.history.status().counters.uploaded
    assert not device.core.progress.has_registrations


def test_a_coroutine_that_fails_is_logged_with_the_session(
    world: Any, server: Any, realm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    device = world.device(world.user(server.url))
    device.session.wait_for_download(5)

    async def broken(transferred: int, transferrable: int) -> None:
        raise ValueError("broken callback")

    async def main() -> None:
        with device.session.progress_notification(UP, STREAM, broken):
            while device.path not in caplog.text:
                await asyncio.sleep(0.01)

    with caplog.at_level(logging.ERROR, logger="syncline.sync"):
        asyncio.run(asyncio.wait_for(main(), 10))
    assert device.path in caplog.text
