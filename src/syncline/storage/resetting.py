"""Carrying out a reset: removing from a collection in a Mixed what the other side has not written (merge/resets.py)."""

from __future__ import annotations

from typing import cast

from syncline.changesets.instructions import Update
from syncline.merge.resets import Reset, erasures
from syncline.storage.columns import DICTIONARY_TAG, LIST_TAG, Cell, text_from_sql
from syncline.storage.places import ELEMENT, ENTRY, PROPERTY, Spot, entry_key
from syncline.storage.refs import CollectionRef
from syncline.storage.workspace import Workspace
from syncline.values.kinds import DICTIONARY_COLLECTION, ERASED, LIST, LIST_COLLECTION, MIXED

__all__ = ["carry_out"]


def carry_out(workspace: Workspace, spot: Spot, update: Update, reset: Reset) -> None:
    """Empty the collection at ``spot`` but for the written keys, and note the steps in ``reset``.

    Nothing happens where there is no collection of that kind: then nothing is there that could be removed.
    """
    cell = _cell(workspace, spot)
    if cell is None or spot.prop.type != MIXED:
        return
    if reset.kind == LIST:
        if cell[0] == LIST_TAG:
            _empty_list(workspace, CollectionRef(LIST_COLLECTION, 0, cast(int, cell[1])), update, reset)
    elif cell[0] == DICTIONARY_TAG:
        _empty_dictionary(workspace, CollectionRef(DICTIONARY_COLLECTION, 0, cast(int, cell[1])), update, reset)


def _cell(workspace: Workspace, spot: Spot) -> Cell | None:
    if spot.kind == PROPERTY:
        return spot.rows.cell(spot.k, spot.prop)
    if spot.kind == ELEMENT:
        return workspace.member(spot.collection, spot.place)
    if spot.kind == ENTRY:
        return workspace.member(spot.collection, entry_key(cast(str, spot.place)))
    return None


def _empty_list(workspace: Workspace, ref: CollectionRef, update: Update, reset: Reset) -> None:
    size = workspace.list_size(ref)
    if size:
        workspace.list_clear(ref)
        reset.steps += erasures(update, update.path, size)


def _empty_dictionary(workspace: Workspace, ref: CollectionRef, update: Update, reset: Reset) -> None:
    for place, _ in workspace.members(ref):
        name = text_from_sql(place)
        if name not in reset.keys:
            workspace.member_erase(ref, place)
            path = (*update.path, name)
            reset.steps.append(Update(update.table, update.key, update.field, path, ERASED, None))
