"""Change sets turn the old sequence into the new one (spec/sdk.md §9.2, §9.3)."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline import CollectionChange
from syncline.realm import changes
from syncline.realm.changes import compare_few, compare_keys, compare_members, replay_list
from syncline.realm.patching import patch_sorted
from syncline.storage.changes import LIST_CLEAR, LIST_ERASE, LIST_INSERT, LIST_MOVE, LIST_SET

I, S, E, M, C = LIST_INSERT, LIST_SET, LIST_ERASE, LIST_MOVE, LIST_CLEAR


def applied(old: list[Any], new: list[Any], change: CollectionChange) -> list[Any]:
    """A mirror of ``old`` after the change, as an application would bring it up to date."""
    mirror = list(old)
    for index in reversed(change.deletions):
        del mirror[index]
    for index in change.insertions:
        mirror.insert(index, new[index])
    for index in change.modifications_new:
        mirror[index] = new[index]
    return mirror


def check_sound(old: list[Any], change: CollectionChange) -> None:
    """What holds of every change set."""
    for indexes in (change.deletions, change.insertions, change.modifications, change.modifications_new):
        assert list(indexes) == sorted(set(indexes))
    assert len(change.modifications) == len(change.modifications_new)
    assert not set(change.modifications) & set(change.deletions)
    assert not set(change.modifications_new) & set(change.insertions)
    for source, target in change.moves:
        assert source in change.deletions
        assert target in change.insertions


KEYS = st.lists(st.integers(0, 12), max_size=10)
UNIQUE_KEYS = st.lists(st.integers(0, 12), max_size=10, unique=True)


@given(old=UNIQUE_KEYS, new=UNIQUE_KEYS, modified=st.sets(st.integers(0, 12)))
def test_sorted_results(old: list[int], new: list[int], modified: set[int]) -> None:
    change = compare_keys(array("q", old), array("q", new), modified, ordered=False)
    check_sound(old, change)
    assert applied(old, new, change) == new
    assert {new[index] for index in change.modifications_new} <= modified
    assert {old[index] for index in change.modifications} == {new[index] for index in change.modifications_new}
    told = {new[index] for index in (*change.modifications_new, *change.insertions)}
    assert modified & set(old) & set(new) <= told
    assert all(old[source] == new[target] for source, target in change.moves)


@given(old=UNIQUE_KEYS, new=UNIQUE_KEYS, modified=st.sets(st.integers(0, 12)))
def test_results_in_the_order_of_creation(old: list[int], new: list[int], modified: set[int]) -> None:
    old, new = sorted(old), sorted(new)
    change = compare_keys(array("q", old), array("q", new), modified, ordered=True)
    check_sound(old, change)
    assert applied(old, new, change) == new
    assert {old[index] for index in change.deletions} == set(old) - set(new)
    assert {new[index] for index in change.insertions} == set(new) - set(old)
    assert {new[index] for index in change.modifications_new} == modified & set(old) & set(new)
    assert change.moves == ()


@given(old=KEYS, new=KEYS, modified=st.sets(st.integers(0, 12)))
def test_results_with_repetitions(old: list[int], new: list[int], modified: set[int]) -> None:
    change = compare_keys(array("q", old), array("q", new), modified, ordered=False, unique=False)
    check_sound(old, change)
    assert applied(old, new, change) == new


def test_everything_may_have_changed() -> None:
    change = compare_keys(array("q", [1, 2]), array("q", [2, 3]), None, ordered=True)
    assert change == CollectionChange((0,), (1,), (1,), (0,))


@pytest.mark.parametrize(
    ("old", "new", "modified", "moves"),
    [
        ([1, 2, 3, 4], [2, 3, 4, 1], {1}, ((0, 3),)),
        ([1, 2, 3, 4], [4, 1, 2, 3], {4}, ((3, 0),)),
        ([1, 2], [2, 1], {1}, ((0, 1),)),
        ([1, 2], [2, 1], {2}, ((1, 0),)),
        ([1, 2, 3], [1, 2, 3], {2}, ()),
        ([1, 2, 3, 4, 5], [5, 1, 2, 4, 3], {5, 3}, ((4, 0), (2, 4))),
    ],
)
def test_what_changed_is_what_moved(
    old: list[int], new: list[int], modified: set[int], moves: tuple[tuple[int, int], ...]
) -> None:
    assert compare_keys(array("q", old), array("q", new), modified, ordered=False).moves == moves


@given(old=UNIQUE_KEYS, places=st.dictionaries(st.integers(0, 15), st.integers(-3, 12), max_size=5), data=st.data())
def test_few_that_changed_among_many(old: list[int], places: dict[int, int], data: st.DataObject) -> None:
    new = [key for key in old if key not in places]
    for key, place in places.items():
        if place >= 0:
            new.insert(place % (len(new) + 1), key)
    modified = data.draw(st.sets(st.integers(0, 15)))
    change = compare_few(array("q", old), array("q", new), places.keys(), modified)
    check_sound(old, change)
    assert applied(old, new, change) == new
    assert {old[source] for source, _ in change.moves} <= places.keys()
    assert all(old[source] == new[target] for source, target in change.moves)
    told = {new[index] for index in (*change.modifications_new, *change.insertions)}
    assert modified & set(old) & set(new) <= told
    assert {new[index] for index in change.modifications_new} <= modified


@given(old=UNIQUE_KEYS, places=st.dictionaries(st.integers(0, 200), st.integers(-20, 300), max_size=6))
def test_places_are_found_among_many(old: list[int], places: dict[int, int]) -> None:
    """Results sorted by a rank of which only that of a few changed."""
    rank = {key: 2 * number for number, key in enumerate([*old, *range(1000, 1000 + 200)])}
    before = array("q", rank)
    rank.update(places)
    ordered = lambda keys: sorted((k for k in keys if rank.get(k, -1) >= 0), key=lambda k: (rank[k], k))  # noqa: E731
    assert patch_sorted(before, set(places), ordered) == array("q", ordered(rank))


def test_an_order_that_is_not_the_old_one_is_noticed() -> None:
    assert patch_sorted(array("q", [1, 2, 3]), {9}, lambda keys: sorted(keys, reverse=True)) is None
    assert patch_sorted(array("q", [1, 2, 3]), {9}, lambda keys: [9] if len(keys) == 1 else [1, 2, 3]) is None


def test_a_long_sequence_is_compared_quickly() -> None:
    old = array("q", range(200_000))
    new = old[:100_000] + array("q", [500_000]) + old[100_001:]
    change = compare_keys(old, new, {7}, ordered=False)
    assert change == CollectionChange((100_000,), (100_000,), (7,), (7,))


# --- lists ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "operations", "change"),
    [
        (4, [(I, 1, 0)], CollectionChange(insertions=(1,))),
        (4, [(I, 1, 0), (E, 0, 0), (S, 2, 0)], CollectionChange((0,), (0,), (2,), (2,))),
        (4, [(I, 3, 0), (E, 3, 0)], CollectionChange()),
        (4, [(S, 1, 0), (E, 1, 0)], CollectionChange(deletions=(1,))),
        (2, [(I, 0, 0), (S, 0, 0)], CollectionChange(insertions=(0,))),
        (3, [(M, 0, 2)], CollectionChange((0,), (2,), moves=((0, 2),))),
        (3, [(S, 0, 0), (M, 0, 2)], CollectionChange((0,), (2,), moves=((0, 2),))),
        (3, [(M, 0, 2), (M, 2, 0)], CollectionChange()),
        (3, [(I, 3, 0), (M, 3, 0)], CollectionChange(insertions=(0,))),
        (3, [(M, 0, 2), (E, 2, 0)], CollectionChange(deletions=(0,))),
        (2, [(C, 2, 0)], CollectionChange(deletions=(0, 1), cleared=True)),
        (2, [(C, 2, 0), (I, 0, 0)], CollectionChange((0, 1), (0,))),
        (0, [(C, 0, 0)], CollectionChange()),
    ],
)
def test_examples(size: int, operations: list[Any], change: CollectionChange) -> None:
    assert replay_list(size, operations) == change


@given(
    size=st.integers(0, 5),
    steps=st.lists(st.tuples(st.sampled_from([I, S, E, M, C]), st.integers(0, 9), st.integers(0, 9)), max_size=12),
)
def test_random_list_operations(size: int, steps: list[tuple[int, int, int]]) -> None:
    old = [f"old {index}" for index in range(size)]
    new = list(old)
    operations = []
    for number, (kind, first, second) in enumerate(steps):
        if kind == I:
            first %= len(new) + 1
            new.insert(first, f"new {number}")
        elif kind == C:
            new.clear()
        elif not new:
            continue
        else:
            first, second = first % len(new), second % len(new)
            if kind == S:
                new[first] += "*"
            elif kind == E:
                new.pop(first)
            else:
                new.insert(second, new.pop(first))
        operations.append((kind, first, second))
    change = replay_list(size, operations)
    check_sound(old, change)
    assert applied(old, new, change) == new


@given(
    size=st.integers(0, 6),
    steps=st.lists(st.tuples(st.sampled_from([I, I, S, E, C]), st.integers(0, 9)), max_size=10),
    changed=st.sets(st.integers(0, 3)),
)
def test_few_operations_are_told_like_many(size: int, steps: list[tuple[int, int]], changed: set[int]) -> None:
    operations, count = [], size
    for kind, index in steps:
        if kind == I:
            index, count = index % (count + 1), count + 1
        elif kind == C:
            count = 0
        elif not count:
            continue
        else:
            index %= count
            count -= kind == E
        operations.append((kind, index, 0))
    changed = {index for index in changed if index < count}
    few = replay_list(size, operations, changed)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(changes, "_FEW_OPERATIONS", -1)
        assert replay_list(size, operations, changed) == few


def test_operations_that_do_not_fit() -> None:
    for operation in (S, E):
        for index in (2, -1):
            with pytest.raises(IndexError):
                replay_list(2, [(operation, index, 0)])
    with pytest.raises(IndexError):
        replay_list(2, [(I, 3, 0)])


def test_objects_in_the_list_that_changed() -> None:
    assert replay_list(3, [(E, 0, 0)], changed=[1]) == CollectionChange((0,), (), (2,), (1,))
    assert replay_list(1, [(I, 0, 0)], changed=[0, 1]) == CollectionChange((), (0,), (0,), (1,))


# --- sets -------------------------------------------------------------------------------------------------------------


def test_sets() -> None:
    assert compare_members([1, 3, 5], [1, 4, 5], {5}) == CollectionChange((1,), (1,), (2,), (2,))
    assert compare_members([1], []) == CollectionChange((0,))
    assert compare_members([1], [], cleared=True) == CollectionChange((0,), cleared=True)
    assert compare_members([1], [2], cleared=True) == CollectionChange((0,), (0,))
    assert compare_members([], []).is_empty
