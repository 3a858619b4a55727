"""The states of sessions, connections and users, and the table of a session's transitions (spec/sessions.md §4).

The table is the state machine: :data:`TRANSITIONS` has one row per trigger and one entry per internal state, exactly as
spec/sessions.md §4.3 draws it. :class:`~syncline.sync.session_core.SessionCore` looks a trigger up and performs the
move it finds; nothing else decides where a session goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

__all__ = [
    "PUBLIC_STATES",
    "TRANSITIONS",
    "ClientResetMode",
    "ConnectionState",
    "InternalState",
    "Move",
    "ProgressDirection",
    "ProgressMode",
    "SyncLogLevel",
    "SyncProgress",
    "SyncSessionState",
    "SyncStopPolicy",
    "SyncUserState",
    "Trigger",
    "close_move",
]


class SyncSessionState(IntEnum):
    """What the application sees of a session (spec/sessions.md §4.1)."""

    ACTIVE = 0
    """Talking to the server, or trying to; says nothing about being online."""
    INACTIVE = 1
    """Not trying: the user is logged out or the session is suspended."""
    INVALID = 2
    """Ended for good; discard it."""


class ConnectionState(IntEnum):
    """State of a session's connection to the server (spec/sessions.md §7.1)."""

    DISCONNECTED = 0
    CONNECTING = 1
    CONNECTED = 2


class SyncUserState(IntEnum):
    """State of a user (spec/README.md, *Public names*)."""

    LOGGED_OUT = 0
    ACTIVE = 1
    ERROR = 2


class SyncStopPolicy(IntEnum):
    """What happens to a session when the last Realm of its file is closed (spec/sessions.md §3.4)."""

    IMMEDIATELY = 0
    LIVE_INDEFINITELY = 1
    AFTER_CHANGES_UPLOADED = 2


class ClientResetMode(IntEnum):
    """What to do when the server's history no longer fits the local file (spec/sessions.md §12.2)."""

    MANUAL = 0
    DISCARD_UNSYNCED_CHANGES = 1
    RECOVER_UNSYNCED_CHANGES = 2
    RECOVER_OR_DISCARD_UNSYNCED_CHANGES = 3


class SyncLogLevel(IntEnum):
    """Thresholds of :attr:`SyncManager.log_level`; a message is emitted if its level is at or above it (§14.2)."""

    OFF = 0
    FATAL = 1
    ERROR = 2
    WARN = 3
    INFO = 4
    DETAIL = 5
    DEBUG = 6
    TRACE = 7
    ALL = 8


class ProgressDirection(IntEnum):
    """Which transfer a progress notification watches."""

    UPLOAD = 0
    DOWNLOAD = 1


class ProgressMode(IntEnum):
    """How long a progress notification goes on (spec/sessions.md §9.1)."""

    REPORT_INDEFINITELY = 0
    """At every change, until the token is invalidated."""
    FOR_CURRENTLY_OUTSTANDING_WORK = 1
    """Until what was outstanding at registration has been transferred."""


