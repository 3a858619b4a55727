"""What a query *is*: one tree of typed nodes, whoever wrote it (spec/sdk.md §7).

The expression builder (:mod:`syncline.query.expression`) makes these nodes from names; :mod:`syncline.query.resolve`
checks them against a schema, fills in :attr:`Path.steps` and turns constants into stored values; then the SQL compiler
(``storage/query_sql.py``) and the reference evaluator (:mod:`syncline.query.evaluator`) read the same tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

__all__ = [
    "Always",
    "And",
    "Between",
    "ClassLike",
    "Compare",
    "Constant",
    "Distinct",
    "In",
    "Limit",
    "Not",
    "Operand",
    "Operator",
    "Or",
    "Path",
    "Predicate",
    "PropertyLike",
    "Quantifier",
    "Query",
    "SchemaLike",
    "Size",
    "Sort",
    "SortKey",
    "Stage",
    "Step",
]


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


class ClassLike(Protocol):
    """A stored class."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def properties(self) -> Mapping[str, PropertyLike]: ...


class SchemaLike(Protocol):
    """The classes of one version."""

    def find(self, name: str) -> ClassLike | None:
        """The class of that stored name, or None."""


class Operator(Enum):
    """Comparison and string operators (spec/sdk.md §7.4, §7.5)."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    BEGINSWITH = "BEGINSWITH"
    ENDSWITH = "ENDSWITH"
    CONTAINS = "CONTAINS"
    LIKE = "LIKE"

    @property
    def is_order(self) -> bool:
        """Whether this is one of ``< <= > >=``."""
        return self in _ORDER

    @property
    def is_string(self) -> bool:
        """Whether this is one of the string operators of spec/sdk.md §7.5."""
        return self in _STRING


_ORDER = frozenset({Operator.LT, Operator.LE, Operator.GT, Operator.GE})
_STRING = frozenset({Operator.BEGINSWITH, Operator.ENDSWITH, Operator.CONTAINS, Operator.LIKE})


class Quantifier(Enum):
    """How a comparison ranges over a plural path; no quantifier means ANY (spec/sdk.md §7.4)."""

    ANY = "ANY"
    ALL = "ALL"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class Step:
    """One resolved element of a path: a property of ``owner``, and the class it leads to if it is a link."""

    owner: ClassLike
    property: PropertyLike
    target: ClassLike | None


@dataclass(frozen=True, slots=True)
class Constant:
    """A value; as the application wrote it before resolution, a stored value after it."""

    value: object


@dataclass(frozen=True, slots=True)
class Path:
    """A walk over properties from the object that is tested; ``steps`` is empty until the path is resolved."""

    names: tuple[str, ...]
    quantifier: Quantifier | None = None
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        prefix = f"{self.quantifier.value} " if self.quantifier else ""
        return prefix + ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Size:
    """``path.@count``: how many elements a collection holds, or how many objects a path of links reaches."""

    path: Path

    def __str__(self) -> str:
        return f"{self.path}.@count"


Operand: TypeAlias = "Constant | Path | Size"


@dataclass(frozen=True, slots=True)
class Always:
    """True for every object, or for none."""

    value: bool


@dataclass(frozen=True, slots=True)
class Compare:
    """``left operator right``; ``fold`` is ``[c]``: ignore case of ASCII and Latin-1 letters."""

    operator: Operator
    left: Operand
    right: Operand
    fold: bool = False


@dataclass(frozen=True, slots=True)
class In:
    """The operand equals one of the values."""

    operand: Path | Size
    values: tuple[object, ...]
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """``low <= operand <= high``; neither bound may be null."""

    operand: Path | Size
    low: Constant
    high: Constant


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


Predicate: TypeAlias = "Always | Compare | In | Between | And | Or | Not"


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of a sort: a path of single links that ends in a plain property."""

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
    """Objects of a class that match ``predicate``, in object key order, then each stage in turn."""

    predicate: Predicate = Always(True)
    stages: tuple[Stage, ...] = ()
