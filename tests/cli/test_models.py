"""``syncline models``: the source of model classes from a file, as a user types it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from syncline import Field, Model, Realm
from syncline.cli.commands import build_app


class Dog(Model):
    name: str = Field(primary_key=True)
    age: int | None


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(build_app(), ["models", *map(str, arguments)], env=environment)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dogs.realm"
    Realm.open(path, schema=[Dog], schema_version=2).close()
    return path


def test_the_module_is_printed(file: Path) -> None:
    before = file.read_bytes()
    result = run(file)
    assert result.exit_code == 0, result.output
    assert result.output.startswith('"""Model classes of dogs.realm, ')
    assert "SCHEMA_VERSION = 2\n" in result.output
    assert "class Dog(Model):\n    name: str = Field(primary_key=True)\n    age: int | None\n" in result.output
    assert file.read_bytes() == before


def test_the_module_opens_the_file(file: Path) -> None:
    output = file.with_name("models.py")
    assert run(file, "--output", output).exit_code == 0
    models: dict[str, Any] = {}
    exec(output.read_text(encoding="utf-8"), models)
    with Realm.open(file, schema=models["SCHEMA"], schema_version=models["SCHEMA_VERSION"]) as realm, realm.write():
        assert realm.create(models["Dog"], name="Rex").age is None


def test_what_is_there_is_not_replaced_unasked(file: Path) -> None:
    output = file.with_name("models.py")
    output.write_text("mine", encoding="utf-8")
    result = run(file, "-o", output)
    assert result.exit_code == 2
    assert f"syncline models: {output} exists, perhaps with your changes; --force replaces it" in result.output
    assert output.read_text(encoding="utf-8") == "mine"
    assert run(file, "-o", output, "--force").exit_code == 0
    assert "class Dog(Model):" in output.read_text(encoding="utf-8")


def test_encrypted_files(tmp_path: Path) -> None:
    file, raw, digits, wrong = (tmp_path / name for name in ("dogs.realm", "raw.key", "hex.key", "wrong.key"))
    key = os.urandom(64)
    Realm.open(file, schema=[Dog], encryption_key=key).close()
    raw.write_bytes(key)
    digits.write_text(key.hex() + "\n", encoding="ascii")
    wrong.write_bytes(bytes(64))
    for arguments, environment in (
        (["--key-file", raw], {}),
        (["--key-file", digits], {}),
        (["--encryption-key", key.hex()], {}),
        ([], {"SYNCLINE_ENCRYPTION_KEY": key.hex()}),
    ):
        result = run(file, *arguments, **environment)
        assert result.exit_code == 0, result.output
        assert "class Dog(Model):" in result.output
    digits.write_text("not a key", encoding="ascii")
    for arguments, reason in (
        ([], "dogs.realm"),
        (["--key-file", wrong], "dogs.realm"),
        (["--key-file", digits], f"the key in {digits} is not hexadecimal: give 128 digits"),
        (["--key-file", tmp_path / "none"], "No such file"),
        (["--encryption-key", "abcd"], "64 bytes"),
    ):
        result = run(file, *arguments)
        assert result.exit_code == 2, result.output
        assert result.output.startswith("syncline models: ")
        assert reason in result.output


def test_files_that_are_none(tmp_path: Path) -> None:
    result = run(tmp_path / "none.realm")
    assert result.exit_code == 2
    assert "none.realm" in result.output
    assert not (tmp_path / "none.realm").exists()
    (tmp_path / "text").write_text("no Realm" * 1000, encoding="utf-8")
    result = run(tmp_path / "text")
    assert result.exit_code == 2
    assert result.output.startswith("syncline models: ")
    assert run(tmp_path).exit_code == 2
    Realm.open(tmp_path / "empty.realm").close()
    result = run(tmp_path / "empty.realm")
    assert result.exit_code == 0
    assert result.output.endswith("SCHEMA_VERSION = 0\n\n\nSCHEMA: list[type[Model]] = []\n")
