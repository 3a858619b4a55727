"""Configurations are checked before a file is touched (spec/sdk.md §3.1)."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from syncline import ConfigurationError, IllegalCombinationError, Model, ObjectSchema, Realm, RealmConfiguration


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
    with pytest.raises(ConfigurationError, match=r"encryption_key: expected 64 bytes, got 63 bytes"):
        RealmConfiguration(encryption_key=bytes(63))
    with pytest.raises(ConfigurationError, match=r"encryption_key: expected 64 bytes, got str"):
        RealmConfiguration(encryption_key="x" * 64)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"path: expected a path, got int 5"):
        RealmConfiguration(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"schema: expected model classes, got str 'Dog'"):
        RealmConfiguration(schema=["Dog"])  # type: ignore[list-item]
    RealmConfiguration(schema=[Dog, ObjectSchema("Cat", [])])


def test_settings_that_exclude_each_other() -> None:
    with pytest.raises(IllegalCombinationError, match=r"in_memory and encryption_key exclude each other"):
        RealmConfiguration(in_memory=True, encryption_key=bytes(64))
    with pytest.raises(IllegalCombinationError, match=r"in_memory and path exclude each other"):
        RealmConfiguration("a.realm", in_memory=True)
    with pytest.raises(IllegalCombinationError, match=r"in_memory and read_only exclude each other"):
        RealmConfiguration(in_memory=True, read_only=True)
    with pytest.raises(IllegalCombinationError, match=r"in_memory and sync exclude each other"):
        RealmConfiguration(in_memory=True, sync=object())


def test_the_key_is_never_shown_nor_pickled() -> None:
    config = RealmConfiguration("a.realm", encryption_key=b"secretive" * 7 + b"x")
    assert "secretive" not in repr(config)
    again = pickle.loads(pickle.dumps(config))
    assert again == config.replace(encryption_key=None)
