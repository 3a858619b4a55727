"""What the devices hold at the end, against the journals: nothing lost, nothing twice, everywhere the same."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from syncline.testing.processes import ProcessFailed
from syncline.testing.soak.client import EVERYBODY, REALM_PATH, STRIDE
from syncline.testing.soak.journal import Journal
from syncline.testing.soak.member import Member
from syncline.testing.soak.stage import Stage

__all__ = ["Content", "Settled", "compare", "settle"]

_SHOWN: Final = 5


class Content(NamedTuple):
    """What one device holds."""

    hash: str
    #: the numbers of the commits of each client
    numbers: Mapping[str, Sequence[int]]
    #: what each tally has counted, and listed
    tallies: Mapping[str, tuple[int, Sequence[int]]]
    #: commits that do not say what they were written to say
    garbled: int


class Settled(NamedTuple):
    """How it ended."""

    seconds: float
    commits: int
    peak_memory: int
    #: bytes of the longest write-ahead log of a client, before it closed its Realm
    longest_log: int


def settle(stage: Stage) -> Settled:
    """No more faults: everybody uploads, then downloads, everything; then everything is compared."""
    began = time.monotonic()
    patience_s = stage.plan.patience_s
    for member in stage.members:
        member.relay.calm()
        _answer(stage, member, "hold", "held", patience_s=patience_s)
    for _ in range(2):  # the second time nobody uploads any more, and what all have uploaded is downloaded
        for member in stage.members:
            member.command("settle", patience_s)
        for member in stage.members:
            answer = _answer(stage, member, None, "settled", patience_s=2 * patience_s)
            if answer is not None and not answer[0]:
                stage.find(member.name, f"stuck at the end: not synced within {patience_s:g} s")
    seconds = time.monotonic() - began
    expected = _expected(stage)
    auditor = stage.auditor()
    _answer(stage, auditor, "settle", "settled", 2 * patience_s, patience_s=3 * patience_s)
    hashes = {"the server": stage.server.content_hash(REALM_PATH)}
    longest_log = max(_log_size(member) for member in stage.members)
    memory = 0
    for member in [*stage.members, auditor]:
        answer = _answer(stage, member, "report", "content", patience_s=patience_s)
        if answer is not None:
            content = Content(*answer)
            hashes[member.name] = content.hash
            for problem in compare(content, expected):
                stage.find(member.name, problem)
        memory = max(memory, _stop(stage, member))
    if len(set(hashes.values())) > 1:
        stage.find("everybody", f"the contents differ: {hashes}")
    return Settled(seconds, sum(expected.values()), memory, longest_log)


def compare(content: Content, expected: Mapping[str, int]) -> list[str]:
    """What is wrong with ``content`` where each client has committed the numbers from 1 to the one expected."""
    problems: list[str] = []
    for name, last in expected.items():
        problems += _compared(f"commits of {name}", content.numbers.get(name, ()), range(1, last + 1))
        count, numbers = content.tallies.get(name, (0, ()))
        problems += _compared(f"the list of {name}", [number % STRIDE for number in numbers], range(1, last + 1))
        if count != last:
            problems.append(f"the counter of {name} says {count}, there were {last} commits")
    count, numbers = content.tallies.get(EVERYBODY, (0, ()))
    wanted = [place * STRIDE + number for place, last in enumerate(expected.values()) for number in range(1, last + 1)]
    problems += _compared("the list of everybody", numbers, wanted)
    if count != len(wanted):
        problems.append(f"the counter of everybody says {count}, there were {len(wanted)} commits")
    if content.garbled:
        problems.append(f"{content.garbled} commits are garbled")
    return problems


def _compared(what: str, there: Sequence[int], wanted: Sequence[int]) -> list[str]:
    found, due = Counter(there), Counter(wanted)
    problems = []
    for verb, numbers in (("lost", due - found), ("twice, or invented", found - due)):
        if numbers:
            shown = ", ".join(str(number) for number in sorted(numbers)[:_SHOWN])
            problems.append(f"{what}: {numbers.total()} {verb} ({shown}{'…' if len(numbers) > _SHOWN else ''})")
    return problems


def _expected(stage: Stage) -> dict[str, int]:
    """How many commits of each client returned from ``write``."""
    expected = {}
    for member in stage.members:
        committed = Journal.read(member.journal)
        if committed.in_doubt is not None:
            stage.find(member.name, f"the journal leaves number {committed.in_doubt} in doubt at the end")
        expected[member.name] = committed.done
    return expected


def _log_size(member: Member) -> int:
    path = member.folder / "all.realm-wal"
    return path.stat().st_size if path.exists() else 0


def _stop(stage: Stage, member: Member) -> int:
    """End a client, which must leave nothing behind; the most memory it used."""
    answer = _answer(stage, member, "stop", "stopped", patience_s=stage.plan.patience_s)
    if answer is None:
        return 0
    threads, descriptors, memory = answer
    if threads:
        stage.find(member.name, f"threads left at the end: {threads}")
    if descriptors:
        stage.find(member.name, f"open at the end: {descriptors}")
    status = member.ended()
    if status != 0:
        stage.find(member.name, f"ended with status {status}")
    return int(memory)


def _answer(
    stage: Stage, member: Member, command: str | None, event: str, *arguments: Any, patience_s: float
) -> tuple[Any, ...] | None:
    try:
        if command is not None:
            member.command(command, *arguments)
        return member.wait_for(event, patience_s)
    except ProcessFailed as error:
        stage.find(member.name, str(error))
        return None
