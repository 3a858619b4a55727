"""Which SQL columns hold which value, and the tables of collections (spec/sdk.md §13.3, §13.4).

A *cell* is the tuple of SQL values that stands for one value of a property or collection:

=========  ==========================  =============================================================
type       cell                        columns in class ``c<id>`` / list ``l``, set ``e``, dictionary ``d`` / node
=========  ==========================  =============================================================
mixed      tag, value, sort key, class ``t<p> p<p> s<p> l<p>`` / ``t v s l`` / ``t p s l``
decimal    value, sort key             ``p<p> s<p>`` / ``v s``
others     value                       ``p<p>`` / ``v``
=========  ==========================  =============================================================

The table of a set has the sort key as its key: ``s`` is a column of its own where the cell has none.
"""

from __future__ import annotations

from typing import Final

from syncline.values.kinds import (
    DECIMAL,
    DICTIONARY_COLLECTION,
    LINK,
    LIST_COLLECTION,
    MIXED,
    SET_COLLECTION,
)

__all__ = ["NODE_DICTIONARY", "NODE_LIST", "CollectionTable", "cell_columns", "collection_table"]


def cell_columns(property_id: int, kind: int) -> tuple[str, ...]:
    """The columns of a single property in its class's table."""
    if kind == MIXED:
        return (f"t{property_id}", f"p{property_id}", f"s{property_id}", f"l{property_id}")
    if kind == DECIMAL:
        return (f"p{property_id}", f"s{property_id}")
    return (f"p{property_id}",)


class CollectionTable:
    """Names and statements of a table that holds the elements of many collections.

    ``owner``: column of the owner (object key or node). ``place``: column of the index, sort key or dictionary key.
    ``value``: column of the value proper. ``columns``: those of a cell. ``links``: the elements are links, hidden where
    the target is a tombstone.
    """

    def __init__(
        self, name: str, collection: int, owner: str, place: str, columns: tuple[str, ...], value: str, links: bool
    ) -> None:
        self.name = name
        self.collection = collection
        self.owner = owner
        self.place = place
        self.columns = columns
        self.value = value
        self.links = links
        #: the cell contains the key of a set
        self.keyed_cell = place in columns
        cell = ", ".join(columns)
        stored = (owner, *columns) if self.keyed_cell else (owner, place, *columns)
        where = f"FROM {name} WHERE {owner} = ?"
        self.upsert_sql = f"INSERT OR REPLACE INTO {name}({', '.join(stored)}) VALUES({', '.join('?' * len(stored))})"
        self.cells_sql = f"SELECT {cell} {where} ORDER BY {place}"
        self.slice_sql = f"SELECT {cell} {where} AND {place} >= ? AND {place} < ? ORDER BY {place}"
        self.items_sql = f"SELECT {place}, {cell} {where} ORDER BY {place}"
        self.cell_sql = f"SELECT {cell} {where} AND {place} = ?"
        self.size_sql = f"SELECT ifnull(max({place}) + 1, 0) {where}"
        self.count_sql = f"SELECT count(*) {where}"
        self.erase_sql = f"DELETE {where} AND {place} = ?"
        self.erase_from_sql = f"DELETE {where} AND {place} >= ?"
        self.clear_sql = f"DELETE {where}"
        #: hidden elements (links to tombstones) of one owner
        self.hidden_sql = f"SELECT {place} {where} AND {value} < 0 ORDER BY {place}"
        #: owners and places of links to one object
        if "l" in columns:
            self.linking_sql = (
                f"SELECT {owner}, {place} FROM {name} WHERE l = ? AND {value} = ? ORDER BY {owner}, {place}"
            )
        else:
            self.linking_sql = f"SELECT {owner}, {place} FROM {name} WHERE {value} = ? ORDER BY {owner}, {place}"


_PREFIXES: Final[dict[int, str]] = {LIST_COLLECTION: "l", SET_COLLECTION: "e", DICTIONARY_COLLECTION: "d"}
_PLACES: Final[dict[int, str]] = {LIST_COLLECTION: "i", SET_COLLECTION: "s", DICTIONARY_COLLECTION: "key"}


def collection_table(property_id: int, kind: int, collection: int) -> CollectionTable:
    """The table of a collection property."""
    if kind == MIXED:
        columns: tuple[str, ...] = ("t", "v", "s", "l")
    elif kind == DECIMAL:
        columns = ("v", "s")
    else:
        columns = ("v",)
    name = f"{_PREFIXES[collection]}{property_id}"
    return CollectionTable(name, collection, "o", _PLACES[collection], columns, "v", kind == LINK)


#: Lists and dictionaries inside Mixed values, of all properties together.
NODE_LIST: Final = CollectionTable("n_list", LIST_COLLECTION, "node", "i", ("t", "p", "s", "l"), "p", False)
NODE_DICTIONARY: Final = CollectionTable(
    "n_dict", DICTIONARY_COLLECTION, "node", "key", ("t", "p", "s", "l"), "p", False
)
