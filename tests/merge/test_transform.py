"""The driver: what is touched, in which order, who is told (spec/merge.md §2.4, §3)."""

from __future__ import annotations

import pytest
from tests.merge.notation import contents, expected, side

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode
from syncline.changesets.instructions import ArrayInsert, Instruction, Update
from syncline.merge import Footprint, pace, transform
from syncline.merge.observer import LEFT_CHANGED, LEFT_DISCARDED, PREPENDED, RIGHT_CHANGED, RIGHT_DISCARDED
from syncline.values import kinds


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Set 1.i=1", "Set 2.i=2"),
        ("Set 1.i=1", "Set U/1.i=2"),
        ("Set 1.i=1; Ins 1.l[0]=1 ⟨0⟩", "Set 1.j=2; S+ 1.s 1"),
        ("Create 1; Set 1.i=1", "Create 1; Set 1.j=1"),
        ("AddTable T pk _id int; AddColumn T.i int", "AddTable U pk _id int; AddColumn U.i int; Create 1"),
        ("EraseColumn T.i", "Set 1.j=1"),
        ("∅", "Set 1.i=1"),
    ],
)
def test_what_cannot_meet_is_not_touched(ours: str, theirs: str) -> None:
    sides = side(f"@1 {ours}", 2), side(f"@2 {theirs}", 3)
    before = [changeset.instructions for changesets in sides for changeset in changesets]
    transform(*sides)
    after = [changeset.instructions for changesets in sides for changeset in changesets]
    assert all(one is other for one, other in zip(before, after, strict=True))
    assert [changeset.dirty for changesets in sides for changeset in changesets] == [False, False]


def test_only_changesets_that_change_are_dirty() -> None:
    ours = side("@1/2/3 Set 1.i=1 ‖ Set 1.j=1 ‖ Set 1.k=1; Set 1.i=3", 2)
    theirs = side("@4/5 Set 1.j=2 ‖ Set 1.l=3", 3)
    transform(ours, theirs)
    assert [changeset.dirty for changeset in ours] == [False, True, False]
    assert [changeset.dirty for changeset in theirs] == [False, False]


def test_nothing_to_merge() -> None:
    transform([], [])
    ours = side("@1 Set 1.i=1", 2)
    transform(ours, [])
    transform([], ours)
    assert contents(ours) == expected("Set 1.i=1")


def test_incoming_changesets_take_part_by_version_then_sequence() -> None:
    ours = side("@9 Ins 1.l[0]=1 ⟨0⟩", 2)
    late, early = side("@5/1 Ins 1.l[1]=8 ⟨1⟩ ‖ Ins 1.l[0]=9 ⟨0⟩", 3)
    late.version = early.version = 4
    late.sequence, early.sequence = 1, 0
    transform(ours, [late, early])
    assert contents([early, late]) == expected("Ins 1.l[0]=9 ⟨1⟩ ‖ Ins 1.l[1]=8 ⟨2⟩")
    assert contents(ours) == expected("Ins 1.l[2]=1 ⟨2⟩")


def test_the_table_of_strings_survives() -> None:
    """A changeset that lost instructions keeps all its strings; one that lost all is zero bytes (§3.2)."""
    ours = [decode(encode(changeset)) for changeset in side("@1/1 Set 1.i=1; Set 1.j=2 ‖ Set 1.i=1", 2)]
    theirs = side("@2 Set 1.i=2", 3)
    for changeset in ours:
        changeset.origin_file_ident = 2
    strings = list(ours[0].strings)
    transform(ours, theirs)
    assert ours[0].strings == strings
    assert decode(encode(ours[0])).strings == strings
    assert encode(ours[1]) == b""


def test_a_prepended_instruction_is_encoded() -> None:
    ours = [decode(encode(changeset)) for changeset in side("@1 EraseTable U", 2)]
    transform(ours, side("@2 AddColumn T.u link→U", 3))
    assert contents([decode(encode(ours[0]))]) == expected("EraseColumn T.u; EraseTable U")


# --- the observer -----------------------------------------------------------------------------------------------------


class _Notes:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.fired: list[tuple[str, str, str, str, int, int, int]] = []

    def rule_fired(
        self,
        rule: str,
        reason: str,
        left: Instruction,
        left_changeset: Changeset,
        right: Instruction,
        right_changeset: Changeset,
        effect: int,
    ) -> None:
        idents = left_changeset.origin_file_ident, right_changeset.origin_file_ident
        self.fired.append((rule, reason, repr(left), repr(right), *idents, effect))


def _watch(ours: str, theirs: str) -> _Notes:
    notes = _Notes()
    transform(side(f"@1 {ours}", 2), side(f"@2 {theirs}", 3), notes)
    return notes


