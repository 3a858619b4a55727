"""One history: random steps, then everybody syncs, and everybody must hold the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from syncline.testing.choices import Choices, RandomChoices
from syncline.testing.domains import Domain
from syncline.testing.live.peer_process import PeerFailed, Reply
from syncline.testing.live.script import Plan, Status, domain_of, next_event
from syncline.testing.live.stage import Stage, Step
from syncline.testing.random_operations import random_transaction
from syncline.testing.vector_files import first_difference, normal_state

__all__ = ["Failure", "Outcome", "play", "read_log", "replay", "write_log"]

Json: TypeAlias = Any

_FINAL_WAIT_S: Final = 120.0
_FIRST_TIMESTAMP: Final = 1000


class Failure(Exception):
    """A history that did not end well; the message says what is wrong."""


class Outcome(NamedTuple):
    """What a history came to: operations tried and refused (the state had moved on meanwhile), and what took place."""

    operations: int
    refused: int
    events: dict[str, int]


def play(stage: Stage, seed: int, plan: Plan) -> Outcome:
    """Play the history of ``seed``; the log of its steps is then in ``stage.log``. Raises Failure."""
    stage.begin(f"seed-{seed}")
    return _History(stage, RandomChoices(seed), plan).run()


def replay(stage: Stage, name: str, steps: Sequence[Step]) -> None:
    """Carry out a logged history again, and compare. Raises Failure."""
    stage.begin(name)
    try:
        for step in steps:
            stage.carry_out({key: value for key, value in step.items() if key != "reply"})
        check_equal(stage)
    except PeerFailed as error:
        raise Failure(str(error)) from error


class _History:
    def __init__(self, stage: Stage, choices: Choices, plan: Plan) -> None:
        self._stage = stage
        self._choices = choices
        self._plan = plan
        self._domain: Domain = domain_of(choices, plan)
        self._peers = {name: Status() for name in stage.peers}
        self._timestamp = _FIRST_TIMESTAMP
        self._operations = 0
        self._refused = 0
        self._transactions = 0
        self._events: dict[str, int] = {}

    def run(self) -> Outcome:
        """The whole history."""
        try:
            for name in self._peers:
                self._open(name)
            self._transaction(next(iter(self._peers)))
            while self._transactions < self._plan.transactions:
                name = self._choices.pick(list(self._peers))
                event = next_event(self._choices, self._plan.weights, self._peers[name])
                self._events[event] = self._events.get(event, 0) + 1
                _EVENTS[event](self, name)
            self._settle()
            check_equal(self._stage)
            self._finish()
        except PeerFailed as error:
            raise Failure(str(error)) from error
        return Outcome(self._operations, self._refused, self._events)

    # --- events -------------------------------------------------------------------------------------------------------

    def _open(self, name: str) -> None:
        self._do(name, "open", file=f"{self._stage.name}/{name}.realm")

    def _transaction(self, name: str) -> None:
        dump = self._do(name, "dump")["dump"]
        operations = random_transaction(
            self._choices, self._domain, dump, self._choices.integer(1, self._plan.operations)
        )
        self._transactions += 1
        # ties, which the ident decides, and clocks of different speed, which never go back
        self._timestamp += self._choices.integer(0, 2)
        status = self._peers[name]
        status.timestamp = max(status.timestamp, self._timestamp - self._choices.integer(0, 3))
        # What was valid at the dump may not be any more, because a download came in between.
        reply = self._do(
            name,
            "tx",
            ops=operations,
            ts=status.timestamp,
            skip_errors=True,
            notify=not self._choices.chance(10),
        )
        self._operations += len(operations)
        self._refused += sum(not result.get("ok", True) for result in reply["results"])

    def _connect(self, name: str) -> None:
        self._do(name, "connect", path=f"/{self._stage.name}")
        self._peers[name].is_connected = True

    def _disconnect(self, name: str) -> None:
        self._do(name, "disconnect")
        self._peers[name].is_connected = self._peers[name].is_suspended = False

    def _suspend(self, name: str) -> None:
        self._do(name, "suspend")
        self._peers[name].is_suspended = True

    def _resume(self, name: str) -> None:
        self._do(name, "resume")
        self._peers[name].is_suspended = False

    def _sync(self, name: str) -> None:
        """Wait for a while; whether it came to an end is seen at the end."""
        cmd = self._choices.pick(["wait_sync", "wait_upload", "wait_download"])
        timeout = 0.05 if self._peers[name].is_suspended else 2
        self._stage.command(name, cmd, timeout_s=timeout, stop_on_error=False)

    def _sleep(self, _name: str) -> None:
        self._stage.carry_out({"do": "sleep", "s": self._choices.integer(1, 50) / 1000})

    def _delay(self, name: str) -> None:
        self._stage.carry_out({"do": "delay", "peer": name, "s": self._choices.pick([0.0, 0.001, 0.005, 0.02])})

    def _cut(self, name: str) -> None:
        self._stage.carry_out({"do": "cut", "peer": name})

    def _cut_after(self, name: str) -> None:
        size = self._choices.pick([1, 10, 100, 300, 1000]) + self._choices.integer(0, 50)
        self._stage.carry_out({"do": "cut_after", "peer": name, "bytes": size})

    def _kill(self, name: str) -> None:
        """The process dies, mostly in the middle of something, and begins again with its files."""
        if self._choices.chance(50) and self._peers[name].is_connected:
            self._do(name, "tx", ops=[])
        self._stage.carry_out({"do": "kill", "peer": name})
        self._stage.carry_out({"do": "start", "peer": name})
        self._open(name)
        was_connected = self._peers[name].is_connected
        self._peers[name].is_connected = self._peers[name].is_suspended = False
        if was_connected:
            self._connect(name)

    def _kill_server(self, _name: str) -> None:
        self._stage.carry_out({"do": "kill_server"})
        if self._choices.chance(50):
            self._sleep(_name)
        self._stage.carry_out({"do": "start_server"})

    # --- the end ------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Everybody connects, uploads everything, then downloads everything."""
        self._stage.calm()
        for name, status in self._peers.items():
            if not status.is_connected:
                self._connect(name)
            elif status.is_suspended:
                self._resume(name)
            self._do(name, "tx", ops=[])  # announces what was committed in silence
        for cmd in ("wait_upload", "wait_download"):
            replies = self._stage.command_all(list(self._peers), cmd, timeout_s=_FINAL_WAIT_S)
            for name, reply in replies.items():
                _check_ok(name, cmd, reply)

    def _finish(self) -> None:
        """Nothing is left to upload, no session reported an end; the files are closed."""
        for name in self._peers:
            left = self._do(name, "history")["changesets"]
            if left:
                raise Failure(f"peer {name} still has {len(left)} changesets that the server did not acknowledge")
            fatal = [error for error in self._do(name, "errors")["errors"] if error.get("is_fatal")]
            if fatal:
                raise Failure(f"peer {name} reported {fatal[0]}")
            self._do(name, "close")

    def _do(self, name: str, cmd: str, **fields: Json) -> Reply:
        reply = self._stage.command(name, cmd, **fields)
        _check_ok(name, cmd, reply)
        return reply


