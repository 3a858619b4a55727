"""A client process that writes numbered transactions and says how far it has come, for the tests of restarts."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from syncline import (
    Field,
    Model,
    ProgressDirection,
    ProgressMode,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncUser,
)
from syncline.storage.file import RealmFile
from syncline.testing.orders import obey, say

PATIENCE_S = 120.0

#: Objects of one transaction; a transaction of which fewer are found was torn apart.
SIZE = 200


class Record(Model):
    """``id`` tells the author, the transaction and the place in it."""

    id: int = Field(primary_key=True)
    author: int
    transaction: int
    text: str


def ident_of(author: int, transaction: int, place: int) -> int:
    return (author * 1_000_000 + transaction) * 1000 + place


class Writer:
    """One client of one Realm; started again in the same folder, it goes on with the same file."""

    def __init__(self, folder: str, server: str, path: str, author: str) -> None:
        SyncManager.shared(folder)
        self.author = int(author)
        self.file = Path(folder, "writer.realm")
        user = SyncUser.current() or SyncUser.log_in(SyncCredentials.anonymous(), server)
        sync = SyncConfiguration(user, path, path=str(self.file))
        self.realm = Realm.open(RealmConfiguration(schema=[Record], sync=sync))
        self.session = self.realm.sync_session

    # --- writing ----------------------------------------------------------------------------------------------------

    def write(self, transactions: int) -> dict[str, Any]:
        """Write transactions, and say so after each."""
        for _ in range(transactions):
            say(progress="committed", transaction=self._write_one())
        return {}

    def write_for(self, seconds: float) -> dict[str, Any]:
        """Write for some time, and until something was acknowledged; say when, on the clock of all processes."""
        begun = time.monotonic()
        acknowledged = False
        while time.monotonic() < begun + (seconds if acknowledged else PATIENCE_S):
            last = [self._write_one() for _ in range(3)][-1]
            try:
                self.session.wait_for_upload(0.3)
            except TimeoutError:
                continue
            acknowledged = True
            say(progress="acknowledged", transaction=last, at=time.monotonic())
        return {}

    def _write_one(self) -> int:
        number = len(self.realm.objects(Record).where(Record.author == self.author)) // SIZE
        with self.realm.write():
            for place in range(SIZE):
                ident = ident_of(self.author, number, place)
                text = f"record {place} of transaction {number} by {self.author}"
                self.realm.create(Record, id=ident, author=self.author, transaction=number, text=text)
        return number

    # --- syncing ----------------------------------------------------------------------------------------------------

    def suspend(self) -> dict[str, Any]:
        """Go offline."""
        self.session.suspend()
        return {}

    def sync(self, direction: str) -> dict[str, Any]:
        """Go online, and wait until everything is sent or received; say how far it has come."""

        def report(transferred: int, transferrable: int) -> None:
            say(progress=direction, transferred=transferred, transferrable=transferrable)

        token = self.session.add_progress_notification(
            ProgressDirection[direction.upper()], ProgressMode.REPORT_INDEFINITELY, report
        )
        self.session.resume()
        if direction == "upload":
            self.session.wait_for_upload(PATIENCE_S)
        else:
            self.session.wait_for_download(PATIENCE_S)
        if token is not None:
            token.invalidate()
        return {}

    def wait_for_upload(self) -> dict[str, Any]:
        """Wait until everything is acknowledged, without helping."""
        self.session.wait_for_upload(PATIENCE_S)
        return {}

    def try_to_upload(self, seconds: float) -> dict[str, Any]:
        """Whether everything is acknowledged within some time."""
        try:
            self.session.wait_for_upload(seconds)
        except TimeoutError:
            return {"acknowledged": False, "state": self.session.state.name}
        return {"acknowledged": True, "state": self.session.state.name}

    def limit_files(self, size: int) -> dict[str, Any]:
        """Let no file of this process be written beyond ``size`` bytes, as on a full disk; -1: no limit any more."""
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size < 0 else size, hard))
        return {}

    # --- looking ----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What the newest version holds, by author and transaction; who the file is to the server."""
        self.realm.refresh()
        found = Counter((record.author, record.transaction) for record in self.realm.objects(Record))
        return {
            "transactions": {f"{author}/{number}": count for (author, number), count in sorted(found.items())},
            "hash": self.realm.content_hash(),
            "ident": self._stored("file_ident"),
            "received": SyncManager.shared().traffic.bytes_received,
        }

    def hash(self) -> dict[str, Any]:
        """The content hash of the newest version, by reading only."""
        self.realm.refresh()
        return {"hash": self.realm.content_hash()}

    def _stored(self, name: str) -> int:
        """A number that sync keeps with the file. Python's own SQLite would break the locks of this process (§13.2)."""
        file = RealmFile.open(self.file)
        try:
            rows = file.query("SELECT v FROM rlm_sync WHERE k = ?", (name,))
            return int(rows[0][0]) if rows else 0
        finally:
            file.close()


if __name__ == "__main__":
    obey(Writer(*sys.argv[1:5]))
