"""Queries as text, in the Realm Query Language (spec/sdk.md §7.13): parsing the text gives an equal query.

Two things are printed that other Realms do not read, where nothing else says the same: ``decimal(…)`` for a decimal
that no double equals, or that is part of arithmetic; and names that are no identifiers, with backslashes (``lexer``).
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from syncline.errors import QueryError
from syncline.query.arguments import QueryObject
from syncline.query.ast import (
    Aggregate,
    Always,
    And,
    Argument,
    Arithmetic,
    Between,
    Compare,
    Constant,
    ConstantList,
    Distinct,
    FloatLiteral,
    IncomingCount,
    Index,
    KeyedObject,
    KeyPathArgument,
    Lengths,
    Limit,
    Not,
    ObjectLiteral,
    Operand,
    Or,
    Path,
    Position,
    Predicate,
    Query,
    ShapeLiteral,
    Size,
    Sort,
    Stage,
    Subquery,
    TypeOf,
    Within,
)
from syncline.query.carets import pointed
from syncline.query.lexer import is_plain_name
from syncline.query.operands import kind_of
from syncline.query.text import Fold, half_character
from syncline.query.type_names import TypeSet, name_of_types
from syncline.values import Decimal128, Float32, ObjectId, Timestamp, kinds

__all__ = ["operand_to_rql", "query_for_server", "query_to_rql", "to_rql"]

_PLAIN: Final = frozenset("{|}~:;<=>?@!#$%&()*+,-./[]^_` ")
_INT_MIN: Final = -(1 << 63)
_INT_MAX: Final = (1 << 63) - 1


def query_to_rql(query: Query) -> str:
    """The whole query: predicate, then SORT, DISTINCT and LIMIT in their order."""
    return " ".join([to_rql(query.predicate), *(_stage(stage) for stage in query.stages)])


def query_for_server(query: Query) -> str:
    """The whole query as a server can read it, for a subscription. Raises QueryError for ``[d]``, which only Syncline
    has (spec/sdk.md §7.5).
    """
    _refuse_extensions(query.predicate)
    return query_to_rql(query)


def _refuse_extensions(node: Predicate) -> None:
    match node:
        case And(terms) | Or(terms):
            for term in terms:
                _refuse_extensions(term)
        case Not(term):
            _refuse_extensions(term)
        case Compare(_, left, right, fold):
            if fold & Fold.MARKS:
                what = "servers do not ignore diacritics: [d], di=True in Python, is for queries of the local file only"
                raise QueryError(pointed(what, node.span) if node.span is not None else f"{to_rql(node)}: {what}")
            for operand in (left, right):
                _refuse_in_operand(operand)
        case Between(operand):
            _refuse_in_operand(operand)


def _refuse_in_operand(operand: Operand) -> None:
    match operand:
        case Subquery(_, _, predicate):
            _refuse_extensions(predicate)
        case Arithmetic(_, left, right):
            _refuse_in_operand(left)
            _refuse_in_operand(right)


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
            return f"{operand_to_rql(left)} {operator.value}{fold.suffix} {_beside(left, right)}"
        case Between(operand, low, high):
            return f"{operand_to_rql(operand)} BETWEEN {{{_beside(operand, low)}, {_beside(operand, high)}}}"
        case Within(path, shape):
            return f"{_path(path)} GEOWITHIN {_shape(shape) if isinstance(shape, ShapeLiteral) else shape}"


def _grouped(term: Predicate) -> str:
    return f"({to_rql(term)})" if isinstance(term, And) else to_rql(term)


def operand_to_rql(operand: Operand) -> str:
    """The text of something that has a value."""
    match operand:
        case Constant(value, origin):
            return _constant(value if origin is None else origin)
        case ConstantList(values, quantifier, origins):
            listed = values if origins is None else origins
            return f"{quantifier.value + ' ' if quantifier else ''}{{{', '.join(map(_constant, listed))}}}"
        case Argument():
            return str(operand)
        case Path():
            return _path(operand)
        case Size(path):
            return f"{_path(path)}.@count"
        case IncomingCount(path):
            return f"{_path(path)}.@links.@count" if path.elements else "@links.@count"
        case TypeOf(path):
            return f"{_path(path)}.@type"
        case Lengths(path):
            return f"{_path(path)}.length"
        case Aggregate(function, path, member):
            return f"{_path(path)}.{function.value}" + (f".{_path(member)}" if member else "")
        case Subquery(path, variable, predicate):
            return f"SUBQUERY({_path(path)}, {_name(variable)}, {to_rql(predicate)}).@count"
        case Arithmetic(operator, left, right):
            return f"{_term(left)} {operator.value} {_term(right)}"


def _beside(operand: Operand, constant: Operand) -> str:
    """What an operand is compared with: beside decimals, every number reads as the decimal that is written."""
    if isinstance(constant, Constant) and isinstance(operand, Path) and operand.steps:
        value = constant.value
        if kind_of(operand) == kinds.DECIMAL and isinstance(value, Decimal128) and value.to_decimal().is_finite():
            return str(value)
    return operand_to_rql(constant)


def _term(operand: Operand) -> str:
    """An operand of arithmetic, where the type of a number counts."""
    if isinstance(operand, Arithmetic):
        return f"({operand_to_rql(operand)})"
    if isinstance(operand, Constant) and isinstance(operand.value, Decimal | Decimal128):
        return f"decimal({operand.value})"
    return operand_to_rql(operand)


# --- paths ------------------------------------------------------------------------------------------------------------


def _path(path: Path) -> str:
    text = ""
    for element in path.elements:
        if isinstance(element, Index):
            text += f"[{_index(element.value)}]"
        else:
            name = str(element) if isinstance(element, KeyPathArgument) else _name(element)
            text += f".{name}" if text else name
    return f"{path.quantifier.value} {text}" if path.quantifier else text


def _index(value: int | str | Position | Argument) -> str:
    if isinstance(value, Position):
        return value.value
    if isinstance(value, str):
        return _string(value)
    return str(value)


def _name(name: str) -> str:
    """A name as the grammar has it: as it is, or with a backslash before each character that no name has.

    What reads as something else, a keyword or a number, gets one before a character that has no meaning behind it.
    """
    if not name or is_plain_name(name):
        return name
    text = "".join(map(_escaped, name))
    if name[0] in "0123456789-":
        return f"\\{text}"
    if text != name:
        return text
    place = next((place for place, character in enumerate(name) if character not in "nrt"), 0)
    return f"{name[:place]}\\{name[place:]}"


def _escaped(character: str) -> str:
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if known is not None:
        return known
    return character if character.isalnum() or character in "_$-" or character >= "\x80" else f"\\{character}"


# --- stages and shapes ------------------------------------------------------------------------------------------------


def _stage(stage: Stage) -> str:
    match stage:
        case Sort(keys):
            return "SORT(" + ", ".join(f"{_path(k.path)} {'ASC' if k.ascending else 'DESC'}" for k in keys) + ")"
        case Distinct(paths):
            return f"DISTINCT({', '.join(map(_path, paths))})"
        case Limit(count):
            return f"LIMIT({count})"


def _shape(shape: ShapeLiteral) -> str:
    rings = [[f"[{_numbers(point)}]" for point in ring] for ring in shape.rings]
    if shape.kind == "geoPolygon":
        parts = [f"{{{', '.join(ring)}}}" for ring in rings]
    else:
        parts = rings[0]
    radius = [] if shape.radius is None else [_numbers((shape.radius,))]
    return f"{shape.kind}({', '.join([*parts, *radius])})"


def _numbers(values: Iterable[float | Argument]) -> str:
    return ", ".join(str(value) if isinstance(value, Argument) else repr(float(value)) for value in values)


# --- constants --------------------------------------------------------------------------------------------------------


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
        return str(int(value)) if _INT_MIN <= value <= _INT_MAX else f"decimal({_wide(value)})"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"binary({_base64(bytes(value))})"
    if isinstance(value, ObjectId):
        return f"oid({value})"
    if isinstance(value, UUID):
        return f"uuid({value})"
    if isinstance(value, Decimal | Decimal128):
        return _decimal(value if isinstance(value, Decimal) else value.to_decimal())
    return _object(value)


def _wide(value: int) -> Decimal128 | int:
    try:
        return Decimal128.from_decimal(value)
    except ValueError:
        return value


def _object(value: object) -> str:
    if isinstance(value, Argument):
        return str(value)
    if isinstance(value, TypeSet):
        return _string(name_of_types(value))
    if isinstance(value, QueryObject):
        return _constant(value.__query_object__())
    if isinstance(value, KeyedObject):
        value = ObjectLiteral(value.cls.name, value.key)
    if isinstance(value, ObjectLiteral):
        return f"obj({_string('class_' + value.class_name.removeprefix('class_'))}, {_constant(value.key)})"
    if hasattr(value, "object_key"):
        class_id = getattr(value, "class_id", None)
        return f"O{value.object_key}" if class_id is None else f"L{class_id}:{value.object_key}"
    return f"obj({value!r})"


def _decimal(value: Decimal) -> str:
    """A number that is compared only: as a double is read, if that is the same number."""
    if value.is_finite() and abs(value.adjusted()) < 300 and Decimal(float(value)) == value:
        return str(value)
    return f"decimal({value})"


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan" if math.copysign(1.0, value) > 0 else "-nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, FloatLiteral):
        return value.text
    return f"{value}f" if isinstance(value, Float32) else repr(float(value))


def _string(text: str) -> str:
    """A quoted string where the grammar can hold it, base64 otherwise: escapes in quotes are not decoded."""
    if all((c.isascii() and c.isalnum()) or c in _PLAIN or "\x80" <= c < "\ud800" or c > "\udfff" for c in text):
        return f'"{text}"'
    halves = half_character(text) is not None  # as in messages about them
    return _base64(text.encode("utf-8", "surrogatepass" if halves else "surrogateescape"))


def _base64(data: bytes) -> str:
    return f'B64"{b64encode(data).decode()}"'
