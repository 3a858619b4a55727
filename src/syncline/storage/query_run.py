"""Running a query on one version: in SQL as far as it goes, the rest in Python (spec/sdk.md §13.7).

What a query asks that has no SQL is decided by the evaluator, object by object, on what the SQL part lets through.
Every function reads through ``reader``, whose connection's lock the caller holds, and whose buffers it has flushed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any, TypeAlias

from syncline.query.ast import Query, Sort
from syncline.query.evaluator import evaluate
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.query_objects import StoredObjects
from syncline.storage.query_sql import Sql, compile_query, count_query
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef, ObjectRef

__all__ = ["Source", "count", "find", "find_among"]

#: What is looked at instead of a whole class: a collection of links, or what links to an object through a property.
Source: TypeAlias = "tuple[PropertyInfo, CollectionRef | ObjectRef] | None"


def find(reader: Reader, query: Query, cls: ClassInfo, source: Source = None) -> array[int]:
    """The keys of the objects that a resolved query finds, in its order."""
    compiled = compile_query(query, cls, source)
    keys = _keys(reader, compiled.keys)
    if compiled.residual is None:
        return keys
    return array("q", evaluate(compiled.residual, cls, keys, StoredObjects(reader)))


def count(reader: Reader, query: Query, cls: ClassInfo, source: Source = None) -> int:
    """The number of objects that a resolved query finds."""
    unsorted = Query(query.predicate, tuple(stage for stage in query.stages if not isinstance(stage, Sort)))
    if not unsorted.stages:
        query = unsorted
    if compile_query(query, cls, source).residual is not None:
        return len(find(reader, query, cls, source))
    sql = count_query(query, cls, source)
    return _keys(reader, sql)[0]


def find_among(reader: Reader, query: Query, cls: ClassInfo, candidates: Iterable[int]) -> array[int]:
    """Those of the ``candidates`` that a resolved query without limit and distinct finds, in its order."""
    compiled = compile_query(query, cls, among=tuple(candidates))
    keys = _keys(reader, compiled.keys)
    if compiled.residual is None:
        return keys
    return array("q", evaluate(compiled.residual, cls, keys, StoredObjects(reader)))


def _keys(reader: Reader, sql: Sql) -> array[int]:
    rows: list[Any] = reader.connection.execute(sql.text, sql.parameters).fetchall()
    return array("q", [row[0] for row in rows])
