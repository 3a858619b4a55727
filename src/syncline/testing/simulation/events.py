"""What happens in a simulation, as data: the trace of a run, from which it can be repeated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = ["KILLED", "Event", "Operation", "describe"]

Operation: TypeAlias = "Mapping[str, Any]"

#: Instead of the seed of a lottery: the process was killed, the disk kept everything.
KILLED: Final = -1

#: Action → how it reads. ``{0}``, ``{1}`` … are the event's numbers.
_TEXTS: Final[Mapping[str, str]] = {
    "commit": "device {who} commits at {0} ms",
    "connect": "device {who} connects (protocol {0}, window {1})",
    "speak": "device {who} writes a message",
    "listen": "the server receives a message of device {who} (link {0})",
    "work": "a worker of the server does job {0}",
    "hear": "device {who} receives a message",
    "answer": "device {who} answers its machine",
    "integrate": "device {who} integrates up to {0} downloads",
    "cut": "device {who} loses its connection ({0} = 1: what it wrote is lost too)",
    "hang": "the server notices that a connection of device {who} (link {0}) is gone",
    "checkpoint": "device {who} writes its log back",
    "restart": "device {who} restarts",
    "crash": "device {who} will crash after {0} writes (survival {1}, again after {2})",
    "server_restart": "the server restarts",
    "server_crash": "the server will crash after {0} writes (survival {1}, again after {2})",
    "time": "{0} ms pass",
}


class Event(NamedTuple):
    """One thing that happens. ``who`` is a device; ``numbers`` and ``operations`` as the action needs them.

    ``own``: the number that a commit writes into the device's own object.
    """

    action: str
    who: int = 0
    numbers: tuple[int, ...] = ()
    operations: tuple[Operation, ...] = ()
    own: int | None = None


def describe(event: Event) -> str:
    """The event in words; the operations of a commit on lines of their own."""
    lines = [_TEXTS[event.action].format(*event.numbers, who=event.who)]
    if event.own is not None:
        lines[0] += f", number {event.own}"
    lines += [f"    {json.dumps(operation, ensure_ascii=False)}" for operation in event.operations]
    return "\n".join(lines)
