"""Every input of the corpus does what it should: once more what the fuzzers check, without them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.testing.fuzz import parser
from syncline.testing.fuzz.apply import Stage
from syncline.testing.fuzz.corpus import load
from syncline.testing.fuzz.outcome import Outcome

CORPUS = Path(__file__).parent / "corpus"
PARSER = load(CORPUS / "parser")
APPLY = load(CORPUS / "apply")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.mark.parametrize("name", PARSER)
def test_parser(name: str) -> None:
    parser.check(PARSER[name])


@pytest.mark.parametrize("name", APPLY)
def test_apply(stage: Stage, name: str) -> None:
    stage.check(APPLY[name])


def test_inputs_for_the_parser_are_no_strangers_to_applying(stage: Stage) -> None:
    for data in PARSER.values():
        stage.check(data)


def test_the_corpus_has_inputs_of_every_outcome(stage: Stage) -> None:
    assert {parser.check(data) for data in PARSER.values()} == {Outcome.READ, Outcome.MALFORMED}
    assert {stage.check(data) for data in APPLY.values()} >= {Outcome.APPLIED, Outcome.REFUSED}
