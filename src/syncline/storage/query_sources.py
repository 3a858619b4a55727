"""Where the objects that a query looks at come from, in SQL (spec/sdk.md §13.5, §13.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from syncline.query.ast import And, Query
from syncline.query.text import Fold
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.linking import link_rows
from syncline.storage.query_leaves import TRUE, Place, Sql, bare, in_test
from syncline.storage.query_lookups import is_lookup
from syncline.storage.query_ranges import ranges_an_index
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import kinds

__all__ = ["RowSource", "ordered_source", "source_of"]


#: So many objects are rather looked at one by one.
_FEW: Final = 1_000


@dataclass(frozen=True)
class RowSource:
    """Where the objects come from: all of a class, the elements of one list, set or dictionary of links, or the objects
    that link to one object. ``few``: a few objects of a class; ``whole``: all of them.
    """

    tables: str
    condition: Sql
    order: str
    few: bool = False
    whole: bool = False


def source_of(cls: ClassInfo, collection: tuple[PropertyInfo, CollectionRef | ObjectRef] | None) -> RowSource:
    """All objects of a class; or those in a collection of links, or that link to an object through a property."""
    if collection is None:
        return RowSource(f"{cls.table} c", TRUE, "c.k", whole=True)
    prop, ref = collection
    if isinstance(ref, ObjectRef):
        links = link_rows(prop, ref.class_id, str(ref.object_key), "m")
        owners = " UNION ALL ".join(f"SELECT {owner} AS o FROM {rows}" for owner, rows in links)
        return RowSource(f"({owners}) s, {cls.table} c", Sql("(c.k = s.o)"), "c.k")
    assert prop.table is not None
    table = prop.table
    condition = Sql(f"(s.{table.owner} = ? AND c.k = s.{table.value})", (ref.owner,))
    return RowSource(f"{table.name} s, {cls.table} c", condition, f"s.{table.place}")


def ordered_source(
    query: Query,
    cls: ClassInfo,
    collection: tuple[PropertyInfo, CollectionRef | ObjectRef] | None,
    among: Sequence[int] | None = None,
) -> RowSource:
    """The source; where an index helps its order is not that of the table, as far as SQLite can see. ``among``: only
    these of a class.
    """
    source = source_of(cls, collection)
    if among is not None:
        condition = bare(in_test(Place(kinds.INT, "c.k"), among, Fold.NOTHING))  # bare: looked up by key
        return replace(source, condition=condition, few=len(among) <= _FEW, whole=False)
    predicate = query.predicate
    terms = predicate.terms if isinstance(predicate, And) else (predicate,)
    helped = ranges_an_index(predicate) or any(map(is_lookup, terms))
    return replace(source, order="+c.k") if source.whole and helped else source
