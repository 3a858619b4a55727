"""Deleting objects locally, and bringing back the links to one that is created again (spec/changesets.md §9.2 to §9.4).

A local deletion first removes every link to the object, each with its own instruction, then the object; what it owns
goes without instruction. Deletions that come from elsewhere are :func:`syncline.storage.links.bury`.
"""

from __future__ import annotations

from typing import cast

from syncline.changesets.instructions import (
    NOT_AN_ARRAY_UPDATE,
    ArrayErase,
    EraseObject,
    SetErase,
    SetInsert,
    Update,
)
from syncline.errors import InvalidatedObjectError
from syncline.storage.backlinks import LinkPlace, links_through
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.columns import NULL_CELL, Cell, text_from_sql
from syncline.storage.links import links_to
from syncline.storage.recording import Address, Recorder, holds
from syncline.storage.refs import CollectionRef
from syncline.storage.workspace import Workspace
from syncline.values import Link
from syncline.values.kinds import LINK, LIST_COLLECTION, MIXED, NULL, SET_COLLECTION, SINGLE_COLLECTION

__all__ = ["clear_class", "erase_embedded", "erase_objects", "record_revival"]


def erase_objects(workspace: Workspace, recorder: Recorder, info: ClassInfo, keys: list[int]) -> None:
    """Delete top-level objects that exist, in the given order.

    Where the class owns embedded objects, all links are removed before the first object, as realm-core does it.
    """
    owns = any(prop.embedded for prop in info.properties.values())
    linked = bool(workspace.incoming(info))
    for k in keys:
        if linked:
            _nullify(workspace, recorder, info, k, links_to(workspace, info, k))
        if not owns:
            _erase(workspace, recorder, info, k)
    if owns:
        for k in keys:
            _erase(workspace, recorder, info, k)


def clear_class(workspace: Workspace, recorder: Recorder, info: ClassInfo) -> None:
    """Delete all objects of a class: links from other classes are removed, those among its own objects just go."""
    workspace.flush()
    keys = [cast(int, row[0]) for row in workspace.query(f"SELECT k FROM {info.table} ORDER BY k")]
    for prop in workspace.incoming(info):
        if prop.class_id != info.id:
            for k in keys:
                workspace.flush()
                _nullify(workspace, recorder, info, k, links_through(workspace, prop, info.id, k))
    for k in keys:
        _erase(workspace, recorder, info, k)


def _erase(workspace: Workspace, recorder: Recorder, info: ClassInfo, k: int) -> None:
    if recorder.enabled and not info.asymmetric:
        recorder.instructions.append(EraseObject(info.name, workspace.key_of(info, k)))
    workspace.drop([(info.id, k)])


def _nullify(workspace: Workspace, recorder: Recorder, info: ClassInfo, k: int, places: list[LinkPlace]) -> None:
    """Remove the links at ``places``, which point to the object, each with its instruction."""
    erased: dict[CollectionRef, int] = {}
    for prop, owner, ref, place in places:
        if ref is None:
            owner_info = workspace.catalogue.by_id[prop.class_id]
            _nullify_property(workspace, recorder, owner_info, owner, prop)
            continue
        address = recorder.collection_address(ref) if recorder.enabled else None
        if ref.kind == LIST_COLLECTION:
            count = erased.get(ref, 0)
            erased[ref] = count + 1
            erase_element(workspace, recorder, ref, address, cast(int, place) - count)
        elif ref.kind == SET_COLLECTION:
            if address is not None:
                link = Link(info.name, workspace.key_of(info, k))
                recorder.add(SetErase(address.table, address.key, address.field, address.path, LINK, link), address)
            workspace.member_erase(ref, place)
        else:
            nullify_entry(workspace, recorder, ref, address, place)


def _nullify_property(
    workspace: Workspace, recorder: Recorder, owner_info: ClassInfo, owner: int, prop: PropertyInfo
) -> None:
    if recorder.enabled:
        address = recorder.property_address(owner_info, owner, prop)
        recorder.add(Update(address.table, address.key, address.field, address.path, NULL, None), address)
    workspace.set_cell(workspace.rows(owner_info.id), owner, prop, null_cell(prop))


def erase_element(
    workspace: Workspace, recorder: Recorder, ref: CollectionRef, address: Address | None, index: int
) -> None:
    """Remove a list element at a real index; ``address``: the list's, None when nothing is recorded."""
    if address is not None:
        size = workspace.list_size(ref)
        path = (*address.path, index)
        recorder.add(ArrayErase(address.table, address.key, address.field, path, size), address)
    workspace.list_erase(ref, index)


def nullify_entry(
    workspace: Workspace, recorder: Recorder, ref: CollectionRef, address: Address | None, place: int | str | bytes
) -> None:
    """Make a dictionary entry null."""
    if address is not None:
        path = (*address.path, text_from_sql(place))
        recorder.add(Update(address.table, address.key, address.field, path, NULL, None), address)
    workspace.member_put(ref, place, null_cell(workspace.element(ref)))


def null_cell(prop: PropertyInfo) -> Cell:
    """Null in a link or Mixed place."""
    return NULL_CELL if prop.type == MIXED else (None,)


def erase_embedded(workspace: Workspace, recorder: Recorder, info: ClassInfo, k: int) -> None:
    """Delete an embedded object: its owner's link becomes null, its list element goes (spec/sdk.md §1.9)."""
    row = workspace.row(info, k)
    owner_info = workspace.catalogue.by_id[cast(int, row[1])]
    owner = cast(int, row[2])
    prop = owner_info.by_id[cast(int, row[3])]
    if prop.collection == SINGLE_COLLECTION:
        _nullify_property(workspace, recorder, owner_info, owner, prop)
        return
    ref = CollectionRef(prop.collection, prop.id, owner)
    address = recorder.collection_address(ref) if recorder.enabled else None
    if ref.kind == LIST_COLLECTION:
        for index, cell in enumerate(workspace.list_buffer(ref).load()):
            if holds(prop, cell, k):
                erase_element(workspace, recorder, ref, address, index)
                return
    else:
        for place, cell in workspace.members(ref):
            if holds(prop, cell, k):
                nullify_entry(workspace, recorder, ref, address, place)
                return
    raise InvalidatedObjectError("the embedded object is not in its owner any more")


def record_revival(workspace: Workspace, recorder: Recorder, link: Link, places: list[LinkPlace]) -> None:
    """Write again, as instructions, the links that point to a re-created object (spec/changesets.md §9.4)."""
    for prop, owner, ref, place in places:
        if ref is None:
            address = recorder.property_address(workspace.catalogue.by_id[prop.class_id], owner, prop)
        else:
            address = recorder.collection_address(ref)
        table, key, field, path, _ = address
        if ref is not None and ref.kind == SET_COLLECTION:
            recorder.add(SetErase(table, key, field, path, LINK, link), address)
            recorder.add(SetInsert(table, key, field, path, LINK, link), address)
            continue
        prior_size = NOT_AN_ARRAY_UPDATE
        if ref is not None and ref.kind == LIST_COLLECTION:
            path = (*path, cast(int, place))
            prior_size = workspace.list_size(ref)
        elif ref is not None:
            path = (*path, text_from_sql(place))
        recorder.add(Update(table, key, field, path, LINK, link, False, prior_size), address)
