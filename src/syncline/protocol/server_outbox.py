"""What the sessions of a server connection share with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING

from syncline.errors import ProtocolViolationError
from syncline.protocol.events import ServerEvent
from syncline.protocol.messages import LogMessage
from syncline.protocol.settings import ServerSettings, SyncMode
from syncline.protocol.turns import Turns

if TYPE_CHECKING:
    from syncline.protocol.server_session import ServerSession

__all__ = ["ServerOutbox"]


class ServerOutbox:
    """What sessions share with their connection: events for the driver, turns to send, and what they hold of it."""

    def __init__(self, version: int, mode: SyncMode, settings: ServerSettings) -> None:
        self.version = version
        self.mode = mode
        self.settings = settings
        self.events: list[ServerEvent] = []
        self.turns: Turns[ServerSession] = Turns()
        self.ended: list[ServerSession] = []
        self.logs: deque[LogMessage] = deque()
        self.queued_bytes = 0  # of messages that wait for the driver's answers
        self.queues_full = 0  # sessions with too many such messages
        self.fetches = 0  # downloads asked for or not yet written
        self.waiting_for_fetch: deque[ServerSession] = deque()
        self.bound: set[tuple[Hashable, int]] = set()  # Realms and file idents of identified sessions
        self.violation: ProtocolViolationError | None = None  # found while a driver's answer was worked in

    def log(self, level: str, message: str, session: int = 0, connection_id: str = "") -> None:
        """Say something in the client's log (version 10 and later); dropped when too much waits."""
        if self.version >= 10 and len(self.logs) < self.settings.queued_logs:
            self.logs.append(LogMessage(session, level, message, connection_id))

    def release_fetch(self) -> None:
        """A download was written or given up: the next session may ask for one."""
        self.fetches -= 1
        while self.waiting_for_fetch:
            session = self.waiting_for_fetch.popleft()
            session._waits_for_fetch = False
            if session._wants_download:
                self.turns.enlist(session)
                return
