"""Fixtures of the server's tests: settings that hash quickly, applications in temporary folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.server.wire import OFFERS, RAW, Wire

from syncline.server.app import create_app
from syncline.server.settings import Settings

#: argon2 in a millisecond instead of a tenth of a second.
QUICK_HASHES: dict[str, Any] = {"argon2_memory": 64, "argon2_passes": 1}


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Makes settings for this test's folder."""

    def make(**given: Any) -> Settings:
        return Settings(**{"data": tmp_path / "data", **QUICK_HASHES, **given})

    return make


@pytest.fixture
def client(settings: Callable[..., Settings]) -> Iterator[Callable[..., TestClient]]:
    """Starts applications and gives HTTP clients for them."""
    running: list[TestClient] = []

    def start(**given: Any) -> TestClient:
        started = TestClient(create_app(settings(**given)), base_url="http://localhost")
        started.__enter__()
        running.append(started)
        return started

    yield start
    for item in running:
        item.__exit__(None, None, None)


@pytest.fixture
def connect() -> Iterator[Callable[..., Wire]]:
    """Opens WebSockets, which end with the test."""
    with ExitStack() as stack:

        def open_one(http: TestClient, url: str = RAW + "?baas_at=anything", **more: Any) -> Wire:
            offers = more.pop("subprotocols", OFFERS)
            socket = stack.enter_context(http.websocket_connect(url, subprotocols=offers, **more))
            version = re.split("[#/]", socket.accepted_subprotocol or "")[-1]
            wire = Wire(socket.send_bytes, socket.receive_bytes, int(version))
            wire.subprotocol = socket.accepted_subprotocol  # type: ignore[attr-defined]
            return wire

        yield open_one
