"""The reference evaluator: what a resolved query means, in plain Python (spec/sdk.md §7).

It is the definition that the SQL compiler is tested against, the filter for what SQL cannot do, and the predicate for
data that is in no database. It reads objects through :class:`Objects`; it is not meant to be fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

from syncline.query.arithmetic import order_key
from syncline.query.ast import (
    Always,
    And,
    Between,
    ClassLike,
    Compare,
    Constant,
    Distinct,
    Limit,
    Not,
    Operator,
    Or,
    Path,
    Predicate,
    Quantifier,
    Query,
    Sort,
    SortKey,
    Stage,
    Within,
)
from syncline.query.comparison import matches
from syncline.query.full_text import search
from syncline.query.geometry import GeoBox, GeoCircle, GeoPolygon
from syncline.query.operands import is_plural, quantifier_of
from syncline.query.valuation import Groups, Objects, Valuation
from syncline.values import kinds

__all__ = ["Objects", "apply_stages", "evaluate", "merged_stages", "passes"]


def evaluate(query: Query, cls: ClassLike, keys: Iterable[int], objects: Objects) -> list[int]:
    """Those of the object ``keys`` that match, in the order the query asks for."""
    evaluator = _Evaluator(objects)
    found = [key for key in keys if evaluator.passes(query.predicate, cls, key)]
    return apply_stages(query.stages, found, objects)


def passes(node: Predicate, cls: ClassLike, key: int, objects: Objects) -> bool:
    """Whether the predicate holds for one object."""
    return _Evaluator(objects).passes(node, cls, key)


def apply_stages(stages: Iterable[Stage], keys: Iterable[int], objects: Objects) -> list[int]:
    """The keys sorted, thinned out and cut as the stages say, one after the other."""
    evaluator = _Evaluator(objects)
    found = list(keys)
    for stage in merged_stages(stages):
        found = evaluator.stage(stage, found)
    return found


class _Comparison:
    """What is the same of a comparison for every object."""

    __slots__ = ("left", "node", "one_by_one", "right", "test")

    def __init__(self, node: Compare) -> None:
        self.node = node  # keeps it, and with it its id()
        self.left, self.right = quantifier_of(node.left), quantifier_of(node.right)
        self.one_by_one = self.left is self.right is None and is_plural(node.left) and is_plural(node.right)
        self.test = _test(node)

    def holds(self, left: list[Any], right: list[Any]) -> bool:
        """Whether it holds between two groups of values (spec/sdk.md §7.4)."""
        test = self.test
        if self.one_by_one:
            return _one_by_one(self.node.operator, left, right, test)
        if len(right) == 1 and self.right is not Quantifier.NONE:
            only = right[0]
            return _quantified(self.left, left, lambda x: test(x, only))
        return _quantified(self.left, left, lambda x: _quantified(self.right, right, lambda y: test(x, y)))


class _Evaluator:
    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.values = Valuation(objects, self.passes)
        self._comparisons: dict[int, _Comparison] = {}

    # --- predicates ---

    def passes(self, node: Predicate, cls: ClassLike, key: int) -> bool:
        """Whether the predicate holds for the object ``key`` of ``cls``."""
        match node:
            case Always(value):
                return value
            case And(terms):
                return all(self.passes(term, cls, key) for term in terms)
            case Or(terms):
                return any(self.passes(term, cls, key) for term in terms)
            case Not(term):
                return not self.passes(term, cls, key)
            case Compare():
                return self._compare(node, cls, key)
            case Between(operand, Constant() as low, Constant() as high):
                return _some_group(
                    quantifier_of(operand),
                    self.values.groups(operand, cls, key),
                    lambda value: matches(Operator.GE, value, low.value) and matches(Operator.LE, value, high.value),
                )
            case Within():
                return self._within(node, cls, key)
            case _:
                raise TypeError(f"{node} is not resolved")

    def _compare(self, node: Compare, cls: ClassLike, key: int) -> bool:
        lefts = self.values.groups(node.left, cls, key)
        if node.operator is Operator.TEXT:
            assert isinstance(node.right, Constant)
            wanted = search(str(node.right.value))
            return _some_group(quantifier_of(node.left), lefts, wanted.matches)
        rights = self.values.groups(node.right, cls, key)
        comparison = self._comparisons.get(id(node))
        if comparison is None:
            comparison = self._comparisons[id(node)] = _Comparison(node)
        return any(comparison.holds(left, right) for left in lefts for right in rights)

    def _within(self, node: Within, cls: ClassLike, key: int) -> bool:
        """Whether one of the points lies in the shape; what is no GeoJSON point lies nowhere."""
        target, shape = node.path.steps[-1].target, node.shape
        assert target is not None
        assert isinstance(shape, GeoBox | GeoCircle | GeoPolygon)
        kind, coordinates = target.properties["type"], target.properties["coordinates"]
        for group in self.values.groups(node.path, cls, key):
            for link in group:
                if link is None:
                    continue
                name = self.objects.value(target, link.object_key, kind)
                if not isinstance(name, str) or name.lower() != "point":
                    continue
                longitude, latitude, *_ = [*self.objects.elements(target, link.object_key, coordinates), None, None]
                if _is_degree(longitude, 180) and _is_degree(latitude, 90) and shape.contains(longitude, latitude):
                    return True
        return False

    # --- sort, distinct, limit (spec/sdk.md §7.11) ---

    def stage(self, stage: Stage, keys: list[int]) -> list[int]:
        """The keys after one stage."""
        match stage:
            case Sort(sort_keys):
                for sort in reversed(sort_keys):
                    ranks = {key: self._rank(sort, key) for key in keys}
                    keys = sorted(keys, key=ranks.__getitem__, reverse=not sort.ascending)
                return keys
            case Distinct(paths):
                return self._distinct(paths, keys)
            case Limit(count):
                return keys[:count]

    def _rank(self, sort: SortKey, key: int) -> tuple[bool, bytes]:
        """Null values come before everything, objects behind null links after everything."""
        found, value = self._reach(sort.path, key)
        return (not found, order_key(value) if found else b"")

    def _distinct(self, paths: tuple[Path, ...], keys: list[int]) -> list[int]:
        """The first of each group of equal values; objects behind null links drop out."""
        seen: set[tuple[bytes, ...]] = set()
        kept = []
        for key in keys:
            reached = [self._reach(path, key) for path in paths]
            if not all(found for found, _ in reached):
                continue
            identity = tuple(order_key(value) for _, value in reached)
            if identity not in seen:
                seen.add(identity)
                kept.append(key)
        return kept

    def _reach(self, path: Path, key: int) -> tuple[bool, object]:
        """Whether a unary path meets no null link, and the value at its end."""
        (owner,) = self.values.reached(path.steps[:-1], key)
        if owner is None:
            return False, None
        leaf = path.steps[-1]
        if leaf.property.collection == kinds.SINGLE_COLLECTION:
            return True, self.objects.value(leaf.owner, owner, leaf.property)
        return True, dict(self.objects.items(leaf.owner, owner, leaf.property)).get(str(leaf.select))


def merged_stages(stages: Iterable[Stage]) -> list[Stage]:
    """Adjacent sorts are one: the later counts more, the earlier breaks its ties (spec/sdk.md §7.11)."""
    merged: list[Stage] = []
    for stage in stages:
        if isinstance(stage, Sort) and merged and isinstance(merged[-1], Sort):
            merged[-1] = Sort(stage.keys + merged[-1].keys)
        else:
            merged.append(stage)
    return merged


def _test(node: Compare) -> Callable[[Any, Any], bool]:
    """What is asked of a pair of values. A constant null on the left begins, ends and contains nothing (§7.5)."""
    operator, fold = node.operator, node.fold
    null_subject = isinstance(node.left, Constant) and node.left.value is None
    if null_subject and operator.is_string and operator is not Operator.LIKE:
        return lambda left, right: False
    return lambda left, right: matches(operator, left, right, fold)


def _some_group(quantifier: Quantifier | None, groups: Groups, test: Callable[[Any], bool]) -> bool:
    return any(_quantified(quantifier, group, test) for group in groups)


def _quantified(quantifier: Quantifier | None, values: Iterable[Any], test: Callable[[Any], bool]) -> bool:
    if quantifier is Quantifier.ALL:
        return all(test(value) for value in values)
    found = any(test(value) for value in values)
    return not found if quantifier is Quantifier.NONE else found


def _one_by_one(operator: Operator, left: list[Any], right: list[Any], test: Callable[[Any, Any], bool]) -> bool:
    """Two lists without quantifiers: pair by pair, in order (spec/sdk.md §7.4, rule 2)."""
    if len(left) != len(right):
        return operator is Operator.NE
    return all(test(x, y) for x, y in zip(left, right, strict=True))


def _is_degree(value: object, limit: int) -> TypeGuard[float]:
    return isinstance(value, int | float) and abs(value) <= limit
