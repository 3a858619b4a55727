"""A small soak finds nothing; its parts find what is planted."""

from __future__ import annotations

import io
import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from syncline.errors import ProtocolViolationError
from syncline.protocol.from_client import parse_client_message
from syncline.protocol.settings import Limits, SyncMode
from syncline.sync.states import TRANSITIONS, InternalState, Move
from syncline.testing.choices import RandomChoices
from syncline.testing.soak import clock as soak_clock
from syncline.testing.soak.__main__ import _parser, _plan
from syncline.testing.soak.client import EVERYBODY, STRIDE
from syncline.testing.soak.clock import Clock
from syncline.testing.soak.content import Content, compare
from syncline.testing.soak.frames import FrameSplitter, RecordSplitter, corrupt_frame, corrupt_record
from syncline.testing.soak.journal import Committed, Journal
from syncline.testing.soak.leftovers import surprises
from syncline.testing.soak.legality import LEGAL, judge
from syncline.testing.soak.plan import KINDS, SERVER_KINDS, Plan
from syncline.testing.soak.report import Report, percentile
from syncline.testing.soak.running import soak


def test_a_small_soak_finds_nothing(tmp_path: Path) -> None:
    plan = Plan(
        seed=20261126, clients=2, cuts=12, kills=6, suspensions=4, clock_jumps=5, corruptions=4, half_open=1, slow=1
    )
    report = soak(tmp_path, plan)
    assert report.findings == []
    assert sum(report.done.values()) == 12 + 6 + 4 + 5 + 4 + 1 + 1
    assert set(report.done) == {*KINDS, *SERVER_KINDS}
    assert report.commits > 20
    assert report.cuts >= 12
    assert report.corrupted.total() >= 3
    assert report.runs >= 2 + 5
    assert report.seen["state"] > 10 < report.seen["connection"]
    assert report.seen["progress"] > 20


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_the_seed_decides_what_happens() -> None:
    assert Plan(seed=5).deal() == Plan(seed=5).deal() != Plan(seed=6).deal()
    clients, server = Plan().deal()
    kinds = [fault.kind for fault in clients + server]
    assert kinds.count("cut") == 1000
    assert kinds.count("kill client") + kinds.count("kill server") == 500
    assert kinds.count("suspend") == 200
    clients, server = Plan().scaled(0.001).deal()
    assert {fault.kind for fault in clients} == set(KINDS)


def test_the_command_line_says_how_much() -> None:
    plan = _plan(_parser().parse_args(["--seed", "4", "--scale", "0.1", "--cuts", "50", "--half-open", "0"]))
    assert plan == Plan(seed=4, cuts=5, kills=50, suspensions=20, clock_jumps=10, corruptions=20, half_open=0, slow=4)
    assert _plan(_parser().parse_args([])).cuts == 1000


# --- the journal ------------------------------------------------------------------------------------------------------


def test_the_journal_knows_what_was_committed_and_what_is_in_doubt(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    assert Journal.read(path) == Committed(0, None)
    journal = Journal(path)
    for number in (1, 2):
        journal.begun(number)
        journal.done(number)
    journal.begun(3)
    journal.close()
    assert Journal.read(path) == Committed(2, 3)
    with path.open("a") as file:
        file.write("d 3")  # torn
    assert Journal.read(path) == Committed(2, 3)


def test_a_journal_with_a_gap_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text("b 1\nd 1\nb 3\nd 3\n")
    with pytest.raises(ValueError, match="follows upon 1 done"):
        Journal.read(path)


# --- the content ------------------------------------------------------------------------------------------------------


def content(**changes: Any) -> Content:
    """Two clients, with two commits and one."""
    whole = Content(
        "hash",
        {"anna": [1, 2], "bert": [1]},
        {"anna": (2, [1, 2]), "bert": (1, [STRIDE + 1]), EVERYBODY: (3, [1, STRIDE + 1, 2])},
        0,
    )
    return whole._replace(**changes)


EXPECTED = {"anna": 2, "bert": 1}


def test_a_whole_content_is_in_order() -> None:
    assert compare(content(), EXPECTED) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"numbers": {"anna": [1], "bert": [1]}}, "commits of anna: 1 lost (2)"),
        ({"numbers": {"anna": [1, 2], "bert": [1, 2]}}, "commits of bert: 1 twice, or invented (2)"),
        ({"garbled": 1}, "1 commits are garbled"),
        (
            {"tallies": {**content().tallies, "anna": (3, [1, 2])}},
            "the counter of anna says 3, there were 2 commits",
        ),
        (
            {"tallies": {**content().tallies, EVERYBODY: (3, [1, STRIDE + 1, 2, 2])}},
            "the list of everybody: 1 twice, or invented (2)",
        ),
    ],
)
def test_what_is_lost_or_twice_is_found(changes: dict[str, Any], problem: str) -> None:
    assert problem in compare(content(**changes), EXPECTED)


