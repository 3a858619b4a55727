"""Instructions in words."""

from __future__ import annotations

import pytest
from tests.changesets.handmade import EVERYTHING, KEYS

from syncline.changesets.describe import describe, key_text, name_text, place_text, source_text
from syncline.changesets.instructions import (
    AddColumn,
    AddTable,
    ArrayErase,
    ArrayInsert,
    ArrayMove,
    Clear,
    CreateObject,
    EraseColumn,
    EraseObject,
    EraseTable,
    Instruction,
    SetErase,
    Update,
)
from syncline.values import GlobalKey, ObjectId, kinds


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        (AddTable("Person", kinds.TOP_LEVEL, "id", kinds.INT, False), "AddTable of Person"),
        (EraseTable("Person"), "EraseTable of Person"),
        (AddColumn("Person", "age", kinds.INT, False, 0, "", kinds.STRING), "AddColumn of Person.age"),
        (EraseColumn("Person", "age"), "EraseColumn of Person.age"),
        (CreateObject("Person", 7), "CreateObject of Person[7]"),
        (EraseObject("Person", "Ann"), "EraseObject of Person[…]"),
        (Update("Person", None, "age", (), kinds.INT, 3), "Update of Person[null].age"),
        (
            Update("P", GlobalKey(1, 2), "ages", (2,), kinds.INT, 3, prior_size=4),
            "Update of P[1-2].ages[2] (list of 4)",
        ),
        (ArrayInsert("P", 1, "m", ("Ann", 0), kinds.INT, 3, 0), "ArrayInsert of P[1].m[…][0] (list of 0)"),
        (ArrayMove("P", 1, "m", (3,), 5, 9), "ArrayMove of P[1].m[3] to [5] (list of 9)"),
        (ArrayErase("P", ObjectId(bytes(12)), "m", (3,), 9), f"ArrayErase of P[{'00' * 12}].m[3] (list of 9)"),
        (Clear("P", 1, "m", ("Ann",), 0), "Clear of P[1].m[…]"),
        (SetErase("P", 1, "m", (), kinds.STRING, "Ann"), "SetErase of P[1].m"),
    ],
)
def test_descriptions(instruction: Instruction, words: str) -> None:
    assert describe(instruction) == words


def test_every_instruction_can_be_described_and_tells_no_strings() -> None:
    for instruction in EVERYTHING:
        words = describe(instruction)
        assert words.startswith(type(instruction).__name__)
        assert "é" not in words
        assert words.isprintable()


def test_keys_show_what_they_are_but_no_text() -> None:
    assert {key_text(key) for key in KEYS if isinstance(key, str)} == {"[…]"}
    assert len({key_text(key) for key in KEYS if not isinstance(key, str)}) == 8


def test_long_paths_and_names_are_cut() -> None:
    assert place_text("P", 1, "f", tuple(range(9))) == "P[1].f[0][1][2][3][4][5][6][7]…"
    assert name_text("x" * 64) == "x" * 64
    assert name_text("x" * 65) == "x" * 64 + "…"


def test_names_are_escaped() -> None:
    assert name_text("a\nb") == "a\\nb"
    assert name_text("é") == "é"
    assert name_text("\udcff\x1b") == "\\udcff\\x1b"


def test_sources() -> None:
    assert source_text(7, 3) == "version 7 (client file 3)"
