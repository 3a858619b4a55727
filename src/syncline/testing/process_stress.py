"""Several processes with several threads write one Realm and are killed in the middle of it: nothing is lost.

::

    python -m syncline.testing.process_stress --seconds 60 [--seed 1]

Every thread of every process commits pairs of entries and counts them in one shared object. What was committed is
noted, outside of the Realm, after ``commit`` has returned. Processes die of signal 9 at random moments and are started
again. At the end every noted pair must be there, no pair may be half, the count must be right, and the file sound;
while it runs, every thread checks the same of each version it reads.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random
from typing import NamedTuple

from syncline import Field, Model, Realm, RealmConfiguration
from syncline.storage.file import RealmFile

__all__ = ["Outcome", "stress"]

PROCESSES = 3
THREADS = 3

#: Seconds between two kills.
_PAUSE = (0.5, 2.5)

#: Seconds that a slow machine may take longer until something is committed.
_PATIENCE = 60.0


class Entry(Model):
    """Half of a pair."""

    id: str = Field(primary_key=True)
    size: int


class Total(Model):
    """The number of pairs."""

    id: int = Field(primary_key=True)
    pairs: int


SCHEMA = (Entry, Total)


class Outcome(NamedTuple):
    """What a run came to. ``problems`` is empty if nothing was lost."""

    kills: int
    noted: int
    pairs: int
    problems: list[str]


def stress(folder: Path, seconds: float, seed: int) -> Outcome:
    """Run processes on a new Realm in ``folder`` for so long, then look at what they left."""
    random = Random(seed)
    path = folder / "stress.realm"
    with Realm.open(path, schema=SCHEMA) as realm, realm.write():
        realm.create(Total, id=0, pairs=0)
    names = iter(range(1_000_000))
    running = [_start(path, next(names)) for _ in range(PROCESSES)]
    kills = 0
    end = time.monotonic() + seconds
    try:
        while (now := time.monotonic()) < end or (now < end + _PATIENCE and not _noted(path)):
            time.sleep(random.uniform(*_PAUSE))
            victim = random.randrange(PROCESSES)
            running[victim].kill()
            running[victim].wait()
            kills += 1
            running[victim] = _start(path, next(names))
    finally:
        for process in running:
            process.kill()
            process.wait()
    return _check(path, kills)


def _start(path: Path, name: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "syncline.testing.process_stress", "--work", str(path), str(name)])


def _noted(path: Path) -> list[str]:
    return [line for file in path.parent.glob("*.noted") for line in file.read_text().splitlines()]


def _check(path: Path, kills: int) -> Outcome:
    noted = _noted(path)
    problems = [line for line in noted if line.startswith("!")]
    with Realm.open(path, schema=SCHEMA) as realm:
        there = {entry.id for entry in realm.objects(Entry)}
        pairs = realm.get(Total, 0).pairs  # type: ignore[union-attr]
    for name in noted:
        if not name.startswith("!") and not {f"{name}.a", f"{name}.b"} <= there:
            problems.append(f"{name} was committed, and is not there")
    if len(there) != 2 * pairs:
        problems.append(f"{len(there)} entries in {pairs} pairs")
    file = RealmFile.open(path)
    try:
        sound = file.query("PRAGMA integrity_check")[0][0]
    finally:
        file.close()
    if sound != "ok":
        problems.append(f"the file is damaged: {sound}")
    return Outcome(kills, len(noted), pairs, problems)


# --- a process --------------------------------------------------------------------------------------------------------


def work(path: Path, name: str) -> None:
    """Write until killed."""
    threads = [threading.Thread(target=_write, args=(path, f"{name}.{number}")) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _write(path: Path, name: str) -> None:
    notes = os.open(path.parent / f"{name}.noted", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Realm.open(RealmConfiguration(path, schema=SCHEMA)) as realm:
        number = 0
        while True:
            realm.refresh()
            total = realm.get(Total, 0)
            entries = realm.objects(Entry).count()
            if total is None or entries != 2 * total.pairs:
                os.write(notes, f"!{name} read {entries} entries with {total!r}\n".encode())
            number += 1
            with realm.write():
                realm.create(Entry, id=f"{name}.{number}.a", size=number)
                total = realm.get(Total, 0)
                assert total is not None
                total.pairs += 1
                realm.create(Entry, id=f"{name}.{number}.b", size=number)
            os.write(notes, f"{name}.{number}\n".encode())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Kill processes that write one Realm; nothing may be lost.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", nargs=2, metavar=("PATH", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(Path(options.work[0]), options.work[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        outcome = stress(Path(folder), options.seconds, options.seed)
    sys.stdout.write(f"{outcome.kills} kills, {outcome.noted} pairs noted, {outcome.pairs} there\n")
    for problem in outcome.problems:
        sys.stdout.write(f"{problem}\n")
    sys.exit(1 if outcome.problems else 0)


if __name__ == "__main__":
    main()
