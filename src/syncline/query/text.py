"""How strings compare: case folding for ``[c]`` and the patterns of ``LIKE`` (spec/sdk.md §7.5)."""

from __future__ import annotations

__all__ = ["fold", "like", "to_bytes"]

#: A–Z and U+00C0…U+00DE except × (U+00D7); nothing else folds, and the byte length never changes.
_FOLDED = {code: code + 32 for code in (*range(0x41, 0x5B), *range(0xC0, 0xDF)) if code != 0xD7}


def fold(text: str) -> str:
    """``text`` with ASCII and Latin-1 capitals made small; Greek, Cyrillic, ß and ÿ stay as they are."""
    if text.isascii():
        return text.lower()
    return text.translate(_FOLDED)


def to_bytes(text: str) -> bytes:
    """The bytes of a stored string: UTF-8, bytes that never were UTF-8 as they came (spec/changesets.md §3)."""
    return text.encode("utf-8", "surrogateescape")


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
