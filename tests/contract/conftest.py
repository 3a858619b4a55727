"""A real server process for all tests, a world for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.world import World, eventually

from syncline.testing.processes import ServerProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("contract") / "server")
    yield process
    process.stop()


@pytest.fixture
def world(server: ServerProcess, tmp_path: Path) -> Iterator[World]:
    made = World(server, tmp_path)
    eventually(lambda: made.bound_realms() == 0, "the end of what the test before has bound")
    yield made
    made.close()
