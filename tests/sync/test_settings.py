"""What can be set on a manager, and until when it counts (spec/sessions.md §14.1, §14.2, §14.5)."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sync.certificates import Certificate, make_certificate

from syncline.errors import ConfigurationError, ConnectionFailedError, OperationAbortedError, TlsHandshakeFailedError
from syncline.sync import (
    ConnectionState,
    SyncConfiguration,
    SyncCredentials,
    SyncLogLevel,
    SyncSessionState,
    SyncStopPolicy,
    SyncTimeoutOptions,
)
from syncline.version import __version__

ROOT = logging.getLogger("syncline.sync")


@pytest.fixture
def log_settings() -> Iterator[None]:
    """Restores what is of the whole process."""
    level, handlers, propagate = ROOT.level, list(ROOT.handlers), ROOT.propagate
    yield
    ROOT.setLevel(level)
    ROOT.handlers[:] = handlers
    ROOT.propagate = propagate


def test_14_1_defaults(world: Any, monkeypatch: pytest.MonkeyPatch, log_settings: None) -> None:
    ROOT.setLevel(logging.NOTSET)
    manager = world.new_manager()
    try:
        manager_defaults = {
            "app_id": "default",
            "user_agent": "default",
            "log_level": SyncLogLevel.INFO,
            "logger": None,
            "proxy": True,
            "authorization_header_name": None,
            "custom_request_headers": None,
            "pinned_certificate_paths": None,
            "session_multiplexing": True,
        }
        assert {name: getattr(manager, name) for name in manager_defaults} == manager_defaults
        assert ROOT.level == logging.INFO
    finally:
        manager.close()
    assert SyncTimeoutOptions() == SyncTimeoutOptions(120_000, 30_000, 60_000, 120_000, 60_000)


# --- taken by the client ----------------------------------------------------------------------------------------------


def test_14_1_user_agent_is_taken_when_the_client_is_made(world: Any, app: Any, server: Any) -> None:
    world.manager.user_agent = "my app/1.0"
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    world.manager.user_agent = "another/2.0"
    world.connected(world.device(user))
    agents = {peer.header("User-Agent") for peer in server.peers}
    assert len(agents) == 1
    (agent,) = agents
    assert agent.startswith(f"Syncline/{__version__} (")
    assert agent.endswith(" my app/1.0")


def test_14_1_user_agent_is_the_app_id_by_default(world: Any, server: Any, realm: Any) -> None:
    world.manager.app_id = "shop"
    assert world.manager.user_agent == "shop"
    world.connected(world.device(world.user(server.url)))
    assert server.peers[0].header("User-Agent").endswith(" shop")


def test_14_1_timeouts_are_taken_when_the_client_is_made(world: Any, server: Any, realm: Any) -> None:
    client = world.manager.client
    world.manager.timeout_options = SyncTimeoutOptions(connect_timeout=5_000, connection_linger_time=1)
    assert (client.settings.linger_ms, client.connect_timeout_ms) == (600, 2_000)
    assert world.manager.client is client


def test_14_1_multiplexing_and_logger_cannot_be_changed_later(world: Any, log_settings: None) -> None:
    world.manager.session_multiplexing = False
    world.manager.client  # noqa: B018 - makes it
    with pytest.raises(ConfigurationError, match="before the first login"):
        world.manager.session_multiplexing = True
    with pytest.raises(ConfigurationError, match="before the first login"):
        world.manager.logger = lambda level, text: None
    world.manager.logger = None
    assert world.manager.session_multiplexing is False


@pytest.mark.parametrize(("multiplexing", "sockets"), [(True, 2), (False, 3)])
def test_7_6_one_connection_per_server_and_user_or_one_per_session(
    world: Any, server: Any, realm: Any, multiplexing: bool, sockets: int
) -> None:
    world.manager.session_multiplexing = multiplexing
    me, you = world.user(server.url), world.user(server.url, "you")
    for device in (world.device(me, "a", "/a"), world.device(me, "b", "/b"), world.device(you, "c", "/c")):
        world.connected(device)
    assert len(server.peers) == sockets


# --- headers ----------------------------------------------------------------------------------------------------------


def test_14_1_a_named_authorization_header_goes_with_requests_and_sockets(world: Any, app: Any, server: Any) -> None:
    app.authorization_header = "X-Token"
    world.manager.authorization_header_name = "X-Token"
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    profile = next(peer for peer in server.peers if peer.target.endswith("/profile"))
    assert profile.header("X-Token") == f"Bearer {user.access_token}"
    assert profile.header("Authorization") is None
    before = SyncConfiguration(user, "/a", path=str(world.folder / "before.realm"))
    world.manager.authorization_header_name = None
    device = world.device_at_default_path(before)
    world.connected(device)
    assert server.peers[-1].header("X-Token") == f"Bearer {user.access_token}"
    assert server.peers[-1].target.endswith(f"?baas_at={user.access_token}")
    assert SyncConfiguration(user, "/b").authorization_header_name is None


def test_14_5_a_header_that_fails_is_an_error_and_disconnected(world: Any, server: Any, realm: Any) -> None:
    async def gate(peer: Any) -> None:
        if peer.header("X-Allow") == "no":
            await peer.answer(400, "not with this header")
        else:
            await realm.script(peer)

    server.script(gate)
    device, asleep = world.device(world.user(server.url)), world.device(world.user(server.url), "b", "/asleep")
    world.connected(device)
    asleep.session.suspend()
    realm.acknowledge = False
    device.write("Rex")
    outcomes: list[Any] = []
    device.session.on_upload_complete(outcomes.append)
    headers = {"X-Allow": "no"}
    world.manager.custom_request_headers = headers
    headers["X-Allow"] = "yes"  # a copy was taken
    world.eventually(lambda: world.errors)
    error, session = world.errors[0]
    assert isinstance(error, ConnectionFailedError)
    assert error.is_fatal
    assert "HTTP 400: not with this header" in str(error)
    assert session == device.session
    assert session.connection_state is ConnectionState.DISCONNECTED
    assert session.state is SyncSessionState.ACTIVE
    world.eventually(lambda: outcomes)
    assert isinstance(outcomes[0], OperationAbortedError)
    assert asleep.session.state is SyncSessionState.INACTIVE
    realm.acknowledge = True
    world.manager.custom_request_headers = {"X-Allow": "yes", "user-agent": "mine"}
    device.session.wait_for_upload(5)
    assert server.peers[-1].header("X-Allow") == "yes"
    assert server.peers[-1].header("User-Agent") == "mine"


@pytest.mark.parametrize(
    "headers",
    [
        {"": "x"},
        {"X Y": "x"},
        {"X:": "x"},
        {"X-Secret": "secret\r\nX-Other: y"},
        {"X-Secret": "secret\u20ac"},
        {"X-Secret": 1},
        {3: "x"},
        {"Host": "elsewhere"},
        {"sec-websocket-key": "x"},
        {"Connection": "close"},
    ],
)
def test_bad_input_headers(world: Any, headers: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        world.manager.custom_request_headers = headers
    assert "secret\r" not in str(caught.value)
    assert world.manager.custom_request_headers is None
    for name in headers:
        if headers[name] == "x":
            with pytest.raises(ConfigurationError):
                world.manager.authorization_header_name = name
    with pytest.raises(ConfigurationError):
        world.manager.user_agent = "two\nlines"


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
def secure(server: Any, app: Any, certificate: Certificate) -> int:
    """The port of the app with TLS."""
    port: int = server.listen_with_tls(certificate.server_context())
    app.url, app.ws_url = f"https://127.0.0.1:{port}", f"wss://127.0.0.1:{port}"
    return port


@pytest.mark.parametrize("form", ["pem", "der"])
def test_14_1_a_pinned_certificate_is_trusted_by_requests_and_sockets(
    world: Any, app: Any, secure: int, certificate: Certificate, form: str
) -> None:
    world.manager.pinned_certificate_paths = {"127.0.0.1": getattr(certificate, form)}
    device = world.device(world.manager.log_in(SyncCredentials.anonymous(), app.url))
    device.write("Rex")
    device.session.wait_for_upload(5)


def test_14_1_the_certificate_of_the_server_itself_may_be_pinned_or_its_authority(
    world: Any, server: Any, realm: Any, tmp_path: Path
) -> None:
    authority = make_certificate(tmp_path, "authority")
    leaf = make_certificate(tmp_path, "leaf", issuer=authority)
    user = world.user(f"wss://127.0.0.1:{server.listen_with_tls(leaf.server_context())}")
    for name, pinned in (("a", leaf.pem), ("b", authority.pem)):
        world.connected(world.device(user, name, f"/{name}", pinned_certificate_path=str(pinned)))
    assert len(server.peers) == 2, "who trusts otherwise has a connection of its own"


def test_14_1_another_certificate_is_refused_told_once_and_tried_again(
    world: Any, app: Any, server: Any, secure: int, certificate: Certificate, tmp_path: Path, caplog: Any
) -> None:
    caplog.set_level(logging.INFO, "syncline.sync")
    other = make_certificate(tmp_path, "other")
    world.manager.pinned_certificate_paths = {"127.0.0.1": certificate.pem}
    user = world.manager.log_in(SyncCredentials.anonymous(), app.url)
    world.manager.pinned_certificate_paths = {"127.0.0.1": other.pem}
    with pytest.raises(TlsHandshakeFailedError, match="certificate verify failed"):
        world.manager.log_in(SyncCredentials.anonymous(), app.url)
    attempts: list[Any] = []
    device = world.device(user, stop_policy=SyncStopPolicy.IMMEDIATELY)
    with device.session.observe_connection_state(lambda old, new: attempts.append(new)):
        world.eventually(lambda: attempts.count(ConnectionState.DISCONNECTED) >= 2)
    world.manager.notify_thread.drain(5)
    ((error, session),) = world.errors
    assert isinstance(error, TlsHandshakeFailedError)
    assert not error.is_fatal
    assert session.state is SyncSessionState.ACTIVE
    assert [r.levelname for r in caplog.records if "no secure connection" in r.message].count("WARNING") >= 2
    assert not any(peer.target.endswith("realm-sync") for peer in server.peers)
    device.close()
    world.manager.pinned_certificate_paths = {"127.0.0.1": certificate.pem}
    again = world.device(user)  # its configuration is made now
    again.session.reconnect()
    world.connected(again)


def test_14_1_a_pinned_file_may_be_replaced(
    world: Any, app: Any, secure: int, certificate: Certificate, tmp_path: Path
) -> None:
    pinned = tmp_path / "pinned.pem"
    pinned.write_bytes(make_certificate(tmp_path, "other").pem.read_bytes())
    world.manager.pinned_certificate_paths = {"127.0.0.1": pinned}
    with pytest.raises(TlsHandshakeFailedError):
        world.manager.log_in(SyncCredentials.anonymous(), app.url)
    pinned.write_bytes(certificate.pem.read_bytes())
    world.manager.log_in(SyncCredentials.anonymous(), app.url)


def test_14_1_other_hosts_are_checked_as_ever(world: Any, app: Any, secure: int, certificate: Certificate) -> None:
    world.manager.pinned_certificate_paths = {"other.example": certificate.pem}
    with pytest.raises(TlsHandshakeFailedError):
        world.manager.log_in(SyncCredentials.anonymous(), app.url)


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nno\n"])
def test_bad_input_a_pinned_file_that_is_none(
    world: Any, app: Any, secure: int, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "pinned"
    if content is not None:
        path.write_bytes(content)
    world.manager.pinned_certificate_paths = {"127.0.0.1": path}
    with pytest.raises(TlsHandshakeFailedError, match="pinned' cannot be used"):
        world.manager.log_in(SyncCredentials.anonymous(), app.url)
    world.device(world.user(app.ws_url), pinned_certificate_path=str(path))
    world.eventually(lambda: world.errors)
    assert isinstance(world.errors[0][0], TlsHandshakeFailedError)
    assert "pinned' cannot be used" in str(world.errors[0][0])


def test_17_1_who_checks_and_who_does_not_share_no_connection(
    world: Any, server: Any, realm: Any, certificate: Certificate
) -> None:
    user = world.user(f"wss://127.0.0.1:{server.listen_with_tls(certificate.server_context())}")
    careless = world.device(user, "a", "/a", enable_ssl_validation=False)
    world.connected(careless)
    careful = world.device(user, "b", "/b")
    world.eventually(lambda: world.errors)
    assert isinstance(world.errors[0][0], TlsHandshakeFailedError)
    assert careful.session.connection_state is not ConnectionState.CONNECTED
    assert careless.session.connection_state is ConnectionState.CONNECTED


# --- logging ----------------------------------------------------------------------------------------------------------


NUMBERS = {"OFF": 60, "FATAL": 50, "ERROR": 40, "WARN": 30, "INFO": 20, "DETAIL": 15, "DEBUG": 10, "TRACE": 5, "ALL": 5}


@pytest.mark.parametrize("level", list(SyncLogLevel))
def test_14_2_a_message_is_emitted_if_its_level_is_at_least_the_threshold(
    world: Any, log_settings: None, level: SyncLogLevel
) -> None:
    lines: list[tuple[SyncLogLevel, str]] = []
    world.manager.logger = lambda level, text: lines.append((level, text))
    world.manager.log_level = level
    assert world.manager.log_level is level
    assert ROOT.level == NUMBERS[level.name]
    for name, number in NUMBERS.items():
        if name not in ("OFF", "ALL"):
            for logger in ("", ".session", ".reset", ".network"):
                logging.getLogger(f"syncline.sync{logger}").log(number, "a %s", name)
    expected = [each for each in SyncLogLevel if SyncLogLevel.FATAL <= each <= min(level, SyncLogLevel.TRACE)]
    assert lines == [(each, f"a {each.name}") for each in expected for _ in range(4)]


def test_14_2_the_level_may_be_set_by_logging_and_is_of_the_process(world: Any, log_settings: None) -> None:
    for number, level in ((10, SyncLogLevel.DEBUG), (17, SyncLogLevel.INFO), (99, SyncLogLevel.OFF)):
        ROOT.setLevel(number)
        assert world.manager.log_level is level
    other = world.new_manager()
    world.manager.log_level = SyncLogLevel.ERROR
    assert other.log_level is SyncLogLevel.ERROR
    other.close()


def test_14_1_a_level_that_the_program_has_set_is_left_alone(
    world: Any, log_settings: None, caplog: pytest.LogCaptureFixture
) -> None:
    ROOT.setLevel(logging.ERROR)
    world.new_manager().close()
    assert ROOT.level == logging.ERROR
    ROOT.setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG):  # of everything
        manager = world.new_manager()
        assert manager.log_level is SyncLogLevel.DEBUG
        manager.close()


def test_14_1_a_logger_of_logging_gets_the_records_and_the_root_does_not(
    world: Any, log_settings: None, caplog: pytest.LogCaptureFixture
) -> None:
    records: list[logging.LogRecord] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    mine = logging.getLogger("an.application")
    mine.addHandler(Keeper())
    mine.propagate = False
    mine.setLevel(logging.WARNING)
    world.manager.logger = mine
    assert world.manager.logger is mine
    ROOT.info("below its own level")
    ROOT.warning("for mine")
    assert [record.getMessage() for record in records] == ["for mine"]
    assert "for mine" not in caplog.text
    world.manager.logger = None
    ROOT.warning("for the root again")
    assert "for the root again" in caplog.text
    assert len(records) == 1
    with pytest.raises(ConfigurationError, match="a logger of theirs"):
        world.manager.logger = logging.getLogger("syncline.sync.network")


def test_14_1_a_logger_that_raises_hurts_nobody_and_holds_no_lock(
    world: Any, server: Any, realm: Any, log_settings: None, capsys: pytest.CaptureFixture[str]
) -> None:
    threads: set[str] = set()
    seen: list[str] = []

    def look(level: SyncLogLevel, text: str) -> None:
        threads.add(threading.current_thread().name)
        seen.append(text)
        for session in world.manager.all_sessions():  # may call everything
            session.diagnostics()
            _ = session.state
        raise RuntimeError("a logger failed")

    world.manager.logger = look
    world.manager.log_level = SyncLogLevel.ALL
    device = world.device(world.user(server.url))
    device.write("Rex")
    device.session.wait_for_upload(5)
    server.run(realm.cut())
    world.eventually(lambda: any("disconnected from" in text for text in seen))
    ROOT.info("from here")
    assert {"syncline-sync", "MainThread"} <= threads
    assert "a logger failed" in capsys.readouterr().err


class Secrets:
    """Everything that must not be seen, of one life."""

    words = ("pass-word-1", "proxy-pass-2", "header-secret-3", "wrong-pass-4")

    def __init__(self, app: Any) -> None:
        self._app = app

    def found_in(self, text: str) -> list[str]:
        return [secret for secret in (*self.words, *self._app.valid_tokens) if secret in text]


def test_14_2_nothing_secret_is_logged_in_a_whole_life(
    world: Any, app: Any, server: Any, caplog: pytest.LogCaptureFixture, log_settings: None
) -> None:
    """Registering, logging in, a refused login, syncing, a renewal, errors that quote the address, logging out."""
    caplog.set_level(1)
    for name in [name for name in logging.root.manager.loggerDict if name.startswith(("httpx", "httpcore", "asyncio"))]:
        caplog.set_level(1, name)
    world.manager.log_level = SyncLogLevel.ALL
    secrets = Secrets(app)
    world.manager.custom_request_headers = {"X-Key": "header-secret-3"}
    credentials = SyncCredentials.username_password("me@x.example", "pass-word-1", register=True)
    user = world.manager.log_in(credentials, app.url)
    app.refusals["login"] = (401, "InvalidPassword")
    with contextlib.suppress(Exception):
        world.manager.log_in(SyncCredentials.username_password("me@x.example", "wrong-pass-4"), app.url)
    app.valid_tokens.discard(user.access_token)
    first = user.access_token
    device = world.device(user)
    device.write("Rex")
    device.session.wait_for_upload(5)
    assert user.access_token != first
    app.valid_tokens.add(first)

    async def quoting(peer: Any) -> None:
        await peer.answer(400, f"Bad request: {peer.target} of {peer.header('X-Key')}")

    server.script(quoting)
    server.run(app.realm.cut())
    world.eventually(lambda: device.session.connection_state is not ConnectionState.CONNECTED)
    device.session.reconnect()
    world.eventually(lambda: world.errors)
    assert "Bad request: " in str(world.errors[0][0])
    world.manager.proxy = "http://u:proxy-pass-2@127.0.0.1:9"
    device.session.reconnect()
    world.eventually(lambda: "the proxy http://127.0.0.1:9" in caplog.text)
    user.log_out()
    world.close()
    told = caplog.text + "".join(f"{error}{error.user_info}" for error, _ in world.errors)
    assert len(told) > 1_000
    assert secrets.found_in(told) == []
    assert secrets.found_in(repr(world.manager.diagnostics())) == []
