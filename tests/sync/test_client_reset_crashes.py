"""A client reset that is interrupted, wherever it is, is finished by the next start (spec/sessions.md §21.7).

Processes are killed between any two steps; the power of a disk is cut between any two writes of the two commits. All
lines, not only the steps: ``python -m syncline.testing.reset_crashes``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from syncline import ClientResetMode
from syncline.changesets.changeset import DownloadCursor, SaltedVersion, SyncProgress, UploadCursor
from syncline.errors import SynclineError
from syncline.protocol.errors import ErrorAction, Status
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.sync import reset_tracking
from syncline.sync.client_reset import ClientReset
from syncline.sync.session_errors import Failure
from syncline.testing import reset_crashes
from syncline.testing.choices import RandomChoices
from syncline.testing.disk import Disk, Everything, Lottery, Nothing, Survival
from syncline.testing.reset_crashes import STEPS, Devices
from syncline.values.kinds import INT, STRING

RECOVER = ClientResetMode.RECOVER_UNSYNCED_CHANGES
DISCARD = ClientResetMode.DISCARD_UNSYNCED_CHANGES

#: Where discarding differs from recovering, or leaves something to finish.
STEPS_OF_DISCARD = (
    "ClientReset._take_over",
    "ClientHistory.rewrite_in",
    "_Callbacks.after",
    "FreshCopy.close",
    "_forget",
)


# --- kill -9 between the steps ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devices]:
    with Devices(tmp_path_factory.mktemp("crashes")) as made:
        yield made


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_of_recovering_the_next_start_completes(devices: Devices, step: str) -> None:
    assert devices.check(RECOVER, call=step) == []


@pytest.mark.parametrize("step", STEPS_OF_DISCARD)
def test_killed_at_any_step_of_discarding_the_next_start_completes(devices: Devices, step: str) -> None:
    assert devices.check(DISCARD, call=step) == []


def test_a_file_whose_reset_kills_the_process_every_time_is_not_reset_for_ever(devices: Devices) -> None:
    """Between the two commits three times: then it counts as a failure, and becomes a manual reset."""
    folder, number = devices.refused()
    for _ in range(3):
        assert devices.run(folder, RECOVER, call="ClientReset._take_over") == (-9, None)
    status, found = devices.run(folder, RECOVER)
    assert status == 0
    assert found is not None
    assert len(found.errors) == 1
    assert "did not succeed either" in found.errors[0]
    assert number in found.items, "the file is as it was, and will be backed up"
    assert not found.has_fresh_copy
    assert found.resets == 1
    (report,) = devices.run(folder, RECOVER)[1:]  # the next start carries the file action out: a new file
    assert report is not None
    assert report.errors == []
    assert number not in report.items
    assert 1 in report.items
    backups = folder / "sync" / "realm-object-server" / "io.realm.object-server-recovered-realms"
    assert len([path for path in backups.iterdir() if path.suffix == ""]) == 1


def test_killed_at_some_lines(devices: Devices, capsys: pytest.CaptureFixture[str]) -> None:
    assert reset_crashes.every_line(devices, RECOVER, 60) == 0
    assert "0 failures" in capsys.readouterr().out


# --- power cuts between the writes ------------------------------------------------------------------------------------


class Machine:
    """A file with two unsynced changes and a fresh copy of what the server has, on a disk whose power can be cut."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self.disk = disk
        self._folder = folder
        self._write("a.realm", {1: "theirs", 2: "synced"}, ident=5)
        self._acknowledge()
        self._write("a.realm", {3: "unsynced"})
        self._write("a.realm", {4: "unsynced, too"})
        self._write("a.realm.fresh", {1: "newer", 7: "of others"}, ident=9)
        names = ("a.realm", "a.realm.fresh")
        for name in names:
            with self.open(name) as file:
                assert file.compact()  # nothing is left in the write-ahead log
        self._images = {name: self._bytes(name) for name in names}

    def _bytes(self, name: str) -> bytes:
        self.disk.restore(Everything())
        found = self.disk.durable(name)
        assert found is not None
        return found

    def open(self, name: str = "a.realm") -> closing[RealmFile]:
        return closing(RealmFile.open(self.disk.path(name), vfs=self.disk.vfs))

    def _write(self, name: str, dogs: dict[int, str], ident: int = 0) -> None:
        with self.open(name) as file:
            with file.write() as tx:
                dog = tx.add_class("Dog", primary_key="id", key_type=INT)
                tx.add_property(dog, "name", STRING)
                dog = tx.catalogue.find("Dog")
                assert dog is not None
                for number, text in dogs.items():
                    key, _ = tx.create(dog, number)
                    tx.set(dog, key, dog.properties["name"], text)
            if ident:
                ClientHistory(file).set_file_ident(ident, 1)
                with file.write() as tx:
                    progress = SyncProgress(SaltedVersion(6, 77), DownloadCursor(6, 0), UploadCursor(0, 0))
                    ClientHistory(file).set_progress_in(tx, progress)

    def _acknowledge(self) -> None:
        """The server has what the file has written so far."""
        with self.open() as file, file.write() as tx:
            cursor = UploadCursor(file.version, 6)
            progress = SyncProgress(SaltedVersion(6, 77), DownloadCursor(6, file.version), cursor)
            ClientHistory(file).set_progress_in(tx, progress)

    def power_on(self) -> None:
        """The state before the reset."""
        self.disk.install(self._images)

    def reset(self, file: RealmFile, mode: ClientResetMode, *, dies: bool = False) -> int:
        """What the thread of a reset does; the steps of the disk. ``dies``: nothing has an effect afterwards."""
        layout = SimpleNamespace(backup_path=lambda directory: self._folder / "recovered")
        core = SimpleNamespace(
            path=file.path,
            file=file,
            history=ClientHistory(file),
            realm_configuration=None,
            had_realm=True,
            manager=SimpleNamespace(layout=layout, client=None),
            configuration=SimpleNamespace(
                client_reset_mode=mode,
                before_client_reset=None,
                after_client_reset=None,
                recovery_directory=None,
                bind_path="/dogs",
            ),
        )
        failure = Failure(Status.CLIENT_RESET_REQUIRED, "unknown", True, ErrorAction.CLIENT_RESET, 208)
        with self.open("a.realm.fresh") as copy:
            reset = ClientReset(cast(Any, core), failure, 1)
            reset._fresh = cast(Any, SimpleNamespace(file=copy, history=ClientHistory(copy)))
            before = self.disk.steps
            try:
                reset._perform()
            finally:
                if dies:
                    self.disk.silence()
            return self.disk.steps - before

    def look(self, file: RealmFile) -> tuple[dict[int, str], int, str, list[int]]:
        """The objects, the file ident, the record's outcome, and the objects that unsynced changes speak of."""
        history = ClientHistory(file)
        with file.snapshot() as snapshot, snapshot.lock:
            dog = snapshot.catalogue.find("Dog")
            assert dog is not None
            place = [dog.singles.index(dog.properties[name]) for name in ("id", "name")]
            dogs = {row[place[0]]: row[place[1]] for _, row in snapshot.reader.page(dog, limit=-1)}
        record = reset_tracking.read_record(history)
        pending = [change.version for change in history.local_changes()]
        return dogs, history.status().file_ident, record.outcome.value if record else "", pending


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    disk = Disk()
    yield Machine(disk, tmp_path)
    disk.close()


