"""What the server costs: integrating uploads, serving fresh clients, acknowledging small transactions.

``python bench/server.py [integrate|wire|all] [--profile]``. The objects have four properties (int key, string, int,
double), 1,000 to a transaction, 100 transactions. Numbers are of this machine, now; tests never assert them.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from syncline.changesets.changeset import UploadChangeset, UploadCursor
from syncline.changesets.codec import encode_recorded
from syncline.changesets.instructions import AddColumn, AddTable, CreateObject, Instruction, Update
from syncline.compilation import is_compiled
from syncline.server.commit_group import NewFileOperation, UploadOperation, run_group
from syncline.server.permissions import Level
from syncline.server.sqlite_log import SqliteLogStore
from syncline.values import kinds

TRANSACTIONS = 100
OBJECTS = 1000
TIMESTAMP = 375_338_707_719


def schema() -> list[Instruction]:
    def column(name: str, kind: int) -> AddColumn:
        return AddColumn("Item", name, kind, False, kinds.SINGLE_COLLECTION, "", kinds.GLOBAL_KEY)

    return [
        AddTable("Item", kinds.TOP_LEVEL, "_id", kinds.INT, False),
        column("name", kinds.STRING),
        column("count", kinds.INT),
        column("price", kinds.DOUBLE),
    ]


def changesets() -> list[bytes]:
    """As a client records them: all of them, ready to upload."""
    made = []
    for transaction in range(TRANSACTIONS):
        instructions = schema() if transaction == 0 else []
        for number in range(OBJECTS):
            key = transaction * OBJECTS + number
            instructions.append(CreateObject("Item", key))
            instructions.append(Update("Item", key, "name", (), kinds.STRING, f"item number {key}"))
            instructions.append(Update("Item", key, "count", (), kinds.INT, key * 7))
            instructions.append(Update("Item", key, "price", (), kinds.DOUBLE, key / 3))
        made.append(encode_recorded(instructions))
    return made


class Uploader:
    file_ident = 2

    def level(self) -> Level:
        return Level.ADMIN


@contextmanager
def profiled(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


def integrate(profile: bool) -> None:
    """Commit groups alone, without sockets: what the worker thread does."""
    data = changesets()
    size = sum(map(len, data))
    print(f"{TRANSACTIONS} x {OBJECTS} objects, {size / TRANSACTIONS / OBJECTS:.0f} bytes each")
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteLogStore.open(Path(folder, "bench.realm"))
        run_group(store, [NewFileOperation("u", "s", False)], "additive")
        uploader = Uploader()
        started, started_cpu = time.perf_counter(), time.process_time()
        with profiled(profile):
            for version in range(0, TRANSACTIONS, 2):
                entries = [
                    UploadChangeset(version + i + 2, 0, TIMESTAMP + version, 0, data[version + i]) for i in range(2)
                ]
                operation = UploadOperation(uploader, entries, UploadCursor(version + 3, 0), 0)
                outcome = run_group(store, [operation], "additive")
                assert not outcome.refusals, outcome.refusals
        _report("integrate", time.perf_counter() - started, time.process_time() - started_cpu)
        started = time.perf_counter()
        with profiled(profile):
            for version in range(200):
                changeset = encode_recorded([Update("Item", 1, "count", (), kinds.INT, version)])
                entry = UploadChangeset(version + 200, 0, TIMESTAMP + version, 0, changeset)
                operation = UploadOperation(uploader, [entry], UploadCursor(version + 200, 0), 0)
                assert not run_group(store, [operation], "additive").refusals
        print(f"tiny commit group    {(time.perf_counter() - started) / 200 * 1e6:8.0f} µs")
        started = time.perf_counter()
        store.content_hash()
        print(f"content hash         {(time.perf_counter() - started) / TRANSACTIONS / OBJECTS * 1e6:8.2f} µs/object")
        store.close()


def _report(what: str, elapsed: float, cpu: float) -> None:
    each = TRANSACTIONS * OBJECTS / 1e6
    print(f"{what:20} {elapsed / each:8.2f} µs/object, {cpu / each:6.2f} of processor")


class Device:
    """A client of a few lines, so that the server's cost dominates."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.version = 2
        self.acknowledged = 0
        self.position = 0

    def message(self, *names: bytes) -> bytes:
        while True:
            data = self.socket.recv(timeout=120)
            assert isinstance(data, bytes)
            if data.startswith(names):
                return data
            assert not data.startswith((b"error", b"json_error")), data[:300]

    def start(self, path: bytes = b"/bench") -> None:
        self.socket.send(b"bind 1 %d 0 1 0\n" % len(path) + path)
        _, _, ident, salt = self.message(b"ident").split()
        self.socket.send(b"ident 1 %s %s 0 0 0 0\n" % (ident, salt))
        self.take_download(self.message(b"download"))

    def take_download(self, data: bytes) -> int:
        fields = data[: data.index(b"\n")].split()
        self.position = int(fields[2])
        self.acknowledged = int(fields[6])
        return int(fields[8])

    def upload(self, *data: bytes) -> None:
        body = b""
        for changeset in data:
            numbers = (self.version, self.position, TIMESTAMP + self.version, len(changeset))
            body += b"%d %d %d 0 %d " % numbers + changeset
            self.version += 1
        packed = zlib.compress(body, 1) if len(body) > 1024 else b""
        flag, size = (1, len(packed)) if packed else (0, 0)
        head = b"upload 1 %d %d %d " % (flag, len(body), size)
        head += b"%d %d %d\n" % (self.version - 1, self.position, self.position)
        self.socket.send(head + (packed or body))

    def until_acknowledged(self) -> None:
        while self.acknowledged < self.version - 1:
            self.take_download(self.message(b"download"))


