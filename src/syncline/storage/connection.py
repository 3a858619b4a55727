"""Opening SQLite connections on a Realm file, and saying what is wrong with it (spec/sdk.md §13.1, §13.9)."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import apsw

from syncline.errors import (
    DecryptionFailedError,
    DiskFullError,
    FileError,
    InvalidDatabaseError,
    InvalidEncryptionKeyError,
    NewerFormatError,
    RealmError,
    WriteTimeoutError,
)
from syncline.storage import query_functions

__all__ = [
    "APPLICATION_ID",
    "FORMAT",
    "check_header",
    "check_identity",
    "configure",
    "connect",
    "meaning",
    "page_key",
    "translating",
]

#: "SYNC": what ``PRAGMA application_id`` says of a Realm file.
APPLICATION_ID: Final = 0x53594E43
#: ``PRAGMA user_version``: the storage format this code reads and writes.
FORMAT: Final = 1

_MAGIC: Final = b"SQLite format 3\0"
_KEY_LENGTH: Final = 64
#: What the cipher leaves readable in the header of an encrypted file: the reserved size and three constants of SQLite.
_CIPHER_MARK: Final = bytes((32, 64, 32, 32))
#: How long to wait for a tool that is not ours and has locked the database (milliseconds).
_BUSY_MS: Final = 10_000


def page_key(encryption_key: bytes) -> bytes:
    """The raw 32-byte cipher key: HKDF-SHA-256 over all 64 bytes, without salt (RFC 5869; spec/sdk.md §13.9)."""
    if len(encryption_key) != _KEY_LENGTH:
        raise InvalidEncryptionKeyError(
            f"an encryption key has exactly {_KEY_LENGTH} bytes, this one has {len(encryption_key)}"
        )
    extracted = hmac.digest(bytes(32), encryption_key, hashlib.sha256)
    return hmac.digest(extracted, b"syncline page key 1\x01", hashlib.sha256)


def connect(
    path: str,
    key: bytes | None,
    *,
    writable: bool,
    create: bool = False,
    immutable: bool = False,
    durable: bool = True,
    vfs: str | None = None,
) -> apsw.Connection:
    """A connection with the settings every Realm connection has; ``key`` is a :func:`page_key`.

    Without ``writable`` the connection can only query. ``create``: where there is no file, it is made. ``immutable``
    promises that nobody writes the file meanwhile (read-only media). ``durable`` False gives up safety against power
    cuts, for files in memory.
    """
    if immutable:
        name = f"file:{_uri_quoted(path)}?immutable=1"
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    else:
        name = path
        flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    connection = apsw.Connection(name, flags=flags, vfs=vfs, statementcachesize=200)
    try:
        configure(connection, key, writable=writable, durable=durable)
    except BaseException:
        connection.close(True)
        raise
    return connection


def _uri_quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def configure(connection: apsw.Connection, key: bytes | None, *, writable: bool, durable: bool) -> None:
    """Give a new connection the settings every Realm connection has; the parameters are those of :func:`connect`."""
    if key is not None:
        connection.pragma("cipher", "chacha20")
        connection.pragma("key", "raw:" + key.hex())
    connection.set_busy_timeout(_BUSY_MS)
    query_functions.register(connection)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)  # what a hostile file could bring along has no power
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)
    connection.execute("PRAGMA temp_store=MEMORY")
    if writable:
        connection.execute("PRAGMA synchronous=FULL" if durable else "PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-16000; PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=16777216")
        connection.execute("PRAGMA legacy_alter_table=ON")  # tables change first, their readable views at the commit
    else:
        connection.execute("PRAGMA query_only=ON")


def check_header(path: str, encrypted: bool) -> bool:
    """Look at the first bytes of ``path``: False when there is no file or nothing in it.

    Raises InvalidDatabaseError or DecryptionFailedError when it cannot be what the caller has a key, or no key, for.
    """
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):  # a pipe would be waited for
        raise FileError(f"{path} is no file")
    try:
        with open(path, "rb") as file:
            head = file.read(24)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    if not head:
        return False
    if head.startswith(_MAGIC):
        if encrypted:
            raise DecryptionFailedError(
                f"{path} is not encrypted; open it without a key, or write an encrypted copy of it"
            )
        return True
    if head[20:24] != _CIPHER_MARK:
        raise InvalidDatabaseError(f"{path} is not a Realm file")
    if not encrypted:
        raise DecryptionFailedError(f"{path} is encrypted; open it with its encryption key")
    return True


def check_identity(connection: apsw.Connection, path: str) -> bool:
    """Whether the database is a Realm of ours: False for one in which nothing was made yet.

    Raises DecryptionFailedError for a wrong key, InvalidDatabaseError for somebody else's database, NewerFormatError.
    """
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    if application == 0 and version == 0 and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall():
        return False
    if application != APPLICATION_ID:
        raise InvalidDatabaseError(f"{path} is a database, but not a Realm file")
    if version > FORMAT:
        raise NewerFormatError(
            f"{path} has storage format {version}, this Syncline reads up to {FORMAT}: install a newer Syncline"
        )
    return True


#: Errors that come from the file and its surroundings; any other database error is a defect of ours.
_OF_THE_FILE: Final = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.FullError,
    apsw.IOError,
    apsw.NoLFSError,
    apsw.NotADBError,
    apsw.PermissionsError,
    apsw.ReadOnlyError,
)


@contextmanager
def translating(path: str) -> Iterator[None]:
    """Raise what a database error means for the user of the Realm at ``path`` instead of the error itself.

    DiskFullError, WriteTimeoutError (another program has the database locked), DecryptionFailedError, FileError.
    """
    try:
        yield
    except _OF_THE_FILE as error:
        raise meaning(error, path) from error


def meaning(error: apsw.Error | UnicodeDecodeError, path: str) -> RealmError:
    """What an error of the file, or text in it that is none, means for the user of the Realm at ``path``."""
    if isinstance(error, apsw.FullError):
        return DiskFullError(
            f"no space left for {path}: the write transaction was rolled back; free some space and try again"
        )
    if isinstance(error, apsw.BusyError):
        return WriteTimeoutError(f"{path} is locked by another program; close the tool that has it open")
    if isinstance(error, apsw.NotADBError):
        return DecryptionFailedError(f"{path} cannot be decrypted: the encryption key is wrong, or the file is damaged")
    if isinstance(error, (apsw.CorruptError, UnicodeDecodeError)):
        return FileError(f"{path} is damaged ({error}); restore it from a backup, or delete it and download it again")
    if isinstance(error, (apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError)):
        return FileError(f"no permission to open or write {path} ({error}); a Realm and its directory must be writable")
    return FileError(f"cannot read or write {path}: {error}")
