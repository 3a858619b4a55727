"""What a resolved query looks at: which properties and classes decide its result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from syncline.query.ast import (
    Aggregate,
    And,
    Arithmetic,
    Between,
    Compare,
    Constant,
    ConstantList,
    Distinct,
    IncomingCount,
    KeyedObject,
    Lengths,
    Not,
    Operand,
    Or,
    Path,
    Predicate,
    Query,
    Size,
    Sort,
    Step,
    Subquery,
    TypeOf,
    Within,
)

__all__ = ["Dependencies", "dependencies"]


class Dependencies(NamedTuple):
    """Every step of every path, and the numbers of the classes in which objects are looked up by key."""

    steps: tuple[Step, ...]
    classes: frozenset[int]


def dependencies(query: Query) -> Dependencies:
    """What the query looks at."""
    found = list(_predicate(query.predicate))
    for stage in query.stages:
        if isinstance(stage, Sort):
            found += [step for key in stage.keys for step in key.path.steps]
        elif isinstance(stage, Distinct):
            found += [step for path in stage.paths for step in path.steps]
    steps = tuple(each for each in found if isinstance(each, Step))
    return Dependencies(steps, frozenset(each.cls.id for each in found if isinstance(each, KeyedObject)))


def _predicate(node: Predicate) -> Iterator[Step | KeyedObject]:
    match node:
        case And(terms) | Or(terms):
            for term in terms:
                yield from _predicate(term)
        case Not(term):
            yield from _predicate(term)
        case Compare(_, left, right):
            yield from _operand(left)
            yield from _operand(right)
        case Between(operand):
            yield from _operand(operand)
        case Within(path):
            yield from path.steps
            target = path.steps[-1].target
            assert target is not None
            for name in ("type", "coordinates"):
                yield Step(target, target.properties[name], None)


def _operand(node: Operand) -> Iterator[Step | KeyedObject]:
    match node:
        case Constant(value):
            yield from [value] if isinstance(value, KeyedObject) else []
        case ConstantList(values):
            yield from (value for value in values if isinstance(value, KeyedObject))
        case Path(_, _, steps):
            yield from steps
        case Size(path) | TypeOf(path) | Lengths(path):
            yield from path.steps
        case IncomingCount(path, sources):
            yield from path.steps
            yield from sources
        case Aggregate(_, path, member):
            yield from path.steps
            yield from member.steps if member is not None else ()
        case Subquery(path, _, predicate):
            yield from path.steps
            yield from _predicate(predicate)
        case Arithmetic(_, left, right):
            yield from _operand(left)
            yield from _operand(right)
