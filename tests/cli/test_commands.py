"""The command line as a user types it, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from syncline.cli.commands import build_app
from syncline.version import __version__


def syncline(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command and return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "syncline.cli.main", *arguments],
        capture_output=True, text=True, timeout=240, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_version() -> None:
    assert syncline("--version").stdout == f"syncline {__version__}\n"


def test_help_lists_the_commands() -> None:
    text = syncline("--help").stdout
    assert all(command in text for command in ("serve", "demo", "doctor"))


def test_an_unknown_command_is_an_error() -> None:
    result = syncline("sevre")
    assert result.returncode == 2
    assert "sevre" in result.stderr


def test_doctor_as_json() -> None:
    result = syncline("doctor", "--json")
    assert result.returncode == 0
    assert {"syncline", "python", "kernel"} <= {finding["topic"] for finding in json.loads(result.stdout)}


def test_sources_are_used_if_asked() -> None:
    result = syncline("doctor", "--json", SYNCLINE_PURE="1")
    kernel = next(finding for finding in json.loads(result.stdout) if finding["topic"] == "kernel")
    assert kernel["value"] == "interpreted (SYNCLINE_PURE=1)"


def test_the_demo_on_few_airports_without_a_terminal(tmp_path: Path) -> None:
    result = syncline("demo", "--objects", "200", "--keep", str(tmp_path / "run"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "\x1b" not in result.stdout, "control codes without a terminal"
    hashes = [line.split()[-1] for line in result.stdout.splitlines() if line.startswith("content hash")]
    assert len(hashes) == 3
    assert len(set(hashes)) == 1
    for words in (
        "A upload: connected",
        "A upload: 100 %",
        "B download: 100 %",
        "latency A → B",
        "server killed -9",
        "everything is equal",
    ):
        assert words in result.stdout
    assert (tmp_path / "run" / "device-A" / "device.realm").exists()


@pytest.mark.parametrize("absent", ["airportsdata", "syncline.server.serve"])
def test_the_demo_says_at_once_what_it_needs(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    result = CliRunner().invoke(build_app(), ["demo"])
    assert result.exit_code == 2
    assert "pip install 'syncline[demo]'" in result.output


def test_the_demo_refuses_a_folder_that_exists(tmp_path: Path) -> None:
    result = syncline("demo", "--objects", "1", "--keep", str(tmp_path))
    assert result.returncode == 2
    assert "exists" in result.stderr
