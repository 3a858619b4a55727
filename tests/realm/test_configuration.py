"""Configurations are checked before a file is touched (spec/sdk.md §3.1)."""

from __future__ import annotations

import asyncio
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from syncline import (
    ConfigurationError,
    IllegalCombinationError,
    InvalidEncryptionKeyError,
    MismatchedConfigError,
    Model,
    ObjectSchema,
    Realm,
    RealmConfiguration,
    SchemaMode,
)

KEY = bytes(range(64))


class Dog(Model):
    name: str


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RealmConfiguration().file_path == str(tmp_path / "default.realm")
    assert RealmConfiguration("a/b.realm").file_path == str(tmp_path / "a" / "b.realm")
    assert RealmConfiguration(tmp_path / "c.realm").file_path == str(tmp_path / "c.realm")


def test_the_default_can_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RealmConfiguration.default == RealmConfiguration()
    RealmConfiguration.set_default(RealmConfiguration("mine.realm", schema=[Dog]))
    try:
        with Realm.open() as realm:
            assert realm.path == str(tmp_path / "mine.realm")
            assert len(realm.objects(Dog)) == 0
    finally:
        RealmConfiguration.set_default(None)


def test_variations() -> None:
    config = RealmConfiguration("a.realm", schema=[Dog])
    assert config.replace(path="b.realm") == RealmConfiguration("b.realm", schema=[Dog])
    assert config.schema == (Dog,)


def test_wrong_settings() -> None:
    with pytest.raises(InvalidEncryptionKeyError, match=r"encryption_key: expected 64 bytes, got 63 bytes"):
        RealmConfiguration(encryption_key=bytes(63))
    with pytest.raises(ConfigurationError, match=r"encryption_key: expected 64 bytes, got str"):
        RealmConfiguration(encryption_key="x" * 64)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"path: no file can have the name '.udc80x.ud800'"):
        RealmConfiguration("\udc80x\ud800")
    with pytest.raises(ConfigurationError, match=r"path: expected a path, got int 5"):
        RealmConfiguration(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"schema: expected model classes, got str 'Dog'"):
        RealmConfiguration(schema=["Dog"])  # type: ignore[list-item]
    RealmConfiguration(schema=[Dog, ObjectSchema("Cat", [])])


def test_settings_that_exclude_each_other() -> None:
    with pytest.raises(IllegalCombinationError, match=r"in_memory and encryption_key exclude each other"):
        RealmConfiguration(in_memory=True, encryption_key=bytes(64))
    with pytest.raises(IllegalCombinationError, match=r"shared by its path or by in_memory='name', not both"):
        RealmConfiguration("a.realm", in_memory="b")
    with pytest.raises(IllegalCombinationError, match=r"in_memory and read_only exclude each other"):
        RealmConfiguration(in_memory=True, read_only=True)
    with pytest.raises(IllegalCombinationError, match=r"in_memory and sync exclude each other"):
        RealmConfiguration(in_memory=True, sync=object())


def test_the_key_is_never_shown_nor_pickled() -> None:
    config = RealmConfiguration("a.realm", encryption_key=b"secretive" * 7 + b"x")
    assert "secretive" not in repr(config)
    again = pickle.loads(pickle.dumps(config))
    assert again == config.replace(encryption_key=None)


def test_numbers_and_functions() -> None:
    for version in (-1, True, 1.0, 2**64 - 1):
        with pytest.raises(ConfigurationError, match=r"schema_version: expected an int from 0 to"):
            RealmConfiguration(schema_version=version)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"max_active_versions: expected an int from 1, got int 0"):
        RealmConfiguration(max_active_versions=0)
    with pytest.raises(ConfigurationError, match=r"migration: expected a function, got str 'x'"):
        RealmConfiguration(migration="x")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"seed_file: expected a path, got int 1"):
        RealmConfiguration(seed_file=1)  # type: ignore[arg-type]


