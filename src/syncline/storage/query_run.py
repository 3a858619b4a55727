"""Running a query on one version: in SQL as far as it goes, the rest in Python (spec/sdk.md §13.7).

What a query asks that has no SQL is decided by the evaluator, object by object, on what the SQL part lets through. So
is a query that is too large for SQLite: more than 64 links in one path, more than 32,766 constants.
Every function reads through ``reader``, whose connection's lock the caller holds, and whose buffers it has flushed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias, cast

import apsw

from syncline.query.ast import Aggregation, Path, Query, Sort
from syncline.query.evaluator import evaluate
from syncline.storage.catalogue import GENERAL_INDEX, ClassInfo, PropertyInfo
from syncline.storage.columns import Value, decode, decode_scalar
from syncline.storage.layout import NODE_DICTIONARY, NODE_LIST
from syncline.storage.query_aggregates import aggregate_kind, aggregate_query
from syncline.storage.query_leaves import FALSE, TRUE, Place
from syncline.storage.query_objects import StoredObjects
from syncline.storage.query_sql import Compiled, Sql, compile_query, count_query, rows_query, uncompiled
from syncline.storage.query_values import columns_of
from syncline.storage.reader import Reader
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values.kinds import DECIMAL, LIST_COLLECTION, MIXED, STRING

__all__ = ["Source", "count", "find", "find_among", "runnable", "summarize", "summarize_collection"]

#: What is looked at instead of a whole class: a collection of links, or what links to an object through a property.
Source: TypeAlias = "tuple[PropertyInfo, CollectionRef | ObjectRef] | None"


def find(reader: Reader, query: Query, cls: ClassInfo, source: Source = None) -> array[int]:
    """The keys of the objects that a resolved query finds, in its order."""
    return _found(reader, query, cls, source)


def count(reader: Reader, query: Query, cls: ClassInfo, source: Source = None) -> int:
    """The number of objects that a resolved query finds."""
    unsorted = Query(query.predicate, tuple(stage for stage in query.stages if not isinstance(stage, Sort)))
    if not unsorted.stages:
        query = unsorted
    if compile_query(query, cls, source).residual is None:
        try:
            return _keys(reader, count_query(query, cls, source))[0]
        except apsw.SQLError as error:
            _check_too_large(error)
    return len(find(reader, query, cls, source))


def find_among(reader: Reader, query: Query, cls: ClassInfo, candidates: Iterable[int]) -> array[int]:
    """Those of the ``candidates`` that a resolved query without limit and distinct finds, in its order."""
    return _found(reader, query, cls, among=tuple(candidates))


def runnable(reader: Reader, query: Query, cls: ClassInfo, source: Source = None) -> Compiled:
    """A resolved query in SQL as far as SQLite takes it."""
    compiled = compile_query(query, cls, source, texts=_known_texts(reader, query))
    try:
        reader.connection.execute(f"EXPLAIN {compiled.keys.text}", compiled.keys.parameters)
    except apsw.SQLError as error:
        _check_too_large(error)
        return uncompiled(query, cls, source)
    return compiled


def _found(
    reader: Reader, query: Query, cls: ClassInfo, source: Source = None, among: Sequence[int] | None = None
) -> array[int]:
    compiled = compile_query(query, cls, source, among, _known_texts(reader, query) if among is None else ())
    try:
        keys = _keys(reader, compiled.keys)
    except apsw.SQLError as error:
        _check_too_large(error)
        compiled = uncompiled(query, cls, source, among)
        keys = _keys(reader, compiled.keys)
    if compiled.residual is None:
        return keys
    return array("q", evaluate(compiled.residual, cls, keys, StoredObjects(reader)))


def _known_texts(reader: Reader, query: Query) -> list[int]:
    """The property that a query sorts by first, if its index can give the order: strings that are all UTF-8."""
    sort = next((stage for stage in query.stages if isinstance(stage, Sort)), None)
    path = sort.keys[0].path if sort is not None else Path(())
    if len(path.steps) != 1 or path.steps[0].property.type != STRING:
        return []
    prop = cast(PropertyInfo, path.steps[0].property)
    if not (prop.indexed == GENERAL_INDEX or prop.is_primary_key) or prop.table is not None:
        return []
    others = f"SELECT 1 FROM c{prop.class_id} WHERE {prop.columns[0]} >= x'' LIMIT 1"  # stored as BLOB
    return [] if reader.connection.execute(others).fetchall() else [prop.id]


#: What SQLite says of statements that are right, but too large for it.
_TOO_LARGE: Final = (
    "too many ", "at most ", "Expression tree is too large", "parser stack overflow", "Recursion limit"
)  # fmt: skip


def _check_too_large(error: apsw.SQLError) -> None:
    """Raise ``error`` again if it says anything else than that the statement is too large."""
    if not str(error).startswith(_TOO_LARGE):
        raise error


def summarize(
    reader: Reader, query: Query, cls: ClassInfo, source: Source, function: Aggregation, prop: PropertyInfo
) -> Value:
    """An aggregate of a property of ``cls`` over the objects that a resolved query finds; each as often as it does."""
    place, link_class = columns_of(prop, "c"), f"c.{prop.columns[3]}" if prop.type == MIXED else ""
    compiled = rows_query(query, cls, source)
    if compiled is not None:
        try:
            return _summary(reader, aggregate_query(function, place, *compiled, link_class), prop, function)
        except apsw.SQLError as error:
            _check_too_large(error)
    keys = find(reader, query, cls, source)
    if keys:
        rows = Sql(f"carray(?) q JOIN {cls.table} c ON c.k = q.value", (apsw.carray(keys),)), TRUE
    else:  # an array has elements
        rows = Sql(f"{cls.table} c"), FALSE
    return _summary(reader, aggregate_query(function, place, *rows, link_class), prop, function)


def summarize_collection(reader: Reader, ref: CollectionRef, prop: PropertyInfo, function: Aggregation) -> Value:
    """An aggregate of the values in one collection; ``prop`` says what they are (:meth:`Reader.element`)."""
    table = prop.table
    if table is None or not ref.property_id:
        table = NODE_LIST if ref.kind == LIST_COLLECTION else NODE_DICTIONARY
    place = Place(prop.type, f"e.{table.value}")
    if prop.type in (MIXED, DECIMAL):
        place = place._replace(key="e.s", tag="e.t" if prop.type == MIXED else "")
    condition = Sql(f"e.{table.owner} = ?", (ref.owner,))
    sql = aggregate_query(function, place, Sql(f"{table.name} e"), condition, "e.l" if prop.type == MIXED else "")
    return _summary(reader, sql, prop, function)


def _summary(reader: Reader, sql: Sql, prop: PropertyInfo, function: Aggregation) -> Value:
    row: Any = reader.connection.execute(sql.text, sql.parameters).fetchall()[0]
    kind = aggregate_kind(function, prop.type)
    if kind == MIXED:
        value, key, tag, link_class = row
        return decode(prop, (tag, value, key, link_class))
    return None if row[0] is None else decode_scalar(kind, row[0])


def _keys(reader: Reader, sql: Sql) -> array[int]:
    rows: list[Any] = reader.connection.execute(sql.text, sql.parameters).fetchall()
    return array("q", [row[0] for row in rows])
