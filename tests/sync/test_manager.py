"""Settings, shutting down, processes (spec/sessions.md §14, §18)."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from syncline.errors import InvalidSessionError, OperationAbortedError
from syncline.sync import (
    ConnectionState,
    SyncSessionState,
    SyncTimeoutOptions,
)


def test_closing_makes_every_session_invalid_and_aborts_waits(world: Any, server: Any, realm: Any) -> None:
    realm.acknowledge = False
    device = world.device(world.user(server.url))
    device.write("Rex")
    world.eventually(realm.uploads)
    session = device.session
    outcomes: list[Exception | None] = []
    session.on_upload_complete(outcomes.append)
    started = time.monotonic()
    world.manager.close()
    assert time.monotonic() - started < 5
    assert session.state is SyncSessionState.INVALID
    world.eventually(lambda: outcomes)
    assert isinstance(outcomes[0], OperationAbortedError)
    assert device.names() == {1: "Rex"}
    world.manager.close()
    session.suspend()
    device.close()
    with pytest.raises(InvalidSessionError):
        world.manager.client  # noqa: B018 - the property raises
    world.eventually(lambda: "syncline-sync" not in {thread.name for thread in threading.enumerate()})


def test_closing_does_not_wait_for_a_server_that_is_silent(world: Any, server: Any) -> None:
    async def silence(peer: Any) -> None:
        await asyncio.sleep(10)

    server.script(silence)
    world.device(world.user(server.url))
    world.eventually(lambda: server.peers)
    started = time.monotonic()
    world.manager.close()
    assert time.monotonic() - started < 3


def test_a_connection_lingers_and_is_used_again(world: Any, server: Any, realm: Any) -> None:
    user = world.user(server.url)
    device = world.device(user)
    world.connected(device)
    device.close()
    assert world.manager.wait_for_sessions_to_terminate(5)
    again = world.device(user)
    world.connected(again)
    assert len(server.peers) == 1
    again.close()
    world.manager.wait_for_sessions_to_terminate(5)
    world.eventually(lambda: not world.manager.client._connections)


def test_pings_keep_a_connection_alive_and_missing_pongs_end_it(world: Any, server: Any, realm: Any) -> None:
    world.manager.timeout_options = SyncTimeoutOptions()
    settings = world.manager.timeout_options.settings()._replace(ping_period_ms=20, pong_timeout_ms=100)
    world.manager.client.settings = settings
    device = world.device(world.user(server.url))
    world.eventually(lambda: realm.kinds().count("Ping") >= 3)
    assert device.session.connection_state is ConnectionState.CONNECTED
    answering = True

    async def before(peer: Any, message: Any) -> bool:
        return type(message).__name__ == "Ping" and not answering

    realm.before = before
    states: list[Any] = []
    with device.session.observe_connection_state(lambda old, new: states.append(new)):
        answering = False
        world.eventually(lambda: ConnectionState.DISCONNECTED in states)
        answering = True
        device.session.reconnect()
        world.connected(device)
    assert world.errors == []


def test_reconnecting_while_connected_sends_an_urgent_ping(world: Any, server: Any, realm: Any) -> None:
    device = world.device(world.user(server.url))
    world.connected(device)
    assert "Ping" not in realm.kinds()
    device.session.reconnect()
    world.eventually(lambda: "Ping" in realm.kinds())
    assert device.session.connection_state is ConnectionState.CONNECTED
    assert len(server.peers) == 1


def test_the_default_base_directory_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from syncline.sync import files

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(files.sys, "platform", "linux")
    assert files.default_base_directory() == tmp_path / "syncline"
    monkeypatch.setattr(files.sys, "platform", "darwin")
    assert files.default_base_directory().parts[-2:] == ("Application Support", "syncline")


def test_a_server_that_accepts_and_drops_connections_is_not_hammered(world: Any, server: Any, realm: Any) -> None:
    times: list[float] = []

    async def accept_and_drop(peer: Any) -> None:
        times.append(time.monotonic())
        await peer.accept()

    server.script(accept_and_drop)
    world.device(world.user(server.url))
    world.eventually(lambda: len(times) >= 3, 20)
    first, second = times[1] - times[0], times[2] - times[1]
    assert first >= 0.7
    assert second >= 1.4
    world.manager.reconnect()
    world.eventually(lambda: len(times) >= 4, 2.5)  # instead of after three or four seconds
