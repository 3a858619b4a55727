"""Change sets in a row as one (spec/sdk.md §9.3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.realm.test_changes import C, E, I, M, S, applied, check_sound

from syncline import CollectionChange, DictionaryChange, ObjectChange
from syncline.realm.changes import RealmChange, replay_list
from syncline.realm.merging import merged


def test_the_first_example() -> None:
    inserted = CollectionChange(insertions=(1,))
    later = CollectionChange(deletions=(0,), modifications=(3,), modifications_new=(2,))
    assert merged(inserted, later) == CollectionChange((0,), (0,), (2,), (2,))


def test_the_second_example() -> None:
    assert merged(CollectionChange(insertions=(3,)), CollectionChange(deletions=(3,))).is_empty


@pytest.mark.parametrize(
    ("older", "later", "both"),
    [
        # moved, then moved on
        (CollectionChange((0,), (2,), moves=((0, 2),)), CollectionChange((2,), (1,), moves=((2, 1),)),
         CollectionChange((0,), (1,), moves=((0, 1),))),
        # moved, then deleted
        (CollectionChange((0,), (2,), moves=((0, 2),)), CollectionChange((2,)), CollectionChange((0,))),
        # inserted, then moved: only inserted
        (CollectionChange((), (0,)), CollectionChange((0,), (2,), moves=((0, 2),)), CollectionChange((), (2,))),
        # moved there and back: it may have been changed on its way
        (CollectionChange((0,), (2,), moves=((0, 2),)), CollectionChange((2,), (0,), moves=((2, 0),)),
         CollectionChange((), (), (0,), (0,))),
        # modified, then moved
        (CollectionChange((), (), (0,), (0,)), CollectionChange((0,), (2,), moves=((0, 2),)),
         CollectionChange((0,), (2,), moves=((0, 2),))),
        # modified, then deleted
        (CollectionChange((), (), (0,), (0,)), CollectionChange((0,)), CollectionChange((0,))),
        # cleared, and filled again
        (CollectionChange((0, 1), cleared=True), CollectionChange((), (0,)), CollectionChange((0, 1), (0,))),
        (CollectionChange((), (0,)), CollectionChange((0, 1), cleared=True), CollectionChange((0,), cleared=True)),
        (CollectionChange((), (0,)), CollectionChange((0, 1), root_deleted=True),
         CollectionChange((0,), root_deleted=True)),
        # the first item shows the latest state
        (CollectionChange(initial=True), CollectionChange((1,), (2,), (0,), (0,)), CollectionChange(initial=True)),
        (CollectionChange(initial=True), CollectionChange((0,), root_deleted=True),
         CollectionChange(root_deleted=True, initial=True)),
    ],
)  # fmt: skip
def test_sequences(older: CollectionChange, later: CollectionChange, both: CollectionChange) -> None:
    assert merged(older, later) == both


@pytest.mark.parametrize(
    ("older", "later", "both"),
    [
        (DictionaryChange((), ("a",)), DictionaryChange(("a",)), DictionaryChange()),
        (DictionaryChange(("a",)), DictionaryChange((), ("a",)), DictionaryChange((), (), ("a",))),
        (DictionaryChange((), ("a",)), DictionaryChange((), (), ("a",)), DictionaryChange((), ("a",))),
        (DictionaryChange((), (), ("a", "b")), DictionaryChange(("a",)), DictionaryChange(("a",), (), ("b",))),
        (DictionaryChange(("z",), ("b",)), DictionaryChange(("y",), ("a",), ("c",)),
         DictionaryChange(("y", "z"), ("a", "b"), ("c",))),
        (DictionaryChange(initial=True), DictionaryChange(("a",)), DictionaryChange(initial=True)),
        (DictionaryChange(), DictionaryChange(("a",), root_deleted=True), DictionaryChange(("a",), root_deleted=True)),
    ],
)  # fmt: skip
def test_dictionaries(older: DictionaryChange, later: DictionaryChange, both: DictionaryChange) -> None:
    assert merged(older, later) == both


def test_objects() -> None:
    older = ObjectChange(changed=("age", "name"), values={"age": (1, 2), "name": ("a", "b")})
    later = ObjectChange(changed=("best", "age"), values={"age": (2, 3)})
    both = merged(older, later)
    assert both == ObjectChange(changed=("age", "name", "best"))
    assert (both.old("age"), both.new("age"), both.old("name"), both.new("name")) == (1, 3, "a", "b")
    with pytest.raises(KeyError, match=r"'best' is known: it holds an object or a collection"):
        both.old("best")
    with pytest.raises(KeyError, match=r"'weight' is known: it did not change"):
        both.new("weight")
    assert merged(older, ObjectChange(deleted=True)) == ObjectChange(deleted=True)
    assert merged(ObjectChange(initial=True), later) == ObjectChange(initial=True)
    assert merged(ObjectChange(initial=True), ObjectChange(deleted=True)) == ObjectChange(deleted=True, initial=True)


def test_realms() -> None:
    first, second = RealmChange(3, ("change",)), RealmChange(4, ("schema", "change"))
    assert merged(first, second) == RealmChange(4, ("change", "schema"))
    assert merged(RealmChange(2, initial=True), first) == RealmChange(3, ("change",), initial=True)


STEPS = st.lists(st.tuples(st.sampled_from([I, I, S, E, M, C]), st.integers(0, 9), st.integers(0, 9)), max_size=8)


def carry_out(elements: list[str], number: int, steps: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Change the list; the operations as they are recorded."""
    operations = []
    for kind, first, second in steps:
        number += 1
        if kind == I:
            first %= len(elements) + 1
            elements.insert(first, f"new {number}")
        elif kind == C and second < 8:
            continue
        elif kind == C:
            elements.clear()
        elif not elements:
            continue
        else:
            first, second = first % len(elements), second % len(elements)
            if kind == S:
                elements[first] += "*"
            elif kind == E:
                elements.pop(first)
            else:
                elements.insert(second, elements.pop(first))
        operations.append((kind, first, second))
    return operations


@given(size=st.integers(0, 6), commits=st.lists(STEPS, min_size=2, max_size=4))
def test_a_mirror_that_is_told_late_is_right(size: int, commits: list[Any]) -> None:
    old = [f"old {index}" for index in range(size)]
    new = list(old)
    both = CollectionChange()
    for number, steps in enumerate(commits):
        before = len(new)
        both = merged(both, replay_list(before, carry_out(new, 100 * number, steps)))
    check_sound(old, both)
    assert applied(old, new, both) == new
    for source, target in both.moves:
        assert old[source].strip("*") == new[target].strip("*")
    for source, target in zip(both.modifications, both.modifications_new, strict=True):
        assert old[source].strip("*") == new[target].strip("*")
    assert both.cleared <= (not new)
