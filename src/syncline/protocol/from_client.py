"""Messages from clients: reading them (the server) and writing them (the client) (spec/wire-protocol.md §7)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from syncline.changesets.changeset import DownloadCursor, SaltedVersion, UploadCursor
from syncline.errors import ProtocolViolationError
from syncline.protocol.bodies import decode_upload_entries, read_body
from syncline.protocol.head import MessageReader
from syncline.protocol.json_text import clean_text, parse_object
from syncline.protocol.messages import (
    Bind,
    Body,
    ClientFileIdent,
    ClientJsonError,
    ClientMessage,
    FlexibleBind,
    Ident,
    Mark,
    Ping,
    Query,
    Refresh,
    RemovedRequest,
    TestCommand,
    Unbind,
    Upload,
)
from syncline.protocol.settings import Limits, SyncMode

__all__ = [
    "build_bind",
    "build_client_json_error",
    "build_ident",
    "build_mark",
    "build_ping",
    "build_query",
    "build_refresh",
    "build_test_command",
    "build_unbind",
    "build_upload",
    "parse_client_message",
]

_Parser = Callable[[MessageReader, SyncMode, Limits], ClientMessage]


def parse_client_message(data: bytes, mode: SyncMode, limits: Limits) -> ClientMessage:
    """Read one WebSocket message of a client; its layout is the same in all versions.

    Raises:
        ProtocolViolationError: with the code a server answers.
    """
    reader = MessageReader(data, limits.head, limits.message)
    parser = _PARSERS.get(reader.name)
    if parser is None:
        raise ProtocolViolationError(f"unknown message {reader.name[:50]!r}")
    message = parser(reader, mode, limits)
    reader.end()
    return message


def _parse_bind(reader: MessageReader, mode: SyncMode, limits: Limits) -> ClientMessage:
    head = reader.head
    session = head.uint("session ident")
    flexible = mode is SyncMode.FLX
    path_size = head.size("path size", limits.bind_json if flexible else limits.path)
    token_size = head.size("token size", limits.token)
    need_ident = head.flag("need client file ident")
    is_subserver = head.flag("is subserver")
    first = reader.take_text(path_size, "the path")
    token = reader.take_text(token_size, "the token")
    if flexible:
        return Bind(session, "", token, need_ident, is_subserver, _flexible_bind(first))
    if not first:
        raise ProtocolViolationError("bind: the path is empty")
    return Bind(session, first, token, need_ident, is_subserver)


def _flexible_bind(text: str) -> FlexibleBind:
    if not text:
        return FlexibleBind()
    values = parse_object(text, "bind")
    partition = values.get("migratedPartition")
    if partition is not None and not isinstance(partition, str):
        raise ProtocolViolationError("bind: migratedPartition is not a string")
    return FlexibleBind(
        session_reason=_bind_number(values, "sessionReason"),
        schema_version=_bind_number(values, "schemaVersion"),
        migrated_partition=None if partition is None else clean_text(partition),
    )


def _bind_number(values: dict[str, Any], key: str) -> int:
    value = values.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**64:
        raise ProtocolViolationError(f"bind: {key} is not an unsigned integer")
    return value


def _parse_ident(reader: MessageReader, mode: SyncMode, limits: Limits) -> ClientMessage:
    head = reader.head
    session = head.uint("session ident")
    file_ident = ClientFileIdent(head.uint("client file ident"), head.uint("client file ident salt"))
    download = DownloadCursor(head.uint("download server version"), head.uint("download client version"))
    latest = SaltedVersion(head.uint("latest server version"), head.uint("latest server version salt"))
    if mode is SyncMode.PBS:
        return Ident(session, file_ident, download, latest)
    query_version = head.uint("query version")
    query = reader.take_text(head.size("query size", limits.query), "the query")
    return Ident(session, file_ident, download, latest, query_version, query)


def _parse_upload(reader: MessageReader, mode: SyncMode, limits: Limits) -> ClientMessage:
    head = reader.head
    session = head.uint("session ident")
    is_compressed = head.flag("is body compressed")
    size = head.uint("uncompressed body size")
    compressed_size = head.uint("compressed body size")
    progress = UploadCursor(head.uint("progress client version"), head.uint("progress server version"))
    locked = head.uint("locked server version")
    body = read_body(reader, is_compressed, size, compressed_size, limits)
    return Upload(session, progress, locked, decode_upload_entries(body, limits))


def _parse_query(reader: MessageReader, mode: SyncMode, limits: Limits) -> ClientMessage:
    if mode is SyncMode.PBS:
        raise ProtocolViolationError("query: only flexible sync has queries")
    head = reader.head
    session = head.uint("session ident")
    query_version = head.uint("query version")
    return Query(session, query_version, reader.take_text(head.size("query size", limits.query), "the query"))


def _parse_mark(reader: MessageReader, mode: SyncMode, limits: Limits) -> ClientMessage:
    return Mark(reader.head.uint("session ident"), reader.head.uint("request ident"))


def _parse_unbind(reader: MessageReader, mode: SyncMode, limits: Limits) -> ClientMessage:
    return Unbind(reader.head.uint("session ident"))


def _parse_json_error(reader: MessageReader, mode: SyncMode, limits: Limits) -> ClientMessage:
    head = reader.head
    code = head.uint("error code")
    size = head.size("message size", limits.text)
    session = head.uint("session ident")
    values = parse_object(reader.take_text(size, "the message"), "json_error")
    message = values.get("message", "")
    return ClientJsonError(session, code, clean_text(message) if isinstance(message, str) else "")


def _parse_ping(reader: MessageReader, mode: SyncMode, limits: Limits) -> ClientMessage:
    return Ping(reader.head.uint("timestamp"), reader.head.uint("round-trip time"))


def _parse_refresh(reader: MessageReader, mode: SyncMode, limits: Limits) -> ClientMessage:
    session = reader.head.uint("session ident")
    return Refresh(session, reader.take_text(reader.head.size("token size", limits.token), "the token"))


def _parse_removed(reader: MessageReader, mode: SyncMode, limits: Limits) -> ClientMessage:
    request = RemovedRequest(reader.head.uint("session ident"), reader.name)
    reader.discard()
    return request


def _parse_test_command(reader: MessageReader, mode: SyncMode, limits: Limits) -> ClientMessage:
    head = reader.head
    session = head.uint("session ident")
    request = head.uint("request ident")
    return TestCommand(session, request, reader.take_text(head.size("size", limits.text), "the command"))


_PARSERS: Final[dict[str, _Parser]] = {
    "bind": _parse_bind,
    "ident": _parse_ident,
    "upload": _parse_upload,
    "query": _parse_query,
    "mark": _parse_mark,
    "unbind": _parse_unbind,
    "json_error": _parse_json_error,
    "ping": _parse_ping,
    "refresh": _parse_refresh,
    "state_request": _parse_removed,
    "client_version_request": _parse_removed,
    "test_command": _parse_test_command,
}


def build_bind(bind: Bind, version: int) -> bytes:
    """BIND; the JSON of flexible sync exists from protocol version 8 on, with the keys that ``version`` knows."""
    first = bind.path.encode() if bind.flexible is None else _flexible_json(bind.flexible, version)
    token = bind.token.encode()
    head = b"bind %d %d %d %d %d\n" % (
        bind.session,
        len(first),
        len(token),
        bind.need_client_file_ident,
        bind.is_subserver,
    )
    return head + first + token


def _flexible_json(flexible: FlexibleBind, version: int) -> bytes:
    if version < 8:
        return b""
    values: dict[str, object] = {}
    if flexible.migrated_partition is not None and version >= 9:
        values["migratedPartition"] = flexible.migrated_partition
    if version >= 11:
        values["schemaVersion"] = flexible.schema_version
    if version >= 10:
        values["sessionReason"] = flexible.session_reason
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()


def build_ident(ident: Ident) -> bytes:
    """IDENT, with the active query where there is one."""
    head = b"ident %d %d %d %d %d %d %d" % (
        ident.session,
        *ident.file_ident,
        *ident.download,
        *ident.latest_server_version,
    )
    if ident.query is None:
        return head + b"\n"
    query = ident.query.encode()
    return head + b" %d %d\n" % (ident.query_version, len(query)) + query


def build_upload(session: int, progress: UploadCursor, locked_server_version: int, body: Body) -> bytes:
    """UPLOAD around a body of :func:`syncline.protocol.bodies.encode_upload_entries`."""
    compressed_size = len(body.data) if body.is_compressed else 0
    head = b"upload %d %d %d %d %d %d %d\n" % (
        session,
        body.is_compressed,
        body.uncompressed_size,
        compressed_size,
        *progress,
        locked_server_version,
    )
    return head + body.data


def build_query(session: int, query_version: int, body: str) -> bytes:
    """QUERY (flexible sync)."""
    data = body.encode()
    return b"query %d %d %d\n" % (session, query_version, len(data)) + data


def build_mark(session: int, request_ident: int) -> bytes:
    """MARK, the same in both directions."""
    return b"mark %d %d\n" % (session, request_ident)


def build_unbind(session: int) -> bytes:
    """UNBIND."""
    return b"unbind %d\n" % session


def build_client_json_error(session: int, code: int, message: str) -> bytes:
    """The JSON_ERROR of a client (protocol 7 and later)."""
    data = json.dumps({"message": clean_text(message)}, separators=(",", ":"), ensure_ascii=False).encode()
    return b"json_error %d %d %d\n" % (code, len(data), session) + data


def build_ping(timestamp: int, rtt: int) -> bytes:
    """PING; both in milliseconds."""
    return b"ping %d %d\n" % (timestamp, rtt)


def build_refresh(session: int, token: str) -> bytes:
    """REFRESH, which clients before core 11.8 send."""
    data = token.encode()
    return b"refresh %d %d\n" % (session, len(data)) + data


def build_test_command(session: int, request_ident: int, body: str) -> bytes:
    """TEST_COMMAND, in either direction."""
    data = body.encode()
    return b"test_command %d %d %d\n" % (session, request_ident, len(data)) + data
