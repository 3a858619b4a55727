"""Links as such: who links to an object, and tombstones for objects that are linked to but do not exist
(spec/changesets.md §9.3, §9.4, §10.3).

A link is stored as the target's object key; a link to a tombstone as −1 − the tombstone's number. When an object comes
or goes, the links to it are rewritten in place, so that lists, sets and dictionaries keep their elements.
"""

from __future__ import annotations

from typing import cast

from syncline.changesets.codec import encode_detached_key, encode_integer
from syncline.storage.backlinks import LinkPlace, links_through
from syncline.storage.catalogue import ClassInfo
from syncline.storage.columns import link_cell
from syncline.storage.workspace import Workspace
from syncline.values import GlobalKey, Key
from syncline.values.kinds import (
    LIST_COLLECTION,
    SET_COLLECTION,
)
from syncline.values.order import link_sort_key

__all__ = [
    "bury",
    "drop_lonely_tombstones",
    "find_tombstone",
    "link_target",
    "links_to",
    "revive",
    "tombstone_of",
]


def links_to(workspace: Workspace, info: ClassInfo, target: int) -> list[LinkPlace]:
    """All links to an object (or, negative, tombstone) in the order of spec/changesets.md §9.3."""
    incoming = workspace.incoming(info)
    places: list[LinkPlace] = []
    if incoming:
        workspace.flush()
    for prop in incoming:
        places.extend(links_through(workspace, prop, info.id, target))
    return places


def redirect(workspace: Workspace, info: ClassInfo, places: list[LinkPlace], old: int, new: int) -> None:
    """Make the links at ``places`` point to ``new`` instead of ``old``, where they are."""
    for place in places:
        ref = place.ref
        if ref is None:
            workspace.set_cell(
                workspace.rows(place.prop.class_id), place.owner, place.prop, link_cell(place.prop, info.id, new)
            )
            continue
        cell = link_cell(workspace.element(ref), info.id, new)
        if ref.kind == LIST_COLLECTION:
            workspace.list_set(ref, cast(int, place.place), cell)
        elif ref.kind == SET_COLLECTION:
            workspace.member_erase(ref, link_sort_key(info.id, old))
            workspace.member_put(ref, link_sort_key(info.id, new), cell)
        else:
            workspace.member_put(ref, place.place, cell)


# --- tombstones -------------------------------------------------------------------------------------------------------


def _key_blob(key: Key) -> bytes:
    """``rlm_tomb.pk``: the key in the form of spec/changesets.md §5.4, a GlobalKey as type −1 and its halves."""
    if isinstance(key, GlobalKey):
        return encode_integer(-1) + encode_integer(key.hi) + encode_integer(key.lo)
    return encode_detached_key(key)


def find_tombstone(workspace: Workspace, info: ClassInfo, key: Key) -> int:
    """The number of the tombstone that stands for a missing object, or -1."""
    if not workspace.has_tombstones(info.id):
        return -1
    return _find_tombstone(workspace, info, _key_blob(key))


def tombstone_of(workspace: Workspace, info: ClassInfo, blob: bytes) -> int:
    """The number of the tombstone for a key as ``rlm_tomb.pk`` of any file has it, made if need be."""
    number = _find_tombstone(workspace, info, blob) if workspace.has_tombstones(info.id) else -1
    return number if number >= 0 else _make_tombstone(workspace, info, blob)


def _find_tombstone(workspace: Workspace, info: ClassInfo, blob: bytes) -> int:
    rows = workspace.query("SELECT key FROM rlm_tomb WHERE class = ? AND pk = ?", (info.id, blob))
    return cast(int, rows[0][0]) if rows else -1


def _make_tombstone(workspace: Workspace, info: ClassInfo, blob: bytes) -> int:
    rows = workspace.query("SELECT ifnull(max(key), -1) + 1 FROM rlm_tomb WHERE class = ?", (info.id,))
    number = cast(int, rows[0][0])
    workspace.query("INSERT INTO rlm_tomb(class, key, pk) VALUES(?, ?, ?)", (info.id, number, blob))
    workspace.expect_tombstones(info.id)
    workspace.dirty = True
    return number


def link_target(workspace: Workspace, info: ClassInfo, key: Key) -> int:
    """What a link to that (checked) key is stored as: the object, or the tombstone, which is made if need be."""
    k = workspace.find(info, key)
    if k >= 0:
        return k
    number = find_tombstone(workspace, info, key)
    return -1 - (number if number >= 0 else _make_tombstone(workspace, info, _key_blob(key)))


def revive(workspace: Workspace, info: ClassInfo, key: Key, k: int) -> list[LinkPlace]:
    """The object ``k`` came into being: links to its tombstone point to it again. Returns where they are."""
    number = find_tombstone(workspace, info, key)
    if number < 0:
        return []
    places = links_to(workspace, info, -1 - number)
    redirect(workspace, info, places, -1 - number, k)
    workspace.query("DELETE FROM rlm_tomb WHERE class = ? AND key = ?", (info.id, number))
    return places


def bury(workspace: Workspace, info: ClassInfo, key: Key, k: int) -> None:
    """Delete an object without touching the links to it: they point to a tombstone from now on.

    Links from the object itself, and from what it owns, are gone with it.
    """
    workspace.drop([(info.id, k)])
    places = links_to(workspace, info, k)
    if places:
        number = _make_tombstone(workspace, info, _key_blob(key))
        redirect(workspace, info, places, k, -1 - number)


def drop_lonely_tombstones(workspace: Workspace) -> None:
    """Forget the tombstones that lost their last link."""
    for class_id, number in sorted(workspace.suspects):
        info = workspace.catalogue.by_id.get(class_id)
        if info is not None and not links_to(workspace, info, -1 - number):
            workspace.query("DELETE FROM rlm_tomb WHERE class = ? AND key = ?", (class_id, number))
    workspace.suspects.clear()
