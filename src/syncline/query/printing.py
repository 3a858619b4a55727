"""Queries as text, in the Realm Query Language (spec/sdk.md §7.13)."""

from __future__ import annotations

import math
from base64 import b64encode
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from syncline.query.ast import (
    Always,
    And,
    Between,
    Compare,
    Constant,
    ConstantList,
    Distinct,
    Limit,
    Not,
    Operand,
    Or,
    Path,
    Predicate,
    Query,
    Size,
    Sort,
    Stage,
)
from syncline.values import Decimal128, ObjectId, Timestamp

__all__ = ["query_to_rql", "to_rql"]

_PLAIN = frozenset("{|}~:;<=>?@!#$%&()*+,-./[]^_` ")


def query_to_rql(query: Query) -> str:
    """The whole query: predicate, then SORT, DISTINCT and LIMIT in their order."""
    return " ".join([to_rql(query.predicate), *(_stage(stage) for stage in query.stages)])


def to_rql(node: Predicate) -> str:
    """The text of a predicate, before or after resolution."""
    match node:
        case Always(value):
            return "TRUEPREDICATE" if value else "FALSEPREDICATE"
        case And(terms):
            return " and ".join(_grouped(term) for term in terms) if terms else "TRUEPREDICATE"
        case Or(terms):
            return "(" + " or ".join(to_rql(term) for term in terms) + ")" if terms else "FALSEPREDICATE"
        case Not(term):
            return f"!({to_rql(term)})"
        case Compare(operator, left, right, fold):
            return f"{_operand(left)} {operator.value}{'[c]' if fold else ''} {_operand(right)}"
        case Between(operand, low, high):
            return f"{_operand(operand)} BETWEEN {{{_operand(low)}, {_operand(high)}}}"
        case _:
            return str(node)


def _grouped(term: Predicate) -> str:
    return f"({to_rql(term)})" if isinstance(term, And) else to_rql(term)


def _operand(operand: Operand) -> str:
    match operand:
        case Constant(value):
            return _constant(value)
        case Size(path):
            return f"{_path(path)}.@count"
        case Path():
            return _path(operand)
        case ConstantList(values):
            return f"{{{', '.join(map(_constant, values))}}}"
        case _:
            return str(operand)


def _path(path: Path) -> str:
    prefix = f"{path.quantifier.value} " if path.quantifier else ""
    return prefix + ".".join(name.replace(" ", "\\ ") for name in path.elements if isinstance(name, str))


def _stage(stage: Stage) -> str:
    match stage:
        case Sort(keys):
            return "SORT(" + ", ".join(f"{_path(k.path)} {'ASC' if k.ascending else 'DESC'}" for k in keys) + ")"
        case Distinct(paths):
            return f"DISTINCT({', '.join(map(_path, paths))})"
        case Limit(count):
            return f"LIMIT({count})"


def _constant(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Timestamp):
        return f"T{value.seconds}:{value.nanoseconds}"
    if isinstance(value, datetime):
        return _constant(Timestamp.from_datetime(value))
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bytes):
        return f"binary({_base64(value)})"
    if isinstance(value, ObjectId):
        return f"oid({value})"
    if isinstance(value, UUID):
        return f"uuid({value})"
    if isinstance(value, Decimal | Decimal128):
        return str(value)
    return f"obj({value!r})"


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan" if math.copysign(1.0, value) > 0 else "-nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(float(value))


def _string(text: str) -> str:
    """A quoted string where the grammar can hold it, base64 otherwise: escapes in quotes are not decoded."""
    if all((c.isascii() and c.isalnum()) or c in _PLAIN or "\x80" <= c < "\ud800" or c > "\udfff" for c in text):
        return f'"{text}"'
    return _base64(text.encode("utf-8", "surrogateescape"))


def _base64(data: bytes) -> str:
    return f'B64"{b64encode(data).decode()}"'
