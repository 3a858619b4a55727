"""Running the application alone, under uvicorn: sockets, signals, the ready line (architecture, *Shutdown*).

uvicorn's own signal handling would close connections with 1012, which clients report as an error. Ours stops accepting,
tells every connection to come back later (error 100, close 1011), integrates what was received, then lets uvicorn go.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from syncline.server.app import create_app
from syncline.server.logs import configure_logging
from syncline.server.object_server import ObjectServer
from syncline.server.settings import Settings, SettingsError
from syncline.version import __version__

__all__ = ["SERVER_FILE", "main", "run"]

_log = logging.getLogger("syncline.server")

#: In the data folder, while the server runs: ``{"url", "port", "pid", "version"}``.
SERVER_FILE: Final = "server.json"

_BACKLOG: Final = 2048
#: Threads that wait for the interpreter get it after so long; the event loop is one of them.
_SWITCH_SECONDS: Final = 0.001

_BANNER: Final = """
****************************************************************************
*  SYNCLINE DEVELOPMENT MODE                                               *
*  Everyone on this machine may read and write everything, without login.  *
*  Never use it for data that matters, and never make it reachable.        *
****************************************************************************
"""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: the settings are unsafe, or another server uses the data folder.
        OSError: the address or the data folder cannot be used.
    """
    settings.check_binding()
    settings.check_files()
    configure_logging(settings.log_level, settings.log_json)
    sockets = _listen(settings.host, settings.port)
    try:
        app = create_app(settings)
        server: ObjectServer = app.state.syncline
        port = int(sockets[0].getsockname()[1])
        server.location = settings.public_url or _url(settings, port)
        if settings.dev:
            sys.stderr.write(_BANNER)
            sys.stderr.flush()
        config = uvicorn.Config(
            app,
            http="h11",
            ws=_SyncWebSocket,
            ws_ping_interval=None,
            ws_max_size=settings.max_message_bytes,
            ws_per_message_deflate=False,
            loop="uvloop" if sys.platform != "win32" else "asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=5,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )
        sys.setswitchinterval(_SWITCH_SECONDS)
        _Server(config, server, _announcement(settings, port)).run(sockets=sockets)
    finally:
        for item in sockets:
            item.close()


class _SyncWebSocket(WSProtocol):
    """uvicorn's implementation on wsproto; ends TCP soon after a close frame, which core never answers (§3.2)."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.close_timeout = 1.0


class _Server(uvicorn.Server):
    """uvicorn's server with our signals, our ready line and our farewell."""

    def __init__(self, config: uvicorn.Config, server: ObjectServer, announcement: dict[str, Any]) -> None:
        super().__init__(config)
        self._object_server = server
        self._announcement = announcement
        self._file = server.settings.data / SERVER_FILE
        self._stopping: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        line = json.dumps({"event": "ready", **self._announcement})
        _write_atomically(self._file, json.dumps(self._announcement))
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        _log.info("serving %s", self._announcement["url"])

    def _on_signal(self) -> None:
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._farewell())
        else:
            self.force_exit = True

    async def _farewell(self) -> None:
        _log.info("stopping")
        for listener in self.servers:
            listener.close()
        try:
            await self._object_server.stop()
        finally:
            self._file.unlink(missing_ok=True)
            self.should_exit = True


def _listen(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of the host, all on one port.

    Raises:
        OSError: no address can be used, or another program uses the port on one of them.
    """
    sockets: list[socket.socket] = []
    first_error: OSError | None = None
    for family, address in _addresses(host):
        try:
            sockets.append(_listener(family, address, sockets[0].getsockname()[1] if sockets else port))
        except OSError as error:
            first_error = first_error or error
            if error.errno == errno.EADDRINUSE and port != 0:
                break  # half a server would leave the other half of the clients to somebody else's
    else:
        if sockets:
            return sockets
    for item in sockets:
        item.close()
    reason = first_error.strerror if first_error else "it has no address"
    raise OSError(f"cannot listen on {host} port {port}: {reason}")


def _addresses(host: str) -> list[tuple[int, str]]:
    """Family and address of every place to listen on, IPv4 first.

    localhost is both loopback addresses, whatever the machine's hosts file says: clients resolve it on their own.
    """
    if host.lower() == "localhost":
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(f"cannot listen on {host}: {error.strerror}; give a name or an address of this machine") from None
    places = {(int(family), str(address[0])) for family, _, _, _, address in found}
    return sorted(places, key=lambda place: (place[0] != socket.AF_INET, place[1]))


def _listener(family: int, address: str, port: int) -> socket.socket:
    item = socket.socket(family, socket.SOCK_STREAM)
    try:
        item.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            item.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        item.bind((address, port))
        item.listen(_BACKLOG)
    except OSError:
        item.close()
        raise
    return item


def _url(settings: Settings, port: int) -> str:
    scheme = "http" if settings.tls_certificate is None else "https"
    if settings.host in ("", "0.0.0.0", "::"):
        return ""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{port}"


def _announcement(settings: Settings, port: int) -> dict[str, Any]:
    url = settings.public_url or _url(settings, port) or f"http://localhost:{port}"
    return {
        "url": url,
        "port": port,
        "pid": os.getpid(),
        "version": __version__,
        "dev": settings.dev,
        "data": str(settings.data),
    }


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(path)


def main(settings: Settings) -> int:
    """Run, and turn what is wrong with settings and places into one line; the exit status."""
    try:
        run(settings)
    except ssl.SSLError as error:
        place = f"{settings.tls_certificate} and {settings.tls_key}"
        sys.stderr.write(f"syncline serve: TLS needs a certificate and its private key, as PEM; {place}: {error}\n")
        return 2
    except (SettingsError, OSError) as error:
        sys.stderr.write(f"syncline serve: {error}\n")
        return 2
    return 0
