"""WebSocket frames (RFC 6455) and TLS records in a byte stream, and what a bad line makes of one.

A sync message has no checksum: a bit that flips inside of it may give another message that is just as good, and nobody
on this earth can notice. Without TLS a frame is therefore corrupted in such ways only as a receiver can notice: what
the framing forbids, a length that is wrong, a message of no known kind, a body that does not inflate. With TLS, as in
production, any bit of any record is flipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from syncline.testing.choices import Choices

__all__ = ["FrameSplitter", "Piece", "RecordSplitter", "Splitter", "corrupt_frame", "corrupt_record"]

_MAX_HEAD: Final = 64 * 1024
_MAX_FRAME: Final = 64 << 20
_RECORD_HEAD: Final = 5
_BINARY: Final = 2
_ZLIB: Final = b"\x78"


class Piece(NamedTuple):
    """A part of a stream: one whole frame or record, or bytes that are none."""

    data: bytes
    is_frame: bool


class Splitter(Protocol):
    """Takes a stream as it comes, gives it back in pieces."""

    def feed(self, data: bytes) -> list[Piece]:
        """The pieces that ``data`` completes."""
        ...


class FrameSplitter:
    """One direction of an HTTP connection, which becomes a WebSocket or does not."""

    def __init__(self) -> None:
        self._buffer = b""
        self._is_open = False
        self._is_plain = False

    def feed(self, data: bytes) -> list[Piece]:
        """See :class:`Splitter`."""
        if self._is_plain:
            return [Piece(data, False)]
        self._buffer += data
        pieces: list[Piece] = []
        if not self._is_open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end and len(head) < _MAX_HEAD:
                return []
            self._is_open = b"upgrade: websocket" in head.lower()
            if not self._is_open:
                self._is_plain = True
                return [Piece(self._taken(len(self._buffer)), False)]
            pieces.append(Piece(self._taken(len(self._buffer) - len(rest)), False))
        while (size := _frame_size(self._buffer)) is not None and len(self._buffer) >= size:
            if size > _MAX_FRAME:
                self._is_plain = True
                return [*pieces, Piece(self._taken(len(self._buffer)), False)]
            pieces.append(Piece(self._taken(size), True))
        return pieces

    def _taken(self, size: int) -> bytes:
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data


class RecordSplitter:
    """One direction of a TLS connection."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Piece]:
        """See :class:`Splitter`."""
        self._buffer += data
        pieces: list[Piece] = []
        while len(self._buffer) >= _RECORD_HEAD:
            size = _RECORD_HEAD + int.from_bytes(self._buffer[3:5], "big")
            if len(self._buffer) < size:
                break
            pieces.append(Piece(self._buffer[:size], True))
            self._buffer = self._buffer[size:]
        return pieces


def corrupt_record(record: bytes, choices: Choices) -> tuple[bytes, str]:
    """A TLS record with one bit flipped anywhere, and where that is."""
    bit = choices.integer(0, len(record) * 8 - 1)
    return _flipped(record, bit), "record header" if bit < _RECORD_HEAD * 8 else "record"


def corrupt_frame(frame: bytes, choices: Choices) -> tuple[bytes, str]:
    """A WebSocket frame that its receiver can notice to be wrong, and what was done to it."""
    possible = [_reserved_bit, _reserved_opcode, _mask_bit, _length]
    payload = _payload(frame)
    if frame[0] & 0x0F == _BINARY and payload:
        possible += [_message_word, _message_word, _shortened]
        if _body_start(payload) is not None:
            possible += [_body, _body, _body]
    how = choices.pick(possible)
    return how(frame, choices), how.__name__.strip("_").replace("_", " ")


Corruption = Callable[[bytes, Choices], bytes]


def _reserved_bit(frame: bytes, choices: Choices) -> bytes:
    return _flipped(frame, choices.integer(1, 3))


def _reserved_opcode(frame: bytes, choices: Choices) -> bytes:
    opcode = choices.pick([3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
    return bytes([frame[0] & 0xF0 | opcode]) + frame[1:]


def _mask_bit(frame: bytes, choices: Choices) -> bytes:
    return _flipped(frame, 8)


def _length(frame: bytes, choices: Choices) -> bytes:
    """Another length; never one beyond what the receiver takes, which would be another subject (a client reset)."""
    length = frame[1] & 0x7F
    if length == 127:
        return _flipped(frame, choices.integer(10 * 8 - 16, 10 * 8 - 1))
    if length == 126:
        return _flipped(frame, choices.integer(16, 31))
    other = choices.pick([length ^ 1 << bit for bit in range(7) if length ^ 1 << bit < 126])
    return bytes([frame[0], frame[1] & 0x80 | other]) + frame[2:]


def _message_word(frame: bytes, choices: Choices) -> bytes:
    """The first letter of a message is one that no message begins with."""
    return _with_payload_bit(frame, 8 * 0 + choices.pick([0, 1]))


def _shortened(frame: bytes, choices: Choices) -> bytes:
    """A well-formed frame whose message lacks its end."""
    payload = _payload(frame)
    kept = len(payload) - choices.integer(1, len(payload))
    head = _head_size(frame)
    length = frame[1] & 0x7F
    mask = frame[1] & 0x80
    key = frame[head - 4 : head] if mask else b""
    if length == 127:
        size = bytes([mask | 127]) + kept.to_bytes(8, "big")
    elif length == 126:
        size = bytes([mask | 126]) + kept.to_bytes(2, "big")
    else:
        size = bytes([mask | kept])
    return frame[:1] + size + key + frame[head : head + kept]


def _body(frame: bytes, choices: Choices) -> bytes:
    """A flipped bit in a compressed body, which has a checksum."""
    payload = _payload(frame)
    start = _body_start(payload)
    assert start is not None
    return _with_payload_bit(frame, choices.integer((start + 2) * 8, len(payload) * 8 - 1))


def _flipped(data: bytes, bit: int) -> bytes:
    """``data`` with one bit flipped; bits are counted from the first byte's most significant."""
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 0x80 >> bit % 8]) + data[at + 1 :]


def _with_payload_bit(frame: bytes, bit: int) -> bytes:
    """A flipped bit of the payload: masked or not, it flips the same bit of the message."""
    return _flipped(frame, _head_size(frame) * 8 + bit)


def _head_size(frame: bytes) -> int:
    length = frame[1] & 0x7F
    return 2 + {126: 2, 127: 8}.get(length, 0) + (4 if frame[1] & 0x80 else 0)


def _frame_size(data: bytes) -> int | None:
    """The size of the frame that ``data`` begins with; None while its header is incomplete."""
    if len(data) < 2 or len(data) < _head_size(data):
        return None
    length = data[1] & 0x7F
    if length == 126:
        length = int.from_bytes(data[2:4], "big")
    elif length == 127:
        length = int.from_bytes(data[2:10], "big")
    return _head_size(data) + length


def _payload(frame: bytes) -> bytes:
    head = _head_size(frame)
    payload = frame[head:]
    if not frame[1] & 0x80:
        return payload
    key = frame[head - 4 : head]
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def _body_start(payload: bytes) -> int | None:
    """Where the compressed body of an UPLOAD or DOWNLOAD begins; None if there is none."""
    head, end, body = payload.partition(b"\n")
    if not end or not head.startswith((b"upload ", b"download ")) or len(body) < 8 or not body.startswith(_ZLIB):
        return None
    return len(head) + 1
