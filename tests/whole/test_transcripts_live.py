"""The client side of the recorded conversations, played to a real ``syncline serve --dev``; what may differ, and why.

It is realm-core as it was recorded: same URL, raw path in BIND, arbitrary token, same headers, frames and changesets.
docs/reference/wire-differences.md tells the same list in prose.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.whole.player import play

from syncline.testing.processes import ServerProcess
from syncline.testing.recordings import Difference, read_transcript

TRANSCRIPTS = Path(__file__).parents[1] / "vectors" / "transcripts"
FILES = sorted(path.name for path in TRANSCRIPTS.glob("*.jsonl"))
DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "wire-differences.md"


class Expected(NamedTuple):
    """One difference: both texts occur in its report, in this order; ``reason`` is its heading in the document."""

    connection: int
    theirs: str
    ours: str
    reason: str


ZERO = "Session ident 0"
SIZES = "Sizes are exact"
SPELLING = "The subprotocol is answered as it was offered"
VERSIONS = "All versions up to 14"
FLEXIBLE = "Flexible sync is negotiated"
ERASED = "Changes of an erased property are dropped"
HEALTH = "The server can be asked how it is"
ONE_STATE = "One state per DOWNLOAD"
CUTS = "Downloads are cut at fixed places"

DIFFERENCES: dict[str, list[Expected]] = {
    "14_version_negotiation.jsonl": [
        Expected(1, "com.mongodb.realm-sync#10", "com.mongodb.realm-sync#14", VERSIONS),
        Expected(2, "com.mongodb.realm-sync/3", "com.mongodb.realm-sync#3", SPELLING),
        Expected(5, "com.mongodb.realm-sync/7", "com.mongodb.realm-sync#12", VERSIONS),
        Expected(7, "expected 400", "com.mongodb.realm-query-sync#14", FLEXIBLE),
    ],
    "15_http_level_errors.jsonl": [Expected(7, "expected 404", "said 200", HEALTH)],
    "16_protocol_violations.jsonl": [
        Expected(10, "ServerIdent(session=0", "code=106", ZERO),
        Expected(14, "said Error(session=0, code=103", "not recorded", SIZES),
        Expected(14, "code=212", "said nothing", SIZES),
    ],
    "17_bad_changeset_upload.jsonl": [
        Expected(4, "(version=3", "(version=4", ERASED),
        Expected(4, "code=212", "said nothing", ERASED),
        Expected(3, "(version=3", "(version=4", ERASED),
    ],
}

#: Connections where this server may send one DOWNLOAD where the original sent two, or cut them elsewhere.
JOINED: dict[str, tuple[list[int], str]] = {
    "03_reconnect_with_offline_changes.jsonl": ([3], ONE_STATE),
    "04_connection_lost.jsonl": ([2], ONE_STATE),
    "05_concurrent_edits.jsonl": ([3, 4], ONE_STATE),
    "06_large_download_in_parts.jsonl": ([2], CUTS),
    "10_bad_ident_and_salt.jsonl": ([6], ONE_STATE),
    "11_two_sessions_one_connection.jsonl": ([1], ONE_STATE),
    "17_bad_changeset_upload.jsonl": ([3, 4], ONE_STATE),
}

#: Where a recorded message never comes, the time to wait for it, in seconds.
PATIENCE = {"17_bad_changeset_upload.jsonl": 3.0}

#: What the recorded server was set to.
SETTINGS = {
    "06_large_download_in_parts.jsonl": ("SYNCLINE_DOWNLOAD_BYTES", "4000"),
    "17_bad_changeset_upload.jsonl": ("SYNCLINE_SCHEMA_CHANGES", "admin"),
}


def disasters(server: ServerProcess, copy: Path) -> dict[int, Callable[[], None]]:
    """What happened to the recorded server in 10: its file was deleted; later it was set back to an older copy."""

    def lose() -> None:
        server.stop()
        shutil.rmtree(server.folder)
        server.start()

    def keep_a_copy() -> None:
        server.stop()
        shutil.copytree(server.folder, copy)
        server.start()

    def set_back() -> None:
        server.stop()
        shutil.rmtree(server.folder)
        copy.rename(server.folder)
        server.start()

    return {2: lose, 6: keep_a_copy, 7: set_back}


@pytest.mark.parametrize("name", FILES)
def test_a_live_server_says_what_the_original_said(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in SETTINGS:
        monkeypatch.setenv(*SETTINGS[name])
    server = ServerProcess(tmp_path / "data")
    before = disasters(server, tmp_path / "copy") if name.startswith("10") else None
    joined, _ = JOINED.get(name, ([], ""))
    try:
        events = read_transcript(TRANSCRIPTS / name)
        differences = play(server.port, events, joined=joined, before=before, patience_s=PATIENCE.get(name, 10.0))
    finally:
        server.stop()
    assert unexplained(differences, DIFFERENCES.get(name, [])) == []


def unexplained(differences: list[Difference], expected: list[Expected]) -> list[str]:
    """What differs and is not in the list; what is in the list and does not differ."""
    left = list(expected)
    result = []
    for difference in differences:
        for one in left:
            _, found, after = difference.what.partition(one.theirs)
            if one.connection == difference.place and found and one.ours in after:
                left.remove(one)
                break
        else:
            result.append(str(difference))
    return result + [f"not seen: {one}" for one in left]


@pytest.mark.parametrize("name", sorted(DIFFERENCES.keys() | JOINED.keys()))
def test_every_difference_is_documented(name: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    reasons = {one.reason for one in DIFFERENCES.get(name, [])}
    if name in JOINED:
        reasons.add(JOINED[name][1])
    for reason in reasons:
        heading = text.find(f"## {reason}\n")
        assert heading >= 0, reason
        section = text[heading + 3 :].partition("\n## ")[0]
        assert f"`{name[:2]}`" in section, reason
