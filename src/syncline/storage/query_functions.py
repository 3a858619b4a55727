"""The SQL functions that compiled queries call where SQL itself has no equal (spec/sdk.md §13.7, §13.10).

Every connection of a Realm file has them, see :func:`register`; nothing in the file's schema uses them, so other SQLite
tools can open it. Strings that are not UTF-8 come as BLOB, like data: where that matters, a tag says which it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import apsw

from syncline.query.ast import Operator
from syncline.query.comparison import matches
from syncline.query.text import fold, like, to_bytes
from syncline.storage.columns import SqlValue, decode_scalar
from syncline.values.kinds import LINK, STRING
from syncline.values.order import link_sort_key, sort_key

__all__ = ["register"]

_NULL_KEY: Final = sort_key(None)
_NAN_KEY: Final = sort_key(math.nan)


def register(connection: apsw.Connection) -> None:
    """Give the connection the functions. Costs microseconds."""
    functions: tuple[tuple[str, Callable[..., SqlValue], int], ...] = (
        ("rlm_fold", _fold, 1),
        ("rlm_like", _like, 2),
        ("rlm_key", _key, 3),
        ("rlm_match", _match, 6),
    )
    for name, function, arguments in functions:
        connection.create_scalar_function(name, function, arguments, deterministic=True)


def _text(value: SqlValue) -> str:
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "surrogateescape")  # type: ignore[arg-type]


def _fold(value: SqlValue) -> SqlValue:
    """A string or data without capitals (spec/sdk.md §7.5), null as null; what came as BLOB stays one."""
    if isinstance(value, str):
        return fold(value)
    if isinstance(value, bytes):
        return to_bytes(fold(_text(value)))
    return None


def _like(value: SqlValue, pattern: SqlValue) -> int:
    """The general LIKE, for what GLOB does not do: U+0000, bytes that are not UTF-8, very long patterns."""
    return 0 if value is None else int(like(_text(value), _text(pattern)))


def _key(kind: int, class_id: int, value: SqlValue) -> bytes:
    """The sort key of a value of that kind; of a link to an object of that class. A link to a tombstone is null."""
    if value is None:
        return _NULL_KEY
    if kind == LINK:
        assert isinstance(value, int)
        return link_sort_key(class_id, value) if value >= 0 else _NULL_KEY
    return sort_key(decode_scalar(kind, value))


def _match(
    operator: str, folded: int, left_kind: int | None, left: SqlValue, right_kind: int | None, right: SqlValue
) -> int:
    """A string operator, or equality that ignores case, between two stored values (see ``_decoded``)."""
    return int(matches(Operator(operator), _decoded(left_kind, left), _decoded(right_kind, right), bool(folded)))


def _decoded(kind: int | None, value: SqlValue) -> object:
    """A string or data; without a kind something else from a Mixed place, given by its sort key."""
    if value is None or (kind is None and value == _NULL_KEY):
        return None
    if kind is None:
        return math.nan if value == _NAN_KEY else ("other", value)
    return _text(value) if kind == STRING else decode_scalar(kind, value)
