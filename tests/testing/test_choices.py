"""Sources of decisions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.testing.choices import BytesChoices, Choices, RandomChoices, pick_weighted
from syncline.testing.strategies import DrawnChoices


def _made(choices: Choices) -> list[object]:
    made: list[object] = []
    for _ in range(20):
        made += [choices.integer(-2, 300), choices.pick("abc"), choices.chance(30), choices.integer(7, 7)]
    return made


def _in_range(made: list[object]) -> bool:
    return all(
        -2 <= number <= 300 and letter in "abc" and chance in (True, False) and seven == 7
        for number, letter, chance, seven in zip(made[::4], made[1::4], made[2::4], made[3::4], strict=True)
    )


def test_a_seed_makes_the_same_decisions_everywhere() -> None:
    assert _made(RandomChoices(1)) == _made(RandomChoices(1)) != _made(RandomChoices(2))
    assert [RandomChoices(7).integer(0, 99), RandomChoices(7).pick(range(99)), RandomChoices(7).chance(50)] == [
        41,
        41,
        True,
    ]


@given(st.binary(max_size=90))
def test_bytes_choose_within_the_limits(data: bytes) -> None:
    assert _in_range(_made(BytesChoices(data)))


@given(st.data())
def test_hypothesis_chooses_within_the_limits(data: st.DataObject) -> None:
    assert _in_range(_made(DrawnChoices(data.draw)))


def test_no_bytes_choose_the_simplest() -> None:
    assert _made(BytesChoices(b"")) == _made(BytesChoices(bytes(8))) == [-2, "a", False, 7] * 20


def test_bytes_reach_every_option() -> None:
    chosen = {BytesChoices(bytes([byte, other])).integer(0, 299) for byte in range(256) for other in range(256)}
    assert chosen == set(range(300))
    assert {BytesChoices(bytes([byte])).pick("abc") for byte in range(256)} == set("abc")
    assert [BytesChoices(bytes([byte])).chance(25) for byte in range(256)].count(True) == pytest.approx(64, abs=3)


def test_weights() -> None:
    choices = RandomChoices(3)
    picked = [pick_weighted(choices, {"a": 1, "b": 0, "c": 9}) for _ in range(1000)]
    assert picked.count("b") == 0
    assert 50 < picked.count("a") < 200
    assert pick_weighted(BytesChoices(b""), {"a": 1, "c": 9}) == "a"
    with pytest.raises(ValueError, match="nothing to pick"):
        pick_weighted(BytesChoices(b""), {"a": 0, "b": 0})
