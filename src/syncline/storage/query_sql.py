"""From a resolved query to SQL (spec/sdk.md §13.7).

Every condition compiles to an expression that is 0 or 1 and never NULL, so that NOT means what it says. The reference
is :mod:`syncline.query.evaluator`; tests hold the two against each other. What has no SQL is left to the evaluator:
:func:`compile_query` gives SQL that lets through at least what matches, and what is left to be decided.

::

    where name BEGINSWITH 'A' and ALL dogs.age > 3 sort by name limit 5

    SELECT c.k FROM c1 c
    WHERE ifnull(substr(CAST(c.p11 AS BLOB), 1, 1) = ?, 0)
      AND NOT EXISTS (SELECT 1 FROM l12 t1, c2 t2 WHERE t1.o = c.k AND t2.k = t1.v AND NOT (ifnull(t2.p22 > ?, 0)))
    ORDER BY CAST(c.p11 AS BLOB) ASC, c.k LIMIT 5
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, NamedTuple, TypeAlias, cast

from syncline.query.ast import (
    Always,
    And,
    Between,
    Compare,
    Constant,
    ConstantList,
    Distinct,
    KeyedObject,
    Limit,
    Not,
    Operand,
    Operator,
    Or,
    Path,
    Predicate,
    Quantifier,
    Query,
    Size,
    Sort,
    Stage,
    Step,
    Within,
)
from syncline.query.comparison import matches
from syncline.query.evaluator import merged_stages
from syncline.query.operands import goes_with, is_plural, kind_of, kind_of_value, quantifier_of
from syncline.query.text import Fold
from syncline.query.type_names import TypeSet
from syncline.storage.catalogue import ClassInfo, PropertyInfo
from syncline.storage.columns import encode_scalar
from syncline.storage.query_comparisons import NotInSql
from syncline.storage.query_gathering import gathered, without_null
from syncline.storage.query_leaves import (
    FALSE,
    TRUE,
    Place,
    Sql,
    bare,
    combine,
    constant_test,
    group_terms,
    in_test,
    negate,
    order_terms,
    pair_test,
)
from syncline.storage.query_lookups import finds_directly, is_lookup, looked_up
from syncline.storage.query_ranges import text_range
from syncline.storage.query_sources import RowSource, ordered_source, source_of
from syncline.storage.query_text import linked_search, text_search
from syncline.storage.query_values import Values, columns_of
from syncline.storage.refs import CollectionRef, ObjectRef
from syncline.values import kinds

__all__ = ["Compiled", "NotInSql", "Sql", "compile_query", "count_query", "keys_query", "rows_query", "uncompiled"]


class Compiled(NamedTuple):
    """A query in SQL. ``keys`` gives the keys of what it finds, in its order.

    With a ``residual``, ``keys`` gives at least what it finds, in the order of the source, and the residual says which
    of them, and in which order.
    """

    keys: Sql
    residual: Query | None = None


#: What is asked of a value: given its place, the test.
Test: TypeAlias = Callable[[Place], Sql]


def uncompiled(
    query: Query,
    cls: ClassInfo,
    collection: tuple[PropertyInfo, CollectionRef | ObjectRef] | None = None,
    among: Sequence[int] | None = None,
) -> Compiled:
    """A resolved query that is left to the evaluator as a whole."""
    return Compiled(compile_query(Query(), cls, collection, among).keys, query)


def compile_query(
    query: Query,
    cls: ClassInfo,
    collection: tuple[PropertyInfo, CollectionRef | ObjectRef] | None = None,
    among: Sequence[int] | None = None,
    texts: Container[int] = (),
) -> Compiled:
    """A resolved query in SQL, as far as that goes; see :func:`keys_query`. ``among``: only these of a whole class;
    ``texts``: numbers of properties whose strings are all UTF-8, which SQLite orders as we do.
    """
    source = ordered_source(query, cls, collection, among)
    try:
        return Compiled(_keys_query(query, cls, source, texts))
    except NotInSql:
        compiler = _Compiler(cls, few=source.few, whole=source.whole)
        where, rest = _superset(compiler, query.predicate)
        keys = _Stages(compiler, source, where, cls).keys()
        return Compiled(keys, Query(rest, query.stages))


def _superset(compiler: _Compiler, node: Predicate) -> tuple[Sql, Predicate]:
    """SQL that is true at least where ``node`` is, and what is left to be tested where it is."""
    match node:
        case And(terms):
            parts = [_superset(compiler, term) for term in terms]
            rests = tuple(rest for _, rest in parts if rest != Always(True))
            rest: Predicate = And(rests) if len(rests) != 1 else rests[0]
            return combine("AND", [sql for sql, _ in parts]), rest if rests else Always(True)
        case Or(terms):
            parts = [_superset(compiler, term) for term in terms]
            exact = all(rest == Always(True) for _, rest in parts)
            return combine("OR", [sql for sql, _ in parts]), Always(True) if exact else node
        case _:
            try:
                return compiler.condition(node), Always(True)
            except NotInSql:
                return TRUE, node


def keys_query(
    query: Query, cls: ClassInfo, collection: tuple[PropertyInfo, CollectionRef | ObjectRef] | None = None
) -> Sql:
    """SQL that gives the keys of the objects a resolved query finds, in its order. Raises NotInSql.

    ``cls`` is the class of the objects; ``collection`` limits them to the elements of one collection of links, each as
    often and in the order that it occurs there; or to the objects that link to one object through a property, each as
    often as it does.
    """
    return _keys_query(query, cls, ordered_source(query, cls, collection))


def _keys_query(query: Query, cls: ClassInfo, source: RowSource, texts: Container[int] = ()) -> Sql:
    compiler = _Compiler(cls, few=source.few, whole=source.whole)
    stages = _Stages(compiler, source, compiler.condition(query.predicate), cls, texts)
    for stage in merged_stages(query.stages):
        stages.add(stage)
    return stages.keys()


def count_query(
    query: Query, cls: ClassInfo, collection: tuple[PropertyInfo, CollectionRef | ObjectRef] | None = None
) -> Sql:
    """SQL that gives the number of objects a resolved query finds."""
    if any(not isinstance(stage, Sort) for stage in query.stages):
        keys = keys_query(query, cls, collection)
        return Sql(f"SELECT count(*) FROM ({keys.text})", keys.parameters)
    source = source_of(cls, collection)
    terms = [
        term
        for term in (source.condition, _Compiler(cls, whole=source.whole).condition(query.predicate))
        if term != TRUE
    ]
    if not terms:  # SQLite knows how many rows a table has, unless it is asked under what condition
        return Sql(f"SELECT count(*) FROM {source.tables}")
    where = combine("AND", terms)
    return Sql(f"SELECT count(*) FROM {source.tables} WHERE {where.text}", where.parameters)


def rows_query(
    query: Query, cls: ClassInfo, collection: tuple[PropertyInfo, CollectionRef | ObjectRef] | None = None
) -> tuple[Sql, Sql] | None:
    """Tables with the rows ``c`` of the objects a resolved query finds, in no order, and the condition on them; None if
    a part of the query has no SQL.
    """
    compiled = compile_query(query, cls, collection)
    if compiled.residual is not None:
        return None
    if any(not isinstance(stage, Sort) for stage in query.stages):
        keys = compiled.keys
        return Sql(f"({keys.text}) q JOIN {cls.table} c ON c.k = q.k", keys.parameters), TRUE
    source = source_of(cls, collection)
    where = [
        term
        for term in (source.condition, _Compiler(cls, whole=source.whole).condition(query.predicate))
        if term != TRUE
    ]
    return Sql(source.tables), combine("AND", where)


# --- predicates -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Chain:
    """Tables that a walk over links joins, in this order, the conditions that tie them to row ``c`` and to each other,
    and where it ends: the alias of the last row. ``plural``: it may lead to several rows.
    """

    tables: tuple[str, ...]
    conditions: tuple[str, ...]
    alias: str
    plural: bool = False

    def then(self, table: str, condition: str, alias: str, plural: bool = False) -> _Chain:
        return _Chain((*self.tables, table), (*self.conditions, condition), alias, self.plural or plural)

    def select(self, what: str, *tests: Sql) -> Sql:
        """``SELECT what`` from the tables, where the conditions and ``tests`` hold."""
        where = combine("AND", [*(Sql(condition) for condition in self.conditions), *tests])
        return Sql(f"SELECT {what} FROM {' CROSS JOIN '.join(self.tables)} WHERE {where.text}", where.parameters)

    def exists(self, *tests: Sql) -> Sql:
        inner = self.select("1", *tests)
        return Sql(f"EXISTS ({inner.text})", inner.parameters)


class _Compiler:
    """Compiles predicates on row ``c`` of ``cls``; ``numbers`` are those of the aliases it uses. ``few``: there will be
    few such rows; ``whole``: those of all objects of the class.
    """

    def __init__(
        self, cls: ClassInfo, numbers: Iterator[int] | None = None, few: bool = False, whole: bool = False
    ) -> None:
        self._whole = whole
        self._numbers = numbers if numbers is not None else count(1)
        self._few = few
        inside = partial(_Compiler, numbers=self._numbers, few=few)
        self._values = Values(cls, self.alias, lambda node, inner: inside(inner).predicate(node), few)

    def alias(self) -> str:
        """A table alias not used before."""
        return f"t{next(self._numbers)}"

    def condition(self, node: Predicate, found: bool = False) -> Sql:
        """A predicate as the condition of WHERE, which may be NULL instead of 0, so that SQLite can use indexes.

        ``found``: other conditions leave few objects already.
        """
        match node:
            case And(terms):
                found = found or any(map(finds_directly, terms))
                return combine("AND", [self.condition(term, found) for term in terms])
            case Or(terms):
                return combine("OR", [self.condition(term, found) for term in gathered(terms)])
            case _ if self._whole and not found and is_lookup(node):
                return looked_up(node, self.alias, lambda cls, own: _Compiler(cls, self._numbers).condition(own))
            case Compare(_, Path() as path, ConstantList()) if _is_own(path) and (apart := without_null(node)):
                return combine("OR", [self.condition(term, found) for term in apart])
            case Between(Path() as path, Constant() as low, Constant() as high) if _is_own(path):
                lower = self.condition(Compare(Operator.GE, path, low))
                return combine("AND", [lower, self.condition(Compare(Operator.LE, path, high))])
            case Compare(operator, Path() as path, Constant(str() as text), Fold.NOTHING) if _is_own(path):
                narrowed = text_range(operator, path.steps[0], text)
                return combine("AND", [*narrowed, bare(self.predicate(node))])
            case _:
                return bare(self.predicate(node))

    def predicate(self, node: Predicate) -> Sql:
        """A predicate as an expression that is 0 or 1."""
        match node:
            case Always(value):
                return TRUE if value else FALSE
            case And(terms):
                return combine("AND", [self.predicate(term) for term in terms])
            case Or(terms):
                return combine("OR", [self.predicate(term) for term in gathered(terms)])
            case Not(term):
                return negate(self.predicate(term))
            case Compare():
                try:
                    return self._plain(node)
                except NotInSql:
                    return self._values.compare(node)
            case Between(operand, Constant() as low, Constant() as high):
                try:
                    return self._test(operand, lambda place: _between(place, low, high), False)
                except NotInSql:
                    return self._values.between(node, lambda place: _between(place, low, high))
            case Within():
                return self._values.within(node)
            case _:
                raise NotInSql

    def _plain(self, node: Compare) -> Sql:
        if isinstance(node.right, ConstantList):
            return self._in(node, node.left, node.right)
        return self._compare(node.operator, node.left, node.right, node.fold)

    def _compare(self, operator: Operator, left: Operand, right: Operand, fold: Fold) -> Sql:
        if isinstance(right, Constant):
            constant = right.value
            if operator is Operator.TEXT:
                linked = None if self._few else linked_search(left, str(constant))
                return linked or self._test(left, *text_search(str(constant), self._few))
            if isinstance(constant, KeyedObject | TypeSet):
                raise NotInSql
            null = matches(operator, None, constant, fold)
            return self._test(left, lambda place: constant_test(operator, place, constant, fold), null)
        if is_plural(right):
            raise NotInSql
        other = self._unary(right)
        return self._test(left, lambda place: pair_test(operator, place, other, fold), None)

    def _in(self, node: Compare, left: Operand, right: ConstantList) -> Sql:
        one_by_one = is_plural(left) and quantifier_of(left) is right.quantifier is None
        found = isinstance(left, Path | Size) and node.operator in (Operator.EQ, Operator.IN)
        if not found or one_by_one or right.quantifier not in (None, Quantifier.ANY):
            raise NotInSql
        if any(isinstance(value, KeyedObject) for value in right.values):
            raise NotInSql
        kind = kind_of(left)
        values = [value for value in right.values if value is None or goes_with(kind_of_value(value), kind)]
        return self._test(left, lambda place: in_test(place, values, node.fold), None in values)

    # --- where an operand's values stand ---

    def _test(self, operand: Operand, test: Test, null: bool | None) -> Sql:
        """The test for the operand's values, as its quantifier says (spec/sdk.md §7.4).

        ``null`` is what the test says of null, None if that is not known beforehand.
        """
        if isinstance(operand, Size):
            return self._test_size(operand, test, null)
        if not isinstance(operand, Path) or not _is_plain(operand):
            raise NotInSql
        chain, leaf = self._walk(operand.steps[:-1]), operand.steps[-1]
        if leaf.property.collection == kinds.SINGLE_COLLECTION:
            place = _place(leaf, chain.alias)
            if chain.plural:
                if leaf.property.type == kinds.LINK:
                    chain = replace(chain, conditions=(*chain.conditions, f"{place.value} >= 0"))
                return _quantify(operand.quantifier, chain, test(place))
            return self._test_single(chain, place, test, null)
        if leaf.property.type == kinds.LINK or not chain.plural:
            elements, place = self._elements(chain, leaf)
            return _quantify(operand.quantifier, elements, test(place))
        elements, place = self._elements(_Chain((), (), chain.alias), leaf)
        some = chain.exists(_quantify(operand.quantifier, elements, test(place)))
        if operand.quantifier in (Quantifier.ALL, Quantifier.NONE):  # without owners there is one empty group
            return combine("OR", [some, negate(chain.exists())])
        return some

    def _test_single(self, chain: _Chain, place: Place, test: Test, null: bool | None) -> Sql:
        """A value at the end of single links, which is null if one of them is."""
        if not chain.tables:
            return test(place)
        if null is None:
            return test(_scalar(chain, place))
        if null:
            return negate(chain.exists(negate(test(place))))
        return chain.exists(test(place))

    def _test_size(self, operand: Size, test: Test, null: bool | None) -> Sql:
        path = operand.path
        if not _is_plain(path):
            raise NotInSql
        chain, leaf = self._walk(path.steps[:-1]), path.steps[-1]
        if leaf.property.type != kinds.LINK and leaf.property.collection == kinds.SINGLE_COLLECTION:
            if chain.plural or leaf.property.type == kinds.MIXED:
                raise NotInSql
            length = Place(kinds.INT, f"length(CAST({_place(leaf, chain.alias).value} AS BLOB))")
            known = Sql(f"{length.value} IS NOT NULL")  # without a string there is no length, not even null
            return self._test_single(chain, length, lambda place: combine("AND", [known, test(place)]), False)
        if leaf.property.type != kinds.LINK and chain.plural:
            elements, _ = self._elements(_Chain((), (), chain.alias), leaf)
            return _quantify(path.quantifier, chain, test(_count(elements)))
        return test(self._size(chain, leaf))

    def _size(self, chain: _Chain, leaf: Step) -> Place:
        """How many elements there are, or how many objects links reach."""
        if leaf.property.collection != kinds.SINGLE_COLLECTION:
            return _count(self._elements(chain, leaf)[0])
        link = _place(leaf, chain.alias).value
        if not chain.tables:
            return Place(kinds.INT, f"(ifnull({link}, -1) >= 0)")
        return _count(replace(chain, conditions=(*chain.conditions, f"{link} >= 0")))

    def _unary(self, operand: Operand) -> Place:
        """The one value of an operand that has one."""
        if not isinstance(operand, Path | Size) or not _is_plain(
            operand if isinstance(operand, Path) else operand.path
        ):
            raise NotInSql
        if isinstance(operand, Path):
            chain = self._walk(operand.steps[:-1])
            place = _place(operand.steps[-1], chain.alias)
            return _scalar(chain, place) if chain.tables else place
        chain, leaf = self._walk(operand.path.steps[:-1]), operand.path.steps[-1]
        if leaf.property.type == kinds.LINK or leaf.property.collection != kinds.SINGLE_COLLECTION:
            return self._size(chain, leaf)
        raise NotInSql

    def _walk(self, steps: Iterable[Step], alias: str = "c") -> _Chain:
        """Follow links from the row ``alias``."""
        chain = _Chain((), (), alias)
        for step in steps:
            prop, target = cast(PropertyInfo, step.property), cast(ClassInfo, step.target)
            if prop.collection == kinds.SINGLE_COLLECTION:
                link = f"{chain.alias}.{prop.columns[0]}"
            else:
                assert prop.table is not None
                through = self.alias()
                condition = f"{through}.{prop.table.owner} = {chain.alias}.k"
                chain = chain.then(f"{prop.table.name} {through}", condition, through, plural=True)
                link = f"{through}.{prop.table.value}"
            row = self.alias()
            chain = chain.then(f"{target.table} {row}", f"{row}.k = {link}", row)
        return chain

    def _elements(self, chain: _Chain, leaf: Step) -> tuple[_Chain, Place]:
        """The elements of a collection of the chain's last row; links to tombstones are hidden."""
        table = cast(PropertyInfo, leaf.property).table
        assert table is not None
        alias = self.alias()
        condition = f"{alias}.{table.owner} = {chain.alias}.k"
        if leaf.property.type == kinds.LINK:
            condition += f" AND {alias}.{table.value} >= 0"
        place = columns_of(cast(PropertyInfo, leaf.property), alias)
        return chain.then(f"{table.name} {alias}", condition, alias, plural=True), place


