"""File actions survive a death at any step, and touch no file in use (spec/sessions.md §11.2–§11.4).

A death is real: the work is done in a forked child which ends at the n-th call to the operating system, without any
clean-up. (Dying inside a write of the database itself is tested with the storage.) Failures are raised there instead.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.sync.test_metadata import BACK_UP, DELETE, KEY, dogs, make_realm

from syncline.storage.file import RealmFile
from syncline.sync.file_actions import carry_out, carry_out_all
from syncline.sync.metadata import FileAction, MetadataStore

CALLS = ("open", "os.", "shutil.")
"""Prefixes of the audit events of Python that stand for calls to the operating system."""
LOCKS = ("fcntl.",)


class Interceptor:
    """Calls ``act`` at the ``at``-th call to the operating system from now on; audit hooks cannot be removed."""

    def __init__(self) -> None:
        self.act: Callable[[], Any] | None = None
        self.at = self.count = 0
        self.calls: tuple[str, ...] = CALLS

    def start(self, at: int, act: Callable[[], Any], calls: tuple[str, ...] = CALLS) -> None:
        self.count, self.at, self.calls, self.act = 0, at, calls, act

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.act is not None and event.startswith(self.calls):
            self.count += 1
            if self.count == self.at:
                act, self.act = self.act, None
                act()


_interceptor: list[Interceptor] = []


@pytest.fixture
def interceptor() -> Iterator[Interceptor]:
    if not _interceptor:
        _interceptor.append(Interceptor())
        sys.addaudithook(_interceptor[0])
    yield _interceptor[0]
    _interceptor[0].act = None


def die() -> None:
    os._exit(9)


def run_and_die(interceptor: Interceptor, at: int, metadata: Path) -> bool:
    """What the next start does, in a child that dies at a step; whether it came that far."""
    child = os.fork()
    if child == 0:
        try:
            store = MetadataStore(metadata)
            interceptor.start(at, die, CALLS + LOCKS)
            carry_out_all(store)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


class Case:
    """A Realm with everything beside it, flagged for an action."""

    def __init__(self, folder: Path, action: Any, key: bytes | None, write_ahead_log: bool) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.folder, self.key = folder, key
        self.path, self.backup, self.metadata = folder / "a.realm", folder / "backups" / "recovered", folder / "m.realm"
        make_realm(self.path, key)
        self.dogs = 1
        if write_ahead_log:
            add_dog_and_die(self.path, key)
            self.dogs = 2
        for suffix in (".note", ".log"):
            Path(f"{self.path}{suffix}").touch()
        Path(f"{self.path}.management").mkdir()
        Path(f"{self.path}.management/access_control.note").touch()
        self.action = FileAction(str(self.path), str(self.backup) if action is BACK_UP else None, action, "", "")
        with self.store() as store:
            store.save_file_action(self.action)

    @contextmanager
    def store(self) -> Iterator[MetadataStore]:
        store = MetadataStore(self.metadata)
        try:
            yield store
        finally:
            store.close()

    def check_nothing_is_lost(self) -> None:
        """The old state or the new: the main file is whole, or gone with the backup whole (if there is to be one)."""
        with self.store() as store:
            rows = store.file_actions()
        if not self.path.exists():
            assert self.action.action is DELETE or self.is_backed_up()
        elif not rows:
            pytest.fail("the row is gone, the file is not")
        if self.backup.exists():
            assert self.is_backed_up()

    def is_backed_up(self) -> bool:
        """Looks at copies: opening a backup would change it."""
        looked = self.folder / "looked"
        shutil.rmtree(looked, ignore_errors=True)
        looked.mkdir()
        for name in self.backup.parent.glob(f"{self.backup.name}*"):
            shutil.copy(name, looked / name.name)
        return dogs(looked / self.backup.name, self.key) == self.dogs

    def check_done(self) -> None:
        with self.store() as store:
            assert store.file_actions() == []
        assert [entry.name for entry in self.folder.iterdir() if entry.name.startswith("a.realm")] == []
        if self.action.action is BACK_UP:
            assert self.is_backed_up()
            assert not list(self.backup.parent.glob("*.copying-*"))


def add_dog_and_die(path: Path, key: bytes | None) -> None:
    """Leaves a write-ahead log."""
    code = (
        "import os, sys\n"
        "from syncline.storage.file import RealmFile\n"
        f"file = RealmFile.open(sys.argv[1], encryption_key={key!r})\n"
        "with file.write() as tx:\n    tx.create(tx.catalogue.find('Dog'), 2)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=30)
    assert Path(f"{path}-wal").exists()


CASES = pytest.mark.parametrize(
    ("action", "key", "write_ahead_log"),
    [(BACK_UP, None, False), (BACK_UP, KEY, True), (DELETE, None, False)],
    ids=["back-up", "back-up-encrypted", "delete"],
)


@pytest.fixture
def template(tmp_path: Path, action: Any, key: bytes | None, write_ahead_log: bool) -> Callable[[], Case]:
    """Makes the same case again and again, quickly."""
    case = Case(tmp_path / "case", action, key, write_ahead_log)
    shutil.copytree(case.folder, tmp_path / "kept")

    def fresh() -> Case:
        shutil.rmtree(case.folder)
        shutil.copytree(tmp_path / "kept", case.folder)
        return case

    return fresh


@CASES
def test_11_2_a_death_at_any_step_leaves_the_old_state_or_the_new(
    template: Callable[[], Case], interceptor: Interceptor
) -> None:
    steps = 0
    while True:
        case = template()
        if not run_and_die(interceptor, steps + 1, case.metadata):
            break
        steps += 1
        case.check_nothing_is_lost()
        with case.store() as store:
            carry_out_all(store)
        case.check_done()
    assert steps > 10
    case.check_done()


@CASES
def test_11_2_two_deaths_one_after_the_other(template: Callable[[], Case], interceptor: Interceptor) -> None:
    for first in range(1, 80, 3):
        case = template()
        if not run_and_die(interceptor, first, case.metadata):
            break
        run_and_die(interceptor, first, case.metadata)
        case.check_nothing_is_lost()
        with case.store() as store:
            carry_out_all(store)
        case.check_done()


@CASES
def test_11_2_a_failure_at_any_step_is_made_good_at_the_next_start(
    template: Callable[[], Case], interceptor: Interceptor
) -> None:
    failures = 0

    def fail() -> None:
        error = (errno.ENOSPC, errno.EIO, errno.EACCES)[step % 3]
        raise OSError(error, os.strerror(error))

    for step in range(1, 200):
        case = template()
        with case.store() as store:
            (action,) = store.file_actions()
            interceptor.start(step, fail)
            done = carry_out(store, action)
            is_over = interceptor.act is not None
            interceptor.act = None
            assert done or store.file_action(action.original_name) is not None
        failures += not done
        case.check_nothing_is_lost()
        with case.store() as store:
            carry_out_all(store)
        case.check_done()
        if is_over:
            break
    assert failures > 5


def test_11_2_every_file_of_a_realm_goes(tmp_path: Path) -> None:
    case = Case(tmp_path / "case", DELETE, None, True)
    (tmp_path / "case" / "a.realm.other").touch()
    with case.store() as store:
        assert carry_out(store, case.action)
    left = [entry.name for entry in case.folder.iterdir() if entry.name.startswith("a.realm")]
    assert left == ["a.realm.other"]


def test_11_2_a_backup_of_somebody_else_is_never_taken_for_ours(tmp_path: Path) -> None:
    case = Case(tmp_path / "case", BACK_UP, None, False)
    case.backup.parent.mkdir()
    case.backup.write_text("mine")
    with case.store() as store:
        for _ in range(2):
            carry_out_all(store)
            assert store.file_actions() == [case.action]
    assert case.backup.read_text() == "mine"
    assert dogs(case.path) == 1


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500, b"SQLite format 3\0" + bytes(8000)])
def test_11_2_a_damaged_file_is_backed_up_as_it_is(tmp_path: Path, content: bytes) -> None:
    path, backup = tmp_path / "a.realm", tmp_path / "recovered"
    path.write_bytes(content)
    store = MetadataStore(None)
    assert carry_out(store, FileAction(str(path), str(backup), BACK_UP, "", ""))
    assert not path.exists()
    assert backup.read_bytes() == content
    store.close()


def hold_open(path: Path) -> subprocess.Popen[str]:
    """Another process that has the Realm open until its input ends."""
    code = (
        "import sys\n"
        "from syncline.storage.file import RealmFile\n"
        "file = RealmFile.open(sys.argv[1])\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
        "file.close()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    return child


def test_11_4_a_file_that_another_process_uses_is_not_even_backed_up(tmp_path: Path) -> None:
    """Else what that process writes after the copy would be lost with the deletion."""
    case = Case(tmp_path / "case", BACK_UP, None, False)
    child = hold_open(case.path)
    with case.store() as store:
        carry_out_all(store)
        assert store.file_actions() == [case.action]
        assert not case.backup.exists()
        child.communicate(timeout=30)
        carry_out_all(store)
    case.check_done()


def test_11_2_nobody_opens_a_file_in_the_middle_of_its_action(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncline.errors import RealmInUseError
    from syncline.storage import locks
    from syncline.sync import file_actions

    case = Case(tmp_path / "case", BACK_UP, None, False)
    delete = file_actions._delete
    refusals: list[BaseException] = []

    def look_in(path: str) -> None:
        with pytest.raises(RealmInUseError) as raised:
            RealmFile.open(path)
        refusals.append(raised.value)
        delete(path)

    monkeypatch.setattr(locks, "_ATTEMPTS", 3)
    monkeypatch.setattr(file_actions, "_delete", look_in)
    with case.store() as store:
        assert carry_out(store, case.action)
    assert len(refusals) == 1
    case.check_done()


def test_11_2_each_step_is_durable_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut could undo is undone by none: the order of syncs, and of what must not come before them."""
    case = Case(tmp_path / "case", BACK_UP, KEY, True)
    log: list[str] = []
    opened: dict[int, str] = {}
    os_open = os.open

    def noted_open(path: Any, *arguments: Any, **options: Any) -> int:
        descriptor = os_open(path, *arguments, **options)
        opened[descriptor] = str(path)
        return descriptor

    def note(module: Any, name: str, what: Callable[..., str]) -> None:
        real = getattr(module, name)

        def noted(*arguments: Any, **options: Any) -> Any:
            result = real(*arguments, **options)
            log.append(what(*arguments))
            return result

        monkeypatch.setattr(module, name, noted)

    def short(path: Any) -> str:
        name = os.path.relpath(path, case.folder).replace(f"-{os.getpid()}", "")
        return name.replace("backups/recovered", "BACKUP")

    monkeypatch.setattr(os, "open", noted_open)
    note(os, "fsync", lambda descriptor: f"sync {short(opened[descriptor])}")
    note(os, "rename", lambda source, target: f"rename {short(source)} {short(target)}")
    note(os, "unlink", lambda path, *rest: f"unlink {short(path)}")
    note(MetadataStore, "save_file_action", lambda store, action: f"row {action.action.name}")
    note(MetadataStore, "remove_file_action", lambda store, path: "row gone")
    with case.store() as store:
        log.clear()
        assert carry_out(store, case.action)
    wanted = [
        "sync backups",
        "sync BACKUP-wal",
        "sync BACKUP.copying",
        "rename BACKUP.copying BACKUP",
        "sync backups",
        "row DELETE_REALM",
        "unlink BACKUP.unfinished",
        "unlink a.realm",
        "unlink a.realm.lock",
        "sync .",
        "row gone",
    ]
    rest = iter(log)
    assert [entry for entry in wanted if entry not in rest] == [], log
