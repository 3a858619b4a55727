"""Carrying out faults, one after the other for every client and the server at the same time, and seeing to it that
everybody recovers from each before the next."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from syncline.testing.choices import Choices
from syncline.testing.processes import ProcessFailed
from syncline.testing.soak.member import Member
from syncline.testing.soak.plan import Fault
from syncline.testing.soak.proxy import CUTS, DIRECTIONS, Weather
from syncline.testing.soak.stage import Stage

__all__ = ["Course"]

_MAX_STUCK: Final = 3
#: Who was waited for after somebody who was stuck has so much time at least.
_AGAIN_S: Final = 10.0
_DAY_S: Final = 86_400


@dataclass
class Course:
    """The course of a soak: what was done, and how long everybody took to recover, in seconds by kind of fault."""

    stage: Stage
    done: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    suspensions: int = 0

    def __post_init__(self) -> None:
        clients, server = self.stage.plan.deal()
        self.total = len(clients) + len(server)
        self._of_clients = deque(clients)
        self._of_server = deque(server)
        self._lock = threading.Lock()
        self._stuck = 0
        self._outages: list[tuple[float, float]] = []  # when the server was not well
        self._outage_since: float | None = None
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._trouble, member), name=f"trouble {member.name}")
            for member in self.stage.members
        ]
        self._threads.append(threading.Thread(target=self._guarded, args=(self._trouble_server,), name="trouble"))

    def run(self, tick: Callable[[], None]) -> None:
        """All faults; ``tick`` is called now and then."""
        began = time.monotonic()
        for thread in self._threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in self._threads):
                seconds = self.stage.plan.seconds
                if seconds and time.monotonic() - began > seconds:
                    self._is_over.set()
                tick()
                time.sleep(0.1)
        finally:
            self._is_over.set()
            for thread in self._threads:
                thread.join()

    @property
    def number_done(self) -> int:
        """Faults so far."""
        with self._lock:
            return sum(self.done.values())

    def _guarded(self, work: Callable[..., None], *arguments: Member) -> None:
        try:
            work(*arguments)
        except (ProcessFailed, OSError, AssertionError) as error:
            self.stage.find("stage", f"{type(error).__name__}: {error}")
            self._is_over.set()

    # --- clients ------------------------------------------------------------------------------------------------------

    def _trouble(self, member: Member) -> None:
        while not self._is_over.is_set():
            with self._lock:
                fault = self._of_clients.popleft() if self._of_clients else None
            if fault is None:
                return
            choices = fault.choices()
            member.is_troubled = True
            member.troubles += 1
            since = _FAULTS[fault.kind](self, member, choices)
            self._recover(member, fault, since)
            member.relay.thaw()
            member.is_troubled = False
            time.sleep(choices.integer(0, 150) / 1000)

    def _recover(self, member: Member, fault: Fault, since: float) -> None:
        seconds = member.recovered(since, self.stage.plan.patience_s)
        self._log(member.name, fault, since, seconds)
        with self._lock:
            self.done[fault.kind] += 1
        if seconds is None:
            self._note_stuck(member, fault)
        elif fault.kind == "half-open" or not self._was_out(since, since + seconds):  # nobody hears of anything there
            with self._lock:
                self.recoveries[fault.kind].append(seconds)

    def _log(self, who: str, fault: Fault, since: float, seconds: float | None) -> None:
        """For whoever looks into it: what happened when, in the monotonic seconds of the clients' notes."""
        line = json.dumps({"fault": fault.kind, "seed": fault.seed, "who": who, "at": since, "recovered_in": seconds})
        with self._lock, (self.stage.folder / "course.jsonl").open("a") as log:
            log.write(line + "\n")

    def _note_stuck(self, member: Member, fault: Fault) -> None:
        self.stage.find(
            member.name,
            f"stuck: not well {self.stage.plan.patience_s:g} s after {fault.kind!r} (seed {fault.seed}), "
            f"run {member.runs}",
        )
        member.command("diagnose")
        member.relay.calm()
        member.command("reachable")
        with self._lock:
            self._stuck += 1
            if self._stuck >= _MAX_STUCK:
                self._is_over.set()

    def _was_out(self, start: float, end: float) -> bool:
        with self._lock:
            if self._outage_since is not None and self._outage_since < end:
                return True
            return any(begun < end and start < over for begun, over in self._outages)

    def _help(self, member: Member, choices: Choices, percent: int) -> None:
        """What the operating system does when the network is back: without it, the back-off decides."""
        if choices.chance(percent):
            time.sleep(choices.integer(0, 100) / 1000)
            member.command("reachable")

    def _cut(self, member: Member, choices: Choices) -> float:
        for _ in range(2 if choices.chance(10) else 1):
            style = choices.pick(CUTS)
            if choices.chance(20):
                member.relay.cut(style)
            else:
                size = choices.integer(1, choices.pick([10, 100, 1000, 5000]))
                member.relay.cut_after(choices.pick(DIRECTIONS), size, style)
                if not member.relay.was_cut.wait(2):
                    member.relay.calm()
                    member.relay.cut(style)
            since = time.monotonic()
            self._help(member, choices, 80)
        return since

    def _kill(self, member: Member, choices: Choices) -> float:
        if choices.chance(50):
            member.command("hurry", 0.3)
        time.sleep(choices.integer(0, 250) / 1000)
        member.kill()
        since = time.monotonic()
        member.start()
        if choices.chance(10):  # once more, while it begins
            time.sleep(choices.integer(0, 300) / 1000)
            member.kill()
            member.start()
        member.wait_for("open")
        return since

    def _suspend(self, member: Member, choices: Choices) -> float:
        if choices.chance(50):
            member.command("watch")
        if choices.chance(50):
            member.command("hurry", 0.2)
        answer = member.ask(
            "suspend", "suspended", choices.integer(1, 4), choices.integer(1, 3), choices.integer(0, 2**31)
        )
        with self._lock:
            self.suspensions += answer[0]
        return time.monotonic()

    def _set_clock(self, member: Member, choices: Choices) -> float:
        member.clock.set(_jump(member.clock.offset, choices))
        return time.monotonic()

    def _corrupt(self, member: Member, choices: Choices) -> float:
        relay = member.relay
        relay.corrupt(self.stage.plan.corrupt_one_in)
        relay.was_corrupted.wait(20)
        relay.corrupt(0)
        since = time.monotonic()
        self._help(member, choices, 50)
        return since

    def _freeze(self, member: Member, choices: Choices) -> float:
        member.relay.freeze(choices.pick([["up", "down"], ["up"], ["down"]]))
        since = time.monotonic()
        self._help(member, choices, 50)
        return since

    def _slow(self, member: Member, choices: Choices) -> float:
        weather = Weather(choices.integer(0, 50) / 1000, choices.pick([0, 512, 64, 16]))
        member.command("watch")
        member.relay.weather(weather)
        if choices.chance(50):
            member.relay.cut_after(choices.pick(DIRECTIONS), choices.integer(1, 2000), choices.pick(CUTS))
        time.sleep(choices.integer(500, 3000) / 1000)
        member.relay.calm()
        since = time.monotonic()
        self._help(member, choices, 50)
        return since

    # --- the server ---------------------------------------------------------------------------------------------------

    def _trouble_server(self) -> None:
        """Spread over the time that the clients' faults take."""
        number = len(self._of_server)
        of_clients = len(self._of_clients)
        while self._of_server and not self._is_over.is_set():
            fault = self._of_server.popleft()
            due = of_clients * (number - len(self._of_server)) // (number + 1)
            while len(self._of_clients) > of_clients - due and not self._is_over.is_set():
                time.sleep(0.02)
            if self._is_over.is_set():
                return
            choices = fault.choices()
            if fault.kind == "kill server":
                self._kill_server(fault, choices)
            else:
                self._set_server_clock(fault, choices)

    def _set_server_clock(self, fault: Fault, choices: Choices) -> None:
        clock = self.stage.server.clock
        with self._outage():
            clock.set(_jump(clock.offset, choices))
            self._recover_all(fault, time.monotonic())

    @contextmanager
    def _outage(self) -> Iterator[None]:
        """Meanwhile it is not a client's own fault that counts."""
        with self._lock:
            self._outage_since = since = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._outages.append((since, time.monotonic()))
                self._outage_since = None

    def _kill_server(self, fault: Fault, choices: Choices) -> None:
        for member in self.stage.members:
            if choices.chance(50):
                member.command("hurry", 0.3)
        time.sleep(choices.integer(0, 250) / 1000)
        with self._outage():
            self.stage.server.kill()
            since = time.monotonic()
            time.sleep(choices.integer(0, 300) / 1000)
            self.stage.server.start()
            if choices.chance(10):
                self.stage.server.kill()
                self.stage.server.start()
            for member in self.stage.members:
                self._help(member, choices, 80)
            self._recover_all(fault, since)

    def _recover_all(self, fault: Fault, since: float) -> None:
        """Everybody recovers; measured are those to whom nothing else happened meanwhile."""
        before = {member.name: (member.is_troubled, member.troubles) for member in self.stage.members}
        times: list[float] = []
        for member in self.stage.members:
            seconds = member.recovered(since, self.stage.plan.patience_s)
            deadline = max(since + self.stage.plan.patience_s, time.monotonic() + _AGAIN_S)
            while seconds is None and time.monotonic() < deadline:  # it was killed meanwhile, perhaps
                time.sleep(0.05)
                seconds = member.recovered(since, self.stage.plan.patience_s)
            self._log(member.name, fault, since, seconds)
            if seconds is None:
                self._note_stuck(member, fault)
            elif before[member.name] == (False, member.troubles):
                times.append(seconds)
        with self._lock:
            self.done[fault.kind] += 1
            self.recoveries[fault.kind] += times


def _jump(offset: float, choices: Choices) -> float:
    """Another setting of a clock: by a second or by a day, forwards or back, and not too far from the truth."""
    by = choices.integer(1, choices.pick([5, 120, 3600, _DAY_S])) * choices.pick([1, -1])
    other = offset + by
    return other if abs(other) < 2 * _DAY_S else offset - by


_FAULTS: Final[Mapping[str, Callable[[Course, Member, Choices], float]]] = {
    "cut": Course._cut,
    "kill client": Course._kill,
    "suspend": Course._suspend,
    "clock": Course._set_clock,
    "corrupt": Course._corrupt,
    "half-open": Course._freeze,
    "slow": Course._slow,
}
