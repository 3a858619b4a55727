import ssl
from pathlib import Path
from typing import Any

import pytest

from syncline.server import serve
from syncline.server.settings import Settings, SettingsError, is_loopback


def test_defaults_are_the_safe_ones() -> None:
    settings = Settings()
    assert not settings.dev
    assert not settings.anonymous_allowed
    assert not settings.registration_allowed
    assert settings.schema_policy == "none"
    assert is_loopback(settings.host)


def test_development_mode_opens_what_is_closed() -> None:
    settings = Settings(dev=True)
    assert settings.anonymous_allowed
    assert settings.registration_allowed
    assert settings.schema_policy == "additive"
    assert settings.serves_app("anything-at-all")
    assert not settings.serves_app("no/slash")


def test_only_named_apps_are_served_otherwise() -> None:
    settings = Settings(app_ids=("shop",))
    assert settings.serves_app("shop")
    assert not settings.serves_app("default")


def test_every_setting_has_a_meaning_and_none_is_forgotten() -> None:
    meanings = Settings.meanings()
    assert all(text.endswith(".") for text in meanings.values())
    assert {"data", "port", "download_bytes", "max_open_realms"} <= meanings.keys()


def test_the_environment_fills_in_what_was_not_given() -> None:
    environment = {
        "SYNCLINE_PORT": "7800",
        "SYNCLINE_DEV": "yes",
        "SYNCLINE_DATA": "/srv/realms",
        "SYNCLINE_APP_IDS": "a, b",
        "SYNCLINE_HOST": "ignored.example",
    }
    settings = Settings.load(environment, host="localhost", tls_key=None)
    assert settings.port == 7800
    assert settings.dev
    assert settings.data == Path("/srv/realms")
    assert settings.app_ids == ("a", "b")
    assert settings.host == "localhost"


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({"SYNCLINE_PORT": "many"}, "SYNCLINE_PORT"),
        ({"SYNCLINE_DEV": "perhaps"}, "SYNCLINE_DEV"),
        ({"SYNCLINE_PORT": "70000"}, "65535"),
        ({"SYNCLINE_DOWNLOAD_BYTES": "0"}, "download_bytes"),
        ({"SYNCLINE_APP_IDS": "a b"}, "app id"),
        ({"SYNCLINE_SCHEMA_CHANGES": "all"}, "schema_changes"),
        ({"SYNCLINE_TLS_KEY": "key.pem"}, "tls_certificate"),
        ({"SYNCLINE_LOG_LEVEL": "loud"}, "log_level"),
    ],
)
def test_what_makes_no_sense_is_refused(environment: dict[str, str], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        Settings.load(environment)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]"])
def test_development_mode_serves_loopback(host: str) -> None:
    Settings(dev=True, host=host).check_binding()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "server.example", ""])
def test_development_mode_is_refused_elsewhere(host: str) -> None:
    with pytest.raises(SettingsError, match="development mode"):
        Settings(dev=True, host=host).check_binding()


def test_plain_http_needs_loopback_or_consent() -> None:
    with pytest.raises(SettingsError, match="TLS"):
        Settings(host="0.0.0.0").check_binding()
    Settings(host="0.0.0.0", insecure_http=True).check_binding()
    Settings(host="0.0.0.0", tls_certificate=Path("c.pem"), tls_key=Path("k.pem")).check_binding()


def test_the_documentation_lists_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "run-a-server.md").read_text()
    for name, meaning in Settings.meanings().items():
        assert f"| `{name}` |" in page
        assert f"| {meaning} |" in page, name


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"host": "nosuch.invalid", "insecure_http": True}, "cannot listen on nosuch.invalid: "),
        ({"tls_certificate": "nosuch.pem", "tls_key": "text.pem"}, "tls_certificate is nosuch.pem; there is no such"),
    ],
)
def test_places_that_cannot_be_used_are_named(
    given: dict[str, Any],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve, "configure_logging", lambda *_: None)
    paths = {name: Path(value) for name, value in given.items() if name.startswith("tls")}
    assert serve.main(Settings(**{"data": tmp_path / "data", "port": 0, "log_level": "error", **given, **paths})) == 2
    assert told in capsys.readouterr().err


def test_a_certificate_that_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(settings: Settings) -> None:
        raise ssl.SSLError("PEM lib")

    monkeypatch.setattr(serve, "run", run)
    assert serve.main(Settings(tls_certificate=Path("c.pem"), tls_key=Path("k.pem"))) == 2
    assert "as PEM; c.pem and k.pem: " in capsys.readouterr().err


def test_a_public_url_that_is_none() -> None:
    with pytest.raises(SettingsError, match=r"public_url is 'example.org'; write it as https://"):
        Settings(public_url="example.org")
