"""JSON objects inside messages, read from hostile text."""

from __future__ import annotations

import json
from typing import Any

from syncline.errors import ProtocolViolationError

__all__ = ["clean_text", "parse_object"]


def parse_object(text: str, name: str) -> dict[str, Any]:
    """The JSON object that ``text`` is; ``name`` is the message, for the error.

    Raises:
        ProtocolViolationError: not JSON, nested too deeply, or not an object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolViolationError(f"{name}: the text is not JSON: {str(error)[:100]}") from error
    if not isinstance(value, dict):
        raise ProtocolViolationError(f"{name}: the JSON is not an object")
    return value


def clean_text(text: str) -> str:
    """``text`` without lone surrogates, which JSON can smuggle in and no encoding can write."""
    return text.encode("utf-8", "replace").decode("utf-8")
