"""Which objects count as changed, from what was written (spec/sdk.md §9.5, §9.6).

The change log says which properties of which objects were written. An observer also wants objects that *lead* to one of
those, so the search goes backwards from what was written over the links that lead there: its cost follows the number of
changes, not the number of objects observed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Final

from syncline.realm.key_paths import Incoming, KeyPath, Step
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.changes import ChangeLog
from syncline.storage.linking import linking
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.context import Context
    from syncline.storage.snapshot import Snapshot

__all__ = ["Affected"]

#: The object itself, and objects that it links to over one, two or three links.
LAYERS: Final = 4


class Affected:
    """What one round of notifications knows; ``log`` None: nothing is known, everything may have changed.

    ``before``: the version of the round before, for what was linked then; only kept while a key path asks for it.
    """

    def __init__(self, context: Context, log: ChangeLog | None, before: Snapshot | None = None) -> None:
        self.context = context
        self.log = log
        self.reader = context.reader()
        self.catalogue: Catalogue = self.reader.catalogue
        self._before = before
        self._by_depth: dict[tuple[int, int], frozenset[int]] = {}
        self._by_path: dict[tuple[int, int], frozenset[int]] = {}

    @property
    def nothing(self) -> bool:
        """Whether nothing changed at all."""
        return self.log is not None and self.log.is_empty

    def has_class(self, info: ClassInfo) -> bool:
        """Whether the file still has the class."""
        return info.id in self.catalogue.by_id

    def objects(self, info: ClassInfo, paths: list[KeyPath] | None) -> Collection[int] | None:
        """Keys of the objects of a class that count as changed, by these key paths; None if all may have."""
        if self.log is None:
            return None
        if paths is None:
            return self._deep(info, LAYERS)
        found: set[int] = set()
        for path in paths:
            found |= self.along(info, path)
        return found

    def own(self, prop: PropertyInfo) -> set[int]:
        """Keys of objects in which that property was written."""
        assert self.log is not None
        return self.log.modified.get(prop.id, set())

    def _deep(self, info: ClassInfo, layers: int) -> frozenset[int]:
        known = self._by_depth.get((info.id, layers))
        if known is None:
            found: set[int] = set()
            for prop in info.properties.values():
                found |= self.own(prop)
                if layers > 1:
                    for target in self._targets(prop):
                        found |= self._linking(target, self._deep(target, layers - 1), prop)
            known = self._by_depth[info.id, layers] = frozenset(found)
        return known

    # --- key paths ----------------------------------------------------------------------------------------------------

    def along(self, info: ClassInfo, path: KeyPath) -> frozenset[int]:
        """Keys of the objects for which something on the path was written; each prefix of the path counts."""
        known = self._by_path.get((info.id, id(path)))
        if known is None:
            found: set[int] = set()
            for step, further in path.steps.items():
                found |= self.step(info, step, further)
            known = self._by_path[info.id, id(path)] = frozenset(found)
        return known

    def step(self, info: ClassInfo, step: Step, further: KeyPath | None) -> set[int]:
        """The same for one step, and what counts behind it."""
        if isinstance(step, Incoming):
            return self._against(info, step, further)
        prop = info.properties.get(step)
        if prop is None:
            return set()
        found = set(self.own(prop))
        if further is not None and prop.target_id:
            target = self.catalogue.by_id[prop.target_id]
            found |= self._linking(target, self.along(target, further), prop)
        return found

    def _against(self, info: ClassInfo, step: Incoming, further: KeyPath | None) -> set[int]:
        """Objects to which links came, from which they went, or to which an object links that counts."""
        assert self.log is not None
        origin = self.catalogue.find(step.origin)
        prop = origin.properties.get(step.name) if origin is not None else None
        if origin is None or prop is None:
            return set()
        written = {*self.own(prop), *self.log.deleted.get(origin.id, ())}
        for first, stop in self.log.inserted.get(origin.id, ()):
            written.update(range(first, stop))
        found: set[int] = set()
        with self.context.lock:
            now = {key: set(self._linked(self.reader, origin, prop, key, info.id)) for key in written}
        if self._before is not None:
            with self._before.lock:
                reader = self._before.reader
                for key, targets in now.items():
                    targets ^= set(self._linked(reader, origin, prop, key, info.id))
        for targets in now.values():
            found |= targets
        if further is not None:
            keys = self.along(origin, further)
            with self.context.lock:
                for key in keys:
                    found.update(self._linked(self.reader, origin, prop, key, info.id))
        return found

    @staticmethod
    def _linked(reader: Reader, origin: ClassInfo, prop: PropertyInfo, key: int, target_id: int) -> Iterator[int]:
        """The objects of a class that an object links to through one property; none if it does not exist."""
        known = reader.catalogue.by_id.get(origin.id)
        if known is None or prop.name not in known.properties or not reader.exists(known, key):
            return
        values: list[Any] = [reader.get(known, key, known.properties[prop.name])]
        while values:
            value = values.pop()
            if isinstance(value, CollectionRef):
                values += _elements(reader, value)
            elif isinstance(value, ObjectRef) and value.class_id == target_id:
                yield value.object_key

    # --- links --------------------------------------------------------------------------------------------------------

    def _targets(self, prop: PropertyInfo) -> list[ClassInfo]:
        """The classes that a property may link to and in which something was written."""
        if prop.type == kinds.LINK:
            return [self.catalogue.by_id[prop.target_id]]
        if prop.type == kinds.MIXED:
            return [info for info in self.catalogue.by_id.values() if not info.embedded and not info.asymmetric]
        return []

    def _linking(self, target: ClassInfo, keys: Collection[int], prop: PropertyInfo) -> set[int]:
        """Keys of the objects that link to one of ``keys`` through ``prop``."""
        with self.context.lock:
            return linking(self.reader, target, keys, prop)


def _elements(reader: Reader, reference: CollectionRef) -> list[Any]:
    if reference.kind == kinds.LIST_COLLECTION:
        return list(reader.list_slice(reference))
    if reference.kind == kinds.SET_COLLECTION:
        return list(reader.set_values(reference))
    return [value for _, value in reader.dict_items(reference)]
