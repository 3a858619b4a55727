"""What a synced Realm asks of the sync backend (spec/sdk.md §3.1, spec/sessions.md §17)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline import MismatchedConfigError, Model, Realm, RealmConfiguration, RealmError
from syncline.realm import backend as module
from syncline.realm.backend import register_sync_backend, sync_backend
from syncline.storage.file import FileLease


class Dog(Model):
    name: str


class Settings:
    """Stands for a SyncConfiguration."""

    def __init__(self, path: Path) -> None:
        self.path = path


class Backend:
    """Remembers what it was asked."""

    configuration_type = Settings

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.leases: list[FileLease] = []
        self.fail = False
        self.session = object()

    def resolve_path(self, sync: Settings, path: str | None) -> str:
        return str(sync.path if path is None else path)

    def attach(self, sync: Settings, lease: FileLease, realm: Any = None) -> Backend:
        if self.fail:
            raise RealmError("no")
        self.leases.append(lease.share())
        self.calls.append("attach")
        return self

    def local_commit(self, version: int) -> None:
        self.calls.append(version)

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def backend() -> Iterator[Backend]:
    before = module._backend
    backend = Backend()
    register_sync_backend(backend)
    yield backend
    for lease in backend.leases:
        lease.close()
    module._backend = before


def test_a_synced_realm_tells_its_session(tmp_path: Path, backend: Backend) -> None:
    settings = Settings(tmp_path / "synced.realm")
    with Realm.open(RealmConfiguration(sync=settings, schema=[Dog])) as realm:
        assert realm.path == str(settings.path)
        assert realm.sync_session is backend.session
        with realm.write():
            realm.create(Dog, name="Rex")
        with realm.write():
            pass
        assert backend.calls == ["attach", realm.version]
        assert realm._context.file.keeps_history
    assert backend.calls[2:] == ["close"]
    assert not backend.leases[0].file.is_closed


def test_a_bare_sync_configuration_opens_dynamically(tmp_path: Path, backend: Backend) -> None:
    settings = Settings(tmp_path / "synced.realm")
    Realm.open(RealmConfiguration(sync=settings, schema=[Dog])).close()
    with Realm.open(settings) as realm:
        assert [schema.name for schema in realm.schema] == ["Dog"]
    with Realm.open(settings, path=tmp_path / "other.realm") as realm:
        assert realm.path == str(tmp_path / "other.realm")


def test_a_session_that_cannot_start_leaves_nothing_open(tmp_path: Path, backend: Backend) -> None:
    backend.fail = True
    config = RealmConfiguration(sync=Settings(tmp_path / "synced.realm"), schema=[Dog])
    with pytest.raises(RealmError, match=r"no"):
        Realm.open(config)
    backend.fail = False
    with Realm.open(config) as realm, realm.write(timeout=1):
        realm.create(Dog, name="Rex")


def test_a_local_file_cannot_be_synced_later(tmp_path: Path, backend: Backend) -> None:
    path = tmp_path / "a.realm"
    Realm.open(path, schema=[Dog]).close()
    with pytest.raises(MismatchedConfigError):
        Realm.open(RealmConfiguration(path, sync=Settings(path), schema=[Dog]))


def test_without_a_backend_there_is_advice() -> None:
    before, module._backend = module._backend, None
    try:
        with pytest.raises(RealmError, match=r"no sync backend is loaded: import syncline.sync first"):
            sync_backend()
        with pytest.raises(RealmError, match=r"no sync backend is loaded"):
            Realm.open(RealmConfiguration(sync=object()))
    finally:
        module._backend = before