NEW = {
    RECOVER: {1: "newer", 3: "unsynced", 4: "unsynced, too", 7: "of others"},
    DISCARD: {1: "newer", 7: "of others"},
}
OLD = {1: "theirs", 2: "synced", 3: "unsynced", 4: "unsynced, too"}


@pytest.mark.parametrize("mode", [RECOVER, DISCARD], ids=["recover", "discard"])
def test_a_power_cut_between_any_two_writes_leaves_the_old_or_the_new_state(
    machine: Machine, mode: ClientResetMode
) -> None:
    machine.power_on()
    with machine.open() as file:
        assert machine.look(file)[:3] == (OLD, 5, "")
        steps = machine.reset(file, mode)
        whole = machine.look(file)
    assert whole[:3] == (NEW[mode], 9, "done")
    seen = set()
    for cut in range(steps + 1):
        survivals: list[Survival] = [Nothing(), Everything(), Lottery(RandomChoices(cut))]
        for survival in survivals if mode is RECOVER else [survivals[cut % 3]]:
            seen.add(cut_and_repair(machine, mode, cut, survival, whole))
    assert seen == {"", "begun", "done"}, "before, between and after the two commits"


def cut_and_repair(machine: Machine, mode: ClientResetMode, cut: int, survival: Survival, whole: Any) -> str:
    """Cut the power, look at what is left, reset once more if the server would ask for it; which state it was."""
    machine.power_on()
    with machine.open() as file:
        machine.disk.cut_power_after(cut)
        with suppress(SynclineError):
            machine.reset(file, mode, dies=True)
    machine.disk.restore(survival)
    with machine.open() as file:
        left = machine.look(file)
        outcome = left[2]
        if outcome == "done":
            assert left == whole, cut
            return outcome
        assert left[:2] == (OLD, 5), cut
        assert len(left[3]) == 2, "the unsynced changes are there"
        machine.reset(file, mode)
        again = machine.look(file)
        assert again[:3] == whole[:3], cut
        assert len(again[3]) == len(whole[3]), cut
        return outcome