# --- frames -----------------------------------------------------------------------------------------------------------

HEAD = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"


def frame_of(payload: bytes, *, is_masked: bool) -> bytes:
    return Frame(Opcode.BINARY, payload).serialize(mask=is_masked)


def message_with_body() -> bytes:
    body = zlib.compress(os.urandom(400))
    return b"upload 1 1 400 %d 7 3 0\n" % len(body) + body


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_stream_is_taken_apart_into_frames(step: int) -> None:
    frames = [frame_of(b"x" * size, is_masked=True) for size in (0, 5, 125, 126, 300, 70_000)]
    splitter, stream = FrameSplitter(), HEAD + b"".join(frames)
    pieces = [piece for at in range(0, len(stream), step) for piece in splitter.feed(stream[at : at + step])]
    assert [(piece.data, piece.is_frame) for piece in pieces] == [(HEAD, False), *((frame, True) for frame in frames)]


def test_what_is_no_websocket_goes_through_as_it_comes() -> None:
    splitter = FrameSplitter()
    request = b"POST /login HTTP/1.1\r\n\r\n{}"
    assert splitter.feed(request[:10]) == []
    assert b"".join(piece.data for piece in splitter.feed(request[10:])) == request
    assert [piece.data for piece in splitter.feed(b"more")] == [b"more"]


def test_tls_records_are_found() -> None:
    records = [b"\x17\x03\x03" + len(data).to_bytes(2, "big") + data for data in (b"", b"abc", b"x" * 5000)]
    splitter, stream = RecordSplitter(), b"".join(records)
    assert [piece.data for at in range(0, len(stream), 9) for piece in splitter.feed(stream[at : at + 9])] == records
    flipped, _ = corrupt_record(records[2], RandomChoices(1))
    assert len(flipped) == len(records[2])
    assert sum((a ^ b).bit_count() for a, b in zip(flipped, records[2], strict=True)) == 1


def received(frame: bytes) -> bytes | None:
    """What a receiver makes of it; None if it waits for more. Raises ProtocolError, PayloadTooBig."""
    reader = StreamReader()
    reader.feed_data(frame)
    parser = Frame.parse(reader.read_exact, mask=True, max_size=1 << 20)
    try:
        next(parser)
    except StopIteration as result:
        parsed: Frame = result.value
        parsed.check()
        return bytes(parsed.data)
    return None


def test_every_corrupted_frame_can_be_noticed() -> None:
    """Without a checksum in the protocol, the soak must not ask for the impossible."""
    choices = RandomChoices(3)
    kinds = set()
    for _ in range(500):
        message = message_with_body()
        data, kind = corrupt_frame(frame_of(message, is_masked=True), choices)
        kinds.add(kind)
        try:
            payload = received(data)
        except (ProtocolError, PayloadTooBig):
            continue
        if payload is None:  # a length that is too large: what follows is swallowed, and is no message
            continue
        with pytest.raises(ProtocolViolationError):
            parse_client_message(payload, SyncMode.PBS, Limits())
    assert len(kinds) == 7


# --- the clock --------------------------------------------------------------------------------------------------------


def test_a_clock_is_set_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", time.time)
    monkeypatch.setattr(time, "time_ns", time.time_ns)
    monkeypatch.setattr(soak_clock, "_mapped", soak_clock._mapped)
    real = time.time
    clock = Clock(tmp_path / "clock")
    soak_clock.install()
    assert abs(time.time() - real()) < 5
    soak_clock.follow(clock.path)
    for offset in (86_400.0, -3600.0):
        clock.set(offset)
        assert clock.offset == offset
        assert abs(time.time() - real() - offset) < 5
        assert abs(time.time_ns() / 1e9 - real() - offset) < 5


# --- judging ----------------------------------------------------------------------------------------------------------


def problems_of(tmp_path: Path, *notes: dict[str, Any]) -> list[str]:
    path = tmp_path / "notes-1.jsonl"
    path.write_text("".join(json.dumps({"at": 0.0, "session": 1, **note}) + "\n" for note in notes))
    return judge([path], is_corrupted=False).problems


def state(old: str, new: str, trigger: str | None, public: str = "") -> dict[str, Any]:
    public = public or ("ACTIVE" if new in ("ACTIVE", "DYING") else "INACTIVE")
    return {"kind": "state", "old": old, "new": new, "trigger": trigger, "public": public}


def connection(old: str, new: str, state: str = "ACTIVE") -> dict[str, Any]:
    return {"kind": "connection", "old": old, "new": new, "state": state}


def progress(done: int, total: int, estimate: Any = 0.5, mode: str = "REPORT_INDEFINITELY") -> dict[str, Any]:
    what = {"registration": 1, "direction": "UPLOAD", "mode": mode}
    return {"kind": "progress", "done": done, "total": total, "estimate": estimate, **what}


