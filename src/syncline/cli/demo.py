"""``syncline demo``: a data set travels between two devices through a real server, with the plug pulled on the way.

Three real processes over loopback sockets: the server (``syncline serve --dev``) and two devices (``demo_device``).
This module tells them what to do, compares what they hold, and prints a table. It fails if anything differs.
"""

from __future__ import annotations

import contextlib
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from syncline.progress_bar import ProgressBar
from syncline.testing.processes import DeviceProcess, ProcessFailed, ServerProcess

__all__ = ["run"]

REALM_PATH = "/demo/airports"

#: How many edits of each of the four kinds meet an edit of the other device.
CONFLICTS = 25

#: How many single edits are timed, and the pause between two of them in seconds.
TIMED_EDITS = 200
TIMED_PAUSE_S = 0.01

#: Transactions of 1,000 objects that the killed server is in the middle of; doubled if it was too quick to be caught.
KILL_TRANSACTIONS = 40
KILL_TRIES = 4


class Demo:
    """One run: the processes, what was measured, and what was compared."""

    def __init__(self, folder: Path, airports_limit: int) -> None:
        self.console = Console(file=sys.stdout, highlight=False)
        self.airports_limit = airports_limit
        self.rows: list[tuple[str, str]] = []
        self.differences: list[str] = []
        self.server = ServerProcess(folder / "server")
        self.say(f"server: {self.server.url}, data in {self.server.folder}")
        try:
            self.a = self._device(folder, "A")
            self.b: DeviceProcess | None = None
            self.folder = folder
        except BaseException:
            self.server.stop()
            raise

    def say(self, text: str) -> None:
        """One line of narration."""
        self.console.print(text, markup=False, soft_wrap=True)

    def check(self, what: str, holds: bool) -> None:
        """Note a comparison; the run fails at its end if one does not hold."""
        if not holds:
            self.differences.append(what)
            self.say(f"DIFFERENCE: {what}")

    def _device(self, folder: Path, name: str) -> DeviceProcess:
        home = folder / f"device-{name}"
        home.mkdir()
        return DeviceProcess(["-m", "syncline.cli.demo_device", str(home), self.server.url, REALM_PATH], name)

    def _transfer(self, device: DeviceProcess, title: str, direction: str) -> dict[str, Any]:
        with ProgressBar.open(title, file=sys.stdout) as bar:
            bar.begin_at(0)  # also what went before somebody watched

            def show(report: dict[str, Any]) -> None:
                if report["progress"] != "connection":
                    bar.update(report["transferred"], report["transferrable"])
                elif self.console.is_terminal:
                    bar.note("" if report["state"] == "connected" else report["state"])
                else:
                    self.say(f"{title}: {report['state']}")

            return device.do("wait", direction=direction, on_progress=show)

    # --- the acts -----------------------------------------------------------------------------------------------------

    def travel(self) -> None:
        """A imports and uploads; B, which starts from nothing, downloads."""
        self.say("\nA imports the airports of the world and uploads them")
        began = time.perf_counter()
        imported = self.a.do("import_airports", limit=self.airports_limit)
        self._transfer(self.a, "A upload", "upload")
        uploaded = time.perf_counter() - began
        self.say("B starts from nothing and downloads them")
        began = time.perf_counter()
        self.b = self._device(self.folder, "B")
        self._transfer(self.b, "B download", "download")
        downloaded = time.perf_counter() - began
        count = imported["objects"]
        self.rows += [
            ("objects imported by A", f"{count:,}"),
            ("import and upload", f"{uploaded:.2f} s, {count / uploaded:,.0f} objects/s"),
            ("bootstrap of B", f"{downloaded:.2f} s, {count / downloaded:,.0f} objects/s"),
        ]
        self.compare("after the bootstrap")

    def disagree(self) -> None:
        """Both go offline, change the same things, and come back."""
        assert self.b is not None
        self.say("\nboth go offline and change the same things")
        for device in (self.a, self.b):
            device.do("suspend")
        edits = self.a.do("edit_offline", name="A", conflicts=CONFLICTS, deletes=True)["edits"]
        self.b.do("edit_offline", name="B", conflicts=CONFLICTS, deletes=False)
        for device in (self.a, self.b):
            device.do("resume")
        self.settle()
        a, b = self.a.do("outcome", conflicts=CONFLICTS), self.b.do("outcome", conflicts=CONFLICTS)
        self.check("both hold the same outcome of the conflicts", a == b)
        self.check("the later writer won every field", all(name.endswith("B names it") for name in a["names"]))
        self.check(f"counters added up to 3 + 4: {a['visits']}", set(a["visits"]) == {7})
        self.check("no list insertion was lost", len(a["stops"]) == 4 + 2 * CONFLICTS)
        self.check("a deleted object stayed deleted although the other device updated it", a["touched"] == 0)
        self.rows.append(("conflicts merged", f"{edits} (field, counter, list place, delete against update)"))
        self.compare("after the conflicts")

    def pull_the_plug(self) -> None:
        """Kill the server in the middle of an upload; start it again; nothing may be missing."""
        self.say("\nA uploads a large batch; the server is killed with -9 after its first acknowledgement")
        transactions = KILL_TRANSACTIONS
        for _ in range(KILL_TRIES):
            self.server.note_memory()
            fate = self.a.do("upload_and_kill", server_pid=self.server.pid, transactions=transactions)
            status = self.server.wait_killed()
            self.check("the server died of signal 9", status == -signal.SIGKILL)
            self.server.start()
            if 0 < fate["acknowledged"] < fate["written"]:
                break
            transactions *= 2
        acknowledged, written = fate["acknowledged"], fate["written"]
        self.check("the server was killed with bytes acknowledged and bytes not", 0 < acknowledged < written)
        self.say(f"killed with {acknowledged:,} of {written:,} bytes acknowledged; the server runs again")
        self._transfer(self.a, "A upload", "upload")
        self.settle()
        self.rows.append(("server killed -9", f"at {acknowledged:,} of {written:,} bytes acknowledged; nothing lost"))
        self.compare("after the server was killed")

    def time_single_edits(self) -> None:
        """How long one edit takes from A to an observer on B."""
        assert self.b is not None
        self.say(f"\n{TIMED_EDITS} single edits from A to B")
        self.a.do("prepare_probe")
        self.settle()
        self.b.begin("watch", edits=TIMED_EDITS)
        self.b.wait_for_progress()
        sent = self.a.do("edit_singly", edits=TIMED_EDITS, pause_s=TIMED_PAUSE_S)["moments"]
        seen = self.b.finish()["moments"]
        self.check(f"all {TIMED_EDITS} edits were delivered", len(seen) >= TIMED_EDITS)
        times = sorted(1000 * (arrived - left) for left, arrived in zip(sent, seen, strict=False))
        if len(times) > 1:
            p99 = statistics.quantiles(times, n=100)[98]
            self.rows.append(("latency A → B", f"p50 {statistics.median(times):.1f} ms, p99 {p99:.1f} ms"))

    def settle(self) -> None:
        """Wait until both devices have sent and received everything."""
        assert self.b is not None
        for _ in range(2):  # the second round carries what the first brought to the server
            for device in (self.a, self.b):
                device.do("wait", direction="upload")
            for device in (self.a, self.b):
                device.do("wait", direction="download")

    def compare(self, when: str) -> None:
        """The content hashes of both devices and of the server's state must be equal."""
        assert self.b is not None
        a, b = self.a.do("summary"), self.b.do("summary")
        server = self.server.content_hash(REALM_PATH)
        self.check(f"{when}: A, B and the server hold the same", a["hash"] == b["hash"] == server)
        self.last = (a, b, server)

    def report(self) -> None:
        """The table."""
        self.compare("at the end")
        a, b, server = self.last
        wire = sum(device[way] for device in (a, b) for way in ("bytes_sent", "bytes_received"))
        self.rows += [
            ("objects at the end", f"{a['objects']:,} (A), {b['objects']:,} (B)"),
            ("bytes on the wire", f"{wire:,} (both devices, both ways)"),
            ("content hash A", a["hash"]),
            ("content hash B", b["hash"]),
            ("content hash server", server),
        ]
        if self.console.is_terminal:
            table = Table(show_header=False, title="syncline demo")
            table.add_column()
            table.add_column(overflow="fold")
            for name, value in self.rows:
                table.add_row(name, value)
            self.console.print(table)
        else:
            self.say("")
            width = max(len(name) for name, _ in self.rows)
            for name, value in self.rows:
                self.say(f"{name:<{width}}  {value}")

    def stop(self) -> None:
        """End all processes."""
        for device in (self.a, self.b):
            if device is not None:
                device.stop()
        self.server.stop()


@contextlib.contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is None:
        with tempfile.TemporaryDirectory(prefix="syncline-demo-") as name:
            yield Path(name)
    else:
        wanted.mkdir(parents=True)
        yield wanted


def run(*, airports_limit: int = 0, folder: Path | None = None) -> int:
    """Run the demo and return the exit status: 0 if everything was equal in the end.

    Args:
        airports_limit: import only the first so many airports; 0 means all.
        folder: a new folder that keeps the files of the run; by default a temporary one.
    """
    with _folder(folder) as place:
        demo = Demo(place, airports_limit)
        try:
            demo.travel()
            demo.disagree()
            demo.pull_the_plug()
            demo.time_single_edits()
            demo.report()
        except ProcessFailed as failure:
            demo.differences.append(str(failure))
            demo.say(f"FAILED: {failure}")
        finally:
            demo.stop()
    demo.say("\neverything is equal" if not demo.differences else f"\n{len(demo.differences)} difference(s)")
    return 1 if demo.differences else 0
