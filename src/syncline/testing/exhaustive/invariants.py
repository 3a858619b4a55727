"""What must hold in every state of a file, whoever wrote it, checked in the tables themselves (``storage/layout.py``).

* the elements of a list are at 0 … n − 1;
* a link leads to an object, or to a tombstone, which is hidden: it never dangles visibly;
* an embedded object has exactly one owner, and so has a collection inside a Mixed;
* elements belong to an object, or to a collection inside a Mixed, that exists;
* a full-text index has the words of the texts, and no others.

That a set holds no value twice is the primary key of its table. The statements depend on the schema only, so they are
made once for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from syncline.storage.catalogue import Catalogue
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
            statement = self._statements[reader.catalogue] = _question(reader.catalogue)
        reader.flush()
        names = {0: "", **{info.id: f"{info.name} " for info in reader.catalogue.by_id.values()}}
        broken = [
            f"{complaint}: {names[where]}{number}" for complaint, where, number in reader.connection.execute(statement)
        ]
        for prop in reader.catalogue.properties.values():
            if prop.words is not None:
                broken += prop.words.faults(reader.connection)
        return broken


def _question(catalogue: Catalogue) -> str:
    """One query that gives a complaint, a class (0: none) and a number for everything that is broken."""
    parts = {
        "objects(c, k, embedded)": _objects(catalogue),
        "mixed(t, v, c)": _mixed_cells(catalogue),
        "links(c, k)": _links(catalogue),
        "owned(node)": [f"SELECT v FROM mixed WHERE t IN ({LIST_TAG}, {DICTIONARY_TAG})"],
    }
    common = ", ".join(f"{name} AS MATERIALIZED ({' UNION ALL '.join(queries)})" for name, queries in parts.items())
    return f"WITH {common} {' UNION ALL '.join([*_CHECKS, *_lists_are_dense(catalogue), *_owners_exist(catalogue)])}"


_CHECKS: Final = (
    "SELECT 'a link dangles to object', c, k FROM links WHERE k >= 0 AND (c, k) NOT IN (SELECT c, k FROM objects)",
    "SELECT 'a link dangles to tombstone', c, k FROM links"
    " WHERE k < 0 AND (c, -1 - k) NOT IN (SELECT class, key FROM rlm_tomb)",
    "SELECT 'an embedded object has no owner', c, k FROM objects"
    " WHERE embedded AND (c, k) NOT IN (SELECT c, k FROM links)",
    "SELECT 'an embedded object has several owners', c, k FROM links NATURAL JOIN objects"
    " WHERE embedded GROUP BY c, k HAVING count(*) > 1",
    "SELECT 'a collection inside a Mixed has no owner', 0, id FROM rlm_node WHERE id NOT IN (SELECT node FROM owned)",
    "SELECT 'a collection inside a Mixed has several owners', 0, node FROM owned GROUP BY node HAVING count(*) > 1",
    "SELECT 'a collection inside a Mixed is missing', 0, node FROM owned WHERE node NOT IN (SELECT id FROM rlm_node)",
)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _lists_are_dense(catalogue: Catalogue) -> Iterator[str]:
    tables = [("a list inside a Mixed", 0, NODE_LIST)]
    for info in catalogue.by_id.values():
        for prop in info.collections:
            if prop.collection == LIST_COLLECTION and prop.table is not None:
                tables.append((f"list {prop.name}", info.id, prop.table))
    for what, class_id, table in tables:
        complaint = _quoted(f"{what} has gaps")
        grouped = f"{table.name} GROUP BY {table.owner} HAVING min(i) <> 0 OR max(i) + 1 <> count(*)"
        yield f"SELECT {complaint}, {class_id}, {table.owner} FROM {grouped}"


def _owners_exist(catalogue: Catalogue) -> Iterator[str]:
    for info in catalogue.by_id.values():
        for prop in info.collections:
            assert prop.table is not None
            complaint = _quoted(f"{prop.name} has elements of an object that does not exist")
            missing = f"o NOT IN (SELECT k FROM {info.table})"
            yield f"SELECT {complaint}, {info.id}, o FROM {prop.table.name} WHERE {missing}"
    for table in (NODE_LIST, NODE_DICTIONARY):
        complaint = _quoted(f"{table.name} has elements of a collection that does not exist")
        yield f"SELECT {complaint}, 0, node FROM {table.name} WHERE node NOT IN (SELECT id FROM rlm_node)"


def _objects(catalogue: Catalogue) -> list[str]:
    queries = [f"SELECT {info.id}, k, {int(info.embedded)} FROM {info.table}" for info in catalogue.by_id.values()]
    return queries or ["SELECT 0, 0, 0 WHERE 0"]


def _links(catalogue: Catalogue) -> Iterator[str]:
    """Queries for class and number of every link, also those that own an embedded object."""
    yield f"SELECT c, v FROM mixed WHERE t = {LINK_TAG}"
    for info in catalogue.by_id.values():
        for prop in info.properties.values():
            if prop.type == LINK:
                column = f"p{prop.id}" if prop.table is None else "v"
                table = info.table if prop.table is None else prop.table.name
                yield f"SELECT {prop.target_id}, {column} FROM {table} WHERE {column} IS NOT NULL"


def _mixed_cells(catalogue: Catalogue) -> Iterator[str]:
    """Queries for the tag, value and class of every Mixed value that ties the object to other rows."""
    for table in (NODE_LIST, NODE_DICTIONARY):
        yield _tied_cells("t", "p", "l", table.name)
    for info in catalogue.by_id.values():
        for prop in info.properties.values():
            if prop.type == MIXED:
                if prop.table is None:
                    yield _tied_cells(f"t{prop.id}", f"p{prop.id}", f"l{prop.id}", info.table)
                else:
                    yield _tied_cells("t", "v", "l", prop.table.name)


def _tied_cells(tag: str, value: str, target: str, table: str) -> str:
    return f"SELECT {tag}, {value}, {target} FROM {table} WHERE {tag} IN ({LINK_TAG}, {LIST_TAG}, {DICTIONARY_TAG})"
