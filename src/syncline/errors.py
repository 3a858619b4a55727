"""Every error Syncline raises, in one hierarchy.

::

    SynclineError
    ├─ RealmError (code: core's name)              the database (spec/sdk.md §10)
    │    ├─ SchemaError                            a model or a schema is not possible
    │    │    ├─ SchemaValidationError (errors)    breaks the rules of §1.7; lists every problem
    │    │    ├─ InvalidNameError                  a name that no class or property can have
    │    │    ├─ SchemaMismatchError (errors)      the models differ from the file: it has to migrate
    │    │    ├─ InvalidSchemaVersionError (old, new)  the file has another schema version
    │    │    ├─ InvalidSchemaChangeError (errors) a difference that the schema mode does not allow
    │    │    │    └─ InvalidExternalSchemaChangeError  made elsewhere, under an open Realm
    │    │    └─ MigrationFailedError              a migration that could not be completed
    │    ├─ NoSuchTableError (LookupError)         no such class
    │    ├─ InvalidPropertyError (AttributeError)  no such property
    │    ├─ ReadOnlyPropertyError (AttributeError) a property that is computed
    │    ├─ ModifyPrimaryKeyError (AttributeError) a primary key never changes
    │    ├─ MissingPropertyValueError (TypeError)  creating an object needs a value for this
    │    ├─ MissingPrimaryKeyError (ValueError)    this needs a class with a primary key
    │    ├─ ObjectAlreadyExistsError (ValueError; object_class, key)   the primary key is taken
    │    ├─ TypeMismatchError (TypeError)          a value does not fit its property
    │    │    ├─ PropertyNotNullableError (MissingPropertyValueError)  None where there is none
    │    │    └─ ObjectTypeMismatchError           an object of another class
    │    ├─ LimitExceededError (ValueError)        a value is too large or too long
    │    ├─ OutOfBoundsError (IndexError)          no such index
    │    ├─ KeyNotFoundError (KeyError)            no such key in a dictionary
    │    ├─ InvalidDictionaryKeyError (KeyError, ValueError)   a key that no dictionary can have
    │    ├─ IllegalOperationError                  what this kind of object or value does not do
    │    ├─ WrongTransactionStateError (RuntimeError)  not in a write transaction, or in one already
    │    ├─ WriteTimeoutError (TimeoutError)       the write lock was not free in time
    │    ├─ InvalidatedObjectError                 the object was deleted
    │    │    └─ StaleAccessorError                the collection in a Mixed value was replaced
    │    ├─ ClosedRealmError                       the Realm was closed
    │    ├─ WrongThreadError (RuntimeError)        a live object was used on another thread
    │    ├─ QueryError (ValueError)                a query that cannot be asked
    │    │    ├─ QuerySyntaxError (position)       its text does not follow the grammar
    │    │    ├─ QueryTypeError                    it compares what cannot be compared
    │    │    ├─ QueryArgumentError                a value given with it does not fit
    │    │    └─ InvalidSortDescriptorError        a sort or distinct that has no meaning
    │    ├─ ConfigurationError (ValueError)        a configuration that cannot be used
    │    │    ├─ IllegalCombinationError           settings that exclude each other
    │    │    ├─ InvalidEncryptionKeyError         a key that is not 64 bytes long
    │    │    └─ MismatchedConfigError             the Realm is open already with other settings
    │    ├─ FileError (OSError)                    the file cannot be used
    │    │    ├─ InvalidDatabaseError              not a Realm file
    │    │    │    ├─ NewerFormatError             written by a newer Syncline
    │    │    │    ├─ FormatUpgradeRequiredError   written by an older one, and to be left as it is
    │    │    │    └─ DecryptionFailedError        wrong or missing encryption key
    │    │    ├─ RealmFileNotFoundError            there is no file
    │    │    ├─ DiskFullError                     no space left: the transaction was rolled back
    │    │    └─ RealmInUseError                   another agent holds the file
    │    ├─ MultipleSyncAgentsError                another process syncs this file already
    │    └─ NoSubscriptionForWriteError            flexible sync: the object is in no subscription
    ├─ SyncError (code: SyncErrorCode)     what a session reports (spec/sessions.md §10.3)
    │    ├─ ClientSessionError 4      ├─ ClientUserError 5          ├─ ClientInternalError 6
    │    ├─ ClientResetError 7        ├─ UnderlyingAuthError 8      ├─ PermissionDeniedError 9
    │    ├─ SubscriptionFailedError 10├─ CompensatingWriteError 11  ├─ ConnectionFailedError 12
    │    │                                                           └─ ConnectTimeoutError (TimeoutError)
    │    └─ TlsHandshakeFailedError 13└─ ServerWarningError 14
    ├─ SyncAuthError (code: SyncAuthErrorCode, error_code)   login and accounts
    ├─ SyncPermissionError                 permissions and offers
    ├─ AutomaticResetError                 a client reset of its own that became a manual one
    ├─ OperationAbortedError               the session became inactive
    │    └─ OperationCancelledError        the application cancelled
    ├─ InvalidSessionError                 the session has ended
    ├─ ProtocolViolationError              the other side broke the wire protocol (kernel)
    └─ BadChangesetError                   a changeset cannot be used; says where it is bad (kernel)
         ├─ MalformedChangesetError        its bytes cannot be read, or its instructions not be written
         │    ├─ TruncatedChangesetError   it ends inside a record, or announces more than there is
         │    └─ ChangesetLimitError       something in it is larger than allowed
         ├─ TransformError                 two changesets that cannot be merged
         └─ InapplicableChangesetError     it does not fit the Realm it is applied to

The kernel (``changesets``, ``merge``, ``protocol``, ``storage``) raises the last two families; applications see them as
:class:`SyncError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, ClassVar, Final

__all__ = [
    "ERROR_ACTION_TOKEN_KEY",
    "PATH_OF_REALM_BACKUP_COPY_KEY",
    "AutomaticResetError",
    "BadChangesetError",
    "ChangesetLimitError",
    "ClientInternalError",
    "ClientResetError",
    "ClientSessionError",
    "ClientUserError",
    "ClosedRealmError",
    "CompensatingWriteError",
    "ConfigurationError",
    "ConnectTimeoutError",
    "ConnectionFailedError",
    "DecryptionFailedError",
    "DiskFullError",
    "FileError",
    "FormatUpgradeRequiredError",
    "IllegalCombinationError",
    "IllegalOperationError",
    "InapplicableChangesetError",
    "InvalidDatabaseError",
    "InvalidDictionaryKeyError",
    "InvalidEncryptionKeyError",
    "InvalidExternalSchemaChangeError",
    "InvalidNameError",
    "InvalidPropertyError",
    "InvalidSchemaChangeError",
    "InvalidSchemaVersionError",
    "InvalidSessionError",
    "InvalidSortDescriptorError",
    "InvalidatedObjectError",
    "KeyNotFoundError",
    "LimitExceededError",
    "MalformedChangesetError",
    "MigrationFailedError",
    "MismatchedConfigError",
    "MissingPrimaryKeyError",
    "MissingPropertyValueError",
    "ModifyPrimaryKeyError",
    "MultipleSyncAgentsError",
    "NewerFormatError",
    "NoSubscriptionForWriteError",
    "NoSuchTableError",
    "ObjectAlreadyExistsError",
    "ObjectTypeMismatchError",
    "OperationAbortedError",
    "OperationCancelledError",
    "OutOfBoundsError",
    "PermissionDeniedError",
    "PropertyNotNullableError",
    "ProtocolViolationError",
    "QueryArgumentError",
    "QueryError",
    "QuerySyntaxError",
    "QueryTypeError",
    "ReadOnlyPropertyError",
    "RealmError",
    "RealmFileNotFoundError",
    "RealmInUseError",
    "SchemaError",
    "SchemaMismatchError",
    "SchemaValidationError",
    "ServerWarningError",
    "StaleAccessorError",
    "SubscriptionFailedError",
    "SyncAuthError",
    "SyncAuthErrorCode",
    "SyncError",
    "SyncErrorCode",
    "SyncPermissionError",
    "SyncPermissionErrorCode",
    "SynclineError",
    "TlsHandshakeFailedError",
    "TransformError",
    "TruncatedChangesetError",
    "TypeMismatchError",
    "UnderlyingAuthError",
    "WriteTimeoutError",
    "WrongThreadError",
    "WrongTransactionStateError",
]


class SynclineError(Exception):
    """Base of every error that Syncline raises on purpose."""


# --- the database -----------------------------------------------------------------------------------------------------


class RealmError(SynclineError):
    """Base of the database's errors (spec/sdk.md §10). ``code`` is what realm-core calls this kind of error."""

    code: ClassVar[str] = "RuntimeError"


