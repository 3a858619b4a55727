"""Change sets turn the old sequence into the new one (spec/sdk.md §9.2, §9.3)."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline import CollectionChange
from syncline.realm.changes import compare_keys, compare_members, replay_list
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
