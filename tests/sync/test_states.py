"""The table of a session's transitions, row by row (spec/sessions.md §4.3, §3.4, §4.1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncline.sync.states import (
    PUBLIC_STATES,
    TRANSITIONS,
    ConnectionState,
    InternalState,
    Move,
    ProgressDirection,
    ProgressMode,
    SyncProgress,
    SyncSessionState,
    SyncStopPolicy,
    Trigger,
    close_move,
)

INACTIVE = InternalState.INACTIVE
WAITING = InternalState.WAITING_FOR_ACCESS_TOKEN
ACTIVE = InternalState.ACTIVE
DYING = InternalState.DYING
PAUSED = InternalState.PAUSED

# fmt: off
_STAY, _REVIVE, _PAUSE, _END, _LEAVE = Move.STAY, Move.REVIVE, Move.PAUSE, Move.DEACTIVATE, Move.UNREGISTER
SPECIFIED = {
    # from: revive, suspend, resume, log out, log in, close, token, fatal, shut down
    INACTIVE: [_REVIVE, _PAUSE, _REVIVE, _STAY, _REVIVE, _LEAVE, _REVIVE, _STAY, _STAY],
    WAITING: [_STAY, _PAUSE, _STAY, _END, _STAY, _END, Move.ACTIVATE, _END, _END],
    ACTIVE: [_STAY, _PAUSE, _STAY, _END, _STAY, Move.BY_POLICY, Move.REFRESH, _END, _END],
    DYING: [_REVIVE, _PAUSE, _REVIVE, _END, _REVIVE, _STAY, _REVIVE, _END, _END],
    PAUSED: [_STAY, _STAY, _REVIVE, _STAY, _STAY, _LEAVE, _STAY, _STAY, _STAY],
}
# fmt: on
COLUMNS = [
    Trigger.REVIVE,
    Trigger.SUSPEND,
    Trigger.RESUME,
    Trigger.LOG_OUT,
    Trigger.LOG_IN,
    Trigger.CLOSE,
    Trigger.TOKEN,
    Trigger.FATAL,
    Trigger.SHUT_DOWN,
]


@pytest.mark.parametrize("state", list(InternalState), ids=lambda state: state.name)
def test_every_trigger_moves_every_state_as_specified(state: InternalState) -> None:
    assert [TRANSITIONS[trigger][state] for trigger in COLUMNS] == SPECIFIED[state]


def test_the_table_is_complete() -> None:
    assert set(TRANSITIONS) == set(Trigger)
    assert all(set(row) == set(InternalState) for row in TRANSITIONS.values())


def test_s15_nothing_but_resume_and_close_moves_a_paused_session() -> None:
    moving = {trigger for trigger, row in TRANSITIONS.items() if row[PAUSED] is not Move.STAY}
    assert moving == {Trigger.RESUME, Trigger.CLOSE}


def test_s17_resume_does_nothing_where_the_session_is_active() -> None:
    assert TRANSITIONS[Trigger.RESUME][ACTIVE] is Move.STAY
    assert TRANSITIONS[Trigger.RESUME][WAITING] is Move.STAY


def test_s6_public_states() -> None:
    assert {state for state, public in PUBLIC_STATES.items() if public is SyncSessionState.ACTIVE} == {
        ACTIVE,
        WAITING,
        DYING,
    }
    assert PUBLIC_STATES[PAUSED] is SyncSessionState.INACTIVE
    assert PUBLIC_STATES[INACTIVE] is SyncSessionState.INACTIVE


def test_closing_an_active_session_follows_the_stop_policy() -> None:
    assert close_move(SyncStopPolicy.IMMEDIATELY) is Move.DEACTIVATE
    assert close_move(SyncStopPolicy.LIVE_INDEFINITELY) is Move.STAY
    assert close_move(SyncStopPolicy.AFTER_CHANGES_UPLOADED) is Move.DIE


def test_public_values_are_those_of_the_first_sdks() -> None:
    assert [int(state) for state in SyncSessionState] == [0, 1, 2]
    assert [int(state) for state in ConnectionState] == [0, 1, 2]
    assert (ProgressDirection.UPLOAD, ProgressDirection.DOWNLOAD) == (0, 1)
    assert (ProgressMode.REPORT_INDEFINITELY, ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK) == (0, 1)
    assert (SyncStopPolicy.IMMEDIATELY, SyncStopPolicy.LIVE_INDEFINITELY) == (0, 1)
    assert SyncStopPolicy.AFTER_CHANGES_UPLOADED == 2


def test_progress_is_complete_once_all_is_transferred() -> None:
    assert SyncProgress(5, 5, 1.0).is_complete
    assert SyncProgress(6, 5, 1.0).is_complete
    assert not SyncProgress(4, 5, 0.8).is_complete


def test_the_table_of_the_documentation_is_the_machine() -> None:
    page = Path(__file__).parents[2] / "docs" / "explanation" / "sync-sessions.md"
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("|") and line.count("|") == 7
    ]
    header, _, *body = rows
    states = [InternalState[name] for name in header[1:]]
    documented = {
        Trigger[name]: dict(zip(states, (Move[move] for move in moves), strict=True)) for name, *moves in body
    }
    assert documented == TRANSITIONS
