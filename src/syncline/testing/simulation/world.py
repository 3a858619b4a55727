"""Devices, a server and the wires between them on virtual time; what can happen there, one event at a time.

Messages of one connection arrive in the order of writing, after any delay, or not at all when it is lost. A device and
the server each have a disk of their own, whose power may be cut between any two writes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import apsw

from syncline.errors import FileError
from syncline.testing.choices import RandomChoices
from syncline.testing.disk import Disk, Everything, Lottery, Survival
from syncline.testing.simulation.device import Device
from syncline.testing.simulation.events import KILLED, Event
from syncline.testing.simulation.failures import SimulationError
from syncline.testing.simulation.rules import RuleLog
from syncline.testing.simulation.server import ServerSide, Socket, Traits

__all__ = ["Plan", "World"]

#: Rounds in which everybody must have told everybody everything; far more than the longest history needs.
_MOST_ROUNDS: Final = 2_000
#: Links of one device whose server side may be open at the same time; older ones are cut.
_MOST_LINKS: Final = 3


class Plan(NamedTuple):
    """What the seed decides once. ``fresh``: nobody has synced before. ``operations``: most in one transaction.

    ``focus``: how many properties of a class are touched, 0 for all. ``sociability``: how soon devices connect.
    ``schema_removal``: classes and properties are erased.
    """

    devices: int
    theme: str
    fresh: bool
    skews_ms: tuple[int, ...]
    delays_uploads: bool
    traits: Traits
    steps: int
    commits: int
    operations: int
    focus: int
    sociability: int
    schema_removal: bool
    fault_percent: int


class Link:
    """One WebSocket. ``up``: messages on their way to the server."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.up: deque[bytes] = deque()


