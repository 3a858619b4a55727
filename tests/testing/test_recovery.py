"""No unsynced edit is lost without a word, in random histories (spec/sessions.md §12.11); the oracle would notice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.storage import recovery
from syncline.testing.choices import BytesChoices, RandomChoices
from syncline.testing.recovery import run_case
from syncline.testing.recovery.__main__ import main


@pytest.mark.parametrize("seed", range(40))
def test_random_histories(seed: int) -> None:
    assert run_case(RandomChoices(seed)) == []


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.binary(min_size=40, max_size=600))
def test_histories_that_shrink(data: bytes) -> None:
    assert run_case(BytesChoices(data)) == []


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cases", "2", "--seed", "5"]) == 0
    assert "2 recoveries, 0 wrong, seeds from 5" in capsys.readouterr().out


def _ignore(*_: Any) -> None:
    """Do nothing instead."""


#: Mistakes of a recovery, and a seed at which the oracle notices each.
MISTAKES = {
    "updates are dropped": (1, "_put_property"),
    "the report is empty": (3, "_lose"),
    "marked lists are not copied": (0, "_copy"),
    "entries are not written": (14, "_put_entry"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_oracle_notices(mistake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seed, method = MISTAKES[mistake]
    monkeypatch.setattr(recovery._Replay, method, _ignore)
    assert main(["--cases", "1", "--seed", str(seed)]) == 1
    assert f"seed {seed}:\n" in capsys.readouterr().out
