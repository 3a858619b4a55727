"""Ranges of an index on strings that hold at least what a comparison finds (spec/sdk.md §13.6, §13.7).

Strings are compared as BLOB, for which no index helps. As text they have the same order; only those that are not UTF-8,
which are stored as BLOB, stand behind all others: a range that ends takes them all in, and the comparison decides.
"""

from __future__ import annotations

from typing import Final, cast

from syncline.query.ast import And, Between, Compare, Constant, Operator, Path, Predicate, Step
from syncline.query.text import Fold
from syncline.storage.catalogue import GENERAL_INDEX, PropertyInfo
from syncline.storage.columns import encode_scalar
from syncline.storage.query_leaves import Sql
from syncline.values import kinds

__all__ = ["ranges_an_index", "text_range"]

_BLOBS: Final = "x''"


def text_range(operator: Operator, step: Step, text: str) -> list[Sql]:
    """What else is true where a property of row ``c`` is in that relation to ``text``: nothing, or a range of its index
    or primary key.
    """
    prop = cast(PropertyInfo, step.property)
    if prop.type != kinds.STRING or not (prop.indexed == GENERAL_INDEX or prop.is_primary_key):
        return []
    column, encoded = f"c.{prop.columns[0]}", encode_scalar(kinds.STRING, text)
    if not isinstance(encoded, str):
        return []
    if operator in (Operator.GT, Operator.GE):
        return [Sql(f"{column} {operator.value} ?", (encoded,))]
    if operator in (Operator.LT, Operator.LE):
        return [Sql(f"({column} {operator.value} ? OR {column} >= {_BLOBS})", (encoded,))]
    if operator is not Operator.BEGINSWITH or not text:
        return []
    end = _behind(text)
    if end is None:
        return [Sql(f"{column} >= ?", (encoded,))]
    return [Sql(f"(({column} >= ? AND {column} < ?) OR {column} >= {_BLOBS})", (encoded, end))]


def ranges_an_index(node: Predicate) -> bool:
    """Whether a predicate holds only in a range of an index. SQLite would rather go through all objects in order."""
    match node:
        case And(terms):
            return any(ranges_an_index(term) for term in terms)
        case Between(Path() as path):
            return _is_indexed(path)
        case Compare(operator, Path() as path, Constant(), Fold.NOTHING):
            return (operator.is_order or operator is Operator.BEGINSWITH) and _is_indexed(path)
        case _:
            return False


def _is_indexed(path: Path) -> bool:
    if len(path.steps) != 1 or path.inner:
        return False
    step = path.steps[0]
    prop = cast(PropertyInfo, step.property)
    indexed = prop.indexed == GENERAL_INDEX or prop.is_primary_key
    return indexed and prop.table is None and not step.backward


def _behind(prefix: str) -> str | None:
    """The least string behind all that begin with ``prefix``; None if there is none that is UTF-8."""
    code = ord(prefix[-1]) + 1
    if code > 0x10FFFF:
        return None
    return prefix[:-1] + chr(0xE000 if 0xD800 <= code <= 0xDFFF else code)
