"""The durable record of a client's commits, outside of the Realm: what was begun, and what was done.

A number is written down and synced to the disk before its transaction, and again once ``write`` has returned. After a
kill at most one number is in doubt: its transaction is in the Realm, whole, or it is not there at all.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["Committed", "Journal"]


class Committed(NamedTuple):
    """What a journal says: numbers 1 to ``done`` are committed; ``in_doubt`` may be."""

    done: int
    in_doubt: int | None


class Journal:
    """Appends to the journal at ``path``."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def begun(self, number: int) -> None:
        """The transaction of ``number`` is about to begin."""
        self._write(f"b {number}\n")

    def done(self, number: int) -> None:
        """It is committed."""
        self._write(f"d {number}\n")

    def close(self) -> None:
        """No more entries."""
        os.close(self._descriptor)

    def _write(self, line: str) -> None:
        os.write(self._descriptor, line.encode())
        os.fsync(self._descriptor)

    @staticmethod
    def read(path: Path) -> Committed:
        """What the journal at ``path`` says; nothing if there is none. Raises ValueError if numbers are missing."""
        done, begun = 0, 0
        text = path.read_text() if path.exists() else ""
        for line in text.split("\n")[:-1]:  # an entry that was torn by the end of the process was never made
            kind, _, number = line.partition(" ")
            if kind == "b":
                begun = int(number)
            elif int(number) == done + 1 == begun:
                done = begun
            else:
                raise ValueError(f"{path}: {line!r} follows upon {done} done, {begun} begun")
        return Committed(done, begun if begun > done else None)
