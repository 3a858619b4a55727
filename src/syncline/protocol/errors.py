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
    "CloseCode",
    "ErrorAction",
    "ErrorCode",
    "ErrorInfo",
    "Reaction",
    "Status",
    "TerminationReason",
    "close_reaction",
    "error_status",
    "http_reaction",
]


class ErrorAction(StrEnum):
    """What the server tells the client to do, as the text of ``action`` in a JSON_ERROR (spec/wire-protocol.md §11.3)."""

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
