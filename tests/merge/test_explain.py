"""Explanations of merges: every rule in words, the right winner, nothing changed, nothing paid where nobody asks."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import pytest
from tests.merge.explanations import examples, explained, snapshot
from tests.merge.notation import NothingEmbedded, contents, copied, side
from tests.merge.test_rules import _EARLIER

from syncline.changesets.instructions import Update
from syncline.errors import TransformError
from syncline.merge import ANY_KEY, Explanation, explain, transform
from syncline.merge.rules import NESTED, REGULAR
from syncline.merge.wording import key_text, time_text, value_text, words
from syncline.values import Decimal128, GlobalKey, Link, ObjectId, Timestamp, kinds

_SNAPSHOT = Path(__file__).with_name("explanations.txt")


def why(ours: str, theirs: str, key: Any = 1, field: str | None = None, **options: Any) -> list[Explanation]:
    """Explanations about objects of class T, our side being client file 2, theirs 3."""
    return explain(side(ours, 2), side(theirs, 3), "T", key, field, **options)


# --- in words ---------------------------------------------------------------------------------------------------------

#: One of each family: our side, their side, the explanation without its first sentence.
_WORDS = {
    "values": (
        "@10 Set 1.i=7",
        "@20 Set 1.i=9",
        "The later change wins: the change of client file 3 stands; that of client file 2 is dropped."
        " (Rule 5.6 Update × Update)",
    ),
    "equal times": (
        "@10 Set 1.i=7",
        "@10 Set 1.i=9",
        "The later change wins (of equal times, that of the client file with the greater number): the change of client"
        " file 3 stands; that of client file 2 is dropped. (Rule 5.6 Update × Update)",
    ),
    "defaults": (
        "@10 Set 1.i=7",
        "@20 Set 1.i=9 (default)",
        "A value that was set wins over a default value, whatever their times: the change of client file 2 stands; that"
        " of client file 3 is dropped. (Rule 5.6 Update × Update)",
    ),
    "counters": (
        "@10 Set 1.i=5",
        "@20 Add 1.i+2",
        "The increment is later, so it is added to the value set: both stand, that of client file 2 now as: set i to 7."
        " (Rule 5.6 AddInteger × Update)",
    ),
    "objects": (
        "@10 Erase 1",
        "@20 Set 1.i=9",
        "The object was erased, which wins over any other change of it: the change of client file 2 stands; that of"
        " client file 3 is dropped. (Rule 5.2 EraseObject ⊃ any)",
    ),
    "embedded objects": (
        "@10 Set 1.e=null",
        "@20 Set 1.e.v=7",
        "A change of the whole wins over a change inside it, whatever their times: the change of client file 2 stands;"
        " that of client file 3 is dropped. (Rule 5.2 Update ⊃ any)",
    ),
    "insertions": (
        "@10 Ins 1.l[1]=7 ⟨2⟩",
        "@20 Ins 1.l[1]=8 ⟨2⟩",
        "Both are put at the same place of the list, so their times decide which comes first: both stand, that of"
        " client file 3 now as: insert 8 at l[2]. (Rule 5.7 ArrayInsert × ArrayInsert)",
    ),
    "moves": (
        "@10 Mov 1.l[0]⇒2 ⟨3⟩",
        "@20 Mov 1.l[0]⇒1 ⟨3⟩",
        "The later move of the same list element wins: the change of client file 3 stands, now as: move l[2] to [1];"
        " that of client file 2 is dropped. (Rule 5.7 ArrayMove × ArrayMove)",
    ),
    "erased elements": (
        "@10 Del 1.l[1] ⟨2⟩",
        "@20 Del 1.l[1] ⟨2⟩",
        "The list element was erased, which wins over a change or move of it: nothing is left to do of either."
        " (Rule 5.7 ArrayErase × ArrayErase)",
    ),
    "clears": (
        "@20 Clr 1.s (Set)",
        "@10 S+ 1.s 1",
        "Clearing the collection wins over a change in it, whatever their times: the change of client file 2 stands;"
        " that of client file 3 is dropped. (Rule 5.8 SetInsert × Clear)",
    ),
    "sets": (
        "@10 S+ 1.s 1",
        "@20 S− 1.s 1",
        "The later change wins: the change of client file 3 stands; that of client file 2 is dropped."
        " (Rule 5.8 SetErase × SetInsert)",
    ),
    "properties": (
        "@10 EraseColumn T.i",
        "@20 Set 1.i=1",
        "The property was erased, which wins over any change of it: the change of client file 2 stands; that of client"
        " file 3 is dropped. (Rule 5.4 EraseColumn × any change of the property)",
    ),
    "classes": (
        "@10 EraseTable T",
        "@20 Create 1",
        "The class was erased, which wins over any change in it: the change of client file 2 stands; that of client"
        " file 3 is dropped. (Rule 5.2 EraseTable ⊃ any)",
    ),
}


@pytest.mark.parametrize("family", _WORDS)
def test_every_family_of_rules_in_words(family: str) -> None:
    ours, theirs, expected = _WORDS[family]
    (explanation,) = why(ours, theirs)
    first, _, rest = str(explanation).partition("). ")
    assert rest == expected
    assert " wanted to " in first


def test_a_whole_paragraph_with_names() -> None:
    (explanation,) = why('@375580800005 Set 1.name="Max"', '@375580800000 Set 1.name="Rex"')
    assert explanation.describe({2: "ann", 3: "bob"}) == (
        'Bob wanted to set name to "Rex" (2026-11-26 00:00:00.000 UTC), '
        'ann wanted to set name to "Max" (2026-11-26 00:00:00.005 UTC). '
        "The later change wins: the change of ann stands; that of bob is dropped. (Rule 5.6 Update × Update)"
    )


def test_the_examples_of_the_specification_are_explained_as_always() -> None:
    """E1 to E67 and E-S1 to E-S12; see ``explanations.py`` for how to renew the snapshot."""
    assert snapshot() == _SNAPSHOT.read_text()


# --- completeness -----------------------------------------------------------------------------------------------------


def test_every_rule_that_can_decide_is_in_some_explanation() -> None:
    numbers = {rule.number for rule in [*REGULAR, *NESTED] if rule is not None}
    told = set()
    sides = [(ours, theirs) for _, ours, theirs in examples()]
    sides += [(side(f"@10 {ours}", 2), side(f"@20 {theirs}", 3)) for ours, theirs, _, _ in _EARLIER.values()]
    for ours, theirs in sides:
        told |= {explanation.rule for explanation in explained(ours, theirs)}
    assert told == numbers


@pytest.mark.parametrize("name", [name for name, _, _ in examples()])
def test_what_is_dropped_is_what_merging_drops(name: str) -> None:
    ours, theirs = next((a, b) for other, a, b in examples() if other == name)
    merged_ours, merged_theirs = copied(ours), copied(theirs)
    transform(merged_ours, merged_theirs)
    before = sum(len(changeset.instructions) for changeset in ours + theirs)
    after = sum(len(changeset.instructions) for changeset in merged_ours + merged_theirs)
    dropped, prepended = set(), 0
    for explanation in explained(ours, theirs):
        sides = ((explanation.left, explanation.left_result), (explanation.right, explanation.right_result))
        dropped |= {str((change.author, change.version, change.text)) for change, result in sides if result is None}
        prepended += explanation.rule == "5.3 AddColumn × EraseTable"
    assert len(dropped) == before - after + prepended


def test_neither_side_is_changed() -> None:
    ours, theirs = side("@10 Ins 1.l[0]=7 ⟨1⟩; Set 1.i=1", 2), side("@20 Ins 1.l[0]=8 ⟨1⟩; Set 1.i=2", 3)
    before = contents(ours), contents(theirs)
    explanations = explain(ours, theirs, "T", 1)
    assert (contents(ours), contents(theirs)) == before
    assert not ours[0].dirty
    texts = [str(explanation) for explanation in explanations]
    transform(ours, theirs)
    assert [str(explanation) for explanation in explanations] == texts  # nor do they follow what happens later


def test_contradictions_raise_as_in_merging() -> None:
    with pytest.raises(TransformError):
        why("@1 AddTable T pk _id int", "@2 AddTable T pk id int")


# --- what is asked for ------------------------------------------------------------------------------------------------


def test_only_the_object_and_property_that_were_asked_for() -> None:
    ours, theirs = "@10 Set 1.i=1; Set 1.j=1; Set 2.i=1", "@20 Set 1.i=2; Set 1.j=2; Set 2.i=2"
    assert len(why(ours, theirs, ANY_KEY)) == 3
    assert len(why(ours, theirs, 1)) == 2
    assert [e.left.text for e in why(ours, theirs, 1, "j")] == ["set j to 1"]
    assert why(ours, theirs, 3) == why(ours, theirs, 1, "k") == []
    assert explain(side(ours, 2), side(theirs, 3), "U") == []


def test_only_the_place_that_was_asked_for() -> None:
    ours, theirs = "@10 Set 1.d.a=1; Set 1.d.b=1", "@20 Set 1.d.a=2; Set 1.d.b=2"
    assert [e.left.text for e in why(ours, theirs, 1, "d", path=("b",))] == ["set d.b to 1"]
    assert len(why("@10 Set 1.d.a=1", "@20 Set 1.d.a=2", 1, "d")) == 1
    assert len(why("@10 Set 1.e=null", "@20 Set 1.e.v=2", 1, "e", path=("v",))) == 1
    assert why("@10 Set 1.e=null", "@20 Set 1.e.v=2", 1, "e", path=("w",)) == []


def test_the_deletion_of_an_object_concerns_its_properties() -> None:
    ours, theirs = "@10 Erase 1", "@20 Set 1.i=2; Set 1.j=3"
    assert [e.right.text for e in why(ours, theirs, 1, "j")] == ["set j to 3"]


def test_shifts_are_told_only_if_asked_for() -> None:
    ours, theirs = "@10 Ins 1.l[0]=7 ⟨2⟩", "@20 Ins 1.l[1]=8 ⟨2⟩"
    assert why(ours, theirs) == []
    (explanation,) = why(ours, theirs, shifts=True)
    assert explanation.is_shift
    assert explanation.winner is explanation.loser is None
    (lost,) = why("@10 Del 1.l[1] ⟨2⟩", "@20 Mov 1.l[0]⇒1 ⟨2⟩")  # the move has nowhere to go: that is no mere shift
    assert lost.loser is not None


def test_schema_that_both_bring_along_says_nothing_about_an_object() -> None:
    schema = "@1 AddTable T pk _id int; AddColumn T.i int"
    assert why(schema, schema.replace("@1", "@2")) == []
    assert len(why(schema, schema.replace("@1", "@2"), ANY_KEY)) == 2
    assert len(why("@1 EraseColumn T.i", "@2 AddColumn T.i int", 1, "i")) == 1
    assert why("@1 EraseColumn T.i", "@2 AddColumn T.i int", 1, "j") == []


def test_they_come_in_the_order_of_time() -> None:
    explanations = why("@30/10 Set 1.i=1 ‖ Set 1.j=1", "@20/40 Set 1.j=2 ‖ Set 1.i=2")
    assert [max(e.left.timestamp, e.right.timestamp) for e in explanations] == [20, 40]


def test_the_winner_and_the_loser() -> None:
    (explanation,) = why("@10 Set 1.i=1", "@20 Set 1.i=2")
    assert explanation.winner is not None
    assert explanation.loser is not None
    assert (explanation.winner.author, explanation.loser.author) == (3, 2)
    assert (explanation.winner.object, explanation.winner.version, explanation.winner.timestamp) == ("T[1]", 1, 20)
    assert explanation.to_json() == {
        "rule": "5.6 Update × Update",
        "reason": "the later change wins",
        "winner": 3,
        "changes": [
            {
                "object": "T[1]",
                "text": "set i to 1",
                "author": 2,
                "at": "2015-01-01 00:00:00.010 UTC",
                "version": 1,
                "result": None,
            },
            {
                "object": "T[1]",
                "text": "set i to 2",
                "author": 3,
                "at": "2015-01-01 00:00:00.020 UTC",
                "version": 1,
                "result": "set i to 2",
            },
        ],
    }
    (both,) = why("@10 Del 1.l[0] ⟨1⟩", "@20 Del 1.l[0] ⟨1⟩")
    assert both.winner is both.loser is None


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("time", "is_default", "reason"), [(10, False, "The later change wins"), (30, True, "A value that was set wins")]
)
def test_a_value_that_gave_way_to_a_collection_has_lost(
    time: int, is_default: bool, reason: str, swapped: bool
) -> None:
    plain = side(f"@{time} Set 1.m=1{' (default)' if is_default else ''}", 2)
    collection = side("@20 Set 1.m=Dict; Set 1.m.a=2", 3)
    sides = (collection, plain) if swapped else (plain, collection)
    first, second = explain(*sides, "T", 1, schema=NothingEmbedded())
    assert first.winner is not None
    assert first.loser is not None
    assert (first.winner.author, first.loser.author) == (3, 2)
    assert first.verdict({}).startswith(reason)
    assert "client file 3 stands; that of client file 2 gives way, now as: remove what was in m before." in str(first)
    assert second.winner is second.loser is None
    assert "both stand" in str(second)


def test_an_instruction_that_a_rule_put_in_has_its_author() -> None:
    ours, theirs = "@1 EraseTable U", "@2 AddColumn T.u link→U; AddColumn T.v int; Set 1.u=→U/1"
    explanations = why(ours, theirs, ANY_KEY)
    assert [(e.rule, e.right.text, e.right.author) for e in explanations] == [
        ("5.3 AddColumn × EraseTable", "erase the class U", 2),
        ("5.4 EraseColumn × any change of the property", "set u to U[1]", 3),
    ]
    assert explanations[1].left.text == "erase the property T.u"
    assert explanations[0].left.object == "T"


def test_the_server_is_named() -> None:
    (explanation,) = explain(side("@10 Set 1.i=1", 1), side("@20 Set 1.i=2", 3), "T", 1)
    assert str(explanation).startswith("The server wanted to set i to 1")


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (kinds.NULL, None, "null"),
        (kinds.BOOL, True, "true"),
        (kinds.BOOL, False, "false"),
        (kinds.STRING, 'a "b"\n', r'"a \"b\"\n"'),
        (kinds.STRING, "x" * 100, '"' + "x" * 60 + '…"'),
        (kinds.STRING, "\x1b[31mred\udc80", '"\ufffd[31mred\ufffd"'),
        (kinds.BINARY, b"\x01\x02", "2 bytes (0102)"),
        (kinds.BINARY, bytes(20), "20 bytes (" + "00" * 16 + "…)"),
        (kinds.TIMESTAMP, Timestamp(1714564800, 0), "2024-05-01 12:00:00 UTC"),
        (kinds.TIMESTAMP, Timestamp(1714564800, 5), "2024-05-01 12:00:00.000000005 UTC"),
        (kinds.TIMESTAMP, Timestamp(1 << 62, 0), f"{1 << 62} seconds after 1970"),
        (kinds.FLOAT, 0.10000000149011612, "0.100000001"),
        (kinds.DOUBLE, 0.1, "0.1"),
        (kinds.DECIMAL, Decimal128(150, -2), "1.50"),
        (kinds.LINK, Link("Dog", "rex"), 'Dog["rex"]'),
        (kinds.OBJECT_ID, ObjectId("64b0" * 6), "64b0" * 6),
        (kinds.UUID, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (kinds.OBJECT, None, "a new embedded object"),
        (kinds.LIST, None, "a list"),
        (kinds.DICTIONARY, None, "a dictionary"),
        (kinds.ERASED, None, "nothing"),
    ],
)
def test_values_in_words(kind: int, value: object, expected: str) -> None:
    assert value_text(kind, value) == expected
    update = Update("T", 1, "i", (), kind, value)
    assert words(update) == ("remove i" if kind == kinds.ERASED else f"set i to {expected}")


def test_keys_and_times_in_words() -> None:
    assert [key_text(key) for key in (None, 7, "ann", GlobalKey(3, 17))] == ["null", "7", '"ann"', "3-17"]
    assert time_text(0) == "2015-01-01 00:00:00.000 UTC"
    assert time_text(1 << 62) == f"{1 << 62} ms after 2015"


# --- what it costs ----------------------------------------------------------------------------------------------------


class _Counting:
    """An observer that counts."""

    def __init__(self) -> None:
        self.calls = 0

    def rule_fired(self, *arguments: Any) -> None:
        self.calls += 1


def test_without_an_observer_nobody_is_called() -> None:
    counting = _Counting()
    for _, ours, theirs in examples():
        transform(copied(ours), copied(theirs), counting)
    assert counting.calls > 50
    seen: list[str] = []

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            seen.append(frame.f_code.co_name)

    pairs = [(copied(ours), copied(theirs)) for _, ours, theirs in examples()]
    sys.setprofile(profile)
    try:
        for ours, theirs in pairs:
            transform(ours, theirs)
    finally:
        sys.setprofile(None)
    assert not {"_watched", "rule_fired", "words"} & set(seen)
