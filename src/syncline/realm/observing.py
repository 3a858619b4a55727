"""What each kind of observer watches, and the change set it is due (spec/sdk.md §9.5, §9.8).

An observer remembers the state its callback saw last. :meth:`Observer.prepare` compares it with the state now and
remembers that one; it runs no code of the application.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from syncline.query.ast import Query, Sort
from syncline.query.dependencies import dependencies
from syncline.realm.affected import Affected, KeyPath
from syncline.realm.changes import (
    CollectionChange,
    DictionaryChange,
    ObjectChange,
    compare_keys,
    compare_members,
    replay_list,
)
from syncline.storage.changes import UNKNOWN, ListOperation
from syncline.storage.refs import ObjectRef
from syncline.values import kinds
from syncline.values.order import sort_key

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.live import LiveCollection
    from syncline.realm.models import Model
    from syncline.realm.results import Results

__all__ = ["CollectionObserver", "DictionaryObserver", "ListObserver", "ObjectObserver", "Observer", "ResultsObserver"]

#: Up to so many changed objects are looked up one by one; for more, the query is asked again as a whole.
FEW = 500


class Observer(ABC):
    """One callback on one thing. ``finished``: there will be no further call."""

    finished = False

    def __init__(self, observed: Any, callback: Callable[[Any, Any], object], paths: list[KeyPath] | None) -> None:
        self.observed = observed
        self.callback = callback
        self.paths = paths

    @abstractmethod
    def prepare(self, affected: Affected) -> Any:
        """The change since the last round, None if there is nothing to tell."""


class ObjectObserver(Observer):
    """One object: its own properties, or those that key paths name."""

    def __init__(
        self, binding: Binding, obj: Model, callback: Callable[[Any, Any], object], paths: list[KeyPath] | None
    ) -> None:
        super().__init__(obj, callback, paths)
        self.binding = binding

    def prepare(self, affected: Affected) -> ObjectChange | None:
        binding, key = self.binding, self.observed._key
        if affected.nothing:
            return None
        with binding.context.lock:
            exists = affected.reader.exists(binding.info, key)
        if not exists:
            self.finished = True
            return ObjectChange(deleted=True)
        attributes = binding.model._info.attributes.values()
        if affected.log is None:
            return ObjectChange(changed=tuple(attribute.name for attribute in attributes))
        if self.paths is None:
            changed = {p.name for p in binding.info.properties.values() if key in affected.own(binding.info, p)}
        else:
            changed = set()
            for path in self.paths:
                if key in affected.along(binding.info, path):
                    changed |= self._named(affected, path)
        names = tuple(a.name for a in attributes if a.property.stored_name in changed)
        return ObjectChange(changed=names) if names else None

    def _named(self, affected: Affected, path: KeyPath) -> set[str]:
        """What is reported of a path: its first element (spec/sdk.md §9.6)."""
        if path[0] != "*":
            return {path[0]}
        info, key = self.binding.info, self.observed._key
        return {name for name in info.properties if key in affected.along(info, (name, *path[1:]))}


class CollectionObserver(Observer):
    """Results and collections: the first call says only that they were looked at."""

    started = False

    def prepare(self, affected: Affected) -> Any:
        if not self.started:
            self.started = True
            self.remember()
            return self.initial()
        if affected.nothing:
            return None
        change = self.compare(affected)
        return None if change.is_empty else change

    def initial(self) -> Any:
        """What the first call gets."""
        return CollectionChange(initial=True)

    @abstractmethod
    def remember(self) -> None:
        """Keep the state as it is now."""

    @abstractmethod
    def compare(self, affected: Affected) -> Any:
        """How the state differs from the one kept; keeps the new one."""


class ResultsObserver(CollectionObserver):
    """The objects that a query finds."""

    def __init__(
        self, results: Results[Any], callback: Callable[[Any, Any], object], paths: list[KeyPath] | None
    ) -> None:
        super().__init__(results, callback, paths)
        self.keys = array("q")

    def remember(self) -> None:
        self.keys = self.observed._all_keys()[:]

    def compare(self, affected: Affected) -> CollectionChange:
        results = self.observed
        if not results._source_exists():
            self.finished = True
            return CollectionChange(deletions=tuple(range(len(self.keys))), root_deleted=True)
        old = self.keys
        query = results._resolve()
        if self._membership_may_differ(query, affected):
            candidates = self._candidates(query, affected)
            if candidates is None:
                self.remember()
            else:
                self.keys = results._patch_keys(old, candidates)[:]
        modified = affected.objects(results._binding.info, self.paths)
        if self.keys is old and not modified and modified is not None:
            return CollectionChange()
        ordered = results._source is None and not any(isinstance(stage, Sort) for stage in query.stages)
        return compare_keys(old, self.keys, modified, ordered=ordered, unique=results._source is None)

    def _membership_may_differ(self, query: Query, affected: Affected) -> bool:
        """Whether something was written that decides which objects match, or in which order."""
        log = affected.log
        if log is None:
            return True
        source = self.observed._source
        if source is not None and source[0].id in log.modified:
            return True
        steps, looked_up = dependencies(query)
        targets = (step.target.id for step in steps if step.target is not None)
        reached = {self.observed._binding.info.id, *looked_up, *targets}
        if any(id in log.inserted or id in log.deleted for id in reached):
            return True
        return any(step.property.id in log.modified for step in steps)

    def _candidates(self, query: Query, affected: Affected) -> set[int] | None:
        """Keys of the few objects that may have come or gone; None if it takes a look at all of them to know.

        Known where an object matches by its own properties alone and its place is that of its key: then the cost of a
        change set follows the number of changes, not that of the results.
        """
        log = affected.log
        if log is None or log.schema or query.stages or self.observed._source is not None:
            return None
        steps, looked_up = dependencies(query)
        if looked_up or any(step.target is not None for step in steps):
            return None
        own = self.observed._binding.info.id
        ranges = log.inserted.get(own, [])
        gone = log.deleted.get(own, set())
        written = [log.modified.get(step.property.id, set()) for step in steps]
        if sum(stop - first for first, stop in ranges) + len(gone) + sum(map(len, written)) > FEW:
            return None
        return {*(key for first, stop in ranges for key in range(first, stop)), *gone}.union(*written)


class _OwnedObserver(CollectionObserver):
    """A live list, set or dictionary: ends with the object that owns it."""

    observed: LiveCollection

    def compare(self, affected: Affected) -> Any:
        if not self.observed.is_valid:
            self.finished = True
            return self.ended()
        return self.difference(affected)

    @abstractmethod
    def ended(self) -> Any:
        """The last change: the owner was deleted."""

    @abstractmethod
    def difference(self, affected: Affected) -> Any:
        """The change while the owner exists."""

    def stored(self) -> list[Any]:
        """The elements in their stored form."""
        collection = self.observed
        reader = collection._read()
        with collection._context.lock:
            if collection._reference.kind == kinds.SET_COLLECTION:
                return list(reader.set_values(collection._reference))
            return list(reader.list_slice(collection._reference))

    def affected_targets(self, affected: Affected, stored: list[Any]) -> list[int]:
        """Places of the links among ``stored`` whose objects changed."""
        by_class: dict[int, Any] = {}
        places = []
        for place, value in enumerate(stored):
            if isinstance(value, ObjectRef):
                if value.class_id not in by_class:
                    by_class[value.class_id] = affected.objects(affected.catalogue.by_id[value.class_id], self.paths)
                keys = by_class[value.class_id]
                if keys is None or value.object_key in keys:
                    places.append(place)
        return places


class ListObserver(_OwnedObserver):
    """A live list, from the operations that were recorded on it."""

    size = 0

    def remember(self) -> None:
        self.size = len(self.observed)

    def ended(self) -> CollectionChange:
        return CollectionChange(deletions=tuple(range(self.size)), root_deleted=True)

    def difference(self, affected: Affected) -> CollectionChange:
        reference = self.observed._reference
        old_size, self.size = self.size, len(self.observed)
        operations: list[ListOperation] | None = None
        if affected.log is not None:
            operations = affected.log.lists.get((reference.property_id, reference.owner), [])
        if operations is None or any(operation[0] == UNKNOWN for operation in operations):
            return self._replaced(old_size)
        links = self.observed._converter.kind in (kinds.LINK, kinds.MIXED)
        changed = self.affected_targets(affected, self.stored()) if links else []
        try:
            change = replay_list(old_size, operations, changed)
        except IndexError:
            return self._replaced(old_size)
        fits = old_size - len(change.deletions) + len(change.insertions) == self.size
        return change if fits else self._replaced(old_size)

    def _replaced(self, old_size: int) -> CollectionChange:
        """Too little is known: everything was replaced."""
        return CollectionChange(deletions=tuple(range(old_size)), insertions=tuple(range(self.size)))


class SetObserver(_OwnedObserver):
    """A live set, by its members before and after."""

    members: list[Any]

    def remember(self) -> None:
        self.members = [_member(value) for value in self.stored()]

    def ended(self) -> CollectionChange:
        return CollectionChange(deletions=tuple(range(len(self.members))), root_deleted=True)

    def difference(self, affected: Affected) -> CollectionChange:
        old = self.members
        stored = self.stored()
        self.members = [_member(value) for value in stored]
        modified = {self.members[place] for place in self.affected_targets(affected, stored)}
        return compare_members(old, self.members, modified)


def _member(value: Any) -> Any:
    return value if isinstance(value, ObjectRef) else sort_key(value)


class DictionaryObserver(_OwnedObserver):
    """A live dictionary, by its keys before and after and the operations that were recorded on it."""

    keys: set[str]

    def initial(self) -> DictionaryChange:
        return DictionaryChange(initial=True)

    def remember(self) -> None:
        self.keys = set(self.observed)  # type: ignore[call-overload]

    def ended(self) -> DictionaryChange:
        return DictionaryChange(deletions=tuple(sorted(self.keys)), root_deleted=True)

    def difference(self, affected: Affected) -> DictionaryChange:
        collection = self.observed
        reader, reference = collection._read(), collection._reference
        with collection._context.lock:
            items = reader.dict_items(reference)
        old, self.keys = self.keys, {key for key, _ in items}
        common = old & self.keys
        written = common
        if affected.log is not None:
            operations = affected.log.dicts.get((reference.property_id, reference.owner), [])
            if not any(operation == UNKNOWN for operation, _ in operations):
                written = {key for _, key in operations} & common
        places = self.affected_targets(affected, [value for _, value in items])
        modified = written | ({items[place][0] for place in places} & common)
        return DictionaryChange(_sorted(old - self.keys), _sorted(self.keys - old), _sorted(modified))


def _sorted(keys: set[str]) -> tuple[str, ...]:
    return tuple(sorted(keys, key=lambda key: key.encode("utf-8", "surrogatepass")))