async def coroutine(realm: Realm) -> None:
    del realm


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encryption_key": b""}, "expected 64 bytes, got 0 bytes"),
        ({"encryption_key": bytes(65)}, "expected 64 bytes, got 65 bytes"),
        ({"encryption_key": bytearray(64)}, "expected 64 bytes, got bytearray"),
        ({"schema": Dog}, "schema: expected a list of model classes, got"),
        ({"schema": 5}, "schema: expected a list of model classes, got int 5"),
        ({"schema": "Dog"}, "schema: expected a list of model classes, got str 'Dog'"),
        ({"schema": ObjectSchema("Cat", [])}, "schema: expected a list of model classes, got ObjectSchema"),
        ({"path": ""}, "path: no file can have the name ''"),
        ({"path": "a\0b"}, "path: no file can have the name"),
        ({"path": b"x"}, "path: expected a path, got bytes"),
        ({"seed_file": ""}, "seed_file: no file can have the name ''"),
        ({"in_memory": ""}, "in_memory: expected True, False or a name, got str ''"),
        ({"in_memory": 5}, "in_memory: expected True, False or a name, got int 5"),
        ({"in_memory": None}, "in_memory: expected True, False or a name"),
        ({"read_only": "no"}, "read_only: expected True or False, got str 'no'"),
        ({"cache": 1}, "cache: expected True or False, got int 1"),
        ({"schema_mode": "automatic"}, "schema_mode: expected a SchemaMode, got str 'automatic'"),
        ({"schema_subset_mode": "strict"}, "schema_subset_mode: expected a SchemaSubsetMode, got str 'strict'"),
        ({"validation_mode": 1}, "validation_mode: expected a ValidationMode, got int 1"),
        ({"initial_data": coroutine}, "initial_data: expected an ordinary function"),
        ({"migration": coroutine}, "migration: expected an ordinary function"),
    ],
)
def test_settings_of_the_wrong_kind(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RealmConfiguration(**settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"read_only": True}, "is open for writing: it cannot be opened read-only"),
        ({"schema_version": 1}, "is open with schema version 0, not 1"),
        ({"delete_if_migration_needed": True}, "is open in the schema mode AUTOMATIC, not SOFT_RESET"),
        ({"encryption_key": bytes(64)}, "is open in this process with another encryption key"),
    ],
)
def test_a_second_realm_must_agree(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    config = RealmConfiguration(tmp_path / "a.realm", schema=[Dog])
    with Realm.open(config), pytest.raises(MismatchedConfigError, match=message):
        Realm.open(config.replace(**change))
    with Realm.open(config.replace(schema=None)):  # a dynamic Realm has no version of its own
        Realm.open(config.replace(schema_version=2)).close()
        with Realm.open(config.replace(schema_version=2)), pytest.raises(MismatchedConfigError):
            Realm.open(config.replace(schema_version=3))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"read_only": True}, {}, "is open read-only: it cannot be opened for writing"),
        ({}, {"read_only": True}, "is open for writing: it cannot be opened read-only"),
        ({"encryption_key": KEY}, {}, "another encryption key, or with none"),
        ({"encryption_key": KEY}, {"encryption_key": bytes(64)}, "another encryption key, or with none"),
        ({}, {"encryption_key": KEY}, "another encryption key, or with none"),
        ({"schema_mode": SchemaMode.MANUAL}, {}, "is open in the schema mode MANUAL, not AUTOMATIC"),
        ({"read_only": True}, {"schema_mode": SchemaMode.IMMUTABLE}, "in the schema mode READ_ONLY, not IMMUTABLE"),
        ({"schema_version": 2}, {"schema_version": 1}, "is open with schema version 2, not 1"),
        ({"schema_version": 2}, {"schema_version": 3}, "is open with schema version 2, not 3"),
    ],
)
def test_each_setting_that_open_realms_share(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], message: str
) -> None:
    config = RealmConfiguration(tmp_path / "a.realm", schema=[Dog])
    if first.get("read_only"):
        Realm.open(config).close()
    with Realm.open(config.replace(**first)) as realm:
        for way in (config.replace(**second), config.replace(cache=True, **second)):
            with pytest.raises(MismatchedConfigError, match=message):
                Realm.open(way)
        with pytest.raises(MismatchedConfigError, match=message):
            asyncio.run(opening(config.replace(**second)))
        assert realm.is_empty


async def opening(config: RealmConfiguration) -> None:
    await Realm.open_async(config)


def test_a_realm_in_memory_is_never_that_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Realm.open("a", schema=[Dog]) as file, Realm.open(in_memory="a", schema=[Dog]) as memory:
        with memory.write():
            memory.create(Dog, name="Rex")
        file.refresh()
        assert (file.is_empty, memory.is_empty) == (True, False)


def test_realms_in_memory_of_one_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = RealmConfiguration("a.realm", in_memory=True, schema=[Dog])
    with Realm.open(config) as one, Realm.open(config.replace(path=tmp_path / "a.realm")) as two:
        with one.write():
            one.create(Dog, name="Rex")
        assert two.refresh()
        assert len(two.objects(Dog)) == 1
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(MismatchedConfigError, match=r"a.realm is open in memory: it cannot be opened as a file"):
            Realm.open(config.replace(in_memory=False))
        with Realm.open(config.replace(path="b.realm")) as other:
            assert other.is_empty
    assert (Realm.exists(config), Realm.delete_files(config)) == (False, False)
    with Realm.open(config.replace(in_memory=False)) as file:
        assert file.is_empty
        with pytest.raises(MismatchedConfigError, match=r"a.realm is open as a file: it cannot be opened in memory"):
            Realm.open(config)


def test_realms_in_memory_must_agree_too() -> None:
    config = RealmConfiguration(in_memory="agree", schema=[Dog])
    with Realm.open(config), pytest.raises(MismatchedConfigError, match=r"the Realm 'agree' in memory is open"):
        Realm.open(config.replace(schema_version=1))
    with Realm.open(config.replace(schema_version=1)) as realm:
        assert realm.is_empty


def test_the_same_handle_on_the_same_thread(tmp_path: Path) -> None:
    config = RealmConfiguration(tmp_path / "a.realm", schema=[Dog], cache=True)
    realm = Realm.open(config)
    assert Realm.open(config) is realm
    assert Realm.open(config.replace(schema=None)) is realm
    with pytest.raises(MismatchedConfigError, match=r"is open on this thread with other classes"):
        Realm.open(config.replace(schema=[ObjectSchema("Cat", [])]))
    assert Realm.open(config.replace(cache=False)) is not realm
    others: list[Realm] = []
    thread = threading.Thread(target=lambda: others.append(Realm.open(config)))
    thread.start()
    thread.join()
    assert others[0] is not realm
    realm.close()
    again = Realm.open(config)
    assert (again is realm, again.is_closed) == (False, False)
    again.close()
