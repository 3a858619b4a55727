"""Bringing the keys of results up to date where only a few objects changed (spec/sdk.md §13.8).

What was written says which objects may have come, gone or moved. Only these are asked about again, so that the cost
follows the number of changes, not that of the results. For sorted results the place of each is searched among the
others, a few dozen of which are put in order by SQLite at a time.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from syncline.query.ast import Limit, Query

__all__ = ["FEW", "FEW_SORTED", "patch", "patch_sorted", "unlimited"]

#: Up to so many changed objects are looked up one by one; for more, the query is asked again as a whole.
FEW: Final = 500
#: The same for sorted results, where each needs a few queries.
FEW_SORTED: Final = 40

#: How many others a place is searched among at a time.
_PROBES: Final = 64

#: Of the keys given, those that match, in the order of the results.
Among: TypeAlias = Callable[[Collection[int]], Sequence[int]]


def unlimited(query: Query) -> tuple[Query, int | None]:
    """The query without a limit at its end, and that limit."""
    last = query.stages[-1] if query.stages else None
    return (Query(query.predicate, query.stages[:-1]), last.count) if isinstance(last, Limit) else (query, None)


def patch(old: array[int], candidates: set[int], among: Among) -> array[int]:
    """The keys, in ascending order, if they were ``old`` and only ``candidates`` may have come or gone."""
    matching = set(among(candidates))
    keys = old[:]
    for key in candidates:
        place = bisect_left(keys, key)
        if place < len(keys) and keys[place] == key:
            if key not in matching:
                del keys[place]
        elif key in matching:
            keys.insert(place, key)
    return keys


def patch_sorted(old: array[int], candidates: set[int], among: Among) -> array[int] | None:
    """The keys in the order of the results, if they were ``old`` and only ``candidates`` may have come, gone or moved.

    None if the order of the others turns out to be another than before: then all have to be asked.
    """
    matching = among(candidates)
    keys = _without(old, candidates)
    places = []
    start = 0
    for key in matching:
        place = _place(keys, key, start, among)
        if place is None:
            return None
        places.append(place)
        start = place
    for place, key in zip(reversed(places), reversed(matching), strict=True):
        keys.insert(place, key)
    return keys


def _without(keys: array[int], unwanted: set[int]) -> array[int]:
    if len(unwanted) > 3:
        return array("q", [key for key in keys if key not in unwanted])
    kept = keys[:]
    for key in unwanted:
        with suppress(ValueError):
            kept.remove(key)
    return kept


def _place(keys: array[int], key: int, start: int, among: Among) -> int | None:
    """Where ``key`` belongs among ``keys``, at ``start`` or later."""
    low, high = start, len(keys)
    while low < high:
        step = -(-(high - low) // _PROBES)
        probes = keys[low:high:step]
        found = list(among([key, *probes]))
        before = found.index(key) if key in found else -1
        if before < 0 or found[:before] + found[before + 1 :] != list(probes):
            return None
        high = min(high, low + before * step)
        low = low + (before - 1) * step + 1 if before else low
    return low