def _is_own(path: Path) -> bool:
    """Whether a path is one single property of the object itself."""
    return len(path.steps) == 1 and _is_plain(path) and path.steps[0].property.collection == kinds.SINGLE_COLLECTION


def _is_plain(path: Path) -> bool:
    """Whether a path leads only forward, over properties and whole collections."""
    plain = bool(path.steps) and not path.inner
    return plain and not any(step.backward or step.select is not None for step in path.steps)


def _between(place: Place, low: Constant, high: Constant) -> Sql:
    tests = [
        constant_test(Operator.GE, place, low.value, Fold.NOTHING),
        constant_test(Operator.LE, place, high.value, Fold.NOTHING),
    ]
    return combine("AND", tests)


def _quantify(quantifier: Quantifier | None, chain: _Chain, test: Sql) -> Sql:
    if quantifier is Quantifier.ALL:
        return negate(chain.exists(negate(test)))
    if quantifier is Quantifier.NONE:
        return negate(chain.exists(test))
    return chain.exists(test)


def _place(step: Step, alias: str) -> Place:
    """The columns of a single property in the row ``alias``."""
    return columns_of(cast(PropertyInfo, step.property), alias)


def _scalar(chain: _Chain, place: Place) -> Place:
    """The place of a value behind single links, seen from row ``c``: NULL if a link is null."""
    columns = {
        name: f"({chain.select(getattr(place, name)).text})" for name in ("value", "key", "tag") if getattr(place, name)
    }
    if "key" in columns:  # the key of null is not NULL
        columns["key"] = f"ifnull({columns['key']}, x'00')"
    return Place(place.kind, columns["value"], columns.get("key", ""), columns.get("tag", ""), place.class_id)


