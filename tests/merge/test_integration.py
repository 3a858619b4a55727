"""The reciprocal step over a history in memory (spec/merge.md §8.2, §9.4)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.merge.notation import contents, expected, side

from syncline.changesets.changeset import Changeset
from syncline.changesets.codec import decode, encode
from syncline.errors import BadChangesetError, TransformError
from syncline.merge import Footprint, WindowEntry, integrate


class _History:
    """Own entries from version 1 on, and what is stored about them."""

    def __init__(self, text: str, ident: int = 0) -> None:
        self.changesets = side(text, ident)
        self.entries = [
            WindowEntry(c.version, c.origin_timestamp, ident, encode(c)) for c in self.changesets if c.instructions
        ]
        self.reciprocals: list[tuple[int, bytes]] = []
        self.asked: list[tuple[int, int]] = []
        self.stored = 0

    def window(self, after: int, up_to: int) -> list[WindowEntry]:
        self.asked.append((after, up_to))
        return [entry for entry in self.entries if after < entry.version <= up_to]

    def set_reciprocals(self, reciprocals: Sequence[tuple[int, bytes]]) -> None:
        self.stored += 1
        self.reciprocals += reciprocals

    def shown(self) -> dict[int, list[list[tuple[object, ...]]]]:
        return {version: contents([decode(data)]) for version, data in self.reciprocals}


class _Applied:
    """Notes what is applied; asks to stop after ``limit`` changesets."""

    def __init__(self, limit: int = 1 << 30) -> None:
        self.changesets: list[Changeset] = []
        self.limit = limit

    def __call__(self, changeset: Changeset) -> bool:
        self.changesets.append(changeset)
        return len(self.changesets) < self.limit


def _incoming(text: str, bases: tuple[int, ...], ident: int = 3) -> list[Changeset]:
    changesets = side(text, ident)
    for changeset, base in zip(changesets, bases, strict=True):
        changeset.last_integrated_remote_version = base
    return changesets


def test_without_own_changes_everything_is_applied_as_it_came() -> None:
    history = _History("@1 ∅")
    applied = _Applied()
    incoming = _incoming("@1/2 Set 1.i=1 ‖ Set 1.i=2", (0, 1))
    assert integrate(history, 2, 1, incoming, applied) == 2
    assert applied.changesets == incoming
    assert contents(incoming) == expected("Set 1.i=1 ‖ Set 1.i=2")
    assert history.stored == 0


def test_nothing_incoming() -> None:
    history = _History("@1 Set 1.i=1")
    assert integrate(history, 2, 1, [], _Applied()) == 0
    assert history.stored == 0


def test_reciprocals_are_stored_once_and_ascending() -> None:
    history = _History("@5/6/7 Ins 1.l[0]=1 ⟨0⟩ ‖ Set 2.i=1 ‖ Ins 1.l[1]=2 ⟨1⟩")
    incoming = _incoming("@1 Ins 1.l[0]=9 ⟨0⟩", (0,))
    integrate(history, 2, 3, incoming, _Applied())
    assert history.stored == 1
    assert history.shown() == {1: expected("Ins 1.l[1]=1 ⟨1⟩"), 3: expected("Ins 1.l[2]=2 ⟨2⟩")}
    assert [version for version, _ in history.reciprocals] == [1, 3]


def test_an_entry_of_which_nothing_is_left_has_an_empty_reciprocal() -> None:
    history = _History("@1 Set 1.i=1")
    integrate(history, 2, 1, _incoming("@5 Set 1.i=2", (0,)), _Applied())
    assert history.reciprocals == [(1, b"")]


def test_an_empty_reciprocal_is_no_original() -> None:
    """What was discarded once does not come back (trap 10)."""
    history = _History("@9 Set 1.i=1")
    history.entries = [history.entries[0]._replace(changeset=b"", is_reciprocal=True)]
    incoming = _incoming("@5 Set 1.i=2", (0,))
    integrate(history, 2, 1, incoming, _Applied())
    assert contents(incoming) == expected("Set 1.i=2")
    assert history.stored == 0


def test_later_groups_meet_what_earlier_groups_left() -> None:
    history = _History("@1/2 Ins 1.l[0]=1 ⟨0⟩ ‖ Ins 1.l[1]=2 ⟨1⟩")
    incoming = _incoming("@5/6 Ins 1.l[0]=8 ⟨0⟩ ‖ Ins 1.l[2]=9 ⟨2⟩", (0, 1))
    integrate(history, 2, 2, incoming, _Applied())
    assert contents(incoming) == expected("Ins 1.l[2]=8 ⟨2⟩ ‖ Ins 1.l[3]=9 ⟨3⟩")
    assert history.shown() == {1: expected("Ins 1.l[0]=1 ⟨1⟩"), 2: expected("Ins 1.l[1]=2 ⟨3⟩")}
    assert history.asked == [(0, 2)]


def test_the_window_ends_at_the_version_before_the_step() -> None:
    history = _History("@1/2 Set 1.i=1 ‖ Set 1.j=1")
    incoming = _incoming("@5 Set 1.i=2; Set 1.j=2", (0,))
    integrate(history, 2, 1, incoming, _Applied())
    assert list(history.shown()) == [1]


def test_a_base_at_the_end_reads_nothing() -> None:
    history = _History("@9 Set 1.i=1")
    incoming = _incoming("@5 Set 1.i=2", (1,))
    integrate(history, 2, 1, incoming, _Applied())
    assert history.asked == []
    assert contents(incoming) == expected("Set 1.i=2")


def test_bases_may_go_back() -> None:
    """The server refuses it beforehand; here it only must not go wrong."""
    history = _History("@1/2 Set 1.i=1 ‖ Set 1.j=1")
    incoming = _incoming("@5/6 Set 1.j=2 ‖ Set 1.i=2", (1, 0))
    integrate(history, 2, 2, incoming, _Applied())
    assert history.asked == [(1, 2), (0, 1)]
    assert history.reciprocals == [(1, b""), (2, b"")]


def test_own_entries_of_ident_0_have_the_local_ident() -> None:
    """Decides only where timestamps tie (trap 21)."""
    for local, kept in ((2, "Set 1.i=2"), (4, "∅")):
        history = _History("@5 Set 1.i=1")
        incoming = _incoming("@5 Set 1.i=2", (0,), ident=3)
        integrate(history, local, 1, incoming, _Applied())
        assert contents(incoming) == expected(kept)


def test_stopping_early() -> None:
    history = _History("@1 Set 9.i=1")
    applied = _Applied(limit=2)
    incoming = _incoming("@1/2/3 Set 1.i=1 ‖ Set 1.i=2 ‖ Set 1.i=3", (0, 0, 0))
    assert integrate(history, 2, 1, incoming, applied) == 2
    assert applied.changesets == incoming[:2]


def test_no_early_stop_within_a_group_that_changed_a_reciprocal() -> None:
    history = _History("@1 Set 1.i=9")
    incoming = _incoming("@2/3/4 Set 1.i=1 ‖ Set 2.i=2 ‖ Set 3.i=3", (0, 0, 1))
    assert integrate(history, 2, 1, incoming, _Applied(limit=1)) == 3
    history = _History("@1/1 Set 1.i=9 ‖ Set 9.i=9")
    incoming = _incoming("@2/3/4 Set 1.i=1 ‖ Set 2.i=2 ‖ Set 3.i=3", (0, 1, 1))
    assert integrate(history, 2, 2, incoming, _Applied(limit=1)) == 2
    assert history.reciprocals == [(1, b"")]


def test_errors_leave_the_reciprocals_alone() -> None:
    history = _History("@1 Set 2.i=9; Ins 1.l[0]=1 ⟨0⟩")
    with pytest.raises(TransformError):
        integrate(history, 2, 1, _incoming("@5/6 Set 2.i=1 ‖ Ins 1.l[0]=1 ⟨7⟩", (0, 0)), _Applied())
    assert history.stored == 0

    def refuse(changeset: Changeset) -> bool:
        raise BadChangesetError("no such object")

    with pytest.raises(BadChangesetError, match="no such object"):
        integrate(history, 2, 1, _incoming("@5 Set 2.i=1", (0,)), refuse)
    assert history.stored == 0


def test_a_footprint_spares_decoding() -> None:
    history = _History("@1/1 Set 1.i=1 ‖ Set 2.i=1")
    footprints = [Footprint.of([changeset]) for changeset in history.changesets]
    damaged = history.entries[1]._replace(changeset=b"\x50", footprint=footprints[1])
    history.entries = [history.entries[0]._replace(footprint=footprints[0]), damaged]
    integrate(history, 2, 2, _incoming("@5 Set 1.i=2", (0,)), _Applied())
    assert history.reciprocals == [(1, b"")]
    with pytest.raises(BadChangesetError):
        integrate(history, 2, 2, _incoming("@5 Set 2.i=2", (0,)), _Applied())


def test_versions_that_tie_take_part_in_the_order_received() -> None:
    """Bootstraps of flexible sync share one version (spec/merge.md §3.1)."""
    history = _History("@9 Ins 1.l[0]=1 ⟨0⟩")
    incoming = _incoming("@1/1 Ins 1.l[0]=8 ⟨0⟩ ‖ Ins 1.l[1]=9 ⟨1⟩", (0, 0))
    for changeset in incoming:
        changeset.version = 7
        changeset.sequence = 0
    integrate(history, 2, 1, incoming, _Applied())
    assert contents(incoming) == expected("Ins 1.l[0]=8 ⟨1⟩ ‖ Ins 1.l[1]=9 ⟨2⟩")
    assert history.shown() == {1: expected("Ins 1.l[2]=1 ⟨2⟩")}
