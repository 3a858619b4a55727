"""What clients noted, against the contract: moves of the table, connections without gaps, progress that is true.

The table is written down here once more, from spec/sessions.md §4.3, on purpose: the product's own would agree with
itself. One more row than there: ``UPLOADED``, the end of a session that finished its uploads (§3.5), and
``CONFIGURATION``, a new configuration (§4.5).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = ["Judgement", "judge"]

Json: TypeAlias = Any

_REVIVED: Final = frozenset({"ACTIVE", "WAITING_FOR_ACCESS_TOKEN"})
_INACTIVE: Final = frozenset({"INACTIVE"})
_PAUSED: Final = frozenset({"PAUSED"})
_LEAVE: Final = {"WAITING_FOR_ACCESS_TOKEN": _INACTIVE, "ACTIVE": _INACTIVE, "DYING": _INACTIVE}

#: ``LEGAL[trigger][old]``: where a session may be after it.
LEGAL: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "REVIVE": {"INACTIVE": _REVIVED, "DYING": _REVIVED},
    "SUSPEND": {"INACTIVE": _PAUSED, "WAITING_FOR_ACCESS_TOKEN": _PAUSED, "ACTIVE": _PAUSED, "DYING": _PAUSED},
    "RESUME": {"INACTIVE": _REVIVED, "DYING": _REVIVED, "PAUSED": _REVIVED | _INACTIVE},
    "LOG_OUT": _LEAVE,
    "LOG_IN": {"INACTIVE": _REVIVED, "DYING": _REVIVED},
    "CLOSE": {"WAITING_FOR_ACCESS_TOKEN": _INACTIVE, "ACTIVE": frozenset({"DYING", "INACTIVE"})},
    "TOKEN": {"INACTIVE": _REVIVED, "WAITING_FOR_ACCESS_TOKEN": frozenset({"ACTIVE"}), "DYING": _REVIVED},
    "FATAL": _LEAVE,
    "SHUT_DOWN": _LEAVE,
    "UPLOADED": {"DYING": _INACTIVE},
    "CONFIGURATION": {**_LEAVE, "INACTIVE": _REVIVED, "ACTIVE": frozenset({"DYING", "INACTIVE"})},
}
#: What the application sees of each; a session that ended for good is invalid instead.
_PUBLIC: Final = {
    "ACTIVE": "ACTIVE",
    "WAITING_FOR_ACCESS_TOKEN": "ACTIVE",
    "DYING": "ACTIVE",
    "INACTIVE": "INACTIVE",
    "PAUSED": "INACTIVE",
}
_STEPS: Final = {
    ("DISCONNECTED", "CONNECTING"),
    ("CONNECTING", "CONNECTED"),
    ("CONNECTING", "DISCONNECTED"),
    ("CONNECTED", "DISCONNECTED"),
}
_WITH_CONNECTION: Final = {"ACTIVE", "WAITING_FOR_ACCESS_TOKEN", "DYING"}

#: Kinds of errors that corrupted frames, and clocks that jump, may lead to; what is fatal only for the former.
_EXPECTED: Final = {"ConnectionFailedError", "ConnectTimeoutError", "ClientUserError"}
_OF_CORRUPTION: Final = {"ClientSessionError", "ClientInternalError", "TlsHandshakeFailedError"}


class Judgement(NamedTuple):
    """What is wrong, and how much was looked at."""

    problems: list[str]
    seen: Counter[str]
    errors: Counter[str]


def judge(notes: Iterable[Path], *, is_corrupted: bool) -> Judgement:
    """Judge the notes of one client, run by run; ``is_corrupted``: whether its frames were."""
    judgement = Judgement([], Counter(), Counter())
    transferred: dict[str, int] = {}
    for path in notes:
        for problem in _judge_run(path, transferred, judgement, is_corrupted):
            judgement.problems.append(f"{path.name}: {problem}")
    return judgement


def _judge_run(path: Path, transferred: dict[str, int], judgement: Judgement, is_corrupted: bool) -> Iterator[str]:
    states: dict[int, str] = {}
    connections: dict[int, str] = {}
    observed: dict[int, str] = {}
    progress: dict[int, Json] = {}
    for note in _read(path):
        kind = note["kind"]
        judgement.seen[kind] += 1
        match kind:
            case "state":
                yield from _move(note, states)
            case "connection":
                yield from _connection(note, connections)
            case "observed":
                yield from _chained(note, observed, "the observer was told")
            case "progress":
                yield from _progress(note, progress, transferred)
            case "error":
                judgement.errors[f"{note['type']} ({note['status']})"] += 1
                if note["type"] not in (_EXPECTED | _OF_CORRUPTION if is_corrupted else _EXPECTED):
                    yield f"an error that should not have been: {note}"


def _read(path: Path) -> Iterator[Json]:
    for line in path.read_text().split("\n")[:-1]:
        yield json.loads(line)


def _move(note: Json, states: dict[int, str]) -> Iterator[str]:
    session, old, new = note["session"], note["old"], note["new"]
    before = states.get(session, "INACTIVE")
    states[session] = new
    if old != before:
        yield f"session {session} was {before}, and moved from {old} to {new}"
    if new not in LEGAL.get(note["trigger"] or "", {}).get(old, ()):
        yield f"session {session}: {note['trigger']} moved it from {old} to {new}, which the table does not know"
    if note["public"] not in (_PUBLIC[new], "INVALID"):
        yield f"session {session} is {new}, and the application sees {note['public']}"


def _connection(note: Json, connections: dict[int, str]) -> Iterator[str]:
    session, old, new = note["session"], note["old"], note["new"]
    yield from _chained(note, connections, "the connection went", first="DISCONNECTED")
    if (old, new) not in _STEPS:
        yield f"session {session}: the connection went from {old} to {new}"
    if new != "DISCONNECTED" and note["state"] not in _WITH_CONNECTION:
        yield f"session {session} is {note['state']}, and {new}"


def _chained(note: Json, before: dict[int, str], what: str, first: str | None = None) -> Iterator[str]:
    """Each begins where the one before ended, and goes somewhere."""
    session, old, new = note["session"], note["old"], note["new"]
    last = before.get(session, first or old)
    before[session] = new
    if old != last or old == new:
        yield f"session {session}: {what} {old} → {new} after {last}"


def _progress(note: Json, latest: dict[int, Json], transferred: dict[str, int]) -> Iterator[str]:
    number, done, total, estimate = note["registration"], note["done"], note["total"], note["estimate"]
    before = latest.get(number)
    latest[number] = note
    what = f"progress {number} ({note['direction']}, {note['mode']})"
    if not isinstance(estimate, int | float) or not 0 <= estimate <= 1:
        yield f"{what}: an estimate of {estimate}"
    elif estimate == 1 and done < total:
        yield f"{what}: 100 % at {done} of {total}"
    if before is not None and done < before["done"]:
        yield f"{what}: back from {before['done']} to {done}"
    if note["mode"] == "FOR_CURRENTLY_OUTSTANDING_WORK":
        if before is not None and total > before["total"]:
            yield f"{what}: the total grew from {before['total']} to {total}"
        return
    if not 0 <= done <= total:
        yield f"{what}: {done} of {total}"
    if done < transferred.get(note["direction"], 0):
        yield f"{what}: {done}, though {transferred[note['direction']]} had been transferred before"
    transferred[note["direction"]] = done
