"""Where synced Realms, backups and metadata live on disk (spec/sessions.md §15).

::

    <base>/
      realm-object-server/
        <user directory>/<percent-encoded realm URL>                    Realms named by a URL or path (§15.1)
        io.realm.object-server-utility/metadata/sync_metadata.realm     users, file actions
        io.realm.object-server-recovered-realms/recovered_realm-…       backups
      mongodb-realm/<app id>/<user id>/s_<partition>.realm              Realms named by a partition value (§15.2)

Names are part of the compatibility surface: byte for byte as above.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import string
import sys
import time
from pathlib import Path
from typing import Final

from syncline.errors import ConfigurationError

__all__ = ["FileLayout", "default_base_directory", "delete_tree", "percent_decode", "percent_encode"]

logger = logging.getLogger("syncline.sync")

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
_BACKUP_ALPHABET: Final = string.ascii_letters + string.digits
_LONGEST_COMPANION: Final = ".rtest.management"


def default_base_directory() -> Path:
    """The platform's place for application data, with a folder of ours."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "syncline"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "syncline"


def percent_encode(text: str) -> str:
    """``text`` as a file name: letters, digits, ``-_.`` stay, every other byte becomes ``%XX`` in upper case (§15.1).

    Raises ConfigurationError for the names ``.`` and ``..``.
    """
    name = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode())
    if name in (".", "..", ""):
        raise ConfigurationError(f"{text!r} cannot be the name of a file")
    return name


def percent_decode(name: str) -> str:
    """The text of a file name; also of names with ``% 9``, which older software wrote for bytes below 0x10 (§15.1)."""
    out = bytearray()
    index = 0
    while index < len(name):
        code = name[index + 1 : index + 3].replace(" ", "0") if name[index] == "%" else ""
        if len(code) == 2 and all(digit in string.hexdigits for digit in code):
            out.append(int(code, 16))
            index += 3
        else:
            out += name[index].encode()
            index += 1
    return out.decode(errors="surrogateescape")


class FileLayout:
    """The paths below one base directory. Directories are made when a path in them is asked for, readable by their
    owner only: tokens and data are private."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "realm-object-server"

    @property
    def metadata_path(self) -> Path:
        """The store of users and pending file actions (§15.4)."""
        return _made(self.root / "io.realm.object-server-utility" / "metadata") / "sync_metadata.realm"

    @property
    def status_directory(self) -> Path:
        """Where processes show their sessions to ``syncline status``; not made by asking."""
        return self.root / "io.realm.object-server-utility" / "status"

    def url_path(self, user_directory: str, url: str) -> Path:
        """The local file of a Realm that is named by its *unresolved* URL."""
        return _usable(_made(self.root / percent_encode(user_directory)), percent_encode(url), suffix="")

    def partition_path(self, app_id: str, identity: str, name: str) -> Path:
        """The local file of a Realm that is named by a partition, as ``s_value`` (§15.2)."""
        directory = _made(self.base / "mongodb-realm" / percent_encode(app_id) / percent_encode(identity))
        return _usable(directory, percent_encode(name), suffix=".realm")

    def backup_path(self, recovery_directory: str | None = None) -> Path:
        """A free name for the backup copy of a Realm; nothing is created, not even its directory (§11.2)."""
        directory = self.root / (recovery_directory or "io.realm.object-server-recovered-realms")
        stamp = time.strftime("%Y%m%d-%H%M%S")
        while True:
            tail = "".join(secrets.choice(_BACKUP_ALPHABET) for _ in range(8))
            path = directory / f"recovered_realm-{stamp}-{tail}"
            if not _exists(path):
                return path

    def user_directories(self, user_directory: str, app_id: str, identity: str) -> list[Path]:
        """The directories that hold the files of a user."""
        return [
            self.root / percent_encode(user_directory),
            self.base / "mongodb-realm" / percent_encode(app_id) / percent_encode(identity),
        ]


def delete_tree(directory: Path) -> None:
    """Delete the Realms of a user; what cannot be deleted stays, and is logged."""
    if not directory.exists():
        return
    shutil.rmtree(directory, onerror=lambda _, path, error: logger.warning("%s stays: %s", path, error[1]))


def _made(directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def _usable(directory: Path, name: str, suffix: str) -> Path:
    """The first of: an existing file, with or without suffix; an existing hashed name; the name if the file system
    takes it with its longest companion; the hashed name (§15.2). Raises ConfigurationError if that cannot be made."""
    bare = directory / name
    preferred = bare if not suffix or name.endswith(suffix) else directory / (name + suffix)
    hashed = directory.parent / (hashlib.sha256(str(preferred).encode()).hexdigest() + ".realm")
    for candidate in (bare, preferred, hashed):
        if _exists(candidate):
            return candidate
    for candidate, companion in ((preferred, _LONGEST_COMPANION), (hashed, ".rtest")):
        if _can_be_made(Path(f"{candidate}{companion}")):
            return candidate
    raise ConfigurationError(f"no file can be made for {name!r}, neither {preferred} nor {hashed}: is it writable?")


def _can_be_made(path: Path) -> bool:
    try:
        path.touch(mode=0o600)
        path.unlink(missing_ok=True)  # another process tries the same
    except OSError:
        return False
    return True


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long to ask for
        return False
