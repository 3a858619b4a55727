"""What a file remembers of a client reset until the server has everything, so that none fails for ever
(spec/sessions.md §12.6, §12.7).

One value in ``rlm_sync``, written in a transaction of its own before anything changes: it survives the reset's
roll-back. Present at the next reset, it tells that the one before did not succeed.
"""

from __future__ import annotations

import json
import time
from typing import Final, NamedTuple

from syncline.errors import AutomaticResetError
from syncline.protocol.errors import ErrorAction
from syncline.storage.history import ClientHistory
from syncline.storage.transaction import WriteTransaction
from syncline.sync.states import ClientResetMode
from syncline.version import __version__

__all__ = ["ResetRecord", "allowed_mode", "forget_in", "has_record", "read_record", "write_record_in"]

_KEY: Final = "reset.record"
_LIBRARY: Final = f"syncline {__version__}"

_DISCARD: Final = ClientResetMode.DISCARD_UNSYNCED_CHANGES
_RECOVER: Final = ClientResetMode.RECOVER_UNSYNCED_CHANGES
_EITHER: Final = ClientResetMode.RECOVER_OR_DISCARD_UNSYNCED_CHANGES


class ResetRecord(NamedTuple):
    """An attempt. ``mode``: discard or recover, what was really tried; ``at``: Unix seconds."""

    mode: ClientResetMode
    action: ErrorAction
    error_code: int
    error_message: str
    library: str = _LIBRARY
    at: float = 0.0


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
    values = record._replace(at=time.time())._asdict()
    ClientHistory.set_value_in(tx, _KEY, json.dumps(values))


def forget_in(tx: WriteTransaction) -> None:
    """The server has everything: the reset has succeeded."""
    ClientHistory.set_value_in(tx, _KEY, None)


def allowed_mode(previous: ResetRecord | None, wanted: ClientResetMode, action: ErrorAction) -> ClientResetMode:
    """Discard or recover: the table of spec/sessions.md §12.6. Raises AutomaticResetError where neither may be done."""
    mode = _RECOVER if wanted is _EITHER else wanted
    if previous is not None and previous.action is action:
        if previous.mode is _DISCARD:
            raise AutomaticResetError("the reset before, which discarded everything unsynced, did not succeed either")
        if wanted is _RECOVER:
            raise AutomaticResetError("the recovery of unsynced changes before did not succeed either")
        mode = _DISCARD
    if action is ErrorAction.CLIENT_RESET_NO_RECOVERY and mode is _RECOVER:
        if wanted is _RECOVER:
            raise AutomaticResetError("the server forbids to recover unsynced changes")
        mode = _DISCARD
    return mode
