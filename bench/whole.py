"""The whole path, measured: local write, upload, bootstrap, latency, transactions, memory (``make bench``).

A real server process and real client processes over loopback. 100,000 objects of four properties (int key, string, int,
double), 1,000 objects a transaction. The figures of the original, on the same kind of machine with the same work, stand
beside ours.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from syncline import compilation
from syncline.testing.processes import DeviceProcess, ServerProcess

PATH = "/bench/items"
ORIGINAL = {
    "local write": "7–8 µs/object",
    "upload until acknowledged": "5–6 µs/object",
    "bootstrap of a fresh client": "3.3–4.3 µs/object",
    "latency of one edit": "p50 48 ms",
    "acknowledged transactions": "190 /s",
}


def client(folder: Path, name: str, server: ServerProcess) -> DeviceProcess:
    """A client process with a folder of its own."""
    home = folder / name
    home.mkdir()
    return DeviceProcess([str(Path(__file__).with_name("device.py")), str(home), server.url, PATH], name)


def show(what: str, ours: str) -> None:
    """One line of the table."""
    print(f"{what:<32} {ours:<44} {ORIGINAL.get(what, '')}", flush=True)


def measure(folder: Path, objects: int, edits: int) -> None:
    """Run everything once and print each figure as it comes."""
    print(f"kernel {'compiled' if compilation.is_compiled() else 'interpreted'}, {objects:,} objects\n")
    print(f"{'':<32} {'Syncline':<44} original")
    server = ServerProcess(folder / "server")
    a = client(folder, "a", server)
    per_object = 1e6 / objects
    show(
        "local write",
        f"{a.do('write_offline', objects=objects, per_transaction=1000)['seconds'] * per_object:.1f} µs/object",
    )
    show("upload until acknowledged", f"{a.do('upload')['seconds'] * per_object:.1f} µs/object")
    began = time.perf_counter()
    b = client(folder, "b", server)
    opened = time.perf_counter() - began
    fresh = b.do("download")
    assert fresh["objects"] == objects, fresh
    show(
        "bootstrap of a fresh client",
        f"{fresh['seconds'] * per_object:.1f} µs/object (+ {opened:.2f} s to start and open)",
    )
    b.begin("watch", edits=edits)
    b.wait_for_progress()
    sent = a.do("edit_singly", first=objects, edits=edits, pause_s=0.02)["moments"]
    seen = b.finish()["moments"]
    times = sorted(1000 * (there - here) for here, there in zip(sent, seen, strict=True))
    cuts = statistics.quantiles(times, n=100)
    show("latency of one edit", f"p50 {cuts[49]:.1f}, p90 {cuts[89]:.1f}, p99 {cuts[98]:.1f} ms")
    transactions = 2000
    first = objects + edits
    seconds = a.do("commit_and_acknowledge", first=first, transactions=transactions, each=False)["seconds"]
    one_by_one = a.do("commit_and_acknowledge", first=first + transactions, transactions=300, each=True)["seconds"]
    show("acknowledged transactions", f"{transactions / seconds:,.0f} /s; each awaited: {300 / one_by_one:,.0f} /s")
    server.note_memory()
    peaks = [device.do("memory")["peak"] >> 20 for device in (a, b)]
    show("peak memory", f"clients {peaks[0]} and {peaks[1]} MiB, server {server.peak_memory >> 20} MiB")
    for process in (a, b, server):
        process.stop()


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--edits", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="syncline-bench-") as folder:
        measure(Path(folder), arguments.objects, arguments.edits)


if __name__ == "__main__":
    main()
