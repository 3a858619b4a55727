"""Devices with real Realms and a real server in one process, for the worked examples of docs/explanation/merging.md.

Real are models, Realms, files, histories, the merge on both sides and the server's log; there are no sockets, and each
device has the clock that an example gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from syncline import Model, Realm, RealmConfiguration
from syncline.changesets.changeset import UploadCursor
from syncline.storage.dump import dump
from syncline.storage.file import RealmFile
from syncline.storage.history import ClientHistory
from syncline.testing.exhaustive.world import Server

#: The day on which all examples happen.
_DAY = datetime(2026, 3, 1, tzinfo=UTC)


def clock_time(text: str) -> int:
    """`10:05` or `10:05:30` as nanoseconds of Unix time."""
    hours, minutes, *seconds = map(int, text.split(":"))
    moment = _DAY.replace(hour=hours, minute=minutes, second=seconds[0] if seconds else 0)
    return int(moment.timestamp()) * 1_000_000_000


class Device:
    """One device: a Realm, its history, and a clock that stands still until it is set."""

    def __init__(self, name: str, path: Path, server: Server, schema: Sequence[type[Model]]) -> None:
        self.now = clock_time("09:00")
        self._server = server
        self.ident = server.register()
        self._file = RealmFile.open(path / f"{name}.realm", history=True, clock=lambda: self.now)
        self._history = ClientHistory(self._file)
        self._history.set_file_ident(self.ident, 1)
        self._cursor = UploadCursor()
        self.realm = Realm.open(RealmConfiguration(path / f"{name}.realm", schema=schema))

    def write(self, program: str, names: Mapping[str, Any]) -> None:
        """Run a program in one transaction; ``r`` is recipe 1."""
        with self.realm.write():
            exec(program, self._names(names))

    def holds(self, expression: str, names: Mapping[str, Any]) -> bool:
        """What an expression says about the newest version."""
        self.realm.refresh()
        return bool(eval(expression, self._names(names)))

    def add_property(self, cls: str, name: str, kind: int) -> None:
        """What opening the Realm with a newer model does."""
        with self._file.write() as tx:
            tx.add_property(tx.catalogue.classes[cls], name, kind)

    def has_property(self, cls: str, name: str, kind: int) -> bool:
        """Is there such a property, of this type?"""
        with self._file.snapshot() as snapshot, snapshot.lock:
            found = snapshot.reader.catalogue.classes[cls].properties.get(name)
        return found is not None and found.type == kind

    def upload(self) -> None:
        """Send all there is. Raises RefusedError."""
        entries, self._cursor = self._history.uploadable(self._cursor)
        self._server.take(self.ident, entries, self._cursor)

    def download(self) -> None:
        """Integrate all that others did."""
        before = self._history.status().progress
        entries, progress = self._server.since(self.ident, before)
        if progress != before:
            self._history.integrate(progress, entries, 0)

    def state(self) -> dict[str, Any]:
        """Everything the Realm holds."""
        with self._file.snapshot() as snapshot, snapshot.lock:
            return dump(snapshot.reader)

    def close(self) -> None:
        """Close Realm and file."""
        self.realm.close()
        self._file.close()

    def _names(self, names: Mapping[str, Any]) -> dict[str, Any]:
        return {**names, "realm": self.realm, "r": self.realm.get(names["Recipe"], 1)}


class Kitchen:
    """A server and devices that begin with one recipe in common."""

    def __init__(self, path: Path, devices: Sequence[str], names: Mapping[str, Any]) -> None:
        self._names = names
        self._server = Server()
        schema = [each for each in names.values() if isinstance(each, type) and issubclass(each, Model)]
        schema = [each for each in schema if each.__module__ == names["__name__"]]
        self.devices = {name: Device(name, path, self._server, schema) for name in devices}

    def begin(self, program: str) -> None:
        """The first device makes recipe 1 and runs a program; everybody gets that."""
        first = next(iter(self.devices.values()))
        first.write("realm.create(Recipe, id=1)", self._names)
        if program:
            first.write(program, self._names)
        self.exchange(list(self.devices))

    def exchange(self, order: Sequence[str]) -> None:
        """Everybody uploads, in this order, and then downloads. Raises RefusedError."""
        for name in order:
            self.devices[name].upload()
        for device in self.devices.values():
            device.download()

    def close(self) -> None:
        """Close everything."""
        for device in self.devices.values():
            device.close()
        self._server.file.close()
