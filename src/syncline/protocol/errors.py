"""Everything the wire protocol says about failures, as data.

Three tables: error codes of messages (spec/wire-protocol.md §11), close codes of the WebSocket (§3.3) and status codes
of the upgrade (§2.6), each with what a client does about it.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

__all__ = [
    "CLOSE_CODES",
    "ERRORS",
    "SOCKET_LOST",
    "CloseCode",
    "ErrorAction",
    "ErrorCode",
    "ErrorInfo",
    "Reaction",
    "Status",
    "TerminationReason",
    "close_reaction",
    "connect_reaction",
    "error_status",
    "http_reaction",
]


class ErrorAction(StrEnum):
    """What the server tells the client to do: the text of ``action`` in a JSON_ERROR (spec/wire-protocol.md §11.3)."""

    PROTOCOL_VIOLATION = "ProtocolViolation"
    APPLICATION_BUG = "ApplicationBug"
    WARNING = "Warning"
    TRANSIENT = "Transient"
    DELETE_REALM = "DeleteRealm"
    CLIENT_RESET = "ClientReset"
    CLIENT_RESET_NO_RECOVERY = "ClientResetNoRecovery"
    MIGRATE_TO_FLX = "MigrateToFLX"
    REVERT_TO_PBS = "RevertToPBS"
    REFRESH_USER = "RefreshUser"
    REFRESH_LOCATION = "RefreshLocation"
    LOG_OUT_USER = "LogOutUser"
    MIGRATE_SCHEMA = "MigrateSchema"


class Status(StrEnum):
    """What an error is to the client, in realm-core's words (``error_codes.h``)."""

    CONNECTION_CLOSED = "ConnectionClosed"
    RUNTIME_ERROR = "RuntimeError"
    PROTOCOL_INVARIANT_FAILED = "SyncProtocolInvariantFailed"
    PROTOCOL_NEGOTIATION_FAILED = "SyncProtocolNegotiationFailed"
    WRONG_SYNC_TYPE = "WrongSyncType"
    BAD_PARTITION_VALUE = "BadSyncPartitionValue"
    PERMISSION_DENIED = "SyncPermissionDenied"
    CLIENT_RESET_REQUIRED = "SyncClientResetRequired"
    BAD_CHANGESET = "BadChangeset"
    UNKNOWN_ERROR = "UnknownError"
    USER_MISMATCH = "SyncUserMismatch"
    INVALID_SCHEMA_CHANGE = "InvalidSchemaChange"
    INVALID_SUBSCRIPTION_QUERY = "InvalidSubscriptionQuery"
    OBJECT_ALREADY_EXISTS = "ObjectAlreadyExists"
    SERVER_PERMISSIONS_CHANGED = "SyncServerPermissionsChanged"
    WRITE_NOT_ALLOWED = "SyncWriteNotAllowed"
    COMPENSATING_WRITE = "SyncCompensatingWrite"
    SCHEMA_MIGRATION_ERROR = "SyncSchemaMigrationError"
    AUTH_ERROR = "AuthError"
    LIMIT_EXCEEDED = "LimitExceeded"
    CONNECT_FAILED = "SyncConnectFailed"
    CONNECT_TIMEOUT = "SyncConnectTimeout"
    TLS_HANDSHAKE_FAILED = "TlsHandshakeFailed"
    AUTO_CLIENT_RESET_FAILED = "AutoClientResetFailed"


class TerminationReason(StrEnum):
    """Why a connection ended; the key of its reconnect back-off (spec/wire-protocol.md §9.2, spec/sessions.md §7.9)."""

    VOLUNTARY = "closed voluntarily"
    CONNECT_FAILED = "connect failed"
    CONNECT_TIMEOUT = "connect timeout"
    READ_OR_WRITE_ERROR = "read or write error"
    PONG_TIMEOUT = "pong timeout"
    TLS_REJECTED = "certificate rejected"
    WEBSOCKET_VIOLATION = "websocket violation"
    HTTP_FATAL = "fatal http response"
    HTTP_NONFATAL = "nonfatal http response"
    BAD_HEADERS = "bad headers in http response"
    PROTOCOL_VIOLATION = "protocol violation"
    DO_NOT_RECONNECT = "server said do not reconnect"
    TRY_AGAIN_LATER = "server said try again later"


class Reaction(NamedTuple):
    """What a client does about the end of a connection (spec/sessions.md §7.9)."""

    status: Status
    is_fatal: bool
    action: ErrorAction | None
    reason: TerminationReason


