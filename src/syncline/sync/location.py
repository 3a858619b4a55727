"""Addresses of servers: what may be one, and where a server wants to be spoken to (spec/http-api.md §3)."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

from syncline.errors import SyncAuthError, SyncAuthErrorCode

__all__ = ["API", "SOCKET_SCHEMES", "ServerLocation", "check_server_url", "wrong_url"]

API: Final = "/api/client/v2.0"
HTTP_SCHEMES: Final = ("http", "https")
SOCKET_SCHEMES: Final = ("ws", "wss", "realm", "realms")


class ServerLocation(NamedTuple):
    """Where a server wants to be spoken to (spec/http-api.md §3); no trailing slashes."""

    http_url: str
    socket_url: str
    sync_route: str | None = None

    def route(self, app_id: str) -> str:
        """The address of the sync socket of an app."""
        return self.sync_route or f"{self.socket_url}{API}/app/{app_id}/realm-sync"

    @classmethod
    def guessed(cls, base_url: str) -> ServerLocation:
        """The location before the server was asked: the same host (spec/http-api.md §3.1)."""
        return cls(base_url, "ws" + base_url[4:] if base_url.startswith("http") else base_url)


def check_server_url(url: str, *, sockets: bool = False) -> str:
    """``url`` without trailing slash, if it is a server's address; with ``sockets`` also ``ws://`` and ``realm://``.

    Raises SyncAuthError 601 that says what is wrong with it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise wrong_url(url, str(error)) from error
    schemes = HTTP_SCHEMES + (SOCKET_SCHEMES if sockets else ())
    if parts.scheme not in schemes:
        raise wrong_url(url, f"it must start with one of {', '.join(s + '://' for s in schemes)}")
    if not parts.hostname or port == 0:
        raise wrong_url(url, "it names no host and port that can be connected to")
    if parts.username is not None or parts.query or parts.fragment:
        raise wrong_url(url, "it must have no user, query or fragment")
    return url.rstrip("/")


def wrong_url(url: str, why: str) -> SyncAuthError:
    """The error of an address that is none."""
    return SyncAuthError(
        f"{url!r} is not the address of a server: {why} (for example http://localhost:9080)",
        code=SyncAuthErrorCode.INVALID_PARAMETERS,
    )
