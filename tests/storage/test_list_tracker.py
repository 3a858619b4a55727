"""Which elements of a list a recovery has inserted (spec/sessions.md §12.11)."""

from __future__ import annotations

import pytest

from syncline.storage.list_tracker import ListTracker
from syncline.testing.choices import RandomChoices


class Lists:
    """The local list and the server's, with elements that can be told apart, and which of them the tracker knows."""

    def __init__(self, local: int, remote: int) -> None:
        self.local = [f"l{number}" for number in range(local)]
        self.remote = [f"r{number}" for number in range(remote)]
        self.known: set[str] = set()
        self.tracker = ListTracker()
        self.made = 0

    def new(self) -> str:
        self.made += 1
        return f"n{self.made}"

    def insert(self, at: int) -> None:
        name = self.new()
        place = self.tracker.place(at, len(self.remote))
        self.tracker.insert(at, place)
        self.local.insert(at, name)
        self.remote.insert(place, name)
        self.known.add(name)

    def drop(self, at: int) -> None:
        self.tracker.drop(at)
        self.local.insert(at, self.new())

    def remove(self, at: int) -> None:
        found = self.tracker.remove(at)
        assert found is not None
        assert self.remote.pop(found) == self.local.pop(at)

    def move(self, source: int, target: int) -> None:
        moved = self.tracker.move(source, target)
        assert moved is not None
        name = self.local.pop(source)
        self.local.insert(target, name)
        assert self.remote.pop(moved[0]) == name
        self.remote.insert(moved[1], name)

    def vanish(self, at: int) -> None:
        self.tracker.vanish(at)
        self.known.discard(self.remote.pop(at))

    def check(self) -> None:
        for index, name in enumerate(self.local):
            found = self.tracker.find(index)
            assert (None if found is None else self.remote[found]) == (name if name in self.known else None)
        common = [name for name in self.local if name in self.known]
        assert [name for name in self.remote if name in self.known] == common, "one order"


def some_operation(lists: Lists, choices: RandomChoices) -> None:
    known = [index for index, name in enumerate(lists.local) if name in lists.known]
    name = choices.pick(["insert", "insert", "insert", "drop", "vanish", "remove", "move"])
    if name == "vanish" and lists.remote:
        lists.vanish(choices.integer(0, len(lists.remote) - 1))
    elif name == "drop":
        lists.drop(choices.integer(0, len(lists.local)))
    elif name == "remove" and known:
        lists.remove(choices.pick(known))
    elif name == "move" and len(known) > 1:
        source = choices.pick(known)
        lists.move(source, choices.pick([index for index in known if index != source]))
    else:
        lists.insert(choices.integer(0, len(lists.local)))


@pytest.mark.parametrize("seed", range(60))
def test_a_known_element_is_always_found_where_it_is(seed: int) -> None:
    choices = RandomChoices(seed)
    lists = Lists(choices.integer(0, 6), choices.integer(0, 6))
    for _ in range(40):
        some_operation(lists, choices)
        lists.check()


def test_what_is_not_known_is_not_found() -> None:
    tracker = ListTracker()
    tracker.insert(2, 2)
    assert [tracker.find(index) for index in range(4)] == [None, None, 2, None]
    assert tracker.remove(1) is None
    assert tracker.move(2, 3) is None
    assert tracker.move(3, 2) is None
    assert tracker.move(2, 2) is None, "which is never recorded"
    assert tracker.find(2) == 2


def test_after_a_clear_everything_is_known_again() -> None:
    tracker = ListTracker()
    tracker.insert(0, 0)
    tracker.mark_copy()
    assert tracker.needs_copy
    assert tracker.find(0) is None
    tracker.clear()
    assert not tracker.needs_copy
    tracker.insert(0, 0)
    assert tracker.find(0) == 0


def test_an_insertion_does_not_pass_an_element_known_to_be_behind_it() -> None:
    """The original puts it behind: an update of the first would then change the second."""
    lists = Lists(6, 0)
    lists.insert(5)
    lists.insert(3)
    assert lists.remote == ["n2", "n1"]
    lists.check()


def test_many_elements_in_a_row_cost_no_more_than_one() -> None:
    tracker = ListTracker()
    for index in range(1000):
        tracker.insert(index, tracker.place(index, index))
    for _ in range(1000):
        tracker.insert(500, tracker.place(500, 5000))
    for _ in range(500):
        assert tracker.remove(400) == 400
    assert len(tracker._runs) == 1
