"""Finding the place an instruction speaks of: from an object's property along the path (spec/changesets.md §10.5)."""

from __future__ import annotations

from typing import Final, cast

from syncline.changesets.describe import name_text
from syncline.changesets.instructions import Path
from syncline.errors import InapplicableChangesetError, InvalidDictionaryKeyError, LimitExceededError
from syncline.storage.catalogue import PropertyInfo
from syncline.storage.collection_writer import dictionary_key
from syncline.storage.columns import DICTIONARY_TAG, LIST_TAG, Cell
from syncline.storage.refs import CollectionRef
from syncline.storage.rows import ClassRows
from syncline.storage.tables import Place
from syncline.storage.workspace import Workspace
from syncline.values.kinds import (
    DICTIONARY_COLLECTION,
    LIST_COLLECTION,
    MIXED,
    SET_COLLECTION,
    SINGLE_COLLECTION,
)

__all__ = ["COLLECTION", "ELEMENT", "ENTRY", "PROPERTY", "Spot", "entry_key", "resolve"]

#: a single property
PROPERTY: Final = 0
#: a whole collection property
COLLECTION: Final = 1
#: an element of a list, which may not exist
ELEMENT: Final = 2
#: an entry of a dictionary, which may not exist
ENTRY: Final = 3

_NO_COLLECTION: Final = CollectionRef(SINGLE_COLLECTION, 0, 0)


class Spot:
    """A place. ``rows``, ``k`` and ``root``: the innermost object and the property of it that the place belongs to.

    ``prop``: the rules for the value here; differs from ``root`` inside a Mixed. ``collection`` and ``place``: for an
    element its list and index, for an entry its dictionary and key (as text), for a collection itself.
    """

    def __init__(
        self,
        kind: int,
        rows: ClassRows,
        k: int,
        root: PropertyInfo,
        prop: PropertyInfo,
        collection: CollectionRef,
        place: Place,
    ) -> None:
        self.kind = kind
        self.rows = rows
        self.k = k
        self.root = root
        self.prop = prop
        self.collection = collection
        self.place = place


def resolve(workspace: Workspace, rows: ClassRows, k: int, field: str, path: Path) -> Spot:
    """The place at ``path`` below property ``field`` of an object that exists. Raises InapplicableChangesetError."""
    position = 0
    length = len(path)
    while True:
        root = rows.info.properties.get(field)
        if root is None:
            raise InapplicableChangesetError(f"class {rows.info.name} has no property {name_text(field)}")
        prop = root
        if root.collection != SINGLE_COLLECTION:
            ref = CollectionRef(root.collection, root.id, k)
            if position == length:
                return Spot(COLLECTION, rows, k, root, root, ref, 0)
        else:
            if position == length:
                return Spot(PROPERTY, rows, k, root, root, _NO_COLLECTION, 0)
            cell = rows.cell(k, root)
            if root.type != MIXED:
                rows, k, field = _enter_object(workspace, root, cell, path[position])
                position += 1
                continue
            ref = _nested(root, cell)
            prop = workspace.element(ref)
        # standing on a collection, and more follows
        while True:
            place = path[position]
            position += 1
            _check_place(ref, root, place)
            if position == length:
                kind = ELEMENT if ref.kind == LIST_COLLECTION else ENTRY
                return Spot(kind, rows, k, root, prop, ref, place)
            cell = _element(workspace, ref, place)
            if prop.type != MIXED:
                break
            ref = _nested(root, cell)
            prop = workspace.element(ref)
        rows, k, field = _enter_object(workspace, prop, cell, path[position])
        position += 1


def _check_place(ref: CollectionRef, root: PropertyInfo, place: int | str) -> None:
    if ref.kind == LIST_COLLECTION:
        if isinstance(place, str):
            raise InapplicableChangesetError(f"property {root.name}: a key is no index of a list")
    elif ref.kind == DICTIONARY_COLLECTION:
        if not isinstance(place, str):
            raise InapplicableChangesetError(f"property {root.name}: {place} is no key of a dictionary")
    elif ref.kind == SET_COLLECTION:
        raise InapplicableChangesetError(f"property {root.name}: nothing is inside a set")


def _element(workspace: Workspace, ref: CollectionRef, place: int | str) -> Cell:
    cell = workspace.member(ref, entry_key(place) if isinstance(place, str) else place)
    if cell is None:
        raise InapplicableChangesetError("the path leads to an element that is not there")
    return cell


def entry_key(key: str) -> str | bytes:
    """A dictionary key as SQLite has it. Raises InapplicableChangesetError for one that is not allowed."""
    try:
        return dictionary_key(key)
    except (InvalidDictionaryKeyError, LimitExceededError):  # whose text has the key
        raise InapplicableChangesetError("the key of an entry must not start with '$' nor contain '.'") from None


def _nested(root: PropertyInfo, cell: Cell) -> CollectionRef:
    """The collection that a Mixed place holds."""
    if cell[0] == LIST_TAG:
        return CollectionRef(LIST_COLLECTION, 0, cast(int, cell[1]))
    if cell[0] == DICTIONARY_TAG:
        return CollectionRef(DICTIONARY_COLLECTION, 0, cast(int, cell[1]))
    raise InapplicableChangesetError(f"property {root.name}: the path goes on where the mixed value is no collection")


def _enter_object(workspace: Workspace, prop: PropertyInfo, cell: Cell, field: int | str) -> tuple[ClassRows, int, str]:
    """The embedded object in a place, and the name of the property that follows."""
    if not prop.embedded:
        raise InapplicableChangesetError(f"property {prop.name}: the path goes on where nothing is inside")
    if cell[0] is None:
        raise InapplicableChangesetError(f"property {prop.name}: the path goes on where there is no embedded object")
    if not isinstance(field, str):
        raise InapplicableChangesetError(f"property {prop.name}: {field} is no property of an embedded object")
    return workspace.rows(prop.target_id), cast(int, cell[0]), field
