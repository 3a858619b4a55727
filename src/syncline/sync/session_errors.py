"""From what went wrong to what is told, and to what becomes of the session (spec/sessions.md §10).

A :class:`Failure` is one thing that went wrong, whether a server's error message, the end of a connection or a fault of
our own. :func:`consequence` is the table of §10.5; :func:`sync_error` makes the exception of §10.3.

Servers that send the legacy ERROR, realm-core's reference server among them, do not say what to do: then the code
decides, by the table of §10.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from syncline.errors import (
    PATH_OF_REALM_BACKUP_COPY_KEY,
    ClientInternalError,
    ClientResetError,
    ClientSessionError,
    ClientUserError,
    CompensatingWriteError,
    ConnectionFailedError,
    ConnectTimeoutError,
    PermissionDeniedError,
    ServerWarningError,
    SubscriptionFailedError,
    SyncError,
    TlsHandshakeFailedError,
)
from syncline.protocol.errors import ERRORS, ErrorAction, ErrorCode, ErrorInfo, Reaction, Status, error_status
from syncline.protocol.messages import Error

__all__ = [
    "RESET_ACTIONS",
    "Consequence",
    "Effect",
    "Failure",
    "FileActionKind",
    "KnownFailure",
    "Next",
    "consequence",
    "sync_error",
]


class Failure(NamedTuple):
    """One thing that went wrong; ``action`` None: nobody said what to do about it."""

    status: Status
    message: str
    is_fatal: bool
    action: ErrorAction | None = None
    server_code: int | None = None
    log_url: str = ""
    is_unrecognized: bool = False
    details: Mapping[str, Any] = {}
    cause: BaseException | None = None

    @classmethod
    def of_connection(cls, reaction: Reaction, message: str) -> Failure:
        """The end of a connection."""
        return cls(reaction.status, message, reaction.is_fatal, reaction.action)

    @classmethod
    def of_message(cls, error: Error) -> Failure:
        """An ERROR or JSON_ERROR of the server; the action of a legacy one follows from its code, if any does."""
        details: dict[str, Any] = {"statusCode": error.code}
        if error.rejected_updates:
            details["compensating_writes"] = [
                (update.table, update.primary_key, update.reason) for update in error.rejected_updates
            ]
        return cls(
            error_status(error.code),
            error.message,
            not error.try_again,
            error.action or _legacy_action(error),
            error.code,
            error.log_url,
            is_unrecognized=error.code not in ERRORS,
            details=details,
        )

    @classmethod
    def of_file(cls, path: str, cause: Exception | None) -> Failure:
        """Our own file cannot be used for the time being: a full disk, a lock."""
        message = f"{path} cannot be synced at present, will be tried again: {cause}"
        return cls(Status.RUNTIME_ERROR, message, False, ErrorAction.WARNING, cause=cause)

    @property
    def is_legacy(self) -> bool:
        """Whether a server reported a code for which nobody knows an action."""
        return self.action is None and self.server_code is not None


class KnownFailure:
    """The connection failure that the application has been told of: it is not repeated at each retry (§10.2)."""

    def __init__(self) -> None:
        self._status: Status | None = None

    def forget(self) -> None:
        """There is a connection again."""
        self._status = None

    def is_news(self, status: Status) -> bool:
        """Whether it is another one than that which is known; it is known from now on."""
        known, self._status = self._status, status
        return known is not status

    def is_to_be_told(self, failure: Failure) -> bool:
        """The same of a failure; what a server says, and faults of our own, are always told."""
        return failure.server_code is not None or failure.action is ErrorAction.WARNING or self.is_news(failure.status)


class Next(Enum):
    """What becomes of the session."""

    NONE = "unchanged"
    ERROR = "unchanged, but all waits fail"
    WAITING = "waiting for another access token"
    INACTIVE = "inactive, and the handle invalid"


class FileActionKind(Enum):
    """What is to be done with the local file (spec/sessions.md §11.2); the value is what is stored."""

    DELETE_REALM = 0
    BACK_UP_THEN_DELETE_REALM = 1


class Effect(Enum):
    """What else an action asks for."""

    REFRESH_TOKEN = "fetch a new access token"
    REFRESH_LOCATION = "ask for the server's location and for a token, then restart"
    LOG_OUT = "log the user out"
    INVALIDATE_USER = "the user is in the state ERROR"


class Consequence(NamedTuple):
    """A row of the table of spec/sessions.md §10.5.

    ``is_stored``: the file action is carried out at the next start if the application does not do it before. It is not
    for a mere refusal (206): the file is kept unless the application asks for the deletion with the error's token.
    """

    next: Next
    report: bool
    file_action: FileActionKind | None = None
    effect: Effect | None = None
    is_stored: bool = True


_RESET: Final = Consequence(Next.INACTIVE, True, FileActionKind.BACK_UP_THEN_DELETE_REALM)
_ENDED: Final = Consequence(Next.INACTIVE, True)
_QUIET: Final = Consequence(Next.NONE, False)

_BY_ACTION: Final[Mapping[ErrorAction, Consequence]] = {
    ErrorAction.APPLICATION_BUG: _ENDED,
    ErrorAction.PROTOCOL_VIOLATION: _ENDED,
    ErrorAction.TRANSIENT: _QUIET,
    ErrorAction.DELETE_REALM: Consequence(Next.INACTIVE, True, FileActionKind.DELETE_REALM),
    ErrorAction.CLIENT_RESET: _RESET,
    ErrorAction.CLIENT_RESET_NO_RECOVERY: _RESET,
    ErrorAction.MIGRATE_TO_FLX: _ENDED,
    ErrorAction.REVERT_TO_PBS: _ENDED,
    ErrorAction.REFRESH_USER: Consequence(Next.NONE, False, effect=Effect.REFRESH_TOKEN),
    ErrorAction.REFRESH_LOCATION: Consequence(Next.NONE, False, effect=Effect.REFRESH_LOCATION),
    ErrorAction.LOG_OUT_USER: Consequence(Next.INACTIVE, True, effect=Effect.LOG_OUT),
    ErrorAction.MIGRATE_SCHEMA: _QUIET,
}
"""``Warning`` and no action are absent: they depend on whether the failure is fatal."""

_LEGACY_ACTIONS: Final[Mapping[int, ErrorAction]] = {
    ErrorCode.TOKEN_EXPIRED: ErrorAction.REFRESH_USER,
    ErrorCode.PERMISSION_DENIED: ErrorAction.DELETE_REALM,
    **dict.fromkeys(
        (
            ErrorCode.BAD_SERVER_FILE_IDENT,
            ErrorCode.BAD_CLIENT_FILE_IDENT,
            ErrorCode.BAD_SERVER_VERSION,
            ErrorCode.BAD_CLIENT_VERSION,  # of a server that was set back, too (spec/wire-protocol.md §10.3)
            ErrorCode.DIVERGING_HISTORIES,
            ErrorCode.CLIENT_FILE_EXPIRED,
            ErrorCode.OBJECT_ALREADY_EXISTS,  # these three in spec/wire-protocol.md §11.5
            ErrorCode.SERVER_PERMISSIONS_CHANGED,
            ErrorCode.WRITE_NOT_ALLOWED,
        ),
        ErrorAction.CLIENT_RESET,
    ),
}
"""What the codes of a legacy ERROR ask for in the words of §10.5 (spec/sessions.md §10.4)."""

_LEGACY_QUIET: Final = frozenset(
    {
        ErrorCode.CONNECTION_CLOSED,
        ErrorCode.OTHER_ERROR,
        ErrorCode.SESSION_CLOSED,
        ErrorCode.OTHER_SESSION_ERROR,
        ErrorCode.DISABLED_SESSION,
        ErrorCode.INITIAL_SYNC_NOT_COMPLETED,
    }
)
"""Codes that are not told, as long as the session tries again (spec/sessions.md §10.4, spec/wire-protocol.md §11.5)."""

_LEGACY: Final[Mapping[int, Consequence]] = {
    ErrorCode.BAD_AUTHENTICATION: Consequence(Next.ERROR, True, effect=Effect.INVALIDATE_USER),
    ErrorCode.BAD_ORIGIN_FILE_IDENT: _RESET,
    ErrorCode.BAD_CLIENT_FILE: _RESET,
    ErrorCode.SERVER_FILE_DELETED: _RESET,
    ErrorCode.CLIENT_FILE_BLACKLISTED: _RESET,
    ErrorCode.USER_BLACKLISTED: _RESET,
}
"""Rows of §10.4 that have no action. Those that end in a backup are told as errors of the session, of kind 4."""


def _legacy_action(error: Error) -> ErrorAction | None:
    if error.code in _LEGACY_QUIET:
        return ErrorAction.TRANSIENT if error.try_again else None
    return _LEGACY_ACTIONS.get(error.code)


def consequence(failure: Failure) -> Consequence:
    """What a failure leads to. A client reset is always the manual one here: the file is kept until the application or
    the next start backs it up and deletes it (spec/sessions.md §11)."""
    if failure.status is Status.AUTO_CLIENT_RESET_FAILED:
        found = _RESET
    elif failure.action is not None and failure.action in _BY_ACTION:
        found = _BY_ACTION[failure.action]
    elif failure.is_legacy:
        found = _legacy_consequence(failure)
    else:
        after = Next.ERROR if failure.is_fatal else Next.NONE
        is_told = failure.action is ErrorAction.WARNING or failure.status is not Status.CONNECTION_CLOSED
        found = Consequence(after, report=failure.is_fatal or is_told)
    if found.effect is Effect.REFRESH_TOKEN and failure.server_code is not None:
        return found._replace(next=Next.WAITING)
    if kind_of(failure) is PermissionDeniedError and found.file_action is None and found.report:
        return found._replace(file_action=FileActionKind.DELETE_REALM, is_stored=False)
    return found


def _legacy_consequence(failure: Failure) -> Consequence:
    """The rest of §10.4: told, unless it is about a connection that is made again (§10.3)."""
    code = failure.server_code or 0
    is_told = failure.is_fatal or (code in ERRORS and ERRORS[code].is_session_level)
    return _LEGACY.get(code) or Consequence(Next.ERROR if failure.is_fatal else Next.NONE, is_told)


RESET_ACTIONS: Final = (ErrorAction.CLIENT_RESET, ErrorAction.CLIENT_RESET_NO_RECOVERY)

_BY_STATUS: Final[Mapping[Status, type[SyncError]]] = {
    Status.PERMISSION_DENIED: PermissionDeniedError,
    Status.AUTH_ERROR: ClientUserError,
    Status.INVALID_SUBSCRIPTION_QUERY: SubscriptionFailedError,
    Status.COMPENSATING_WRITE: CompensatingWriteError,
    Status.CONNECT_FAILED: ConnectionFailedError,
    Status.CONNECT_TIMEOUT: ConnectTimeoutError,
    Status.TLS_HANDSHAKE_FAILED: TlsHandshakeFailedError,
    Status.RUNTIME_ERROR: ClientInternalError,
    Status.UNKNOWN_ERROR: ClientInternalError,
    Status.CONNECTION_CLOSED: ClientInternalError,
    Status.LIMIT_EXCEEDED: ClientInternalError,
}
"""Kinds by status (spec/sessions.md §10.3); every other status is of sync itself: :class:`ClientSessionError`."""


#: What the application can do where the file has to go (spec/sessions.md §11).
_RESET_HINT: Final = (
    "this file can be read and written, but not synced any more: call SyncSession.immediately_handle_error with the "
    "error's action_token, or open the Realm in the next run of the program: then it is backed up and begins anew"
)


def kind_of(failure: Failure) -> type[SyncError]:
    """The class of a failure's exception (spec/sessions.md §10.3)."""
    kind = _BY_STATUS.get(failure.status, ClientSessionError)
    if failure.action in RESET_ACTIONS or failure.status is Status.AUTO_CLIENT_RESET_FAILED:
        return ClientResetError
    if failure.action is ErrorAction.WARNING and kind is ClientInternalError and failure.server_code is not None:
        return ServerWarningError
    if failure.is_legacy and failure.server_code in ERRORS:
        return _legacy_kind(ERRORS[failure.server_code], kind)
    return kind


def _legacy_kind(info: ErrorInfo, kind: type[SyncError]) -> type[SyncError]:
    if not info.is_session_level:
        return ClientInternalError
    has_backup = info.code in _LEGACY and info.code != ErrorCode.BAD_AUTHENTICATION
    return ClientSessionError if has_backup or kind in (PermissionDeniedError, ClientInternalError) else kind


def sync_error(failure: Failure, user_info: Mapping[str, Any] | None = None) -> SyncError:
    """The exception that the application sees; ``user_info`` is added to the failure's own details."""
    kind = kind_of(failure)
    info = {**failure.details, **(user_info or {})}
    message = failure.message
    if kind is ClientResetError:
        message = f"{message}; {_RESET_HINT}"
    else:
        info.pop(PATH_OF_REALM_BACKUP_COPY_KEY, None)
    error = kind(
        message,
        server_code=failure.server_code,
        status=failure.status.value,
        action=None if failure.action is None else failure.action.value,
        is_fatal=failure.is_fatal,
        is_unrecognized=failure.is_unrecognized,
        log_url=failure.log_url,
        user_info=info,
    )
    error.__cause__ = failure.cause
    return error
