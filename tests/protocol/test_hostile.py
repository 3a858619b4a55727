"""Bytes from nowhere: every message cut short, altered, doubled or out of place gives a clean refusal, never a crash.

The client machine ends the connection, the server machine answers with an error; no exception leaves either.
"""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.server_talk import FACTS, batch

from syncline.changesets.changeset import DownloadChangeset, SyncProgress, UploadChangeset, UploadCursor
from syncline.errors import ProtocolViolationError
from syncline.protocol import (
    BatchState,
    BindRequested,
    ClientConnection,
    ClientEvent,
    ClientFileIdent,
    CloseWanted,
    DisconnectWanted,
    DownloadReceived,
    DownloadWanted,
    Error,
    ErrorAction,
    IdentReceived,
    IdentRequested,
    Limits,
    MarkRequested,
    RejectedUpdate,
    ServerConnection,
    SessionConfig,
    SyncMode,
    UploadWanted,
    encode_download_entries,
    encode_upload_entries,
)
from syncline.protocol import from_client as fc
from syncline.protocol import from_server as fs
from syncline.protocol.messages import Bind, FlexibleBind, LogMessage
from syncline.testing.transcripts import read_transcript

TRANSCRIPTS = sorted((Path(__file__).parents[1] / "vectors" / "transcripts").glob("*.jsonl"))
LIMITS = Limits(inflated=1 << 20, entries=1000)
CODES = {101, 103, 104}

FROM_CLIENT = [
    fc.build_bind(Bind(1, "/a", "token", True), 14),
    fc.build_bind(Bind(1, "", "", True, False, FlexibleBind(1, 2, "é")), 14),
    b"ident 1 2 7 5 3 5 55\n",
    b"ident 1 2 7 5 3 5 55 1 2\n{}",
    fc.build_upload(1, UploadCursor(9, 5), 5, encode_upload_entries([UploadChangeset(9, 5, 1, 0, b"x" * 30)] * 2)),
    fc.build_upload(1, UploadCursor(9, 5), 5, encode_upload_entries([UploadChangeset(9, 5, 1, 0, b"x" * 3000)])),
    fc.build_query(1, 2, '{"a":"b"}'),
    fc.build_mark(1, 1),
    fc.build_unbind(1),
    fc.build_client_json_error(1, 212, "bad"),
    fc.build_ping(5, 6),
    fc.build_refresh(1, "token"),
    fc.build_test_command(1, 2, "{}"),
]
_ENTRY = DownloadChangeset(6, 3, 1, 9, 30, b"y" * 30)
_FULL = Error(
    1,
    231,
    "m",
    True,
    ErrorAction.WARNING,
    rejected_updates=(RejectedUpdate("T", "AA==", "r"),),
    rejected_client_version=1,
    compensating_write_server_version=2,
)
FROM_SERVER = [
    fs.build_server_ident(1, ClientFileIdent(2, 7)),
    fs.build_download(1, SyncProgress(), encode_download_entries([_ENTRY] * 2), mode=SyncMode.PBS, version=14),
    fs.build_download(
        1,
        SyncProgress(),
        encode_download_entries([_ENTRY._replace(changeset=b"y" * 3000)]),
        mode=SyncMode.FLX,
        version=14,
        batch_state=BatchState.MORE_TO_COME,
        estimate=0.25,
    ),
    b"mark 1 1\n",
    fs.build_query_error(1, 2, 226, "no"),
    fs.build_unbound(1),
    fs.build_pong(5),
    fs.build_error(Error(1, 206, "m", False)),
    fs.build_json_error(_FULL),
    fs.build_log_message(LogMessage(1, "info", "hi", "c0")),
]


def parse_client(data: bytes) -> None:
    for mode in SyncMode:
        refused = None
        try:
            fc.parse_client_message(data, mode, LIMITS)
        except ProtocolViolationError as error:
            refused = error
        assert refused is None or (refused.code in CODES and str(refused))


def parse_server(data: bytes) -> None:
    for mode in SyncMode:
        for version in (3, 11, 13, 14):
            refused = None
            try:
                fs.parse_server_message(data, mode, version, LIMITS)
            except ProtocolViolationError as error:
                refused = error
            assert refused is None or str(refused)


# --- bytes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", FROM_CLIENT + FROM_SERVER)
def test_every_cut_is_refused(data: bytes) -> None:
    """A message without its last bytes never passes for another one."""
    for end in range(len(data)):
        for mode in SyncMode:
            with pytest.raises(ProtocolViolationError):
                fc.parse_client_message(data[:end], mode, LIMITS)
            with pytest.raises(ProtocolViolationError):
                fs.parse_server_message(data[:end], mode, 14, LIMITS)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.name[:2])
