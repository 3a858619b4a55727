"""Who links to an object, as SQLite knows it (spec/sdk.md §13.5)."""

from __future__ import annotations

from typing import Final, NamedTuple, cast

from syncline.storage.catalogue import PropertyInfo
from syncline.storage.columns import SqlValue
from syncline.storage.refs import CollectionRef
from syncline.storage.tables import Place, Tables
from syncline.values.kinds import DICTIONARY_COLLECTION, LIST_COLLECTION, MIXED

__all__ = ["LinkPlace", "links_through"]


class LinkPlace(NamedTuple):
    """Where a link is: a property of the object ``owner``, and within it the collection and the place there, if any."""

    prop: PropertyInfo
    owner: int
    ref: CollectionRef | None
    place: Place


_NODE_LIST_LINKS: Final = (
    "SELECT n.owner, m.node, m.i FROM n_list m CROSS JOIN rlm_node n ON n.id = m.node "
    "WHERE m.l = ? AND m.p = ? AND n.prop = ? ORDER BY n.owner, m.node, m.i"
)
_NODE_DICTIONARY_LINKS: Final = (
    "SELECT n.owner, m.node, m.key FROM n_dict m CROSS JOIN rlm_node n ON n.id = m.node "
    "WHERE m.l = ? AND m.p = ? AND n.prop = ? ORDER BY n.owner, m.node, m.key"
)


def links_through(tables: Tables, prop: PropertyInfo, class_id: int, target: int) -> list[LinkPlace]:
    """The links to ``target`` (object key, or negative: tombstone) of the class, through one property, by owner.

    Asks SQLite only: buffers must have been flushed.
    """
    parameters: tuple[SqlValue, ...] = (class_id, target) if prop.type == MIXED else (target,)
    places: list[LinkPlace] = []
    if prop.table is None:
        value = f"p{prop.id}"
        condition = f"l{prop.id} = ? AND {value} = ?" if prop.type == MIXED else f"{value} = ?"
        sql = f"SELECT k FROM c{prop.class_id} WHERE {condition} ORDER BY k"
        for row in tables.query(sql, parameters):
            places.append(LinkPlace(prop, cast(int, row[0]), None, 0))
    else:
        for row in tables.query(prop.table.linking_sql, parameters):
            owner = cast(int, row[0])
            places.append(LinkPlace(prop, owner, CollectionRef(prop.collection, prop.id, owner), cast(Place, row[1])))
    if prop.type == MIXED:
        nested = _nested_links(tables, prop, (class_id, target, prop.id))
        if nested:
            places.extend(nested)
            places.sort(key=_order)
    return places


def _nested_links(tables: Tables, prop: PropertyInfo, parameters: tuple[SqlValue, ...]) -> list[LinkPlace]:
    places: list[LinkPlace] = []
    for kind, sql in ((LIST_COLLECTION, _NODE_LIST_LINKS), (DICTIONARY_COLLECTION, _NODE_DICTIONARY_LINKS)):
        for row in tables.query(sql, parameters):
            ref = CollectionRef(kind, 0, cast(int, row[1]))
            places.append(LinkPlace(prop, cast(int, row[0]), ref, cast(Place, row[2])))
    return places


def _order(place: LinkPlace) -> tuple[int, int]:
    """By owner; within one, first what is directly in the property, then what is in nodes in order of creation."""
    ref = place.ref
    return place.owner, ref.owner if ref is not None and ref.property_id == 0 else -1
