"""Operands of any shape as SQL: dictionary keys, indexes, backlinks, sizes, aggregates, subqueries, arithmetic.

:mod:`syncline.storage.query_sql` writes the common comparisons as tersely as SQL allows; what it does not know comes
here. The values of every operand are rows of a SELECT, in the groups of :mod:`syncline.query.valuation`, and a
comparison asks whether such rows exist::

    scores['a'] > 3

    EXISTS (SELECT 1 FROM (SELECT t1.v AS v FROM (SELECT 1) LEFT JOIN d9 t1 ON t1.o = c.k AND t1.key = ?) t2
            WHERE ifnull(t2.v > ?, 0))

So each parameter stands once, whatever a test does with the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias, cast

from syncline.query.ast import (
    Aggregate,
    Aggregation,
    Arithmetic,
    ArithmeticOperator,
    Between,
    Compare,
    Constant,
    ConstantList,
    IncomingCount,
    Lengths,
    Operand,
    Operator,
    Path,
    Position,
    Predicate,
    Quantifier,
    Size,
    Step,
    Subquery,
    TypeOf,
    Within,
)
from syncline.query.geometry import Shape
from syncline.query.operands import (
    NUMERIC,
    TYPE,
    ends_in_values,
    is_plural,
    is_plural_path,
    kind_of,
    kind_of_value,
    quantifier_of,
)
from syncline.query.type_names import TypeSet, type_of_kind
from syncline.storage.catalogue import TYPE_CODES, ClassInfo, PropertyInfo
from syncline.storage.columns import DICTIONARY_TAG, LINK_TAG, LIST_TAG, encode_scalar
from syncline.storage.linking import link_rows
from syncline.storage.query_aggregates import aggregate_kind, aggregate_query
from syncline.storage.query_comparisons import NotInSql, Test, constant_side, pair_of
from syncline.storage.query_functions import encode_number
from syncline.storage.query_geo import place_test
from syncline.storage.query_leaves import FALSE, TRUE, Place, Sql, combine, negate
from syncline.values import kinds

__all__ = ["Values", "columns_of"]


class Rows(NamedTuple):
    """A SELECT with the values of one group: ``v``, with ``s`` and ``t`` where the kind has a sort key and a tag.

    With ``words``, a property whose words are in a table, also ``k``: the object that has the value.
    """

    kind: int
    sql: Sql
    class_id: int = 0
    words: int | None = None


class Groups(NamedTuple):
    """One group for each owner, of which a SELECT gives the keys ``k``; without ``owners`` exactly one.

    ``rows`` says the rows of a group, given SQL for the key of its owner.
    """

    owners: Sql | None
    rows: Callable[[str], Rows]


#: The longest SQL of a condition that is written out twice.
_LONGEST: Final = 100_000

#: What is asked of a group.
GroupTest: TypeAlias = Callable[[Rows], Sql]


NOTHING: Final = Sql("")


@dataclass(frozen=True)
class _Walk:
    """Tables that lead from the row that is tested to others; ``alias``: of the last. Without tables it is that row.

    They are gone over in this order (CROSS JOIN): few rows lead on from each, however many a test finds in an index.

    ``unary``: where a link is null there is a row of nulls; otherwise there is none.
    """

    unary: bool
    alias: str = "c"
    tables: Sql = NOTHING
    condition: Sql = TRUE

    def to(self, table: str, on: Sql, alias: str, optional: bool = False) -> _Walk:
        """With a further table; ``optional``: also for a walk that is not unary, where there is no row."""
        if self.unary or optional:
            before = self.tables if self.tables.text else Sql("(SELECT 1)")
            text = f"{before.text} LEFT JOIN {table} {alias} ON {on.text}"
            return replace(self, alias=alias, tables=Sql(text, (*before.parameters, *on.parameters)))
        text = f"{self.tables.text} CROSS JOIN {table} {alias}" if self.tables.text else f"{table} {alias}"
        condition = on if self.condition == TRUE else combine("AND", [self.condition, on])
        return replace(self, alias=alias, tables=Sql(text, self.tables.parameters), condition=condition)

    def where(self, condition: Sql) -> _Walk:
        """With a further condition."""
        return replace(self, condition=combine("AND", [self.condition, condition]))

    def select(self, columns: Sql) -> Sql:
        """A SELECT of ``columns``."""
        source = f" FROM {self.tables.text}" if self.tables.text else ""
        where = f" WHERE {self.condition.text}" if self.condition != TRUE else ""
        parameters = (*columns.parameters, *self.tables.parameters, *self.condition.parameters)
        return Sql(f"SELECT {columns.text}{source}{where}", parameters)


def columns_of(prop: PropertyInfo, alias: str) -> Place:
    """Where a row has the value of a property, or the row of a collection an element."""
    columns = prop.columns if prop.table is None else prop.table.columns
    if prop.type == kinds.MIXED:
        return Place(kinds.MIXED, f"{alias}.{columns[1]}", f"{alias}.{columns[2]}", f"{alias}.{columns[0]}")
    if prop.type == kinds.DECIMAL:
        return Place(kinds.DECIMAL, f"{alias}.{columns[0]}", f"{alias}.{columns[1]}")
    if prop.words is not None:
        return Place(prop.type, f"{alias}.{columns[0]}", row=f"{alias}.k", words=prop.id)
    return Place(prop.type, f"{alias}.{columns[0]}", class_id=prop.target_id)


class Values:
    """Compiles comparisons of the operands of objects of ``cls``, whose row is ``c``.

    ``alias`` gives names that were not used before; ``predicate`` compiles the predicates of subqueries.
    ``few``: there will be few such objects.
    """

    def __init__(
        self, cls: ClassInfo, alias: Callable[[], str], predicate: Callable[[Predicate, ClassInfo], Sql], few: bool
    ) -> None:
        self.cls = cls
        self.alias = alias
        self.predicate = predicate
        self.few = few

    # --- comparisons (spec/sdk.md §7.4) ---

    def compare(self, node: Compare) -> Sql:
        """A comparison. Raises NotInSql."""
        left, right = node.left, node.right
        left_quantifier, right_quantifier = quantifier_of(left), quantifier_of(right)
        if is_plural(left) and is_plural(right) and left_quantifier is right_quantifier is None:
            raise NotInSql  # pair by pair
        if isinstance(right, Constant | ConstantList) or node.operator is Operator.TEXT:
            test = constant_side(node, self.few)
            return self._some(self._groups(left), lambda rows: self._quantified(left_quantifier, rows, test))
        operator = Operator.EQ if node.operator is Operator.IN else node.operator
        nothing = isinstance(left, Constant) and left.value is None and operator.is_string
        rights = self._groups(right)

        def pair(one: Place, other: Place) -> Sql:
            if nothing and operator is not Operator.LIKE:
                return FALSE
            return pair_of(operator, one, other, node.fold)

        def holds(lefts: Rows, others: Rows) -> Sql:
            return self._quantified(
                left_quantifier,
                lefts,
                lambda one: self._quantified(right_quantifier, others, lambda other: pair(one, other)),
            )

        return self._some(self._groups(left), lambda lefts: self._some(rights, lambda others: holds(lefts, others)))

    def between(self, node: Between, test: Test) -> Sql:
        """A test of the values of an operand, as its quantifier says. Raises NotInSql."""
        quantifier = quantifier_of(node.operand)
        return self._some(self._groups(node.operand), lambda rows: self._quantified(quantifier, rows, test))

    def within(self, node: Within) -> Sql:
        """Whether one of the places that a path leads to lies in a shape (spec/sdk.md §7.10). Raises NotInSql."""
        path, shape = node.path, cast(Shape, node.shape)
        point = cast(ClassInfo, path.steps[-1].target)
        if len(path.steps) == 1 and not is_plural_path(path) and path.steps[0].select is None:
            link = columns_of(cast(PropertyInfo, path.steps[0].property), "c").value
            return place_test(point, link, shape, self.alias)
        groups = self._path(path)
        assert groups.owners is None
        links, alias = groups.rows("c.k").sql, self.alias()
        test = place_test(point, f"{alias}.v", shape, self.alias)
        text = f"EXISTS (SELECT 1 FROM ({links.text}) {alias} WHERE {test.text})"
        return Sql(text, (*links.parameters, *test.parameters))

    def _some(self, groups: Groups, test: GroupTest) -> Sql:
        """Whether a group passes; where there are no owners there is one group, which is empty."""
        if groups.owners is None:
            return test(groups.rows("c.k"))
        alias = self.alias()
        rows = groups.rows(f"{alias}.k")
        found = test(rows)
        owners = groups.owners
        some = Sql(
            f"EXISTS (SELECT 1 FROM ({owners.text}) {alias} WHERE {found.text})",
            (*owners.parameters, *found.parameters),
        )
        none = Sql(f"NOT EXISTS ({owners.text})", owners.parameters)
        empty = test(groups.rows("NULL"))
        if len(found.text) > _LONGEST:  # subqueries in each other would double it again and again
            raise NotInSql
        return combine("OR", [some, combine("AND", [none, empty])])

    def _quantified(self, quantifier: Quantifier | None, rows: Rows, test: Test) -> Sql:
        alias = self.alias()
        leaf = test(_place(rows, alias))
        if quantifier is Quantifier.ALL:
            leaf = negate(leaf)
        exists = Sql(
            f"EXISTS (SELECT 1 FROM ({rows.sql.text}) {alias} WHERE {leaf.text})",
            (*rows.sql.parameters, *leaf.parameters),
        )
        return exists if quantifier in (None, Quantifier.ANY) else negate(exists)

    # --- operands ---

    def _groups(self, operand: Operand) -> Groups:
        match operand:
            case Constant(value):
                return _one(_constant_rows(value))
            case Path():
                return self._path(operand)
            case TypeOf(path):
                return self._mapped(self._path(path), TYPE, _type_bits)
            case Lengths(path):
                return self._mapped(self._path(path), kinds.INT, _length)
            case Size(path):
                return _one(self._size(path))
            case IncomingCount(path, sources):
                return _one(self._incoming(path, sources))
            case Aggregate():
                return _one(self._aggregate(operand))
            case Subquery(path, _, predicate):
                return _one(self._matching(path, predicate))
            case Arithmetic():
                return self._arithmetic(operand)
            case _:
                raise NotInSql

    def _path(self, path: Path) -> Groups:
        if path.inner:
            return _one(self._inside(path))
        if not path.steps:
            return _one(Rows(kinds.LINK, Sql("SELECT c.k AS v"), self.cls.id))
        leaf = path.steps[-1]
        if ends_in_values(leaf):
            return self._elements(path.steps[:-1], leaf)
        plural = is_plural_path(path)
        walk, place = self._leaf(self._walk(path.steps[:-1], unary=not plural), leaf)
        if plural and place.kind == kinds.LINK:
            walk = walk.where(Sql(f"ifnull({place.value}, -1) >= 0"))
        return _one(_rows(walk, place))

    def _inside(self, path: Path) -> Rows:
        """The one value at a place inside a Mixed value: none where a selector does not go with what it meets."""
        leaf, before = path.steps[-1], path.steps[:-1]
        if leaf.plural or Position.ALL in path.inner or Position.KEYS in path.inner:
            raise NotInSql
        walk = self._walk(before, unary=not is_plural_path(path))
        owner = walk.alias
        walk, place = self._leaf(walk, leaf)
        found: list[Sql] = []
        for number, selector in enumerate(path.inner):
            alias, content = self.alias(), self.alias()
            if isinstance(selector, str):
                tag, name = DICTIONARY_TAG, "n_dict"
                where = Sql(f"{alias}.key = ?", (encode_scalar(kinds.STRING, selector),))
            else:
                tag, name = LIST_TAG, "n_list"
                last = f"(SELECT max({content}.i) FROM n_list {content} WHERE {content}.node = {place.value})"
                where = Sql(f"{alias}.i = {last if selector is Position.LAST else _index_of(selector)}")
            on = Sql(f"{place.tag} = {tag} AND {alias}.node = {place.value} AND {where.text}", where.parameters)
            null = isinstance(selector, str) and number == len(path.inner) - 1  # a key that is not there is null
            found.append(Sql(f"ifnull({place.tag} = {tag}, 0)" if null else f"{alias}.node IS NOT NULL"))
            walk = walk.to(name, on, alias, optional=True)
            place = Place(kinds.MIXED, f"{alias}.p", f"{alias}.s", f"{alias}.t")
        condition = combine("AND", found)
        if walk.unary and before:
            condition = combine("OR", [Sql(f"{owner}.k IS NULL"), condition])
        return _rows(walk.where(condition), place)

    def _elements(self, before: tuple[Step, ...], leaf: Step) -> Groups:
        """All values of a collection, or all keys of a dictionary, of each owner for themselves."""
        table = cast(PropertyInfo, leaf.property).table
        assert table is not None
        alias = self.alias()
        place = columns_of(cast(PropertyInfo, leaf.property), alias)
        if leaf.select is Position.KEYS:
            place = Place(kinds.STRING, f"{alias}.{table.place}")

        def rows(owner: str) -> Rows:
            return _rows(_Walk(False).to(table.name, Sql(f"{alias}.{table.owner} = {owner}"), alias), place)

        return Groups(self._owners(before) if before else None, rows)

    def _owners(self, steps: tuple[Step, ...]) -> Sql:
        walk = self._walk(steps, unary=False)
        return walk.select(Sql(f"{walk.alias}.k AS k"))

    # --- walks ---

    def _walk(self, steps: Iterable[Step], unary: bool) -> _Walk:
        """To the rows of the objects that steps lead to."""
        walk = _Walk(unary)
        for step in steps:
            walk = self._linking(walk, step) if step.backward else self._linked(walk, step)
        return walk

    def _linked(self, walk: _Walk, step: Step) -> _Walk:
        walk, place = self._leaf(walk, step)
        if place.kind != kinds.LINK:
            raise NotInSql
        row = self.alias()
        return walk.to(cast(ClassInfo, step.target).table, Sql(f"{row}.k = {place.value}"), row)

    def _linking(self, walk: _Walk, step: Step) -> _Walk:
        prop, before, row = cast(PropertyInfo, step.property), walk.alias, self.alias()
        if prop.type == kinds.MIXED:
            raise NotInSql
        source = cast(ClassInfo, step.target).table
        if prop.table is None:
            return walk.to(source, Sql(f"{row}.{prop.columns[0]} = {before}.k"), row)
        through = self.alias()
        walk = walk.to(prop.table.name, Sql(f"{through}.{prop.table.value} = {before}.k"), through)
        return walk.to(source, Sql(f"{row}.k = {through}.{prop.table.owner}"), row)

    def _leaf(self, walk: _Walk, step: Step) -> tuple[_Walk, Place]:
        """One step further, to a value: where it stands."""
        prop = cast(PropertyInfo, step.property)
        if step.backward:
            walk = self._linking(walk, step)
            return walk, Place(kinds.LINK, f"{walk.alias}.k", class_id=cast(ClassInfo, step.target).id)
        if prop.table is None:
            return walk, columns_of(prop, walk.alias)
        table, owner, alias = prop.table, f"{walk.alias}.k", self.alias()
        on = Sql(f"{alias}.{table.owner} = {owner}")
        if isinstance(step.select, str):
            on = Sql(f"{on.text} AND {alias}.{table.place} = ?", (encode_scalar(kinds.STRING, step.select),))
            return walk.to(table.name, on, alias, optional=True), columns_of(prop, alias)
        if step.select is None:
            return walk.to(table.name, on, alias), columns_of(prop, alias)
        index = self.alias()
        visible = f" AND {index}.{table.value} >= 0" if table.links else ""
        last, skip = step.select is Position.LAST, step.select if isinstance(step.select, int) else 0
        on = Sql(
            f"{on.text} AND {alias}.{table.place} = (SELECT {index}.{table.place} FROM {table.name} {index} "
            f"WHERE {index}.{table.owner} = {owner}{visible} "
            f"ORDER BY {index}.{table.place} {'DESC' if last else 'ASC'} LIMIT 1 OFFSET {skip})"
        )
        walk = walk.to(table.name, on, alias)
        if walk.unary:  # behind a null link there is null, behind the end of a list nothing
            walk = walk.where(Sql(f"({owner} IS NULL OR {alias}.{table.owner} IS NOT NULL)"))
        return walk, columns_of(prop, alias)

    # --- what is made of many values (spec/sdk.md §7.6, §7.7) ---

    def _mapped(self, groups: Groups, kind: int, value: Callable[[Place], str]) -> Groups:
        """Something else of each value."""

        def rows(owner: str) -> Rows:
            before, alias = groups.rows(owner), self.alias()
            text = f"SELECT {value(_place(before, alias))} AS v FROM ({before.sql.text}) {alias}"
            return Rows(kind, Sql(text, before.sql.parameters))

        return Groups(groups.owners, rows)

    def _size(self, path: Path) -> Rows:
        leaf, before = path.steps[-1], path.steps[:-1]
        if not path.inner and ends_in_values(leaf):
            table = cast(PropertyInfo, leaf.property).table
            assert table is not None
            walk, alias = self._walk(before, unary=False), self.alias()
            if any(step.plural for step in before):
                count = f"(SELECT count(*) FROM {table.name} {alias} WHERE {alias}.{table.owner} = {walk.alias}.k)"
                return Rows(kinds.INT, walk.select(Sql(f"{count} AS v")))
            walk = walk.to(table.name, Sql(f"{alias}.{table.owner} = {walk.alias}.k"), alias)
            return Rows(kinds.INT, walk.select(Sql("count(*) AS v")))
        values, alias = self._path(path).rows("c.k"), self.alias()
        place = _place(values, alias)
        if values.kind == kinds.LINK:
            what, where = "count(*)", f"{alias}.v >= 0"
        else:
            what = _content_size(place)
            where = f"{what} IS NOT NULL"
        text = f"SELECT {what} AS v FROM ({values.sql.text}) {alias} WHERE {where}"
        return Rows(kinds.INT, Sql(text, values.sql.parameters))

    def _incoming(self, path: Path, sources: tuple[Step, ...]) -> Rows:
        walk = self._walk(path.steps, unary=False)
        counts = [
            f"(SELECT count(*) FROM {rows})"
            for source in sources
            for _, rows in link_rows(
                cast(PropertyInfo, source.property), source.owner.id, f"{walk.alias}.k", self.alias()
            )
        ]
        total = " + ".join(counts) or "0"
        if not path.steps:
            return Rows(kinds.INT, Sql(f"SELECT {total} AS v"))
        return Rows(kinds.INT, walk.select(Sql(f"ifnull(sum({total}), 0) AS v")))

    def _aggregate(self, node: Aggregate) -> Rows:
        path, function = node.path, node.function
        if path.inner:
            raise NotInSql
        if node.member is not None:
            prop = cast(PropertyInfo, node.member.steps[0].property)
            if prop.table is not None or len(node.member.steps) > 1:
                raise NotInSql
            walk = self._walk(path.steps, unary=False)
            query = aggregate_query(function, columns_of(prop, walk.alias), walk.tables, walk.condition)
            rows = Rows(aggregate_kind(function, prop.type), query)
            return rows if function in (Aggregation.MIN, Aggregation.MAX) else _with_key(rows)
        leaf, before = path.steps[-1], path.steps[:-1]
        prop, alias = cast(PropertyInfo, leaf.property), self.alias()
        table = prop.table
        if table is None or leaf.select is not None:
            raise NotInSql
        walk = self._walk(before, unary=not any(step.plural for step in before))
        condition = Sql(f"{alias}.{table.owner} = {walk.alias}.k")
        query = aggregate_query(function, columns_of(prop, alias), Sql(f"{table.name} {alias}"), condition)
        kind = aggregate_kind(function, prop.type)
        extreme = function in (Aggregation.MIN, Aggregation.MAX)
        names = ["v"]
        if extreme and kind in (kinds.DECIMAL, kinds.MIXED):
            names = ["v", "s"] if kind == kinds.DECIMAL else ["v", "s", "t"]
        columns = ", ".join(f"(SELECT {name} FROM ({query.text})) AS {name}" for name in names)
        rows = Rows(kind, walk.select(Sql(columns)))
        return rows if extreme else _with_key(rows)

    def _matching(self, path: Path, predicate: Predicate) -> Rows:
        """How many objects that a path reaches pass; ``c`` is the row of such an object within."""
        target = cast(ClassInfo, path.steps[-1].target)
        owners, alias = self._owners(path.steps), self.alias()
        passes = self.predicate(predicate, target)
        text = f"SELECT count(*) AS v FROM ({owners.text}) {alias} CROSS JOIN {target.table} c ON c.k = {alias}.k"
        return Rows(kinds.INT, Sql(f"{text} WHERE {passes.text}", (*owners.parameters, *passes.parameters)))

    def _arithmetic(self, node: Arithmetic) -> Groups:
        kind = kind_of(node)
        if kind not in NUMERIC:
            raise NotInSql
        left, right = self._groups(node.left), self._groups(node.right)
        if left.owners is not None and right.owners is not None:
            raise NotInSql

        def rows(owner: str) -> Rows:
            one = left.rows(owner if left.owners is not None or right.owners is None else "c.k")
            other = right.rows(owner if right.owners is not None or left.owners is None else "c.k")
            x, y = self.alias(), self.alias()
            result = _calculated(node.operator, kind, _place(one, x), _place(other, y), _depth(node) <= _REPEATED)
            text = f"SELECT {result} AS v FROM ({one.sql.text}) {x}, ({other.sql.text}) {y}"
            return _with_key(Rows(kind, Sql(text, (*one.sql.parameters, *other.sql.parameters))))

        return Groups(left.owners if left.owners is not None else right.owners, rows)


# --- rows -------------------------------------------------------------------------------------------------------------


def _index_of(selector: object) -> int:
    return selector if isinstance(selector, int) else 0


def _one(rows: Rows) -> Groups:
    return Groups(None, lambda owner: rows)


def _rows(walk: _Walk, place: Place) -> Rows:
    columns = f"{place.value} AS v"
    if place.key:
        columns += f", ifnull({place.key}, x'00') AS s"  # where there is no row there is no key
    if place.tag:
        columns += f", {place.tag} AS t"
    if place.words is not None:
        columns += f", {place.row} AS k"
    return Rows(place.kind, walk.select(Sql(columns)), place.class_id, place.words)


def _with_key(rows: Rows) -> Rows:
    """With the sort key that decimals need."""
    if rows.kind != kinds.DECIMAL:
        return rows
    text = f"SELECT v, rlm_key({kinds.DECIMAL}, 0, v) AS s FROM ({rows.sql.text})"
    return Rows(rows.kind, Sql(text, rows.sql.parameters), rows.class_id)


def _place(rows: Rows, alias: str) -> Place:
    mixed = rows.kind == kinds.MIXED
    key = f"{alias}.s" if mixed or rows.kind == kinds.DECIMAL else ""
    row = f"{alias}.k" if rows.words is not None else ""
    return Place(rows.kind, f"{alias}.v", key, f"{alias}.t" if mixed else "", rows.class_id, row, rows.words)


def _constant_rows(value: object) -> Rows:
    if value is None:
        return Rows(kinds.MIXED, Sql("SELECT NULL AS v, x'00' AS s, NULL AS t"))
    kind = kind_of_value(value)
    if kind in (kinds.LINK, kinds.MIXED, TYPE):
        raise NotInSql
    return _with_key(Rows(kind, Sql("SELECT ? AS v", (encode_number(kind, value),))))


# --- values -----------------------------------------------------------------------------------------------------------

#: SQLite puts an operand in every place where it is used; deeper arithmetic calls a function, which uses it once.
_REPEATED: Final = 2

_TEXT_TAGS: Final = f"({TYPE_CODES[kinds.STRING]}, {TYPE_CODES[kinds.BINARY]})"
_MIXED_TYPES: Final = {
    **{code: type_of_kind(kind).value for kind, code in TYPE_CODES.items() if kind not in (kinds.MIXED, kinds.LINK)},
    LIST_TAG: TypeSet.LIST.value,
    DICTIONARY_TAG: TypeSet.DICTIONARY.value,
}


def _type_bits(place: Place) -> str:
    """The type of a value as a number with one bit set (:class:`TypeSet`)."""
    if place.kind != kinds.MIXED:
        return str(type_of_kind(place.kind).value)
    cases = " ".join(f"WHEN {tag} THEN {bits}" for tag, bits in _MIXED_TYPES.items())
    link = f"WHEN {LINK_TAG} THEN CASE WHEN {place.value} >= 0 THEN {TypeSet.LINK.value} ELSE {TypeSet.NULL.value} END"
    return f"CASE {place.tag} {cases} {link} ELSE {TypeSet.NULL.value} END"


def _length(place: Place) -> str:
    """The bytes of a string or data, null for anything else."""
    length = f"length(CAST({place.value} AS BLOB))"
    return f"CASE WHEN {place.tag} IN {_TEXT_TAGS} THEN {length} END" if place.kind == kinds.MIXED else length


def _depth(operand: Operand) -> int:
    return 1 + max(_depth(operand.left), _depth(operand.right)) if isinstance(operand, Arithmetic) else 0


def _calculated(operator: ArithmeticOperator, kind: int, one: Place, other: Place, own: bool) -> str:
    """``one operator other``: with ``own`` SQLite's own result where it is the right one, without overflow, NaN or
    division by 0.
    """
    exact = f"rlm_calculate('{operator.value}', {one.kind}, {one.value}, {other.kind}, {other.value})"
    if not own:
        return exact
    left, right = one.value, other.value
    if kind == kinds.INT:
        result = f"{left} {operator.value} {right}"
        return f"CASE WHEN typeof({result}) = 'integer' THEN {result} ELSE {exact} END"
    if kind != kinds.DOUBLE:
        return exact
    result = f"CAST({left} AS REAL) {operator.value} {right}"
    numbers = f"typeof({left}) <> 'blob' AND typeof({right}) <> 'blob' AND typeof({result}) = 'real'"
    return f"CASE WHEN {numbers} THEN {result} ELSE {exact} END"


def _content_size(place: Place) -> str:
    """The bytes of a string or data, the elements of a list or dictionary in a Mixed value; NULL for anything else."""
    if place.kind != kinds.MIXED:
        return _length(place) if place.kind in (kinds.STRING, kinds.BINARY) else "NULL"
    return (
        f"CASE WHEN {place.tag} IN {_TEXT_TAGS} THEN length(CAST({place.value} AS BLOB)) "
        f"WHEN {place.tag} = {LIST_TAG} THEN (SELECT count(*) FROM n_list WHERE node = {place.value}) "
        f"WHEN {place.tag} = {DICTIONARY_TAG} THEN (SELECT count(*) FROM n_dict WHERE node = {place.value}) END"
    )