def test_recorded_messages_cut_short(path: Path) -> None:
    for event in read_transcript(path):
        if event.kind == "message" and event.message is not None:
            step = max(1, len(event.data) // 150)
            for end in range(0, len(event.data), step):
                (parse_client if event.is_from_client else parse_server)(event.data[:end])


@pytest.mark.parametrize("seed", range(20))
def test_random_changes(seed: int) -> None:
    random = Random(seed)
    for _ in range(300):
        data = bytearray(random.choice(FROM_CLIENT + FROM_SERVER))
        for _ in range(random.randint(1, 4)):
            place = random.randrange(len(data) + 1)
            change = random.randrange(4)
            if change == 0:
                data[place:place] = random.choice((b" ", b"\n", b"9", b"-", b"\0", b"\xff", b"0" * 50, b"9" * 25))
            elif change == 1:
                del data[place : place + random.randint(1, 5)]
            elif place < len(data):
                data[place] = random.randrange(256) if change == 2 else random.choice(b"0123456789 \n-")
        parse_client(bytes(data))
        parse_server(bytes(data))


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    parse_client(data)
    parse_server(data)


@given(
    st.sampled_from(["bind", "ident", "upload", "download", "mark", "json_error", "error", "log_message", "query"]),
    st.lists(st.one_of(st.integers(0, 40), st.integers(-(2**70), 2**70)), max_size=13),
    st.binary(max_size=60),
)
def test_any_numbers(name: str, fields: list[int], body: bytes) -> None:
    data = " ".join([name, *map(str, fields)]).encode() + b"\n" + body
    parse_client(data)
    parse_server(data)


def test_bombs_cost_nothing() -> None:
    """What is announced beyond the limit is not inflated, what is announced below stops at its announcement."""
    bomb = zlib.compress(b"\0" * (64 << 20), 9)
    tracemalloc.start()
    for size in (64 << 20, 1 << 62, 1000, len(bomb) * 1000):
        parse_client(b"upload 1 1 %d %d 2 0 0\n" % (size, len(bomb)) + bomb)
        parse_server(b"download 1 0 0 0 0 0 0 0 1 %d %d\n" % (size, len(bomb)) + bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    empty = b"1 0 0 0 0 " * 100_000
    parse_client(b"upload 1 0 %d 0 2 0 0\n" % len(empty) + empty)
    nested = b'{"a":' * 100_000
    parse_client(b"json_error 212 %d 1\n" % len(nested) + nested)
    parse_server(b"json_error 212 %d 1\n" % len(nested) + nested)
    number = b'{"message":' + b"9" * 10_000 + b"}"
    parse_client(b"json_error 212 %d 1\n" % len(number) + number)


# --- order ------------------------------------------------------------------------------------------------------------


def drive_server(server: ServerConnection, random: Random) -> bool:
    """Answer most questions; whether the connection has ended."""
    ended = False
    while server.next_message() is not None:
        pass
    for event in server.events():
        if isinstance(event, CloseWanted):
            ended = True
        elif random.random() < 0.2:
            continue  # this one is answered never
        elif isinstance(event, BindRequested):
            event.session.accept_bind("/a", ClientFileIdent(2, 7) if event.need_client_file_ident else None)
        elif isinstance(event, IdentRequested):
            event.session.identify(FACTS)
        elif isinstance(event, DownloadWanted):
            event.session.supply_download(batch(event.session.download_cursor.server_version))
        elif isinstance(event, MarkRequested):
            event.session.confirm_mark(random.randint(0, 5))
    return ended


@pytest.mark.parametrize("mode", SyncMode)
@pytest.mark.parametrize("seed", range(25))
def test_client_messages_in_any_order(seed: int, mode: SyncMode) -> None:
    random = Random(seed)
    for _ in range(20):
        server = ServerConnection(random.choice((3, 9, 14)), mode, "c0", 0)
        for _ in range(40):
            server.receive(random.choice(FROM_CLIENT), 0)
            if drive_server(server, random):
                break
        while server.next_message() is not None:
            pass
        server.disconnected()
        server.events()


def drive_client(client: ClientConnection, random: Random) -> bool:
    ended = False
    while client.next_message(0) is not None:
        pass
    events: list[ClientEvent] = client.events()
    for event in events:
        if isinstance(event, DisconnectWanted):
            ended = True
        elif random.random() < 0.2:
            continue
        elif isinstance(event, IdentReceived):
            event.session.ident_stored(9)
        elif isinstance(event, UploadWanted):
            event.session.supply_upload(event, [], event.cursor)
        elif isinstance(event, DownloadReceived):
            if random.random() < 0.8:
                event.session.integrated(event.progress, 9)
            else:
                event.session.integration_failed(212, "no")
    return ended


@pytest.mark.parametrize("mode", SyncMode)
@pytest.mark.parametrize("seed", range(25))
def test_server_messages_in_any_order(seed: int, mode: SyncMode) -> None:
    random = Random(seed)
    client = ClientConnection(mode, random)
    session = client.bind(1, SessionConfig("/a", ClientFileIdent(), SyncProgress(), 5))
    for _ in range(60):
        client.connected(random.choice((3, 9, 14)), 0)
        for _ in range(30):
            if random.random() < 0.1:
                session.request_mark()
            if random.random() < 0.1:
                session.resume()
            if random.random() < 0.5:
                drive_client(client, random)
            client.receive(random.choice(FROM_SERVER), 0)
            if drive_client(client, random):
                break
        client.disconnected(0)
        client.tick(random.randint(0, 10_000))
    session.unbind()
    drive_client(client, random)