class ServerProcess:
    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def processor_seconds(self) -> float:
        """Time of processors used so far."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        if not stat.exists():
            return 0
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(folder: str) -> Iterator[ServerProcess]:
    command = [sys.executable, "-m", "syncline.cli.serve", "--dev", "--port", "0", "--data", folder]
    environment = {**os.environ, "SYNCLINE_LOG_LEVEL": "warning"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    try:
        yield ServerProcess(process, int(json.loads(process.stdout.readline())["port"]))
    finally:
        peak = _peak_memory(process.pid)
        process.terminate()
        process.wait()
        process.stdout.close()
        print(f"server peak memory   {peak:8.0f} MiB")


def _peak_memory(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@contextmanager
def device(port: int) -> Iterator[Device]:
    with connect(
        f"ws://localhost:{port}/realm-sync?baas_at=x",
        subprotocols=[Subprotocol("com.mongodb.realm-sync#14")],
        compression=None,
        ping_interval=None,
        max_size=None,
        proxy=None,
    ) as socket:
        yield Device(socket)


def wire() -> None:
    """A real server process over loopback."""
    data = changesets()
    with tempfile.TemporaryDirectory() as folder, server(folder) as running:
        with device(running.port) as uploading:
            uploading.start()
            with measured("upload", running):
                for index in range(0, TRANSACTIONS, 2):
                    uploading.upload(*data[index : index + 2])
                uploading.until_acknowledged()
        for name in ("first", "second"):
            with device(running.port) as fresh, measured(f"{name} fresh download", running):
                fresh.start()
                while fresh.take_download(fresh.message(b"download")) > 0:
                    pass
        _writers(running, 1, 500)
        _writers(running, 8, 125)


@contextmanager
def measured(what: str, running: ServerProcess) -> Iterator[None]:
    started, started_cpu = time.perf_counter(), running.processor_seconds()
    yield
    _report(what, time.perf_counter() - started, running.processor_seconds() - started_cpu)


def _writers(running: ServerProcess, count: int, each: int) -> None:
    """Writers that wait for the acknowledgement of each transaction."""
    latencies: list[float] = []

    def write(number: int) -> None:
        with device(running.port) as writer:
            writer.start(b"/writers")
            writer.upload(encode_recorded([*schema(), CreateObject("Item", number)]))
            writer.until_acknowledged()
            barrier.wait()
            for value in range(each):
                began = time.perf_counter()
                writer.upload(encode_recorded([Update("Item", number, "count", (), kinds.INT, value)]))
                writer.until_acknowledged()
                latencies.append(time.perf_counter() - began)

    barrier = threading.Barrier(count + 1)
    threads = [threading.Thread(target=write, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    barrier.wait()
    started, started_cpu = time.perf_counter(), running.processor_seconds()
    for thread in threads:
        thread.join()
    rate = count * each / (time.perf_counter() - started)
    cost = (running.processor_seconds() - started_cpu) / count / each
    latencies.sort()
    p99 = latencies[len(latencies) * 99 // 100] * 1e3
    print(f"{count} writer(s)          {rate:8.0f} tx/s, p99 {p99:.1f} ms, {cost * 1e6:.0f} µs of processor each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=["integrate", "wire", "all"])
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    print("kernel:", "compiled" if is_compiled() else "interpreted")
    if arguments.what in ("integrate", "all"):
        integrate(arguments.profile)
    if arguments.what in ("wire", "all"):
        wire()


if __name__ == "__main__":
    main()
