"""Bodies of UPLOAD and DOWNLOAD: entries, and the compression around them (spec/wire-protocol.md §4.4, §7.4, §7.5).

Everything here is pure and may run in a worker thread: zlib releases the interpreter while it works.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Final

from syncline.changesets.changeset import DownloadChangeset, UploadChangeset
from syncline.errors import ProtocolViolationError
from syncline.protocol.errors import ErrorCode
from syncline.protocol.head import FIELD_MAX, MessageReader
from syncline.protocol.messages import Body
from syncline.protocol.settings import Limits

__all__ = [
    "EMPTY_BODY",
    "decode_download_entries",
    "decode_upload_entries",
    "encode_download_entries",
    "encode_upload_entries",
    "read_body",
]

#: Larger bodies are compressed, at this level, if that makes them smaller.
_COMPRESS_ABOVE: Final = 1024
_LEVEL: Final = 1

#: No deflate stream grows to more than about 1032 times its size; a claim beyond is refused without inflating.
_RATIO_MAX: Final = 1040

#: The body of a message without entries.
EMPTY_BODY: Final = Body(False, 0, b"")

_UPLOAD_ENTRY: Final = re.compile(rb"([0-9]{1,40}) " * 5)
_DOWNLOAD_ENTRY: Final = re.compile(rb"([0-9]{1,40}) " * 6)


def encode_upload_entries(entries: Sequence[UploadChangeset]) -> Body:
    """The body of an UPLOAD."""
    parts: list[bytes] = []
    for version, base, timestamp, origin, changeset in entries:
        parts.append(b"%d %d %d %d %d " % (version, base, timestamp, origin, len(changeset)))
        parts.append(changeset)
    return _encode(b"".join(parts))


def encode_download_entries(entries: Sequence[DownloadChangeset]) -> Body:
    """The body of a DOWNLOAD, for any number of sessions with equal ranges."""
    parts: list[bytes] = []
    for version, base, timestamp, origin, original_size, changeset in entries:
        parts.append(b"%d %d %d %d %d %d " % (version, base, timestamp, origin, original_size, len(changeset)))
        parts.append(changeset)
    return _encode(b"".join(parts))


def _encode(data: bytes) -> Body:
    if len(data) > _COMPRESS_ABOVE:
        compressed = zlib.compress(data, _LEVEL)
        if len(compressed) < len(data):
            return Body(True, len(data), compressed)
    return Body(False, len(data), data)


def read_body(reader: MessageReader, is_compressed: bool, size: int, compressed_size: int, limits: Limits) -> bytes:
    """The inflated rest of a message, of exactly ``size`` bytes.

    Raises:
        ProtocolViolationError: 103 for sizes that contradict the message, 101 for a body that does not inflate to its
            size, 104 for one beyond ``limits.inflated``.
    """
    if size > limits.inflated:
        raise ProtocolViolationError(
            f"{reader.name}: a body of {size} bytes; at most {limits.inflated} are accepted",
            code=ErrorCode.LIMITS_EXCEEDED,
        )
    data = reader.take(compressed_size if is_compressed else size, "the body")
    reader.end()
    return _inflate(data, size, reader.name) if is_compressed else data


def _inflate(data: bytes, size: int, name: str) -> bytes:
    if size > len(data) * _RATIO_MAX:
        raise _bad_inflation(f"{name}: {len(data)} compressed bytes cannot hold {size}")
    inflater = zlib.decompressobj()
    try:
        # One byte more than announced: shows a stream that is too long, and lets the checksum be read.
        result = inflater.decompress(data, size + 1)
        if len(result) == size and not inflater.eof:
            result += inflater.decompress(inflater.unconsumed_tail, 1)
    except zlib.error as error:
        raise _bad_inflation(f"{name}: the body does not inflate: {error}") from error
    if len(result) != size or not inflater.eof:
        raise _bad_inflation(f"{name}: the body does not inflate to exactly {size} bytes")
    if inflater.unused_data:
        raise _bad_inflation(f"{name}: {len(inflater.unused_data)} bytes after the compressed body")
    return result


def _bad_inflation(message: str) -> ProtocolViolationError:
    return ProtocolViolationError(message, code=ErrorCode.OTHER_ERROR)


def decode_upload_entries(body: bytes, limits: Limits) -> list[UploadChangeset]:
    """The entries of an inflated UPLOAD body.

    Raises:
        ProtocolViolationError: 103 for a bad entry, 104 for more than ``limits.entries``.
    """
    entries: list[UploadChangeset] = []
    position = 0
    end = len(body)
    while position < end:
        match = _UPLOAD_ENTRY.match(body, position)
        if match is None:
            raise _bad_entry("upload", position, len(entries))
        version, base, timestamp, origin, size = map(int, match.groups())
        start = match.end()
        position = start + size
        if position > end or max(version, base, timestamp, origin) > FIELD_MAX:
            raise _bad_entry("upload", start, len(entries))
        entries.append(UploadChangeset(version, base, timestamp, origin, body[start:position]))
        if len(entries) > limits.entries:
            raise _too_many("upload", limits)
    return entries


def decode_download_entries(body: bytes, limits: Limits) -> list[DownloadChangeset]:
    """The entries of an inflated DOWNLOAD body.

    Raises:
        ProtocolViolationError: 103 for a bad entry, 104 for more than ``limits.entries``.
    """
    entries: list[DownloadChangeset] = []
    position = 0
    end = len(body)
    while position < end:
        match = _DOWNLOAD_ENTRY.match(body, position)
        if match is None:
            raise _bad_entry("download", position, len(entries))
        version, base, timestamp, origin, original_size, size = map(int, match.groups())
        start = match.end()
        position = start + size
        if position > end or max(version, base, timestamp, origin, original_size) > FIELD_MAX:
            raise _bad_entry("download", start, len(entries))
        entries.append(DownloadChangeset(version, base, timestamp, origin, original_size, body[start:position]))
        if len(entries) > limits.entries:
            raise _too_many("download", limits)
    return entries


def _bad_entry(name: str, position: int, number: int) -> ProtocolViolationError:
    return ProtocolViolationError(f"{name}: entry {number} of the body is malformed or too long, at byte {position}")


def _too_many(name: str, limits: Limits) -> ProtocolViolationError:
    return ProtocolViolationError(
        f"{name}: more than {limits.entries} entries in one body", code=ErrorCode.LIMITS_EXCEEDED
    )
