"""One run from one seed: choosing what happens, recording it, repeating it from the record."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, NamedTuple

from syncline.testing.choices import Choices, RandomChoices
from syncline.testing.domains import focused
from syncline.testing.random_operations import random_transaction
from syncline.testing.simulation.checks import check_end
from syncline.testing.simulation.events import KILLED, Event
from syncline.testing.simulation.failures import SimulationError
from syncline.testing.simulation.images import domain, without_own
from syncline.testing.simulation.starts import Options, make_plan, new_world
from syncline.testing.simulation.world import Plan, World

__all__ = ["Failure", "Outcome", "replay", "run_seeds", "simulate"]

#: How often which action is tried; faults come on top.
_WEIGHTS: Final = {
    "speak": 22,
    "listen": 22,
    "work": 22,
    "hear": 16,
    "answer": 10,
    "integrate": 8,
    "time": 2,
}
_FAULTS: Final = (
    *("cut", "cut", "hang", "crash", "crash", "server_crash", "server_crash"),
    *("restart", "server_restart", "checkpoint"),
)
#: What transactions consist of where classes and properties are erased: enough of that to meet.
_REMOVING: Final = {"change": 16, "create": 3, "erase": 1, "schema": 2}
_SEEDS: Final = 1 << 31


class Failure(NamedTuple):
    """What went wrong in a run, and how to get there. ``kind``: which promise was broken, or the class of an error."""

    seed: int
    kind: str
    message: str
    details: str
    plan: Plan
    trace: list[Event]
    last_rule: str


class Outcome(NamedTuple):
    """What a run covered."""

    counts: Counter[str]
    rules: Counter[str]


def simulate(
    seed: int,
    options: Options,
    narrate: Callable[[Event], None] | None = None,
    prepare: Callable[[World], None] | None = None,
) -> Outcome | Failure:
    """Run from the seed. ``narrate`` is told every event before it happens; ``prepare`` is given the world first."""
    choices = RandomChoices(seed)
    plan = make_plan(choices, options)
    trace: list[Event] = []

    def go(world: World) -> None:
        if prepare is not None:
            prepare(world)
        driver = _Driver(world, plan, choices, options)
        for _ in range(plan.steps):
            event = driver.next_event()
            if event is None:
                continue
            trace.append(event)
            if narrate is not None:
                narrate(event)
            if not world.perform(event):
                trace.pop()

    return _run(seed, plan, trace, go, lenient=False)


def run_seeds(seeds: Iterable[int], options: Options) -> tuple[Outcome, list[Failure]]:
    """Run each seed; what they covered together, and those that failed."""
    total = Outcome(Counter(), Counter())
    failures: list[Failure] = []
    for seed in seeds:
        result = simulate(seed, options)
        if isinstance(result, Failure):
            failures.append(result)
        else:
            total.counts.update(result.counts)
            total.rules.update(result.rules)
    return total, failures


def replay(seed: int, plan: Plan, trace: Sequence[Event]) -> Outcome | Failure:
    """Let the events of a trace happen again, leaving out what is not possible."""

    def go(world: World) -> None:
        for event in trace:
            world.perform(event)

    return _run(seed, plan, list(trace), go, lenient=True)


def _run(seed: int, plan: Plan, trace: list[Event], go: Callable[[World], None], lenient: bool) -> Outcome | Failure:
    with _quiet():
        world = new_world(plan, lenient)
        try:
            go(world)
            world.settle()
            check_end(world)
        except Exception as error:  # noqa: BLE001 - whatever happens in a run is its result
            kind = error.kind if isinstance(error, SimulationError) else type(error).__name__
            details = "".join(traceback.format_exception(error))
            return Failure(seed, kind, str(error), details, plan, trace, world.rules.last)
        finally:
            world.close()
        world.counts["runs"] += 1
        world.counts["changesets sent again"] += sum(device.sent_again for device in world.devices)
        world.counts["runs with conflicts"] += bool(world.rules.counts)
        return Outcome(world.counts, world.rules.counts)


@contextmanager
def _quiet() -> Iterator[None]:
    """The server tells its log about every fault: it is meant to have them."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


class _Driver:
    """Decides what happens next."""

    def __init__(self, world: World, plan: Plan, choices: Choices, options: Options) -> None:
        self._world = world
        self._plan = plan
        self._choices = choices
        self._options = options
        self._commits_left = plan.commits
        self._stamps = [0] * plan.devices
        weights = {**_WEIGHTS, "connect": plan.sociability}
        weights["commit"] = max(1, 2 * sum(weights.values()) * plan.commits // plan.steps)
        self._table = [action for action, weight in weights.items() for _ in range(weight)]
        whole = domain(plan.theme)
        if plan.schema_removal:
            whole = replace(whole, schema_removal=True, weights=_REMOVING)
        self._domain = focused(choices, whole, plan.focus) if plan.focus else whole

    def next_event(self) -> Event | None:
        """What is tried next; None: nothing."""
        choices = self._choices
        action = choices.pick(_FAULTS if choices.chance(self._plan.fault_percent) else self._table)
        who = choices.integer(0, self._plan.devices - 1)
        numbers: tuple[int, ...] = ()
        if action == "commit":
            return self._commit(who)
        if action == "connect":
            numbers = (14 if choices.chance(80) else choices.integer(2, 13), choices.pick((1, 2, 8)))
        elif action in ("listen", "hang"):
            numbers = (0 if choices.chance(80) else choices.integer(0, 2),)
        elif action == "work":
            jobs = len(self._world.server.loop.jobs)
            if not jobs:
                return None
            numbers = (choices.integer(0, jobs - 1),)
        elif action == "integrate":
            numbers = (choices.integer(1, 4),)
        elif action == "cut":
            numbers = (choices.integer(0, 1),)
        elif action in ("crash", "server_crash"):
            numbers = self._crash()
        elif action == "time":
            numbers = (choices.pick((1, 1, 1, 2, 50, 30_000, 70_000)),)
        return Event(action, who, numbers)

    def _crash(self) -> tuple[int, ...]:
        choices = self._choices
        steps = 0 if choices.chance(15) else choices.integer(1, 18)
        survival = KILLED if choices.chance(20) else choices.integer(0, _SEEDS)
        again = choices.integer(0, 6) if choices.chance(15) else -1
        return (steps, survival, again)

    def _commit(self, who: int) -> Event | None:
        if self._commits_left == 0:
            return None
        self._commits_left -= 1
        device = self._world.devices[who]
        dump = without_own(device.dump())
        count = self._choices.integer(1, self._plan.operations)
        operations = random_transaction(self._choices, self._domain, dump, count)
        stamp = self._world.now_ms + device.skew_ms + 10_000
        if self._options.backwards:
            stamp += self._choices.integer(-20, 20)
        else:
            stamp = self._stamps[who] = max(stamp, self._stamps[who])
        own = self._plan.commits - self._commits_left
        return Event("commit", who, (stamp,), tuple(operations), own)
