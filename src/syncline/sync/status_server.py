"""How another process of the same user sees the sessions of this one (``syncline status``).

A manager that was asked to listens on a Unix domain socket in its folder
``realm-object-server/io.realm.object-server-utility/status``: whoever connects gets one JSON document, the manager's
diagnostics, and the end of the stream. Only the owner can: the folder has mode 0700, the socket 0600. While nobody
connects one thread sleeps in ``accept``; neither the event loop nor the application takes part, so a stuck one can be
looked at, too.

Names of sockets are short (about 100 bytes): where the folder's is too long, the socket lies in a private folder for
temporary files, and a link in its place.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import socket
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

__all__ = ["StatusServer", "ask", "status_sockets"]

logger = logging.getLogger("syncline.sync")

_MAX_NAME_BYTES: Final = 100
_ANSWER_SECONDS: Final = 5.0
_MAX_ANSWER_BYTES: Final = 64 << 20
_SUFFIX: Final = ".sock"
_FOLDER_PREFIX: Final = "syncline-status-"


class StatusServer:
    """Answers with ``report()`` as JSON until :meth:`close`. Raises OSError where no socket can be made."""

    def __init__(self, folder: Path, report: Callable[[], dict[str, Any]]) -> None:
        self._report = report
        self._closed = False
        self._process = os.getpid()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        _remove_dead(folder)
        self.path = folder / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        self._own_folder: str | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._bind()
        except BaseException:
            self._socket.close()
            self._remove()
            raise
        _listening.add(self)
        threading.Thread(target=self._serve, name="syncline-status", daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more, and remove the socket."""
        if self._closed or self._process != os.getpid():  # a forked child must not take the parent's away
            return
        self._closed = True
        with contextlib.suppress(OSError), _connected(self.path, 1.0):
            pass  # wakes the thread, which closes the socket
        self._remove()

    def _bind(self) -> None:
        name = os.path.realpath(self.path)
        if len(os.fsencode(name)) > _MAX_NAME_BYTES:
            self._own_folder = tempfile.mkdtemp(prefix=_FOLDER_PREFIX)
            name = os.path.join(self._own_folder, "status")
            self.path.symlink_to(name)
        self._socket.bind(name)
        os.chmod(name, 0o600)
        self._socket.listen(8)

    def _remove(self) -> None:
        self.path.unlink(missing_ok=True)
        if self._own_folder is not None:
            shutil.rmtree(self._own_folder, ignore_errors=True)

    def _serve(self) -> None:
        with self._socket:
            while not self._closed:
                try:
                    peer, _ = self._socket.accept()
                except OSError as error:
                    logger.warning("the status is not shown any more: %s", error)
                    return
                if not self._closed:
                    self._answer(peer)
                peer.close()

    def _answer(self, peer: socket.socket) -> None:
        try:
            peer.settimeout(_ANSWER_SECONDS)
            peer.sendall(json.dumps(self._report()).encode())
        except OSError as error:  # went away, or does not read
            logger.debug("somebody did not wait for the status: %s", error)
        except Exception:  # the next one may have more luck
            logger.exception("the status cannot be told")


_listening: weakref.WeakSet[StatusServer] = weakref.WeakSet()


def _forget_inherited() -> None:
    """After fork: nobody would answer in the child, which may outlive the parent."""
    for server in list(_listening):
        server._socket.close()
    _listening.clear()


os.register_at_fork(after_in_child=_forget_inherited)


def status_sockets(folder: Path) -> list[Path]:
    """What lies in the folder of sockets, of living and of dead processes."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def ask(path: Path, timeout: float = _ANSWER_SECONDS) -> dict[str, Any]:
    """What the process behind a socket says. Raises OSError (nobody listens, or nobody answers in time), ValueError."""
    parts: list[bytes] = []
    size = 0
    with _connected(path, timeout) as peer:
        while part := peer.recv(1 << 16):
            parts.append(part)
            size += len(part)
            if size > _MAX_ANSWER_BYTES:
                raise ValueError(f"{path} answers without end")
    answer = json.loads(b"".join(parts))
    if not isinstance(answer, dict):
        raise ValueError(f"{path} answers with something else than a status")
    return answer


def _connected(path: Path, timeout: float) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.settimeout(timeout)
        peer.connect(os.path.realpath(path))
    except BaseException:
        peer.close()
        raise
    return peer


def _remove_dead(folder: Path) -> None:
    """Sockets that nobody listens on are what killed processes left."""
    for path in status_sockets(folder):
        try:
            _connected(path, 0.2).close()
        except (ConnectionRefusedError, FileNotFoundError):
            own_folder = os.path.dirname(os.path.realpath(path)) if path.is_symlink() else ""
            path.unlink(missing_ok=True)
            if os.path.basename(own_folder).startswith(_FOLDER_PREFIX):
                shutil.rmtree(own_folder, ignore_errors=True)
        except OSError:
            continue
