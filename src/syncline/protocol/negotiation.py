"""How a connection begins: URLs, request targets, the subprotocol with mode and version (spec/wire-protocol.md §2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from syncline.errors import ProtocolViolationError, SynclineError
from syncline.protocol.settings import MAX_VERSION, MIN_VERSION, SyncMode

__all__ = [
    "NegotiationError",
    "ServerAddress",
    "Subprotocol",
    "SyncTarget",
    "check_answer",
    "choose",
    "offers",
    "parse_server_url",
    "parse_target",
    "request_target",
    "sync_url",
]

_PREFIXES: Final[dict[str, SyncMode]] = {
    "com.mongodb.realm-sync#": SyncMode.PBS,
    "com.mongodb.realm-sync/": SyncMode.PBS,
    "com.mongodb.realm-query-sync#": SyncMode.FLX,
    "com.mongodb.realm-query-sync/": SyncMode.FLX,
}
_NAMES: Final[dict[SyncMode, str]] = {
    SyncMode.PBS: "com.mongodb.realm-sync",
    SyncMode.FLX: "com.mongodb.realm-query-sync",
}
_RANGE: Final = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)
_ANSWER: Final = re.compile(r"[#/]([0-9]{1,9})", re.ASCII)
_TARGET: Final = re.compile(r"(?:/api/client/v2\.0/app/([^/]+))?/realm-sync(?:/.*)?", re.ASCII | re.DOTALL)

#: Default port by scheme; ``realm`` and ``realms`` are the names of the first SDKs.
_PORTS: Final[dict[str, int]] = {"ws": 80, "realm": 80, "wss": 443, "realms": 443}


class NegotiationError(SynclineError):
    """The two sides have no subprotocol in common; the message is fit for the body of a 400."""


class Subprotocol(NamedTuple):
    """What was agreed: ``token`` is the text of the Sec-WebSocket-Protocol header in the answer."""

    token: str
    mode: SyncMode
    version: int


def offers(mode: SyncMode, maximum: int = MAX_VERSION, minimum: int = MIN_VERSION) -> list[str]:
    """The subprotocols a client offers, newest first: ``#`` before the version, as clients since version 8 write it."""
    return [f"{_NAMES[mode]}#{version}" for version in range(maximum, minimum - 1, -1)]


def choose(offered: Iterable[str], maximum: int = MAX_VERSION, minimum: int = MIN_VERSION) -> Subprotocol:
    """The server's choice: the highest version both sides speak, in the client's own spelling (§2.4).

    Args:
        offered: values of the header, each one token or a comma-separated list. A token is a prefix and a version, or a
            range ``N-M``.

    Raises:
        NegotiationError: nothing acceptable was offered.
    """
    best: Subprotocol | None = None
    seen: list[str] = []
    for value in offered:
        for token in value.split(","):
            found = _acceptable(token.strip(), maximum, minimum, seen)
            if found is not None and (best is None or found.version > best.version):
                best = found
    if best is None:
        theirs = ", ".join(seen)[:500] if seen else "none"
        raise NegotiationError(f"no common version of the sync protocol: yours {theirs}; ours {minimum} to {maximum}")
    return best


def _acceptable(token: str, maximum: int, minimum: int, seen: list[str]) -> Subprotocol | None:
    for prefix, mode in _PREFIXES.items():
        if not token.startswith(prefix):
            continue
        match = _RANGE.fullmatch(token, len(prefix))
        if match is None:
            raise NegotiationError(f"malformed version in subprotocol {token[:100]!r}")
        low = int(match[1])
        high = low if match[2] is None else int(match[2])
        if low > high:
            raise NegotiationError(f"malformed range in subprotocol {token[:100]!r}")
        seen.append(token[len(prefix) :])
        version = min(high, maximum)
        if version < max(low, minimum):
            return None
        return Subprotocol(token if low == high else f"{prefix}{version}", mode, version)
    return None


def check_answer(mode: SyncMode, answer: str | None) -> int:
    """The client's check of the server's choice: the version.

    Raises:
        ProtocolViolationError: no answer, another mode, or a version that was not offered (fatal,
            ``Status.PROTOCOL_NEGOTIATION_FAILED``).
    """
    name = _NAMES[mode]
    if answer is None or not answer.startswith(name):
        raise ProtocolViolationError(f"the server's subprotocol is {answer!r}, expected {name}#N")
    match = _ANSWER.fullmatch(answer, len(name))
    if match is None or not MIN_VERSION <= int(match[1]) <= MAX_VERSION:
        raise ProtocolViolationError(f"the server's subprotocol is {answer!r}, no version from 2 to 14")
    return int(match[1])


class ServerAddress(NamedTuple):
    """Where a sync URL points to; ``path`` becomes the path of the upgrade request."""

    is_tls: bool
    host: str
    port: int
    path: str


def parse_server_url(url: str) -> ServerAddress:
    """Take a sync server's URL apart: ``ws``, ``wss``, ``realm`` or ``realms``, without user, query or fragment.

    Raises:
        ValueError: not such a URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError(f"a sync URL starts with ws:, wss:, realm: or realms:, not {url[:100]!r}")
    if not parts.hostname or "@" in parts.netloc or "?" in url or "#" in url:
        raise ValueError(f"a sync URL has a host, and no user, query or fragment: {url[:100]!r}")
    port = parts.port
    if port == 0:
        raise ValueError(f"port 0 in sync URL {url[:100]!r}")
    is_tls = parts.scheme in ("wss", "realms")
    return ServerAddress(is_tls, parts.hostname, port or _PORTS[parts.scheme], parts.path or "/")


def sync_url(websocket_host: str, app_id: str) -> str:
    """The sync URL of an application below the WebSocket host that the location endpoint names (§2.1)."""
    return f"{websocket_host.rstrip('/')}/api/client/v2.0/app/{app_id}/realm-sync"


def request_target(path: str, token: str) -> str:
    """Path and query of the upgrade request, with the access token as it is, unescaped (§2.2)."""
    return f"{path}{'&' if '?' in path else '?'}baas_at={token}"


class SyncTarget(NamedTuple):
    """What an upgrade request asks for: ``app_id`` is None for the bare ``/realm-sync``, ``token`` if there is none."""

    app_id: str | None
    token: str | None


def parse_target(path: str, query: str) -> SyncTarget | None:
    """The server's reading of an upgrade request; None if its path is not one of sync (404).

    Whatever follows ``/realm-sync/`` is ignored: BIND decides the Realm (§2.1). Both forms of URL are served.

    Args:
        path: the path, still percent-encoded or decoded.
        query: the raw query string, without ``?``; never log it, it holds the token.
    """
    match = _TARGET.fullmatch(path)
    if match is None:
        return None
    app_id = None if match[1] is None else unquote(match[1])
    for part in query.split("&"):
        if part.startswith("baas_at="):
            return SyncTarget(app_id, unquote(part.removeprefix("baas_at=")))
    return SyncTarget(app_id, None)
