"""How sections changed (spec/sdk.md §8, §9.1)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from syncline.realm.changes import CollectionChange, increasing
from syncline.realm.sections import Layout
from syncline.realm.shifts import Shift

__all__ = ["SectionedChange", "change_of_section", "merge_sections", "section_change"]

Rows = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class SectionedChange:
    """How sections changed since the last call.

    ``sections_deleted`` are numbers of old sections, ``sections_inserted`` of new ones. By the number of the old
    section, ``deletions`` and ``modifications`` are places in it; by that of the new section, ``insertions`` and
    ``modifications_new``. A row whose key changed left one section and came to another; rows of deleted sections are
    not listed. To bring a copy up to date, carry out deletions, sections_deleted, sections_inserted and insertions in
    this order, the first two from the back; then read ``modifications_new`` again.
    """

    deletions: Rows = field(default_factory=dict)
    insertions: Rows = field(default_factory=dict)
    modifications: Rows = field(default_factory=dict)
    modifications_new: Rows = field(default_factory=dict)
    sections_deleted: tuple[int, ...] = ()
    sections_inserted: tuple[int, ...] = ()
    root_deleted: bool = False
    initial: bool = False
    collection: Any = field(default=None, compare=False, repr=False)
    #: before and after, and the change of the results: from them two changes in a row become one
    source: tuple[Layout, Layout, CollectionChange] | None = field(default=None, compare=False, repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed."""
        rows = self.deletions or self.insertions or self.modifications
        return not (rows or self.sections_deleted or self.sections_inserted or self.root_deleted)


def change_of_section(identity: Hashable, whole: SectionedChange) -> CollectionChange:
    """What the change says of the section with a key (see :func:`.sections.identity_of`), wherever it moved."""
    assert whole.source is not None
    old, new, flat = whole.source
    before, after = old.numbers.get(identity), new.numbers.get(identity)
    if before is None or after is None:
        gone = 0 if before is None else len(old.members[before])
        came = 0 if after is None else len(new.members[after])
        return CollectionChange(tuple(range(gone)), tuple(range(came)))
    rows = section_change(old, new, flat, {before: after})
    return CollectionChange(
        rows.deletions.get(before, ()),
        rows.insertions.get(after, ()),
        rows.modifications.get(before, ()),
        rows.modifications_new.get(after, ()),
    )


def section_change(
    old: Layout, new: Layout, flat: CollectionChange, stay: Mapping[int, int] | None = None
) -> SectionedChange:
    """The change from one layout to another; ``flat`` is that of the results. ``stay``: numbers before and after of the
    sections that are looked at; by default of all that kept their order.
    """
    stay = _sections_that_stay(old, new) if stay is None else stay
    deleted = [number for number in range(len(old.keys)) if number not in stay]
    inserted = sorted(set(range(len(new.keys))) - set(stay.values()))
    left = [old.rows[row] for row in flat.deletions]
    came = [new.rows[row] for row in flat.insertions]
    changed: list[tuple[tuple[int, int], tuple[int, int]]] = []
    fresh, modified = set(flat.insertions), set(flat.modifications_new)
    shift = Shift(flat.deletions, flat.insertions)
    for row, place in enumerate(new.rows):
        if row in fresh:
            continue
        before = old.rows[shift.back(row)]
        if stay.get(before[0]) != place[0]:
            left.append(before)
            came.append(place)
        elif row in modified:
            changed.append((before, place))
    return SectionedChange(
        _by_section([place for place in left if place[0] in stay]),
        _by_section(came),
        _by_section([before for before, _ in changed]),
        _by_section([place for _, place in changed]),
        tuple(deleted),
        tuple(inserted),
        flat.root_deleted,
        source=(old, new, flat),
    )


def merge_sections(older: SectionedChange, later: SectionedChange, flat: CollectionChange) -> SectionedChange:
    """Both in a row; ``flat`` is the change of the results over both."""
    assert older.source is not None
    assert later.source is not None
    if older.initial:
        return SectionedChange(
            root_deleted=later.root_deleted, initial=True, collection=later.collection, source=later.source
        )
    return replace(section_change(older.source[0], later.source[1], flat), collection=later.collection)


def _sections_that_stay(old: Layout, new: Layout) -> dict[int, int]:
    """Numbers before and after of the sections that are in both, as far as they kept their order."""
    pairs = [(number, new.numbers[key]) for key, number in old.numbers.items() if key in new.numbers]
    kept = set(increasing([after for _, after in pairs]))
    return {before: after for before, after in pairs if after in kept}


def _by_section(places: list[tuple[int, int]]) -> dict[int, tuple[int, ...]]:
    found: dict[int, list[int]] = {}
    for number, place in sorted(places):
        found.setdefault(number, []).append(place)
    return {number: tuple(rows) for number, rows in found.items()}