def test_an_observer_is_told_who_wins_and_why() -> None:
    ((rule, reason, left, right, left_ident, right_ident, effect),) = _watch("Set 1.i=1", "Set 1.i=2").fired
    assert rule == "5.6 Update × Update"
    assert reason == "the later change wins"
    assert "value=1" in left
    assert "value=2" in right
    assert (left_ident, right_ident, effect) == (2, 3, LEFT_DISCARDED)


def test_an_observer_sees_the_instructions_as_they_are_by_then() -> None:
    first, second = _watch("Ins 1.l[0]=1 ⟨1⟩; Ins 1.l[1]=2 ⟨2⟩", "Ins 1.l[1]=8 ⟨1⟩").fired
    assert "path=(0,)" in first[2]
    assert "path=(2,)" in first[3]
    assert "path=(1,)" in second[2]
    assert "path=(3,)" in second[3]
    assert first[6] == second[6] == LEFT_CHANGED + RIGHT_CHANGED


def test_an_observer_is_told_of_nested_rules_with_the_outer_one_left() -> None:
    ((rule, _, left, _, _, _, effect),) = _watch("Set 1.e.v=1", "Set 1.e=null").fired
    assert rule == "5.2 Update ⊃ any"
    assert "path=()" in left
    assert effect == RIGHT_DISCARDED


def test_an_observer_is_told_that_both_stay() -> None:
    fired = _watch("Set 1.m=List; Set 1.i=null; Set 1.j=1", "Set 1.m=List; Add 1.i+1; Set 1.k=1").fired
    assert [(event[0], event[6]) for event in fired] == [("5.6 Update × Update", 0), ("5.6 AddInteger × Update", 0)]


def test_an_observer_is_told_of_prepending() -> None:
    ((rule, _, _, _, _, _, effect),) = _watch("EraseTable U", "AddColumn T.u link→U").fired
    assert rule == "5.3 AddColumn × EraseTable"
    assert effect == LEFT_DISCARDED + PREPENDED


def test_an_observer_changes_nothing() -> None:
    text = "Ins 1.l[0]=1 ⟨1⟩; Mov 1.l[0]⇒1 ⟨2⟩; Del 1.l[0] ⟨2⟩; Set 1.i=1; Erase 2"
    other = "Ins 1.l[1]=1 ⟨1⟩; Set 1.l[0]=1 ⟨2⟩; Add 1.i+1; Set 2.i=1; Create 2"
    watched, silent = [(side(f"@1 {text}", 2), side(f"@2 {other}", 3)) for _ in range(2)]
    transform(*watched, _Notes())
    transform(*silent)
    for one, another in zip(watched, silent, strict=True):
        assert contents(one) == contents(another)
        assert [c.dirty for c in one] == [c.dirty for c in another]


# --- footprints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "may_meet"),
    [
        ("Set 1.i=1", "Create 1", True),
        ("Set 1.i=1", "Set 2.i=1", False),
        ("AddTable T pk _id int", "AddTable T pk _id int", True),
        ("AddTable T pk _id int", "Create 1", False),
        ("AddColumn T.i int", "AddColumn T.i int", True),
        ("AddColumn T.i int", "AddColumn T.j int", False),
        ("EraseTable U", "Set 1.i=1", True),
        ("EraseColumn U.i", "Set 1.i=1", True),
    ],
)
def test_footprints(one: str, other: str, may_meet: bool) -> None:
    first, second = Footprint.of(side(f"@1 {one}", 2)), Footprint.of(side(f"@1 {other}", 3))
    assert first.may_meet(second) == second.may_meet(first) == may_meet


# --- long merges ------------------------------------------------------------------------------------------------------


def test_other_threads_get_a_turn_during_a_long_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = (
        [Changeset([ArrayInsert("T", 1, "l", (n,), kinds.INT, n, n) for n in range(400)], [], 1, 0, ident, ident)]
        for ident in (2, 3)
    )
    turns: list[None] = []
    monkeypatch.setattr(pace, "let_others_run", lambda: turns.append(None))
    transform(ours, theirs)
    assert len(turns) >= 400 * 400 // 6_000
    assert theirs[0].instructions[-1].path == (799,)


def test_other_threads_get_a_turn_while_many_short_fields_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 6_000
    ours, theirs = (
        [Changeset([Update("T", n, "i", (), kinds.INT, n) for n in range(count)], [], 1, 0, ident, ident)]
        for ident in (2, 3)
    )
    notes = _Notes()
    turns: list[int] = []
    monkeypatch.setattr(pace, "let_others_run", lambda: turns.append(len(notes.fired)))
    transform(ours, theirs, notes)
    assert [met for met in turns if 0 < met < count], "no turn between the first pair and the last one"
