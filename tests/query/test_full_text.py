"""Tokens of texts and searches (spec/sdk.md §7.10)."""

from __future__ import annotations

import pytest

from syncline.query.full_text import MAX_TOKEN, search, tokens_of

TOKENS = [
    ("", set()),
    ("The DOG, the dog!", {"the", "dog"}),
    ("a1-b2_c3", {"a1", "b2", "c3"}),
    ("Ärger Über ÀÉÎÕÜ ýñç", {"arger", "uber", "aeiou", "ync"}),
    ("Å å Æ æ Ø ø Þ þ Ð ð ß", {"å", "æ", "ø", "þ", "ð", "ß"}),
    ("2×3 a÷b ×", {"23", "ab"}),
    ("ÿx naÿve", {"x", "na", "ve"}),
    ("Привет κόσμε 世界 x", {"x"}),
    ("don't", {"don", "t"}),
    ("x" * 100, {"x" * 64}),
    ("å" * 100, {"å" * 32}),
    ("a" + "å" * 100, {"a" + "å" * 31}),
]


@pytest.mark.parametrize(("text", "tokens"), TOKENS, ids=[text[:20] for text, _ in TOKENS])
def test_tokens(text: str, tokens: set[str]) -> None:
    assert tokens_of(text) == tokens


SEARCHES = [
    ("dog", "A dog.", True),
    ("DOG cat", "cat, dog", True),
    ("dog cat", "dog", False),
    ("dog -cat", "dog", True),
    ("dog -cat", "dog cat", False),
    ("-cat", "dog", True),
    ("-cat", None, True),
    ("dog", None, False),
    ("do*", "my dog", True),
    ("do*", "my cat", False),
    ("Är*", "arger", True),
    ("d*g", "dog", None),
    ("dog привет", "dog", True),
    ("  dog \t cat\n", "cat dog", True),
    ("x" * 70, "x" * 64 + "y", True),
]


@pytest.mark.parametrize(("words", "text", "expected"), SEARCHES)
def test_searches(words: str, text: str | None, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="no letters or digits"):
            search(words)
    else:
        assert search(words).matches(text) is expected


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "has no words"),
        (" * ", "has no words"),
        ("привет", "has no words"),
        ("a -a", "asks for 'a' and excludes it"),
        ("A* -a", "asks for 'a' and excludes it"),
        ("-a*", "excludes the beginning"),
        ("a.b", "no letters or digits"),
    ],
)
def test_searches_that_cannot_be(words: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        search(words)


def test_tokens_are_short() -> None:
    assert all(len(token.encode()) <= MAX_TOKEN for token in tokens_of("é" * 200 + " " + "ø" * 200 + " x" * 200))
