"""``syncline doctor`` tells what is installed, and finds what is wrong."""

from __future__ import annotations

import importlib.metadata
import json
import os
import time
from pathlib import Path

import pytest

from syncline import compilation
from syncline.cli import doctor
from syncline.version import __version__


def test_a_healthy_installation_has_nothing_fatal() -> None:
    findings = {finding.topic: finding for finding in doctor.examine()}
    assert findings["syncline"].value == __version__
    assert findings["write-ahead log"].value == "wal"
    assert findings["sqlite"].value[0] == "3"
    assert findings["kernel"].value.startswith("compiled" if compilation.is_compiled() else "interpreted")
    assert not [finding for finding in findings.values() if finding.fatal]


def test_a_missing_distribution_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    present = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("websockets", "uvicorn"):
            raise importlib.metadata.PackageNotFoundError(name)
        return present(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    findings = {finding.topic: finding for finding in doctor.examine()}
    assert findings["websockets"].fatal
    assert "pip install 'syncline'" in findings["websockets"].problem
    assert not findings["uvicorn"].fatal
    assert "syncline[server]" in findings["uvicorn"].problem


def test_a_full_disk_and_an_unwritable_folder_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "LOW_DISK_BYTES", 1 << 60)
    monkeypatch.setattr(os, "access", lambda *_: False)
    findings = {finding.topic: finding for finding in doctor.examine()}
    assert findings["working folder"].problem == "not writable, little space left"


def test_the_report_counts_what_to_look_at() -> None:
    findings = [doctor.Finding("a", "fine"), doctor.Finding("long topic", "bad", "mend it", fatal=True)]
    text = doctor.render(findings)
    assert "✓ a           fine" in text
    assert "✗ long topic  bad" in text
    assert "→ mend it" in text
    assert text.endswith("1 thing(s) to look at")
    assert json.loads(doctor.render(findings, as_json=True))[1]["problem"] == "mend it"
    assert doctor.render(findings[:1]).endswith("nothing is wrong")


def test_a_compiled_module_older_than_its_source_is_stale(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "syncline"
    (package / "merge").mkdir(parents=True)
    for name in ("compilation.py", "merge/driver.py", "merge/driver.so"):
        (package / name).touch()
    now = time.time()
    os.utime(package / "merge/driver.so", (now - 600, now - 600))
    monkeypatch.setattr(compilation, "__file__", str(package / "compilation.py"))
    monkeypatch.setattr(compilation, "EXTENSION_SUFFIXES", [".so"])
    states = {state.name: state for state in compilation.module_states()}
    assert states["syncline.merge.driver"].stale
    assert states["syncline.compilation"].compiled is None
    stale = [finding for finding in doctor.examine() if finding.topic == "stale modules"]
    assert stale[0].value == "syncline.merge.driver"
    assert "SYNCLINE_PURE=1" in stale[0].problem
