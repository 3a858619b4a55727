"""What happens in a random history: what is planned, how often, and the status that decides what is possible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from syncline.testing.choices import Choices, pick_weighted
from syncline.testing.domains import STANDARD, Domain, focused

__all__ = ["EVERYTHING", "GENTLE", "Plan", "Status", "domain_of", "next_event"]

#: How often what happens; what is not possible in a moment is left out.
_WEIGHTS: Final[Mapping[str, int]] = {
    "transaction": 100,
    "connect": 18,
    "disconnect": 12,
    "suspend": 4,
    "resume": 12,
    "sync": 10,
    "sleep": 6,
    "delay": 6,
    "cut": 6,
    "cut_after": 8,
    "kill": 4,
    "kill_server": 2,
}

#: Classes and properties are erased too: the server must allow it. No asymmetric objects: only the server keeps them.
EVERYTHING: Final = replace(
    STANDARD, classes=[form for form in STANDARD.classes if not form.get("asymmetric")], schema_removal=True
)
#: Without what realm-core itself does not survive (tests/vectors/NOTES.md).
GENTLE: Final = replace(EVERYTHING, nested_moves=False, embedded_dictionaries=False, schema_removal=False)


@dataclass(frozen=True)
class Plan:
    """What one history consists of."""

    #: how many transactions, of all peers together
    transactions: int = 30
    #: operations of one transaction, at most
    operations: int = 6
    #: what transactions are made of; every history takes a part of it
    domain: Domain = EVERYTHING
    #: may connections be cut and delayed?
    cuts: bool = True
    #: may peers be killed?
    kills: bool = True
    #: may the server be killed?
    server_kills: bool = True

    @property
    def weights(self) -> dict[str, int]:
        """How often what happens under this plan."""
        left_out = set()
        if not self.cuts:
            left_out |= {"delay", "cut", "cut_after"}
        if not self.kills:
            left_out.add("kill")
        if not self.server_kills:
            left_out.add("kill_server")
        return {event: weight for event, weight in _WEIGHTS.items() if event not in left_out}


@dataclass
class Status:
    """Where one peer stands."""

    is_connected: bool = False
    is_suspended: bool = False
    #: origin timestamp of its last commit: a clock that goes back is another subject (spec/merge.md §13, trap 14)
    timestamp: int = 0
    #: kinds of events that took place
    events: set[str] = field(default_factory=set)


def domain_of(choices: Choices, plan: Plan) -> Domain:
    """The domain of one history: mostly a narrow one, on which transactions meet."""
    return focused(choices, plan.domain, choices.integer(1, 4)) if choices.chance(75) else plan.domain


def next_event(choices: Choices, weights: Mapping[str, int], status: Status) -> str:
    """The next thing that happens to a peer."""
    possible = dict(weights)
    for event in ("connect",) if status.is_connected else ("disconnect", "sync", "suspend", "resume", "cut_after"):
        possible.pop(event, None)
    possible.pop("suspend" if status.is_suspended else "resume", None)
    return pick_weighted(choices, possible)
