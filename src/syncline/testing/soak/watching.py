"""In a client: every move of a session, every connection state, every progress report is noted, one JSON line each.

The moves are watched at their source: the attribute that holds the state of
:class:`~syncline.sync.session_core.SessionCore` is replaced by one that notes each change with the trigger that made
it. What the application is told is noted where it is told. Judged afterwards: :mod:`syncline.testing.soak.legality`.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from syncline.realm.tokens import NotificationToken
from syncline.sync.session import SyncSession
from syncline.sync.session_core import SessionCore
from syncline.sync.states import ConnectionState, InternalState, ProgressDirection, ProgressMode, SyncProgress

__all__ = ["Notes", "Watch"]

#: Methods that move a session without a trigger of the table, and what they stand for.
_CAUSES: Final = {
    "_uploaded_all": "UPLOADED",
    "failed": "FATAL",
    "update_configuration": "CONFIGURATION",
}


class Notes:
    """A file of notes. Each is written at once: a kill loses none."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, kind: str, **what: Any) -> None:
        """Note something."""
        line = json.dumps({"kind": kind, "at": round(time.monotonic(), 4), **what})
        os.write(self._descriptor, line.encode() + b"\n")

    def close(self) -> None:
        """No more notes."""
        os.close(self._descriptor)


class _State:
    """In place of ``SessionCore._state``."""

    def __init__(self, notes: Notes, cause: threading.local) -> None:
        self._notes = notes
        self._cause = cause

    def __get__(self, core: SessionCore, owner: type) -> InternalState:
        state: InternalState = core.__dict__["_state"]
        return state

    def __set__(self, core: SessionCore, new: InternalState) -> None:
        old = core.__dict__.get("_state", new)
        core.__dict__["_state"] = new
        if old is not new:
            cause = getattr(self._cause, "name", None)
            what = {"old": old.name, "new": new.name, "trigger": cause, "public": core.state.name}
            self._notes.add("state", session=core.number, **what)


class Watch:
    """Notes what all sessions of this process do; made before the first of them."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._cause = threading.local()
        self._tokens: list[NotificationToken] = []
        self._registrations = 0
        core: Any = SessionCore
        core._state = _State(notes, self._cause)
        self._name_triggers()
        for name, cause in _CAUSES.items():
            setattr(core, name, self._caused(getattr(core, name), cause))
        self._watch_connections()

    def session(self, session: SyncSession) -> None:
        """Note what the application is told of this session."""
        number = session._number
        self.forget()

        def changed(old: ConnectionState, new: ConnectionState) -> None:
            self._notes.add("observed", session=number, old=old.name, new=new.name)

        self._tokens.append(session.observe_connection_state(changed))
        for direction in ProgressDirection:
            self.progress(session, direction, ProgressMode.REPORT_INDEFINITELY)

    def progress(self, session: SyncSession, direction: ProgressDirection, mode: ProgressMode) -> None:
        """Note the progress of one direction."""
        self._registrations += 1
        registration = self._registrations

        def report(progress: SyncProgress) -> None:
            estimate = progress.progress_estimate
            self._notes.add(
                "progress",
                registration=registration,
                direction=direction.name,
                mode=mode.name,
                done=progress.transferred_bytes,
                total=progress.transferrable_bytes,
                estimate=estimate if math.isfinite(estimate) else str(estimate),
            )

        report.with_estimate = True  # type: ignore[attr-defined]
        token = session.add_progress_notification(direction, mode, report)
        if token is not None:
            self._tokens.append(token)

    def forget(self) -> None:
        """Not this session any more."""
        for token in self._tokens:
            token.invalidate()
        self._tokens.clear()

    def _name_triggers(self) -> None:
        apply = SessionCore._apply
        cause = self._cause

        def named(core: SessionCore, trigger: Any, error: Exception | None) -> Any:
            before, cause.name = getattr(cause, "name", None), trigger.name
            try:
                return apply(core, trigger, error)
            finally:
                cause.name = before

        SessionCore._apply = named  # type: ignore[method-assign, assignment]

    def _caused(self, method: Callable[..., Any], name: str) -> Callable[..., Any]:
        cause = self._cause

        def named(*arguments: Any, **keywords: Any) -> Any:
            before, cause.name = getattr(cause, "name", None), name
            try:
                return method(*arguments, **keywords)
            finally:
                cause.name = before

        return named

    def _watch_connections(self) -> None:
        change = SessionCore._set_connection_state
        notes = self._notes

        def noted(core: SessionCore, new: ConnectionState) -> None:
            old = core.connection_state
            change(core, new)
            if old is not new:
                notes.add("connection", session=core.number, old=old.name, new=new.name, state=core._state.name)

        SessionCore._set_connection_state = noted  # type: ignore[method-assign, assignment]
