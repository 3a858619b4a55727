"""Names on disk, byte for byte (spec/sessions.md §15)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.errors import ConfigurationError
from syncline.sync.files import FileLayout, percent_decode, percent_encode


def test_the_examples_of_the_specification(tmp_path: Path) -> None:
    layout = FileLayout(tmp_path)
    path = layout.url_path("0f5ad69d-6c0c-4ee1-95a0-1c44c8b2c3a2", "realm://example.org/~/tasks")
    assert path == tmp_path / "realm-object-server/0f5ad69d-6c0c-4ee1-95a0-1c44c8b2c3a2" / (
        "realm%3A%2F%2Fexample.org%2F%7E%2Ftasks"
    )
    partition = layout.partition_path("myapp", "5f0c", "s_string-partition-value&^#")
    assert partition == tmp_path / "mongodb-realm/myapp/5f0c/s_string-partition-value%26%5E%23.realm"
    assert layout.metadata_path == (
        tmp_path / "realm-object-server/io.realm.object-server-utility/metadata/sync_metadata.realm"
    )


def test_directories_are_private(tmp_path: Path) -> None:
    path = FileLayout(tmp_path / "base").url_path("u", "realm://x/y")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.exists()


def test_a_name_that_is_too_long_is_hashed(tmp_path: Path) -> None:
    layout = FileLayout(tmp_path)
    name = "s_" + "x" * 500
    preferred = tmp_path / "mongodb-realm/app/user" / f"{name}.realm"
    expected = tmp_path / "mongodb-realm/app" / (hashlib.sha256(str(preferred).encode()).hexdigest() + ".realm")
    assert layout.partition_path("app", "user", name) == expected
    assert [path.name for path in (tmp_path / "mongodb-realm/app/user").iterdir()] == []


@pytest.mark.parametrize("existing", ["s_x", "s_x.realm"])
def test_a_file_that_exists_is_taken_with_or_without_suffix(tmp_path: Path, existing: str) -> None:
    directory = tmp_path / "mongodb-realm/app/user"
    directory.mkdir(parents=True)
    (directory / existing).touch()
    assert FileLayout(tmp_path).partition_path("app", "user", "s_x") == directory / existing


def test_backup_names(tmp_path: Path) -> None:
    layout = FileLayout(tmp_path)
    path = layout.backup_path()
    assert re.fullmatch(r"recovered_realm-\d{8}-\d{6}-.{8}", path.name)
    assert path.parent == tmp_path / "realm-object-server/io.realm.object-server-recovered-realms"
    assert not path.exists()
    assert layout.backup_path("mine").parent == tmp_path / "realm-object-server/mine"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_names_that_are_no_files(name: str) -> None:
    with pytest.raises(ConfigurationError):
        percent_encode(name)


def test_encoding_is_upper_case_and_padded() -> None:
    assert percent_encode("a b\n~ü/é") == "a%20b%0A%7E%C3%BC%2F%C3%A9"
    assert percent_decode("a% 9b") == "a\tb"
    assert percent_decode("100%") == "100%"


@given(st.text(min_size=1).filter(lambda text: text not in (".", "..")))
def test_names_are_read_back(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    name = percent_encode(text)
    assert re.fullmatch(r"[A-Za-z0-9\-_.%]+", name)
    assert percent_decode(name) == text


def test_15_2_two_processes_that_ask_at_once_get_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch = Path.touch

    def touch_and_lose(path: Path, **options: Any) -> None:
        touch(path, **options)
        path.unlink()  # the other process, which tried the same name

    monkeypatch.setattr(Path, "touch", touch_and_lose)
    assert FileLayout(tmp_path).partition_path("app", "user", "s_x").name == "s_x.realm"


def test_15_2_a_place_where_nothing_can_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, **options: Any) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(Path, "touch", fail)
    with pytest.raises(ConfigurationError, match="no file can be made for 's_x'"):
        FileLayout(tmp_path).partition_path("app", "user", "s_x")


def test_11_2_a_backup_path_is_free_and_makes_nothing(tmp_path: Path) -> None:
    layout = FileLayout(tmp_path / "base")
    first = layout.backup_path()
    assert not (tmp_path / "base").exists()
    first.parent.mkdir(parents=True)
    first.touch()
    assert layout.backup_path() != first
