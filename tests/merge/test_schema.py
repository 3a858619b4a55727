"""Rules that only the schema makes possible: replaced entries of dictionaries, erased embedded properties."""

from __future__ import annotations

from typing import ClassVar

import pytest
from tests.merge.notation import contents, expected, side

from syncline.changesets.instructions import Path
from syncline.merge import transform
from syncline.merge.schema import Columns
from syncline.values import kinds

_SINGLE, _LIST, _DICT = kinds.SINGLE_COLLECTION, kinds.LIST_COLLECTION, kinds.DICTIONARY_COLLECTION


class _Schema:
    """T owns E through e, ee and de; E owns E through next and more, and F through f."""

    _PROPERTIES: ClassVar = {
        ("T", "e"): (_SINGLE, "E"),
        ("T", "ee"): (_LIST, "E"),
        ("T", "de"): (_DICT, "E"),
        ("E", "next"): (_SINGLE, "E"),
        ("E", "more"): (_DICT, "E"),
        ("E", "f"): (_SINGLE, "F"),
    }

    def embedded_property(self, table: str, field: str) -> tuple[int, str] | None:
        return self._PROPERTIES.get((table, field))


def check(a: str, b: str, a_merged: str, b_merged: str) -> None:
    """Merge both ways round; "…" is unchanged."""
    for swapped in (False, True):
        left, right = side(a, 2), side(b, 3)
        if swapped:
            transform(right, left, schema=_Schema())
        else:
            transform(left, right, schema=_Schema())
        for changesets, wanted, text in ((left, a_merged, a), (right, b_merged, b)):
            text = text.partition(" ")[2] if wanted == "…" else wanted
            assert contents(changesets) == expected(text), (swapped, text)


@pytest.mark.parametrize(
    ("field", "path", "is_key", "columns"),
    [
        ("e", (), False, []),
        ("e", ("v",), False, [("E", "v")]),
        ("de", ("k",), True, []),
        ("de", ("k", "v"), False, [("E", "v")]),
        ("ee", (0,), False, []),
        ("ee", (0, "more", "k"), True, [("E", "more")]),
        ("e", ("next", "more", "k"), True, [("E", "next"), ("E", "more")]),
        ("e", ("f", "g"), False, [("E", "f"), ("F", "g")]),
        ("e", (0,), False, []),
        ("m", ("k",), False, []),
        ("e", ("m", "k"), False, [("E", "m")]),
    ],
)
def test_where_a_path_leads(field: str, path: Path, is_key: bool, columns: list[tuple[str, str]]) -> None:
    known = Columns(_Schema())
    assert known.ends_at_key("T", field, path) is is_key
    assert known.inside("T", field, path) == columns


def test_columns_that_changesets_add_are_known() -> None:
    known = Columns(_Schema())
    known.add(side("@1 AddTable U pk _id int; AddColumn U.x link→E dict; AddColumn U.y int", 2))
    assert known.ends_at_key("U", "x", ("k",))
    assert not known.ends_at_key("U", "y", ("k",))


# --- replaced entries (NOTES 6, E67) ----------------------------------------------------------------------------------

_NEW = "Set 1.de.k=Object; Set 1.de.k.v=1"


@pytest.mark.parametrize(("a_time", "b_time"), [(10, 20), (20, 10)])
def test_a_replaced_entry_beats_changes_inside_the_old_one_whatever_their_times(a_time: int, b_time: int) -> None:
    inside = "Set 1.de.k.w=2; Set 1.de.k.next.v=3; Add 1.de.k.w+1; Ins 1.de.k.el[0]=1 ⟨0⟩"
    check(f"@{a_time} {_NEW}", f"@{b_time} {inside}", "…", "∅")


def test_of_two_replacements_the_later_one_wins_whole() -> None:
    other = "Set 1.de.k.v=8; Set 1.de.k=Object; Set 1.de.k.w=9"
    check(f"@10 {_NEW}", f"@20 {other}", "∅", "Set 1.de.k=Object; Set 1.de.k.w=9")
    check(f"@20 {_NEW}", f"@10 {other}", "…", "∅")


def test_other_values_of_the_entry_still_beat_a_new_object() -> None:
    check(f"@20 {_NEW}", "@10 Set 1.de.k=null", "∅", "…")
    check(f"@20 {_NEW}", "@10 Set 1.de.k=Erased", "∅", "…")


def test_other_entries_and_properties_are_not_concerned() -> None:
    check(f"@10 {_NEW}", "@20 Set 1.de.j.v=1", "…", "…")
    check("@10 Set 1.e=Object", "@20 Set 1.e.v=1", "…", "…")
    check("@10 Set 1.e.next=Object", "@20 Set 1.e.next.v=1", "…", "…")
    check("@10 Set 1.ee[0].more.k=Object", "@20 Set 1.ee[0].more.k.v=1", "…", "∅")


def test_without_a_schema_the_rule_is_the_originals() -> None:
    left, right = side(f"@10 {_NEW}", 2), side("@20 Set 1.de.k.w=2", 3)
    before = contents(left), contents(right)
    transform(left, right)
    assert (contents(left), contents(right)) == before


# --- erased properties of embedded classes (NOTES 2) ------------------------------------------------------------------


@pytest.mark.parametrize(("a_time", "b_time"), [(10, 20), (20, 10)])
def test_an_erased_embedded_property_takes_along_what_is_changed_in_it(a_time: int, b_time: int) -> None:
    changes = (
        "Set 1.e.v=1; Set 1.de.k.v=2; Set 1.ee[0].next.v=3; Set 1.e.w=4; Set 1.i=5; Set 1.v=6; Ins 1.e.v[0]=1 ⟨0⟩;"
        " Set 1.e.next=Object"
    )
    rest = "Set 1.e.w=4; Set 1.i=5; Set 1.v=6; Set 1.e.next=Object"
    check(f"@{a_time} EraseColumn E.v", f"@{b_time} {changes}", "…", rest)
    check(f"@{a_time} EraseColumn E.next", f"@{b_time} Set 1.e.next.next.v=1; Set 1.e.next=Object", "…", "∅")


def test_a_property_that_the_other_side_adds_leads_there_too() -> None:
    added = "AddColumn T.x link→E; Set 1.x=Object"
    check("@10 EraseColumn E.v", f"@20 {added}; Set 1.x.v=1; Set 1.x.w=2", "…", f"{added}; Set 1.x.w=2")


def test_the_class_of_an_erased_embedded_property_may_be_deep_inside() -> None:
    check("@10 EraseColumn F.g", "@20 Set 1.e.f.g=1; Set 1.e.f.h=2; Set 1.e.v=3", "…", "Set 1.e.f.h=2; Set 1.e.v=3")


def test_a_link_to_an_erased_embedded_class_goes_with_what_is_changed_through_it() -> None:
    check(
        "@10 EraseTable F",
        "@20 AddColumn E.x link→F; Set 1.e.x=Object; Set 1.e.x.g=1; Set 1.e.v=1",
        "EraseColumn E.x; EraseTable F",
        "Set 1.e.v=1",
    )
