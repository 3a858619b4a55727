"""What a query *is*: one tree of typed nodes, whoever wrote it (spec/sdk.md §7).

Life of a tree::

    text ── parser ──▶ names, literals, $0 ── arguments.bind ──▶ names, values ── resolve ──▶ steps, stored values
    expression builder ───────────────────────────────────────▶

The same classes serve all three states. A *bound* tree has no :class:`Argument`, :class:`KeyPathArgument` and
:class:`ShapeLiteral` any more. A *resolved* tree is checked against a schema: every :class:`Path` has ``steps``, every
constant is a stored value (links: anything with ``class_id`` and ``object_key``; sets of types: ``TypeSet``; objects
that are looked up by key each time the query runs: :class:`KeyedObject`), constant terms are folded, and where one side
of a comparison is a constant it is the right one. What a resolved operand is (its type, one value or many, how ALL
groups them) tells :mod:`syncline.query.operands`.

The SQL compiler (``storage/query_sql.py``) and the reference evaluator (:mod:`syncline.query.evaluator`) read resolved
trees only.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol, TypeAlias

from syncline.query.geometry import Shape
from syncline.query.text import Fold
from syncline.values import kinds

__all__ = [
    "Aggregate",
    "Aggregation",
    "Always",
    "And",
    "Argument",
    "Arithmetic",
    "ArithmeticOperator",
    "Between",
    "ClassLike",
    "Compare",
    "Constant",
    "ConstantList",
    "Distinct",
    "Element",
    "FloatLiteral",
    "IncomingCount",
    "Index",
    "KeyPathArgument",
    "KeyedObject",
    "Lengths",
    "Limit",
    "LinkLiteral",
    "Not",
    "ObjectLiteral",
    "Operand",
    "Operator",
    "Or",
    "Path",
    "Position",
    "Predicate",
    "PropertyLike",
    "Quantifier",
    "Query",
    "SchemaLike",
    "Selector",
    "ShapeLiteral",
    "Size",
    "Sort",
    "SortKey",
    "Span",
    "Stage",
    "Step",
    "Subquery",
    "TypeOf",
    "Within",
]


# --- what the engine asks of a schema ---------------------------------------------------------------------------------


class PropertyLike(Protocol):
    """A stored property, as the query engine sees it; type and collection are numbers of ``values.kinds``."""

    @property
    def id(self) -> int: ...
    @property
    def class_id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def type(self) -> int: ...
    @property
    def nullable(self) -> bool: ...
    @property
    def collection(self) -> int: ...
    @property
    def target(self) -> str | None: ...
    @property
    def indexed(self) -> int:
        """0 not indexed, 1 general index, 2 full-text index."""


class ClassLike(Protocol):
    """A stored class."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def embedded(self) -> bool: ...
    @property
    def properties(self) -> Mapping[str, PropertyLike]: ...
    @property
    def primary_key(self) -> PropertyLike | None: ...


class SchemaLike(Protocol):
    """The classes of one version."""

    @property
    def classes(self) -> Mapping[str, ClassLike]:
        """By stored name."""

    def find(self, name: str) -> ClassLike | None:
        """The class of that stored name, or None."""


# --- small parts ------------------------------------------------------------------------------------------------------


class Operator(Enum):
    """Comparison and string operators (spec/sdk.md §7.4, §7.5, §7.10)."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IN = "IN"
    BEGINSWITH = "BEGINSWITH"
    ENDSWITH = "ENDSWITH"
    CONTAINS = "CONTAINS"
    LIKE = "LIKE"
    TEXT = "TEXT"

    @property
    def is_order(self) -> bool:
        """Whether this is one of ``< <= > >=``."""
        return self in _ORDER

    @property
    def is_string(self) -> bool:
        """Whether this is one of BEGINSWITH, ENDSWITH, CONTAINS and LIKE (spec/sdk.md §7.5)."""
        return self in _STRING


_ORDER = frozenset({Operator.LT, Operator.LE, Operator.GT, Operator.GE})
_STRING = frozenset({Operator.BEGINSWITH, Operator.ENDSWITH, Operator.CONTAINS, Operator.LIKE})


class Quantifier(Enum):
    """How a comparison ranges over the values of a plural operand (spec/sdk.md §7.4)."""

    ANY = "ANY"
    ALL = "ALL"
    NONE = "NONE"


class Aggregation(Enum):
    """What one number (or value) is made of many (spec/sdk.md §7.6)."""

    MIN = "@min"
    MAX = "@max"
    SUM = "@sum"
    AVG = "@avg"


class ArithmeticOperator(Enum):
    """``+ - * /`` (spec/sdk.md §7.8)."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"


