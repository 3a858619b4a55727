"""What a synced Realm asks of the sync backend (spec/sdk.md §3.1, spec/sessions.md §17)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline import (
    Field,
    MismatchedConfigError,
    Model,
    Realm,
    RealmConfiguration,
    RealmError,
    SchemaError,
    WrongTransactionStateError,
)
from syncline.realm import backend as module
from syncline.realm.backend import register_sync_backend, sync_backend
from syncline.storage.file import FileLease
from syncline.values import kinds


class Dog(Model):
    name: str


class Cat(Model):
    id: int = Field(primary_key=True)


class Named(Model):
    class Meta:
        name = "Dog"

    name: str


class Indexed(Model):
    class Meta:
        name = "Dog"

    name: str = Field(index=True)


class Grown(Model):
    class Meta:
        name = "Dog"

    name: str
    age: int


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


def test_a_read_only_synced_realm_waits_for_its_classes(tmp_path: Path, backend: Backend) -> None:
    config = RealmConfiguration(sync=Settings(tmp_path / "synced.realm"), schema=[Dog, Cat], read_only=True)
    with Realm.open(config) as realm:
        dogs, named = realm.objects(Dog), realm.objects("Dog").where(Dog.name == "Rex")
        assert dogs._binding is realm.objects(Dog)._binding
        assert (len(dogs), list(named), dogs.first(), dogs.last(), realm.get(Cat, 1)) == (0, [], None, None, None)
        assert Dog(name="Rex") not in dogs
        assert realm.is_empty
        seen: list[Any] = []
        token = dogs.observe(lambda results, change: seen.append((len(results), change.insertions)))
        realm.pump()
        with realm.freeze() as before, pytest.raises(WrongTransactionStateError, match="was opened read-only"):
            realm.begin_write()
        file = backend.leases[0].file
        with file.write() as tx:  # as a download does
            tx.create(tx.add_class("Other", primary_key="id", key_type=kinds.INT), 1)
        realm.refresh()
        assert len(dogs) == 0
        with file.write() as tx:
            info = tx.add_class("Dog")
            tx.add_property(info, "name", kinds.STRING)
            k, _ = tx.create(tx.catalogue.classes["Dog"])
            tx.set(tx.catalogue.classes["Dog"], k, tx.catalogue.classes["Dog"].properties["name"], "Rex")
        realm.refresh()
        assert [dog.name for dog in dogs] == [dog.name for dog in named] == ["Rex"]
        assert dogs[0] in realm.objects(Dog)
        assert seen == [(0, ()), (1, (0,))]
        assert realm.get(Cat, 1) is None
        token.invalidate()
    assert before.is_closed


def test_a_read_only_synced_realm_needs_its_properties(tmp_path: Path, backend: Backend) -> None:
    settings = Settings(tmp_path / "synced.realm")
    Realm.open(RealmConfiguration(sync=settings, schema=[Named])).close()
    Realm.open(RealmConfiguration(sync=settings, schema=[Indexed], read_only=True)).close()  # an index may be missing
    with pytest.raises(
        SchemaError, match=r"which the mode READ_ONLY refuses:\n- Grown.age: the file lacks the property"
    ):
        Realm.open(RealmConfiguration(sync=settings, schema=[Grown], read_only=True))


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
