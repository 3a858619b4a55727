"""From query text to tokens (spec/sdk.md §7.1).

The longest match wins; of equally long ones the kind that comes first in the table of the specification. Two things are
added to it. ``[d]`` and ``[cd]`` stand where ``[c]`` may stand and compare without diacritics. A backslash makes any
character part of a name (``n\\ot`` is the name ``not``), so that every name can be written; ``\\n``, ``\\r`` and
``\\t`` are a line feed, a carriage return and a tab.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from syncline.errors import QuerySyntaxError
from syncline.query.ast import Span
from syncline.query.carets import pointed

__all__ = ["HARD_WORDS", "SOFT_WORDS", "Lexeme", "is_plain_name", "name_of", "tokens"]


class Lexeme(NamedTuple):
    """A token: its kind (a terminal of ``grammar.lark``), its text, and where it begins."""

    kind: str
    text: str
    start: int


def _words(text: str) -> list[str]:
    return text.split()


def _by_length(*texts: str) -> str:
    return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))


_SYMBOLS: Final = {
    "==": "EQ",
    "=": "EQ",
    "!=": "NE",
    "<>": "NE",
    "<": "LT",
    "<=": "LE",
    "=<": "LE",
    ">": "GT",
    ">=": "GE",
    "=>": "GE",
    "&&": "AND",
    "||": "OR",
    "!": "NOT",
    "+": "PLUS",
    "-": "MINUS",
    "*": "STAR",
    "/": "SLASH",
    "[": "LSQB",
    "]": "RSQB",
    "(": "LPAR",
    ")": "RPAR",
    "{": "LBRACE",
    "}": "RBRACE",
    ",": "COMMA",
    ".": "DOT",
    "[c]": "FOLD",
    "[d]": "FOLD",
    "[cd]": "FOLD",
    "[dc]": "FOLD",
    "@size": "COUNT",
    "@count": "COUNT",
    "@max": "AGGREGATE",
    "@min": "AGGREGATE",
    "@sum": "AGGREGATE",
    "@avg": "AGGREGATE",
    "@type": "TYPE",
    "@links": "LINKS",
    "@keys": "KEYS",
    "@values": "VALUES",
}

#: Words by the exact text, and by the text in any case.
_EXACT: Final = {
    "in": "IN",
    "IN": "IN",
    "not": "NOT",
    "NOT": "NOT",
    **dict.fromkeys(("any", "ANY", "some", "SOME"), "ANY"),
    **dict.fromkeys(("all", "ALL"), "ALL"),
    **dict.fromkeys(("none", "NONE"), "NONE"),
    **dict.fromkeys(("FIRST", "first"), "FIRST"),
    **dict.fromkeys(("LAST", "last"), "LAST"),
    **dict.fromkeys(("SIZE", "size"), "SIZE"),
    **dict.fromkeys(("true", "TRUE"), "TRUE"),
    **dict.fromkeys(("false", "FALSE"), "FALSE"),
}
_ANY_CASE: Final = {
    "and": "AND",
    "or": "OR",
    "null": "NULL",
    "nil": "NULL",
    "bin": "BINARY",
    "asc": "ASC",
    "ascending": "ASC",
    "desc": "DESC",
    "descending": "DESC",
    **{
        word: word.upper()
        for word in _words("""
        beginswith endswith contains like text between geowithin truepredicate falsepredicate sort distinct limit binary
        obj subquery geobox geopolygon geocircle""")
    },
}

#: Kinds of words that can also be names, as they are; ``grammar.lark`` has the same.
SOFT_WORDS: Final = frozenset(
    _words("IN BEGINSWITH ENDSWITH CONTAINS LIKE TEXT BETWEEN SORT DISTINCT LIMIT ASC DESC BINARY FIRST LAST SIZE")
)
#: Kinds of words that cannot.
HARD_WORDS: Final = frozenset(
    _words("""
        ANY ALL NONE AND OR NOT TRUE FALSE NULL OBJ SUBQUERY GEOBOX GEOPOLYGON GEOCIRCLE GEOWITHIN TRUEPREDICATE
        FALSEPREDICATE""")
)

_HEX: Final = "[0-9a-fA-F]"
_NAME_HEAD: Final = r"[A-Za-z_$\u0080-\U0010ffff]"
_STRING_PART: Final = r"\\(?:[\"'/bfnrt0\\]|u[0-9a-fA-F]{4})"

#: In the order of the table: of equally long matches the first counts. Compiled by the first text that needs them.
_PATTERNS: Final = (
    ("", _by_length(*_SYMBOLS)),
    ("INF", "[+-]?(?:[iI][nN][fF][iI][nN][iI][tT][yY]|[iI][nN][fF])"),
    ("NAN", "[+-]?[nN][aA][nN]"),
    ("UUID", rf"uuid\({_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\)"),
    ("OID", rf"oid\({_HEX}{{24}}\)"),
    ("DECIMAL", r"decimal\([-+.0-9A-Za-z]{1,60}\)"),
    ("TIMESTAMP", r"T[+-]?[0-9]+:[+-]?[0-9]+|[0-9]+-[0-9]+-[0-9]+[@T][0-9]+:[0-9]+:[0-9]+(?::[0-9]+)?"),
    ("OBJECT_KEY", "O[0-9]+"),
    ("TYPED_LINK", "L[0-9]+:[0-9]+"),
    ("NATURAL", "[0-9]+"),
    ("ARG", r"\$[0-9]+"),
    ("KEYPATH", r"\$K[0-9]+"),
    ("NUMBER", f"[+-]?0[xX]{_HEX}+|[+-][0-9]+"),
    ("FLOAT", r"[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)f?|[+-]?[0-9]+f"),
    ("BASE64", 'B64"[A-Za-z0-9+/=]*"'),
    ("STRING", rf"\"(?:[^\"\\]|{_STRING_PART})*\"|'(?:[^'\\]|{_STRING_PART})*'"),
    ("ID", rf"(?:{_NAME_HEAD}|\\(?s:.))(?:{_NAME_HEAD}|[0-9-]|\\(?s:.))*"),
)
#: Begins what any character outside of ASCII begins: a name.
_LETTER: Final = "\u00e9"
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_ESCAPES: Final = re.compile(r"\\(?s:(.))")
_BLANK_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}

#: With which characters tokens of a kind begin: one look at the first character spares most of the patterns.
_HEADS: Final = {
    "INF": "iI+-",
    "NAN": "nN+-",
    "UUID": "u",
    "OID": "o",
    "DECIMAL": "d",
    "TIMESTAMP": "T0123456789",
    "OBJECT_KEY": "O",
    "TYPED_LINK": "L",
    "NATURAL": "0123456789",
    "ARG": "$",
    "KEYPATH": "$",
    "NUMBER": "+-0123456789",
    "FLOAT": "+-.0123456789",
    "BASE64": "B",
    "STRING": "\"'",
}


@cache
def _candidates(head: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The patterns that can match where ``head`` stands, in their order."""
    begins = {"": {symbol[0] for symbol in _SYMBOLS}, **{kind: set(heads) for kind, heads in _HEADS.items()}}
    named = head.isalpha() or head in "_$\\"
    return tuple(
        (kind, re.compile(pattern)) for kind, pattern in _PATTERNS if (named if kind == "ID" else head in begins[kind])
    )


