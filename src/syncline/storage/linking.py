"""Which objects link to an object, in SQL, and which to any of many, in one query (spec/sdk.md §9.5, §13.5)."""

from __future__ import annotations

from array import array
from collections.abc import Collection
from typing import Final

import apsw

from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.reader import Reader
from syncline.values.kinds import MIXED

__all__ = ["link_rows", "linking"]

#: Up to so many are asked about one by one.
_FEW: Final = 16


def linking(reader: Reader, target: ClassInfo, keys: Collection[int], prop: PropertyInfo) -> set[int]:
    """Keys of the objects that link to one of the objects ``keys`` of the class ``target`` through ``prop``.

    The caller holds the reader's lock. Keys of objects that do not exist are linked to by nobody.
    """
    if len(keys) <= _FEW or prop.type == MIXED:
        found: set[int] = set()
        for key in keys:
            if reader.exists(target, key):
                found.update(reader.backlinks(target, key, prop))
        return found
    reader.flush()
    owner, table, value = "k", f"c{prop.class_id}", f"p{prop.id}"
    if prop.table is not None:
        owner, table, value = prop.table.owner, prop.table.name, prop.table.value
    sql = f"SELECT DISTINCT {owner} FROM {table} WHERE {value} IN (SELECT value FROM carray(?))"
    return {row[0] for row in reader.connection.execute(sql, (apsw.carray(array("q", keys)),))}


def link_rows(prop: PropertyInfo, class_id: int, target: str, alias: str) -> list[tuple[str, str]]:
    """Where links through ``prop`` to the object ``target`` (SQL) of a class are: for each table that can hold some the
    owner's column, and what stands behind FROM.
    """
    is_mixed = prop.type == MIXED
    owner, table, value, of = "k", f"c{prop.class_id}", f"p{prop.id}", f"l{prop.id}"
    if prop.table is not None:
        owner, table, value, of = prop.table.owner, prop.table.name, prop.table.value, "l"
    of_class = f"{alias}.{of} = {class_id} AND " if is_mixed else ""
    rows = [(f"{alias}.{owner}", f"{table} {alias} WHERE {of_class}{alias}.{value} = {target}")]
    if is_mixed:
        rows += [
            (
                "n.owner",
                f"{nodes} {alias} CROSS JOIN rlm_node n ON n.id = {alias}.node "
                f"WHERE {alias}.l = {class_id} AND {alias}.p = {target} AND n.prop = {prop.id}",
            )
            for nodes in ("n_list", "n_dict")
        ]
    return rows
