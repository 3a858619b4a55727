"""One measurement of one database, in a process of its own: ``python -m databases.measure``, told by JSON in and out.

Every measurement first runs once unmeasured, to warm up what every program that goes on has warm; what that run found
is reported as well, so that all databases can be seen to have done the same.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from databases import Database, load
from databases.data import changed_values, one_percent, rows, some_keys

__all__ = ["MEASURES", "Measured", "Task", "affected", "measure"]

#: Objects that are read by key, updated and deleted at once; fewer where there are not ten times as many.
_SOME: Final = 10_000
#: Objects in the result that is observed.
_OBSERVED: Final = 100_000
#: Objects inserted to warm up.
_FEW: Final = 1_000
#: Objects taken of those that were sorted.
_TAKEN: Final = 100


@dataclass
class Task:
    """What to measure. ``folder``: the database; of insertions, where to leave one. ``budget``: seconds after which
    nothing is repeated any more.
    """

    database: str
    measure: str
    folder: str
    objects: int
    repetitions: int
    budget: float


@dataclass
class Measured:
    """Seconds of each repetition; bytes the process grew by at most; bytes on disk (of insertions); what was found."""

    seconds: list[float] = field(default_factory=list)
    memory: int | None = None
    size: int | None = None
    found: Any = None


def affected(objects: int) -> int:
    """How many objects are read by key, updated or deleted at once."""
    return max(1, min(_SOME, objects // 10))


# --- what is measured: a function that prepares, and gives what is to be timed (told which repetition it is) ----------

Timed = Callable[[int], Any]


def _get(database: Database, objects: int) -> Timed:
    keys = some_keys(objects, affected(objects))
    return lambda turn: database.get(keys)


def _filter_indexed(database: Database, objects: int) -> Timed:
    return lambda turn: database.filter_indexed(one_percent(objects)[0])


def _filter_plain(database: Database, objects: int) -> Timed:
    return lambda turn: database.filter_plain(one_percent(objects)[1])


def _update(database: Database, objects: int) -> Timed:
    keys = some_keys(objects, affected(objects))
    return lambda turn: database.update(changed_values(keys, turn))


def _delete(database: Database, objects: int) -> Timed:
    count = affected(objects)
    return lambda turn: database.delete(turn * count + 1, (turn + 1) * count)


def _commit(database: Database, objects: int) -> Timed:
    return lambda turn: database.update(changed_values([objects // 2], turn))


def _notify(database: Database, objects: int) -> Timed:
    token = database.observe(_OBSERVED)

    def change(turn: int, _kept: object = token) -> int:
        # the number of the first object is below 100,000, whatever their count
        return database.change_and_hear(1, turn + 0.5)

    return change


MEASURES: Final[dict[str, Callable[[Database, int], Timed]]] = {
    "get": _get,
    "objects_one": lambda database, objects: lambda turn: database.objects_one(),
    "objects_all": lambda database, objects: lambda turn: database.objects_all(),
    "values_one": lambda database, objects: lambda turn: database.values_one(),
    "values_all": lambda database, objects: lambda turn: database.values_all(),
    "filter_indexed": _filter_indexed,
    "filter_plain": _filter_plain,
    "sort": lambda database, objects: lambda turn: database.sort(_TAKEN),
    "count": lambda database, objects: lambda turn: database.count(),
    "update": _update,
    "delete": _delete,
    "commit": _commit,
    "notify": _notify,
}

#: Measurements after which the state of the database is compared as well.
WRITING: Final = ("update", "delete", "commit", "notify")


# --- measuring --------------------------------------------------------------------------------------------------------


def measure(task: Task) -> Measured:
    """Do it."""
    if task.measure.startswith("insert"):
        return _insertion(task)
    if task.measure == "open":
        return _opening(task)
    database = load(task.database)(Path(task.folder))
    database.open()
    try:
        timed = MEASURES[task.measure](database, task.objects)
        resting = _start_of_peak()
        measured = Measured(found=timed(0))
        measured.memory = _growth(resting)
        if task.measure in WRITING:
            measured.found = [measured.found, database.objects_all()]
        _repeat(task, measured, timed)
    finally:
        database.close()
    return measured


def _insertion(task: Task) -> Measured:
    """Into new files each time; those of the last time stay."""
    adapter, folder = load(task.database), Path(task.folder)
    data = rows(task.objects)
    # what is inserted is the application's: the garbage collector need not look through it for each database
    gc.freeze()
    database = adapter(folder)

    def fresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        database.open()

    def insert(turn: int) -> None:
        getattr(database, task.measure)(data if turn else data[:_FEW])

    resting = _start_of_peak()
    fresh()
    insert(0)
    database.close()
    measured = Measured()
    _repeat(task, measured, insert, before=fresh, after=database.close)
    measured.memory = _growth(resting)
    measured.size = sum(min(each.stat().st_size, each.stat().st_blocks * 512) for each in folder.rglob("*"))
    database.open()
    measured.found = [database.count(), database.objects_all()]
    database.close()
    return measured


def _opening(task: Task) -> Measured:
    """Open the files and read an object."""
    database = load(task.database)(Path(task.folder))

    def opened(turn: int) -> Any:
        database.open()
        return database.get([task.objects // 2])

    measured = Measured(found=opened(0))
    database.close()
    _repeat(task, measured, opened, after=database.close)
    return measured


def _nothing() -> None:
    pass


def _repeat(
    task: Task,
    measured: Measured,
    timed: Timed,
    before: Callable[[], object] = _nothing,
    after: Callable[[], object] = _nothing,
) -> None:
    """Time it as often as there is time for, at least once."""
    gc.collect()
    began = time.perf_counter()
    for turn in range(1, task.repetitions + 1):
        before()
        start = time.perf_counter()
        timed(turn)
        measured.seconds.append(time.perf_counter() - start)
        after()
        if time.perf_counter() - began > task.budget:
            break


def _start_of_peak() -> int | None:
    """Forget the peak of memory so far; what is used now. None where the system cannot do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _memory("VmRSS:")
    except OSError:
        return None


def _growth(resting: int | None) -> int | None:
    """The peak since then, above what was used then."""
    return None if resting is None else _memory("VmHWM:") - resting


def _memory(line: str) -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(each.split()[1]) << 10 for each in status if each.startswith(line))


def main() -> None:
    """Read a task, write what was measured."""
    task = Task(**json.loads(sys.stdin.read()))
    print(json.dumps(dataclasses.asdict(measure(task))))


if __name__ == "__main__":
    main()