@dataclass(frozen=True)
class SyncProgress:
    """One progress report.

    ``transferrable_bytes`` is the total (transferred plus pending), in bytes of changesets before compression;
    ``progress_estimate`` the same as a fraction in [0, 1] (spec/sessions.md §9.1, §9.6).
    """

    transferred_bytes: int
    transferrable_bytes: int
    progress_estimate: float

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the reported total is pending."""
        return self.transferred_bytes >= self.transferrable_bytes


# --- the state machine of a session -----------------------------------------------------------------------------------


class InternalState(Enum):
    """States of the machine (spec/sessions.md §4.2). Only ``ACTIVE`` and ``DYING`` have a protocol session."""

    INACTIVE = "inactive"
    WAITING_FOR_ACCESS_TOKEN = "waiting for access token"
    ACTIVE = "active"
    DYING = "dying"
    PAUSED = "paused"


class Trigger(Enum):
    """What can happen to a session (columns of spec/sessions.md §4.3)."""

    REVIVE = "opened, or revived"
    SUSPEND = "suspend()"
    RESUME = "resume()"
    LOG_OUT = "the user logged out"
    LOG_IN = "the user logged in"
    CLOSE = "the last external reference went away"
    TOKEN = "an access token arrived"
    FATAL = "an error ended it"
    SHUT_DOWN = "the manager was shut down"


class Move(Enum):
    """What a trigger makes the session do; the names are those of spec/sessions.md §4.3 and §4.4."""

    STAY = "stay"
    REVIVE = "become active, or ask for an access token first"
    ACTIVATE = "become active"
    DIE = "finish uploads, then become inactive"
    DEACTIVATE = "become inactive"
    PAUSE = "become paused"
    UNREGISTER = "leave the manager"
    REFRESH = "use the new token at the next connection, cancel the reconnect delay"
    BY_POLICY = "as the stop policy says"


_I = InternalState.INACTIVE
_W = InternalState.WAITING_FOR_ACCESS_TOKEN
_A = InternalState.ACTIVE
_D = InternalState.DYING
_P = InternalState.PAUSED

TRANSITIONS: Final[Mapping[Trigger, Mapping[InternalState, Move]]] = {
    Trigger.REVIVE: {_I: Move.REVIVE, _W: Move.STAY, _A: Move.STAY, _D: Move.REVIVE, _P: Move.STAY},
    Trigger.SUSPEND: {_I: Move.PAUSE, _W: Move.PAUSE, _A: Move.PAUSE, _D: Move.PAUSE, _P: Move.STAY},
    Trigger.RESUME: {_I: Move.REVIVE, _W: Move.STAY, _A: Move.STAY, _D: Move.REVIVE, _P: Move.REVIVE},
    Trigger.LOG_OUT: {_I: Move.STAY, _W: Move.DEACTIVATE, _A: Move.DEACTIVATE, _D: Move.DEACTIVATE, _P: Move.STAY},
    Trigger.LOG_IN: {_I: Move.REVIVE, _W: Move.STAY, _A: Move.STAY, _D: Move.REVIVE, _P: Move.STAY},
    Trigger.CLOSE: {_I: Move.UNREGISTER, _W: Move.DEACTIVATE, _A: Move.BY_POLICY, _D: Move.STAY, _P: Move.UNREGISTER},
    Trigger.TOKEN: {_I: Move.REVIVE, _W: Move.ACTIVATE, _A: Move.REFRESH, _D: Move.REVIVE, _P: Move.STAY},
    Trigger.FATAL: {_I: Move.STAY, _W: Move.DEACTIVATE, _A: Move.DEACTIVATE, _D: Move.DEACTIVATE, _P: Move.STAY},
    Trigger.SHUT_DOWN: {_I: Move.STAY, _W: Move.DEACTIVATE, _A: Move.DEACTIVATE, _D: Move.DEACTIVATE, _P: Move.STAY},
}
"""``TRANSITIONS[trigger][state]``: the table of spec/sessions.md §4.3. A move never depends on anything but these two,
apart from ``BY_POLICY`` (:func:`close_move`)."""

PUBLIC_STATES: Final[Mapping[InternalState, SyncSessionState]] = {
    _A: SyncSessionState.ACTIVE,
    _W: SyncSessionState.ACTIVE,
    _D: SyncSessionState.ACTIVE,
    _I: SyncSessionState.INACTIVE,
    _P: SyncSessionState.INACTIVE,
}
"""What the application sees of each internal state (spec/sessions.md §4.1)."""


def close_move(policy: SyncStopPolicy) -> Move:
    """What an *active* session does when its last external reference goes away (spec/sessions.md §3.4)."""
    if policy is SyncStopPolicy.IMMEDIATELY:
        return Move.DEACTIVATE
    if policy is SyncStopPolicy.LIVE_INDEFINITELY:
        return Move.STAY
    return Move.DIE