class ErrorInfo(NamedTuple):
    """One error code: a row of spec/wire-protocol.md §11.1 with the pair of §11.3 that our server sends with it.

    ``aborts_clients``: the 14.14.0 client terminates its process on receipt, so no server may send it. ``status`` of
    those codes is what *our* client makes of them.
    """

    code: int
    name: str
    status: Status
    action: ErrorAction
    try_again: bool
    aborts_clients: bool = False

    @property
    def is_session_level(self) -> bool:
        """Whether it is about one session (200 to 299) and not about the connection (100 to 199)."""
        return self.code >= 200

    @property
    def may_be_sent(self) -> bool:
        """Whether our server may put it on the wire."""
        return not self.aborts_clients


class ErrorCode(IntEnum):
    """Codes of ERROR, JSON_ERROR and QUERY_ERROR (spec/wire-protocol.md §11.1)."""

    CONNECTION_CLOSED = 100
    OTHER_ERROR = 101
    UNKNOWN_MESSAGE = 102
    BAD_SYNTAX = 103
    LIMITS_EXCEEDED = 104
    WRONG_PROTOCOL_VERSION = 105
    BAD_SESSION_IDENT = 106
    REUSE_OF_SESSION_IDENT = 107
    BOUND_IN_OTHER_SESSION = 108
    BAD_MESSAGE_ORDER = 109
    BAD_DECOMPRESSION = 110
    BAD_CHANGESET_HEADER_SYNTAX = 111
    BAD_CHANGESET_SIZE = 112
    SWITCH_TO_FLX = 113
    SWITCH_TO_PBS = 114
    SESSION_CLOSED = 200
    OTHER_SESSION_ERROR = 201
    TOKEN_EXPIRED = 202
    BAD_AUTHENTICATION = 203
    ILLEGAL_REALM_PATH = 204
    NO_SUCH_REALM = 205
    PERMISSION_DENIED = 206
    BAD_SERVER_FILE_IDENT = 207
    BAD_CLIENT_FILE_IDENT = 208
    BAD_SERVER_VERSION = 209
    BAD_CLIENT_VERSION = 210
    DIVERGING_HISTORIES = 211
    BAD_CHANGESET = 212
    DISABLED_SESSION = 213
    PARTIAL_SYNC_DISABLED = 214
    UNSUPPORTED_SESSION_FEATURE = 215
    BAD_ORIGIN_FILE_IDENT = 216
    BAD_CLIENT_FILE = 217
    SERVER_FILE_DELETED = 218
    CLIENT_FILE_BLACKLISTED = 219
    USER_BLACKLISTED = 220
    TRANSACT_BEFORE_UPLOAD = 221
    CLIENT_FILE_EXPIRED = 222
    USER_MISMATCH = 223
    TOO_MANY_SESSIONS = 224
    INVALID_SCHEMA_CHANGE = 225
    BAD_QUERY = 226
    OBJECT_ALREADY_EXISTS = 227
    SERVER_PERMISSIONS_CHANGED = 228
    INITIAL_SYNC_NOT_COMPLETED = 229
    WRITE_NOT_ALLOWED = 230
    COMPENSATING_WRITE = 231
    MIGRATE_TO_FLX = 232
    BAD_PROGRESS = 233
    REVERT_TO_PBS = 234
    BAD_SCHEMA_VERSION = 235
    SCHEMA_VERSION_CHANGED = 236


_VIOLATION: Final = ErrorAction.PROTOCOL_VIOLATION
_BUG: Final = ErrorAction.APPLICATION_BUG
_TRANSIENT: Final = ErrorAction.TRANSIENT
_RESET: Final = ErrorAction.CLIENT_RESET
_NO_RECOVERY: Final = ErrorAction.CLIENT_RESET_NO_RECOVERY
_INVARIANT: Final = Status.PROTOCOL_INVARIANT_FAILED
_RESET_REQUIRED: Final = Status.CLIENT_RESET_REQUIRED

