"""What clients must not send, through the whole application: each has its error, and harms nobody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from tests.server.wire import OFFERS, RAW, Wire, dogs, name_of, packed, rename

from syncline.changesets.codec import offset_of
from syncline.changesets.describe import describe
from syncline.changesets.instructions import CreateObject, EraseColumn, EraseTable, Instruction, Update
from syncline.protocol.errors import ErrorAction
from syncline.values import kinds

Start = Callable[..., TestClient]
Connect = Callable[..., Wire]


@pytest.mark.parametrize("path", ["/../x", "/a.realm", "/a//b", "true", '{"$oid":"x"}', "/ä"])
def test_paths_that_name_nothing(client: Start, connect: Connect, path: str) -> None:
    http = client(dev=True)
    wire = connect(http)
    data = path.encode()
    wire.raw(b"bind 1 %d 0 1 0\n" % len(data) + data)
    error = wire.error()
    assert (error.code, error.session, error.action) == (204, 1, ErrorAction.APPLICATION_BUG)
    wire.raw(b"unbind 1\n")
    wire.session = 2
    wire.start("/good")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"garbage",
        b"nothing 1\n",
        b"bind 1 5 0 1 0\n/tes",
        b"bind 1 5 0 1 0\n/test!",
        b"bind 1  5 0 1 0\n/test",
        b"bind 99999999999999999999 5 0 1 0\n/test",
        b"bind 1 5000 0 1 0\n" + b"/" + b"a" * 4999,
        b"x" * 5000,
        b"\x00" * 100,
        b"test_command 1 1 2\n{}",
    ],
)
def test_messages_that_are_none_end_the_connection(client: Start, connect: Connect, message: bytes) -> None:
    wire = connect(client(dev=True))
    wire.raw(message)
    error = wire.error()
    assert (error.session, error.action, error.try_again) == (0, ErrorAction.PROTOCOL_VIOLATION, False)
    with pytest.raises(WebSocketDisconnect) as closed:
        wire.raw_answer()
    assert closed.value.code == 1011


def test_text_frames_are_ignored(client: Start) -> None:
    http = client(dev=True)
    with http.websocket_connect(RAW, subprotocols=OFFERS) as socket:
        socket.send_text("bind 1 5 0 1 0\n/test")
        Wire(socket.send_bytes, socket.receive_bytes).ping()


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ("9 {salt} 0 0 0 0", 208),
        ("1 {salt} 0 0 0 0", 208),
        ("2 77 0 0 0 0", 211),
        ("2 {salt} 9 0 9 1", 209),
        ("2 {salt} 1 9 1 {head_salt}", 210),
        ("2 {salt} 1 2 1 77", 211),
        ("2 {salt} 0 0 0 77", 211),
        ("2 {salt} 1 0 0 0", 209),
    ],
)
def test_a_client_file_with_another_history_must_reset(
    client: Start, connect: Connect, numbers: str, code: int
) -> None:
    http = client(dev=True)
    one = connect(http)
    one.start("/demo")
    one.until_acknowledged(one.upload(dogs(1)))
    wire = connect(http)
    wire.raw(b"bind 1 5 0 0 0\n/demo")
    wire.raw(("ident 1 " + numbers.format(salt=one.file.salt, head_salt=one.position[3]) + "\n").encode())
    error = wire.error()
    assert (error.code, error.session, error.action) == (code, 1, ErrorAction.CLIENT_RESET)
    one.until_acknowledged(one.upload(rename(1, "still here")))


@pytest.mark.parametrize(
    "changeset",
    [
        b"\xff\xff\xff",
        dogs(1)[:-1],
        packed([CreateObject("Cat", 1)]),
        packed([CreateObject("Dog", "text")]),
        packed([Update("Dog", 99, "name", (), kinds.STRING, "x")]),
        packed([Update("Dog", 1, "nothing", (), kinds.STRING, "x")]),
        packed([Update("Dog", 1, "name", (), kinds.INT, 1)]),
        packed([Update("Dog", 1, "name", ("deeper",), kinds.STRING, "x")]),
    ],
)
def test_a_bad_changeset_is_refused_and_leaves_no_trace(client: Start, connect: Connect, changeset: bytes) -> None:
    http = client(dev=True)
    good, bad = connect(http), connect(http)
    good.start("/demo")
    good.until_acknowledged(good.upload(dogs(1)))
    bad.start("/demo")
    bad.until_complete()
    before = http.get("/dev/realms/demo/hash").json()
    bad.upload(rename(1, "part of the same message"), changeset)
    error = bad.error()
    assert (error.code, error.session, error.action) == (212, 1, ErrorAction.APPLICATION_BUG)
    assert http.get("/dev/realms/demo/hash").json() == before
    good.until_acknowledged(good.upload(rename(1, "good")))
    bad.raw(b"unbind 1\n")
    again = connect(http)
    again.file, again.position = bad.file, (1, 0, 1, bad.position[3])
    assert again.start("/demo").progress.upload.client_version == 0
    assert name_of(again.downloaded[-1]) == "good"


SECRET = "what a user wrote"


@pytest.mark.parametrize(
    ("instructions", "place"),
    [
        ([Update("Dog", 1, "name", (), kinds.STRING, "x"), Update("Dog", SECRET, "name", (), kinds.STRING, SECRET)], 1),
        ([Update("Dog", 1, "name", (SECRET,), kinds.STRING, SECRET)], 0),
        ([Update("Dog", 1, SECRET[:4], (), kinds.STRING, SECRET)], 0),
        ([CreateObject("Dog", SECRET)], 0),
        ([CreateObject("Dog", key) for key in range(10, 1300)] + [CreateObject("Dog", SECRET)], 1290),
    ],
    ids=["missing object", "path", "property", "key", "in a later slice"],
)
def test_the_answer_and_the_log_name_the_place_but_nothing_that_users_wrote(
    client: Start, connect: Connect, caplog: pytest.LogCaptureFixture, instructions: list[Instruction], place: int
) -> None:
    wire = connect(client(dev=True))
    wire.start("/demo")
    wire.until_acknowledged(wire.upload(dogs(1)))
    data = packed(instructions)
    wire.upload(data)
    error = wire.error()
    assert error.code == 212
    subject = describe(instructions[place])
    assert f" at byte {offset_of(data, place)} (instruction {place}: {subject}) in version 3 " in error.message
    assert error.message in caplog.text
    assert SECRET not in caplog.text + error.message


def test_a_zip_bomb_and_wrong_sizes(client: Start, connect: Connect) -> None:
    http = client(dev=True, max_inflated_bytes=100_000)
    wire = connect(http)
    wire.start("/demo")
    wire.raw(b"upload 1 1 99999 3 3 0 0\nabc")
    assert wire.error().code in (101, 103)
    bomb = connect(http)
    bomb.start("/demo")
    bomb.raw(b"upload 1 1 4000000000 3 3 0 0\nabc")
    with pytest.raises(WebSocketDisconnect) as closed:
        bomb.raw_answer()
    assert closed.value.code == 1009


def test_an_upload_of_somebody_elses_changes(client: Start, connect: Connect) -> None:
    wire = connect(client(dev=True))
    wire.start("/demo")
    changeset = dogs(1)
    body = b"2 0 1 77 %d " % len(changeset) + changeset
    wire.raw(b"upload 1 0 %d 0 2 0 0\n" % len(body) + body)
    assert wire.error().code == 216


@pytest.mark.parametrize(
    ("head", "code"),
    [("3 9 0", 209), ("3 0 9", 209), ("0 0 0", 210)],
)
def test_progress_that_cannot_be(client: Start, connect: Connect, head: str, code: int) -> None:
    wire = connect(client(dev=True))
    wire.start("/demo")
    wire.until_acknowledged(wire.upload(dogs(1)))
    wire.raw(f"upload 1 0 0 0 {head}\n".encode())
    assert wire.error().code == code


def test_schema_is_not_removed_by_clients(client: Start, connect: Connect, tmp_path: Path) -> None:
    http = client(dev=True)
    for instruction in (EraseTable("Dog"), EraseColumn("Dog", "name")):
        wire = connect(http)
        wire.start("/demo")
        wire.until_complete()
        wire.until_acknowledged(wire.upload(dogs(1)))
        wire.upload(packed([instruction]))
        error = wire.error()
        assert (error.code, error.action) == (225, ErrorAction.APPLICATION_BUG)
    allowed = client(dev=True, schema_changes="admin", data=tmp_path / "other")
    wire = connect(allowed)
    wire.start("/demo")
    wire.until_acknowledged(wire.upload(dogs(1), packed([EraseColumn("Dog", "name")])))


def test_only_so_many_sessions_on_one_connection(client: Start, connect: Connect) -> None:
    wire = connect(client(dev=True, max_sessions_per_connection=2))
    for session in (1, 2):
        wire.session, wire.file, wire.position = session, type(wire.file)(0, 0), (0, 0, 0, 0)
        wire.start("/demo")
    wire.raw(b"bind 3 5 0 1 0\n/demo")
    error = wire.error()
    assert (error.code, error.session) == (201, 3)
