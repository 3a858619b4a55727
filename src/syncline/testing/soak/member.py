"""One client, as the stage sees it: its process, its way to the server, its clock, what it says."""

from __future__ import annotations

import threading
import time
from collections import deque
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from syncline.testing.processes import PATIENCE_S, ProcessFailed
from syncline.testing.soak import nursery
from syncline.testing.soak.client import Setup, run_client
from syncline.testing.soak.clock import Clock
from syncline.testing.soak.proxy import Relay

__all__ = ["Member"]

#: So many acknowledgements are remembered: more than come while somebody waits for another client.
_REMEMBERED: Final = 2000


class Member:
    """A client process that is killed and started again; every method may be called on any thread."""

    def __init__(
        self,
        index: int,
        folder: Path,
        url: str,
        *,
        clients: tuple[str, ...],
        pace: float,
        relay: Relay | None = None,
        certificate: Path | None = None,
    ) -> None:
        self.name = clients[index] if index < len(clients) else "auditor"
        self.folder = folder / self.name
        self.folder.mkdir()
        self.clock = Clock(folder / f"{self.name}.clock")
        self.journal = self.folder / "journal"
        self.log = self.folder / "client.log"
        self.certificate = certificate
        #: faults that the client itself reported
        self.faults: list[str] = []
        self.acknowledged = 0
        #: whether something is being done to it, and how often that was so
        self.is_troubled = False
        self.troubles = 0
        self._relay = relay
        self._setup = Setup(index, self.name, self.folder, url, certificate, self.clock.path, clients, 0, pace)
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._events: dict[str, deque[tuple[Any, ...]]] = {}
        self._has_ended = True
        # when the newest acknowledged commit was begun, and when that was known; the same of downloads asked for
        self._uploaded: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self._downloaded: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)

    @property
    def relay(self) -> Relay:
        """Its way to the server."""
        assert self._relay is not None
        return self._relay

    @property
    def runs(self) -> int:
        """How often it was started."""
        return self._setup.run

    def start(self) -> None:
        """Start the process."""
        self._setup = self._setup._replace(run=self._setup.run + 1)
        here, there = nursery.pipe()
        with self._changed:
            self._events.clear()
            self._has_ended = False
            self._uploaded.clear()
            self._downloaded.clear()
        self._process = nursery.start(run_client, self.name, self._setup, there)
        there.close()
        self._pipe = here
        threading.Thread(target=self._read, args=(here,), name=f"read {self.name}", daemon=True).start()

    def kill(self) -> None:
        """End it with signal 9."""
        assert self._process is not None
        self._process.kill()
        nursery.ended(self._process, PATIENCE_S)
        with self._changed:
            self._changed.wait_for(lambda: self._has_ended, PATIENCE_S)

    def ended(self) -> int | None:
        """The exit status once it has ended by itself; None if it does not."""
        assert self._process is not None
        status = nursery.ended(self._process, PATIENCE_S)
        if status is None:
            self.kill()
        return status

    def command(self, name: str, *arguments: Any) -> None:
        """Tell it something; ignored if it is not there."""
        with self._sending:
            try:
                assert self._pipe is not None
                self._pipe.send((name, arguments))
            except OSError:
                return

    def wait_for(self, event: str, patience_s: float = PATIENCE_S) -> tuple[Any, ...]:
        """The next event of that name. Raises ProcessFailed if it ends, or says nothing in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._events.get(event) or self._has_ended, patience_s)
            events = self._events.get(event)
            if events:
                return events.popleft()
        why = "ended" if self._has_ended else f"gave no answer in {patience_s:g} s"
        raise ProcessFailed(f"{self.name} {why}, though {event!r} was to come; see {self.log}")

    def ask(self, name: str, event: str, *arguments: Any, patience_s: float = PATIENCE_S) -> tuple[Any, ...]:
        """A command and its answer. Raises ProcessFailed."""
        self.command(name, *arguments)
        return self.wait_for(event, patience_s)

    def recovered(self, since: float, patience_s: float) -> float | None:
        """Seconds after ``since`` at which it was well: a commit begun later was acknowledged, a download asked for
        later complete; None if that does not happen in time, or the process ends."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._well_at(since) is not None or self._has_ended,
                max(0.0, since + patience_s - time.monotonic()),
            )
            well_at = self._well_at(since)
        return None if well_at is None else well_at - since

    def _well_at(self, since: float) -> float | None:
        times = [
            next((at for begun_at, at in told if begun_at > since), None) for told in (self._uploaded, self._downloaded)
        ]
        return None if None in times else max(time for time in times if time is not None)

    def _read(self, pipe: Connection) -> None:
        while True:
            try:
                event = pipe.recv()
            except (EOFError, OSError):
                break
            with self._changed:
                self._take(event)
                self._changed.notify_all()
        pipe.close()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _take(self, event: tuple[Any, ...]) -> None:
        match event:
            case ("uploaded", number, begun_at, at):
                self.acknowledged = max(self.acknowledged, number)
                self._uploaded.append((begun_at, at))
            case ("downloaded", asked_at, at):
                self._downloaded.append((asked_at, at))
            case ("fault", text):
                self.faults.append(text)
            case (name, *rest):
                self._events.setdefault(name, deque(maxlen=100)).append(tuple(rest))