class Position(Enum):
    """A place in a collection that is neither a number nor a key. KEYS stands in resolved paths only."""

    FIRST = "FIRST"
    LAST = "LAST"
    ALL = "*"
    KEYS = "@keys"


class Span(NamedTuple):
    """Where in a query text something stands: offsets of its first character and of the one behind its last.

    Nodes from text carry it, for messages; it is no part of what they mean.
    """

    text: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Argument:
    """``$n``: the value is given with the query."""

    number: int
    quantifier: Quantifier | None = None
    span: Span | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.quantifier.value} ${self.number}" if self.quantifier else f"${self.number}"


@dataclass(frozen=True, slots=True)
class KeyPathArgument:
    """``$Kn`` at the head of a path: the names are given with the query, as one string (``"dog.name"``)."""

    number: int

    def __str__(self) -> str:
        return f"$K{self.number}"


@dataclass(frozen=True, slots=True)
class Index:
    """``[…]`` in a path: a place in a list, a key of a dictionary, FIRST, LAST, ``*``; ``[$0]`` before binding."""

    value: int | str | Position | Argument


#: One part of a path as it is written: a name (also ``@links``, ``@keys``, ``@values``, and ``$x`` in a subquery) or an
#: index. The head of a path may be a :class:`KeyPathArgument` until it is bound.
Element: TypeAlias = "str | Index | KeyPathArgument"

#: What a resolved path takes of a collection: an index, a key, or a position.
Selector: TypeAlias = "int | str | Position"


class FloatLiteral(float):
    """A number as the query text has it: as a decimal it is exactly what was written (spec/sdk.md §7.9)."""

    text: str

    def __new__(cls, text: str) -> FloatLiteral:
        literal = super().__new__(cls, text)
        literal.text = text
        return literal

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (self.text,)


class ObjectLiteral(NamedTuple):
    """``obj("Dog", 5)``: the object of a class that has this primary key."""

    class_name: str
    key: object


class LinkLiteral(NamedTuple):
    """``L1:2``, ``O2``: an object by its numbers in this file; class number None: that of the other operand.

    With a class number it is a resolved link, too.
    """

    class_id: int | None
    object_key: int


@dataclass(frozen=True, slots=True)
class KeyedObject:
    """A resolved :class:`ObjectLiteral`: whichever object has the key when the query runs. No object: equals nothing,
    not even null.
    """

    cls: ClassLike
    key: object


