"""A real server with TLS, behind a proxy: log in, sync, be refused (spec/sessions.md §14.1, §7.9)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.contract.world import PATIENCE_S, Item, eventually
from tests.sync.certificates import Certificate, make_certificate
from tests.sync.http_proxy import HttpProxy

from syncline import (
    ConnectionState,
    Realm,
    RealmConfiguration,
    SyncConfiguration,
    SyncCredentials,
    SyncError,
    SyncManager,
    TlsHandshakeFailedError,
    session_for_realm,
)
from syncline.testing.processes import free_port


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
def secure_port(tmp_path: Path, certificate: Certificate) -> Iterator[int]:
    """The port of a development server with that certificate."""
    port = free_port()
    command = [sys.executable, "-m", "syncline.cli.main", "serve", "--dev", "--port", str(port)]
    tls = ["--tls-certificate", str(certificate.pem), "--tls-key", str(certificate.key)]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, *tls, "--data", str(tmp_path / "data")], stdout=log, stderr=log)
    deadline = time.monotonic() + PATIENCE_S
    try:
        while True:
            try:
                httpx.get(f"https://127.0.0.1:{port}/health", verify=False, trust_env=False).raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def test_14_1_a_pinned_certificate_through_a_proxy_with_a_password(
    tmp_path: Path, secure_port: int, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing secret is logged on the way, at any level, by whatever library."""
    caplog.set_level(1)
    caplog.set_level(1, "syncline.sync")
    proxy = HttpProxy("ann:secret")
    manager = SyncManager(tmp_path / "sync")
    errors: list[SyncError] = []
    manager.error_handler = lambda error, session: errors.append(error)
    try:
        manager.proxy = f"http://ann:secret@127.0.0.1:{proxy.port}"
        url = f"https://localhost:{secure_port}"
        with pytest.raises(TlsHandshakeFailedError, match="self-signed"):
            manager.log_in(SyncCredentials.anonymous(), url)
        manager.pinned_certificate_paths = {"localhost": certificate.pem}
        user = manager.log_in(SyncCredentials.anonymous(), url)
        with Realm.open(RealmConfiguration(schema=[Item], sync=SyncConfiguration(user, "/~/pinned"))) as realm:
            with realm.write():
                realm.create(Item, {"id": 1, "text": "x"})
            session = session_for_realm(realm)
            assert session is not None
            session.wait_for_upload(PATIENCE_S)
        assert set(proxy.requests) == {f"CONNECT localhost:{secure_port} HTTP/1.1"}
        assert errors == []
        manager.pinned_certificate_paths = {"localhost": make_certificate(tmp_path, "other").pem}
        with Realm.open(RealmConfiguration(schema=[Item], sync=SyncConfiguration(user, "/~/refused"))) as realm:
            eventually(lambda: errors, "the refusal")
            assert isinstance(errors[0], TlsHandshakeFailedError)
            session = session_for_realm(realm)
            assert session is not None
            assert session.connection_state is not ConnectionState.CONNECTED
        tokens = (user.access_token, user.refresh_token)
        user.log_out()
    finally:
        manager.close()
        proxy.close()
    assert "connected to wss://localhost" in caplog.text
    assert [secret for secret in ("ann:", "secret", "YW5uOnNlY3JldA", *tokens) if secret in caplog.text] == []
