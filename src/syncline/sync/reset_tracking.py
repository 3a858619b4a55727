"""What a file remembers of a client reset until the server has everything, so that none fails for ever
(spec/sessions.md §12.6, §12.7).

One value in ``rlm_sync``, written in a transaction of its own before anything changes: it survives the reset's
roll-back. Present at the next reset, it tells what became of the one before::

    begun    the process ended between the two commits of the reset: that says nothing against it, so it is done once
             more; after the third time in a row the file itself may be what kills the process, and it counts as failed
    failed   it was rolled back
    done     the file is the new one, but the server never said that it has everything
"""

from __future__ import annotations

import json
import time
from enum import Enum
from typing import Final, NamedTuple

from syncline.errors import AutomaticResetError
from syncline.protocol.errors import ErrorAction
from syncline.storage.history import ClientHistory
from syncline.storage.transaction import WriteTransaction
from syncline.sync.states import ClientResetMode
from syncline.version import __version__

__all__ = [
    "Outcome",
    "ResetRecord",
    "allowed_mode",
    "forget_in",
    "has_record",
    "next_record",
    "read_record",
    "write_record_in",
]

_KEY: Final = "reset.record"
_LIBRARY: Final = f"syncline {__version__}"

_DISCARD: Final = ClientResetMode.DISCARD_UNSYNCED_CHANGES
_RECOVER: Final = ClientResetMode.RECOVER_UNSYNCED_CHANGES
_EITHER: Final = ClientResetMode.RECOVER_OR_DISCARD_UNSYNCED_CHANGES


_MOST_INTERRUPTIONS: Final = 3


class Outcome(Enum):
    """What is known of an attempt."""

    BEGUN = "begun"
    FAILED = "failed"
    DONE = "done"


class ResetRecord(NamedTuple):
    """An attempt. ``mode``: discard or recover, what was really tried; ``at``: Unix seconds.

    ``tries``: this one and those right before it that were interrupted.
    """

    mode: ClientResetMode
    action: ErrorAction
    error_code: int
    error_message: str
    outcome: Outcome = Outcome.BEGUN
    tries: int = 1
    library: str = _LIBRARY
    at: float = 0.0

    @property
    def is_interrupted(self) -> bool:
        """Whether it neither failed nor succeeded, and may be done once more."""
        return self.outcome is Outcome.BEGUN and self.tries < _MOST_INTERRUPTIONS


def read_record(history: ClientHistory) -> ResetRecord | None:
    """The attempt that the server has not acknowledged yet; one of another version of the library is ignored."""
    stored = history.value(_KEY)
    if not isinstance(stored, str):
        return None
    try:
        values = json.loads(stored)
        record = ResetRecord(
            ClientResetMode(values["mode"]),
            ErrorAction(values["action"]),
            int(values["error_code"]),
            str(values["error_message"]),
            Outcome(values["outcome"]),
            int(values["tries"]),
            str(values["library"]),
            float(values["at"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
    return record if record.library == _LIBRARY else None


def has_record(history: ClientHistory) -> bool:
    """Whether there is an attempt, by whatever version of the library."""
    return history.value(_KEY) is not None


def write_record_in(tx: WriteTransaction, record: ResetRecord) -> None:
    """Note an attempt; it replaces any other."""
    values = record._replace(at=time.time())._asdict() | {"outcome": record.outcome.value}
    ClientHistory.set_value_in(tx, _KEY, json.dumps(values))


def forget_in(tx: WriteTransaction) -> None:
    """The server has everything: the reset has succeeded."""
    ClientHistory.set_value_in(tx, _KEY, None)


def next_record(
    previous: ResetRecord | None, wanted: ClientResetMode, action: ErrorAction, error_code: int, error_message: str
) -> ResetRecord:
    """The attempt to make after ``previous``. Raises AutomaticResetError where none may be made."""
    is_repetition = previous is not None and previous.action is action and previous.is_interrupted
    tries = previous.tries + 1 if previous is not None and is_repetition else 1
    return ResetRecord(allowed_mode(previous, wanted, action), action, error_code, error_message, tries=tries)


def allowed_mode(previous: ResetRecord | None, wanted: ClientResetMode, action: ErrorAction) -> ClientResetMode:
    """Discard or recover: the table of spec/sessions.md §12.6. Raises AutomaticResetError where neither may be done."""
    mode: ClientResetMode = _RECOVER if wanted is _EITHER else wanted
    if previous is not None and previous.action is action:
        if previous.is_interrupted:
            mode = previous.mode if wanted is _EITHER else wanted
        else:
            mode = _mode_after(previous, wanted)
    if action is ErrorAction.CLIENT_RESET_NO_RECOVERY and mode is _RECOVER:
        if wanted is _RECOVER:
            raise AutomaticResetError("the server forbids to recover unsynced changes")
        mode = _DISCARD
    return mode


def _mode_after(previous: ResetRecord, wanted: ClientResetMode) -> ClientResetMode:
    """After an attempt that did not succeed."""
    if previous.mode is _DISCARD:
        raise AutomaticResetError("the reset before, which discarded everything unsynced, did not succeed either")
    if wanted is _RECOVER:
        raise AutomaticResetError("the recovery of unsynced changes before did not succeed either")
    return _DISCARD
