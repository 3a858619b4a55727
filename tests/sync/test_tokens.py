"""Reading tokens (spec/http-api.md §4.1, spec/README.md decision 22)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.sync.tokens import TokenClaims, parse_token


def jwt(payload: Any) -> str:
    text = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"e30.{text}.c2ln"


def test_the_times_of_a_token() -> None:
    assert parse_token(jwt({"exp": 20, "iat": 10, "sub": "x"})) == TokenClaims(20, 10)


def test_both_alphabets_and_padding_are_understood() -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        payload = json.dumps({"exp": 20, "iat": 10, "x": "~~~>>>???"}).encode()
        assert parse_token(f"e30.{encode(payload).decode()}.c2ln") == TokenClaims(20, 10)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "a.b",
        "a.b.c.d",
        ".e30.x",
        "x.e30.",
        "x.e30.y",
        "x.!!!!.y",
        "x.bnVsbA.y",
        "x.eyJ.y",
        "x." + "W" * 8 + ".y",
    ],
)
def test_what_is_no_jwt_is_opaque(token: str) -> None:
    assert parse_token(token) is None


@pytest.mark.parametrize("exp", [None, "20", 20.0, True, {"$numberInt": "20"}])
def test_times_that_are_no_integers_are_refused(exp: Any) -> None:
    assert parse_token(jwt({"exp": exp, "iat": 10})) is None


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    parse_token(text)
    parse_token(f"a.{text}.b")


def test_a_token_is_renewed_five_seconds_before_its_end() -> None:
    claims = TokenClaims(expires_at=1000, issued_at=0)
    assert not claims.needs_refresh(994.9)
    assert claims.needs_refresh(995.1)
    assert claims.needs_refresh(2000)
