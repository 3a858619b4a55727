"""Recorded conversations of the original client and server, as data (vectors/README.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from syncline.errors import ProtocolViolationError
from syncline.protocol import Limits, SyncMode
from syncline.protocol.from_client import parse_client_message
from syncline.protocol.from_server import parse_server_message
from syncline.protocol.messages import ClientMessage, Download, ServerMessage, Upload

__all__ = ["Difference", "RecordedEvent", "layout_of", "read_transcript", "short_form"]

_LIMITS: Final = Limits()


class Difference(NamedTuple):
    """Where one of our machines departs from a recording; ``place`` is the number of the connection."""

    side: str
    place: int
    what: str

    def __str__(self) -> str:
        return f"{self.side}, connection {self.place}: {self.what}"


class RecordedEvent(NamedTuple):
    """One line of a transcript. ``data`` and ``message`` are those of a WebSocket message; a message that the original
    could not read either has data only. ``headers`` are those of HTTP requests and answers, names in lower case;
    ``header_lines`` are the same as they were written."""

    connection: int
    direction: str
    kind: str
    line: str
    headers: dict[str, str]
    data: bytes
    message: ClientMessage | ServerMessage | None
    time_ms: int
    header_lines: tuple[tuple[str, str], ...] = ()

    @property
    def is_from_client(self) -> bool:
        """A WebSocket message of the client."""
        return self.kind == "message" and self.direction == "c>s"

    @property
    def is_from_server(self) -> bool:
        """A WebSocket message of the server."""
        return self.kind == "message" and self.direction == "s>c"


def read_transcript(path: Path) -> list[RecordedEvent]:
    """The events of a transcript file, without its notes."""
    with path.open(encoding="utf-8") as lines:
        values = [json.loads(line) for line in lines]
    return [_event(value) for value in values if "kind" in value]


def _event(value: dict[str, Any]) -> RecordedEvent:
    data = bytes.fromhex(value.get("raw", ""))
    message: ClientMessage | ServerMessage | None = None
    if value["kind"] == "message":
        try:
            message = _parse(data, value["dir"])
        except ProtocolViolationError:
            message = None
    lines = tuple((name, text) for name, text in value.get("headers", []))
    headers = {name.lower(): text for name, text in lines}
    time_ms = int(value["t"] * 1000)
    return RecordedEvent(
        value["conn"], value["dir"], value["kind"], value.get("line", ""), headers, data, message, time_ms, lines
    )


def _parse(data: bytes, direction: str) -> ClientMessage | ServerMessage:
    if direction == "c>s":
        return parse_client_message(data, SyncMode.PBS, _LIMITS)
    return parse_server_message(data, SyncMode.PBS, 14, _LIMITS)


def layout_of(message: ClientMessage | ServerMessage, data: bytes) -> object:
    """What must be equal of a body's encoding: whether it is compressed, and its plain size."""
    head = data.split(b"\n", 1)[0].split(b" ")
    if isinstance(message, Upload):
        return head[2:4]
    return head[9:11] if isinstance(message, Download) else None


def short_form(message: ClientMessage | ServerMessage) -> str:
    """A message in a line of a report."""
    text = repr(message)
    return text if len(text) <= 300 else text[:297] + "..."
