"""How long a client file takes: writing with history, reading uploads, integrating downloads.

    python bench/history.py [--objects N] [--directory DIR]

Objects have an integer key and four properties (five instructions each), 1,000 to a transaction. A commit's cost is
mostly the disk's: ``--directory`` chooses which. Says whether the compiled modules were in use.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

from syncline.changesets.changeset import (
    DownloadChangeset,
    DownloadCursor,
    SaltedVersion,
    SyncProgress,
    UploadChangeset,
    UploadCursor,
)
from syncline.compilation import is_compiled
from syncline.storage import ClientHistory, RealmFile, WriteTransaction, content_hash
from syncline.values.kinds import DOUBLE, INT, STRING

BATCH = 1_000
SMALL = 1_000


def make_schema(file: RealmFile) -> None:
    with file.write() as tx:
        tx.add_class("Item", primary_key="_id", key_type=INT)
        for name, kind in (("name", STRING), ("count", INT), ("price", DOUBLE), ("stock", INT)):
            tx.add_property(tx.catalogue.classes["Item"], name, kind)


def create(tx: WriteTransaction, number: int) -> None:
    info = tx.catalogue.classes["Item"]
    props = info.properties
    tx.create(
        info,
        number,
        [
            (props["name"], f"item number {number}", False),
            (props["count"], number * 7, False),
            (props["price"], number * 0.25, False),
            (props["stock"], number % 50, False),
        ],
    )


def show(what: str, seconds: float, count: int, unit: str) -> None:
    print(f"{what:<58} {seconds / count * 1e6:9.2f} µs per {unit}")


def write(file: RealmFile, objects: int) -> None:
    start = time.perf_counter()
    for first in range(0, objects, BATCH):
        with file.write() as tx:
            for number in range(first, min(first + BATCH, objects)):
                create(tx, number)
    show(f"write, {BATCH} objects a commit, with history", time.perf_counter() - start, objects, "object")


def write_small(file: RealmFile) -> None:
    start = time.perf_counter()
    for number in range(SMALL):
        with file.write() as tx:
            info = tx.catalogue.classes["Item"]
            k = tx.find(info, number)
            assert k is not None
            tx.set(info, k, info.properties["count"], -number)
    show("write, one assignment a commit", time.perf_counter() - start, SMALL, "commit")


def snapshots(file: RealmFile) -> None:
    start = time.perf_counter()
    for _ in range(SMALL):
        file.snapshot().release()
    show("snapshot, nobody else at that version", time.perf_counter() - start, SMALL, "snapshot")
    with file.snapshot():
        start = time.perf_counter()
        for _ in range(SMALL):
            file.snapshot().release()
        show("snapshot, shared", time.perf_counter() - start, SMALL, "snapshot")


def uploads(history: ClientHistory, objects: int) -> list[UploadChangeset]:
    start = time.perf_counter()
    cursor = UploadCursor()
    found: list[UploadChangeset] = []
    while True:
        entries, after = history.uploadable(cursor)
        if after == cursor:
            break
        found += entries
        cursor = after
    show("uploadable, all of it", time.perf_counter() - start, objects, "object")
    return found


def integrate(
    history: ClientHistory, uploaded: list[UploadChangeset], base: int, what: str, count: int, unit: str
) -> None:
    start = time.perf_counter()
    server_version = history.status().progress.download.server_version
    for entry in uploaded:
        server_version += 1
        size = len(entry.changeset)
        changeset = DownloadChangeset(server_version, base, entry.origin_timestamp, 9, size, entry.changeset)
        progress = SyncProgress(
            SaltedVersion(server_version, 1), DownloadCursor(server_version, base), UploadCursor(base, 0)
        )
        history.integrate(progress, [changeset], 0)
    show(what, time.perf_counter() - start, count, unit)


def hash_of(file: RealmFile) -> str:
    with file.snapshot() as snapshot, snapshot.lock:
        return content_hash(snapshot.reader)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--objects", type=int, default=20_000)
    arguments.add_argument("--directory", help="where the files are made (default: the temporary directory)")
    options = arguments.parse_args()
    print("kernel:", "compiled" if is_compiled() else "interpreted")
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        file = RealmFile.open(os.path.join(directory, "one.realm"))
        history = ClientHistory(file)
        make_schema(file)
        write(file, options.objects)
        write_small(file)
        snapshots(file)
        uploaded = uploads(history, options.objects)
        other_file = RealmFile.open(os.path.join(directory, "two.realm"))
        other = ClientHistory(other_file)
        other.set_file_ident(7, 1)
        large = 1 + -(-options.objects // BATCH)
        integrate(other, uploaded[:large], 1, f"integrate, {BATCH} objects a download", options.objects, "object")
        integrate(other, uploaded[large:], 1, "integrate, one assignment a download", SMALL, "download")
        start = time.perf_counter()
        same = hash_of(file) == hash_of(other_file)
        show("content hash", (time.perf_counter() - start) / 2, options.objects, "object")
        print("the two files hold the same:", same)
        other_file.close()
        file.close()


if __name__ == "__main__":
    main()