class World:
    """Everything there is in one run. ``lenient``: what is impossible is left out, as when a trace is shortened."""

    def __init__(self, plan: Plan, disks: Sequence[Disk], images: Sequence[Mapping[str, bytes]], lenient: bool) -> None:
        self.now_ms = 0
        self.counts: Counter[str] = Counter()
        self.rules = RuleLog()
        #: called with each event after it happened
        self.onlookers: list[Callable[[Event], None]] = []
        self._lenient = lenient
        for disk, files in zip(disks, images, strict=True):
            disk.install(files)
        self.server = ServerSide(disks[0], plan.traits, self.rules.at("the server"))
        self.devices = [
            Device(number, disk, plan.skews_ms[number], plan.delays_uploads, self.rules.at(f"device {number}"))
            for number, disk in enumerate(disks[1:])
        ]
        #: the links of each device whose server side is open, the newest first
        self.links: list[list[Link]] = [[] for _ in self.devices]
        #: whether the newest link is open on the device's side
        self.is_online = [False for _ in self.devices]
        self._survivals: dict[Disk, tuple[Survival, int | None]] = {}
        self._actions: dict[str, Callable[[Event], bool]] = {
            "commit": self._commit,
            "connect": self._connect,
            "speak": self._speak,
            "listen": self._listen,
            "work": self._work,
            "hear": self._hear,
            "answer": self._answer,
            "integrate": self._integrate,
            "cut": self._cut,
            "hang": self._hang,
            "checkpoint": self._checkpoint,
            "restart": self._restart,
            "crash": self._crash,
            "server_restart": self._server_restart,
            "server_crash": self._server_crash,
            "time": self._time,
        }

    def perform(self, event: Event) -> bool:
        """Let it happen; False if it cannot, and nothing has. Raises SimulationError, and whatever fails."""
        try:
            done = self._actions[event.action](event)
        except (FileError, apsw.Error):
            if not (self.server.disk.is_off or any(device.disk.is_off for device in self.devices)):
                raise
            done = True
        self._bring_back()
        if done:
            for look in self.onlookers:
                look(event)
        return done

    def close(self) -> None:
        """Close every file, whatever state it is in."""
        for device in self.devices:
            device.abandon()
        self.server.abandon()

    # --- power ------------------------------------------------------------------------------------------------------

    def _arm(self, disk: Disk, numbers: tuple[int, ...]) -> None:
        steps, seed, again = numbers
        survival: Survival = Everything() if seed == KILLED else Lottery(RandomChoices(seed))
        self._survivals[disk] = (survival, None if again < 0 else again)
        disk.cut_power_after(steps)
        if steps == 0:
            disk.silence()

    def _bring_back(self) -> None:
        """Restart what lost power."""
        if not self._survivals:
            return
        for device in self.devices:
            if device.disk.is_off:
                self.counts["device crashes"] += 1
                self._drop_device_side(device.number)
                device.restart_after_crash(*self._survivals.pop(device.disk))
        if self.server.disk.is_off:
            self.counts["server crashes"] += 1
            self._drop_server_sides()
            self.server.restart_after_crash(*self._survivals.pop(self.server.disk), self.now_ms)
            self._check_server()

    def _check_server(self) -> None:
        """What the server told anybody before it went down must still be so."""
        with self.server.store() as store:
            version = store.status().head.version
            for device in self.devices:
                if version < device.server_version:
                    raise SimulationError(
                        "lost", f"the server told of version {device.server_version}, its newest is {version}"
                    )
                ident, salt = device.file_ident
                file = store.client_file(ident) if ident else None
                if ident and (file is None or file.salt != salt):
                    raise SimulationError("lost", f"the server gave ident {ident} and does not know it")
                if file is not None and file.upload.client_version < device.acknowledged:
                    raise SimulationError(
                        "lost",
                        f"the server acknowledged version {device.acknowledged} of device {device.number}, and has"
                        f" {file.upload.client_version}",
                    )

    # --- devices ----------------------------------------------------------------------------------------------------

    def _commit(self, event: Event) -> bool:
        device = self.devices[event.who]
        device.set_clock(event.numbers[0])
        device.commit(event.operations, event.own, self._lenient)
        self.counts["commits"] += 1
        return True

    def _checkpoint(self, event: Event) -> bool:
        self.devices[event.who].checkpoint()
        return True

    def _answer(self, event: Event) -> bool:
        device = self.devices[event.who]
        if not device.questions:
            return False
        device.answer()
        self._hang_up_if_wanted(device)
        return True

    def _integrate(self, event: Event) -> bool:
        device = self.devices[event.who]
        if not device.downloads:
            return False
        device.integrate(event.numbers[0])
        self.counts["integrations"] += 1
        self._hang_up_if_wanted(device)
        return True

    def _restart(self, event: Event) -> bool:
        device = self.devices[event.who]
        self._drop_device_side(event.who)
        device.stop()
        if not device.disk.is_off:
            device.start()
            self.counts["device restarts"] += 1
        return True

    def _crash(self, event: Event) -> bool:
        disk = self.devices[event.who].disk
        if disk in self._survivals:
            return False
        self._arm(disk, event.numbers)
        return True

    # --- wires ------------------------------------------------------------------------------------------------------

    def _connect(self, event: Event) -> bool:
        if self.is_online[event.who]:
            return False
        version, window = event.numbers
        links = self.links[event.who]
        while len(links) >= _MOST_LINKS:
            self._lose_server_side(event.who, len(links) - 1)
        links.insert(0, Link(self.server.accept(version, window)))
        self.is_online[event.who] = True
        device = self.devices[event.who]
        device.machine.connected(version, self.now_ms)
        device.collect()
        self.counts["connections"] += 1
        return True

    def _speak(self, event: Event) -> bool:
        if not self.is_online[event.who]:
            return False
        device = self.devices[event.who]
        message = device.machine.next_message(self.now_ms)
        asked = len(device.questions)
        device.collect()
        if message is not None:
            self.links[event.who][0].up.append(message)
            self.counts["messages"] += 1
        self._hang_up_if_wanted(device)
        return message is not None or len(device.questions) != asked

    def _listen(self, event: Event) -> bool:
        links = self.links[event.who]
        place = event.numbers[0]
        if place >= len(links) or not links[place].up:
            return False
        link = links[place]
        if not link.socket.unread:
            link.socket.deliver(link.up.popleft())
            self.server.run()
        return True

    def _hear(self, event: Event) -> bool:
        if not self.is_online[event.who]:
            return False
        device = self.devices[event.who]
        link = self.links[event.who][0]
        if link.socket.down:
            device.machine.receive(link.socket.take(), self.now_ms)
            device.collect()
            self.server.run()
            self._hang_up_if_wanted(device)
            return True
        if link.socket.is_closed:
            self._drop_device_side(event.who)
            return True
        return False

    def _cut(self, event: Event) -> bool:
        """The device notices first; what it had written may still arrive."""
        if not self.is_online[event.who]:
            return False
        link = self.links[event.who][0]
        self._drop_device_side(event.who)
        if event.numbers[0] & 1:
            link.up.clear()
        self.counts["connections cut"] += 1
        return True

    def _hang(self, event: Event) -> bool:
        """The server notices, after what had arrived; of the newest link first, if the device has not noticed yet."""
        if event.numbers[0] >= len(self.links[event.who]):
            return False
        self._lose_server_side(event.who, event.numbers[0])
        self.counts["connections cut"] += 1
        return True

    def _hang_up_if_wanted(self, device: Device) -> None:
        if device.wants_to_hang_up:
            self._drop_device_side(device.number)

    def _drop_device_side(self, number: int) -> None:
        """The device's end of its connection is closed; what it had written may still arrive."""
        if self.is_online[number]:
            self.is_online[number] = False
            self.links[number][0].socket.down.clear()
            device = self.devices[number]
            device.machine.disconnected(self.now_ms)
            device.wants_to_hang_up = False
            device.collect()

    def _lose_server_side(self, number: int, place: int) -> None:
        link = self.links[number][place]
        if place == 0:
            self._drop_device_side(number)
        del self.links[number][place]
        link.socket.lose()
        self.server.run()

    def _drop_server_sides(self) -> None:
        for number in range(len(self.devices)):
            self._drop_device_side(number)
            self.links[number].clear()

    # --- the server -------------------------------------------------------------------------------------------------

    def _work(self, event: Event) -> bool:
        if event.numbers[0] >= len(self.server.loop.jobs):
            return False
        self.server.work(event.numbers[0])
        return True

    def _server_restart(self, event: Event) -> bool:
        self._drop_server_sides()
        self.server.shut_down()
        if not self.server.disk.is_off:
            self.server.start(self.now_ms)
            self._check_server()
            self.counts["server restarts"] += 1
        return True

    def _server_crash(self, event: Event) -> bool:
        if self.server.disk in self._survivals:
            return False
        self._arm(self.server.disk, event.numbers)
        return True

    def _time(self, event: Event) -> bool:
        self.now_ms += event.numbers[0]
        self.server.advance(self.now_ms)
        for device in self.devices:
            device.machine.tick(self.now_ms)
            device.collect()
            self._hang_up_if_wanted(device)
        return True

    # --- the end ----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """No more faults: everybody connects anew, until everything is said and done.

        Raises SimulationError if that does not come about.
        """
        for disk in [self.server.disk, *(device.disk for device in self.devices)]:
            disk.cut_power_after(None)
        self._survivals.clear()
        for number, links in enumerate(self.links):
            while links:
                self._lose_server_side(number, 0)
        for _ in range(_MOST_ROUNDS):
            if not self._settle_a_little():
                return
        raise SimulationError("stuck", f"after {_MOST_ROUNDS} rounds there is still something to say")

    def _settle_a_little(self) -> bool:
        """One round; whether anything happened in it."""
        busy = False
        for number in range(len(self.devices)):
            busy |= self.perform(Event("connect", number, (14, 8)))
            while self.perform(Event("speak", number)) or self.perform(Event("answer", number)):
                busy = True
            while self.perform(Event("listen", number, (0,))):
                busy = True
        while self.perform(Event("work", 0, (0,))):
            busy = True
        for number in range(len(self.devices)):
            while self.perform(Event("hear", number)):
                busy = True
            while self.perform(Event("integrate", number, (8,))):
                busy = True
        return busy
