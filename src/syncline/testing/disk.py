"""A disk whose power can be cut between any two writes: an SQLite VFS through apsw.

Of every file there are two images. The *live* one is what programs see; it is an ordinary file in a private directory.
The *durable* one is what a power cut leaves: a write enters it with the next ``xSync`` of its file, a deletion with the
next sync of the directory, which SQLite asks for when it deletes, or does itself at the first sync of a new journal.
When the power goes, whatever was not synced survives as the :class:`Survival` decides: sectors of different writes in
any combination, as on a real disk, whose cache writes back in any order::

    disk = Disk()
    file = RealmFile.open(disk.path("a.realm"), vfs=disk.vfs)
    disk.cut_power_after(7)                     # the 8th write, sync, truncation or deletion from now on fails
    ...                                         # raises FileError somewhere
    disk.silence()                              # what the dead program still does has no effect, and raises nothing
    file.close()
    disk.restore(Lottery(choices))              # the power is back
    file = RealmFile.open(disk.path("a.realm"), vfs=disk.vfs)

Guarantees are those that SQLite relies on (sqlite.org/atomiccommit.html): sectors of 512 bytes are written whole or not
at all, bytes beside a write stay as they are, a synced file is there under its name. Locks and the shared memory of the
write-ahead log are the operating system's, and do not survive.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import apsw

from syncline.testing.choices import Choices

__all__ = ["SECTOR", "Disk", "Everything", "Lottery", "Nothing", "Survival"]

#: What a disk writes whole or not at all (bytes).
SECTOR: Final = 512

#: Changes of a file as such, which file systems keep in order: any first part of them survives.
_CREATED: Final = -1
_DELETED: Final = -2
_TRUNCATED: Final = -3

_JOURNALS: Final = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL

#: Memory as a file system where there is one: nothing here is meant to last.
_MEMORY: Final = "/dev/shm"
_numbers = itertools.count(1)


class Survival(Protocol):
    """Decides what of the unsynced survives a power cut."""

    def begin_file(self, changes: int) -> int:
        """Of ``changes`` creations, truncations and deletions of one file, in order, how many were carried out."""

    def keeps_sector(self) -> bool:
        """Whether the next sector of an unsynced write reached the disk."""


class Everything:
    """Nothing is lost: the program was killed, the machine runs on."""

    def begin_file(self, changes: int) -> int:
        return changes

    def keeps_sector(self) -> bool:
        return True


class Nothing:
    """Only what was synced is left."""

    def begin_file(self, changes: int) -> int:
        return 0

    def keeps_sector(self) -> bool:
        return False


class Lottery:
    """Luck decides: per power cut how much is lost, then about each sector."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._percent = choices.pick((50, 0, 100, 90, 10))
        #: sectors until the cache was interrupted in writing back in order; none: it writes back in any order
        self._in_order = choices.integer(0, 40) if choices.chance(30) else None

    def begin_file(self, changes: int) -> int:
        return self._choices.integer(0, changes) if changes else 0

    def keeps_sector(self) -> bool:
        if self._in_order is not None:
            self._in_order -= 1
            return self._in_order >= 0
        return self._choices.chance(self._percent)


class _Change(NamedTuple):
    """An unsynced write of ``data`` at ``offset``, or a change of the file as such (``offset`` is then its kind)."""

    offset: int
    data: bytes = b""
    size: int = 0


