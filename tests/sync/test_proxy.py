"""HTTP proxies, for requests and sockets alike (spec/wire-protocol.md §2.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sync.certificates import make_certificate
from tests.sync.http_proxy import HttpProxy

from syncline.errors import ConfigurationError, ConnectionFailedError, SynclineError, TlsHandshakeFailedError
from syncline.sync import ConnectionState, SyncCredentials
from syncline.sync.proxy import Proxy, ProxyFailed, proxy_for

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ws_proxy", "wss_proxy", "socks_proxy")


@pytest.fixture(autouse=True)
def _no_proxies_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def proxy() -> Iterator[HttpProxy]:
    made = HttpProxy("proxy-user:pass:word/1")
    yield made
    made.close()


CREDENTIALS = "proxy-user:pass%3Aword%2F1"


def address(proxy: HttpProxy, credentials: str = CREDENTIALS) -> str:
    return f"http://{credentials}@127.0.0.1:{proxy.port}" if credentials else f"http://127.0.0.1:{proxy.port}"


# --- which one --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h.example/x", "http://secure:1"),
        ("wss://h.example/x", "http://secure:1"),
        ("realms://h.example", "http://secure:1"),
        ("http://h.example", "http://plain:2"),
        ("ws://h.example:9080/x", "http://plain:2"),
        ("ws://direct.example/x", None),
        ("wss://a.direct.example/x", None),
        ("ws://h.example:7/x", None),
        ("https://other.example", "http://secure:1"),
    ],
)
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, url: str, expected: str | None) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://secure:1")
    monkeypatch.setenv("http_proxy", "plain:2")
    monkeypatch.setenv("NO_PROXY", "direct.example, h.example:7")
    found = proxy_for(url, True)
    assert (None if found is None else found.url) == expected
    assert proxy_for(url, None) is None
    assert proxy_for(url, "https://mine") == Proxy("https", "mine", 443)


def test_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://u:p@[::1]:3128/")
    for scheme in ("http", "https", "ws", "wss"):
        assert proxy_for(f"{scheme}://h", True) == Proxy("http", "::1", 3128, "u", "p")
    monkeypatch.setenv("NO_PROXY", "*")
    assert proxy_for("wss://h", True) is None


def test_nobody_sees_the_password() -> None:
    found = proxy_for("ws://h", "http://u:secret@h:1")
    assert found is not None
    assert found.password == "secret"
    assert str(found) == f"{found}" == "http://h:1"
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "setting", ["socks5://u:secret@h:1", "http://u:secret@:80/x", "http://u:secret@h:99999", False, 3]
)
def test_bad_input_addresses_that_are_none(world: Any, setting: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        world.manager.proxy = setting
    assert "secret" not in str(caught.value)
    assert world.manager.proxy is True


def test_bad_input_nonsense_in_the_environment(world: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://u:secret@h:1")
    with pytest.raises(ProxyFailed, match="'socks5' cannot be used"):
        proxy_for("ws://h", True)
    with pytest.raises(ConnectionFailedError, match="'socks5' cannot be used"):
        world.manager.log_in(SyncCredentials.anonymous(), f"http://127.0.0.1:{server.port}")
    world.device(world.user(server.url))
    world.eventually(lambda: world.errors)
    assert isinstance(world.errors[0][0], ConnectionFailedError)
    assert "secret" not in str(world.errors[0][0])


# --- through it -------------------------------------------------------------------------------------------------------


def test_login_and_sync_through_a_proxy_of_the_environment(
    world: Any, app: Any, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", address(proxy))
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    assert proxy.requests[0].startswith(f"GET {app.url}/api/client/v2.0/app/default/location ")
    seen = len(proxy.requests)
    device = world.device(user)
    device.write("Rex")
    device.session.wait_for_upload(5)
    (tunnel,) = proxy.requests[seen:]
    assert tunnel == f"CONNECT {app.url.removeprefix('http://')} HTTP/1.1"
    agents = [line for head in proxy.heads for line in head.split("\r\n") if line.lower().startswith("user-agent: ")]
    assert len(set(agents)) == 1
    assert agents[0].split(" ")[1].startswith("Syncline/")


def test_login_and_sync_through_a_tunnel_with_tls(
    world: Any, server: Any, app: Any, proxy: HttpProxy, tmp_path: Path
) -> None:
    """The proxy sees names of hosts and nothing else; the server's certificate is checked behind it."""
    certificate = make_certificate(tmp_path)
    port = server.listen_with_tls(certificate.server_context())
    app.url, app.ws_url = f"https://127.0.0.1:{port}", f"wss://127.0.0.1:{port}"
    world.manager.proxy = address(proxy)
    with pytest.raises(TlsHandshakeFailedError):
        world.manager.log_in(SyncCredentials.anonymous(), app.url)
    world.manager.pinned_certificate_paths = {"127.0.0.1": certificate.pem}
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    device = world.device(user)
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert set(proxy.requests) == {f"CONNECT 127.0.0.1:{port} HTTP/1.1"}


