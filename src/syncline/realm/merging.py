"""Two change sets in a row as one (spec/sdk.md §9.3).

What a consumer has not taken yet is merged with what comes after it, so that any number of commits costs no more memory
than the collection itself. A change set turns an *old* sequence into a *new* one; merging needs no look at either.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import Any, TypeVar

from syncline.realm.changes import CollectionChange, DictionaryChange, ObjectChange
from syncline.realm.section_changes import SectionedChange, merge_sections
from syncline.realm.shifts import Shift

__all__ = ["merged"]

#: One of the change sets that observers get.
Change = TypeVar("Change")


def merged(older: Change, later: Change) -> Change:
    """What happened from before ``older`` until after ``later``, which followed directly; both are of one kind."""
    both: Change = _merged(older, later)
    return both


def _merged(older: Any, later: Any) -> Any:
    if isinstance(older, CollectionChange):
        return _collection(older, later)
    if isinstance(older, DictionaryChange):
        return _dictionary(older, later)
    if isinstance(older, ObjectChange):
        return _object(older, later)
    if isinstance(older, SectionedChange):
        assert older.source is not None
        return merge_sections(older, later, _collection(older.source[2], later.source[2]))
    return replace(later, events=tuple(dict.fromkeys((*older.events, *later.events))), initial=older.initial)


def _collection(older: CollectionChange, later: CollectionChange) -> CollectionChange:
    if older.initial:  # it shows the latest state, whatever that is
        return replace(later, deletions=(), insertions=(), modifications=(), modifications_new=(), moves=(),
                       cleared=False, initial=True)  # fmt: skip
    first = Shift(older.deletions, older.insertions)
    second = Shift(later.deletions, later.insertions)
    came, gone = set(older.insertions), set(later.deletions)
    deletions = {*older.deletions, *(first.back(place) for place in gone - came)}
    insertions = {*later.insertions, *(second.forward(place) for place in came - gone)}
    stay = {
        old: second.forward(place)
        for old, place in zip(older.modifications, older.modifications_new, strict=True)
        if place not in gone
    }
    for place, new in zip(later.modifications, later.modifications_new, strict=True):
        if place not in came:
            stay[first.back(place)] = new
    moves = _drop_idle(_follow(older, later, first, second), deletions, insertions, stay)
    pairs = sorted(stay.items())
    return replace(
        later,
        deletions=tuple(sorted(deletions)),
        insertions=tuple(sorted(insertions)),
        modifications=tuple(old for old, _ in pairs),
        modifications_new=tuple(sorted(stay.values())),
        moves=tuple(moves),
    )


def _follow(older: CollectionChange, later: CollectionChange, first: Shift, second: Shift) -> list[tuple[int, int]]:
    """The moves of both, from where a row was before ``older`` to where it is after ``later``."""
    came, gone = set(older.insertions), set(later.deletions)
    onward = dict(later.moves)
    moves = []
    for old, place in older.moves:
        if place in onward:
            moves.append((old, onward[place]))
        elif place not in gone:
            moves.append((old, second.forward(place)))
    moves += [(first.back(place), new) for place, new in later.moves if place not in came]
    return sorted(moves, key=lambda move: move[1])


def _drop_idle(
    moves: list[tuple[int, int]], deletions: set[int], insertions: set[int], stay: dict[int, int]
) -> list[tuple[int, int]]:
    """The moves without those that lead back: such a row stayed, and may have been changed on its way."""
    for _ in range(len(moves)):
        gone, came = sorted(deletions), sorted(insertions)
        idle = next(
            (move for move in moves if move[0] - bisect_left(gone, move[0]) == move[1] - bisect_left(came, move[1])),
            None,
        )
        if idle is None:
            break
        moves = [move for move in moves if move != idle]
        deletions.discard(idle[0])
        insertions.discard(idle[1])
        stay[idle[0]] = idle[1]
    return moves


def _dictionary(older: DictionaryChange, later: DictionaryChange) -> DictionaryChange:
    if older.initial:
        return replace(later, deletions=(), insertions=(), modifications=(), initial=True)
    deleted, inserted = set(older.deletions), set(older.insertions)
    modified = set(older.modifications) | (set(later.modifications) - inserted)
    again = set(later.insertions) & deleted
    gone = set(later.deletions)
    return replace(
        later,
        deletions=_sorted((deleted - again) | (gone - inserted)),
        insertions=_sorted((inserted - gone) | (set(later.insertions) - deleted)),
        modifications=_sorted((modified - gone) | again),
    )


def _sorted(keys: set[str]) -> tuple[str, ...]:
    return tuple(sorted(keys, key=lambda key: key.encode("utf-8", "surrogatepass")))


def _object(older: ObjectChange, later: ObjectChange) -> ObjectChange:
    if older.initial:
        return replace(later, changed=(), initial=True, values={})
    if later.deleted:
        return later
    changed = dict.fromkeys((*older.changed, *later.changed))
    values = dict(later.values)
    for name, (old, _) in older.values.items():
        values[name] = (old, later.values.get(name, older.values[name])[1])
    return replace(later, changed=tuple(changed), values=values)
