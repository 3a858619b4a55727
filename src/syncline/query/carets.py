"""Showing where in a query text something is wrong: the line, and a mark under the place."""

from __future__ import annotations

from typing import Final

from syncline.query.ast import Span

__all__ = ["pointed"]

#: How much of a long line is shown around the place.
_WIDTH: Final = 100


def pointed(message: str, span: Span | None) -> str:
    """``message``, and below it the line of the text with ``^^^`` under the span; only the message without a span."""
    if span is None:
        return message
    start = span.text.rfind("\n", 0, span.start) + 1
    stop = span.text.find("\n", span.start)
    line = span.text[start : len(span.text) if stop < 0 else stop]
    place = span.start - start
    length = max(1, min(span.stop - span.start, len(line) - place))
    cut = max(0, place - _WIDTH // 2) if len(line) > _WIDTH else 0
    shown = line[cut : cut + _WIDTH]
    before, after = "…" if cut else "", "…" if cut + _WIDTH < len(line) else ""
    marks = " " * (len(before) + place - cut) + "^" * max(1, min(length, len(shown) - (place - cut)))
    shown = shown.replace("\t", " ").encode("utf-8", "replace").decode()  # a terminal takes no halves of characters
    return f"{message}\n    {before}{shown}{after}\n    {marks}"