def _count(chain: _Chain) -> Place:
    return Place(kinds.INT, f"({chain.select('count(*)').text})")


# --- sort, distinct, limit --------------------------------------------------------------------------------------------


class _Stages:
    """A query under construction: each stage either adds to the SELECT or wraps what there is in another."""

    def __init__(
        self, compiler: _Compiler, source: RowSource, predicate: Sql, cls: ClassInfo, texts: Container[int] = ()
    ) -> None:
        self.texts = texts
        self.compiler = compiler
        self.cls = cls
        self.tables = source.tables
        self.table_parameters: tuple[Any, ...] = ()
        self.where = combine("AND", [term for term in (source.condition, predicate) if term != TRUE])
        self.order: tuple[str, ...] = (source.order,)
        self.limit: int | None = None

    def add(self, stage: Stage) -> None:
        """Apply the next stage."""
        match stage:
            case Limit(count):
                self.limit = count if self.limit is None else min(count, self.limit)
            case Sort(keys):
                if self.limit is not None:
                    self._wrap()
                terms: list[str] = []
                for key in keys:
                    place, null_link = self._follow(key.path)
                    direction = "ASC" if key.ascending else "DESC"
                    known = _is_own(key.path) and key.path.steps[0].property.id in self.texts
                    expressions = [place.value] if known else order_terms(place)
                    terms += [f"{term} {direction}" for term in ([null_link] if null_link else []) + expressions]
                self.order = (*terms, *self.order)
            case Distinct(paths):
                self._distinct(paths)

    def keys(self) -> Sql:
        """The finished statement."""
        return self._select("c.k", self.order)

    def _select(self, columns: str, order: Iterable[str]) -> Sql:
        where = f" WHERE {self.where.text}" if self.where != TRUE else ""
        limit = "" if self.limit is None else f" LIMIT {self.limit}"
        text = f"SELECT {columns} FROM {self.tables}{where} ORDER BY {', '.join(order)}{limit}"
        return Sql(text, (*self.table_parameters, *self.where.parameters))

    def _follow(self, path: Path) -> tuple[Place, str]:
        """Join the single links of a path; where the value at its end stands, and whether an object on the way is
        missing (as SQL, "" if never).
        """
        leaf = path.steps[-1]
        if any(step.property.collection != kinds.SINGLE_COLLECTION for step in path.steps[:-1]):
            raise NotInSql
        alias = "c"
        for step in path.steps[:-1]:
            prop, target = cast(PropertyInfo, step.property), cast(ClassInfo, step.target)
            row = self.compiler.alias()
            self.tables += f" LEFT JOIN {target.table} {row} ON {row}.k = {alias}.{prop.columns[0]}"
            alias = row
        null_link = f"({alias}.k IS NULL)" if alias != "c" else ""
        prop = cast(PropertyInfo, leaf.property)
        if prop.table is not None:
            entry, table = self.compiler.alias(), prop.table
            on = f"{entry}.{table.owner} = {alias}.k AND {entry}.{table.place} = ?"
            self.tables += f" LEFT JOIN {table.name} {entry} ON {on}"
            self.table_parameters += (encode_scalar(kinds.STRING, leaf.select),)
            alias = entry
        return columns_of(prop, alias), null_link

    def _wrap(self) -> None:
        inner = self._select(f"c.k AS k, row_number() OVER (ORDER BY {', '.join(self.order)}) AS n", ["n"])
        self._restart(inner)

    def _distinct(self, paths: tuple[Path, ...]) -> None:
        if self.limit is not None:
            self._wrap()
        groups: list[str] = []
        present: list[Sql] = [self.where] if self.where != TRUE else []
        for path in paths:
            place, null_link = self._follow(path)
            groups += group_terms(place)
            present += [Sql(f"NOT {null_link}")] if null_link else []
        self.where = combine("AND", present)
        order = ", ".join(self.order)
        numbered = self._select(
            f"c.k AS k, row_number() OVER (ORDER BY {order}) AS n, "
            f"row_number() OVER (PARTITION BY {', '.join(groups)} ORDER BY {order}) AS d",
            ["n"],
        )
        self._restart(Sql(f"SELECT k, n FROM ({numbered.text}) WHERE d = 1", numbered.parameters))

    def _restart(self, inner: Sql) -> None:
        """Go on from the objects ``k`` in the order ``n`` that ``inner`` gives."""
        self.tables = f"({inner.text}) q JOIN {self.cls.table} c ON c.k = q.k"
        self.table_parameters = inner.parameters
        self.where = TRUE
        self.order = ("q.n",)
        self.limit = None
