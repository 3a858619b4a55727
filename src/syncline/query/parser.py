"""Query texts become trees: the Realm Query Language (spec/sdk.md §7.1, §7.2).

Texts are expected to repeat (``"age > $0"``), so their trees are kept. The parser itself, and lark with it, is loaded
when the first text is parsed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from syncline.errors import QuerySyntaxError, TypeMismatchError
from syncline.query.ast import Query, Span
from syncline.query.carets import pointed
from syncline.query.text import half_character

__all__ = ["CACHED_QUERIES", "MAX_DEPTH", "MAX_LENGTH", "parse"]

#: The longest text that is accepted, in characters.
MAX_LENGTH: Final = 1 << 20

#: How deep parentheses, negations, subqueries and arithmetic may nest, how many elements a path may have, and how many
#: of SORT, DISTINCT and LIMIT a query.
MAX_DEPTH: Final = 100

#: How many trees are kept; long texts are not.
CACHED_QUERIES: Final = 256
_LONGEST_CACHED: Final = 10_000


def parse(text: str, *, max_length: int = MAX_LENGTH, max_depth: int = MAX_DEPTH) -> Query:
    """The tree of a query text: its predicate and its SORT, DISTINCT and LIMIT, not yet bound to arguments.

    Raises QuerySyntaxError, with the place and what was expected there; also for a text of more than ``max_length``
    characters or ``max_depth`` levels. Raises TypeMismatchError for anything but a string.
    """
    if not isinstance(text, str):
        raise TypeMismatchError(
            f"a query is a string such as 'age > 3', not {type(text).__name__}; where() takes conditions"
        )
    if len(text) > max_length:
        raise QuerySyntaxError(
            f"the query has {len(text)} characters, more than {max_length}; give long lists as arguments: a IN $0"
        )
    half = half_character(text)
    if half is not None:
        message = f"syntax error at position {half}: half a surrogate pair ({text[half]!a}) is no character"
        raise QuerySyntaxError(pointed(message, Span(text, half, half + 1)), half)
    return _parse(text, max_depth) if len(text) > _LONGEST_CACHED else _parse_cached(text, max_depth)


def _parse(text: str, max_depth: int) -> Query:
    from syncline.query.syntax import build

    return build(text, max_depth)


_parse_cached = lru_cache(CACHED_QUERIES)(_parse)
