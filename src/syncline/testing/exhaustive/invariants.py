"""What must hold in every state of a file, whoever wrote it, checked in the tables themselves (``storage/layout.py``).

* the elements of a list are at 0 … n − 1;
* a link leads to an object, or to a tombstone, which is hidden: it never dangles visibly;
* an embedded object has exactly one owner, and so has a collection inside a Mixed;
* elements belong to an object, or to a collection inside a Mixed, that exists.

That a set holds no value twice is the primary key of its table. The statements depend on the schema only, so they are
made once for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from syncline.storage.catalogue import Catalogue, PropertyInfo
from syncline.storage.columns import DICTIONARY_TAG, LINK_TAG, LIST_TAG
from syncline.storage.layout import NODE_DICTIONARY, NODE_LIST
from syncline.storage.reader import Reader
from syncline.values.kinds import LINK, LIST_COLLECTION, MIXED

__all__ = ["Invariants"]

#: Schemas whose statements are remembered.
_REMEMBERED: Final = 64


class Invariants:
    """Finds what is broken in a state."""

    def __init__(self) -> None:
        self._statements: dict[Catalogue, str] = {}

    def broken(self, reader: Reader) -> list[str]:
        """What does not hold, in words; nothing in a sound state."""
        statement = self._statements.get(reader.catalogue)
        if statement is None:
            if len(self._statements) >= _REMEMBERED:
                self._statements.clear()
            statement = self._statements[reader.catalogue] = " UNION ALL ".join(_questions(reader.catalogue))
        reader.flush()
        return [f"{complaint} {number}" for complaint, number in reader.connection.execute(statement)]


def _questions(catalogue: Catalogue) -> Iterator[str]:
    """Queries that give a complaint and a number for everything that is broken."""
    yield from _lists_are_dense(catalogue)
    yield from _owners_exist(catalogue)
    yield from _links_lead_somewhere(catalogue)
    yield from _embedded_objects_are_owned_once(catalogue)
    yield from _nodes_are_owned_once(catalogue)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _lists_are_dense(catalogue: Catalogue) -> Iterator[str]:
    tables = [("a list inside a Mixed", NODE_LIST.name, NODE_LIST.owner)]
    for info in catalogue.by_id.values():
        for prop in info.collections:
            if prop.collection == LIST_COLLECTION and prop.table is not None:
                tables.append((f"list {info.name}.{prop.name}", prop.table.name, prop.table.owner))
    for what, table, owner in tables:
        complaint = _quoted(f"{what} has gaps: owner")
        yield (
            f"SELECT {complaint}, {owner} FROM {table} GROUP BY {owner} HAVING min(i) <> 0 OR max(i) + 1 <> count(*)"
        )


def _owners_exist(catalogue: Catalogue) -> Iterator[str]:
    for info in catalogue.by_id.values():
        for prop in info.collections:
            assert prop.table is not None
            complaint = _quoted(f"{info.name}.{prop.name} has elements of an object that does not exist:")
            yield f"SELECT DISTINCT {complaint}, o FROM {prop.table.name} WHERE o NOT IN (SELECT k FROM {info.table})"
    for table in (NODE_LIST, NODE_DICTIONARY):
        complaint = _quoted(f"{table.name} has elements of a collection that does not exist:")
        yield f"SELECT DISTINCT {complaint}, node FROM {table.name} WHERE node NOT IN (SELECT id FROM rlm_node)"


def _links_lead_somewhere(catalogue: Catalogue) -> Iterator[str]:
    classes = {info.id: info for info in catalogue.by_id.values()}
    for class_id, info in classes.items():
        links = " UNION ALL ".join(_links_to(catalogue, class_id))
        complaint = _quoted(f"a link dangles: to {info.name}, object")
        yield f"SELECT {complaint}, k FROM ({links}) WHERE k >= 0 AND k NOT IN (SELECT k FROM {info.table})"
        if not info.embedded:
            complaint = _quoted(f"a link dangles: to {info.name}, tombstone")
            buried = f"SELECT key FROM rlm_tomb WHERE class = {class_id}"
            yield f"SELECT {complaint}, -1 - k FROM ({links}) WHERE k < 0 AND -1 - k NOT IN ({buried})"


def _embedded_objects_are_owned_once(catalogue: Catalogue) -> Iterator[str]:
    for info in catalogue.by_id.values():
        if info.embedded:
            links = " UNION ALL ".join(_links_to(catalogue, info.id))
            complaint = _quoted(f"an embedded {info.name} has no owner:")
            yield f"SELECT {complaint}, k FROM {info.table} WHERE k NOT IN (SELECT k FROM ({links}))"
            complaint = _quoted(f"an embedded {info.name} has several owners:")
            yield f"SELECT {complaint}, k FROM ({links}) GROUP BY k HAVING count(*) > 1"


def _nodes_are_owned_once(catalogue: Catalogue) -> Iterator[str]:
    tags = f"({LIST_TAG}, {DICTIONARY_TAG})"
    cells = " UNION ALL ".join(f"SELECT p AS k FROM ({cells}) WHERE t IN {tags}" for cells in _mixed_cells(catalogue))
    yield f"SELECT 'a collection inside a Mixed has no owner:', id FROM rlm_node WHERE id NOT IN ({cells})"
    yield f"SELECT 'a collection inside a Mixed has several owners:', k FROM ({cells}) GROUP BY k HAVING count(*) > 1"
    yield f"SELECT 'a collection inside a Mixed is missing:', k FROM ({cells}) WHERE k NOT IN (SELECT id FROM rlm_node)"


def _links_to(catalogue: Catalogue, class_id: int) -> Iterator[str]:
    """Queries for ``k``, the number in every link to a class."""
    for info in catalogue.by_id.values():
        for prop in info.properties.values():
            if prop.type == LINK and prop.target_id == class_id:
                if prop.table is None:
                    yield f"SELECT p{prop.id} AS k FROM {info.table} WHERE p{prop.id} IS NOT NULL"
                else:
                    yield f"SELECT v AS k FROM {prop.table.name} WHERE v IS NOT NULL"
    for cells in _mixed_cells(catalogue):
        yield f"SELECT p AS k FROM ({cells}) WHERE t = {LINK_TAG} AND l = {class_id}"


def _mixed_cells(catalogue: Catalogue) -> Iterator[str]:
    """Queries for all Mixed values as columns ``t, p, l``."""
    for table in (NODE_LIST, NODE_DICTIONARY):
        yield f"SELECT t, p, l FROM {table.name}"
    for info in catalogue.by_id.values():
        for prop in info.properties.values():
            if prop.type == MIXED:
                yield _mixed_cells_of(prop, info.table)


def _mixed_cells_of(prop: PropertyInfo, class_table: str) -> str:
    if prop.table is not None:
        return f"SELECT t, v AS p, l FROM {prop.table.name}"
    return f"SELECT t{prop.id} AS t, p{prop.id} AS p, l{prop.id} AS l FROM {class_table}"
