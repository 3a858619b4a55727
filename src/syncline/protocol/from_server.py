"""Messages from servers: reading them (the client) and writing them (the server) (spec/wire-protocol.md §7)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, Final

from syncline.changesets.changeset import DownloadCursor, SaltedVersion, SyncProgress, UploadCursor
from syncline.errors import ProtocolViolationError
from syncline.protocol.backoff import BackoffParameters
from syncline.protocol.bodies import decode_download_entries, read_body
from syncline.protocol.errors import ErrorAction, ErrorCode
from syncline.protocol.head import MessageReader
from syncline.protocol.json_text import clean_text, parse_object
from syncline.protocol.messages import (
    BatchState,
    Body,
    ClientFileIdent,
    Download,
    Error,
    LogMessage,
    Mark,
    Pong,
    QueryError,
    RejectedUpdate,
    ServerIdent,
    ServerMessage,
    TestCommand,
    Unbound,
)
from syncline.protocol.settings import Limits, SyncMode

__all__ = [
    "LOG_LEVELS",
    "build_any_error",
    "build_download",
    "build_error",
    "build_json_error",
    "build_log_message",
    "build_pong",
    "build_query_error",
    "build_server_ident",
    "build_unbound",
    "parse_server_message",
]

#: Levels of LOG_MESSAGE; any other word kills the connection of a C++ client.
LOG_LEVELS: Final = frozenset({"fatal", "error", "warn", "info", "detail", "debug", "trace"})

_Parser = Callable[[MessageReader, SyncMode, int, Limits], ServerMessage]


def parse_server_message(data: bytes, mode: SyncMode, version: int, limits: Limits) -> ServerMessage:
    """Read one WebSocket message of a server.

    In flexible sync below version 14 the batch state is a flag: anything but 0 gives LAST_IN_BATCH, and the receiver
    tells steady state by the query version (spec/wire-protocol.md §8.6).

    Raises:
        ProtocolViolationError: the connection must end.
    """
    reader = MessageReader(data, limits.head, limits.message)
    parser = _PARSERS.get(reader.name)
    if parser is None:
        raise ProtocolViolationError(f"unknown message {reader.name[:50]!r}")
    message = parser(reader, mode, version, limits)
    reader.end()
    return message


def _parse_ident(reader: MessageReader, mode: SyncMode, version: int, limits: Limits) -> ServerMessage:
    head = reader.head
    session = head.uint("session ident")
    return ServerIdent(session, ClientFileIdent(head.positive("client file ident"), head.positive("salt")))


def _parse_download(reader: MessageReader, mode: SyncMode, version: int, limits: Limits) -> ServerMessage:
    head = reader.head
    session = head.uint("session ident")
    download = DownloadCursor(head.uint("download server version"), head.uint("download client version"))
    latest = SaltedVersion(head.uint("latest server version"), head.uint("latest server version salt"))
    upload = UploadCursor(head.uint("upload client version"), head.uint("upload server version"))
    downloadable = 0
    query_version = 0
    state = BatchState.STEADY_STATE
    estimate = 1.0
    if mode is SyncMode.PBS:
        downloadable = head.uint("downloadable bytes")
    else:
        query_version = head.uint("query version")
        state = _batch_state(reader, version)
        # Before version 12 the field is an integer that says nothing (it is always 0).
        estimate = head.fraction("progress") if version >= 12 else min(head.uint("progress"), 1)
    is_compressed = head.flag("is body compressed")
    size = head.uint("uncompressed body size")
    body = read_body(reader, is_compressed, size, head.uint("compressed body size"), limits)
    entries = decode_download_entries(body, limits)
    progress = SyncProgress(latest, download, upload)
    return Download(session, progress, downloadable, entries, query_version, state, estimate)


def _batch_state(reader: MessageReader, version: int) -> BatchState:
    if version < 14:
        return BatchState.LAST_IN_BATCH if reader.head.flag("batch state") else BatchState.MORE_TO_COME
    value = reader.head.uint("batch state")
    if value > BatchState.STEADY_STATE:
        raise ProtocolViolationError(f"download: batch state is {value}, expected 0, 1 or 2")
    return BatchState(value)


def _parse_mark(reader: MessageReader, mode: SyncMode, version: int, limits: Limits) -> ServerMessage:
    return Mark(reader.head.uint("session ident"), reader.head.uint("request ident"))


def _parse_unbound(reader: MessageReader, mode: SyncMode, version: int, limits: Limits) -> ServerMessage:
    return Unbound(reader.head.uint("session ident"))


def _parse_pong(reader: MessageReader, mode: SyncMode, version: int, limits: Limits) -> ServerMessage:
    return Pong(reader.head.uint("timestamp"))


def _parse_query_error(reader: MessageReader, mode: SyncMode, version: int, limits: Limits) -> ServerMessage:
    head = reader.head
    code = head.uint("error code")
    size = head.size("message size", limits.text)
    session = head.uint("session ident")
    query_version = head.uint("query version")
    if mode is SyncMode.PBS or session == 0:
        raise ProtocolViolationError("query_error: only sessions of flexible sync have queries")
    return QueryError(session, code, reader.take_text(size, "the message"), query_version)


def _parse_error(reader: MessageReader, mode: SyncMode, version: int, limits: Limits) -> ServerMessage:
    head = reader.head
    code = head.uint("error code")
    size = head.size("message size", limits.text)
    try_again = head.flag("try again")
    session = head.uint("session ident")
    message = reader.take(size, "the message").decode("utf-8", "replace")
    if code in (ErrorCode.COMPENSATING_WRITE, ErrorCode.SCHEMA_VERSION_CHANGED, ErrorCode.MIGRATE_TO_FLX):
        raise ProtocolViolationError(f"error: code {code} needs details that only a json_error carries")
    return Error(session, code, message, try_again)


def _parse_json_error(reader: MessageReader, mode: SyncMode, version: int, limits: Limits) -> ServerMessage:
    head = reader.head
    code = head.uint("error code")
    size = head.size("message size", limits.text)
    session = head.uint("session ident")
    values = _JsonFields(parse_object(reader.take_text(size, "the message"), "json_error"))
    no_recovery = values.flag("isRecoveryModeDisabled")
    reset = values.flag("shouldClientReset")
    has_action = version >= 7 or values.has("action")
    action = _action(values.text("action")) if has_action else _legacy_action(reset, no_recovery)
    updates = _rejected_updates(values)
    return Error(
        session=session,
        code=code,
        message=values.text("message"),
        try_again=values.flag("tryAgain"),
        action=action,
        log_url=values.text("logURL"),
        should_client_reset=reset,
        is_recovery_mode_disabled=no_recovery,
        backoff=_backoff(values) if values.has("backoffIntervalSec") else None,
        partition_query=_partition_query(values) if code == ErrorCode.MIGRATE_TO_FLX else None,
        previous_schema_version=values.uint("previousSchemaVersion")
        if code == ErrorCode.SCHEMA_VERSION_CHANGED
        else None,
        rejected_updates=updates or (),
        rejected_client_version=None if updates is None else values.uint("rejectedClientVersion"),
        compensating_write_server_version=(
            values.uint("compensatingWriteServerVersion") if code == ErrorCode.COMPENSATING_WRITE else None
        ),
    )


def _action(text: str) -> ErrorAction:
    try:
        return ErrorAction(text)
    except ValueError:
        return ErrorAction.APPLICATION_BUG


def _legacy_action(should_client_reset: bool, no_recovery: bool) -> ErrorAction | None:
    """What versions 4 to 6, which have no ``action``, mean (spec/wire-protocol.md §11.5)."""
    if not should_client_reset:
        return None
    return ErrorAction.CLIENT_RESET_NO_RECOVERY if no_recovery else ErrorAction.CLIENT_RESET


def _backoff(values: _JsonFields) -> BackoffParameters:
    return BackoffParameters(
        initial_ms=values.uint("backoffIntervalSec") * 1000,
        maximum_ms=values.uint("backoffMaxDelaySec") * 1000,
        multiplier=max(1, values.uint("backoffMultiplier")),
    )


def _partition_query(values: _JsonFields) -> str:
    query = values.text("partitionQuery")
    if not query:
        raise ProtocolViolationError("json_error: partitionQuery is empty")
    return query


def _rejected_updates(values: _JsonFields) -> tuple[RejectedUpdate, ...] | None:
    if not values.has("rejectedUpdates"):
        return None
    updates: list[RejectedUpdate] = []
    for item in values.objects("rejectedUpdates"):
        update = RejectedUpdate(item.text("table"), item.text("pk"), item.text("reason"))
        try:
            base64.b64decode(update.primary_key, validate=True)
        except (ValueError, binascii.Error) as error:
            raise ProtocolViolationError("json_error: pk of a rejected update is not base64") from error
        updates.append(update)
    return tuple(updates)


def _parse_log_message(reader: MessageReader, mode: SyncMode, version: int, limits: Limits) -> ServerMessage:
    head = reader.head
    session = head.uint("session ident")
    values = parse_object(reader.take_text(head.size("size", limits.text), "the message"), "log_message")
    level = values.get("level")
    message = values.get("msg")
    connection = values.get("co_id")
    text = clean_text(message) if isinstance(message, str) else ""
    word = level if isinstance(level, str) else "debug"
    if word not in LOG_LEVELS:
        if text:
            raise ProtocolViolationError(f"log_message: unknown level {word[:50]!r}")
        word = "debug"
    return LogMessage(session, word, text, clean_text(connection) if isinstance(connection, str) else "")


def _parse_test_command(reader: MessageReader, mode: SyncMode, version: int, limits: Limits) -> ServerMessage:
    head = reader.head
    session = head.uint("session ident")
    request = head.uint("request ident")
    return TestCommand(session, request, reader.take_text(head.size("size", limits.text), "the answer"))


_PARSERS: Final[dict[str, _Parser]] = {
    "ident": _parse_ident,
    "download": _parse_download,
    "mark": _parse_mark,
    "unbound": _parse_unbound,
    "pong": _parse_pong,
    "query_error": _parse_query_error,
    "error": _parse_error,
    "json_error": _parse_json_error,
    "log_message": _parse_log_message,
    "test_command": _parse_test_command,
}


class _JsonFields:
    """Fields of a JSON object that must have the right types."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def has(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str) -> str:
        value = self._values.get(key)
        if not isinstance(value, str):
            raise self._bad(key, "a string")
        return clean_text(value)

    def flag(self, key: str) -> bool:
        value = self._values.get(key)
        if not isinstance(value, bool):
            raise self._bad(key, "true or false")
        return value

    def uint(self, key: str) -> int:
        value = self._values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
            raise self._bad(key, "an unsigned integer")
        return value

    def objects(self, key: str) -> list[_JsonFields]:
        value = self._values.get(key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._bad(key, "a list of objects")
        return [_JsonFields(item) for item in value]

    def _bad(self, key: str, expected: str) -> ProtocolViolationError:
        return ProtocolViolationError(f"json_error: {key} is missing or not {expected}")


# --- writing ----------------------------------------------------------------------------------------------------------


def build_server_ident(session: int, file_ident: ClientFileIdent) -> bytes:
    """IDENT of the server: a new client file."""
    return b"ident %d %d %d\n" % (session, *file_ident)


def build_download(
    session: int,
    progress: SyncProgress,
    body: Body,
    *,
    mode: SyncMode,
    version: int,
    downloadable_bytes: int = 0,
    query_version: int = 0,
    batch_state: BatchState = BatchState.STEADY_STATE,
    estimate: float = 1.0,
) -> bytes:
    """DOWNLOAD around a body, in the layout of the mode and version (spec/wire-protocol.md §7.5, §8.6)."""
    if mode is SyncMode.PBS:
        middle = b"%d" % downloadable_bytes
    else:
        state = min(batch_state, BatchState.LAST_IN_BATCH) if version < 14 else batch_state
        middle = b"%d %d %s" % (query_version, state, _estimate(estimate, version))
    compressed_size = len(body.data) if body.is_compressed else 0
    head = b"download %d %d %d %d %d %d %d %s %d %d %d\n" % (
        session,
        *progress.download,
        *progress.latest_server_version,
        *progress.upload,
        middle,
        body.is_compressed,
        body.uncompressed_size,
        compressed_size,
    )
    return head + body.data


def _estimate(fraction: float, version: int) -> bytes:
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"the estimate of a DOWNLOAD is a fraction from 0 to 1, not {fraction}")
    if version < 12:
        return b"0"
    # Rounded down, so that 1 means complete; at most four decimals, as many as clients store.
    return (b"%.4f" % (int(fraction * 10_000) / 10_000)).rstrip(b"0").rstrip(b".")


