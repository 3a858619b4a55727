"""Random identifiers that the server gives out, all from ``secrets``."""

from __future__ import annotations

import secrets
import time

__all__ = ["new_id", "new_salt"]


def new_id() -> str:
    """24 hexadecimal digits, four bytes of time and eight random ones: of users, sessions, devices, tokens."""
    return int(time.time()).to_bytes(4, "big").hex() + secrets.token_hex(8)


def new_salt() -> int:
    """A random number from 1 to 2**63 - 1, for client files and commit groups (spec/wire-protocol.md §8.4)."""
    return secrets.randbelow(2**63 - 1) + 1
