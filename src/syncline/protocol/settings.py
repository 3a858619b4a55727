"""What can be set on the protocol machines: sizes they accept, times they keep (spec/wire-protocol.md §9.1, §12.1)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["MAX_VERSION", "MIN_VERSION", "ClientSettings", "Limits", "ServerSettings", "SyncMode"]

#: Versions of the wire protocol that both machines speak (spec/wire-protocol.md §15).
MIN_VERSION: Final = 2
MAX_VERSION: Final = 14

_MIB: Final = 1024 * 1024


class SyncMode(StrEnum):
    """What a connection carries, fixed by its WebSocket subprotocol (spec/wire-protocol.md §1)."""

    PBS = "pbs"
    FLX = "flx"


class Limits(NamedTuple):
    """Sizes in bytes that a machine accepts from the other side, checked before anything of that size is allocated.

    Going beyond ``message``, ``inflated`` or ``entries`` makes the server close with 1009, which resets the client:
    they are far above what any client produces (README decision 16). The others are syntax errors (103).
    """

    #: First line of a message, without its line feed.
    head: int = 1024
    #: One WebSocket message as received.
    message: int = 64 * _MIB
    #: The body of an UPLOAD or DOWNLOAD after inflation.
    inflated: int = 256 * _MIB
    #: Changesets in one UPLOAD or DOWNLOAD; bounds the memory that a body of empty entries costs.
    entries: int = 2_000_000
    #: Realm path or partition value in BIND.
    path: int = 1024
    #: JSON in a flexible-sync BIND.
    bind_json: int = 16 * 1024
    #: Token in BIND and REFRESH (the original server: 2048).
    token: int = 8192
    #: Query body in IDENT and QUERY.
    query: int = 4 * _MIB
    #: Text of ERROR, JSON_ERROR, QUERY_ERROR, LOG_MESSAGE and TEST_COMMAND.
    text: int = 16 * _MIB


class ClientSettings(NamedTuple):
    """Settings of a client connection; times in milliseconds."""

    #: Hold uploads and queries back until the first MARK after a (re)connect was answered (spec/wire-protocol.md §6.1).
    upload_activation_delay: bool = True
    #: A connection regained within this time lets uploads go on at once.
    fast_reconnect_limit_ms: int = 60_000
    #: Time between two PINGs; the first comes after a random part of it.
    ping_period_ms: int = 60_000
    #: No PONG within this time: the connection is dead.
    pong_timeout_ms: int = 120_000
    #: A connection without active sessions is closed after this time.
    linger_ms: int = 30_000
    limits: Limits = Limits()


class ServerSettings(NamedTuple):
    """Settings of a server connection; times in milliseconds."""

    #: Sessions one connection may hold; more are refused one by one (201).
    sessions: int = 1024
    #: DOWNLOADs that are fetched or waiting to be written at the same time, over all sessions of the connection.
    fetches: int = 4
    #: Messages of one session kept while the driver works on its BIND or IDENT; beyond, ``read_paused`` is set.
    queued_messages: int = 32
    #: Bytes of such messages over all sessions; beyond, ``read_paused`` is set.
    queued_bytes: int = 16 * _MIB
    #: LOG_MESSAGEs waiting to be written; more are dropped.
    queued_logs: int = 64
    #: A connection on which nothing was received for this long is closed; clients must ping every 10 minutes.
    idle_timeout_ms: int = 1_800_000
    limits: Limits = Limits(entries=200_000)
