"""What the operands of a resolved query are worth for one object (spec/sdk.md §7.3, §7.6–7.8).

The value of an operand is a list of *groups*, each a list of values: one group of one value for what is unary, an empty
group for what has no value, and for the rest the groups that ALL and NONE range over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol, TypeAlias

from syncline.query.arithmetic import aggregate, calculate
from syncline.query.ast import (
    Aggregate,
    Arithmetic,
    ClassLike,
    Constant,
    ConstantList,
    IncomingCount,
    KeyedObject,
    Lengths,
    LinkLiteral,
    Operand,
    Path,
    Position,
    Predicate,
    PropertyLike,
    Selector,
    Size,
    Step,
    Subquery,
    TypeOf,
)
from syncline.query.operands import Grouping, ends_in_values, grouping, is_plural_path, kind_of
from syncline.query.text import to_bytes
from syncline.query.type_names import type_of_kind, type_of_value
from syncline.values import Float32, kinds

__all__ = ["Groups", "Objects", "Valuation"]


class Objects(Protocol):
    """Where the evaluator finds the data: stored values; links as anything with ``class_id`` and ``object_key``.

    Links to objects that do not exist are null as single values and in dictionaries, and left out of lists and sets.
    A list or dictionary in a Mixed place is a Python ``list`` or ``dict``, with everything in it.
    """

    def value(self, cls: ClassLike, key: int, prop: PropertyLike) -> object:
        """The value of a property that is no collection."""

    def elements(self, cls: ClassLike, key: int, prop: PropertyLike) -> Iterable[object]:
        """The elements of a list or set, the values of a dictionary, in order."""

    def items(self, cls: ClassLike, key: int, prop: PropertyLike) -> Iterable[tuple[str, object]]:
        """The keys and values of a dictionary, in order."""

    def backlinks(self, cls: ClassLike, key: int, source: ClassLike, prop: PropertyLike) -> Iterable[int]:
        """Keys of the objects of ``source`` whose ``prop`` links to the object, each as often as it does, in order."""

    def find(self, cls: ClassLike, primary_key: object) -> int | None:
        """The key of the object with that primary key, None if there is none."""


#: The values of an operand, in the groups that ALL and NONE range over.
Groups: TypeAlias = "list[list[Any]]"

#: Equal to no value: the object of ``obj("Dog", "nobody")``.
NOBODY: Final = object()


class _Facts:
    """What is the same of a path for every object; see :mod:`syncline.query.operands`."""

    __slots__ = ("before", "kind", "leaf", "path", "plural", "plural_before", "values")

    def __init__(self, path: Path) -> None:
        self.path = path  # keeps it, and with it its id()
        self.leaf = path.steps[-1]
        self.before = path.steps[:-1]
        self.plural = is_plural_path(path)
        self.plural_before = any(step.plural for step in self.before)
        self.values = ends_in_values(self.leaf)
        self.kind = kind_of(path)


class Valuation:
    """Values of operands; ``passes`` decides the predicates of subqueries."""

    def __init__(self, objects: Objects, passes: Callable[[Predicate, ClassLike, int], bool]) -> None:
        self.objects = objects
        self.passes = passes
        self._facts: dict[int, _Facts] = {}

    def facts(self, path: Path) -> _Facts:
        """What is known of a resolved path that has steps."""
        found = self._facts.get(id(path))
        if found is None:
            found = self._facts[id(path)] = _Facts(path)
        return found

    def groups(self, operand: Operand, cls: ClassLike, key: int) -> Groups:
        """The values of the operand for the object ``key`` of ``cls``, ready to be compared."""
        match operand:
            case Constant(value):
                return [[self._constant(value)]]
            case ConstantList(values):
                return [[self._constant(value) for value in values]]
            case Path():
                return [[_comparable(value) for value in group] for group in self.raw(operand, cls, key)]
            case TypeOf(path):
                return self._types(path, cls, key)
            case Lengths(path):
                return [[_length(value) for value in group] for group in self.raw(path, cls, key)]
            case Size(path):
                return self._sizes(path, cls, key)
            case IncomingCount(path, sources):
                return [[self._incoming(path, sources, cls, key)]]
            case Aggregate():
                return self._aggregate(operand, cls, key)
            case Subquery(path, _, predicate):
                return [[self._matching(path, predicate, key)]]
            case Arithmetic():
                return self._arithmetic(operand, cls, key)
            case _:
                raise TypeError(f"{operand} is not resolved")

    def _constant(self, value: object) -> Any:
        if isinstance(value, KeyedObject):
            found = self.objects.find(value.cls, value.key)
            return NOBODY if found is None else LinkLiteral(value.cls.id, found)
        return _comparable(value)

    # --- paths ---

    def raw(self, path: Path, cls: ClassLike, key: int) -> Groups:
        """The stored values at the end of a path, collections in Mixed values with their content."""
        if not path.steps:
            return [[LinkLiteral(cls.id, key)]]
        facts = self.facts(path)
        leaf = facts.leaf
        owners = self.reached(facts.before, key)
        if path.inner:
            return self._inside(path, leaf, owners)
        if facts.values:
            return [self._at(leaf, owner) for owner in owners if owner is not None] or [[]]
        if not facts.plural:
            return [[value for owner in owners for value in ([None] if owner is None else self._at(leaf, owner))]]
        found = [value for owner in owners if owner is not None for value in self._at(leaf, owner)]
        return [[value for value in found if value is not None] if facts.kind == kinds.LINK else found]

    def reached(self, steps: tuple[Step, ...], key: int) -> list[int | None]:
        """The objects that steps lead to, with repetitions; None where a single link is null."""
        owners: list[int | None] = [key]
        for step in steps:
            owners = [found for owner in owners for found in self._along(step, owner)]
        return owners

    def _along(self, step: Step, owner: int | None) -> Iterator[int | None]:
        if owner is None:
            yield None
            return
        plural = step.plural
        for link in self._at(step, owner):
            if link is not None:
                yield link.object_key
            elif not plural:
                yield None

    def _at(self, step: Step, owner: int) -> list[Any]:
        """What one step leads to from one object."""
        prop, objects = step.property, self.objects
        if step.backward:
            assert step.target is not None
            sources = objects.backlinks(step.owner, owner, step.target, prop)
            return [LinkLiteral(step.target.id, source) for source in sources]
        if prop.collection == kinds.SINGLE_COLLECTION:
            return [objects.value(step.owner, owner, prop)]
        if isinstance(step.select, str):
            return [dict(objects.items(step.owner, owner, prop)).get(step.select)]
        if step.select is Position.KEYS:
            return [key for key, _ in objects.items(step.owner, owner, prop)]
        elements = list(objects.elements(step.owner, owner, prop))
        return elements if step.select is None else _picked(elements, step.select)

    # --- inside Mixed values ---

    def _inside(self, path: Path, leaf: Step, owners: list[int | None]) -> Groups:
        if owners == [None] and not self.facts(path).plural:
            return [[None]]
        starts = [value for owner in owners if owner is not None for value in self._at(leaf, owner)]
        match grouping(path):
            case Grouping.FLAT:
                return [[value for start in starts for value in _descend(start, path.inner)]]
            case Grouping.PER_COLLECTION:
                collections = [value for start in starts for value in _descend(start, path.inner[:-1])]
                return [group for value in collections for group in _content(value, path.inner[-1])] or [[]]
            case Grouping.PER_ELEMENT:
                return [[value] for start in starts for value in _descend(start, path.inner)] or [[]]

    # --- what is made of many values ---

    def _types(self, path: Path, cls: ClassLike, key: int) -> Groups:
        kind = kind_of(path)
        groups = self.raw(path, cls, key)
        if kind == kinds.MIXED:
            return [[type_of_value(value) for value in group] for group in groups]
        return [[type_of_kind(kind)] * len(group) for group in groups]

    def _sizes(self, path: Path, cls: ClassLike, key: int) -> Groups:
        facts = self.facts(path)
        if not path.inner and facts.values:
            owners = [owner for owner in self.reached(facts.before, key) if owner is not None]
            sizes = [len(self._at(facts.leaf, owner)) for owner in owners]
            return [sizes] if facts.plural_before else [sizes or [0]]
        groups = self.raw(path, cls, key)
        if facts.kind == kinds.LINK:
            return [[sum(value is not None for group in groups for value in group)]]
        if path.inner[-1:] == (Position.KEYS,):
            return [[len(group) for group in groups]]
        sizes = [size for group in groups for value in group if (size := _size(value)) is not None]
        return [sizes]

    def _incoming(self, path: Path, sources: tuple[Step, ...], cls: ClassLike, key: int) -> int:
        owners = [owner for owner in self.reached(path.steps, key) if owner is not None]
        return sum(len(self._at(source, owner)) for owner in owners for source in sources)

    def _aggregate(self, node: Aggregate, cls: ClassLike, key: int) -> Groups:
        path = node.path
        if node.member is not None:
            owners = [owner for owner in self.reached(path.steps, key) if owner is not None]
            values = [value for owner in owners for value in self._at(node.member.steps[0], owner)]
            return [[_comparable(aggregate(node.function, kind_of(node.member), values))]]
        facts = self.facts(path)
        results = [
            _comparable(aggregate(node.function, facts.kind, [] if owner is None else self._at(facts.leaf, owner)))
            for owner in self.reached(facts.before, key)
            if owner is not None or not facts.plural_before
        ]
        return [results]

    def _matching(self, path: Path, predicate: Predicate, key: int) -> int:
        target = path.steps[-1].target
        assert target is not None
        return sum(self.passes(predicate, target, link) for link in self.reached(path.steps, key) if link is not None)

    def _arithmetic(self, node: Arithmetic, cls: ClassLike, key: int) -> Groups:
        lefts, rights = self._numbers(node.left, cls, key), self._numbers(node.right, cls, key)
        return [[calculate(node.operator, x, y) for x in left for y in right] for left in lefts for right in rights]

    def _numbers(self, operand: Operand, cls: ClassLike, key: int) -> Groups:
        """The values of an operand of arithmetic, each as exact as its type is."""
        groups = self.groups(operand, cls, key)
        if kind_of(operand) != kinds.FLOAT:
            return groups
        return [[None if value is None else Float32(value) for value in group] for group in groups]


def _comparable(value: Any) -> Any:
    """Links in one form; of collections only which kind they are."""
    if hasattr(value, "object_key"):
        return LinkLiteral(value.class_id, value.object_key)
    if isinstance(value, list):
        return []
    return {} if isinstance(value, dict) else value


def _picked(elements: list[Any], place: int | str | Position) -> list[Any]:
    """The element at a place, no value where there is none."""
    if place in (Position.FIRST, Position.LAST):
        return elements[:1] if place is Position.FIRST else elements[-1:]
    assert isinstance(place, int)
    return elements[place : place + 1]


def _descend(value: Any, selectors: tuple[Selector, ...]) -> list[Any]:
    """The values inside a Mixed value: none where a selector does not go with what it meets."""
    values = [value]
    for number, selector in enumerate(selectors):
        values = [found for each in values for found in _inner(each, selector, number == len(selectors) - 1)]
    return values


def _inner(value: Any, selector: Selector, last: bool) -> list[Any]:
    if selector in (Position.ALL, Position.KEYS):
        return [element for group in _content(value, selector) for element in group]
    if isinstance(value, dict) and isinstance(selector, str):
        return [value[selector]] if selector in value else [None] * last
    return _picked(value, selector) if isinstance(value, list) and not isinstance(selector, str) else []


def _content(value: Any, selector: Selector) -> Groups:
    """All elements of a list or dictionary, or the keys of a dictionary, as one group; no group of anything else."""
    if selector is Position.KEYS:
        return [list(value)] if isinstance(value, dict) else []
    if isinstance(value, dict):
        return [list(value.values())]
    return [value] if isinstance(value, list) else []


def _length(value: object) -> int | None:
    """The bytes of a string or data."""
    if isinstance(value, str):
        return len(to_bytes(value))
    return len(value) if isinstance(value, bytes) else None


def _size(value: object) -> int | None:
    return len(value) if isinstance(value, list | dict) else _length(value)