_ROWS: Final = (
    ErrorInfo(100, "connection closed", Status.CONNECTION_CLOSED, _TRANSIENT, True),
    ErrorInfo(101, "other error", Status.RUNTIME_ERROR, _TRANSIENT, True),
    ErrorInfo(102, "unknown message", _INVARIANT, _VIOLATION, False),
    ErrorInfo(103, "bad syntax", _INVARIANT, _VIOLATION, False),
    ErrorInfo(104, "limits exceeded", Status.LIMIT_EXCEEDED, _VIOLATION, False, True),
    ErrorInfo(105, "wrong protocol version", _INVARIANT, _VIOLATION, False),
    ErrorInfo(106, "bad session ident", _INVARIANT, _VIOLATION, False),
    ErrorInfo(107, "reuse of session ident", _INVARIANT, _VIOLATION, False),
    ErrorInfo(108, "bound in other session", _INVARIANT, _VIOLATION, False),
    ErrorInfo(109, "bad message order", _INVARIANT, _VIOLATION, False),
    ErrorInfo(110, "bad decompression", Status.RUNTIME_ERROR, _VIOLATION, False),
    ErrorInfo(111, "bad changeset header syntax", _INVARIANT, _VIOLATION, False),
    ErrorInfo(112, "bad changeset size", _INVARIANT, _VIOLATION, False),
    ErrorInfo(113, "switch to flexible sync", Status.WRONG_SYNC_TYPE, _BUG, False),
    ErrorInfo(114, "switch to partition-based sync", Status.WRONG_SYNC_TYPE, _BUG, False),
    ErrorInfo(200, "session closed", Status.CONNECTION_CLOSED, _TRANSIENT, True),
    ErrorInfo(201, "other session error", Status.RUNTIME_ERROR, _TRANSIENT, True),
    ErrorInfo(202, "token expired", Status.AUTH_ERROR, ErrorAction.REFRESH_USER, True, True),
    ErrorInfo(203, "bad authentication", Status.AUTH_ERROR, ErrorAction.REFRESH_USER, False, True),
    ErrorInfo(204, "illegal realm path", Status.BAD_PARTITION_VALUE, _BUG, False),
    ErrorInfo(205, "no such realm", Status.PERMISSION_DENIED, _BUG, False, True),
    ErrorInfo(206, "permission denied", Status.PERMISSION_DENIED, _BUG, False),
    ErrorInfo(207, "bad server file ident", _RESET_REQUIRED, _RESET, False, True),
    ErrorInfo(208, "bad client file ident", _RESET_REQUIRED, _RESET, False),
    ErrorInfo(209, "bad server version", _RESET_REQUIRED, _RESET, False),
    ErrorInfo(210, "bad client version", _RESET_REQUIRED, _RESET, False),
    ErrorInfo(211, "diverging histories", _RESET_REQUIRED, _RESET, False),
    ErrorInfo(212, "bad changeset", Status.BAD_CHANGESET, _BUG, False),
    ErrorInfo(213, "disabled session", Status.UNKNOWN_ERROR, _BUG, False, True),
    ErrorInfo(214, "partial sync disabled", Status.UNKNOWN_ERROR, _BUG, False, True),
    ErrorInfo(215, "unsupported session feature", Status.UNKNOWN_ERROR, _BUG, False, True),
    ErrorInfo(216, "bad origin file ident", _INVARIANT, _VIOLATION, False),
    ErrorInfo(217, "bad client file", _RESET_REQUIRED, _RESET, False),
    ErrorInfo(218, "server file deleted", _RESET_REQUIRED, _NO_RECOVERY, False, True),
    ErrorInfo(219, "client file blacklisted", _RESET_REQUIRED, _RESET, False, True),
    ErrorInfo(220, "user blacklisted", Status.AUTH_ERROR, ErrorAction.LOG_OUT_USER, False, True),
    ErrorInfo(221, "transact before upload", _INVARIANT, _VIOLATION, False, True),
    ErrorInfo(222, "client file expired", _RESET_REQUIRED, _RESET, False),
    ErrorInfo(223, "user mismatch", Status.USER_MISMATCH, _RESET, False),
    ErrorInfo(224, "too many sessions", Status.RUNTIME_ERROR, _BUG, False, True),
    ErrorInfo(225, "invalid schema change", Status.INVALID_SCHEMA_CHANGE, _BUG, False),
    ErrorInfo(226, "bad query", Status.INVALID_SUBSCRIPTION_QUERY, _BUG, False),
    ErrorInfo(227, "object already exists", Status.OBJECT_ALREADY_EXISTS, _RESET, False),
    ErrorInfo(228, "server permissions changed", Status.SERVER_PERMISSIONS_CHANGED, _RESET, False),
    ErrorInfo(229, "initial sync not completed", Status.CONNECTION_CLOSED, _TRANSIENT, True),
    ErrorInfo(230, "write not allowed", Status.WRITE_NOT_ALLOWED, _NO_RECOVERY, False),
    ErrorInfo(231, "compensating write", Status.COMPENSATING_WRITE, ErrorAction.WARNING, True),
    ErrorInfo(232, "migrate to flexible sync", Status.WRONG_SYNC_TYPE, ErrorAction.MIGRATE_TO_FLX, False),
    ErrorInfo(233, "bad progress", _INVARIANT, _VIOLATION, False),
    ErrorInfo(234, "revert to partition-based sync", Status.WRONG_SYNC_TYPE, ErrorAction.REVERT_TO_PBS, False),
    ErrorInfo(235, "bad schema version", Status.SCHEMA_MIGRATION_ERROR, _BUG, False),
    ErrorInfo(236, "schema version changed", Status.SCHEMA_MIGRATION_ERROR, ErrorAction.MIGRATE_SCHEMA, True),
)

