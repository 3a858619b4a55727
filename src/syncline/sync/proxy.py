"""HTTP proxies on the way to a server: which one, and a tunnel through it (spec/wire-protocol.md §2.3).

What Python programs expect: without a word of the application the environment decides, by ``HTTPS_PROXY`` for servers
with TLS, ``HTTP_PROXY`` for those without, ``ALL_PROXY`` for both, each in small letters too, and ``NO_PROXY`` for
hosts that are reached directly. HTTP requests and WebSockets go the same way. Credentials stand in the proxy's address
(``http://user:password@host:port``) and are shown to nobody but the proxy.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import urllib.request
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from syncline.errors import ConfigurationError
from syncline.sync.trust import tls_context

__all__ = [
    "Proxy",
    "ProxyFailed",
    "ProxySetting",
    "check_proxy_setting",
    "create_connection",
    "proxy_for",
    "refused_credentials",
]

ProxySetting = str | Literal[True] | None
"""An address; True: as the environment says; None: none."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SECURE_SCHEMES: Final = ("https", "wss", "realms")
_MAX_ANSWER_BYTES: Final = 1 << 14
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r]")

_P = TypeVar("_P", bound=asyncio.Protocol)


class Proxy(NamedTuple):
    """A proxy. Its text is its address without the credentials."""

    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = ""

    @property
    def url(self) -> str:
        """The address, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authorization(self) -> str | None:
        """The value of ``Proxy-Authorization``; None without credentials."""
        if not self.username and not self.password:
            return None
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"<Proxy {self.url}>"


class ProxyFailed(OSError):
    """The proxy cannot be reached, is none, or refuses; the message names it, without credentials."""


def check_proxy_setting(setting: ProxySetting) -> ProxySetting:
    """``setting`` if it can be used. Raises ConfigurationError."""
    if isinstance(setting, str):
        try:
            _parsed(setting)
        except ProxyFailed as error:
            raise ConfigurationError(str(error)) from None
    elif setting is not True and setting is not None:
        raise ConfigurationError("proxy is an address like 'http://host:3128', True (as the environment says) or None")
    return setting


def proxy_for(url: str, setting: ProxySetting) -> Proxy | None:
    """The proxy on the way to ``url``, None if there is none. Raises ProxyFailed if the environment names nonsense."""
    if setting is None:
        return None
    if isinstance(setting, str):
        return _parsed(setting)
    parts = urlsplit(url)
    is_secure = parts.scheme in _SECURE_SCHEMES
    port = parts.port or (443 if is_secure else 80)
    if urllib.request.proxy_bypass(f"{parts.hostname}:{port}"):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get("https" if is_secure else "http") or proxies.get("all")
    return _parsed(found) if found else None


def _parsed(address: str) -> Proxy:
    """A proxy's address taken apart; nothing of it goes into an error, for it may hold a password."""
    address = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ProxyFailed("the address of the proxy is none: its port or its host cannot be read") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ProxyFailed(
            f"proxies of the kind {parts.scheme!r} cannot be used, only http:// and https:// ones; set "
            "SyncManager.proxy, or NO_PROXY in the environment, to go without"
        )
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ProxyFailed("the address of a proxy is http://host:port or http://user:password@host:port")
    return Proxy(
        parts.scheme,
        parts.hostname,
        port or _DEFAULT_PORTS[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


# --- the tunnel -------------------------------------------------------------------------------------------------------


class _Negotiation(asyncio.Protocol):
    """Waits for the proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self.answer.done() and (b"\r\n\r\n" in self._received or len(self._received) > _MAX_ANSWER_BYTES):
            self.answer.set_result(bytes(self._received))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(error or EOFError("it closed the connection"))


async def create_connection(
    factory: Callable[[], _P],
    host: str,
    port: int,
    *,
    proxy: Proxy | None,
    tls: ssl.SSLContext | None,
    user_agent: str,
) -> _P:
    """Connect to ``host``, by a proxy if there is one, with TLS if there is a context for it.

    Raises ProxyFailed for what goes wrong before the server is reached by the proxy, else what
    :meth:`asyncio.loop.create_connection` raises.
    """
    loop = asyncio.get_running_loop()
    server_hostname = host if tls is not None else None
    if proxy is None:
        _, direct = await loop.create_connection(factory, host, port, ssl=tls, server_hostname=server_hostname)
        return direct
    tunnel = await _tunnel(proxy, host, port, user_agent)
    try:
        protocol = factory()
        tunnel.set_protocol(protocol)
        if tls is not None:
            secured = await loop.start_tls(tunnel, protocol, tls, server_hostname=server_hostname)
            assert secured is not None
            tunnel = secured
        protocol.connection_made(tunnel)
    except BaseException:
        tunnel.abort()
        raise
    return protocol


async def _tunnel(proxy: Proxy, host: str, port: int, user_agent: str) -> asyncio.Transport:
    """A connection to ``host`` as the proxy has made it. Raises ProxyFailed."""
    try:
        context = tls_context() if proxy.scheme == "https" else None
        transport, negotiation = await asyncio.get_running_loop().create_connection(
            _Negotiation, proxy.host, proxy.port, ssl=context, server_hostname=proxy.host if context else None
        )
    except OSError as error:
        raise ProxyFailed(f"the proxy {proxy} cannot be reached: {error}") from error
    try:
        transport.write(_request(proxy, host, port, user_agent))
        _check_answer(await negotiation.answer, proxy, host)
    except (OSError, EOFError) as error:
        transport.abort()
        raise error if isinstance(error, ProxyFailed) else ProxyFailed(f"the proxy {proxy} failed: {error}") from error
    except BaseException:
        transport.abort()
        raise
    return transport


def _request(proxy: Proxy, host: str, port: int, user_agent: str) -> bytes:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if user_agent:
        lines.append(f"User-Agent: {user_agent}")
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return "\r\n".join([*lines, "", ""]).encode()


def _check_answer(answer: bytes, proxy: Proxy, host: str) -> None:
    """Raises ProxyFailed unless the tunnel stands."""
    match = _STATUS.match(answer)
    if match is None:
        raise ProxyFailed(f"the proxy {proxy} is none: it does not answer in HTTP")
    status = int(match[1])
    if status == 407:
        raise ProxyFailed(refused_credentials(proxy))
    if not 200 <= status < 300:
        raise ProxyFailed(f"the proxy {proxy} does not connect to {host}: it answered HTTP {status}")


def refused_credentials(proxy: Proxy) -> str:
    """What to tell whom a proxy has answered 407."""
    if proxy.authorization is None:
        return (
            f"the proxy {proxy} wants a user and a password (HTTP 407): http://user:password@{proxy.host}:{proxy.port}"
        )
    return f"the proxy {proxy} refuses the user or the password in its address (HTTP 407)"
