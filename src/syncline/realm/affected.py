"""Which objects count as changed, from what was written (spec/sdk.md §9.5, §9.6).

The change log says which properties of which objects were written. An observer also wants objects that *lead* to one of
those, so the search goes backwards from what was written over the links that lead there: its cost follows the number of
changes, not the number of objects observed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final, cast

from syncline.errors import InvalidPropertyError
from syncline.realm.attributes import Attribute
from syncline.realm.models import ModelInfo, unknown_property
from syncline.storage.catalogue import Catalogue, ClassInfo, PropertyInfo
from syncline.storage.changes import ChangeLog
from syncline.values import kinds

if TYPE_CHECKING:
    from syncline.realm.context import Context

__all__ = ["Affected", "KeyPath", "parse_key_paths"]

#: The object itself, and objects that it links to over one, two or three links.
LAYERS: Final = 4

#: Stored names from a class on; ``*`` is every property.
KeyPath = tuple[str, ...]


def parse_key_paths(paths: Sequence[str] | None, model: ModelInfo) -> list[KeyPath] | None:
    """The paths by stored names. Raises InvalidPropertyError for a path that leads nowhere."""
    if paths is None:
        return None
    if isinstance(paths, str):
        raise InvalidPropertyError(f"key_paths is a list of paths, not one text: [{paths!r}]")
    return [stored for path in paths for stored in _parse(path, model)]


def _parse(path: str, model: ModelInfo) -> list[KeyPath]:
    """The path by stored names; behind a ``*`` these may differ by class, and classes without the property drop out."""
    found: list[tuple[KeyPath, ModelInfo | None]] = [((), model)]
    for name in path.split("."):
        following: list[tuple[KeyPath, ModelInfo | None]] = []
        owners = [(stored, owner) for stored, owner in found if owner is not None]
        if not owners:
            raise InvalidPropertyError(f"key path {path!r}: {found[0][0][-1]!r} is no link, so nothing can follow it")
        for stored, owner in owners:
            if name == "*":
                following += [((*stored, "*"), _target(attribute)) for attribute in owner.attributes.values()]
            elif name in owner.attributes:
                attribute = owner.attributes[name]
                following.append(((*stored, attribute.property.stored_name), _target(attribute)))
        if not following:
            raise unknown_property(owners[0][1].public_name, name, owners[0][1].attributes)
        found = following
    return list(dict.fromkeys(stored for stored, _ in found))


def _target(attribute: Attribute) -> ModelInfo | None:
    return cast("ModelInfo", attribute.target()) if attribute.target is not None else None


class Affected:
    """What one round of notifications knows; ``log`` None: nothing is known, everything may have changed."""

    def __init__(self, context: Context, log: ChangeLog | None) -> None:
        self.context = context
        self.log = log
        self.reader = context.reader()
        self.catalogue: Catalogue = self.reader.catalogue
        self._by_depth: dict[tuple[int, int], frozenset[int]] = {}

    @property
    def nothing(self) -> bool:
        """Whether nothing changed at all."""
        return self.log is not None and self.log.is_empty

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

    def own(self, info: ClassInfo, prop: PropertyInfo) -> set[int]:
        """Keys of objects in which that property was written."""
        assert self.log is not None
        return self.log.modified.get(prop.id, set())

    def _deep(self, info: ClassInfo, layers: int) -> frozenset[int]:
        known = self._by_depth.get((info.id, layers))
        if known is None:
            found: set[int] = set()
            for prop in info.properties.values():
                found |= self.own(info, prop)
                if layers > 1:
                    for target in self._targets(prop):
                        found |= self._linking(target, self._deep(target, layers - 1), prop)
            known = self._by_depth[info.id, layers] = frozenset(found)
        return known

    def along(self, info: ClassInfo, path: KeyPath) -> set[int]:
        """Keys of the objects for which something on the path was written; each prefix of the path counts."""
        name, rest = path[0], path[1:]
        props = [prop for prop in info.properties.values() if name in ("*", prop.name)]
        found: set[int] = set()
        for prop in props:
            found |= self.own(info, prop)
            if rest:
                for target in self._targets(prop):
                    found |= self._linking(target, self.along(target, rest), prop)
        return found

    def _targets(self, prop: PropertyInfo) -> list[ClassInfo]:
        """The classes that a property may link to and in which something was written."""
        if prop.type == kinds.LINK:
            return [self.catalogue.by_id[prop.target_id]]
        if prop.type == kinds.MIXED:
            return [info for info in self.catalogue.by_id.values() if not info.embedded and not info.asymmetric]
        return []

    def _linking(self, target: ClassInfo, keys: Collection[int], prop: PropertyInfo) -> set[int]:
        """Keys of the objects that link to one of ``keys`` through ``prop``."""
        found: set[int] = set()
        with self.context.lock:
            for key in keys:
                if self.reader.exists(target, key):
                    found.update(self.reader.backlinks(target, key, prop))
        return found
