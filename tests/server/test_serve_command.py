"""The options of ``syncline serve``, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from syncline.cli.commands import build_app
from syncline.server.settings import Settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that would be served; nothing is."""
    found: list[Settings] = []

    def main(settings: Settings) -> int:
        found.append(settings)
        return 0

    monkeypatch.setattr("syncline.server.serve.main", main)
    return found


def test_the_way_everybody_begins(served: list[Settings], tmp_path: Path) -> None:
    result = CliRunner().invoke(build_app(), ["serve", "--dev", "--port", "7800", "--data", str(tmp_path)])
    assert result.exit_code == 0
    assert served == [Settings(dev=True, port=7800, data=tmp_path)]


def test_every_option_is_a_setting(served: list[Settings]) -> None:
    options = (
        "--host 10.0.0.1 --port 443 --data d --public-url https://x.example --open-registration --anonymous "
        "--insecure-http --tls-certificate c.pem --tls-key k.pem --log-level debug --log-json"
    )
    assert CliRunner().invoke(build_app(), ["serve", *options.split()]).exit_code == 0
    assert served == [
        Settings(
            host="10.0.0.1",
            port=443,
            data=Path("d"),
            public_url="https://x.example",
            open_registration=True,
            anonymous_login=True,
            insecure_http=True,
            tls_certificate=Path("c.pem"),
            tls_key=Path("k.pem"),
            log_level="debug",
            log_json=True,
        )
    ]


def test_the_environment_gives_the_rest(served: list[Settings]) -> None:
    environment = {"SYNCLINE_PORT": "1", "SYNCLINE_DOWNLOAD_BYTES": "5000", "SYNCLINE_DEV": "1", "SYNCLINE_DATA": "e"}
    assert CliRunner().invoke(build_app(), ["serve", "--port", "2"], env=environment).exit_code == 0
    assert served == [Settings(port=2, download_bytes=5000, dev=True, data=Path("e"))]


def test_settings_that_make_no_sense(served: list[Settings]) -> None:
    result = CliRunner().invoke(build_app(), ["serve"], env={"SYNCLINE_DOWNLOAD_BYTES": "much"})
    assert result.exit_code == 2
    assert not served
