"""Where the objects that a query looks at come from, in SQL (spec/sdk.md §13.5, §13.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from syncline.query.ast import And, Query
from syncline.query.text import Fold
from syncline.storage.catalogue import ClassInfo, PropertyInfo
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
        return RowSource(f"({_linking(prop, ref)}) s, {cls.table} c", Sql("(c.k = s.o)"), "c.k")
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


def _linking(prop: PropertyInfo, target: ObjectRef) -> str:
    """SQL that gives as ``o`` the owner of each link to an object through one property (spec/sdk.md §13.5)."""
    row, cls = target.object_key, target.class_id
    mixed = prop.type == kinds.MIXED
    if prop.table is None:
        of_class = f"l{prop.id} = {cls} AND " if mixed else ""
        links = [f"SELECT k AS o FROM c{prop.class_id} WHERE {of_class}p{prop.id} = {row}"]
    else:
        table, of_class = prop.table, f"l = {cls} AND " if mixed else ""
        links = [f"SELECT {table.owner} AS o FROM {table.name} WHERE {of_class}{table.value} = {row}"]
    if mixed:
        links += [
            f"SELECT n.owner AS o FROM {nodes} m CROSS JOIN rlm_node n ON n.id = m.node "
            f"WHERE m.l = {cls} AND m.p = {row} AND n.prop = {prop.id}"
            for nodes in ("n_list", "n_dict")
        ]
    return " UNION ALL ".join(links)
