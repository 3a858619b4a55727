"""Recorded conversations of the original client and server, replayed against our machines (vectors/README.md).

Each machine is driven with the other side's messages; what it says is compared with what was recorded, message by
message and per session: types, fields, and decoded bodies. Log messages may stand anywhere; ERROR and JSON_ERROR are
equal by code. Whatever differs beyond that comes back as a :class:`Difference`.

    python -m syncline.testing.transcripts FILE…
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from syncline.protocol.negotiation import NegotiationError, choose, parse_target
from syncline.testing.client_replay import replay_client
from syncline.testing.recordings import Difference, RecordedEvent, read_transcript
from syncline.testing.server_replay import replay_server

__all__ = ["Difference", "main", "read_transcript", "replay_client", "replay_handshakes", "replay_server"]


def replay_handshakes(events: Sequence[RecordedEvent], maximum: int = 14) -> list[Difference]:
    """Compare the outcome of every upgrade request: status, and subprotocol of the answer."""
    differences: list[Difference] = []
    requests: dict[int, RecordedEvent] = {}
    for event in events:
        if event.kind == "http_request":
            requests[event.connection] = event
        elif event.kind == "http_response":
            ours = _handshake(requests[event.connection], maximum)
            theirs = (int(event.line.split()[1]), event.headers.get("sec-websocket-protocol"))
            if ours != theirs:
                differences.append(Difference("handshake", event.connection, f"expected {theirs}, answered {ours}"))
    return differences


def _handshake(request: RecordedEvent, maximum: int) -> tuple[int, str | None]:
    path, _, query = request.line.split(" ")[1].partition("?")
    target = parse_target(path, query)
    if target is None:
        return 404, None
    if "upgrade" not in request.headers:
        return 400, None
    try:
        return 101, choose([request.headers.get("sec-websocket-protocol", "")], maximum).token
    except NegotiationError:
        return 400, None


def _differences(path: Path) -> Iterator[Difference]:
    events = read_transcript(path)
    yield from replay_client(events)
    yield from replay_server(events)
    yield from replay_handshakes(events)


def main(paths: Sequence[str], out: TextIO = sys.stdout) -> int:
    """Replay the files named; prints every difference. The exit status is 1 if there were any."""
    count = 0
    for path in paths:
        for difference in _differences(Path(path)):
            out.write(f"{path}: {difference}\n")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
