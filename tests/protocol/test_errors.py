"""The tables of failures: complete, consistent, and without anything that kills a client."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from syncline.protocol import ERRORS, CloseCode, ErrorAction, ErrorCode, ServerConnection, Status, SyncMode
from syncline.protocol.errors import (
    CLOSE_CODES,
    TerminationReason,
    close_reaction,
    connect_reaction,
    error_status,
    http_reaction,
)

SPEC = Path(__file__).parents[2] / "docs" / "spec" / "wire-protocol.md"


def test_the_table_holds_every_code_of_the_specification() -> None:
    section = SPEC.read_text(encoding="utf-8").partition("### 11.1 Table")[2].partition("### 11.2")[0]
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)
    assert [int(code) for code, _, _ in rows] == list(ERRORS)
    for code, name, status in rows:
        info = ERRORS[int(code)]
        assert info.aborts_clients == ("ABORT" in status) or info.code == 213
        if not info.aborts_clients:
            assert status.split(" ")[0].split(";")[0].strip("*") == info.status
        assert info.name.split()[0] == name.split()[0] or info.code in (113, 114, 232, 234)


def test_codes_and_table_are_the_same() -> None:
    assert sorted(ErrorCode) == sorted(ERRORS)
    assert all(info.is_session_level == (code >= 200) for code, info in ERRORS.items())


def test_levels_and_pairs() -> None:
    for info in ERRORS.values():
        if info.action is ErrorAction.TRANSIENT:
            assert info.try_again
        if info.action in (ErrorAction.CLIENT_RESET, ErrorAction.CLIENT_RESET_NO_RECOVERY, ErrorAction.APPLICATION_BUG):
            assert not info.try_again
    assert ERRORS[231].action is ErrorAction.WARNING
    assert ERRORS[236].action is ErrorAction.MIGRATE_SCHEMA


@pytest.mark.parametrize("code", [info.code for info in ERRORS.values() if info.aborts_clients])
def test_codes_that_kill_clients_cannot_be_sent(code: int) -> None:
    connection = ServerConnection(14, SyncMode.PBS, "", 0)
    connection.receive(b"bind 1 2 0 1 0\n/a", 0)
    (event,) = connection.events()
    with pytest.raises(ValueError, match="must not be sent"):
        connection.fail(code)
    with pytest.raises(ValueError, match="must not be sent"):
        event.session.fail(code)  # type: ignore[union-attr]


def test_status_of_unknown_codes() -> None:
    assert error_status(999) is Status.UNKNOWN_ERROR
    assert error_status(206) is Status.PERMISSION_DENIED


def test_close_codes() -> None:
    assert close_reaction(1000) is None
    for code in (1001, 1002, 1003, 1004, 1005, 1007, 1008, 1010, 1012, 3000, 4009):
        reaction = close_reaction(code)
        assert reaction is not None
        assert (reaction.status, reaction.is_fatal, reaction.action) == (Status.PROTOCOL_INVARIANT_FAILED, False, None)
    assert CLOSE_CODES[1009].action is ErrorAction.CLIENT_RESET
    assert CLOSE_CODES[1006].action is ErrorAction.REFRESH_USER
    assert CLOSE_CODES[4002].is_fatal
    assert {code for code, reaction in CLOSE_CODES.items() if reaction.is_fatal} == {4002}
    assert set(CloseCode) <= set(CLOSE_CODES)


@pytest.mark.parametrize(
    ("status", "verified", "fatal", "action", "reason"),
    [
        (301, True, False, ErrorAction.REFRESH_LOCATION, TerminationReason.HTTP_NONFATAL),
        (308, False, False, ErrorAction.REFRESH_LOCATION, TerminationReason.HTTP_NONFATAL),
        (302, True, False, None, TerminationReason.HTTP_NONFATAL),
        (401, True, False, ErrorAction.REFRESH_USER, TerminationReason.HTTP_NONFATAL),
        (403, True, True, ErrorAction.LOG_OUT_USER, TerminationReason.HTTP_FATAL),
        (500, True, False, None, TerminationReason.HTTP_NONFATAL),
        (503, False, False, None, TerminationReason.HTTP_NONFATAL),
        (404, True, True, None, TerminationReason.HTTP_FATAL),
        (429, True, True, None, TerminationReason.HTTP_FATAL),
        (200, False, False, ErrorAction.REFRESH_LOCATION, TerminationReason.CONNECT_FAILED),
    ],
)
def test_http_answers(
    status: int, verified: bool, fatal: bool, action: ErrorAction | None, reason: TerminationReason
) -> None:
    reaction = http_reaction(status, is_verified=verified)
    assert (reaction.is_fatal, reaction.action, reaction.reason) == (fatal, action, reason)


def test_failed_connections() -> None:
    assert connect_reaction(timed_out=True, is_verified=True).status is Status.CONNECT_TIMEOUT
    assert connect_reaction(timed_out=False, is_verified=False).action is ErrorAction.REFRESH_LOCATION
    assert connect_reaction(timed_out=False, is_verified=True).action is None
