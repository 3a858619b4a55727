"""Conditions on linked objects that an index finds: from those objects back to the ones that link to them (§13.7).

::

    best.name == 'Rex'          c.p5 IN (SELECT c.k FROM c2 c WHERE (c.p7 IS ?))
    ANY friends.age > 3         c.k IN (SELECT t1.o FROM l9 t1 WHERE t1.v IN (SELECT c.k FROM c2 c WHERE (c.p8 > ?)))

Following the links of every object, which :mod:`syncline.storage.query_sql` does otherwise, takes time for every object
there is. It is better where another condition leaves few of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast

from syncline.query.ast import (
    And,
    Between,
    Compare,
    Constant,
    ConstantList,
    KeyedObject,
    Operator,
    Or,
    Path,
    Predicate,
    Quantifier,
    Step,
)
from syncline.query.operands import is_plural_path
from syncline.query.text import Fold
from syncline.query.type_names import TypeSet
from syncline.storage.catalogue import GENERAL_INDEX, ClassInfo, PropertyInfo
from syncline.storage.query_leaves import Sql, bare, in_test
from syncline.storage.query_values import columns_of
from syncline.values import kinds

__all__ = ["finds_directly", "is_lookup", "looked_up"]

#: How many links back a lookup goes: SQLite limits how deep SELECTs nest.
_MAX_STEPS: Final = 16
_EQUAL: Final = (Operator.EQ, Operator.IN)


def is_lookup(node: Predicate) -> bool:
    """Whether an index finds the linked objects that a predicate asks for; then :func:`looked_up` compiles it."""
    path = _tested(node)
    if path is None or path.quantifier not in (None, Quantifier.ANY):
        return False
    *before, leaf = path.steps
    if len(before) > _MAX_STEPS:
        return False
    if any(_property(step).type != kinds.LINK for step in before) or not _is_indexed(leaf):
        return False
    return bool(before) or _property(leaf).table is not None


def finds_directly(node: Predicate) -> bool:
    """Whether an index on the object itself finds where a predicate holds."""
    match node:
        case And(terms):
            return any(finds_directly(term) for term in terms)
        case Or(terms):
            return all(finds_directly(term) for term in terms)
        case _:
            path = _tested(node)
            return path is not None and len(path.steps) == 1 and _property(path.steps[0]).table is None and (
                _is_indexed(path.steps[0])
            )  # fmt: skip


def looked_up(node: Predicate, alias: Callable[[], str], condition: Callable[[ClassInfo, Predicate], Sql]) -> Sql:
    """A predicate that :func:`is_lookup` as a condition on the row ``c``; NULL for 0.

    ``condition`` compiles one on the row ``c`` of an object of some class, ``alias`` gives names for other rows.
    """
    path = _tested(node)
    assert path is not None
    *before, leaf = path.steps
    row, table = alias(), _property(leaf).table
    if table is not None:
        found = bare(in_test(columns_of(_property(leaf), row), _constants(node), Fold.NOTHING))
        keys = Sql(f"SELECT {row}.{table.owner} FROM {table.name} {row} WHERE {found.text}", found.parameters)
    else:
        owner = cast(ClassInfo, leaf.owner)
        found = condition(owner, _of_itself(node, Path((leaf.property.name,), steps=(leaf,))))
        keys = Sql(f"SELECT c.k FROM {owner.table} c WHERE {found.text}", found.parameters)
    while len(before) > 1:
        keys = _linking(before.pop(), keys, alias())
    if before and not before[0].backward and _property(before[0]).table is None:
        return Sql(f"c.{_property(before[0]).columns[0]} IN ({keys.text})", keys.parameters)
    if before:
        keys = _linking(before[0], keys, alias())
    return Sql(f"c.k IN ({keys.text})", keys.parameters)


def _linking(step: Step, keys: Sql, row: str) -> Sql:
    """The keys of the objects from which a step leads to objects with ``keys``."""
    prop = _property(step)
    table = prop.table
    if table is not None:
        name, near, far = table.name, table.owner, table.value
    else:
        name, near, far = f"c{prop.class_id}", "k", prop.columns[0]
    if step.backward:
        near, far = far, near
    return Sql(f"SELECT {row}.{near} FROM {name} {row} WHERE {row}.{far} IN ({keys.text})", keys.parameters)


def _tested(node: Predicate) -> Path | None:
    """The path of a predicate that says of its values that they equal a constant, or one of several, or are in a range;
    null never is.
    """
    match node:
        case Between(Path() as path, Constant(), Constant()):
            pass
        case Compare(operator, Path() as path, Constant(value), Fold.NOTHING):
            ranged = operator in _EQUAL or operator.is_order or operator is Operator.BEGINSWITH
            if not ranged or not _is_plain(value):
                return None
        case Compare(operator, Path() as path, ConstantList(values, quantifier), Fold.NOTHING):
            pair_by_pair = quantifier is path.quantifier is None and is_plural_path(path)
            if operator not in _EQUAL or quantifier not in (None, Quantifier.ANY) or pair_by_pair:
                return None
            if not all(map(_is_plain, values)):
                return None
        case _:
            return None
    return path if path.steps and not path.inner and all(step.select is None for step in path.steps) else None


def _is_plain(value: object) -> bool:
    return value is not None and not isinstance(value, KeyedObject | TypeSet)


def _is_indexed(leaf: Step) -> bool:
    """Whether an index finds values at the end of a path: links always, of other collections none."""
    prop = _property(leaf)
    if leaf.backward:
        return False
    if prop.table is not None:
        return prop.type == kinds.LINK
    return prop.type == kinds.LINK or prop.indexed == GENERAL_INDEX or prop.is_primary_key


def _property(step: Step) -> PropertyInfo:
    return cast(PropertyInfo, step.property)


def _constants(node: Predicate) -> list[object]:
    """The constants of an equality."""
    assert isinstance(node, Compare)
    return list(node.right.values) if isinstance(node.right, ConstantList) else [cast(Constant, node.right).value]


def _of_itself(node: Predicate, path: Path) -> Predicate:
    """The same of a property of the object itself."""
    assert isinstance(node, Compare | Between)
    return replace(node, operand=path) if isinstance(node, Between) else replace(node, left=path)
