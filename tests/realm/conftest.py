"""A Realm in a temporary folder, closed after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline import Realm, RealmConfiguration

OpenRealm = Callable[..., Realm]


@pytest.fixture
def open_realm(tmp_path: Path) -> Iterator[OpenRealm]:
    """``open_realm(Dog, Person)`` opens the test's file with these classes; other settings as in a configuration."""
    opened: list[Realm] = []

    def open(*schema: Any, **options: Any) -> Realm:
        options.setdefault("path", tmp_path / "test.realm")
        realm = Realm.open(RealmConfiguration(schema=schema or None, **options))
        opened.append(realm)
        return realm

    yield open
    for realm in opened:
        realm.close()
