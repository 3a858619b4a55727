"""Change sets: what observers are told, and how two states of a sequence are compared (spec/sdk.md §9.2, §9.3).

Applying a :class:`CollectionChange` to a copy of the old sequence gives the new one: remove ``deletions`` from the
back, then put in ``insertions`` in ascending order, then read ``modifications_new`` again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from syncline.storage.changes import LIST_CLEAR, LIST_ERASE, LIST_INSERT, LIST_MOVE, LIST_SET, ListOperation

__all__ = [
    "CollectionChange",
    "DictionaryChange",
    "ObjectChange",
    "RealmChange",
    "compare_few",
    "compare_keys",
    "compare_members",
    "increasing",
    "replay_list",
]


@dataclass(frozen=True)
class CollectionChange:
    """How results, a list or a set changed since the last call; all index tuples are sorted.

    ``deletions`` and ``modifications`` are indexes in the old sequence, ``insertions`` and ``modifications_new`` in the
    new one; ``modifications`` and ``modifications_new`` are the same elements. A moved element is in deletions and
    insertions, and as a pair (old, new) in ``moves``. ``cleared``: ``clear()`` emptied the collection, and it stayed
    empty; ``root_deleted``: the object it belonged to was deleted, this is the last call; ``initial``: the first call,
    which reports nothing. ``collection``: what changed, as it is after the change; from ``changes()`` a frozen view.
    """

    deletions: tuple[int, ...] = ()
    insertions: tuple[int, ...] = ()
    modifications: tuple[int, ...] = ()
    modifications_new: tuple[int, ...] = ()
    moves: tuple[tuple[int, int], ...] = ()
    cleared: bool = False
    root_deleted: bool = False
    initial: bool = False
    collection: Any = field(default=None, compare=False, repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed."""
        return not (self.deletions or self.insertions or self.modifications or self.root_deleted)


