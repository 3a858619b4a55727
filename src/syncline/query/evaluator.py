"""The reference evaluator: what a resolved query means, in plain Python (spec/sdk.md §7).

It is the definition that the SQL compiler is tested against, and the predicate for data that is in no database. It
reads objects through :class:`Objects`; it is not meant to be fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

from syncline.query.ast import (
    Always,
    And,
    Between,
    ClassLike,
    Compare,
    Constant,
    ConstantList,
    Distinct,
    Limit,
    Not,
    Operand,
    Operator,
    Or,
    Path,
    Predicate,
    PropertyLike,
    Quantifier,
    Query,
    Size,
    Sort,
    SortKey,
    Stage,
    Step,
)
from syncline.query.comparison import matches
from syncline.query.resolve import is_plural
from syncline.query.text import to_bytes
from syncline.values import kinds
from syncline.values.order import link_sort_key, sort_key

__all__ = ["Objects", "evaluate", "passes"]


class Reference(Protocol):
    """A link to a row."""

    @property
    def object_key(self) -> int: ...


class Objects(Protocol):
    """Where the evaluator finds the data: stored values; links as references; what links to no object is not shown."""

    def value(self, cls: ClassLike, key: int, prop: PropertyLike) -> object:
        """The value of a property that is no collection; None for null and for links to objects that do not exist."""

    def elements(self, cls: ClassLike, key: int, prop: PropertyLike) -> Iterable[object]:
        """The elements of a list or set, the values of a dictionary, in order."""


class _Test(Protocol):
    def __call__(self, value: object, /) -> bool: ...


#: The values a path leads to, in the groups that ALL and NONE range over (spec/sdk.md §7.3, *Grouping*).
Groups: TypeAlias = "list[list[object]]"


def evaluate(query: Query, cls: ClassLike, keys: Iterable[int], objects: Objects) -> list[int]:
    """Those of the object ``keys`` that match, in the order the query asks for."""
    found = [key for key in keys if passes(query.predicate, cls, key, objects)]
    for stage in _merged(query.stages):
        found = _stage(stage, cls, found, objects)
    return found


def passes(node: Predicate, cls: ClassLike, key: int, objects: Objects) -> bool:
    """Whether the predicate holds for one object."""
    match node:
        case Always(value):
            return value
        case And(terms):
            return all(passes(term, cls, key, objects) for term in terms)
        case Or(terms):
            return any(passes(term, cls, key, objects) for term in terms)
        case Not(term):
            return not passes(term, cls, key, objects)
        case Compare(Operator.IN, operand, ConstantList(values), fold):
            return _quantified(
                operand,
                cls,
                key,
                objects,
                lambda value: any(matches(Operator.EQ, value, other, fold) for other in values),
            )
        case Compare(operator, left, right, fold):
            other = _single(right, cls, key, objects)
            return _quantified(left, cls, key, objects, lambda value: matches(operator, value, other, fold))
        case Between(operand, Constant() as low, Constant() as high):
            return _quantified(
                operand,
                cls,
                key,
                objects,
                lambda value: matches(Operator.GE, value, low.value) and matches(Operator.LE, value, high.value),
            )
        case _:
            raise TypeError(f"{node} cannot be evaluated")


def _single(operand: Operand, cls: ClassLike, key: int, objects: Objects) -> object:
    """The one value of a constant or a unary operand."""
    if isinstance(operand, Constant):
        return operand.value
    assert isinstance(operand, Path | Size)
    groups = _values(operand, cls, key, objects)
    return groups[0][0] if groups[0] else None


def _quantified(operand: Operand, cls: ClassLike, key: int, objects: Objects, test: _Test) -> bool:
    """Whether the test holds for the operand's values, as its quantifier says, in at least one group."""
    assert isinstance(operand, Path | Size)
    path = operand.path if isinstance(operand, Size) else operand
    groups = _values(operand, cls, key, objects)
    if path.quantifier is Quantifier.ALL:
        return any(all(test(value) for value in group) for group in groups)
    if path.quantifier is Quantifier.NONE:
        return any(not any(test(value) for value in group) for group in groups)
    return any(any(test(value) for value in group) for group in groups)


def _values(operand: Path | Size, cls: ClassLike, key: int, objects: Objects) -> Groups:
    if isinstance(operand, Size):
        return _sizes(operand.path, cls, key, objects)
    steps = operand.steps
    leaf = steps[-1]
    owners = _owners(steps[:-1], key, objects)
    if leaf.property.collection != kinds.SINGLE_COLLECTION and leaf.property.type != kinds.LINK:
        groups = [list(objects.elements(leaf.owner, owner, leaf.property)) for owner in owners if owner is not None]
        return groups or [[]]
    if not is_plural(operand):
        return [[None if owner is None else objects.value(leaf.owner, owner, leaf.property) for owner in owners]]
    return [[value for owner in owners if owner is not None for value in _at(leaf, owner, objects)]]


