"""Routes: how HTTP requests travel: by which proxy, trusting which certificates (spec/sessions.md §14.1).

Asked anew for every request, so that settings count from the moment they are made. Connections are kept open per way.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import httpx

from syncline.sync.proxy import Proxy, ProxyFailed, ProxySetting, proxy_for, refused_credentials
from syncline.sync.trust import is_tls_error, tls_context

__all__ = ["Routes"]

_PROXY_REFUSES = 407


class Routes(httpx.AsyncBaseTransport):
    """``proxy()`` and ``pinned(url)`` give the present settings; for one event loop."""

    def __init__(
        self, proxy: Callable[[], ProxySetting] = lambda: True, pinned: Callable[[str], str | None] = lambda url: None
    ) -> None:
        self._proxy = proxy
        self._pinned = pinned
        self._ways: dict[tuple[Proxy | None, bool, str | None, int], httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on its way. Raises ProxyFailed, and ssl.SSLError for a pinned file that cannot be used."""
        url = str(request.url)
        proxy = proxy_for(url, self._proxy())
        is_secure = request.url.scheme == "https"
        pinned = self._pinned(url) if is_secure else None
        key = (proxy, is_secure, pinned, 0 if pinned is None else _age(pinned))
        way = self._ways.get(key)
        if way is None:
            # without TLS there is nothing to verify, and loading the certificates takes longer than a login
            verify = tls_context(pinned) if is_secure else False
            way = self._ways[key] = httpx.AsyncHTTPTransport(verify=verify, trust_env=False, proxy=_for_httpx(proxy))
        if proxy is None:
            return await way.handle_async_request(request)
        return await _by_proxy(way, request, proxy)

    async def aclose(self) -> None:
        """Give the sockets back."""
        for way in self._ways.values():
            await way.aclose()


async def _by_proxy(way: httpx.AsyncHTTPTransport, request: httpx.Request, proxy: Proxy) -> httpx.Response:
    try:
        response = await way.handle_async_request(request)
    except httpx.ProxyError as error:
        if str(error).startswith(str(_PROXY_REFUSES)):
            raise ProxyFailed(refused_credentials(proxy)) from error
        raise ProxyFailed(f"the proxy {proxy} does not connect: it answered HTTP {error}") from error
    except httpx.ConnectError as error:
        if is_tls_error(error):  # the server's end of the tunnel
            raise
        raise ProxyFailed(f"the proxy {proxy} cannot be reached: {error}") from error
    if response.status_code == _PROXY_REFUSES:
        await response.aclose()
        raise ProxyFailed(refused_credentials(proxy))
    return response


def _age(path: str) -> int:
    """Changes when the file is replaced."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _for_httpx(proxy: Proxy | None) -> httpx.Proxy | None:
    if proxy is None:
        return None
    context = tls_context() if proxy.scheme == "https" else None
    auth = None if proxy.authorization is None else (proxy.username, proxy.password)
    return httpx.Proxy(proxy.url, ssl_context=context, auth=auth)
