"""The recorded conversations of the original pair, against both machines; what may differ, and why.

docs/reference/wire-differences.md tells the same list in prose.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from syncline.changesets.changeset import UploadCursor
from syncline.protocol.messages import Download, Upload
from syncline.testing.transcripts import (
    Difference,
    read_transcript,
    replay_client,
    replay_handshakes,
    replay_server,
)

TRANSCRIPTS = Path(__file__).parents[1] / "vectors" / "transcripts"
FILES = sorted(path.name for path in TRANSCRIPTS.glob("*.jsonl"))
DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "wire-differences.md"


class Expected(NamedTuple):
    """One difference: the two texts must occur in its report, in this order; ``reason`` is its heading in the docs."""

    side: str
    connection: int
    theirs: str
    ours: str
    reason: str


ZERO = "Session ident 0"
SIZES = "Sizes are exact"
SPELLING = "The subprotocol is answered as it was offered"

DIFFERENCES: dict[str, list[Expected]] = {
    "14_version_negotiation.jsonl": [
        Expected("handshake", 2, "com.mongodb.realm-sync/3", "com.mongodb.realm-sync#3", SPELLING),
        Expected("handshake", 5, "com.mongodb.realm-sync/7", "com.mongodb.realm-sync#7", SPELLING),
    ],
    "16_protocol_violations.jsonl": [
        Expected("server", 10, "ServerIdent(session=0", "code=106", ZERO),
        Expected("server", 14, "code=212", "nothing was said", SIZES),
        Expected("server", 14, "", "code=103", SIZES),
    ],
}

#: What the recorded server was set to, or what happened to it.
DOWNLOAD_LIMITS = {"06_large_download_in_parts.jsonl": 4000}
LOSSES = {"10_bad_ident_and_salt.jsonl": {2: ("/example", 0), 7: ("/three", 1)}}
MAXIMUM = {"14_version_negotiation.jsonl": 10}


def matches(difference: Difference, expected: Expected) -> bool:
    before, _, after = difference.what.partition(" said ")
    return (
        (difference.side, difference.place) == (expected.side, expected.connection)
        and expected.theirs in before
        and (expected.ours in after or expected.ours in difference.what)
    )


def check(differences: list[Difference], name: str, side: str) -> None:
    expected = [one for one in DIFFERENCES.get(name, []) if one.side == side]
    unexpected = [one for one in differences if not any(matches(one, other) for other in expected)]
    missing = [one for one in expected if not any(matches(other, one) for other in differences)]
    assert unexpected == []
    assert missing == []
    assert len(differences) == len(expected)


@pytest.mark.parametrize("name", FILES)
def test_our_client_says_what_the_original_said(name: str) -> None:
    check(replay_client(read_transcript(TRANSCRIPTS / name)), name, "client")


@pytest.mark.parametrize("name", FILES)
def test_our_server_says_what_the_original_said(name: str) -> None:
    differences = replay_server(
        read_transcript(TRANSCRIPTS / name),
        download_limit=DOWNLOAD_LIMITS.get(name, 16 << 20),
        losses=LOSSES.get(name),
    )
    check(differences, name, "server")


@pytest.mark.parametrize("name", FILES)
def test_upgrade_requests_are_answered_alike(name: str) -> None:
    check(replay_handshakes(read_transcript(TRANSCRIPTS / name), MAXIMUM.get(name, 14)), name, "handshake")


def test_the_recordings_are_all_there() -> None:
    assert len(FILES) == 18
    messages = sum(event.kind == "message" for name in FILES for event in read_transcript(TRANSCRIPTS / name))
    assert messages > 400


@pytest.mark.parametrize("name", DIFFERENCES)
def test_every_difference_is_documented(name: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for expected in DIFFERENCES[name]:
        heading = text.find(f"## {expected.reason}\n")
        assert heading >= 0
        section = text[heading + 3 :].partition("\n## ")[0]
        assert f"`{name[:2]}`" in section


def test_an_altered_recording_is_noticed() -> None:
    events = read_transcript(TRANSCRIPTS / "01_fresh_client_upload_ack.jsonl")
    altered = []
    for event in events:
        message = event.message
        if isinstance(message, Upload) and message.progress == (6, 2):
            event = event._replace(message=message._replace(progress=UploadCursor(6, 1)))
        if isinstance(message, Download) and message.downloadable_bytes == 0 and message.progress.upload == (7, 2):
            event = event._replace(message=message._replace(downloadable_bytes=1))
        altered.append(event)
    assert len(replay_client(altered)) == 1
    assert len(replay_server(altered)) == 1
