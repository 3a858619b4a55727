"""bench/local.py: databases that are compared do the same work."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
OBJECTS = 300
#: those that are there wherever Syncline is
NAMES = ("Syncline", "Syncline, history", "sqlite3", "apsw")


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(BENCH))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "databases"]:
        del sys.modules[name]


def found_by(name: str, measurement: str, folder: Path) -> Any:
    """What a database found, as it comes from the process of a measurement."""
    from databases.measure import Task, measure

    measured = measure(Task(name, measurement, str(folder), OBJECTS, repetitions=1, budget=1.0))
    assert len(measured.seconds) == 1
    return json.loads(json.dumps(measured.found))


def test_every_database_does_the_same_work(tmp_path: Path) -> None:
    from databases.data import rows, totals
    from databases.measure import MEASURES

    wanted = [OBJECTS, list(totals(rows(OBJECTS)))]
    for measurement in ("insert_single", "insert_bulk"):
        for name in NAMES:
            assert found_by(name, measurement, tmp_path / name) == wanted, (name, measurement)
    for measurement in [each for each in (*MEASURES, "open") if each not in ("delete", "notify")]:
        found = [found_by(name, measurement, tmp_path / name) for name in NAMES]
        assert found == [found[0]] * len(NAMES), measurement
    # what it takes away is missed by the others
    found = [found_by(name, "delete", tmp_path / name) for name in NAMES]
    assert found == [found[0]] * len(NAMES)
    assert found[0][1][0] == OBJECTS - OBJECTS // 10


def test_an_observer_hears_of_the_change_and_of_nothing_else(tmp_path: Path) -> None:
    found_by("Syncline", "insert_bulk", tmp_path / "filled")
    heard, _ = found_by("Syncline", "notify", tmp_path / "filled")
    assert heard == 1


def test_rows_are_unique_and_one_percent_is_one_percent() -> None:
    from databases.data import one_percent, rows

    for count in (1_000, 100_000):
        names, numbers, values = (set(column) for column in list(zip(*rows(count), strict=True))[1:])
        assert len(names) == len(numbers) == len(values) == count
        below_number, below_value = one_percent(count)
        assert sum(number < below_number for number in numbers) == count // 100
        assert sum(value < below_value for value in values) == count // 100