def test_a_proxy_that_speaks_tls_itself(
    world: Any, server: Any, app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS in TLS. Its certificate has to be trusted by the system."""
    own, servers = make_certificate(tmp_path, "proxy"), make_certificate(tmp_path, "server")
    monkeypatch.setenv("SSL_CERT_FILE", str(own.pem))
    port = server.listen_with_tls(servers.server_context())
    app.url, app.ws_url = f"https://127.0.0.1:{port}", f"wss://127.0.0.1:{port}"
    proxy = HttpProxy(tls=own.server_context())
    try:
        world.manager.proxy = f"https://127.0.0.1:{proxy.port}"
        world.manager.pinned_certificate_paths = {"127.0.0.1": servers.pem}
        device = world.device(world.manager.log_in(SyncCredentials.anonymous(), app.url))
        device.write("x" * 100_000)
        device.session.wait_for_upload(5)
        assert len(proxy.requests) >= 2
    finally:
        world.close()
        proxy.close()


def test_7_6_connections_through_a_proxy_are_not_shared(world: Any, server: Any, realm: Any, proxy: HttpProxy) -> None:
    world.manager.proxy = address(proxy)
    user = world.user(server.url)
    a, b = world.device(user, "a", "/a"), world.device(user, "b", "/b")
    world.connected(a)
    world.connected(b)
    assert len(server.peers) == len(proxy.requests) == 2
    a.close()
    world.eventually(lambda: len(world.manager.client._connections) == 1)


def test_another_proxy_counts_from_the_next_connection(world: Any, server: Any, realm: Any, proxy: HttpProxy) -> None:
    device = world.device(world.user(server.url))
    world.connected(device)
    world.manager.proxy = address(proxy)
    assert proxy.requests == []
    server.run(realm.cut())
    world.eventually(lambda: device.session.connection_state is not ConnectionState.CONNECTED)
    device.session.reconnect()
    world.connected(device)
    assert len(proxy.requests) == 1


# --- what goes wrong with it ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credentials", "answer", "said"),
    [
        ("", b"", "wants a user and a password (HTTP 407)"),
        ("proxy-user:wrong-secret", b"", "refuses the user or the password in its address (HTTP 407)"),
        (CREDENTIALS, b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "answered HTTP 502"),
        (CREDENTIALS, b"SSH-2.0-OpenSSH_9\r\n\r\n", "does not answer in HTTP"),
        (CREDENTIALS, b"x" * 20_000, "does not answer in HTTP"),
        (CREDENTIALS, b" ", "failed"),
    ],
)
def test_a_proxy_that_refuses_is_named_once_and_tried_again(
    world: Any,
    server: Any,
    realm: Any,
    proxy: HttpProxy,
    credentials: str,
    answer: bytes,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(1)
    caplog.set_level(1, "syncline.sync")
    proxy.answer = answer
    world.manager.proxy = address(proxy, credentials)
    device = world.device(world.user(server.url))
    world.eventually(lambda: len(proxy.requests) == 2)
    world.manager.notify_thread.drain(5)
    ((error, session),) = world.errors
    assert isinstance(error, ConnectionFailedError)
    assert not error.is_fatal
    assert session == device.session
    assert said in str(error)
    assert f"http://127.0.0.1:{proxy.port}" in str(error)
    assert server.peers == []
    for secret in ("pass%3A", "pass:", "wrong-secret", "Basic ", "proxy-user"):
        assert secret not in caplog.text
    proxy.answer = b""
    world.manager.proxy = address(proxy)
    device.session.reconnect()
    world.connected(device)


@pytest.mark.parametrize(
    ("url", "said"), [("http://server.example", "wants a user"), ("https://server.example", "wants a user")]
)
def test_a_login_through_a_proxy_that_refuses(world: Any, proxy: HttpProxy, url: str, said: str) -> None:
    world.manager.proxy = address(proxy, "")
    with pytest.raises(ConnectionFailedError, match=said):
        world.manager.log_in(SyncCredentials.anonymous(), url)
    proxy.answer = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(SynclineError, match="502"):
        world.manager.log_in(SyncCredentials.anonymous(), url)


def test_a_proxy_that_is_not_there(world: Any, app: Any, server: Any) -> None:
    world.manager.proxy = "http://u:secret@127.0.0.1:9"
    with pytest.raises(ConnectionFailedError, match=r"the proxy http://127\.0\.0\.1:9 cannot be reached") as caught:
        world.manager.log_in(SyncCredentials.anonymous(), app.url)
    assert "secret" not in str(caught.value)
    world.device(world.user(server.url))
    world.eventually(lambda: world.errors)
    assert "the proxy http://127.0.0.1:9 cannot be reached" in str(world.errors[0][0])


def test_a_proxy_that_is_silent(world: Any, server: Any, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    monkeypatch.setattr(proxy, "_relay", silence)
    world.manager.timeout_options.connect_timeout = 1_000
    world.manager.proxy = address(proxy)
    world.device(world.user(server.url))
    world.eventually(lambda: world.errors)
    assert "within 1 s" in str(world.errors[0][0])
