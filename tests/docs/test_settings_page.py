"""The page of the manager's settings says what is so."""

from __future__ import annotations

import re
from pathlib import Path

from syncline.sync import SyncLogLevel, SyncManager, SyncTimeoutOptions
from syncline.sync.settings import ManagerSettings

PAGE = (Path(__file__).parents[2] / "docs/reference/settings.md").read_text(encoding="utf-8")


def table(first_column: str) -> list[list[str]]:
    """The rows of the table that begins with this column."""
    found = re.search(rf"^\| {first_column} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert found is not None
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in found[1].splitlines()]


def test_every_setting_is_there_with_its_default(tmp_path: Path) -> None:
    rows = {name.strip("`"): default for name, default, _ in table("Setting")}
    settings = {name for name in vars(ManagerSettings) if not name.startswith("_")}
    settings -= {"goes_by_proxy", "pinned_certificate_for", "user_agent_header"}  # what comes of settings
    assert set(rows) == settings | {"error_handler", "app_id", "default_client_reset_mode"}
    manager = SyncManager(tmp_path)
    try:
        assert isinstance(manager.timeout_options, SyncTimeoutOptions)
        for name, default in rows.items():
            if name != "timeout_options":
                value = getattr(manager, name)
                shown = value.name if hasattr(value, "name") else repr(value)
                assert default.startswith(f"`{shown}`"), name
    finally:
        manager.close()


def test_timeouts_and_what_is_accepted() -> None:
    defaults = SyncTimeoutOptions()
    rows = table("Option")
    assert [name.strip("`") for name, *_ in rows] == list(vars(defaults))
    for name, default, accepted, _ in rows:
        option = name.strip("`")
        assert getattr(defaults, option) == int(default)
        word, number = accepted.rsplit(" ", 1)
        least = int(number) if word == "at least" else int(number) + 1
        assert getattr(SyncTimeoutOptions(**{option: least}).effective(), option) == least
        assert getattr(SyncTimeoutOptions(**{option: least - 1}).effective(), option) == int(default)


def test_log_levels() -> None:
    assert [(name.strip("`"), int(value)) for name, value, _ in table("Level")] == [
        (level.name, level.value) for level in SyncLogLevel
    ]