class _Image:
    """What is durable of one file (None: it does not exist), and what came after."""

    def __init__(self, content: bytes | None = None) -> None:
        self.durable: bytearray | None = None if content is None else bytearray(content)
        self.is_there = content is not None
        self.changes: list[_Change] = []

    def sync(self) -> None:
        """Everything so far is durable."""
        for change in self.changes:
            self._carry_out(change)
        self.changes.clear()

    def sync_name(self) -> None:
        """Whether there is a file of this name is durable; not what was written into it."""
        while any(change.offset in (_CREATED, _DELETED) for change in self.changes):
            self._carry_out(self.changes.pop(0))

    def _carry_out(self, change: _Change) -> None:
        if change.offset == _CREATED:
            self.durable = bytearray()
        elif change.offset == _DELETED:
            self.durable = None
        elif self.durable is None:
            return
        elif change.offset == _TRUNCATED:
            if change.size < len(self.durable):
                del self.durable[change.size :]
            else:
                self.durable.extend(bytes(change.size - len(self.durable)))
        else:
            self._write(change.offset, change.data)

    def _write(self, offset: int, data: bytes) -> None:
        assert self.durable is not None
        if offset > len(self.durable):
            self.durable.extend(bytes(offset - len(self.durable)))
        self.durable[offset : offset + len(data)] = data

    def cut(self, survival: Survival) -> None:
        """The power went: of the changes, some survive."""
        left = survival.begin_file(sum(change.offset < 0 for change in self.changes))
        for change in self.changes:
            if change.offset < 0:
                left -= 1
                if left < 0:
                    break
                self._carry_out(change)
            elif self.durable is not None:
                self._write_some(change, survival)
        self.changes.clear()
        self.is_there = self.durable is not None

    def _write_some(self, change: _Change, survival: Survival) -> None:
        offset, end = change.offset, change.offset + len(change.data)
        while offset < end:
            boundary = min(end, (offset // SECTOR + 1) * SECTOR)
            if survival.keeps_sector():
                self._write(offset, change.data[offset - change.offset : boundary - change.offset])
            offset = boundary


class Disk:
    """One machine's disk: a registered SQLite VFS named :attr:`vfs` over the files of one directory.

    Not for several threads. :meth:`close` unregisters it and removes the directory.
    """

    def __init__(self) -> None:
        memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        self.directory: Final = os.path.realpath(tempfile.mkdtemp(prefix="syncline-disk-", dir=memory))
        #: the VFS itself, which sees what reaches the disk
        self.name: Final = f"syncline-disk-{next(_numbers)}"
        #: the VFS to open files with: encryption happens above the disk
        self.vfs: Final = f"multipleciphers-{self.name}"
        #: writes, syncs, truncations and deletions so far
        self.steps = 0
        #: False: syncs are confirmed without being done, as by disks that lie
        self.is_honest = True
        self._images: dict[str, _Image] = {}
        self._cut_at: int | None = None
        self._is_off = False
        self._is_silent = False
        self._vfs = _Vfs(self)

    def path(self, name: str) -> str:
        """Where the file ``name`` is, for opening it with :attr:`vfs`."""
        return f"{self.directory}/{name}"

    def install(self, files: Mapping[str, bytes]) -> None:
        """Make these the only files, durable, with the power on and the count of steps at 0. None may be open."""
        for name in os.listdir(self.directory):
            if not name.endswith(".lock"):
                os.unlink(self.path(name))
        self._images = {self.path(name): _Image(content) for name, content in files.items()}
        self._put_back()
        self.steps = 0
        self.is_honest = True

    def durable(self, name: str) -> bytes | None:
        """What is left of the file if the power goes now and nothing unsynced survives; None: no such file."""
        image = self._images.get(self.path(name))
        return None if image is None or image.durable is None else bytes(image.durable)

    def close(self) -> None:
        """Remove it with all files."""
        self._vfs.unregister()
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- power ------------------------------------------------------------------------------------------------------

    @property
    def is_off(self) -> bool:
        """Whether the power is cut."""
        return self._is_off

    def cut_power_after(self, steps: int | None) -> None:
        """Let so many steps happen from now on; the next one finds the power cut. None: no cut is planned."""
        self._cut_at = None if steps is None else self.steps + steps

    def silence(self) -> None:
        """Cut the power if it was not, and let what the program still does have no effect, but raise nothing."""
        self._is_off = self._is_silent = True

    def restore(self, survival: Survival) -> None:
        """The power is back: every file is what survived. All of them must have been closed."""
        for image in self._images.values():
            image.cut(survival)
        for name in os.listdir(self.directory):
            if not name.endswith(".lock"):
                os.unlink(self.path(name))
        self._put_back()

    def _put_back(self) -> None:
        for path, image in self._images.items():
            if image.durable is not None:
                with open(path, "wb") as file:
                    file.write(image.durable)
        self._is_off = self._is_silent = False
        self._cut_at = None

    # --- what the VFS tells -----------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Count a step; False: it must have no effect. Raises apsw.IOError where the power is cut."""
        if self._cut_at is not None and self.steps >= self._cut_at:
            self._is_off = True
        if self._is_off:
            if self._is_silent:
                return False
            raise apsw.IOError("the power is off")
        self.steps += 1
        return True

    def _opened(self, path: str) -> _Image:
        image = self._images.get(path)
        if image is None:
            image = self._images[path] = _Image()
        if not image.is_there:
            image.is_there = True
            image.changes.append(_Change(_CREATED))
        return image

    def _synced(self, image: _Image) -> None:
        if self.is_honest:
            image.sync()

    def _synced_directory(self) -> None:
        if self.is_honest:
            for image in self._images.values():
                image.sync_name()

    def _deleted(self, path: str, with_directory: bool) -> None:
        image = self._images.get(path)
        if image is not None and image.is_there:
            image.is_there = False
            image.changes.append(_Change(_DELETED))
            if with_directory:
                self._synced_directory()


class _File(apsw.VFSFile):
    """A file whose changes are noted."""

    def __init__(self, disk: Disk, image: _Image, name: apsw.URIFilename | str, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        self._image = image
        #: SQLite's own code for files syncs the directory at the first sync of a journal
        self._syncs_directory = bool(flags[0] & _JOURNALS and flags[0] & apsw.SQLITE_OPEN_CREATE)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._disk._step():
            self._image.changes.append(_Change(offset, data))
            super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        if self._disk._step():
            self._image.changes.append(_Change(_TRUNCATED, size=size))
            super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        if self._disk._step():
            self._disk._synced(self._image)
            if self._syncs_directory:
                self._syncs_directory = False
                self._disk._synced_directory()


class _Vfs(apsw.VFS):
    """Opens files whose changes are noted; the base is the plain VFS of the platform, since encryption is above."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(disk.name, "unix")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        if name is None:  # a temporary file: nobody expects it to survive
            return apsw.VFSFile("unix", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return _File(self._disk, self._disk._opened(path), name, flags)

    def xDelete(self, name: str, sync_directory: bool) -> None:
        if self._disk._step():
            super().xDelete(name, sync_directory)
            self._disk._deleted(name, sync_directory)