def tokens(text: str) -> Iterator[Lexeme]:
    """The tokens of a text. Raises QuerySyntaxError where none begins."""
    place = _BLANKS.match(text).end()  # type: ignore[union-attr]
    while place < len(text):
        kind, stop = "", place
        head = text[place]
        for candidate, pattern in _candidates(head if head < "\x80" else _LETTER):
            match = pattern.match(text, place)
            if match is not None and match.end() > stop:
                kind, stop = candidate, match.end()
        if stop == place:
            raise _no_token(text, place)
        yield Lexeme(_kind(kind, text[place:stop]), text[place:stop], place)
        place = _BLANKS.match(text, stop).end()  # type: ignore[union-attr]


def _kind(kind: str, text: str) -> str:
    if not kind:
        return _SYMBOLS[text]
    if kind == "ID":
        return _EXACT.get(text) or _ANY_CASE.get(text.lower(), kind)
    return kind


def name_of(text: str) -> str:
    """The name that an ID token stands for: its escapes read."""
    return _ESCAPES.sub(lambda match: _BLANK_ESCAPES.get(match[1], match[1]), text)


def is_plain_name(name: str) -> bool:
    """Whether the text ``name`` is one token that can stand for a name, or ``@links`` and the like."""
    match = list(tokens(name)) if name.strip() == name and "\\" not in name and _could_be_name(name) else []
    return len(match) == 1 and (match[0].kind in ("ID", "LINKS", "KEYS", "VALUES") or match[0].kind in SOFT_WORDS)


_NAME: Final = rf"@?{_NAME_HEAD}(?:{_NAME_HEAD}|[0-9-])*"


def _could_be_name(name: str) -> bool:
    return re.fullmatch(_NAME, name) is not None


def _no_token(text: str, place: int) -> QuerySyntaxError:
    character = text[place]
    stop = place + 1
    if character in "\"'":
        what = "a string that does not end, or has a backslash that escapes nothing it can escape"
    elif character == "@":
        stop = place + len(re.match(r"@\w*", text[place:]).group())  # type: ignore[union-attr]
        what = f"{text[place:stop]!r} is unknown; there are @count @size @min @max @sum @avg @type @keys @values @links"
    else:
        what = f"{character!r} means nothing here"
    return QuerySyntaxError(pointed(f"syntax error at position {place}: {what}", Span(text, place, stop)), place)
