"""How strings compare: what ``[c]`` and ``[d]`` ignore, and the patterns of ``LIKE`` (spec/sdk.md §7.5)."""

from __future__ import annotations

import re
from enum import IntFlag
from unicodedata import category, normalize

__all__ = ["Fold", "fold", "half_character", "like", "to_bytes"]


class Fold(IntFlag):
    """What a comparison of strings ignores. ``MARKS``: an extension, which servers do not have."""

    NOTHING = 0
    CASE = 1
    MARKS = 2

    @property
    def suffix(self) -> str:
        """How it is written behind an operator."""
        return _SUFFIXES[self]


_SUFFIXES = {Fold.NOTHING: "", Fold.CASE: "[c]", Fold.MARKS: "[d]", Fold.CASE | Fold.MARKS: "[cd]"}

#: As plain numbers, which are quicker than flags.
_CASE, _MARKS = Fold.CASE.value, Fold.MARKS.value
#: A–Z and U+00C0…U+00DE except × (U+00D7); nothing else folds, and the byte length never changes.
_FOLDED = {code: code + 32 for code in (*range(0x41, 0x5B), *range(0xC0, 0xDF)) if code != 0xD7}
#: Halves of surrogate pairs, but for those that stand for bytes (U+DC80 to U+DCFF).
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def fold(text: str, what: int = Fold.CASE) -> str:
    """``text`` without what a :class:`Fold` ignores.

    ``CASE``: ASCII and Latin-1 capitals are made small; Greek, Cyrillic, ß and ÿ stay as they are. ``MARKS``, before
    that: characters are decomposed (NFD) and combining marks (category Mn) left out, so that é, composed or not, is e;
    ø, ł and ß, which are no letters with marks, stay.
    """
    if text.isascii():
        return text.lower() if what & _CASE else text
    if what & _MARKS:
        text = "".join([character for character in normalize("NFD", text) if category(character) != "Mn"])
    return text.translate(_FOLDED) if what & _CASE else text


def to_bytes(text: str) -> bytes:
    """The bytes of a stored string: UTF-8, bytes that never were UTF-8 as they came (spec/changesets.md §3)."""
    return text.encode("utf-8", "surrogateescape")


def half_character(text: str) -> int | None:
    """Where half a surrogate pair stands, which is no character, so no stored string has it; None if nowhere."""
    found = _HALVES.search(text)
    return None if found is None else found.start()


def like(text: str, pattern: str) -> bool:
    """Whether all of ``text`` matches ``pattern``: ``*`` is any run, ``?`` one character, all else itself.

    Takes time proportional to the product of the lengths at worst, whatever the pattern.
    """
    position = start = 0  # where we are in text and pattern
    star, resume = -1, 0  # the last star, and where in text it began to match
    while position < len(text):
        if start < len(pattern) and pattern[start] == "*":
            star, resume = start, position
            start += 1
        elif start < len(pattern) and (pattern[start] == "?" or pattern[start] == text[position]):
            position += 1
            start += 1
        elif star >= 0:
            resume += 1
            position, start = resume, star + 1
        else:
            return False
    return all(character == "*" for character in pattern[start:])
