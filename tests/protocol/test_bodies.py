"""Bodies of UPLOAD and DOWNLOAD: the compression rule, exact sizes, and what must not be inflated (§4.4)."""

from __future__ import annotations

import random
import zlib

import pytest

from syncline.changesets.changeset import UploadChangeset, UploadCursor
from syncline.errors import ProtocolViolationError
from syncline.protocol import EMPTY_BODY, Body, Limits, SyncMode, encode_download_entries, encode_upload_entries
from syncline.protocol.from_client import build_upload, parse_client_message
from syncline.protocol.messages import Upload

LIMITS = Limits()


def upload(body: Body, limits: Limits = LIMITS) -> Upload:
    message = parse_client_message(build_upload(1, UploadCursor(9, 0), 0, body), SyncMode.PBS, limits)
    assert isinstance(message, Upload)
    return message


def entries_of(size: int, byte: bytes = b"x") -> list[UploadChangeset]:
    """One entry whose body has exactly ``size`` bytes."""
    length = size
    while len(b"2 0 1000 0 %d " % length) + length > size:
        length -= 1
    return [UploadChangeset(2, 0, 1000, 0, byte * length)]


def test_no_entries_no_body() -> None:
    assert encode_upload_entries([]) == encode_download_entries([]) == EMPTY_BODY


def test_1024_bytes_stay_plain_and_one_more_is_compressed() -> None:
    plain = encode_upload_entries(entries_of(1024))
    assert (plain.is_compressed, plain.uncompressed_size, len(plain.data)) == (False, 1024, 1024)
    compressed = encode_upload_entries(entries_of(1025))
    assert (compressed.is_compressed, compressed.uncompressed_size) == (True, 1025)
    assert compressed.data[:2] == b"\x78\x01"
    for body, size in ((plain, 1024), (compressed, 1025)):
        assert upload(body).entries == entries_of(size)


def test_what_does_not_shrink_stays_plain() -> None:
    noise = UploadChangeset(2, 0, 0, 0, random.Random(1).randbytes(5000))
    body = encode_upload_entries([noise])
    assert not body.is_compressed
    assert upload(body).entries == [noise]


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_any_level_is_read(level: int) -> None:
    plain = encode_upload_entries(entries_of(1000)).data * 3
    assert len(upload(Body(True, len(plain), zlib.compress(plain, level))).entries) == 3


PLAIN = encode_upload_entries(entries_of(800)).data
GOOD = zlib.compress(PLAIN)


@pytest.mark.parametrize(
    "body",
    [
        Body(True, len(PLAIN) - 1, GOOD),
        Body(True, len(PLAIN) + 1, GOOD),
        Body(True, 0, GOOD),
        Body(True, len(PLAIN), GOOD + b"x"),
        Body(True, len(PLAIN), GOOD[:-1]),
        Body(True, len(PLAIN), GOOD[:-4] + b"abcd"),
        Body(True, len(PLAIN), b""),
        Body(True, len(PLAIN), b"abcde"),
        Body(True, len(PLAIN), PLAIN),
        Body(True, len(PLAIN), zlib.compress(PLAIN)[2:-4]),
        Body(True, 200_000_000, GOOD),
        Body(True, 5000, zlib.compress(b"\0" * 100_000_000)),
    ],
)
def test_bodies_that_do_not_inflate_to_their_size(body: Body) -> None:
    with pytest.raises(ProtocolViolationError) as caught:
        upload(body)
    assert caught.value.code == 101


def test_a_bomb_beyond_the_limit_is_refused_by_its_announcement() -> None:
    bomb = zlib.compress(b"\0" * 30_000_000)
    with pytest.raises(ProtocolViolationError) as caught:
        upload(Body(True, 30_000_000, bomb), LIMITS._replace(inflated=1_000_000))
    assert caught.value.code == 104


def test_a_long_message_is_refused() -> None:
    with pytest.raises(ProtocolViolationError) as caught:
        upload(encode_upload_entries(entries_of(800)), LIMITS._replace(message=500))
    assert caught.value.code == 104


def test_too_many_entries_are_refused() -> None:
    entries = [UploadChangeset(n, 0, 0, 0, b"") for n in range(1, 102)]
    assert len(upload(encode_upload_entries(entries), LIMITS._replace(entries=101)).entries) == 101
    with pytest.raises(ProtocolViolationError) as caught:
        upload(encode_upload_entries(entries), LIMITS._replace(entries=100))
    assert caught.value.code == 104


@pytest.mark.parametrize(
    "text",
    [
        b"x",
        b"1 2 3 4",
        b"1 2 3 4 0",
        b"1 2 3 4 1 ",
        b"1 2 3 4 5 abcd",
        b"1  2 3 4 0 ",
        b"+1 2 3 4 0 ",
        b"-1 2 3 4 0 ",
        b"1 2 3 9223372036854775808 0 ",
        b"1 2 3 4 99999999999999999999999999 ",
        b"1 2 3 4 0 1 2 3 4 0",
        b"1 2 3 4 0  ",
        b"1 2 3 4 0 \n",
    ],
)
def test_bad_entries(text: bytes) -> None:
    with pytest.raises(ProtocolViolationError) as caught:
        upload(Body(False, len(text), text))
    assert caught.value.code == 103


def test_bodies_may_hold_any_bytes() -> None:
    changesets = [b" 1 2 3\n", b"\n\n", bytes(range(256)), b""]
    entries = [UploadChangeset(n + 2, 0, 0, 0, changeset) for n, changeset in enumerate(changesets)]
    assert upload(encode_upload_entries(entries)).entries == entries