def build_query_error(session: int, query_version: int, code: int, message: str) -> bytes:
    """QUERY_ERROR; note the order of its fields."""
    text = clean_text(message).encode()
    return b"query_error %d %d %d %d\n" % (code, len(text), session, query_version) + text


def build_unbound(session: int) -> bytes:
    """UNBOUND."""
    return b"unbound %d\n" % session


def build_pong(timestamp: int) -> bytes:
    """PONG with the timestamp of its PING."""
    return b"pong %d\n" % timestamp


def build_error(error: Error) -> bytes:
    """The legacy ERROR, for clients before protocol 4."""
    text = clean_text(error.message).encode()
    return b"error %d %d %d %d\n" % (error.code, len(text), error.try_again, error.session) + text


def build_json_error(error: Error) -> bytes:
    """JSON_ERROR; one layout serves versions 4 to 14 (spec/wire-protocol.md §7.9, §11.5)."""
    action = error.action or ErrorAction.APPLICATION_BUG
    no_recovery = action is ErrorAction.CLIENT_RESET_NO_RECOVERY
    values: dict[str, object] = {
        "action": str(action),
        "isRecoveryModeDisabled": error.is_recovery_mode_disabled or no_recovery,
        "logURL": error.log_url,
        "message": clean_text(error.message),
        "shouldClientReset": error.should_client_reset or no_recovery or action is ErrorAction.CLIENT_RESET,
        "tryAgain": error.try_again,
    }
    if error.backoff is not None:
        values["backoffIntervalSec"] = error.backoff.initial_ms // 1000
        values["backoffMaxDelaySec"] = error.backoff.maximum_ms // 1000
        values["backoffMultiplier"] = error.backoff.multiplier
    if error.partition_query is not None:
        values["partitionQuery"] = error.partition_query
    if error.previous_schema_version is not None:
        values["previousSchemaVersion"] = error.previous_schema_version
    if error.rejected_client_version is not None:
        values["rejectedClientVersion"] = error.rejected_client_version
        values["rejectedUpdates"] = [
            {"pk": update.primary_key, "reason": clean_text(update.reason), "table": update.table}
            for update in error.rejected_updates
        ]
    if error.compensating_write_server_version is not None:
        values["compensatingWriteServerVersion"] = error.compensating_write_server_version
    text = json.dumps(values, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    return b"json_error %d %d %d\n" % (error.code, len(text), error.session) + text


def build_any_error(error: Error, version: int) -> bytes:
    """JSON_ERROR from version 4 on, before that ERROR."""
    return build_json_error(error) if version >= 4 else build_error(error)


def build_log_message(log: LogMessage) -> bytes:
    """LOG_MESSAGE, for clients of protocol 10 and later."""
    values = {"level": log.level, "msg": clean_text(log.message)}
    if log.connection_id:
        values["co_id"] = log.connection_id
    text = json.dumps(values, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    return b"log_message %d %d\n" % (log.session, len(text)) + text
