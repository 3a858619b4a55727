"""Case folding and LIKE (spec/sdk.md §7.5)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.query.text import fold, like, to_bytes


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ABC xyz", "abc xyz"),
        ("ÀÉÞ", "àéþ"),
        ("×÷", "×÷"),
        ("ßÿ", "ßÿ"),
        ("ΑΒΓ", "ΑΒΓ"),
        ("ЖЯ", "ЖЯ"),
        ("İI", "İi"),
        ("", ""),
    ],
)
def test_only_ascii_and_latin_1_letters_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_folding_never_changes_the_byte_length(text: str) -> None:
    assert len(to_bytes_or_skip(fold(text))) == len(to_bytes_or_skip(text))


def to_bytes_or_skip(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def test_bytes_that_are_no_text_survive() -> None:
    assert to_bytes(b"a\xff".decode("utf-8", "surrogateescape")) == b"a\xff"


@pytest.mark.parametrize(
    ("text", "pattern", "matches"),
    [
        ("Rex", "R*", True),
        ("Rex", "*x", True),
        ("Rex", "R?x", True),
        ("Rex", "R?", False),
        ("Rex", "r*", False),
        ("", "*", True),
        ("", "?", False),
        ("a*b", "a*b", True),
        ("a\U0001f600b", "a?b", True),
        ("[x]", "[x]", True),
        ("x", "[x]", False),
        ("a%b_", "a%b_", True),
        ("a\nb", "a*b", True),
        ("a\0b", "a?b", True),
    ],
)
def test_like(text: str, pattern: str, matches: bool) -> None:
    assert like(text, pattern) is matches


@given(st.text("ab*?\n", max_size=8), st.text("ab*?", max_size=6))
def test_like_agrees_with_regular_expressions(text: str, pattern: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
    assert like(text, pattern) == bool(re.fullmatch(expression, text, re.DOTALL))


def test_like_stays_quick_on_hostile_patterns() -> None:
    assert not like("a" * 2_000, "*a" * 50 + "b")
