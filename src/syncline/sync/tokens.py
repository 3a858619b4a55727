"""Reading the tokens a server issued: only their shape and times; signatures are not ours (spec/http-api.md §4.1)."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Final, NamedTuple

__all__ = ["REFRESH_MARGIN_SECONDS", "TokenClaims", "parse_token"]

REFRESH_MARGIN_SECONDS: Final = 5.0
"""An access token is renewed when it ends within this time (spec/README.md decision 22)."""


class TokenClaims(NamedTuple):
    """Times of a token in seconds since 1970."""

    expires_at: int
    issued_at: int

    def needs_refresh(self, now: float) -> bool:
        """Whether the token has ended or is about to."""
        return self.expires_at < now + REFRESH_MARGIN_SECONDS


def parse_token(token: str) -> TokenClaims | None:
    """The claims of a JWT, or None if ``token`` is not one: such a token is opaque and never refreshed by time."""
    parts = token.split(".")
    if len(parts) != 3 or not parts[0] or not parts[2]:
        return None
    try:
        text = parts[1].replace("+", "-").replace("/", "_").rstrip("=")
        payload = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    if not isinstance(payload, dict):
        return None
    expires_at, issued_at = payload.get("exp"), payload.get("iat")
    if type(expires_at) is not int or type(issued_at) is not int:
        return None
    return TokenClaims(expires_at, issued_at)