#: Every code of spec/wire-protocol.md §11.1.
ERRORS: Final[dict[int, ErrorInfo]] = {row.code: row for row in _ROWS}


def error_status(code: int) -> Status:
    """What a code received from a server means to the client; unknown ones are UNKNOWN_ERROR."""
    info = ERRORS.get(code)
    return Status.UNKNOWN_ERROR if info is None else info.status


class CloseCode(IntEnum):
    """WebSocket close codes that our server sends (spec/http-api.md §6.3)."""

    #: An upload that can never succeed: the client resets its file.
    MESSAGE_TOO_BIG = 1009
    #: Retry with back-off.
    INTERNAL_ERROR = 1011
    #: The token is expired or invalid: the client refreshes it.
    UNAUTHORIZED = 4001
    #: The user is disabled: the client logs the user out.
    FORBIDDEN = 4002
    #: Another host serves this application: the client asks for the location again.
    MOVED_PERMANENTLY = 4003


_OTHER_CLOSE: Final = Reaction(_INVARIANT, False, None, TerminationReason.WEBSOCKET_VIOLATION)

#: Reaction to each close code that has one of its own (spec/wire-protocol.md §3.3, spec/sessions.md §7.9).
CLOSE_CODES: Final[dict[int, Reaction]] = {
    1006: Reaction(Status.CONNECTION_CLOSED, False, ErrorAction.REFRESH_USER, TerminationReason.HTTP_NONFATAL),
    1009: Reaction(Status.LIMIT_EXCEEDED, False, _RESET, TerminationReason.WEBSOCKET_VIOLATION),
    1011: Reaction(Status.CONNECTION_CLOSED, False, None, TerminationReason.HTTP_NONFATAL),
    1015: Reaction(Status.TLS_HANDSHAKE_FAILED, False, None, TerminationReason.TLS_REJECTED),
    4001: Reaction(Status.AUTH_ERROR, False, ErrorAction.REFRESH_USER, TerminationReason.HTTP_NONFATAL),
    4002: Reaction(Status.AUTH_ERROR, True, ErrorAction.LOG_OUT_USER, TerminationReason.HTTP_FATAL),
    4003: Reaction(Status.CONNECTION_CLOSED, False, ErrorAction.REFRESH_LOCATION, TerminationReason.HTTP_NONFATAL),
}

#: The socket failed under the connection (spec/wire-protocol.md §3.3, 4402 and 4403).
SOCKET_LOST: Final = Reaction(
    Status.CONNECTION_CLOSED, False, ErrorAction.TRANSIENT, TerminationReason.READ_OR_WRITE_ERROR
)


def close_reaction(code: int) -> Reaction | None:
    """What a client does about a close frame with ``code``; None for 1000, which is ignored until the TCP ends."""
    if code == 1000:
        return None
    return CLOSE_CODES.get(code, _OTHER_CLOSE)


def connect_reaction(*, timed_out: bool, is_verified: bool) -> Reaction:
    """What a client does if it cannot connect; an endpoint is *verified* once a handshake has succeeded there."""
    action = None if is_verified else ErrorAction.REFRESH_LOCATION
    if timed_out:
        return Reaction(Status.CONNECT_TIMEOUT, False, action, TerminationReason.CONNECT_TIMEOUT)
    return Reaction(Status.CONNECT_FAILED, False, action, TerminationReason.CONNECT_FAILED)


def http_reaction(status: int, *, is_verified: bool) -> Reaction:
    """What a client does about an answer other than 101 to its upgrade request (spec/wire-protocol.md §2.6)."""
    if status in (301, 308):
        return CLOSE_CODES[CloseCode.MOVED_PERMANENTLY]
    if status == 401:
        return CLOSE_CODES[CloseCode.UNAUTHORIZED]
    if status == 403:
        return CLOSE_CODES[CloseCode.FORBIDDEN]
    if 300 <= status < 400 or 500 <= status < 600:
        return CLOSE_CODES[CloseCode.INTERNAL_ERROR]
    if is_verified:
        return Reaction(Status.CONNECT_FAILED, True, None, TerminationReason.HTTP_FATAL)
    return Reaction(Status.CONNECT_FAILED, False, ErrorAction.REFRESH_LOCATION, TerminationReason.CONNECT_FAILED)