_EVENTS: Final[Mapping[str, Callable[[_History, str], None]]] = {
    "transaction": _History._transaction,
    "connect": _History._connect,
    "disconnect": _History._disconnect,
    "suspend": _History._suspend,
    "resume": _History._resume,
    "sync": _History._sync,
    "sleep": _History._sleep,
    "delay": _History._delay,
    "cut": _History._cut,
    "cut_after": _History._cut_after,
    "kill": _History._kill,
    "kill_server": _History._kill_server,
}


def check_equal(stage: Stage) -> None:
    """All peers, and the server if it is ours, hold the same. Raises Failure that names the first difference."""
    names = list(stage.peers)
    hashes: dict[str, str] = {}
    for name, reply in stage.command_all(names, "hash").items():
        _check_ok(name, "hash", reply)
        hashes[name] = reply["hash"]
    if stage.own_server is not None:
        hashes["the server"] = stage.own_server.content_hash(f"/{stage.name}")
    if len(set(hashes.values())) == 1:
        return
    dumps = {name: normal_state(reply["dump"]) for name, reply in stage.command_all(names, "dump").items()}
    for name in names[1:]:
        if dumps[name] != dumps[names[0]]:
            place, expected, actual = first_difference(dumps[names[0]], dumps[name])
            raise Failure(f"at {place}: peer {names[0]} has {_brief(expected)}, peer {name} has {_brief(actual)}")
    raise Failure(f"the dumps of the peers are equal, the hashes are not: {hashes}")


def _check_ok(name: str, cmd: str, reply: Reply) -> None:
    if not reply.get("ok"):
        raise Failure(f"peer {name}: {cmd}: {reply.get('type')}: {reply.get('error')}")


def _brief(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}…"


# --- logs -------------------------------------------------------------------------------------------------------------


def write_log(path: Path, name: str, number_of_peers: int, steps: Sequence[Step]) -> None:
    """Write a log that :func:`read_log` reads: one JSON object per line, the first says whose it is."""
    lines = [json.dumps({"history": name, "peers": number_of_peers}), *(json.dumps(step) for step in steps)]
    path.write_text("\n".join(lines) + "\n")


def read_log(path: Path) -> tuple[str, int, list[Step]]:
    """Name, number of peers and steps of a logged history. Raises Failure for what is no such log."""
    try:
        head, *steps = [json.loads(line) for line in path.read_text().splitlines()]
        return head["history"], head["peers"], steps
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"{path} is no log of a history: {error}") from error
