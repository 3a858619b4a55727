"""The operator TEXT in SQL: over the table of words where there is one, else text by text (spec/sdk.md §7.10, §13.7).

::

    about TEXT 'friendly do* -cat'

    ifnull(c.k IN (SELECT w7.o FROM ft7 w7 WHERE w7.tok = ? AND +w7.o IN (SELECT o FROM ft7 WHERE tok >= ? AND tok < ?)
                   AND NOT EXISTS (SELECT 1 FROM ft7 x7 WHERE x7.tok = ? AND x7.o = w7.o)), 0)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, cast

from syncline.query.ast import Operand, Path, Step
from syncline.query.full_text import Search, search
from syncline.storage.catalogue import PropertyInfo
from syncline.storage.query_leaves import Place, Sql, combine, negate
from syncline.values.kinds import LINK, SINGLE_COLLECTION

__all__ = ["linked_search", "text_search"]

#: Behind every letter of a word: a beginning with it is behind every word with that beginning.
_BEHIND: Final = "\u00ff"


def text_search(wanted: str, few: bool = False) -> tuple[Callable[[Place], Sql], bool]:
    """The test whether a string has the words that a search string asks for and none that it excludes, and what the
    test says of null.

    ``few``: of few objects. Then it is quicker to look at their texts than at all objects that have a word.
    """
    asked = search(wanted)

    def test(place: Place) -> Sql:
        if few or place.words is None:
            return Sql(f"rlm_text(?, {place.value})", (wanted,))
        return _among(place.words, place.row, asked)

    return test, asked.matches(None)


def linked_search(operand: Operand, wanted: str) -> Sql | None:
    """The same for a string behind one link of row ``c``, where the words are in a table; None for anything else.

    The objects with the words are looked for among the links, which have an index: the string's own row is not needed.
    """
    match operand:
        case Path(steps=(Step(property=link, select=None, backward=False), Step(property=leaf)), inner=()):
            link, leaf = cast(PropertyInfo, link), cast(PropertyInfo, leaf)
            if link.collection == SINGLE_COLLECTION and link.type == LINK and leaf.words is not None:
                return _among(leaf.id, f"c.{link.columns[0]}", search(wanted))
    return None


def _among(property_id: int, row: str, asked: Search) -> Sql:
    """Whether the object ``row``, which may be NULL, is one of those that the words lead to."""
    table, word, other = f"ft{property_id}", f"w{property_id}", f"x{property_id}"
    # long words are rare, and beginnings are common: objects are looked up by the first of these
    words, prefixes, excluded = _by_length(asked.words), _by_length(asked.prefixes), _by_length(asked.excluded)
    if not words and not prefixes:
        marks = ",".join("?" * len(excluded))
        return Sql(f"NOT ifnull({row} IN (SELECT o FROM {table} WHERE tok IN ({marks})), 0)", tuple(excluded))

    def has(wanted: str) -> Sql:
        return Sql(f"EXISTS (SELECT 1 FROM {table} {other} WHERE {other}.tok = ? AND {other}.o = {word}.o)", (wanted,))

    def begins(prefix: str) -> Sql:
        found = _range("tok", prefix)
        return Sql(f"+{word}.o IN (SELECT o FROM {table} WHERE {found.text})", found.parameters)

    first = Sql(f"{word}.tok = ?", (words.pop(0),)) if words else _range(f"{word}.tok", prefixes.pop(0))
    terms = [first, *map(has, words), *map(begins, prefixes), *(negate(has(each)) for each in excluded)]
    where = combine("AND", terms)
    return Sql(f"ifnull({row} IN (SELECT {word}.o FROM {table} {word} WHERE {where.text}), 0)", where.parameters)


def _by_length(words: Iterable[str]) -> list[str]:
    return sorted(words, key=lambda word: (-len(word), word))


def _range(column: str, prefix: str) -> Sql:
    return Sql(f"{column} >= ? AND {column} < ?", (prefix, prefix + _BEHIND))
