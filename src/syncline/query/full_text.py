"""The operator TEXT: which tokens a text has, and what a search asks of them (spec/sdk.md §7.10)."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

__all__ = ["MAX_TOKEN", "Search", "search", "tokens_of"]

#: A token keeps at most so many bytes of UTF-8.
MAX_TOKEN: Final = 64

_PLAIN: Final = "aaaaaåæceeeeiiiiðnooooo\u00d7øuuuuyþß"
#: Letters and digits that tokens are made of, and what they become: lower case, without diacritics except å æ ð ø þ ß.
_LETTERS: Final[dict[str, str]] = (
    {chr(code): chr(code).lower() for code in (*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B))}
    | {chr(0xC0 + place): plain for place, plain in enumerate(_PLAIN)}
    | {chr(0xE0 + place): plain for place, plain in enumerate(_PLAIN[:-1])}
)
#: × and ÷ drop out of a token without ending it.
_DROPPED: Final = {"\u00d7": "", "\u00f7": ""}
_TABLE: Final = str.maketrans(_LETTERS | _DROPPED)
_RUN: Final = re.compile(f"[{re.escape(''.join(sorted(set(_LETTERS.values()))))}]+")


def tokens_of(text: str) -> set[str]:
    """The tokens of a text: runs of ASCII letters and digits and of Latin-1 letters; everything else separates."""
    return set(_runs(text))


def _runs(text: str) -> list[str]:
    runs = _RUN.findall(text.lower() if text.isascii() else text.translate(_TABLE))
    if len(text) <= MAX_TOKEN // 2:  # in UTF-8 a letter has two bytes at most
        return runs
    return [run if len(run) <= MAX_TOKEN // 2 else _cut(run) for run in runs]


def _cut(token: str) -> str:
    return token.encode()[:MAX_TOKEN].decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True)
class Search:
    """What a search asks: all of ``words``, a token that begins with each of ``prefixes``, none of ``excluded``."""

    words: frozenset[str]
    prefixes: frozenset[str]
    excluded: frozenset[str]

    def matches(self, text: object) -> bool:
        """Whether a stored value fits; nothing but a string has tokens."""
        tokens = tokens_of(text) if isinstance(text, str) else set()
        return (
            self.words <= tokens
            and self.excluded.isdisjoint(tokens)
            and all(any(token.startswith(prefix) for token in tokens) for prefix in self.prefixes)
        )


@lru_cache(256)
def search(text: str) -> Search:
    """What a search string asks: words apart, ``-word`` to exclude, ``word*`` for beginnings.

    Raises ValueError for a word that has another character in it than letters and digits, for one that is asked for and
    excluded, for an excluded beginning, and for a search without words.
    """
    words: set[str] = set()
    prefixes: set[str] = set()
    excluded: set[str] = set()
    for part in text.split():
        negative, beginning = part.startswith("-"), part.endswith("*") and len(part) > 1
        word = part[negative : len(part) - beginning]
        token = _only_token(word)
        if negative and beginning:
            raise ValueError(f"{part!r} excludes the beginning of words, which is not possible; exclude whole words")
        if token:
            (excluded if negative else prefixes if beginning else words).add(token)
    _check(text, words, prefixes, excluded)
    return Search(frozenset(words), frozenset(prefixes), frozenset(excluded))


def _only_token(word: str) -> str | None:
    runs = _runs(word)
    if len(runs) > 1:
        raise ValueError(f"{word!r} has characters in it that are no letters or digits; write its parts as words")
    return runs[0] if runs else None


def _check(text: str, words: Collection[str], prefixes: Collection[str], excluded: Collection[str]) -> None:
    if not words and not prefixes and not excluded:
        raise ValueError(f"the search {text!r} has no words")
    both = sorted({*words, *prefixes} & set(excluded))
    if both:
        raise ValueError(f"the search {text!r} asks for {both[0]!r} and excludes it")
