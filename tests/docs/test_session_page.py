"""docs/reference/session.md, the tests of tests/contract and the public names say the same."""

from __future__ import annotations

import re
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import syncline

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reference" / "session.md"
ROW = re.compile(r"^\| S(\d+) \| (.+?) \| (.+?) \| (`contract/.+?) \|$", re.MULTILINE)
NUMBERS = range(1, 36)
WITHOUT_NUMBERS = {"test_async_open.py", "test_log_back_in.py", "test_secure_server.py"}
"""Of what no sentence is about."""


class Row(NamedTuple):
    number: int
    sentence: str
    names: list[str]
    tests: list[str]


def rows() -> list[Row]:
    return [
        Row(int(number), sentence, re.findall(r"`([\w.]+)`", names), re.findall(r"`([^`]+)`", tests))
        for number, sentence, names, tests in ROW.findall(PAGE.read_text(encoding="utf-8"))
    ]


def numbered_tests() -> dict[str, list[int]]:
    """``file::test`` to the numbers in its name, of every test of the contract."""
    found = {}
    for file in sorted((TESTS / "contract").glob("test_*.py")):
        if file.name in WITHOUT_NUMBERS:
            continue
        for name in re.findall(r"^def (test_\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE):
            numbers = re.match(r"test((?:_s\d\d)+)_", name)
            assert numbers, f"{name} of {file.name} has no number"
            found[f"contract/{file.name}::{name}"] = [int(one) for one in re.findall(r"\d+", numbers[1])]
    return found


def test_every_sentence_is_there_once() -> None:
    assert [row.number for row in rows()] == list(NUMBERS)


def test_every_sentence_names_exactly_the_tests_with_its_number() -> None:
    tests = numbered_tests()
    for row in rows():
        assert sorted(row.tests) == sorted(test for test, numbers in tests.items() if row.number in numbers), row.number
        assert row.tests, row.number


def test_every_name_is_public() -> None:
    for row in rows():
        assert row.names, row.number
        for name in row.names:
            first, *rest = name.split(".")
            assert first in syncline.__all__, name
            assert callable(reduce(getattr, rest, getattr(syncline, first))) or rest, name


def test_what_is_said_of_open_questions_is_about_sentences() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## Where a sentence left room")[2]
    named = {int(number) for number in re.findall(r"^\| (?:S\d+, )?S(\d+)", text, re.MULTILINE)}
    assert named <= set(NUMBERS)
    assert len(named) > 10
