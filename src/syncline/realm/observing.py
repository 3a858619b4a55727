"""What each kind of observer watches, and the change set it is due (spec/sdk.md §9.5, §9.8).

An observer remembers the state its callback saw last. :meth:`Observer.prepare` compares it with the state now and
remembers that one; of the application's code it runs key functions of sections and conversions of custom types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from syncline.query.ast import Limit, Query, Sort
from syncline.query.ast import Step as PathStep
from syncline.query.dependencies import dependencies
from syncline.realm.affected import Affected
from syncline.realm.changes import (
    CollectionChange,
    DictionaryChange,
    ObjectChange,
    compare_few,
    compare_keys,
    compare_members,
    replay_list,
)
from syncline.realm.declarations import Counter
from syncline.realm.key_paths import KeyPath, Step, incoming_steps
from syncline.realm.live import LiveCollection
from syncline.realm.models import Model
from syncline.realm.patching import FEW, FEW_SORTED, unlimited
from syncline.realm.section_changes import SectionedChange, change_of_section, section_change
from syncline.realm.sections import Layout, Section, SectionedResults, identity_of
from syncline.realm.streams import Inbox, frozen_view
from syncline.storage.backlinks import links_through
from syncline.storage.catalogue import PropertyInfo
from syncline.storage.changes import DICT_CLEAR, UNKNOWN, ChangeLog, ListOperation
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import kinds
from syncline.values.order import sort_key

if TYPE_CHECKING:
    from syncline.realm.binding import Binding
    from syncline.realm.dictionary_views import DictionaryView
    from syncline.realm.results import Results

__all__ = [
    "CollectionObserver",
    "DictionaryObserver",
    "DictionaryViewObserver",
    "ListObserver",
    "Listener",
    "ObjectObserver",
    "Observer",
    "ResultsObserver",
    "SectionObserver",
    "SectionsObserver",
    "SetObserver",
]

#: Who is told: a callback, or what an iterator takes its items from.
Listener: TypeAlias = "Callable[[Any, Any], object] | Inbox"

#: Values that :meth:`ObjectChange.old` does not give: by then they would not be what they were.
_HOLDERS: Final = (Model, LiveCollection)

#: Up to so many changed objects of a collection are looked up one by one.
FEW_ELEMENTS: Final = 100


class Observer(ABC):
    """One callback on one thing, or the inbox of one iterator. ``finished``: there will be nothing further to tell."""

    finished = False
    #: whether the first call was prepared
    started = False
    #: whether what is observed is of a class that the file has no more, so that it cannot be frozen
    gone = False
    #: the field of a change set that holds what is observed
    field = "collection"

    def __init__(self, observed: Any, listener: Listener, paths: list[KeyPath] | None) -> None:
        self.observed = observed
        self.listener = listener
        self.paths = paths
        #: whether what was linked at the time of the last round has to be known
        self.looks_back = incoming_steps(paths)

    @abstractmethod
    def prepare(self, affected: Affected) -> Any:
        """The change since the last round, None if there is nothing to tell."""

    def state(self) -> dict[str, Any]:
        """What the callback saw last, for :meth:`restore`; nothing in it is changed, only replaced."""
        return vars(self).copy()

    def restore(self, state: dict[str, Any]) -> None:
        """After an error: what was prepared last will never be told."""
        vars(self).update(state)

    def shown(self, change: Any) -> Any:
        """The change as it is told: with what is observed, for an iterator as it is at this version."""
        if getattr(change, "deleted", False):
            return change
        frozen = isinstance(self.listener, Inbox) and self.listener.frozen and not self.gone
        return replace(change, **{self.field: frozen_view(self.observed) if frozen else self.observed})


class ObjectObserver(Observer):
    """One object: its own properties, or those that key paths name. Remembers its values, for :meth:`ObjectChange.old`.

    Only an iterator gets a first item that reports nothing (spec/sdk.md §9.4).
    """

    field = "object"

    def __init__(self, binding: Binding, obj: Model, listener: Listener, paths: list[KeyPath] | None) -> None:
        super().__init__(obj, listener, paths)
        self.binding = binding
        self.started = not isinstance(listener, Inbox)
        self.values = self._read()

    def prepare(self, affected: Affected) -> ObjectChange | None:
        binding, key = self.binding, self.observed._key
        if not self.started:
            self.started = True
            self.values = self._read()
            self.finished = self.values is None
            return ObjectChange(deleted=self.finished, initial=True)
        if affected.nothing:
            return None
        with binding.context.lock:
            exists = affected.has_class(binding.info) and affected.reader.exists(binding.info, key)
        if not exists:
            self.finished = True
            return ObjectChange(deleted=True)
        names = self._changed(affected)
        if not names:
            return None
        old, self.values = self.values or {}, self._read()
        new = self.values or {}
        pairs = {name: (old[name], new[name]) for name in names if name in old and name in new}
        return ObjectChange(changed=names, values=pairs)

    def _changed(self, affected: Affected) -> tuple[str, ...]:
        """Names of the properties that changed, or that lead to a change."""
        binding, key = self.binding, self.observed._key
        attributes = binding.model._info.attributes.values()
        if affected.log is None:
            return tuple(attribute.name for attribute in attributes)
        changed: dict[Step, None] = {}
        if self.paths is None:
            changed |= {p.name: None for p in binding.info.properties.values() if key in affected.own(p)}
        for path in self.paths or ():
            for step, further in path.steps.items():
                if key in affected.step(binding.info, step, further):
                    changed[step] = None
        names = [attribute.name for attribute in attributes if attribute.property.stored_name in changed]
        return (*names, *(step.label for step in changed if not isinstance(step, str)))

    def _read(self) -> dict[str, Any] | None:
        """The values that are neither objects nor collections, by name; None if the object is gone."""
        binding, obj = self.binding, self.observed
        if not binding.is_valid(obj):
            return None
        found = {}
        for name, attribute in binding.model._info.attributes.items():
            kind = attribute.property.type
            if kind.is_collection or kind.kind == kinds.LINK:
                continue
            value = attribute.__get__(obj)
            if not isinstance(value, _HOLDERS):
                found[name] = int(value) if isinstance(value, Counter) else value
        return found


class CollectionObserver(Observer):
    """Results and collections: the first call says only that they were looked at."""

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

    def __init__(self, results: Results[Any], listener: Listener, paths: list[KeyPath] | None) -> None:
        super().__init__(results, listener, paths)
        self.keys = array("q")

    def remember(self) -> None:
        self.keys = self.observed._all_keys()[:]

    def compare(self, affected: Affected) -> CollectionChange:
        results = self.observed
        if not results._binding.is_missing and not affected.has_class(results._binding.info):
            self.finished = self.gone = True
            return CollectionChange(deletions=tuple(range(len(self.keys))))
        if not results._source_exists():
            self.finished = True
            return CollectionChange(deletions=tuple(range(len(self.keys))), root_deleted=True)
        old = self.keys
        query = results._resolve()
        candidates: set[int] | None = None
        if self._membership_may_differ(query, affected):
            candidates = self._candidates(query, affected)
            if candidates is None:
                self.remember()
            else:
                self.keys = results._patch_keys(old, candidates)[:]
                if unlimited(query)[1] is not None:
                    candidates |= set(old).difference(self.keys)  # others made way
        modified = affected.objects(results._binding.info, self.paths)
        if self.keys is old and not modified and modified is not None:
            return CollectionChange()
        if candidates is not None and modified is not None and query.stages:
            return compare_few(old, self.keys, candidates, modified)
        ordered = results._source is None and not any(isinstance(stage, Sort) for stage in query.stages)
        return compare_keys(old, self.keys, modified, ordered=ordered, unique=results._source is None)

    def _membership_may_differ(self, query: Query, affected: Affected) -> bool:
        """Whether something was written that decides which objects match, or in which order."""
        log = affected.log
        if log is None or log.schema:  # a property may have been made anew
            return True
        source = self.observed._source
        collection = source[1] if source is not None and isinstance(source[1], CollectionRef) else None
        if source is not None:
            writers = log.modified.get(source[0].id, ())
            if (writers and collection is None) or (collection is not None and collection.owner in writers):
                return True
        steps, looked_up = dependencies(query)
        own = self.observed._binding.info.id
        reached = {*looked_up, *(step.target.id for step in steps if step.target is not None)}
        if any(id in log.inserted or id in log.deleted for id in reached):
            return True
        if collection is None and own in log.inserted:  # a new object is in no collection that was not written
            return True
        if not reached and source is not None and collection is not None:
            gone, written = log.deleted.get(own, set()), own_writes(steps, log)
            inner_limit = any(isinstance(stage, Limit) for stage in query.stages[:-1])  # hides who may come forward
            if len(gone) + len(written) <= FEW_ELEMENTS and not (gone and inner_limit):
                return not gone.isdisjoint(self.keys) or self._holds_any(source[0], collection, written)
        return own in log.deleted or any(step.property.id in log.modified for step in steps)

    def _holds_any(self, prop: PropertyInfo, collection: CollectionRef, keys: set[int]) -> bool:
        """Whether one of these objects is in the collection that is looked at."""
        info, context = self.observed._binding.info, self.observed._context
        reader = context.reader()
        with context.lock:
            return any(
                collection.owner in reader.backlinks(info, key, prop) for key in keys if reader.exists(info, key)
            )

    def _candidates(self, query: Query, affected: Affected) -> set[int] | None:
        """Keys of the few objects that may have come or gone; None if it takes a look at all of them to know.

        Known where an object matches by its own properties alone and its place is that of its key, or follows from its
        own properties: then the cost of a change set follows the number of changes, not that of the results.
        """
        log = affected.log
        if log is None or log.schema or self.observed._source is not None:
            return None
        query, limit = unlimited(query)
        if not all(isinstance(stage, Sort) for stage in query.stages):
            return None
        steps, looked_up = dependencies(query)
        if looked_up or any(step.target is not None for step in steps):
            return None
        own = self.observed._binding.info.id
        ranges = log.inserted.get(own, [])
        changed = log.deleted.get(own, set()) | own_writes(steps, log)
        count = sum(stop - first for first, stop in ranges) + len(changed)
        if count > (FEW_SORTED if query.stages else FEW):
            return None
        if limit is not None and len(self.keys) >= limit and not changed.isdisjoint(self.keys):
            return None  # one that goes makes room for one that is not known here
        return changed.union(*(range(first, stop) for first, stop in ranges))


class _OuterObserver(Observer):
    """Tells in another form what an ``inner`` one finds."""

    inner: CollectionObserver

    def state(self) -> dict[str, Any]:
        return super().state() | {"inner state": self.inner.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.inner.restore(state.pop("inner state"))
        super().restore(state)

    def found(self, affected: Affected) -> Any:
        """What the inner one is to be told."""
        change = self.inner.prepare(affected)
        self.started, self.finished, self.gone = self.inner.started, self.inner.finished, self.inner.gone
        return change


def own_writes(steps: Iterable[PathStep], log: ChangeLog) -> set[int]:
    """Keys of the objects in which something was written that the query looks at in them."""
    return set().union(*(log.modified.get(step.property.id, ()) for step in steps))


class SectionsObserver(_OuterObserver):
    """Sections of results, from what happened to the results."""

    def __init__(self, sections: SectionedResults[Any], listener: Listener, paths: list[KeyPath] | None) -> None:
        super().__init__(sections, listener, paths)
        self.inner = ResultsObserver(sections.results, listener, paths)
        self.layout = Layout(())

    def prepare(self, affected: Affected) -> SectionedChange | None:
        flat = self.found(affected)
        if flat is None:
            if not self._may_move(affected):
                return None
            flat = CollectionChange()
        old, self.layout = self.layout, Layout(()) if self.finished else self.observed.layout()
        if flat.initial:
            return SectionedChange(initial=True, source=(self.layout, self.layout, flat))
        change = section_change(old, self.layout, flat)
        return None if change.is_empty else change

    def _may_move(self, affected: Affected) -> bool:
        """Whether rows may have changed their sections where key paths do not ask for what these are made of: coming
        and going is told with any of them.
        """
        if self.paths is None or affected.nothing or self.finished:
            return False
        changed = affected.objects(self.inner.observed._binding.info, None)
        return changed is None or bool(changed)


class SectionObserver(SectionsObserver):
    """One section, by its key; it may be gone for a while."""

    def __init__(self, section: Section[Any], listener: Listener, paths: list[KeyPath] | None) -> None:
        super().__init__(section._sections, listener, paths)
        self.observed = section

    def prepare(self, affected: Affected) -> Any:
        sections, section = self.observed._sections, self.observed
        self.observed = sections
        try:
            whole = super().prepare(affected)
        finally:
            self.observed = section
        if whole is None or whole.initial:
            return None if whole is None else CollectionChange(initial=True)
        change = change_of_section(identity_of(section.key), whole)
        return replace(change, root_deleted=whole.root_deleted) if whole.root_deleted or not change.is_empty else None


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

    def written(self, affected: Affected) -> bool:
        """Whether the collection itself may have been written."""
        reference, log = self.observed._reference, affected.log
        if log is None or not reference.property_id:
            return True
        return reference.owner in log.modified.get(reference.property_id, ())

    def linked_places(self, affected: Affected) -> list[int] | None:
        """Places of the links whose objects changed, found from those objects; in a set or dictionary the places say
        nothing, only how many there are. None if the elements have to be looked at.
        """
        collection = self.observed
        kind, reference = collection._converter.kind, collection._reference
        if kind not in (kinds.LINK, kinds.MIXED):
            return []
        if affected.log is None or kind == kinds.MIXED or not reference.property_id:
            return None
        target = affected.catalogue.by_id[collection._place.target_id]
        keys = affected.objects(target, self.paths)
        if keys is None or len(keys) > FEW_ELEMENTS:
            return None
        reader, places = collection._read(), []
        with collection._context.lock:
            for key in keys:
                for link in links_through(reader.tables, collection._place, target.id, key):
                    if link.owner == reference.owner:
                        places.append(
                            reader.list_visible_index(reference, link.place) if isinstance(link.place, int) else 0
                        )
        return sorted(places)

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
        changed = self.linked_places(affected)
        if changed is None:
            changed = self.affected_targets(affected, self.stored())
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
        if not self.written(affected) and self.linked_places(affected) == []:
            return CollectionChange()
        stored = self.stored()
        self.members = [_member(value) for value in stored]
        modified = {self.members[place] for place in self.affected_targets(affected, stored)}
        return compare_members(old, self.members, modified, cleared=_cleared(affected, self.observed._reference))


def _cleared(affected: Affected, reference: CollectionRef) -> bool:
    """Whether ``clear()`` was called for a set or dictionary."""
    if affected.log is None:
        return False
    operations = affected.log.dicts.get((reference.property_id, reference.owner), ())
    return any(operation == DICT_CLEAR for operation, _ in operations)


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
        if not self.written(affected) and self.linked_places(affected) == []:
            return DictionaryChange()
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


class DictionaryViewObserver(_OuterObserver):
    """The keys or the values of a dictionary by their places, from what happened to its entries."""

    inner: DictionaryObserver

    def __init__(self, view: DictionaryView[Any], listener: Listener, paths: list[KeyPath] | None) -> None:
        super().__init__(view, listener, paths)
        self.inner = DictionaryObserver(view._mapping, listener, paths)

    def prepare(self, affected: Affected) -> CollectionChange | None:
        before = self.inner.keys if self.started else set()
        change = self.found(affected)
        if change is None or change.initial:
            return None if change is None else CollectionChange(initial=True)
        old = _sorted(before)
        if change.root_deleted:
            return CollectionChange(tuple(range(len(old))), root_deleted=True)
        modified = set(change.modifications) if self.observed.tells_values else set()
        cleared = _cleared(affected, self.observed._mapping._reference)
        found = compare_members(old, _sorted(self.inner.keys), modified, cleared=cleared)
        return None if found.is_empty else found


def _sorted(keys: set[str]) -> tuple[str, ...]:
    return tuple(sorted(keys, key=lambda key: key.encode("utf-8", "surrogatepass")))
