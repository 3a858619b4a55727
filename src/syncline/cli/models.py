"""``syncline models``: the model classes of a Realm file as Python source (spec/sdk.md §14, row 73)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["models"]


def models(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Realm file; it may be in use.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the module here instead of printing it.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file at --output.")] = False,
    key_file: Annotated[
        Path | None,
        typer.Option(help="A file with the encryption key: 64 bytes, or 128 hexadecimal digits.", show_default=False),
    ] = None,
    encryption_key: Annotated[
        str | None,
        typer.Option(help="128 hexadecimal digits; better in the environment.", envvar="SYNCLINE_ENCRYPTION_KEY"),
    ] = None,
) -> None:
    """Print the source of a Python module with a model class for each class of a Realm file."""
    from syncline.errors import RealmError

    if output is not None and output.exists() and not force:
        raise _failed(f"{output} exists, perhaps with your changes; --force replaces it")
    try:
        source = _source(file, _key(key_file, encryption_key))
        if output is None:
            sys.stdout.write(source)
        else:
            output.write_text(source, encoding="utf-8", newline="\n")
    except (RealmError, OSError) as error:
        raise _failed(str(error)) from None


def _failed(why: str) -> typer.Exit:
    sys.stderr.write(f"syncline models: {why}\n")
    return typer.Exit(2)


def _source(file: Path, key: bytes | None) -> str:
    from syncline import Realm

    with Realm.open(file, read_only=True, encryption_key=key) as realm:
        return realm.generate_models()


def _key(key_file: Path | None, digits: str | None) -> bytes | None:
    """The encryption key. Raises ConfigurationError, OSError."""
    from syncline.errors import ConfigurationError

    where = "the encryption key"
    if key_file is not None:
        raw = key_file.read_bytes()
        if len(raw) == 64:
            return raw
        where, digits = f"the key in {key_file}", raw.decode("latin-1")
    if not digits:
        return None
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise ConfigurationError(f"{where} is not hexadecimal: give 128 digits") from None
