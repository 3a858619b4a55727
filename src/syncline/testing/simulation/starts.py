"""Where runs begin: the participants' files, and what a seed decides once and for all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.util import Finalize
from typing import Final

from syncline.testing.choices import Choices, RandomChoices
from syncline.testing.disk import Disk
from syncline.testing.random_operations import random_transaction
from syncline.testing.simulation.events import Event
from syncline.testing.simulation.images import (
    DEVICE_FILE,
    DEVICES,
    SERVER_FILE,
    THEMES,
    domain,
    fresh_images,
    without_own,
)
from syncline.testing.simulation.server import Traits
from syncline.testing.simulation.world import Plan, World

__all__ = ["Options", "disks", "make_plan", "new_world"]

_CALM: Final = Traits(1 << 20, 1 << 20, 1 << 20, 1 << 20, 512)
_OBJECTS: Final = 8


@dataclass(frozen=True)
class Options:
    """What is simulated.

    ``backwards``: clocks also go backwards within one device, as when their user sets them (spec/merge.md §13, trap
    14): the original's rules do not promise convergence then. ``faults``: connections break, programs and machines die.
    """

    fewest_devices: int = 2
    most_devices: int = DEVICES
    backwards: bool = False
    faults: bool = True


def disks() -> tuple[Disk, ...]:
    """The disks of this process: the server's, then the devices'. Used for one run after the other."""
    return _disks_of(os.getpid())


@cache
def _disks_of(process: int) -> tuple[Disk, ...]:
    made = tuple(Disk() for _ in range(DEVICES + 1))
    for disk in made:  # unlike atexit, this is done in the processes of a pool too, and not for the disks of a parent
        Finalize(None, disk.close, exitpriority=1)
    return made


def make_plan(choices: Choices, options: Options) -> Plan:
    """Decide who takes part and what they are like."""
    # the more, the dearer: of two draws the smaller
    devices = min(choices.integer(options.fewest_devices, options.most_devices) for _ in range(2))
    return Plan(
        devices=devices,
        theme=THEMES[-1] if choices.chance(2) else choices.pick(THEMES[:-1]),
        fresh=choices.chance(8),
        skews_ms=tuple(choices.pick((0, 0, 1, 3, -2, 1_000, -1_000)) for _ in range(devices)),
        delays_uploads=choices.chance(50),
        traits=Traits(
            download_bytes=choices.pick((1 << 20, 40, 150, 400)),
            tail_cache_bytes=choices.pick((1 << 20, 1, 4_000)),
            body_cache_bytes=choices.pick((1 << 20, 1)),
            footprint_cache_bytes=choices.pick((1 << 20, 1)),
            group_uploads=choices.pick((512, 1, 2)),
        ),
        steps=choices.integer(40, 180),
        commits=choices.integer(4, 11),
        operations=choices.integer(1, 4),
        focus=choices.pick((2, 1, 3, 0)),
        sociability=choices.pick((1, 2, 4, 8)),
        schema_removal=choices.chance(10),
        fault_percent=choices.pick((3, 0, 7, 14)) if options.faults else 0,
    )


def new_world(plan: Plan, lenient: bool = False) -> World:
    """The participants of the plan, at their start."""
    images = fresh_images(plan.theme) if plan.fresh else _synced_images(plan.theme)
    return World(plan, disks()[: plan.devices + 1], images[: plan.devices + 1], lenient)


@cache
def _synced_images(theme: str) -> tuple[dict[str, bytes], ...]:
    """Everybody has the same state: the schema, an own object each, a few objects."""
    plan = Plan(DEVICES, theme, True, (0,) * DEVICES, False, _CALM, 0, 0, 0, 0, 0, False, 0)
    world = new_world(plan)
    world.settle()
    creations = replace(domain(theme), weights={"create": 1}, keys=2)
    operations = random_transaction(RandomChoices(4), creations, without_own(world.devices[0].dump()), _OBJECTS)
    world.perform(Event("commit", 0, (0,), tuple(operations)))
    world.settle()
    for device in world.devices:
        device.stop()
    world.server.shut_down()
    return tuple(_files(disks()))


def _files(every: Sequence[Disk]) -> list[dict[str, bytes]]:
    files = []
    for disk, name in zip(every, [SERVER_FILE] + [DEVICE_FILE] * DEVICES, strict=True):
        content = disk.durable(name)
        assert content is not None
        files.append({name: content})
    return files
