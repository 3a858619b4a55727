"""What holds for every module of tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def nothing_shared_is_left() -> Iterator[None]:
    """The shared manager of a module would be that of whichever module the same process tests next."""
    yield
    module = sys.modules.get("syncline.sync.manager")
    manager = module.SyncManager._shared if module is not None else None
    if manager is not None and not manager._is_closed:
        manager.close()
        pytest.fail(f"the shared SyncManager is left open, with {manager.layout.base}")
