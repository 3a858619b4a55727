"""Objects and what they lead to, read without an object for each (spec/sdk.md §6.3, §12.7).

Level by level: all objects of a class that are as many links away are read at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from syncline.storage.column_reader import read_collections, read_columns
from syncline.storage.refs import ObjectRef
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.context import Context

__all__ = ["ObjectGraph", "references_in"]


class ObjectGraph:
    """``rows``: the stored values of the objects that were read, in the order of the model's properties.

    Lists and sets are lists, dictionaries ``dict``. Objects more than ``depth`` links away are not read, embedded ones
    with their owner; links in Mixed values are not followed. The context's lock is held by whoever calls.
    """

    def __init__(self, context: Context, depth: int | None = None) -> None:
        self.context = context
        self.depth = depth
        self.rows: dict[ObjectRef, list[Any]] = {}

    def load(self, references: Iterable[ObjectRef]) -> None:
        """Read the objects and those they lead to, as deep as they will be written out."""
        level = {reference for reference in references if reference not in self.rows}
        distance = 0
        while level:
            behind: set[ObjectRef] = set()
            while level:
                level = self._load_level(level, behind)
            if self.depth is not None and distance >= self.depth:
                break
            distance += 1
            level = behind

    def _load_level(self, level: set[ObjectRef], behind: set[ObjectRef]) -> set[ObjectRef]:
        """Read some objects; the embedded ones in them are returned, the linked ones added to ``behind``."""
        by_class: dict[int, list[int]] = {}
        for reference in level:
            by_class.setdefault(reference.class_id, []).append(reference.object_key)
        inside: set[ObjectRef] = set()
        for class_id, keys in by_class.items():
            binding = self.context.classes.binding(class_id)
            for place, values in zip(binding.places, self._load_class(binding, sorted(keys)), strict=True):
                if place.type == kinds.LINK:
                    into = inside if place.embedded else behind
                    into.update(each for value in values for each in references_in(value) if each not in self.rows)
        return inside

    def _load_class(self, binding: Binding, keys: list[int]) -> list[list[Any]]:
        """Read objects of one class; their values by property."""
        existing, result = self.columns(binding, keys)
        class_id = binding.info.id
        rows = zip(*result, strict=True) if result else ([] for _ in existing)
        self.rows.update((ObjectRef(class_id, key), list(row)) for key, row in zip(existing, rows, strict=True))
        return result

    def columns(self, binding: Binding, keys: Sequence[int]) -> tuple[list[int], list[list[Any]]]:
        """The objects that exist, and their values by property."""
        reader, places = self.context.reader(), binding.places
        singles = [place for place in places if place.collection == kinds.SINGLE_COLLECTION]
        existing, columns = read_columns(reader, binding.info, keys, singles)
        single = iter(columns)
        result: list[list[Any]] = []
        for place in places:
            if place.collection == kinds.SINGLE_COLLECTION:
                result.append(next(single))
            else:
                found = read_collections(reader, place, existing)
                empty: Any = {} if place.collection == kinds.DICTIONARY_COLLECTION else []
                result.append([found.get(key, empty) for key in existing])
        return existing, result


def references_in(value: Any) -> Iterator[ObjectRef]:
    """The links that a stored value of a link property, of any form, holds."""
    if isinstance(value, ObjectRef):
        yield value
    elif isinstance(value, dict):
        yield from (each for each in value.values() if each is not None)
    elif isinstance(value, list):
        yield from (each for each in value if each is not None)