OUTSTANDING = "FOR_CURRENTLY_OUTSTANDING_WORK"


@pytest.mark.parametrize(
    "notes",
    [
        [state("INACTIVE", "ACTIVE", "REVIVE"), state("ACTIVE", "PAUSED", "SUSPEND")],
        [connection("DISCONNECTED", "CONNECTING"), connection("CONNECTING", "DISCONNECTED", "PAUSED")],
        [progress(1, 5), progress(1, 3), progress(3, 3, 1.0)],
        [progress(1, 5, mode=OUTSTANDING), progress(4, 4, 1.0, mode=OUTSTANDING)],
    ],
)
def test_what_is_legal_passes(tmp_path: Path, notes: list[dict[str, Any]]) -> None:
    assert problems_of(tmp_path, *notes) == []


@pytest.mark.parametrize(
    "notes",
    [
        [state("INACTIVE", "ACTIVE", None)],
        [state("INACTIVE", "DYING", "CLOSE")],
        [state("INACTIVE", "PAUSED", "SUSPEND", public="ACTIVE")],
        [state("INACTIVE", "ACTIVE", "REVIVE"), state("PAUSED", "ACTIVE", "RESUME")],
        [state("INACTIVE", "PAUSED", "SUSPEND"), state("PAUSED", "ACTIVE", "LOG_IN")],
        [connection("DISCONNECTED", "CONNECTED")],
        [connection("DISCONNECTED", "CONNECTING", "PAUSED")],
        [connection("DISCONNECTED", "CONNECTING"), connection("CONNECTED", "DISCONNECTED")],
        [{"kind": "observed", "old": "CONNECTED", "new": "CONNECTED"}],
        [progress(3, 5), progress(2, 5)],
        [progress(6, 5)],
        [progress(1, 5, "nan")],
        [progress(1, 5, 1.5)],
        [progress(1, 5, 1.0)],
        [progress(1, 5, mode=OUTSTANDING), progress(2, 6, mode=OUTSTANDING)],
        [{"kind": "error", "type": "ClientResetError", "status": "x"}],
    ],
)
def test_what_is_illegal_is_found(tmp_path: Path, notes: list[dict[str, Any]]) -> None:
    assert problems_of(tmp_path, *notes)


def test_progress_is_not_forgotten_by_the_next_run(tmp_path: Path) -> None:
    for run, done in ((1, 5), (2, 4)):
        path = tmp_path / f"notes-{run}.jsonl"
        path.write_text(json.dumps({"at": 0.0, "session": 1, **progress(done, 9)}) + "\n")
    problems = judge([tmp_path / "notes-1.jsonl", tmp_path / "notes-2.jsonl"], is_corrupted=False).problems
    assert len(problems) == 1
    assert "5 had been transferred before" in problems[0]


def test_the_table_of_the_soak_and_that_of_the_product_agree() -> None:
    """Two readings of spec/sessions.md §4.3: every move of the one is in the other."""
    leads_to = {
        Move.REVIVE: {"ACTIVE", "WAITING_FOR_ACCESS_TOKEN"},
        Move.ACTIVATE: {"ACTIVE"},
        Move.DEACTIVATE: {"INACTIVE"},
        Move.PAUSE: {"PAUSED"},
        Move.BY_POLICY: {"DYING", "INACTIVE"},
    }
    for trigger, row in TRANSITIONS.items():
        moves = {old.name: leads_to[move] for old, move in row.items() if move in leads_to}
        legal = {old: set(new) for old, new in LEGAL[trigger.name].items()}
        if trigger.name == "RESUME":
            legal[InternalState.PAUSED.name].discard("INACTIVE")  # while the user is logged out
        assert moves == legal, trigger


def test_logs_have_no_surprises(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "2026-11-26 00:00:00,000 WARNING syncline.sync.network syncline-sync: disconnected\n"
        "2026-11-26 00:00:00,000 ERROR syncline.sync syncline-sync: told to the application, and judged there\n"
    )
    assert surprises(log) == []
    with log.open("a") as file:
        file.write("2026-11-26 00:00:00,000 ERROR asyncio syncline-sync: Task exception was never retrieved\n")
        file.write("Traceback (most recent call last):\n" * 9)
    assert len(surprises(log)) == 6


def test_the_report_shows_what_there_is() -> None:
    report = Report(7, 2, done={"cut": 3, "slow": 1}, recoveries={"cut": [0.5, 0.25]}, findings=["anna: lost"])
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(report.faults(), report.figures())
    lines = [" ".join(line.replace("│", " ").split()) for line in console.export_text().splitlines()]
    assert "cut 3 2 0.25 0.50 0.50" in lines
    assert "slow 1 0 – – –" in lines
    assert "found 1, told below" in lines


def test_percentiles() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50.0, 99.0, 100.0)