class SchemaError(RealmError):
    """A model class or a schema that cannot be used."""

    code = "SchemaMismatch"


class SchemaValidationError(SchemaError):
    """A schema that breaks the rules of spec/sdk.md §1.7.

    ``errors`` lists every problem found; so does the message, one per line.
    """

    code = "SchemaValidationFailed"

    def __init__(self, message: str, errors: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.errors: tuple[str, ...] = tuple(errors) or (message,)


class InvalidNameError(SchemaError):
    """A name that no class or property can have: empty, too long, or not Unicode (spec/sdk.md §1.6)."""

    code = "InvalidName"


class NoSuchTableError(RealmError, LookupError):
    """A class that the schema does not have."""

    code = "NoSuchTable"


class InvalidPropertyError(RealmError, AttributeError):
    """A property that the class does not have."""

    code = "InvalidProperty"


class ReadOnlyPropertyError(RealmError, AttributeError):
    """An assignment to a property that is computed, such as backlinks."""

    code = "ReadOnlyProperty"


class ModifyPrimaryKeyError(RealmError, AttributeError):
    """An assignment to a primary key, which never changes (spec/sdk.md §1.4)."""

    code = "ModifyPrimaryKey"


class MissingPropertyValueError(RealmError, TypeError):
    """An object that is created without a value for a property that needs one (spec/sdk.md §1.3)."""

    code = "MissingPropertyValue"


class MissingPrimaryKeyError(RealmError, ValueError):
    """An update or a look-up by key for a class without a primary key (spec/sdk.md §6.2)."""

    code = "MissingPrimaryKey"


class ObjectAlreadyExistsError(RealmError, ValueError):
    """An object that is created with a primary key that is taken.

    ``object_class`` is the name of the class, ``key`` the primary key; the message names them.
    """

    code = "ObjectAlreadyExists"

    def __init__(self, object_class: str, key: object) -> None:
        super().__init__(
            f"a {object_class} with the primary key {key!r} exists already; use update=UpdateMode.MODIFIED or "
            "realm.get()"
        )
        self.object_class = object_class
        self.key = key

    def __reduce__(self) -> tuple[type[ObjectAlreadyExistsError], tuple[str, object]]:
        return type(self), (self.object_class, self.key)


class TypeMismatchError(RealmError, TypeError):
    """A value whose type does not fit its property."""

    code = "TypeMismatch"


class PropertyNotNullableError(TypeMismatchError, MissingPropertyValueError):
    """None for a property, or an element, that is not optional: a value is missing (spec/sdk.md §6.1)."""

    code = "PropertyNotNullable"


class ObjectTypeMismatchError(TypeMismatchError):
    """An object of another class than the one a link leads to."""

    code = "ObjectTypeMismatch"


class LimitExceededError(RealmError, ValueError):
    """A value of the right type that is too large or too long."""

    code = "LimitExceeded"


class OutOfBoundsError(RealmError, IndexError):
    """An index beyond the ends of a list or of results."""

    code = "OutOfBounds"


class KeyNotFoundError(RealmError, KeyError):
    """A key that the dictionary does not have."""

    code = "KeyNotFound"
    __str__ = Exception.__str__  # a KeyError would show the repr of its message


class InvalidDictionaryKeyError(RealmError, KeyError, ValueError):
    """A key that no dictionary can have: it begins with ``$`` or holds a ``.`` (spec/sdk.md §1.6)."""

    code = "InvalidDictionaryKey"
    __str__ = Exception.__str__


class IllegalOperationError(RealmError):
    """Something that this kind of object, value or Realm does not do."""

    code = "IllegalOperation"


class WrongTransactionStateError(RealmError, RuntimeError):
    """A write outside a write transaction, or a transaction started twice."""

    code = "WrongTransactionState"


class WriteTimeoutError(RealmError, TimeoutError):
    """The write lock was not free within the given time."""


class InvalidatedObjectError(RealmError):
    """An object that was deleted."""

    code = "InvalidatedObject"


class StaleAccessorError(InvalidatedObjectError):
    """A live collection inside a Mixed value, after another value took its place (spec/sdk.md §1.11)."""

    code = "StaleAccessor"


class ClosedRealmError(RealmError):
    """Use of a Realm, object or query after its Realm was closed."""

    code = "ClosedRealm"


class WrongThreadError(RealmError, RuntimeError):
    """Use of a live Realm or object on a thread other than the one that opened it."""

    code = "WrongThread"


class QueryError(RealmError, ValueError):
    """A query that cannot be understood: the message names the place."""

    code = "InvalidQuery"


class QuerySyntaxError(QueryError):
    """A query text that does not follow the grammar (spec/sdk.md §7.1, §7.2).

    The message shows the text with a mark under the place. ``position``: the offset of that place in the text.
    """

    code = "SyntaxError"

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class QueryTypeError(QueryError):
    """A query that compares what can never be compared, or goes where no path leads (spec/sdk.md §7.4)."""


class QueryArgumentError(QueryError):
    """A value given with a query that is missing, or does not fit what it is compared with (spec/sdk.md §7.9)."""

    code = "InvalidQueryArg"


class InvalidSortDescriptorError(QueryError):
    """Something to sort or to tell apart by that has no single value or no order (spec/sdk.md §7.11)."""

    code = "InvalidSortDescriptor"


class ConfigurationError(RealmError, ValueError):
    """A configuration that cannot be used; raised before any file is touched."""

    code = "IllegalCombination"


class IllegalCombinationError(ConfigurationError):
    """Settings that exclude each other."""

    code = "IllegalCombination"


class MismatchedConfigError(ConfigurationError):
    """The Realm is open in this process already, with settings that do not agree with these (spec/sdk.md §3.2)."""

    code = "MismatchedConfig"


class FileError(RealmError, OSError):
    """The Realm file cannot be opened, read or written."""

    code = "FileAccess"


class InvalidDatabaseError(FileError):
    """The file exists but is not a Realm file."""

    code = "InvalidDatabase"


class NewerFormatError(InvalidDatabaseError):
    """The file was written by a newer version of Syncline."""

    code = "UnsupportedFileFormatVersion"


class FormatUpgradeRequiredError(InvalidDatabaseError):
    """The file was written by an older version of Syncline, and the configuration does not let it be brought up to date
    (``disable_format_upgrade``).
    """

    code = "FileFormatUpgradeRequired"


class DecryptionFailedError(InvalidDatabaseError):
    """The encryption key is wrong or missing."""

    code = "DecryptionFailed"


class DiskFullError(FileError):
    """No space left for the transaction, which was rolled back; nothing of it was kept."""

    code = "OutOfDiskSpace"


class RealmInUseError(FileError):
    """The file is open elsewhere in a way that excludes this use."""

    code = "DeleteOnOpenRealm"


class MultipleSyncAgentsError(RealmError):
    """Another process already syncs this file."""

    code = "MultipleSyncAgents"


class NoSubscriptionForWriteError(RealmError):
    """Flexible sync: a created object is in no subscription."""

    code = "NoSubscriptionForWrite"


# --- the database: its schema -----------------------------------------------------------------------------------------


class _SchemaDifference(SchemaError):
    """``errors``: what is different, one by one; the message says the same."""

    def __init__(self, message: str, errors: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.errors: tuple[str, ...] = tuple(errors) or (message,)


class SchemaMismatchError(_SchemaDifference):
    """The models differ from the file in what needs a migration: configure a higher ``schema_version``."""

    code = "SchemaMismatch"


class InvalidSchemaChangeError(_SchemaDifference):
    """The models differ from the file in what the schema mode does not allow (spec/sdk.md §2.3)."""

    code = "InvalidSchemaChange"


class InvalidExternalSchemaChangeError(InvalidSchemaChangeError):
    """Somebody else changed the schema of an open Realm in a way that its models cannot follow (spec/sdk.md §2.5)."""

    code = "InvalidExternalSchemaChange"


class InvalidSchemaVersionError(SchemaError):
    """The file's schema version is not the configured one and cannot become it (spec/sdk.md §2.2).

    ``old``: the version of the file, None if it has none; ``new``: the version that was asked for.
    """

    code = "InvalidSchemaVersion"

    def __init__(self, message: str, old: int | None = None, new: int | None = None) -> None:
        super().__init__(message)
        self.old = old
        self.new = new


class MigrationFailedError(SchemaError):
    """A migration that could not be completed; the file is as it was before (spec/sdk.md §2.4)."""

    code = "MigrationFailed"


class InvalidEncryptionKeyError(ConfigurationError):
    """An encryption key that is not 64 bytes long (spec/sdk.md §3.5)."""

    code = "InvalidEncryptionKey"


class RealmFileNotFoundError(FileError):
    """There is no Realm file at that path."""

    code = "FileNotFound"


# --- sync -------------------------------------------------------------------------------------------------------------


class SyncErrorCode(IntEnum):
    """Kinds of session errors (spec/sessions.md §10.3)."""

    CLIENT_SESSION = 4
    CLIENT_USER = 5
    CLIENT_INTERNAL = 6
    CLIENT_RESET = 7
    UNDERLYING_AUTH = 8
    PERMISSION_DENIED = 9
    SUBSCRIPTION_FAILED = 10
    COMPENSATING_WRITE = 11
    CONNECTION_FAILED = 12
    TLS_HANDSHAKE_FAILED = 13
    SERVER_WARNING = 14

    # the names of the original for the same kinds
    CLIENT_SESSION_ERROR = 4
    CLIENT_USER_ERROR = 5
    CLIENT_INTERNAL_ERROR = 6
    CLIENT_RESET_ERROR = 7
    UNDERLYING_AUTH_ERROR = 8
    PERMISSION_DENIED_ERROR = 9
    INVALID_FLEXIBLE_SYNC_SUBSCRIPTIONS = 10
    WRITE_REJECTED = 11


PATH_OF_REALM_BACKUP_COPY_KEY: Final = "recovered_realm_location_path"
"""Key of ``SyncError.user_info``: the path of the backup copy of a client reset."""

ERROR_ACTION_TOKEN_KEY: Final = "error_action_token"
"""Key of ``SyncError.user_info``: the token of the error's file action."""


class SyncError(SynclineError):
    """Something a sync session reports to the application.

    ``code`` is the kind; ``status`` what realm-core calls the failure (``SyncConnectFailed``, …) or None;
    ``server_code`` the number on the wire (spec/wire-protocol.md §11) or None; ``action`` what the server told the
    client to do, if anything; ``is_fatal`` says that the session will not go on by itself; ``is_unrecognized`` that
    this client does not know the code; ``log_url`` where the server logged it; ``user_info`` holds the details of
    spec/sessions.md §10.1.
    """

    default_code: ClassVar[SyncErrorCode] = SyncErrorCode.CLIENT_INTERNAL
    domain: ClassVar[str] = "io.realm.sync"

    def __init__(
        self,
        message: str,
        *,
        code: SyncErrorCode | None = None,
        server_code: int | None = None,
        status: str | None = None,
        action: str | None = None,
        is_fatal: bool = False,
        is_unrecognized: bool = False,
        log_url: str = "",
        user_info: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = self.default_code if code is None else code
        self.server_code = server_code
        self.status = status
        self.action = action
        self.is_fatal = is_fatal
        self.is_unrecognized = is_unrecognized
        self.log_url = log_url
        self.user_info: Mapping[str, Any] = dict(user_info or {})

    @property
    def status_code(self) -> int | None:
        """The same as :attr:`server_code`, by the name of the first SDKs (spec/sessions.md §10.1)."""
        return self.server_code

    @property
    def action_token(self) -> Any:
        """The :class:`~syncline.sync.ErrorActionToken` for ``SyncSession.immediately_handle_error``, or None."""
        return self.user_info.get(ERROR_ACTION_TOKEN_KEY)

    @property
    def backup_path(self) -> str | None:
        """Client reset only: where the backup copy of the Realm *will* be."""
        return self.user_info.get(PATH_OF_REALM_BACKUP_COPY_KEY)

    @property
    def compensating_writes(self) -> list[tuple[str, Any, str]]:
        """(class, primary key, reason) of each object whose change the server has undone."""
        return list(self.user_info.get("compensating_writes", ()))


class ClientSessionError(SyncError):
    """The server ended or refused this session, or broke the protocol in it."""

    default_code = SyncErrorCode.CLIENT_SESSION


class ClientUserError(SyncError):
    """The user is not let in any more: the token is refused, or not renewed."""

    default_code = SyncErrorCode.CLIENT_USER


class ClientInternalError(SyncError):
    """Something failed that is neither the session's nor the user's: the connection, our own file."""

    default_code = SyncErrorCode.CLIENT_INTERNAL


class ClientResetError(SyncError):
    """The server does not know this file any more, which has to begin anew: see :attr:`action_token` and
    :attr:`backup_path`."""

    default_code = SyncErrorCode.CLIENT_RESET


class UnderlyingAuthError(SyncError):
    """A request for an access token failed (servers of the first generation only)."""

    default_code = SyncErrorCode.UNDERLYING_AUTH


class PermissionDeniedError(SyncError):
    """The user may not sync this Realm; :attr:`action_token` deletes the local file."""

    default_code = SyncErrorCode.PERMISSION_DENIED


class SubscriptionFailedError(SyncError):
    """Flexible sync: the server refused a subscription."""

    default_code = SyncErrorCode.SUBSCRIPTION_FAILED


class CompensatingWriteError(SyncError):
    """The server has undone changes of ours: :attr:`compensating_writes`. The session goes on."""

    default_code = SyncErrorCode.COMPENSATING_WRITE


class ConnectionFailedError(SyncError):
    """The server cannot be reached, or is not a sync server."""

    default_code = SyncErrorCode.CONNECTION_FAILED


class ConnectTimeoutError(ConnectionFailedError, TimeoutError):
    """The server did not answer in time."""


class TlsHandshakeFailedError(SyncError):
    """The server's certificate is not trusted."""

    default_code = SyncErrorCode.TLS_HANDSHAKE_FAILED


class ServerWarningError(SyncError):
    """The server has something to say; the session goes on unless it is fatal."""

    default_code = SyncErrorCode.SERVER_WARNING


class SyncAuthErrorCode(IntEnum):
    """Kinds of login errors (spec/README.md, *Public names*)."""

    BAD_RESPONSE = 1
    BAD_REMOTE_REALM_PATH = 2
    UNKNOWN = 3
    CLIENT_SESSION_ERROR = 4
    INVALID_PARAMETERS = 601
    MISSING_PARAMETER = 602
    INVALID_CREDENTIALS = 611
    UNKNOWN_ACCOUNT = 612
    EXISTING_ACCOUNT = 613
    ACCESS_DENIED = 614
    EXPIRED_TOKEN = 615
    EXPIRED_PERMISSION_OFFER = 701
    AMBIGUOUS_PERMISSION_OFFER = 702
    FILE_CANNOT_BE_SHARED = 703


class SyncAuthError(SynclineError):
    """A login or account call that the server refused; ``error_code`` is the server's own word for it."""

    domain: ClassVar[str] = "io.realm.sync.auth"

    def __init__(
        self,
        message: str,
        *,
        code: SyncAuthErrorCode = SyncAuthErrorCode.UNKNOWN,
        error_code: str | None = None,
        http_status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.error_code = error_code
        self.http_status = http_status

    @property
    def user_info(self) -> Mapping[str, Any]:
        """``statusCode``: the HTTP status, where the server answered (spec/sessions.md §10.1)."""
        return {} if self.http_status is None else {"statusCode": self.http_status}


class SyncPermissionErrorCode(IntEnum):
    """What a permission or offer call was to do when it failed (spec/sessions.md §10.3)."""

    CHANGE_FAILED = 1
    GET_FAILED = 2
    OFFER_FAILED = 3
    ACCEPT_OFFER_FAILED = 4
    INTERNAL = 5


class SyncPermissionError(SynclineError):
    """A permission or offer call that failed; ``code`` says which."""

    domain: ClassVar[str] = "io.realm.sync.permission"

    def __init__(self, message: str, *, code: SyncPermissionErrorCode = SyncPermissionErrorCode.INTERNAL) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class AutomaticResetError(SynclineError):
    """Why an automatic client reset was not done: the cause of the :class:`ClientResetError` that it became."""


class OperationAbortedError(SynclineError):
    """A wait ended because the session became inactive."""


class OperationCancelledError(OperationAbortedError):
    """A wait ended because the application cancelled it."""


class InvalidSessionError(SynclineError):
    """The session has ended and cannot be used any more."""


# --- the kernel -------------------------------------------------------------------------------------------------------


class ProtocolViolationError(SynclineError):
    """A message that breaks the wire protocol (spec/wire-protocol.md §4, §6.3).

    ``code`` is the wire error code with which a server answers it (§11): 103 bad syntax, 101, 104, 106, 107, 109.
    """

    def __init__(self, message: str, *, code: int = 103) -> None:
        super().__init__(message)
        self.code = code


class BadChangesetError(SynclineError):
    """A changeset that cannot be read, merged or applied; nothing of it is kept (wire error 212).

    ``reason`` says what is wrong. Where it is, as far as known: ``offset`` is the byte offset in the changeset,
    ``instruction`` the number of the instruction (from 0), ``subject`` what that is ("Update of Person[…].age"), and
    ``source`` tells the changeset ("version 7 of client file 3"). Whoever knows more of the place than the one who
    raised the error sets these attributes. The text of the error is made of them all; it names classes and properties,
    but no values, keys that are strings, and keys of dictionaries: it can be logged, and sent to the other side.
    """

    def __init__(
        self, reason: str, *, offset: int | None = None, instruction: int | None = None, subject: str = ""
    ) -> None:
        if len(reason) > _MAX_REASON:
            reason = reason[:_MAX_REASON] + "…"
        super().__init__(reason)
        self.reason = reason
        self.offset = offset
        self.instruction = instruction
        self.subject = subject
        self.source = ""

    def __str__(self) -> str:
        text = self.reason
        if self.offset is not None:
            text += f" at byte {self.offset}"
        if self.instruction is not None:
            text += f" (instruction {self.instruction}{': ' if self.subject else ''}{self.subject})"
        elif self.subject:
            text += f" ({self.subject})"
        if self.source:
            text += f" in {self.source}"
        return text


#: A longer reason is cut: names in bad changesets can have megabytes.
_MAX_REASON: Final = 1000


class MalformedChangesetError(BadChangesetError):
    """Bytes that are no changeset (spec/changesets.md §2 to §6), or instructions that no peer could read."""


class TruncatedChangesetError(MalformedChangesetError):
    """A changeset that ends inside a record, or announces more bytes than it has."""


class ChangesetLimitError(MalformedChangesetError):
    """Something in a changeset is larger than allowed: a string, a path, the number of instructions."""


class TransformError(BadChangesetError):
    """Two changesets that contradict each other in a way no rule resolves (spec/merge.md §6)."""


class InapplicableChangesetError(BadChangesetError):
    """A changeset that does not fit the Realm it is applied to (spec/changesets.md §10, spec/merge.md §7).

    ``culprit`` is the instruction that was refused, as it was after merging.
    """

    culprit: Any = None
