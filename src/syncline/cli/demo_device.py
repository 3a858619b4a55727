"""One device of the demo, in a process of its own: a Realm, its session, and what an application would do with them.

Every order (``orders.py``) is a method of :class:`Device`.
"""

from __future__ import annotations

import itertools
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, TypeVar

from syncline import (
    ConnectionState,
    ProgressDirection,
    ProgressMode,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncManager,
    SyncUser,
)
from syncline.cli.demo_model import SCHEMA, Airport, Country, Journey, Reading, airports
from syncline.testing.orders import obey, say

__all__ = ["main"]

M = TypeVar("M", Journey, Reading)

#: Objects per write transaction of a bulk import.
BATCH = 1000

#: How long any wait for the other side may take, in seconds.
PATIENCE_S = 120.0


class Device:
    """A Realm that is synced, and what the demo does with it."""

    def __init__(self, folder: str, server: str, path: str) -> None:
        SyncManager.shared(folder)
        user = SyncUser.log_in(SyncCredentials.anonymous(), server)
        sync = SyncConfiguration(user, path, path=str(Path(folder, "device.realm")))
        self.realm = Realm.open(RealmConfiguration(schema=SCHEMA, sync=sync))
        self.session = self.realm.sync_session

    # --- the first act: a data set travels --------------------------------------------------------------------------

    def import_airports(self, limit: int) -> dict[str, Any]:
        """Create every airport and country, and the journey. The session uploads meanwhile."""
        began = time.perf_counter()
        countries: dict[str, Country] = {}
        count = 0
        rows = airports(limit)
        while batch := list(itertools.islice(rows, BATCH)):
            with self.realm.write():
                for row in batch:
                    code = row["country"]
                    country = countries.get(code)
                    if country is None:
                        country = countries[code] = self.realm.create(Country, code=code)
                    airport = self.realm.create(
                        Airport,
                        icao=row["icao"], iata=row["iata"] or None, name=row["name"], city=row["city"],
                        region=row["subd"], country=country, elevation_ft=row["elevation"], latitude=row["lat"],
                        longitude=row["lon"], timezone=row["tz"],
                    )  # fmt: skip
                    country.airports.append(airport)
                    count += 1
        with self.realm.write():
            journey = self.realm.create(Journey, id=1, title="Around the world")
            journey.stops.extend(self.realm.objects(Airport)[:4])
        return {"objects": count + len(countries) + 1, "seconds": time.perf_counter() - began}

    def wait(self, direction: str) -> dict[str, Any]:
        """Wait until everything is uploaded (downloaded), reporting progress and connection state on the way."""
        began = time.perf_counter()
        way = ProgressDirection[direction.upper()]

        def report(transferred: int, transferrable: int) -> None:
            say(progress=direction, transferred=transferred, transferrable=transferrable)

        wait = self.session.wait_for_upload if way is ProgressDirection.UPLOAD else self.session.wait_for_download
        with (
            self.session.observe_connection_state(lambda _, new: say(progress="connection", state=new.name.lower())),
            self.session.progress_notification(way, ProgressMode.REPORT_INDEFINITELY, report),
        ):
            say(progress="connection", state=self.session.connection_state.name.lower())
            wait(PATIENCE_S)
        self.realm.refresh()
        return {"seconds": time.perf_counter() - began}

    # --- the second act: both offline --------------------------------------------------------------------------------

    def suspend(self) -> dict[str, Any]:
        """Go offline."""
        self.session.suspend()
        return {"state": self.session.state.name}

    def resume(self) -> dict[str, Any]:
        """Go online again."""
        self.session.resume()
        return {"state": self.session.state.name}

    def edit_offline(self, name: str, conflicts: int, deletes: bool) -> dict[str, Any]:
        """Edits that meet those of the other device: one field, one counter, one place in a list, delete or update."""
        targets = list(self.realm.objects(Airport).sort(Airport.icao)[10 : 10 + 2 * conflicts])
        contested, doomed = targets[:conflicts], targets[conflicts:]
        journey = self._existing(Journey, 1)
        for airport in contested:
            with self.realm.write():
                airport.name = f"{airport.icao} as {name} names it"
        for country in self.realm.objects(Country).sort(Country.code)[:conflicts]:
            with self.realm.write():
                country.visits += 3 if deletes else 4
        for airport in contested:
            with self.realm.write():
                journey.stops.insert(1, airport)
        for airport in doomed:
            with self.realm.write():
                if deletes:
                    self.realm.delete(airport)
                else:
                    airport.city = f"{name} was here"
        return {"edits": 4 * conflicts}

    def outcome(self, conflicts: int) -> dict[str, Any]:
        """What became of those edits, for the one who compares."""
        self.realm.refresh()
        journey = self._existing(Journey, 1)
        return {
            "names": [a.name for a in self.realm.objects(Airport).sort(Airport.icao)[10 : 10 + conflicts]],
            "visits": [int(c.visits) for c in self.realm.objects(Country).sort(Country.code)[:conflicts]],
            "stops": [airport.icao for airport in journey.stops],
            "touched": len(self.realm.objects(Airport).where(Airport.city.endswith(" was here"))),
        }

    # --- the third act: the server dies -------------------------------------------------------------------------------

    def upload_and_kill(self, server_pid: int, transactions: int) -> dict[str, Any]:
        """Write offline, go online, and kill -9 the server right after its first acknowledgement.

        Tells how many bytes were acknowledged then, and how many were written.
        """
        self.session.suspend()
        first = len(self.realm.objects(Reading)) + 1
        for batch in range(transactions):
            with self.realm.write():
                for number in range(BATCH):
                    ident = first + batch * BATCH + number
                    self.realm.create(
                        Reading, id=ident, station=f"station {number:04}", hour=batch, celsius=ident % 97 / 3
                    )
        killed = threading.Event()
        seen: list[tuple[int, int]] = []

        def kill_after_first_acknowledgement(transferred: int, transferrable: int) -> None:
            seen.append((transferred, transferrable))
            if not killed.is_set() and transferred > seen[0][0]:
                os.kill(server_pid, signal.SIGKILL)
                killed.set()

        token = self.session.add_progress_notification(
            ProgressDirection.UPLOAD, ProgressMode.REPORT_INDEFINITELY, kill_after_first_acknowledgement
        )
        self.session.resume()
        if not killed.wait(PATIENCE_S):
            raise TimeoutError("the server acknowledged nothing")
        self._wait_for_connection(ConnectionState.DISCONNECTED)
        if token is not None:
            token.invalidate()
        return {
            "objects": transactions * BATCH,
            "acknowledged": seen[-1][0] - seen[0][0],
            "written": seen[-1][1] - seen[0][0],
        }

    def _wait_for_connection(self, state: ConnectionState) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.session.connection_state is not state:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the connection did not become {state.name}")
            time.sleep(0.01)

    # --- the fourth act: how quick ------------------------------------------------------------------------------------

    def prepare_probe(self) -> dict[str, Any]:
        """Make the object whose single edits are timed."""
        with self.realm.write():
            self.realm.create(Reading, id=0, station="probe", hour=-1, celsius=0.0)
        return {}

    def edit_singly(self, edits: int, pause_s: float) -> dict[str, Any]:
        """Single-object transactions, one at a time; the moment each began, on the clock all processes share."""
        probe = self._existing(Reading, 0)
        moments = []
        for number in range(edits):
            moments.append(time.monotonic())
            with self.realm.write():
                probe.hour = number
            time.sleep(pause_s)
        return {"moments": moments}

    def watch(self, edits: int) -> dict[str, Any]:
        """The moment at which each of those edits was delivered to an observer here."""
        self.realm.refresh()
        probe = self._existing(Reading, 0)
        moments: list[float] = []

        def seen(*_: Any) -> None:
            moments.extend([time.monotonic()] * (probe.hour + 1 - len(moments)))

        token = probe.observe(seen)
        say(progress="watching")
        deadline = time.monotonic() + PATIENCE_S
        while len(moments) < edits and time.monotonic() < deadline:
            self.realm.wait_for_change(1.0)
            self.realm.refresh()
        token.invalidate()
        return {"moments": moments}

    def _existing(self, model: type[M], key: int) -> M:
        found = self.realm.get(model, key)
        if found is None:
            raise LookupError(f"{model.__name__} {key} is not here")
        return found

    # --- at any time --------------------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        """Numbers of objects, content hash, bytes on the wire and peak memory."""
        self.realm.refresh()
        return {
            "objects": sum(len(self.realm.objects(model)) for model in SCHEMA),
            "hash": self.realm.content_hash(),
            "bytes_sent": SyncManager.shared().traffic.bytes_sent,
            "bytes_received": SyncManager.shared().traffic.bytes_received,
            "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


def main() -> None:
    """Run one device until standard input closes. Arguments: folder, server URL, Realm path."""
    device = Device(*sys.argv[1:4])
    obey(device)
    device.realm.close()
    SyncManager.shared().wait_for_sessions_to_terminate(10)


if __name__ == "__main__":
    main()