@dataclass(frozen=True)
class DictionaryChange:
    """How a dictionary changed since the last call, by keys in ascending order; the other fields are those of
    :class:`CollectionChange`.
    """

    deletions: tuple[str, ...] = ()
    insertions: tuple[str, ...] = ()
    modifications: tuple[str, ...] = ()
    root_deleted: bool = False
    initial: bool = False
    collection: Any = field(default=None, compare=False, repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed."""
        return not (self.deletions or self.insertions or self.modifications or self.root_deleted)


@dataclass(frozen=True)
class ObjectChange:
    """How an object changed since the last call: it was ``deleted`` (the last call), or the names of its changed
    properties.

    ``initial``: the first item of ``obj.changes()``, which reports nothing. ``object``: the object after the change;
    from ``changes()`` a frozen one; None if it was deleted.
    """

    deleted: bool = False
    changed: tuple[str, ...] = ()
    initial: bool = False
    object: Any = field(default=None, compare=False, repr=False)
    #: what :meth:`old` and :meth:`new` know: (old, new) by name
    values: Mapping[str, tuple[Any, Any]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed."""
        return not (self.deleted or self.changed)

    def old(self, name: str) -> Any:
        """The value of a changed property before the change.

        Known of properties with a single value that is no object and no collection. Raises KeyError for others, and for
        a property that did not change.
        """
        return self._values(name)[0]

    def new(self, name: str) -> Any:
        """The value of a changed property after the change; see :meth:`old`."""
        return self._values(name)[1]

    def _values(self, name: str) -> tuple[Any, Any]:
        if name not in self.values:
            why = "it holds an object or a collection" if name in self.changed else "it did not change"
            raise KeyError(f"no old and new value of {name!r} is known: {why}")
        return self.values[name]


@dataclass(frozen=True)
class RealmChange:
    """What ``realm.changes()`` yields: ``events`` as of :meth:`Realm.observe` since the last item, in the order in
    which they first came, and the ``version`` that the Realm has now; ``initial``: the first item, without events.
    """

    version: int
    events: tuple[str, ...] = ()
    initial: bool = False


#: Up to so many keys are sought one by one.
_SOUGHT: Final = 3

# --- comparing sequences of object keys -------------------------------------------------------------------------------


def compare_keys(
    old: array[int], new: array[int], modified: Collection[int] | None, *, ordered: bool, unique: bool = True
) -> CollectionChange:
    """How results changed from the keys ``old`` to ``new``.

    ``modified``: keys of objects that changed, None if all may have. ``ordered``: both are ascending, so that nothing
    can have moved. ``unique``: no key occurs twice.
    """
    head = _common_prefix(old, new)
    tail = _common_prefix(old[head:][::-1], new[head:][::-1])
    old_middle, new_middle = old[head : len(old) - tail], new[head : len(new) - tail]
    if not unique:
        change = _compare_middles(_numbered(old_middle), _numbered(new_middle), modified, head, ordered)
    else:
        change = _compare_middles(list(old_middle), list(new_middle), modified, head, ordered)
    shift = len(old) - len(new)
    places = _places(new, modified, ordered and unique, unique)
    outside = [place for place in places if place < head or place >= len(new) - tail]
    fresh = sorted([*outside, *change.modifications_new])
    stale = sorted([*(p if p < head else p + shift for p in outside), *change.modifications])
    return CollectionChange(change.deletions, change.insertions, tuple(stale), tuple(fresh), change.moves)


def compare_few(
    old: array[int], new: array[int], candidates: Collection[int], modified: Collection[int]
) -> CollectionChange:
    """The same where only ``candidates`` may have come, gone or moved: all others are in their old order. No key occurs
    twice.
    """
    before, after = _places_of(old, {*candidates, *modified}), _places_of(new, {*candidates, *modified})
    removed = sorted(before[key] for key in candidates if key in before)
    added = sorted(after[key] for key in candidates if key in after)
    kept = sorted((before[key], after[key]) for key in candidates if key in before and key in after)
    level = [pair for pair in kept if pair[0] - bisect_left(removed, pair[0]) == pair[1] - bisect_left(added, pair[1])]
    still = set(increasing([place for _, place in level]))
    stay = {pair for pair in level if pair[1] in still}
    moves = sorted((pair for pair in kept if pair not in stay), key=lambda move: move[1])
    away, back = {source for source, _ in stay}, {target for _, target in stay}
    moved = {source for source, _ in moves}
    pairs = [(before[key], after[key]) for key in modified if key in before and key in after]
    changed = [pair for pair in pairs if pair[0] not in moved]
    return CollectionChange(
        tuple(place for place in removed if place not in away),
        tuple(place for place in added if place not in back),
        tuple(sorted(source for source, _ in changed)),
        tuple(sorted(target for _, target in changed)),
        tuple(moves),
    )


def _places_of(keys: array[int], wanted: set[int]) -> dict[int, int]:
    """Where the wanted keys are, if they are there."""
    if len(wanted) <= _SOUGHT:
        found = {}
        for key in wanted:
            with suppress(ValueError):
                found[key] = keys.index(key)
        return found
    return {key: place for place, key in enumerate(keys) if key in wanted}


def _common_prefix(left: array[int], right: array[int]) -> int:
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _numbered(keys: Iterable[int]) -> list[Any]:
    """Keys made unique: the second occurrence of 7 is (7, 1)."""
    seen: dict[int, int] = {}
    numbered: list[Any] = []
    for key in keys:
        seen[key] = seen.get(key, -1) + 1
        numbered.append((key, seen[key]))
    return numbered


def _key(item: Any) -> int:
    key: int = item[0] if isinstance(item, tuple) else item
    return key


def _places(keys: array[int], wanted: Collection[int] | None, ascending: bool, unique: bool) -> list[int]:
    """Where the wanted keys are."""
    if wanted is None:
        return list(range(len(keys)))
    if ascending:
        places = [bisect_left(keys, key) for key in wanted]
        return sorted(p for p, key in zip(places, wanted, strict=True) if p < len(keys) and keys[p] == key)
    if unique and len(wanted) <= 8:
        return sorted(keys.index(key) for key in wanted if key in keys)
    return [place for place, key in enumerate(keys) if key in wanted]


def _compare_middles(
    old: list[Any], new: list[Any], modified: Collection[int] | None, start: int, ordered: bool
) -> CollectionChange:
    """Compare the parts that differ; ``start`` is where they begin."""
    old_places = {item: place for place, item in enumerate(old)}
    new_items = set(new)
    deletions = [place for place, item in enumerate(old) if item not in new_items]
    insertions = [place for place, item in enumerate(new) if item not in old_places]
    kept = [(old_places[item], place) for place, item in enumerate(new) if item in old_places]
    loose = {old_places[i] for i in new if i in old_places and (modified is None or _key(i) in modified)}
    moves = [] if ordered else _moves(kept, loose)
    moved = {source for source, _ in moves}
    stay = [(source, target) for source, target in kept if source in loose and source not in moved]
    return CollectionChange(
        tuple(sorted(place + start for place in [*deletions, *moved])),
        tuple(sorted(place + start for place in [*insertions, *(target for _, target in moves)])),
        tuple(sorted(source + start for source, _ in stay)),
        tuple(sorted(target + start for _, target in stay)),
        tuple((source + start, target + start) for source, target in moves),
    )


def _moves(kept: list[tuple[int, int]], loose: Collection[int]) -> list[tuple[int, int]]:
    """The rows that have to be taken out and put back: pairs (old place, new place) of rows not in their old order.

    ``kept`` is in the new order. Rows that did not change (all but ``loose``) are preferred to stay.
    """
    firm = [source for source, _ in kept if source not in loose]
    if len(firm) * 2 < len(kept) or any(a > b for a, b in pairwise(firm)):
        stay = set(increasing([source for source, _ in kept]))
    else:
        stay = set(firm) | _fitting(kept, loose)
    return [(source, target) for source, target in kept if source not in stay]


def _fitting(kept: list[tuple[int, int]], loose: Collection[int]) -> set[int]:
    """Loose rows that are still between the same firm rows as before, in their order."""
    fitting: set[int] = set()
    gap: list[int] = []
    floor = -1
    for source, _ in [*kept, (len(kept) + max((s for s, _ in kept), default=0) + 1, 0)]:
        if source in loose:
            gap.append(source)
            continue
        fitting.update(increasing([each for each in gap if floor < each < source]))
        gap, floor = [], source
    return fitting


def increasing(values: list[int]) -> list[int]:
    """A longest increasing subsequence of distinct numbers, in O(n log n)."""
    tails: list[int] = []
    tail_places: list[int] = []
    before: list[int] = []
    for place, value in enumerate(values):
        length = bisect_left(tails, value)
        before.append(tail_places[length - 1] if length else -1)
        if length == len(tails):
            tails.append(value)
            tail_places.append(place)
        else:
            tails[length] = value
            tail_places[length] = place
    found: list[int] = []
    place = tail_places[-1] if tail_places else -1
    while place >= 0:
        found.append(values[place])
        place = before[place]
    return found


# --- lists and sets ---------------------------------------------------------------------------------------------------

_NEW: Final = -1

#: Up to so many operations are replayed on runs of elements, more of them on a list of all elements.
_FEW_OPERATIONS: Final = 100


def replay_list(size: int, operations: Iterable[ListOperation], changed: Iterable[int] = ()) -> CollectionChange:
    """What recorded operations did to a list that had ``size`` elements (spec/sdk.md §9.3).

    ``changed``: indexes in the new list of elements whose objects changed. Raises IndexError if the operations do not
    fit the size.
    """
    operations = list(operations)
    if len(operations) <= _FEW_OPERATIONS and all(operation[0] != LIST_MOVE for operation in operations):
        return _replay_runs(size, operations, changed)
    elements = list(range(size))
    modified: set[int] = set()
    moved: set[int] = set()
    cleared = False
    for operation, index, second in operations:
        if operation == LIST_INSERT:
            elements.insert(index, _NEW)
            cleared = False
        elif operation == LIST_SET:
            modified.add(elements[index])
        elif operation == LIST_ERASE:
            elements.pop(index)
        elif operation == LIST_MOVE:
            element = elements.pop(index)
            elements.insert(second, element)
            moved.add(element)
        elif operation == LIST_CLEAR:
            elements.clear()
            cleared = True
    modified.update(elements[index] for index in changed if index < len(elements))
    return _from_elements(size, elements, modified, moved, cleared)


class _Runs:
    """A list as runs of elements that were next to each other before; its cost follows the changes, not the size."""

    def __init__(self, size: int) -> None:
        #: the old index of the first (``_NEW``: a new element), how many
        self.runs: list[tuple[int, int]] = [(0, size)] if size else []

    def _find(self, index: int) -> tuple[int, int]:
        """The run that holds an index, and the place in it."""
        if index < 0:
            raise IndexError(index)
        for number, (_, length) in enumerate(self.runs):
            if index < length:
                return number, index
            index -= length
        raise IndexError(index)

    def source(self, index: int) -> int:
        """The old index of an element, or ``_NEW``."""
        number, offset = self._find(index)
        start = self.runs[number][0]
        return start if start == _NEW else start + offset

    def erase(self, index: int) -> None:
        number, offset = self._find(index)
        start, length = self.runs[number]
        rest = [(start, offset), (start if start == _NEW else start + offset + 1, length - offset - 1)]
        self.runs[number : number + 1] = [run for run in rest if run[1]]

    def insert(self, index: int) -> None:
        if index == sum(length for _, length in self.runs):
            self.runs.append((_NEW, 1))
            return
        number, offset = self._find(index)
        start, length = self.runs[number]
        rest = [(start, offset), (_NEW, 1), (start if start == _NEW else start + offset, length - offset)]
        self.runs[number : number + 1] = [run for run in rest if run[1]]


def _replay_runs(size: int, operations: Iterable[ListOperation], changed: Iterable[int]) -> CollectionChange:
    """:func:`replay_list` without moves."""
    elements = _Runs(size)
    modified: set[int] = set()
    cleared = False
    for operation, index, _ in operations:
        if operation == LIST_INSERT:
            elements.insert(index)
            cleared = False
        elif operation == LIST_SET:
            modified.add(elements.source(index))
        elif operation == LIST_ERASE:
            elements.erase(index)
        elif operation == LIST_CLEAR:
            elements.runs = []
            cleared = True
    modified.update(elements.source(index) for index in changed)
    return _from_runs(size, elements.runs, sorted(modified), cleared)


def _from_runs(size: int, runs: list[tuple[int, int]], modified: list[int], cleared: bool) -> CollectionChange:
    deletions: list[int] = []
    insertions: list[int] = []
    stay: list[tuple[int, int]] = []
    place = next_old = 0
    for start, length in runs:
        if start == _NEW:
            insertions += range(place, place + length)
        else:
            deletions += range(next_old, start)
            next_old = start + length
            for source in modified[bisect_left(modified, start) : bisect_left(modified, next_old)]:
                stay.append((source, place + source - start))
        place += length
    deletions += range(next_old, size)
    return CollectionChange(
        tuple(deletions),
        tuple(insertions),
        tuple(source for source, _ in stay),
        tuple(target for _, target in stay),
        cleared=cleared and bool(deletions),
    )


def _from_elements(
    size: int, elements: list[int], modified: set[int], moved: set[int], cleared: bool
) -> CollectionChange:
    """The change set of a list that now consists of these: the old index of each element, or ``_NEW``."""
    present = set(elements)
    kept = [(source, place) for place, source in enumerate(elements) if source != _NEW]
    moves = _moves(kept, moved) if moved else []
    gone = [index for index in range(size) if index not in present]
    away = {source for source, _ in moves}
    fresh = [place for place, source in enumerate(elements) if source == _NEW]
    stay = [(source, place) for source, place in kept if source in modified and source not in away]
    return CollectionChange(
        tuple(sorted([*gone, *away])),
        tuple(sorted([*fresh, *(place for _, place in moves)])),
        tuple(sorted(source for source, _ in stay)),
        tuple(place for _, place in stay),
        tuple(moves),
        cleared=cleared and bool(gone),
    )


def compare_members(
    old: Sequence[Any], new: Sequence[Any], modified: Collection[Any] = (), *, cleared: bool = False
) -> CollectionChange:
    """How a set changed; both are in ascending order and hold hashable members. ``cleared``: by ``clear()``."""
    before, after = set(old), set(new)
    old_places = {member: place for place, member in enumerate(old)}
    stay = [(old_places[member], place) for place, member in enumerate(new) if member in before and member in modified]
    return CollectionChange(
        tuple(place for place, member in enumerate(old) if member not in after),
        tuple(place for place, member in enumerate(new) if member not in before),
        tuple(source for source, _ in stay),
        tuple(place for _, place in stay),
        cleared=cleared and bool(old) and not new,
    )