@dataclass(frozen=True, slots=True)
class ShapeLiteral:
    """``geoBox(…)``, ``geoCircle(…)``, ``geoPolygon(…)`` as written: arguments may stand for coordinates.

    A box has one ring of two points, a circle one of one point and a ``radius``.
    """

    kind: str
    rings: tuple[tuple[tuple[float | Argument, ...], ...], ...]
    radius: float | Argument | None = None
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One resolved step of a path, from an object of ``owner``.

    Forward: to the value or values of its ``property``; ``target`` is the class that a link leads to. ``select`` picks
    of a collection one element (an index, FIRST, LAST, a key) or the keys of a dictionary (KEYS); None is all of it.

    ``backward``: to the objects of ``target`` that link to it through their ``property``, as often as they do.
    """

    owner: ClassLike
    property: PropertyLike
    target: ClassLike | None
    select: Selector | None = None
    backward: bool = False

    @builtins.property
    def plural(self) -> bool:
        """Whether this step leads from one object to any number of values."""
        if self.backward:
            return True
        return self.property.collection != kinds.SINGLE_COLLECTION and self.select in (None, Position.KEYS)


# --- operands: what has a value ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Constant:
    """A value; as the application wrote it before resolution, a stored value after it.

    ``given``: by the application as a Python value, not written in the text. ``origin``: what a resolved link or name
    of a type was before.
    """

    value: object
    origin: object = field(default=None, compare=False, repr=False)
    span: Span | None = field(default=None, compare=False, repr=False)
    given: bool = field(default=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ConstantList:
    """``{1, 2, 3}``: a plural operand. ``origins``: the values before resolution, where they are others."""

    values: tuple[object, ...]
    quantifier: Quantifier | None = None
    origins: tuple[object, ...] | None = field(default=None, compare=False, repr=False)
    span: Span | None = field(default=None, compare=False, repr=False)
    given: bool = field(default=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Path:
    """A walk over properties from the object that is tested (spec/sdk.md §7.3).

    Resolved: ``steps`` from object to object, the last one to a value; then ``inner`` goes on inside a Mixed value:
    an int, FIRST or LAST into a list, a string into a dictionary, ALL to every element of either, KEYS to the keys of a
    dictionary. In a subquery the walk begins at its element. A path without elements is the object itself.
    """

    elements: tuple[Element, ...]
    quantifier: Quantifier | None = None
    steps: tuple[Step, ...] = ()
    inner: tuple[Selector, ...] = ()
    span: Span | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        text = ""
        for element in self.elements:
            if isinstance(element, Index):
                value = element.value
                text += f"[{value.value if isinstance(value, Position) else repr(value)}]"
            else:
                text += f".{element}" if text else str(element)
        return f"{self.quantifier.value} {text}" if self.quantifier else text


@dataclass(frozen=True, slots=True)
class Size:
    """``path.@count``: elements of a collection, objects that links reach, bytes of a string (spec/sdk.md §7.6)."""

    path: Path
    span: Span | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.path}.@count"


@dataclass(frozen=True, slots=True)
class IncomingCount:
    """Resolved ``path.@links.@count``: the links of all classes to the object (or objects) that ``path`` leads to.

    ``sources``: the backward steps to count, one for each property that can link to the class, Mixed ones included.
    """

    path: Path
    sources: tuple[Step, ...]
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TypeOf:
    """``path.@type``: the run-time type of each value, compared as sets of types (spec/sdk.md §7.6)."""

    path: Path
    span: Span | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.path}.@type"


@dataclass(frozen=True, slots=True)
class Lengths:
    """``list.length``: the byte lengths of the strings or data in a list; null for null."""

    path: Path
    span: Span | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.path}.length"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """``path.@sum`` of a collection of values, ``path.@sum.price`` of the objects that links lead to.

    ``member``: the one property of those objects, as a path from each; None for a collection of values.
    """

    function: Aggregation
    path: Path
    member: Path | None = None
    span: Span | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.path}.{self.function.value}" + (f".{self.member}" if self.member else "")


@dataclass(frozen=True, slots=True)
class Subquery:
    """``SUBQUERY(path, $x, predicate).@count``: how many of the objects that ``path`` reaches match (spec/sdk.md §7.7).

    Paths in the resolved ``predicate`` begin at such an object.
    """

    path: Path
    variable: str
    predicate: Predicate
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``left operator right`` of numbers (spec/sdk.md §7.8); at most one side is plural."""

    operator: ArithmeticOperator
    left: Operand
    right: Operand
    span: Span | None = field(default=None, compare=False, repr=False)


Operand: TypeAlias = (
    "Constant | ConstantList | Argument | Path | Size | IncomingCount | TypeOf | Lengths | Aggregate | Subquery | "
    "Arithmetic"
)


# --- predicates: what is true or false --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Always:
    """True for every object, or for none."""

    value: bool


@dataclass(frozen=True, slots=True)
class Compare:
    """``left operator right``; ``fold`` says what strings are compared without: ``[c]``, ``[d]``, ``[cd]``.

    IN is ``==`` with something plural on the right. The right side of TEXT is a constant string.
    """

    operator: Operator
    left: Operand
    right: Operand
    fold: Fold = Fold.NOTHING
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Between:
    """``low <= operand <= high``; neither bound may be null."""

    operand: Operand
    low: Constant | Argument
    high: Constant | Argument
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Within:
    """``path GEOWITHIN shape``: a link to an embedded GeoJSON point that lies in the shape (spec/sdk.md §7.10)."""

    path: Path
    shape: Shape | ShapeLiteral | Argument
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class And:
    """All terms hold; true if there are none."""

    terms: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some term holds; false if there are none."""

    terms: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Plain negation: every predicate is either true or false, also on nulls."""

    term: Predicate


Predicate: TypeAlias = "Always | Compare | Between | Within | And | Or | Not"


# --- stages -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of a sort: single links to a plain property, or to one key of a dictionary (``scores['a']``)."""

    path: Path
    ascending: bool = True


@dataclass(frozen=True, slots=True)
class Sort:
    """Stable sort; the first key counts most (spec/sdk.md §7.11)."""

    keys: tuple[SortKey, ...]


@dataclass(frozen=True, slots=True)
class Distinct:
    """Keep the first object of each group with equal values, in the order so far."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """Keep the first ``count`` objects."""

    count: int


Stage: TypeAlias = "Sort | Distinct | Limit"


@dataclass(frozen=True, slots=True)
class Query:
    """Objects of a class that match ``predicate``, in object key order, then each stage in turn.

    Directly following sorts are one: the later counts more.
    """

    predicate: Predicate = Always(True)
    stages: tuple[Stage, ...] = ()