def _at(step: Step, owner: int, objects: Objects) -> Iterable[object]:
    if step.property.collection == kinds.SINGLE_COLLECTION:
        return [objects.value(step.owner, owner, step.property)]
    return [value for value in objects.elements(step.owner, owner, step.property) if value is not None]


def _sizes(path: Path, cls: ClassLike, key: int, objects: Objects) -> Groups:
    """``@count``: of links the number reached, of values one number per collection, of a string its bytes."""
    leaf = path.steps[-1]
    owners = [owner for owner in _owners(path.steps[:-1], key, objects) if owner is not None]
    if leaf.property.type == kinds.LINK:
        return [[sum(1 for owner in owners for value in _at(leaf, owner, objects) if value is not None)]]
    if leaf.property.collection == kinds.SINGLE_COLLECTION:
        return [[_length(objects.value(leaf.owner, owners[0], leaf.property)) if owners else None]]
    sizes: list[object] = [len(list(objects.elements(leaf.owner, owner, leaf.property))) for owner in owners]
    if is_plural(replace(path, steps=path.steps[:-1])):
        return [sizes]
    return [sizes or [0]]


def _length(value: object) -> int | None:
    if isinstance(value, str):
        return len(to_bytes(value))
    return len(value) if isinstance(value, bytes) else None


def _owners(steps: tuple[Step, ...], key: int, objects: Objects) -> Iterator[int | None]:
    """The objects that the link steps lead to, with repetitions; None where a single link is null."""
    if not steps:
        yield key
        return
    first, rest = steps[0], steps[1:]
    if first.property.collection == kinds.SINGLE_COLLECTION:
        links: Iterable[object] = [objects.value(first.owner, key, first.property)]
    else:
        links = [link for link in objects.elements(first.owner, key, first.property) if link is not None]
    for link in links:
        if link is None:
            yield None
        else:
            yield from _owners(rest, _key(link), objects)


def _key(link: object) -> int:
    key: int = link.object_key  # type: ignore[attr-defined]
    return key


# --- sort, distinct, limit (spec/sdk.md §7.11) ---


def _merged(stages: Iterable[Stage]) -> list[Stage]:
    """Adjacent sorts are one: the later counts more, the earlier breaks its ties."""
    merged: list[Stage] = []
    for stage in stages:
        if isinstance(stage, Sort) and merged and isinstance(merged[-1], Sort):
            merged[-1] = Sort(stage.keys + merged[-1].keys)
        else:
            merged.append(stage)
    return merged


def _stage(stage: Stage, cls: ClassLike, keys: list[int], objects: Objects) -> list[int]:
    match stage:
        case Sort(sort_keys):
            for sort in reversed(sort_keys):
                ranks = {key: _rank(sort, key, objects) for key in keys}
                keys = sorted(keys, key=ranks.__getitem__, reverse=not sort.ascending)
            return keys
        case Distinct(paths):
            return _distinct(paths, keys, objects)
        case Limit(count):
            return keys[:count]


def _rank(sort: SortKey, key: int, objects: Objects) -> tuple[bool, bytes]:
    """Null values come before everything, objects behind null links after everything."""
    found, value = _reach(sort.path, key, objects)
    return (not found, _order_key(value) if found else b"")


def _distinct(paths: tuple[Path, ...], keys: list[int], objects: Objects) -> list[int]:
    """The first of each group of equal values; objects behind null links drop out."""
    seen: set[tuple[bytes, ...]] = set()
    kept = []
    for key in keys:
        reached = [_reach(path, key, objects) for path in paths]
        if not all(found for found, _ in reached):
            continue
        identity = tuple(_order_key(value) for _, value in reached)
        if identity not in seen:
            seen.add(identity)
            kept.append(key)
    return kept


def _order_key(value: Any) -> bytes:
    """Sorts values, and is the same for equal ones."""
    if hasattr(value, "object_key"):
        return link_sort_key(value.class_id, value.object_key)
    return sort_key(value)


def _reach(path: Path, key: int, objects: Objects) -> tuple[bool, object]:
    """Whether a unary path meets no null link, and the value at its end."""
    owner = next(_owners(path.steps[:-1], key, objects))
    if owner is None:
        return False, None
    leaf = path.steps[-1]
    value = objects.value(leaf.owner, owner, leaf.property)
    return True, value
