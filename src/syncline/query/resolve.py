"""From names to meaning: checks a query against a schema (spec/sdk.md §7.3, §7.4, §7.6–7.11).

Resolution fills in the steps of every path, refuses comparisons that can never make sense, folds what is constant, and
turns constants into stored values. A single constant ends up on the right, and a plural operand on the left of a single
one (unless that may have no value at all), so that compiler and evaluator have fewer cases.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NoReturn

from syncline.errors import InvalidSortDescriptorError, QueryArgumentError, QueryError, QueryTypeError
from syncline.query.arithmetic import calculate
from syncline.query.ast import (
    Aggregate,
    Aggregation,
    Always,
    And,
    Arithmetic,
    Between,
    ClassLike,
    Compare,
    Constant,
    ConstantList,
    Distinct,
    IncomingCount,
    Lengths,
    Limit,
    Not,
    Operand,
    Operator,
    Or,
    Path,
    Predicate,
    Quantifier,
    Query,
    SchemaLike,
    Size,
    Sort,
    SortKey,
    Span,
    Stage,
    Subquery,
    TypeOf,
    Within,
)
from syncline.query.carets import pointed
from syncline.query.constants import Constants, Misfit, Referrer, kind_name
from syncline.query.full_text import search
from syncline.query.operands import (
    NUMERIC,
    TYPE,
    always_has_value,
    ends_in_values,
    goes_with,
    is_plural,
    is_plural_path,
    kind_of,
    quantifier_of,
)
from syncline.query.parser import MAX_DEPTH
from syncline.query.paths import Names, Scope, incoming, resolve_path
from syncline.query.printing import operand_to_rql, to_rql
from syncline.query.text import Fold
from syncline.values import kinds

__all__ = ["Names", "Referrer", "is_plural", "resolve"]

_TEXTUAL: Final = frozenset({kinds.STRING, kinds.BINARY, kinds.MIXED})
_LINKS_ONLY: Final = frozenset({Operator.EQ, Operator.NE, Operator.IN})
_FULL_TEXT: Final = 2
_SORTABLE: Final = frozenset(
    {kinds.MIXED, kinds.INT, kinds.BOOL, kinds.STRING, kinds.TIMESTAMP, kinds.FLOAT, kinds.DOUBLE, kinds.DECIMAL}
    | {kinds.OBJECT_ID, kinds.UUID}
)
_MIRRORED: Final = {
    Operator.EQ: Operator.EQ,
    Operator.NE: Operator.NE,
    Operator.IN: Operator.EQ,
    Operator.LT: Operator.GT,
    Operator.LE: Operator.GE,
    Operator.GT: Operator.LT,
    Operator.GE: Operator.LE,
}


def resolve(query: Query, cls: ClassLike, schema: SchemaLike, refer: Referrer, names: Names | None = None) -> Query:
    """The same query with everything looked up and checked. The query must be bound.

    Raises UnknownPropertyError (a InvalidPropertyError) for unknown names, QueryTypeError, QueryArgumentError and
    InvalidSortDescriptorError for whatever cannot be asked; they point at the place in a query that came from text.
    """
    known = names if names is not None else Names()
    _check_depth(query.predicate)
    resolver = _Resolver(Scope(cls), schema, known, Constants(schema, known, refer))
    predicate = resolver.predicate(query.predicate)
    return Query(predicate, tuple(resolver.stage(stage) for stage in query.stages))


def _check_depth(predicate: Predicate) -> None:
    """Raise QueryError for what nests so deeply that its text could not be parsed."""
    level: list[object] = [predicate]
    for _ in range(MAX_DEPTH + 1):
        level = [part for node in level for part in _parts(node)]
        if not level:
            return
    raise QueryError(
        f"a condition with more than {MAX_DEPTH} levels of nesting; combine many conditions with all_of() or any_of(),"
        " many values with in_()"
    )


def _parts(node: object) -> tuple[object, ...]:
    match node:
        case And(terms) | Or(terms):
            return terms
        case Not(term):
            return (term,)
        case Compare(_, left, right) | Arithmetic(_, left, right):
            return (left, right)
        case Between(operand):
            return (operand,)
        case Subquery(_, _, predicate):
            return (predicate,)
        case _:
            return ()


class _Resolver:
    """Resolves within one scope; stateless apart from what it was given."""

    def __init__(self, scope: Scope, schema: SchemaLike, names: Names, constants: Constants) -> None:
        self.scope = scope
        self.schema = schema
        self.names = names
        self.constants = constants

    # --- predicates ---

    def predicate(self, node: Predicate) -> Predicate:
        match node:
            case Always():
                return node
            case And(terms):
                return And(tuple(self.predicate(term) for term in terms))
            case Or(terms):
                return Or(tuple(self.predicate(term) for term in terms))
            case Not(term):
                return Not(self.predicate(term))
            case Compare():
                return self._compare(node)
            case Between():
                return self._between(node)
            case Within():
                return self._within(node)

    def _compare(self, node: Compare) -> Predicate:
        left, right = self.operand(node.left), self.operand(node.right)
        if _is_constant(left) and _is_constant(right):
            _refuse(node, "compares two constants")
        if node.operator is Operator.IN and not is_plural(right):
            _refuse(node, "IN needs a list or a collection on its right", QueryArgumentError, _span(node.right))
        if node.operator is Operator.TEXT:
            return self._text(node, left, right)
        self._check_textual(node, left, right)
        self._check_types(node, left, right)
        left, right = self._coerced(node, left, right)
        self._check_links(node, left, right)
        if not goes_with(kind_of(left), kind_of(right)) and not _any_list(left, right):
            _refuse(node, f"{_described(left)} cannot be compared with {_described(right)}")
        self._check_quantifier(node, left)
        self._check_quantifier(node, right)
        return self._ordered(replace(node, left=left, right=right))

    def _ordered(self, node: Compare) -> Predicate:
        """A single constant goes to the right, something plural to the left of something single."""
        left, right = node.left, node.right
        if node.operator.is_string:
            never = isinstance(left, Constant) and left.value is None and node.operator is not Operator.LIKE
            return Always(False) if never and not is_plural(right) else node
        collection = is_plural(right) and not is_plural(left) and not _is_constant(right)
        if isinstance(left, Constant) or (collection and always_has_value(left)):
            return replace(node, operator=_MIRRORED[node.operator], left=right, right=left)
        return node

    def _coerced(self, node: Compare, left: Operand, right: Operand) -> tuple[Operand, Operand]:
        """Both sides, the constant one in the form of the other."""
        try:
            if isinstance(left, Constant):
                return self.constants.single(left, right), right
            if isinstance(left, ConstantList):
                return self.constants.listed(left, right), right
            if isinstance(right, Constant):
                return left, self.constants.single(right, left)
            if isinstance(right, ConstantList):
                return left, self.constants.listed(right, left)
        except Misfit as misfit:
            _refuse(node, str(misfit), misfit.error, _span(left if _is_constant(left) else right))
        return left, right

    def _check_textual(self, node: Compare, left: Operand, right: Operand) -> None:
        if not node.operator.is_string and not node.fold:
            return
        ignoring = "ignoring case" if node.fold & Fold.CASE else "ignoring diacritics"
        what = node.operator.value if node.operator.is_string else ignoring
        for side, operand in (("left", left), ("right", right)):
            if isinstance(operand, Constant | ConstantList):
                values = operand.values if isinstance(operand, ConstantList) else (operand.value,)
                wrong = next((v for v in values if v is not None and not isinstance(v, str | bytes)), None)
                if wrong is not None and (isinstance(operand, Constant) or node.operator.is_string):
                    reason = f"{what} needs a string or data on the {side}, not {type(wrong).__name__}"
                    _refuse(node, reason, QueryTypeError, _span(operand))
            elif kind_of(operand) not in _TEXTUAL:
                reason = f"{what} needs a string or data on the {side}, not {_described(operand)}"
                _refuse(node, reason, QueryTypeError, _span(operand))

    def _check_types(self, node: Compare, left: Operand, right: Operand) -> None:
        """``@type`` goes with names of types and with ``@type`` only, and something about it must be open."""
        if TYPE not in (_kind(left), _kind(right)):
            return
        if node.operator not in _LINKS_ONLY:
            _refuse(node, "types can only be compared with ==, != and IN")
        for operand, other in ((left, right), (right, left)):
            if isinstance(operand, TypeOf):
                if _is_constant(other) and kind_of(operand.path) != kinds.MIXED:
                    _refuse(node, f"compares two constants: {operand.path} is always {_described(operand.path)}")
            elif not _is_constant(operand):
                _refuse(node, "@type is compared with the name of a type, or another @type", span=_span(operand))

    def _check_links(self, node: Compare, left: Operand, right: Operand) -> None:
        if kinds.LINK not in (kind_of(left), kind_of(right)):
            return
        if node.operator not in _LINKS_ONLY:
            _refuse(node, "links can only be compared with ==, != and IN")
        for operand, other in ((left, right), (right, left)):
            if (
                kind_of(operand) == kinds.LINK
                and is_plural(operand)
                and isinstance(other, Constant)
                and other.value is None
            ):
                _refuse(node, "a collection of links holds no nulls; ask for its @count instead, .count() in Python")
        if isinstance(left, Path) and isinstance(right, Path) and kind_of(left) == kind_of(right):
            targets = [path.steps[-1].target if path.steps else self.scope.cls for path in (left, right)]
            if targets[0] is not targets[1]:
                _refuse(node, "compares links to different classes, which are never equal")

    def _check_quantifier(self, node: Predicate, operand: Operand) -> None:
        quantifier = quantifier_of(operand)
        if quantifier is not None and not is_plural(operand):
            text = operand_to_rql(operand)
            reason = f"{text}: {quantifier.value} needs a path that goes through a collection"
            _refuse(node, reason, QueryTypeError, _span(operand))

    def _text(self, node: Compare, left: Operand, right: Operand) -> Compare:
        indexed = isinstance(left, Path) and bool(left.steps) and left.steps[-1].property.indexed == _FULL_TEXT
        if not indexed or kind_of(left) != kinds.STRING:
            _refuse(node, "TEXT needs a string property with a full-text index on its left", span=_span(node.left))
        if not isinstance(right, Constant) or not isinstance(right.value, str):
            _refuse(node, "TEXT needs a string of words on its right", span=_span(node.right))
        try:
            search(right.value)
        except ValueError as error:
            _refuse(node, str(error), QueryArgumentError, _span(right))
        self._check_quantifier(node, left)
        return replace(node, left=left, right=right)

    def _between(self, node: Between) -> Between:
        operand = self.operand(node.operand)
        if _is_constant(operand):
            _refuse(node, "compares two constants")
        if kind_of(operand) == kinds.LINK:
            _refuse(node, "links have no order")
        if kind_of(operand) == TYPE:
            _refuse(node, "types have no order")
        self._check_quantifier(node, operand)
        values = isinstance(operand, Path) and bool(operand.steps) and ends_in_values(operand.steps[-1])
        if values and quantifier_of(operand) is not Quantifier.ALL:
            _refuse(node, "BETWEEN of a collection needs ALL in front of it: ALL prices BETWEEN {1, 2}")
        low, high = node.low, node.high
        assert isinstance(low, Constant)
        assert isinstance(high, Constant)
        try:
            low, high = self.constants.single(low, operand), self.constants.single(high, operand)
        except Misfit as misfit:
            _refuse(node, str(misfit), misfit.error, low.span)
        if kinds.LINK in (kind_of(low), kind_of(high)):
            _refuse(node, "links have no order")
        if low.value is None or high.value is None:
            _refuse(node, "a bound is null; give two values", QueryArgumentError, low.span)
        return replace(node, operand=operand, low=low, high=high)

    def _within(self, node: Within) -> Within:
        path = self.path(node.path)
        target = path.steps[-1].target if path.steps and kind_of(path) == kinds.LINK else None
        if target is None or not target.embedded:
            _refuse(node, "GEOWITHIN needs a link to an embedded object on its left", span=node.path.span)
        kind, coordinates = target.properties.get("type"), target.properties.get("coordinates")
        if (
            kind is None
            or (kind.type, kind.collection) != (kinds.STRING, kinds.SINGLE_COLLECTION)
            or coordinates is None
            or (coordinates.type, coordinates.collection) != (kinds.DOUBLE, kinds.LIST_COLLECTION)
        ):
            _refuse(node, f"{target.name} is no point: it needs a string `type` and a list of doubles `coordinates`")
        if path.quantifier not in (None, Quantifier.ANY):
            _refuse(node, "GEOWITHIN asks for any of the points; ALL and NONE are not possible")
        self._check_quantifier(node, path)
        return replace(node, path=path)

    # --- operands ---

    def operand(self, node: Operand) -> Operand:
        """The operand with its paths resolved and its arithmetic folded; constants as they are."""
        match node:
            case Constant() | ConstantList():
                return node
            case Path():
                return self._lengths(node) or self.path(node)
            case Size(path):
                return self._size(node, path)
            case TypeOf(path):
                return replace(node, path=self.path(path))
            case Lengths(path):
                return replace(node, path=self.path(path))
            case Aggregate():
                return self._aggregate(node)
            case Subquery():
                return self._subquery(node)
            case Arithmetic():
                return self._arithmetic(node)
            case _:
                raise TypeError(f"{node} is not bound")

    def path(self, path: Path) -> Path:
        """The path with its steps."""
        return resolve_path(path, self.scope, self.schema, self.names)

    def _lengths(self, path: Path) -> Lengths | None:
        """``list.length``, if the path is one: ``length`` in any case behind a list or set of strings or data."""
        last = path.elements[-1] if len(path.elements) > 1 else None
        if not isinstance(last, str) or last.lower() != "length":
            return None
        try:
            strings = self.path(replace(path, elements=path.elements[:-1]))
        except QueryTypeError:
            return None
        step = strings.steps[-1] if strings.steps else None
        listed = (kinds.LIST_COLLECTION, kinds.SET_COLLECTION)
        if step is None or strings.inner or not ends_in_values(step) or step.property.collection not in listed:
            return None
        return Lengths(strings, path.span) if step.property.type in (kinds.STRING, kinds.BINARY) else None

    def _size(self, node: Size, path: Path) -> Size | IncomingCount:
        if path.elements[-1:] == ("@links",):
            prefix = self.path(replace(path, elements=path.elements[:-1]))
            cls = self.scope.cls if not prefix.steps else prefix.steps[-1].target
            if cls is None or kind_of(prefix) != kinds.LINK:
                _refuse_operand(node, "@links stands where an object is, at the beginning or behind a link")
            return IncomingCount(prefix, incoming(cls, self.schema), node.span)
        resolved = self.path(path)
        if not resolved.steps:
            _refuse_operand(node, "an object has no size")
        step = resolved.steps[-1]
        if not ends_in_values(step) and kind_of(resolved) not in (kinds.LINK, *_TEXTUAL):
            _refuse_operand(node, f"a value of type {_described(resolved)} has no size")
        return replace(node, path=resolved)

    def _aggregate(self, node: Aggregate) -> Aggregate:
        path = self.path(node.path)
        links = kind_of(path) == kinds.LINK
        if node.member is None:
            if not path.steps or path.inner or not ends_in_values(path.steps[-1]):
                hint = f": {node}.<property>" if links else ""
                _refuse_operand(node, f"{node.function.value} needs a collection, or links and a property{hint}")
            resolved = replace(node, path=path)
            kind = kind_of(path)
        else:
            target = path.steps[-1].target if links and path.steps else None
            if target is None:
                _refuse_operand(node, f"{path} does not lead to objects, so they have no {node.member}")
            member = resolve_path(node.member, Scope(target), self.schema, self.names)
            if len(member.steps) != 1 or is_plural_path(member) or member.steps[0].select is not None:
                _refuse_operand(node, f"{member} is no single property of {target.name}")
            resolved = replace(node, path=path, member=member)
            kind = kind_of(member)
        extreme = node.function in (Aggregation.MIN, Aggregation.MAX)
        if kind not in (*NUMERIC, kinds.MIXED) and not (extreme and kind == kinds.TIMESTAMP):
            _refuse_operand(node, f"{node.function.value} of values of type {kind_name(kind)} is not possible")
        return resolved

    def _subquery(self, node: Subquery) -> Subquery:
        path = self.path(node.path)
        step = path.steps[-1] if path.steps else None
        listed = (kinds.LIST_COLLECTION, kinds.SET_COLLECTION)
        if step is None or not (
            step.backward
            or (step.property.type == kinds.LINK and step.property.collection in listed and step.select is None)
        ):
            _refuse_operand(node, "SUBQUERY needs a list or set of links, or backlinks", node.path.span)
        target = step.target
        assert target is not None
        known = (*self.scope.outer, *((self.scope.variable,) if self.scope.variable else ()))
        if node.variable in known and target is self.scope.cls:
            _refuse_operand(node, f"{node.variable} is taken by the subquery around this one")
        inner = _Resolver(Scope(target, node.variable, known), self.schema, self.names, self.constants)
        return replace(node, path=path, predicate=inner.predicate(node.predicate))

    def _arithmetic(self, node: Arithmetic) -> Operand:
        left, right = self.operand(node.left), self.operand(node.right)
        if isinstance(left, ConstantList) and isinstance(right, ConstantList):
            _refuse_operand(node, "two lists of constants cannot be combined")
        if is_plural(left) and is_plural(right):
            _refuse_operand(node, "at most one side of arithmetic can have several values")
        left, right = self._calculable(node, left, right), self._calculable(node, right, left)
        for operand in (left, right):
            self._check_operand_quantifier(operand)
        if isinstance(left, Constant) and isinstance(right, Constant):
            result = calculate(node.operator, left.value, right.value)  # type: ignore[arg-type]
            return Constant(result, span=node.span)
        return replace(node, left=left, right=right)

    def _calculable(self, node: Arithmetic, operand: Operand, other: Operand) -> Operand:
        """One side of arithmetic: a number, or a list of numbers."""
        kind = kinds.INT if _is_constant(other) else kind_of(other)
        try:
            if isinstance(operand, Constant):
                return self.constants.number(operand, kind)
            if isinstance(operand, ConstantList):
                numbers = tuple(self.constants.number(Constant(value), kind).value for value in operand.values)
                return replace(operand, values=numbers)
        except Misfit as misfit:
            _refuse_operand(node, str(misfit), _span(operand))
        if kind_of(operand) not in NUMERIC:
            reason = f"{operand_to_rql(operand)} is {_described(operand)}, so nothing can be calculated with it"
            _refuse_operand(node, reason, _span(operand))
        return operand

    def _check_operand_quantifier(self, operand: Operand) -> None:
        quantifier = quantifier_of(operand)
        if quantifier is not None and not is_plural(operand):
            _refuse_operand(operand, f"{quantifier.value} needs a path that goes through a collection")

    # --- stages ---

    def stage(self, stage: Stage) -> Stage:
        match stage:
            case Sort(keys):  # a path that was sorted by already decides nothing
                sorts = [self._sort_key(key) for key in keys]
                return Sort(tuple({sort.path.elements: sort for sort in reversed(sorts)}.values())[::-1])
            case Distinct(paths):
                reached = [self._value_path(path, "DISTINCT") for path in paths]
                return Distinct(tuple({path.elements: path for path in reached}.values()))
            case Limit(count):
                if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                    raise QueryArgumentError(f"limit({count!r}): give a number that is not negative")
                return stage

    def _sort_key(self, key: SortKey) -> SortKey:
        path = self._value_path(key.path, "sort")
        kind = kind_of(path)
        if kind not in _SORTABLE and not (kind == kinds.BINARY and key.path.span is not None):
            _refuse_stage(key.path, f"cannot sort by {path}: values of type {kind_name(kind)} have no order")
        return SortKey(path, key.ascending)

    def _value_path(self, path: Path, verb: str) -> Path:
        resolved = self.path(path)
        if not resolved.steps or is_plural_path(resolved):
            _refuse_stage(path, f"cannot {verb} by {path}: it goes through a collection")
        keyed = resolved.steps[-1].select
        if resolved.inner or any(step.select is not None for step in resolved.steps[:-1]):
            _refuse_stage(path, f"cannot {verb} by {path}: it goes through a collection")
        if keyed is not None and not isinstance(keyed, str):
            _refuse_stage(path, f"cannot {verb} by {path}: only one key of a dictionary can be picked")
        return resolved


# --- what operands are ------------------------------------------------------------------------------------------------


def _is_constant(operand: Operand) -> bool:
    return isinstance(operand, Constant | ConstantList)


def _any_list(left: Operand, right: Operand) -> bool:
    """Whether a list of constants is compared: its elements fit or not, each for itself."""
    return isinstance(left, ConstantList) or isinstance(right, ConstantList)


def _kind(operand: Operand) -> int:
    """The kind of what is no constant; constants may not be stored values yet."""
    return kinds.MIXED if _is_constant(operand) else kind_of(operand)


def _described(operand: Operand) -> str:
    return kind_name(kind_of(operand))


# --- refusals ---------------------------------------------------------------------------------------------------------


def _span(operand: Operand) -> Span | None:
    return operand.span


def _refuse(node: Predicate, why: str, error: type[QueryError] = QueryTypeError, span: Span | None = None) -> NoReturn:
    """Points at the place in the text, or names the condition that the application built."""
    place = span if span is not None else getattr(node, "span", None)
    raise error(pointed(why, place) if place is not None else f"{to_rql(node)}: {why}")


def _refuse_operand(node: Operand, why: str, span: Span | None = None) -> NoReturn:
    place = span if span is not None else node.span
    raise QueryTypeError(pointed(why, place) if place is not None else f"{operand_to_rql(node)}: {why}")


def _refuse_stage(path: Path, why: str) -> NoReturn:
    raise InvalidSortDescriptorError(pointed(why, path.span))
