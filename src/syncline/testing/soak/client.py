"""The client process: writes numbered commits, waits for their upload and for downloads, does what it is told.

An application like any other: it uses the public interface only (and :mod:`.watching` looks on). It logs in again when
it was logged out, and opens the Realm again when its session has ended for good.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import random
import threading
import time
import traceback
import warnings
from collections import Counter as Count
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

from syncline.errors import (
    InvalidSessionError,
    OperationAbortedError,
    SyncAuthError,
    SyncError,
    SynclineError,
)
from syncline.realm.configuration import RealmConfiguration
from syncline.realm.declarations import Counter, Field
from syncline.realm.lists import List
from syncline.realm.models import Model
from syncline.realm.realm import Realm
from syncline.sync.configuration import SyncConfiguration
from syncline.sync.credentials import SyncCredentials
from syncline.sync.manager import SyncManager
from syncline.sync.session import SyncSession
from syncline.sync.states import ProgressDirection, ProgressMode, SyncSessionState, SyncUserState
from syncline.sync.timeouts import SyncTimeoutOptions
from syncline.sync.user import SyncUser
from syncline.testing.soak import clock, nursery
from syncline.testing.soak.journal import Journal
from syncline.testing.soak.watching import Notes, Watch

__all__ = ["EVERYBODY", "REALM_PATH", "Commit", "Setup", "Tally", "run_client", "text_of"]

REALM_PATH: Final = "/soak/all"
#: The tally that everybody counts in.
EVERYBODY: Final = "all"
#: Numbers of different clients in one list.
STRIDE: Final = 1_000_000

_PATIENCE_S: Final = 120.0
_TIMEOUTS: Final = SyncTimeoutOptions(
    connect_timeout=6_000,
    connection_linger_time=500,
    ping_keepalive_period=5_001,
    pong_keepalive_timeout=5_001,
    fast_reconnect_limit=5_000,
)
_END_S: Final = 5.0
#: They end by themselves half a minute after the last callback.
_IDLE_THREADS: Final = ("syncline-notify", "syncline-progress")
_DOWNLOAD_PAUSE_S: Final = 0.05
_LOGIN_TIMEOUT_S: Final = 5.0


class Commit(Model):
    """One commit of a client."""

    id: str = Field(primary_key=True)
    client: str
    number: int
    text: str


class Tally(Model):
    """What was committed, counted: by one client, or by everybody."""

    id: str = Field(primary_key=True)
    count: Counter = 0
    numbers: List[int]


class Setup(NamedTuple):
    """What a client process is given."""

    place: int
    name: str
    folder: Path
    url: str
    certificate: Path | None
    clock: Path
    clients: tuple[str, ...]
    run: int
    #: commits per second; 0: none
    pace: float


def text_of(name: str, number: int) -> str:
    """What the commit of that number says."""
    return f"{name} {number} " + "x" * (number * 7919 % 200)


def run_client(setup: Setup, pipe: Connection) -> None:
    """What the process does."""
    _log_to(setup.folder / "client.log")
    clock.install()
    clock.follow(setup.clock)
    try:
        _Client(setup, pipe).run()
    except BaseException:
        logging.getLogger("syncline.soak").critical("the client failed\n%s", traceback.format_exc())
        raise


def _log_to(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    warnings.simplefilter("default", ResourceWarning)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(threadName)s: %(message)s")


class _Client:
    def __init__(self, setup: Setup, pipe: Connection) -> None:
        self._setup = setup
        self._pipe = pipe
        self._sending = threading.Lock()
        self._descriptors = set(nursery.descriptors().values())
        self._notes = Notes(setup.folder / f"notes-{setup.run}.jsonl")
        self._watch = Watch(self._notes)
        self._over = threading.Event()
        self._may_write = threading.Event()
        self._hurry_until = 0.0
        self._needs_care = threading.Event()
        self._committed = threading.Condition()
        self._latest = (0, 0.0)  # number, when it was begun
        self._random = random.Random()
        self._manager = SyncManager(setup.folder / "sync")
        self._manager.timeout_options = _TIMEOUTS
        self._manager.error_handler = self._failed
        if setup.certificate is not None:
            self._manager.pinned_certificate_paths = {"127.0.0.1": setup.certificate}
        self._user = self._logged_in()
        self._realm = self._open()
        self._session = self._watched()
        self._threads: list[threading.Thread] = []

    def run(self) -> None:
        """Until told to stop."""
        self._found()
        self._send("open", os.getpid())
        for work in (self._write, self._await_uploads, self._await_downloads):
            thread = threading.Thread(target=self._guarded, args=(work,), name=work.__name__)
            thread.start()
            self._threads.append(thread)
        self._may_write.set()
        while not self._over.is_set():
            self._realm.refresh()  # as an event loop would: an old version held for long makes files grow
            if self._pipe.poll(0.05):
                name, arguments = self._pipe.recv()
                _COMMANDS[name](self, *arguments)
            if self._needs_care.is_set():
                self._needs_care.clear()
                self._take_care()

    # --- what an application does -------------------------------------------------------------------------------------

    def _logged_in(self) -> SyncUser:
        """The user of the last run, or a new login; tried until it succeeds."""
        users = list(self._manager.all_users().values())
        return users[0] if users else self._log_in()

    def _log_in(self) -> SyncUser:
        address = f"{self._setup.name}@soak.example"
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            for is_new in (False, True):
                credentials = SyncCredentials.username_password(address, "secret-of-soak", register=is_new)
                try:
                    return self._manager.log_in(credentials, self._setup.url, timeout=_LOGIN_TIMEOUT_S)
                except (SynclineError, TimeoutError) as error:
                    self._notes.add("login", error=f"{type(error).__name__}: {error}")
                    if time.monotonic() > deadline:
                        raise
                    if not isinstance(error, SyncAuthError):
                        break
            time.sleep(0.1)

    def _open(self) -> Realm:
        path = str(self._setup.folder / "all.realm")
        sync = SyncConfiguration(self._user, REALM_PATH, path=path)
        return Realm.open(RealmConfiguration(schema=[Commit, Tally], sync=sync))

    def _watched(self) -> SyncSession:
        session = self._realm.sync_session
        assert isinstance(session, SyncSession)
        try:
            self._watch.session(session)
        except InvalidSessionError:  # it has ended already
            self._needs_care.set()
        return session

    def _failed(self, error: SyncError, session: SyncSession | None) -> None:
        """The error handler: notes it; whatever ended for good begins anew."""
        self._notes.add(
            "error",
            type=type(error).__name__,
            status=error.status,
            code=error.server_code,
            is_fatal=error.is_fatal,
            message=str(error)[:300],
        )
        if error.is_fatal:
            self._needs_care.set()

    def _take_care(self) -> None:
        """After a fatal error: log in again if need be; a new session if the old one has ended; then another try."""
        if self._user.state is not SyncUserState.ACTIVE:
            self._notes.add("login", error="logged out")
            self._user = self._log_in()
        if self._session.state is SyncSessionState.INVALID:
            old, self._realm = self._realm, self._open()
            old.close()
            self._session = self._watched()
        # After some errors nothing but this makes the client connect again, not even for a new session (§7.4).
        self._session.reconnect()

    def _found(self) -> None:
        """The first client makes what everybody counts in; the others wait for it."""
        is_founder = self._setup.place == 0
        deadline = time.monotonic() + _PATIENCE_S
        while self._realm.get(Tally, EVERYBODY) is None:
            if is_founder:
                with self._realm.write():
                    for name in (EVERYBODY, *self._setup.clients):
                        self._realm.create(Tally, id=name)
                return
            if time.monotonic() > deadline:
                raise TimeoutError("nobody has founded the Realm")
            self._session.wait_for_download(_PATIENCE_S)
            self._realm.refresh()

    # --- threads ------------------------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - whatever it is, it is what the soak looks for
            self._send("fault", traceback.format_exc())

    def _write(self) -> None:
        """Commit, and keep the record of it."""
        path = self._setup.folder / "journal"
        realm = self._open()
        journal = Journal(path)
        try:
            number = self._begin(realm, journal, path)
            while not self._over.is_set():
                if not self._may_write.wait(0.05) or not self._setup.pace:
                    continue
                begun_at = time.monotonic()
                journal.begun(number)
                self._commit(realm, number)
                journal.done(number)
                with self._committed:
                    self._latest = (number, begun_at)
                    self._committed.notify_all()
                number += 1
                if time.monotonic() > self._hurry_until:
                    self._over.wait(self._random.expovariate(self._setup.pace))
        finally:
            journal.close()
            realm.close()

    def _commit(self, realm: Realm, number: int) -> None:
        name = self._setup.name
        with realm.write():
            realm.create(Commit, id=f"{name}-{number}", client=name, number=number, text=text_of(name, number))
            for which in (EVERYBODY, name):
                tally = realm.get(Tally, which)
                assert tally is not None
                tally.count += 1
                tally.numbers.append(self._setup.place * STRIDE + number)

    def _begin(self, realm: Realm, journal: Journal, path: Path) -> int:
        """The number to go on with; what was in doubt is settled, and all that was committed must be there."""
        committed = Journal.read(path)
        done = committed.done
        if committed.in_doubt is not None and realm.get(Commit, self._id(committed.in_doubt)) is not None:
            journal.done(committed.in_doubt)
            done = committed.in_doubt
        own = realm.get(Tally, self._setup.name)
        count = 0 if own is None else int(own.count)
        numbers = [] if own is None else [number % STRIDE for number in own.numbers]
        is_last_there = done == 0 or realm.get(Commit, self._id(done)) is not None
        if count != done or numbers != list(range(1, done + 1)) or not is_last_there:
            self._send(
                "fault",
                f"after a restart: {done} commits were done, the Realm has counted {count}, listed {len(numbers)}, "
                f"and the last one is {'there' if is_last_there else 'missing'}",
            )
        self._latest = (done, 0.0)
        self._send("ready")
        return done + 1

    def _id(self, number: int) -> str:
        return f"{self._setup.name}-{number}"

    def _await_uploads(self) -> None:
        """Wait for the upload of what was committed, again and again."""
        acknowledged = 0
        while not self._over.is_set():
            with self._committed:
                if self._latest[0] == acknowledged:
                    self._committed.wait(0.1)
                number, begun_at = self._latest
            if number > acknowledged and self._waited(lambda session: session.wait_for_upload(5)):
                acknowledged = number
                self._send("uploaded", number, begun_at, time.monotonic())

    def _await_downloads(self) -> None:
        """Ask for what the server has, again and again."""
        while not self._over.is_set():
            asked_at = time.monotonic()
            if self._waited(lambda session: session.wait_for_download(5)):
                self._send("downloaded", asked_at, time.monotonic())
            self._over.wait(_DOWNLOAD_PAUSE_S)

    def _waited(self, wait: Callable[[SyncSession], None]) -> bool:
        """Whether the wait was over, well."""
        session = self._session
        try:
            wait(session)
        except (InvalidSessionError, OperationAbortedError, SyncError, TimeoutError):
            if session.state is SyncSessionState.INVALID:
                self._needs_care.set()
            self._over.wait(0.02)
            return False
        return True

    # --- commands -----------------------------------------------------------------------------------------------------

    def _reachable(self) -> None:
        self._manager.network_reachability_changed(True)

    def _hurry(self, seconds: float) -> None:
        self._hurry_until = time.monotonic() + seconds

    def _suspend(self, threads: int, rounds: int, seed: int) -> None:
        """Suspend and resume from several threads at once; resumed at the end."""
        session = self._session

        def stop_and_go(own: int) -> None:
            choices = random.Random(own)
            for _ in range(rounds):
                session.suspend()
                time.sleep(choices.random() * 0.03)
                session.resume()
                time.sleep(choices.random() * 0.03)

        workers = [threading.Thread(target=stop_and_go, args=(seed + own,)) for own in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        session.resume()
        self._send("suspended", threads * rounds)

    def _watch_outstanding(self) -> None:
        for direction in ProgressDirection:
            self._watch.progress(self._session, direction, ProgressMode.FOR_CURRENTLY_OUTSTANDING_WORK)

    def _diagnose(self) -> None:
        """It seems to be stuck: all that there is to know goes into the log."""
        logging.getLogger("syncline.soak").info("stuck? %s", self._manager.diagnostics().to_dict())
        faulthandler.dump_traceback(all_threads=True)

    def _hold(self) -> None:
        """Write no more, and say what was written."""
        self._may_write.clear()
        self._send("held")

    def _settle(self, patience_s: float) -> None:
        """Upload everything, then download everything."""
        deadline = time.monotonic() + patience_s
        self._session.resume()
        self._session.reconnect()
        steps = [lambda session: session.wait_for_upload(5), lambda session: session.wait_for_download(5)]
        while steps and time.monotonic() < deadline:
            if self._waited(steps[0]):
                del steps[0]
            elif self._needs_care.is_set():
                self._needs_care.clear()
                self._take_care()
        self._send("settled", not steps)

    def _report(self) -> None:
        """What this device holds."""
        self._realm.refresh()
        numbers: dict[str, list[int]] = {}
        wrong: Count[str] = Count()
        for commit in self._realm.objects(Commit):
            numbers.setdefault(commit.client, []).append(commit.number)
            wrong[commit.client] += commit.text != text_of(commit.client, commit.number)
        tallies = {tally.id: (int(tally.count), list(tally.numbers)) for tally in self._realm.objects(Tally)}
        self._send("content", self._realm.content_hash(), numbers, tallies, sum(wrong.values()))

    def _stop(self) -> None:
        """Close everything, and say what is left."""
        self._over.set()
        for thread in self._threads:
            thread.join(_PATIENCE_S)
        self._watch.forget()
        self._realm.close()
        was_released = self._manager.wait_for_sessions_to_terminate(30)
        self._manager.close(30)
        del self._realm, self._session, self._user
        gc.collect()
        deadline = time.monotonic() + _END_S
        while (threads := _own_threads()) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._notes.close()
        left = sorted(set(nursery.descriptors().values()) - self._descriptors)
        if not was_released:
            left.append("a session that holds its file")
        self._send("stopped", threads, left, nursery.peak_memory())

    def _send(self, *event: Any) -> None:
        with self._sending:
            self._pipe.send(event)


def _own_threads() -> list[str]:
    """Threads that should not be there any more."""
    others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    return [thread.name for thread in others if thread.name not in _IDLE_THREADS]


_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "reachable": _Client._reachable,
    "hurry": _Client._hurry,
    "suspend": _Client._suspend,
    "watch": _Client._watch_outstanding,
    "diagnose": _Client._diagnose,
    "hold": _Client._hold,
    "settle": _Client._settle,
    "report": _Client._report,
    "stop": _Client._stop,
}
