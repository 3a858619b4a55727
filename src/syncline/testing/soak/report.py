"""The figures of a soak: what was done, how quickly everybody recovered, what was found."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

__all__ = ["Report", "percentile"]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed. Of no values: NaN."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass
class Report:
    """What a soak came to."""

    seed: int
    clients: int
    seconds: float = 0.0
    settling_seconds: float = 0.0
    commits: int = 0
    acknowledged: int = 0
    peak_memory: int = 0
    server_peak_memory: int = 0
    longest_log: int = 0
    runs: int = 0
    suspensions: int = 0
    cuts: int = 0
    cuts_in_frames: int = 0
    frames: int = 0
    bytes: int = 0
    corrupted: Counter[str] = field(default_factory=Counter)
    done: dict[str, int] = field(default_factory=dict)
    recoveries: dict[str, list[float]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def faults(self) -> Table:
        """Faults and recovery times."""
        table = Table(title="faults, and seconds until all was well again")
        table.add_column("fault")
        for name in ("number", "measured", "p50", "p99", "longest"):
            table.add_column(name, justify="right")
        for kind, number in self.done.items():
            times = self.recoveries.get(kind, [])
            figures = [percentile(times, share) for share in (0.5, 0.99, 1.0)]
            table.add_row(kind, str(number), str(len(times)), *(f"{value:.2f}" if times else "–" for value in figures))
        return table

    def figures(self) -> Table:
        """Everything else."""
        table = Table(title=f"soak of seed {self.seed}", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, value in self._rows():
            table.add_row(name, str(value))
        return table

    def _rows(self) -> list[tuple[str, Any]]:
        corrupted = self.corrupted.total()
        return [
            ("clients, and processes of theirs", f"{self.clients}, {self.runs}"),
            ("seconds of faults, then to be equal", f"{self.seconds:.0f}, {self.settling_seconds:.1f}"),
            ("commits, per second", f"{self.commits:,}, {self.commits / self.seconds:.1f}" if self.seconds else "0"),
            ("frames, bytes relayed", f"{self.frames:,}, {self.bytes:,}"),
            ("connections cut, inside of a frame", f"{self.cuts:,}, {self.cuts_in_frames:,}"),
            ("frames corrupted", f"{corrupted:,}: {_counts(self.corrupted)}"),
            ("suspended and resumed", f"{self.suspensions:,} times"),
            ("states, connection states judged", f"{self.seen['state']:,}, {self.seen['connection']:,}"),
            ("progress reports judged", f"{self.seen['progress']:,}"),
            ("errors reported to applications", _counts(self.errors) or "none"),
            ("most memory: a client, the server", f"{_mib(self.peak_memory)}, {_mib(self.server_peak_memory)}"),
            ("longest write-ahead log of a client", _mib(self.longest_log)),
            ("found", f"{len(self.findings)}, told below" if self.findings else "nothing wrong"),
        ]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counter.most_common())


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
