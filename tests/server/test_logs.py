import io
import json
import logging

import pytest

from syncline.server.logs import configure_logging, redact

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        f"GET /realm-sync?baas_at={JWT} HTTP/1.1",
        "GET /realm-sync?baas_at=opaque-secret&x=1",
        f"Authorization: Bearer {JWT}",
        '{"password": "opaque-secret"}',
        '{"refresh_token":"opaque-secret"}',
        f"something with {JWT} in it",
    ],
)
def test_secrets_are_left_out(text: str) -> None:
    assert "secret" not in redact(text)
    assert "eyJ" not in redact(text)


def test_control_characters_cannot_forge_lines() -> None:
    assert redact("a\r\x1b[31mb") == "a\\x0d\\x1b[31mb"


def test_lines_are_json_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging("info", as_json=True)
        logging.getLogger("syncline.server").info("opened %s", "baas_at=opaque-secret")
        logging.getLogger("syncline.server").debug("not this")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert said["level"] == "info"
    assert said["message"] == "opened baas_at=…"
