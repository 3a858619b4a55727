"""The fuzzers themselves: that they find what they look for, and that mutated changesets mostly fit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.changesets.handmade import CHANGESETS

from syncline.changesets.codec import decode, encode_recorded
from syncline.changesets.instructions import CreateObject, Update, fields_of
from syncline.errors import MalformedChangesetError
from syncline.testing.choices import RandomChoices
from syncline.testing.fuzz import __main__ as command
from syncline.testing.fuzz import parser
from syncline.testing.fuzz.apply import Stage
from syncline.testing.fuzz.corpus import open_target
from syncline.testing.fuzz.mutating import Mutator, readable_part
from syncline.testing.fuzz.outcome import FuzzFailureError, Outcome
from syncline.values import kinds

GOOD = encode_recorded([CreateObject("Person", 9), Update("Person", 9, "age", (), kinds.INT, 5)])


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


def mutator(stage: Stage, seed: int) -> Mutator:
    return Mutator(RandomChoices(seed), stage.model.state.classes, stage.keys())


# --- targets ----------------------------------------------------------------------------------------------------------


def test_outcomes(stage: Stage) -> None:
    assert parser.check(GOOD) is Outcome.READ
    assert parser.check(GOOD[:-1]) is Outcome.MALFORMED
    assert stage.check(GOOD) is Outcome.APPLIED
    assert stage.check(GOOD[:-1]) is Outcome.MALFORMED
    assert stage.check(encode_recorded([CreateObject("Person", "x")])) is Outcome.REFUSED


def test_targets_by_name() -> None:
    assert open_target("parser")(GOOD) is Outcome.READ
    assert open_target("apply")(GOOD) is Outcome.APPLIED
    with pytest.raises(ValueError, match="there is no target 'merge', only parser and apply"):
        open_target("merge")


def test_errors_that_do_not_tell_the_place_are_found() -> None:
    for error in (
        MalformedChangesetError("?"),
        MalformedChangesetError("?", offset=len(GOOD) + 1, instruction=0, subject="x"),
        MalformedChangesetError("?", offset=0, subject="x"),
        MalformedChangesetError("?", offset=0, instruction=0),
        MalformedChangesetError("?", offset=0, instruction=0, subject="x" * 2000),
    ):
        with pytest.raises(FuzzFailureError):
            parser.check_refusal(GOOD, error)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("encode", lambda changeset: b""),
        ("encode_recorded", lambda instructions: b""),
        ("offset_of", lambda data, number: 0),
        ("describe", lambda instruction: "\n"),
        ("instruction_from_json", lambda form: CreateObject("Person", 10)),
    ],
)
def test_a_codec_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch, name: str, wrong: Any) -> None:
    monkeypatch.setattr(parser, name, wrong)
    with pytest.raises(FuzzFailureError):
        parser.check(GOOD)


def test_applying_otherwise_than_the_model_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the model changed instead: the applier may be compiled."""
    twice = encode_recorded([CreateObject("Person", 9), CreateObject("Person", 10)])
    for wrong in (
        lambda model, changeset: None,  # does nothing
        lambda model, changeset: model.state.cls("none"),
    ):
        monkeypatch.setattr("syncline.testing.fuzz.apply._attempt", wrong)
        with pytest.raises((FuzzFailureError, ValueError)):
            stage.check(twice)
    monkeypatch.undo()
    assert stage.check(twice) is Outcome.APPLIED


def test_refusing_otherwise_than_the_model_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.testing.fuzz.apply._attempt", lambda model, changeset: None)
    with pytest.raises(FuzzFailureError, match=r"refused .* but the model says: None"):
        stage.check(encode_recorded([CreateObject("Person", "x")]))


# --- mutations --------------------------------------------------------------------------------------------------------


def test_what_can_be_read_of_a_bad_changeset() -> None:
    for data in CHANGESETS[:-1:10]:
        whole = [repr(fields_of(instruction)) for instruction in decode(data).instructions]
        for size in range(len(data)):
            part = [repr(fields_of(instruction)) for instruction in readable_part(data[:size])]
            assert part == whole[: len(part)]
    assert readable_part(b"\x3f\x05") == []


def test_mutations_are_changesets_that_mostly_fit(stage: Stage) -> None:
    outcomes: Counter[Outcome] = Counter()
    data = b""
    for seed in range(150):
        data = mutator(stage, seed).mutate(data if seed % 3 else b"", 2000)
        assert len(data) <= 2000
        outcomes[stage.check(data)] += 1
    assert outcomes[Outcome.APPLIED] > 20
    assert outcomes[Outcome.REFUSED] > 20
    assert outcomes[Outcome.MALFORMED] < 10  # indices of 2**32


def test_mutations_follow_from_the_seed(stage: Stage) -> None:
    assert mutator(stage, 1).mutate(GOOD, 2000) == mutator(stage, 1).mutate(GOOD, 2000)
    assert len({mutator(stage, seed).mutate(GOOD, 2000) for seed in range(20)}) > 15


def test_crossing_takes_from_both(stage: Stage) -> None:
    other = encode_recorded([CreateObject("Tag", "x"), CreateObject("Tag", "y")])
    crossed = {mutator(stage, seed).cross(GOOD, other, 2000) for seed in range(30)}
    assert {GOOD, other} < crossed | {GOOD, other}
    assert all(readable_part(data) for data in crossed if data)


def test_mutations_are_cut_to_the_size_allowed(stage: Stage) -> None:
    for seed in range(20):
        assert len(mutator(stage, seed).mutate(CHANGESETS[-1], 60)) <= 60


# --- the command ------------------------------------------------------------------------------------------------------


def test_without_atheris_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert command.main(["parser"]) == 2
    assert "pip install 'syncline[fuzz]'" in capsys.readouterr().err


def test_compiled_modules_cannot_be_fuzzed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(command, "is_compiled", lambda: True)
    assert command.main(["apply"]) == 2
    assert "interpreted" in capsys.readouterr().err


def test_the_command_tells_inputs_that_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process that fails in place of the fuzzer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(command, "is_compiled", lambda: False)
    work = tmp_path / "work"
    for script, status in (("", 0), ("open('work-failed/crash-1', 'w').write('x'); raise SystemExit(77)", 1)):
        monkeypatch.setattr(command, "_SESSION", ("-c", script))
        assert command.main(["parser", "--seconds", "1", "--work", str(work)]) == status
    assert (tmp_path / "failed-parser-crash-1").read_text() == "x"
    assert "an input that fails: failed-parser-crash-1" in capsys.readouterr().err
