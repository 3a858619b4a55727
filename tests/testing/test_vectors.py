"""The vector runner, on the recorded vectors and on files made to go wrong."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from syncline.testing.vector_files import Kind, VectorFileError, kind_of, read_cases, read_fixtures
from syncline.testing.vector_merge import check_transformed
from syncline.testing.vector_states import Fixtures
from syncline.testing.vectors import main, run_cases, run_file

VECTORS = Path(__file__).parents[1] / "vectors"

#: Cases of each file.
COUNTS = {
    "changesets.jsonl": 585,
    "changesets_invalid.jsonl": 150,
    "merge_errors.jsonl": 274,
    "fixtures.json": 3,
    "operations.jsonl.gz": 325,
}
MERGES = 4435
#: Of the large files every how many-th case is run with its database here; ``make vectors`` runs all.
EVERY = 6

GOOD = {
    "id": "good",
    "title": "one",
    "style": "re-encoded",
    "changeset": "3f000141020001 01".replace(" ", ""),
    "strings": ["A"],
    "instructions": [{"type": "CreateObject", "table": "A", "object": {"int": 1}}],
}
BAD = {**GOOD, "id": "bad", "instructions": [{"type": "CreateObject", "table": "A", "object": {"int": 2}}]}
ODD = {"id": "odd", "note": "a line of another kind"}


@pytest.mark.parametrize("name", COUNTS)
def test_recorded_vectors_pass(name: str) -> None:
    report = run_file(VECTORS / name)
    assert report.failed == []
    assert report.not_supported == []
    assert report.passed == COUNTS[name]


def test_all_recorded_merges_are_transformed_alike() -> None:
    count = 0
    for case in read_cases(VECTORS / "merges.jsonl.gz"):
        check_transformed(case.fields)
        count += 1
    assert count == MERGES


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("name", ["merges.jsonl.gz", "merges_long.jsonl.gz", "merges_trouble.jsonl.gz"])
def test_recorded_merges_lead_to_the_recorded_states(name: str, part: int) -> None:
    cases = read_cases(VECTORS / name, part * EVERY, 4 * EVERY)
    with Fixtures(read_fixtures(VECTORS / "fixtures.json")) as fixtures:
        report = run_cases(VECTORS / name, cases, fixtures)
    assert report.failed == []
    assert report.not_supported == []
    assert report.passed >= 8


def test_every_recorded_line_has_a_kind() -> None:
    expected = {
        "changesets.jsonl": {Kind.CHANGESET},
        "changesets_invalid.jsonl": {Kind.INVALID_CHANGESET},
        "merge_errors.jsonl": {Kind.MERGE_RULE},
        "fixtures.json": {Kind.FIXTURE},
        "operations.jsonl.gz": {Kind.OPERATIONS},
        "merges.jsonl.gz": {Kind.MERGE},
        "merges_long.jsonl.gz": {Kind.LONG_MERGE},
        "merges_trouble.jsonl.gz": {Kind.TROUBLED_MERGE, Kind.TROUBLED_LONG_MERGE, Kind.CRASH_NOTE},
    }
    for name, kinds in expected.items():
        assert {case.kind for case in read_cases(VECTORS / name)} == kinds
    assert kind_of({"t": 0, "note": "a transcript"}) is Kind.UNKNOWN


def write(path: Path, *cases: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(case) + "\n" for case in cases))
    return path


def run(*arguments: object) -> tuple[int, str]:
    out = io.StringIO()
    status = main([str(argument) for argument in arguments], out)
    return status, out.getvalue()


def test_reports_and_exit_status(tmp_path: Path) -> None:
    good = write(tmp_path / "good.jsonl", GOOD)
    mixed = write(tmp_path / "mixed.jsonl", GOOD, BAD, ODD)
    assert run(good) == (0, f"{good}: 1 passed, 0 failed, 0 not supported\n")
    status, text = run(good, mixed)
    assert status == 1
    assert f"{mixed}: 1 passed, 1 failed, 1 not supported" in text
    assert "bad failed: instructions at [0].object.int: expected 2, got 1" in text
    assert "odd not supported: not a vector of a known kind" in text
    only_odd = write(tmp_path / "odd.jsonl", ODD)
    assert run(only_odd)[0] == 0


def test_the_number_of_differences(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.jsonl", *[{**BAD, "id": f"bad-{number}"} for number in range(5)])
    assert run(path)[1].count(" failed: ") == 3
    assert run(path, "--differences", 5)[1].count(" failed: ") == 5
    assert run(path, "--differences", 0)[1].count("\n") == 1


def test_one_case_in_full(tmp_path: Path) -> None:
    path = write(tmp_path / "mixed.jsonl", GOOD, BAD)
    status, text = run(path, "--id", "bad")
    assert status == 1
    assert "0 passed, 1 failed" in text
    assert 'expected: [{"type": "CreateObject", "table": "A", "object": {"int": 2}}]' in text
    assert run(path, "--id", "good")[0] == 0
    assert run(path, "--id", "missing")[0] == 2


def test_an_exception_in_a_case_is_a_failure_of_that_case(tmp_path: Path) -> None:
    broken = {**GOOD, "id": "broken", "changeset": "zz"}
    path = write(tmp_path / "broken.jsonl", broken, GOOD)
    status, text = run(path)
    assert status == 1
    assert "1 passed, 1 failed" in text
    assert "broken failed: ValueError" in text
    assert "Traceback" in run(path, "--id", "broken")[1]


def test_compressed_files_need_no_name(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode()))
    assert run(path)[0] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "cannot be read"),
        (b"{", "line 1: not JSON"),
        (b'{"id": 1}\nnonsense', "line 2: not JSON"),
        (b"5", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b"\x1f\x8b\x08nothing", "cannot be read"),
    ],
)
def test_files_that_are_no_vectors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert run(path)[0] == 2
    assert message in capsys.readouterr().err


def test_missing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path / "good.jsonl", GOOD)
    status, text = run(tmp_path / "missing.jsonl", good)
    assert status == 2
    assert "1 passed" in text  # the others are run all the same
    assert "No such file" in capsys.readouterr().err
    assert run(good, "--fixtures", tmp_path / "missing.json")[0] == 2


def test_fixtures_are_found_beside_the_file_or_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = next(read_cases(VECTORS / "merges.jsonl.gz"))
    alone = write(tmp_path / "merge.jsonl", dict(case.fields))
    assert run(alone)[0] == 2
    assert "--fixtures" in capsys.readouterr().err
    assert run(alone, "--fixtures", VECTORS / "fixtures.json")[0] == 0
    (tmp_path / "fixtures.json").write_bytes((VECTORS / "fixtures.json").read_bytes())
    assert run(alone)[0] == 0
    assert sorted(read_fixtures(tmp_path / "fixtures.json")) == [0, 1, 2]
    with pytest.raises(VectorFileError, match="does not hold fixtures"):
        read_fixtures(alone)


def test_wrong_expectations_are_noticed(tmp_path: Path) -> None:
    """Each kind of vector, with one expectation changed, must fail."""
    fixtures = ("--fixtures", VECTORS / "fixtures.json")
    merge = dict(next(read_cases(VECTORS / "merges.jsonl.gz")).fields)
    operations = dict(next(read_cases(VECTORS / "operations.jsonl.gz")).fields)
    long_merge = dict(next(read_cases(VECTORS / "merges_long.jsonl.gz")).fields)
    wrong = [
        {**merge, "final": {**merge["final"], "objects": {**merge["final"]["objects"], "B": []}}},
        {**merge, "left_transformed": merge["left_transformed"][1:]},
        {**operations, "changeset": operations["changeset"] + "00"},
        {**operations, "final": {}},
        {**long_merge, "final": {**long_merge["final"], "objects": {}}},
        {**long_merge, "received": {**long_merge["received"], "a": []}},
        {"changeset": GOOD["changeset"], "error": "refused"},
    ]
    for number, case in enumerate(wrong):
        assert run(write(tmp_path / f"{number}.jsonl", case), *fixtures)[0] == 1, number


def test_the_command() -> None:
    command = [sys.executable, "-m", "syncline.testing.vectors", str(VECTORS / "merge_errors.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stdout == f"{VECTORS / 'merge_errors.jsonl'}: 274 passed, 0 failed, 0 not supported\n"
