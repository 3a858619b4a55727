"""How much of what happens, and dealing it from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self

from syncline.testing.choices import Choices, RandomChoices

__all__ = ["KINDS", "SERVER_KINDS", "Fault", "Plan"]

#: What happens to one client, and to the server.
KINDS: Final = ("cut", "kill client", "suspend", "clock", "corrupt", "half-open", "slow")
SERVER_KINDS: Final = ("kill server", "server clock")


class Fault(NamedTuple):
    """One thing that goes wrong; ``seed`` decides on its particulars."""

    kind: str
    seed: int

    def choices(self) -> Choices:
        """The source of its particulars."""
        return RandomChoices(self.seed)


@dataclass(frozen=True)
class Plan:
    """Numbers of faults; the defaults are the figures of the soak."""

    seed: int = 0
    clients: int = 4
    cuts: int = 1000
    kills: int = 500
    suspensions: int = 200
    clock_jumps: int = 100
    corruptions: int = 200
    half_open: int = 40
    slow: int = 40
    #: commits per second and client
    pace: float = 8.0
    #: one in so many frames, while frames are corrupted
    corrupt_one_in: int = 100
    #: within so many seconds everybody must have recovered from a fault, and all be equal at the end
    patience_s: float = 60.0
    #: no new faults after so many seconds; 0: no limit
    seconds: float = 0.0

    def scaled(self, scale: float) -> Self:
        """The same in smaller, or larger: at least one of everything that there is."""
        names = ("cuts", "kills", "suspensions", "clock_jumps", "corruptions", "half_open", "slow")
        numbers = {name: max(1, round(getattr(self, name) * scale)) for name in names if getattr(self, name)}
        return replace(self, **numbers)

    def deal(self) -> tuple[list[Fault], list[Fault]]:
        """What happens to clients, and what to the server, each in the order of happening."""
        choices = RandomChoices(self.seed)
        server_kills = self.kills // 5
        server_jumps = self.clock_jumps // 5
        of_clients = {
            "cut": self.cuts,
            "kill client": self.kills - server_kills,
            "suspend": self.suspensions,
            "clock": self.clock_jumps - server_jumps,
            "corrupt": self.corruptions,
            "half-open": self.half_open,
            "slow": self.slow,
        }
        return (
            _shuffled(of_clients, choices),
            _shuffled({"kill server": server_kills, "server clock": server_jumps}, choices),
        )


def _shuffled(numbers: dict[str, int], choices: Choices) -> list[Fault]:
    faults = [Fault(kind, choices.integer(0, 2**31)) for kind, number in numbers.items() for _ in range(number)]
    for last in range(len(faults) - 1, 0, -1):
        other = choices.integer(0, last)
        faults[last], faults[other] = faults[other], faults[last]
    return faults
