"""From the text in BIND to the Realm it names, and to the file that holds it (spec/http-api.md §6.4, §8.2).

A *realm key* is the canonical name of a Realm inside one app: ``p:/a/b`` for a Realm path; ``s_…``, ``i_…``, ``o_…``,
``u_…`` or ``null`` for a partition value. A *storage id* is what its files are called; nothing in it is a client's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import uuid
from typing import Any, Final, Never

__all__ = ["IllegalRealmPathError", "home_owner", "is_reserved", "realm_key", "resolve_path", "storage_id"]

MAX_TEXT_BYTES: Final = 1024
MAX_PATH_BYTES: Final = 512
MAX_SEGMENTS: Final = 64
MAX_SEGMENT_BYTES: Final = 128

PATH_PREFIX: Final = "p:"
_SEGMENT = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*")
_FORBIDDEN_ENDINGS: Final = (".realm", ".realm.lock", ".realm.management")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")


class IllegalRealmPathError(ValueError):
    """A text that names no Realm: neither a partition value nor a Realm path (wire error 204)."""


def realm_key(text: str, user_id: str) -> str:
    """The canonical key of the Realm that ``text`` (from BIND) names for the user.

    Raises:
        IllegalRealmPathError: no partition value and no path, or too long.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise IllegalRealmPathError(f"a Realm path has at most {MAX_TEXT_BYTES} bytes")
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return PATH_PREFIX + resolve_path(text, user_id)
    return _partition_key(value)


def _partition_key(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool() | float():
            raise IllegalRealmPathError("a partition value is a string, an integer, an ObjectId, a UUID or null")
        case int():
            return _integer_key(value)
        case str():
            return "s_" + value
        case {"$numberInt": str(digits), **rest} if not rest and _INTEGER.fullmatch(digits):
            return _integer_key(int(digits))
        case {"$numberLong": str(digits), **rest} if not rest and _INTEGER.fullmatch(digits):
            return _integer_key(int(digits))
        case {"$oid": str(digits), **rest} if not rest and _OBJECT_ID.fullmatch(digits):
            return "o_" + digits.lower()
        case {"$uuid": str(digits), **rest} if not rest:
            return "u_" + _uuid_text(digits)
        case {"$binary": {"base64": str(data), "subType": "04" | "4", **inner}, **rest} if not rest and not inner:
            return "u_" + _uuid_from_base64(data)
    raise IllegalRealmPathError("the partition value is of no known form")


def _integer_key(value: int) -> str:
    if not -(2**63) <= value < 2**63:
        raise IllegalRealmPathError("an integer partition value has at most 64 bits")
    return f"i_{value}"


def _uuid_text(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise IllegalRealmPathError("the partition value is not a UUID") from None


def _uuid_from_base64(text: str) -> str:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise IllegalRealmPathError("the partition value is not base64") from None
    if len(data) != 16:
        raise IllegalRealmPathError("a UUID has 16 bytes")
    return str(uuid.UUID(bytes=data))


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice in the partition value")
    return result


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def resolve_path(path: str, user_id: str) -> str:
    """A Realm path in canonical form: leading slash, a leading ``~`` replaced by the user's id (§8.2 steps 3 to 5).

    Raises:
        IllegalRealmPathError: the path breaks the grammar or its limits.
    """
    segments = path.removeprefix("/").split("/")
    if segments[0] == "~":
        segments[0] = user_id
    if len(segments) > MAX_SEGMENTS:
        raise IllegalRealmPathError(f"a Realm path has at most {MAX_SEGMENTS} segments")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment) or segment.endswith(_FORBIDDEN_ENDINGS):
            raise IllegalRealmPathError("a Realm path consists of segments of letters, digits, '_', '-' and '.'")
        if len(segment) > MAX_SEGMENT_BYTES:
            raise IllegalRealmPathError(f"a segment of a Realm path has at most {MAX_SEGMENT_BYTES} bytes")
    resolved = "/" + "/".join(segments)
    if len(resolved) > MAX_PATH_BYTES:
        raise IllegalRealmPathError(f"a Realm path has at most {MAX_PATH_BYTES} bytes")
    return resolved


def is_reserved(key: str) -> bool:
    """True for path keys with a segment that begins with ``__``: the server's own names (§8.2)."""
    return key.startswith(PATH_PREFIX) and "/__" in key


def home_owner(key: str) -> str | None:
    """The user id whose home folder the path key would lie in: its first segment; None for partition values."""
    if not key.startswith(PATH_PREFIX):
        return None
    return key.removeprefix(PATH_PREFIX + "/").partition("/")[0]


def storage_id(app_id: str, key: str, generation: str) -> str:
    """The opaque name of a Realm's files: 64 hexadecimal digits. ``generation`` changes when a Realm is made again."""
    text = f"{app_id}\0{key}\0{generation}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
